"""BetonInfo: the JSON beside each .beton, which says what its labels mean and how its images were stored."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, TypeAlias

from rescale_fast.artifact import JsonArtifact
from rescale_fast.export.settings import VariantForm
from rescale_fast.fields import At, Count, Positive, member
from rescale_fast.reading import DamageError, check_class_ids

LeftOut: TypeAlias = Mapping[str, str]  # {"path", "reason"}: asked for, not written
MOST_LABELS = 2**31  # what FFCV stores, and what tables over labels can hold


@dataclass(frozen=True)
class BetonInfo(JsonArtifact):
    """What a .beton holds. Fields of a sample: image (RGB), label (int, 0..k-1), index (int).

    `index` is the image's row within its split of the ImageSubset: it leads back to the file.
    """

    schema: ClassVar[str] = "beton_info/2"

    split: str
    num_images: Count
    class_ids: Annotated[tuple[str, ...], At("classes[].id")]  # (k,) by new label
    class_names: Annotated[tuple[str, ...], At("classes[].name")]  # (k,)
    original_labels: Annotated[tuple[tuple[Count, ...], ...], At("classes[].original_labels")]  # (k,) ascending
    images_per_class: Annotated[tuple[Count, ...], At("classes[].num_images")]  # (k,)
    stored: Mapping[str, Count]  # how images were stored -> how many
    skipped: tuple[LeftOut, ...]
    max_width: Count  # pixels
    max_height: Count
    bytes: Count
    digest: str  # of the .beton's content, "<algorithm>:<hex>"

    def tree(self) -> dict[str, Any]:
        tree = super().tree()
        tree["classes"] = [{"label": label, **row} for label, row in enumerate(tree["classes"])]
        return tree

    def check(self) -> None:
        check_class_ids("classes", self.class_ids)
        _check_left_out(self.skipped)


@dataclass(frozen=True)
class FilesInfo(JsonArtifact):
    """What a folder of exported files holds."""

    schema: ClassVar[str] = "files_info/1"
    NAME: ClassVar[str] = ".export.json"  # hidden: whoever reads the folder would take it for a sample

    form: str  # "folder", "webdataset" or "parquet"
    split: str
    num_images: Count
    class_ids: tuple[str, ...]  # (k,) by label
    class_names: tuple[str, ...]  # (k,)
    images_per_class: tuple[Count, ...]  # (k,)
    skipped: tuple[LeftOut, ...]
    num_files: Count
    bytes: Count

    def check(self) -> None:
        check_class_ids("class_ids", self.class_ids)
        _check_left_out(self.skipped)


@dataclass(frozen=True)
class VariantInfo(JsonArtifact):
    """What a down-sampled set holds. `train_images.csv` and `val_images.csv` lead each row back to its file."""

    schema: ClassVar[str] = "variant/1"
    NAME: ClassVar[str] = "variant.json"

    name: str
    side: Positive  # pixels
    channels: Positive  # 3 = R, G, B; 1 = grey
    forms: tuple[VariantForm, ...]
    num_images: Mapping[str, Count]  # split -> images
    skipped: Mapping[str, tuple[LeftOut, ...]]  # split -> those of it
    files: Mapping[str, Count]  # name -> bytes
    labels: Annotated[tuple[Count, ...], At("classes[].label")]  # (k,) of each class in batch files; 0..k-1 in betons
    class_ids: Annotated[tuple[str, ...], At("classes[].id")]  # (k,) in the order of the data set
    class_names: Annotated[tuple[str, ...], At("classes[].name")]  # (k,)
    original_labels: Annotated[tuple[tuple[Count, ...], ...], At("classes[].original_labels")]  # (k,) in the data set

    def check(self) -> None:
        check_class_ids("classes", self.class_ids)
        if not self.class_ids or len(set(self.labels)) < len(self.labels):
            raise DamageError("there is no class, or two have one label")
        if max(self.labels) >= MOST_LABELS:
            raise DamageError(f"a class has the label {max(self.labels):,}, expected less than {MOST_LABELS:,}")
        for rows in self.skipped.values():
            _check_left_out(rows)


def _check_left_out(rows: Sequence[LeftOut]) -> None:
    for place, row in enumerate(rows):
        for key in ("path", "reason"):
            member(row, key, f"skipped[{place}].")
