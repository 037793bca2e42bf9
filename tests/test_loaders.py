"""The FFCV loader, run in a process of its own: importing FFCV changes torch's threads."""

import subprocess
import sys
import textwrap

import numpy as np
import pytest
from PIL import Image

from rescale_fast import loaders
from rescale_fast.artifact import Origin
from rescale_fast.errors import ArtifactError, SettingError
from rescale_fast.export.beton import export_beton
from rescale_fast.export.settings import ExportSettings
from rescale_fast.image_subset.types import ImageSubset, SubsetImages
from tests.photos import subset_of

SCRIPT = """
import os, sys, threading, warnings
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

shares = []
for rank in range(4):  # 21 images on 4 ranks: 6, 5, 5, 5
    share = beton_loader(path, split="val", batch_size=4, image_size=16, augment="shift", rank=rank, num_ranks=4)
    rows = torch.cat([indices.clone() for _, _, indices in share]).tolist()
    assert len(rows) == share.num_images
    shares += rows
assert sorted(shares) == list(range(21)), shares
none = beton_loader(path, split="val", batch_size=4, image_size=16, augment="shift", rank=21, num_ranks=22)
assert list(none) == [] and none.num_images == 0

train = beton_loader(path, split="train", batch_size=4, image_size=16, rank=1, num_ranks=2, num_workers=99)
assert train.num_workers == len(os.sched_getaffinity(0))
epochs = [torch.cat([indices.clone() for _, _, indices in train]).tolist() for _ in range(2)]
assert len(train) == 2 and [len(set(rows)) for rows in epochs] == [8, 8] and epochs[0] != epochs[1]

# the same images whatever the threads and ranks and however the epoch was reached, and through any loader
def epoch(number, size=20, **options):
    loader = beton_loader(sys.argv[2], split="train", seed=5, **{"augment": "shift-flip", "batch_size": 4, **options})
    loader.epoch, loader.image_size = number, size
    batches = [tuple(part.clone() for part in batch) for batch in loader]
    images, labels, indices = (torch.cat(column) for column in zip(*batches))
    order = indices.argsort()
    return images[order].float(), labels[order], indices[order]

one, two = epoch(3, num_workers=1), epoch(3, num_workers=2)
assert all(map(torch.equal, one, two))
assert one[0].shape == (20, 3, 20, 20)
again = beton_loader(sys.argv[2], split="train", batch_size=4, image_size=20, augment="shift-flip", seed=5)
for _ in range(3):
    list(again)
assert torch.equal(torch.cat([images.clone() for images, _, _ in again]).float().mean(), one[0].mean())
half = epoch(3, rank=1, num_ranks=2, batch_size=5)
rows = {int(row): image for image, row in zip(one[0], one[2])}
assert len(half[2]) == 10 and all(torch.equal(rows[int(row)], image) for image, row in zip(half[0], half[2]))
for options, ffcv in (({}, one), ({"augment": "crop-flip"}, epoch(3, augment="crop-flip"))):
    for kind in ("dali", "torchvision"):
        other = epoch(3, loader=kind, num_workers=1, **options)
        assert torch.equal(other[1], ffcv[1]) and torch.equal(other[2], ffcv[2])
        difference = (other[0] - ffcv[0]).abs()
        assert difference.mean() < 2, (kind, options, difference.mean())

threading.excepthook = lambda _: None
val._loader.code = ([(lambda **_: 1 / 0, ())], ())
try:
    list(val)
except RescaleError as error:
    assert "loading thread died" in str(error)
else:
    raise AssertionError("a dead loader went unnoticed")
import gc
del val, train, again, share, none
gc.collect()
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


def test_val_gives_each_image_once_threads_are_kept_and_a_dead_loader_raises(greys, tmp_path):
    rng, names = np.random.default_rng(0), [f"{i}.jpg" for i in range(20)]
    for name in names:  # smooth, as the decoders are to be compared, not their ways of resizing noise
        small = Image.fromarray(rng.integers(0, 256, (3, 4, 3), dtype=np.uint8))
        small.resize(tuple(rng.integers(40, 90, 2).tolist()), Image.Resampling.BICUBIC).save(
            tmp_path / name, quality=95
        )
    export_beton(tmp_path, subset_of(names), "train", tmp_path / "smooth.beton", ExportSettings(), Origin({}, {}))
    (tmp_path / "script.py").write_text("if __name__ == '__main__':\n" + textwrap.indent(SCRIPT, "    "))
    program = [sys.executable, tmp_path / "script.py", greys, tmp_path / "smooth.beton"]
    done = subprocess.run(list(map(str, program)), capture_output=True, text=True, timeout=400)
    assert done.stdout.strip() == "all is well", done.stderr
    assert "Exception ignored" not in done.stderr, "deleted loaders leave no error of numba's behind"


@pytest.mark.parametrize("num_ranks", [1, 2, 3, 7, 20, 30])
def test_the_shares_of_ranks_cover_val_once_and_are_equally_long_in_train(num_ranks):
    shares = [loaders.Share(20, rank, num_ranks, shuffled=False, seed=0) for rank in range(num_ranks)]
    assert sorted(np.concatenate([share.sample_order(3) for share in shares])) == list(range(20))
    shares = [loaders.Share(20, rank, num_ranks, shuffled=True, seed=0) for rank in range(num_ranks)]
    orders = [share.sample_order(3) for share in shares]
    assert {len(order) for order in orders} == {20 // num_ranks}
    assert len(set(np.concatenate(orders))) == 20 // num_ranks * num_ranks
    assert num_ranks == 30 or orders[0].tolist() != shares[0].sample_order(4).tolist()


def test_what_cannot_work_is_refused_before_ffcv_is_loaded(greys, tmp_path, monkeypatch):
    whole = greys.read_bytes()
    for name, content in {"cut": whole[:-7], "crashed": whole[:16] + bytes(8) + whole[24:]}.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ArtifactError, match=name):
            loaders.beton_loader(tmp_path / name, split="val", batch_size=4, image_size=16)
    (tmp_path / "fields").write_bytes(whole.replace(b"index\0", b"other\0", 1))
    with pytest.raises(ArtifactError, match="has the fields image, label, other; expected"):
        loaders.beton_loader(tmp_path / "fields", split="val", batch_size=4, image_size=16)
    with pytest.raises(SettingError, match="rank is 2, expected 0 to 1"):
        loaders.beton_loader(greys, split="val", batch_size=4, image_size=16, rank=2, num_ranks=2)
    monkeypatch.setattr(loaders, "available_bytes", lambda: 20_000)
    with pytest.raises(SettingError, match=r"up to 16 x 16 px FFCV would set aside 0.0 GB; .* --max-side"):
        loaders.beton_loader(greys, split="val", batch_size=8, image_size=16)
