"""Coarse classes: the share of all errors that falls inside groups, for each way of grouping, and its CPU-seconds.

    python -m benchmarks.bench_class_grouping --matrix confusion.npz [--wordnet data.noun]

The matrix is any .npz with counts (K, K) and class_ids or wnids. Single thread. Writes
benchmarks/results/class_grouping.csv.
"""

import argparse
import platform
import time
from pathlib import Path

import numpy as np

from benchmarks.table import write_table
from rescale_fast import _core
from rescale_fast.artifact import Origin
from rescale_fast.class_subset.group import describe_groups, group_classes
from rescale_fast.class_subset.settings import GroupSettings
from rescale_fast.class_subset.weights import pair_graph
from rescale_fast.confusion import ConfusionMatrix
from rescale_fast.types import IntArray

NUMBERS = (200, 100, 20, 10)


def extracted(confusion: ConfusionMatrix, number: int) -> IntArray:
    sizes = [len(part) for part in np.array_split(np.arange(confusion.num_classes), number)]
    return _core.extract_groups(pair_graph(confusion), np.array(sizes, np.int64))


def measure(way: str, confusion: ConfusionMatrix, number: int, wordnet: Path) -> dict[str, object]:
    start = time.process_time()
    if way == "consecutive ids":
        groups = [part.tolist() for part in np.array_split(np.arange(confusion.num_classes), number)]
    elif way == "greedy extraction":
        of = extracted(confusion, number)
        groups = [np.flatnonzero(of == group).tolist() for group in range(number)]
    else:
        nouns = wordnet if "wordnet" in GroupSettings(way).uses else GroupSettings.wordnet
        made = group_classes(confusion, GroupSettings(way, number, wordnet=nouns), Origin({}, {}))
        groups = [list(labels) for labels in made.labels]
    seconds = time.process_time() - start
    facts = describe_groups(confusion, groups)
    return {
        "way": way,
        "asked": number,
        "groups": len(groups),
        "smallest": facts["smallest_group"],
        "largest": facts["largest_group"],
        "share_inside": f"{facts['share_inside']:.3f}",
        "share_inside_at_random": f"{facts['share_inside_at_random']:.3f}",
        "cpu_seconds": f"{seconds:.2f}",
        "machine": f"{platform.machine()}, 1 thread",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--matrix", type=Path, required=True)
    parser.add_argument("--wordnet", type=Path, default=GroupSettings().wordnet)
    arguments = parser.parse_args()
    confusion = ConfusionMatrix.load(arguments.matrix)
    ways = ["random", "consecutive ids", "greedy extraction", "confused"]
    if arguments.wordnet.is_file():
        ways += ["wordnet", "wordnet-balanced"]
    table = [measure(way, confusion, number, arguments.wordnet) for way in ways for number in NUMBERS]
    for row in table:
        print("  ".join(f"{key} {cell}" for key, cell in row.items()))
    write_table("class_grouping", table)


if __name__ == "__main__":
    main()
