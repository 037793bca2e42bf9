"""The bootstrap: what else might have been measured, with other networks, and with other seeds and validation images.

Of two kinds. *Other networks*: a draw takes m of the M networks with replacement, with the accuracies they have; noise
of seeds and of images is a part of these, so that this interval has it, too. *The same networks*: a draw gives each
network's accuracy on each set a noise: a mean of S residuals of seeds, drawn from all networks' (S = the set's seeds),
and a normal deviation with the variance that n validation images give, of the part in which networks differ:
p (1 - p) (1 - r) / n. Noise on accuracies that are noisy already lowers every correlation, so this interval is centred
on the value measured: it says how far a repetition would fall from it.

Of more than MOST_NETWORKS, only so many are looked at, and intervals shrink by sqrt(m / M): what varies is a mean over
networks.
Source: Bickel, Goetze and van Zwet, Statistica Sinica 7, 1-31 (1997), m out of n.
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from rescale_fast.quality.accuracies import SetAccuracies
from rescale_fast.quality.resolution import SIGNIFICANT
from rescale_fast.quality.types import Estimate
from rescale_fast.types import FloatArray, IntArray

MOST_NETWORKS = 256
INTERVAL = (2.5, 97.5)  # percentiles


@dataclass(frozen=True)
class Draws:
    """Which networks are looked at."""

    others: IntArray  # (D, m) of M, drawn with replacement
    same: IntArray  # (m,) of M, each at most once
    shrink: float  # of intervals

    def estimate(
        self, value: float, others: FloatArray, same: FloatArray | None, low: float = -1, high: float = 1
    ) -> Estimate | None:
        """A statistic with its intervals; None where it is not defined.

        Args: others, same: (D,) of draws of either kind, not a number where not defined. low, high: what it can be.
        """
        if not math.isfinite(value):
            return None
        of_others = self._interval(value, others, value)
        of_same = None if same is None else self._interval(value, same, None)
        ends = [None if one is None else np.clip(one, low, high).tolist() for one in (of_others, of_same)]
        return Estimate(value, *(ends[0] or (low, high)), *(ends[1] or (None, None)))

    def _interval(self, value: float, drawn: FloatArray, middle: float | None) -> tuple[float, float] | None:
        """Ends of the interval, from how far draws lie from the middle, by default their mean.

        Returns: None where no draw defines the statistic.
        """
        drawn = drawn[np.isfinite(drawn)]
        if not len(drawn):
            return None
        around = drawn.mean() if middle is None else middle
        low, high = value + self.shrink * (np.percentile(drawn, INTERVAL) - around)
        return min(value, float(low)), max(value, float(high))


def at_least_binomial(share: Estimate, pairs: int) -> Estimate:
    """A share of pairs, whose interval with other networks is not narrower than that of so many independent pairs.

    Few pairs may all agree in every draw, which does not mean that others would.
    Source: Wilson, Journal of the American Statistical Association 22, 209-212 (1927).
    """
    z2 = SIGNIFICANT**2 / pairs
    middle = (share.value + z2 / 2) / (1 + z2)
    half = math.sqrt(z2 * share.value * (1 - share.value) + z2 * z2 / 4) / (1 + z2)
    return replace(share, low=min(share.low, max(0.0, middle - half)), high=max(share.high, min(1.0, middle + half)))


def draw_networks(num_networks: int, num_draws: int, rng: np.random.Generator) -> Draws:
    """Draw networks with replacement, and those to look at with noise."""
    m = min(num_networks, MOST_NETWORKS)
    same = np.sort(rng.choice(num_networks, m, replace=False))
    return Draws(rng.integers(0, num_networks, (num_draws, m)), same, math.sqrt(m / num_networks))


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


def has_noise(one: SetAccuracies) -> bool:
    """Whether the noise of its accuracies is known."""
    return one.num_seeds > 1 or one.val_images is not None


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
