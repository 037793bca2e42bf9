"""Somebody's own script adds one entry of each kind, in one place, and the command line has it."""

import csv
import os
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

import rescale_fast as rf
from rescale_fast.artifact import read_json
from rescale_fast.class_subset.choose import METHODS
from rescale_fast.class_subset.settings import SelectSettings
from rescale_fast.class_subset.types import ClassGrouping, ClassSubset
from rescale_fast.errors import SettingError
from rescale_fast.export.types import FilesInfo
from rescale_fast.run.commands import COMMANDS
from rescale_fast.settings import OneOf, Settings, hints_of, notes_of
from rescale_fast.train.types import TrainRun

MINE = '''
"""What a researcher adds: one entry of each kind."""

import numpy as np

from rescale_fast.class_subset.choose import METHODS
from rescale_fast.class_subset.group import GROUPINGS, Grouping
from rescale_fast.class_subset.published import PUBLISHED, PublishedList
from rescale_fast.datasets.folder import open_folder
from rescale_fast.datasets.open import LAYOUTS
from rescale_fast.export.files import FORMS
from rescale_fast.loaders import LOADERS
from rescale_fast.loaders.augment import AUGMENTS, Augmentation
from rescale_fast.networks._small_net import SmallNet
from rescale_fast.networks.registry import TABLE
from rescale_fast.predictions.validate import LOADERS as LOOKING
from rescale_fast.small.write import FORMS as SMALL_FORMS
from rescale_fast.train.recipe import RECIPES, OneCycle, Recipe


def last_classes(confusion, settings, *_):
    return np.arange(confusion.num_classes)[-settings.k:], "mine-method", {}


def halves(confusion, settings):
    half = confusion.num_classes // 2
    return [("low", "low", list(range(half))), ("high", "high", list(range(half, confusion.num_classes)))]


def write_list(target, images, subset):
    (target / "images.txt").write_text("".join(f"{image.label} {image.path.name}\\n" for image in images))


def write_labels(folder, split, images, classes, shape, origin, advance):
    (folder / f"{split}.txt").write_text(" ".join(map(str, images.classes)))
    return {f"{split}.txt": (folder / f"{split}.txt").stat().st_size}


SMALL_FORMS["mine-small-form"] = write_labels
METHODS["mine-method"] = last_classes
GROUPINGS["mine-grouping"] = Grouping(halves)
PUBLISHED["Mine3"] = PublishedList("Mine3", "mine", "nobody, 2026", ("class_1", "class_2", "class_3"))
LAYOUTS["mine-layout"] = lambda root: open_folder(root / "deep" / "down")
FORMS["mine-form"] = write_list
AUGMENTS["mine-augment"] = Augmentation(mirrors="randomly")
LOADERS["mine-loader"] = LOADERS["torchvision"]
LOOKING["mine-reader"] = LOOKING["torchvision"]
TABLE["MineNet"] = SmallNet
RECIPES["mine-recipe"] = Recipe(
    epochs=1, batch_size=16, learning_rate=0.1, schedule=OneCycle(), weight_decay=0.0, augment="mine-augment"
)
'''
SCRIPT = """
import sys

import mine
from rescale_fast.run.commands import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
"""
SHOWN = {
    "select": ("mine-method", "Mine3"),
    "group": ("mine-grouping",),
    "validate": ("mine-layout", "mine-reader"),
    "downsample": ("mine-layout", "mine-small-form"),
    "export": ("mine-form",),
    "train": ("mine-recipe", "mine-augment", "mine-loader"),
}


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    """Run the script with the package beside it, and return what it prints."""
    place = tmp_path_factory.mktemp("scratch")
    (place / "mine").mkdir()
    (place / "mine" / "__init__.py").write_text(MINE)
    (place / "script.py").write_text(SCRIPT)
    images = place / "images" / "deep" / "down"
    for split, number in (("train", 8), ("val", 4)):
        for label in range(6):
            folder = images / split / f"class_{label}"
            folder.mkdir(parents=True)
            for i in range(number):
                _draw(folder / f"{i}.jpg", 40 * label + i)
    counts = [["", *(f"class_{i}" for i in range(6))]]
    counts += [[f"class_{i}", *(4 - i if i == j else i % 2 + 1 for j in range(6))] for i in range(4)]
    counts += [[f"class_{i}", *(1 for _ in range(6))] for i in (4, 5)]
    with (place / "confusion.csv").open("w", newline="") as file:
        csv.writer(file).writerows(counts)

    def run(*arguments, code=0):
        done = subprocess.run(
            [sys.executable, "script.py", *map(str, arguments)],
            cwd=place,
            capture_output=True,
            text=True,
            env={**os.environ, "COLUMNS": "300", "OMP_NUM_THREADS": "1"},
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    run.place = place
    return run


def _draw(path: Path, level: int) -> None:
    from PIL import Image

    Image.new("RGB", (32, 32), (level % 256, 128, 255 - level % 256)).save(path)


@pytest.mark.parametrize("command", SHOWN)
def test_help_shows_what_somebody_added(script, command):
    text = script(command, "--help-all")
    assert all(name in text for name in SHOWN[command])


def test_what_somebody_added_does_the_work_of_each_stage(script):
    """The layout opens, the method chooses, the form writes, and the recipe trains the network through the loader."""
    data = ("--dataset", "mine-layout", "--root", script.place / "images")
    confusion = ("--confusion", script.place / "confusion.csv")
    training = ("--recipe", "mine-recipe", "--train-network", "minenet", "--train-size", "16", "--device", "cpu")
    script("run", *data, *confusion, "--k", "2", "--method", "mine-method", *training, "--out", "chosen")
    chosen = ClassSubset.load(script.place / "chosen" / "class_subset.json")
    assert (chosen.method, chosen.class_ids) == ("mine-method", ("class_4", "class_5"))
    made = TrainRun.load(script.place / "chosen" / "runs" / "MineNet-mine-recipe-seed0")
    assert (made.recipe, len(made.epochs)) == ("mine-recipe", 1)

    script("train", "--out", "chosen", *training, "--loader", "mine-loader", "--seed", "1")
    TrainRun.load(script.place / "chosen" / "runs" / "MineNet-mine-recipe-mine-loader-seed1")

    script("downsample", *data, "--forms", "mine-small-form", "--side", "8", "--out", "small")
    (labels,) = script.place.glob("small/*/val.txt")
    assert sorted(labels.read_text().split()) == sorted("012345" * 4)

    script("export", "--out", "chosen", "--form", "mine-form")
    folder = script.place / "chosen" / "mine-form" / "val"
    assert FilesInfo.load(folder / FilesInfo.NAME).form == "mine-form"
    assert len((folder / "images.txt").read_text().splitlines()) == 2 * 4

    script("group", "--out", "chosen", "--grouping", "mine-grouping")
    grouped = ClassGrouping.load(script.place / "chosen" / "class_grouping.json")
    assert grouped.labels == ((0, 1, 2), (3, 4, 5))
    script("select", "--out", "chosen", "--published", "mine-3")
    chosen = ClassSubset.load(script.place / "chosen" / "class_subset.json")
    assert chosen.class_ids == ("class_1", "class_2", "class_3")
    assert read_json(script.place / "chosen" / "class_subset.json", chosen.schema)["method"] == "Mine3"


def test_a_misspelt_name_is_refused_with_all_there_are(script):
    text = script("select", "--out", "nowhere", "--method", "mine-methd", code=2)
    assert "mine-methd" in text
    assert all(name in text for name in ("max-confusion", "random", "mine-method"))
    text = script(
        "group", "--out", "nowhere", "--confusion", script.place / "confusion.csv", "--grouping", "mine", code=2
    )
    assert "neither a file nor one of random, confused" in text
    assert "mine-grouping" in text


def test_a_name_that_is_taken_is_refused():
    with pytest.raises(SettingError, match="'random' is there already, beside max-confusion, validation-outcomes"):
        METHODS["random"] = METHODS["max-confusion"]


def registries(kind):
    for field in fields(kind):
        for note in notes_of(hints_of(kind)[field.name]):
            if isinstance(note, OneOf):
                yield note
        if isinstance(hints_of(kind)[field.name], type) and issubclass(hints_of(kind)[field.name], Settings):
            yield from registries(hints_of(kind)[field.name])


@pytest.mark.parametrize(
    "registry", sorted({one.registry for c in COMMANDS.values() for one in registries(c.settings)})
)
def test_every_registry_that_settings_name_is_there_and_says_its_names(registry):
    note = OneOf(registry)
    assert note.entries
    assert all(name in note and name in str(note) for name in note.entries)
    assert "nothing" not in note


def test_choices_from_python_are_those_of_the_moment(monkeypatch):
    with pytest.raises(SettingError, match="--method mine: expected one of max-confusion, .*random"):
        SelectSettings(method="mine")
    monkeypatch.setitem(METHODS, "mine", METHODS["random"])
    assert SelectSettings(method="mine").method == "mine"


@pytest.mark.parametrize(
    "made",
    [
        ([1, 1, 2], "mine", {}),
        ([-1, 2], "mine", {}),
        ([0, 99], "mine", {}),
        ([], "mine", {}),
        ([0.5, 1.5], "mine", {}),
        ([True, False], "mine", {}),
        ([0, 1], None, {}),
        ([0, 1], "mine", {"what": object()}),
        None,
    ],
)
def test_a_method_that_does_not_do_as_it_should_is_named(made, monkeypatch):
    monkeypatch.setitem(METHODS, "odd", lambda *_: made)
    matrix = rf.confusion([0, 1, 2, 3], [1, 0, 3, 2], ["a", "b", "c", "d"])
    with pytest.raises(SettingError, match="--method odd: gives"):
        rf.choose_classes(matrix, 2, method="odd")


def test_labels_of_a_method_may_come_in_any_order(monkeypatch):
    monkeypatch.setitem(METHODS, "odd", lambda *_: (np.array([3, 1], np.int32), "mine", {}))
    made = rf.choose_classes(rf.confusion([0, 1, 2, 3], [1, 0, 3, 2], ["a", "b", "c", "d"]), 2, method="odd")
    assert made.classes == (1, 3)
