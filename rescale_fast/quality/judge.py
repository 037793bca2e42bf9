"""Quality: how well the order of networks on each set agrees with that on the full set, beside its controls.

Reads Accuracies of M networks; makes Quality. Never one tau alone: agreement by gap, tau among close networks, the seed
ceiling, random choices, and the full set trained for fewer epochs stand beside it, each with its interval.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from rescale_fast.artifact import Origin, json_sha256, to_json
from rescale_fast.errors import SettingError
from rescale_fast.extras import need
from rescale_fast.quality.accuracies import FEWEST, Accuracies, SetAccuracies
from rescale_fast.quality.advice import advise
from rescale_fast.quality.bootstrap import (
    INTERVAL,
    Draws,
    at_least_binomial,
    draw_networks,
    has_noise,
    noisy,
    seed_deviation,
)
from rescale_fast.quality.pairs import GAPS, Orders, compare_orders, taus
from rescale_fast.quality.protocol import follow
from rescale_fast.quality.resolution import ResolutionSettings, assumed_resolution
from rescale_fast.quality.settings import QualitySettings
from rescale_fast.quality.types import (
    Estimate,
    GapAgreement,
    JudgedSet,
    MeasuredSet,
    Quality,
    Role,
    SeedAgreement,
)
from rescale_fast.types import BoolArray, FloatArray, Track, silent


@dataclass(frozen=True)
class _Full:
    """The full set, as measured and in draws."""

    one: SetAccuracies
    draws: Draws
    drawn: FloatArray  # (D, M)
    in_band: BoolArray  # (M,)


@dataclass(frozen=True)
class _Judged:
    """A set's orders against the full set's."""

    one: SetAccuracies
    drawn: FloatArray  # (D, M)
    found: Orders  # of the one measured
    others: Orders  # of D draws of networks
    same: Orders | None  # of D draws of noise; None where that is unknown


def judge(accuracies: Accuracies, settings: QualitySettings, *, track: Track = silent) -> Quality:
    """Judge each set by the full one. Raises: SettingError for sets that are not there, or without any order."""
    need("quality", "scipy")
    full_set, others = _roles(accuracies.sets, settings)
    rng = np.random.default_rng(settings.quality_seed)
    draws = draw_networks(len(accuracies.networks), settings.draws, rng)
    top = full_set.mean.max() if settings.band_top is None else settings.band_top / 100
    low = top - settings.band / 100
    in_band = (full_set.mean >= low - 1e-9) & (full_set.mean <= top + 1e-9)
    full = _Full(full_set, draws, noisy(full_set, settings.draws, settings.correlation, rng), in_band)
    judged = []
    with track("Comparing", total=len(others), unit="sets") as advance:
        for one in others:
            judged.append(_compare(full, one, settings, rng))
            advance(1)
    ceiling, interval = _ceiling(full)
    sets = tuple(_judged_set(full, one, judged, ceiling, settings) for one in judged)
    reference = _measured(full, full_set, full.drawn, settings)
    return Quality(
        origin=Origin({"accuracies": _digest(accuracies)}, to_json(settings)),  # type: ignore[arg-type]  # an object
        networks=accuracies.networks,
        left_out=tuple(f"{network}: no {lacks}" for network, lacks in accuracies.left_out.items()),
        unit=accuracies.unit,
        draws=settings.draws,
        band_low=float(low),
        band_high=float(top),
        band_networks=int(in_band.sum()),
        reference=reference,
        ceiling=ceiling,
        ceiling_interval=interval,
        sets=sets,
        advice=advise(reference, sets, ceiling),
    )


def _roles(sets: Sequence[SetAccuracies], settings: QualitySettings) -> tuple[SetAccuracies, list[SetAccuracies]]:
    """The full set, and the others."""
    by_name = {one.name: one for one in sets}
    wanted = [*settings.random, *settings.short, *([] if settings.reference is None else [settings.reference])]
    unknown = next((name for name in wanted if name not in by_name), None)
    if unknown is not None:
        raise SettingError(f"there is no set {unknown!r}; there are {', '.join(by_name)[:300]}.")
    default = next((name for name in by_name if name.lower() == "full"), sets[0].name)
    full = by_name[default if settings.reference is None else settings.reference]
    if full.name in (*settings.random, *settings.short):
        raise SettingError(f"{full.name}: has two roles, as it is the full set, too. Name that with --reference.")
    for one in sets:
        if np.ptp(one.mean) < 1e-9:
            raise SettingError(
                f"all networks have the same accuracy on {one.name!r}: there is no order to compare. Leave it out: "
                "--sets names those to judge."
            )
    others = [one for one in sets if one is not full]
    if not others and full.num_seeds == 1:
        raise SettingError(f"{full.name!r} is the only set, with one seed: there is nothing to compare it with.")
    return full, others


def _compare(full: _Full, one: SetAccuracies, settings: QualitySettings, rng: np.random.Generator) -> _Judged:
    drawn = noisy(one, settings.draws, settings.correlation, rng)
    others, same = full.draws.others, full.draws.same
    a, b, band = full.one.mean, one.mean, full.in_band
    return _Judged(
        one,
        drawn,
        found=compare_orders(a[None], b[None], band[None]),
        others=compare_orders(a[others], b[others], band[others]),
        same=compare_orders(full.drawn[:, same], drawn[:, same], np.tile(band[same], (len(drawn), 1)))
        if has_noise(full.one) or has_noise(one)
        else None,
    )


def _judged_set(
    full: _Full, one: _Judged, judged: Sequence[_Judged], ceiling: SeedAgreement | None, settings: QualitySettings
) -> JudgedSet:
    name = one.one.name
    role: Role = "random" if name in settings.random else "short" if name in settings.short else "subset"
    single = _single_seeds(full.one, one.one)
    tau, spearman = (_estimate(full.draws, one, statistic) for statistic in (lambda o: o.tau, lambda o: o.spearman))
    assert tau is not None and spearman is not None  # as no set has an order of ties only
    is_band = full.in_band.sum() >= FEWEST
    rivals = {"random": settings.random, "short": settings.short} if role == "subset" else {}
    above = {
        of_role: _above(full.draws, one, [rival for rival in judged if rival.one.name in names])
        for of_role, names in rivals.items()
    }
    return JudgedSet(
        role=role,
        measured=_measured(full, one.one, one.drawn, settings),
        tau=tau,
        spearman=spearman,
        band_tau=_estimate(full.draws, one, lambda orders: orders.band_tau) if is_band else None,
        by_gap=_by_gap(full.draws, one),
        single_seeds=single,
        share_of_ceiling=single.mean / ceiling.mean if ceiling is not None and ceiling.mean > 0 else None,
        above_random=above.get("random"),
        above_short=above.get("short"),
    )


def _estimate(draws: Draws, one: _Judged, statistic: Callable[[Orders], FloatArray]) -> Estimate | None:
    same = None if one.same is None else statistic(one.same)
    return draws.estimate(float(statistic(one.found)[0]), statistic(one.others), same)


def _by_gap(draws: Draws, one: _Judged) -> tuple[GapAgreement, ...]:
    ends = (0.0, *GAPS, 1.0)
    found = []
    for place, (low, high) in enumerate(pairwise(ends)):
        same = None if one.same is None else one.same.agreement[:, place]
        share = draws.estimate(float(one.found.agreement[0, place]), one.others.agreement[:, place], same, 0)
        pairs = int(one.found.pairs[0, place])
        found.append(GapAgreement(low, high, pairs, None if share is None else at_least_binomial(share, pairs)))
    return tuple(found)


def _above(draws: Draws, one: _Judged, rivals: Sequence[_Judged]) -> Estimate | None:
    """Tau, less that of the best rival, on the same draws of networks and of the full set's noise."""
    if not rivals:
        return None
    best = max(rivals, key=lambda rival: float(rival.found.tau[0]))
    same = None if one.same is None or best.same is None else one.same.tau - best.same.tau
    value = float(one.found.tau[0] - best.found.tau[0])
    return draws.estimate(value, one.others.tau - best.others.tau, same, -2, 2)


def _measured(full: _Full, one: SetAccuracies, drawn: FloatArray, settings: QualitySettings) -> MeasuredSet:
    from scipy.stats import rankdata

    ranks = rankdata(-np.round(one.mean, 9))
    low = high = ranks
    if has_noise(one):
        low, high = np.percentile(rankdata(-np.round(drawn, 9), axis=1), INTERVAL, axis=0)
    deviation = seed_deviation(one)
    resolution = None
    if one.val_images is not None:
        assumed = ResolutionSettings(
            float(one.mean.mean()), settings.correlation, one.num_seeds, deviation or 0.0, ResolutionSettings().target
        )
        of_all = None if one.train_images is None else one.val_images + one.train_images
        resolution = assumed_resolution(one.val_images, assumed, all_images=of_all)
    last = one.epochs[-1]
    return MeasuredSet(
        name=one.name,
        num_seeds=one.num_seeds,
        seed_deviation=deviation,
        val_images=one.val_images,
        train_images=one.train_images,
        cost=last * one.train_images if last and one.train_images is not None else None,
        accuracies=tuple(one.mean.tolist()),
        ranks=tuple(ranks.tolist()),
        rank_lows=tuple(np.minimum(low, ranks).tolist()),
        rank_highs=tuple(np.maximum(high, ranks).tolist()),
        resolution=resolution,
        protocol=follow(one, full.one.mean, settings.order_tau, full.draws),
    )


def _single_seeds(full: SetAccuracies, one: SetAccuracies) -> SeedAgreement:
    """Of each seed of one set with each of the other."""
    pairs = [(a, b) for a in full.final.T for b in one.final.T]
    return _agreement(np.array([a for a, _ in pairs]), np.array([b for _, b in pairs]))


def _agreement(first: FloatArray, second: FloatArray) -> SeedAgreement:
    tau = np.nan_to_num(taus(first, second))
    return SeedAgreement(float(tau.mean()), float(tau.min()), float(tau.max()))


def _ceiling(full: _Full) -> tuple[SeedAgreement | None, Estimate | None]:
    """The seeds of the full set with one another, and the interval of the mean over draws of networks."""
    seeds = full.one.final.T
    first, second = np.triu_indices(len(seeds), 1)
    if not len(first):
        return None, None
    found = _agreement(seeds[first], seeds[second])
    others = full.draws.others
    drawn = [taus(seeds[a][others], seeds[b][others]) for a, b in zip(first[:10], second[:10], strict=True)]
    return found, full.draws.estimate(found.mean, np.mean(drawn, axis=0), None)


def _digest(accuracies: Accuracies) -> str:
    sets = [[one.name, one.epochs, one.values.tolist()] for one in accuracies.sets]
    return json_sha256({"networks": accuracies.networks, "sets": sets})
