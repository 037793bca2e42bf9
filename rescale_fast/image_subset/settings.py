"""Which images, how clean, how balanced; and the training that scores them."""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Self

from rescale_fast.errors import SettingError

Configuration = Literal["N200-M500", "N100-M1000", "N20-M5000", "N20-M2500", "N10-M5000", "N100-M500"]


@dataclass(frozen=True)
class SampleSettings:
    """Choosing and cleaning images."""

    images: Literal["auto", "all", "random", "difficulty", "sensitive"] = "auto"
    """`all`; `random`: --per-class training images of each class; `difficulty`: as many, spread evenly over how sure
    a network is of their class (`score` makes the scores); `sensitive`: all training images and the misclassified
    validation images, of the chosen classes and of those that they were confused with. `auto` is `random` with
    --per-class or --configuration, else `all`."""
    per_class: int | None = None
    """Training images of each class, for `random` and `difficulty`."""
    configuration: Configuration | None = None
    """N classes with M training images each, by the names of Gao 2021: sets --per-class, and --k or --num-groups."""
    evenly_over: Literal["class", "set"] = "class"
    """`difficulty`: spread each class evenly, or the subset as a whole (then classes may differ in size)."""
    val_share: float | None = None
    """Have at least this share of each class's images validate: training images move to val until they do."""
    corrections: Path | None = None
    """A CSV with the columns path and class, made by hand: these images get that class, or, where it is empty, are
    left out. It is applied before anything else."""
    label_errors: Literal["keep", "list", "drop", "relabel"] = "keep"
    """What to do about likely label errors: nothing, list them, also leave them out, or give them the class that
    they seem to be of. All but `keep` make label_errors.csv and review.html."""
    near_duplicates: int | None = None
    """List training images that look like a validation image: whose perceptual hashes differ in at most this many
    of 64 bits (4 is a good start). Makes near_duplicates.csv and review.html."""
    sample_seed: int = 0
    """Seed of every choice of images."""

    def resolved(self) -> Self:
        """The same with `auto` and the configuration spelt out. Raises: SettingError for what contradicts itself."""
        per_class = self.per_class
        if self.configuration is not None:
            if per_class is not None:
                raise SettingError("--configuration and --per-class: give one of them.")
            per_class = numbers_of(self.configuration)[1]
        images = self.images
        if images == "auto":
            images = "all" if per_class is None else "random"
        if per_class is None and images in ("random", "difficulty"):
            raise SettingError(f"--images {images} needs --per-class or --configuration.")
        if per_class is not None and images in ("all", "sensitive"):
            raise SettingError(f"--images {images} takes no --per-class or --configuration: it takes what there is.")
        if per_class is not None and per_class < 1:
            raise SettingError(f"--per-class {per_class}: expected at least 1.")
        if self.val_share is not None and not 0 < self.val_share < 1:
            raise SettingError(f"--val-share {self.val_share}: expected more than 0 and less than 1, such as 0.1.")
        if self.near_duplicates is not None and not 0 <= self.near_duplicates <= 16:
            raise SettingError(f"--near-duplicates {self.near_duplicates}: expected 0 to 16 of 64 bits.")
        if not 0 <= self.sample_seed < 2**63:
            raise SettingError(f"--sample-seed {self.sample_seed}: expected 0 to 2^63 - 1.")
        return replace(self, images=images, per_class=per_class, configuration=None)


def numbers_of(configuration: Configuration) -> tuple[int, int]:
    """Classes, and images of each: (200, 500) of "N200-M500"."""
    classes, images = re.findall(r"\d+", configuration)
    return int(classes), int(images)


@dataclass(frozen=True)
class ScoreSettings:
    """Scoring training images by a network that has not seen them."""

    score_network: str | None = None
    """Network to train: `small` or one of torchvision's. By default `small` up to 64 px, else resnet18."""
    score_epochs: int = 16
    """Passes over each half of the images."""
    score_batch_size: int = 64
    """Images a step; as many as there are, if a half has fewer."""
    score_learning_rate: float = 0.1
    """Highest learning rate of the one-cycle schedule."""
    score_size: int | None = None
    """Side of the images it sees, pixels. By default their own, at most 224."""
    score_seed: int = 0
    """Seed of the halves, the weights and the order."""

    def check(self) -> None:
        """Raises: SettingError for what no training could follow."""
        limits = {
            "--score-epochs": (self.score_epochs, 1),
            "--score-batch-size": (self.score_batch_size, 2),
            "--score-size": (self.score_size if self.score_size is not None else 8, 8),
            "--score-seed": (self.score_seed, 0),
        }
        for name, (value, low) in limits.items():
            if value < low:
                raise SettingError(f"{name} {value}: expected at least {low}.")
        if not self.score_learning_rate > 0:
            raise SettingError(f"--score-learning-rate {self.score_learning_rate}: expected more than 0.")
