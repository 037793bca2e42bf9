"""The ways of training that are compared: `fast`, `fast` with one thing changed, and its rivals.

A way that needs a field of Recipe which this version has not, or that changes nothing in a case, is not there.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from benchmarks.experiments.recipe.cases import Case
from benchmarks.experiments.recipe.sets import Images
from benchmarks.experiments.recipe.trainings import Outcome, by_recipe, by_timm, plain
from rescale_fast.artifact import json_sha256, to_json
from rescale_fast.train.recipe import FAST, SGD, OneCycle, Recipe

BASELINE = "fast"
PLAIN_RATE = 0.1  # of the plain loop, at batch 64: the best of 0.05, 0.1 and 0.2
Parts = dict[str, Images]
Change = Callable[[Recipe, int], Recipe]  # FAST and the number of images -> the recipe for so many


@dataclass(frozen=True)
class Way:
    """One way of training in one case."""

    name: str
    settings: Mapping[str, Any]  # all that decides the result, but for case and seed
    train: Callable[[Parts, int], Outcome]  # of both parts, and a seed

    @property
    def digest(self) -> str:
        """Of the settings: a result of other settings is none of this way."""
        return json_sha256(dict(self.settings))[:12]


def _with(**fields: Any) -> Change:
    return lambda fast, num_images: replace(fast, **fields).for_images(num_images)


def _times(*, batch: float = 1.0, rate: float = 1.0) -> Change:
    def change(fast: Recipe, num_images: int) -> Recipe:
        recipe = fast.for_images(num_images)
        recipe = recipe.of_batch(round(recipe.batch_size * batch))
        return replace(recipe, learning_rate=recipe.learning_rate * rate)

    return change


CHANGES: Mapping[str, Change] = {
    BASELINE: _with(),
    "label smoothing 0": _with(label_smoothing=0.0),
    "averaging 0": _with(averaging=0.0),
    "averaging 0.1": _with(averaging=0.1),
    "no growing": _with(first_size=1.0),
    "no Nesterov": _with(optimizer=SGD(nesterov=False)),
    "single precision": _with(half_precision=False),
    "decay on weights alone": _with(decays="weights"),
    "decay on all": _with(decays="all"),
    "falls by a line": _with(schedule=OneCycle(fall="line")),
    "warm-up 10 %": _with(schedule=OneCycle(warm_up=0.1)),
    "BlurPool": _with(blur_pool=True),
    "tested larger": _with(test_size=8 / 7),
    "rate x 2": _times(rate=2.0),
    "rate / 2": _times(rate=0.5),
    "batch x 2": _times(batch=2.0),
    "batch / 2": _times(batch=0.5),
    "16 steps an epoch": _with(steps_an_epoch=16),
    "32 steps an epoch": _with(steps_an_epoch=32),
    "weight decay x 4": _with(weight_decay=2e-3),
}


def ways(case: Case) -> Iterator[Way]:
    """All that there are in a case; the baseline is the first."""
    num_images = case.images.classes * case.images.train
    seen: set[str] = set()
    for name, change in CHANGES.items():
        recipe = replace(change(FAST, num_images), augment=case.images.augment, steps_an_epoch=1)
        way = Way(name, {"recipe": to_json(_effective(recipe, case.images.size))}, partial(_by_recipe, case, recipe))
        if way.digest not in seen:
            seen.add(way.digest)
            yield way
    yield from _rivals(case, FAST.for_images(num_images))


def _effective(recipe: Recipe, size: int) -> Recipe:
    """The recipe without what does nothing to images of that size."""
    return replace(
        recipe,
        first_size=1.0 if recipe.size_at(0, size) == size else recipe.first_size,
        test_size=1.0 if recipe.tested_size(size) == size else recipe.test_size,
    )


def _by_recipe(case: Case, recipe: Recipe, parts: Parts, seed: int) -> Outcome:
    return by_recipe(parts, case.reference, recipe, seed)


def _rivals(case: Case, fast: Recipe) -> Iterator[Way]:
    how = {"epochs": fast.epochs, "batch_size": fast.batch_size}
    for share in (0.5, 1.0, 2.0):
        name = "plain loop" if share == 1 else f"plain loop, rate x {share:g}"
        rate = share * PLAIN_RATE * fast.batch_size / 64
        yield Way(name, {"plain": 1, "rate": rate, **how}, _plain(case, learning_rate=rate, **how))
    for batch_size, name in ((fast.batch_size, "timm, batch of fast"), (128, "timm")):
        how = {"epochs": fast.epochs, "batch_size": batch_size}
        yield Way(name, {"timm": 1, **how}, _timm(case, **how))


def _plain(case: Case, **how: Any) -> Callable[[Parts, int], Outcome]:
    return lambda parts, seed: plain(parts, case.reference, case.images.augment, seed, **how)


def _timm(case: Case, **how: Any) -> Callable[[Parts, int], Outcome]:
    return lambda parts, seed: by_timm(parts, case.reference, case.images.augment, seed, **how)
