"""Worker processes end with the program that started them, even if it is killed."""

import ast
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path

import pytest

import rescale_fast
from rescale_fast.datasets.glyphs import GlyphSettings, open_glyphs
from rescale_fast.errors import SettingError
from rescale_fast.workers import LONGEST_SOCKET, _check_room_for_sockets
from tests.processes import left_after, of_session, session

VALIDATING = """
import sys, torch
from rescale_fast.networks.types import EvalTransform
from rescale_fast.predictions._loader_torchvision import torchvision_batches
torch.set_num_threads(1)
paths = [sys.argv[1]] * 1_000_000
for _ in torchvision_batches(paths, EvalTransform(resize=32, crop=32), 1, 1, torch.device("cpu")):
    print("ready", flush=True)
"""
DRAWING = ("-m", "rescale_fast.datasets.glyphs", "--classes", "1000", "--train", "200", "--size", "64", "--out")


def wait_for_a_drawing(folder):
    while not any(folder.rglob("*.jpg")):
        time.sleep(0.05)


def test_loading_processes_end_with_a_killed_program(small_glyphs):
    image = small_glyphs.root / small_glyphs.splits["val"].paths[0]
    with session("-c", VALIDATING, image) as process:
        assert process.stdout.readline() == "ready\n"
        assert len(of_session(process)) >= 3  # itself, one that loads, and the server that forked it
        process.kill()
        process.communicate(timeout=20)  # ends when nobody holds its stdout open any more
        assert left_after(process, seconds=10) == {}


def test_drawing_processes_end_with_a_killed_program_and_the_next_one_cleans_up(tmp_path):
    with session(*DRAWING, tmp_path / "g") as process:
        wait_for_a_drawing(tmp_path)
        assert len(of_session(process)) >= 3
        process.kill()
        process.communicate(timeout=20)
        assert left_after(process, seconds=10) == {}
    (left,) = tmp_path.iterdir()
    assert left.name.endswith(".tmp")
    open_glyphs(GlyphSettings(2, 16, 0, 1), tmp_path / "g")
    assert [path.name for path in tmp_path.iterdir()] == ["g"]


def test_a_script_that_starts_its_work_again_in_its_workers_is_told_to_guard_it(tmp_path):
    script = tmp_path / "plain.py"
    script.write_text(
        "import rescale_fast as rf\n"
        "rf.open_dataset('glyphs', glyph_classes=8, glyph_size=16, glyph_train=2, glyph_val=1)\n"
    )
    environment = {
        **os.environ,
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "PYTHONPATH": str(Path(rescale_fast.__file__).parents[1]),
    }
    done = subprocess.run(
        [sys.executable, script],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    assert 'under `if __name__ == "__main__":`' in done.stderr


def test_a_drawing_process_that_is_killed_is_one_message(tmp_path):
    with session(*DRAWING, tmp_path / "g") as process:
        wait_for_a_drawing(tmp_path)
        found = of_session(process)
        servers = [one for one, parent in found.items() if parent == process.pid]
        os.kill(next(one for one, parent in found.items() if parent in servers), signal.SIGKILL)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "a process that draws was killed" in errors
    assert "Traceback" not in errors
    assert list(tmp_path.iterdir()) == []


def test_wherever_processes_are_started_they_end_with_their_parent():
    starters = {"DataLoader": "worker_init_fn", "ProcessPoolExecutor": "initializer"}
    found = 0
    for path in Path(rescale_fast.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name = ast.unparse(node.func).rpartition(".")[2] if isinstance(node, ast.Call) else ""
            assert name not in ("Popen", "Process", "Pool", "fork"), f"{path} starts processes in another way"
            if name in starters:
                found += 1
                given = {word.arg: ast.unparse(word.value) for word in node.keywords}
                assert given.get(starters[name]) == "start_worker", f"{path}: {name}"
    assert found >= 3


DEAF = """
from multiprocessing import forkserver
from pathlib import Path
from rescale_fast.workers import worker_context
worker_context()
status = Path(f"/proc/{forkserver._forkserver._forkserver_pid}/status").read_text()
print(int(next(line.split()[1] for line in status.splitlines() if line.startswith("SigBlk")), 16) >> 1 & 1)
"""


def test_the_server_that_starts_workers_does_not_hear_ctrl_c_while_it_begins():
    done = subprocess.run([sys.executable, "-c", DEAF], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "1"


def test_a_folder_for_temporary_files_without_room_for_sockets_is_refused(tmp_path, monkeypatch):
    longest = LONGEST_SOCKET - len("/pymp-12345678/listener-12345678")
    for length, fits in ((longest, True), (longest + 1, False)):
        folder = f"/tmp/{'x' * (length - 5)}"
        monkeypatch.setattr(tempfile, "tempdir", folder)
        with nullcontext() if fits else pytest.raises(SettingError, match="TMPDIR=/tmp/xxx.*: has too long a name"):
            _check_room_for_sockets()
    for length, fits in ((LONGEST_SOCKET, True), (LONGEST_SOCKET + 1, False)):  # what the kernel says of it
        monkeypatch.chdir(tmp_path)
        with socket.socket(socket.AF_UNIX) as one, nullcontext() if fits else pytest.raises(OSError, match="too long"):
            one.bind("n" * length)
