"""Pictures of a Quality, as PNG bytes."""

from typing import Any

from rescale_fast.quality.types import MeasuredSet, Quality
from rescale_fast.report.plots import new_figure, shorten, to_png
from rescale_fast.terminal import printable

MOST_SLOPES = 40  # networks that can still be told apart
MARK, SOFT, BLUE = "#b2182b", "#8a8a8a", "#2166ac"
COLORS = {"subset": MARK, "random": SOFT, "short": BLUE}


def slope_chart(made: Quality, one: MeasuredSet) -> bytes:
    """Each network's rank on the full set (left) and on another (right), with 95 % of the draws of seeds and images.

    Red: networks whose two intervals do not meet, so that they changed places by more than noise explains. Of many
    networks, the best on the full set.
    """
    full = made.reference
    has_noise = all(side.val_images is not None or side.num_seeds > 1 for side in (full, one))
    shown = sorted(range(len(made.networks)), key=lambda place: full.ranks[place])[:MOST_SLOPES]
    figure, axes = new_figure(6.4, 1.2 + 0.24 * len(shown))
    for line, place in enumerate(shown):
        meet = full.rank_lows[place] <= one.rank_highs[place] and one.rank_lows[place] <= full.rank_highs[place]
        color, name = MARK if has_noise and not meet else SOFT, shorten(printable(made.networks[place]), 26)
        ends = full.ranks[place], one.ranks[place]
        axes.plot([0, 1], ends, "-o", color=color, lw=1.3, ms=3.5)
        inwards = 0.025 + 0.014 * (line % 6)  # so that bars of neighbours lie side by side
        for x, side in ((inwards, full), (1 - inwards, one)):
            axes.plot([x, x], [side.rank_lows[place], side.rank_highs[place]], color=color, lw=1.4, alpha=0.6)
        axes.text(-0.04, ends[0], name, ha="right", va="center", fontsize=8)
        axes.text(1.04, ends[1], name, ha="left", va="center", fontsize=8)
    axes.set_xlim(-0.9, 1.9)
    lowest = max(side.rank_highs[place] for place in shown for side in (full, one))
    axes.set_ylim(lowest + 0.8, 0.2)
    axes.yaxis.get_major_locator().set_params(integer=True)
    axes.set_xticks([0, 1], [shorten(printable(side.name), 26) for side in (full, one)])
    axes.set_ylabel("rank")
    axes.spines[["top", "right", "left", "bottom"]].set_visible(False)
    return to_png(figure)


def cost_chart(made: Quality) -> bytes | None:
    """Images looped through by one training against tau; None unless two sets have a known cost."""
    known = [(one, one.measured.cost) for one in made.sets if one.measured.cost is not None]
    if len(known) < 2:
        return None
    figure, axes = new_figure(6.8, 4.0)
    for number, (one, cost) in enumerate(known):
        at = cost * 1.02 ** (number % 5), one.tau.value  # so that sets of one cost do not hide one another
        error = [[one.tau.value - one.tau.low], [one.tau.high - one.tau.value]]
        axes.errorbar(*at, yerr=error, fmt="o", color=COLORS[one.role], ms=5, lw=1)
        axes.annotate(shorten(printable(one.measured.name)), at, (5, 4), textcoords="offset points", fontsize=8)
    costs = {cost for _, cost in known}
    if made.ceiling is not None and made.reference.cost is not None:
        costs.add(made.reference.cost)
        at, label = (made.reference.cost, made.ceiling.mean), f"{shorten(printable(made.reference.name))}, two seeds"
        axes.plot(*at, "D", color="#1c1c1c", ms=5)
        axes.annotate(label, at, (-6, 6), textcoords="offset points", fontsize=8, ha="right")
        axes.axhline(made.ceiling.mean, color=SOFT, lw=0.8, ls=":")
    axes.set_xscale("log")
    axes.set_xticks(_apart(sorted(costs)))
    axes.set_xticks([], minor=True)
    axes.xaxis.set_major_formatter(lambda images, _: f"{images:,.0f}")
    axes.margins(x=0.14)
    axes.set_xlabel("images looped through by one training")
    axes.set_ylabel("Kendall tau to the full set")
    return to_png(figure)


def _apart(costs: list[int]) -> list[int]:
    """Of increasing costs, those whose labels do not run into one another on a logarithmic axis."""
    shown = costs[:1]
    for cost in costs[1:]:
        if cost >= shown[-1] * max(1.15, (costs[-1] / costs[0]) ** (1 / 6)):
            shown.append(cost)
    return shown


def epochs_chart(made: Quality) -> bytes | None:
    """Tau to the final order on the full set, epoch by epoch; None where no epochs are known."""
    of_role = [("full", made.reference), *[(one.role, one.measured) for one in made.sets]]
    followed = [(role, one) for role, one in of_role if one.protocol is not None]
    if not followed:
        return None
    figure, axes = new_figure(6.8, 3.6)
    for role, one in followed:
        _follow(axes, one, COLORS.get(role, "#1c1c1c"))
    axes.set_xlabel("epoch")
    axes.set_ylabel("tau to the final order on the full set")
    axes.legend(fontsize=8, loc="lower right")
    return to_png(figure)


def _follow(axes: Any, one: MeasuredSet, color: str) -> None:
    found = one.protocol
    assert found is not None
    axes.plot(found.epochs, found.tau, "-", color=color, lw=1.3, label=shorten(printable(one.name)))
    axes.axhline(found.order_tau, color=SOFT, lw=0.8, ls=":")
    if found.first_epoch is not None:
        axes.plot(found.first_epoch, found.tau[found.epochs.index(found.first_epoch)], "o", color=color, ms=5)
