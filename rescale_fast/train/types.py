"""TrainRun: a network trained on a subset, with the log of its epochs.

A folder: log.jsonl, one JSON object an epoch, written as they end; result.json, written when training is done.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

from rescale_fast.artifact import Artifact, Origin, read_json, write_json
from rescale_fast.errors import ArtifactError


@dataclass(frozen=True)
class TrainRun(Artifact):
    """A finished training."""

    schema: ClassVar[str] = "train_run/1"

    network: str
    num_parameters: int
    num_classes: int
    image_size: int  # pixels
    epochs: tuple[Mapping[str, Any], ...]  # epoch, train_loss, val_top1, val_top5, seconds, images_per_second

    @property
    def last_top1(self) -> float:
        """Accuracy on val after the last epoch, 0..1."""
        return float(self.epochs[-1]["val_top1"])

    @property
    def best_top1(self) -> float:
        """Accuracy on val of the best epoch, 0..1: chosen on val itself, so it flatters."""
        return float(max(epoch["val_top1"] for epoch in self.epochs))

    def save(self, folder: Path) -> None:
        """Write result.json into the run's folder."""
        value = {
            "schema": self.schema,
            "network": self.network,
            "num_parameters": self.num_parameters,
            "num_classes": self.num_classes,
            "image_size": self.image_size,
            "last_top1": self.last_top1,
            "best_top1": self.best_top1,
            "epochs": self.epochs,
            **self.origin.to_dict(),
        }
        write_json(folder / "result.json", value)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read and check the result.json of a run's folder. Raises: ArtifactError."""
        path = folder / "result.json"
        value = read_json(path, cls.schema)
        try:
            return cls(
                origin=Origin.from_dict(value),
                network=value["network"],
                num_parameters=value["num_parameters"],
                num_classes=value["num_classes"],
                image_size=value["image_size"],
                epochs=tuple(value["epochs"]),
            )
        except (KeyError, TypeError) as error:
            raise ArtifactError(f"{path}: lacks the field {error}. Delete it to have it made again.") from error
