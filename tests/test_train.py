"""Recipes, the loop, resuming, ranks, and what is said when training cannot go on.

FFCV is left to processes of their own: importing it changes torch's threads. The loop takes any loader.
"""

import contextlib
import json
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from torch import nn

from rescale_fast.artifact import Origin, to_json
from rescale_fast.errors import ArtifactError, SettingError, TrainingError
from rescale_fast.machine import MachineSettings
from rescale_fast.ranks import Ranks
from rescale_fast.train import engine
from rescale_fast.train.group import Group
from rescale_fast.train.loop import CHECKPOINT, LOG, WEIGHTS, train_network
from rescale_fast.train.plan import plan_training
from rescale_fast.train.recipe import CHRABASZCZ, FAST, REIN, OneCycle, Steps, find_recipe
from rescale_fast.train.settings import TrainSettings
from rescale_fast.train.types import TrainRun
from rescale_fast.train.work import load_finished
from tests.colours import write_colours
from tests.conftest import ROOT

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = MachineSettings(device="cpu", num_threads=1)
QUICK = TrainSettings(epochs=4, train_batch_size=8, train_network="WRN-10-0.5")
TIMES = {"seconds", "images_per_second"}


@pytest.mark.parametrize("total", [1, 2, 3, 4, 7, 100])
def test_the_schedule_rises_then_falls_for_any_number_of_steps(total):
    rates = [OneCycle().share(step, total, 1) for step in range(total)]
    assert all(0 < rate <= 1 for rate in rates)
    top = rates.index(max(rates))
    assert rates[: top + 1] == sorted(rates[: top + 1])
    assert rates[top:] == sorted(rates[top:], reverse=True)


def test_learning_rates_fall_when_the_papers_say():
    chrabaszcz = [0.01 * CHRABASZCZ.schedule.share(5 * epoch, 5, 40) for epoch in (0, 9, 10, 20, 30, 39)]
    assert chrabaszcz == pytest.approx([0.01, 0.01, 0.002, 0.0004, 0.00008, 0.00008])
    rein = [0.1 * REIN.schedule.share(7 * epoch + 6, 7, 100) for epoch in (0, 29, 30, 60, 90, 99)]
    assert rein == pytest.approx([0.1, 0.1, 0.01, 0.001, 0.0001, 0.0001])
    assert Steps(every=1, factor=0.5).share(5, 3, 2) == 0.5


def test_a_recipe_fits_itself_to_network_batch_and_set():
    vgg = find_recipe("rein", "VGG16")
    assert (vgg.learning_rate, vgg.batch_size, vgg.epochs) == (0.01, 32, 100)
    assert find_recipe("rein", "ResNet18") == REIN
    assert REIN.of_batch(64).learning_rate == pytest.approx(0.025)
    assert REIN.for_images(300) == REIN, "a published protocol is not changed in silence"
    assert [FAST.for_images(count).batch_size for count in (39_000, 2048, 2047, 600, 20)] == [256, 256, 128, 64, 16]
    assert FAST.for_images(600).learning_rate == pytest.approx(0.1)
    with pytest.raises(SettingError, match="--recipe slow: expected one of fast, rein, chrabaszcz"):
        find_recipe("slow", "ResNet18")


def test_images_grow_to_full_size_in_steps_of_32():
    assert [FAST.size_at(epoch, 224) for epoch in (0, 4, 8, 11, 12, 15)] == [160, 192, 192, 224, 224, 224]
    assert {FAST.size_at(epoch, 32) for epoch in range(16)} == {32}
    assert {REIN.size_at(epoch, 224) for epoch in range(100)} == {224}


def run(**changes):
    top1 = (0.6, 0.5, 0.6)
    epochs = tuple({"epoch": number, "train_loss": 1.0, "val_top1": value} for number, value in enumerate(top1, 1))
    values = {"network": "small", "num_parameters": 10, "num_classes": 4, "image_size": 24, "recipe": "fast"}
    return TrainRun(Origin({"train": "x"}, {}), **values | {"seed": 0, "reported_epoch": 2, "epochs": epochs} | changes)


def test_last_best_and_reported_epoch_are_kept_apart_and_read_back(tmp_path):
    run().save(tmp_path)
    got = TrainRun.load(tmp_path)
    assert got.figures == {"last epoch": 0.6, "best epoch": 0.6, "epoch 2": 0.5}
    assert got.best_epoch == 1
    assert run(reported_epoch=4).figures.keys() == {"last epoch", "best epoch"}
    assert got == run()


def test_an_unfinished_run_is_none(tmp_path):
    (tmp_path / "log.jsonl").write_text("{}\n")
    with pytest.raises(ArtifactError, match="no such file"):
        TrainRun.load(tmp_path)


@pytest.fixture(scope="module")
def colours(tmp_path_factory):
    return write_colours(tmp_path_factory.mktemp("colours"))


def train(colours, folder, settings=QUICK, *, interrupt_in=None, loader="dali", **options):
    """Train, or be interrupted by Ctrl-C in the middle of the epoch `interrupt_in`."""
    betons, infos = colours
    training = plan_training(settings, infos["train"], None, loader=loader)
    origin = Origin({split: info.digest for split, info in infos.items()}, {"epochs": settings.epochs})

    @contextlib.contextmanager
    def track(what, *, total, unit="images"):
        done = 0

        def advance(count, note=""):
            nonlocal done
            done += count
            if interrupt_in is not None and done > total * (interrupt_in - 0.7) / settings.epochs:
                raise KeyboardInterrupt

        yield advance

    return train_network(betons, infos, training, folder, origin, machine=CPU, track=track, **options)


class WithDropout(nn.Sequential):
    """So that torch's random numbers matter, too."""

    def __init__(self, num_classes):
        super().__init__(
            nn.Conv2d(3, 8, 3, 2),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Dropout(0.3),
            nn.Flatten(),
            nn.Linear(392, num_classes),
        )


@pytest.mark.parametrize("recipe", ["fast", "chrabaszcz"])
def test_a_resumed_training_ends_as_if_it_had_not_stopped(colours, tmp_path, monkeypatch, recipe):
    monkeypatch.setattr(engine, "build_for_training", lambda name, classes, size, **_: WithDropout(classes))
    settings = replace(QUICK, recipe=recipe)
    whole = train(colours, tmp_path / "whole", settings)
    for epoch in (1, 3):
        with pytest.raises(KeyboardInterrupt):
            train(colours, tmp_path / "cut", settings, interrupt_in=epoch)
        assert not (tmp_path / "cut" / WEIGHTS).exists()
    resumed = train(colours, tmp_path / "cut", settings)
    for one, other in zip(whole.epochs, resumed.epochs, strict=True):
        assert {key: one[key] for key in one.keys() - TIMES} == {key: other[key] for key in other.keys() - TIMES}
    weights = [(tmp_path / name / WEIGHTS).read_bytes() for name in ("whole", "cut")]
    assert weights[0] == weights[1], "the same training, the same file"
    log = [json.loads(line) for line in (tmp_path / "cut" / LOG).read_text().splitlines()]
    assert log == list(resumed.epochs), "the log holds each epoch once"


def test_it_learns_and_the_weights_are_those_that_were_tested(colours, tmp_path):
    made = train(colours, tmp_path, replace(QUICK, epochs=6))
    assert made.last_top1 > 0.9
    assert made.epochs[-1]["train_loss"] < made.epochs[0]["train_loss"]
    assert made.epochs[-1]["val_top5"] == 1
    network = engine.build_for_training("WRN-10-0.5", 3, 16)
    network.load_state_dict(torch.load(tmp_path / WEIGHTS, weights_only=True))
    from rescale_fast.loaders import beton_loader
    from rescale_fast.networks.types import IMAGENET_MEAN, IMAGENET_STD

    val = beton_loader(colours[0]["val"], split="val", batch_size=4, image_size=16, loader="dali")
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
    with torch.inference_mode():
        network.eval()
        hits = sum(int((network((images / 255 - mean) / std).argmax(1) == labels).sum()) for images, labels, _ in val)
    assert hits / 11 == made.last_top1


def test_training_leaves_torch_as_it_was(colours, tmp_path):
    torch.manual_seed(7)
    before = torch.get_rng_state(), torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
    train(colours, tmp_path, replace(QUICK, epochs=1, deterministic=True))
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark) == before[1:]


def test_a_loss_that_is_no_number_stops_the_training(colours, tmp_path):
    with pytest.raises(
        TrainingError, match=r"no longer a number in epoch \d. Lower the --learning-rate \(it is 1e\+30"
    ):
        train(colours, tmp_path, replace(QUICK, learning_rate=1e30))


class TooLarge(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(3))

    def forward(self, images):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")


def test_too_little_memory_names_the_settings_to_lower(colours, tmp_path, monkeypatch):
    monkeypatch.setattr(engine, "build_for_training", lambda *_, **__: TooLarge())
    with pytest.raises(TrainingError, match="a step of 8 images of 16 px. Lower --train-batch-size or --train-size"):
        train(colours, tmp_path)


def test_a_checkpoint_of_another_training_is_refused(colours, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train(colours, tmp_path, interrupt_in=2)
    with pytest.raises(ArtifactError, match=r"stopped after 1 epochs: epochs 4 there, 5 here. Pass the same"):
        train(colours, tmp_path, replace(QUICK, epochs=5))
    other = colours[0], {"train": replace(colours[1]["train"], digest="other"), "val": colours[1]["val"]}
    with pytest.raises(ArtifactError, match="other data: train .* there, other here"):
        train(other, tmp_path)
    (tmp_path / CHECKPOINT).write_bytes(b"PK\x03\x04 nothing")
    with pytest.raises(ArtifactError, match="checkpoint.pt: not readable as a checkpoint"):
        train(colours, tmp_path)
    torch.save({"weights": torch.zeros(1)}, tmp_path / CHECKPOINT)
    with pytest.raises(ArtifactError, match="is no checkpoint of this version"):
        train(colours, tmp_path)


def test_betons_that_do_not_fit_are_refused(colours, tmp_path):
    betons, infos = colours
    fewer = {split: replace(info, class_ids=info.class_ids[:2]) for split, info in infos.items()}
    with pytest.raises(ArtifactError, match="sample 2 has the label 2, but the JSON beside it names 2 classes"):
        train((betons, fewer), tmp_path)
    with pytest.raises(ArtifactError, match=r"train.beton has 2 classes from 'a' to 'b', val.beton 3 from 'a' to 'c'"):
        train((betons, {"train": fewer["train"], "val": infos["val"]}), tmp_path)
    with pytest.raises(SettingError, match="fewer than one batch of 64"):
        train(colours, tmp_path, replace(QUICK, train_batch_size=64))
    with pytest.raises(SettingError, match="--train-batch-size 8: expected a multiple of 3"):
        train(colours, tmp_path, group=Group(Ranks(0, 3)))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 0}, "--epochs 0"),
        ({"train_batch_size": 1}, "--train-batch-size 1"),
        ({"learning_rate": 0.0}, "--learning-rate 0"),
        ({"train_size": 4}, "--train-size 4"),
        ({"seed": -1}, "--seed -1"),
    ],
)
def test_impossible_settings_are_refused(colours, changes, message):
    with pytest.raises(SettingError, match=message):
        plan_training(replace(QUICK, **changes), colours[1]["train"], None)


def test_plans_are_resolved_from_the_data(colours):
    info = colours[1]["train"]
    plan = plan_training(TrainSettings(), info, "glyphs")
    assert (plan.network, plan.image_size, plan.recipe.augment, plan.recipe.batch_size) == ("small", 16, "shift", 16)
    large = plan_training(TrainSettings(), replace(info, max_width=500, max_height=400), "imagenet")
    assert (large.network, large.image_size, large.recipe.augment) == ("ResNet18", 224, "crop-flip")
    letters = plan_training(TrainSettings(recipe="chrabaszcz"), info, "glyphs")
    assert not letters.recipe.mirrored_copies, "mirrored letters are other letters"
    assert plan_training(TrainSettings(recipe="chrabaszcz"), info, "imagenet").recipe.mirrored_copies
    other = plan_training(replace(QUICK, train_network="timm:resnet10t", seed=3), info, None, loader="dali")
    assert other.folder_name == "timm-resnet10t-fast-dali-seed3"


def test_two_ranks_train_as_one_and_count_each_validation_image_once(colours, tmp_path):
    folder = colours[0]["train"].parent
    script = [ROOT / "tests" / "ddp_train.py", folder]
    launcher = ["-m", "torch.distributed.run", "--nproc-per-node", 2, "--standalone"]
    for name, program in (("one", script), ("two", [*launcher, *script])):
        command = [sys.executable, *program, tmp_path / name]
        done = subprocess.run(list(map(str, command)), cwd=ROOT, capture_output=True, text=True, timeout=400)
        assert done.returncode == 0, done.stderr
    one, two = (TrainRun.load(tmp_path / name) for name in ("one", "two"))
    assert [epoch["ranks"] for epoch in (*one.epochs, *two.epochs)] == [1, 1, 1, 2, 2, 2]
    for a, b in zip(one.epochs, two.epochs, strict=True):
        assert a["train_loss"] == pytest.approx(b["train_loss"], rel=1e-3)
        assert a["val_top1"] * 11 == pytest.approx(round(a["val_top1"] * 11)), "11 images on 2 ranks, each once"
        assert a["val_top1"] == b["val_top1"]
    weights = [torch.load(tmp_path / name / WEIGHTS, weights_only=True) for name in ("one", "two")]
    for key in weights[0]:
        torch.testing.assert_close(weights[0][key], weights[1][key], rtol=1e-3, atol=1e-4)
    assert "Terminated (SIGTERM). The training is saved after step 3 of epoch 2." in done.stderr, "by all ranks at once"
    whole, cut = (tmp_path / "two" / name for name in ("whole", "cut"))
    assert (whole / WEIGHTS).read_bytes() == (cut / WEIGHTS).read_bytes()
    losses = [
        [json.loads(line)["train_loss"] for line in (path / LOG).read_text().splitlines()] for path in (whole, cut)
    ]
    assert losses[0] == losses[1]
    assert len(losses[0]) == 3


def test_what_a_finished_training_was_made_with_is_noted_as_ever(colours):
    """Else those finished before would be trained anew. The settings are those of a result.json of 2026."""
    noted = {
        "network": "small",
        "image_size": 16,
        "recipe_name": "chrabaszcz",
        "recipe": {
            "epochs": 40,
            "batch_size": 128,
            "learning_rate": 0.01,
            "schedule": {"every": 10, "factor": 0.2},
            "weight_decay": 0.0005,
            "augment": "shift",
            "steps_an_epoch": 1,
            "nesterov": False,
            "label_smoothing": 0.0,
            "mirrored_copies": False,
            "std": [1.0, 1.0, 1.0],
            "bfloat16": False,
            "averaging": 0.0,
            "first_size": 1.0,
            "reported_epoch": 31,
        },
        "seed": 0,
        "loader": "ffcv",
        "compiled": False,
        "deterministic": False,
    }
    assert to_json(plan_training(TrainSettings(recipe="chrabaszcz"), colours[1]["train"], "glyphs")) == noted


def test_a_finished_run_without_sound_weights_is_not_reused(tmp_path):
    run().save(tmp_path)
    with pytest.raises(ArtifactError, match=r"weights\.pt: no such file"):
        load_finished(tmp_path)
    torch.save({"weight": torch.arange(1000.0)}, tmp_path / WEIGHTS)
    assert load_finished(tmp_path) == run()
    content = bytearray((tmp_path / WEIGHTS).read_bytes())
    at = content.index(torch.arange(500.0, 510.0).numpy().tobytes())
    content[at] ^= 1
    (tmp_path / WEIGHTS).write_bytes(content)
    with pytest.raises(ArtifactError, match=r"weights\.pt: .* is damaged"):
        load_finished(tmp_path)
    (tmp_path / WEIGHTS).write_bytes(content[:-100])
    with pytest.raises(ArtifactError, match=r"weights\.pt: not readable as weights"):
        load_finished(tmp_path)
