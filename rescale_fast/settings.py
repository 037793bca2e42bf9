"""Settings that check themselves, wherever they come from: a command line or Python."""

import math
import os
import types
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import MISSING, dataclass, fields
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np

from rescale_fast.errors import SettingError

Choice = TypeVar("Choice")


@dataclass(frozen=True)
class Between:
    """The values that a number may have: `k: Annotated[int, Between(2)]`."""

    low: float
    high: float = math.inf
    open: bool = False  # without the ends themselves

    def __contains__(self, number: float) -> bool:
        return self.low < number < self.high if self.open else self.low <= number <= self.high

    def __str__(self) -> str:
        low = f"more than {self.low:,}" if self.open else f"{self.low:,}"
        if self.high == math.inf:
            return low if self.open else f"{low} or more"
        return f"{low} and less than {self.high:,}" if self.open else f"{low} to {self.high:,}"


@dataclass(frozen=True)
class Exists:
    """Said of a path that is read: there must be something when the command begins (see `check_inputs`)."""


@dataclass(frozen=True)
class Positional:
    """Said of a field that the command line takes without its name."""


class Registry(dict[str, Choice]):
    """The choices of one kind, by name. Whoever adds one, `METHODS["mine"] = my_method`, adds it everywhere: settings,
    command lines and lists read the names when they need them.
    """

    def __setitem__(self, name: str, entry: Choice) -> None:
        """Raises: SettingError for a name that is taken: one choice must never silently become another."""
        if name in self:
            raise SettingError(f"{name!r} is there already, beside {', '.join(self)}. Take another name.")
        super().__setitem__(name, entry)


@dataclass(frozen=True)
class OneOf:
    """The texts that name an entry of a registry, at the time of asking: `Annotated[str, OneOf("module:REGISTRY")]`.

    The registry stands right of the settings, whose types its entries know; so it is imported when it is asked for.
    """

    registry: str
    or_else: str = ""  # what other texts may be; they are checked elsewhere

    @property
    def entries(self) -> Mapping[str, Any]:
        module, _, name = self.registry.partition(":")
        found: Mapping[str, Any] = getattr(import_module(module), name)
        return found

    def __contains__(self, text: str) -> bool:
        return bool(self.or_else) or text in self.entries

    def __str__(self) -> str:
        return f"one of {', '.join(self.entries)}" + (f", or {self.or_else}" if self.or_else else "")


Limits: TypeAlias = "Between | OneOf | None"
Seed = Annotated[int, Between(0, 2**63 - 1)]
NumThreads = Annotated[int, Between(0, 4096)]
InputPath = Annotated[Path, Exists()]


@dataclass(frozen=True)
class Settings:
    """Base of all settings: a value that its field's type does not allow is refused when the object is made.

    Types are those of the field: `Literal`s, texts with a `OneOf`, numbers with a `Between`, strings, paths (a string
    becomes one), tuples, other settings, and unions of these; numbers of NumPy become plain ones. What depends on
    several fields belongs in `check`.

    Raises: SettingError naming the field as the command line does (`effort` is --effort).
    """

    def __post_init__(self) -> None:
        kind: Any = type(self)
        for name, allowed in _allowed(kind).items():
            value = plain(getattr(self, name), allowed)
            if not any(fits(value, kind, limits) for kind, limits in allowed):
                found, wanted = _culprit(value, allowed)
                raise SettingError(f"{option(name)} {_shown(found, wanted)}: expected {expected(wanted)}.")
            object.__setattr__(self, name, value)
        self.check()

    def check(self) -> None:
        """Raises: SettingError for fields that do not go together."""

    def changed(self, *names: str) -> list[str]:
        """The options that differ from their defaults, of those fields or of all, as the command line calls them."""
        defaults = {
            field.name: field.default if field.default_factory is MISSING else field.default_factory()
            for field in fields(self)
            if (field.default, field.default_factory) != (MISSING, MISSING)
        }
        return [option(name) for name in names or defaults if getattr(self, name) != defaults[name]]

    def refuse(self, *names: str, because: str) -> None:
        """Raise SettingError when one of these fields is set, which would have no effect, saying why."""
        useless = self.changed(*names)
        if useless:
            raise SettingError(f"{', '.join(useless)}: would have no effect, {because}. Leave out one or the other.")


def option(name: str) -> str:
    """A field's name as the command line has it."""
    return "--" + name.replace("_", "-")


def find_choice(choices: Mapping[str, Choice], name: str, what: str) -> Choice:
    """The entry of that name. Raises: SettingError naming all there are; `what` names the setting, such as --method."""
    if name not in choices:
        raise SettingError(f"{what} {name}: expected one of {', '.join(choices)}.")
    return choices[name]


def check_inputs(settings: Settings) -> None:
    """Look whether all files are there that the settings, and those inside them, say are to be read.

    Raises: SettingError naming the first option that leads to nothing.
    """
    kind: Any = type(settings)
    for field in fields(settings):
        value = getattr(settings, field.name)
        if isinstance(value, Settings):
            check_inputs(value)
            continue
        if any(isinstance(note, Exists) for note in notes_of(hints_of(kind)[field.name])):
            for path in value if isinstance(value, tuple) else (value,):
                if path is not None and not path.exists():
                    called = "" if is_positional(hints_of(kind)[field.name]) else f"{option(field.name)} "
                    raise SettingError(f"{called}{path}: no such file or folder.")


def is_positional(hint: Any) -> bool:
    """Whether the command line takes a field without its name."""
    return any(isinstance(note, Positional) for note in notes_of(hint))


@cache
def hints_of(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind, include_extras=True)


@cache
def _allowed(kind: Any) -> dict[str, list[tuple[Any, Limits]]]:
    """{field: the plain types that it may have, each with what is said of its values}."""
    return {field.name: list(alternatives(hints_of(kind)[field.name])) for field in fields(kind)}


def alternatives(hint: Any, limits: Limits = None) -> Iterable[tuple[Any, Limits]]:
    if get_origin(hint) is Annotated:
        plain, *notes = get_args(hint)
        yield from alternatives(plain, next((note for note in notes if isinstance(note, (Between, OneOf))), limits))
    elif get_origin(hint) in (Union, types.UnionType):
        for one in get_args(hint):
            yield from alternatives(one, limits)
    else:
        yield hint, limits


def notes_of(hint: Any) -> Iterable[Any]:
    """All that is said of a type and of those it is made of."""
    if get_origin(hint) is Annotated:
        yield from get_args(hint)[1:]
    for part in get_args(hint):
        yield from notes_of(part)


def plain(value: Any, allowed: list[tuple[Any, Limits]]) -> Any:
    """The value as the field keeps it: no types of NumPy, floats as floats, paths as paths, `~` as the home folder;
    a path where a text may name a file, too, as one that names nothing else.
    """
    kinds = [kind for kind, _ in allowed]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, (str, os.PathLike)) and Path in kinds and value != "":  # which would be the working folder
        with suppress(RuntimeError):  # nobody of that name has a home
            return Path(value).expanduser()
        return Path(value)
    if isinstance(value, os.PathLike) and str in kinds:
        return str(Path(value).absolute())
    if type(value) is int and float in kinds:
        with suppress(OverflowError):
            return float(value)
    if isinstance(value, tuple):
        for kind in kinds:
            if get_origin(kind) is tuple:
                return tuple(plain(one, list(alternatives(get_args(kind)[0]))) for one in value)
    return value


def fits(value: Any, kind: Any, limits: Limits) -> bool:
    if get_origin(kind) is Literal:
        return any(type(value) is type(choice) and value == choice for choice in get_args(kind))
    if get_origin(kind) is tuple:
        (item, *_) = get_args(kind)  # tuple[X, ...]
        return isinstance(value, tuple) and all(any(fits(one, *way) for way in alternatives(item)) for one in value)
    if kind is int or kind is float:
        is_number = type(value) is kind and (kind is int or math.isfinite(value))
        return is_number and (not isinstance(limits, Between) or value in limits)
    if kind is str and isinstance(limits, OneOf):
        return isinstance(value, str) and value in limits
    return isinstance(value, kind)


def expected(allowed: Iterable[tuple[Any, Limits]]) -> str:
    """What a field takes, in words; that it may be None, too, is of no use on a command line."""
    return " or ".join(dict.fromkeys(describe(*one) for one in allowed if one[0] is not types.NoneType))


def describe(kind: Any, limits: Limits) -> str:
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(map(str, get_args(kind)))
    if kind in (int, float):
        words = "a whole number" if kind is int else "a number"
        return f"{words}, {limits}" if limits else words
    if kind is str and limits is not None:
        return str(limits)
    if get_origin(kind) is tuple:
        return "a tuple of " + " or ".join(describe(*way) for way in alternatives(get_args(kind)[0]))
    return {str: "text", bool: "True or False", Path: "a path"}.get(kind, getattr(kind, "__name__", str(kind)))


def _culprit(value: Any, allowed: list[tuple[Any, Limits]]) -> tuple[Any, list[tuple[Any, Limits]]]:
    """What does not fit, and what would: of a tuple, its first item that does not."""
    for kind, _ in allowed:
        if get_origin(kind) is tuple and isinstance(value, tuple):
            items = list(alternatives(get_args(kind)[0]))
            for item in value:
                if not any(fits(item, *way) for way in items):
                    return _culprit(item, items)
    return value, allowed


def _shown(value: Any, allowed: list[tuple[Any, Limits]]) -> str:
    """A value as messages show it: texts as they are, except where something else than a text is expected."""
    takes_words = any(kind is str or get_origin(kind) is Literal for kind, _ in allowed)
    text = str(value) if isinstance(value, str) == takes_words or not isinstance(value, str) else repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
