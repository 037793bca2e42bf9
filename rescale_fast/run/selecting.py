"""The classes of a run: those chosen or listed, class_subset.json, or groups of them, class_grouping.json."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from rescale_fast.artifact import Origin
from rescale_fast.class_subset.choose import choice_origin, choose_classes, list_origin, take_classes
from rescale_fast.class_subset.network_hits import NetworkHits
from rescale_fast.class_subset.settings import GroupSettings, SelectSettings
from rescale_fast.class_subset.types import ClassGrouping, ClassSubset
from rescale_fast.confusion import ConfusionMatrix
from rescale_fast.datasets.types import Dataset
from rescale_fast.errors import MissingInputError
from rescale_fast.machine import MachineSettings
from rescale_fast.run.folder import RunFolder, digest, digests_of
from rescale_fast.run.stages import GivenPredictions
from rescale_fast.terminal import track


def known_confusion(folder: RunFolder, dataset: Dataset | None) -> ConfusionMatrix | None:
    """The run's confusion matrix, if there is one, about the classes that the data set has."""
    if not folder.confusion.exists():
        return None
    found = ConfusionMatrix.load(folder.confusion)
    return found if dataset is None or found.class_ids == dataset.class_ids else None


def select(
    folder: RunFolder,
    settings: SelectSettings,
    machine: MachineSettings,
    predictions: GivenPredictions | None = None,
    dataset: Dataset | None = None,
) -> None:
    """Make class_subset.json (and .txt) from confusion.npz, and from several networks' predictions where they count; of
    listed classes without, too, of this data set or else the run's.
    """
    listed = settings.listed
    if listed is not None and known_confusion(folder, dataset) is None:
        of = dataset or _dataset_of(folder)
        origin = list_origin(listed, of.class_ids)
        choose = partial(take_classes, listed, of.class_ids, of.class_names, origin)
    else:
        source = folder.require(folder.confusion, "confuse")
        origin = choice_origin(settings, digest(source), digests_of(predictions.paths if predictions else ()))
        choose = partial(_choose, source, settings, origin, machine, predictions)

    def make() -> ClassSubset:
        made = choose()
        made.save(folder.class_subset)
        return made

    def load(path: Path) -> ClassSubset:
        found = ClassSubset.load(path)
        found.check_list(path)
        return found

    folder.reuse_or_make(
        "select",
        folder.class_subset,
        origin,
        load,
        make,
        describe=lambda made: (
            f"{len(made.classes)} of {made.num_classes:,} classes ({made.method})" + _how_good(made.facts)
        ),
        work=lambda made: (made.num_classes, "classes"),
    )


def _choose(
    source: Path,
    settings: SelectSettings,
    origin: Origin,
    machine: MachineSettings,
    predictions: GivenPredictions | None,
) -> ClassSubset:
    confusion, networks = ConfusionMatrix.load(source), None
    if predictions is not None and settings.method == "rank-fidelity":
        networks = NetworkHits.of(predictions.load(class_ids=confusion.class_ids, class_names=confusion.class_names))
    return choose_classes(confusion, settings, origin, networks=networks, num_threads=machine.threads, track=track)


def _dataset_of(folder: RunFolder) -> Dataset:
    if not folder.manifest.exists():
        raise MissingInputError(
            f"{folder.path}: is of no data set yet. `rescale-fast run --until select` with --dataset, --root, the list "
            "and this --out takes the classes."
        )
    return folder.open_dataset()


def _how_good(facts: Mapping[str, Any]) -> str:
    if "value" not in facts:  # listed, or chosen by another program
        return ""
    text = f", {facts['value']:,} images confused among them"
    if "verdict" in facts:
        return f"{text}; {facts['verdict']}"
    if "upper_bound" not in facts:
        return text
    number = "{:,.0f}" if facts["pair_weights"] == "counts" else facts["pair_weights"] + " {:,.4g}"
    bound = "proven the most" if facts["is_optimal"] else f"at most {number.format(facts['upper_bound'])}"
    return f"{text} ({bound}; greedy: {number.format(facts['objective_of_greedy'])})" + (
        f"; {facts['note']}" if "note" in facts else ""
    )


def group(folder: RunFolder, settings: GroupSettings) -> None:
    """Make class_grouping.json from confusion.npz."""
    from rescale_fast.class_subset.group import group_classes, grouping_origin

    source = folder.require(folder.confusion, "confuse")
    origin = grouping_origin(settings, digest(source))

    def make() -> ClassGrouping:
        made = group_classes(ConfusionMatrix.load(source), settings, origin)
        made.save(folder.class_grouping)
        return made

    def describe(made: ClassGrouping) -> str:
        facts, text = made.facts, f"{len(made.labels)} groups ({made.method})"
        if not facts:  # grouped by another program
            return text
        inside, at_random = 100 * facts["share_inside"], 100 * facts["share_inside_at_random"]
        left_out = f", {facts['classes_left_out']:,} classes left out" if facts["classes_left_out"] else ""
        return (
            f"{text} of {facts['smallest_group']} to {facts['largest_group']} "
            f"classes, {inside:.1f} % of errors inside (at random {at_random:.1f} %){left_out}"
        )

    folder.reuse_or_make(
        "group",
        folder.class_grouping,
        origin,
        ClassGrouping.load,
        make,
        describe=describe,
        work=lambda made: (made.num_classes, "classes"),
    )
