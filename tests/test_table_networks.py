"""The networks of published tables are those of their sources: layers, activations, first weights, first steps.

Expectations are written by hand from the papers' tables, and from what the repositories of the tables (that of ReIN,
nttbdrk25/ImageNetPlaces365, and Imagenet32_Scripts with Lasagne's defaults) were found to build, step for step.
"""

from collections import Counter
from math import sqrt

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from rescale_fast.networks._mobilenets import ChannelGate, SpatialGate, SqueezeGate
from rescale_fast.networks.registry import TABLE, build_for_training
from rescale_fast.train.recipe import find_recipe

pytestmark = pytest.mark.usefixtures("one_thread")

COUNTS = {  # parameters for 30 and for 1,000 classes, of what the ReIN repository builds; InceptionV4 is timm's
    "MAFNet": (3_964_972, 4_959_222),
    "MobileNetV1": (3_237_732, 4_231_982),
    "MobileNetV2": (2_263_396, 3_505_966),
    "MobileNetV3": (2_999_242, 3_931_412),
    "ShuffleNetV2": (1_284_354, 2_278_604),
    "ResNet18": (11_191_902, 11_689_512),
    "GoogLeNet": (6_004_302, 6_998_552),
    "InceptionV4": (41_188_926, 42_679_816),
    "VGG16": (134_383_454, 138_357_544),
}


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


def of_kind(network, *kinds):
    return [module for module in network.modules() if isinstance(module, kinds)]


@pytest.fixture(scope="module")
def built():
    """Each network once, for 30 classes."""
    kept = {}

    def build(name):
        if name not in kept:
            torch.manual_seed(0)
            kept[name] = build_for_training(name, 30, 64)
        return kept[name]

    return build


@pytest.mark.parametrize("name", TABLE)
def test_the_tables_networks_have_as_many_parameters_as_their_repositorys(name):
    with torch.device("meta"):
        assert tuple(count(TABLE[name](num_classes)) for num_classes in (30, 1000)) == COUNTS[name]


def test_torchvisions_networks_keep_their_names_and_are_others():
    theirs = {
        "mobilenet_v2": 2_262_302,
        "torchvision:mobilenet_v3_large": 4_240_462,
        "torchvision:googlenet": 5_630_654,
    }
    with torch.device("meta"):
        for name, number in theirs.items():
            assert count(build_for_training(name, 30, 64)) == number


# Layers


def convolutions(network):
    """(in, out, kernel, stride, grouped, bias) of each, in order, but for those of gates; all pad by half a kernel."""
    gates = {one for gate in of_kind(network, SqueezeGate, SpatialGate) for one in gate.modules()}
    found = [one for one in of_kind(network, nn.Conv2d) if one not in gates]
    assert all(one.padding[0] == one.kernel_size[0] // 2 for one in found)
    return [
        (one.in_channels, one.out_channels, one.kernel_size[0], one.stride[0], one.groups > 1, one.bias is not None)
        for one in found
    ]


def inverted(channels, expanded, out, kernel, stride):
    return [
        (channels, expanded, 1, 1, False, False),
        (expanded, expanded, kernel, stride, True, False),
        (expanded, out, 1, 1, False, False),
    ]


@pytest.mark.parametrize("name", ["MobileNetV1", "MAFNet"])
def test_mobilenet_v1s_convolutions_are_those_of_its_papers_table_without_its_last(built, name):
    units = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1)]
    expected, channels = [(3, 32, 3, 2, False, False)], 32
    for width, stride in units:
        expected += [(channels, channels, 3, stride, True, False), (channels, width, 1, 1, False, False)]
        channels = width
    assert convolutions(built(name)) == [*expected, (1024, 30, 1, 1, False, True)]
    gated = name == "MAFNet"
    assert len(of_kind(built(name), nn.ReLU)) == 27 + 13 * gated
    assert [len(of_kind(built(name), gate)) for gate in (ChannelGate, SpatialGate)] == [13 * gated] * 2


def test_mobilenet_v2s_convolutions_are_those_of_its_papers_table_with_the_first_expanded(built):
    table = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]
    expected, channels = [(3, 32, 3, 2, False, False)], 32
    for factor, width, repeats, stride in table:
        for place in range(repeats):
            expected += inverted(channels, factor * channels, width, 3, stride if place == 0 else 1)
            channels = width
    expected += [(320, 1280, 1, 1, False, False), (1280, 30, 1, 1, False, True)]
    assert convolutions(built("MobileNetV2")) == expected
    assert len(of_kind(built("MobileNetV2"), nn.ReLU6)) == 2 + 2 * 17
    assert not of_kind(built("MobileNetV2"), nn.ReLU, nn.Dropout)


def test_mobilenet_v3s_convolutions_are_those_of_its_papers_table_without_the_layer_of_1280(built):
    network, channels = built("MobileNetV3"), 16
    table = """3 16 16 - RE 1, 3 64 24 - RE 2, 3 72 24 - RE 1, 5 72 40 SE RE 2, 5 120 40 SE RE 1, 5 120 40 SE RE 1,
        3 240 80 - HS 2, 3 200 80 - HS 1, 3 184 80 - HS 1, 3 184 80 - HS 1, 3 480 112 SE HS 1, 3 672 112 SE HS 1,
        5 672 160 SE HS 2, 5 960 160 SE HS 1, 5 960 160 SE HS 1"""  # kernel, expanded, out, gate, activation, stride
    expected, activations, gates = [(3, 16, 3, 2, False, False)], [nn.Hardswish], []
    for kernel, expanded, width, gated, activation, stride in (row.split() for row in table.split(",")):
        expected += inverted(channels, int(expanded), int(width), int(kernel), int(stride))
        activations += [{"RE": nn.ReLU, "HS": nn.Hardswish}[activation]] * 2
        gates += [(int(expanded), int(expanded) // 4)] if gated == "SE" else []
        channels = int(width)
    expected += [(160, 960, 1, 1, False, False), (960, 30, 1, 1, False, True)]
    assert convolutions(network) == expected
    in_gates = {one for gate in of_kind(network, SqueezeGate) for one in gate.modules()}
    found = [type(one) for one in of_kind(network, nn.ReLU, nn.Hardswish) if one not in in_gates]
    assert found == [*activations, nn.Hardswish]
    hidden = [of_kind(gate, nn.Conv2d)[0] for gate in of_kind(network, SqueezeGate)]
    assert [(one.in_channels, one.out_channels) for one in hidden] == gates
    assert Counter(type(one) for one in in_gates)[nn.Hardsigmoid] == len(gates) == 8
    assert not of_kind(network, nn.Dropout)


def test_googlenets_convolutions_are_those_of_its_papers_table(built):
    table = [
        *((64, 96, 128, 16, 32, 32), (128, 128, 192, 32, 96, 64)),
        *((192, 96, 208, 16, 48, 64), (160, 112, 224, 24, 64, 64), (128, 128, 256, 24, 64, 64)),
        *((112, 144, 288, 32, 64, 64), (256, 160, 320, 32, 128, 128)),
        *((256, 160, 320, 32, 128, 128), (384, 192, 384, 48, 128, 128)),
    ]
    expected = [(3, 64, 7, 2), (64, 64, 1, 1), (64, 192, 3, 1)]
    channels = 192
    for one, before_three, three, before_five, five, pooled in table:
        expected += [(channels, one, 1, 1), (channels, before_three, 1, 1), (before_three, three, 3, 1)]
        expected += [(channels, before_five, 1, 1), (before_five, five, 5, 1), (channels, pooled, 1, 1)]
        channels = one + three + five + pooled
    network = built("GoogLeNet")
    assert convolutions(network) == [(*shape, False, True) for shape in expected]
    assert len(of_kind(network, nn.ReLU)) == len(expected)
    pools = Counter((one.kernel_size, one.stride, one.padding, one.ceil_mode) for one in of_kind(network, nn.MaxPool2d))
    assert pools == {(3, 2, 1, False): 4, (3, 1, 1, False): 9}
    assert not of_kind(network, nn.BatchNorm2d, nn.Dropout)


@pytest.mark.parametrize("name", ["MAFNet", "MobileNetV1", "MobileNetV2", "MobileNetV3", "ShuffleNetV2", "ResNet18"])
def test_normalisation_is_torchs_own_but_for_mafnets_spatial_gates(built, name):
    found = Counter((one.eps, one.momentum) for one in of_kind(built(name), nn.BatchNorm2d))
    assert found.pop((1e-5, 0.01), 0) == 13 * (name == "MAFNet")
    assert set(found) == {(1e-5, 0.1)}
    first = next(one for one in built(name).modules() if isinstance(one, (nn.Conv2d, nn.BatchNorm2d)))
    assert isinstance(first, nn.BatchNorm2d) == (name not in ("ShuffleNetV2", "ResNet18")), "of the input"


@pytest.mark.parametrize("size", [(5, 6), (1, 1)])
def test_mafnets_gates_weigh_by_average_and_unbiased_deviation(size):
    """By hand, in NumPy. Of a single pixel there is no unbiased deviation: it counts as zero."""
    torch.manual_seed(0)
    features = torch.randn(2, 32, *size)
    values = features.numpy()
    gate = ChannelGate(32)
    first, second = ([one.detach().numpy() for one in layer.parameters()] for layer in (gate.mlp[0], gate.mlp[2]))
    deviation = np.zeros((2, 32)) if size == (1, 1) else values.std((2, 3), ddof=1)
    hidden = np.maximum(0, np.concatenate([values.mean((2, 3)), deviation], axis=1) @ first[0].T + first[1])
    logits = hidden @ second[0].T + second[1]
    expected = values / (1 + np.exp(-logits))[:, :, None, None]
    np.testing.assert_allclose(gate(features).detach(), expected, rtol=1e-4, atol=1e-5)
    gate = SpatialGate().eval()
    maps = torch.from_numpy(np.stack([values.mean(1), values.std(1, ddof=1)], axis=1))
    logits = functional.conv2d(maps, gate.conv[0].weight, padding=3) / np.sqrt(1 + 1e-5)
    torch.testing.assert_close(gate(features), features * torch.sigmoid(logits), rtol=1e-4, atol=1e-5)


def test_equal_values_have_a_deviation_that_can_be_learnt_through():
    features = torch.zeros(2, 32, 3, 3, requires_grad=True)
    nn.Sequential(ChannelGate(32), SpatialGate())(features).sum().backward()
    assert features.grad.isfinite().all()


# First weights


def fan_in(module):
    return module.weight[0].numel()


def fan_out(module):
    return module.weight.shape[0] * module.weight[0, 0].numel()


def check_weights(modules, scale, *, uniform):
    """All weights by their own scale: uniform from -1 to 1, or normal with deviation 1."""
    modules = list(modules)
    weights = torch.cat([one.weight.detach().flatten() / scale(one) for one in modules])
    assert abs(weights.mean()) < 0.05
    assert weights.std() == pytest.approx(1 / sqrt(3) if uniform else 1, rel=0.03)
    assert (weights.abs().max() <= 1.0001) == uniform


def check_biases(modules, *, zero):
    """Zeros; or, as torch begins with, uniform up to one by the root of the fan-in."""
    biases = torch.cat([one.bias.detach() * sqrt(fan_in(one)) for one in modules if one.bias is not None])
    assert (biases.abs().max() == 0) == zero
    assert biases.abs().max() <= 1.0001


@pytest.mark.parametrize("name", ["MAFNet", "MobileNetV1", "MobileNetV2", "MobileNetV3"])
def test_mobilenets_begin_with_hes_uniform_weights_and_xaviers_in_the_head(built, name):
    *others, head = of_kind(built(name), nn.Conv2d)
    check_weights(others, lambda one: sqrt(6 / fan_in(one)), uniform=True)
    check_weights([head], lambda one: sqrt(2 / (fan_in(one) + fan_out(one))), uniform=False)
    check_biases([head], zero=False)
    if name == "MobileNetV3":
        check_biases(others, zero=True)
    if linear := of_kind(built(name), nn.Linear):  # in MAFNet's gates, as torch begins
        check_weights(linear, lambda one: sqrt(1 / fan_in(one)), uniform=True)


def test_googlenet_begins_with_xaviers_uniform_weights(built):
    layers = of_kind(built("GoogLeNet"), nn.Conv2d, nn.Linear)
    convs, linear = layers[:-1], layers[-1:]
    check_weights(convs, lambda one: sqrt(6 / (fan_in(one) + fan_out(one))), uniform=True)
    check_weights(linear, lambda one: sqrt(6 / (1024 + 30)), uniform=True)
    check_biases(layers, zero=False)


def test_resnet18_begins_with_hes_normal_weights_but_on_the_skips(built):
    convs = dict(built("ResNet18").named_modules())
    skips = [one for name, one in convs.items() if name.endswith("downsample.0")]
    others = [one for name, one in convs.items() if isinstance(one, nn.Conv2d) and one not in skips]
    assert (len(skips), len(others)) == (3, 17)
    check_weights(skips, lambda one: sqrt(1 / fan_in(one)), uniform=True)
    check_weights(others, lambda one: sqrt(2 / fan_out(one)), uniform=False)
    check_weights([built("ResNet18").fc], lambda one: sqrt(2 / 512), uniform=False)
    check_biases([built("ResNet18").fc], zero=True)


def test_shufflenet_v2_begins_as_torch_does(built):
    check_weights(of_kind(built("ShuffleNetV2"), nn.Conv2d), lambda one: sqrt(1 / fan_in(one)), uniform=True)


# First steps

IMAGES = {"MAFNet": 16, "MobileNetV3": 16, "ResNet18": 16, "GoogLeNet": 16}  # which learn of fewer; others 32


@pytest.mark.parametrize("name", [name for name in TABLE if name not in ("VGG16", "InceptionV4")])
def test_twenty_steps_of_rein_at_its_own_learning_rate_lower_the_loss(name):
    """Few images, at the smallest size with more than a pixel in the last maps: a step of fewer images is noisier, so a
    learning rate that does not diverge here is no lower than it would be. The two large ones:
    `benchmarks.bench_train --parts sanity`."""
    torch.manual_seed(0)
    network, recipe, number = build_for_training(name, 4, 33), find_recipe("rein", name), IMAGES.get(name, 32)
    smooth = functional.interpolate(torch.randn(number, 3, 4, 4), size=33, mode="bilinear")
    optimizer = torch.optim.SGD(
        network.parameters(), lr=recipe.learning_rate, momentum=0.9, weight_decay=recipe.weight_decay
    )
    losses = []
    for _ in range(20):
        loss = functional.cross_entropy(network(smooth), torch.arange(number) % 4)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert np.isfinite(losses).all()
    assert np.mean(losses[-5:]) < np.mean(losses[:5]), losses


# Wide residual networks

PRINTED = {  # Chrabaszcz et al. 2017: millions of parameters for 1,000 classes, and what their script counts
    "WRN-20-1": ("0.12", 122_744),
    "WRN-20-2": ("0.42", 415_544),
    "WRN-20-5": ("2.3", 2_323_064),
    "WRN-20-10": ("8.9", 8_932_664),
    "WRN-28-0.5": ("0.13", 126_936),
    "WRN-28-1": ("0.44", 434_552),  # 0.44 only with running statistics, which Lasagne can count, too: 436,376
    "WRN-28-2": ("1.6", 1_596_216),
    "WRN-28-5": ("9.5", 9_452_664),
    "WRN-28-10": ("37.1", 37_118_264),
    "WRN-36-0.5": ("0.44", 438_744),
    "WRN-36-1": ("1.6", 1_615_224),
    "WRN-36-2": ("6.2", 6_185_784),
    "WRN-36-5": ("37.6", 37_638_264),
}


def test_wide_networks_have_as_many_parameters_as_their_paper_prints():
    with torch.device("meta"):
        for name, (printed, number) in PRINTED.items():
            network = build_for_training(name, 1000, 32)
            assert count(network) == number
            statistics = sum(2 * one.num_features for one in of_kind(network, nn.BatchNorm2d))
            counted = number + statistics if name == "WRN-28-1" else number
            assert f"{counted / 1e6:.{len(printed.split('.')[1])}f}" == printed, name


def normalised(features, norm):
    scale = norm.weight / torch.sqrt(norm.running_var + 1e-4)
    shift = norm.bias - norm.running_mean * scale
    return torch.relu(features * scale[:, None, None] + shift[:, None, None])


def test_a_wide_networks_blocks_are_joined_as_in_its_script():
    """WRN-16-0.3: the forward pass by hand, by the order in which the script makes layers. Widths are rounded down."""
    torch.manual_seed(0)
    network = build_for_training("WRN-16-0.3", 5, 12).double().eval()
    for norm in of_kind(network, nn.BatchNorm2d):
        nn.init.normal_(norm.bias)
        nn.init.uniform_(norm.running_var, 0.5, 2)
    convs, norms = iter(of_kind(network, nn.Conv2d)), iter(of_kind(network, nn.BatchNorm2d))
    images = torch.randn(2, 3, 12, 12, dtype=torch.float64)
    with torch.no_grad():
        stem = next(convs)
        assert stem.bias is None
        features = normalised(functional.conv2d(images, stem.weight, padding=1), next(norms))
        for width, stride, first in [
            (4, 1, True),
            (4, 1, False),
            (9, 2, True),
            (9, 1, False),
            (19, 2, True),
            (19, 1, False),
        ]:
            raw = features
            active = raw if raw.shape[1] == 16 else normalised(raw, next(norms))
            one, two = next(convs), next(convs)
            assert (one.bias is None, two.bias is None, one.out_channels) == (True, False, width)
            made = normalised(functional.conv2d(active, one.weight, stride=stride, padding=1), next(norms))
            features = functional.conv2d(made, two.weight, two.bias, padding=1)
            if first:
                skip = next(convs)
                assert skip.bias is None
                raw = functional.conv2d(raw, skip.weight, stride=stride)
            features = features + raw
        pooled = normalised(features, next(norms)).mean((2, 3))
        expected = pooled @ network.head.weight.T + network.head.bias
        torch.testing.assert_close(network(images), expected)
    assert {(one.eps, one.momentum) for one in of_kind(network, nn.BatchNorm2d)} == {(1e-4, 0.1)}


def test_wide_networks_begin_with_hes_normal_weights_by_fan_in():
    torch.manual_seed(0)
    network = build_for_training("WRN-28-2", 1000, 32)
    convs = {name: one for name, one in network.named_modules() if isinstance(one, nn.Conv2d)}
    skips = [one for name, one in convs.items() if name.endswith("skip")]
    others = [one for one in convs.values() if one not in skips]
    check_weights(skips, lambda one: sqrt(6 / (fan_in(one) + fan_out(one))), uniform=True)
    check_weights(others, lambda one: sqrt(2 / fan_in(one)), uniform=False)
    check_weights([network.head], lambda one: sqrt(1 / fan_in(one)), uniform=False)
    check_biases([*others, network.head], zero=True)


def test_a_wide_network_overfits_64_images():
    torch.manual_seed(0)
    images, labels = torch.randn(64, 3, 16, 16), torch.arange(64) % 8
    network = build_for_training("WRN-10-1", 8, 32)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    losses = []
    for _ in range(30):
        loss = functional.cross_entropy(network(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        if losses[-1] < losses[0] / 10:
            return
    raise AssertionError(f"{losses[0]:.3f} fell to {losses[-1]:.3f} only")
