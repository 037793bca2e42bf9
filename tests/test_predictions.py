"""Validation: every image once, DALI against torchvision, unreadable files, interrupted work."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from rescale_fast.artifact import Origin
from rescale_fast.datasets.folder import open_folder
from rescale_fast.errors import ArtifactError, DatasetError, SettingError
from rescale_fast.networks.build import build_network
from rescale_fast.networks.types import EvalTransform
from rescale_fast.predictions import chunks
from rescale_fast.predictions import validate as validation
from rescale_fast.predictions.settings import ValidateSettings
from rescale_fast.predictions.types import Predictions, Skipped
from rescale_fast.predictions.validate import load_batches, validate

ORIGIN = Origin({"dataset": "d"}, {"network": "n"})


def small_network(num_classes, size=24):
    torch.manual_seed(1)
    return build_network("small", num_classes).eval(), EvalTransform(resize=size, crop=size)


def all_pixels(paths, loader, transform, batch_size=16):
    batches = list(load_batches([str(path) for path in paths], transform, loader, batch_size, 2, torch.device("cpu")))
    assert [p for batch in batches for p in batch.positions] == list(range(len(paths)))
    return torch.cat([batch.images for batch in batches])


def test_dali_and_torchvision_decide_alike_on_glyphs(small_glyphs, tmp_path):
    results = {
        loader: validate(small_glyphs, *small_network(12), ValidateSettings(loader), tmp_path / loader, ORIGIN)
        for loader in ("dali", "torchvision")
    }
    dali, reference = results.values()
    assert np.mean(dali.predicted == reference.predicted) >= 0.995
    assert dali.paths == reference.paths == small_glyphs.splits["val"].paths


def test_predictions_equal_the_network_run_by_hand(small_glyphs, tmp_path):
    got = validate(small_glyphs, *small_network(12), ValidateSettings(batch_size=32), tmp_path / "p", ORIGIN)
    network, _ = small_network(12)
    images = all_pixels([small_glyphs.root / p for p in got.paths], "torchvision", EvalTransform(24, 24))
    with torch.inference_mode():
        probabilities = network(images).softmax(1).numpy()
    np.testing.assert_array_equal(got.predicted, probabilities.argmax(1))
    np.testing.assert_allclose(got.true_probability, probabilities[np.arange(len(images)), got.labels], atol=1e-4)
    np.testing.assert_allclose(got.top_probabilities, -np.sort(-probabilities)[:, :5], atol=1e-4)
    np.testing.assert_array_equal(got.labels, small_glyphs.splits["val"].labels)


@pytest.fixture
def broken_set(small_glyphs, tmp_path):
    """A copy of the glyphs' val split with five files spoilt in five ways, and one PNG and one CMYK JPEG."""
    root = tmp_path / "set"
    shutil.copytree(small_glyphs.root / "val", root / "val")
    files = sorted(root.rglob("*.jpg"))
    files[0].write_bytes(b"")
    files[17].write_bytes(files[17].read_bytes()[:200])
    files[18].write_bytes(b"this is no image at all")
    files[70].unlink()
    files[70].mkdir()  # a folder is no image, and is not listed
    files[143].write_bytes(b"\xff\xd8\xff\xe0" + b"\0" * 500)
    picture = Image.open(files[40]).convert("RGB")
    picture.save(files[40], "PNG")
    Image.open(files[41]).convert("CMYK").save(files[41], "JPEG")
    return root, [files[i].relative_to(root).as_posix() for i in (0, 17, 18, 143)]


@pytest.mark.parametrize("loader", ["dali", "torchvision"])
def test_unreadable_files_are_skipped_with_their_reason_and_no_other_is_lost(broken_set, tmp_path, loader):
    root, broken = broken_set
    dataset = open_folder(root)
    listed = dataset.splits["val"].paths
    got = validate(dataset, *small_network(12), ValidateSettings(loader, 16, 0.05), tmp_path / "p", ORIGIN)
    assert [skipped.path for skipped in got.skipped] == broken
    assert all(skipped.reason for skipped in got.skipped)
    assert sorted([*got.paths, *broken]) == sorted(listed)
    assert all(listed[i] == path for i, path in zip(got.indices, got.paths, strict=True))


def test_a_set_with_nothing_readable_is_an_error(tmp_path):
    for name in ("a", "b"):
        (tmp_path / "val" / name).mkdir(parents=True)
        (tmp_path / "val" / name / "1.jpg").write_bytes(b"x")
    for share, message in ((0.01, "too many images cannot be read: 2"), (1, "not one of 2 validation images could")):
        with pytest.raises(DatasetError, match=message):
            validate(
                open_folder(tmp_path), *small_network(2), ValidateSettings(max_unreadable=share), tmp_path / "p", ORIGIN
            )


def test_finished_parts_are_kept_and_missing_or_damaged_ones_made_alike(small_glyphs, tmp_path, monkeypatch):
    monkeypatch.setattr(chunks, "CHUNK_SIZE", 32)
    settings = ValidateSettings(batch_size=16)
    folder = tmp_path / "p"
    validate(small_glyphs, *small_network(12), settings, folder, ORIGIN)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert sorted(before) == [f"part-{i:06d}.parquet" for i in range(5)]
    (folder / "part-000001.parquet").unlink()
    (folder / "part-000003.parquet").write_bytes(before["part-000003.parquet"][:100])
    kept = (folder / "part-000002.parquet").stat().st_mtime_ns
    validate(small_glyphs, *small_network(12), settings, folder, ORIGIN)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert (folder / "part-000002.parquet").stat().st_mtime_ns == kept


def test_no_image_is_read_when_all_parts_are_there_and_all_are_for_other_settings(small_glyphs, tmp_path, monkeypatch):
    folder = tmp_path / "p"
    validate(small_glyphs, *small_network(12), ValidateSettings(), folder, ORIGIN)
    other = Origin(ORIGIN.made_from, {"network": "another"})
    with monkeypatch.context() as patch:
        patch.setattr(validation, "load_batches", lambda *_: pytest.fail("images were read"))
        validate(small_glyphs, *small_network(12), ValidateSettings(), folder, ORIGIN)
    assert validate(small_glyphs, *small_network(12), ValidateSettings(), folder, other).origin.same_as(other)


def test_a_batch_size_that_does_not_divide_a_part_is_refused():
    with pytest.raises(SettingError, match="expected a divisor of 1,024"):
        ValidateSettings(batch_size=100)


def part(indices, skipped=(), origin=ORIGIN):
    n = len(indices)
    return Predictions(
        origin=origin,
        class_ids=("a", "b", "c"),
        class_names=("A", "B", "C"),
        indices=np.array(indices, np.int64),
        paths=tuple(f"val/{i}.jpg" for i in indices),
        labels=np.arange(n) % 3,
        top_ids=np.tile(np.array([2, 0, 1]), (n, 1)),
        top_probabilities=np.tile(np.array([0.5, 0.3, 0.2], np.float32), (n, 1)),
        true_probability=np.full(n, 0.3, np.float32),
        skipped=tuple(Skipped(i, f"val/{i}.jpg", 1, "no image") for i in skipped),
    )


def test_parts_join_in_order_and_keep_what_was_skipped(tmp_path):
    part([3, 5], skipped=[4]).save(tmp_path / "part-000001.parquet")
    part([0, 1, 2]).save(tmp_path / "part-000000.parquet")
    got = Predictions.load(tmp_path)
    np.testing.assert_array_equal(got.indices, [0, 1, 2, 3, 5])
    assert got.skipped == (Skipped(4, "val/4.jpg", 1, "no image"),)
    np.testing.assert_array_equal(got.top_ids, np.tile([2, 0, 1], (5, 1)))
    assert got.accuracy == pytest.approx(1 / 5)


def test_a_part_of_another_run_or_an_image_twice_is_refused(tmp_path):
    part([0, 1]).save(tmp_path / "part-000000.parquet")
    part([1, 2]).save(tmp_path / "part-000001.parquet")
    with pytest.raises(ArtifactError, match="image 1 is in more than one place"):
        Predictions.load(tmp_path)
    part([2, 3], origin=Origin({}, {})).save(tmp_path / "part-000001.parquet")
    with pytest.raises(ArtifactError, match="made by another run"):
        Predictions.load(tmp_path)


@pytest.mark.parametrize("content", [b"", b"PAR1 nothing"])
def test_a_damaged_part_is_refused(tmp_path, content):
    Path(tmp_path / "part-000000.parquet").write_bytes(content)
    with pytest.raises(ArtifactError, match="not readable as parquet"):
        Predictions.load(tmp_path)
    with pytest.raises(ArtifactError, match=r"holds no part-\*.parquet"):
        Predictions.load(tmp_path.parent / tmp_path.name / "..")
