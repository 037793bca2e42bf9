"""The data set, and a network that looks at its validation images."""

import tempfile
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rescale_fast.api.origins import expect, weights_digest
from rescale_fast.artifact import Origin
from rescale_fast.datasets import open as opening
from rescale_fast.datasets.settings import DatasetSettings, Kind
from rescale_fast.datasets.types import Dataset
from rescale_fast.errors import SettingError
from rescale_fast.extras import need_to_load
from rescale_fast.machine import MachineSettings
from rescale_fast.networks.settings import NetworkSettings
from rescale_fast.predictions import validate as looking
from rescale_fast.predictions.settings import Loader, ValidateSettings
from rescale_fast.predictions.types import Predictions
from rescale_fast.terminal import track
from rescale_fast.types import Track, silent

if TYPE_CHECKING:
    from torch import nn

    from rescale_fast.networks.pretrained import LoadedNetwork
    from rescale_fast.networks.types import EvalTransform


def open_dataset(
    dataset: "Kind | str | Path",
    root: "str | Path | None" = None,
    *,
    glyph_classes: int = 120,
    glyph_size: int = 32,
    glyph_train: int = 60,
    glyph_val: int = 40,
    glyph_seed: int = 0,
) -> Dataset:
    """List a data set's images; none is opened.

    `open_dataset("/data/mine")` is a folder of class folders, `open_dataset("imagenet", root)` ImageNet as it was
    unpacked, `open_dataset("glyphs")` letters that are drawn into a cache.

    Args:
        dataset: the folder; or "folder", "imagenet" or "places365" with `root`, or "glyphs".
        glyph_classes, glyph_size, glyph_train, glyph_val, glyph_seed: of glyphs: how many classes, pixels a side,
            training and validation images a class; and the seed of the drawing.
    Returns: Dataset: class_ids, class_names (K,), and for each split the paths (N,) and labels, (N,) int64 in [0, K).
    Raises: SettingError for arguments that do not go together; DatasetError saying what was looked for, what was found
        and what to do.
    """
    if root is None and dataset not in ("glyphs", *opening.LAYOUTS):
        dataset, root = "folder", dataset
    glyphs = (glyph_classes, glyph_size, glyph_train, glyph_val, glyph_seed)
    settings = DatasetSettings(dataset, root, *glyphs)  # type: ignore[arg-type]  # it checks them
    return opening.open_dataset(settings)


def validate(
    dataset: Dataset,
    network: "nn.Module | str | None" = None,
    *,
    weights: "str | Path | None" = None,
    transform: "EvalTransform | int | Any | None" = None,
    folder: "str | Path | None" = None,
    loader: Loader = "dali",
    batch_size: int = 0,
    max_unreadable: float = 0.01,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    num_threads: int = 0,
    progress: bool = False,
) -> Predictions:
    """Have a network look at every validation image.

    Args:
        network: a torch.nn.Module that gives (B, K) logits, the classes in dataset.class_ids' order, for (B, 3, S, S)
            float32 images; it is moved to the device and looks in evaluation mode. Or a name: one of torchvision's,
            timm:NAME, `small`, or your own code, which is run: package.module:callable or file.py:callable. By default
            the one whose published weights suit the data set.
        weights: of a network by name, a checkpoint; by default the published weights, downloaded once.
        transform: of a module, how it wants its images: the side in pixels (resized to it, cropped to it), one of
            torchvision's presets (`Weights.DEFAULT.transforms()`), or an EvalTransform. By default its attribute
            `eval_transform`, else resize to 256 and crop 224 (for glyphs, as the glyph network has it).
        folder: keep the parts (parquet, 1,024 images each) there, and go on from them when called again.
        loader: what reads the images, "dali" or the slower "torchvision".
        batch_size: images a step, a divisor of 1,024; 0 = 256 on a GPU, 64 on the CPU.
        max_unreadable: the share of images that may be unreadable, 0..1.
        device: "auto" takes a GPU if there is one. num_threads: that decode; 0 = all cores. progress: show a bar.
    Returns: Predictions: labels (N,) int64, top_ids (N, T) int64 and top_probabilities (N, T) float32, best first, T =
        min(5, K); those of images that could be read.
    Raises: SettingError for a value that is none of these; NetworkError for a network or weights that do not fit;
        DatasetError when too many images cannot be read.
    """
    settings, machine = ValidateSettings(loader, batch_size, max_unreadable), MachineSettings(device, num_threads)
    expect("dataset", dataset, Dataset)
    need_to_load("validating", loader)
    shown = track if progress else silent
    if network is None or isinstance(network, str):
        if transform is not None:
            raise SettingError("--transform: a network by name has its own. Leave it out, or pass the network itself.")
        looks, origin = _by_name(dataset, NetworkSettings(network, weights), settings, shown)  # type: ignore[arg-type]
    else:
        if weights is not None:
            raise SettingError("--weights: this network has its own. Load them into it, or pass its name.")
        looks, origin = _as_given(dataset, network, transform, settings)
    with ExitStack() as after:
        target = Path(folder) if folder is not None else Path(after.enter_context(tempfile.TemporaryDirectory()))
        after.callback(looks.network.train, looks.network.training)
        return looking.validate(
            dataset, looks.network.eval(), looks.transform, settings, target, origin, machine=machine, track=shown
        )


def _by_name(
    dataset: Dataset, network: NetworkSettings, settings: ValidateSettings, shown: Track
) -> "tuple[LoadedNetwork, Origin]":
    from rescale_fast.networks.pretrained import choose_network
    from rescale_fast.predictions.network import ready_network

    choice = choose_network(dataset, network)
    return ready_network(choice, dataset, track=shown), choice.origin(dataset, settings.loader)


def _as_given(
    dataset: Dataset, network: "nn.Module", transform: Any, settings: ValidateSettings
) -> "tuple[LoadedNetwork, Origin]":
    from torch import nn

    from rescale_fast.networks.own import check_outputs
    from rescale_fast.networks.pretrained import LoadedNetwork
    from rescale_fast.networks.transforms import as_transform, transform_for

    kind = type(network).__name__
    if not isinstance(network, nn.Module):
        raise SettingError(f"--network: is an object of type {kind}, expected a torch.nn.Module or a name.")
    wanted = transform_for(network, dataset) if transform is None else as_transform(transform)
    check_outputs(kind, network, dataset.num_classes, wanted.crop)
    made_from = {"dataset": dataset.digest, "network": weights_digest(network)}
    origin = Origin(made_from, {"network": kind, "transform": asdict(wanted), "loader": settings.loader})
    return LoadedNetwork(network, wanted), origin
