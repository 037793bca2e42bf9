"""TrainRun: a network trained on a subset, with the log of its epochs.

A folder: log.jsonl, one JSON object an epoch, written as they end; checkpoint.pt, replaced now and then, and gone in
the end; weights.pt, a state_dict, and result.json, written when training is done.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

from rescale_fast.artifact import JsonArtifact
from rescale_fast.files.fields import Count, Means, Positive, Share, member, typed
from rescale_fast.files.reading import DamageError
from rescale_fast.networks.registry import definition_of

RESULT = "result.json"
FLIPPED = "val_top1_flipped"  # of the flip test: another kind of figure than val_top1


@dataclass(frozen=True)
class TrainRun(JsonArtifact):
    """A finished training."""

    schema: ClassVar[str] = "train_run/2"

    network: Annotated[str, Means("as the command line calls it; +BlurPool where the recipe has added that")]
    num_parameters: Count
    num_classes: Positive
    image_size: Annotated[Positive, Means("pixels")]
    recipe: Annotated[str, Means("its name")]
    seed: int
    reported_epoch: Annotated[
        Positive | None, Means("the one that the recipe's authors report, if neither last nor best")
    ]
    epochs: Annotated[
        tuple[Mapping[str, Any], ...], Means("epoch (1, 2, ...), train_loss, val_top1 (0 to 1), and what else is known")
    ]

    @property
    def is_of_own_code(self) -> bool:
        """Whether the network was somebody's own code, whatever it is called."""
        return "network" in self.origin.made_from

    @property
    def is_current(self) -> bool:
        """Whether its network is what is meant by that name today: earlier versions called others so."""
        known = {} if self.is_of_own_code else definition_of(self.network)
        return all(self.origin.config.get(key) == value for key, value in known.items())

    def is_on(self, betons: Mapping[str, str]) -> bool:
        """Whether it was trained and tested on the betons of these digests, by split."""
        return {key: found for key, found in self.origin.made_from.items() if key != "network"} == dict(betons)

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
        """Accuracy on val, 0..1, by the epoch and the test it is of: figures that must not be mixed."""
        figures = {"last epoch": self.last_top1, "best epoch": self.best_top1}
        if self.reported_epoch is not None and self.reported_epoch <= len(self.epochs):
            reported = self.epochs[self.reported_epoch - 1]
            figures[f"epoch {self.reported_epoch}"] = float(reported["val_top1"])
        if flipped := [float(epoch[FLIPPED]) for epoch in self.epochs if FLIPPED in epoch]:
            figures |= {"last epoch, flip test": flipped[-1], "best epoch, flip test": max(flipped)}
        return figures

    def tree(self) -> dict[str, Any]:
        tree = super().tree()
        epochs = tree.pop("epochs")
        return {**tree, "last_top1": self.last_top1, "best_top1": self.best_top1, "epochs": epochs}

    def save(self, folder: Path) -> None:
        """Write result.json into the run's folder."""
        super().save(folder / RESULT)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read and check the result.json of a run's folder. Raises: ArtifactError."""
        return super().load(folder / RESULT)

    def check(self) -> None:
        if not self.epochs:
            raise DamageError("it has no epochs, expected at least one")
        check_records(self.epochs)


def check_records(records: Sequence[Mapping[str, Any]]) -> None:
    """Raise DamageError unless these are of the epochs 1, 2, ... and say what is reported of each."""
    for place, record in enumerate(records):
        where = f"epochs[{place}]."
        for key, kind in (("epoch", Positive), ("val_top1", Share), ("train_loss", float)):
            typed(member(record, key, where), kind, where + key)
        if FLIPPED in record:
            typed(record[FLIPPED], Share, where + FLIPPED)
        if record["epoch"] != place + 1:
            raise DamageError(f"{where}epoch is {record['epoch']}, expected {place + 1}")
