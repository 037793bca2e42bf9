"""The protocol of Gao 2021: how early in training the order of networks can be told, on a subset and the full set.

Networks are trained on both, and tested after each epoch. The earliest epoch from which the order implies the final one
on the full set, times the training images, is what telling them apart costs; a subset is worth having if it costs less.
Gao does not define "implies". Here it is: Kendall's tau-b between the accuracies at this epoch and the final ones on
the full set (means over seeds) is at least `order_tau`, at this epoch and at all that follow.
Source: R. Gao, Subsets of ImageNet (2021).
"""

import numpy as np

from rescale_fast.quality.accuracies import SetAccuracies
from rescale_fast.quality.bootstrap import INTERVAL, Draws
from rescale_fast.quality.pairs import taus
from rescale_fast.quality.types import Protocol
from rescale_fast.types import FloatArray, IntArray

MOST_PAIRS = 10**8  # of networks, in all epochs and draws


def follow(one: SetAccuracies, final: FloatArray, order_tau: float, draws: Draws) -> Protocol | None:
    """Follow a set's epochs. Args: final: (M,) on the full set. Returns: None where only one epoch is known."""
    num_epochs = len(one.epochs)
    if num_epochs == 1:
        return None
    by_epoch = one.values.mean(axis=1)  # (M, E)
    tau = _taus(by_epoch, final, np.arange(len(final))[None])[0]
    pairs = draws.others.shape[1] ** 2 // 2
    networks = draws.others[: max(100, MOST_PAIRS // (num_epochs * pairs))]
    firsts = _first(_taus(by_epoch, final, networks), order_tau)
    low, high = np.percentile(firsts, INTERVAL, method="nearest")
    (first,) = _first(tau[None], order_tau)
    epoch = _epoch(one, first)
    return Protocol(
        epochs=one.epochs,
        tau=tuple(tau.tolist()),
        order_tau=order_tau,
        first_epoch=epoch,
        first_epoch_low=_epoch(one, low),
        first_epoch_high=_epoch(one, high),
        images=None if epoch is None or one.train_images is None else epoch * one.train_images,
    )


def _taus(by_epoch: FloatArray, final: FloatArray, networks: IntArray) -> FloatArray:
    """(D, E) of draws (D, m); 0 where all are equal, as before anything is learnt."""
    columns = [taus(final[networks], of_epoch[networks]) for of_epoch in by_epoch.T]
    return np.nan_to_num(np.stack(columns, axis=1), nan=0.0)


def _first(tau: FloatArray, order_tau: float) -> FloatArray:
    """(D,) places of the earliest epoch from which on all have order_tau; E where the last one has not."""
    is_below = tau < order_tau - 1e-12
    after_last = tau.shape[1] - np.argmax(is_below[:, ::-1], axis=1)
    return np.where(is_below.any(axis=1), after_last, 0)


def _epoch(one: SetAccuracies, place: float) -> int | None:
    return one.epochs[int(place)] if place < len(one.epochs) else None
