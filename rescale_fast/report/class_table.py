"""The table of classes: what is known of each, and whom it is mistaken for most."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from rescale_fast.class_subset.types import ClassGrouping, ClassSubset
from rescale_fast.confusion import ConfusionMatrix


@dataclass(frozen=True)
class Seen:
    """What the network made of a class's validation images."""

    images: int
    accuracy: float  # 0..1, when any class may be answered
    inside: int  # images of it called another chosen class
    partner: str  # the chosen class it is called most; "" where it is called none
    partner_images: int


@dataclass(frozen=True)
class ClassRow:
    """A chosen class, or a group."""

    label: int
    class_id: str
    name: str
    came_from: str  # the original label; of a group, the ids of its classes
    seen: Seen | None  # None where no network has looked


def class_rows(
    classes: ClassSubset, grouping: ClassGrouping | None, confusion: ConfusionMatrix | None
) -> list[ClassRow]:
    """A row a class, in the order of their labels."""
    seen = {} if confusion is None else _seen(classes, confusion)
    return [
        ClassRow(
            label,
            classes.class_ids[label],
            classes.class_names[label],
            str(original) if grouping is None else ", ".join(grouping.member_ids[label]),
            seen.get(label),
        )
        for label, original in enumerate(classes.classes)
    ]


def _seen(classes: ClassSubset, confusion: ConfusionMatrix) -> Mapping[int, Seen]:
    chosen = np.array(classes.classes, np.int64)
    images = confusion.counts[chosen].sum(axis=1)
    inside = confusion.counts[np.ix_(chosen, chosen)].copy()
    right = np.diagonal(inside).copy()
    np.fill_diagonal(inside, 0)
    partners = inside.argmax(axis=1)
    return {
        label: Seen(
            int(images[label]),
            float(right[label] / max(1, images[label])),
            int(inside[label].sum()),
            classes.class_names[partner] if inside[label, partner] else "",
            int(inside[label, partner]),
        )
        for label, partner in enumerate(partners.tolist())
    }
