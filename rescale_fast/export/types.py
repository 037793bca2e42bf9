"""FilesInfo: what lies in a folder of exported files."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from rescale_fast.artifact import JsonArtifact
from rescale_fast.beton.types import LeftOut, check_left_out
from rescale_fast.files.fields import Count, Means
from rescale_fast.files.reading import check_class_ids


@dataclass(frozen=True)
class FilesInfo(JsonArtifact):
    """What a folder of exported files holds."""

    schema: ClassVar[str] = "files_info/1"
    NAME: ClassVar[str] = ".export.json"  # hidden: whoever reads the folder would take it for a sample

    form: Annotated[str, Means("'folder', 'webdataset' or 'parquet'")]
    split: Annotated[str, Means("train or val")]
    num_images: Annotated[Count, Means("that were written")]
    class_ids: Annotated[tuple[str, ...], Means("(k,) by label")]
    class_names: Annotated[tuple[str, ...], Means("(k,)")]
    images_per_class: Annotated[tuple[Count, ...], Means("(k,)")]
    skipped: Annotated[tuple[LeftOut, ...], Means("path and reason of each file that was asked for and not written")]
    num_files: Annotated[Count, Means("in the folder, but for this one")]
    bytes: Annotated[Count, Means("of these")]

    def check(self) -> None:
        check_class_ids("class_ids", self.class_ids)
        check_left_out(self.skipped)
