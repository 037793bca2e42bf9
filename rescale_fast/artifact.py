"""Artifacts: files that pass between stages, written whole or not at all, checked when read.

An artifact carries its schema version, the digests of what it was made from and the configuration that made
it, so that a later run can tell whether it may be reused. Nothing here pickles.
"""

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from rescale_fast.errors import OutputError, UnreadableFileError
from rescale_fast.files.fields import check_tree, from_tree, to_tree
from rescale_fast.files.reading import GIVE, DamageError, read_text, reading, refuse_special
from rescale_fast.types import JSON


@contextmanager
def write_whole(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success fsync it and rename it to `path`, else delete it.

    What earlier writers of the same path left when they were killed is deleted, too.
    Raises: OutputError when the file cannot be written (no permission, disk full), naming the path.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _delete_abandoned(path)
        descriptor, temporary = _temporary(path)
    except OSError as error:
        raise _cannot_write(path, error) from error
    try:
        yield temporary
        temporary.chmod(0o666 & ~_umask())
        os.fsync(descriptor)
        temporary.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise _cannot_write(path, error) from error
    finally:
        os.close(descriptor)
        temporary.unlink(missing_ok=True)


@contextmanager
def write_whole_folder(path: Path) -> Iterator[Path]:
    """As write_whole, for a folder: what was at `path` before goes when the new one is complete."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _delete_abandoned(path)
        descriptor, temporary = _temporary(path, folder=True)
    except OSError as error:
        raise _cannot_write(path, error) from error
    old = temporary.with_name(temporary.name.replace(".tmp", "-old.tmp"))
    try:
        yield temporary
        temporary.chmod(0o777 & ~_umask())
        os.sync()  # of everything, as there may be a million files in it
        if path.exists():
            path.rename(old)
        temporary.rename(path)
        sync_folder(path.parent)
    except OSError as error:
        raise _cannot_write(path, error) from error
    finally:
        os.close(descriptor)
        for leftover in (temporary, old):
            shutil.rmtree(leftover, ignore_errors=True)


def _temporary(path: Path, *, folder: bool = False) -> tuple[int, Path]:
    """A new file or folder beside `path`, open and locked: one without a lock has lost its writer."""
    prefix, suffix = f".{path.name}.", ".tmp"
    while True:
        if folder:
            name = tempfile.mkdtemp(suffix, prefix, path.parent)
            descriptor = os.open(name, os.O_RDONLY | os.O_DIRECTORY)
        else:
            descriptor, name = tempfile.mkstemp(suffix, prefix, path.parent)
        with suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if Path(name).exists():  # another writer may have taken it for abandoned before it was locked
            return descriptor, Path(name)
        os.close(descriptor)


def _delete_abandoned(path: Path) -> None:
    with os.scandir(path.parent) as entries:
        found = [
            Path(one.path) for one in entries if one.name.startswith(f".{path.name}.") and one.name.endswith(".tmp")
        ]
    for temporary in found:
        with suppress(OSError):  # in use by another writer, or gone already
            descriptor = os.open(temporary, os.O_RDONLY)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(temporary) if temporary.is_dir() else temporary.unlink()
            finally:
                os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Make a rename inside `folder` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _umask() -> int:
    # The only way to read it is to set it; mkstemp's 0600 would hide results from a user's group.
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def _cannot_write(path: Path, error: OSError) -> OutputError:
    found = error.filename2 or error.filename or path  # what is in the way may be a file that goes with it
    if isinstance(error, IsADirectoryError):
        return OutputError(f"{found}: is a folder, where a file belongs. Move or delete it, or pass another --out.")
    if isinstance(error, (FileExistsError, NotADirectoryError)):
        return OutputError(f"{path}: cannot write it: {found} is no folder. Move that, or pass another --out.")
    return OutputError(
        f"{path}: cannot write it: {error.strerror or error}. "
        "Free some space or permission there, or pass another --out. Nothing was left half-written."
    )


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file's bytes, hex. Raises: OSError; ArtifactError for what is no file."""
    refuse_special(path)
    if path.is_dir():
        raise UnreadableFileError(path, "is a folder, expected a file", GIVE)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def json_sha256(value: Any) -> str:
    """The SHA-256 of a JSON-able value (dataclasses and paths allowed), independent of key order, hex."""
    return hashlib.sha256(json.dumps(to_json(value), sort_keys=True).encode()).hexdigest()


def to_json(value: Any) -> JSON:
    """Turn dataclasses, paths, tuples and NumPy numbers into plain JSON values.

    Raises: TypeError for anything else, so that nothing is stored as its repr by accident.
    """
    if is_dataclass(value) and not isinstance(value, type):
        return to_json(asdict(value))
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_json(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, np.generic):
        return to_json(value.item())
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"cannot store a {type(value).__name__} as JSON: {value!r}")


def write_json(path: Path, value: Any) -> None:
    """Write a value as indented JSON, whole or not at all."""
    text = json.dumps(to_json(value), indent=1, ensure_ascii=False) + "\n"
    with write_whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_json(path: Path, schema: str, then: str = GIVE) -> dict[str, Any]:
    """Read a JSON object and check its "schema" field.

    Raises: ArtifactError when the file is missing, damaged, or of another schema.
    """
    with reading(path, "JSON", then):
        value = parse_json(read_text(path))
        check_schema(value.get("schema") if isinstance(value, dict) else None, schema)
        return dict(value)


def parse_json(text: str | bytes) -> Any:
    """Parse JSON that is safe to walk over. Raises: ValueError, RecursionError."""
    value = json.loads(text)
    check_tree(value)
    return value


def check_schema(found: object, expected: str) -> None:
    """Raise DamageError unless a file's schema is the expected one."""
    if found != expected:
        raise DamageError(f"its schema is {found!r}, this version reads {expected!r}")


@dataclass(frozen=True)
class Origin:
    """What an artifact was made from and how: equal origins mean the artifact may be reused."""

    made_from: Mapping[str, str]  # name of the input -> its SHA-256
    config: Mapping[str, Any]  # the resolved configuration of the stage, JSON values only

    def to_dict(self) -> dict[str, Any]:
        return {"made_from": to_json(self.made_from), "config": to_json(self.config)}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        """Raises: DamageError for a field that is missing or of another type."""
        return cls(**from_tree(cls, value))

    def same_as(self, other: "Origin") -> bool:
        return self.to_dict() == other.to_dict()


@dataclass(frozen=True)
class Artifact:
    """Base of what passes between stages. Subclasses are frozen dataclasses with `save` and `load`."""

    schema: ClassVar[str]

    origin: Origin


@dataclass(frozen=True)
class JsonArtifact(Artifact):
    """Base of artifacts that are one JSON object; rescale_fast/files/fields.py has how they declare their fields."""

    THEN: ClassVar[str] = GIVE  # what to do about one that cannot be read

    def save(self, path: Path) -> None:
        """Write the JSON."""
        write_json(path, {"schema": self.schema, **self.tree(), **self.origin.to_dict()})

    def tree(self) -> dict[str, Any]:
        """The fields as they are written, and what is written besides for readers that are not ours."""
        return to_tree(self)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read and check the JSON. Raises: ArtifactError."""
        value = read_json(path, cls.schema, cls.THEN)
        with reading(path, "JSON", cls.THEN):
            made = cls(origin=Origin.from_dict(value), **from_tree(cls, value))
            made.check()
        return made

    def check(self) -> None:
        """Check what concerns several fields. Raises: DamageError."""
