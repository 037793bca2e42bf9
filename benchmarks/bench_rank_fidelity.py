"""Choosing classes for the order of networks: the search beside annealing in NumPy, and its worth to new networks.

    python -m benchmarks.bench_rank_fidelity [--quick]

Networks are simulated: an image is right when its ease, the class's, the network's ability times the class's loading,
the network's own deviations and chance add up to more than nought. In `even`, deviations in a class are as large as
those between networks of ImageNet (standard deviation of differences, beyond sampling, 0.07: four networks of
facebookresearch/imagenetx). In `groups` classes of a group share much of them; in `telling`, half of the classes do not
tell networks apart. Unexplained is 1 - r^2 of 60 networks that had no part in the choice. Writes
benchmarks/results/rank_fidelity*.csv, or, with --quick, only prints.
"""

import argparse
import time
from dataclasses import dataclass

import numpy as np

from benchmarks.table import write_table
from rescale_fast import _core
from rescale_fast.class_subset.fidelity import MOVES_A_CLASS, NUM_CHAINS
from rescale_fast.class_subset.fidelity_model import fidelity_model
from rescale_fast.class_subset.network_hits import NetworkHits
from rescale_fast.class_subset.weights import weight_graph
from rescale_fast.types import FloatArray, IntArray

Row = dict[str, object]
NEW, DRAWS = 60, 300  # networks without a part in the choice; sets at random


@dataclass(frozen=True)
class Zoo:
    """How networks are drawn; standard deviations, in those of an image's ease."""

    shared: float  # of a network's deviation in a group of classes, of which there are 8
    own: float  # in a class
    useless: float = 0.0  # the share of classes that do not tell networks apart

    def draw(self, number: int, seed: int, num_classes: int = 1000, images: int = 50) -> NetworkHits:
        rng = np.random.default_rng(seed)
        ease, ability = rng.normal(1.15, 0.75, num_classes), rng.uniform(-0.25, 0.35, number)
        loadings = np.maximum(0.1, rng.normal(1, 0.3, num_classes)) * (rng.random(num_classes) >= self.useless)
        group, of_groups = rng.integers(0, 8, num_classes), rng.normal(0, self.shared, (number, 8))
        of_images = rng.normal(0, 1.2, (num_classes, images))
        deviations = of_groups[:, group] + rng.normal(0, self.own, (number, num_classes))
        hits = [
            (means[:, None] + of_images + rng.normal(0, 0.45, of_images.shape) > 0).sum(axis=1)
            for means in ease + np.outer(ability, loadings) + deviations
        ]
        ids = tuple(str(label) for label in range(num_classes))
        return NetworkHits(np.array(hits, np.int64), np.full(num_classes, images), ids)


ZOOS = {"even": Zoo(0.12, 0.22), "groups": Zoo(0.3, 0.15), "telling": Zoo(0.0, 0.3, useless=0.7)}


def search(model: _core.FidelityModel, k: int, moves: int, seed: int) -> tuple[IntArray, float]:
    """The core's, on one thread."""
    graph = weight_graph(np.zeros((model.num_classes, model.num_classes)))
    return _core.search_fidelity(
        model, graph, k, fidelity=1.0, confusion=0.0, starts=[],
        num_chains=NUM_CHAINS, chain_moves=moves, seed=seed, num_threads=1,
    )  # fmt: skip


def numpy_annealing(model: _core.FidelityModel, k: int, moves: int, seed: int) -> float:
    """Annealing as one would write it in Python, by the model's own value: the peer."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(model.num_classes)
    value = best = model.fidelity(order[:k])
    hottest = (1 - value) / 10
    for move in range(moves):
        i, j = int(rng.integers(k)), int(rng.integers(k, model.num_classes))
        order[[i, j]] = order[[j, i]]
        found = model.fidelity(order[:k])
        if found >= value or rng.random() < np.exp((found - value) / (hottest * 1e-5 ** (move / moves))):
            value = found
            best = max(best, value)
        else:
            order[[i, j]] = order[[j, i]]
    return best


def search_rows(seeds: int) -> list[Row]:
    rows: list[Row] = []
    for k in (30, 100):
        model = fidelity_model(ZOOS["even"].draw(12, seed=0))
        moves = MOVES_A_CLASS * model.num_classes
        start = time.process_time()
        found = [search(model, k, moves, seed)[1] for seed in range(seeds)]
        ours = (time.process_time() - start) / seeds
        start = time.process_time()
        peer = max(numpy_annealing(model, k, moves // 20, seed) for seed in range(seeds))
        theirs = (time.process_time() - start) / seeds
        rows.append({
            "k": k, "unexplained, worst of seeds": f"{1 - min(found):.5f}", "best": f"{1 - max(found):.5f}",
            "numpy annealing, best": f"{1 - peer:.5f}", "its CPU time over ours": f"{theirs / ours:.1f}",
            "its swaps over ours": f"{1 / 20 / NUM_CHAINS:.5f}",
        })  # fmt: skip
        print(rows[-1], flush=True)
    return rows


def worth_rows(seeds: int) -> list[Row]:
    rows: list[Row] = []
    for name, zoo in ZOOS.items():
        for number in (6, 12, 24):
            found = np.array([_unexplained(zoo, number, seed) for seed in range(seeds)])
            chosen, mean, best = found.mean(axis=0)
            rows.append({
                "zoo": name, "networks": number, "k": 50, "seeds": seeds, "unexplained, chosen": f"{chosen:.4f}",
                "random, mean": f"{mean:.4f}", "random, 95th percentile": f"{best:.4f}",
                "share of seeds beyond it": f"{np.mean(found[:, 0] < found[:, 2]):.2f}",
            })  # fmt: skip
            print(rows[-1], flush=True)
    return rows


def _unexplained(zoo: Zoo, number: int, seed: int) -> tuple[float, float, float]:
    """1 - r^2 of new networks: of the choice, of random choices on average, and of the best 5 % of these."""
    both = zoo.draw(number + NEW, seed)
    chosen, _ = search(fidelity_model(both.some(np.arange(number))), 50, 200_000, seed)
    new, rng = both.some(np.arange(number, number + NEW)), np.random.default_rng(seed)
    draws = [rng.choice(len(new.images), 50, replace=False) for _ in range(DRAWS)]
    at_random = 1 - np.array([_correlation(new, draw) for draw in draws]) ** 2
    return 1 - _correlation(new, chosen) ** 2, float(at_random.mean()), float(np.quantile(at_random, 0.05))


def _correlation(networks: NetworkHits, classes: IntArray) -> float:
    accuracies: FloatArray = np.corrcoef(networks.accuracy(), networks.accuracy(classes))
    return float(accuracies[0, 1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    searched, worth = search_rows(1 if quick else 5), worth_rows(2 if quick else 10)
    if not quick:
        write_table("rank_fidelity_search", searched)
        write_table("rank_fidelity", worth)


if __name__ == "__main__":
    main()
