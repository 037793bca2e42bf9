"""Checkpoints people have: prefixes, wrong classes, wrong networks, and files that are none."""

import re
from dataclasses import replace
from urllib.error import URLError

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


def test_safetensors_are_read(tmp_path):
    from safetensors.torch import save_file

    network = build_network("small", 7)
    save_file(network.state_dict(), tmp_path / "w.safetensors")
    other = build_network("small", 7)
    load_weights(other, read_checkpoint(tmp_path / "w.safetensors"), "w", 7)
    for key, value in network.state_dict().items():
        torch.testing.assert_close(other.state_dict()[key], value, rtol=0, atol=0)
    (tmp_path / "w.safetensors").write_bytes(b"torn")
    with pytest.raises(NetworkError, match="not a checkpoint that can be read safely"):
        read_checkpoint(tmp_path / "w.safetensors")


def test_densenets_of_old_fit_todays():
    network = build_network("densenet121", 3)
    old = {
        re.sub(r"(denselayer\d+\.(?:norm|conv))(\d)\.", r"\1.\2.", key): value
        for key, value in network.state_dict().items()
    }
    assert "features.denseblock1.denselayer1.norm.1.weight" in old
    load_weights(build_network("densenet121", 3), old, "densenet", 3)


def test_heads_that_only_training_uses_are_left_out():
    from torchvision import models

    trained = models.get_model("inception_v3", weights=None, num_classes=4, aux_logits=True, init_weights=False)
    load_weights(build_network("inception_v3", 4), trained.state_dict(), "inception", 4)


def test_inner_module_prefixes_are_dropped():
    weights = {"features.module.0.weight": torch.zeros(1)}
    assert list(state_dict_of({"state_dict": weights}, "alexnet")) == ["features.0.weight"]


def test_only_whole_parts_of_a_name_are_prefixes():
    weights = {"submodule.weight": torch.zeros(1), "_orig_mod.fc.bias": torch.zeros(1)}
    assert list(state_dict_of(weights, "w")) == ["submodule.weight", "fc.bias"]


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


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("timm:resnet5O", "timm has no network called 'resnet5O'. Did you mean .*resnet50"),
        ("timm:resnet50.nothing", "no weights tagged 'nothing', only: .*a1_in1k"),
    ],
)
def test_an_unknown_network_of_timms_gets_names_too(name, message):
    with pytest.raises(NetworkError, match=message):
        build_network(name, 10)


@pytest.mark.parametrize("name", ["small", "resnet18", "googlenet", "mobilenet_v2", "timm:mobilenetv3_small_050"])
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


@pytest.fixture
def imagenet_like(small_glyphs):
    """A data set of 1,000 classes."""
    ids = tuple(f"c{i}" for i in range(1000))
    return replace(small_glyphs, kind="imagenet", class_ids=ids, class_names=ids)


def test_timms_transforms_are_those_of_its_own_evaluation(imagenet_like):
    """Against the transform that timm makes itself: sizes, filter, mean and deviation."""
    import timm
    from timm.data import create_transform, resolve_data_config

    for name in ("resnet50", "vit_tiny_patch16_224", "mobilenetv3_large_100", "nf_resnet50", "dm_nfnet_f0"):
        config = resolve_data_config(pretrained_cfg=timm.get_pretrained_cfg(name).to_dict(), use_test_size=True)
        steps = create_transform(**config, is_training=False).transforms
        resize, crop = steps[0], steps[1]
        got = default_transform(f"timm:{name}", imagenet_like)
        size = resize.size if isinstance(resize.size, int) else tuple(resize.size)
        assert (got.resize, got.resize) == size if got.squash else got.resize == size
        assert (got.crop, got.crop) == tuple(crop.size)
        assert got.interpolation == resize.interpolation.value
        assert torch.allclose(torch.tensor(got.mean), steps[-1].mean)
        assert torch.allclose(torch.tensor(got.std), steps[-1].std)
        assert got.squash == (name == "dm_nfnet_f0")


def test_weights_of_timms_for_other_classes_are_refused_before_they_are_fetched(imagenet_like):
    choice = choose_network(imagenet_like, NetworkSettings("timm:vit_tiny_patch16_224.augreg_in21k"))
    assert choice.weights == "timm:augreg_in21k"
    with pytest.raises(NetworkError, match="are for 21,843 classes, the data set has 1,000.*augreg_in21k_ft_in1k"):
        load_network(choice, imagenet_like)


@pytest.mark.parametrize("name", ["resnet18", "timm:resnet18"])
def test_published_weights_that_cannot_be_had_are_explained(imagenet_like, tmp_path, monkeypatch, name):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("urllib.request.urlopen", unreachable)
    monkeypatch.setattr("torch.hub.urlopen", unreachable)
    with pytest.raises(NetworkError, match=r"resnet18.*\.pth: cannot be downloaded .*or pass it as --weights FILE"):
        load_network(choose_network(imagenet_like, NetworkSettings(name)), imagenet_like)


def unreachable(*_, **__):
    raise URLError("no route to host")


def test_places_weights_are_fetched_once_into_torchs_cache(small_glyphs, tmp_path, monkeypatch):
    """From a server of our own, under the address that the code asks for."""
    places = replace(small_glyphs, kind="places365")
    choice = choose_network(places, NetworkSettings("resnet18"))
    assert choice.weights.endswith("/resnet18_places365.pth.tar")
    weights = {f"module.{key}": value for key, value in build_network("resnet18", 12).state_dict().items()}
    asked = []

    def serve(url, path, *_, **__):
        asked.append(url)
        torch.save({"state_dict": weights, "arch": "resnet18"}, path)

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.download_url_to_file", serve)
    for _ in range(2):
        network, transform = load_network(choice, places)
        assert (transform.resize, transform.crop) == (256, 224)
        torch.testing.assert_close(network.conv1.weight, weights["module.conv1.weight"], rtol=0, atol=0)
    assert asked == [choice.weights]
    (tmp_path / "hub" / "checkpoints" / "resnet18_places365.pth.tar").write_bytes(b"torn")
    with pytest.raises(NetworkError, match="not a checkpoint .* delete it to have that done again"):
        load_network(choice, places)
