"""Tables and plots of what is finished: `python -m benchmarks.experiments.rank_fidelity.report [--folder DIR]`.

Writes table.csv (all numbers), table.md (for people), cost.png and ranks.png into the folder's report/.
"""

import argparse
import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.experiments.rank_fidelity import plots
from benchmarks.experiments.rank_fidelity.compare import (
    Condition,
    Verdict,
    by_number,
    ceiling,
    gather,
    judge,
    reference,
)
from benchmarks.experiments.rank_fidelity.early import among_draws, on_the_way
from benchmarks.experiments.rank_fidelity.grid import Grid
from benchmarks.experiments.rank_fidelity.networks import ZOO
from benchmarks.experiments.rank_fidelity.restricted import restricted_tau
from benchmarks.experiments.rank_fidelity.results import RESULTS, Cell, Training, read_trainings
from benchmarks.experiments.rank_fidelity.statistics import GAPS, Interval, in_band

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
    "above random classes",
)
Restricted = Mapping[str, float | None]  # tau of full trainings on the condition's classes alone, by its name


def _row(one: Verdict, restricted: Restricted) -> dict[str, object]:
    """All numbers of a condition."""
    condition, judged_only = one.condition, restricted[one.condition.name]
    row: dict[str, object] = {
        "condition": condition.name,
        "share": f"{condition.share:g}",
        "seeds": len(condition.accuracies),
        "train_images": condition.num_train,
        "passes": f"{condition.passes:.2f}",
        "val_images": condition.num_val,
        "lowest_top1": f"{condition.accuracies.mean(axis=0).min():.4f}",
        "highest_top1": f"{condition.accuracies.mean(axis=0).max():.4f}",
        "cpu_seconds": f"{condition.cpu_seconds:.0f}",
        **_interval("tau", one.tau),
        **_interval("band_tau", one.band_tau),
        "single_tau": f"{one.single.mean():.3f}",
        "share_of_ceiling": f"{one.of_ceiling:.3f}",
        "tau_if_only_judged": "" if judged_only is None else f"{judged_only:.3f}",
        **_interval("above_short", one.above_short),
        **_interval("above_random", one.above_random),
    }
    for low, high, found, pairs in zip(GAPS, GAPS[1:], one.agreement, one.pairs, strict=False):
        row |= {f"pairs_{100 * low:g}_{100 * high:g}": pairs, **_interval(f"alike_{100 * low:g}_{100 * high:g}", found)}
    return row


def _interval(name: str, one: Interval | None) -> dict[str, object]:
    values = ("", "", "") if one is None else (f"{one.value:.3f}", f"{one.low:.3f}", f"{one.high:.3f}")
    return dict(zip((name, f"{name}_low", f"{name}_high"), values, strict=True))


def text(verdicts: Sequence[Verdict], restricted: Restricted) -> str:
    """The table for people."""
    lines = [
        f"| {' | '.join(HEADINGS)} |",
        f"|{'---|' * len(HEADINGS)}",
        *(_line(one, restricted) for one in verdicts),
    ]
    return "\n".join(lines) + "\n"


def notes(conditions: Sequence[Condition], trainings: Mapping[Cell, Training], networks: Sequence[str]) -> str:
    """What is said of the zoo, the ceiling and the controls that cost no training."""
    full = reference(conditions)
    means, seeds = full.accuracies.mean(axis=0), len(full.accuracies)
    lines = [
        f"{len(means)} networks, {100 * means.min():.1f} to {100 * means.max():.1f} % on the full set "
        f"({seeds} seeds); {in_band(means).sum()} within 5 points of the best."
    ]
    if seeds > 1:
        own = ceiling(full)
        deviation = np.sqrt(full.accuracies.var(axis=0, ddof=1).mean())
        way = ", ".join(f"{tau:.2f}" for tau in on_the_way(trainings, networks, seeds)[:-1])
        lines += [
            f"Two seeds of the full training agree to tau {own.mean():.3f} ({own.min():.3f} to {own.max():.3f}); the "
            f"seeds of a network deviate by {100 * deviation:.1f} points.",
            f"Looked at after 1/4, 1/2 and 3/4 of its images, one agrees with the end of another to {way}.",
        ]
    for (family, share), own in among_draws(conditions).items():
        lines.append(f"Draws of {family} at {share:.3g} of the cost agree with one another to {own.mean():.2f}.")
    for more, less, share, above in by_number(conditions):
        lines.append(f"At {share:.3g} of the cost, tau of {more} is {above} above that of {less}.")
    return "\n".join(f"- {line}" for line in lines) + "\n"


def _line(one: Verdict, restricted: Restricted) -> str:
    condition, judged_only = one.condition, restricted[one.condition.name]
    near = sum(found.value * pairs for found, pairs in zip(one.agreement[:3], one.pairs, strict=False) if pairs)
    cells = [
        condition.name,
        f"{condition.share:.3g}",
        f"{condition.passes:.1f}",
        len(condition.accuracies),
        one.tau,
        f"{one.single.mean():.2f}",
        f"{one.of_ceiling:.2f}",
        "" if judged_only is None else f"{judged_only:.2f}",
        one.band_tau,
        f"{near / max(1, sum(one.pairs[:3])):.2f}",
        f"{one.agreement[4].value:.2f}",
        one.above_short or "",
        one.above_random or "",
    ]
    return f"| {' | '.join(map(str, cells))} |"


def write_report(folder: Path, networks: Sequence[str] = tuple(ZOO)) -> str:
    """Write the tables and plots; return the table for people."""
    trainings = read_trainings(folder / "trainings.jsonl")
    conditions = gather(trainings, networks)
    verdicts = judge(conditions)
    num_classes = Grid(folder).settings()[0].classes
    restricted = {
        name: restricted_tau(trainings, networks, num_classes, folder / "choices" / f"{name}.json")
        for name in (one.condition.name for one in verdicts)
    }
    out = folder / "report"
    out.mkdir(exist_ok=True)
    table = [_row(one, restricted) for one in verdicts]
    with (out / "table.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(table[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(table)
    words = f"{notes(conditions, trainings, networks)}\n{text(verdicts, restricted)}"
    (out / "table.md").write_text(words, encoding="utf-8")
    plots.cost(verdicts, ceiling(reference(conditions)), out / "cost.png")
    plots.ranks(reference(conditions), verdicts, networks, out / "ranks.png")
    return words


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=RESULTS)
    np.seterr(all="raise", under="ignore")
    print(write_report(parser.parse_args().folder))


if __name__ == "__main__":
    main()
