"""Chooses classes as the settings say: by confusion, by accuracy, at random, or from a list.

Reads a ConfusionMatrix; makes a ClassSubset. Each method has a module of its own beside this one.
"""

import numpy as np

from rescale_fast.artifact import Origin
from rescale_fast.class_subset.bounds import relax
from rescale_fast.class_subset.lists import read_list
from rescale_fast.class_subset.outcomes import by_errors_and_half, by_lowest_accuracy, by_votes, lowest_and_confused
from rescale_fast.class_subset.proof import Proof, prove_subset
from rescale_fast.class_subset.published import find_published
from rescale_fast.class_subset.search import check_k, check_seed, fast_subset, greedy_subset, thorough_subset
from rescale_fast.class_subset.settings import SelectSettings
from rescale_fast.class_subset.types import ClassSubset
from rescale_fast.class_subset.weights import pair_graph
from rescale_fast.confusion import ConfusionMatrix
from rescale_fast.errors import SettingError
from rescale_fast.types import JSON, IntArray, Track, silent


def choose_classes(
    confusion: ConfusionMatrix,
    settings: SelectSettings,
    origin: Origin,
    *,
    num_threads: int = 0,
    track: Track = silent,
) -> ClassSubset:
    """Choose classes as the settings say.

    Raises: SettingError for k outside 2..K, two lists at once, or a list that does not fit the data set.
    """
    chosen, method, facts = _choose(confusion, settings, num_threads, track)
    return ClassSubset(
        origin=origin,
        method=method,
        num_classes=confusion.num_classes,
        classes=tuple(int(label) for label in chosen),
        class_ids=tuple(confusion.class_ids[label] for label in chosen),
        class_names=tuple(confusion.class_names[label] for label in chosen),
        facts=describe(confusion, chosen) | facts,
    )


def _choose(
    confusion: ConfusionMatrix, settings: SelectSettings, num_threads: int, track: Track
) -> tuple[IntArray, str, dict[str, JSON]]:
    if settings.classes is not None and settings.published is not None:
        raise SettingError("--classes and --published: give one of them.")
    if settings.classes is not None:
        return read_list(settings.classes, confusion.class_ids), "list", {}
    if settings.published is not None:
        published = find_published(settings.published)
        facts: dict[str, JSON] = {"source": published.source, "digest": published.digest}
        return published.labels(confusion.class_ids), published.name, facts
    check_k(settings.k, confusion.num_classes)
    if settings.method == "max-confusion":
        chosen, facts = max_confusion(confusion, settings, num_threads=num_threads, track=track)
        return chosen, f"max-confusion, {settings.effort}", facts
    if settings.method == "validation-outcomes":
        return np.sort(_by_rule(confusion.counts, settings)), f"validation-outcomes, {settings.rule}", {}
    if settings.method == "lowest-accuracy":
        return np.sort(by_lowest_accuracy(confusion.counts)[: settings.k]), "lowest-accuracy", {}
    check_seed(settings.search_seed)
    drawn = np.random.default_rng(settings.search_seed).choice(confusion.num_classes, settings.k, replace=False)
    return np.sort(drawn), f"random, seed {settings.search_seed}", {}


def _by_rule(counts: IntArray, settings: SelectSettings) -> IntArray:
    if settings.rule == "votes":
        if settings.vote_pool <= 0:
            raise SettingError(f"--vote-pool {settings.vote_pool}: expected more than 0.")
        return by_votes(counts, settings.k, settings.vote_pool)
    if settings.rule == "errors+half":
        return by_errors_and_half(counts, settings.k)
    return lowest_and_confused(counts, settings.k)


def max_confusion(
    confusion: ConfusionMatrix, settings: SelectSettings, *, num_threads: int = 0, track: Track = silent
) -> tuple[IntArray, dict[str, JSON]]:
    """The k classes most confused with one another, and how good the choice is known to be.

    The `objective` is the sum of the pair weights inside; `upper_bound` is what no choice can exceed; `gap` is what
    may be missing, as a share of the objective; with `is_optimal`, nothing is.
    Source: Gao 2021 ("Subsets of ImageNet"), method 4.
    """
    if settings.seconds <= 0:
        raise SettingError(f"--seconds {settings.seconds}: expected more than 0.")
    graph = pair_graph(confusion, settings.pair_weights)
    k, seed = settings.k, settings.search_seed
    greedy = chosen = greedy_subset(graph, k)
    if settings.effort == "prove":
        proof = prove_subset(graph, k, seconds=settings.seconds, seed=seed, num_threads=num_threads, track=track)
    else:
        relaxation = relax(graph)
        bound = relaxation.bound(k)
        if settings.effort == "fast":
            chosen = fast_subset(graph, k, seed=seed, num_threads=num_threads, relaxation=relaxation, track=track)
        elif settings.effort == "thorough":
            chosen = thorough_subset(
                graph,
                k,
                seconds=settings.seconds,
                seed=seed,
                num_threads=num_threads,
                relaxation=relaxation,
                track=track,
            )
        proof = Proof(chosen, graph.value(chosen), bound, "linear relaxation")
    facts: dict[str, JSON] = {
        "pair_weights": settings.pair_weights,
        "objective": proof.value,
        "objective_of_greedy": graph.value(greedy),
        "upper_bound": proof.bound,
        "bound_by": proof.bound_by,
        "gap": (proof.bound - proof.value) / proof.value if proof.value else 0.0,
        "is_optimal": proof.is_optimal,
    }
    if graph.num_pairs == 0:
        facts["note"] = "no two classes are confused with each other, so these are the first classes"
    return proof.classes, facts


def describe(confusion: ConfusionMatrix, chosen: IntArray) -> dict[str, float | int]:
    """What is known of a choice: confused images inside it, its errors, its accuracy, the expectation at random."""
    counts = confusion.counts
    inside = counts[np.ix_(chosen, chosen)]
    k, num_classes = len(chosen), confusion.num_classes
    total = int(counts.sum() - np.trace(counts))
    return {
        "value": int(inside.sum() - np.trace(inside)),  # images of chosen classes called another chosen class
        "value_of_a_random_choice": total * k * (k - 1) / (num_classes * (num_classes - 1)),  # expectation
        "errors": int(counts[chosen].sum() - np.trace(inside)),  # misclassified images of chosen classes
        "accuracy": float(np.trace(inside) / max(1, counts[chosen].sum())),
        "accuracy_of_all_classes": confusion.accuracy,
    }
