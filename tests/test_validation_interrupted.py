"""Validation that is killed at random moments, and shared between ranks, one of which is killed: the same bytes."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from rescale_fast.networks.build import build_network
from tests.conftest import ROOT

KILLED_AGAIN_AND_AGAIN = """
import os, random, signal, sys, time
from contextlib import contextmanager
from pathlib import Path
import pyarrow.parquet, torch, torchvision
from rescale_fast.artifact import Origin
from rescale_fast.datasets.folder import open_folder
from rescale_fast.machine import MachineSettings
from rescale_fast.networks.build import build_network
from rescale_fast.networks.types import EvalTransform
from rescale_fast.predictions import _loader_dali, chunks
from rescale_fast.predictions.settings import ValidateSettings
from rescale_fast.predictions.validate import validate

root, killed, whole = map(Path, sys.argv[1:])
chunks.CHUNK_SIZE = 2
dataset = open_folder(root)

@contextmanager
def slowly(what, *, total, unit="images"):
    yield lambda count, note="": time.sleep(0.02 * (count > 0))

def work(folder, track):
    torch.manual_seed(1)
    network = build_network("small", dataset.num_classes).eval()
    validate(dataset, network, EvalTransform(24, 24), ValidateSettings(batch_size=2), folder,
             Origin({"a": "b"}, {}), machine=MachineSettings("cpu", 2), track=track)

def parts(): return set(killed.glob("part-*.parquet"))

randomly = random.Random(5)
kills = 0
while True:
    before = parts()
    child = os.fork()  # everything is imported, nothing has been used: quick, and safe
    if child == 0:
        work(killed, slowly)
        os._exit(0)
    while kills < 20 and parts() <= before:
        time.sleep(0.001)
    if kills < 20:
        time.sleep(randomly.uniform(0, 0.06))
        os.kill(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    if not os.WIFSIGNALED(status):
        break
    kills += 1
print(kills, os.waitstatus_to_exitcode(status))
if os.fork() == 0:
    work(whole, lambda what, *, total, unit="images": slowly(what, total=total))
    os._exit(0)
sys.exit(os.waitstatus_to_exitcode(os.wait()[1]))
"""


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_killed_twenty_times_the_parts_are_the_same_bytes(small_glyphs, tmp_path):
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    arguments = [sys.executable, "-c", KILLED_AGAIN_AND_AGAIN, small_glyphs.root, killed, whole]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["20", "0"]
    assert len(contents(whole)) == 72
    assert contents(killed) == contents(whole)


@pytest.fixture(scope="module")
def six_thousand(small_glyphs, tmp_path_factory):
    """A folder of 6,048 images (links to 144 drawn ones), six chunks, and a checkpoint for its 12 classes."""
    root = tmp_path_factory.mktemp("shared")
    for path in sorted((small_glyphs.root / "val").glob("*/*")):
        folder = root / "set" / "val" / path.parent.name
        folder.mkdir(parents=True, exist_ok=True)
        for copy in range(42):
            os.link(path, folder / f"{path.stem}-{copy:02d}.jpg")
    torch.manual_seed(1)
    torch.save(build_network("small", 12).state_dict(), root / "small.pt")
    return root


def validate_command(root, out):
    return ["-m", "rescale_fast", "validate", "--dataset", "folder", "--root", root / "set", "--network", "small",
            "--weights", root / "small.pt", "--device", "cpu", "--batch-size", "16", "--out", out]  # fmt: skip


def torchrun(*arguments, **options):
    return subprocess.Popen(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "--max-restarts=1",
         "--monitor-interval=0.2", *map(str, arguments)],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True, **options,
    )  # fmt: skip


def ranks_of(launcher):
    """Process ids of the launcher's children, by rank."""
    found = {}
    for child in Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children").read_text().split():
        with contextlib.suppress(OSError):
            environment = Path(f"/proc/{child}/environ").read_bytes().split(b"\0")
            found |= {int(e[5:]): int(child) for e in environment if e.startswith(b"RANK=")}
    return found


@pytest.mark.slow
def test_ranks_share_the_chunks_and_take_over_those_of_one_that_is_killed(six_thousand, command, tmp_path):
    code, _, stderr = command(*validate_command(six_thousand, tmp_path / "alone")[2:])
    assert code == 0, stderr
    with torchrun(*validate_command(six_thousand, tmp_path / "shared"), env=command.environment) as launcher:
        deadline = time.monotonic() + 120
        while not list((tmp_path / "shared" / "predictions").glob("part-*")) and time.monotonic() < deadline:
            time.sleep(0.005)
        os.kill(ranks_of(launcher)[1], signal.SIGKILL)
        _, stderr = launcher.communicate(timeout=240)
    assert launcher.returncode == 0, stderr
    assert contents(tmp_path / "shared" / "predictions") == contents(tmp_path / "alone" / "predictions")
    assert stderr.count("6,048 images, top-1") == 1, "told once, not by each rank"
    assert "Traceback" not in stderr
    assert "exitcode: -9" in stderr
