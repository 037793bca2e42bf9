"""Writes a new grid's folder: what is drawn, and which trainings, in which order.

    python -m benchmarks.experiments.rank_fidelity.plan --folder DIR [--classes 1000 --size 32 --train 100 --epochs 16]

The order is that of importance, so that what is finished at any time can be analysed: the guides, one seed of the full
training, the controls, the choices, further seeds. The numbers of classes follow from the whole: at a tenth of the
cost, a tenth of the classes is trained for as many epochs as the full set.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

from benchmarks.experiments.rank_fidelity.pool import PoolSettings
from rescale_fast.artifact import to_json, write_json, write_whole

HALVES = "guide-gelu guide-smooth"  # whose halves say how difficult a training image is
TENTH, QUARTER, THIRTIETH = 0.1, 0.25, 0.0333
FIRST = 10  # seed of all but the full training, so that no seed is that of a training it is compared with


def rows(settings: PoolSettings) -> Iterator[tuple[str, float, int, str]]:
    """(condition, share, seed, networks) in the order of importance."""
    half, quarter, tenth, twentieth, thirtieth = (settings.classes // part for part in (2, 4, 10, 20, 30))
    few, some = settings.train // 10, settings.train // 4
    yield "full", 1, 0, "guides"
    yield "half-a", 1, 0, HALVES
    yield "half-b", 1, 0, HALVES
    yield "full", 1, 0, "zoo"
    yield from _of_zoo(TENTH, f"random-{tenth}-0", "full")
    yield "full", 1, 0, "more"
    yield from _of_zoo(TENTH, f"rank-fidelity-{tenth}", f"max-confusion-{tenth}")
    yield "full", 1, 1, "zoo"
    yield from _of_zoo(TENTH, *(f"random-{name}" for name in (f"{tenth}-1", f"{twentieth}-0", f"{quarter}-0")))
    yield from _of_zoo(QUARTER, "full", f"rank-fidelity-{tenth}", f"random-{quarter}-0")
    yield from _of_zoo(TENTH, f"random-{half}-0", f"rank-fidelity-{quarter}", f"random-{quarter}-1")
    yield from _of_zoo(TENTH, f"max-confusion-{quarter}")
    yield "full", 1, 2, "zoo"
    yield from _of_zoo(TENTH, f"lowest-accuracy-{tenth}")
    yield from _of_zoo(QUARTER, f"random-{tenth}-0")
    yield from _of_zoo(TENTH, f"coarse-{tenth}", f"random-{quarter}-2")
    yield from _of_zoo(TENTH, f"images-easiest-{few}", f"random-{tenth}-2", f"outcomes-{tenth}")
    yield from _of_zoo(TENTH, f"coarse-{tenth}", seed=FIRST + 1)
    yield from _of_zoo(TENTH, f"coarse-{quarter}", f"coarse-{twentieth}", f"images-random-{few}")
    yield from _of_zoo(TENTH, f"random-{quarter}-3", f"random-{quarter}-4", f"random-{tenth}-3", f"random-{tenth}-4")
    yield from _of_zoo(TENTH, f"highest-accuracy-{tenth}", f"random-{half}-1", f"lowest-accuracy-{quarter}")
    yield from _of_zoo(QUARTER, f"rank-fidelity-{quarter}", f"images-easiest-{some}")
    yield from _of_zoo(TENTH, f"blend50-{tenth}")
    yield from _of_zoo(QUARTER, f"max-confusion-{quarter}")
    yield from _of_zoo(QUARTER, *(f"images-{pick}-{some}" for pick in ("random", "hardest", "even", "tails")))
    yield from _of_zoo(TENTH, *(f"images-{pick}-{few}" for pick in ("hardest", "even", "tails")))
    yield from _of_zoo(THIRTIETH, "full", *(f"random-{thirtieth}-{draw}" for draw in range(5)))
    yield from _of_zoo(THIRTIETH, *(f"{name}-{thirtieth}" for name in ("rank-fidelity", "max-confusion")))
    telling = [f"{name}-{quarter}" for name in ("rank-fidelity", "max-confusion")]
    usual = [f"random-{quarter}-{draw}" for draw in range(5)]
    for seed in range(FIRST + 1, FIRST + 5):
        yield from _of_zoo(TENTH, *telling, "full", *usual, f"images-easiest-{few}", f"images-random-{few}", seed=seed)
        yield from _of_zoo(TENTH, *(f"{name}-{tenth}" for name in ("lowest-accuracy", "outcomes")), seed=seed)


def _of_zoo(share: float, *conditions: str, seed: int = FIRST) -> Iterator[tuple[str, float, int, str]]:
    for condition in conditions:
        yield condition, share, seed, "zoo"


def write_plan(folder: Path, settings: PoolSettings, epochs: int) -> None:
    """Write settings.json and plan.csv."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "settings.json", {"schema": "rank_fidelity/1", "pool": to_json(settings), "epochs": epochs})
    lines = ["condition,share,seed,networks", *(",".join(map(str, row)) for row in rows(settings))]
    with write_whole(folder / "plan.csv") as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=6, help="of the full training")
    for name in ("classes", "size", "train", "val", "seed"):
        parser.add_argument(f"--{name}", type=int, default=getattr(PoolSettings, name))
    arguments = vars(parser.parse_args())
    folder, epochs = arguments.pop("folder"), arguments.pop("epochs")
    write_plan(folder, PoolSettings(**arguments), epochs)


if __name__ == "__main__":
    main()
