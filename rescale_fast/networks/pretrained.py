"""Pre-trained networks: torchvision's ImageNet weights, CSAIL's Places365 ResNets, a checkpoint of one's own,
and for glyphs a small network trained on the spot.

Sources: torchvision.models (ImageNet-1k weights); CSAILVision/places365 (Zhou et al., "Places: A 10 million
image database for scene recognition", TPAMI 2017), whose evaluation resizes to 256 and crops 224.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import URLError

from rescale_fast.artifact import file_sha256
from rescale_fast.datasets.types import Dataset
from rescale_fast.errors import NetworkError, SettingError
from rescale_fast.networks.build import build_network, check_torchvision_name
from rescale_fast.networks.settings import NetworkSettings
from rescale_fast.networks.types import EvalTransform
from rescale_fast.types import Track, silent

if TYPE_CHECKING:
    from torch import nn

PLACES365_NETWORKS = ("alexnet", "resnet18", "resnet50")
PLACES365_URL = "http://places2.csail.mit.edu/models_places365/{}_places365.pth.tar"
DEFAULT_NETWORKS = {"imagenet": "resnet50", "places365": "resnet50", "glyphs": "small"}


@dataclass(frozen=True)
class NetworkChoice:
    """A network that has been decided on but not loaded: cheap to make, so that reuse can be checked first."""

    name: str
    weights: str  # what identifies them: "sha256:...", "torchvision:DEFAULT", a URL, "trained:..."
    file: Path | None  # of the user's own checkpoint


def choose_network(dataset: Dataset, settings: NetworkSettings) -> NetworkChoice:
    """Decide which network and weights suit the data set.

    Raises: SettingError when the data set has no published weights and no --weights FILE is given;
        NetworkError when that file is missing.
    """
    name = settings.network or DEFAULT_NETWORKS.get(dataset.kind)
    if settings.weights is not None:
        if name is None:
            raise SettingError("--weights FILE needs --network NAME, the network it is a checkpoint of.")
        file = settings.weights.expanduser().resolve()
        if not file.is_file():
            raise NetworkError(f"{file}: no such weights file.")
        return NetworkChoice(name, f"sha256:{file_sha256(file)}", file)
    if dataset.kind == "glyphs":
        from rescale_fast.networks.glyph_network import RECIPE

        if name != "small":
            raise SettingError(f"--network {name}: the network for glyphs is `small`; others need --weights FILE.")
        return NetworkChoice("small", f"trained:{RECIPE}", None)
    if dataset.kind == "imagenet" and name is not None:
        return NetworkChoice(name, "torchvision:DEFAULT", None)
    if dataset.kind == "places365" and name is not None:
        if name not in PLACES365_NETWORKS:
            raise SettingError(
                f"--network {name}: Places365 weights are published for {', '.join(PLACES365_NETWORKS)}. "
                "For another network pass --weights FILE."
            )
        return NetworkChoice(name, PLACES365_URL.format(name), None)
    raise SettingError(
        f"--dataset {dataset.kind}: no network is known for these classes. Pass --network NAME --weights FILE, "
        "a checkpoint with their number of outputs; or --predictions or --confusion made elsewhere."
    )


def load_network(
    choice: NetworkChoice, dataset: Dataset, *, track: Track = silent
) -> "tuple[nn.Module, EvalTransform]":
    """Load the chosen network in evaluation mode, downloading or training its weights if need be.

    Raises: NetworkError for a download that fails, a file that is no checkpoint, or weights that do not fit.
    """
    if choice.file is not None:
        network = build_network(choice.name, dataset.num_classes)
        load_weights(network, read_checkpoint(choice.file), choice.file.name, dataset.num_classes)
        transform = default_transform(choice.name, dataset)
    elif choice.weights == "torchvision:DEFAULT":
        network, transform = _from_torchvision(choice.name)
    elif choice.weights.startswith("http"):
        network = build_network(choice.name, dataset.num_classes)
        load_weights(network, _download(choice.weights), choice.weights, dataset.num_classes)
        transform = EvalTransform(resize=256, crop=224)
    else:
        from rescale_fast.networks import glyph_network

        network = glyph_network.load_or_train(dataset, track=track)
        transform = glyph_network.transform(dataset)
    return network.eval(), transform


def default_transform(name: str, dataset: Dataset) -> EvalTransform:
    """The transform for a checkpoint of one's own: that of torchvision's weights, or of the glyph network."""
    if name == "small":
        from rescale_fast.networks import glyph_network

        return glyph_network.transform(dataset)
    if dataset.kind == "places365":
        return EvalTransform(resize=256, crop=224)
    return _torchvision_transform(_default_weights(name))


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a state_dict: plain, under "state_dict" or "model", with or without `module.` prefixes.

    Only tensors are unpickled (weights_only). Raises: NetworkError when the file is no checkpoint.
    """
    import torch

    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # the unpickler raises many kinds on bytes that are no checkpoint
        first_line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise NetworkError(
            f"{path}: not a checkpoint that can be read safely ({first_line}). "
            "Expected a state_dict saved by torch.save(network.state_dict(), FILE)."
        ) from error
    return state_dict_of(stored, str(path))


def state_dict_of(stored: object, source: str) -> dict[str, Any]:
    """Find the state_dict in what a checkpoint holds, and drop `module.` wherever DataParallel put it."""
    import torch

    for key in ("state_dict", "model"):
        if isinstance(stored, Mapping) and isinstance(stored.get(key), Mapping):
            stored = stored[key]
    if not isinstance(stored, Mapping) or not all(isinstance(value, torch.Tensor) for value in stored.values()):
        raise NetworkError(f"{source}: holds no state_dict (a mapping of names to tensors).")
    return {str(key).replace("module.", ""): value for key, value in stored.items()}


def load_weights(network: "nn.Module", weights: dict[str, Any], source: str, num_classes: int) -> None:
    """Load a state_dict strictly.

    Raises: NetworkError saying for how many classes the weights are, or which names or shapes do not fit.
    """
    own = network.state_dict()
    if not set(own) & set(weights):
        raise NetworkError(
            f"{source}: none of its {len(weights)} tensors belongs to this network (first: "
            f"{next(iter(weights), 'none')!r}). Is --network NAME the network it was saved from?"
        )
    wrong = [key for key in own if key in weights and own[key].shape != weights[key].shape]
    last = [key for key in wrong if own[key].shape[:1] == (num_classes,)]
    if wrong and wrong == last:
        raise NetworkError(
            f"{source}: these weights are for {weights[last[0]].shape[0]:,} classes, the data set has {num_classes:,}."
        )
    missing, unexpected = sorted(set(own) - set(weights)), sorted(set(weights) - set(own))
    if wrong or missing or unexpected:
        first = (wrong or missing or unexpected)[0]
        raise NetworkError(
            f"{source}: does not fit this network: {len(wrong)} tensors of another shape, {len(missing)} missing, "
            f"{len(unexpected)} unknown; first {first!r}. Is --network NAME the network it was saved from?"
        )
    network.load_state_dict(weights)


def _from_torchvision(name: str) -> "tuple[nn.Module, EvalTransform]":
    from torchvision import models

    weights = _default_weights(name)
    try:
        network: nn.Module = models.get_model(name, weights=weights)
    except (URLError, OSError, RuntimeError) as error:
        raise _download_failed(weights.url, error) from error
    return network, _torchvision_transform(weights)


def _default_weights(name: str) -> Any:
    from torchvision import models

    check_torchvision_name(name)
    return models.get_model_weights(name).DEFAULT


def _torchvision_transform(weights: Any) -> EvalTransform:
    preset = weights.transforms()
    return EvalTransform(
        resize=preset.resize_size[0],
        crop=preset.crop_size[0],
        interpolation=preset.interpolation.value,
        mean=tuple(preset.mean),
        std=tuple(preset.std),
    )


def _download(url: str) -> dict[str, Any]:
    import pickle

    from torch import hub

    try:
        stored = hub.load_state_dict_from_url(url, map_location="cpu", weights_only=True)
    except (URLError, OSError, RuntimeError, pickle.UnpicklingError) as error:
        raise _download_failed(url, error) from error
    return state_dict_of(stored, url)


def _download_failed(url: str, error: Exception) -> NetworkError:
    from torch import hub

    return NetworkError(
        f"{url}: cannot be downloaded ({error}). Download it on a machine that can and put it into "
        f"{Path(hub.get_dir()) / 'checkpoints'}, or pass it as --weights FILE."
    )
