"""Orders compared pair by pair: Kendall's tau-b, agreement by gap and Spearman's rho, of many draws at once.

All but Spearman's come from one count for each draw, in C++ (csrc/quality/pairs.h): of pairs of networks, by how far
apart they are on the full set, by whether the other set orders them alike, and by whether both are in the band.
"""

from dataclasses import dataclass

import numpy as np

from rescale_fast import _core
from rescale_fast.types import BoolArray, FloatArray, IntArray

GAPS = (0.0025, 0.005, 0.01, 0.02)  # where bins of gaps end, 0..1
TIED = 1e-9  # differences below are ties that arithmetic broke


@dataclass(frozen=True)
class Orders:
    """How D orders agree with D others. A statistic that is not defined is not a number."""

    tau: FloatArray  # (D,) Kendall's tau-b
    band_tau: FloatArray  # (D,) among the networks in the band
    spearman: FloatArray  # (D,)
    agreement: FloatArray  # (D, 5) share of pairs ordered alike, by gap; ties on the other set count as half
    pairs: IntArray  # (D, 5) by gap, without ties on the full set


def compare_orders(full: FloatArray, part: FloatArray, in_band: BoolArray) -> Orders:
    """Compare accuracies on the full set with those on another.

    Args: full, part: (D, m) accuracies of m networks, 0..1. in_band: (D, m), whether each is in the band.
    """
    counts = _count_pairs(full, part, in_band)
    apart = counts[:, :-1].sum(axis=3)  # by gap
    pairs = apart.sum(axis=2)
    with np.errstate(invalid="ignore"):
        agreement = (apart[:, :, 2] + apart[:, :, 1] / 2) / pairs
    return Orders(_tau(counts.sum(axis=3)), _tau(counts[..., 1]), _spearman(full, part), agreement, pairs)


def taus(first: FloatArray, second: FloatArray) -> FloatArray:
    """(D,) Kendall's tau-b alone of D pairs of orders, (D, m) each; not a number where all are tied."""
    return _tau(_count_pairs(first, second, np.zeros(first.shape, bool)).sum(axis=3))


def _count_pairs(full: FloatArray, part: FloatArray, in_band: BoolArray) -> IntArray:
    """(D, len(GAPS) + 2, 3, 2) by gap, the last: ties; ordered otherwise, tied, alike; and whether both are in band."""
    first, second = (np.ascontiguousarray(one, np.float64) for one in (full, part))
    return _core.count_pairs(first, second, np.ascontiguousarray(in_band), np.array(GAPS), tied=TIED, num_threads=0)


def _tau(counts: IntArray) -> FloatArray:
    """(D,) tau-b of counts (D, NUM_BINS, 3)."""
    apart = counts[:, :-1].sum(axis=1)
    full, part = apart.sum(axis=1), (counts[:, :, 0] + counts[:, :, 2]).sum(axis=1)
    with np.errstate(invalid="ignore"):
        return np.asarray((apart[:, 2] - apart[:, 0]) / np.sqrt(full.astype(np.float64) * part), np.float64)


def _spearman(full: FloatArray, part: FloatArray) -> FloatArray:
    """(D,) Pearson's correlation of the ranks, ties sharing theirs."""
    from scipy.stats import rankdata

    a, b = (rankdata(np.round(one, 9), axis=1) for one in (full, part))
    a -= a.mean(axis=1, keepdims=True)
    b -= b.mean(axis=1, keepdims=True)
    with np.errstate(invalid="ignore"):
        return np.asarray((a * b).sum(axis=1) / np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1)), np.float64)
