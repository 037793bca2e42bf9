"""Writes docs/formats.md: what each file of a run folder holds, as the code that reads and writes it declares.

    python -m scripts.formats_page

It stands outside the package: nobody needs it at run time, and no part of the package may know all others.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import is_dataclass
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, get_args, get_origin

import numpy as np

from rescale_fast.artifact import Artifact, JsonArtifact, Origin
from rescale_fast.beton import file as beton
from rescale_fast.beton.types import BetonInfo
from rescale_fast.class_subset.types import ClassGrouping, ClassSubset
from rescale_fast.confusion import ARRAYS, ConfusionMatrix
from rescale_fast.export.types import FilesInfo
from rescale_fast.files.arrays import Values
from rescale_fast.files.fields import ClassesMeta, Means, declared, may_be_absent
from rescale_fast.image_subset import types as image_subset
from rescale_fast.predictions import types as predictions
from rescale_fast.quality import types as quality
from rescale_fast.run import manifest
from rescale_fast.scores import types as scores
from rescale_fast.settings import alternatives, describe
from rescale_fast.small.types import VariantInfo
from rescale_fast.train.checkpoint import SCHEMA as CHECKPOINT
from rescale_fast.train.types import TrainRun

PAGE = Path(__file__).parents[1] / "docs" / "formats.md"
Rows = Iterable[Sequence[str]]


def page() -> str:
    """The whole page, from its template."""
    template = (Path(__file__).parent / "formats_page.md").read_text(encoding="utf-8")
    for name, text in _sections().items():
        assert f"{{{name}}}" in template, f"the template has no place for {name}"
        template = template.replace(f"{{{name}}}", text)
    return template


def _sections() -> dict[str, str]:
    json_files: dict[str, type[JsonArtifact]] = {
        "class_subset": ClassSubset,
        "class_grouping": ClassGrouping,
        "beton_info": BetonInfo,
        "files_info": FilesInfo,
        "train_run": TrainRun,
        "variant": VariantInfo,
    }
    return {
        "origin": _json_table(Origin),
        "predictions": _with_schema(predictions.Predictions, _arrays(predictions.COLUMNS)),
        "classes_meta": _json_table(ClassesMeta),
        "confusion": _with_schema(ConfusionMatrix, _arrays(ARRAYS)),
        "scores": _with_schema(scores.Scores, _arrays(scores.COLUMNS)),
        "image_subset": _with_schema(image_subset.ImageSubset, _arrays(image_subset.COLUMNS)),
        "subset_meta": _json_table(image_subset.SubsetMeta),
        "label_errors": _columns(image_subset.LABEL_ERRORS),
        "near_duplicates": _columns(image_subset.NEAR_DUPLICATES),
        "manifest": f"Schema `{manifest.SCHEMA}`.\n\n{_json_table(manifest.Manifest)}",
        "quality": _with_schema(quality.Quality, _json_table(quality.Quality) + _parts(quality)),
        "checkpoint": f"`{CHECKPOINT}`",
        **{name: _with_schema(kind, _json_table(kind)) for name, kind in json_files.items()},
        **{name: _struct(getattr(beton, name)) for name in ("HEADER", "DESCRIPTOR", "IMAGE", "ALLOCATION")},
    }


def _with_schema(kind: type[Artifact], table: str) -> str:
    return f"Schema `{kind.schema}`.\n\n{table}"


def _table(header: Sequence[str], rows: Rows) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _arrays(values: Sequence[Values]) -> str:
    def row(one: Values) -> Sequence[str]:
        name = f"`{one.name}`" + (" (optional)" if one.optional else "")
        shape = f"({', '.join(one.shape)}{',' if len(one.shape) == 1 else ''})"
        return name, one.kind, shape, str(one.limits or ""), one.meaning

    return _table(("name", "type", "shape", "range", "meaning"), map(row, values))


def _json_table(cls: type) -> str:
    rows = []
    for name, at, hint in declared(cls):
        meaning = next((note.text for note in _notes(hint) if isinstance(note, Means)), "")
        for _ in at.keys[1:]:  # a list of objects, each with one value
            hint = get_args(_bare(hint))[0]
        rows.append((f"`{at.place}`" + " (optional)" * (name in may_be_absent(cls)), _in_words(hint), meaning))
    return _table(("name", "value", "meaning"), rows)


def _parts(module: ModuleType) -> str:
    """The tables of the objects that an artifact of this module holds."""
    kinds = [one for one in vars(module).values() if is_dataclass(one) and one.__module__ == module.__name__]
    parts = sorted((one for one in kinds if not issubclass(one, JsonArtifact)), key=lambda one: one.__name__)
    return "".join(f"\n\n`{one.__name__}`:\n\n{_json_table(one)}" for one in parts)


def _notes(hint: Any) -> Sequence[Any]:
    return get_args(hint)[1:] if get_origin(hint) is Annotated else ()


def _bare(hint: Any) -> Any:
    return get_args(hint)[0] if get_origin(hint) is Annotated else hint


def _in_words(hint: Any) -> str:
    """The type of a JSON value, as messages call it."""
    bare = _bare(hint)
    if bare is Any:
        return "any JSON"
    if get_origin(bare) is tuple:
        return f"list of ({_in_words(get_args(bare)[0])})"
    if get_origin(bare) is Mapping:
        return f"object of ({_in_words(get_args(bare)[1])})"
    words = (("null" if kind is type(None) else describe(kind, limits)) for kind, limits in alternatives(hint))
    return " or ".join(words).replace(f"{2**63 - 1:,}", "2^63 - 1")


def _columns(meanings: Mapping[str, str]) -> str:
    return _table(("column", "meaning"), ((f"`{name}`", meaning) for name, meaning in meanings.items()))


def _struct(dtype: np.dtype[Any]) -> str:
    fields = dtype.fields
    assert fields is not None
    rows = ((f"`{name}`", str(fields[name][1]), fields[name][0].str) for name in dtype.names or ())
    return _table(("name", "at byte", "NumPy's type"), rows)


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
