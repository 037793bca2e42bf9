"""The FFCV loader, run in a process of its own: importing FFCV changes torch's threads."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from rescale_fast.artifact import Origin
from rescale_fast.export.beton import export_beton
from rescale_fast.export.settings import ExportSettings
from rescale_fast.image_subset.types import ImageSubset, SubsetImages

SCRIPT = """
import sys, threading, warnings
warnings.simplefilter("ignore")
import torch
torch.set_num_threads(2)
from rescale_fast.errors import RescaleError
from rescale_fast.loaders import beton_loader

path = sys.argv[1]
val = beton_loader(path, split="val", batch_size=8, image_size=16, augment="shift", num_workers=1)
for epoch in range(2):
    batches = list((images.clone(), labels.clone(), indices.clone()) for images, labels, indices in val)
    images, labels, indices = (torch.cat(column) for column in zip(*batches))
    assert indices.tolist() == list(range(21)), indices
    assert images.shape == (21, 3, 16, 16) and images.dtype == torch.uint8
    # each image is one grey level, ten times its row: JPEG keeps that within a level or two
    assert (images.float().mean((1, 2, 3)) - 10 * indices).abs().max() < 3
    assert labels.tolist() == [i % 3 for i in range(21)]
assert torch.get_num_threads() == 2

try:
    beton_loader(path, split="train", batch_size=22, image_size=16, augment="shift")
except RescaleError as error:
    assert "fewer than one batch of 22" in str(error)
else:
    raise AssertionError("a batch larger than the set was accepted")

threading.excepthook = lambda _: None
loader = val._loader
loader.code = ([(lambda **_: 1 / 0, ())], ())
try:
    list(val)
except RescaleError as error:
    assert "loading thread died" in str(error)
else:
    raise AssertionError("a dead loader went unnoticed")
print("all is well")
"""


@pytest.fixture(scope="module")
def greys(tmp_path_factory):
    folder = tmp_path_factory.mktemp("greys")
    names = []
    for i in range(21):
        names.append(f"{i:02d}.png")
        Image.new("RGB", (16, 16), (10 * i,) * 3).save(folder / names[-1])
    labels = np.arange(21) % 3
    images = SubsetImages(("val",) * 21, np.arange(21), tuple(names), labels, labels)
    subset = ImageSubset(Origin({}, {}), ("a", "b", "c"), ("a", "b", "c"), images, images)
    export_beton(folder, subset, "val", folder / "val.beton", ExportSettings(), Origin({}, {}))
    return folder / "val.beton"


def test_val_gives_each_image_once_threads_are_kept_and_a_dead_loader_raises(greys):
    done = subprocess.run([sys.executable, "-c", SCRIPT, str(greys)], capture_output=True, text=True, timeout=200)
    assert done.stdout.strip() == "all is well", done.stderr
