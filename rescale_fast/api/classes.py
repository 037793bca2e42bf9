"""Who is mistaken for whom; and which classes that makes one choose, group or compare."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias, cast, overload

import numpy as np
from numpy.typing import ArrayLike

from rescale_fast.api.origins import alike, array_digest, content_digest, expect, network_digests, whole_numbers
from rescale_fast.artifact import Origin, json_sha256
from rescale_fast.class_subset import choose, group
from rescale_fast.class_subset.compare import Comparison, compare_subsets, find_subset, labels_in
from rescale_fast.class_subset.lists import ALL, ClassList, GivenIds, find_list
from rescale_fast.class_subset.network_hits import NetworkHits
from rescale_fast.class_subset.settings import Effort, GroupSettings, Method, Rule, SelectSettings
from rescale_fast.class_subset.types import ClassGrouping, ClassSubset
from rescale_fast.class_subset.weights import PairWeights
from rescale_fast.confusion import ConfusionMatrix, count_confusion, pool_confusion
from rescale_fast.datasets.types import Dataset
from rescale_fast.errors import SettingError
from rescale_fast.files.reading import DamageError, check_class_ids
from rescale_fast.machine import MachineSettings
from rescale_fast.predictions.types import Predictions
from rescale_fast.types import IntArray

Classes: TypeAlias = "ClassSubset | ClassGrouping | str | Path | Sequence[str]"  # `as_classes` says which these are


@overload
def confusion(labels: Predictions | Sequence[Predictions], *, num_threads: int = 0) -> ConfusionMatrix: ...


@overload
def confusion(
    labels: ArrayLike,
    predicted: ArrayLike,
    class_ids: Sequence[str],
    *,
    class_names: Sequence[str] = (),
    num_threads: int = 0,
) -> ConfusionMatrix: ...


def confusion(
    labels: Predictions | Sequence[Predictions] | ArrayLike,
    predicted: ArrayLike | None = None,
    class_ids: Sequence[str] = (),
    *,
    class_names: Sequence[str] = (),
    num_threads: int = 0,
) -> ConfusionMatrix:
    """Count who is mistaken for whom: `confusion(labels, predicted, class_ids)`, or `confusion(predictions)`, which
    also sums the probabilities that each class was given. Those of several networks, in a list, are pooled.

    Args:
        labels: (N,) whole numbers, the true class of each image, 0..K-1; or Predictions, as `validate` makes them, or a
            list of Predictions of the same images.
        predicted: (N,) whole numbers, the class that each image was called. class_ids: (K,) keys of the classes, such
            as their folders' names. class_names: (K,) for people; by default the ids.
        num_threads: 0 = all cores; the result does not depend on it.
    Returns: ConfusionMatrix: counts (K, K) int64, images; row = true class, column = predicted class.
    Raises: SettingError for arrays that are no (N,) whole numbers, ids that are not unique, and a class outside
        [0, K), naming the first bad position; ArtifactError for networks that looked at different images.
    """
    machine = MachineSettings(num_threads=num_threads)
    networks = _networks(labels)
    if networks:
        if predicted is not None or class_ids or class_names:
            raise SettingError("confusion: Predictions say all there is to say. Pass nothing beside them.")
        return pool_confusion(alike(networks), Origin(network_digests(networks), {}), num_threads=machine.threads)
    if predicted is None:
        raise SettingError("confusion: expected labels, predicted and class_ids, or Predictions.")
    ids, names = _checked_ids(class_ids, class_names)
    true, called = whole_numbers("labels", cast(ArrayLike, labels), 1), whole_numbers("predicted", predicted, 1)
    try:
        counts = count_confusion(true, called, len(ids), num_threads=machine.threads)
    except ValueError as error:
        raise SettingError(f"confusion: {error}") from error
    made_from = {"labels": array_digest(true), "predicted": array_digest(called), "class_ids": json_sha256(ids)}
    return ConfusionMatrix(Origin(made_from, {}), counts, counts.astype(np.float64), ids, names)


def _networks(predictions: object) -> Sequence[Predictions]:
    """The networks' predictions, if that is what was passed."""
    if isinstance(predictions, Predictions):
        return [predictions]
    if isinstance(predictions, (list, tuple)) and predictions and isinstance(predictions[0], Predictions):
        return predictions
    return []


def _checked_ids(class_ids: Sequence[str], class_names: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    ids = tuple(class_ids)
    if not ids:
        raise SettingError(
            "class_ids: are needed beside labels and predicted; expected the text that identifies each class."
        )
    if not all(isinstance(one, str) for one in ids):
        raise SettingError(f"class_ids {class_ids!r:.80}: expected the text that identifies each class.")
    try:
        check_class_ids("class_ids", ids)
    except DamageError as error:
        raise SettingError(f"{error}.") from error
    names = tuple(class_names) or ids
    if len(names) != len(ids):
        raise SettingError(f"class_names: are {len(names):,}, and there are {len(ids):,} classes.")
    return ids, names


def choose_classes(
    confusion: ConfusionMatrix | Dataset,
    k: int = 10,
    *,
    method: Method = "max-confusion",
    rule: Rule = "votes",
    vote_pool: float = 1.5,
    pair_weights: PairWeights = "counts",
    effort: Effort = "fast",
    seconds: float = 120.0,
    search_seed: int = 0,
    classes: "str | Path | Sequence[str] | None" = None,
    published: str | None = None,
    predictions: Sequence[Predictions] = (),
    held_out: float = 0.33,
    hardness: float = 0.0,
    num_threads: int = 0,
) -> ClassSubset:
    """Choose k of the K classes, by default those most confused with one another; or take those of a list, for which
    the data set is enough.

    Args:
        confusion: what is known of the classes; or, for a list, the Dataset that they are of.
        k: 2..K. method: "max-confusion", "validation-outcomes" (a reconstruction of ReIN and RePL, by `rule`, with
            `vote_pool`), "lowest-accuracy", "random" or "rank-fidelity" (several networks keep their order).
        pair_weights: what counts as confused: "counts" (images), "rates" or "soft" (probability).
        effort: how hard to search: "greedy", "fast", "thorough" (for `seconds`) or "prove" (also bounds what any
            choice could reach). search_seed: of the search, and of "random".
        classes: take these: "all", a published list's name, a file with an id a line, or the ids; published: take those
            of a published list, such as "ReIN30".
        predictions: of "rank-fidelity": those of at least 4 networks, of the same images; held_out: the share of them
            that is held out at a time to judge the choice; hardness: from 0, order alone, to 1, confusion alone.
        num_threads: 0 = all cores.
    Returns: ClassSubset: classes (k,) labels, increasing, their class_ids and class_names; facts: its `value` (images
        confused inside), `upper_bound` and more.
    Raises: SettingError for a value that is none of these, one that would have no effect, k above K, and a list that
        does not fit the classes.
    """
    ids = None if classes is None or isinstance(classes, (str, Path)) else as_list(classes)
    settings = SelectSettings(
        k, method, rule, vote_pool, pair_weights, effort, seconds, search_seed,
        classes if ids is None else ALL, published,  # type: ignore[arg-type]  # it makes a text of a path
        held_out, hardness,
    )  # fmt: skip
    if predictions and method != "rank-fidelity":
        raise SettingError(f"predictions: would have no effect, as method is {method}. Leave out one or the other.")
    listed = ids or settings.listed
    if listed is not None:
        return take_listed(confusion, listed)
    expect("confusion", confusion, ConfusionMatrix)
    assert isinstance(confusion, ConfusionMatrix)
    threads = MachineSettings(num_threads=num_threads).threads
    settings.check_networks(len(predictions))
    origin = choose.choice_origin(settings, content_digest(confusion), network_digests(predictions))
    networks = NetworkHits.of(alike(predictions)) if predictions else None
    return choose.choose_classes(confusion, settings, origin, networks=networks, num_threads=threads)


def as_list(classes: "str | Path | Sequence[str]") -> ClassList:
    """What names classes: "all", a published list, a file or their ids. Raises: SettingError."""
    if isinstance(classes, Path):
        return find_list(str(classes.absolute()), "classes")
    if isinstance(classes, str):
        return find_list(classes, "classes")
    expect("classes", classes, Sequence)
    for place, one in enumerate(classes):
        expect(f"classes[{place}]", one, str)
    return GivenIds(tuple(classes))


def take_listed(source: ConfusionMatrix | Dataset, listed: ClassList) -> ClassSubset:
    """The classes of a list, with what is known of them."""
    expect("confusion", source, ConfusionMatrix, Dataset)
    if isinstance(source, Dataset):
        origin = choose.list_origin(listed, source.class_ids)
        return choose.take_classes(listed, source.class_ids, source.class_names, origin)
    origin = choose.list_origin(listed, {"confusion": content_digest(source)})
    return choose.take_classes(listed, source.class_ids, source.class_names, origin, source)


def as_classes(dataset: Dataset, classes: "Classes") -> ClassSubset | ClassGrouping:
    """What was chosen or grouped, or the classes of the data set that are listed. Raises: SettingError."""
    expect("classes", classes, ClassSubset, ClassGrouping, str, Path, Sequence)
    if isinstance(classes, (ClassSubset, ClassGrouping)):
        return classes
    return take_listed(dataset, as_list(classes))


def group_classes(
    confusion: ConfusionMatrix,
    grouping: "str | Path",
    *,
    num_groups: int = 20,
    group_seed: int = 0,
    wordnet: "str | Path" = GroupSettings.wordnet,
) -> ClassGrouping:
    """Make coarse classes: each a group of the K classes.

    Args:
        grouping: "random", "confused" (those most confused with one another), "wordnet", "wordnet-balanced",
            "coarse67", or a CSV of class ids and coarse labels.
        num_groups: 2..K; a table has its own number. group_seed: of "random" and "confused".
        wordnet: WordNet 3.0's data.noun, for the groupings by it.
    Returns: ClassGrouping: class_ids (g,) of the groups, labels: of each group those of its classes, increasing.
    Raises: SettingError for a value that is none of these, or would have no effect; ArtifactError for a file that
        cannot be read.
    """
    name = str(grouping) if isinstance(grouping, Path) else grouping
    settings = GroupSettings(name, num_groups, group_seed, wordnet)  # type: ignore[arg-type]  # it makes a path of it
    expect("confusion", confusion, ConfusionMatrix)
    return group.group_classes(confusion, settings, group.grouping_origin(settings, content_digest(confusion)))


def compare(
    confusion: ConfusionMatrix,
    subsets: Mapping[str, ClassSubset | Sequence[str] | str],
    predictions: Predictions | None = None,
) -> Comparison:
    """Compare choices of classes: how hard each is, what they share, and what a random choice gives.

    Args:
        subsets: by the name that the result gives it: a ClassSubset, the ids of its classes, or a text: a published
            list's name, or the path of a class_subset.json or of a list.
        predictions: they say better what is right when only the chosen classes may be named.
    Returns: Comparison: names (S,), hardness (S,), at_random by number of classes, shared (S, S) int64 classes.
    Raises: SettingError for a subset that does not fit the matrix's classes, and predictions about others;
        ArtifactError for a file that cannot be read.
    """
    expect("confusion", confusion, ConfusionMatrix)
    expect("subsets", subsets, Mapping)
    found = {name: _labels(name, subset, confusion.class_ids) for name, subset in subsets.items()}
    return compare_subsets(confusion, found, predictions)


def _labels(name: str, subset: ClassSubset | Sequence[str] | str, class_ids: tuple[str, ...]) -> IntArray:
    if isinstance(subset, ClassSubset):
        return labels_in(subset, class_ids, name)
    if isinstance(subset, str):
        return find_subset(subset, class_ids)
    expect(name, subset, ClassSubset, Sequence)
    unknown = [one for one in subset if one not in class_ids]
    if not len(subset):
        raise SettingError(f"{name}: names no class.")
    if unknown:
        raise SettingError(f"{name}: {unknown[0]!r} is no class of the confusion matrix.")
    return np.array(sorted({class_ids.index(one) for one in subset}), np.int64)
