"""Choosing classes: value, upper bound and CPU-seconds of each effort, beside greedy in NumPy, in one run.

    python -m benchmarks.bench_class_subset --matrix confusion.npz [--seeds 10] [--prove] [--quick]
    python -m benchmarks.bench_class_subset --diversity [FILE ...] [--quick]
    python -m benchmarks.bench_class_subset --sparse

The matrix is any .npz with counts (K, K) and class_ids or wnids; without one, a matrix of look-alike structure is made.
--prove adds 120 s for each k on all cores; the rest is single-threaded. --diversity searches dense instances of the
maximum diversity problem: files in MDPLIB's format (a line `n m`, then lines `i j distance`, from 0), or look-alikes
of its classes; the best value known is that of the longest search in the run. --sparse is the scale of ImageNet-21k:
21,841 classes, about 20 million non-zeros. Writes benchmarks/results/class_subset*.csv, or, with --quick, only prints.
"""

import argparse
import os
import platform
import resource
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.table import write_table
from rescale_fast import _core
from rescale_fast.artifact import Origin
from rescale_fast.class_subset.bounds import relax
from rescale_fast.class_subset.proof import prove_subset
from rescale_fast.class_subset.search import fast_subset, greedy_subset, thorough_subset
from rescale_fast.class_subset.weights import pair_graph, weight_graph
from rescale_fast.confusion import ConfusionMatrix
from rescale_fast.types import FloatArray, IntArray, silent

SIZES = (30, 50, 100, 150, 200)
Row = dict[str, object]


def numpy_greedy(weights: FloatArray, first: IntArray, k: int) -> IntArray:
    """Greedy as one would write it in NumPy, gains kept up to date: the peer."""
    gain = weights[first].sum(axis=0)
    gain[first] = -np.inf
    chosen = [int(c) for c in first]
    while len(chosen) < k:
        best = int(gain.argmax())
        chosen.append(best)
        gain += weights[best]
        gain[best] = -np.inf
    return np.array(chosen, np.int64)


def numpy_greedy_from_every_start(weights: FloatArray, k: int) -> IntArray:
    ways = [numpy_greedy(weights, np.array([start]), k) for start in range(len(weights))]
    return max(ways, key=lambda chosen: weights[np.ix_(chosen, chosen)].sum())


def heaviest_pair(weights: FloatArray) -> IntArray:
    return np.array(np.unravel_index(int(np.triu(weights).argmax()), weights.shape), np.int64)


def clustered_counts(num_classes: int, seed: int = 0) -> IntArray:
    """Confusion counts with the structure of real ones: heavy pairs, small clusters, thin noise."""
    rng = np.random.default_rng(seed)
    counts = rng.poisson(0.004, (num_classes, num_classes))
    order = rng.permutation(num_classes)
    for size in (2, 3, 5, 8, 13):
        for cluster in np.split(order[: num_classes // size * size], num_classes // size):
            counts[np.ix_(cluster, cluster)] += rng.poisson(rng.gamma(0.5, 2.0), (size, size))
    return counts.astype(np.int64)


def measure(search: Callable[[int], IntArray], graph: _core.WeightGraph, seeds: range) -> Row:
    """Values over seeds, and the median CPU-seconds of a search."""
    values, seconds = [], []
    for seed in seeds:
        start = time.process_time()
        chosen = search(seed)
        seconds.append(time.process_time() - start)
        values.append(graph.value(chosen))
    worst, median, best = min(values), statistics.median(values), max(values)
    return {
        "worst": worst, "median": median, "best": best, "runs": len(seeds),
        "cpu_seconds": f"{statistics.median(seconds):.4f}",
    }  # fmt: skip


def show(row: Row) -> Row:
    print("  ".join(f"{key} {cell}" for key, cell in row.items()), flush=True)
    return row


def sweep_row(graph: _core.WeightGraph) -> Row:
    start = time.process_time()
    relaxation = relax(graph)
    bounds = [relaxation.bound(k) for k in range(1, graph.num_classes + 1)]
    return show({
        "k": "all", "way": "linear relaxation, every k", "bound": bounds[-1], "runs": 1,
        "cpu_seconds": f"{time.process_time() - start:.4f}",
    })  # fmt: skip


def confusion_rows(confusion: ConfusionMatrix, sizes: tuple[int, ...], seeds: int, prove: bool) -> list[Row]:
    graph = pair_graph(confusion)
    weights = graph.among(np.arange(graph.num_classes))
    relaxation = relax(graph)
    rows: list[Row] = [sweep_row(graph)]
    for k in sizes:
        ways: dict[str, tuple[Callable[[int], IntArray], int]] = {
            "greedy, numpy": (lambda _, k=k: numpy_greedy(weights, heaviest_pair(weights), k), 3),  # type: ignore[misc]
            "greedy": (lambda _, k=k: greedy_subset(graph, k), 3),  # type: ignore[misc]
            "greedy from every start, numpy": (lambda _, k=k: numpy_greedy_from_every_start(weights, k), 1),  # type: ignore[misc]
            "greedy from every start": (
                lambda _, k=k: _core.greedy_from_many_starts(graph, k, num_starts=len(weights), num_threads=1),  # type: ignore[misc]
                3,
            ),
            "fast": (lambda seed, k=k: fast_subset(graph, k, seed=seed, num_threads=1), seeds),  # type: ignore[misc]
        }
        for name, (search, repeats) in ways.items():
            row = measure(search, graph, range(repeats))
            rows.append(show({"k": k, "way": name, "bound": relaxation.bound(k), **row}))
        if prove:
            rows.append(show(prove_row(graph, k)))
    return rows


def prove_row(graph: _core.WeightGraph, k: int) -> Row:
    start = time.process_time()
    proof = prove_subset(graph, k, seconds=120.0)
    return {
        "k": k, "way": f"prove, 120 s, {os.cpu_count()} cores ({proof.bound_by})", "bound": proof.bound,
        "worst": proof.value, "median": proof.value, "best": proof.value, "runs": 1,
        "cpu_seconds": f"{time.process_time() - start:.1f}",
    }  # fmt: skip


def look_alikes() -> dict[str, tuple[FloatArray, int]]:
    """Instances as MDPLIB's classes are made (Marti et al. 2010): GKD-c, MDG-a, SOM-b, MDG-a large, MDG-c."""

    def uniform(n: int, high: float, seed: int, digits: int) -> FloatArray:
        upper = np.triu(np.random.default_rng(seed).uniform(0, high, (n, n)), 1).round(digits)
        return upper + upper.T

    points = np.random.default_rng(0).uniform(0, 10, (500, 12))
    euclidean = np.sqrt(((points[:, None] - points[None]) ** 2).sum(axis=-1)).round(5)
    return {
        "like GKD-c": (euclidean, 50),
        "like MDG-a": (uniform(500, 10, 0, 2), 50),
        "like SOM-b": (uniform(500, 9, 1, 0), 50),
        "like MDG-a, large": (uniform(2000, 10, 2, 2), 200),
        "like MDG-c": (uniform(3000, 1000, 3, 0), 300),
    }


def read_mdplib(path: Path) -> tuple[FloatArray, int]:
    with path.open(encoding="ascii") as file:
        n, m = (int(number) for number in file.readline().split()[:2])
        entries = np.loadtxt(file)
    weights = np.zeros((n, n))
    weights[entries[:, 0].astype(int), entries[:, 1].astype(int)] = entries[:, 2]
    return np.maximum(weights, weights.T), m


def diversity_rows(files: list[Path], quick: bool) -> list[Row]:
    instances = {path.stem: read_mdplib(path) for path in files} if files else look_alikes()
    rows = []
    for name, (weights, m) in list(instances.items())[: 2 if quick else None]:
        graph = weight_graph(weights)
        small = graph.num_classes <= 500
        seconds, seeds = (1.0, 10) if small else (5.0, 3)
        ways = [
            [
                graph.value(thorough_subset(graph, m, seconds=seconds, seed=seed))
                for seed in range(2 if quick else seeds)
            ],
            [graph.value(thorough_subset(graph, m, seconds=(5 if quick else 20) * seconds, seed=99))],
        ]
        known = max(value for values in ways for value in values)
        rows.append(show({
            "instance": name, "n": graph.num_classes, "m": m, "seconds": seconds, "runs": len(ways[0]),
            "worst": min(ways[0]), "median": statistics.median(ways[0]), "best": max(ways[0]), "best_known": known,
            "worst_below_best_known": f"{1 - min(ways[0]) / known:.4%}",
        }))  # fmt: skip
    return rows


def sparse_row(num_classes: int = 21_841, num_pairs: int = 10_000_000, k: int = 1000) -> Row:
    """A random graph with heavy clusters, of ImageNet-21k's size."""
    from scipy.sparse import coo_array

    rng = np.random.default_rng(0)
    ends = rng.integers(0, num_classes, (2, num_pairs))
    near = rng.random(num_pairs) < 0.1  # a tenth of the pairs within clusters of 40
    ends[1, near] = ends[0, near] // 40 * 40 + rng.integers(0, 40, int(near.sum()))
    ends = ends[:, (ends[0] != ends[1]) & (ends[1] < num_classes)]
    weights = 1.0 + rng.poisson(rng.gamma(0.3, 3.0, ends.shape[1]))
    upper = coo_array((weights, (ends.min(axis=0), ends.max(axis=0))), shape=(num_classes, num_classes)).tocsr()
    graph = weight_graph(upper + upper.T)
    start, wall = time.process_time(), time.monotonic()
    relaxation = relax(graph)
    chosen = fast_subset(graph, k, relaxation=relaxation, num_threads=1, track=silent)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return show({
        "n": num_classes, "nonzeros": 2 * graph.num_pairs, "k": k, "greedy": graph.value(greedy_subset(graph, k)),
        "fast": graph.value(chosen), "bound": relaxation.bound(k), "cpu_seconds": f"{time.process_time() - start:.1f}",
        "wall_seconds": f"{time.monotonic() - wall:.1f}", "peak_GiB": f"{peak:.1f}",
    })  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--matrix", type=Path)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--prove", action="store_true")
    parser.add_argument("--diversity", type=Path, nargs="*", metavar="FILE")
    parser.add_argument("--sparse", action="store_true")
    parser.add_argument("--quick", action="store_true", help="a part of it, in half a minute; nothing is written")
    arguments = parser.parse_args()
    if arguments.diversity is not None:
        name, table = "class_subset_diversity", diversity_rows(arguments.diversity, arguments.quick)
    elif arguments.sparse:
        name, table = "class_subset_sparse", [sparse_row()]
    else:
        counts = clustered_counts(1000)
        ids = tuple(str(label) for label in range(1000))
        confusion = (
            ConfusionMatrix.load(arguments.matrix)
            if arguments.matrix
            else ConfusionMatrix(Origin({}, {}), counts, counts.astype(float), ids, ids)
        )
        sizes, seeds = (SIZES[:1], 2) if arguments.quick else (SIZES, arguments.seeds)
        name, table = "class_subset", confusion_rows(confusion, sizes, seeds, arguments.prove)
    if not arguments.quick:
        machine = f"{platform.machine()}, {os.cpu_count()} cores"
        write_table(name, [row | {"machine": machine} for row in table])


if __name__ == "__main__":
    main()
