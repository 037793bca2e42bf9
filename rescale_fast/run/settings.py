"""The settings of each command: their fields are its options (options.py)."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal

from rescale_fast.class_subset.settings import GroupSettings, SelectSettings
from rescale_fast.datasets.settings import DatasetSettings
from rescale_fast.errors import SettingError
from rescale_fast.export.settings import ExportSettings, Form, Link
from rescale_fast.image_subset.settings import SampleSettings, numbers_of
from rescale_fast.loaders.settings import LoaderKind
from rescale_fast.machine import MachineSettings
from rescale_fast.networks.registry import network_names
from rescale_fast.networks.settings import NetworkSettings
from rescale_fast.predictions.settings import ValidateSettings
from rescale_fast.scores.settings import ScoreSettings
from rescale_fast.settings import Between, InputPath, Positional, Settings
from rescale_fast.train.settings import TrainSettings

LAST = ("select", "sample", "export", "train")  # stages of `run` that may be the last
NO_SCORES = "as no --images difficulty or --label-errors asks for scores"


@dataclass(frozen=True)
class RunSettings(Settings):
    """All stages in one command: validate, count confusions, choose classes and images, export, train, report.

    Without options it takes the built-in `glyphs`, so that all of it can be seen to work. What is finished is reused:
    run the same command again after an interruption, or with one setting changed. Listed classes need no validation.
    """

    out: Path | None = None
    """Folder of this run. By default rescaled/<name of the data set>."""
    dataset: DatasetSettings = field(default_factory=DatasetSettings)
    network: NetworkSettings = field(default_factory=NetworkSettings)
    validate: ValidateSettings = field(default_factory=ValidateSettings)
    predictions: tuple[InputPath, ...] = ()
    """Use these predictions (a parquet part or a folder of them) instead of validating; those of several networks are
    pooled."""
    confusion: InputPath | None = None
    """Use this confusion matrix (.npz, .npy or CSV; row = true class) instead of validating."""
    select: SelectSettings = field(default_factory=SelectSettings)
    group: GroupSettings = field(default_factory=GroupSettings)
    scores: InputPath | None = None
    """Use these scores of training images (a parquet file) instead of making them."""
    score: ScoreSettings = field(default_factory=ScoreSettings)
    sample: SampleSettings = field(default_factory=SampleSettings)
    export: ExportSettings = field(default_factory=ExportSettings)
    train: TrainSettings = field(default_factory=TrainSettings)
    until: Literal["select", "sample", "export", "train"] = "train"
    """The last stage; the report follows it. `select` is choosing or grouping classes."""
    machine: MachineSettings = field(default_factory=MachineSettings)

    def check(self) -> None:
        """Raises: SettingError for settings of stages that will not run, or that are given twice."""
        if self.group.grouping is not None:
            self.select.refuse(because="as classes are grouped (--grouping), not chosen")
        if self.confusion is not None or self.predictions:
            source = "--predictions" if self.predictions else "--confusion"
            self.network.refuse(because=f"as {source} is given, so that no network looks at images")
            self.validate.refuse(because=f"as {source} is given, so that no network looks at images")
        if self.confusion is not None and not self.sample.looks_at_predictions:
            self.refuse("predictions", because="as --confusion is given")
        self.select.check_networks(0 if self.confusion is not None else len(self.predictions))
        if len(self.predictions) > 1 and self.sample.looks_at_predictions:
            raise SettingError(
                f"--predictions: are of {len(self.predictions)} networks, and --images sensitive and --label-errors "
                "look at those of one. Run `rescale-fast sample --predictions` with those afterwards."
            )
        if not self.sample.looks_at_scores:
            self.refuse("scores", because=NO_SCORES)
            self.score.refuse(because=NO_SCORES)
        if self.scores is not None:
            self.score.refuse(because="as --scores is given")
        for stage in ("sample", "export", "train"):
            if not self.goes_on_to(stage):
                getattr(self, stage).refuse(because=f"as --until is {self.until}")

    def goes_on_to(self, stage: str) -> bool:
        """Whether it is one of the stages to be done."""
        return LAST.index(stage) <= LAST.index(self.until)

    @property
    def knows_confusion(self) -> bool:
        """Whether who is mistaken for whom is given, or will be found out."""
        return self.looks or self.confusion is not None or bool(self.predictions)

    @property
    def looks(self) -> bool:
        """Whether a network is to look at images: a list needs none to say which classes to take."""
        if self.confusion is not None or self.predictions:
            return False
        is_chosen = self.group.grouping is not None or self.select.listed is None
        return is_chosen or self.sample.looks_at_predictions or bool(self.network.changed() or self.validate.changed())


def with_configuration(settings: RunSettings) -> RunSettings:
    """The same, with the number of classes or groups that --configuration names. Raises: SettingError if both do."""
    if settings.sample.configuration is None:
        return settings
    settings.select.refuse("k", because="as --configuration says how many")
    settings.group.refuse("num_groups", because="as --configuration says how many")
    wanted = numbers_of(settings.sample.configuration)[0]
    if "num_groups" in settings.group.uses:
        return replace(settings, group=replace(settings.group, num_groups=wanted))
    if settings.group.grouping is None and settings.select.listed is None:
        return replace(settings, select=replace(settings.select, k=wanted))
    return settings  # whose classes are listed, and must be so many


@dataclass(frozen=True)
class ValidateCommand(Settings):
    """Have a pre-trained network look at every validation image; make predictions/part-*.parquet."""

    out: Path | None = None
    """Folder of the run. By default rescaled/<name of the data set>."""
    dataset: DatasetSettings = field(default_factory=DatasetSettings)
    network: NetworkSettings = field(default_factory=NetworkSettings)
    validate: ValidateSettings = field(default_factory=ValidateSettings)
    machine: MachineSettings = field(default_factory=MachineSettings)


@dataclass(frozen=True)
class ConfuseCommand(Settings):
    """Count which classes are mistaken for which; make confusion.npz."""

    out: Path
    """Folder of the run, as `validate` made it."""
    predictions: tuple[InputPath, ...] = ()
    """Predictions made elsewhere: a parquet part or a folder of them; those of several networks are pooled."""
    machine: MachineSettings = field(default_factory=MachineSettings)


@dataclass(frozen=True)
class SelectCommand(Settings):
    """Choose classes; make class_subset.json and class_subset.txt."""

    out: Path
    """Folder of the run."""
    predictions: tuple[InputPath, ...] = ()
    """Predictions made elsewhere, a parquet part or a folder of them for each network: confusions are counted anew from
    all of them, and --method rank-fidelity compares the networks."""
    confusion: InputPath | None = None
    """A confusion matrix made elsewhere (.npz, .npy or CSV; row = true class)."""
    select: SelectSettings = field(default_factory=SelectSettings)
    machine: MachineSettings = field(default_factory=MachineSettings)

    def check(self) -> None:
        """Raises: SettingError for two sources of the confusion matrix, or too few networks."""
        if self.confusion is not None:
            self.refuse("predictions", because="as --confusion is given")
        self.select.check_networks(len(self.predictions))


@dataclass(frozen=True)
class GroupCommand(Settings):
    """Make coarse classes of all classes, instead of choosing some; make class_grouping.json."""

    out: Path
    """Folder of the run."""
    confusion: InputPath | None = None
    """A confusion matrix made elsewhere (.npz, .npy or CSV; row = true class)."""
    group: GroupSettings = field(default_factory=GroupSettings)

    def check(self) -> None:
        """Raises: SettingError when it is not said how to group."""
        if self.group.grouping is None:
            raise SettingError("--grouping: say how, such as confused, wordnet or a CSV (see --help).")


@dataclass(frozen=True)
class CompareCommand(Settings):
    """Compare choices of classes: what they share, how hard each is, and what a random choice gives."""

    subsets: Annotated[tuple[str, ...], Positional()]
    """The choices: each a run folder, a class_subset.json, a list (.txt) or the name of a published list."""
    confusion: InputPath | None = None
    """The confusion matrix (.npz, .npy or CSV) to measure them on. By default that of the first run folder named."""
    predictions: InputPath | None = None
    """Predictions (a part or a folder of them): they narrow down the accuracy when only the chosen classes may be
    named."""
    json: Path | None = None
    """Write the numbers here too."""
    page: Path | None = None
    """Write a page here (.html) that shows them side by side, with what was trained in run folders."""


@dataclass(frozen=True)
class ScoreCommand(Settings):
    """Score each training image by a network that has not seen it; make scores/part-*.parquet."""

    out: Path
    """Folder of the run."""
    of: Literal["auto", "subset", "grouping"] = "auto"
    """Go on from the `subset` that `select` chose or the `grouping` that `group` made; `auto` takes what there is."""
    corrections: InputPath | None = None
    """A CSV of corrected classes, as for `sample`."""
    score: ScoreSettings = field(default_factory=ScoreSettings)
    machine: MachineSettings = field(default_factory=MachineSettings)


@dataclass(frozen=True)
class SampleCommand(Settings):
    """Take images of the chosen classes, or of the groups; make image_subset.parquet."""

    out: Path
    """Folder of the run."""
    of: Literal["auto", "subset", "grouping"] = "auto"
    """Go on from the `subset` that `select` chose or the `grouping` that `group` made; `auto` takes what there is."""
    scores: InputPath | None = None
    """Scores of training images made elsewhere: a parquet file with path, label, true_probability and, to find label
    errors, probabilities."""
    predictions: InputPath | None = None
    """Predictions made elsewhere: a parquet part or a folder of them."""
    sample: SampleSettings = field(default_factory=SampleSettings)
    machine: MachineSettings = field(default_factory=MachineSettings)

    def check(self) -> None:
        """Raises: SettingError for files that nothing looks at."""
        if not self.sample.looks_at_scores:
            self.refuse("scores", because=NO_SCORES)
        if not self.sample.looks_at_predictions:
            self.refuse("predictions", because="as no --images sensitive or --label-errors asks for predictions")


@dataclass(frozen=True)
class ExportCommand(Settings):
    """Write train.beton and val.beton, FFCV's files, each with a JSON beside it; or other files."""

    out: Path
    """Folder of the run."""
    form: Literal["beton"] | Form = "beton"
    """What to write. `folder` (one per class), `webdataset` (tars) and `parquet` (as Hugging Face's datasets reads it)
    keep files as they are, and make <out>/<form>/train and val."""
    link: Link = "copy"
    """With --form folder, how files get there; `reflink` shares their blocks, where the file system can."""
    export: ExportSettings = field(default_factory=ExportSettings)
    machine: MachineSettings = field(default_factory=MachineSettings)

    def check(self) -> None:
        """Raises: SettingError for settings that the form leaves without effect."""
        if self.form != "folder":
            self.refuse("link", because=f"as --form is {self.form}")
        if self.form != "beton":
            only = replace(self.export, on_bad=ExportSettings().on_bad)
            only.refuse(because=f"as --form {self.form} keeps files as they are (it takes --on-bad alone)")


@dataclass(frozen=True)
class TrainCommand(Settings):
    """Train networks on the betons; make runs/<network>-<recipe>-seed<seed>/, and a table of several."""

    out: Path
    """Folder of the run; with --subsets, the folder that holds these and gets the table."""
    networks: str | None = None
    """Several networks: names with commas between them, or `all`, the nine of the published table."""
    subsets: str | None = None
    """Several subsets: run folders, with commas between them, such as ReIN30,ReIN50."""
    seeds: Annotated[int, Between(1, 1000)] = 1
    """Number of seeds, from --seed on, to train with: the table gives mean and deviation."""
    loader: LoaderKind = "ffcv"
    """What reads the betons; `dali` and `torchvision` give the same images, to see what ffcv gains."""
    tensorboard: bool = False
    """Write runs/.../tensorboard, too (`pip install tensorboard`)."""
    train: TrainSettings = field(default_factory=TrainSettings)
    machine: MachineSettings = field(default_factory=MachineSettings)

    def check(self) -> None:
        """Raises: SettingError for two ways of naming networks, or empty lists."""
        if self.networks is not None:
            if self.train.train_network is not None:
                raise SettingError("--networks and --train-network: give one of them.")
            network_names(self.networks)
        if self.train.seed + self.seeds > 2**63:
            raise SettingError(f"--seeds {self.seeds}: with --seed {self.train.seed} they would go beyond 2^63 - 1.")
        if self.subsets is not None and not names_in(self.subsets):
            raise SettingError(f"--subsets {self.subsets!r}: expected names of run folders, such as ReIN30,ReIN50.")

    @property
    def is_table(self) -> bool:
        """Whether there is more than one training."""
        return self.networks is not None or self.subsets is not None or self.seeds > 1


def names_in(text: str) -> list[str]:
    """The names in a list with commas."""
    return [name.strip() for name in text.split(",") if name.strip()]


@dataclass(frozen=True)
class ReportCommand(Settings):
    """Write report.html from what the run folder holds."""

    out: Path
    """Folder of the run."""
