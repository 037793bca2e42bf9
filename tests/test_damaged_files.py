"""Whatever is wrong with a file, its reader says so in one message, or finds values that are as they should be.

The files are those of tests/data/v1, damaged as tests/mutants.py does it. `RESCALE_FAST_MUTANTS=5000` tries more.
"""

import os
import shutil
import warnings
from pathlib import Path
from unittest import mock

import numpy as np
import pytest

import rescale_fast as rf
from rescale_fast.artifact import Origin
from rescale_fast.beton.types import BetonInfo
from rescale_fast.class_subset.group import read_table
from rescale_fast.class_subset.lists import read_list
from rescale_fast.class_subset.types import ClassGrouping, ClassSubset
from rescale_fast.confusion import ConfusionMatrix, make_confusion
from rescale_fast.datasets.settings import DatasetSettings
from rescale_fast.errors import RescaleError
from rescale_fast.evaluate import evaluate, read_guesses, read_truth
from rescale_fast.export.types import FilesInfo
from rescale_fast.image_subset.corrections import read_corrections
from rescale_fast.image_subset.types import ImageSubset
from rescale_fast.predictions.types import Predictions
from rescale_fast.quality.types import Quality
from rescale_fast.report.quality import write_quality_page
from rescale_fast.run.folder import RunFolder
from rescale_fast.scores.types import Scores
from rescale_fast.small.batches import read_batch
from rescale_fast.small.parts import load_part
from rescale_fast.small.types import VariantInfo
from rescale_fast.train.checkpoint import load_checkpoint
from rescale_fast.train.types import TrainRun
from tests.mutants import bytes_of, json_of, npz_of, parquet_of

V1 = Path(__file__).parent / "data" / "v1"
MUTANTS = int(os.environ.get("RESCALE_FAST_MUTANTS", "40"))
IDS = ("n01", "n02", "n03")
OF_TRAINING = Origin({"train": "xxh3-128:00", "val": "xxh3-128:01"}, {"network": "small", "epochs": 2})


def again(kind):
    """Load; what was found is so valid that it can be saved, and loaded as the same."""

    def read(path):
        made = kind.load(path)
        made.save(path.with_name("again"))
        same(kind.load(path.with_name("again")), made)
        return made

    return read


def same(a, b):
    for name, value in vars(a).items():
        other = getattr(b, name)
        if isinstance(value, np.ndarray):
            np.testing.assert_array_equal(value, other)
        elif hasattr(value, "__dataclass_fields__"):
            same(value, other)
        else:
            assert value == other, name


def predictions(path):
    made = again(Predictions)(path)
    if len(made.labels):
        make_confusion(made, Origin({}, {}))  # the core refuses labels beyond the classes by another error


def train_run(path):
    shutil.copy(path, path.with_name("result.json"))
    made = TrainRun.load(path.parent)
    assert 0 <= made.best_top1 <= 1 and made.figures and 1 <= made.best_epoch <= len(made.epochs)


def run_folder(path):
    shutil.copy(path, path.with_name("run.json"))
    folder = RunFolder(path.parent)
    assert isinstance(folder.dataset_kind(), str) and isinstance(folder.timings, dict)
    folder.record("select", 1.0, 2, "classes")
    with mock.patch("rescale_fast.run.folder.open_dataset") as opened:
        folder.open_dataset()
    assert isinstance(opened.call_args[0][0], DatasetSettings)


def part(path):
    found = load_part(path, "56" * 32)
    assert found.pixels().shape == (len(found.rows), len(found.total))


def batch(path):
    found = read_batch(path)
    assert found.data.dtype == np.uint8 and found.data.shape == (len(found.labels), found.data.shape[1])


def checkpoint(path):
    found = load_checkpoint(path, OF_TRAINING)
    assert found is None or all(record["epoch"] == i for i, record in enumerate(found[0], 1))


def guesses(path):
    truth = read_truth(V1 / "image_subset.parquet")
    evaluate(truth, read_guesses(path, truth))


def quality(path):
    write_quality_page(Quality.load(path), path.with_name("quality.html"))


def accuracies(path):
    rf.quality(path, draws=100)


READERS = [
    ("predictions/part-000000.parquet", predictions, parquet_of),
    ("scores/part-a.parquet", again(Scores), parquet_of),
    ("image_subset.parquet", again(ImageSubset), parquet_of),
    ("image_subset.parquet", read_truth, parquet_of),
    ("confusion.npz", again(ConfusionMatrix), npz_of),
    ("part.npz", part, npz_of),
    ("val_data.npz", batch, npz_of),
    ("val_data", batch, None),
    ("class_subset.json", again(ClassSubset), json_of),
    ("class_grouping.json", again(ClassGrouping), json_of),
    ("train.json", again(BetonInfo), json_of),
    (".export.json", again(FilesInfo), json_of),
    ("variant.json", again(VariantInfo), json_of),
    ("result.json", train_run, json_of),
    ("run.json", run_folder, json_of),
    ("quality.json", quality, json_of),
    ("checkpoint.pt", checkpoint, None),
    ("class_subset.txt", lambda path: read_list(path, IDS), None),
    ("label_errors.csv", read_corrections, None),
    ("confusion.csv", ConfusionMatrix.load, None),
    ("confusion.npy", ConfusionMatrix.load, None),
    ("val_images.csv", read_truth, None),
    ("groups.csv", lambda path: read_table(path, IDS), None),
    ("accuracies.csv", accuracies, None),
    ("guesses.txt", guesses, None),
]


def others(name):
    """Files that we read and do not write."""
    return {
        "confusion.csv": ",n01,n02,n03\nn01,3,1,0\nn02,0,4,2\nn03,1,0,5\n",
        "val_images.csv": "path,class_id,label\nval/a.jpg,n01,1\nval/b.jpg,n02,2\n",
        "groups.csv": "class id,coarse label\nn01,bird\nn02,bird\nn03,ape\n",
        "guesses.txt": "1 2\n2, 1\n",
        "accuracies.csv": "net,full_seed1,full_seed2,part\na,50.5,51,40\nb,60,61,45\nc,70,70.25,60\n",
    }[name].encode()


def content_of(name, tmp_path):
    if (V1 / name).exists():
        return (V1 / name).read_bytes()
    if name == "confusion.npy":
        np.save(tmp_path / name, np.arange(9).reshape(3, 3))
        return (tmp_path / name).read_bytes()
    return others(name)


@pytest.mark.parametrize(("name", "read", "mutate"), READERS, ids=[f"{i}-{row[0]}" for i, row in enumerate(READERS)])
def test_a_damaged_file_is_read_as_valid_or_refused_in_one_message(tmp_path, name, read, mutate):
    rng = np.random.default_rng(11)
    content = content_of(name, tmp_path)
    path = tmp_path / f"file{Path(name).suffix}"
    path.write_bytes(content)
    read(path)  # as it is, it is fine
    refused = 0
    for _ in range(MUTANTS if name != "checkpoint.pt" else MUTANTS // 4):
        if mutate is None or rng.random() < 0.4:
            mutant = bytes_of(rng, content)
        else:
            mutant = mutate(rng, content.decode() if mutate is json_of else content)
        path.write_bytes(mutant if isinstance(mutant, bytes) else mutant.encode("utf-8", "surrogatepass"))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                read(path)
        except RescaleError as error:
            assert str(error) and "\x1b" not in str(error)
            refused += 1
    assert refused > MUTANTS // 20
