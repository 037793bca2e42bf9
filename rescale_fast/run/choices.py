"""What the command line says of registries: the names that they have when it is parsed."""

import types
from dataclasses import replace
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

from rescale_fast.settings import OneOf, Settings, notes_of

if TYPE_CHECKING:
    from tyro.constructors import ConstructorRegistry

UNIONS = (Union, types.UnionType)


def names_of_registries() -> "ConstructorRegistry":
    """Have tyro show and check names of registries as it does those of a Literal, and list those beside which other
    texts are allowed in the help.
    """
    from tyro.constructors import ConstructorRegistry, StructConstructorSpec

    registry, asked = ConstructorRegistry(), False

    @registry.struct_rule
    def _spell_out(info: Any) -> StructConstructorSpec | None:
        nonlocal asked
        if asked or not (isinstance(info.type, type) and issubclass(info.type, Settings)):
            return None
        asked = True  # what follows asks this rule, too, which then leaves it to tyro's own
        try:
            spec = ConstructorRegistry.get_struct_spec(info)
        finally:
            asked = False
        if not isinstance(spec, StructConstructorSpec):
            return None
        return replace(spec, fields=tuple(_spelt(field) for field in spec.fields))

    return registry


def _spelt(field: Any) -> Any:
    open_ones = [note for note in notes_of(field.type) if isinstance(note, OneOf) and note.or_else]
    if open_ones:
        text = field.helptext() if callable(field.helptext) else field.helptext
        field = replace(field, helptext=f"{text or ''} There are {', '.join(open_ones[0].entries)}.".strip())
    return replace(field, type=_with_names(field.type))


def _with_names(hint: Any) -> Any:
    """The type with a Literal of the names in place of each `Annotated[str, OneOf(...)]` that allows no others."""
    if get_origin(hint) is Annotated:
        of = next((note for note in hint.__metadata__ if isinstance(note, OneOf)), None)
        return Literal[tuple(of.entries)] if of and not of.or_else else hint
    if get_origin(hint) is tuple:
        return types.GenericAlias(tuple, tuple(map(_with_names, get_args(hint))))
    if get_origin(hint) in UNIONS:
        return reduce(or_, map(_with_names, get_args(hint)))
    return hint
