"""How large, and how prepared, networks want their images."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

Normalisation: TypeAlias = Literal["layer", "other", "none"]  # of features in a network: each image by itself, ...
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class EvalTransform:
    """Resize the short side, crop the centre, scale to 0..1, normalise: torchvision's evaluation transform."""

    resize: int  # pixels; the short side after resizing
    crop: int  # pixels; side of the square cut from the centre, at most `resize`
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"  # always antialiased, as on PIL images
    mean: tuple[float, float, float] = IMAGENET_MEAN  # RGB, 0..1 scale
    std: tuple[float, float, float] = IMAGENET_STD
    squash: bool = False  # resize both sides to `resize`, whatever their ratio, as some of timm's networks have it
