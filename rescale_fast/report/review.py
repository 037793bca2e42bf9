"""The review page: likely label errors and near-duplicates, for a person to look at. One self-contained HTML file."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rescale_fast.class_subset.types import ClassGrouping, ClassSubset
from rescale_fast.datasets.types import Dataset
from rescale_fast.image_subset.types import LabelErrors, NearDuplicates, Reviewed
from rescale_fast.report.pictures import thumbnail
from rescale_fast.report.template import write_page

THUMBNAIL_SIDE = 112  # pixels
MOST_SHOWN = 300  # of each kind; all are in the CSVs
WHAT_BECAME = {"keep": "", "list": "listed", "drop": "left out", "relabel": "relabelled"}  # of label errors


@dataclass(frozen=True)
class Review:
    """What there is to look at. What is None was not looked for."""

    name: str  # of the data set
    root: Path
    class_names: Mapping[str, str]  # by class id
    errors: LabelErrors | None
    what_became: str  # of the errors: "listed", "left out" or "relabelled"
    duplicates: NearDuplicates | None


def write_reviews(
    folder: Path, dataset: Dataset, classes: ClassSubset | ClassGrouping, made: Reviewed, label_errors: str
) -> None:
    """Write what there is to review: label_errors.csv, near_duplicates.csv and, of either or both, review.html.

    Args: label_errors: what was done about them, as SampleSettings has it.
    """
    errors, duplicates = made.label_errors, made.near_duplicates
    if errors is None and duplicates is None:
        return
    if errors is not None:
        errors.save(folder / "label_errors.csv")
    if duplicates is not None:
        duplicates.save(folder / "near_duplicates.csv")
    names = dict(zip(dataset.class_ids, dataset.class_names, strict=True))
    names |= dict(zip(classes.class_ids, classes.class_names, strict=True))
    review = Review(dataset.name, dataset.root, names, errors, WHAT_BECAME[label_errors], duplicates)
    write_review(review, folder / "review.html")


def write_review(review: Review, path: Path) -> None:
    """Write review.html."""
    write_page(
        "review.html",
        path,
        review=review,
        errors=_errors(review),
        duplicates=_duplicates(review),
        side=THUMBNAIL_SIDE,
    )


def _errors(review: Review) -> list[dict[str, Any]]:
    rows = review.errors.rows()[:MOST_SHOWN] if review.errors else []
    return [
        {
            "path": path,
            "uri": thumbnail(review.root / path, THUMBNAIL_SIDE),
            "given": _title(given, review),
            "suggested": _title(suggested, review),
            "given_probability": p,
            "suggested_probability": q,
        }
        for path, suggested, given, p, q in rows
    ]


def _title(class_id: str, review: Review) -> str:
    name = review.class_names.get(class_id, class_id)
    return class_id if name == class_id else f"{name} ({class_id})"


def _duplicates(review: Review) -> list[dict[str, Any]]:
    rows = review.duplicates.rows()[:MOST_SHOWN] if review.duplicates else []
    return [
        {
            "bits": bits,
            "sides": [
                {"path": path, "uri": thumbnail(review.root / path, THUMBNAIL_SIDE), "split": split}
                for split, path in (("train", train), ("val", val))
            ],
        }
        for train, val, bits in rows
    ]
