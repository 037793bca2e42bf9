"""Chooses classes as the settings say: by confusion, by accuracy, at random, or from a list.

Reads a ConfusionMatrix; makes a ClassSubset. Each method has a module of its own beside this one.
"""

import json
from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np

from rescale_fast.artifact import Origin, json_sha256, to_json
from rescale_fast.class_subset.bounds import Relaxation, relax
from rescale_fast.class_subset.fidelity import rank_fidelity
from rescale_fast.class_subset.lists import ClassList
from rescale_fast.class_subset.network_hits import NetworkHits
from rescale_fast.class_subset.outcomes import by_errors_and_half, by_lowest_accuracy, by_votes, lowest_and_confused
from rescale_fast.class_subset.proof import Proof, proof_by_relaxation, prove_subset
from rescale_fast.class_subset.search import check_k, fast_subset, greedy_subset, thorough_subset
from rescale_fast.class_subset.settings import SelectSettings
from rescale_fast.class_subset.types import ClassSubset
from rescale_fast.class_subset.weights import pair_graph
from rescale_fast.confusion import ConfusionMatrix
from rescale_fast.errors import SettingError
from rescale_fast.settings import Registry
from rescale_fast.types import JSON, IntArray, Track, silent

Chosen: TypeAlias = tuple[IntArray, str, dict[str, JSON]]  # labels; how; what is known of them


def choose_classes(
    confusion: ConfusionMatrix,
    settings: SelectSettings,
    origin: Origin,
    *,
    networks: NetworkHits | None = None,
    num_threads: int = 0,
    track: Track = silent,
) -> ClassSubset:
    """Choose classes as the settings say; `networks` are those that `rank-fidelity` looks at.

    Raises: SettingError for k above K, a list that does not fit the data set, or networks that are missing.
    """
    if settings.listed is not None:
        return take_classes(settings.listed, confusion.class_ids, confusion.class_names, origin, confusion)
    choose = METHODS[settings.method]
    check_k(settings.k, confusion.num_classes)
    chosen, method, facts = _checked(
        settings.method, choose(confusion, settings, num_threads, track, networks), confusion.num_classes
    )
    known = {**describe(confusion, chosen), **facts}
    return _subset(chosen, confusion.class_ids, confusion.class_names, method, known, origin)


def _checked(name: str, made: Chosen, num_classes: int) -> Chosen:
    """What a method gives, labels increasing. Raises: SettingError naming a method that does not do as it should."""
    try:
        labels, how, facts = made
        chosen = np.unique(np.asarray(labels))
        fits = (
            chosen.dtype.kind in "iu" and 0 < len(chosen) == len(labels) and 0 <= chosen[0] <= chosen[-1] < num_classes
        )
        json.dumps(to_json(facts))
    except (TypeError, ValueError) as error:
        raise SettingError(f"--method {name}: gives {error}; {_EXPECTED}") from error
    if not fits or not isinstance(how, str):
        raise SettingError(f"--method {name}: gives {str(labels)[:80]}, {how!r:.80}; {_EXPECTED}")
    return chosen.astype(np.int64), how, facts


_EXPECTED = "expected labels of the data set, none twice, a text that says how, and facts for JSON."


def take_classes(
    listed: ClassList,
    class_ids: tuple[str, ...],
    class_names: tuple[str, ...],
    origin: Origin,
    confusion: ConfusionMatrix | None = None,
) -> ClassSubset:
    """Take the classes of a list; with a confusion matrix, its facts say what is known of them, as of any choice.

    Args: class_ids, class_names: (K,) of the data set.
    Raises: SettingError for a list that does not fit them.
    """
    labels = listed.labels(class_ids)
    known = {} if confusion is None else describe(confusion, labels)
    return _subset(labels, class_ids, class_names, listed.method, known | dict(listed.facts), origin)


def _subset(
    labels: IntArray,
    class_ids: tuple[str, ...],
    class_names: tuple[str, ...],
    method: str,
    facts: Mapping[str, JSON],
    origin: Origin,
) -> ClassSubset:
    chosen = labels.tolist()
    return ClassSubset(
        origin=origin,
        method=method,
        num_classes=len(class_ids),
        classes=tuple(chosen),
        class_ids=tuple(class_ids[label] for label in chosen),
        class_names=tuple(class_names[label] for label in chosen),
        facts=facts,
    )


def list_origin(listed: ClassList, made_from: Mapping[str, str] | tuple[str, ...]) -> Origin:
    """What classes of a list are made from: the list, and a confusion matrix or, without any, the (K,) class ids."""
    if isinstance(made_from, tuple):
        made_from = {"class_ids": json_sha256(made_from)}
    return Origin({**made_from, **listed.origin.made_from}, listed.origin.config)


def choice_origin(
    settings: SelectSettings, confusion_digest: str, predictions: Mapping[str, str] | None = None
) -> Origin:
    """What a choice is made from: the confusion matrix with this digest, and the list or the settings; for
    `rank-fidelity`, the networks' predictions, too, by name.

    Raises: SettingError for a list that is not there.
    """
    made_from = {"confusion": confusion_digest}
    if settings.listed is not None:  # the list decides; k and the file's place do not
        return list_origin(settings.listed, made_from)
    if settings.method == "rank-fidelity":
        made_from |= predictions or {}
    return Origin(made_from, dict(to_json(settings)))  # type: ignore[arg-type]


def check_choice(settings: SelectSettings, class_ids: tuple[str, ...]) -> int:
    """How many of these classes the settings choose.

    Raises: SettingError for k above their number, or a list that does not fit them.
    """
    if settings.listed is not None:
        return len(settings.listed.labels(class_ids))
    check_k(settings.k, len(class_ids))
    return settings.k


def _by_confusion(
    confusion: ConfusionMatrix, settings: SelectSettings, num_threads: int, track: Track, *_: object
) -> Chosen:
    chosen, facts = max_confusion(confusion, settings, num_threads=num_threads, track=track)
    return chosen, f"max-confusion, {settings.effort}", facts


def _by_outcomes(confusion: ConfusionMatrix, settings: SelectSettings, *_: object) -> Chosen:
    chosen = RULES[settings.rule](confusion.counts, settings)
    return np.sort(chosen), f"validation-outcomes, {settings.rule}", {}


def _by_accuracy(confusion: ConfusionMatrix, settings: SelectSettings, *_: object) -> Chosen:
    return np.sort(by_lowest_accuracy(confusion.counts)[: settings.k]), "lowest-accuracy", {}


def _at_random(confusion: ConfusionMatrix, settings: SelectSettings, *_: object) -> Chosen:
    drawn = np.random.default_rng(settings.search_seed).choice(confusion.num_classes, settings.k, replace=False)
    return np.sort(drawn), f"random, seed {settings.search_seed}", {}


def _by_fidelity(
    confusion: ConfusionMatrix,
    settings: SelectSettings,
    num_threads: int,
    track: Track,
    networks: NetworkHits | None,
) -> Chosen:
    settings.check_networks(0 if networks is None else networks.num_networks)
    assert networks is not None  # as there are enough
    chosen, facts = rank_fidelity(confusion, networks, settings, num_threads=num_threads, track=track)
    return chosen, f"rank-fidelity, hardness {settings.hardness:g}" if settings.hardness else "rank-fidelity", facts


METHODS: Registry[Callable[[ConfusionMatrix, SelectSettings, int, Track, NetworkHits | None], Chosen]] = Registry(
    {
        "max-confusion": _by_confusion,
        "validation-outcomes": _by_outcomes,
        "lowest-accuracy": _by_accuracy,
        "random": _at_random,
        "rank-fidelity": _by_fidelity,
    }
)
RULES: Registry[Callable[[IntArray, SelectSettings], IntArray]] = Registry(
    {
        "votes": lambda counts, settings: by_votes(counts, settings.k, settings.vote_pool),
        "errors+half": lambda counts, settings: by_errors_and_half(counts, settings.k),
        "lowest+confused": lambda counts, settings: lowest_and_confused(counts, settings.k),
    }
)


def max_confusion(
    confusion: ConfusionMatrix, settings: SelectSettings, *, num_threads: int = 0, track: Track = silent
) -> tuple[IntArray, dict[str, JSON]]:
    """The k classes most confused with one another, and how good the choice is known to be.

    The `objective` is the sum of the pair weights inside; `upper_bound` is what no choice can exceed; `gap` is what
    may be missing, as a share of the objective; with `is_optimal`, nothing is (or, of weights that are no whole
    numbers, less than bounds can tell).
    Source: Gao 2021 ("Subsets of ImageNet"), method 4.
    """
    relaxation = relax(pair_graph(confusion, settings.pair_weights))
    graph = relaxation.graph
    proof = EFFORTS[settings.effort](relaxation, settings, num_threads, track)
    facts: dict[str, JSON] = {
        "pair_weights": settings.pair_weights,
        "objective": proof.value,
        "objective_of_greedy": graph.value(greedy_subset(graph, settings.k)),
        "upper_bound": proof.bound,
        "bound_by": proof.bound_by,
        "gap": (proof.bound - proof.value) / proof.value if proof.value else 0.0,
        "is_optimal": proof.is_optimal,
        "over_k": to_json(relaxation.over_k(settings.k)),
    }
    if graph.num_pairs == 0:
        facts["note"] = "no two classes are confused with each other, so these are the first classes"
    return proof.classes, facts


def _greedy(relaxation: Relaxation, settings: SelectSettings, *_: object) -> Proof:
    return proof_by_relaxation(relaxation, greedy_subset(relaxation.graph, settings.k))


def _search(
    search: Callable[..., IntArray | Proof],
    *options: str,
) -> Callable[[Relaxation, SelectSettings, int, Track], Proof]:
    """An effort that searches, with these settings beside its seed; what has no proof yet gets the relaxation's."""

    def effort(relaxation: Relaxation, settings: SelectSettings, num_threads: int, track: Track) -> Proof:
        found = search(
            relaxation.graph,
            settings.k,
            **{name: getattr(settings, name) for name in options},
            seed=settings.search_seed,
            num_threads=num_threads,
            relaxation=relaxation,
            track=track,
        )
        return found if isinstance(found, Proof) else proof_by_relaxation(relaxation, found)

    return effort


EFFORTS: Registry[Callable[[Relaxation, SelectSettings, int, Track], Proof]] = Registry(
    {
        "greedy": _greedy,
        "fast": _search(fast_subset),
        "thorough": _search(thorough_subset, "seconds"),
        "prove": _search(prove_subset, "seconds"),
    }
)


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
