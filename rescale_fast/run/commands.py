"""The command line: `rescale-fast COMMAND ...`. The only place that reads argv.

A command's modules are imported when it is asked for, so that a page of help takes no time.
"""

import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from rescale_fast import __version__
from rescale_fast.ranks import this_rank
from rescale_fast.terminal import complain, run_command, show

if TYPE_CHECKING:
    from rescale_fast.settings import Settings


@dataclass(frozen=True)
class Command:
    """A command: what is said of it, where its settings are and what is done with them, whether torchrun's ranks share
    that, and how it holds the run folder --out meanwhile, if one is given (`run`, `validate` and `train` do that
    themselves, once they know which it is).
    """

    summary: str
    example: str
    settings_at: str  # module:class, in this package
    work_at: str  # module:function
    usual: tuple[str, ...] = ()  # the options that most need; all, where there are but few
    is_shared: bool = False
    holds: Literal["held", "shared"] | None = None  # what RunFolder calls it

    @property
    def settings(self) -> "type[Settings]":
        found: type[Settings] = _import(self.settings_at)
        return found

    @property
    def work(self) -> Callable[[Any], None]:
        found: Callable[[Any], None] = _import(self.work_at)
        return found


def _import(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(import_module(f"rescale_fast.run.{module}"), name)


SECTIONS = {
    "everything, in one command": {
        "run": Command(
            "All stages, from the images to a trained network and a report.",
            "rescale-fast run --dataset folder --root /data/mine --k 50 --out small",
            "settings:RunSettings",
            "running:run",
            usual=(
                *("dataset", "root", "out", "network", "k", "classes", "per-class", "store", "resize-side"),
                *("train-network", "until"),
            ),
            is_shared=True,
        ),
    },
    "one stage at a time, in the folder of a run": {
        "validate": Command(
            "Have a pre-trained network look at the validation images.",
            "rescale-fast validate --dataset imagenet --root /data/imagenet --out small",
            "settings:ValidateCommand",
            "running:validate",
            usual=("dataset", "root", "out", "network", "weights", "loader", "batch-size", "device", "num-threads"),
            is_shared=True,
        ),
        "confuse": Command(
            "Count which classes are mistaken for which.",
            "rescale-fast confuse --out small",
            "settings:ConfuseCommand",
            "running:confuse",
            holds="held",
        ),
        "select": Command(
            "Choose classes.",
            "rescale-fast select --out small --k 50 --effort prove",
            "settings:SelectCommand",
            "running:select",
            usual=("out", "k", "method", "effort", "seconds", "classes", "predictions", "confusion", "search-seed"),
            holds="held",
        ),
        "group": Command(
            "Make coarse classes of all classes, instead of choosing some.",
            "rescale-fast group --out small --grouping confused --num-groups 20",
            "settings:GroupCommand",
            "running:group",
            holds="held",
        ),
        "score": Command(
            "Score training images, to choose by difficulty or find label errors.",
            "rescale-fast score --out small",
            "settings:ScoreCommand",
            "running:score",
            usual=("out", "score-network", "score-epochs", "score-size", "corrections", "device", "num-threads"),
            holds="held",
        ),
        "sample": Command(
            "Take images of the chosen classes.",
            "rescale-fast sample --out small --per-class 500",
            "settings:SampleCommand",
            "running:sample",
            usual=(
                *("out", "images", "per-class", "val-share", "label-errors", "near-duplicates", "corrections"),
                *("scores", "predictions"),
            ),
            holds="held",
        ),
        "export": Command(
            "Write the images as FFCV's files (betons), or as others.",
            "rescale-fast export --out small --store resize --resize-side 256",
            "settings:ExportCommand",
            "running:export",
            usual=("out", "form", "store", "resize-by", "resize-side", "max-side", "quality", "on-bad", "num-threads"),
            holds="held",
        ),
        "train": Command(
            "Train networks on the betons.",
            "rescale-fast train --out small --networks ResNet18,MAFNet --seeds 3",
            "settings:TrainCommand",
            "training:train",
            usual=(
                *("out", "train-network", "networks", "subsets", "seeds", "recipe", "epochs", "train-size", "loader"),
                "device",
            ),
            is_shared=True,
        ),
        "report": Command(
            "Write report.html from what the folder holds.",
            "rescale-fast report --out small",
            "settings:ReportCommand",
            "running:report",
            holds="shared",
        ),
    },
    "what a choice is worth": {
        "compare": Command(
            "Compare choices of classes with one another and with chance.",
            "rescale-fast compare rescaled/imagenet ReIN50 mine.txt --page compared.html",
            "settings:CompareCommand",
            "comparing:compare",
        ),
        "resolution": Command(
            "Say which differences between networks the images can tell.",
            "rescale-fast resolution --val-images 2500",
            "resolving:ResolutionCommand",
            "resolving:resolution",
        ),
        "quality": Command(
            "Say whether networks rank on subsets as on the full set.",
            "rescale-fast quality accuracies.csv --reference full --random random50",
            "judging:QualityCommand",
            "judging:quality",
            usual=(
                "INPUTS",
                "out",
                "reference",
                "sets",
                "random",
                "short",
                "unit",
                "names",
                "incomplete",
                "val-images",
                "band",
            ),
            holds="held",
        ),
        "experiment": Command(
            "Try which parts of a data set rank networks as all of it does.",
            "rescale-fast experiment --dataset folder --root /data/mine --networks all",
            "experimenting:ExperimentCommand",
            "running:experiment",
            usual=(
                *("dataset", "root", "out", "networks", "parts", "costs", "seeds", "share", "plan-only", "predictions"),
                "epochs",
            ),
        ),
        "evaluate": Command(
            "Count top-1 to top-5 errors of guesses.",
            "rescale-fast evaluate --truth image_subset.parquet --guesses guesses.txt",
            "evaluating:EvaluateCommand",
            "evaluating:evaluate_guesses",
        ),
    },
    "betons and down-sampled sets": {
        "downsample": Command(
            "Make a set of small images.",
            "rescale-fast downsample --dataset folder --root /data/mine --side 32",
            "downsampling:DownsampleCommand",
            "downsampling:downsample",
            usual=("dataset", "root", "out", "side", "fit", "filter", "colours", "forms", "classes", "num-threads"),
        ),
        "check": Command(
            "Check a beton: structure, digest, images.",
            "rescale-fast check small/train.beton --decode",
            "betons:CheckCommand",
            "betons:check",
        ),
        "cut": Command(
            "Cut classes or samples out of a beton or a down-sampled set.",
            "rescale-fast cut imagenet.beton --classes ReIN50 --target ReIN50.beton",
            "betons:CutCommand",
            "betons:cut",
        ),
        "merge": Command(
            "Make one beton of several.",
            "rescale-fast merge first.beton second.beton --target both.beton",
            "betons:MergeCommand",
            "betons:merge",
        ),
        "append": Command(
            "Append betons to a beton.",
            "rescale-fast append all.beton new.beton",
            "betons:AppendCommand",
            "betons:append",
        ),
        "relabel": Command(
            "Give the samples of a beton other labels.",
            "rescale-fast relabel fine.beton --groups groups.txt --target coarse.beton",
            "betons:RelabelCommand",
            "betons:relabel",
        ),
    },
    "this machine": {
        "doctor": Command(
            "Say what is installed, what works, and what to do about the rest.",
            "rescale-fast doctor",
            "doctor:DoctorCommand",
            "doctor:doctor",
        ),
        "completion": Command(
            "Print what has a shell complete command lines with the Tab key.",
            "rescale-fast completion fish > ~/.config/fish/completions/rescale-fast.fish",
            "completion:CompletionCommand",
            "completion:completion",
        ),
    },
}
HELP, VERSION = frozenset({"help", "--help", "-h", "--help-all"}), frozenset({"--version", "-V"})
COMMANDS = {name: command for section in SECTIONS.values() for name, command in section.items()}


def main(argv: list[str] | None = None) -> int:
    """Run a command line; return its exit code (0 done, 1 failed, 2 wrong usage, 130 interrupted)."""
    name, *arguments = (sys.argv[1:] if argv is None else argv) or ["help"]
    if name in HELP and arguments:
        name, *arguments = [*arguments, "--help" if name == "help" else name]
    if name in HELP | VERSION:
        return run_command(lambda: _show_overview(name), how_to_resume="")
    if name not in COMMANDS:
        near = get_close_matches(name, COMMANDS, n=2)
        meant = f" Did you mean {' or '.join(near)}?" if near else ""
        complain(f"error: unknown command {name!r}.{meant} `rescale-fast --help` lists all.")
        return 2
    if not COMMANDS[name].is_shared and not this_rank().is_first:
        return 0
    return run_command(
        lambda: _answer(name, COMMANDS[name], arguments),
        how_to_resume="What is finished is kept: the same command goes on from there.",
    )


def _show_overview(word: str) -> None:
    from rescale_fast.run.help_page import overview

    show(__version__ if word in VERSION else overview())


def _answer(name: str, command: Command, arguments: list[str]) -> None:
    """Show a page of help if one is asked for, else do the command's work."""
    asked = arguments[: arguments.index("--")] if "--" in arguments else arguments
    if HELP & {word for word in asked if word.startswith("-")}:
        from rescale_fast.run.help_page import page

        show(page(name, command, show_all="--help-all" in asked))
        return
    from rescale_fast.run.manifest import command_line

    with command_line([name, *arguments]):
        _do(name, command, parse_settings(name, arguments))


def parse_settings(name: str, arguments: list[str]) -> Any:
    """A command's settings, whose files are there, as is the device. Raises: SettingError."""
    from rescale_fast.machine import MachineSettings
    from rescale_fast.run.parsing import parse
    from rescale_fast.settings import check_inputs

    made: Any = parse(COMMANDS[name].settings, arguments, name)
    check_inputs(made)
    machine = getattr(made, "machine", None)
    if isinstance(machine, MachineSettings):
        machine.check_device()
    return made


def _do(name: str, command: Command, settings: Any) -> None:
    from rescale_fast.run.folder import RunFolder

    with ExitStack() as held:
        if command.holds and settings.out is not None:
            folder = RunFolder(settings.out)
            folder.check_place()
            held.enter_context(getattr(folder, command.holds)(name))
        command.work(settings)
