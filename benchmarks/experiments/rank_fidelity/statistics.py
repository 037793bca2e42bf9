"""How far the order of networks on one set is that on another: Kendall's tau-b and its kin, of many draws at once."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rescale_fast.types import FloatArray, IntArray

DRAWS = 2000
BAND = 0.05  # of top-1, below the best network
GAPS = (0.0, 0.0025, 0.005, 0.01, 0.02, 1.0)  # of top-1, on the full set


@dataclass(frozen=True)
class Interval:
    """A value and the 95 % interval of draws of networks and seeds."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, value: float, draws: FloatArray) -> "Interval":
        low, high = np.nanpercentile(draws, [2.5, 97.5]) if np.isfinite(draws).any() else (np.nan, np.nan)
        return cls(value, float(low), float(high))

    def __str__(self) -> str:
        return f"{self.value:.2f} ({self.low:.2f} to {self.high:.2f})"


def tau(first: FloatArray, second: FloatArray, counts: IntArray) -> FloatArray:
    """(D,) tau-b of D pairs of orders. Args: first, second: (D, M). counts: (D, M) how often each network counts."""
    i, j = np.triu_indices(first.shape[1], 1)
    weights = counts[:, i] * counts[:, j]
    a, b = np.sign(first[:, i] - first[:, j]), np.sign(second[:, i] - second[:, j])
    with np.errstate(invalid="ignore"):
        found: FloatArray = (weights * a * b).sum(axis=1) / np.sqrt(
            (weights * a * a).sum(axis=1) * (weights * b * b).sum(axis=1)
        )
    return found


def in_band(full: FloatArray) -> NDArray[np.bool_]:
    """(M,) whether a network is within BAND of the best."""
    inside: NDArray[np.bool_] = full >= full.max() - BAND
    return inside


def by_gap(full: FloatArray, part: FloatArray, counts: IntArray) -> tuple[FloatArray, IntArray]:
    """(D, G) share of pairs ordered alike, by their gap on the full set, ties counting half; (G,) pairs there are."""
    i, j = np.triu_indices(len(full), 1)
    gap = full[i] - full[j]
    weights = counts[:, i] * counts[:, j]
    alike = (1 + np.sign(gap) * np.sign(part[i] - part[j])) / 2
    place = np.digitize(np.abs(gap), GAPS) - 1
    shares = np.full((len(counts), len(GAPS) - 1), np.nan)
    for bin_ in range(len(GAPS) - 1):
        some = weights[:, place == bin_]
        np.divide(some @ alike[place == bin_], some.sum(axis=1), out=shares[:, bin_], where=some.sum(axis=1) > 0)
    return shares, np.bincount(place, minlength=len(GAPS) - 1)


def single_seeds(full: FloatArray, part: FloatArray) -> FloatArray:
    """Tau of each training seed of the one with each of the other. Args: (S, M), (T, M)."""
    ones = np.ones((1, full.shape[1]), np.int64)
    return np.array([tau(a[None], b[None], ones)[0] for a in full for b in part])


def draw_networks(num_networks: int, seed: int = 0) -> IntArray:
    """(1 + DRAWS, M) how often each network counts; in the first row, once."""
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(num_networks, np.full(num_networks, 1 / num_networks), DRAWS)
    return np.concatenate([np.ones((1, num_networks), np.int64), drawn])


def draw_seeds(accuracies: FloatArray, seed: int) -> FloatArray:
    """(1 + DRAWS, M) means over seeds drawn again for each network; in the first row, over those there are.

    Args: accuracies: (S, M).
    """
    seeds, networks = accuracies.shape
    rng = np.random.default_rng(seed)
    chosen = rng.integers(seeds, size=(DRAWS, seeds, networks))
    drawn = accuracies[chosen, np.arange(networks)].mean(axis=1)
    return np.concatenate([accuracies.mean(axis=0)[None], drawn])
