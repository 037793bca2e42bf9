"""One function a stage: finds its inputs in the run folder, reuses its artifact or has it made."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from rescale_fast.artifact import Origin
from rescale_fast.class_subset.choose import choice_origin, choose_classes, list_origin, take_classes
from rescale_fast.class_subset.network_hits import NetworkHits
from rescale_fast.class_subset.settings import GroupSettings, SelectSettings
from rescale_fast.class_subset.types import ClassGrouping, ClassSubset
from rescale_fast.confusion import ConfusionMatrix, pool_confusion
from rescale_fast.datasets.types import Dataset
from rescale_fast.errors import ArtifactError, MissingInputError, SettingError
from rescale_fast.machine import MachineSettings
from rescale_fast.networks.settings import NetworkSettings
from rescale_fast.predictions.settings import ValidateSettings
from rescale_fast.predictions.several import load_alike
from rescale_fast.predictions.types import Predictions
from rescale_fast.ranks import Meeting
from rescale_fast.run.folder import RunFolder, digest, digests_of, names_of
from rescale_fast.terminal import say, track


def validate(
    folder: RunFolder,
    dataset: Dataset,
    network: NetworkSettings,
    settings: ValidateSettings,
    machine: MachineSettings,
) -> None:
    """Make predictions/ for the data set's validation images. Ranks share the work; the first tells of it."""
    from rescale_fast.networks.pretrained import choose_network
    from rescale_fast.predictions.chunks import is_finished
    from rescale_fast.predictions.losses import check_losses
    from rescale_fast.predictions.network import ready_network
    from rescale_fast.predictions.validate import predict, validate

    choice = choose_network(dataset, network)
    origin = choice.origin(dataset, settings.loader)
    num_images = len(dataset.splits["val"])
    meeting = Meeting("load network")
    if not meeting.agree("is finished", lambda: is_finished(num_images, folder.predictions, origin)):
        start = time.perf_counter()
        with meeting.first_before_others("load"):
            loaded = ready_network(choice, dataset, track=track)
        for note in loaded.notes:
            say(f"{'network':>9}  {note}")
        if not meeting.ranks.is_first:
            predict(dataset, loaded.network, loaded.transform, settings, folder.predictions, origin, machine=machine)
            return
        folder.record("load network", time.perf_counter() - start, 1, "network")
    elif not meeting.ranks.is_first:
        return

    def tell(text: str) -> None:
        say(f"{'':>9}  {text}")

    def load(path: Path) -> Predictions:
        if not is_finished(num_images, path, origin):
            raise ArtifactError(f"{path}: not finished.")
        found = Predictions.load(path)
        check_losses(found, settings, path)
        return found

    folder.reuse_or_make(
        "validate",
        folder.predictions,
        origin,
        load,
        lambda: validate(
            dataset,
            loaded.network,
            loaded.transform,
            settings,
            folder.predictions,
            origin,
            machine=machine,
            track=track,
            tell=tell,
        ),
        describe=lambda made: (
            f"{len(made.indices):,} images, top-1 {100 * made.accuracy:.1f} %"
            + (f", {len(made.skipped):,} unreadable" if made.skipped else "")
        ),
        work=lambda made: (len(made.indices), "images"),
    )


@dataclass
class GivenPredictions:
    """Predictions made elsewhere, of one network or several: many stages look at them, and they are read once."""

    paths: tuple[Path, ...]
    _loaded: list[Predictions] | None = None

    def load(self, *, class_ids: Sequence[str] = (), class_names: Sequence[str] = ()) -> list[Predictions]:
        """Read each network's. Args: of the classes, for files that do not say them. Raises: as load_alike."""
        if self._loaded is None:
            self._loaded = list(load_alike(self.paths, class_ids=class_ids, class_names=class_names))
        return self._loaded


def given_predictions(paths: tuple[Path, ...]) -> GivenPredictions | None:
    return GivenPredictions(paths) if paths else None


def confuse(
    folder: RunFolder,
    predictions: GivenPredictions | None,
    machine: MachineSettings,
    dataset: Dataset | None = None,
) -> None:
    """Make confusion.npz from the run's predictions, or from others'; `dataset` names classes that these do not."""
    if predictions is None:
        predictions, is_own = GivenPredictions((folder.require(folder.predictions, "validate"),)), True
    else:
        is_own = False
    made_from = digests_of(predictions.paths)
    if not is_own and dataset is not None:
        made_from["dataset"] = dataset.digest  # which these are compared with
    origin = Origin(made_from, {})

    def make() -> ConfusionMatrix:
        found = predictions.load(**names_of(dataset))
        if not is_own and dataset is not None and (missing := found[0].missing(dataset)):
            listed = len(dataset.splits["val"])
            say(f"{'':>9}  {len(missing):,} of {listed:,} images have no prediction, {missing[0]!r} first")
        return pool_confusion(found, origin, num_threads=machine.threads)

    _keep_confusion(folder, origin, make)


def take_confusion(folder: RunFolder, source: Path, dataset: Dataset | None) -> None:
    """Take a confusion matrix made elsewhere as the run's; `dataset` names classes that it does not."""
    if not source.exists():
        raise SettingError(f"--confusion {source}: no such file.")
    origin = Origin({"confusion": digest(source)}, {})
    _keep_confusion(folder, origin, lambda: replace(ConfusionMatrix.load(source, **names_of(dataset)), origin=origin))


def _keep_confusion(folder: RunFolder, origin: Origin, get: Callable[[], ConfusionMatrix]) -> None:
    def make() -> ConfusionMatrix:
        made = get()
        made.save(folder.confusion)
        return made

    folder.reuse_or_make(
        "confuse",
        folder.confusion,
        origin,
        ConfusionMatrix.load,
        make,
        describe=_describe_confusion,
        work=lambda made: (made.num_images, "images"),
    )


def _describe_confusion(made: ConfusionMatrix) -> str:
    errors = made.num_images - int(made.counts.trace())
    return f"{made.num_classes:,} x {made.num_classes:,} classes, {errors:,} of {made.num_images:,} images mistaken"


def check_classes(dataset: Dataset, confusion: Path) -> None:
    """Raise MissingInputError unless a matrix made elsewhere is about the data set's classes."""
    matrix = ConfusionMatrix.load(confusion)
    if matrix.class_ids != dataset.class_ids:
        raise MissingInputError(
            f"{confusion}: is about {matrix.num_classes:,} classes from {matrix.class_ids[0]!r} to "
            f"{matrix.class_ids[-1]!r}; {dataset.name} has {dataset.num_classes:,}, from {dataset.class_ids[0]!r} "
            f"to {dataset.class_ids[-1]!r}."
        )


def has_looked(folder: RunFolder, dataset: Dataset) -> bool:
    """Whether a network has looked at all of the data set's validation images before."""
    with suppress(ArtifactError):  # none, or those of other images
        return not Predictions.load(folder.predictions).missing(dataset)
    return False


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

    if settings.grouping is None:
        raise SettingError("--grouping: say how, such as confused, wordnet or a CSV (see --help).")
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
