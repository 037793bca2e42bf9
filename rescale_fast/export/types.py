"""BetonInfo: the JSON beside each .beton, which says what its labels mean and how its images were stored."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

from rescale_fast.artifact import Artifact, Origin, read_json, write_json
from rescale_fast.errors import ArtifactError
from rescale_fast.export.settings import VariantForm


@dataclass(frozen=True)
class BetonInfo(Artifact):
    """What a .beton holds. Fields of a sample: image (RGB), label (int, 0..k-1), index (int).

    `index` is the image's row within its split of the ImageSubset: it leads back to the file.
    """

    schema: ClassVar[str] = "beton_info/2"

    split: str
    num_images: int
    class_ids: tuple[str, ...]  # (k,) by new label
    class_names: tuple[str, ...]  # (k,)
    original_labels: tuple[tuple[int, ...], ...]  # (k,) those that became each label, ascending
    images_per_class: tuple[int, ...]  # (k,)
    stored: Mapping[str, int]  # how images were stored -> how many
    skipped: tuple[Mapping[str, str], ...]  # {"path", "reason"}: asked for, not written
    max_width: int  # pixels
    max_height: int
    bytes: int
    digest: str  # of the .beton's content, "<algorithm>:<hex>"

    def save(self, path: Path) -> None:
        value: dict[str, Any] = {
            "schema": self.schema,
            "split": self.split,
            "num_images": self.num_images,
            "classes": [
                {
                    "label": label,
                    "id": class_id,
                    "name": name,
                    "original_labels": original,
                    "num_images": count,
                }
                for label, (class_id, name, original, count) in enumerate(
                    zip(
                        self.class_ids,
                        self.class_names,
                        self.original_labels,
                        self.images_per_class,
                        strict=True,
                    )
                )
            ],
            "stored": self.stored,
            "skipped": self.skipped,
            "max_width": self.max_width,
            "max_height": self.max_height,
            "bytes": self.bytes,
            "digest": self.digest,
            **self.origin.to_dict(),
        }
        write_json(path, value)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read and check the JSON beside a beton. Raises: ArtifactError."""
        value = read_json(path, cls.schema)
        try:
            rows = value["classes"]
            return cls(
                origin=Origin.from_dict(value),
                split=value["split"],
                num_images=value["num_images"],
                class_ids=tuple(row["id"] for row in rows),
                class_names=tuple(row["name"] for row in rows),
                original_labels=tuple(tuple(row["original_labels"]) for row in rows),
                images_per_class=tuple(row["num_images"] for row in rows),
                stored=value["stored"],
                skipped=tuple(value["skipped"]),
                max_width=value["max_width"],
                max_height=value["max_height"],
                bytes=value["bytes"],
                digest=value["digest"],
            )
        except (KeyError, TypeError) as error:
            raise ArtifactError(f"{path}: lacks the field {error}. Delete it to have it made again.") from error


@dataclass(frozen=True)
class FilesInfo(Artifact):
    """What a folder of exported files holds."""

    schema: ClassVar[str] = "files_info/1"
    NAME: ClassVar[str] = ".export.json"  # hidden: whoever reads the folder would take it for a sample

    form: str  # "folder", "webdataset" or "parquet"
    split: str
    num_images: int
    class_ids: tuple[str, ...]  # (k,) by label
    class_names: tuple[str, ...]  # (k,)
    images_per_class: tuple[int, ...]  # (k,)
    skipped: tuple[Mapping[str, str], ...]  # {"path", "reason"}: asked for, not written
    num_files: int
    bytes: int

    def save(self, path: Path) -> None:
        fields = asdict(self)
        del fields["origin"]
        write_json(path, {"schema": self.schema, **fields, **self.origin.to_dict()})

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read and check the JSON in the folder. Raises: ArtifactError."""
        value = read_json(path, cls.schema)
        try:
            return cls(
                origin=Origin.from_dict(value),
                form=value["form"],
                split=value["split"],
                num_images=value["num_images"],
                class_ids=tuple(value["class_ids"]),
                class_names=tuple(value["class_names"]),
                images_per_class=tuple(value["images_per_class"]),
                skipped=tuple(value["skipped"]),
                num_files=value["num_files"],
                bytes=value["bytes"],
            )
        except (KeyError, TypeError) as error:
            raise ArtifactError(f"{path}: lacks the field {error}. Delete it to have it made again.") from error


@dataclass(frozen=True)
class VariantInfo(Artifact):
    """What a down-sampled set holds. `train_images.csv` and `val_images.csv` lead each row back to its file."""

    schema: ClassVar[str] = "variant/1"
    NAME: ClassVar[str] = "variant.json"

    name: str
    side: int  # pixels
    channels: int  # 3 = R, G, B; 1 = grey
    forms: tuple[VariantForm, ...]
    labels: tuple[int, ...]  # (k,) of each class in batch files; 0..k-1 in betons
    class_ids: tuple[str, ...]  # (k,) in the order of the data set
    class_names: tuple[str, ...]  # (k,)
    original_labels: tuple[tuple[int, ...], ...]  # (k,) in the data set
    num_images: Mapping[str, int]  # split -> images
    skipped: Mapping[str, tuple[Mapping[str, str], ...]]  # split -> {"path", "reason"}: asked for, not there
    files: Mapping[str, int]  # name -> bytes

    def save(self, path: Path) -> None:
        fields = asdict(self)
        columns = ("labels", "class_ids", "class_names", "original_labels")
        rows = zip(*(fields.pop(column) for column in columns), strict=True)
        keys = ("label", "id", "name", "original_labels")
        fields["classes"] = [dict(zip(keys, row, strict=True)) for row in rows]
        del fields["origin"]
        write_json(path, {"schema": self.schema, **fields, **self.origin.to_dict()})

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read and check a variant.json. Raises: ArtifactError."""
        value = read_json(path, cls.schema)
        try:
            rows = value["classes"]
            return cls(
                origin=Origin.from_dict(value),
                name=value["name"],
                side=value["side"],
                channels=value["channels"],
                forms=tuple(value["forms"]),
                labels=tuple(row["label"] for row in rows),
                class_ids=tuple(row["id"] for row in rows),
                class_names=tuple(row["name"] for row in rows),
                original_labels=tuple(tuple(row["original_labels"]) for row in rows),
                num_images=value["num_images"],
                skipped={split: tuple(rows) for split, rows in value["skipped"].items()},
                files=value["files"],
            )
        except (KeyError, TypeError) as error:
            raise ArtifactError(f"{path}: lacks the field {error}. Delete it to have it made again.") from error
