"""`rescale-fast experiment`: its plan is what was asked for, its trainings are found again, its judge is `quality`."""

import csv
import os
import signal
from zipfile import ZipFile

import pytest

import rescale_fast as rf
from rescale_fast.errors import SettingError, TrainingError
from rescale_fast.networks.own import short_name
from rescale_fast.quality.types import Quality
from rescale_fast.run import experimenting
from rescale_fast.run.commands import main
from rescale_fast.run.experimenting import ExperimentCommand
from rescale_fast.run.parts import FULL, parts_of, usual_parts
from rescale_fast.run.plan import plan_rows
from rescale_fast.train.loop import WEIGHTS
from rescale_fast.train.settings import TrainSettings
from rescale_fast.train.types import TrainRun
from rescale_fast.train.work import Work, plan_work
from tests.conftest import mistaken_predictions

NETWORKS = """from torch import nn


def of_width(width):
    return lambda num_classes: nn.Sequential(
        nn.Conv2d(3, width, 4, 4), nn.ReLU(), nn.Flatten(), nn.Linear(16 * width, num_classes)
    )


narrow, middle, wide = of_width(2), of_width(4), of_width(8)
"""


@pytest.fixture
def words(small_glyphs, tmp_path):
    """A command line: 12 classes of 10 images, by predictions of four networks that call a class the next, at times."""
    (tmp_path / "nets.py").write_text(NETWORKS)
    given = [tmp_path / f"p{number}.parquet" for number in range(2, 6)]
    for every, path in enumerate(given, 2):
        mistaken_predictions(small_glyphs, every).save(path)
    data = ["--dataset", "folder", "--root", small_glyphs.root, "--predictions", *given]
    names = ",".join(f"{tmp_path / 'nets.py'}:{name}" for name in ("narrow", "middle", "wide"))
    how = ["--epochs", 2, "--costs", 0.5, "--seeds", 1, "--train-size", 16, "--train-batch-size", 20]
    parts = ["--parts", "random:4", "coarse:3"]
    line = ["experiment", *data, "--networks", names, *how, *parts, "--device", "cpu", "--num-threads", 1]
    return [*map(str, line), "--out", str(tmp_path / "out")]


def pretend(work, accuracy):
    """What a training leaves."""
    epochs = [
        {"epoch": 1 + epoch, "train_loss": 1.0, "val_top1": accuracy} for epoch in range(work.training.recipe.epochs)
    ]
    name, seed = short_name(work.training.network), work.training.seed
    made = TrainRun(work.origin, name, 9, 12, 16, work.training.recipe_name, seed, None, tuple(epochs))
    made.save(work.folder)
    with ZipFile(work.folder / WEIGHTS, "w") as archive:
        archive.writestr("nothing", "")
    return made


def plan_of(folder):
    with (folder / "plan.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_plan_says_each_training_and_trains_nothing(words, tmp_path):
    words.insert(words.index("coarse:3") + 1, "rank-fidelity:4")
    assert main([*words, "--plan-only", "True"]) == 0
    rows = plan_of(tmp_path / "out")
    sets = ["full", "full@0.5", "random-4-0@0.5", "coarse-3@0.5", "rank-fidelity-4@0.5"]
    assert [row["set"] for row in rows[::3]] == sets
    assert [row["images"] for row in rows[::3]] == ["240", "120", "120", "120", "120"]  # epochs times 120, 120, 40 ...
    assert [row["seed"] for row in rows[::3]] == ["0", "1", "1", "1", "1"]
    assert [row["choice"] for row in rows[6::3]] == [
        "run --k 4 --method random",
        "run --grouping confused --num-groups 3",
        "run --k 4 --method rank-fidelity",
    ]
    assert "nets.py:wide --epochs 3 --train-batch-size 20 --train-size 16 --seed 1" in rows[8]["training"]
    assert not (tmp_path / "out" / "sets").exists()


def test_an_experiment_ended_in_the_middle_goes_on_and_two_shares_are_the_whole(
    words, tmp_path, capsys, monkeypatch, one_thread
):
    """The first is really trained; the others take as long as it takes to say how they went."""
    out, trained = tmp_path / "out", []
    do = Work.do

    def counted(self, **options):
        trained.append(self.folder)
        if len(trained) == 1:
            return do(self, **options)
        if len(trained) == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return pretend(self, accuracy=0.3 + 0.01 * len(trained))

    monkeypatch.setattr(Work, "do", counted)
    # FFCV compiles for as long as all the rest takes
    monkeypatch.setattr(experimenting, "plan_work", lambda *given: plan_work(*given[:-1], "torchvision"))
    assert main([*words, "--share", "0/2"]) == 128 + signal.SIGTERM
    assert main([*words, "--share", "0/2"]) == 0
    assert len(trained) == 7 and len(set(trained)) == 6  # the one that was ended, twice
    assert "6 of 12 trainings are finished" in capsys.readouterr().out
    assert not (out / "quality-0.5").exists()
    assert main([*words, "--share", "1/2"]) == 0
    assert len(set(trained)) == 12
    made = Quality.load(out / "quality-0.5" / "quality.json")
    assert made.networks == ("narrow", "middle", "wide")
    assert {one.measured.name: one.role for one in made.sets} == {
        "full@0.5": "short",
        "random-4-0@0.5": "random",
        "coarse-3@0.5": "subset",
    }
    assert made.reference.cost == 240 and made.sets[1].measured.val_images == 48
    assert all(line in capsys.readouterr().out for line in made.advice[:1])
    again = rf.quality(out / "accuracies.csv", reference="full", unit="share")
    assert again.reference.accuracies == made.reference.accuracies
    assert main([*words, "--seeds", "2", "--plan-only", "True"]) == 0 and len(plan_of(out)) == 15


def test_costs_are_met_as_nearly_as_whole_epochs_can_and_no_seed_is_shared(rng):
    parts = dict(
        zip((FULL, *parts_of(["random:3:2", "images:5"])), rng.integers(50, 5000, (4, 2)).tolist(), strict=True)
    )
    settings = TrainSettings(epochs=30, seed=4)
    rows = plan_rows(parts, ["a", "b"], (0.05, 0.3), settings, seeds=2, part_seeds=3)
    assert len(rows) == 2 * 2 + 2 * 4 * 2 * 3
    full = 30 * parts[FULL][0]
    for row in rows:
        wanted = max(row.cost * full, row.train_images)  # at least an epoch
        assert abs(row.images - wanted) <= row.train_images / 2
    assert {row.seed for row in rows if row.cost == 1} == {4, 5}
    assert {row.seed for row in rows if row.cost < 1} == {6, 7, 8}
    assert {row.seed for row in rows[: 2 + 2 * 4 * 2]} == {4, 6}  # a seed of all comes before the next


def test_parts_are_what_their_texts_say():
    parts = {
        one.name: one for one in parts_of(["max-confusion:30", "random:30:2", "coarse:9", "images:5", "difficulty:5"])
    }
    assert list(parts) == ["max-confusion-30", "random-30-0", "random-30-1", "coarse-9", "images-5", "difficulty-5"]
    assert [one.is_random for one in parts.values()] == [False, True, True, False, True, False]
    assert parts["random-30-1"].options == "--k 30 --method random --search-seed 1"
    assert parts["difficulty-5"].options == "--classes all --images difficulty --per-class 5"
    names = [one.name for one in usual_parts(100, 1)]
    assert "max-confusion-10" in names and "random-25-2" in names and "rank-fidelity-10" not in names
    assert "rank-fidelity-10" in [one.name for one in usual_parts(100, 4)]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"parts": ("hardest:30",)}, "--parts hardest:30: expected one of max-confusion:NUMBER, .* coarse:NUMBER"),
        ({"parts": ("random",)}, "--parts random: expected one of"),
        ({"parts": ("random:30:0",)}, "--parts random:30:0: expected one of"),
        ({"parts": ("coarse:9:2",)}, "--parts coarse:9:2: expected one of"),
        ({"parts": ("max-confusion:1",)}, "--k 1: expected a whole number, 2 or more"),
        ({"parts": ("random:9:2", "random:9")}, "--parts: random-9-0 is there twice"),
        ({"parts": ("rank-fidelity:9",)}, "at least 4 networks, here are 0"),
        ({"costs": ()}, "--costs .*: expected one or more that differ"),
        ({"costs": (0.1, 0.1)}, "--costs .*: expected one or more that differ"),
        ({"costs": (0.1, 0.1000001)}, "--costs .*: expected one or more that differ"),
        ({"costs": (1.5,)}, "--costs"),
        ({"share": "5/4"}, "--share 5/4: expected I/N"),
        ({"share": "4/4"}, "--share 4/4: expected I/N"),
        ({"share": "half"}, "--share half: expected I/N"),
        ({"networks": "ResNet18,small"}, "--networks ResNet18,small: expected at least 3"),
        ({"networks": " , "}, "--networks ' , ': expected names"),
        ({"train": TrainSettings("ResNet18")}, "--train-network: would have no effect, as --networks says"),
    ],
)
def test_settings_that_no_experiment_could_follow_are_refused(settings, message):
    with pytest.raises(SettingError, match=message):
        ExperimentCommand(**settings)


def test_what_the_data_set_cannot_give_is_found_out_before_anything_is_looked_at(words, tmp_path, capsys):
    wrong = {
        "random:13": "--k 13",
        "coarse:13": "--num-groups 13",
        "images:11": "11 training images of each class are wanted",
        "images:1": "--train-batch-size 30: there are 12 training images at most",
    }
    words += ["--recipe", "chrabaszcz", "--train-batch-size", "30"]
    for part, message in wrong.items():
        words[words.index("--parts") + 1] = part
        assert main([*words, "--plan-only", "True"]) == 2, part
        assert message in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_what_cannot_be_trained_is_named_when_the_rest_is_done(words, tmp_path, capsys, monkeypatch):
    def fail(self, **options):
        if "wide" in self.training.network:
            raise TrainingError("the loss is no longer a number.")
        return pretend(self, accuracy=0.5)

    monkeypatch.setattr(Work, "do", fail)
    assert main(words) == 1
    shown = capsys.readouterr()
    assert "8 of 12 trainings are finished" in shown.out
    assert "4 trainings failed; first" in shown.err and "nets.py:wide on full with seed 0" in shown.err
    assert (tmp_path / "out" / "accuracies.csv").read_text().splitlines()[1].startswith("narrow,0.5,0.5")
