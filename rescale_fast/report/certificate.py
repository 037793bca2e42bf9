"""The certificate as a chart: what was found, what greedy and chance give, and what no choice can exceed, over k."""

from collections.abc import Mapping
from typing import Any

from rescale_fast.report.chart import Chart, Series, line_chart

UP_TO = 3  # times the k that was chosen


def certificate_chart(facts: Mapping[str, Any], k: int) -> Chart | None:
    """The chart; None for classes that were not chosen by confusion, or before the curves were kept."""
    if "over_k" not in facts or "objective" not in facts:
        return None
    curves = facts["over_k"]
    shown = [i for i, number in enumerate(curves["k"]) if number <= max(UP_TO * k, 12)]

    def curve(name: str) -> list[tuple[float, float]]:
        return [(curves["k"][i], curves[name][i]) for i in shown]

    unit = "images confused inside" if facts["pair_weights"] == "counts" else f"weight inside ({facts['pair_weights']})"
    series = [
        Series("upper bound: no choice has more (linear relaxation)", curve("upper_bound"), 4, dashed=True),
        Series("greedy", curve("greedy"), 1),
        Series("random choice, on average", curve("random"), 2),
    ]
    if "bound_by" in facts and not facts["is_optimal"]:
        series.append(Series(f"bound on this k ({facts['bound_by']})", [(k, facts["upper_bound"])], 5, dots=True))
    series.append(Series(f"this choice, k = {k}", [(k, facts["objective"])], 0, dots=True))
    return line_chart("What k classes have inside: found, greedy, at random, at most", "k", unit, series)
