"""The commands that work in the folder of a run: all stages, or one of them."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from rescale_fast.datasets.open import open_dataset
from rescale_fast.datasets.readable import check_readable
from rescale_fast.datasets.settings import DatasetSettings
from rescale_fast.datasets.types import Dataset
from rescale_fast.ranks import Meeting, this_rank
from rescale_fast.run import experimenting, exporting, reporting, sampling, scoring, selecting, stages, training
from rescale_fast.run.checking import check_run, check_score, check_validate
from rescale_fast.run.folder import RunFolder
from rescale_fast.run.settings import (
    ConfuseCommand,
    ExportCommand,
    GroupCommand,
    ReportCommand,
    RunSettings,
    SampleCommand,
    ScoreCommand,
    SelectCommand,
    ValidateCommand,
    with_configuration,
)
from rescale_fast.terminal import say, show, track


def run(settings: RunSettings) -> None:
    """All stages, in order; but first look whether the settings let each of them be done."""
    start = time.perf_counter()
    settings = with_configuration(settings)
    predictions = stages.given_predictions(settings.predictions)
    check = partial(check_run, settings, predictions)
    with _opened(settings.dataset, settings.out, "run", check) as (dataset, folder):
        if _run_stages(dataset, folder, settings, predictions):
            say(f"Done in {time.perf_counter() - start:.0f} s.")


def _run_stages(
    dataset: Dataset, folder: RunFolder, settings: RunSettings, predictions: stages.GivenPredictions | None
) -> bool:
    """Whether this process did them all: of several ranks the first does, the others share the validation."""
    if settings.looks:
        stages.validate(folder, dataset, settings.network, settings.validate, settings.machine)
    if not this_rank().is_first:
        return False  # what follows is work for one
    if settings.confusion is not None:
        stages.take_confusion(folder, settings.confusion, dataset)
    elif settings.looks or predictions is not None or stages.has_looked(folder, dataset):
        stages.confuse(folder, predictions, settings.machine, dataset)
    if settings.knows_confusion:
        stages.check_classes(dataset, folder.confusion)
    if settings.group.grouping is None:
        selecting.select(folder, settings.select, settings.machine, predictions, dataset)
        chosen = folder.class_subset
    else:
        selecting.group(folder, settings.group)
        chosen = folder.class_grouping
    if settings.goes_on_to("sample"):
        _take_images(dataset, folder, settings, predictions, chosen)
    _report(folder, dataset)
    return True


def _take_images(
    dataset: Dataset,
    folder: RunFolder,
    settings: RunSettings,
    predictions: stages.GivenPredictions | None,
    chosen: Path,
) -> None:
    if settings.scores is None and sampling.needs_scores(settings.sample, dataset):
        scoring.score(folder, dataset, chosen, settings.sample.corrections, settings.score, settings.machine)
    sampling.sample(
        folder, dataset, chosen, settings.sample, settings.machine,
        scores=settings.scores, predictions=predictions,
    )  # fmt: skip
    if settings.goes_on_to("export"):
        needed = exporting.needed_for_training(settings)
        exporting.export(folder, dataset, settings.export, settings.machine, needed)
    if not settings.goes_on_to("train"):
        return
    if "train" in dataset.splits:
        training.train_one(folder, settings.train, training.How(settings.machine))
    else:
        say(f"{'train':>9}  {dataset.name} has no train split, so nothing is trained")


@contextmanager
def _opened(
    settings: DatasetSettings, out: Path | None, command: str, check: Callable[[Dataset, RunFolder], None] | None = None
) -> Iterator[tuple[Dataset, RunFolder]]:
    """The data set, and its run folder, which rank 0 holds and, if the check finds nothing, makes its own."""
    meeting = Meeting("open")
    with ExitStack() as held:
        with meeting.first_before_others("data set"):
            dataset = open_dataset(settings, track=track)
            folder = RunFolder(out or Path("rescaled") / dataset.name)
            if meeting.ranks.is_first:
                folder.check_free(dataset)
                if check is not None:
                    check(dataset, folder)
                if not folder.was_readable(dataset):
                    for split, images in dataset.splits.items():
                        check_readable(dataset.root, split, images.paths, images.labels, dataset.class_ids)
                folder.make()
                held.enter_context(folder.held(command))
                folder.claim(dataset, settings)
        say(f"{'dataset':>9}  {dataset.description}")
        yield dataset, folder


def _report(folder: RunFolder, dataset: Dataset | None = None) -> None:
    text = reporting.report(folder, dataset)
    say("")
    show(text)
    say(f"\nReport: {folder.report}")


def validate(settings: ValidateCommand) -> None:
    check_validate(settings.validate)
    with _opened(settings.dataset, settings.out, "validate") as (dataset, folder):
        stages.validate(folder, dataset, settings.network, settings.validate, settings.machine)
    say(f"Next: rescale-fast confuse --out {folder.path}")


def experiment(settings: experimenting.ExperimentCommand) -> None:
    check = partial(experimenting.check_experiment, settings)
    with _opened(settings.dataset, settings.out, "experiment", check) as (dataset, folder):
        made = experimenting.Experiment.prepare(settings, dataset, folder)
    if not settings.plan_only:
        made.collect(made.train())


def confuse(settings: ConfuseCommand) -> None:
    folder = RunFolder(settings.out)
    predictions = stages.given_predictions(settings.predictions)
    stages.confuse(folder, predictions, settings.machine, folder.known_dataset() if predictions else None)


def select(settings: SelectCommand) -> None:
    folder = RunFolder(settings.out)
    if settings.confusion is not None:
        stages.take_confusion(folder, settings.confusion, folder.known_dataset())
    predictions = stages.given_predictions(settings.predictions)
    if predictions is not None:
        stages.confuse(folder, predictions, settings.machine, folder.known_dataset())
    selecting.select(folder, settings.select, settings.machine, predictions)


def group(settings: GroupCommand) -> None:
    folder = RunFolder(settings.out)
    if settings.confusion is not None:
        stages.take_confusion(folder, settings.confusion, folder.known_dataset())
    selecting.group(folder, settings.group)


def score(settings: ScoreCommand) -> None:
    folder = RunFolder(settings.out)
    chosen = sampling.find_chosen(folder, settings.of)
    dataset = folder.open_dataset()
    check_score(settings.score, dataset)
    scoring.score(folder, dataset, chosen, settings.corrections, settings.score, settings.machine)


def sample(settings: SampleCommand) -> None:
    folder = RunFolder(settings.out)
    chosen = sampling.find_chosen(folder, settings.of)
    sampling.sample(
        folder, folder.open_dataset(), chosen, settings.sample, settings.machine,
        scores=settings.scores,
        predictions=None if settings.predictions is None else stages.GivenPredictions((settings.predictions,)),
    )  # fmt: skip


def export(settings: ExportCommand) -> None:
    folder = RunFolder(settings.out)
    folder.require(folder.image_subset, "sample")
    if settings.form == "beton":
        exporting.export(folder, folder.open_dataset(), settings.export, settings.machine)
    else:
        exporting.export_files(folder, folder.open_dataset(), settings.form, settings.link, settings.export)


def report(settings: ReportCommand) -> None:
    folder = RunFolder(settings.out)
    if not folder.class_subset.exists():
        folder.require(folder.confusion, "confuse")
    _report(folder)
