"""Choosing classes: value, upper bound and CPU-seconds of greedy and `fast`, beside greedy in NumPy, in one run.

    python -m benchmarks.bench_class_subset --matrix confusion.npz [--seeds 10] [--quick]

The matrix is any .npz with counts (K, K) and class_ids or wnids; without one, a matrix of look-alike structure
is made. Single thread. Writes benchmarks/results/class_subset.csv, or, with --quick, only prints.
"""

import argparse
import csv
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from rescale_fast.class_subset.search import fast_subset, greedy_subset, pair_weights, upper_bound
from rescale_fast.confusion import ConfusionMatrix
from rescale_fast.types import FloatArray, IntArray

SIZES = (30, 50, 100, 150, 200)


def value(weights: FloatArray, chosen: IntArray) -> float:
    return float(weights[np.ix_(chosen, chosen)].sum() / 2)


def numpy_greedy(weights: FloatArray, k: int) -> IntArray:
    """Greedy as one would write it in NumPy: the peer."""
    chosen = [int(i) for i in np.unravel_index(int(np.triu(weights).argmax()), weights.shape)]
    while len(chosen) < k:
        gain = weights[chosen].sum(axis=0)
        gain[chosen] = -1
        chosen.append(int(gain.argmax()))
    return np.sort(np.array(chosen, np.int64))


def clustered_counts(num_classes: int, seed: int = 0) -> IntArray:
    """Confusion counts with the structure of real ones: heavy pairs, small clusters, thin noise."""
    rng = np.random.default_rng(seed)
    counts = rng.poisson(0.004, (num_classes, num_classes))
    order = rng.permutation(num_classes)
    for size in (2, 3, 5, 8, 13):
        for cluster in np.split(order[: num_classes // size * size], num_classes // size):
            counts[np.ix_(cluster, cluster)] += rng.poisson(rng.gamma(0.5, 2.0), (size, size))
    return counts.astype(np.int64)


def measure(search: Callable[[int], IntArray], weights: FloatArray, seeds: range) -> tuple[list[float], float]:
    """Values by seed, and the median CPU-seconds of a search."""
    values, seconds = [], []
    for seed in seeds:
        start = time.process_time()
        chosen = search(seed)
        seconds.append(time.process_time() - start)
        values.append(value(weights, chosen))
    return values, statistics.median(seconds)


def rows(weights: FloatArray, sizes: tuple[int, ...], num_seeds: int) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    for k in sizes:
        bound = upper_bound(weights, k)
        ways: dict[str, tuple[Callable[[int], IntArray], int]] = {
            "greedy, numpy": (lambda _, k=k: numpy_greedy(weights, k), 3),  # type: ignore[misc]
            "greedy": (lambda _, k=k: greedy_subset(weights, k), 3),  # type: ignore[misc]
            "fast": (lambda seed, k=k: fast_subset(weights, k, seed=seed, num_threads=1), num_seeds),  # type: ignore[misc]
        }
        for name, (search, repeats) in ways.items():
            values, seconds = measure(search, weights, range(repeats))
            row = {"worst": min(values), "median": statistics.median(values), "best": max(values), "bound": bound}
            found.append({"k": k, "way": name, **row, "runs": repeats, "cpu_seconds": round(seconds, 4)})
            print("  ".join(f"{key} {cell}" for key, cell in found[-1].items()), flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--matrix", type=Path)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--quick", action="store_true", help="k = 30 and 2 seeds; nothing is written")
    arguments = parser.parse_args()
    counts = ConfusionMatrix.load(arguments.matrix).counts if arguments.matrix else clustered_counts(1000)
    name = arguments.matrix.stem if arguments.matrix else "clustered"
    weights = pair_weights(counts)
    table = rows(weights, SIZES[:1] if arguments.quick else SIZES, 2 if arguments.quick else arguments.seeds)
    if not arguments.quick:
        path = Path(__file__).parent / "results" / "class_subset.csv"
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, ["matrix", "machine", *table[0]])
            writer.writeheader()
            writer.writerows({"matrix": name, "machine": f"{platform.machine()}, 1 thread"} | row for row in table)
        print(f"wrote {path.name}")


if __name__ == "__main__":
    main()
