"""ClassSubset: which classes were chosen; ClassGrouping: which became one. How, and how good that is known to be."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

from rescale_fast.artifact import Artifact, Origin, read_json, write_json, write_whole
from rescale_fast.errors import ArtifactError


@dataclass(frozen=True)
class ClassSubset(Artifact):
    """k of K classes, in dataset order. New label i is the i-th of them."""

    schema: ClassVar[str] = "class_subset/1"

    method: str  # "max-confusion", "list", ...
    num_classes: int  # K, of the set chosen from
    classes: tuple[int, ...]  # (k,) increasing, original labels
    class_ids: tuple[str, ...]  # (k,)
    class_names: tuple[str, ...]  # (k,)
    facts: Mapping[str, Any]  # what the method knows of its result, e.g. {"value": 310}; JSON values

    def members(self) -> tuple[tuple[int, ...], ...]:
        """Original labels of each new label: one each."""
        return tuple((label,) for label in self.classes)

    def save(self, path: Path) -> None:
        """Write the JSON, and beside it a .txt with one class id a line (the published lists' format)."""
        with write_whole(path.with_suffix(".txt")) as temporary:
            temporary.write_text("".join(f"{name}\n" for name in self.class_ids), encoding="utf-8")
        write_json(
            path,
            {
                "schema": self.schema,
                "method": self.method,
                "num_classes": self.num_classes,
                "classes": [
                    {"label": label, "id": class_id, "name": name}
                    for label, class_id, name in zip(self.classes, self.class_ids, self.class_names, strict=True)
                ],
                "facts": self.facts,
                **self.origin.to_dict(),
            },
        )

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read and check a class_subset.json. Raises: ArtifactError."""
        value = read_json(path, cls.schema)
        try:
            rows = value["classes"]
            return cls(
                origin=Origin.from_dict(value),
                method=value["method"],
                num_classes=value["num_classes"],
                classes=tuple(row["label"] for row in rows),
                class_ids=tuple(row["id"] for row in rows),
                class_names=tuple(row["name"] for row in rows),
                facts=value["facts"],
            )
        except (KeyError, TypeError) as error:
            raise ArtifactError(f"{path}: lacks the field {error}. Delete it to have it made again.") from error


@dataclass(frozen=True)
class ClassGrouping(Artifact):
    """Coarse classes: each is a group of the K classes and takes all their images. Classes in no group are left out."""

    schema: ClassVar[str] = "class_grouping/1"

    method: str  # "confused", "wordnet", ...
    num_classes: int  # K, of the set grouped
    class_ids: tuple[str, ...]  # (g,) of the groups, by new label; unique
    class_names: tuple[str, ...]  # (g,)
    labels: tuple[tuple[int, ...], ...]  # (g,) original labels in each group, increasing
    member_ids: tuple[tuple[str, ...], ...]  # (g,) their class ids
    facts: Mapping[str, Any]

    def members(self) -> tuple[tuple[int, ...], ...]:
        """Original labels of each new label."""
        return self.labels

    def save(self, path: Path) -> None:
        """Write the JSON."""
        rows = zip(self.class_ids, self.class_names, self.labels, self.member_ids, strict=True)
        write_json(
            path,
            {
                "schema": self.schema,
                "method": self.method,
                "num_classes": self.num_classes,
                "groups": [
                    {
                        "id": group_id,
                        "name": name,
                        "classes": [
                            {"label": label, "id": class_id} for label, class_id in zip(labels, ids, strict=True)
                        ],
                    }
                    for group_id, name, labels, ids in rows
                ],
                "facts": self.facts,
                **self.origin.to_dict(),
            },
        )

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read and check a class_grouping.json. Raises: ArtifactError."""
        value = read_json(path, cls.schema)
        try:
            groups = value["groups"]
            return cls(
                origin=Origin.from_dict(value),
                method=value["method"],
                num_classes=value["num_classes"],
                class_ids=tuple(group["id"] for group in groups),
                class_names=tuple(group["name"] for group in groups),
                labels=tuple(tuple(row["label"] for row in group["classes"]) for group in groups),
                member_ids=tuple(tuple(row["id"] for row in group["classes"]) for group in groups),
                facts=value["facts"],
            )
        except (KeyError, TypeError) as error:
            raise ArtifactError(f"{path}: lacks the field {error}. Delete it to have it made again.") from error
