"""Reconstructions of the published ImageNet lists ReIN: how much of each list a rule finds again on a confusion matrix.

    python -m benchmarks.bench_class_lists --matrix confusion.npz

For each rule and each list, the overlap |A and B| / k, and the share of the set's errors that stay inside it. The
matrix is any .npz with counts (1000, 1000) and ImageNet's wnids. Writes benchmarks/results/class_lists.csv.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.table import write_table
from rescale_fast.class_subset.compare import hardness
from rescale_fast.class_subset.outcomes import by_errors_and_half, by_lowest_accuracy, by_votes, lowest_and_confused
from rescale_fast.class_subset.published import find_published
from rescale_fast.class_subset.search import fast_subset, greedy_subset
from rescale_fast.class_subset.weights import pair_graph
from rescale_fast.confusion import ConfusionMatrix
from rescale_fast.types import IntArray

SIZES = (30, 50, 100, 150, 200)


def rules(confusion: ConfusionMatrix) -> dict[str, Callable[[int], IntArray]]:
    counts, graph = confusion.counts, pair_graph(confusion)
    rng = np.random.default_rng(0)
    return {
        "published": lambda k: find_published(f"ReIN{k}").labels(confusion.class_ids),
        "random": lambda k: rng.choice(len(counts), k, replace=False),
        "lowest accuracy": lambda k: by_lowest_accuracy(counts)[:k],
        "votes of 1.5 k": lambda k: by_votes(counts, k, 1.5),
        "votes of 2 k": lambda k: by_votes(counts, k, 2.0),
        "errors+half": lambda k: by_errors_and_half(counts, k),
        "lowest+confused": lambda k: lowest_and_confused(counts, k),
        "max-confusion, greedy": lambda k: greedy_subset(graph, k),
        "max-confusion, fast": lambda k: fast_subset(graph, k),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--matrix", type=Path, required=True)
    confusion = ConfusionMatrix.load(parser.parse_args().matrix)
    table = []
    for name, rule in rules(confusion).items():
        for k in SIZES:
            chosen = np.sort(rule(k))
            published = find_published(f"ReIN{k}").labels(confusion.class_ids)
            found = hardness(confusion, chosen)
            table.append(
                {
                    "rule": name,
                    "k": k,
                    "overlap": f"{len(np.intersect1d(chosen, published)) / k:.2f}",
                    "share_inside": f"{found.share_inside:.2f}",
                    "accuracy": f"{found.accuracy:.3f}",
                }
            )
            print("  ".join(f"{key} {cell}" for key, cell in table[-1].items()), flush=True)
    write_table("class_lists", table)


if __name__ == "__main__":
    main()
