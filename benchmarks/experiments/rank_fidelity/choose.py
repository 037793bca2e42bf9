"""Makes the choices that the guide networks, none of which is ranked, lead to.

    python -m benchmarks.experiments.rank_fidelity.choose [--folder DIR]

Reads guides/*.npz and the guides' lines of trainings.jsonl; writes choices/<condition>.json where that is not there.
A share of the classes or of the images is named in the condition by its number, so that other sizes of grid have other
names.
"""

import argparse
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path

import numpy as np

import rescale_fast as rf
from benchmarks.experiments.rank_fidelity.choices import Choice, of_classes
from benchmarks.experiments.rank_fidelity.grid import Grid
from benchmarks.experiments.rank_fidelity.networks import GUIDES, MORE
from benchmarks.experiments.rank_fidelity.pool import Pool
from benchmarks.experiments.rank_fidelity.results import RESULTS, Training
from rescale_fast.class_subset.fidelity import rank_fidelity
from rescale_fast.class_subset.network_hits import NetworkHits
from rescale_fast.class_subset.settings import Method, SelectSettings
from rescale_fast.confusion import ConfusionMatrix
from rescale_fast.types import FloatArray, IntArray

METHODS: Mapping[str, Method] = {
    "max-confusion": "max-confusion",
    "lowest-accuracy": "lowest-accuracy",
    "outcomes": "validation-outcomes",
}
BLENDS = {"rank-fidelity": 0.0, "blend50": 0.5}  # hardness of --method rank-fidelity
NEAR = 0.3  # of top-1: guides that are further below the best would be told apart by any classes
DRAWS = 5
Pick = Callable[[FloatArray, int, np.random.Generator], IntArray]  # places of m images, of the difficulty of each


def pooled_confusion(pool: Pool, folder: Path) -> ConfusionMatrix:
    """Of all guide networks, on the validation images."""
    predicted = [np.load(path)["predicted"].astype(np.int64) for path in sorted(folder.glob("*-full.npz"))]
    labels = pool.classes[pool.val.ravel()]
    class_ids = [f"{one:04d}" for one in range(pool.settings.classes)]
    return rf.confusion(np.tile(labels, len(predicted)), np.concatenate(predicted), class_ids)


def hits_of_guides(trainings: Iterable[Training], num_classes: int) -> tuple[list[str], NetworkHits]:
    """Which guides count, and how many validation images of each class they get right, trained on everything."""
    full = [one for one in trainings if (one.cell.condition, one.cell.share, one.cell.seed) == ("full", 1.0, 0)]
    guides = [one for one in full if one.cell.network in {**GUIDES, **MORE}]
    near = [one for one in guides if one.top1 > max(guide.top1 for guide in guides) - NEAR]
    right = np.array([one.correct.reshape(num_classes, -1) for one in near])
    class_ids = tuple(f"{one:04d}" for one in range(num_classes))
    images = np.full(num_classes, right.shape[2], np.int64)
    return [one.cell.network for one in near], NetworkHits(right.sum(axis=2, dtype=np.int64), images, class_ids)


def difficulty(pool: Pool, folder: Path) -> FloatArray:
    """(K, train): of each training image, 1 - the probability that guides which have not seen it give its class."""
    found = []
    for path in sorted(folder.glob("*-half-a.npz")):
        given = np.empty((pool.settings.classes, pool.settings.train))
        for half, start in (("half-a", 1), ("half-b", 0)):  # trained on the one, judged by the other
            other = np.load(path.with_name(path.name.replace("half-a", half)))["probability"]
            given[:, start::2] = other.reshape(pool.settings.classes, -1) / 255
        found.append(1 - given)
    mean: FloatArray = np.mean(found, axis=0)
    return mean


def _at_random(difficulty: FloatArray, m: int, rng: np.random.Generator) -> IntArray:
    return rng.choice(len(difficulty), m, replace=False)


def _easiest(difficulty: FloatArray, m: int, rng: np.random.Generator) -> IntArray:
    return np.argsort(difficulty, kind="stable")[:m]


def _hardest(difficulty: FloatArray, m: int, rng: np.random.Generator) -> IntArray:
    return np.argsort(difficulty, kind="stable")[-m:]


def _tails(difficulty: FloatArray, m: int, rng: np.random.Generator) -> IntArray:
    return np.concatenate([_easiest(difficulty, m - m // 2, rng), _hardest(difficulty, m // 2, rng)])


def _evenly(difficulty: FloatArray, m: int, rng: np.random.Generator) -> IntArray:
    """The middle of each of m parts of equal size."""
    middles = ((np.arange(m) + 0.5) * len(difficulty) / m).astype(np.int64)
    return np.argsort(difficulty, kind="stable")[middles]


PICKS: Mapping[str, Pick] = {
    "random": _at_random,
    "easiest": _easiest,
    "hardest": _hardest,
    "tails": _tails,
    "even": _evenly,
}


def some_images(pool: Pool, difficulty: FloatArray, m: int, pick: Pick) -> Choice:
    """m training images of each class, and all classes."""
    rng = np.random.default_rng(0)
    chosen = [images[np.sort(pick(hard, m, rng))] for images, hard in zip(pool.train, difficulty, strict=True)]
    groups = [[one] for one in range(pool.settings.classes)]
    return Choice(groups, np.concatenate(chosen).tolist(), f"{m} images of each class: {pick.__name__.strip('_')}")


def random_classes(pool: Pool, k: int, draw: int) -> Choice:
    rng = np.random.default_rng([k, draw])
    return of_classes(rng.choice(pool.settings.classes, k, replace=False).tolist(), f"{k} classes at random")


def conditions(pool: Pool, folder: Path) -> Iterator[tuple[str, Callable[[], Choice]]]:
    """Every condition by its name, and how it is chosen."""
    confusion, hard = pooled_confusion(pool, folder / "guides"), difficulty(pool, folder / "guides")
    guides, hits = hits_of_guides(Grid(folder).trainings.values(), pool.settings.classes)
    classes = pool.settings.classes
    for k in (classes // 30, classes // 20, classes // 10, classes // 4, classes // 2):
        for draw in range(DRAWS):
            yield f"random-{k}-{draw}", partial(random_classes, pool, k, draw)
        for name, method in METHODS.items():
            yield f"{name}-{k}", partial(_by_confusion, confusion, k, method)
        for name, hardness in BLENDS.items():
            yield f"{name}-{k}", partial(_by_fidelity, confusion, guides, hits, k, hardness)
        yield f"highest-accuracy-{k}", partial(_highest_accuracy, confusion, k)
        yield f"coarse-{k}", partial(_coarse, confusion, k)
    for m in (pool.settings.train // 10, pool.settings.train // 4):
        for name, pick in PICKS.items():
            yield f"images-{name}-{m}", partial(some_images, pool, hard, m, pick)


def _by_confusion(confusion: ConfusionMatrix, k: int, method: Method) -> Choice:
    return of_classes(rf.choose_classes(confusion, k, method=method).classes, f"{k} classes by {method}")


def _by_fidelity(confusion: ConfusionMatrix, guides: list[str], hits: NetworkHits, k: int, hardness: float) -> Choice:
    classes, _ = rank_fidelity(confusion, hits, SelectSettings(k=k, method="rank-fidelity", hardness=hardness))
    how = f"{k} classes by rank-fidelity, hardness {hardness:g}, of {len(guides)} networks: {', '.join(guides)}"
    return of_classes(classes.tolist(), how)


def _highest_accuracy(confusion: ConfusionMatrix, k: int) -> Choice:
    right = np.diag(confusion.counts) / confusion.counts.sum(axis=1)
    return of_classes(np.argsort(-right, kind="stable")[:k].tolist(), f"{k} classes of the highest accuracy")


def _coarse(confusion: ConfusionMatrix, k: int) -> Choice:
    return Choice(rf.group_classes(confusion, "confused", num_groups=k).labels, how=f"{k} groups of confused classes")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=RESULTS)
    folder = parser.parse_args().folder
    pool = Pool.open(Grid(folder).settings()[0])
    for name, choose in conditions(pool, folder):
        path = folder / "choices" / f"{name}.json"
        if not path.exists():
            choose().save(path)


if __name__ == "__main__":
    main()
