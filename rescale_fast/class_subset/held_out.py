"""How well sets of classes keep the order of networks that had no part in choosing them, beside sets drawn at random.

Every network is held out once, with some others: the classes are chosen by the rest, and only pairs of networks that
are held out together are looked at.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from rescale_fast.class_subset.network_hits import NetworkHits
from rescale_fast.types import JSON, FloatArray, IntArray

NUM_DRAWS = 1000  # sets of classes at random, and bootstrap samples of the networks
FEW_PAIRS = 10  # with fewer, tau takes so few values that little can be told


def draw_folds(networks: NetworkHits, held_out: float, seed: int) -> IntArray:
    """(M,) the number of the part that each network is held out with: about `held_out` of them, and at least two.

    Each part spans all accuracies: of every few networks that follow one another, each goes to a part of its own.
    """
    number = networks.num_networks
    folds = max(2, min(round(1 / held_out), number // 2))
    rng = np.random.default_rng(seed)
    rounds = [rng.permutation(folds) for _ in range(-(-number // folds))]
    result = np.empty(number, np.int64)
    result[np.argsort(networks.accuracy(), kind="stable")] = np.concatenate(rounds)[:number]
    return result


@dataclass(frozen=True)
class HeldOutPairs:
    """Pairs of networks that are held out together."""

    accuracy: FloatArray  # (M,) on all classes
    folds: IntArray  # (M,)

    @cached_property
    def _pairs(self) -> tuple[IntArray, IntArray]:
        first, second = np.triu_indices(len(self.folds), 1)
        together = self.folds[first] == self.folds[second]
        return first[together], second[together]

    @property
    def number(self) -> int:
        return len(self._pairs[0])

    def tau(self, found: FloatArray, weights: FloatArray | None = None) -> FloatArray:
        """(B,) Kendall's tau-b, over the pairs, of each of B rows of accuracies with those on all classes; or 0.

        Args: found: (B, M). weights: (B, M) how often each network counts, by default once.
        """
        of_all, of_set = np.sign(self._gaps(self.accuracy[None])), np.sign(self._gaps(found))
        return self._correlation(of_all, of_set, weights)

    def correlation(self, found: FloatArray) -> FloatArray:
        """(B,) Pearson's, in the same way: whether the spacing is kept, too."""
        return self._correlation(self._gaps(self.accuracy[None]), self._gaps(found), None)

    def _gaps(self, found: FloatArray) -> FloatArray:
        first, second = self._pairs
        gaps: FloatArray = found[:, first] - found[:, second]
        return gaps

    def _correlation(self, a: FloatArray, b: FloatArray, weights: FloatArray | None) -> FloatArray:
        first, second = self._pairs
        counts = np.ones((1, len(first))) if weights is None else weights[:, first] * weights[:, second]
        squares = (counts * a**2).sum(axis=1) * (counts * b**2).sum(axis=1)
        products = (counts * a * b).sum(axis=1)
        found: FloatArray = np.divide(products, np.sqrt(squares), out=np.zeros(len(products)), where=squares > 0)
        return found

    def tau_interval(self, found: FloatArray, seed: int) -> tuple[float, float]:
        """95 % bootstrap interval of the tau of one row of accuracies, (M,), over networks drawn within each part."""
        rng = np.random.default_rng(seed)
        weights = np.zeros((NUM_DRAWS, len(self.folds)))
        for fold in range(int(self.folds.max()) + 1):
            members = np.flatnonzero(self.folds == fold)
            weights[:, members] = rng.multinomial(len(members), np.full(len(members), 1 / len(members)), NUM_DRAWS)
        low, high = np.quantile(self.tau(found[None], weights), [0.025, 0.975])
        return float(low), float(high)


def held_out_facts(networks: NetworkHits, folds: IntArray, chosen: list[IntArray], seed: int) -> dict[str, JSON]:
    """What is known of the choosing: tau and correlation on held-out networks, of it and of random draws.

    Args: chosen: of each part, the (k,) classes that the other networks chose.
    """
    pairs = HeldOutPairs(networks.accuracy(), folds)
    found = np.stack([networks.accuracy(classes) for classes in chosen])[folds, np.arange(len(folds))]
    rng = np.random.default_rng([seed, 1])
    draws = (rng.choice(len(networks.images), len(chosen[0]), replace=False) for _ in range(NUM_DRAWS))
    at_random = np.stack([networks.accuracy(classes) for classes in draws])
    tau, correlation = float(pairs.tau(found[None])[0]), float(pairs.correlation(found[None])[0])
    random_tau, random_correlation = pairs.tau(at_random), pairs.correlation(at_random)
    low, high = pairs.tau_interval(found, seed)
    numbers: dict[str, float] = {
        "networks": networks.num_networks,
        "held_out_parts": len(chosen),
        "held_out_pairs": pairs.number,
        "held_out_tau": tau,
        "held_out_tau_low": low,
        "held_out_tau_high": high,
        "random_tau": float(random_tau.mean()),
        "random_tau_95": float(np.quantile(random_tau, 0.95)),
        "held_out_correlation": correlation,
        "random_correlation": float(random_correlation.mean()),
        "random_correlation_95": float(np.quantile(random_correlation, 0.95)),
    }
    beats_random = tau > numbers["random_tau_95"]
    verdict = _verdict(numbers, beats_random, float(np.mean(random_tau < tau)))
    return {**numbers, "beats_random": beats_random, "verdict": verdict}


def _verdict(numbers: Mapping[str, float], beats_random: bool, better_than: float) -> str:
    text = (
        "tau of held-out networks {held_out_tau:.2f} ({held_out_tau_low:.2f} to {held_out_tau_high:.2f}), of random "
        "choices {random_tau:.2f}, at their 95th percentile {random_tau_95:.2f}: "
    ).format(**numbers)
    if beats_random:
        return text + "choosing beats random choices"
    text += f"choosing is NOT shown to beat random choices (it is above {100 * better_than:.0f} % of them)"
    if numbers["held_out_pairs"] < FEW_PAIRS or numbers["random_tau_95"] == 1:
        text += f"; {numbers['held_out_pairs']:.0f} pairs of networks are too few to tell: give predictions of more"
    return text
