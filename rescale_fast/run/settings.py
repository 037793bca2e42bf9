"""The settings of each command: what tyro turns into command lines."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from rescale_fast.class_subset.settings import GroupSettings, SelectSettings
from rescale_fast.datasets.settings import DatasetSettings
from rescale_fast.export.settings import ExportSettings, Form, Link
from rescale_fast.image_subset.settings import SampleSettings, ScoreSettings, numbers_of
from rescale_fast.loaders import LoaderKind
from rescale_fast.machine import MachineSettings
from rescale_fast.networks.settings import NetworkSettings
from rescale_fast.predictions.settings import ValidateSettings
from rescale_fast.train.settings import TrainSettings


@dataclass(frozen=True)
class RunSettings:
    """Validate, confuse, select, sample, export, train and report, in one command.

    With no arguments it takes the built-in `glyphs`, so that the whole thing can be seen to work. What is
    finished is reused: run the same command again after an interruption, or with one setting changed.
    """

    out: Path | None = None
    """Folder of this run. By default rescaled/<name of the data set>."""
    dataset: DatasetSettings = field(default_factory=DatasetSettings)
    network: NetworkSettings = field(default_factory=NetworkSettings)
    validate: ValidateSettings = field(default_factory=ValidateSettings)
    predictions: Path | None = None
    """Use these predictions (a parquet part or a folder of them) instead of validating."""
    confusion: Path | None = None
    """Use this confusion matrix (.npz, .npy or CSV; row = true class) instead of validating."""
    select: SelectSettings = field(default_factory=SelectSettings)
    group: GroupSettings = field(default_factory=GroupSettings)
    scores: Path | None = None
    """Use these scores of training images (a parquet file) instead of making them."""
    score: ScoreSettings = field(default_factory=ScoreSettings)
    sample: SampleSettings = field(default_factory=SampleSettings)
    export: ExportSettings = field(default_factory=ExportSettings)
    train: TrainSettings = field(default_factory=TrainSettings)
    machine: MachineSettings = field(default_factory=MachineSettings)


def with_configuration(settings: RunSettings) -> RunSettings:
    """The same, with the number of classes or groups that --configuration names."""
    if settings.sample.configuration is None:
        return settings
    wanted = numbers_of(settings.sample.configuration)[0]
    return replace(
        settings, select=replace(settings.select, k=wanted), group=replace(settings.group, num_groups=wanted)
    )


@dataclass(frozen=True)
class ValidateCommand:
    """A pre-trained network looks at every validation image; makes predictions/part-*.parquet."""

    out: Path | None = None
    """Folder of the run. By default rescaled/<name of the data set>."""
    dataset: DatasetSettings = field(default_factory=DatasetSettings)
    network: NetworkSettings = field(default_factory=NetworkSettings)
    validate: ValidateSettings = field(default_factory=ValidateSettings)
    machine: MachineSettings = field(default_factory=MachineSettings)


@dataclass(frozen=True)
class ConfuseCommand:
    """Counts who is mistaken for whom; makes confusion.npz."""

    out: Path
    """Folder of the run, as `validate` made it."""
    predictions: Path | None = None
    """Predictions made elsewhere: a parquet part or a folder of them."""
    machine: MachineSettings = field(default_factory=MachineSettings)


@dataclass(frozen=True)
class SelectCommand:
    """Chooses classes; makes class_subset.json and class_subset.txt."""

    out: Path
    """Folder of the run."""
    confusion: Path | None = None
    """A confusion matrix made elsewhere (.npz, .npy or CSV; row = true class)."""
    select: SelectSettings = field(default_factory=SelectSettings)
    machine: MachineSettings = field(default_factory=MachineSettings)


@dataclass(frozen=True)
class GroupCommand:
    """Makes coarse classes of all classes, instead of choosing some; makes class_grouping.json."""

    out: Path
    """Folder of the run."""
    confusion: Path | None = None
    """A confusion matrix made elsewhere (.npz, .npy or CSV; row = true class)."""
    group: GroupSettings = field(default_factory=GroupSettings)


@dataclass(frozen=True)
class CompareCommand:
    """Compares choices of classes: what they share, how hard each is, and what a random choice gives."""

    subsets: tuple[str, ...]
    """Each a class_subset.json, a list (.txt) or the name of a published list."""
    confusion: Path
    """The confusion matrix (.npz, .npy or CSV) to measure them on."""
    predictions: Path | None = None
    """Predictions (a part or a folder of them): they say better what is right when only k classes may be named."""
    json: Path | None = None
    """Write the numbers here too."""


@dataclass(frozen=True)
class ScoreCommand:
    """Scores each training image by a network that has not seen it; makes scores/part-*.parquet."""

    out: Path
    """Folder of the run."""
    of: Literal["auto", "subset", "grouping"] = "auto"
    """What `select` chose or what `group` made; `auto` takes what there is."""
    corrections: Path | None = None
    """A CSV of corrected classes, as for `sample`."""
    score: ScoreSettings = field(default_factory=ScoreSettings)
    machine: MachineSettings = field(default_factory=MachineSettings)


@dataclass(frozen=True)
class SampleCommand:
    """Takes images of the chosen classes, or of the groups; makes image_subset.parquet."""

    out: Path
    """Folder of the run."""
    of: Literal["auto", "subset", "grouping"] = "auto"
    """What `select` chose or what `group` made; `auto` takes what there is."""
    scores: Path | None = None
    """Scores of training images made elsewhere: a parquet file with path, label, true_probability and, to find label
    errors, probabilities."""
    predictions: Path | None = None
    """Predictions made elsewhere: a parquet part or a folder of them."""
    sample: SampleSettings = field(default_factory=SampleSettings)
    machine: MachineSettings = field(default_factory=MachineSettings)


@dataclass(frozen=True)
class ExportCommand:
    """Writes train.beton and val.beton, each with a JSON beside it, or other files."""

    out: Path
    """Folder of the run."""
    form: Literal["beton"] | Form = "beton"
    """`folder` (a folder a class), `webdataset` (tars) and `parquet` (as Hugging Face's datasets reads it) keep files
    as they are, and make <out>/<form>/train and val."""
    link: Link = "copy"
    """--form folder: how files get there; `reflink` shares their blocks, where the file system can."""
    export: ExportSettings = field(default_factory=ExportSettings)
    machine: MachineSettings = field(default_factory=MachineSettings)


@dataclass(frozen=True)
class TrainCommand:
    """Trains networks on the betons; makes runs/<network>-<recipe>-seed<seed>/, and a table of several."""

    out: Path
    """Folder of the run; with --subsets, the folder that these are in, and the table will be."""
    networks: str | None = None
    """Several networks: names with commas between them, or `all`, the nine of the published table."""
    subsets: str | None = None
    """Several subsets: run folders, with commas between them, such as ReIN30,ReIN50."""
    seeds: int = 1
    """Train with so many seeds, from --seed on: the table gives mean and deviation."""
    loader: LoaderKind = "ffcv"
    """What reads the betons; `dali` and `torchvision` give the same images, to see what ffcv gains."""
    tensorboard: bool = False
    """Write runs/.../tensorboard, too (`pip install tensorboard`)."""
    train: TrainSettings = field(default_factory=TrainSettings)
    machine: MachineSettings = field(default_factory=MachineSettings)


@dataclass(frozen=True)
class ReportCommand:
    """Writes report.html from what the run folder holds."""

    out: Path
    """Folder of the run."""
