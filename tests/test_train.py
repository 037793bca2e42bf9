"""Recipes, the loop, resuming, ranks, and what is said when training cannot go on.

FFCV is left to processes of their own: importing it changes torch's threads. The loop takes any loader.
"""

import contextlib
import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from rescale_fast.artifact import Origin, to_json
from rescale_fast.errors import ArtifactError, SettingError, TrainingError
from rescale_fast.loaders import beton_loader
from rescale_fast.machine import MachineSettings
from rescale_fast.networks.types import IMAGENET_MEAN, IMAGENET_STD
from rescale_fast.ranks import Ranks
from rescale_fast.train import engine
from rescale_fast.train.group import Group
from rescale_fast.train.loop import CHECKPOINT, LOG, MEAN_IMAGE, WEIGHTS, train_network
from rescale_fast.train.optimizer import make_optimizer
from rescale_fast.train.plan import plan_training
from rescale_fast.train.recipe import CHRABASZCZ, FAST, REIN, OneCycle, Steps, find_recipe
from rescale_fast.train.settings import TrainSettings
from rescale_fast.train.types import TrainRun
from rescale_fast.train.work import load_finished
from tests.colours import WithDropout, write_colours
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
    assert [FAST.for_images(count).batch_size for count in (39_000, 4096, 4095, 600, 20)] == [256, 256, 128, 32, 16]
    assert FAST.for_images(600).learning_rate == pytest.approx(0.8 / 8**0.5)
    with pytest.raises(SettingError, match="--recipe slow: expected one of fast, rein, chrabaszcz"):
        find_recipe("slow", "ResNet18")


def shrunk_to(recipe):
    """The share of each parameter that one step without a gradient leaves."""
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 2)).double()
    for parameter in network.parameters():
        nn.init.ones_(parameter).grad = torch.zeros_like(parameter)
    make_optimizer(network, recipe).step()
    return {name: float(value.detach().unique()) for name, value in network.named_parameters()}


def test_a_step_without_a_gradient_shrinks_what_decays_and_nothing_else():
    """The derivative of chrabaszcz's 5e-4 times the sum of squares is 1e-3 times each; Lasagne leaves biases out."""
    scales = {"0.weight", "1.weight", "2.weight"}
    shares = shrunk_to(CHRABASZCZ)
    assert {name for name, share in shares.items() if share != 1} == scales
    assert [shares[name] for name in scales] == pytest.approx([1 - 0.01 * 1e-3] * 3, abs=1e-15)
    assert list(shrunk_to(REIN).values()) == pytest.approx([1 - 0.1 * 1e-4] * 6, abs=1e-15)
    kernels = shrunk_to(replace(REIN, decays="weights"))
    assert {name for name, share in kernels.items() if share != 1} == {"0.weight", "2.weight"}


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

    return train_network(betons, infos, training, folder, origin, **{"machine": CPU, "track": track, **options})


@pytest.mark.parametrize(
    ("recipe", "batch_size", "steps"),
    [
        ("rein", 12, [12, 12, 12, 4]),
        ("rein", 13, [13, 13, 13]),  # and one image, of which there is no deviation
        ("rein", 64, [40]),
        ("chrabaszcz", 12, [12] * 6),  # of 2 x 40 images
        ("chrabaszcz", 64, [64]),
        ("fast", 12, [12, 12, 12, 4]),
    ],
)
def test_steps_of_an_epoch_are_as_many_as_the_source_takes(colours, tmp_path, monkeypatch, recipe, batch_size, steps):
    monkeypatch.setattr(engine, "build_for_training", lambda name, classes, size, **_: WithDropout(classes))
    taken, advanced, step = [], [], engine.Trainer._step

    @contextlib.contextmanager
    def track(what, *, total, unit="images"):
        advanced.append(-total)
        yield lambda count, note="": advanced.append(count)

    def noted(self, images, labels, *rest):
        taken.append(len(labels))
        return step(self, images, labels, *rest)

    monkeypatch.setattr(engine.Trainer, "_step", noted)
    settings = replace(QUICK, recipe=recipe, train_batch_size=batch_size, epochs=2)
    train(colours, tmp_path, settings, track=track)
    assert taken == steps * 2
    assert sum(advanced) == 0, "progress ends at the total"


class InMemory:
    """Batches of a set that is not divisible by them."""

    batch_size, images_an_epoch = 3, 7

    def __init__(self, images, labels):
        self.batches = list(zip(images.split(3), labels.split(3), torch.arange(7).split(3), strict=True))

    def __len__(self):
        return len(self.batches)

    def __iter__(self):
        return iter(self.batches)


def test_the_mean_loss_is_that_of_the_images_whatever_batches_they_are_in(monkeypatch):
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 2))
    monkeypatch.setattr(engine, "build_for_training", lambda *_, **__: network)
    recipe = replace(REIN, learning_rate=1e-30)
    training = engine.Training(network="small", image_size=8, recipe=recipe, seed=0)
    images, labels = torch.arange(7 * 3 * 8 * 8).view(7, 3, 8, 8) % 256, torch.tensor([0, 1, 1, 0, 1, 0, 0])
    with engine.trainer_of(training, 2, torch.device("cpu"), engine.Advice("", "", "")) as trainer:
        loss = trainer.train_epoch(InMemory(images.byte(), labels), 0, lambda count: None)
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
    with torch.no_grad():
        whole = nn.functional.cross_entropy(network((images / 255 - mean) / std), labels)
    assert loss == pytest.approx(float(whole), rel=1e-5)


def as_the_script_prepares(pixels, mean):
    """All that Chrabaszcz et al. make of an image: {(mirrored, down, right): image}, from 0..255 to floats.

    Their steps: a 255th of it, less the mean image, mirrored or not, four zeros around it, cut out at 0..8 of these.
    """
    centred = pixels.astype(np.float32) / np.float32(255) - mean.astype(np.float32)
    copies = (np.pad(one, ((0, 0), (4, 4), (4, 4))) for one in (centred, centred[:, :, ::-1]))
    side = pixels.shape[-1]
    return {
        (mirrored, y, x): padded[:, y : y + side, x : x + side]
        for mirrored, padded in enumerate(copies)
        for y in range(9)
        for x in range(9)
    }


def test_chrabaszcz_trains_on_the_images_of_its_script_and_tests_on_them(colours, tmp_path, monkeypatch):
    monkeypatch.setattr(engine, "build_for_training", lambda name, classes, size, **_: WithDropout(classes))
    seen, logits = {True: [], False: []}, engine.Trainer._logits

    def noted(self, network, images):
        seen[self.network.training].extend(images.numpy().copy())
        return logits(self, network, images)

    monkeypatch.setattr(engine.Trainer, "_logits", noted)
    train(colours, tmp_path, replace(QUICK, recipe="chrabaszcz", epochs=1))
    stored = {}
    for split, path in colours[0].items():
        loader = beton_loader(path, split="val", batch_size=64, image_size=16, augment="shift", loader="dali")
        stored[split] = np.concatenate([images.numpy() for images, *_ in loader])
    mean = stored["train"].mean(0, dtype=np.float64) / 255
    np.testing.assert_allclose(np.load(tmp_path / MEAN_IMAGE), mean, rtol=1e-6)
    candidates = {
        (row, *how): image
        for row, pixels in enumerate(stored["train"])
        for how, image in as_the_script_prepares(pixels, mean).items()
    }
    keys, images = list(candidates), np.stack(list(candidates.values()))
    found = []
    for image in seen[True]:
        difference = np.abs(images - image).max((1, 2, 3))
        found.append(keys[difference.argmin()])
        assert difference.min() < 1e-6
        assert ((image == 0) == (candidates[found[-1]] == 0)).all(), "exactly 0 outside"
    assert sorted(key[:2] for key in found) == [(row, mirrored) for row in range(40) for mirrored in (0, 1)]
    assert len({key[2:] for key in found}) > 40, "of 81 places, for 80 images"
    np.testing.assert_allclose(np.stack(seen[False]), stored["val"] / 255 - mean, atol=1e-6)


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
    with pytest.raises(SettingError, match="fewer than one batch of 128"):
        train(colours, tmp_path, replace(QUICK, recipe="chrabaszcz", train_batch_size=128))
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
    assert letters.recipe.augment == "shift", "mirrored letters are other letters"
    assert plan_training(TrainSettings(recipe="chrabaszcz"), info, "imagenet").recipe.augment == "shift-both"
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
            "weight_decay": 0.001,
            "augment": "shift",
            "drops_last": True,
            "steps_an_epoch": 1,
            "optimizer": {"momentum": 0.9, "nesterov": False, "scaling": 1.0},
            "decays": "all-but-biases",
            "clip_norm": 0.0,
            "label_smoothing": 0.0,
            "centre": "image",
            "std": [1.0, 1.0, 1.0],
            "half_precision": False,
            "averaging": 0.0,
            "first_size": 1.0,
            "test_size": 1.0,
            "blur_pool": False,
            "reported_epoch": 31,
        },
        "seed": 0,
        "loader": "ffcv",
        "compiled": False,
        "deterministic": False,
        "flip_test": False,
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
