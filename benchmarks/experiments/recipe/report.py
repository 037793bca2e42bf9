"""The tables of what is finished: `python -m benchmarks.experiments.recipe.report [--file FILE] [--only-print]`.

Writes benchmarks/results/recipe_ablation.csv: each way in each case, and over all cases of a half, beside `fast`, seed
by seed, with intervals by Student's t; and the table for people into docs/train.md.
"""

import argparse
import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from scipy import stats

from benchmarks.experiments.recipe.cases import CASES
from benchmarks.experiments.recipe.grid import TRAININGS, read_trainings
from benchmarks.experiments.recipe.trainings import Outcome
from benchmarks.experiments.recipe.ways import BASELINE, ways
from benchmarks.table import write_table

PAGE = Path(__file__).parents[3] / "docs" / "train.md"
MARK = "<!-- recipe_ablation.csv, written by benchmarks.experiments.recipe.report -->\n"
Column = Mapping[int, Outcome]  # by seed
HALVES = ("choose", "confirm")
HEADINGS = ("way", "points above `fast`, cases chosen by", "other cases", "CPU-seconds, `fast` = 1")


@dataclass(frozen=True)
class Estimate:
    """A mean with the interval that holds it in 95 of 100 cases."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:+.1f} ({self.low:+.1f} to {self.high:+.1f})"


def mean_of_means(groups: Sequence[Sequence[float]]) -> Estimate:
    """The mean of several groups' means; each group has a mean of its own, and all but for that the same right."""
    means = [statistics.mean(group) for group in groups]
    value, degrees = statistics.mean(means), sum(len(group) - 1 for group in groups)
    if min(map(len, groups)) < 2:
        return Estimate(value, -math.inf, math.inf)
    error = math.sqrt(sum(statistics.variance(group) / len(group) for group in groups)) / len(groups)
    reach = float(stats.t.ppf(0.975, degrees)) * error
    return Estimate(value, value - reach, value + reach)


def gather(path: Path) -> dict[str, dict[str, Column]]:
    """By case and way, what is finished of the settings of today."""
    found = read_trainings(path)
    by_place = {(cell.case, cell.digest, cell.seed): outcome for cell, outcome in found.items()}
    table: dict[str, dict[str, Column]] = {}
    for name, case in CASES.items():
        for way in ways(case):
            column = {seed: by_place.get((name, way.digest, seed)) for seed in range(case.seeds)}
            present = {seed: outcome for seed, outcome in column.items() if outcome is not None}
            if present:
                table.setdefault(name, {})[way.name] = present
    return {name: columns for name, columns in table.items() if BASELINE in columns}


def points(column: Column, baseline: Column) -> list[float]:
    """Of each seed that both have, by how many points of top-1 it is above the baseline."""
    return [100 * (column[seed].top1 - baseline[seed].top1) for seed in column if seed in baseline]


def cost(column: Column, baseline: Column) -> list[float]:
    """Of each seed that both have, the ratio of CPU-seconds."""
    return [column[seed].cpu_seconds / baseline[seed].cpu_seconds for seed in column if seed in baseline]


def rows(table: Mapping[str, Mapping[str, Column]]) -> Iterator[dict[str, object]]:
    """The saved table: each way in each case, then over the cases of each half that have it, then over all."""
    for name, columns in table.items():
        for way, column in columns.items():
            yield {"half": CASES[name].half, "case": name, "way": way} | _row([(column, columns[BASELINE])])
    for half in (*HALVES, "all"):
        cases = [columns for name, columns in table.items() if half in ("all", CASES[name].half)]
        for way in dict.fromkeys(way for columns in cases for way in columns):
            pairs = [(columns[way], columns[BASELINE]) for columns in cases if way in columns]
            yield {"half": half, "case": "all", "way": way} | _row(pairs)


def _row(pairs: Sequence[tuple[Column, Column]]) -> dict[str, object]:
    above = mean_of_means([points(column, baseline) for column, baseline in pairs])
    ratios = mean_of_means([cost(column, baseline) for column, baseline in pairs])
    outcomes = [outcome for column, _ in pairs for outcome in column.values()]
    top1 = [100 * one.top1 for one in outcomes]
    seconds = [one.cpu_seconds for one in outcomes]
    return {
        "cases": len(pairs),
        "trainings": len(outcomes),
        "top1": round(statistics.mean(top1), 2),
        "top1_lowest": round(min(top1), 2),
        "top1_highest": round(max(top1), 2),
        "top1_flipped": round(100 * statistics.mean(one.top1_flipped for one in outcomes), 2),
        "points": round(above.value, 2),
        "points_low": round(above.low, 2),
        "points_high": round(above.high, 2),
        "cpu_seconds": round(statistics.mean(seconds), 2),
        "cpu_seconds_lowest": round(min(seconds), 2),
        "cpu_seconds_highest": round(max(seconds), 2),
        "loading_share": round(sum(one.loading_cpu_seconds for one in outcomes) / sum(seconds), 3),
        "cpu_ratio": round(ratios.value, 3),
        "cpu_ratio_low": round(ratios.low, 3),
        "cpu_ratio_high": round(ratios.high, 3),
        "steps": round(statistics.mean(one.steps for one in outcomes)),
    }


def text(saved: Sequence[Mapping[str, object]]) -> str:
    """The table for people: over the cases of each half."""
    of = {(row["half"], row["way"]): row for row in saved if row["case"] == "all"}
    lines = [f"| {' | '.join(HEADINGS)} |", f"|{'---|' * len(HEADINGS)}"]
    for way in dict.fromkeys(way for _, way in of):
        cells = [_points(of.get((half, way))) for half in HALVES]
        lines.append(f"| {way} | {' | '.join(cells)} | {float(str(of['all', way]['cpu_ratio'])):.2f} |")
    return "\n".join(lines) + "\n"


def _points(row: Mapping[str, object] | None) -> str:
    if row is None:
        return ""
    value, low, high = (float(str(row[key])) for key in ("points", "points_low", "points_high"))
    return f"({row['top1']} %)" if row["way"] == BASELINE else str(Estimate(value, low, high))


def on_page(page: str, table: str) -> str:
    """The page with this table below its mark in place of the one there."""
    before, mark, after = page.partition(MARK)
    rest = after.lstrip("\n").split("\n")
    left = next((i for i, line in enumerate(rest) if not line.startswith("|")), len(rest))
    return before + mark + "\n" + table + "\n".join(rest[left:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--file", type=Path, default=TRAININGS)
    parser.add_argument("--only-print", action="store_true", help="the saved table, too, which is not saved")
    arguments = parser.parse_args()
    saved = list(rows(gather(arguments.file)))
    print(text(saved))
    if arguments.only_print:
        print(*(",".join(map(str, row.values())) for row in saved), sep="\n")
        return
    write_table("recipe_ablation", saved)
    PAGE.write_text(on_page(PAGE.read_text(encoding="utf-8"), text(saved)), encoding="utf-8")


if __name__ == "__main__":
    main()
