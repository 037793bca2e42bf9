"""Checkpoints people have: prefixes, wrong classes, wrong networks, and files that are none."""

import pytest
import torch

from rescale_fast.errors import NetworkError, SettingError
from rescale_fast.networks.build import build_network
from rescale_fast.networks.checkpoints import load_weights, read_checkpoint, state_dict_of
from rescale_fast.networks.pretrained import (
    choose_network,
    default_transform,
    load_network,
)
from rescale_fast.networks.settings import NetworkSettings


@pytest.mark.parametrize("wrap", [lambda w: w, lambda w: {"state_dict": w, "epoch": 3}, lambda w: {"model": w}])
def test_a_checkpoint_is_found_in_its_wrappings_and_loses_its_prefixes(tmp_path, wrap):
    torch.manual_seed(0)
    network = build_network("small", 7)
    prefixed = {f"module.{key}": value for key, value in network.state_dict().items()}
    torch.save(wrap(prefixed), tmp_path / "w.pt")
    other = build_network("small", 7)
    load_weights(other, read_checkpoint(tmp_path / "w.pt"), "w.pt", 7)
    images = torch.randn(2, 3, 24, 24)
    torch.testing.assert_close(other.eval()(images), network.eval()(images), rtol=0, atol=0)


def test_inner_module_prefixes_are_dropped():
    weights = {"features.module.0.weight": torch.zeros(1)}
    assert list(state_dict_of({"state_dict": weights}, "alexnet")) == ["features.0.weight"]


def test_weights_for_another_number_of_classes_are_refused():
    with pytest.raises(NetworkError, match="for 5 classes, the data set has 7"):
        load_weights(build_network("small", 7), build_network("small", 5).state_dict(), "w.pt", 7)


def test_weights_of_another_network_are_refused():
    with pytest.raises(NetworkError, match="none of its .* belongs|does not fit this network"):
        load_weights(build_network("small", 7), build_network("resnet18", 7).state_dict(), "w.pt", 7)


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04 not really a zip", b"\x80\x02}q\x00X"])
def test_a_file_that_is_no_checkpoint_is_refused(tmp_path, content):
    (tmp_path / "w.pt").write_bytes(content)
    with pytest.raises(NetworkError, match="not a checkpoint that can be read safely"):
        read_checkpoint(tmp_path / "w.pt")


class _Bomb:
    def __reduce__(self):
        return (pytest.fail, ("a checkpoint ran code",))


def test_a_checkpoint_cannot_run_code(tmp_path):
    torch.save({"state_dict": _Bomb()}, tmp_path / "w.pt")
    with pytest.raises(NetworkError, match="not a checkpoint"):
        read_checkpoint(tmp_path / "w.pt")


def test_a_tensor_is_no_state_dict(tmp_path):
    torch.save([torch.zeros(3)], tmp_path / "w.pt")
    with pytest.raises(NetworkError, match="holds no state_dict"):
        read_checkpoint(tmp_path / "w.pt")


def test_an_unknown_network_gets_the_nearest_names():
    with pytest.raises(NetworkError, match="Did you mean .*resnet50"):
        build_network("resnet5O", 10)


@pytest.mark.parametrize("name", ["small", "resnet18", "googlenet", "mobilenet_v2"])
def test_networks_have_as_many_outputs_as_classes(name):
    network = build_network(name, 13).eval()
    with torch.inference_mode():
        assert network(torch.zeros(2, 3, 64, 64)).shape == (2, 13)


def test_a_checkpoint_of_ones_own_is_used(tmp_path, small_glyphs):
    torch.save(build_network("small", 12).state_dict(), tmp_path / "w.pt")
    choice = choose_network(small_glyphs, NetworkSettings("small", tmp_path / "w.pt"))
    assert choice.weights.startswith("sha256:")
    network, transform = load_network(choice, small_glyphs)
    assert not network.training
    assert (transform.resize, transform.crop) == (24, 24)


def test_published_transforms_come_from_torchvision(small_glyphs):
    transform = default_transform("resnet50", small_glyphs)
    assert (transform.resize, transform.crop, transform.interpolation) == (232, 224, "bilinear")


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        (NetworkSettings("resnet18"), SettingError, "the network for glyphs is `small`"),
        (NetworkSettings("small", "/no/such/file.pt"), NetworkError, "no such weights file"),
    ],
)
def test_impossible_choices_are_explained(small_glyphs, settings, error, message):
    from pathlib import Path

    if settings.weights is not None:
        settings = NetworkSettings(settings.network, Path(settings.weights))
    with pytest.raises(error, match=message):
        choose_network(small_glyphs, settings)
