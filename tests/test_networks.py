"""Networks by name, with the weights and the transform that suit a data set, or a part of its classes."""

from dataclasses import replace
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch

from rescale_fast.datasets.open import open_dataset
from rescale_fast.datasets.published import imagenet_classes, places365_classes
from rescale_fast.datasets.settings import DatasetSettings
from rescale_fast.errors import NetworkError, SettingError
from rescale_fast.machine import MachineSettings
from rescale_fast.networks.build import build_network
from rescale_fast.networks.pretrained import NetworkChoice, choose_network, default_transform, load_network
from rescale_fast.networks.settings import NetworkSettings
from rescale_fast.predictions.settings import ValidateSettings
from rescale_fast.predictions.types import Predictions
from rescale_fast.run import stages
from rescale_fast.run.folder import RunFolder
from tests import old_torch
from tests.photos import photo


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
    loaded = load_network(choice, small_glyphs)
    assert not loaded.network.training
    assert (loaded.transform.resize, loaded.transform.crop) == (24, 24)
    assert loaded.notes == ()


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
    if settings.weights is not None:
        settings = NetworkSettings(settings.network, Path(settings.weights))
    with pytest.raises(error, match=message):
        choose_network(small_glyphs, settings)


def of_classes(dataset, kind, class_ids):
    return replace(dataset, kind=kind, class_ids=tuple(class_ids), class_names=tuple(class_ids))


@pytest.fixture
def imagenet_like(small_glyphs):
    """A data set of ImageNet's 1,000 classes."""
    return of_classes(small_glyphs, "imagenet", imagenet_classes())


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


@pytest.fixture
def served(tmp_path, monkeypatch):
    """Makes torch.hub get files from a function of ours; gives the addresses that were asked for."""
    asked = []

    def serve(write):
        def download(url, path, *_, **__):
            asked.append(url)
            write(url, Path(path))

        monkeypatch.setattr("torch.hub.download_url_to_file", download)
        return asked

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    return serve


@pytest.mark.parametrize("name", old_torch.PLACES)
def test_the_checkpoints_that_csail_published_load(small_glyphs, tmp_path, served, name):
    """All four, as torch 0.2 wrote them: no num_batches_tracked, `module.` anywhere; every tensor is looked at."""
    places = of_classes(small_glyphs, "places365", places365_classes())
    weights = old_torch.made_up_weights(old_torch.PLACES[name])
    asked = served(lambda _, path: old_torch.save_places_checkpoint(name, weights, path))
    choice = choose_network(places, NetworkSettings(name))
    for _ in range(2 if name == "resnet18" else 1):
        loaded = load_network(choice, places)
    assert asked == [f"http://places2.csail.mit.edu/models_places365/{name}_places365.pth.tar"]
    got = loaded.network.state_dict()
    assert len([key for key in got if not key.endswith("num_batches_tracked")]) == len(weights)
    for key, value in weights.items():
        today = key.replace(".norm.1.", ".norm1.").replace(".norm.2.", ".norm2.")
        today = today.replace(".conv.1.", ".conv1.").replace(".conv.2.", ".conv2.")
        torch.testing.assert_close(got[today], value, rtol=0, atol=0)
    assert (loaded.transform.resize, loaded.transform.crop) == (256, 224)
    assert not loaded.network.training


def test_a_damaged_download_says_what_to_delete(small_glyphs, served):
    places = of_classes(small_glyphs, "places365", places365_classes())
    served(lambda _, path: path.write_bytes(b"torn"))
    with pytest.raises(NetworkError, match="not a checkpoint .* delete it to have that done again"):
        load_network(choose_network(places, NetworkSettings("resnet18")), places)


def sliced(network, images, outputs):
    """Probabilities among some outputs, by hand: exponentials over their sum."""
    logits = network.eval()(images).double()
    among = torch.stack([logits[:, output].exp() for output in outputs], dim=1)
    return among / among.sum(1, keepdim=True)


PARTS = {
    "Imagenette": ("imagenet", "n03394916 n01440764 n02102040 n02979186 n03000684 n03028079 n03417042 n03425413"),
    "in a folder": ("folder", "n03888257 n03445777 n03394916"),
    "Places365 in a folder": ("folder", "zen_garden airfield apartment_building-outdoor"),
}


@pytest.mark.parametrize("part", PARTS)
def test_published_weights_tell_a_part_of_their_classes_apart(small_glyphs, served, monkeypatch, part):
    """Outputs by name, in the data set's order: against a list of line numbers made here."""
    kind, class_ids = PARTS[part][0], PARTS[part][1].split()
    dataset = of_classes(small_glyphs, kind, class_ids)
    torch.manual_seed(0)
    if "Places365" in part:
        whole = build_network("resnet18", 365)
        served(lambda _, path: torch.save({"state_dict": whole.state_dict()}, path))
        outputs = [places365_classes().index(class_id) for class_id in class_ids]
    else:
        whole = build_network("resnet18", 1000)
        monkeypatch.setattr("torchvision.models.get_model", lambda name, weights: whole)
        outputs = [sorted(imagenet_classes()).index(class_id) for class_id in class_ids]
    choice = choose_network(dataset, NetworkSettings("resnet18"))
    assert choice.outputs == f"{len(class_ids)} of {365 if 'Places365' in part else '1,000'}"
    loaded = load_network(choice, dataset)
    assert loaded.notes[-1].startswith(f"resnet18: {choice.outputs} outputs are used")
    images = torch.randn(3, 3, 64, 64)
    with torch.inference_mode():
        got = loaded.network(images).double().softmax(1)
        torch.testing.assert_close(got, sliced(whole, images, outputs), rtol=1e-5, atol=1e-7)


def test_timms_published_weights_tell_a_part_of_their_classes_apart(small_glyphs, monkeypatch):
    import timm

    whole = timm.create_model("resnet10t", num_classes=1000)
    monkeypatch.setattr("timm.create_model", lambda *_, **__: whole)
    class_ids = ["n09835506", "n01440764"]
    dataset = of_classes(small_glyphs, "imagenet", class_ids)
    choice = choose_network(dataset, NetworkSettings("timm:resnet10t"))
    assert (choice.weights.partition(":")[0], choice.outputs) == ("timm", "2 of 1,000")
    images = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        got = load_network(choice, dataset).network(images).double().softmax(1)
        expected = sliced(whole, images, [sorted(imagenet_classes()).index(wnid) for wnid in class_ids])
        torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("num_outputs", [3, 1000])
def test_a_checkpoint_of_ones_own_may_be_for_the_part_or_for_all(small_glyphs, tmp_path, num_outputs):
    dataset = of_classes(small_glyphs, "imagenet", ["n01443537", "n01484850", "n15075141"])
    torch.manual_seed(0)
    own = build_network("resnet18", num_outputs).eval()
    torch.save(own.state_dict(), tmp_path / "w.pt")
    loaded = load_network(choose_network(dataset, NetworkSettings("resnet18", tmp_path / "w.pt")), dataset)
    assert len(loaded.notes) == (num_outputs == 1000)
    images = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        expected = own(images) if num_outputs == 3 else own(images)[:, [1, 2, 999]]
        torch.testing.assert_close(loaded.network(images), expected)


def test_copies_of_torchvisions_files_are_told_by_their_hash(imagenet_like, tmp_path):
    """Their first weights have a transform of their own; and GoogLeNet's want their input scaled as TensorFlow's."""
    copies = [("mobilenet_v2", "b0353104", 256), ("mobilenet_v2", "7ebf99e0", 232), ("googlenet", "1378be20", 256)]
    for name, digest, resize in [*copies, ("mobilenet_v2", "00b0353104", 232)]:
        torch.save(build_network(name, 1000).state_dict(), tmp_path / "w.pth")
        loaded = load_network(NetworkChoice(name, f"sha256:{digest}00", tmp_path / "w.pth"), imagenet_like)
        assert (loaded.transform.resize, loaded.transform.crop) == (resize, 224)
        assert getattr(loaded.network, "transform_input", False) == (name == "googlenet")


def test_all_classes_are_the_network_itself(imagenet_like, monkeypatch):
    whole = build_network("resnet18", 1000)
    monkeypatch.setattr("torchvision.models.get_model", lambda name, weights: whole)
    choice = choose_network(imagenet_like, NetworkSettings("resnet18"))
    assert choice.outputs == "1,000 of 1,000"
    loaded = load_network(choice, imagenet_like)
    assert loaded.network is whole
    assert loaded.notes == ()


def test_a_folder_with_one_class_that_is_not_published_is_told_so(small_glyphs):
    dataset = of_classes(small_glyphs, "folder", ["n01440764", "n01443537", "my_fish"])
    with pytest.raises(SettingError, match="no network is known for these classes"):
        choose_network(dataset, NetworkSettings("resnet18"))


def test_validating_a_part_says_so_and_notes_it(tmp_path, rng, monkeypatch, capsys):
    """Weights for 1,000 classes lie where torch.hub had put them; three classes of images in folders."""
    class_ids = ["n01440764", "n02102040", "n03888257"]
    for class_id in class_ids:
        folder = tmp_path / "images" / "val" / class_id
        folder.mkdir(parents=True)
        for number in range(2):
            photo(rng, 80, 70).save(folder / f"{number}.jpg")
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    whole = build_network("squeezenet1_1", 1000)
    torch.save(whole.state_dict(), tmp_path / "hub" / "checkpoints" / "squeezenet1_1-b8a52dc0.pth")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    dataset = open_dataset(DatasetSettings("folder", tmp_path / "images"))
    folder, machine = RunFolder(tmp_path / "out"), MachineSettings(device="cpu", num_threads=1)
    stages.validate(folder, dataset, NetworkSettings("squeezenet1_1"), ValidateSettings("torchvision"), machine)
    assert "network  squeezenet1_1: 3 of 1,000 outputs are used" in capsys.readouterr().err
    predictions = Predictions.load(folder.predictions)
    assert predictions.origin.config["outputs"] == "3 of 1,000"
    assert predictions.class_ids == tuple(class_ids)
    np.testing.assert_allclose(predictions.top_probabilities.sum(1), 1, rtol=1e-5)
