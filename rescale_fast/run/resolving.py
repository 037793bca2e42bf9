"""What validation images can tell: `rescale-fast resolution`, and of a run's subset."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated

from rescale_fast.beton.types import BetonInfo
from rescale_fast.class_subset.compare import find_subset
from rescale_fast.errors import SettingError
from rescale_fast.predictions.several import load_alike
from rescale_fast.quality.resolution import ResolutionSettings, assumed_resolution, measured_resolution
from rescale_fast.quality.types import Resolution
from rescale_fast.run.folder import digests_of
from rescale_fast.settings import Between, InputPath, Settings
from rescale_fast.terminal import show
from rescale_fast.train.types import TrainRun


@dataclass(frozen=True)
class ResolutionCommand(Settings):
    """Say which differences between two networks a number of validation images can tell from noise."""

    val_images: Annotated[int, Between(1, 2**63 - 1)] | None = None
    """Number of validation images, of all classes together. By default as many as the predictions are of."""
    predictions: tuple[InputPath, ...] = ()
    """Predictions of two networks or more on the same images: how much they disagree is measured, not assumed."""
    classes: str | None = None
    """With --predictions, only images of these classes: a class_subset.json, a list or a published list."""
    resolution: ResolutionSettings = field(default_factory=ResolutionSettings)

    def check(self) -> None:
        """Raises: SettingError without images or predictions, and for what would have no effect."""
        if self.predictions:
            self.resolution.refuse("accuracy", "correlation", because="as --predictions say it")
        else:
            self.refuse("classes", because="without --predictions")
            if self.val_images is None:
                raise SettingError("resolution: give --val-images, or --predictions.")


def resolution(settings: ResolutionCommand) -> None:
    """Print what they can tell. Raises: SettingError, ArtifactError."""
    if settings.val_images is not None and not settings.predictions:
        show(assumed_resolution(settings.val_images, settings.resolution).describe())
        return
    digests_of(settings.predictions)  # which refuses the same ones twice
    networks = list(load_alike(settings.predictions))
    classes = None
    if settings.classes is not None:
        classes = find_subset(settings.classes, networks[0].class_ids, "--classes")
    made = measured_resolution(networks, settings.resolution, classes=classes, val_images=settings.val_images)
    show(made.describe())


def resolution_of(betons: Mapping[str, BetonInfo], runs: Sequence[TrainRun] = ()) -> Resolution | None:
    """Of two networks near the accuracy of the trainings (one half, where the noise is largest, before there are any).

    Returns: None without validation images.
    """
    if "val" not in betons or not betons["val"].num_images:
        return None
    accuracy = statistics.mean(run.last_top1 for run in runs) if runs else ResolutionSettings().accuracy
    all_images = sum(info.num_images for info in betons.values())
    return assumed_resolution(betons["val"].num_images, ResolutionSettings(accuracy), all_images=all_images)
