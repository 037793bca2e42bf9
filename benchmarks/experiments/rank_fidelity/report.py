"""Tables and plots of what is finished: `python -m benchmarks.experiments.rank_fidelity.report [--folder DIR]`.

Writes table.csv (all numbers), table.md (for people), worth-cost.svg and worth-ranks.svg into the folder's report/.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.experiments.rank_fidelity import plots
from benchmarks.experiments.rank_fidelity.conditions import (
    Condition,
    Verdict,
    by_number,
    ceiling,
    gather,
    judged,
    reference,
    verdicts,
)
from benchmarks.experiments.rank_fidelity.early import among_draws, on_the_way
from benchmarks.experiments.rank_fidelity.grid import Grid
from benchmarks.experiments.rank_fidelity.networks import ZOO
from benchmarks.experiments.rank_fidelity.restricted import restricted_tau
from benchmarks.experiments.rank_fidelity.results import RESULTS, Cell, Training, read_trainings
from rescale_fast.files.csv_files import write_csv
from rescale_fast.quality.types import Estimate

HEADINGS = (
    "trained on",
    "cost",
    "passes",
    "seeds",
    "tau",
    "one seed",
    "of ceiling",
    "if only judged",
    "band tau",
    "pairs < 1 point",
    "pairs > 2 points",
    "above fewer epochs",
    "above the best random draw",
)
Restricted = Mapping[str, float | None]  # tau of full trainings on the condition's classes alone, by its name


def _row(one: Verdict, restricted: Restricted) -> dict[str, object]:
    """All numbers of a condition."""
    condition, measured, judged_only = one.condition, one.judged.measured, restricted[one.condition.name]
    row: dict[str, object] = {
        "condition": condition.name,
        "share": f"{condition.share:g}",
        "seeds": measured.num_seeds,
        "train_images": measured.train_images,
        "passes": f"{condition.passes:.2f}",
        "val_images": measured.val_images,
        "lowest_top1": f"{min(measured.accuracies):.4f}",
        "highest_top1": f"{max(measured.accuracies):.4f}",
        "cpu_seconds": f"{condition.cpu_seconds:.0f}",
        **_interval("tau", one.judged.tau),
        "tau_same_low": _number(one.judged.tau.same_low),
        "tau_same_high": _number(one.judged.tau.same_high),
        **_interval("band_tau", one.judged.band_tau),
        "single_tau": _number(float(one.single.mean())),
        "share_of_ceiling": _number(one.judged.share_of_ceiling),
        "tau_if_only_judged": _number(judged_only),
        **_interval("above_short", one.judged.above_short),
        **_interval("above_random", one.judged.above_random),
    }
    for gap in one.judged.by_gap:
        name = f"{100 * gap.low:g}_{100 * gap.high:g}"
        row |= {f"pairs_{name}": gap.pairs, **_interval(f"alike_{name}", gap.agreement)}
    return row


def _number(value: float | None) -> object:
    return "" if value is None else round(value, 3)


def _interval(name: str, one: Estimate | None) -> dict[str, object]:
    values = (None, None, None) if one is None else (one.value, one.low, one.high)
    return dict(zip((name, f"{name}_low", f"{name}_high"), map(_number, values), strict=True))


def text(of: Sequence[Verdict], restricted: Restricted) -> str:
    """The table for people."""
    lines = [f"| {' | '.join(HEADINGS)} |", f"|{'---|' * len(HEADINGS)}", *(_line(one, restricted) for one in of)]
    return "\n".join(lines) + "\n"


def notes(conditions: Sequence[Condition], trainings: Mapping[Cell, Training], networks: Sequence[str]) -> str:
    """What is said of the zoo, the ceiling and the controls that cost no training."""
    quality = judged([reference(conditions), *(one for one in conditions if one is not reference(conditions))])
    measured, seeds = quality.reference, quality.reference.num_seeds
    lines = [
        f"{len(measured.accuracies)} networks, {100 * min(measured.accuracies):.1f} to "
        f"{100 * max(measured.accuracies):.1f} % on the full set ({seeds} seeds); {quality.band_networks} within 5 "
        "points of the best."
    ]
    if quality.ceiling is not None and measured.seed_deviation is not None:
        own = quality.ceiling
        way = ", ".join(f"{tau:.2f}" for tau in on_the_way(trainings, networks, seeds)[:-1])
        lines += [
            f"Two seeds of the full training agree to tau {own.mean:.3f} ({own.lowest:.3f} to {own.highest:.3f}); the "
            f"seeds of a network deviate by {100 * measured.seed_deviation:.1f} points.",
            f"Looked at after 1/4, 1/2 and 3/4 of its images, one agrees with the end of another to {way}.",
        ]
    for (family, share), among in among_draws(conditions).items():
        lines.append(f"Draws of {family} at {share:.3g} of the cost agree with one another to {among.mean():.2f}.")
    for more, less, share, above in by_number(conditions):
        lines.append(f"At {share:.3g} of the cost, tau of {more} is {_words(above)} above that of {less}.")
    return "\n".join(f"- {line}" for line in lines) + "\n"


def _words(one: Estimate | None) -> str:
    return "" if one is None else f"{one.value:.2f} ({one.low:.2f} to {one.high:.2f})"


def _line(one: Verdict, restricted: Restricted) -> str:
    condition, of_set, judged_only = one.condition, one.judged, restricted[one.condition.name]
    near = [(gap.agreement.value, gap.pairs) for gap in of_set.by_gap[:3] if gap.agreement is not None]
    close = sum(pairs for _, pairs in near)
    far = of_set.by_gap[-1].agreement
    cells = [
        condition.name,
        f"{condition.share:.3g}",
        f"{condition.passes:.1f}",
        of_set.measured.num_seeds,
        _words(of_set.tau),
        f"{one.single.mean():.2f}",
        "" if of_set.share_of_ceiling is None else f"{of_set.share_of_ceiling:.2f}",
        "" if judged_only is None else f"{judged_only:.2f}",
        _words(of_set.band_tau),
        f"{sum(value * pairs for value, pairs in near) / close:.2f}" if close else "",
        "" if far is None else f"{far.value:.2f}",
        _words(of_set.above_short),
        _words(of_set.above_random),
    ]
    return f"| {' | '.join(map(str, cells))} |"


def write_report(folder: Path, networks: Sequence[str] = tuple(ZOO), *, figures: Path | None = None) -> str:
    """Write the tables, and the plots beside them or into another folder; return the table for people."""
    trainings = read_trainings(folder / "trainings.jsonl")
    conditions = gather(trainings, networks)
    found = verdicts(conditions)
    num_classes = Grid(folder).settings()[0].classes
    restricted = {
        name: restricted_tau(trainings, networks, num_classes, folder / "choices" / f"{name}.json")
        for name in (one.condition.name for one in found)
    }
    out = folder / "report"
    out.mkdir(exist_ok=True)
    table = [_row(one, restricted) for one in found]
    write_csv(out / "table.csv", list(table[0]), [list(row.values()) for row in table])
    words = f"{notes(conditions, trainings, networks)}\n{text(found, restricted)}"
    (out / "table.md").write_text(words, encoding="utf-8")
    plots.cost(found, ceiling(reference(conditions)), (figures or out) / "worth-cost.svg")
    plots.ranks(reference(conditions), found, networks, (figures or out) / "worth-ranks.svg")
    return words


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=RESULTS)
    parser.add_argument("--figures", type=Path, help="folder of the plots, for those of docs/")
    arguments = parser.parse_args()
    print(write_report(arguments.folder, figures=arguments.figures))


if __name__ == "__main__":
    main()
