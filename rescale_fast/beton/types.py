"""BetonInfo: the JSON beside each .beton, which says what its labels mean and how its images were stored."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, TypeAlias

from rescale_fast.artifact import JsonArtifact
from rescale_fast.files.fields import At, Count, Means, member
from rescale_fast.files.reading import check_class_ids

READ_AT = "original bytes, read at"  # in `stored`, before a part of the size, such as 4/8
LeftOut: TypeAlias = Mapping[str, str]  # {"path", "reason"}: asked for, not written


@dataclass(frozen=True)
class BetonInfo(JsonArtifact):
    """What a .beton holds. Fields of a sample: image (RGB), label (int, 0..k-1), index (int).

    `index` is the image's row within its split of the ImageSubset: it leads back to the file.
    """

    schema: ClassVar[str] = "beton_info/2"
    THEN: ClassVar[str] = "Put the JSON that belongs to the beton there, or make both again."

    split: Annotated[str, Means("train or val")]
    num_images: Annotated[Count, Means("samples")]
    class_ids: Annotated[tuple[str, ...], At("classes[].id"), Means("(k,) by new label")]
    class_names: Annotated[tuple[str, ...], At("classes[].name"), Means("(k,)")]
    original_labels: Annotated[tuple[tuple[Count, ...], ...], At("classes[].original_labels"), Means("(k,) ascending")]
    images_per_class: Annotated[tuple[Count, ...], At("classes[].num_images"), Means("(k,)")]
    stored: Annotated[Mapping[str, Count], Means("how images were stored -> how many")]
    skipped: Annotated[tuple[LeftOut, ...], Means("path and reason of each file that was asked for and not written")]
    max_width: Annotated[Count, Means("pixels")]
    max_height: Annotated[Count, Means("pixels")]
    bytes: Annotated[Count, Means("of the .beton")]
    digest: Annotated[str, Means("of the .beton's content, '<algorithm>:<hex>'")]

    @property
    def read_smaller(self) -> int:
        """Images that kept their bytes, and that readers decode at a part of their size, which a training needs."""
        return sum(count for how, count in self.stored.items() if how.startswith(READ_AT))

    def tree(self) -> dict[str, Any]:
        tree = super().tree()
        tree["classes"] = [{"label": label, **row} for label, row in enumerate(tree["classes"])]
        return tree

    def check(self) -> None:
        check_class_ids("classes", self.class_ids)
        check_left_out(self.skipped)


def check_left_out(rows: Sequence[LeftOut]) -> None:
    """Raises: DamageError for one without path or reason."""
    for place, row in enumerate(rows):
        for key in ("path", "reason"):
            member(row, key, f"skipped[{place}].")
