"""One writer at a time: who holds a folder is named, and a dead holder's lock is taken over."""

import errno
import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from rescale_fast import lock as module
from rescale_fast.beton.edit import append_beton, cut_beton
from rescale_fast.errors import OutputError
from rescale_fast.lock import Holder, lock, shared
from rescale_fast.run import running
from rescale_fast.run.commands import COMMANDS, _do
from rescale_fast.run.settings import ConfuseCommand
from tests.conftest import interruptible

HOLD = """
import os, sys, time
from pathlib import Path
from rescale_fast.lock import lock
with lock(Path(sys.argv[1]), "the folder", "first"):
    if sys.argv[2:] != ["fork"] or os.fork() == 0:  # the child, which has let go of it by now
        print("held", flush=True)
    time.sleep(60)
"""
SHARE = HOLD.replace("import lock", "import shared").replace("with lock", "with shared")
DRAWN = ("--glyph-classes", 12, "--glyph-size", 24, "--glyph-train", 30, "--glyph-val", 10)
TRAIN = ("--epochs", 1, "--train-batch-size", 16)


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(module, "PATIENCE", 0.5)


def of_another_machine(path):
    path.write_text(json.dumps(asdict(Holder("elsewhere", "another boot", 1, "2026-01-01 00:00:00", "run"))))


def test_a_second_process_is_refused_and_told_who_holds_it(tmp_path):
    path = tmp_path / "lock"
    with interruptible("-c", HOLD, path) as holder:
        assert holder.stdout.readline() == "held\n"
        start = time.monotonic()
        named = rf"the folder is in use by process {holder.pid} on .* \(first\)"
        with pytest.raises(OutputError, match=named), lock(path, "the folder", "second"):
            raise AssertionError("two hold it")
        assert time.monotonic() - start < 5
        holder.send_signal(signal.SIGINT)
        holder.wait(20)
    assert not path.exists(), "a holder that ends takes its lock with it"


@pytest.mark.parametrize("fork", [(), ("fork",)])
def test_the_lock_of_a_killed_process_is_taken_over_even_from_its_orphans(tmp_path, fork):
    path = tmp_path / "lock"
    with interruptible("-c", HOLD, path, *fork) as holder:
        assert holder.stdout.readline() == "held\n"
        holder.kill()
        holder.wait()
        with lock(path, "the folder", "second") as dead:
            assert (dead.pid, dead.command) == (holder.pid, "first")
    assert not path.exists()
    with lock(path, "the folder", "third") as dead:
        assert dead is None


def test_the_same_process_cannot_hold_it_twice(tmp_path):
    with lock(tmp_path / "lock", "the folder", "first"):
        with (
            pytest.raises(OutputError, match=f"process {os.getpid()}"),
            lock(tmp_path / "lock", "the folder", "second"),
        ):
            pass
        with pytest.raises(OutputError, match="in use"), lock(tmp_path / "lock", "the folder", "third"):
            pass  # a refusal has not let go of it


def test_a_holder_on_another_machine_is_believed_while_its_heart_beats(tmp_path, impatient, monkeypatch):
    path = tmp_path / "lock"
    of_another_machine(path)
    beat = "import os, sys, time\nwhile True: os.utime(sys.argv[1]); time.sleep(0.05)"
    with subprocess.Popen([sys.executable, "-c", beat, path]) as heart:
        time.sleep(0.3)
        try:
            with pytest.raises(OutputError, match="process 1 on elsewhere"), lock(path, "the folder", "second"):
                pass
        finally:
            heart.kill()
    with lock(path, "the folder", "second") as dead:
        assert dead.host == "elsewhere"


def test_whose_lock_is_watched_is_said_before_it_is(tmp_path, impatient, monkeypatch, capsys):
    path, said = tmp_path / "lock", []
    of_another_machine(path)
    monkeypatch.setattr(module.time, "sleep", lambda _: said.append(capsys.readouterr().err))
    with lock(path, "the folder", "second"):
        pass
    assert "the folder: locked by process 1 on elsewhere" in said[0]


def test_a_lock_from_before_this_machine_started_anew_is_not_watched(tmp_path, monkeypatch):
    monkeypatch.setattr(module.time, "sleep", lambda _: pytest.fail("waits"))
    path = tmp_path / "lock"
    path.write_text(json.dumps(asdict(Holder(socket.gethostname(), "another boot", 1, "2026", "run"))))
    with lock(path, "the folder", "second") as dead:
        assert dead.boot == "another boot"


def test_several_share_a_lock_that_nobody_has_alone_until_the_last_is_gone(tmp_path):
    path = tmp_path / "new" / "lock"
    with interruptible("-c", SHARE, path) as one, interruptible("-c", SHARE, path) as other:
        assert (one.stdout.readline(), other.stdout.readline()) == ("held\n", "held\n")
        for left in (one, other):
            named = pytest.raises(OutputError, match=f"in use by process ({one.pid}|{other.pid}) on")
            with named, lock(path, "the folder", "alone"):
                pass
            left.kill()
            left.wait()
    with lock(path, "the folder", "alone") as dead:
        assert dead.command == "first"
        with pytest.raises(OutputError, match=f"in use by process {os.getpid()}"), shared(path, "the folder", "late"):
            pass
    assert not list(path.parent.iterdir())


@pytest.mark.parametrize(
    "put", [Path.mkdir, os.mkfifo, lambda path: path.symlink_to("nowhere")], ids=["folder", "pipe", "link"]
)
def test_what_is_no_lock_file_is_said_to_be_in_its_place(tmp_path, put):
    put(tmp_path / "lock")
    with pytest.raises(OutputError, match="expected a lock file there.*Delete it"), lock(tmp_path / "lock", "x", "run"):
        pass


def test_a_disk_that_is_full_is_said_and_left_without_an_empty_lock(tmp_path):
    code = HOLD.replace("import os", "import resource, os").replace(
        "with lock", "resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))\nwith lock"
    )
    with interruptible("-c", code, tmp_path / "lock") as full:
        assert "Free some space" in full.communicate(timeout=60)[1]
    assert not list(tmp_path.iterdir())


def test_a_holder_that_lets_go_while_it_is_watched_is_no_obstacle(tmp_path, impatient, monkeypatch):
    path = tmp_path / "lock"
    of_another_machine(path)
    monkeypatch.setattr(module.time, "sleep", lambda _: path.unlink(missing_ok=True))
    with lock(path, "the folder", "second") as dead:
        assert dead is None


def test_where_the_file_system_has_no_locks_the_heartbeat_decides(tmp_path, impatient, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    monkeypatch.setattr(module, "SECONDS_BETWEEN_BEATS", 0.05)
    path = tmp_path / "lock"
    refused = pytest.raises(OutputError, match="in use")
    with lock(path, "the folder", "first"), refused, lock(path, "the folder", "second"):
        pass
    with lock(path, "the folder", "third") as dead:
        assert dead is None


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b'{"pid": 3}', b"\xff" * 5000])
def test_a_damaged_lock_file_that_nobody_holds_is_free(tmp_path, content):
    (tmp_path / "lock").write_bytes(content)
    with lock(tmp_path / "lock", "the folder", "first") as dead:
        assert dead is None


def test_a_folder_that_cannot_be_written_is_a_clear_error():
    with pytest.raises(OutputError, match="/proc/lock: cannot write it"), lock(Path("/proc/lock"), "/proc", "run"):
        pass


def test_two_commands_in_one_run_folder(tmp_path, command):
    """The second is refused at once, naming the first; nothing of the first is touched."""
    out = tmp_path / "out"
    quick = ("--glyph-classes", 12, "--glyph-size", 24, "--glyph-train", 30, "--glyph-val", 10, "--device", "cpu")
    path = out / "lock"
    with interruptible("-c", HOLD, path) as holder:
        assert holder.stdout.readline() == "held\n"
        before = path.read_bytes()
        for arguments in (("run", *quick), ("confuse",)):
            code, _, stderr = command(*arguments, "--out", out)
            assert (code, f"in use by process {holder.pid}" in stderr) == (1, True), stderr
        assert [one.name for one in out.iterdir()] == ["lock"]
        assert path.read_bytes() == before
        holder.kill()
    code, _, stderr = command("validate", *quick, "--out", out)
    assert code == 0, stderr
    assert f"left by process {holder.pid}" in stderr
    assert not path.exists()


def test_a_training_keeps_its_betons_beside_another_training(tmp_path, command):
    """`run`, `export` and `sample` are refused while it lasts; a second training and a report are not."""
    out = tmp_path / "out"
    code, _, stderr = command("run", *DRAWN, "--device", "cpu", "--k", 4, *TRAIN, "--out", out)
    assert code == 0, stderr
    before = (out / "train.beton").read_bytes()
    with interruptible("-c", SHARE, out / "lock") as training:
        assert training.stdout.readline() == "held\n"
        for other in (("run", *DRAWN, "--device", "cpu", "--k", 5, *TRAIN), ("export",), ("sample",)):
            code, _, stderr = command(*other, "--out", out)
            assert (code, f"in use by process {training.pid}" in stderr) == (1, True), stderr
        assert (out / "train.beton").read_bytes() == before
        for other in (("train", "--device", "cpu", "--seed", 1, *TRAIN), ("report",)):
            code, _, stderr = command(*other, "--out", out)
            assert code == 0, stderr
    with interruptible("-c", HOLD, out / "lock") as alone:
        assert alone.stdout.readline() == "held\n"
        code, _, stderr = command("train", "--device", "cpu", "--seed", 2, *TRAIN, "--out", out)
        assert (code, f"in use by process {alone.pid}" in stderr) == (1, True), stderr
    with interruptible("-c", HOLD, tmp_path / "new.beton.lock") as alone:
        assert alone.stdout.readline() == "held\n"
        with pytest.raises(OutputError, match=f"new.beton is in use by process {alone.pid}"):
            cut_beton(out / "val.beton", tmp_path / "new.beton", np.arange(2))
        with pytest.raises(OutputError, match=f"new.beton is in use by process {alone.pid}"):
            append_beton(tmp_path / "new.beton", [out / "val.beton"])
    assert not (tmp_path / "new.beton").exists()


def test_a_new_folder_is_held_from_the_first_command_on(tmp_path, command, monkeypatch):
    seen = []
    monkeypatch.setattr(running, "confuse", lambda settings: seen.extend(settings.out.iterdir()))
    _do("confuse", COMMANDS["confuse"], ConfuseCommand(out=tmp_path / "new"))
    assert seen == [tmp_path / "new" / "lock"]
    code, _, stderr = command("select", "--out", tmp_path / "wrong")
    assert (code, (tmp_path / "wrong").exists()) == (1, False), stderr


def test_down_sampling_is_refused_before_it_makes_a_part_but_for_another_share(tmp_path, command):
    arguments = ("downsample", *DRAWN, "--side", 8, "--out", tmp_path)
    code, _, stderr = command(*arguments, "--share", "0/2")
    assert code == 0, stderr
    (folder,) = tmp_path.iterdir()
    with interruptible("-c", SHARE, folder / "lock") as share:
        assert share.stdout.readline() == "held\n"
        shutil.rmtree(folder / "parts")
        code, _, stderr = command(*arguments)
        assert (code, f"in use by process {share.pid}" in stderr) == (1, True), stderr
        assert not (folder / "parts").exists()
        code, _, stderr = command(*arguments, "--share", "1/2")
        assert code == 0, stderr
    code, _, stderr = command(*arguments)
    assert code == 0, stderr


def test_glyphs_that_another_process_draws_are_waited_for_and_not_drawn_again(tmp_path, command):
    arguments = ("--classes", 12, "--size", 24, "--train", 2, "--val", 2, "--out", tmp_path / "glyphs")
    drawer = ("-m", "rescale_fast.datasets.glyphs", *arguments)
    descriptor = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    with interruptible(*drawer) as one, interruptible(*drawer) as other:
        with pytest.raises(subprocess.TimeoutExpired):
            one.wait(3)
        assert not list(tmp_path.iterdir()), "it waits before it draws"
        os.close(descriptor)
        assert (one.wait(60), other.wait(60)) == (0, 0)
