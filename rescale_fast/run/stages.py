"""One function a stage: finds its inputs in the run folder, reuses its artifact or has it made."""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from rescale_fast.artifact import Origin
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
