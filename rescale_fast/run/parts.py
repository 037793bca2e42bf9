"""Parts of a data set that an experiment tries, each by a short text: what is chosen, and how many of it.

max-confusion:100       100 classes by a method of `select`
random:100:3            3 draws of 100 classes, the control
coarse:100              all images, in 100 groups of confused classes
images:130              130 training images of each class, at random
difficulty:130          as many, spread evenly over how sure a network is of their class
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from rescale_fast.class_subset.choose import METHODS
from rescale_fast.class_subset.network_hits import FEWEST
from rescale_fast.class_subset.settings import GroupSettings, SelectSettings
from rescale_fast.errors import SettingError
from rescale_fast.image_subset.settings import SampleSettings
from rescale_fast.settings import Registry, Settings, option

MOST_DRAWS = 100
EVERYTHING = SelectSettings(classes="all")


@dataclass(frozen=True)
class Part:
    """What `run` is told to take, and under which name."""

    name: str
    select: SelectSettings = EVERYTHING
    group: GroupSettings = field(default_factory=GroupSettings)
    sample: SampleSettings = field(default_factory=SampleSettings)
    is_random: bool = False  # a control: nothing is chosen

    @property
    def options(self) -> str:
        """The same, as `rescale-fast run` takes it."""
        chosen = self.select if self.group.grouping is None else self.group
        return options_of(chosen, self.sample)


FULL = Part("full")


def options_of(*settings: Settings) -> str:
    """The settings that differ from their defaults, as a command line has them."""
    words = []
    for one in settings:
        changed = one.changed()
        names = [name.name for name in fields(one) if option(name.name) in changed]
        words += [f"{option(name)} {getattr(one, name)}" for name in names]
    return " ".join(words)


def _coarse(number: int) -> Part:
    return Part(f"coarse-{number}", SelectSettings(), GroupSettings("confused", number))


def _images(number: int) -> Part:
    return Part(f"images-{number}", sample=SampleSettings(images="random", per_class=number), is_random=True)


def _difficulty(number: int) -> Part:
    return Part(f"difficulty-{number}", sample=SampleSettings(images="difficulty", per_class=number))


KINDS: Registry[Callable[[int], Part]] = Registry({"coarse": _coarse, "images": _images, "difficulty": _difficulty})


def parts_of(texts: Sequence[str]) -> list[Part]:
    """The parts that texts stand for, without the full set. Raises: SettingError for a text that stands for none."""
    found = [part for text in texts for part in _parts_of(text)]
    names = [part.name for part in found]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise SettingError(f"--parts: {twice} is there twice. Leave out one of them.")
    return found


def usual_parts(num_classes: int, networks: int) -> list[Part]:
    """Of a tenth and a quarter of the classes. Args: networks: how many there are predictions of."""
    methods = ["max-confusion"] + (["rank-fidelity"] if networks >= FEWEST else [])
    numbers = sorted({max(2, num_classes // 10), max(2, num_classes // 4)})
    return parts_of(
        [text for k in numbers for text in (f"random:{k}:3", f"coarse:{k}", *(f"{m}:{k}" for m in methods))]
    )


def _parts_of(text: str) -> list[Part]:
    kind, *numbers = text.split(":")
    if kind not in (*METHODS, *KINDS) or not all(one.isascii() and one.isdigit() for one in numbers):
        raise _refused(text)
    if kind == "random" and len(numbers) == 2 and 1 <= int(numbers[1]) <= MOST_DRAWS:
        return [_drawn(int(numbers[0]), draw) for draw in range(int(numbers[1]))]
    if len(numbers) != 1:
        raise _refused(text)
    number = int(numbers[0])
    if kind == "random":
        return [_drawn(number, 0)]
    return [KINDS[kind](number) if kind in KINDS else Part(f"{kind}-{number}", _select(number, kind))]


def _drawn(k: int, draw: int) -> Part:
    return Part(f"random-{k}-{draw}", _select(k, "random", search_seed=draw), is_random=True)


def _select(k: int, method: str, **others: Any) -> SelectSettings:
    return SelectSettings(k=k, method=method, **others)


def _refused(text: str) -> SettingError:
    kinds = ", ".join(f"{name}:NUMBER" for name in (*METHODS, *KINDS))
    return SettingError(f"--parts {text}: expected one of {kinds}, or random:NUMBER:DRAWS (up to {MOST_DRAWS} draws).")
