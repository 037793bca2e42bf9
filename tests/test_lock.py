"""One writer at a time: who holds a folder is named, and a dead holder's lock is taken over."""

import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import pytest

from rescale_fast import lock as module
from rescale_fast.errors import OutputError
from rescale_fast.lock import Holder, lock
from tests.conftest import interruptible

HOLD = """
import os, sys, time
from pathlib import Path
from rescale_fast.lock import lock
with lock(Path(sys.argv[1]), "the folder", "first"):
    if sys.argv[2:] == ["fork"] and os.fork() == 0:
        time.sleep(60)
        os._exit(0)
    print("held", flush=True)
    time.sleep(60)
"""


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
