"""Betons: what FFCV reads back, unreadable files, and a writer that dies."""

import io
import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rescale_fast.artifact import Origin, file_sha256
from rescale_fast.class_subset.types import ClassSubset
from rescale_fast.datasets.folder import open_folder
from rescale_fast.errors import ArtifactError, DatasetError, OutputError, SettingError
from rescale_fast.export import beton
from rescale_fast.export.beton import BetonWriter, export_beton
from rescale_fast.export.settings import ExportSettings
from rescale_fast.export.types import BetonInfo
from rescale_fast.image_subset.sample import sample_images
from rescale_fast.image_subset.types import ImageSubset
from rescale_fast.loaders import check_header

NOWHERE = Origin({}, {})
pytestmark = pytest.mark.filterwarnings("ignore")  # FFCV and Numba warn on import


def choose(dataset, labels):
    ids = tuple(dataset.class_ids[label] for label in labels)
    return ClassSubset(NOWHERE, "list", dataset.num_classes, tuple(labels), ids, ids, {})


@pytest.fixture(scope="module")
def broken(small_glyphs, tmp_path_factory):
    """Glyphs of which three val files of class 4 cannot be read, and one is a PNG under another name."""
    root = tmp_path_factory.mktemp("broken") / "set"
    shutil.copytree(small_glyphs.root, root)
    files = sorted((root / "val" / small_glyphs.class_ids[4]).iterdir())
    files[0].write_bytes(b"")
    files[3].write_bytes(files[3].read_bytes()[:300])
    files[7].write_bytes(b"no image")
    picture = Image.open(files[5]).convert("RGB")
    picture.save(files[5], "PNG")
    return open_folder(root), [file.relative_to(root).as_posix() for file in (files[0], files[3], files[7])]


@pytest.fixture(scope="module")
def exported(broken, tmp_path_factory):
    dataset, _ = broken
    subset = sample_images(dataset, choose(dataset, [1, 4, 9]), NOWHERE)
    out = tmp_path_factory.mktemp("betons")
    with BetonWriter() as writer:
        infos = {
            split: export_beton(
                writer, dataset.root, subset, split, out / f"{split}.beton", ExportSettings(), Origin({"s": "1"}, {})
            )
            for split in ("train", "val")
        }
    return dataset, subset, out, infos


def test_labels_rows_and_pixels_read_back_through_ffcv(exported):
    from ffcv.reader import Reader

    dataset, subset, out, _ = exported
    for split in ("train", "val"):
        reader = Reader(str(out / f"{split}.beton"))
        images = subset.split(split)
        payloads = {int(pointer): int(size) for _, pointer, size in reader.alloc_table}
        for record in reader.metadata:
            row, label = int(record["f2"]), int(record["f1"])
            assert label == images.new_labels[row]
            assert (record["f0"]["width"], record["f0"]["height"]) == (24, 24)
            pointer = int(record["f0"]["data_ptr"])
            with (out / f"{split}.beton").open("rb") as file:
                file.seek(pointer)
                stored = Image.open(io.BytesIO(file.read(payloads[pointer])))
            source = Image.open(dataset.root / images.paths[row]).convert("RGB")
            assert np.abs(np.asarray(stored, float) - np.asarray(source, float)).mean() < 8


def test_written_and_skipped_is_what_was_asked_for(broken, exported):
    _, unreadable = broken
    dataset, subset, out, infos = exported
    val = infos["val"]
    assert [bad["path"] for bad in val.skipped] == unreadable
    assert all(bad["reason"] for bad in val.skipped)
    assert val.num_images + len(val.skipped) == len(subset.val) == 36
    assert val.images_per_class == (12, 9, 12)
    assert infos["train"].images_per_class == (10, 10, 10)
    assert val.original_labels == (1, 4, 9)
    assert val.class_ids == tuple(dataset.class_ids[label] for label in (1, 4, 9))
    for split, info in infos.items():
        assert BetonInfo.load(out / f"{split}.json") == info
        assert info.digest == f"sha256:{file_sha256(out / f'{split}.beton')}"
    assert sorted(path.name for path in out.iterdir()) == ["train.beton", "train.json", "val.beton", "val.json"]


def test_a_sampled_subset_reads_back_the_same(exported, tmp_path):
    _, subset, _, _ = exported
    subset.save(tmp_path / "image_subset.parquet")
    got = ImageSubset.load(tmp_path / "image_subset.parquet")
    assert (got.class_ids, got.train.paths, got.val.source) == (subset.class_ids, subset.train.paths, subset.val.source)
    np.testing.assert_array_equal(got.val.new_labels, subset.val.new_labels)
    np.testing.assert_array_equal(got.train.indices, subset.train.indices)


def test_a_subset_of_another_data_set_is_refused(broken):
    dataset, _ = broken
    foreign = ClassSubset(NOWHERE, "list", 12, (1, 2), ("x", "y"), ("x", "y"), {})
    with pytest.raises(ArtifactError, match="'x' .label 1. is not in"):
        sample_images(dataset, foreign, NOWHERE)


def test_a_class_without_a_readable_image_is_an_error_and_nothing_is_left(broken, tmp_path):
    dataset, _ = broken
    root = tmp_path / "set"
    shutil.copytree(dataset.root, root)
    for file in (root / "val" / dataset.class_ids[0]).iterdir():
        file.write_bytes(b"x")
    subset = sample_images(dataset, choose(dataset, [0, 1]), NOWHERE)
    (tmp_path / "out").mkdir()
    target = tmp_path / "out" / "val.beton"
    with BetonWriter() as writer, pytest.raises(DatasetError, match="has no readable image"):
        export_beton(writer, root, subset, "val", target, ExportSettings(), NOWHERE)
    assert not list((tmp_path / "out").iterdir())


def test_a_writer_that_dies_or_stands_still_is_an_error_and_nothing_is_left(broken, tmp_path, monkeypatch):
    dataset, _ = broken
    subset = sample_images(dataset, choose(dataset, [0, 1]), NOWHERE)
    target = tmp_path / "train.beton"
    for number, message in ((signal.SIGKILL, "ended early"), (signal.SIGSTOP, "has not advanced for 1 s")):
        if number == signal.SIGSTOP:
            monkeypatch.setattr(beton, "SECONDS_WITHOUT_PROGRESS", 1.0)
        with BetonWriter() as writer, pytest.raises(OutputError, match=message):
            writer._start()
            os.kill(writer._child.pid, number)
            export_beton(writer, dataset.root, subset, "train", target, ExportSettings(), NOWHERE)
        assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("settings", [ExportSettings(quality=0), ExportSettings(max_side=-1)])
def test_impossible_settings_are_refused(exported, tmp_path, settings):
    dataset, subset, _, _ = exported
    with BetonWriter() as writer, pytest.raises(SettingError, match="expected"):
        export_beton(writer, dataset.root, subset, "val", tmp_path / "v.beton", settings, NOWHERE)


def test_files_that_are_no_finished_beton_are_refused(exported, tmp_path):
    _, _, out, _ = exported
    whole = (out / "val.beton").read_bytes()
    check_header(out / "val.beton")
    for name, content in {
        "empty": b"",
        "cut": whole[: len(whole) - 7],
        "crashed": whole[:16] + bytes(8) + whole[24:],
        "foreign": b"PK\x03\x04" + whole[4:],
    }.items():
        Path(tmp_path / name).write_bytes(content)
        with pytest.raises(ArtifactError, match=name):
            check_header(tmp_path / name)
