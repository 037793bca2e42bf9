"""FilesInfo: what lies in a folder of exported files."""

from dataclasses import dataclass
from typing import ClassVar

from rescale_fast.artifact import JsonArtifact
from rescale_fast.beton.types import LeftOut, check_left_out
from rescale_fast.files.fields import Count
from rescale_fast.files.reading import check_class_ids


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
        check_left_out(self.skipped)
