"""The examples: a training loop changes by few lines to read betons, and counts every image once."""

import difflib
import subprocess
import sys

import numpy as np
import pytest

from rescale_fast.export.beton import export_beton
from rescale_fast.export.settings import ExportSettings
from tests.conftest import ROOT
from tests.photos import NOWHERE, encoded, photo, subset_of, write_files


def lines(name):
    """The program without its docstring."""
    return (ROOT / "examples" / f"{name}.py").read_text().split('"""')[2].splitlines()


@pytest.mark.parametrize("kind", ["plain", "distributed"])
def test_few_lines_change_and_most_go(kind):
    changes = list(difflib.unified_diff(lines(f"{kind}_images"), lines(f"{kind}_beton"), n=0, lineterm=""))[2:]
    added = [line for line in changes if line.startswith("+") and line.strip("+ ")]
    removed = [line for line in changes if line.startswith("-") and line.strip("- ")]
    assert len(added) <= 8
    assert len(added) < len(removed)


@pytest.fixture(scope="module")
def betons(tmp_path_factory):
    """21 train and 11 val images of mixed sizes and three classes."""
    rng, folder = np.random.default_rng(6), tmp_path_factory.mktemp("betons")
    sizes = rng.integers(40, 120, (21, 2)).tolist()
    names = write_files(folder / "set", {f"{i}.jpg": encoded(photo(rng, *size)) for i, size in enumerate(sizes)})
    for split, count in (("train", 21), ("val", 11)):
        subset = subset_of(names[:count])
        export_beton(folder / "set", subset, split, folder / f"{split}.beton", ExportSettings(), NOWHERE)
    return folder


@pytest.mark.slow
def test_a_plain_loop_runs_on_betons(betons):
    options = ["--classes", 3, "--size", 32, "--batch-size", 4, "--epochs", 2]
    arguments = [sys.executable, ROOT / "examples" / "plain_beton.py", betons, *options]
    done = subprocess.run(list(map(str, arguments)), cwd=ROOT, capture_output=True, text=True, timeout=200, check=False)
    assert [line.split(":")[0] for line in done.stdout.splitlines()] == ["epoch 1", "epoch 2"], done.stderr
    assert all(" of 11 right" in line for line in done.stdout.splitlines())


@pytest.mark.slow
def test_a_reference_script_runs_on_two_ranks_and_counts_each_image_once(betons):
    options = ["--data-path", betons, "--classes", 3, "--size", 32, "--batch-size", 4, "--epochs", 1]
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", 2, "--standalone"]
    arguments = [*launcher, ROOT / "examples" / "distributed_beton.py", *options]
    done = subprocess.run(list(map(str, arguments)), cwd=ROOT, capture_output=True, text=True, timeout=200, check=False)
    assert "of 11 right" in done.stdout, done.stderr
