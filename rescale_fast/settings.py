"""Settings that check themselves, wherever they come from: a command line or Python."""

import math
import types
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np

from rescale_fast.errors import SettingError


@dataclass(frozen=True)
class Between:
    """The values that a number may have, both ends included: `k: Annotated[int, Between(2)]`."""

    low: float
    high: float = math.inf

    def __str__(self) -> str:
        if self.high == math.inf:
            return f"{self.low:,} or more"
        return f"{self.low:,} to {self.high:,}"


Seed = Annotated[int, Between(0, 2**63 - 1)]


@dataclass(frozen=True)
class Settings:
    """Base of all settings: a value that its field's type does not allow is refused when the object is made.

    Types are those of the field: `Literal`s, numbers with a `Between`, strings, paths (a string becomes one), tuples,
    other settings, and unions of these. What depends on several fields belongs in `check`.

    Raises: SettingError naming the field as the command line does (`effort` is --effort).
    """

    def __post_init__(self) -> None:
        hints = get_type_hints(type(self), include_extras=True)
        for field in fields(self):
            value = getattr(self, field.name)
            allowed = list(alternatives(hints[field.name]))
            if isinstance(value, str) and any(kind is Path for kind, _ in allowed):
                object.__setattr__(self, field.name, Path(value))
            elif not any(fits(value, kind, limits) for kind, limits in allowed):
                expected = " or ".join(dict.fromkeys(describe(kind, limits) for kind, limits in allowed))
                raise SettingError(f"--{field.name.replace('_', '-')} {value}: expected {expected}.")
        self.check()

    def check(self) -> None:
        """Raises: SettingError for fields that do not go together."""


def alternatives(hint: Any, limits: Between | None = None) -> Iterable[tuple[Any, Between | None]]:
    """Each plain type of a union, with what is said of its values."""
    if get_origin(hint) is Annotated:
        plain, *notes = get_args(hint)
        yield from alternatives(plain, next((note for note in notes if isinstance(note, Between)), limits))
    elif get_origin(hint) in (Union, types.UnionType):
        for one in get_args(hint):
            yield from alternatives(one, limits)
    else:
        yield hint, limits


def fits(value: Any, kind: Any, limits: Between | None) -> bool:
    if get_origin(kind) is Literal:
        return any(value == choice and type(value) is type(choice) for choice in get_args(kind))
    if get_origin(kind) is tuple:
        (item, *_) = get_args(kind)  # tuple[X, ...]
        return isinstance(value, tuple) and all(any(fits(one, *way) for way in alternatives(item)) for one in value)
    if kind in (int, float):
        number = (int, np.integer) if kind is int else (int, float, np.integer, np.floating)
        if isinstance(value, bool) or not isinstance(value, number):
            return False
        is_finite = isinstance(value, (int, np.integer)) or math.isfinite(value)  # which cannot take any integer
        return is_finite and (limits is None or bool(limits.low <= value <= limits.high))
    return isinstance(value, kind)


def describe(kind: Any, limits: Between | None) -> str:
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(map(str, get_args(kind)))
    if kind in (int, float):
        words = "a whole number" if kind is int else "a number"
        return f"{words}, {limits}" if limits else words
    if get_origin(kind) is tuple:
        return "a tuple of " + " or ".join(describe(*way) for way in alternatives(get_args(kind)[0]))
    return {str: "text", bool: "True or False", Path: "a path", types.NoneType: "nothing"}.get(
        kind, getattr(kind, "__name__", str(kind))
    )
