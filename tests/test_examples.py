"""The examples: a training loop changes by few lines to read betons, and counts every image once."""

import difflib
import re
import subprocess
import sys
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from rescale_fast.export.beton import export_beton
from rescale_fast.export.settings import ExportSettings
from rescale_fast.loaders import beton_loader
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


def added_lines():
    """Of each script in reference_scripts.md, what comes in place of its data, as it stands there."""
    text = (ROOT / "examples" / "reference_scripts.md").read_text()
    blocks = [block.split("\n...\n")[1] for block in re.findall("```diff\n(.*?)```", text, re.DOTALL)]
    return ["\n".join(line[5:] for line in block.splitlines() if line.startswith("+    ")) for block in blocks]


@pytest.mark.parametrize(("script", "names"), [(0, "data_loader data_loader_test"), (1, "train_loader val_loader")])
def test_what_reference_scripts_need_is_what_their_new_lines_make(betons, script, names):
    args = SimpleNamespace(data=betons, data_path=betons, batch_size=4, workers=1, distributed=True, rank=1)
    args.world_size, args.train_crop_size, args.val_crop_size = 2, 32, 32
    scope = {"args": args, "device": torch.device("cpu"), "beton_loader": partial(beton_loader, loader="torchvision")}
    exec(added_lines()[script], scope)
    train, val = (scope[name] for name in names.split())
    train.set_epoch(3)
    assert (len(train), len(train.dataset), len(val), len(val.dataset)) == (2, 21, 2, 11)
    assert (val.num_images, int(train.labels.max()) + 1, train.settings.index) == (5, 3, False)


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
