"""TrainRun: a network trained on a subset, with the log of its epochs.

A folder: log.jsonl, one JSON object an epoch, written as they end; checkpoint.pt, replaced after each, and gone in the
end; weights.pt, a state_dict, and result.json, written when training is done.
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

    schema: ClassVar[str] = "train_run/2"

    network: str
    num_parameters: int
    num_classes: int
    image_size: int  # pixels
    recipe: str  # its name
    seed: int
    reported_epoch: int | None  # the one whose accuracy the recipe's authors report, where it is neither last nor best
    epochs: tuple[Mapping[str, Any], ...]  # epoch, train_loss, val_top1, val_top5, seconds, images_per_second ...

    @property
    def last_top1(self) -> float:
        """Accuracy on val after the last epoch, 0..1."""
        return float(self.epochs[-1]["val_top1"])

    @property
    def best_top1(self) -> float:
        """Accuracy on val of the best epoch, 0..1: chosen on val itself, so it flatters."""
        return float(max(epoch["val_top1"] for epoch in self.epochs))

    @property
    def best_epoch(self) -> int:
        """The first epoch with the best accuracy on val, from 1."""
        return int(max(self.epochs, key=lambda epoch: float(epoch["val_top1"]))["epoch"])

    @property
    def figures(self) -> dict[str, float]:
        """Accuracy on val, 0..1, by the epoch it is of: figures that must not be mixed."""
        figures = {"last epoch": self.last_top1, "best epoch": self.best_top1}
        if self.reported_epoch is not None and self.reported_epoch <= len(self.epochs):
            reported = self.epochs[self.reported_epoch - 1]
            figures[f"epoch {self.reported_epoch}"] = float(reported["val_top1"])
        return figures

    def save(self, folder: Path) -> None:
        """Write result.json into the run's folder."""
        value = {
            "schema": self.schema,
            "network": self.network,
            "num_parameters": self.num_parameters,
            "num_classes": self.num_classes,
            "image_size": self.image_size,
            "recipe": self.recipe,
            "seed": self.seed,
            "reported_epoch": self.reported_epoch,
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
                recipe=value["recipe"],
                seed=value["seed"],
                reported_epoch=value["reported_epoch"],
                epochs=tuple(value["epochs"]),
            )
        except (KeyError, TypeError) as error:
            raise ArtifactError(f"{path}: lacks the field {error}. Delete it to have it made again.") from error
