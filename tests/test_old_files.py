"""Files of every schema as they were first written: they load, with the values that they were written with.

Bump a schema, and its old file here keeps telling what becomes of the run folders that people have.
"""

import lzma
from pathlib import Path

import numpy as np
import pytest

from rescale_fast.artifact import Origin, read_json
from rescale_fast.beton.check import check_beton, find_bad_images
from rescale_fast.beton.types import BetonInfo
from rescale_fast.class_subset.types import ClassGrouping, ClassSubset
from rescale_fast.confusion import ConfusionMatrix
from rescale_fast.evaluate import read_truth
from rescale_fast.export.types import FilesInfo
from rescale_fast.image_subset.corrections import read_corrections
from rescale_fast.image_subset.types import ImageSubset
from rescale_fast.predictions.types import Predictions, Skipped
from rescale_fast.quality.types import Protocol, Quality
from rescale_fast.run.folder import RunFolder
from rescale_fast.scores.types import Scores
from rescale_fast.small.batches import read_batch
from rescale_fast.small.parts import load_part
from rescale_fast.small.types import VariantInfo
from rescale_fast.train.checkpoint import load_checkpoint
from rescale_fast.train.types import TrainRun
from tests.test_damaged_files import same

V1 = Path(__file__).parent / "data" / "v1"
IDS, NAMES = ("n01", "n02", "n03"), ("crane", "crane", "ape, big")
OF_CONFUSION, OF_DATASET = {"confusion": "ef" * 32}, {"dataset": "ab" * 32}


def test_predictions():
    found = Predictions.load(V1 / "predictions")
    assert found.origin == Origin(OF_DATASET, {"network": "resnet50", "weights": "IMAGENET1K_V2", "loader": "dali"})
    assert (found.class_ids, found.class_names) == (IDS, NAMES)
    assert found.paths == ("val/n01/a.jpg", "val/n01/b.jpg", "val/n03/d.jpg")
    assert (found.indices.tolist(), found.labels.tolist()) == ([0, 1, 3], [0, 0, 2])
    assert found.top_ids.tolist() == [[0, 1, 2], [1, 0, 2], [2, 0, 1]]
    expected = np.float32([[0.5, 0.3, 0.2], [0.6, 0.3, 0.1], [0.875, 0.125, 0]])
    np.testing.assert_array_equal(found.top_probabilities, expected)
    np.testing.assert_array_equal(found.true_probability, np.float32([0.5, 0.3, 0.875]))
    assert found.skipped == (Skipped(2, "val/n02/c.jpg", 1, "cut short"),)


def test_confusion():
    found = ConfusionMatrix.load(V1 / "confusion.npz")
    assert found.origin == Origin({"predictions": "cd" * 32}, {})
    assert found.counts.tolist() == [[3, 1, 0], [0, 4, 2], [1, 0, 5]]
    assert found.soft.tolist() == [[2.5, 1.5, 0], [0.25, 3.75, 2], [1, 0.5, 4.5]]
    assert (found.class_ids, found.class_names) == (IDS, NAMES)


def test_class_subset_and_grouping():
    chosen = ClassSubset.load(V1 / "class_subset.json")
    assert chosen.origin == Origin(OF_CONFUSION, {"k": 2, "method": "max-confusion"})
    assert (chosen.method, chosen.num_classes, chosen.classes) == ("max-confusion", 3, (0, 2))
    assert (chosen.class_ids, chosen.class_names) == (("n01", "n03"), ("crane", "ape, big"))
    assert (chosen.facts["value"], chosen.facts["is_optimal"]) == (3, True)
    assert (V1 / "class_subset.txt").read_text().split() == ["n01", "n03"]
    grouped = ClassGrouping.load(V1 / "class_grouping.json")
    assert grouped.origin == Origin(OF_CONFUSION, {"grouping": "confused"})
    assert (grouped.class_ids, grouped.class_names) == (("group-0000", "group-0001"), ("crane", "crane and ape"))
    assert (grouped.labels, grouped.member_ids) == (((1,), (0, 2)), (("n02",), ("n01", "n03")))
    assert (grouped.num_classes, grouped.facts["share_inside"]) == (3, 0.25)


def test_image_subset_and_scores():
    found = ImageSubset.load(V1 / "image_subset.parquet")
    assert found.origin == Origin({**OF_DATASET, "class_subset": "12" * 32}, {"images": "all"})
    assert (found.class_ids, found.facts) == (("n01", "n03"), {"label_errors": 1})
    assert found.train.paths == ("train/n01/a.jpg", "train/n01/b.jpg", "train/n03/c.jpg")
    assert (found.train.indices.tolist(), found.train.labels.tolist()) == ([0, 1, 5], [0, 0, 2])
    assert (found.train.new_labels.tolist(), found.train.source) == ([0, 0, 1], ("train",) * 3)
    assert (found.val.paths, found.val.source) == (("val/n01/a.jpg", "train/n03/ä.jpg"), ("val", "train"))
    scores = Scores.load(V1 / "scores")
    assert scores.origin == Origin(OF_DATASET, {"score_epochs": 16})
    assert (scores.paths, scores.labels.tolist()) == (found.train.paths, [0, 0, 2])
    np.testing.assert_array_equal(scores.true_probability, np.float32([0.75, np.nan, 0.5]))
    np.testing.assert_array_equal(scores.probabilities, np.float32([[0.75, 0.25], [np.nan, np.nan], [0.5, 0.5]]))
    assert scores.skipped == (None, "cut short", None)


def test_a_beton_with_its_json(tmp_path):
    (tmp_path / "train.beton").write_bytes(lzma.decompress((V1 / "train.beton.xz").read_bytes()))
    (tmp_path / "train.json").write_bytes((V1 / "train.json").read_bytes())
    assert "2 samples of image, label, index" in str(check_beton(tmp_path / "train.beton"))
    assert not find_bad_images(tmp_path / "train.beton")
    info = BetonInfo.load(tmp_path / "train.json")
    assert info.origin == Origin({"image_subset": "34" * 32}, {"store": "original"})
    assert (info.split, info.num_images, info.images_per_class) == ("train", 2, (1, 1))
    assert (info.class_ids, info.original_labels) == (("n01", "n03"), ((0,), (2,)))
    assert (info.stored, info.max_width, info.max_height, info.bytes) == ({"original bytes": 2}, 12, 8, 16777264)
    assert info.skipped == ({"path": "train/n01/b.jpg", "reason": "empty: 0 bytes"},)


def test_training(tmp_path):
    made_from = Origin({"train": "xxh3-128:00", "val": "xxh3-128:01"}, {"network": "small", "epochs": 2})
    run = TrainRun.load(V1)
    assert run.origin == made_from
    assert (run.network, run.num_parameters, run.num_classes, run.image_size) == ("small", 1234, 2, 24)
    assert (run.recipe, run.seed, run.reported_epoch) == ("chrabaszcz", 0, 1)
    assert run.figures == {"last epoch": 0.75, "best epoch": 0.75, "epoch 1": 0.5}
    records, seconds, state = load_checkpoint(V1 / "checkpoint.pt", made_from)
    assert (records, seconds) == (list(run.epochs), 1.5)
    assert (state["epoch"], state["steps_done"], state["losses"].tolist()) == (1, 3, [2.5])
    assert (state["step"], state["network"]["w"].tolist()) == (4, [0, 1, 2])


def test_quality():
    found = Quality.load(V1 / "quality.json")
    networks = ("MAFNet", "VGG16", "ResNet18", "GoogLeNet", "ShuffleNetV2")
    assert (found.networks, found.unit, found.draws) == (networks, "percent", 100)
    assert [(one.measured.name, one.role) for one in found.sets] == [("part", "subset"), ("draw", "random")]
    (part, draw) = found.sets
    assert (part.tau.value, round(draw.tau.value, 6), round(part.above_random.value, 6)) == (0.8, 0.6, 0.2)
    assert part.measured.protocol == Protocol((1, 2), (0.9486832980505138, 0.8), 0.9, None, 1, None, None)
    assert (part.measured.val_images, part.measured.resolution.seeds, part.above_short) == (200, 2, None)
    assert found.reference.accuracies == (0.605, 0.555, 0.525, 0.315, 0.265)
    assert found.advice[0].startswith("part orders the networks most as full does (tau 0.80")


def test_down_sampled_sets_and_exported_files():
    info = VariantInfo.load(V1 / "variant.json")
    assert (info.name, info.side, info.channels, info.forms) == ("x-8x8-sRGB-box-2", 8, 3, ("batches", "npz"))
    assert (info.labels, info.class_ids, info.original_labels) == ((1, 2), ("n01", "n03"), ((0,), (2,)))
    assert (info.num_images, info.files) == ({"train": 3, "val": 2}, {"val_data": 500})
    assert info.skipped == {"train": ({"path": "x", "reason": "empty"},), "val": ()}
    for name in ("val_data", "val_data.npz"):
        batch = read_batch(V1 / name)
        assert (batch.data.tolist(), batch.labels.tolist()) == (np.arange(24).reshape(2, 12).tolist(), [1, 2])
    part = load_part(V1 / "part.npz", "56" * 32)
    assert (part.rows.tolist(), part.skipped, part.total.tolist()) == ([0, 2], {1: "cut short"}, list(range(12, 36, 2)))
    assert part.pixels().tolist() == np.arange(24).reshape(2, 12).tolist()
    files = FilesInfo.load(V1 / FilesInfo.NAME)
    assert (files.form, files.split, files.num_images, files.num_files, files.bytes) == ("folder", "val", 2, 2, 800)
    assert (files.class_ids, files.images_per_class) == (("n01", "n03"), (1, 1))


def test_run_folders_and_the_rest(tmp_path):
    (tmp_path / "run.json").write_bytes((V1 / "run.json").read_bytes())
    folder = RunFolder(tmp_path)
    assert folder.dataset_kind() == "folder"
    assert folder.timings == {"validate": {"seconds": 12.5, "items": 4, "unit": "images"}}
    assert read_json(V1 / "glyphs.json", "glyphs/1")["settings"]["classes"] == 2
    assert read_json(V1 / "evaluation.json", "evaluation/1")["errors"] == [0.5, 0.25, 0, 0, 0]
    assert read_corrections(V1 / "label_errors.csv") == {"train/n01/a.jpg": "n03"}
    assert read_truth(V1 / "image_subset.parquet").paths == ("val/n01/a.jpg", "train/n03/ä.jpg")


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (Predictions, "predictions/part-000000.parquet"),
        (Scores, "scores/part-a.parquet"),
        (ImageSubset, "image_subset.parquet"),
        (ConfusionMatrix, "confusion.npz"),
        (ClassSubset, "class_subset.json"),
        (ClassGrouping, "class_grouping.json"),
        (BetonInfo, "train.json"),
        (FilesInfo, ".export.json"),
        (Quality, "quality.json"),
        (VariantInfo, "variant.json"),
    ],
)
def test_what_is_written_today_reads_as_what_was_written_then(tmp_path, kind, name):
    kind.load(V1 / name).save(tmp_path / "again")
    (tmp_path / "old").write_bytes((V1 / name).read_bytes())
    same(kind.load(tmp_path / "again"), kind.load(tmp_path / "old"))
