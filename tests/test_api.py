"""What `import rescale_fast` offers: the stages as functions, which give what the command line gives."""

import ast
import csv
import inspect
import json
import re
import subprocess
import sys
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.metrics import confusion_matrix

import rescale_fast as rf
from rescale_fast.artifact import Origin
from rescale_fast.beton.edit import append_beton, cut_beton
from rescale_fast.class_subset.settings import GroupSettings, SelectSettings
from rescale_fast.class_subset.types import ClassGrouping, ClassSubset
from rescale_fast.datasets.settings import DatasetSettings
from rescale_fast.errors import (
    ArtifactError,
    DatasetError,
    MissingInputError,
    OutputError,
    RescaleError,
    SettingError,
    UnknownNetworkError,
)
from rescale_fast.export.settings import ExportSettings
from rescale_fast.image_subset.settings import SampleSettings
from rescale_fast.image_subset.types import ImageSubset
from rescale_fast.machine import MachineSettings
from rescale_fast.networks.build import build_network
from rescale_fast.networks.types import EvalTransform
from rescale_fast.predictions.settings import ValidateSettings
from rescale_fast.predictions.types import Predictions
from rescale_fast.run.commands import main
from rescale_fast.scores.settings import ScoreSettings
from rescale_fast.scores.types import Scores
from rescale_fast.small.settings import DownsampleSettings
from rescale_fast.train.settings import TrainSettings
from rescale_fast.train.work import plan_work
from tests.conftest import ROOT

HERE = {"loader": "torchvision", "device": "cpu", "num_threads": 1}
SETTINGS = {
    "open_dataset": [DatasetSettings],
    "validate": [ValidateSettings, MachineSettings],
    "choose_classes": [SelectSettings, MachineSettings],
    "group_classes": [GroupSettings],
    "score_images": [ScoreSettings, MachineSettings],
    "choose_images": [SampleSettings, MachineSettings],
    "export_beton": [ExportSettings, MachineSettings],
    "downsample": [DownsampleSettings, MachineSettings],
    "train": [TrainSettings, MachineSettings],
}
NOT_OFFERED = {  # as it has another name, or no effect
    "score_images": {"score_network"},  # `network`
    "train": {"train_network"},
    "choose_images": {"device"},
    "downsample": {"device"},
    "choose_classes": {"device"},
    "export_beton": {"device"},
}


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(3)
    return build_network("small", 12).eval()


@pytest.fixture(scope="module")
def predictions(small_glyphs, network):
    return rf.validate(small_glyphs, network, **HERE)


@pytest.fixture(scope="module")
def matrix(predictions):
    return rf.confusion(predictions)


@pytest.fixture(scope="module")
def betons(small_glyphs, matrix, tmp_path_factory):
    folder = tmp_path_factory.mktemp("betons")
    images = rf.choose_images(small_glyphs, rf.choose_classes(matrix, 4), per_class=8)
    return folder, images, rf.export_beton(small_glyphs, images, folder, num_threads=1)


def test_the_names_are_those_that_are_declared_to_type_checkers():
    tree = ast.parse(Path(rf.__file__).read_text())
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    declared = {alias.asname: node.module for node in block.body for alias in node.names}
    assert declared == rf._PLACES
    assert sorted(declared) == rf.__all__
    assert set(rf.__all__) <= set(dir(rf))


@pytest.mark.parametrize("name", rf.__all__)
def test_each_function_says_what_it_does_takes_gives_and_refuses(name):
    function = getattr(rf, name)
    assert inspect.isfunction(function)
    for part in ("Args:", "Raises:") + (("Returns:",) if name != "beton_loader" else ()):
        assert part in function.__doc__, f"{name} has no {part}"
    if name != "beton_loader":
        words = re.findall(r"\w+", function.__doc__)
        plain = {"dataset", "classes", "confusion", "subset", "folder", "progress"}
        assert set(inspect.signature(function).parameters) - plain <= set(words)


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'rescale_fast' has no attribute 'nonsense'"):
        rf.nonsense  # noqa: B018
    assert not hasattr(rf, "__wrapped__")


@pytest.mark.parametrize("first", ["from rescale_fast.train.types import TrainRun", "rf.train", "rf.confusion"])
def test_functions_keep_their_names_when_modules_of_the_same_name_are_imported(first):
    code = f"""
import rescale_fast as rf
{first}
from rescale_fast.confusion import ConfusionMatrix
from rescale_fast.train.types import TrainRun
import rescale_fast.train.plan, rescale_fast.run.commands
import inspect
assert inspect.isfunction(rf.train) and inspect.isfunction(rf.confusion), (rf.train, rf.confusion)
from rescale_fast import train, confusion
assert train is rf.train and confusion is rf.confusion
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_importing_the_package_loads_none_of_its_stages_and_takes_no_time():
    code = """
import sys, time, numpy
before, start = set(sys.modules), time.process_time()
import rescale_fast
taken = time.process_time() - start
print(taken, *sorted(name for name in set(sys.modules) - before))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    taken, *loaded = done.stdout.split()
    assert float(taken) < 0.1
    assert loaded == ["rescale_fast"]


def test_the_functions_of_classes_load_nothing_heavy():
    code = """
import sys, rescale_fast as rf
m = rf.confusion([0, 1, 2, 2], [1, 1, 2, 0], ["a", "b", "c"])
rf.choose_classes(m, k=2, effort="greedy"), rf.group_classes(m, "random", num_groups=2), rf.export_beton, rf.train
print([name for name in ("torch", "torchvision", "nvidia", "ffcv", "matplotlib", "timm") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", SETTINGS)
def test_the_arguments_are_the_settings_with_their_defaults(name):
    parameters = inspect.signature(getattr(rf, name)).parameters
    for settings in SETTINGS[name]:
        for field in fields(settings):
            if field.name in NOT_OFFERED.get(name, ()) or field.name in ("dataset", "root", "grouping"):
                continue
            assert parameters[field.name].default == field.default, f"{name}: {field.name}"


WRONG = [
    (lambda m, d: rf.choose_classes(m, k=4, effort="fastest"), SelectSettings, {"effort": "fastest"}),
    (lambda m, d: rf.choose_classes(m, k=1), SelectSettings, {"k": 1}),
    (lambda m, d: rf.choose_classes(m, k=2.5), SelectSettings, {"k": 2.5}),
    (lambda m, d: rf.choose_classes(m, seconds=3), SelectSettings, {"seconds": 3}),
    (lambda m, d: rf.choose_classes(m, published="ReIN31"), SelectSettings, {"published": "ReIN31"}),
    (lambda m, d: rf.choose_classes(m, k=4, num_threads=-1), MachineSettings, {"num_threads": -1}),
    (lambda m, d: rf.group_classes(m, "coarse67", num_groups=3), GroupSettings,
     {"grouping": "coarse67", "num_groups": 3}),
    (lambda m, d: rf.validate(d, loader="dalli"), ValidateSettings, {"loader": "dalli"}),
    (lambda m, d: rf.validate(d, device="gpu"), MachineSettings, {"device": "gpu"}),
    (lambda m, d: rf.choose_images(d, None, images="some"), SampleSettings, {"images": "some"}),
    (lambda m, d: rf.choose_images(d, None, images="random"), SampleSettings, {"images": "random"}),
    (lambda m, d: rf.export_beton(d, None, "x", quality=0), ExportSettings, {"quality": 0}),
    (lambda m, d: rf.export_beton(d, None, "x", scale="4/8", store="raw"), ExportSettings,
     {"scale": "4/8", "store": "raw"}),
    (lambda m, d: rf.train("x", recipe="fats"), TrainSettings, {"recipe": "fats"}),
    (lambda m, d: rf.score_images(d, None, score_epochs=0), ScoreSettings, {"score_epochs": 0}),
    (lambda m, d: rf.choose_images(d, None, configuration="N1-M1"), SampleSettings, {"configuration": "N1-M1"}),
    (lambda m, d: rf.choose_images(d, None, label_errors="dorp"), SampleSettings, {"label_errors": "dorp"}),
    (lambda m, d: rf.downsample(d, None, "x", side=0), DownsampleSettings, {"side": 0}),
    (lambda m, d: rf.open_dataset("imagenet"), DatasetSettings, {"dataset": "imagenet"}),
    (lambda m, d: rf.open_dataset("glyphs", "x"), DatasetSettings, {"dataset": "glyphs", "root": "x"}),
    (lambda m, d: rf.open_dataset("images", "x"), DatasetSettings, {"dataset": "images", "root": "x"}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("call", "settings", "values"),
    [pytest.param(*case, id=f"{case[1].__name__}-{case[2]}") for case in WRONG],
)
def test_a_value_is_refused_with_the_words_of_the_command_line(call, settings, values, matrix, small_glyphs):
    with pytest.raises(SettingError) as expected:
        settings(**values)
    with pytest.raises(SettingError) as caught:
        call(matrix, small_glyphs)
    assert str(caught.value) == str(expected.value)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m, d: rf.choose_classes(np.eye(4), 2), "confusion: is an object of type ndarray, expected Confusion"),
        (lambda m, d: rf.group_classes(None, "random"), "confusion: is an object of type NoneType"),
        (lambda m, d: rf.compare(d, {}), "confusion: is an object of type Dataset"),
        (lambda m, d: rf.compare(m, [("mine", "x")]), "subsets: is an object of type list, expected Mapping"),
        (lambda m, d: rf.compare(m, {"mine": []}), "mine: names no class"),
        (lambda m, d: rf.confusion([0, 1], [0, 1]), "class_ids: are needed beside labels and predicted"),
        (lambda m, d: rf.group_classes(m, "x", num_groups=2), "--grouping x: neither a file nor one of"),
        (
            lambda m, d: rf.choose_classes(m, 2, method="rank-fidelity", predictions=[1, 2, 3, 4]),
            r"predictions\[0\]: is an object of type int, expected Predictions",
        ),
        (lambda m, d: rf.train(None, "small"), "betons: is an object of type NoneType, expected str or"),
        (lambda m, d: rf.compare(m, {"mine": None}), "mine: is an object of type NoneType, expected ClassSubset or"),
        (lambda m, d: rf.validate("/data", "small"), "dataset: is an object of type str, expected Dataset"),
        (lambda m, d: rf.choose_images("/data", m), "dataset: is an object of type str, expected Dataset"),
        (lambda m, d: rf.choose_images(d, m), "classes: is an object of type ConfusionMatrix, expected ClassSubset or"),
        (lambda m, d: rf.score_images(d, m), "classes: is an object of type ConfusionMatrix, expected ClassSubset or"),
        (lambda m, d: rf.score_images(d, None, torch.nn.Flatten()), "network: is an object of type Flatten, a network"),
        (lambda m, d: rf.train("x", 5), "network: is an object of type int, expected a name, or a class or function"),
        (lambda m, d: rf.train({"train": "x"}), "betons: has 'train', expected 'train' and 'val'"),
        (lambda m, d: rf.downsample(d, m, "x"), "subset: is an object of type ConfusionMatrix, expected ImageSubset"),
        (lambda m, d: rf.downsample(d, None, "x", forms="npz"), "--forms 'npz': expected at least one of batches, npz"),
        (lambda m, d: rf.evaluate([0, 1], [0, 1]), r"guesses: is an array of int64, shape \(2,\); expected \(N, g\)"),
        (lambda m, d: rf.evaluate([0, 1], [[0]]), "guesses: are for 1 images, and the set has 2"),
        (lambda m, d: rf.evaluate([], [[0]]), "truth: "),
        (lambda m, d: rf.export_beton(d, m, "x"), "subset: is an object of type ConfusionMatrix, expected ImageSubset"),
        (lambda m, d: rf.group_classes(m, "random", wordnet=5), "--wordnet 5: expected a path"),
        (lambda m, d: rf.confusion([[0], [1, 2]], [0], ["a", "b"]), "labels: "),
    ],
)
def test_what_is_not_of_the_stage_before_is_refused(call, message, matrix, small_glyphs):
    with pytest.raises(SettingError, match=message):
        call(matrix, small_glyphs)


def test_a_misspelt_argument_is_refused(matrix):
    with pytest.raises(TypeError, match="efort"):
        rf.choose_classes(matrix, efort="fast")


def test_a_folder_is_opened_as_it_is_and_a_kind_by_its_name(small_glyphs):
    for opened in (rf.open_dataset(small_glyphs.root), rf.open_dataset("folder", str(small_glyphs.root))):
        assert opened.class_ids == small_glyphs.class_ids
        assert opened.kind == "folder"
        np.testing.assert_array_equal(opened.splits["val"].labels, small_glyphs.splits["val"].labels)
    with pytest.raises(RescaleError, match="nowhere"):
        rf.open_dataset("/nowhere")


def test_confusion_equals_scikit_learns_for_lists_and_arrays_of_any_width(rng):
    labels, predicted = rng.integers(0, 7, (2, 1001))
    expected = confusion_matrix(labels, predicted, labels=range(7))
    for kind in (list, lambda a: a.astype(np.uint8), lambda a: a.astype(np.int32)[::1], torch.from_numpy):
        made = rf.confusion(kind(labels), kind(predicted), list("abcdefg"))
        np.testing.assert_array_equal(made.counts, expected)
        assert made.class_names == made.class_ids == tuple("abcdefg")
    assert made.origin.made_from.keys() == {"labels", "predicted", "class_ids"}
    other = rf.confusion(predicted, labels, list("abcdefg"))
    assert other.origin.made_from["labels"] == made.origin.made_from["predicted"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0, 1], [0, 2], ["a", "b"]), "predicted"),
        (([0, -1], [0, 1], ["a", "b"]), "labels"),
        (([0, 1, 1], [0, 1], ["a", "b"]), "3"),
        (([0.0, 1.0], [0, 1], ["a", "b"]), "labels: is an array of float64, shape (2,); expected (N,) whole numbers"),
        (([[0, 1]], [0, 1], ["a", "b"]), "shape (1, 2)"),
        (([True], [0], ["a", "b"]), "labels: is an array of bool"),
        (([0], [0], ["a", "a"]), "the class id 'a' occurs more than once"),
        (([0], [0], []), "expected the text that identifies each class"),
        (([0], [0], [1, 2]), "expected the text that identifies each class"),
        (([0],), "expected labels, predicted and class_ids, or Predictions"),
    ],
)
def test_confusion_refuses_what_is_no_pair_of_labels(arguments, message):
    with pytest.raises(SettingError, match=re.escape(message)):
        rf.confusion(*arguments)


def test_a_module_sees_what_a_checkpoint_of_it_sees(small_glyphs, network, predictions, tmp_path):
    torch.save(network.state_dict(), tmp_path / "w.pt")
    named = rf.validate(small_glyphs, "small", weights=tmp_path / "w.pt", **HERE)
    np.testing.assert_array_equal(named.top_ids, predictions.top_ids)
    np.testing.assert_array_equal(named.top_probabilities, predictions.top_probabilities)
    assert predictions.origin.made_from.keys() == {"dataset", "network"}
    assert predictions.origin.made_from["dataset"] == small_glyphs.digest


def test_a_module_keeps_its_mode_and_its_weights_tell_its_predictions_apart(small_glyphs, tmp_path):
    network = build_network("small", 12).train()
    first = rf.validate(small_glyphs, network, transform=24, folder=tmp_path, **HERE)
    assert network.training
    stamps = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    again = rf.validate(small_glyphs, network, transform=EvalTransform(24, 24), folder=tmp_path, **HERE)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == stamps
    with torch.no_grad():
        next(network.parameters()).add_(1)
    other = rf.validate(small_glyphs, network, transform=24, folder=tmp_path, **HERE)
    assert again.origin.same_as(first.origin)
    assert not other.origin.same_as(first.origin)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} != stamps
    assert Predictions.load(tmp_path).origin.same_as(other.origin)


def test_a_preset_of_torchvision_says_how_images_are_wanted(small_glyphs):
    from torchvision.models import ResNet18_Weights

    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 224 * 224, 12))
    made = rf.validate(small_glyphs, network, transform=ResNet18_Weights.DEFAULT.transforms(), **HERE)
    config = made.origin.config["transform"]
    assert (config["resize"], config["crop"], config["interpolation"]) == (256, 224, "bilinear")


@pytest.mark.parametrize(
    ("network", "options", "error", "message"),
    [
        (torch.nn.Flatten(), {"transform": 24}, UnknownNetworkError, "gives 1,728 outputs, and there are 12 classes"),
        (torch.relu, {}, SettingError, "expected a torch.nn.Module or a name"),
        (torch.nn.Flatten(), {"transform": "24"}, SettingError, "--transform '24': expected a side in pixels"),
        (torch.nn.Flatten(), {"transform": 0}, SettingError, "--transform 0"),
        (torch.nn.Flatten(), {"weights": "w.pt"}, SettingError, "--weights: this network has its own"),
        ("small", {"transform": 24}, SettingError, "--transform: a network by name has its own"),
        ("smalll", {"weights": ROOT / "README.md"}, RescaleError, "smalll|README"),
    ],
)
def test_a_network_that_does_not_fit_is_refused(small_glyphs, network, options, error, message):
    with pytest.raises(error, match=message):
        rf.validate(small_glyphs, network, **HERE, **options)


@pytest.mark.slow
def test_the_chain_gives_what_the_command_line_gives(small_glyphs, network, tmp_path, capsys):
    """Classes, groups, images and the betons' bytes."""
    torch.save(network.state_dict(), tmp_path / "w.pt")
    out, root = tmp_path / "out", small_glyphs.root
    settings = ("--network", "small", "--weights", tmp_path / "w.pt", "--loader", "torchvision", "--device", "cpu")
    for command in (
        ("validate", "--dataset", "folder", "--root", root, "--out", out, *settings),
        ("confuse", "--out", out),
        ("select", "--out", out, "--k", 4),
        ("group", "--out", out, "--grouping", "confused", "--num-groups", 3),
        ("sample", "--out", out, "--of", "subset", "--per-class", 8),
        ("export", "--out", out),
    ):
        assert main([str(word) for word in command]) == 0, capsys.readouterr().err
    dataset = rf.open_dataset(root)
    matrix = rf.confusion(rf.validate(dataset, "small", weights=tmp_path / "w.pt", **HERE))
    classes = rf.choose_classes(matrix, 4)
    assert classes.classes == ClassSubset.load(out / "class_subset.json").classes
    grouping = rf.group_classes(matrix, "confused", num_groups=3)
    assert grouping.labels == ClassGrouping.load(out / "class_grouping.json").labels
    images = rf.choose_images(dataset, classes, per_class=8)
    assert images.train.paths == ImageSubset.load(out / "image_subset.parquet").train.paths
    infos = rf.export_beton(dataset, images, tmp_path / "mine")
    for split in ("train", "val"):
        assert (tmp_path / "mine" / f"{split}.beton").read_bytes() == (out / f"{split}.beton").read_bytes()
        assert infos[split].num_images == len(images.split(split))


def test_origins_follow_the_chain(matrix, small_glyphs, betons):
    classes = rf.choose_classes(matrix, 4)
    assert classes.origin.config["k"] == 4
    assert rf.choose_classes(matrix, 4).origin.same_as(classes.origin)
    _, images, infos = betons
    assert images.origin.made_from["dataset"] == small_glyphs.digest
    assert infos["train"].origin.made_from == infos["val"].origin.made_from
    other = rf.choose_images(small_glyphs, rf.choose_classes(matrix, 5), per_class=8)
    assert other.origin.made_from["class_subset"] != images.origin.made_from["class_subset"]


def test_artifacts_are_saved_and_read_like_those_of_a_run_folder(matrix, tmp_path):
    classes = rf.choose_classes(matrix, 4)
    classes.save(tmp_path / "class_subset.json")
    assert ClassSubset.load(tmp_path / "class_subset.json").origin.same_as(classes.origin)


def test_images_of_groups_and_by_hand_corrected_ones(small_glyphs, matrix, tmp_path):
    grouping = rf.group_classes(matrix, "random", num_groups=3)
    path = small_glyphs.splits["train"].paths[0]
    (tmp_path / "c.csv").write_text(f"path,class\n{path},\n")
    images = rf.choose_images(small_glyphs, grouping, corrections=tmp_path / "c.csv")
    assert len(images.class_ids) == 3
    assert path not in images.train.paths
    assert len(images.train) == len(small_glyphs.splits["train"]) - 1
    assert "corrections" in images.origin.made_from
    with pytest.raises(SettingError, match="--corrections"):
        rf.choose_images(small_glyphs, grouping, corrections=tmp_path / "none.csv")
    with pytest.raises(MissingInputError, match="scores"):
        rf.choose_images(small_glyphs, grouping, images="difficulty", per_class=2)


def test_comparing_takes_subsets_ids_and_lists(matrix, small_glyphs, tmp_path):
    chosen = rf.choose_classes(matrix, 4)
    chosen.save(tmp_path / "class_subset.json")
    ids = list(chosen.class_ids)
    made = rf.compare(matrix, {"a": chosen, "b": ids[::-1], "c": str(tmp_path / "class_subset.json"), "d": ids[:2]})
    assert made.names == ("a", "b", "c", "d")
    assert made.hardness[0] == made.hardness[1] == made.hardness[2]
    assert made.hardness[0].value == chosen.facts["value"]
    assert sorted(made.at_random) == [2, 4]
    np.testing.assert_array_equal(made.shared[0], [4, 4, 4, 2])
    for wrong in (["no such class"], [], "ReIN30", str(tmp_path / "none.json")):
        with pytest.raises(RescaleError):
            rf.compare(matrix, {"x": wrong})


def test_training_is_logged_and_what_is_finished_is_read(betons, one_thread):
    folder = betons[0]
    quick = {**HERE, "epochs": 1, "train_batch_size": 8, "augment": "shift"}
    made = rf.train(folder, "small", **quick)
    assert made.num_classes == 4
    assert 0 <= made.last_top1 <= 1
    target = folder / "runs" / "small-fast-torchvision-seed0"
    assert {"weights.pt", "log.jsonl", "result.json"} <= {path.name for path in target.iterdir()}
    stamp = (target / "weights.pt").stat().st_mtime_ns
    assert rf.train(folder, "small", **quick) == made
    assert (target / "weights.pt").stat().st_mtime_ns == stamp
    with pytest.raises(SettingError, match="--loader fcv"):
        rf.train(folder, "small", **{**quick, "loader": "fcv"})
    with pytest.raises(ArtifactError):
        rf.train(folder / "none", "small", **quick)


@pytest.mark.slow
def test_the_example_takes_ten_lines_and_runs(small_glyphs, tmp_path):
    text = (ROOT / "examples" / "api.py").read_text()
    core = text[text.index("dataset = rf.") : text.index("print(")].splitlines()
    assert len(core) <= 10
    from torchvision import models

    torch.save(models.resnet18(num_classes=12).state_dict(), tmp_path / "w.pt")
    options = ["--k", 4, "--size", 32, "--batch-size", 8]
    words = [
        sys.executable,
        ROOT / "examples" / "api.py",
        small_glyphs.root,
        tmp_path / "w.pt",
        tmp_path / "o",
        *options,
    ]
    done = subprocess.run(list(map(str, words)), cwd=ROOT, capture_output=True, text=True, timeout=200, check=False)
    assert "an epoch of 5 batches, loss" in done.stdout, done.stderr


@pytest.mark.slow
def test_the_notebook_runs_and_holds_no_outputs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    notebook = json.loads((ROOT / "examples" / "api.ipynb").read_text())
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in code)
    program = "\n".join("".join(cell["source"]) for cell in code) + "\nprint(infos['train'].num_images)\n"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300, check=False)
    assert done.stdout.splitlines()[-1:] == ["160"], done.stderr


class Uniform(torch.nn.Module):
    """Says the same of every image, whatever it is taught."""

    def __init__(self, num_classes):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.num_classes = num_classes

    def forward(self, images):
        return torch.zeros(len(images), self.num_classes) * self.weight


@pytest.fixture
def by_torchvision(monkeypatch):
    from rescale_fast.loaders import beton_loader
    from rescale_fast.scores import score

    monkeypatch.setattr(score, "beton_loader", partial(beton_loader, loader="torchvision"))


def test_a_network_that_knows_nothing_scores_each_image_at_one_in_k(small_glyphs, matrix, tmp_path, by_torchvision):
    classes = rf.choose_classes(matrix, 4)
    quick = {"score_epochs": 1, "device": "cpu", "num_threads": 1}
    scores = rf.score_images(small_glyphs, classes, Uniform, folder=tmp_path / "s", **quick)
    train = small_glyphs.splits["train"]
    wanted = {path for path, label in zip(train.paths, train.labels.tolist(), strict=True) if label in classes.classes}
    assert set(scores.paths) == wanted
    np.testing.assert_array_equal(scores.probabilities, np.full((len(wanted), 4), 0.25, np.float32))
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["part-a.parquet", "part-b.parquet", "s"]
    before = [path.stat().st_mtime_ns for path in (tmp_path / "s").iterdir()]
    again = rf.score_images(small_glyphs, classes, Uniform, folder=tmp_path / "s", **quick)
    assert again.origin.same_as(scores.origin)
    assert [path.stat().st_mtime_ns for path in (tmp_path / "s").iterdir()] == before
    other = rf.score_images(small_glyphs, classes, lambda num_classes: Uniform(num_classes), **quick)
    assert not other.origin.same_as(scores.origin)
    with pytest.raises(DatasetError, match="needs|--corrections|corrected"):
        (tmp_path / "c.csv").write_text("path,class\n" + "".join(f"{path},\n" for path in sorted(wanted)[1:]))
        rf.score_images(small_glyphs, classes, Uniform, corrections=tmp_path / "c.csv", **quick)


def sure_scores(dataset, classes, wrong):
    """Scores that are sure of every image's class, but for one, which is surely of the next."""
    images = rf.choose_images(dataset, classes).train
    k = len(classes.class_ids)
    probabilities = np.full((len(images), k), 0.02 / (k - 1), np.float32)
    says = np.where(np.arange(len(images)) == wrong, (images.new_labels + 1) % k, images.new_labels)
    probabilities[np.arange(len(images)), says] = 0.98
    true = probabilities[np.arange(len(images)), images.new_labels]
    return images, says, Scores(Origin({}, {}), images.paths, images.labels, true, probabilities, (None,) * len(images))


def test_a_planted_label_error_is_listed_dropped_or_relabelled(small_glyphs, matrix, tmp_path):
    classes = rf.choose_classes(matrix, 4)
    images, says, scores = sure_scores(small_glyphs, classes, wrong=5)
    listed = rf.choose_images(small_glyphs, classes, label_errors="list", scores=scores, review=tmp_path)
    assert listed.facts == {"label_errors": 1}
    assert listed.train.paths == images.paths
    (row,) = csv.DictReader((tmp_path / "label_errors.csv").read_text().splitlines())
    assert (row["path"], row["class"]) == (images.paths[5], classes.class_ids[says[5]])
    assert "review.html" in {path.name for path in tmp_path.iterdir()}
    dropped = rf.choose_images(small_glyphs, classes, label_errors="drop", scores=scores)
    assert set(images.paths) - set(dropped.train.paths) == {images.paths[5]}
    relabelled = rf.choose_images(small_glyphs, classes, label_errors="relabel", scores=scores).train
    assert relabelled.new_labels[relabelled.paths.index(images.paths[5])] == says[5]


def test_a_copy_across_the_split_is_a_near_duplicate(small_glyphs, matrix, tmp_path):
    root = tmp_path / "set"
    for split in ("train", "val"):
        for label in "ab":
            (root / split / label).mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number, place in enumerate(["train/a", "train/a", "train/b", "val/a", "val/b"]):
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).resize((64, 64)).save(
            root / place / f"{number}.jpg", quality=95
        )
    with Image.open(root / "train/a/1.jpg") as image:
        image.resize((48, 48)).save(root / "val/b/copy.jpg")
    dataset = rf.open_dataset(root)
    classes = rf.choose_classes(rf.confusion([0, 1], [1, 0], dataset.class_ids), 2)
    made = rf.choose_images(dataset, classes, near_duplicates=4, review=tmp_path / "look", num_threads=1)
    assert made.facts == {"near_duplicates": 1}
    assert [line.split(",")[:2] for line in (tmp_path / "look/near_duplicates.csv").read_text().split()[1:]] == [
        ["train/a/1.jpg", "val/b/copy.jpg"]
    ]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"near_duplicates": 4}, SettingError, "--near-duplicates: pass review=FOLDER"),
        ({"label_errors": "list"}, SettingError, "--label-errors: pass review=FOLDER"),
        ({"review": "x"}, SettingError, "review: would have no effect"),
        ({"label_errors": "drop"}, MissingInputError, "--label-errors drop needs scores"),
        ({"configuration": "N20-M2500"}, SettingError, "--configuration N20-M2500: 4 classes were chosen"),
        ({"configuration": "N10-M5000", "per_class": 3}, SettingError, "--configuration and --per-class"),
    ],
)
def test_cleaning_that_cannot_be_done_is_refused(options, error, message, small_glyphs, matrix):
    with pytest.raises(error, match=message):
        rf.choose_images(small_glyphs, rf.choose_classes(matrix, 4), **options)


def test_errors_are_counted_as_one_would_by_hand(small_glyphs, matrix, predictions, rng, tmp_path):
    truth, guesses = rng.integers(0, 7, 101), rng.integers(-1, 9, (101, 3))
    made = rf.evaluate(truth, guesses)
    for rank in range(1, 6):
        wrong = sum(int(label not in row[:rank]) for label, row in zip(truth.tolist(), guesses.tolist(), strict=True))
        assert made.errors[rank - 1] == pytest.approx(wrong / 101)
    assert made.num_unknown == (guesses >= 7).sum()
    everything = rf.choose_images(small_glyphs, rf.choose_classes(matrix, 12))
    assert rf.evaluate(everything, predictions).errors[0] == pytest.approx(1 - predictions.accuracy)
    everything.save(tmp_path / "image_subset.parquet")
    assert rf.evaluate(tmp_path / "image_subset.parquet", predictions) == rf.evaluate(everything, predictions)


def test_a_down_sampled_set_has_pillows_pixels_and_the_command_lines_bytes(small_glyphs, matrix, tmp_path, capsys):
    classes = rf.choose_classes(matrix, 4)
    info = rf.downsample(small_glyphs, classes, tmp_path / "mine", side=8, forms=("npz", "batches"), num_threads=1)
    assert info.class_ids == classes.class_ids
    with np.load(tmp_path / "mine" / "val_data.npz") as stored:
        pixels, labels = stored["data"], stored["labels"]
    rows = list(csv.DictReader((tmp_path / "mine" / "val_images.csv").read_text().splitlines()))
    with Image.open(small_glyphs.root / rows[3]["path"]) as image:
        expected = np.asarray(image.convert("RGB").resize((8, 8), Image.Resampling.BOX)).transpose(2, 0, 1)
    np.testing.assert_array_equal(pixels[3].reshape(3, 8, 8), expected)
    assert str(labels[3]) == rows[3]["label"]
    (tmp_path / "c.txt").write_text("\n".join(classes.class_ids))
    words = ("--dataset", "folder", "--root", small_glyphs.root, "--classes", tmp_path / "c.txt", "--side", 8)
    assert main([*map(str, ("downsample", *words, "--forms", "npz", "batches", "--out", tmp_path / "out"))]) == 0
    (theirs,) = (tmp_path / "out").iterdir()
    for path in theirs.iterdir():
        if path.name != "variant.json":  # which has its name and its data set's
            assert path.read_bytes() == (tmp_path / "mine" / path.name).read_bytes(), path.name
    stamp = (tmp_path / "mine" / "val_data.npz").stat().st_mtime_ns
    assert rf.downsample(small_glyphs, classes, tmp_path / "mine", side=8, forms=("npz",)) == info
    assert (tmp_path / "mine" / "val_data.npz").stat().st_mtime_ns == stamp
    with pytest.raises(RescaleError, match="holds a set of other images"):
        rf.downsample(small_glyphs, None, tmp_path / "mine", side=8)


def test_the_callable_that_makes_a_network_is_trained_and_told_apart_by_its_code(betons, tmp_path, one_thread):
    folder = betons[0]
    paths = {split: folder / f"{split}.beton" for split in ("train", "val")}
    quick = {**HERE, "epochs": 1, "train_batch_size": 8, "augment": "shift", "folder": tmp_path}
    made = rf.train(paths, Uniform, **quick)
    assert (made.network, made.last_top1, made.num_parameters) == ("Uniform", 0.25, 1)
    weights = tmp_path / "runs" / "Uniform-fast-torchvision-seed0" / "weights.pt"
    stamp = weights.stat().st_mtime_ns
    assert rf.train(paths, Uniform, **quick) == made
    assert weights.stat().st_mtime_ns == stamp

    def twice(num_classes):
        return torch.nn.Sequential(Uniform(num_classes), torch.nn.Identity())

    first = rf.train(folder, twice, **quick).origin

    def twice(num_classes):
        return torch.nn.Sequential(Uniform(num_classes), torch.nn.Identity())  # and another code

    assert not rf.train(folder, twice, **quick).origin.same_as(first)
    assert rf.train(folder, lambda num_classes: Uniform(num_classes), **quick).network == "Uniform"
    with pytest.raises(UnknownNetworkError, match="gives 5 outputs, and there are 4 classes"):
        rf.train(folder, partial(Uniform, 5), **quick)
    with pytest.raises(UnknownNetworkError, match="ends with ZeroDivisionError"):
        rf.train(folder, lambda: 1 / 0, **quick)
    namespace = {"__name__": "nowhere", "torch": torch}
    exec("def unseen(num_classes): return torch.nn.Sequential(torch.nn.Flatten())", namespace)
    with pytest.raises(UnknownNetworkError, match="the source of unseen cannot be read"):
        rf.train(folder, namespace["unseen"], **quick)


def test_an_edit_of_betons_that_are_trained_on_is_refused(betons, tmp_path):
    folder = betons[0]
    paths = {split: folder / f"{split}.beton" for split in ("train", "val")}
    work = plan_work(paths, tmp_path, TrainSettings(epochs=1), None, "torchvision")
    with work.held():
        with pytest.raises(OutputError, match=r"train\.beton is in use by .*\(train\)"):
            append_beton(paths["train"], [paths["val"]])
        with pytest.raises(OutputError, match=r"val\.beton is in use by"):
            cut_beton(paths["train"], paths["val"], np.arange(3))
        with work.__class__(**{**vars(work), "folder": tmp_path / "other"}).held():
            pass  # another training on the same betons
    assert not [path for path in folder.iterdir() if "lock" in path.name]


class Counting(Uniform):
    """Notes with how many threads torch works."""

    seen: ClassVar[set[int]] = set()

    def forward(self, images):
        if images.shape[0] > 1:  # not the look before training
            self.seen.add(torch.get_num_threads())
        return super().forward(images)


def test_torch_trains_and_scores_with_as_many_threads_as_are_asked_for(
    betons, small_glyphs, matrix, tmp_path, one_thread, by_torchvision
):
    """So that the same number gives the same weights on the CPU, whatever OMP_NUM_THREADS says."""
    options = {**HERE, "epochs": 1, "train_batch_size": 8, "augment": "shift", "folder": tmp_path}
    rf.train(betons[0], Counting, **{**options, "num_threads": 3})
    assert Counting.seen == {3}
    assert torch.get_num_threads() == 1
    rf.score_images(small_glyphs, rf.choose_classes(matrix, 4), Counting, score_epochs=1, device="cpu", num_threads=2)
    assert Counting.seen == {2, 3}
    assert torch.get_num_threads() == 1
