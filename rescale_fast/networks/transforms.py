"""How a network that is not a published one wants its images: as it says itself, or as the data set suggests."""

from typing import Any

from rescale_fast.datasets.types import Dataset
from rescale_fast.errors import SettingError
from rescale_fast.networks.types import EvalTransform


def as_transform(value: "EvalTransform | int | Any") -> EvalTransform:
    """An EvalTransform; of a side S in pixels, resize to S and crop S; of torchvision's presets, theirs.

    Raises: SettingError for anything else.
    """
    if isinstance(value, EvalTransform):
        return value
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return EvalTransform(resize=value, crop=value)
    if all(hasattr(value, name) for name in ("resize_size", "crop_size", "interpolation", "mean", "std")):
        return of_preset(value)
    raise SettingError(
        f"--transform {value!r}: expected a side in pixels, an EvalTransform, or one of torchvision's presets, such as "
        "ResNet50_Weights.DEFAULT.transforms()."
    )


def of_preset(preset: Any) -> EvalTransform:
    """The transform that one of torchvision's presets of evaluation stands for."""
    return EvalTransform(
        resize=preset.resize_size[0],
        crop=preset.crop_size[0],
        interpolation=preset.interpolation.value,
        mean=tuple(preset.mean),
        std=tuple(preset.std),
    )


def transform_for(network: Any, dataset: Dataset) -> EvalTransform:
    """What the attribute `eval_transform` of somebody's network says; else that of the glyph network for glyphs, and
    for other images resize to 256 and crop 224."""
    if hasattr(network, "eval_transform"):
        return as_transform(network.eval_transform)
    if dataset.kind == "glyphs":
        from rescale_fast.networks import glyph_network

        return glyph_network.transform(dataset)
    return EvalTransform(resize=256, crop=224)
