"""Fields of artifacts that are JSON: what a field may hold is its type, and where it stands a note beside the type.

    num_images: Annotated[int, Between(0), Means("that could be read")]
    class_ids: Annotated[tuple[str, ...], At("classes[].id")]  # of each of the objects in the list "classes"

Reading, writing, checking, the words of messages and docs/formats.md all come from that.
"""

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from types import NoneType
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from rescale_fast.files.reading import DamageError
from rescale_fast.settings import Between, alternatives, describe, fits, plain

Count = Annotated[int, Between(0, 2**63 - 1)]
Positive = Annotated[int, Between(1, 2**63 - 1)]
Share = Annotated[float, Between(0, 1)]
DEEPEST = 64  # nesting of any JSON that we read: far below what recursion over it can take


@dataclass(frozen=True)
class At:
    """Where a field stands, if not under its name: keys, all but the last of lists, such as "groups[].classes[].id"."""

    place: str

    @property
    def keys(self) -> list[str]:
        return self.place.split("[].")


@dataclass(frozen=True)
class Means:
    """What a field is, for docs/formats.md, where its name and type do not say it."""

    text: str


@dataclass(frozen=True)
class ClassesMeta:
    """What a table says of the classes that its labels number."""

    class_ids: Annotated[tuple[str, ...], Means("by label: unique, without control characters")]
    class_names: Annotated[tuple[str, ...], Means("by label: for people; need not be unique")]


def from_tree(cls: type, tree: Mapping[str, Any], where: str = "") -> dict[str, Any]:
    """The fields of a dataclass, but its origin, from an object read; those with a default may be absent.

    Raises: DamageError naming one that is wrong.
    """
    return {
        name: _get(tree, at.keys, hint, where)
        for name, at, hint in declared(cls)
        if name not in may_be_absent(cls) or at.keys[0] in tree
    }


def may_be_absent(cls: type) -> set[str]:
    """The fields with a default: those that came later than the first files of their kind."""
    return {field.name for field in fields(cls) if field.default is not MISSING}


def to_tree(instance: Any) -> dict[str, Any]:
    """The object that from_tree reads."""
    tree: dict[str, Any] = {}
    for name, at, _ in declared(type(instance)):
        _put(tree, at.keys, getattr(instance, name))
    return tree


def declared(cls: type) -> list[tuple[str, At, Any]]:
    """(name, where it stands, its type with all notes) of each field but the origin."""
    hints = get_type_hints(cls, include_extras=True)
    names = [field.name for field in fields(cls) if field.name != "origin"]
    return [
        (name, next((n for n in _notes(hints[name]) if isinstance(n, At)), At(name)), hints[name]) for name in names
    ]


def _notes(hint: Any) -> Sequence[Any]:
    return get_args(hint)[1:] if get_origin(hint) is Annotated else ()


def _bare(hint: Any) -> Any:
    return get_args(hint)[0] if get_origin(hint) is Annotated else hint


def _get(value: Any, keys: Sequence[str], hint: Any, where: str) -> Any:
    key, *rest = keys
    found, where = member(value, key, where), f"{where}{key}"
    if not rest:
        return typed(found, hint, where)
    (item, *_) = get_args(_bare(hint))
    return tuple(_get(row, rest, item, f"{where}[{i}].") for i, row in enumerate(_list(found, where)))


def _put(tree: dict[str, Any], keys: Sequence[str], value: Any) -> None:
    key, *rest = keys
    if not rest:
        tree[key] = value
        return
    for row, one in zip(tree.setdefault(key, [{} for _ in value]), value, strict=True):
        _put(row, rest, one)


def member(value: Any, key: str, where: str = "") -> Any:
    """What an object has under a key. Raises: DamageError when it has nothing there, or is no object."""
    if not isinstance(value, dict):
        raise DamageError(f"{where.rstrip('.') or 'it'} is {_shown(value)}, expected an object")
    if key not in value:
        raise DamageError(f"it lacks the field {where + key!r}")
    return value[key]


def _list(value: Any, where: str) -> list[Any]:
    if not isinstance(value, (list, tuple)):
        raise DamageError(f"{where} is {_shown(value)}, expected a list")
    return list(value)


def typed(value: Any, hint: Any, where: str) -> Any:
    """A value read, as the type that it should have: lists become tuples, objects dataclasses.

    Raises: DamageError when it is of another.
    """
    bare = _bare(hint)
    if bare is Any:
        return value
    kinds: list[Any] = [one for one, _ in alternatives(hint)]
    inner: Any = next((one for one in kinds if is_dataclass(one)), None)
    if inner is not None:
        return None if value is None and NoneType in kinds else inner(**from_tree(inner, value, f"{where}."))
    kind = get_origin(bare)
    if kind is tuple:
        (item, *_) = get_args(bare)
        return tuple(typed(one, item, f"{where}[{i}]") for i, one in enumerate(_list(value, where)))
    if kind is Mapping:
        (_, item) = get_args(bare)
        if not isinstance(value, dict):
            raise DamageError(f"{where} is {_shown(value)}, expected an object")
        return {key: typed(one, item, f"{where}.{key}") for key, one in value.items()}
    allowed = list(alternatives(hint))
    is_huge = isinstance(value, int) and abs(value) >= 2**63
    value = value if is_huge else plain(value, allowed)
    if is_huge or not any(fits(value, one, limits) for one, limits in allowed):
        expected = " or ".join(describe(one, limits) for one, limits in allowed)
        raise DamageError(f"{where} is {_shown(value)}, expected {expected}")
    return value


def _shown(value: Any) -> str:
    if isinstance(value, (dict, list, tuple)):
        return f"a list of {len(value):,}" if not isinstance(value, dict) else "an object"
    return repr(value)[:80]


def check_tree(value: Any) -> None:
    """Raise DamageError for nesting that is too deep for recursion, and for text that is no Unicode."""
    level = [value]
    for _ in range(DEEPEST):
        if not level:
            return
        objects = [one for one in level if isinstance(one, dict)]
        for text in (one for one in (*level, *(key for one in objects for key in one)) if isinstance(one, str)):
            if not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text):
                raise DamageError("a text in it holds half of a character")
        level = [item for one in objects for item in one.values()] + [
            item for one in level if isinstance(one, list) for item in one
        ]
    raise DamageError(f"it is nested more than {DEEPEST} deep")
