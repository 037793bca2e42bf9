"""How the order of networks on subsets is compared with that on the full set."""

from dataclasses import dataclass
from typing import Annotated, Literal

from rescale_fast.errors import SettingError
from rescale_fast.settings import Between, Seed, Settings

Unit = Literal["auto", "percent", "share"]
AtHand = Annotated[float, Between(0, 0.999)]


@dataclass(frozen=True)
class QualitySettings(Settings):
    """Which sets are judged, by which, and what is known of them. Sets are called as columns or run folders are."""

    reference: str | None = None
    """The full set. By default the one called `full`, or else the first."""
    sets: tuple[str, ...] = ()
    """Judge only these, and the reference and controls. By default all."""
    random: tuple[str, ...] = ()
    """Of these, those that are random choices of as many classes or images: the first control."""
    short: tuple[str, ...] = ()
    """Of these, those that are the full set, trained for fewer epochs: the second control."""
    names: tuple[str, ...] = ()
    """Columns of a table that together name a network. By default the first."""
    unit: Unit = "auto"
    """What accuracies in tables are in. `auto` tells percent from shares (0 to 1) by their size."""
    incomplete: Literal["refuse", "drop"] = "refuse"
    """Networks that lack an accuracy somewhere: an error, or left out (and listed)."""
    recipe: str | None = None
    """Of run folders, only trainings by this recipe."""
    val_images: tuple[str, ...] = ()
    """Validation images of sets, as full=50000 ReIN30=1500: for intervals and resolution. Run folders know theirs."""
    train_images: tuple[str, ...] = ()
    """Training images of sets, likewise: for costs."""
    band: Annotated[float, Between(0, 100, open=True)] = 5.0
    """Width of the band of close networks, points of accuracy on the full set."""
    band_top: Annotated[float, Between(0, 100)] | None = None
    """Upper end of that band, %. By default the accuracy of the best network."""
    order_tau: Annotated[float, Between(-1, 1)] = 0.9
    """The order of an epoch implies the final one when their Kendall tau is this or more from then on."""
    correlation: AtHand = 0.5
    """Assumed correlation of which images two networks get right, for noise of the validation images."""
    draws: Annotated[int, Between(100, 10_000)] = 1000
    """Draws of the bootstrap."""
    quality_seed: Seed = 0
    """Seed of the bootstrap."""

    def check(self) -> None:
        """Raises: SettingError for a set with two roles, or numbers of images that are none."""
        roles = [*self.random, *self.short, *([] if self.reference is None else [self.reference])]
        twice = next((name for name in roles if roles.count(name) > 1), None)
        if twice is not None:
            raise SettingError(f"{twice}: has two roles. Name it once among --reference, --random and --short.")
        numbers_in("--val-images", self.val_images)
        numbers_in("--train-images", self.train_images)

    @property
    def wanted(self) -> tuple[str, ...]:
        """The sets to read, if not all: those to be judged, the full set and the controls."""
        others = [*self.random, *self.short, *([] if self.reference is None else [self.reference])]
        return tuple(dict.fromkeys([*self.sets, *others])) if self.sets else ()


def numbers_in(what: str, texts: tuple[str, ...]) -> dict[str, int]:
    """{set: number of images}. Raises: SettingError."""
    found: dict[str, int] = {}
    for text in texts:
        name, _, number = text.rpartition("=")
        if not name or not number.isascii() or not number.isdigit() or not 0 < int(number) < 2**63:
            raise SettingError(f"{what} {text}: expected SET=NUMBER, such as full=50000.")
        if name in found:
            raise SettingError(f"{what} {text}: {name} has a number already, {found[name]}. Give one.")
        found[name] = int(number)
    return found
