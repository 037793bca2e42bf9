"""The two pictures of the report."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure

from benchmarks.experiments.rank_fidelity.conditions import Condition, Verdict
from rescale_fast.types import FloatArray

COLOURS: Mapping[str, str] = {
    "full": "black",
    "random": "tab:gray",
    "rank-fidelity": "tab:red",
    "blend": "tab:orange",
    "max-confusion": "tab:blue",
    "images": "tab:green",
}
OTHER = "tab:purple"


def _save(figure: Figure, path: Path) -> None:
    """The same bytes for the same numbers; its texts as text."""
    with rc_context({"svg.hashsalt": "rescale_fast", "svg.fonttype": "none"}):
        figure.savefig(path, format="svg", metadata={"Date": None})


def cost(verdicts: Sequence[Verdict], own: FloatArray, path: Path) -> None:
    """Tau by what a training costs; each bar is the interval with other networks."""
    shares = sorted({one.condition.share for one in verdicts})
    numbers = [2 + sum(one.condition.share == share for one in verdicts) for share in shares]
    figure = Figure(figsize=(max(8, 0.26 * sum(numbers)), 6), layout="constrained")
    axes = figure.subplots(1, len(shares), sharey=True, squeeze=False, width_ratios=numbers)[0]
    for ax, share in zip(axes, shares, strict=True):
        here = sorted((one for one in verdicts if one.condition.share == share), key=lambda one: one.judged.tau.value)
        for place, one in enumerate(here):
            colour = _colour(one.condition.name)
            ax.plot([place, place], [one.judged.tau.low, one.judged.tau.high], color=colour, alpha=0.5)
            ax.plot(place, one.judged.tau.value, "o", color=colour)
            ax.plot([place] * len(one.single), one.single, "_", color=colour)
        for seeds in own:
            ax.axhline(seeds, color="gold", lw=1.5)
        ax.set_xticks(range(len(here)), [one.condition.name for one in here], rotation=90, fontsize=8)
        ax.set_title(f"{share:.3g} of the full cost", fontsize=10)
        ax.grid(axis="y", alpha=0.3)
    axes[0].set_ylabel("Kendall's tau to the full training")
    figure.suptitle(
        "Gold: two seeds of the full training. Dot: mean of seeds; dashes: single seeds; line: 95 %, other networks.",
        fontsize=9,
    )
    _save(figure, path)


def _colour(name: str) -> str:
    return next((colour for start, colour in COLOURS.items() if name.startswith(start)), OTHER)


def ranks(full: Condition, verdicts: Sequence[Verdict], networks: Sequence[str], path: Path) -> None:
    """Ranks on the full set, left, and on the most telling conditions of the commonest cost, right."""
    shown = _charts(verdicts)
    figure = Figure(figsize=(3.4 * len(shown), 6), layout="constrained")
    for ax, one in zip(figure.subplots(1, len(shown), squeeze=False)[0], shown, strict=True):
        left, right = (_ranks(of.accuracies.mean) for of in (full, one.condition))
        for name, before, after in zip(networks, left, right, strict=True):
            ax.plot([0, 1], [before, after], "o-", color="tab:red" if abs(before - after) > 2 else "tab:gray", lw=1)
            ax.text(-0.05, before, name, ha="right", va="center", fontsize=8)
        ax.set_title(
            f"{one.condition.name}\n{one.condition.share:.3g} of the cost, tau {one.judged.tau.value:.2f}", fontsize=9
        )
        ax.set_xticks([0, 1], ["full", "here"])
        ax.set_xlim(-0.75, 1.1)
        ax.set_ylim(len(networks) + 0.5, 0.5)
    figure.suptitle("Ranks, 1 is best; red: three or more places apart", fontsize=9)
    _save(figure, path)


def _charts(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """At the cost that most conditions have: the best that is chosen, the best draw, fewer epochs, the worst."""
    shares = [one.condition.share for one in verdicts]
    here = [one for one in verdicts if one.condition.share == max(shares, key=shares.count)]
    chosen = [one for one in here if not one.condition.is_draw and not one.condition.is_full]
    draws = [one for one in here if one.condition.is_draw]
    full = [one for one in here if one.condition.is_full]
    wanted = [*chosen[:1], *draws[:1], *full, *chosen[-1:]]
    return list({one.condition.name: one for one in wanted}.values())


def _ranks(accuracies: FloatArray) -> FloatArray:
    from scipy.stats import rankdata

    found: FloatArray = rankdata(-accuracies, method="ordinal")
    return np.asarray(found, np.float64)
