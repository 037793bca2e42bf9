"""Quality: what subsets are worth for ranking networks, with all that a report shows of it; and Resolution, of one."""

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from rescale_fast.artifact import JsonArtifact
from rescale_fast.files.fields import Count, Means, Positive, Share
from rescale_fast.files.reading import DamageError
from rescale_fast.settings import Between

Correlation = Annotated[float, Between(-1, 1)]
Role = Literal["subset", "random", "short"]


@dataclass(frozen=True)
class Resolution:
    """The differences in top-1 between two networks that validation images can tell from noise. Accuracies are 0..1."""

    val_images: Positive
    accuracy: Annotated[Share, Means("near which the two networks are")]
    disagreement: Annotated[Share, Means("share of the images that just one of the two gets right")]
    is_measured: Annotated[bool, Means("the disagreement, on predictions; else it follows from an assumed correlation")]
    correlation: Annotated[Correlation, Means("of which images the two get right")]
    seeds: Annotated[Positive, Means("trainings of each network, whose accuracies are averaged")]
    seed_deviation: Annotated[Share, Means("standard deviation between trainings that differ in nothing but the seed")]
    least_significant: Annotated[float, Means("a difference measured to be larger than this is no noise, at 95 %")]
    detectable: Annotated[float, Means("a true difference of this size is found to be significant 4 times in 5")]
    target: Annotated[Share, Means("the difference that one wants to resolve")]
    images_for_target: Annotated[
        Positive | None, Means("validation images at which it is the least significant one; None: never")
    ]
    val_share_for_target: Annotated[
        Annotated[float, Between(0)] | None, Means("as a share of all images of the subset, if known")
    ]

    def describe(self) -> str:
        """What that means, in sentences."""
        trainings = "" if self.seeds == 1 else f", {self.seeds} seeds each"
        source = "measured" if self.is_measured else "assumed"
        given = f"95 %{trainings}; near {100 * self.accuracy:.0f} %, correlation {self.correlation:.2f} {source}"
        if self.least_significant >= 1:
            images = (
                "1 validation image tells" if self.val_images == 1 else f"{self.val_images:,} validation images tell"
            )
            return f"{images} no two networks apart: any difference may be noise ({given}). {self.advise()}"
        return (
            f"{self.val_images:,} validation images tell two networks apart from {points(self.least_significant)} "
            f"points of top-1 on ({given}); a true difference of {points(self.detectable)} points is found 4 times "
            f"in 5. {self.advise()}"
        )

    def advise(self) -> str:
        """What it takes to resolve the target."""
        target = f"{100 * self.target:g} point{'' if self.target == 0.01 else 's'}"
        if self.least_significant <= self.target:
            return f"That resolves {target}."
        if self.images_for_target is None:
            return f"No number of images resolves {target}, as the noise of seeds alone is larger: train more seeds."
        needs = f"To resolve {target} takes {self.images_for_target:,} images"
        if self.val_share_for_target is None:
            return f"{needs}."
        if self.val_share_for_target > 0.5:
            return f"{needs}, more than half of all there are: take more classes, or several seeds."
        return f"{needs}: --val-share {math.ceil(1000 * self.val_share_for_target) / 1000:g}."


def points(share: float) -> str:
    """A difference of accuracies, in points."""
    return f"{100 * share:.2f}" if share < 0.1 else f"{100 * share:.1f}"


@dataclass(frozen=True)
class Estimate:
    """A statistic and its 95 % intervals."""

    value: float
    low: Annotated[float, Means("with other networks, seeds and validation images")]
    high: float
    same_low: Annotated[
        float | None, Means("with the same networks, other seeds and validation images; None where these are unknown")
    ]
    same_high: float | None


@dataclass(frozen=True)
class SeedAgreement:
    """Kendall's tau between the networks' single trainings: each seed of one set with each of another."""

    mean: Correlation
    lowest: Correlation
    highest: Correlation


@dataclass(frozen=True)
class GapAgreement:
    """Pairs of networks, `low` to `high` apart on the full set: the share that a set orders alike, ties as half."""

    low: Share
    high: Share
    pairs: Count
    agreement: Annotated[Estimate | None, Means("None without pairs")]


@dataclass(frozen=True)
class Protocol:
    """From which epoch on the order of the networks implies the final order on the full set."""

    epochs: Annotated[tuple[Count, ...], Means("(E,)")]
    tau: Annotated[tuple[float, ...], Means("(E,) to the final order on the full set; means over seeds")]
    order_tau: Annotated[Correlation, Means("the least that counts as implying it")]
    first_epoch: Annotated[Positive | None, Means("the earliest from which on all have it; None: the last one has not")]
    first_epoch_low: Annotated[Positive | None, Means("of 95 % of the draws of networks")]
    first_epoch_high: Annotated[Positive | None, Means("None: never")]
    images: Annotated[Positive | None, Means("looped through until then")]

    def check(self) -> None:
        if not self.epochs or len(self.epochs) != len(self.tau):
            raise DamageError(f"there are {len(self.epochs):,} epochs, and tau of {len(self.tau):,}")
        if self.first_epoch is not None and self.first_epoch not in self.epochs:
            raise DamageError(f"first_epoch is {self.first_epoch}, which is none of its epochs")


@dataclass(frozen=True)
class MeasuredSet:
    """M networks on one set: accuracies 0..1 after the last epoch, means over seeds; ranks from 1, the best."""

    name: str
    num_seeds: Positive
    seed_deviation: Annotated[Share | None, Means("between seeds, of one network; None with one seed")]
    val_images: Positive | None
    train_images: Positive | None
    cost: Annotated[Positive | None, Means("images looped through by one training")]
    accuracies: Annotated[tuple[Share, ...], Means("(M,)")]
    ranks: Annotated[tuple[float, ...], Means("(M,)")]
    rank_lows: Annotated[tuple[float, ...], Means("(M,) of 95 % of the draws of seeds and validation images")]
    rank_highs: Annotated[tuple[float, ...], Means("(M,)")]
    resolution: Resolution | None
    protocol: Protocol | None


@dataclass(frozen=True)
class JudgedSet:
    """How the order on a set agrees with that on the full set."""

    role: Role
    measured: MeasuredSet
    tau: Annotated[Estimate, Means("Kendall's tau-b of means over seeds")]
    spearman: Estimate
    band_tau: Annotated[Estimate | None, Means("among the networks in the band; None where it has no order")]
    by_gap: tuple[GapAgreement, ...]
    single_seeds: SeedAgreement
    share_of_ceiling: Annotated[float | None, Means("mean tau of single seeds / the seed ceiling")]
    above_random: Annotated[Estimate | None, Means("tau, less that of the best random choice")]
    above_short: Annotated[Estimate | None, Means("tau, less that of the best shorter training on the full set")]


@dataclass(frozen=True)
class Quality(JsonArtifact):
    """What S sets are worth for ranking M networks."""

    schema: ClassVar[str] = "quality/1"

    networks: Annotated[tuple[str, ...], Means("(M,)")]
    left_out: Annotated[tuple[str, ...], Means("networks that lack an accuracy")]
    unit: Annotated[str, Means("of the accuracies read")]
    draws: Positive
    band_low: float
    band_high: float
    band_networks: Count
    reference: MeasuredSet
    ceiling: Annotated[SeedAgreement | None, Means("of the full set with itself; None with one seed")]
    ceiling_interval: Annotated[Estimate | None, Means("of its mean")]
    sets: Annotated[tuple[JudgedSet, ...], Means("(S,)")]
    advice: Annotated[tuple[str, ...], Means("sentences")]

    def check(self) -> None:
        expected = len(self.networks)
        for one in (self.reference, *(judged.measured for judged in self.sets)):
            for name in ("accuracies", "ranks", "rank_lows", "rank_highs"):
                if (found := len(getattr(one, name))) != expected:
                    raise DamageError(f"{one.name!r} has {found:,} {name}, and there are {expected:,} networks")
            if one.protocol is not None:
                one.protocol.check()
        if len({len(judged.by_gap) for judged in self.sets}) > 1:
            raise DamageError("its sets have different numbers of gaps")
