"""What the validation images of a run's subset can tell, from its betons and, once there are some, its trainings."""

import statistics
from collections.abc import Mapping, Sequence

from rescale_fast.beton.types import BetonInfo
from rescale_fast.quality.resolution import ResolutionSettings, assumed_resolution
from rescale_fast.quality.types import Resolution
from rescale_fast.train.types import TrainRun


def resolution_of(betons: Mapping[str, BetonInfo], runs: Sequence[TrainRun] = ()) -> Resolution | None:
    """Of two networks near the accuracy of the trainings (one half, where the noise is largest, before there are any).

    Returns: None without validation images.
    """
    if "val" not in betons or not betons["val"].num_images:
        return None
    accuracy = statistics.mean(run.last_top1 for run in runs) if runs else ResolutionSettings().accuracy
    all_images = sum(info.num_images for info in betons.values())
    return assumed_resolution(betons["val"].num_images, ResolutionSettings(accuracy), all_images=all_images)
