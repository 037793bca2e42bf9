"""One training on two betons, from what lies in a folder: found if it is finished, else done."""

import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from rescale_fast.artifact import Origin
from rescale_fast.beton.types import BetonInfo
from rescale_fast.errors import ArtifactError
from rescale_fast.files.reading import DamageError, reading
from rescale_fast.loaders.settings import LoaderKind
from rescale_fast.lock import lock_beside, shared_beside
from rescale_fast.machine import MachineSettings
from rescale_fast.train.group import Group
from rescale_fast.train.plan import Benchmark, plan_training, training_origin
from rescale_fast.train.settings import TrainSettings
from rescale_fast.train.types import TrainRun
from rescale_fast.types import Track, silent


@dataclass(frozen=True)
class Work:
    """A training, and where it is done."""

    betons: Mapping[str, Path]  # "train" and "val"
    infos: Mapping[str, BetonInfo]  # the JSON beside each
    training: Benchmark
    folder: Path  # of its files
    origin: Origin
    checkpoint_minutes: float

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep others from doing the same work, and from replacing the betons. Raises: OutputError naming them."""
        with (
            lock_beside(self.folder, "train"),
            shared_beside(self.betons["train"], "train"),
            shared_beside(self.betons["val"], "train"),
        ):
            yield

    def finished(self) -> TrainRun:
        """The finished training. Raises: as load_finished; ArtifactError, too, when it is of another origin."""
        found = load_finished(self.folder)
        if not found.origin.same_as(self.origin):
            raise ArtifactError(f"{self.folder}: is of another training.")
        return found

    def find_or_do(
        self,
        *,
        machine: MachineSettings,
        group: Group = Group(),
        tensorboard: bool = False,
        track: Track = silent,
    ) -> TrainRun:
        """The finished run, or train. Raises: as train_network."""
        with suppress(ArtifactError):
            return self.finished()
        return self.do(machine=machine, group=group, tensorboard=tensorboard, track=track)

    def do(
        self,
        *,
        machine: MachineSettings,
        group: Group = Group(),
        tensorboard: bool = False,
        track: Track = silent,
    ) -> TrainRun:
        """Train, from the checkpoint if there is one. Raises: as train_network."""
        from rescale_fast.train.loop import keep_finished, train_network

        made = train_network(
            dict(self.betons),
            dict(self.infos),
            self.training,
            self.folder,
            self.origin,
            machine=machine,
            group=group,
            checkpoint_minutes=self.checkpoint_minutes,
            tensorboard=tensorboard,
            track=track,
        )
        if group.is_first:
            keep_finished(made, self.folder)
        return made


def load_finished(folder: Path) -> TrainRun:
    """The run in a folder. Raises: ArtifactError, too, where its weights are gone or do not match their checksums."""
    from rescale_fast.train.loop import WEIGHTS

    found, weights = TrainRun.load(folder), folder / WEIGHTS
    with reading(weights, "weights"), zipfile.ZipFile(weights) as archive:  # as which torch stores them
        if (damaged := archive.testzip()) is not None:
            raise DamageError(f"{damaged} in it is damaged")
    return found


def load_infos(betons: Mapping[str, Path]) -> dict[str, BetonInfo]:
    """The JSON beside each beton. Raises: ArtifactError."""
    return {split: BetonInfo.load(path.with_suffix(".json")) for split, path in betons.items()}


def plan_work(
    betons: Mapping[str, Path], runs: Path, settings: TrainSettings, dataset_kind: str | None, loader: LoaderKind
) -> Work:
    """A training on these betons, in a folder of its own below `runs`. Raises: ArtifactError, SettingError."""
    infos = load_infos(betons)
    training = plan_training(settings, infos["train"], dataset_kind, loader=loader)
    origin = training_origin(training, infos)
    return Work(betons, infos, training, runs / training.folder_name, origin, settings.checkpoint_minutes)
