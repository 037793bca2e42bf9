"""Choices made from single outcomes of validation, not from pairs: lowest accuracy, and reconstructions of ReIN/RePL.

Nguyen and Nguyen (Pattern Recognition Letters 185, 2024) published the lists ReIN and RePL and this rule: take the
misclassified images of the classes of lowest accuracy, see which classes they were confused with, and unify. The
thresholds are not public. The three rules here are readings of it; benchmarks/bench_class_lists.py shows how much of
the published lists each finds again. All read counts, (K, K) int64, row = true class, and return labels by falling
rank; ties go to the lower label.
"""

import numpy as np

from rescale_fast.types import IntArray


def by_lowest_accuracy(counts: IntArray) -> IntArray:
    """(K,) int64: the labels from the lowest accuracy up. Classes without an image come last."""
    images = counts.sum(axis=1)
    accuracy = np.where(images > 0, np.diagonal(counts) / np.maximum(1, images), np.inf)
    return np.argsort(accuracy, kind="stable")


def by_votes(counts: IntArray, k: int, pool: float) -> IntArray:
    """(k,): misclassified images of the `pool` * k lowest classes vote for their true and for their predicted class."""
    errors = _errors(counts)
    voters = by_lowest_accuracy(counts)[: max(1, round(pool * k))]
    votes = errors[voters].sum(axis=0)
    votes[voters] += errors[voters].sum(axis=1)
    return np.argsort(-votes, kind="stable")[:k]


def by_errors_and_half(counts: IntArray, k: int) -> IntArray:
    """(k,): a class's errors, plus half the times it was predicted on errors of the k lowest classes."""
    errors = _errors(counts)
    lowest = by_lowest_accuracy(counts)[:k]
    return np.argsort(-(errors.sum(axis=1) + 0.5 * errors[lowest].sum(axis=0)), kind="stable")[:k]


def lowest_and_confused(counts: IntArray, k: int) -> IntArray:
    """(k,): the lowest classes, each with the class it is most often mistaken for, until there are k."""
    errors = _errors(counts)
    chosen: dict[int, None] = {}
    for label in by_lowest_accuracy(counts):
        chosen.setdefault(int(label))
        if errors[label].any():
            chosen.setdefault(int(errors[label].argmax()))
        if len(chosen) >= k:
            break
    return np.array(list(chosen)[:k], np.int64)


def _errors(counts: IntArray) -> IntArray:
    errors = counts.copy()
    np.fill_diagonal(errors, 0)
    return errors
