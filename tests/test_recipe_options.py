"""What a recipe may ask for beside the plainest training, each against torch's or timm's own or a case by hand."""

import math
from dataclasses import replace

import pytest
import timm
import timm.optim
import torch
from torch import nn

from rescale_fast.artifact import Origin
from rescale_fast.errors import NetworkError, SettingError, TrainingError
from rescale_fast.loaders import beton_loader
from rescale_fast.machine import MachineSettings
from rescale_fast.networks.blur_pool import add_blur_pool, build_for_weights
from rescale_fast.networks.build import build_network
from rescale_fast.networks.registry import build_for_training
from rescale_fast.networks.traits import normalisation_of, prototype
from rescale_fast.networks.types import IMAGENET_MEAN, IMAGENET_STD
from rescale_fast.ranks import Ranks
from rescale_fast.train import engine, precision
from rescale_fast.train.averaging import Average
from rescale_fast.train.engine import Advice, Training, trainer_of
from rescale_fast.train.group import Group
from rescale_fast.train.loop import WEIGHTS, train_network
from rescale_fast.train.optimizer import make_optimizer, parameter_groups
from rescale_fast.train.plan import plan_training
from rescale_fast.train.precision import Precision
from rescale_fast.train.recipe import FAST, FAST_ADAMW, SGD, AdamW, OneCycle, find_recipe
from rescale_fast.train.settings import TrainSettings
from rescale_fast.train.table import Cell, markdown
from rescale_fast.train.types import TrainRun
from rescale_fast.train.watch import FIRST_STEPS, LossWatch
from tests.colours import write_colours

pytestmark = pytest.mark.usefixtures("one_thread")
CPU = MachineSettings(device="cpu", num_threads=1)
QUICK = TrainSettings(epochs=1, train_batch_size=8, train_network="WRN-10-0.5")
SPARED = replace(FAST, decays="weights")


@pytest.fixture(scope="module")
def colours(tmp_path_factory):
    return write_colours(tmp_path_factory.mktemp("colours"))


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "swin_tiny_patch4_window7_224", "convnext_atto", "resnet18"])
def test_what_does_not_decay_is_what_timm_spares(name):
    with torch.device("meta"):
        network = timm.create_model(name)
    spared = network.no_weight_decay() if hasattr(network, "no_weight_decay") else ()
    theirs = timm.optim.param_groups_weight_decay(network, 5e-4, no_weight_decay_list=spared)
    expected = {id(one): group["weight_decay"] for group in theirs for one in group["params"]}
    ours = parameter_groups(network, SPARED)
    assert {id(one): group["weight_decay"] for group in ours for one in group["params"]} == expected


@pytest.mark.parametrize(("name", "embeddings"), [("vit_b_32", 2), ("swin_t", 12)])
def test_embeddings_of_torchvisions_transformers_do_not_decay(name, embeddings):
    with torch.device("meta"):
        network = build_network(name, 4)
    spared = {id(one) for one in parameter_groups(network, SPARED)[1]["params"]}
    found = [key for key, one in network.named_parameters() if id(one) in spared and one.ndim > 1]
    assert len(found) == embeddings
    assert all(key.endswith(("class_token", "pos_embedding", "relative_position_bias_table")) for key in found)


def test_a_recipe_names_its_optimiser_and_how_its_rate_goes_with_the_batch():
    sgd = make_optimizer(nn.Linear(2, 2), replace(FAST, optimizer=SGD(momentum=0.8, nesterov=True)))
    assert isinstance(sgd, torch.optim.SGD)
    assert (sgd.defaults["momentum"], sgd.defaults["nesterov"]) == (0.8, True)
    adam = make_optimizer(nn.Linear(2, 2), replace(FAST, optimizer=AdamW(0.8, 0.95), learning_rate=0.3))
    assert isinstance(adam, torch.optim.AdamW)
    assert (adam.defaults["betas"], adam.defaults["lr"]) == ((0.8, 0.95), 0.3)
    linear = replace(FAST, optimizer=SGD(scaling=1.0))
    assert linear.of_batch(64).learning_rate == pytest.approx(FAST.learning_rate / 4)
    assert FAST.of_batch(64).learning_rate == pytest.approx(FAST.learning_rate / 2)
    assert FAST_ADAMW.of_batch(64).learning_rate == pytest.approx(FAST_ADAMW.learning_rate / 2)


@pytest.mark.parametrize("how", [SGD(), AdamW()])
def test_complex_weights_are_trained_too(how):
    weight = nn.Parameter(torch.ones(2, 2, dtype=torch.complex64))
    optimizer = make_optimizer(nn.ParameterList([weight]), replace(FAST, optimizer=how))
    weight.abs().sum().backward()
    optimizer.step()
    assert (weight.detach().real < 1).all()


def test_networks_get_what_their_normalisation_asks_for():
    kinds = {
        "timm:vit_tiny_patch16_224": "layer",
        "convnext_tiny": "layer",
        "swin_t": "layer",
        "ResNet18": "other",
        "small": "other",
        "timm:resnetv2_50x1_bit": "other",
        "VGG16": "none",
        "GoogLeNet": "none",
    }
    assert {name: normalisation_of(prototype(name, 3)) for name in kinds} == kinds
    assert find_recipe("fast", "swin_t", "layer").optimizer == AdamW()
    assert find_recipe("fast", "VGG16", "none").learning_rate == pytest.approx(FAST.learning_rate / 10)
    assert find_recipe("fast", "small", "other") is FAST
    assert find_recipe("rein", "VGG16", "none").learning_rate == 0.01, "that of its paper"
    plans = [find_recipe("fast", "", kind) for kind in ("layer", "other", "none")]
    assert len({(one.epochs, one.batch_size, one.steps_an_epoch) for one in plans}) == 1, "which are planned with first"


def test_one_cycle_falls_by_a_cosine_or_a_line():
    line, cosine = OneCycle(0.2, "line"), OneCycle(0.2, "cosine")
    steps = [(step + 0.5) / 100 for step in range(100)]
    expected = [at / 0.2 if at < 0.2 else (1 - at) / 0.8 for at in steps]
    assert [line.share(step, 10, 10) for step in range(100)] == pytest.approx(expected)
    theirs = [at / 0.2 if at < 0.2 else (1 + math.cos(math.pi * (at - 0.2) / 0.8)) / 2 for at in steps]
    assert [cosine.share(step, 10, 10) for step in range(100)] == pytest.approx(theirs)


class Replacing(nn.Module):
    """Puts a new tensor where its buffer was, as some networks do; one buffer is no part of its state."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
        self.register_buffer("seen", torch.zeros(()))
        self.register_buffer("cache", torch.zeros(2), persistent=False)

    def forward(self, values):
        self.seen = self.seen + 1.5
        self.cache = torch.ones(len(values) + int(self.seen))
        return self.layers(values)


def test_the_average_is_the_one_that_a_loop_over_all_tensors_makes():
    torch.manual_seed(0)
    network = Replacing()
    average, expected = Average(network), {key: value.clone() for key, value in network.state_dict().items()}
    for step in range(4):
        network(torch.randn(5, 3))
        with torch.no_grad():
            for one in network.parameters():
                one.add_(torch.randn_like(one))
        average.follow(1 / (1 + step))
        for key, value in network.state_dict().items():
            if value.is_floating_point():
                expected[key] += (value - expected[key]) / (1 + step)
            else:
                expected[key] = value.clone()
    for key, value in average.network.state_dict().items():
        torch.testing.assert_close(value, expected[key])
    assert int(average.network.layers[1].num_batches_tracked) == 4


def test_blur_pool_is_the_blur_before_each_convolution_with_a_stride():
    torch.manual_seed(0)
    network, plain = build_network("resnet18", 3).eval(), build_network("resnet18", 3).eval()
    plain.load_state_dict(network.state_dict())
    assert add_blur_pool(network) == 6, "two in each stage but the first; the stem takes 3 channels"
    features = torch.randn(2, 64, 9, 9)
    kernel = torch.tensor([[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]]) / 16
    padded = nn.functional.pad(features, (1, 1, 1, 1))
    blurred = sum(kernel[i, j] * padded[:, :, i : i + 9, j : j + 9] for i in range(3) for j in range(3))
    torch.testing.assert_close(network.layer2[0].conv1(features), plain.layer2[0].conv1(blurred))
    torch.testing.assert_close(
        network.layer2[0].conv2(features.repeat(1, 2, 1, 1)), plain.layer2[0].conv2(features.repeat(1, 2, 1, 1))
    )


def test_weights_trained_with_blur_pool_load_into_that_network_alone():
    network = build_network("resnet18", 3)
    add_blur_pool(network)
    weights = network.state_dict()
    assert [key for key, _ in network.named_parameters()] == [
        key for key, _ in build_network("resnet18", 3).named_parameters()
    ]
    with pytest.raises(RuntimeError, match="Unexpected key"):
        build_network("resnet18", 3).load_state_dict(weights)
    again = build_for_weights("resnet18", 3, weights)
    again.load_state_dict(weights)
    images = torch.randn(1, 3, 64, 64)
    torch.testing.assert_close(again.eval()(images), network.eval()(images))
    build_for_weights("resnet18", 3, build_network("resnet18", 3).state_dict()).load_state_dict(
        build_network("resnet18", 3).state_dict()
    )


def test_a_run_says_that_its_network_has_blur_pool(colours, tmp_path, monkeypatch):
    monkeypatch.setattr(engine, "half_of", lambda device: None)
    betons, infos = colours
    plan = plan_training(replace(QUICK, train_network="small"), infos["train"], None, loader="dali")
    made = train_network(
        betons, infos, replace(plan, recipe=replace(plan.recipe, blur_pool=True)), tmp_path, Origin({}, {}), machine=CPU
    )
    assert made.network == "small+BlurPool"
    weights = torch.load(tmp_path / WEIGHTS, weights_only=True)
    build_for_weights("small", 3, weights).load_state_dict(weights)


def test_sizes_that_a_network_does_not_take_are_left_out_of_its_recipe():
    recipe = replace(FAST, epochs=4, test_size=8 / 7)
    assert recipe.tested_size(224) == 256
    assert recipe.tested_size(64) == 64, "small images are tested as they are trained on"
    assert recipe.within(lambda side: True, 224) == recipe
    fixed = recipe.within(lambda side: side == 224, 224)
    assert {fixed.size_at(epoch, 224) for epoch in range(4)} == {224}
    assert fixed.tested_size(224) == 224
    assert recipe.within(lambda side: side <= 224, 224) == replace(recipe, test_size=1.0)


def test_a_transformer_trains_at_its_one_size(colours):
    info = replace(colours[1]["train"], max_width=500, max_height=375)
    plan = plan_training(TrainSettings(train_network="timm:vit_tiny_patch16_224"), info, None)
    assert (plan.image_size, plan.recipe.first_size, plan.tested_size) == (224, 1.0, 224)
    assert isinstance(plan.recipe.optimizer, AdamW)
    grows = plan_training(TrainSettings(train_network="timm:convnext_atto"), info, None)
    assert grows.recipe.size_at(0, 224) == 160


@pytest.mark.parametrize("size", [32, 256])
def test_a_network_for_another_size_is_refused_with_the_size_to_pass(size):
    with pytest.raises(NetworkError, match=f"on images of {size} px. Pass --train-size 224, which resizes them"):
        build_for_training("timm:vit_tiny_patch16_224", 3, size)


def test_the_flip_test_is_the_mean_over_both_images_beside_the_plain_test(colours, tmp_path):
    betons, infos = colours
    plan = plan_training(replace(QUICK, flip_test=True), infos["train"], None, loader="dali")
    plan = replace(plan, recipe=replace(plan.recipe, half_precision=False))
    made = train_network(betons, infos, plan, tmp_path, Origin({}, {}), machine=CPU)
    network = build_for_training("WRN-10-0.5", 3, 16).eval()
    network.load_state_dict(torch.load(tmp_path / WEIGHTS, weights_only=True))
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
    plain = flipped = 0
    for images, labels, _ in beton_loader(betons["val"], split="val", batch_size=4, image_size=16, loader="dali"):
        pixels = (images / 255 - mean) / std
        with torch.inference_mode():
            own, mirrored = network(pixels), network(pixels.flip(3))
        plain += int((own.argmax(1) == labels).sum())
        flipped += int(((own + mirrored).argmax(1) == labels).sum())
    assert (made.epochs[-1]["val_top1"], made.epochs[-1]["val_top1_flipped"]) == (plain / 11, flipped / 11)
    assert made.figures.keys() == {"last epoch", "best epoch", "last epoch, flip test", "best epoch, flip test"}


def test_figures_of_the_flip_test_get_tables_of_their_own_with_nothing_published_beside_them():
    epochs = ({"epoch": 1, "train_loss": 1.0, "val_top1": 0.5, "val_top1_flipped": 0.625},)
    run = TrainRun(Origin({}, {}), "ResNet18", 1000, 30, 224, "rein", 0, None, epochs)
    sections = markdown([Cell("ResNet18", "ReIN30", (run,))], "Title").split("## Top-1 on val, %, ")
    assert [one.splitlines()[0] for one in sections[1:]] == [
        "last epoch",
        "best epoch",
        "last epoch, flip test",
        "best epoch, flip test",
    ]
    assert ["50.00" in one for one in sections[1:]] == [True, True, False, False]
    assert all("| ResNet18 | 62.50 |" in one for one in sections[3:])


def test_the_flip_test_is_refused_where_mirror_images_are_of_other_classes(colours):
    with pytest.raises(
        SettingError, match=r"--flip-test: the network is not trained on mirror images \(--augment shift"
    ):
        plan_training(replace(QUICK, flip_test=True), colours[1]["train"], "glyphs")


@pytest.mark.parametrize("dtype", [None, torch.bfloat16, torch.float16])
def test_a_step_in_half_precision_is_about_that_in_single(dtype):
    """float16 scales losses: its step is the same once they are scaled back, and clipped at the same norm."""
    torch.manual_seed(0)
    network, again = nn.Linear(8, 3), nn.Linear(8, 3)
    again.load_state_dict(network.state_dict())
    values, labels = torch.randn(16, 8), torch.arange(16) % 3
    recipe = replace(FAST, learning_rate=0.5, weight_decay=0.0, optimizer=SGD(momentum=0.0))
    sgd = make_optimizer(network, recipe), torch.optim.SGD(again.parameters(), lr=0.5)
    how = Precision(torch.device("cpu"), dtype)
    with how.computing():
        loss = nn.functional.cross_entropy(network(values).float(), labels)
    how.step(loss, network, sgd[0], clip_norm=0.1)
    nn.functional.cross_entropy(again(values), labels).backward()
    nn.utils.clip_grad_norm_(again.parameters(), 0.1)
    sgd[1].step()
    torch.testing.assert_close(network.weight, again.weight, rtol=1e-2, atol=1e-3)
    assert math.hypot(*(float(one.grad.norm()) for one in network.parameters())) == pytest.approx(0.1, rel=1e-3)


def test_a_step_whose_gradients_overflow_is_left_out_and_the_scale_is_part_of_the_state():
    network = nn.Linear(2, 2)
    before = network.weight.detach().clone()
    how, sgd = Precision(torch.device("cpu"), torch.float16), make_optimizer(network, FAST)
    scale = how.state()["scale"]
    how.step(network(torch.tensor([[1e38, 1.0]])).sum(), network, sgd)
    assert torch.equal(network.weight, before)
    assert how.state()["scale"] == scale / 2
    other = Precision(torch.device("cpu"), torch.float16)
    other.restore(how.state())
    assert other.state() == how.state()
    assert Precision(torch.device("cpu"), None).state() == {}


@pytest.mark.parametrize(("native", "expected"), [(True, torch.bfloat16), (False, torch.float16)])
def test_gpus_that_only_emulate_bfloat16_compute_in_float16(monkeypatch, native, expected):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation or native)
    monkeypatch.setattr(torch.cuda, "device", lambda device: torch.device("cpu"))
    assert precision.half_of(torch.device("cuda")) is expected


def test_depthwise_convolutions_over_one_pixel_train_to_the_same_weights_each_time(colours, tmp_path):
    """In bfloat16 they do not on CPUs, which is why there it is not used."""
    betons, infos = colours
    settings = replace(QUICK, train_network="MobileNetV1", learning_rate=0.14)
    plan = plan_training(settings, infos["train"], None, loader="dali")
    made = set()
    for name in "ab":
        train_network(betons, infos, plan, tmp_path / name, Origin({}, {}), machine=CPU)
        made.add((tmp_path / name / WEIGHTS).read_bytes())
    assert len(made) == 1


def test_the_loss_is_looked_at_after_each_of_the_first_steps():
    watch = LossWatch("small", 10, "Lower it.")
    assert [step for step in range(200) if watch.is_due(step, step % 120)] == [*range(FIRST_STEPS), 50, 100, 120, 170]
    watch.look(2.3, 1, 0)
    with pytest.raises(TrainingError, match="small: the loss is no longer a number in epoch 1. Lower it."):
        watch.look(math.nan, 2, 0)


def test_a_first_loss_that_is_no_number_is_not_put_down_to_the_learning_rate():
    with pytest.raises(TrainingError, match=r"small: the loss of the first step is no number, .* network makes of"):
        LossWatch("small", 10, "Lower it.").look(math.nan, 1, 0)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda: replace(FAST, averaging=math.nan), "--averaging nan: expected a number, 0 to 1"),
        (lambda: replace(FAST, averaging=2), "--averaging 2.0: expected a number, 0 to 1"),
        (lambda: replace(FAST, optimizer="adam"), "--optimizer 'adam': expected SGD or AdamW"),
        (lambda: replace(FAST, decays="foo"), "--decays foo: expected one of all, all-but-biases, weights"),
        (lambda: replace(FAST, augment="crop-alternat"), "--augment crop-alternat: expected one of crop-flip"),
        (lambda: replace(FAST, half_precision="yes"), "--half-precision 'yes': expected True or False"),
        (lambda: replace(FAST, learning_rate=-1), "--learning-rate -1.0: expected a number, more than 0"),
        (lambda: replace(FAST, std=(1.0,)), "expected the deviations of three channels"),
        (lambda: replace(FAST, centre="image"), "--first-size and --test-size must be 1"),
        (lambda: OneCycle(fall="x"), "--fall x: expected one of cosine, line"),
        (lambda: SGD(momentum=0, nesterov=True), "without --momentum"),
    ],
)
def test_senseless_recipes_are_refused_when_they_are_made(change, words):
    with pytest.raises(SettingError) as refused:
        change()
    assert words in str(refused.value)


class InTwoParts(nn.Module):
    """Gives auxiliary logits, too, but only while it is trained."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(3, 3)

    def forward(self, images):
        logits = self.head(images.mean((2, 3)))
        return (logits, logits) if self.training else logits


class Forgets(InTwoParts):
    """Its last step spoils what is averaged, and not the loss."""

    def forward(self, images):
        self.register_buffer("seen", torch.tensor(math.nan))
        return self.head(images.mean((2, 3)))


@pytest.mark.parametrize(
    ("network", "error", "words"),
    [
        (InTwoParts, NetworkError, "gives a tuple while it is trained"),
        (nn.Flatten, NetworkError, "Flatten: has no parameters with requires_grad"),
        (Forgets, TrainingError, "its weights are no numbers (seen)"),
    ],
)
def test_networks_that_cannot_be_trained_are_told_of(colours, tmp_path, monkeypatch, network, error, words):
    betons, infos = colours
    monkeypatch.setattr(engine, "build_for_training", lambda *_, **__: network())
    training = plan_training(replace(QUICK, train_network="small", recipe="rein"), infos["train"], None)
    with pytest.raises(error) as refused:
        train_network(betons, infos, training, tmp_path, Origin({}, {}), machine=CPU)
    assert words in str(refused.value)
    assert not (tmp_path / WEIGHTS).exists()


def test_a_loss_that_rises_is_told_of_once_with_the_setting_to_lower(capsys):
    steady, rising, high = (LossWatch("small", 10, "Lower --learning-rate (it is 3).") for _ in range(3))
    for epoch in range(3):
        for step in range(1, 13):
            steady.look(6.0, step, epoch)
            high.look(60.0, step, epoch)  # from the start: a network may begin so
    assert capsys.readouterr().err == ""
    for epoch in range(8):  # of fewer steps than the loss is judged over
        for step in range(1, 13):
            rising.look(2.3 * 2**epoch, step, epoch)
        rising.look(2.3 * 2**epoch, 12, epoch)  # again, as the end of an epoch has it
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("it may not learn. Lower --learning-rate (it is 3).")
    mean = 2.3 * (4 * 2 + 12 * 4 + 4 * 8) / 20  # of the second 20 steps
    assert f"small: the loss has risen to {mean:.3g} in epoch 4, from 2.3 at the start" in line


def test_a_training_that_diverges_is_told_of_with_the_setting_to_lower(colours, tmp_path, capsys):
    betons, infos = colours
    settings = replace(QUICK, epochs=8, learning_rate=300.0)
    plan = plan_training(settings, infos["train"], None, loader="dali")
    with pytest.raises(TrainingError, match=r"its weights are no numbers .* Lower the --learning-rate \(it is 300\)"):
        train_network(betons, infos, plan, tmp_path, Origin({}, {}), machine=CPU)
    assert "it may not learn. Lower the --learning-rate (it is 300)." in capsys.readouterr().err


def test_ranks_with_few_images_normalise_together_on_gpus_and_are_told_of_on_the_cpu(capsys):
    ranks = Group(Ranks(0, 4))
    network = timm.create_model("resnet10t", num_classes=2)
    keys = list(network.state_dict())
    assert ranks.normalising(network, torch.device("cuda"), 16) is network
    assert Group().normalising(network, torch.device("cuda"), 2) is network
    assert ranks.normalising(network, torch.device("cpu"), 4) is network
    assert "4 ranks get 4 images of a batch each, and normalise over these alone" in capsys.readouterr().err
    plain = nn.Linear(2, 2)
    assert ranks.normalising(plain, torch.device("cpu"), 4) is plain
    assert capsys.readouterr().err == ""
    joint = ranks.normalising(network, torch.device("cuda"), 4)
    assert list(joint.state_dict()) == keys
    kinds = {type(one) for one in joint.modules() if isinstance(one, nn.modules.batchnorm._BatchNorm)}
    assert kinds and all(issubclass(kind, nn.SyncBatchNorm) for kind in kinds)


def test_a_recipe_with_all_of_these_trains(colours):
    betons, _ = colours
    recipe = replace(
        FAST.of_batch(8), epochs=1, optimizer=AdamW(), decays="weights", clip_norm=1.0, blur_pool=True,
        schedule=OneCycle(0.1, "line"),
    )  # fmt: skip
    training = Training(network="small", image_size=16, recipe=recipe, seed=0)
    train = beton_loader(betons["train"], split="train", batch_size=8, image_size=16, loader="dali")
    with trainer_of(training, 3, torch.device("cpu"), Advice("", "", "--size")) as trainer:
        loss = trainer.train_epoch(train, 0, lambda _: None)
        state = trainer.state()
        trainer.restore(state)
    assert math.isfinite(loss)
