"""Networks by name: shapes for any number of classes and size; names that are none. test_table_networks.py has how
those of the tables are built.
"""

import pytest
import torch

from rescale_fast.errors import NetworkError, SettingError
from rescale_fast.networks.registry import TABLE, build_for_training, network_names, plain_name

pytestmark = pytest.mark.usefixtures("one_thread")

SMALLEST = {"VGG16": 32, "InceptionV4": 75}


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
    [("VGG16", 31, 32), ("InceptionV4", 64, 75), ("alexnet", 32, 64), ("vit_b_32", 64, 224)],
)
def test_sizes_that_a_network_does_not_take_are_refused(name, size, larger):
    with pytest.raises(
        NetworkError, match=f"{name} cannot tell classes on images of {size} px. Pass --train-size {larger}"
    ):
        build_for_training(name, 7, size)


@pytest.mark.parametrize("name", ["WRN-16-1", "WRN-20-0.5", "small", "timm:resnet10t", "torchvision:squeezenet1_1"])
def test_others_are_built_for_any_number_of_classes(name):
    assert build_for_training(name, 5, 32).eval()(torch.randn(2, 3, 32, 32)).shape == (2, 5)


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
