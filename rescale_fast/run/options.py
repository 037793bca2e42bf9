"""The options of a command: one for each field of its settings, and of the settings inside these.

The one description that the parser (parsing.py), pages of help (help_page.py), completion and docs/cli.md are made of.
What a value may be is what its field's type says, so that the settings check it, wherever it comes from.
"""

import ast
import sys
from collections.abc import Iterator
from dataclasses import MISSING, dataclass, fields
from functools import cache
from inspect import cleandoc
from itertools import pairwise
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from rescale_fast.settings import (
    Limits,
    OneOf,
    Settings,
    alternatives,
    describe,
    expected,
    hints_of,
    is_positional,
    option,
)

METAVARS = {int: "N", float: "NUMBER", Path: "PATH", str: "TEXT", Literal: "CHOICE"}


@dataclass(frozen=True)
class Option:
    """One option, or a word without a name where `is_positional`."""

    path: tuple[str, ...]  # of the field: ("select", "k")
    of: Any  # the class of settings whose field it is
    kinds: tuple[tuple[Any, Limits], ...]  # the plain types that a value may have; of many, that each may have
    takes_many: bool
    is_positional: bool
    default: Any  # MISSING where it is required

    @property
    def name(self) -> str:
        """As it is typed, or as pages of help call it."""
        return self.path[-1].upper() if self.is_positional else option(self.path[-1])

    @property
    def is_switch(self) -> bool:
        return self.kinds == ((bool, None),)

    @property
    def is_required(self) -> bool:
        return self.default is MISSING

    @property
    def reads_files(self) -> bool:
        """Whether a value may be the path of a file or folder."""
        return any(kind is Path or (isinstance(limits, OneOf) and limits.or_else) for kind, limits in self.kinds)

    @property
    def choices(self) -> tuple[str, ...]:
        """All values, or those with names."""
        found = [str(one) for kind, _ in self.kinds if get_origin(kind) is Literal for one in get_args(kind)]
        found += [name for _, limits in self.kinds if isinstance(limits, OneOf) for name in limits.entries]
        return tuple(dict.fromkeys(found))

    @property
    def metavar(self) -> str:
        """What follows the name: nothing after a switch."""
        if self.is_switch or self.is_positional:
            return ""
        words = dict.fromkeys(_metavar(kind, limits) for kind, limits in self.kinds)
        return " | ".join(words) + (" ..." if self.takes_many else "")

    @property
    def usage(self) -> str:
        """As a line of usage has it, such as `--out PATH` or `--decode, --no-decode`."""
        if self.is_positional:
            return self.name + (" ..." if self.takes_many else "")
        return f"{self.name}, {self.opposite}" if self.is_switch else f"{self.name} {self.metavar}"

    @property
    def opposite(self) -> str:
        """What turns a switch off."""
        return "--no-" + self.name.removeprefix("--")

    @property
    def expected(self) -> str:
        """What a value must be, in words."""
        return expected(self.kinds)

    @property
    def help(self) -> str:
        """The text beside the field, in one line."""
        return _texts(self.of).get(self.path[-1], "")

    @property
    def values(self) -> str:
        """What values there are, where the metavar does not say it."""
        if self.choices:
            others = [limits.or_else for _, limits in self.kinds if isinstance(limits, OneOf) and limits.or_else]
            return f"one of {', '.join(self.choices)}" + (f", or {others[0]}" if others else "")
        limits = [str(limits) for _, limits in self.kinds if limits is not None]
        return ", or ".join(limits).replace(f"{2**63 - 1:,}", "2^63 - 1")

    @property
    def shown_default(self) -> str:
        """The default as it would be typed; nothing where there is none, or where the text says it."""
        if self.is_switch:
            return "on" if self.default else "off"
        if self.default in (MISSING, None, ()):
            return ""
        values = self.default if self.takes_many else (self.default,)
        return " ".join(f"{one:g}" if isinstance(one, float) else str(one) for one in values)


@dataclass(frozen=True)
class Group:
    """The options of the settings of one kind; the command's own come first, without a title."""

    title: str
    summary: str
    options: tuple[Option, ...]


def options_of(kind: type[Settings]) -> list[Option]:
    """All options of a command, words without names first."""
    return [one for group in groups_of(kind) for one in group.options]


def groups_of(kind: type[Settings]) -> list[Group]:
    """The options of a command, by the settings that they are of."""
    own = sorted(_options(kind, ()), key=lambda one: not one.is_positional)
    groups = [Group("", "", tuple(own))]
    of: Any = kind
    for name, part in hints_of(of).items():
        if _is_settings(part):
            groups.append(Group(name, description(part)[0], tuple(_options(part, (name,)))))
    return groups


def description(kind: type[Settings]) -> list[str]:
    """What a class says of itself, a line a paragraph."""
    return [" ".join(part.split()) for part in cleandoc(kind.__doc__ or "").split("\n\n")]


def _options(kind: Any, place: tuple[str, ...]) -> Iterator[Option]:
    for field in fields(kind):
        hint = hints_of(kind)[field.name]
        if _is_settings(hint):
            continue
        kinds = [one for one in alternatives(hint) if one[0] is not NoneType]
        items = [get_args(one)[0] for one, _ in kinds if get_origin(one) is tuple]
        if items:
            kinds = list(alternatives(items[0]))
        default = field.default if field.default_factory is MISSING else field.default_factory()
        yield Option((*place, field.name), kind, tuple(kinds), bool(items), is_positional(hint), default)


def _is_settings(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, Settings)


def _metavar(kind: Any, limits: Limits) -> str:
    if isinstance(limits, OneOf):
        return "NAME" if limits.or_else else METAVARS[Literal]
    return METAVARS.get(get_origin(kind) or kind) or describe(kind, limits).upper()


@cache
def _texts(kind: Any) -> dict[str, str]:
    """{field: the text that stands under it in the source}, which is read when it is asked for."""
    body = _class_bodies(kind.__module__)[kind.__name__]
    return {
        field.target.id: " ".join(text.value.value.split())
        for field, text in pairwise(body)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant) and isinstance(text.value.value, str)
    }


@cache
def _class_bodies(module: str) -> dict[str, list[ast.stmt]]:
    source = sys.modules[module].__file__
    assert source is not None
    tree = ast.parse(Path(source).read_text(encoding="utf-8"))
    return {node.name: node.body for node in tree.body if isinstance(node, ast.ClassDef)}
