"""Pre-trained networks: torchvision's and timm's for ImageNet, CSAIL's for Places365, a checkpoint of one's own,
and for glyphs a small network that was trained here; each with the transform it was evaluated with.

Sources: torchvision.models (ImageNet-1k weights, checked against the hash in their name); timm (Wightman, PyTorch Image
Models); CSAILVision/places365 (Zhou et al., "Places: A 10 million image database for scene recognition", TPAMI 2017;
it publishes no hashes), whose evaluation resizes to 256 and crops 224.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import URLError

from rescale_fast.artifact import Origin, file_sha256
from rescale_fast.datasets.types import Dataset
from rescale_fast.errors import NetworkError, SettingError
from rescale_fast.networks import glyph_network
from rescale_fast.networks.blur_pool import build_for_weights
from rescale_fast.networks.build import TIMM, build_network, check_timm_name, check_torchvision_name
from rescale_fast.networks.checkpoints import download, download_failed, read_checkpoint
from rescale_fast.networks.own import check_outputs, code_digest, is_reference, num_outputs, short_name
from rescale_fast.networks.published import PublishedOutputs, published_outputs
from rescale_fast.networks.settings import NetworkSettings
from rescale_fast.networks.transforms import of_preset, transform_for
from rescale_fast.networks.types import EvalTransform
from rescale_fast.networks.weights import count_outputs, fit_names, load_weights, names_taken

if TYPE_CHECKING:
    from torch import nn

PLACES365_NETWORKS = ("alexnet", "densenet161", "resnet18", "resnet50")
PLACES365_URL = "http://places2.csail.mit.edu/models_places365/{}_places365.pth.tar"
DEFAULT_NETWORKS = {"imagenet": "resnet50", "places365": "resnet50", "glyphs": "small"}
OF_CODE = "of its own code"  # weights, of a network by reference


@dataclass(frozen=True)
class NetworkChoice:
    """A network that has been decided on but not loaded: cheap to make, so that reuse can be checked first."""

    name: str
    weights: str  # what identifies them: "sha256:...", "torchvision:DEFAULT", "timm:TAG", a URL, "trained:...", OF_CODE
    file: Path | None  # of the user's own checkpoint
    outputs: str | None = None  # of published weights, how many are used, such as "100 of 1,000"

    def origin(self, dataset: Dataset, loader: str) -> Origin:
        """What predictions by it are made from; `loader` is what reads the images."""
        return Origin(
            {"dataset": dataset.digest, **code_digest(self.name)},
            {"network": short_name(self.name), "weights": self.weights, "outputs": self.outputs, "loader": loader},
        )

    @property
    def trained_here(self) -> bool:
        """Whether it is the network for glyphs, which nobody publishes."""
        return self.weights.startswith("trained:")


@dataclass(frozen=True)
class LoadedNetwork:
    """A network in evaluation mode that gives a logit for each class of a data set."""

    network: "nn.Module"
    transform: EvalTransform  # how it wants its images
    notes: tuple[str, ...] = ()  # what a person should know of its weights, in words


def choose_network(dataset: Dataset, settings: NetworkSettings) -> NetworkChoice:
    """Decide which network and weights suit the data set, whose classes may be a part of those of published weights.

    Raises: SettingError when the data set has no published weights and no --weights FILE is given;
        NetworkError when that file is missing.
    """
    published = published_outputs(dataset)
    name = settings.network or DEFAULT_NETWORKS.get(published.kind if published else dataset.kind)
    if settings.weights is not None:
        if name is None:
            raise SettingError("--weights FILE needs --network NAME, the network it is a checkpoint of.")
        file = settings.weights.expanduser().resolve()
        if not file.is_file():
            raise NetworkError(f"{file}: {'is a folder, expected a' if file.is_dir() else 'no such'} weights file.")
        return NetworkChoice(name, f"sha256:{file_sha256(file)}", file)
    if name is not None and is_reference(name):
        return NetworkChoice(name, OF_CODE, None)
    if dataset.kind == "glyphs":
        if name != "small":
            raise SettingError(f"--network {name}: the network for glyphs is `small`; others need --weights FILE.")
        return NetworkChoice("small", f"trained:{glyph_network.RECIPE}", None)
    if published is None or name is None:
        raise SettingError(
            f"--dataset {dataset.kind}: no network is known for these classes. Pass --network NAME --weights FILE, "
            "a checkpoint with their number of outputs; or --predictions or --confusion made elsewhere."
        )
    weights = _imagenet_weights(name) if published.kind == "imagenet" else _places365_weights(name)
    return NetworkChoice(name, weights, None, str(published))


def _imagenet_weights(name: str) -> str:
    if name.startswith(TIMM):
        return f"timm:{_timm_config(name).tag}"
    check_torchvision_name(name)
    return "torchvision:DEFAULT"


def _places365_weights(name: str) -> str:
    if name not in PLACES365_NETWORKS:
        raise SettingError(
            f"--network {name}: Places365 weights are published for {', '.join(PLACES365_NETWORKS)}. "
            "For another network pass --weights FILE."
        )
    return PLACES365_URL.format(name)


def load_network(choice: NetworkChoice, dataset: Dataset) -> LoadedNetwork:
    """Load the chosen network in evaluation mode, downloading its weights if need be.

    Raises: NetworkError for a download that fails, a file that is absent or no checkpoint, or weights that do not fit.
    """
    if choice.trained_here:
        return _from_file(choice, glyph_network.cached_file(dataset), dataset, None)
    published = published_outputs(dataset)
    if choice.weights == OF_CODE:
        return _from_code(choice.name, dataset, published)
    if choice.file is not None:
        return _from_file(choice, choice.file, dataset, published)
    if published is None:
        raise NetworkError(f"{choice.weights}: these weights are for other classes than those of {dataset.name}.")
    if choice.weights.startswith(TIMM):
        network, transform = _from_timm(choice.name, published.num_outputs)
    elif choice.weights == "torchvision:DEFAULT":
        network, transform = _from_torchvision(choice.name)
    else:
        network = build_network(choice.name, published.num_outputs)
        load_weights(network, download(choice.weights).weights, choice.weights, published.num_outputs)
        transform = default_transform(choice.name, dataset)
    return _for_classes(LoadedNetwork(network.eval(), transform), choice.name, published)


def _from_file(
    choice: NetworkChoice, file: Path, dataset: Dataset, published: PublishedOutputs | None
) -> LoadedNetwork:
    """A checkpoint of one's own: with an output for each class of the data set, or a copy of published weights."""
    checkpoint = read_checkpoint(file)
    build = partial(build_for_weights, choice.name, weights=checkpoint.weights)
    network = build(dataset.num_classes)
    own = network.state_dict()
    weights, part = fit_names(checkpoint.weights, own), names_taken(checkpoint.weights, own)
    wanted = count_outputs(network, weights, dataset.num_classes)
    if published is None or wanted != published.num_outputs:
        published, wanted = None, dataset.num_classes
    elif not published.are_all:
        network = build(wanted)
    load_weights(network, weights, str(file), wanted)
    copied = _copied_from_torchvision(choice)
    if copied is not None and hasattr(network, "transform_input"):  # Inception, GoogLeNet: from TensorFlow
        network.transform_input = True  # type: ignore[assignment]
    if is_reference(choice.name):
        transform = transform_for(network, dataset)
        check_outputs(choice.name, network, wanted, transform.crop)
    else:
        transform = _torchvision_transform(copied) if copied is not None else default_transform(choice.name, dataset)
    notes = tuple(f"{file.name}: {note}" for note in (checkpoint.note, part) if note)
    loaded = LoadedNetwork(network.eval(), transform, notes)
    return loaded if published is None else _for_classes(loaded, choice.name, published)


def _from_code(name: str, dataset: Dataset, published: PublishedOutputs | None) -> LoadedNetwork:
    """A network of one's own with weights of its own: an output for each class, or those of published weights."""
    network = build_network(name, dataset.num_classes)
    transform = transform_for(network, dataset)
    loaded = LoadedNetwork(network.eval(), transform)
    if published is not None and num_outputs(name, network, transform.crop) == published.num_outputs:
        return _for_classes(loaded, name, published)
    check_outputs(name, network, dataset.num_classes, transform.crop)
    return loaded


def _copied_from_torchvision(choice: NetworkChoice) -> Any:
    """Which of torchvision's weights a file is a copy of, by the hash in their name; None when it is of none."""
    from torchvision import models

    if choice.name not in models.list_models(module=models):
        return None
    digest = choice.weights.removeprefix("sha256:")
    return next((one for one in models.get_model_weights(choice.name) if digest.startswith(_hash_in(one.url))), None)


def _hash_in(url: str) -> str:
    return url.rpartition("-")[2].partition(".")[0]


def _for_classes(loaded: LoadedNetwork, name: str, published: PublishedOutputs) -> LoadedNetwork:
    """With the outputs of the data set's classes alone, in its order."""
    if published.are_all:
        return loaded
    from rescale_fast.networks._chosen_outputs import ChosenOutputs

    note = f"{name}: {published} outputs are used, those of the data set's classes; probabilities are among these alone"
    return LoadedNetwork(
        ChosenOutputs(loaded.network, published.chosen).eval(), loaded.transform, (*loaded.notes, note)
    )


def default_transform(name: str, dataset: Dataset) -> EvalTransform:
    """The transform for a checkpoint of one's own: that of the published weights, or of the glyph network."""
    if name == "small":
        return glyph_network.transform(dataset)
    published = published_outputs(dataset)
    if published is not None and published.kind == "places365":
        return EvalTransform(resize=256, crop=224)
    if name.startswith(TIMM):
        return _timm_transform(name)
    return _torchvision_transform(_default_weights(name))


def _from_torchvision(name: str) -> "tuple[nn.Module, EvalTransform]":
    from torchvision import models

    weights = _default_weights(name)
    try:
        network: nn.Module = models.get_model(name, weights=weights)
    except (URLError, OSError, RuntimeError) as error:
        raise download_failed(weights.url, error) from error
    return network, _torchvision_transform(weights)


def _from_timm(name: str, num_outputs: int) -> "tuple[nn.Module, EvalTransform]":
    import timm
    from timm.models import set_pretrained_check_hash

    config = _timm_config(name)
    if config.num_classes != num_outputs:
        tags = ", ".join(full.partition(".")[2] for full in timm.list_pretrained(f"{config.architecture}.*"))
        raise NetworkError(
            f"--network {name}: these weights ({config.tag}) are for {config.num_classes:,} classes, the data set has "
            f"{num_outputs:,}. Other weights of this network, as timm:{config.architecture}.TAG: {tags}."
        )
    # Its own address before the hub of another company: that goes through torch.hub's cache, and has a hash.
    source = {"hf_hub_id": None} if config.url else {}
    set_pretrained_check_hash(True)
    try:
        network = timm.create_model(name.removeprefix(TIMM), pretrained=True, pretrained_cfg_overlay=source)
    except (URLError, OSError, RuntimeError) as error:
        raise download_failed(config.url or str(config.hf_hub_id), error) from error
    return network, _timm_transform(name)


def _timm_config(name: str) -> Any:
    """What timm knows of a network's weights. Raises: NetworkError when there is no such network, or no weights."""
    import timm

    check_timm_name(name)
    config = timm.get_pretrained_cfg(name.removeprefix(TIMM))
    if config is None or not (config.url or config.hf_hub_id):
        raise NetworkError(f"--network {name}: timm publishes no weights for it. Pass --weights FILE.")
    return config


def _timm_transform(name: str) -> EvalTransform:
    """The transform that timm's published accuracies are measured with: at the test size, where there is one."""
    import timm
    from timm.data import resolve_data_config

    check_timm_name(name)
    config = timm.get_pretrained_cfg(name.removeprefix(TIMM))
    found = resolve_data_config(pretrained_cfg=config.to_dict(), use_test_size=True)
    _, height, width = found["input_size"]
    crop, filter_name = found["crop_mode"], found["interpolation"]
    if height != width or crop not in ("center", "squash") or filter_name not in ("bilinear", "bicubic"):
        raise NetworkError(
            f"--network {name}: wants {width} x {height} pixels, crop {crop!r}, {filter_name}; only square images, cut "
            "from the centre or squashed, bilinear or bicubic, can be made here. Take another network."
        )
    return EvalTransform(
        resize=int(height / found["crop_pct"]),
        crop=height,
        interpolation=filter_name,
        mean=tuple(found["mean"]),
        std=tuple(found["std"]),
        squash=crop == "squash",
    )


def _default_weights(name: str) -> Any:
    from torchvision import models

    check_torchvision_name(name)
    return models.get_model_weights(name).DEFAULT


def _torchvision_transform(weights: Any) -> EvalTransform:
    return of_preset(weights.transforms())
