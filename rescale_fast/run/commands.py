"""The command line: `rescale-fast COMMAND ...`. The only place that reads argv."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, redirect_stderr
from dataclasses import dataclass
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any, TypeVar

from rescale_fast import __version__
from rescale_fast.datasets.open import open_dataset
from rescale_fast.datasets.readable import check_readable
from rescale_fast.datasets.settings import DatasetSettings
from rescale_fast.datasets.types import Dataset
from rescale_fast.errors import SettingError
from rescale_fast.machine import MachineSettings
from rescale_fast.ranks import Meeting, this_rank
from rescale_fast.run import (
    betons,
    comparing,
    downsampling,
    evaluating,
    exporting,
    judging,
    reporting,
    resolving,
    sampling,
    scoring,
    selecting,
    stages,
    training,
)
from rescale_fast.run.checking import check_run, check_score
from rescale_fast.run.choices import names_of_registries
from rescale_fast.run.doctor import DoctorCommand, doctor
from rescale_fast.run.folder import RunFolder
from rescale_fast.run.manifest import command_line
from rescale_fast.run.settings import (
    CompareCommand,
    ConfuseCommand,
    ExportCommand,
    GroupCommand,
    ReportCommand,
    RunSettings,
    SampleCommand,
    ScoreCommand,
    SelectCommand,
    TrainCommand,
    ValidateCommand,
    with_configuration,
)
from rescale_fast.settings import Settings, check_inputs
from rescale_fast.terminal import complain, run_command, say, show, track

Parsed = TypeVar("Parsed", bound=Settings)


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
        exporting.export(folder, dataset, settings.export, settings.machine)
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
    with _opened(settings.dataset, settings.out, "validate") as (dataset, folder):
        stages.validate(folder, dataset, settings.network, settings.validate, settings.machine)
    say(f"Next: rescale-fast confuse --out {folder.path}")


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


def compare(settings: CompareCommand) -> None:
    comparing.compare(settings)


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


def train(settings: TrainCommand) -> None:
    training.train(settings)


def report(settings: ReportCommand) -> None:
    folder = RunFolder(settings.out)
    if not folder.class_subset.exists():
        folder.require(folder.confusion, "confuse")
    _report(folder)


@dataclass(frozen=True)
class Command:
    """A command: its settings, what it does with them, whether torchrun's ranks share that, and how it holds the run
    folder --out meanwhile, if one is given (`run`, `validate` and `train` do that themselves, once they know which it
    is).
    """

    settings: type[Settings]
    work: Callable[[Any], None]
    is_shared: bool = False
    holds: Callable[[RunFolder, str], AbstractContextManager[None]] | None = None


COMMANDS = {
    "run": Command(RunSettings, run, is_shared=True),
    "validate": Command(ValidateCommand, validate, is_shared=True),
    "confuse": Command(ConfuseCommand, confuse, holds=RunFolder.held),
    "select": Command(SelectCommand, select, holds=RunFolder.held),
    "group": Command(GroupCommand, group, holds=RunFolder.held),
    "compare": Command(CompareCommand, compare),
    "score": Command(ScoreCommand, score, holds=RunFolder.held),
    "sample": Command(SampleCommand, sample, holds=RunFolder.held),
    "export": Command(ExportCommand, export, holds=RunFolder.held),
    "train": Command(TrainCommand, train, is_shared=True),
    "report": Command(ReportCommand, report, holds=RunFolder.shared),
    "resolution": Command(resolving.ResolutionCommand, resolving.resolution),
    "quality": Command(judging.QualityCommand, judging.quality, holds=RunFolder.held),
    "downsample": Command(downsampling.DownsampleCommand, downsampling.downsample),
    "evaluate": Command(evaluating.EvaluateCommand, evaluating.evaluate_guesses),
    "check": Command(betons.CheckCommand, betons.check),
    "cut": Command(betons.CutCommand, betons.cut),
    "merge": Command(betons.MergeCommand, betons.merge),
    "append": Command(betons.AppendCommand, betons.append),
    "relabel": Command(betons.RelabelCommand, betons.relabel),
    "doctor": Command(DoctorCommand, doctor),
}


def usage() -> str:
    """What `rescale-fast --help` prints."""
    lines = [
        "usage: rescale-fast COMMAND [options]     (rescale-fast COMMAND --help lists them)",
        "",
        "Turn a large labelled image set into a small one that is hard in the same way.",
        "",
    ]
    for name, command in COMMANDS.items():
        lines.append(f"  {name:<12}{str(command.settings.__doc__).splitlines()[0]}")
    return "\n".join([*lines, "", "  --version prints the version"])


def main(argv: list[str] | None = None) -> int:
    """Run a command line; return its exit code (0 done, 1 failed, 2 wrong usage, 130 interrupted)."""
    arguments = sys.argv[1:] if argv is None else argv
    name = arguments[0] if arguments else "--help"
    if name in ("--help", "-h", "--version"):
        text = __version__ if name == "--version" else usage()
        return run_command(lambda: show(text), how_to_resume="")
    if name not in COMMANDS:
        complain(f"error: unknown command {name!r}.\n\n{usage()}")
        return 2
    command = COMMANDS[name]
    if not command.is_shared and not this_rank().is_first:
        return 0
    try:
        with command_line(arguments):
            return run_command(
                lambda: _do(name, command, _parse(name, command.settings, arguments[1:])),
                how_to_resume="What is finished is kept: the same command goes on from there.",
            )
    except SystemExit as stop:  # argparse's way of ending after --help or wrong usage
        return int(stop.code or 0)


def _do(name: str, command: Command, settings: Any) -> None:
    with ExitStack() as held:
        if command.holds and settings.out is not None:
            folder = RunFolder(settings.out)
            folder.check_place()
            held.enter_context(command.holds(folder, name))
        command.work(settings)


def _parse(name: str, settings: type[Parsed], arguments: list[str]) -> Parsed:
    import tyro

    prog = "python -m rescale_fast.run" if name == "run" else f"rescale-fast {name}"
    config = (tyro.conf.OmitArgPrefixes, tyro.conf.FlagConversionOff)
    printed = StringIO()
    try:
        with redirect_stderr(printed):
            made = tyro.cli(settings, prog=prog, args=arguments, config=config, registry=names_of_registries())
    except SystemExit as stop:
        _raise_setting_error(stop)
        if text := printed.getvalue():
            complain(text.rstrip("\n"))
        raise
    check_inputs(made)
    machine = getattr(made, "machine", None)
    if isinstance(machine, MachineSettings):
        machine.check_device()
    return made


def _raise_setting_error(stop: BaseException | None) -> None:
    """Raise the error of our own that made tyro stop, if there is one, so that it reads as all others do."""
    while stop is not None:
        if isinstance(stop, SettingError):
            raise stop from None
        stop = stop.__cause__ or stop.__context__
