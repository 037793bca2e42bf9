"""The networks to train, by name: those of the published table, wide residual networks, and all that libraries have.

The table is that of Nguyen and Nguyen, Pattern Recognition Letters 185, 73-80 (2024), on ReIN30..200 and RePL30/50.
"""

import difflib
import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from rescale_fast.errors import NetworkError, SettingError, UnknownNetworkError
from rescale_fast.networks.build import build_network, check_name
from rescale_fast.networks.own import check_number, check_outputs, is_reference, num_outputs, short_name
from rescale_fast.settings import Registry

if TYPE_CHECKING:
    from torch import nn

SIZES = (16, 32, 64, 75, 96, 128, 192, 224, 256, 299, 384)  # pixels; to propose when images are too small
DEEPEST, WIDEST = 1_000, 100  # of wide residual networks: a slip of the finger beyond, and no memory holds them
WIDE = re.compile(r"wrn-(\d+)-(\d+(?:\.\d+)?)", re.IGNORECASE)
LIKE_WIDE = re.compile(r"wrn|wide.?res", re.IGNORECASE)
DEFINITION = (
    2  # counted up when a name of ours means another network, so that no training of the former is taken for one
)


@dataclass(frozen=True)
class OfLibrary:
    """A network that a library has, by its name there."""

    name: str

    def __call__(self, num_classes: int) -> "nn.Module":
        return build_network(self.name, num_classes)


@dataclass(frozen=True)
class Ours:
    """A network of this package: a function of a module that needs torch, so that it is imported when it is called."""

    module: str
    function: str

    def __call__(self, num_classes: int) -> "nn.Module":
        module = import_module(f"rescale_fast.networks.{self.module}")
        network: nn.Module = getattr(module, self.function)(num_classes)
        return network


TABLE: "Registry[Callable[[int], nn.Module]]" = Registry(  # name -> builder for a number of classes
    {
        "MAFNet": Ours("_mobilenets", "mafnet"),
        "MobileNetV1": Ours("_mobilenets", "mobilenet_v1"),
        "MobileNetV2": Ours("_mobilenets", "mobilenet_v2"),
        "MobileNetV3": Ours("_mobilenets", "mobilenet_v3"),
        "ShuffleNetV2": OfLibrary("shufflenet_v2_x1_0"),
        "ResNet18": Ours("_resnet18", "resnet18"),
        "GoogLeNet": Ours("_googlenet", "googlenet"),
        "InceptionV4": OfLibrary("timm:inception_v4"),
        "VGG16": OfLibrary("vgg16"),
    }
)


def network_names(wanted: str) -> tuple[str, ...]:
    """The names in a comma-separated list; `all` is the table's nine.

    Raises: SettingError for an empty list, and for two networks that tables would call by one name.
    """
    names = [name.strip() for name in wanted.split(",") if name.strip()]
    if not names:
        raise SettingError(f"--networks {wanted!r}: expected names, such as ResNet18,MAFNet, or all.")
    every = (one for name in names for one in (TABLE if name.lower() == "all" else [plain_name(name)]))
    found = list(dict.fromkeys(every))
    short = [short_name(name) for name in found]
    if twice := [name for name in found if short.count(short_name(name)) > 1]:
        raise SettingError(f"--networks {wanted!r}: {' and '.join(twice)} would have one name in the table.")
    return tuple(found)


def plain_name(name: str) -> str:
    """A name of the table or of a wide residual network as it is spelled; any other as it is."""
    of_table = {known.lower(): known for known in TABLE}
    if name.lower() in of_table:
        return of_table[name.lower()]
    return name.upper() if WIDE.fullmatch(name) else name


def definition_of(name: str | None) -> dict[str, int]:
    """{"network_definition": n} of a network that this package defines, for the origin of what is made with it; {} of
    other names, and None."""
    ours = name is not None and (isinstance(TABLE.get(plain_name(name)), Ours) or WIDE.fullmatch(name))
    return {"network_definition": DEFINITION} if ours else {}


def build_for_training(
    name: str, num_classes: int, image_size: int, *, size_option: str = "--train-size"
) -> "nn.Module":
    """Build an untrained network for images of image_size pixels.

    Args:
        name: one of TABLE; WRN-N-k (such as WRN-28-2); `small` (ours); timm:NAME; torchvision:NAME, or NAME alone;
            package.module:callable or file.py:callable.
        size_option: what to name where images are too small.
    Raises: UnknownNetworkError for an unknown name, or another number of outputs; NetworkError for images
        of a size that the network does not take.
    """
    check_network(name)
    network = build_plain(name, num_classes)
    if is_reference(name):
        check_outputs(name, network, num_classes, image_size)
        return network.train()
    if not takes(network, num_classes, image_size):
        by_distance = sorted(SIZES, key=lambda size: (size < image_size, abs(size - image_size)))  # larger ones first
        other = next((size for size in by_distance if takes(network, num_classes, size)), None)
        hint = f"Pass {size_option} {other}, which resizes them, or" if other else "Pass"
        raise NetworkError(f"{name} cannot tell classes on images of {image_size} px. {hint} another network.")
    return network.train()


def check_network(name: str) -> None:
    """Raise UnknownNetworkError unless there is a network of that name to train. Builds nothing, but runs the code that
    a reference names."""
    name = plain_name(name)
    if wide := WIDE.fullmatch(name):
        _wide_shape(name, int(wide[1]), float(wide[2]))
    elif name not in TABLE:
        _check_library_name(name.removeprefix("torchvision:"))
    elif isinstance(known := TABLE[name], OfLibrary):
        _check_library_name(known.name)


def check_own(reference: str, num_classes: int | None, image_size: int | None) -> None:
    """Build a network of one's own and give it an image.

    Args: num_classes, image_size: None = not known yet: then any number will do, and of sizes those of SIZES are tried;
            a network that takes none of them may take that of the images.
    Raises: UnknownNetworkError when there is none, or it has another number of outputs; NetworkError when it takes no
        image of that size.
    """
    import torch

    with torch.random.fork_rng(devices=[]):
        network = build_network(reference, num_classes or 2)
        for size in SIZES if image_size is None else (image_size,):
            try:
                found = num_outputs(reference, network, size)
            except UnknownNetworkError:
                raise
            except NetworkError:
                if image_size is not None:
                    raise
                continue
            if num_classes is not None:
                check_number(reference, found, num_classes)
            return


def _check_library_name(name: str) -> None:
    try:
        check_name(name)
    except UnknownNetworkError as error:
        hints = []
        if difflib.get_close_matches(name.lower(), [known.lower() for known in TABLE], n=1, cutoff=0.6):
            hints.append(f" The table's: {', '.join(TABLE)}.")
        if LIKE_WIDE.match(name):
            hints.append(" Wide residual networks are called WRN-depth-widening, such as WRN-28-2.")
        raise UnknownNetworkError(f"{error}{''.join(hints)}") from error


def takes(network: "nn.Module", num_classes: int, image_size: int) -> bool:
    """Whether the network makes logits of an image of that size."""
    import torch

    device = next((parameter.device for parameter in network.parameters()), torch.device("cpu"))
    try:
        with torch.inference_mode():
            logits = network.eval()(torch.zeros(1, 3, image_size, image_size, device=device))
    except Exception:  # a feature map vanishes, or sizes do not match, of which each network tells in its own way
        return False
    return isinstance(logits, torch.Tensor) and logits.shape == (1, num_classes)


def build_plain(name: str, num_classes: int) -> "nn.Module":
    """Build an untrained network of a name that there is, for images of whatever size."""
    name = plain_name(name)
    if name in TABLE:
        return TABLE[name](num_classes)
    if wide := WIDE.fullmatch(name):
        return _wide_resnet(name, int(wide[1]), float(wide[2]), num_classes)
    return build_network(name.removeprefix("torchvision:"), num_classes)


def _wide_resnet(name: str, depth: int, widening: float, num_classes: int) -> "nn.Module":
    from rescale_fast.networks._wide_resnet import WideResNet

    stages, blocks = _wide_shape(name, depth, widening)
    return WideResNet(num_classes, stages=stages, blocks=blocks, widening=widening)


def _wide_shape(name: str, depth: int, widening: float) -> tuple[int, int]:
    from rescale_fast.networks._wide_resnet import shape_of, width_of

    shape = shape_of(depth)
    if shape is None or width_of(0, widening) < 1 or depth > DEEPEST or widening > WIDEST:
        raise UnknownNetworkError(
            f"{name}: there is no such wide residual network. Depths are 20, 28 and 36 (for 16, 32 and 64 px), or "
            f"6 n + 4 such as 16 and 40, up to {DEEPEST:,}; the widening is 0.1 to {WIDEST}."
        )
    return shape
