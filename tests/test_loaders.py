"""Loaders of betons: what they give, in a process of its own (see loader_judge.py), and what they refuse."""

import gc
import re
import subprocess
import sys
import weakref

import numpy as np
import pytest
from PIL import Image

from rescale_fast import loaders
from rescale_fast.artifact import Origin
from rescale_fast.beton.edit import cut_beton
from rescale_fast.beton.file import read_beton
from rescale_fast.errors import ArtifactError, SettingError
from rescale_fast.export.beton import export_beton
from rescale_fast.export.settings import ExportSettings
from rescale_fast.image_subset.types import ImageSubset, SubsetImages
from rescale_fast.loaders import checks
from rescale_fast.loaders.base import Share
from tests.conftest import ROOT
from tests.loader_judge import DAMAGED_ROWS
from tests.photos import NOWHERE, encoded, photo, subset_of, write_files


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


def export(folder, files, name):
    names = write_files(folder, files)
    export_beton(folder, subset_of(names), "train", folder / name, ExportSettings(), NOWHERE)
    return folder / name


def smooth_images(folder):
    """The decoders are to be compared; and, with four images of noise that are stored as pixels, ways of resizing."""
    rng, files = np.random.default_rng(0), {}
    for i in range(16):
        small = Image.fromarray(rng.integers(0, 256, (3, 4, 3), dtype=np.uint8))
        whole = small.resize(tuple(rng.integers(40, 90, 2).tolist()), Image.Resampling.BICUBIC)
        files[f"{i}.jpg"] = encoded(whole, quality=95)
    for i in range(16, 20):
        files[f"{i}.png"] = encoded(Image.fromarray(rng.integers(0, 256, (90, 70, 3), dtype=np.uint8)), "PNG")
    return export(folder, files, "smooth.beton")


def damaged_images(folder, count, rows):
    """`rows` is what is wrong with some."""
    rng = np.random.default_rng(1)
    path = export(folder, {f"{i:03d}.jpg": encoded(photo(rng, 60, 50)) for i in range(count)}, "damaged.beton")
    beton, content = read_beton(path), bytearray(path.read_bytes())
    for row, what in rows.items():
        start = int(beton.pointers[row, 0])
        end = start + int(beton.sizes[row, 0])
        if what == "Huffman table":  # 16 counts of codes by length, which add up to more than there can be
            at = content.index(b"\xff\xc4", start, end) + 5
            content[at : at + 16] = b"\xff" * 16
        elif what == "scan header":  # names a component that the frame does not have
            content[content.index(b"\xff\xda", start, end) + 5] = 99
        elif what == "no JPEG at all":
            content[start:end] = b"x" * (end - start)
        else:
            smaller = encoded(photo(rng, 31, 20))
            content[start:end] = smaller.ljust(end - start, b"\0")
    path.write_bytes(content)
    return path


def test_batches_are_the_callers_own_complete_the_same_through_all_and_refusals_name_their_rows(greys, tmp_path):
    damaged = damaged_images(tmp_path / "damaged", 12, DAMAGED_ROWS)
    no_header = damaged_images(tmp_path / "no header", 256, {131: "no JPEG at all"})
    betons = greys, smooth_images(tmp_path / "smooth"), damaged, no_header
    program = [sys.executable, "-m", "tests.loader_judge", *map(str, betons)]
    done = subprocess.run(program, capture_output=True, text=True, timeout=900, cwd=ROOT)
    assert done.stdout.strip().splitlines()[-1:] == ["all is well"], done.stderr
    assert "Exception ignored" not in done.stderr, "deleted loaders leave no error of numba's behind"


def test_resizing_is_that_of_pil(rng):
    """By one level at most: PIL may go along columns first."""
    from rescale_fast.loaders._triangle import resize

    pixels = rng.integers(0, 256, (75, 100, 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    boxes = [(0, 0, 75, 100), (5, 0, 1, 1), (74, 99, 1, 1), (3, 9, 70, 2), (9, 7, 2, 80), (1, 2, 33, 64), (0, 0, 8, 8)]
    for top, left, rows, columns in boxes:
        for size in (1, 8, 33, 130):
            made = np.full((size, size, 3), 7, np.uint8)
            resize(pixels.ravel(), 100, top, left, rows, columns, made)
            cut = image.crop((left, top, left + columns, top + rows))
            expected = np.asarray(cut.resize((size, size), Image.Resampling.BILINEAR))
            assert np.abs(made.astype(int) - expected).max() <= 1, (top, left, rows, columns, size)
            assert (made != expected).mean() < 0.3


def test_a_loader_that_nobody_has_ends_its_processes_at_once(greys):
    gc.disable()  # which would find it some time later, and have it wait five seconds for each process
    try:
        loader = loaders.beton_loader(greys, split="val", batch_size=4, image_size=16, loader="torchvision")
        assert len(list(loader)) == 6
        gone = weakref.ref(loader)
        del loader
        assert gone() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("num_ranks", [1, 2, 3, 7, 20, 30])
def test_the_shares_of_ranks_cover_val_once_and_are_equally_long_in_train(num_ranks):
    for shuffled in (False, True):
        val = [Share(20, rank, num_ranks, shuffled, equal=False, seed=0) for rank in range(num_ranks)]
        assert sorted(np.concatenate([share.sample_order(3) for share in val])) == list(range(20))
        train = [Share(20, rank, num_ranks, shuffled, equal=True, seed=0) for rank in range(num_ranks)]
        orders = [share.sample_order(3) for share in train]
        assert {len(order) for order in orders} == {20 // num_ranks}
        assert len(set(np.concatenate(orders))) == 20 // num_ranks * num_ranks
        assert num_ranks == 30 or shuffled == (orders[0].tolist() != train[0].sample_order(4).tolist())


def test_orders_of_all_seeds_and_epochs_differ():
    seeds = [0, 1, 2, 3, 2**32, 2**32 + 1, 2**63 - 1]
    orders = {
        tuple(Share(100, 0, 1, shuffled=True, equal=True, seed=seed).sample_order(epoch))
        for seed in seeds
        for epoch in range(5)
    }
    assert len(orders) == 5 * len(seeds)


@pytest.mark.parametrize("on_gpu", [False, True])
def test_dali_decodes_whole_images(on_gpu):
    from rescale_fast.loaders import _dali

    pipeline = _dali._pipeline(
        source=iter([]), image_size=16, on_gpu=on_gpu, moves=True, batch_size=2, num_threads=1, device_id=None
    )
    graph = pipeline.serialize()
    assert re.findall(rb"decoders__\w+", graph) == [b"decoders__Image"], "decoding regions ends the process on a GPU"
    assert (b"mixed" in graph) == on_gpu


def test_what_cannot_work_is_refused_before_ffcv_is_loaded(greys, tmp_path, monkeypatch):
    whole = greys.read_bytes()
    for name, content in {"cut": whole[:-7], "crashed": whole[:16] + bytes(8) + whole[24:]}.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ArtifactError, match=name):
            loaders.beton_loader(tmp_path / name, split="val", batch_size=4, image_size=16)
    with pytest.raises(SettingError, match="fewer than one batch of 22"):
        loaders.beton_loader(greys, split="train", batch_size=22, image_size=16, loader="torchvision")
    monkeypatch.setattr(checks, "available_bytes", lambda: 30_000)
    with pytest.raises(SettingError, match=r"batches of 8 images, made 16 px large by \d+ threads, FFCV .* 0.0 GB; "):
        loaders.beton_loader(greys, split="val", batch_size=8, image_size=16)
    monkeypatch.undo()
    with pytest.raises(SettingError, match=r"made 60000 px large by .* FFCV would set aside"):
        loaders.beton_loader(greys, split="val", batch_size=8, image_size=60_000)


def test_the_largest_image_counts_once_for_each_thread_and_not_for_each_of_a_batch(tmp_path, rng):
    files = {"a.jpg": encoded(photo(rng, 400, 300)), "b.jpg": encoded(photo(rng, 20, 500))}
    files["c.png"] = encoded(photo(rng, 145, 145), "PNG")  # kept as raw pixels, which need none
    beton = read_beton(export(tmp_path, files, "a.beton"))
    assert checks.largest_image(beton.records["f0"]) == 400 * 300
    assert checks.largest_image(beton.records["f0"][2:]) == 0
    assert checks.memory_needed(400 * 300, batch_size=7, image_size=10, num_workers=2) == (
        5 * 7 * 10 * 10 * 3 + 2 * (400 * 300 + 10 * 10) * 3
    )


@pytest.mark.parametrize(
    ("argument", "value", "message"),
    [
        ("path", None, "--path None: expected a path"),
        ("split", "test", "--split test: expected one of train, val"),
        ("split", None, "--split None"),
        ("augment", "crop_flip", "--augment crop_flip: expected one of crop-flip"),
        ("loader", "FFCV", "--loader FFCV: expected one of ffcv, dali, torchvision"),
        ("image_size", 0, "--image-size 0: expected a whole number, 1 to 65,535"),
        ("image_size", -3, "--image-size -3"),
        ("image_size", 70_000, "--image-size 70000"),
        ("image_size", (24, 24), "--image-size"),
        ("batch_size", 0, "--batch-size 0: expected a whole number, 1"),
        ("batch_size", -4, "--batch-size -4"),
        ("batch_size", 4.0, "--batch-size 4.0"),
        ("batch_size", True, "--batch-size True"),
        ("num_workers", -1, "--num-workers -1"),
        ("seed", -1, "--seed -1"),
        ("seed", 2**63, "--seed"),
        ("seed", 0.5, "--seed 0.5"),
        ("rank", 2, "--rank 2: expected 0 to 1"),
        ("rank", -1, "--rank -1"),
        ("num_ranks", 0, "--num-ranks 0"),
        ("device", "gpu", "--device gpu: expected cpu, cuda or cuda:N"),
        ("device", "meta", "--device meta: expected cpu, cuda or cuda:N"),
        ("device", "cuda:64", "--device cuda:64: .* usable GPUs here"),
        ("device", None, "--device None"),
        ("reuse_buffers", "no", "--reuse-buffers 'no'"),
    ],
)
def test_a_misspelt_or_impossible_argument_is_refused(greys, argument, value, message):
    with pytest.raises(SettingError, match=message):
        loaders.beton_loader(
            **{
                "path": greys,
                "split": "val",
                "batch_size": 4,
                "image_size": 16,
                "rank": 0,
                "num_ranks": 2,
                "loader": "torchvision",
            }
            | {argument: value},
        )


def test_numbers_of_numpys_are_numbers(greys):
    val = loaders.beton_loader(
        greys, split="val", batch_size=np.uint8(200), image_size=np.int32(16), seed=np.int64(3), loader="torchvision"
    )
    val.epoch = np.int64(2)
    assert (val.batch_size, val.image_size, val.epoch, len(val)) == (200, 16, 2, 1)
    assert all(type(value) is int for value in (val.batch_size, val.image_size, val.epoch))


def test_what_is_set_later_is_checked_too(greys):
    val = loaders.beton_loader(greys, split="val", batch_size=4, image_size=16, loader="torchvision")
    for value in (0, -1, 2.5, "16", None, 65_536):
        with pytest.raises(SettingError, match="--image-size"):
            val.image_size = value
    for value in (-1, 1.0, None):
        with pytest.raises(SettingError, match="--epoch"):
            val.epoch = value
        with pytest.raises(SettingError, match="--first-batch"):
            val.first_batch = value
    for name in ("batch_size", "num_workers"):
        with pytest.raises(AttributeError):
            setattr(val, name, 8)
    val.image_size, val.epoch = 24, 7
    assert (val.image_size, val.epoch) == (24, 7)


def open_quickly(path):
    return loaders.beton_loader(path, split="val", batch_size=4, image_size=16, loader="torchvision")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"num_images": 21', '"num_images": 20', "val.beton: 21 samples, but val.json beside it says 20"),
        ('"bytes": ', '"bytes": 1', "bytes, but val.json beside it says 1"),
        ('"num_images": 7', '"num_images": 8', "7 images with the label 0, but val.json beside it says 8"),
        ("beton_info/2", "beton_info/1", "val.json: its schema is"),
        ("beton_info/2", "theirs", "val.json: does not describe the beton.*Move it, or the beton"),
    ],
)
def test_a_beton_that_is_not_the_one_its_json_describes_is_refused(greys, tmp_path, old, new, message):
    path, beside = tmp_path / "val.beton", tmp_path / "val.json"
    path.write_bytes(greys.read_bytes())
    assert len(open_quickly(path)) == 6, "a beton without a JSON is fine"
    text = greys.with_suffix(".json").read_text()
    assert old in text
    beside.write_text(text)
    assert len(open_quickly(path)) == 6
    beside.write_text(text.replace(old, new, 1))
    with pytest.raises(ArtifactError, match=message):
        open_quickly(path)


def test_a_label_that_the_json_does_not_name_is_refused(greys, tmp_path):
    content, beton = bytearray(greys.read_bytes()), read_beton(greys)
    at = content.index(beton.records.tobytes()) + 4 * beton.records.dtype.itemsize + beton.records.dtype.fields["f1"][1]
    content[at : at + 8] = (5).to_bytes(8, "little")
    (tmp_path / "val.beton").write_bytes(content)
    (tmp_path / "val.json").write_bytes(greys.with_suffix(".json").read_bytes())
    with pytest.raises(ArtifactError, match="sample 4 has the label 5, but val.json beside it says 3 classes"):
        open_quickly(tmp_path / "val.beton")


@pytest.mark.parametrize("label", [-1, 10**9])
def test_a_cut_beton_whose_labels_are_no_class_numbers_is_read(greys, tmp_path, label):
    content, beton = bytearray(greys.read_bytes()), read_beton(greys)
    at = content.index(beton.records.tobytes()) + beton.records.dtype.fields["f1"][1]
    content[at : at + 8] = label.to_bytes(8, "little", signed=True)
    (tmp_path / "foreign.beton").write_bytes(content)
    cut_beton(tmp_path / "foreign.beton", tmp_path / "cut.beton", np.arange(21))
    assert label in open_quickly(tmp_path / "cut.beton").labels


def test_a_script_without_a_main_guard_is_told_of_it():
    from rescale_fast.loaders._torchvision import _reason

    said = "\n  An attempt ... before the current process has finished its bootstrapping phase.\n\n   "
    assert "__main__" in _reason(RuntimeError(said))
    assert _reason(RuntimeError("died\n\n")) == "died"
