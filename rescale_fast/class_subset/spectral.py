"""A tighter bound for one k: the linear relaxation and the largest eigenvalue in one Lagrangian dual.

The problem is: maximise x'Wx / 2 over 0/1 vectors x with sum k. For any multipliers P >= 0, N >= 0, u, v let

    M = W - P - P' + N - Diag(u) + v e' + e v'          score = u - 2 k v + 2 P e

Then for every such x, using x_i x_j <= x_i (P), x_i x_j >= 0 (N), x_i^2 = x_i (u) and x_i sum(x) = k x_i (v),

    x'Wx / 2  <=  x'Mx / 2 + score'x / 2  <=  k lambda_max(M) / 2 + (sum of the k largest scores) / 2.

So any multipliers bound the optimum; the best are those of the doubly non-negative relaxation with the linear one's
constraints (cf. Roupin 2004; Krislock, Malick and Roupin 2016 for the densest k-subgraph). They are found by
first-order steps (Adam) on the dual, with the eigenvalue and the top-k sum smoothed, beginning at the linear
relaxation's solution. Only evaluated bounds are reported, padded for the rounding of the eigenvalue.

A class that a better choice cannot hold, because the bound with it forced in is too low, leaves the problem, so the
matrices shrink as the bound comes down.
"""

import math
import time
from dataclasses import dataclass, field

import numpy as np

from rescale_fast.types import FloatArray, IntArray, Track, silent

FIRST_RATE, LAST_RATE = 0.15, 0.003  # of the steps, in units of weight
FIRST_SMOOTHING, LAST_SMOOTHING = 0.3, 0.02
STEPS_BETWEEN_CUTS = 20
USUAL_COUNT = 16.0  # whole weights up to here, on average, are what the steps above are made for
LEAST_EXPONENT = -1000  # of two, whose inverse is a float, too


@dataclass
class Multipliers:
    """The dual variables, over the m classes still in the problem, and Adam's moments of each."""

    pair: FloatArray  # (m, m) P
    non_negative: FloatArray  # (m, m) N
    square: FloatArray  # (m,) u
    size: FloatArray  # (m,) v
    moments: dict[str, tuple[FloatArray, FloatArray]] = field(default_factory=dict)

    def keep(self, kept: IntArray) -> None:
        """Leave out all classes but those at the places `kept`."""

        def cut(values: FloatArray) -> FloatArray:
            return np.ascontiguousarray(values[np.ix_(*[kept] * values.ndim)])

        for name in ("pair", "non_negative", "square", "size"):
            setattr(self, name, cut(getattr(self, name)))
        self.moments = {name: (cut(first), cut(second)) for name, (first, second) in self.moments.items()}


@dataclass(frozen=True)
class SpectralBound:
    """What the dual proved."""

    bound: float  # no choice is worth more, or the incumbent is the best
    kernel: IntArray  # (m,) labels that a choice better than the incumbent may hold, by falling score
    with_class: FloatArray  # (m,) same order: what a choice that holds the class cannot exceed, not rounded


def spectral_bound(
    weights: FloatArray,
    shares: FloatArray,
    k: int,
    incumbent: float,
    *,
    integral: bool,
    seconds: float,
    track: Track = silent,
) -> SpectralBound:
    """Tighten the bound for `seconds`, or until it meets the incumbent.

    Args:
        weights: (K, K) float64, symmetric, zero diagonal. integral: all weights are whole.
        shares: (K, K) float64, P at the start; shares + shares' = weights gives the linear relaxation's bound.
        incumbent: the value of a choice that is known.
    """
    from threadpoolctl import threadpool_limits

    labels = np.arange(len(weights))
    unit = _unit(weights, integral)
    weights = weights / unit
    at = Multipliers(shares / unit, np.zeros_like(weights), np.zeros(len(weights)), np.zeros(len(weights)))
    bound, with_class = np.inf, np.full(len(labels), np.inf)
    order = labels
    start, step, last_seconds = time.monotonic(), 0, 0.0
    # One thread: on a busy machine several slow LAPACK down tenfold, and matrices are too small to gain much.
    with threadpool_limits(1), track("Bounding", total=round(seconds), unit="s") as advance:
        shown = 0
        while bound > incumbent and time.monotonic() - start + last_seconds < seconds:
            began, step = time.monotonic(), step + 1
            done = min(1.0, (began - start) / seconds)
            smoothing = FIRST_SMOOTHING * (LAST_SMOOTHING / FIRST_SMOOTHING) ** done
            values, vectors, score, pad = _decompose(weights, at, k)
            forced = unit * bound_with_each(values[-1] + pad, score, k)
            with_class[labels] = np.minimum(with_class[labels], forced)
            if _rounded(forced.max(), integral) < bound:
                bound = _rounded(forced.max(), integral)
                order = labels[np.argsort(-score, kind="stable")]
            rate = FIRST_RATE * (LAST_RATE / FIRST_RATE) ** done
            _step(at, weights, values, vectors, score, k, step=step, rate=rate, smoothing=smoothing)
            if step % STEPS_BETWEEN_CUTS == 1:
                kept = np.flatnonzero([_rounded(most, integral) > incumbent for most in with_class[labels]])
                if len(kept) < k:
                    bound = incumbent
                elif len(kept) < len(labels):
                    labels, weights = labels[kept], np.ascontiguousarray(weights[np.ix_(kept, kept)])
                    at.keep(kept)
            last_seconds = time.monotonic() - began
            elapsed = int(time.monotonic() - start)
            advance(elapsed - shown, f"found {incumbent:,.6g}, at most {max(bound, incumbent):,.6g}")
            shown = elapsed
    allowed = np.isin(order, labels)
    return SpectralBound(max(bound, incumbent), order[allowed], with_class[order[allowed]])


def _unit(weights: FloatArray, integral: bool) -> float:
    """What all weights are measured in: 1 for the usual counts, else near their mean; a power of two rounds nothing."""
    mean = float(weights.sum() / max(1, np.count_nonzero(weights)))
    if integral and mean <= USUAL_COUNT:
        return 1.0
    return math.ldexp(1.0, max(LEAST_EXPONENT, math.frexp(mean)[1] - 1))


def bound_with_each(largest: float, score: FloatArray, k: int) -> FloatArray:
    """(m,) what no choice that holds the class can exceed: the class takes the place of the least of the k largest."""
    top = _top(score, k)
    bounds: FloatArray = k / 2 * largest + 0.5 * (top.sum() - np.maximum(0.0, top[-1] - score))
    return bounds


def _top(score: FloatArray, k: int) -> FloatArray:
    return np.sort(score)[::-1][:k]


def _rounded(bound: float, integral: bool) -> float:
    return float(math.floor(bound)) if integral else math.nextafter(bound, math.inf)


def _decompose(weights: FloatArray, at: Multipliers, k: int) -> tuple[FloatArray, FloatArray, FloatArray, float]:
    """Eigenvalues (rising) and vectors of M, the scores, and what makes up for rounding when added to an eigenvalue."""
    size = len(weights)
    per_class = at.size / np.sqrt(size)  # so that steps in v are of the same size as steps in u
    matrix = weights - at.pair - at.pair.T + at.non_negative + per_class[:, None] + per_class[None, :]
    matrix[np.diag_indices(size)] -= at.square
    values, vectors = np.linalg.eigh(matrix)
    score = at.square - 2 * k * per_class + 2 * at.pair.sum(axis=1)
    # LAPACK's eigenvalues are off by a small multiple of size * eps * norm at most; so are sums in M and the scores.
    terms = np.linalg.norm(weights) + 2 * np.linalg.norm(at.pair) + np.linalg.norm(at.non_negative)
    terms += np.linalg.norm(at.square) + 2 * k * np.linalg.norm(at.size)
    return values, vectors, score, 20 * size * np.finfo(np.float64).eps * float(terms)


def _step(
    at: Multipliers,
    weights: FloatArray,
    values: FloatArray,
    vectors: FloatArray,
    score: FloatArray,
    k: int,
    *,
    step: int,
    rate: float,
    smoothing: float,
) -> None:
    """One step of Adam down the smoothed dual."""
    soft = np.exp((values - values[-1]) / smoothing)
    used = soft > 1e-6 * soft.sum()
    gram = k / 2 * (vectors[:, used] * (soft[used] / soft.sum())) @ vectors[:, used].T  # about X / 2
    chosen = _smooth_top(score, k, smoothing)  # about x
    root = np.sqrt(len(weights))
    gradients = {
        "square": chosen / 2 - np.diagonal(gram),
        "size": (2 * gram.sum(axis=1) - k * chosen) / root,
        "pair": np.where(weights > 0, chosen[:, None] - 2 * gram, 0.0),
        "non_negative": gram,
    }
    for name, gradient in gradients.items():
        first, second = at.moments.get(name, (np.zeros_like(gradient), np.zeros_like(gradient)))
        first, second = 0.9 * first + 0.1 * gradient, 0.99 * second + 0.01 * gradient**2
        at.moments[name] = (first, second)
        move = rate * (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.99**step)) + 1e-8)
        moved = getattr(at, name) - move
        setattr(at, name, np.maximum(moved, 0.0) if moved.ndim == 2 else moved)
    np.fill_diagonal(at.non_negative, 0.0)


def _smooth_top(score: FloatArray, k: int, smoothing: float) -> FloatArray:
    """(m,) in 0..1 with sum k: nearly 1 for the k largest scores."""
    low, high = score.min() - 50 * smoothing, score.max() + 50 * smoothing
    chosen = np.zeros_like(score)
    for _ in range(60):
        middle = (low + high) / 2
        chosen = 1 / (1 + np.exp(-np.clip((score - middle) / smoothing, -60, 60)))
        low, high = (middle, high) if chosen.sum() > k else (low, middle)
    return chosen
