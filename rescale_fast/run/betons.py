"""The commands about betons that exist already, whoever wrote them: check, cut, merge, append, relabel."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from rescale_fast.errors import SettingError
from rescale_fast.export.types import BetonInfo
from rescale_fast.run import downsampling
from rescale_fast.terminal import say, track
from rescale_fast.types import IntArray


@dataclass(frozen=True)
class CheckCommand:
    """Checks a beton: its structure, its JSON and the digest in that."""

    file: tyro.conf.Positional[Path]
    """The .beton; the JSON beside it is read if there is one."""
    decode: bool = False
    """Decode every image, too."""
    num_threads: int = 0
    """Threads; 0 = all cores."""


@dataclass(frozen=True)
class CutCommand:
    """Cuts classes or samples out of a beton, or classes out of a down-sampled set, without decoding an image."""

    source: tyro.conf.Positional[Path]
    """A .beton, or a folder of batch files (of any maker)."""
    target: Path
    """The .beton, or the folder, to make."""
    classes: Path | None = None
    """Keep these classes: a file with a class id a line, as class_subset.txt. The first gets the label 0,
    or 1 in batch files."""
    rows: Path | None = None
    """Keep these samples, in this order: a file with a sample number a line, from 0."""
    num_threads: int = 0
    """Threads; 0 = all cores."""


@dataclass(frozen=True)
class MergeCommand:
    """Makes one beton of several; classes are matched by their ids."""

    sources: tyro.conf.Positional[tuple[Path, ...]]
    """Betons with the same fields."""
    target: Path
    """The .beton to make."""
    num_threads: int = 0
    """Threads; 0 = all cores."""


@dataclass(frozen=True)
class AppendCommand:
    """Appends betons to a beton, which is replaced when the longer one is complete."""

    base: tyro.conf.Positional[Path]
    """The .beton to append to."""
    extra: tyro.conf.Positional[tuple[Path, ...]]
    """Betons with the same fields."""
    num_threads: int = 0
    """Threads; 0 = all cores."""


@dataclass(frozen=True)
class RelabelCommand:
    """Gives the samples of a beton other labels, or groups its classes."""

    source: tyro.conf.Positional[Path]
    """A .beton."""
    target: Path
    """The .beton to make."""
    groups: Path | None = None
    """Group classes: a file with a class id and the id of its group a line. Classes that are not in it are left out."""
    labels: Path | None = None
    """A file with the new label of each sample a line."""
    num_threads: int = 0
    """Threads; 0 = all cores."""


def check(settings: CheckCommand) -> None:
    from rescale_fast.export.check import check_beton

    print(check_beton(settings.file, decode=settings.decode, num_threads=settings.num_threads, track=track), flush=True)


def cut(settings: CutCommand) -> None:
    from rescale_fast.export.edit import cut_beton, cut_classes

    if (settings.classes is None) == (settings.rows is None):
        raise SettingError("cut: say what to keep, either with --classes FILE or with --rows FILE.")
    if settings.source.is_dir():
        if settings.classes is None:
            raise SettingError(f"--rows {settings.rows}: {settings.source} is a down-sampled set; pass --classes FILE.")
        downsampling.cut_classes(settings.source, settings.target, [words[0] for words in _lines(settings.classes, 1)])
        return
    if settings.classes is not None:
        ids = [words[0] for words in _lines(settings.classes, 1)]
        info = cut_classes(settings.source, settings.target, ids, num_threads=settings.num_threads, track=track)
    elif settings.rows is not None:
        rows = _numbers(settings.rows)
        info = cut_beton(settings.source, settings.target, rows, num_threads=settings.num_threads, track=track)
    _say(settings.target, info)


def merge(settings: MergeCommand) -> None:
    from rescale_fast.export.edit import merge_betons

    info = merge_betons(settings.sources, settings.target, num_threads=settings.num_threads, track=track)
    _say(settings.target, info)


def append(settings: AppendCommand) -> None:
    from rescale_fast.export.edit import append_beton

    info = append_beton(settings.base, settings.extra, num_threads=settings.num_threads, track=track)
    _say(settings.base, info)


def relabel(settings: RelabelCommand) -> None:
    from rescale_fast.export.edit import group_classes, relabel_beton

    if (settings.groups is None) == (settings.labels is None):
        raise SettingError("relabel: give the new labels, either with --groups FILE or with --labels FILE.")
    if settings.groups is not None:
        groups = {words[0]: words[1] for words in _lines(settings.groups, 2)}
        info = group_classes(settings.source, settings.target, groups, num_threads=settings.num_threads, track=track)
    elif settings.labels is not None:
        labels = _numbers(settings.labels)
        info = relabel_beton(settings.source, settings.target, labels, num_threads=settings.num_threads, track=track)
    _say(settings.target, info)


def _say(target: Path, info: BetonInfo) -> None:
    say(f"{target}: {info.num_images:,} images of {len(info.class_ids):,} classes, {info.bytes / 1e6:,.1f} MB")


def _lines(path: Path, num_words: int) -> list[list[str]]:
    """The words of each line that is not empty; `#` starts a comment."""
    lines = []
    for number, line in enumerate(path.read_text(encoding="utf-8-sig", errors="replace").splitlines(), 1):
        words = line.split("#")[0].split()
        if words and len(words) < num_words:
            raise SettingError(f"{path}, line {number}: {line.strip()!r} has {len(words)} words, expected {num_words}.")
        if words:
            lines.append(words)
    return lines


def _numbers(path: Path) -> IntArray:
    words = [words[0] for words in _lines(path, 1)]
    try:
        return np.array(words, np.int64)
    except (ValueError, OverflowError) as error:
        raise SettingError(f"{path}: expected an integer a line ({error}).") from error
