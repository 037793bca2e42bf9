"""Resolution: the smallest difference in top-1 between two networks that validation images can tell from noise.

Two networks are tested on the same n images. The first alone is right on a share p10 of these, the second alone on p01;
their difference is p10 - p01, and without a true difference its variance is D / n, where D = p10 + p01 is their
disagreement: McNemar's test. Where predictions of both are there D is counted; else two networks of accuracy p, right
on images with correlation r, have D = 2 p (1 - p) (1 - r). Each of S trainings adds noise of its own, of variance s^2:

    variance = D / n + 2 s^2 / S

Two limits follow. The least significant difference is 1.96 standard deviations: a measured difference above it is noise
in fewer than 5 % of the cases. The minimum detectable difference is 1.96 + 0.84 of them: a true difference of that size
gets above the first limit 4 times in 5. What S trainings average out of D is counted as well, so that with several
seeds both are upper bounds.

That is normal only if the two disagree on some ten images. On fewer the exact test (of signs) decides: six images, all
for one network, are the fewest that are significant (2 / 2^6 = 3 %), and eight expected ones are six or more 4 times in
5. So the limits are at least 6 / n and 8 / n, and at most 1: six images or fewer tell nothing.

Source: McNemar, Psychometrika 12, 153-157 (1947); Connor, Biometrics 43, 207-211 (1987).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Annotated

import numpy as np

from rescale_fast.errors import SettingError
from rescale_fast.predictions.types import Predictions
from rescale_fast.quality.settings import AtHand
from rescale_fast.quality.types import Resolution
from rescale_fast.settings import Between, Settings
from rescale_fast.types import BoolArray, IntArray

SIGNIFICANT = 1.959964  # standard deviations: 5 % of a normal distribution lies outside
POWER = 0.841621  # and 80 % of it below
FEWEST = 6  # images on which just one network is right, to be significant
FEWEST_EXPECTED = 8  # of them, for as many to be there 4 times in 5


@dataclass(frozen=True)
class ResolutionSettings(Settings):
    """What is assumed of the two networks."""

    accuracy: Annotated[float, Between(0, 1)] = 0.5
    """The accuracy that both are near. At 0.5 the noise is largest."""
    correlation: AtHand = 0.5
    """The correlation of which images the two get right."""
    seeds: Annotated[int, Between(1, 10_000)] = 1
    """Trainings of each network, whose accuracies are averaged."""
    seed_deviation: Annotated[float, Between(0, 1)] = 0.0
    """Standard deviation of accuracy between trainings with other seeds."""
    target: Annotated[float, Between(1e-6, 0.99)] = 0.01
    """The difference of accuracy to be told apart."""


def assumed_resolution(val_images: int, settings: ResolutionSettings, *, all_images: int | None = None) -> Resolution:
    """From the binomial and an assumed correlation. Args: all_images: of the subset, training images included."""
    p = settings.accuracy
    disagreement = 2 * p * (1 - p) * (1 - settings.correlation)
    return _resolution(val_images, settings, disagreement, settings.correlation, all_images, is_measured=False)


def measured_resolution(
    networks: Sequence[Predictions],
    settings: ResolutionSettings,
    *,
    classes: IntArray | None = None,
    val_images: int | None = None,
    all_images: int | None = None,
) -> Resolution:
    """From the disagreement of two or more networks on the same images: its mean over pairs of them.

    Args:
        networks: in any order of images, which must be the same (predictions/several.py).
        classes: (k,) labels; only images of these classes. val_images: how many validation images there will be; by
            default as many as were looked at. all_images: as for assumed_resolution.
    Raises: SettingError for fewer than two networks, or no image of the classes.
    """
    if len(networks) < 2:
        raise SettingError("a disagreement takes the predictions of two networks or more.")
    first = networks[0]
    kept = np.ones(len(first.labels), bool) if classes is None else np.isin(first.labels, classes)
    right = np.array([_right(one, first)[kept] for one in networks])
    if not right.shape[1]:
        raise SettingError("the predictions are of no image of these classes.")
    disagreement = float(np.mean([np.mean(a != b) for a, b in combinations(right, 2)]))
    p = float(right.mean())
    correlation = 1 - disagreement / (2 * p * (1 - p)) if 0 < p < 1 else 0.0
    measured = ResolutionSettings(p, settings.correlation, settings.seeds, settings.seed_deviation, settings.target)
    correlation = float(np.clip(correlation, -1, 1))
    return _resolution(val_images or right.shape[1], measured, disagreement, correlation, all_images, is_measured=True)


def _right(one: Predictions, first: Predictions) -> BoolArray:
    """(N,) whether a network was right, in the first's order of images."""
    is_right = dict(zip(one.paths, one.predicted == one.labels, strict=True))
    return np.array([is_right[path] for path in first.paths], bool)


def _resolution(
    val_images: int,
    settings: ResolutionSettings,
    disagreement: float,
    correlation: float,
    all_images: int | None,
    *,
    is_measured: bool,
) -> Resolution:
    of_seeds = 2 * settings.seed_deviation**2 / settings.seeds
    deviation = math.sqrt(disagreement / val_images + of_seeds)
    left = (settings.target / SIGNIFICANT) ** 2 - of_seeds
    fewest = math.ceil(FEWEST / settings.target - 1e-9)
    needed = max(fewest, math.ceil(disagreement / left - 1e-9)) if left > 0 else None
    return Resolution(
        val_images=val_images,
        accuracy=settings.accuracy,
        disagreement=disagreement,
        is_measured=is_measured,
        correlation=correlation,
        seeds=settings.seeds,
        seed_deviation=settings.seed_deviation,
        least_significant=min(1.0, max(SIGNIFICANT * deviation, FEWEST / val_images)),
        detectable=min(1.0, max((SIGNIFICANT + POWER) * deviation, FEWEST_EXPECTED / val_images)),
        target=settings.target,
        images_for_target=needed,
        val_share_for_target=None if needed is None or not all_images else needed / all_images,
    )
