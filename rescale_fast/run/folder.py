"""The run folder: where each artifact lies, which data set it belongs to, and how long each stage took."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from rescale_fast.artifact import Artifact, Origin, file_sha256, json_sha256, read_json, to_json, write_json
from rescale_fast.datasets.open import open_dataset
from rescale_fast.datasets.settings import DatasetSettings
from rescale_fast.datasets.types import Dataset
from rescale_fast.errors import ArtifactError, MissingInputError, OutputError, SettingError, UnreadableFileError
from rescale_fast.files.fields import from_tree
from rescale_fast.files.reading import reading
from rescale_fast.lock import lock, shared, turn
from rescale_fast.run.manifest import SCHEMA, Manifest, made_by
from rescale_fast.terminal import say, track

LOCK = "lock"
ELSEWHERE = "Pass another --out."
MADE = {  # by commands, which make again what was deleted
    *("predictions", "confusion.npz", "class_subset.json", "class_grouping.json", "scores", "image_subset.parquet"),
    *("train.beton", "train.json", "val.beton", "val.json", "runs"),
}
Made = TypeVar("Made", bound=Artifact)


@dataclass(frozen=True)
class RunFolder:
    """A folder that holds one run on one data set."""

    path: Path

    @property
    def manifest(self) -> Path:
        return self.path / "run.json"

    @property
    def predictions(self) -> Path:
        return self.path / "predictions"

    @property
    def confusion(self) -> Path:
        return self.path / "confusion.npz"

    @property
    def class_subset(self) -> Path:
        return self.path / "class_subset.json"

    @property
    def class_grouping(self) -> Path:
        return self.path / "class_grouping.json"

    @property
    def image_subset(self) -> Path:
        return self.path / "image_subset.parquet"

    @property
    def scores(self) -> Path:
        return self.path / "scores"

    @property
    def label_errors(self) -> Path:
        return self.path / "label_errors.csv"

    @property
    def near_duplicates(self) -> Path:
        return self.path / "near_duplicates.csv"

    @property
    def review(self) -> Path:
        return self.path / "review.html"

    @property
    def quality(self) -> Path:
        return self.path / "quality.json"

    @property
    def report(self) -> Path:
        return self.path / "report.html"

    def beton(self, split: str) -> Path:
        return self.path / f"{split}.beton"

    def files(self, form: str, split: str) -> Path:
        return self.path / form / split

    @property
    def runs(self) -> Path:
        return self.path / "runs"

    def trainings(self) -> list[Path]:
        return sorted(path.parent for path in self.runs.glob("*/result.json"))

    @contextmanager
    def held(self, command: str) -> Iterator[None]:
        """Keep other commands from writing in the folder. Raises: OutputError naming who does so already."""
        with lock(self.path / LOCK, str(self.path), command) as dead:
            if dead is not None:
                say(f"{self.path}: left by {dead}, which is gone; going on")
            with self._saying_what_can_be_deleted():
                yield

    @contextmanager
    def shared(self, command: str) -> Iterator[None]:
        """Keep commands from changing what is read here, beside others that read. Raises: as held."""
        with shared(self.path / LOCK, str(self.path), command), self._saying_what_can_be_deleted():
            yield

    @contextmanager
    def _saying_what_can_be_deleted(self) -> Iterator[None]:
        """Advise to delete what cannot be read where it is one of this folder's own: never a file that was given."""
        try:
            yield
        except UnreadableFileError as error:
            parts = error.path.relative_to(self.path).parts if error.path.is_relative_to(self.path) else ()
            if not parts or parts[0] not in MADE:
                raise
            made = self.path.joinpath(*parts[: 2 if parts[0] == "runs" else 1])
            then = f"Delete {'it' if made == error.path else made} to have it made again."
            raise UnreadableFileError(error.path, error.what, then) from error

    def check_free(self, dataset: Dataset) -> None:
        """Raises: OutputError when the folder holds something else, or belongs to another data set."""
        if self.manifest.exists():
            old = self._read()["dataset"]
            if old != _identity(dataset):
                raise OutputError(
                    f"{self.path}: holds a run on {old['name']} ({old['root']}); this one is on {dataset.name} "
                    f"({dataset.root}). Pass another --out, or delete that folder."
                )
        self.check_place()
        if self.manifest.is_symlink() and not self.manifest.exists():
            raise OutputError(f"{self.manifest}: is a link to nothing. Delete it, or pass another --out.")
        if self.path.exists() and not self.manifest.exists() and {one.name for one in self.path.iterdir()} - {LOCK}:
            raise OutputError(f"{self.path}: exists, but is no run folder. Pass another --out.")

    def check_place(self) -> None:
        """Raises: SettingError when there is something that is no folder."""
        if self.path.exists() and not self.path.is_dir():
            raise SettingError(f"--out {self.path}: exists, but is no run folder. Pass another --out.")

    def make(self) -> None:
        """Make the folder. Raises: SettingError where none can be; OutputError for what may pass, as a full disk."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except (FileNotFoundError, FileExistsError, NotADirectoryError, PermissionError) as error:
            raise SettingError(f"--out {self.path}: cannot make it ({error.strerror}). Pass another --out.") from error
        except OSError as error:
            raise OutputError(f"{self.path}: cannot make it ({error.strerror}).") from error

    def claim(self, dataset: Dataset, settings: DatasetSettings) -> None:
        """Make the folder this data set's, of which an image of each class was read.

        Raises: as check_free; OutputError when it cannot be written.
        """
        self.check_free(dataset)
        about = {"dataset": _identity(dataset), "settings": to_json(settings), "readable": dataset.digest}
        self._write({**about, "timings": self.timings})

    def was_readable(self, dataset: Dataset) -> bool:
        """Whether a command before this one read an image of each class of the same lists of files."""
        return self.manifest.exists() and self._read().get("readable") == dataset.digest

    def open_dataset(self) -> Dataset:
        """Open the data set the folder belongs to. Raises: MissingInputError before `validate`."""
        self.require(self.manifest, "validate")
        with reading(self.manifest, "the settings of a data set", ELSEWHERE):
            settings = dict(self._read()["settings"])
            root = settings.pop("root")
            made = DatasetSettings(root=Path(root) if root else None, **settings)
        return open_dataset(made, track=track)

    def dataset_place(self) -> tuple[str, Path | None]:
        """Name and root of the data set the folder belongs to; its own name when only artifacts are here."""
        if not self.manifest.exists():
            return self.path.resolve().name, None
        about = self._read()["dataset"]
        return about["name"], Path(about["root"])

    def known_dataset(self) -> Dataset | None:
        """The data set the folder belongs to; None when only artifacts made elsewhere are here."""
        return self.open_dataset() if self.manifest.exists() else None

    def require(self, path: Path, command: str) -> Path:
        """Return `path`. Raises: MissingInputError naming the command that makes it."""
        if not path.exists():
            raise MissingInputError(
                f"{path}: not there yet. `rescale-fast {command} --out {self.path}` makes it"
                + (" (with the settings of the data set)." if command == "validate" else ".")
            )
        return path

    def dataset_kind(self) -> str | None:
        """The kind of the data set the folder belongs to; None when only artifacts made elsewhere are here."""
        return str(self._read()["dataset"]["kind"]) if self.manifest.exists() else None

    @property
    def timings(self) -> dict[str, dict[str, Any]]:
        return dict(self._read()["timings"]) if self.manifest.exists() else {}

    def record(self, stage: str, seconds: float, items: int, unit: str) -> None:
        """Remember how long a stage took, how much it did, and by which command, version and machine."""
        if not self.manifest.exists():  # a stage by itself, on inputs made elsewhere
            return
        with turn(self.path):
            stored = self._read()
            work = {"seconds": seconds, "items": items, "unit": unit}
            timings = stored["timings"] | {stage: {**work, **made_by()}}
            self._write(stored | {"timings": timings})

    def reuse_or_make(
        self,
        stage: str,
        path: Path,
        origin: Origin,
        load: Callable[[Path], Made],
        make: Callable[[], Made],
        *,
        describe: Callable[[Made], str],
        work: Callable[[Made], tuple[int, str]],
        part: str = "",
    ) -> Made:
        """Load the artifact at `path` if it was made from the same inputs and settings; else make it.

        Args:
            make: makes and saves it. describe: says in a few words what it is. work: number of items and unit.
            part: of the stage, where one stage makes several artifacts.
        """
        with suppress(ArtifactError):  # absent, damaged, or of another version: to be made
            found = load(path)
            if found.origin.same_as(origin):
                say(f"{stage:>9}  {describe(found)}  (reused)")
                return found
        start = time.perf_counter()
        made = make()
        self.record(f"{stage} {part}".strip(), time.perf_counter() - start, *work(made))
        say(f"{stage:>9}  {describe(made)}")
        return made

    def _read(self) -> dict[str, Any]:
        try:
            stored = read_json(self.manifest, SCHEMA, ELSEWHERE)
            with reading(self.manifest, "JSON", ELSEWHERE):
                Manifest(**from_tree(Manifest, stored)).check()
                return stored
        except ArtifactError as error:
            raise OutputError(str(error)) from error

    def _write(self, value: Mapping[str, Any]) -> None:
        write_json(self.manifest, {**value, "schema": SCHEMA})


def _identity(dataset: Dataset) -> dict[str, str]:
    return {"name": dataset.name, "kind": dataset.kind, "root": str(dataset.root)}


def names_of(dataset: Dataset | None) -> dict[str, tuple[str, ...]]:
    """What to call the classes of a file that has no names for them."""
    return {} if dataset is None else {"class_ids": dataset.class_ids, "class_names": dataset.class_names}


def digest(path: Path) -> str:
    """SHA-256 of a file, or of a folder of parts: of their names and digests."""
    if path.is_dir():
        return json_sha256({part.name: file_sha256(part) for part in sorted(path.glob("part-*.parquet"))})
    return file_sha256(path)


def digests_of(predictions: Sequence[Path]) -> dict[str, str]:
    """The digest of each, as origins name them: by number where there are several.

    Raises: SettingError for predictions that are given twice.
    """
    found = [digest(existing(one, "--predictions")) for one in predictions]
    for i, one in enumerate(found):
        if one in found[:i]:
            twice = predictions[found.index(one)]
            raise SettingError(f"--predictions {predictions[i]}: is the same as {twice}. Give those of other networks.")
    if len(found) == 1:
        return {"predictions": found[0]}
    return {f"predictions {number}": one for number, one in enumerate(found, 1)}


def existing(path: Path, option: str) -> Path:
    """Return `path`. Raises: SettingError when there is nothing, naming the option that gave it."""
    if not path.exists():
        raise SettingError(f"{option} {path}: no such file.")
    return path
