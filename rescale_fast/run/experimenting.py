"""`rescale-fast experiment`: parts of a data set and networks trained on them, planned, done, collected and judged.

The folder is that of a run on the whole data set: its predictions and its confusion matrix are what parts are chosen
by. Each part is a run folder below parts/; trainings lie in sets/<part>@<cost>/, found again when the command is given
again, and shared out between machines by --share.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Annotated

from rescale_fast.datasets.settings import DatasetSettings
from rescale_fast.datasets.types import Dataset
from rescale_fast.errors import ArtifactError, SettingError, TrainingError
from rescale_fast.export.settings import ExportSettings
from rescale_fast.extras import need
from rescale_fast.files.csv_files import write_csv
from rescale_fast.image_subset.types import ImageSubset
from rescale_fast.lock import turn
from rescale_fast.machine import MachineSettings
from rescale_fast.networks.registry import check_network, network_names
from rescale_fast.networks.settings import NetworkSettings
from rescale_fast.predictions.settings import ValidateSettings
from rescale_fast.quality.accuracies import FEWEST
from rescale_fast.quality.settings import QualitySettings
from rescale_fast.run import exporting, sampling, scoring, selecting, stages
from rescale_fast.run.checking import check_chosen, check_numbers, check_sample
from rescale_fast.run.folder import RunFolder
from rescale_fast.run.judging import QualityCommand, quality
from rescale_fast.run.parts import FULL, Part, parts_of, usual_parts
from rescale_fast.run.plan import Row, plan_rows, training_of, write_plan
from rescale_fast.run.settings import RunSettings
from rescale_fast.run.shares import share_of
from rescale_fast.scores.settings import ScoreSettings
from rescale_fast.settings import Between, InputPath, Settings
from rescale_fast.terminal import say, show, track
from rescale_fast.train.plan import check_training
from rescale_fast.train.settings import TrainSettings
from rescale_fast.train.types import TrainRun
from rescale_fast.train.work import Work, plan_work


@dataclass(frozen=True)
class ExperimentCommand(Settings):
    """Tries which parts of a data set rank networks as all of it does: plans, trains, collects and judges."""

    out: Path | None = None
    """Folder of the experiment, or of a run on the same data set, whose predictions it then uses. By default
    rescaled/<name of the data set>."""
    networks: str = "all"
    """Networks to rank: names with commas between them, or `all`, the nine of the published table."""
    parts: tuple[str, ...] = ()
    """What to train on: METHOD:K classes, random:K:DRAWS, coarse:N groups of confused classes, or of each class
    images:M at random or difficulty:M. By default some of each, with a tenth and a quarter of the classes. The full set
    for fewer epochs is always there."""
    costs: tuple[Annotated[float, Between(0, 1, open=True)], ...] = (0.1,)
    """Of the images that the full training loops through: how many a part's training does."""
    seeds: Annotated[int, Between(1, 1000)] = 2
    """Trainings of each network on everything; two tell how well the full set would agree with itself."""
    part_seeds: Annotated[int, Between(1, 1000)] = 1
    """Trainings of each network on each part, with further seeds."""
    plan_only: bool = False
    """Choose the parts and write plan.csv, but train nothing."""
    share: str | None = None
    """As I/N: do only part I (0 to N-1) of N of the trainings: one machine a share, each with the same --out."""
    dataset: DatasetSettings = field(default_factory=DatasetSettings)
    network: NetworkSettings = field(default_factory=NetworkSettings)
    validate: ValidateSettings = field(default_factory=ValidateSettings)
    predictions: tuple[InputPath, ...] = ()
    """Use these predictions (a parquet part or a folder of them) instead of validating, those of each of several
    networks; rank-fidelity needs them, of networks that are not ranked here."""
    score: ScoreSettings = field(default_factory=ScoreSettings)
    export: ExportSettings = field(default_factory=ExportSettings)
    train: TrainSettings = field(default_factory=TrainSettings)
    machine: MachineSettings = field(default_factory=MachineSettings)

    def check(self) -> None:
        """Raises: SettingError for parts, costs and shares that are none, and what would have no effect."""
        if len(network_names(self.networks)) < FEWEST:
            raise SettingError(
                f"--networks {self.networks}: expected at least {FEWEST}, as fewer have no order to keep."
            )
        self.train.refuse("train_network", because="as --networks says which are trained")
        parts = parts_of(self.parts)
        if not self.costs or len({f"{cost:g}" for cost in self.costs}) < len(self.costs):  # as sets are called
            raise SettingError(f"--costs {self.costs}: expected one or more that differ, such as 0.1 0.25.")
        share_of(self.share)
        if self.predictions:
            self.network.refuse(because="as --predictions is given, so that no network looks at images")
            self.validate.refuse(because="as --predictions is given, so that no network looks at images")
        for part in parts:
            part.select.check_networks(len(self.predictions))
        if parts and not any(part.sample.looks_at_scores for part in parts):
            self.score.refuse(because="as no difficulty:M is among --parts")
        if self.train.seed + self.seeds + self.part_seeds > 2**63:
            raise SettingError(f"--seed {self.train.seed}: with --seeds and --part-seeds they go beyond 2^63 - 1.")

    def tried(self, dataset: Dataset) -> list[Part]:
        """The parts, the full set first."""
        return [FULL, *(parts_of(self.parts) or usual_parts(dataset.num_classes, len(self.predictions)))]


def check_experiment(settings: ExperimentCommand, dataset: Dataset, folder: RunFolder) -> None:
    """Raise SettingError, or another error of usage, for what no experiment on this data set could do."""
    need("training", "torch", "ffcv")
    networks = network_names(settings.networks)
    if "train" not in dataset.splits:
        raise SettingError(f"{dataset.name} has no train split, so nothing can be trained.")
    for network in networks:
        check_network(network)
    for part in settings.tried(dataset):
        num_classes = check_chosen(part.select, part.group, dataset)
        check_sample(part.sample, dataset, folder, num_classes)
        given = settings.predictions
        wanted = RunSettings(predictions=given, select=part.select, group=part.group, sample=part.sample)
        num_images = check_numbers(wanted, dataset, num_classes)
        for network in networks:
            outputs = num_classes if part.group.grouping is None else None  # of groups, that number is the most
            check_training(replace(settings.train, train_network=network), num_images, outputs)


@dataclass(frozen=True)
class Experiment:
    """One that is prepared: its parts are chosen."""

    settings: ExperimentCommand
    dataset: Dataset
    folder: RunFolder

    @classmethod
    def prepare(cls, settings: ExperimentCommand, dataset: Dataset, folder: RunFolder) -> "Experiment":
        """Look at the validation images if nobody has, choose the parts and write plan.csv."""
        made = cls(settings, dataset, folder)
        predictions = stages.given_predictions(settings.predictions)
        is_asked = bool(settings.network.changed() or settings.validate.changed())
        if predictions is None and (is_asked or not stages.has_looked(folder, dataset)):
            stages.validate(folder, dataset, settings.network, settings.validate, settings.machine)
        stages.confuse(folder, predictions, settings.machine, dataset)
        stages.check_classes(dataset, folder.confusion)
        for part in made.parts.values():
            made._choose(part, predictions)
        write_plan(made.rows, made.plan)
        looped = sum(row.images for row in made.rows)
        say(f"{'plan':>9}  {made.plan}: {len(made.rows):,} trainings, {looped:,} images looped through")
        return made

    @property
    def plan(self) -> Path:
        return self.folder.path / "plan.csv"

    @property
    def table(self) -> Path:
        return self.folder.path / "accuracies.csv"

    @cached_property
    def parts(self) -> dict[str, Part]:
        return {part.name: part for part in self.settings.tried(self.dataset)}

    @cached_property
    def rows(self) -> list[Row]:
        """The trainings, of all shares."""
        settings = self.settings
        subsets = {part: ImageSubset.load(self._of(part.name).image_subset) for part in self.parts.values()}
        sizes = {part: (len(images.train), len(images.val)) for part, images in subsets.items()}
        networks = network_names(settings.networks)
        return plan_rows(
            sizes, networks, settings.costs, settings.train, seeds=settings.seeds, part_seeds=settings.part_seeds
        )

    def _of(self, part: str) -> RunFolder:
        return RunFolder(self.folder.path / "parts" / part)

    def _choose(self, part: Part, predictions: stages.GivenPredictions | None) -> None:
        """Make the part's folder, with its classes and images."""
        folder, machine = self._of(part.name), self.settings.machine
        folder.make()
        with folder.held("experiment"):
            say(f"{'part':>9}  {part.name}")
            folder.claim(self.dataset, self.settings.dataset)
            stages.take_confusion(folder, self.folder.confusion, self.dataset)
            if part.group.grouping is None:
                selecting.select(folder, part.select, machine, predictions, self.dataset)
                chosen = folder.class_subset
            else:
                selecting.group(folder, part.group)
                chosen = folder.class_grouping
            scores = self._scores() if sampling.needs_scores(part.sample, self.dataset) else None
            sampling.sample(folder, self.dataset, chosen, part.sample, machine, scores=scores)

    def _scores(self) -> Path:
        """Those of all training images, which parts share."""
        full, settings = self._of(FULL.name), self.settings
        scoring.score(full, self.dataset, full.class_subset, None, settings.score, settings.machine)
        return full.scores

    def train(self) -> list[Row]:
        """Do what is left of this share; return what could not be trained."""
        number, of = share_of(self.settings.share)
        finished = {row for row, _ in self._finished()}
        exported, failed = set[str](), []
        for row in self.rows[number::of]:
            if row in finished:
                continue
            if row.part not in exported:
                self._export(row.part)
                exported.add(row.part)
            try:
                self._train(row)
            except TrainingError as error:
                say(f"{'train':>9}  {row.network} on {row.set}: {error}")
                failed.append(row)
        return failed

    def _export(self, part: str) -> None:
        folder = self._of(part)
        with turn(folder.path.parent):  # of several shares, each may come to it
            exporting.export(folder, self.dataset, self.settings.export, self.settings.machine)

    def _work(self, row: Row) -> Work:
        """Raises: ArtifactError where the part is not exported yet."""
        folder, settings = self._of(row.part), training_of(self.settings.train, row.network, row.seed, row.epochs)
        betons = {split: folder.beton(split) for split in ("train", "val")}
        return plan_work(betons, self.folder.path / "sets" / row.set, settings, self.dataset.kind, "ffcv")

    def _train(self, row: Row) -> None:
        work = self._work(row)
        with work.held():
            made = work.find_or_do(machine=self.settings.machine, track=track)
        say(f"{'train':>9}  {made.network} on {row.set}, seed {row.seed}: top-1 {100 * made.last_top1:.1f} %")

    def collect(self, failed: Sequence[Row] = ()) -> None:
        """Write accuracies.csv of what is finished, whoever did it; judge it if that is all.

        Raises: TrainingError naming the first of those that failed.
        """
        found = list(self._finished())
        _write_accuracies(found, self.table)
        if len(found) < len(self.rows):
            show(f"{len(found):,} of {len(self.rows):,} trainings are finished: {self.table}")
            if failed:
                raise TrainingError(
                    f"{len(failed):,} trainings failed; first {failed[0].network} on {failed[0].set} with seed "
                    f"{failed[0].seed}. The same command tries them again; --networks leaves networks out."
                )
            return
        for cost in self.settings.costs:
            show(f"\nAt {cost:g} of the images that the full training loops through:")
            quality(QualityCommand((self.table,), self.folder.path / f"quality-{cost:g}", self._asked(cost)))

    def _finished(self) -> Iterable[tuple[Row, TrainRun]]:
        for row in self.rows:
            try:
                yield row, self._work(row).finished()
            except ArtifactError:
                continue

    def _asked(self, cost: float) -> QualitySettings:
        """What is asked of the sets at one cost."""
        rows = list({row.set: row for row in self.rows if row.cost in (1, cost)}.values())
        parts = [row for row in rows if row.cost == cost]
        return QualitySettings(
            reference=FULL.name,
            sets=tuple(row.set for row in parts),
            random=tuple(row.set for row in parts if self.parts[row.part].is_random),
            short=tuple(row.set for row in parts if row.part == FULL.name),
            unit="share",
            val_images=tuple(f"{row.set}={row.val_images}" for row in rows),
            train_images=tuple(f"{row.set}={row.train_images}" for row in rows),
        )


def _write_accuracies(found: Sequence[tuple[Row, TrainRun]], path: Path) -> None:
    """A table for `quality`: a row a network, a column for each epoch of each seed of each set."""
    cells: dict[str, dict[str, float]] = {}
    for row, run in found:
        of_network = cells.setdefault(run.network, {})
        for epoch in run.epochs:
            of_network[f"{row.set}_seed{row.seed}_epoch{epoch['epoch']}"] = float(epoch["val_top1"])
    columns = list(dict.fromkeys(column for of_network in cells.values() for column in of_network))
    rows = [[network, *(of_network.get(column, "") for column in columns)] for network, of_network in cells.items()]
    write_csv(path, ["network", *columns], rows)
