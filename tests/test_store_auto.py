"""`--store auto`: large images are decoded at the part of their size that the training needs, from their own bytes."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from rescale_fast.artifact import Origin
from rescale_fast.beton.check import find_bad_images
from rescale_fast.beton.file import IMAGE, read_beton
from rescale_fast.beton.types import BetonInfo
from rescale_fast.export.beton import export_beton
from rescale_fast.export.scaling import fewest_eighths, needed_side, scaled
from rescale_fast.export.settings import ExportSettings
from rescale_fast.loaders.augment import place_centrally
from rescale_fast.machine import MachineSettings
from rescale_fast.run import exporting
from rescale_fast.run.commands import main
from rescale_fast.run.folder import RunFolder
from rescale_fast.run.settings import RunSettings, TrainSettings
from rescale_fast.run.training import How, train_one
from tests.photos import NOWHERE, encoded, photo, subset_of, write_files

SIDES = st.integers(1, 65_535)


def images(*sizes):
    made = np.zeros(len(sizes), IMAGE)
    made["width"], made["height"] = np.array(sizes).T
    return made


@pytest.mark.parametrize(
    ("size", "train_size", "eighths"),
    [
        ((500, 375), 224, 8),  # half would have 188 of the 256 px that are needed
        ((500, 375), 128, 4),  # 188 of 147
        ((500, 375), 64, 2),  # 94 of 74
        ((500, 375), 32, 1),  # 47 of 37
        ((683, 512), 224, 4),  # exactly 256
        ((683, 510), 224, 8),  # 255
        ((683, 511), 224, 4),  # half of it, rounded up, is 256
        ((3000, 300), 224, 8),  # the shorter side decides
        ((64, 64), 64, 8),
        ((64, 64), 8, 2),  # 16 of 10; an eighth would have 8
    ],
)
def test_the_part_of_their_size_that_images_are_decoded_at(size, train_size, eighths):
    assert fewest_eighths(images(size), needed_side(train_size)).tolist() == [eighths]


@given(SIDES, SIDES, st.integers(8, 4096), st.integers(8, 4096))
def test_no_image_gets_smaller_than_its_training_needs_and_a_larger_training_never_gets_less(width, height, one, other):
    small, large = (
        int(fewest_eighths(images((width, height)), needed_side(one_of))[0]) for one_of in sorted((one, other))
    )
    assert small <= large
    shorter = scaled(np.array([min(width, height)]), small)
    assert small == 8 or shorter >= needed_side(min(one, other))
    box = place_centrally(np.array([0]), np.array([[scaled(height, small), scaled(width, small)]]), "crop-flip").boxes[
        0
    ]
    assert small == 8 or box[2] >= min(one, other), "the centre that is tested on would have to grow"


def test_files_keep_their_bytes_and_are_decoded_as_pillow_decodes_parts_of_them(rng, tmp_path):
    sizes = {"large.jpg": (601, 403), "middle.jpg": (301, 150), "small.jpg": (90, 80)}
    files = {name: encoded(photo(rng, *size)) for name, size in sizes.items()}
    files["a.png"] = encoded(photo(rng, 120, 119), "PNG")
    names, path = write_files(tmp_path / "set", files), tmp_path / "a.beton"
    subset = subset_of(names)
    info = export_beton(tmp_path / "set", subset, "val", path, ExportSettings(), NOWHERE, least_side=needed_side(64))
    assert dict(info.stored) == {
        "original bytes": 1,
        "original bytes, read at 4/8 of their size": 1,
        "original bytes, read at 2/8 of their size": 1,
        "raw pixels: a small file, not a JPEG": 1,
    }
    assert info.read_smaller == 2
    assert (info.max_width, info.max_height) == (151, 119)
    beton, content = read_beton(path), path.read_bytes()
    for row, record in zip(beton.integers("index"), beton.records["f0"], strict=True):
        at, size = int(beton.pointers[row, 0]), int(beton.sizes[row, 0])
        if names[row].endswith(".jpg"):
            assert content[at : at + size] == files[names[row]]
            whole = Image.open(io.BytesIO(files[names[row]]))
            whole.draft("RGB", (int(record["width"]) - 1, int(record["height"]) - 1))  # which rounds down
            assert whole.size == (record["width"], record["height"])
    assert find_bad_images(path) == ()


@pytest.mark.parametrize(
    ("settings", "needed"),
    [
        ({}, 256),
        ({"train": {"train_size": 64}}, 74),
        ({"train": {"train_size": 64}, "export": {"store": "passthrough"}}, None),
        ({"train": {"train_size": 64}, "export": {"scale": "4/8"}}, None),
        ({"export": {"store": "resize"}}, None),
        ({"until": "export"}, None),
        ({"train": {"train_size": 64}, "select": {"published": "ReIN30"}}, None),
    ],
)
def test_a_run_has_images_decoded_smaller_only_where_a_training_is_known_and_no_set_of_others(settings, needed):
    kinds = {"train": TrainSettings, "export": ExportSettings, "select": RunSettings().select.__class__}
    made = {name: kinds[name](**value) if name in kinds else value for name, value in settings.items()}
    assert exporting.needed_for_training(RunSettings(**made)) == needed


def test_an_export_tells_why_is_kept_and_a_larger_training_is_told_of_it(rng, tmp_path, capsys, monkeypatch):
    root, out = tmp_path / "set", tmp_path / "out"
    for split in ("train", "val"):
        for name in "ab":
            write_files(root / split / name, {f"{i}.jpg": encoded(photo(rng, 160, 150)) for i in range(2)})
    assert main(["run", f"--root={root}", "--dataset=folder", f"--out={out}", "--classes=all", "--until=sample"]) == 0
    folder = RunFolder(out)
    for _ in range(2):
        capsys.readouterr()
        exporting.export(folder, folder.open_dataset(), ExportSettings(), MachineSettings(num_threads=1), 74)
    told = capsys.readouterr()
    assert "8 images are decoded at a part of their size which leaves 74 px" in told.out + told.err
    assert "kept" in told.out + told.err or "reused" in told.out + told.err
    assert BetonInfo.load(out / "train.json").origin.config["least_side"] == 74
    monkeypatch.setattr(RunFolder, "reuse_or_make", lambda *_, **__: None)  # which would train
    for size, is_told in ((64, False), (72, True)):
        train_one(folder, TrainSettings(train_size=size, train_network="small"), How(MachineSettings()))
        told = capsys.readouterr()
        assert ("at 72 px a training gains from 83" in told.out + told.err) == is_told
    monkeypatch.undo()
    assert main(["export", f"--out={out}", "--num-threads=1"]) == 0
    assert BetonInfo.load(out / "train.json").max_width == 160, "without a training they are whole"


def test_auto_is_passthrough_in_what_a_beton_says_it_was_made_from():
    assert ExportSettings().resolved() == ExportSettings(store="passthrough")
    assert Origin({}, {"store": ExportSettings(store="raw").resolved().store}).config["store"] == "raw"
