"""What the report says of a Quality: its tables, its sentences and its pictures. Computes no statistic."""

from pathlib import Path
from typing import Any

from rescale_fast.quality.types import Estimate, JudgedSet, MeasuredSet, Quality, Resolution, SeedAgreement, points
from rescale_fast.report.pictures import data_uri
from rescale_fast.report.quality_plots import cost_chart, epochs_chart, slope_chart
from rescale_fast.report.template import write_page

Rows = tuple[list[str], list[list[str]]]
ROLES = {"subset": "subset", "random": "random choice", "short": "full set, fewer epochs"}


def write_quality_page(made: Quality, path: Path) -> None:
    """Write quality.html."""
    write_page("quality.html", path, quality=quality_parts(made))


def quality_parts(made: Quality) -> dict[str, Any]:
    """What quality_part.html shows."""
    costs, epochs = cost_chart(made), epochs_chart(made)
    followed = [one.protocol for one in (made.reference, *(one.measured for one in made.sets)) if one.protocol]
    return {
        "made": made,
        "orders": order_rows(made),
        "by_gap": by_gap_rows(made),
        "protocol": protocol_rows(made),
        "order_tau": followed[0].order_tau if followed else None,
        "resolution": resolution_rows(made),
        "slopes": [(one.measured.name, data_uri(slope_chart(made, one.measured), "png")) for one in made.sets],
        "costs": costs and data_uri(costs, "png"),
        "epochs": epochs and data_uri(epochs, "png"),
    }


def order_rows(made: Quality) -> Rows:
    """A row a set: how its order agrees with that on the full set."""
    band = f"tau, {100 * made.band_low:.1f} to {100 * made.band_high:.1f} % ({made.band_networks})"
    header = [
        "set",
        "role",
        "Kendall tau",
        "the same networks",
        band,
        "Spearman",
        "tau, single seeds",
    ]
    rows = [_order_row(one) for one in made.sets]
    if made.ceiling is not None:
        ceiling = "" if made.ceiling_interval is None else _text(made.ceiling_interval)
        rows.append([made.reference.name, "seed ceiling", ceiling, "", "", "", _seeds(made.ceiling)])
    return header, rows


def _order_row(one: JudgedSet) -> list[str]:
    of_ceiling = "" if one.share_of_ceiling is None else f", {100 * one.share_of_ceiling:.0f} % of the ceiling"
    return [
        one.measured.name,
        ROLES[one.role],
        _text(one.tau),
        "-" if one.tau.same_low is None else f"{one.tau.same_low:.2f} to {one.tau.same_high:.2f}",
        _text(one.band_tau),
        _text(one.spearman),
        _seeds(one.single_seeds) + of_ceiling,
    ]


def by_gap_rows(made: Quality) -> Rows:
    """A row a set: share of pairs ordered alike, by how far apart they are on the full set."""
    header = ["pairs ordered alike, %"]
    gaps = made.sets[0].by_gap if made.sets else ()
    for gap in gaps:
        ends = f"{100 * gap.low:g} to {100 * gap.high:g}" if gap.high < 1 else f"> {100 * gap.low:g}"
        header.append(f"{ends} points ({gap.pairs:,})")
    rows = [[one.measured.name, *[_percent(gap.agreement) for gap in one.by_gap]] for one in made.sets]
    return header, rows


def protocol_rows(made: Quality) -> Rows | None:
    """A row a set: from which epoch on its order implies the final one. None where no epochs are known."""
    followed = [one for one in (made.reference, *(judged.measured for judged in made.sets)) if one.protocol is not None]
    if not followed:
        return None
    of_full = made.reference.protocol.images if made.reference.protocol else None
    header = ["set", "epochs", "order holds from epoch", "images until then", "of the full set's"]
    return header, [_protocol_row(one, of_full) for one in followed]


def _protocol_row(one: MeasuredSet, of_full: int | None) -> list[str]:
    found = one.protocol
    assert found is not None
    low, high = (epoch or "never" for epoch in (found.first_epoch_low, found.first_epoch_high))
    share = f"{100 * found.images / of_full:.1f} %" if found.images is not None and of_full else ""
    images = "" if found.images is None else f"{found.images:,}"
    return [one.name, f"{found.epochs[-1]}", f"{found.first_epoch or 'never'} ({low} to {high})", images, share]


def resolution_rows(made: Quality) -> Rows | None:
    """A row a set whose validation images are counted: what they can tell. None without any."""
    measured = [made.reference, *(one.measured for one in made.sets)]
    found = [(one.name, one.resolution) for one in measured if one.resolution is not None]
    if not found:
        return None
    header = ["set", "validation images", "seeds", "noise below, points", "found 4 times in 5, points", "advice"]
    return header, [[name, *_resolution_row(one)] for name, one in found]


def _resolution_row(one: Resolution) -> list[str]:
    limits = [points(one.least_significant), points(one.detectable)]
    return [f"{one.val_images:,}", f"{one.seeds}", *limits, one.advise()]


def _text(one: Estimate | None) -> str:
    return "-" if one is None else f"{one.value:.3f} [{one.low:.2f} to {one.high:.2f}]"


def _percent(one: Estimate | None) -> str:
    return "-" if one is None else f"{100 * one.value:.0f} [{100 * one.low:.0f} to {100 * one.high:.0f}]"


def _seeds(one: SeedAgreement) -> str:
    if one.lowest == one.highest:
        return f"{one.mean:.3f}"
    return f"{one.mean:.3f} ({one.lowest:.3f} to {one.highest:.3f})"
