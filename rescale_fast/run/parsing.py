"""Words of a command line become settings, which check themselves; what cannot be read is a SettingError in one line.

A word that begins with two hyphens is an option, and what follows it is its value: `--k 50`, `--k=50`, `--val-images
full=50000 small=1500`. Switches take none: `--decode`, `--no-decode`. An option that is given twice has its last value.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from difflib import get_close_matches
from typing import Any, Literal, TypeVar, get_args, get_origin

from rescale_fast.errors import SettingError
from rescale_fast.run.options import Option, options_of
from rescale_fast.settings import Limits, Settings, hints_of

Parsed = TypeVar("Parsed", bound=Settings)
Place = tuple[str, ...]


def parse(kind: type[Parsed], arguments: Sequence[str], command: str) -> Parsed:
    """Make a command's settings.

    Raises: SettingError for an option that there is not, naming the nearest ones; for one without a value, or a value
        too many; for a missing one; and whatever the settings do not allow.
    """
    options = options_of(kind)
    texts, words = _sort(arguments, {one.name: one for one in options if not one.is_positional}, command)
    texts.update(_positional(words, options, command))
    missing = [one.usage.removesuffix(" ...") for one in options if one.is_required and one.path not in texts]
    if missing:
        raise SettingError(f"{command}: needs {' and '.join(missing)}. `rescale-fast {command} --help` says more.")
    return _make(kind, {one.path: _value(one, texts[one.path]) for one in options if one.path in texts})


def _sort(
    arguments: Sequence[str], options: Mapping[str, Option], command: str
) -> tuple[dict[Place, list[str]], list[str]]:
    """({field: the texts that an option gives it}, the words that belong to none)."""
    texts: dict[Place, list[str]] = {}
    words: list[str] = []
    switches = {one.opposite: one for one in options.values() if one.is_switch}
    left = list(arguments)
    while left:
        word = left.pop(0)
        if word == "--":
            return texts, words + left
        if not word.startswith("--"):
            words.append(word)
            continue
        name, has_value, value = word.partition("=")
        name = name.replace("_", "-")
        values = [value] if has_value else []
        if name in switches:
            if values:
                raise SettingError(f"{name}: takes no value.")
            texts[switches[name].path] = ["False"]
            continue
        if name not in options:
            raise _unknown(name, [*options, *switches], command)
        option = options[name]
        while left and not left[0].startswith("--") and _takes_next(option, values, left[0]):
            values.append(left.pop(0))
        if not values and not option.is_switch:
            raise SettingError(f"{name}: expected {option.expected} after it.")
        texts[option.path] = values or ["True"]
    return texts, words


def _takes_next(option: Option, values: Sequence[str], word: str) -> bool:
    if option.is_switch:
        return not values and word in ("True", "False")  # as they were given once
    return option.takes_many or not values


def _positional(words: list[str], options: Sequence[Option], command: str) -> dict[Place, list[str]]:
    """Each takes a word, and one that takes many all that are left."""
    texts = {}
    for option in (one for one in options if one.is_positional):
        taken, words = (words, []) if option.takes_many else (words[:1], words[1:])
        if taken:
            texts[option.path] = taken
    if words and words[0].startswith("-"):
        raise _unknown(words[0], [one.name for one in options], command)
    if words:
        raise SettingError(f"{command}: {words[0]!r} belongs to no option. Is there a word too many, or `--` missing?")
    return texts


def _unknown(name: str, names: Iterable[str], command: str) -> SettingError:
    near = get_close_matches(name, list(names), n=2)
    meant = f" Did you mean {' or '.join(near)}?" if near else ""
    return SettingError(f"{command}: unknown option {name}.{meant} `rescale-fast {command} --help-all` lists all.")


def _value(option: Option, texts: Sequence[str]) -> Any:
    values = tuple(_read(text, option.kinds) for text in texts)
    return values if option.takes_many else values[0]


def _read(text: str, kinds: Iterable[tuple[Any, Limits]]) -> Any:
    """The text as the first type that it can be; else itself, which the settings refuse unless a text will do."""
    for kind, _ in kinds:
        if kind in (int, float):
            with suppress(ValueError):
                return kind(text)
        elif kind is bool and text in ("True", "False"):
            return text == "True"
        elif get_origin(kind) is Literal:
            for choice in get_args(kind):
                if text == str(choice):
                    return choice
    return text


def _make(kind: type[Parsed], values: Mapping[Place, Any]) -> Parsed:
    """The settings with these values, those inside them first."""
    of: Any = kind
    own = {place[0]: value for place, value in values.items() if len(place) == 1}
    for name in dict.fromkeys(place[0] for place in values if len(place) > 1):
        part = hints_of(of)[name]
        own[name] = _make(part, {place[1:]: value for place, value in values.items() if place[0] == name})
    return kind(**own)
