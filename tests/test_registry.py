"""Networks by name: shapes for any number of classes and size, and parameters counted by others."""

import numpy as np
import pytest
import torch

from rescale_fast.errors import NetworkError, SettingError
from rescale_fast.networks._mobilenet_v1 import ChannelGate, SpatialGate
from rescale_fast.networks.registry import TABLE, build_for_training, network_names, plain_name

pytestmark = pytest.mark.usefixtures("one_thread")

PRINTED = {  # Chrabaszcz et al. 2017: millions of parameters for 1,000 classes, as printed
    "WRN-20": {"1": "0.12", "2": "0.42", "5": "2.3", "10": "8.9"},
    "WRN-28": {"0.5": "0.13", "1": "0.44", "2": "1.6", "5": "9.5", "10": "37.1"},
    "WRN-36": {"0.5": "0.44", "1": "1.6", "2": "6.2", "5": "37.6"},
}


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize("depth", PRINTED)
def test_wide_networks_have_as_many_parameters_as_their_paper_prints(depth):
    for widening, printed in PRINTED[depth].items():
        with torch.device("meta"):
            network = build_for_training(f"{depth}-{widening}", 1000, 32)
        digits = len(printed.split(".")[1])
        assert f"{count(network) / 1e6:.{digits}f}" == printed, widening


def test_mobilenet_v1_is_timms_with_normalised_input_and_mafnet_adds_the_gates():
    import timm

    with torch.device("meta"):
        plain, gated = (build_for_training(name, 1000, 224) for name in ("MobileNetV1", "MAFNet"))
        assert count(plain) == count(timm.create_model("mobilenetv1_100", num_classes=1000)) + 2 * 3
    widths = [64, 128, 128, 256, 256, *[512] * 6, 1024, 1024]
    gates = sum(2 * c * (c // 16) + c // 16 + c // 16 * c + c + 7 * 7 * 2 + 2 for c in widths)
    assert count(gated) == count(plain) + gates


def test_the_gates_are_what_they_are_described_as(rng):
    torch.manual_seed(0)
    features = torch.randn(2, 32, 5, 6)
    values = features.numpy()
    gate = ChannelGate(32)
    first, second = gate.mlp[0], gate.mlp[2]
    both = np.concatenate([values.mean((2, 3)), np.sqrt(values.var((2, 3)) + 1e-5)], axis=1)
    hidden = np.maximum(0, both @ first.weight.detach().numpy().T + first.bias.detach().numpy())
    logits = hidden @ second.weight.detach().numpy().T + second.bias.detach().numpy()
    expected = values / (1 + np.exp(-logits))[:, :, None, None]
    np.testing.assert_allclose(gate(features).detach(), expected, rtol=1e-4, atol=1e-5)
    gate = SpatialGate().eval()
    maps = torch.from_numpy(np.stack([values.mean(1), np.sqrt(values.var(1) + 1e-5)], axis=1))
    logits = torch.nn.functional.conv2d(maps, gate.conv[0].weight, padding=3) / np.sqrt(1 + 1e-5)
    expected = features * torch.sigmoid(logits)
    torch.testing.assert_close(gate(features), expected, rtol=1e-4, atol=1e-5)


SMALLEST = {"GoogLeNet": 15, "VGG16": 32, "InceptionV4": 75}


@pytest.mark.parametrize("name", TABLE)
def test_each_network_of_the_table_takes_any_number_of_classes_and_sizes_from_its_smallest(name):
    smallest = SMALLEST.get(name, 8)
    network = build_for_training(name, 7, smallest)
    assert network.training
    network.eval()
    with torch.inference_mode():
        for size in (smallest, smallest + 1, 96):
            assert network(torch.randn(2, 3, size, size)).shape == (2, 7)


@pytest.mark.parametrize(
    ("name", "size", "larger"),
    [("GoogLeNet", 14, 16), ("InceptionV4", 64, 75), ("alexnet", 32, 64), ("vit_b_32", 64, 224)],
)
def test_sizes_that_a_network_does_not_take_are_refused(name, size, larger):
    with pytest.raises(
        NetworkError, match=f"{name} cannot tell classes on images of {size} px. Pass --train-size {larger}"
    ):
        build_for_training(name, 7, size)


@pytest.mark.parametrize("name", ["WRN-16-1", "WRN-20-0.5", "small", "timm:resnet10t", "torchvision:squeezenet1_1"])
def test_others_are_built_for_any_number_of_classes(name):
    assert build_for_training(name, 5, 32).eval()(torch.randn(2, 3, 32, 32)).shape == (2, 5)


@pytest.mark.parametrize("name", ["WRN-10-1", "MAFNet"])
def test_small_networks_overfit_64_images(name):
    torch.manual_seed(0)
    images, labels = torch.randn(64, 3, 16, 16), torch.arange(64) % 8
    network = build_for_training(name, 8, 32)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    losses = []
    for _ in range(30):
        loss = torch.nn.functional.cross_entropy(network(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        if losses[-1] < losses[0] / 10:
            return
    raise AssertionError(f"{losses[0]:.3f} fell to {losses[-1]:.3f} only")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("WRN-5-x", "called WRN-depth-widening, such as WRN-28-2"),
        ("wide_resnet28", "called WRN-depth-widening, such as WRN-28-2"),
        ("WRN-21-1", "no such wide residual network"),
        ("WRN-16-0.01", "no such wide residual network"),
        ("timm:resnet81", "timm has no network called 'resnet81'. Did you mean resnet"),
        ("resnet81", "no network is called 'resnet81'.*Did you mean"),
        ("MAFNett", "The table's: MAFNet, MobileNetV1"),
        ("torchvision:nothing", "no network is called 'nothing'"),
    ],
)
def test_unknown_names_are_explained(name, message):
    with pytest.raises(NetworkError, match=message):
        build_for_training(name, 5, 64)


def test_lists_of_names():
    assert network_names("all") == tuple(TABLE)
    assert len(TABLE) == 9
    assert network_names("wrn-28-2, mafnet,all,timm:resnet10t")[:2] == ("WRN-28-2", "MAFNet")
    assert len(network_names("MAFNet,all")) == 9
    assert plain_name("SMALL") == "SMALL"
    with pytest.raises(SettingError, match="expected names"):
        network_names(" , ")
