"""Floating-point images: what is taken off them, and what the rest is divided by."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from rescale_fast.errors import SettingError
from rescale_fast.loaders.augment import FILL, Placements
from rescale_fast.types import Float32Array

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, eq=False)
class Normalise:
    """Means and deviations of values from 0 to 1, as torchvision's Normalize takes them, or a mean image.

    The mean image is taken off before an image is mirrored and moved, so it is mirrored and moved with it, and what
    comes in from outside is 0.
    """

    mean: Float32Array  # (3, 1, 1) or (3, S, S)
    deviation: Float32Array  # (3, 1, 1)

    @classmethod
    def read(cls, value: Any) -> "Normalise":
        """A pair of arrays, or of sequences of numbers. Raises: SettingError for anything else."""
        try:
            mean, deviation = (np.array(one, np.float32) for one in value)
        except (TypeError, ValueError):
            mean = deviation = np.zeros(0, np.float32)
        mean = mean.reshape(3, 1, 1) if mean.shape == (3,) else mean
        if not (
            mean.ndim == 3
            and mean.shape == (3, mean.shape[1], mean.shape[1])
            and deviation.shape == (3,)
            and ((mean >= 0) & (mean <= 1)).all()
            and ((deviation > 0) & np.isfinite(deviation)).all()
        ):
            raise SettingError(
                f"--normalise {str(value)[:200]}: expected mean and deviation of the three channels, of values from 0 "
                "to 1, such as ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)); the mean may be an image, (3, S, S)."
            )
        return cls(mean, deviation.reshape(3, 1, 1))

    @property
    def side(self) -> int | None:
        """Of the mean image, pixels, if it is one."""
        side = self.mean.shape[-1]
        return side if side > 1 else None

    def __call__(self, images: "torch.Tensor", places: Placements) -> "torch.Tensor":
        """(B, 3, S, S) float32 of uint8 images that were placed so."""
        import torch

        mean, deviation = (255 * torch.from_numpy(one).to(images.device) for one in (self.mean, self.deviation))
        if self.side is not None:
            mean = _placed(mean, places)
        return images.float().sub_(mean).div_(deviation)


def _placed(mean: "torch.Tensor", places: Placements) -> "torch.Tensor":
    """(B, 3, S, S) the mean image as each of these images was placed; outside it is as images are there."""
    import torch

    most, side = int(np.abs(places.shifts).max()), mean.shape[-1]
    wide = mean.new_tensor(FILL)[:, None, None].repeat(2, 1, side + 2 * most, side + 2 * most)
    wide = wide.view(2, 3, side + 2 * most, side + 2 * most)
    wide[:, :, most : most + side, most : most + side] = torch.stack([mean, mean.flip(2)])
    windows = wide.unfold(2, side, 1).unfold(3, side, 1)  # (2, 3, 2 * most + 1, 2 * most + 1, S, S), a view
    mirrored, down, right = (
        torch.from_numpy(values.astype(np.int64)).to(mean.device)
        for values in (places.mirrored, most - places.shifts[:, 0], most - places.shifts[:, 1])
    )
    return windows[mirrored, :, down, right]
