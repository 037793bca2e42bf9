"""The review page: likely label errors and near-duplicates, for a person to look at. One self-contained HTML file."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rescale_fast.class_subset.types import ClassGrouping, ClassSubset
from rescale_fast.datasets.types import Dataset
from rescale_fast.image_subset.types import LabelErrors, NearDuplicates, Reviewed
from rescale_fast.report.pictures import picture
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
    class_of: Mapping[str, str] = field(default_factory=dict)  # class id by path, of the duplicates' images


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
    class_of = {
        path: dataset.class_ids[label]
        for images in dataset.splits.values()
        for path, label in zip(images.paths, images.labels.tolist(), strict=True)
    }
    review = Review(dataset.name, dataset.root, names, errors, WHAT_BECAME[label_errors], duplicates, class_of)
    write_review(review, folder / "review.html")


def write_review(review: Review, path: Path) -> None:
    """Write review.html."""
    write_page(
        "review.html",
        path,
        review=review,
        errors=_errors(review),
        duplicates=_duplicates(review),
        num_differing=_num_differing(review),
    )


def _num_differing(review: Review) -> int:
    rows = review.duplicates.rows() if review.duplicates else []
    return sum(review.class_of.get(train) != review.class_of.get(val) for train, val, _ in rows)


def _errors(review: Review) -> list[dict[str, Any]]:
    rows = review.errors.rows()[:MOST_SHOWN] if review.errors else []
    return [
        {
            "picture": picture(review.root, path, 2 * THUMBNAIL_SIDE),
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
    """Pairs of two classes first, as there one of the labels must be wrong, or both right: a person decides."""
    rows = review.duplicates.rows() if review.duplicates else []

    def differ(train: str, val: str) -> bool:
        return review.class_of.get(train) != review.class_of.get(val)

    shown = sorted(rows, key=lambda row: not differ(row[0], row[1]))[:MOST_SHOWN]
    return [
        {
            "bits": bits,
            "differ": differ(train, val),
            "sides": [
                {
                    "picture": picture(review.root, path, 2 * THUMBNAIL_SIDE),
                    "split": split,
                    "title": _title(review.class_of[path], review) if path in review.class_of else "",
                }
                for split, path in (("train", train), ("val", val))
            ],
        }
        for train, val, bits in shown
    ]
