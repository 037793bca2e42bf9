"""The commands about betons that exist already, whoever wrote them: check, cut, merge, append, relabel."""

import csv
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np

from rescale_fast.beton.types import BetonInfo
from rescale_fast.class_subset.lists import KNOWN, ClassList, check_data_set, find_list, numbered_data_set
from rescale_fast.class_subset.settings import Listed
from rescale_fast.errors import ArtifactError, SettingError
from rescale_fast.files.reading import read_lines
from rescale_fast.run import downsampling
from rescale_fast.settings import InputPath, NumThreads, Positional, Settings
from rescale_fast.terminal import say, show, track
from rescale_fast.types import IntArray

if TYPE_CHECKING:
    from rescale_fast.beton.check import BadImage


@dataclass(frozen=True)
class CheckCommand(Settings):
    """Check a beton, FFCV's file: its structure, the JSON beside it and the digest in that.

    Fails for what readers could not read.
    """

    file: Annotated[InputPath, Positional()]
    """The .beton; the JSON beside it is read if there is one."""
    decode: bool = False
    """Decode every image as well. One that decodes with a warning is no failure."""
    list: Path | None = None
    """Decode every image, and write those with an error or a warning to this CSV: row, path, reason, kind."""
    num_threads: NumThreads = 0
    """Threads; 0 = all cores."""

    def check(self) -> None:
        """Raises: SettingError for a list that would take the place of the beton or of its JSON."""
        if self.list in (self.file, self.file.with_suffix(".json")):
            raise SettingError(f"--list {self.list}: would take the place of the beton, or of its JSON.")


@dataclass(frozen=True)
class CutCommand(Settings):
    """Cut classes or samples out of a beton, or classes out of a down-sampled set, without decoding an image."""

    source: Annotated[InputPath, Positional()]
    """A .beton, or a folder of batch files (of any maker)."""
    target: Path
    """The .beton, or the folder, to make."""
    classes: Listed | None = None
    """Keep these classes: a published list, `all`, or a file with one class id per line, as class_subset.txt. The first
    gets the label 0, or 1 in batch files."""
    rows: InputPath | None = None
    """Keep these samples, in this order: a file with one sample number per line, from 0."""
    drop: InputPath | None = None
    """Keep all samples but these: a CSV with a column `row`, such as `check --list` writes."""
    num_threads: NumThreads = 0
    """Threads; 0 = all cores."""

    def check(self) -> None:
        """Raises: SettingError unless it is said in one way what to keep."""
        if sum(one is not None for one in (self.classes, self.rows, self.drop)) != 1:
            raise SettingError("cut: say what to keep, by one of --classes FILE, --rows FILE and --drop FILE.")
        if self.classes is not None:
            find_list(self.classes)


@dataclass(frozen=True)
class MergeCommand(Settings):
    """Make one beton of several; classes are matched by their ids."""

    sources: Annotated[tuple[InputPath, ...], Positional()]
    """Betons with the same fields."""
    target: Path
    """The .beton to make."""
    num_threads: NumThreads = 0
    """Threads; 0 = all cores."""


@dataclass(frozen=True)
class AppendCommand(Settings):
    """Append betons to a beton, which is replaced when the longer one is complete."""

    base: Annotated[InputPath, Positional()]
    """The .beton to append to."""
    extra: Annotated[tuple[InputPath, ...], Positional()]
    """Betons with the same fields."""
    num_threads: NumThreads = 0
    """Threads; 0 = all cores."""


@dataclass(frozen=True)
class RelabelCommand(Settings):
    """Give the samples of a beton other labels, or group its classes."""

    source: Annotated[InputPath, Positional()]
    """A .beton."""
    target: Path
    """The .beton to make."""
    groups: InputPath | None = None
    """Group classes: a text file with a class id, a space and the id of its group on each line. Classes that are not in
    it are left out."""
    labels: InputPath | None = None
    """A file with the new label of one sample per line."""
    num_threads: NumThreads = 0
    """Threads; 0 = all cores."""

    def check(self) -> None:
        """Raises: SettingError unless the new labels are given in one way."""
        if (self.groups is None) == (self.labels is None):
            raise SettingError("relabel: give the new labels, either with --groups FILE or with --labels FILE.")


def check(settings: CheckCommand) -> None:
    from rescale_fast.beton.check import check_beton

    report = check_beton(settings.file, num_threads=settings.num_threads, track=track)
    decoded = _decode(settings) if settings.decode or settings.list is not None else ""
    show(f"{report}{decoded}")


def _decode(settings: CheckCommand) -> str:
    """Decode every image, list those that are bad, and say so. Raises: ArtifactError for errors."""
    from rescale_fast.beton.check import find_bad_images, write_bad_images

    bad = find_bad_images(settings.file, num_threads=settings.num_threads, track=track)
    if settings.list is not None:
        write_bad_images(bad, settings.list)
    errors, warnings = ([one for one in bad if one.kind == kind] for kind in ("error", "warning"))
    warned = f"; {_count(warnings, 'decode with a warning')}" if warnings else ""
    if not errors:
        return warned or "; all its JPEGs decode"
    listed = settings.list or "what `rescale-fast check --list FILE` lists"
    raise ArtifactError(
        f"{settings.file}: {_count(errors, 'do not decode, so that readers give no image or another one')}{warned}. "
        f"`rescale-fast cut {settings.file} --drop FILE --target NEW` leaves out {listed}."
    )


def _count(bad: "Sequence[BadImage]", what: str) -> str:
    first = bad[0]
    file = f" ({first.path})" if first.path else ""
    return f"{len(bad):,} of its JPEGs {what} (first: sample {first.row:,}{file}: {first.reason})"


def cut(settings: CutCommand) -> None:
    from rescale_fast.beton.edit import cut_beton, drop_samples, group_classes

    source, target, num_threads = settings.source, settings.target, settings.num_threads
    if source.is_dir():
        if settings.classes is None:
            raise SettingError(f"{source}: is a down-sampled set; pass --classes FILE.")
        downsampling.cut_classes(source, target, find_list(settings.classes))
        return
    if settings.classes is not None:
        kept = _kept(source, find_list(settings.classes))
        info = group_classes(source, target, kept, num_threads=num_threads, track=track)
    elif settings.rows is not None:
        info = cut_beton(source, target, _numbers(settings.rows), num_threads=num_threads, track=track)
    elif settings.drop is not None:
        info = drop_samples(source, target, _listed_rows(settings.drop), num_threads=num_threads, track=track)
    _say(target, info)


def _kept(source: Path, listed: ClassList) -> dict[str, str]:
    """{class id in the beton: class id in the list}. Labels without names are those of the known data set that has as
    many classes, if all that are listed are its own: so FFCV's writers number class folders, which says no JSON.
    """
    from rescale_fast.beton.classes import numbered_classes
    from rescale_fast.beton.edit import known_classes

    known = known_classes(source)
    owner = numbered_data_set(listed, len(known.ids)) if known == numbered_classes(len(known.ids)) else None
    if owner is None:
        names = listed.names(known.ids)
        check_data_set(source, names, known.ids)
        return {name: name for name in names}
    ids = tuple(KNOWN[owner]())
    say(f"{source}: has no JSON that names its classes; its labels are taken as {owner}'s, in the order of their ids")
    return {str(ids.index(name)): name for name in listed.names(ids)}


def merge(settings: MergeCommand) -> None:
    from rescale_fast.beton.edit import merge_betons

    info = merge_betons(settings.sources, settings.target, num_threads=settings.num_threads, track=track)
    _say(settings.target, info)


def append(settings: AppendCommand) -> None:
    from rescale_fast.beton.edit import append_beton

    info = append_beton(settings.base, settings.extra, num_threads=settings.num_threads, track=track)
    _say(settings.base, info)


def relabel(settings: RelabelCommand) -> None:
    from rescale_fast.beton.edit import group_classes, known_classes, relabel_beton

    if settings.groups is not None:
        groups = _groups(settings.groups, known_classes(settings.source).ids)
        info = group_classes(settings.source, settings.target, groups, num_threads=settings.num_threads, track=track)
    elif settings.labels is not None:
        labels = _numbers(settings.labels)
        info = relabel_beton(settings.source, settings.target, labels, num_threads=settings.num_threads, track=track)
    _say(settings.target, info)


def _say(target: Path, info: BetonInfo) -> None:
    say(f"{target}: {info.num_images:,} images of {len(info.class_ids):,} classes, {info.bytes / 1e6:,.1f} MB")


def _groups(path: Path, class_ids: Collection[str]) -> dict[str, str]:
    """{class id: id of its group}. Of ids that begin a line, the longest is meant: they may hold spaces, and "#"."""
    groups: dict[str, str] = {}
    for number, line in enumerate(read_lines(path), 1):
        begins = [one for one in class_ids if line.strip().startswith((f"{one} ", f"{one}\t"))]
        class_id = max(begins, key=len, default=None)
        plain = re.sub(r"(^|\s)#.*", "", line).strip()
        if class_id is not None:
            group = re.sub(r"\s#.*", "", line.strip()[len(class_id) :]).strip()
        elif plain:
            class_id, _, group = plain.partition(" ")
        else:
            continue
        if not group:
            raise SettingError(f"{path}, line {number}: {line.strip()!r} is not a class id and the id of its group.")
        if groups.setdefault(class_id, group) != group:
            raise SettingError(f"{path}, line {number}: {class_id!r} is in the group {groups[class_id]!r} already.")
    return groups


def _numbers(path: Path) -> IntArray:
    lines = (line.split("#")[0].split() for line in read_lines(path))
    words = [words[0] for words in lines if words]
    try:
        return np.array(words, np.int64)
    except (ValueError, OverflowError) as error:
        raise SettingError(f"{path}: expected an integer a line ({error}).") from error


def _listed_rows(path: Path) -> IntArray:
    """The column `row` of a CSV."""
    with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
        lines = csv.DictReader(file)
        try:
            has_rows = "row" in (lines.fieldnames or ())
            rows = np.array([int(line["row"]) for line in lines] if has_rows else [], np.int64)
        except (ValueError, TypeError, OverflowError, csv.Error) as error:
            raise SettingError(
                f"{path}, line {lines.line_num}: expected a sample's number as `row` ({error})."
            ) from error
    if not has_rows:
        raise SettingError(
            f"{path}: its first line names no column `row`, as that of `rescale-fast check --list` does."
        )
    return rows
