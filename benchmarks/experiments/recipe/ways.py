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
from rescale_fast.train.recipe import FAST, SGD, AdamW, OneCycle, Recipe

BASELINE = "fast"
RATES = {"SGD": 0.4, "AdamW": 5e-4}  # of the plain loop, at batch 64; half of it and twice it are tried, too
TIMM = (  # name, size of batch (0 = that of fast), whether with our images, and how many times its learning rate
    ("timm", 128, False, 1.0),
    ("timm, same images", 0, True, 1.0),
    ("timm, same images, rate x 16", 0, True, 16.0),
)
Parts = dict[str, Images]
Change = Callable[[Recipe, int], Recipe]  # `fast` and the number of images -> the recipe for so many


@dataclass(frozen=True)
class Way:
    """One way of training in one case."""

    name: str
    settings: Mapping[str, Any]  # all that decides the result, but for the seed
    train: Callable[[Parts, int], Outcome]  # of both parts, and a seed

    @property
    def digest(self) -> str:
        """Of the settings: a result of other settings is none of this way."""
        return json_sha256(dict(self.settings))[:12]


def _with(**fields: Any) -> Change:
    return lambda fast, num_images: replace(fast, **fields).for_images(num_images)


def _by_sgd(fast: Recipe, num_images: int) -> Recipe:
    return replace(FAST, augment=fast.augment).for_images(num_images)


def _alternately(fast: Recipe, num_images: int) -> Recipe:
    augment = {"crop-flip": "crop-alternate"}.get(fast.augment, fast.augment)
    return replace(fast, augment=augment).for_images(num_images)


def _times(*, batch: float = 1.0, rate: float = 1.0) -> Change:
    def change(fast: Recipe, num_images: int) -> Recipe:
        recipe = fast.for_images(num_images)
        recipe = recipe.of_batch(round(recipe.batch_size * batch))
        return replace(recipe, learning_rate=recipe.learning_rate * rate)

    return change


CHANGES: Mapping[str, Change] = {
    BASELINE: _with(),
    "label smoothing 0.1": _with(label_smoothing=0.1),
    "label smoothing 0": _with(label_smoothing=0.0),
    "averaging 0": _with(averaging=0.0),
    "no growing": _with(first_size=1.0),
    "no Nesterov": _with(optimizer=SGD(scaling=FAST.optimizer.scaling)),
    "SGD of fast": _by_sgd,
    "no shortened gradients": _with(clip_norm=0.0),
    "whole batches alone": _with(drops_last=True),
    "decay on weights alone": _with(decays="weights"),
    "decay on all": _with(decays="all"),
    "falls by a line": _with(schedule=OneCycle(fall="line")),
    "warm-up 10 %": _with(schedule=OneCycle(warm_up=0.1)),
    "alternate flips": _alternately,
    "BlurPool": _with(blur_pool=True),
    "tested larger": _with(test_size=8 / 7),
    "rate x 2": _times(rate=2.0),
    "rate / 2": _times(rate=0.5),
    "batch x 2": _times(batch=2.0),
    "batch / 2": _times(batch=0.5),
}


ONLY = {"no Nesterov": SGD, "SGD of fast": AdamW, "no shortened gradients": AdamW}  # for recipes with this optimiser


def ways(case: Case) -> Iterator[Way]:
    """Those that there are in a case; the baseline is the first."""
    return (way for way in _all_ways(case) if not case.ways or way.name in case.ways)


def _all_ways(case: Case) -> Iterator[Way]:
    fast = replace(case.fast(), augment=case.images.augment)
    seen: set[str] = set()
    for name, change in CHANGES.items():
        if name in ONLY and ONLY[name] is not type(fast.optimizer):
            continue
        recipe = replace(change(fast, case.num_images), steps_an_epoch=1)  # its size of batch is resolved
        way = Way(name, _settings(case, recipe=_effective(recipe, case.images.size)), partial(_by_recipe, case, recipe))
        if way.digest not in seen:
            seen.add(way.digest)
            yield way
    yield from _rivals(case, fast.for_images(case.num_images))


def _settings(case: Case, **how: Any) -> Mapping[str, Any]:
    return {
        "images": to_json(case.images),
        "network": case.network,
        **{key: to_json(value) for key, value in how.items()},
    }


def _effective(recipe: Recipe, size: int) -> Recipe:
    """The recipe without what does nothing on a CPU, or to images of that size."""
    return replace(
        recipe,
        half_precision=False,
        first_size=1.0 if recipe.size_at(0, size) == size else recipe.first_size,
        test_size=1.0 if recipe.tested_size(size) == size else recipe.test_size,
    )


def _by_recipe(case: Case, recipe: Recipe, parts: Parts, seed: int) -> Outcome:
    return by_recipe(parts, case.reference, recipe, seed)


def _rivals(case: Case, fast: Recipe) -> Iterator[Way]:
    optimizer = type(fast.optimizer).__name__
    for share in (1.0, 0.5, 2.0) if case.half == "choose" else (1.0,):
        rate = share * RATES[optimizer] * (fast.batch_size / 64) ** 0.5
        how = {"optimizer": optimizer, "epochs": fast.epochs, "batch_size": fast.batch_size, "learning_rate": rate}
        name = "plain loop" if share == 1 else f"plain loop, rate x {share:g}"
        yield Way(name, _settings(case, plain=how), _plain(case, **how))
    for name, batch_size, same, share in TIMM if case.half == "choose" else TIMM[:2]:
        how = {"epochs": fast.epochs, "batch_size": batch_size or fast.batch_size, "same_images": same, "share": share}
        yield Way(name, _settings(case, timm=how), _timm(case, **how))


def _plain(case: Case, **how: Any) -> Callable[[Parts, int], Outcome]:
    return lambda parts, seed: plain(parts, case.reference, case.images.augment, seed, **how)


def _timm(case: Case, **how: Any) -> Callable[[Parts, int], Outcome]:
    return lambda parts, seed: by_timm(parts, case.reference, case.images.augment, seed, **how)
