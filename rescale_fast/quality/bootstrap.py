"""The bootstrap: what else might have been measured, with other networks, other seeds and other validation images.

A draw takes m networks with replacement, and gives each network's accuracy on each set a noise: a mean of S residuals
of seeds, drawn from all networks' (S = the set's seeds), and a normal deviation with the variance that n validation
images give, of the part in which networks differ: p (1 - p) (1 - r) / n. Noise of accuracies that are noisy already
lowers every correlation, so intervals are centred on the value measured: they say how far a repetition would fall from
it.

Of more than MOST_NETWORKS, a draw takes only so many, and the interval shrinks by sqrt(m / M): what varies is a mean
over networks.
Source: Bickel, Goetze and van Zwet, Statistica Sinica 7, 1-31 (1997), m out of n.
"""

import math
from dataclasses import dataclass

import numpy as np

from rescale_fast.quality.accuracies import SetAccuracies
from rescale_fast.quality.types import Estimate
from rescale_fast.types import FloatArray, IntArray

MOST_NETWORKS = 256
INTERVAL = (2.5, 97.5)  # percentiles


@dataclass(frozen=True)
class Draws:
    """D draws of m of M networks."""

    networks: IntArray  # (D, m)
    shrink: float  # of intervals

    def take(self, values: FloatArray) -> FloatArray:
        """(D, m) of what there is of each network, (M,), or of each network in each draw, (D, M)."""
        return values[self.networks] if values.ndim == 1 else np.take_along_axis(values, self.networks, axis=1)

    def estimate(self, value: float, drawn: FloatArray, low: float = -1, high: float = 1) -> Estimate | None:
        """A statistic with its interval. Args: drawn: (D,), not a number where a draw does not define it.

        Returns: None where it is not defined.
        """
        drawn = drawn[np.isfinite(drawn)]
        if not math.isfinite(value) or not len(drawn):
            return None
        ends = value + self.shrink * (np.percentile(drawn, INTERVAL) - drawn.mean())
        ends = np.clip(ends, low, high)
        return Estimate(value, min(value, float(ends[0])), max(value, float(ends[1])))


def draw_networks(num_networks: int, num_draws: int, rng: np.random.Generator) -> Draws:
    """Draw networks with replacement."""
    m = min(num_networks, MOST_NETWORKS)
    return Draws(rng.integers(0, num_networks, (num_draws, m)), math.sqrt(m / num_networks))


def residuals(one: SetAccuracies) -> FloatArray:
    """(M * S,) deviations of seeds from their network's mean, with the variance of one seed; none with one seed."""
    num_seeds = one.num_seeds
    if num_seeds == 1:
        return np.zeros(0)
    deviations = one.final - one.mean[:, None]
    return np.asarray(deviations.ravel() * math.sqrt(num_seeds / (num_seeds - 1)), np.float64)


def seed_deviation(one: SetAccuracies) -> float | None:
    """Standard deviation between seeds of one network, over all networks; None with one seed."""
    found = residuals(one)
    return float(np.sqrt(np.mean(found**2))) if len(found) else None


def noisy(one: SetAccuracies, num_draws: int, correlation: float, rng: np.random.Generator) -> FloatArray:
    """(D, M) accuracies that might have been measured instead."""
    mean = one.mean
    values = np.tile(mean, (num_draws, 1))
    pool = residuals(one)
    if len(pool):
        for _ in range(one.num_seeds):
            values += rng.choice(pool, values.shape) / one.num_seeds
    if one.val_images is not None:
        values += rng.normal(size=values.shape) * np.sqrt(mean * (1 - mean) * (1 - correlation) / one.val_images)
    return values
