"""Which images, how clean, how balanced."""

import re
from dataclasses import dataclass, replace
from typing import Annotated, Literal, Self

from rescale_fast.errors import SettingError
from rescale_fast.settings import Between, InputPath, Seed, Settings

Configuration = Literal["N200-M500", "N100-M1000", "N20-M5000", "N20-M2500", "N10-M5000", "N100-M500"]


@dataclass(frozen=True)
class SampleSettings(Settings):
    """Choosing and cleaning images."""

    images: Literal["auto", "all", "random", "difficulty", "sensitive"] = "auto"
    """Which images: `all`; `random`: --per-class training images of each class; `difficulty`: as many, spread evenly
    over how sure a network is of their class (`score` makes the scores); `sensitive`: all training images and the
    misclassified validation images, of the chosen classes and of those that they were confused with. `auto` is `random`
    with --per-class or --configuration, else `all`."""
    per_class: Annotated[int, Between(1)] | None = None
    """Training images of each class, for --images random and difficulty."""
    configuration: Configuration | None = None
    """N classes with M training images each, by the names of Gao 2021: sets --per-class, and --k or --num-groups."""
    evenly_over: Literal["class", "set"] = "class"
    """With --images difficulty, spread each class evenly, or the subset as a whole (then classes may differ in
    size)."""
    val_share: Annotated[float, Between(0, 1, open=True)] | None = None
    """Have at least this share of each class's images validate: training images move to val until they do."""
    corrections: InputPath | None = None
    """A CSV with the columns path and class, made by hand: these images get that class, or, where it is empty, are
    left out. It is applied before anything else."""
    label_errors: Literal["keep", "list", "drop", "relabel"] = "keep"
    """What to do about likely label errors: `keep` them, `list` them, also `drop` them, or `relabel` them as what they
    seem to be. All but `keep` make label_errors.csv and review.html."""
    near_duplicates: Annotated[int, Between(0, 16)] | None = None
    """List training images that look like a validation image: whose perceptual hashes differ in at most this many
    of 64 bits (4 is a good start). Makes near_duplicates.csv and review.html."""
    sample_seed: Seed = 0
    """Seed of every choice of images."""

    def check(self) -> None:
        """Raises: SettingError for what contradicts itself."""
        if self.configuration is not None and self.per_class is not None:
            raise SettingError("--configuration and --per-class: give one of them.")
        has_number = self.configuration is not None or self.per_class is not None
        if not has_number and self.images in ("random", "difficulty"):
            raise SettingError(f"--images {self.images} needs --per-class or --configuration.")
        if has_number and self.images in ("all", "sensitive"):
            raise SettingError(
                f"--images {self.images} takes no --per-class or --configuration: it takes what there is."
            )
        if self.images != "difficulty":
            self.refuse("evenly_over", because=f"as --images is {self.images}")

    def resolved(self) -> Self:
        """The same with `auto` and the configuration spelt out."""
        per_class = numbers_of(self.configuration)[1] if self.configuration is not None else self.per_class
        images = self.images
        if images == "auto":
            images = "all" if per_class is None else "random"
        return replace(self, images=images, per_class=per_class, configuration=None)

    @property
    def looks_at_scores(self) -> bool:
        """Whether two-half scores of training images decide anything."""
        return self.images == "difficulty" or self.label_errors != "keep"

    @property
    def looks_at_predictions(self) -> bool:
        """Whether predictions of validation images decide anything."""
        return self.images == "sensitive" or self.label_errors != "keep"


def numbers_of(configuration: Configuration) -> tuple[int, int]:
    """Classes, and images of each: (200, 500) of "N200-M500"."""
    classes, images = re.findall(r"\d+", configuration)
    return int(classes), int(images)
