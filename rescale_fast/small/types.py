"""VariantInfo: what a down-sampled set holds."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

from rescale_fast.artifact import JsonArtifact
from rescale_fast.beton.types import LeftOut, check_left_out
from rescale_fast.files.fields import At, Count, Means, Positive
from rescale_fast.files.reading import DamageError, check_class_ids
from rescale_fast.small.settings import VariantForm

MOST_LABELS = 2**31  # what FFCV stores, and what tables over labels can hold


@dataclass(frozen=True)
class VariantInfo(JsonArtifact):
    """What a down-sampled set holds. `train_images.csv` and `val_images.csv` lead each row back to its file."""

    schema: ClassVar[str] = "variant/1"
    THEN: ClassVar[str] = "Make the set again, or copy it again from where it came."
    NAME: ClassVar[str] = "variant.json"

    name: Annotated[str, Means("of its folder")]
    side: Annotated[Positive, Means("pixels")]
    channels: Annotated[Positive, Means("3 = R, G, B; 1 = grey")]
    forms: Annotated[tuple[VariantForm, ...], Means("in which its images are there")]
    num_images: Annotated[Mapping[str, Count], Means("split -> images")]
    skipped: Annotated[Mapping[str, tuple[LeftOut, ...]], Means("split -> those of it")]
    files: Annotated[Mapping[str, Count], Means("name -> bytes")]
    labels: Annotated[tuple[Count, ...], At("classes[].label"), Means("(k,) in batch files; 0..k-1 in betons")]
    class_ids: Annotated[tuple[str, ...], At("classes[].id"), Means("(k,) in the order of the data set")]
    class_names: Annotated[tuple[str, ...], At("classes[].name"), Means("(k,)")]
    original_labels: Annotated[
        tuple[tuple[Count, ...], ...], At("classes[].original_labels"), Means("(k,) in the data set")
    ]

    def check(self) -> None:
        check_class_ids("classes", self.class_ids)
        if not self.class_ids or len(set(self.labels)) < len(self.labels):
            raise DamageError("there is no class, or two have one label")
        if max(self.labels) >= MOST_LABELS:
            raise DamageError(f"a class has the label {max(self.labels):,}, expected less than {MOST_LABELS:,}")
        for rows in self.skipped.values():
            check_left_out(rows)
