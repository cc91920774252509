"""Configurations from plain values: JSON in, frozen dataclasses out, and `room.field=value` on top.

An unknown field or a value of the wrong type is an error that names the field and those there are.
"""

import dataclasses
import json
import types
import typing
from collections.abc import Sequence
from typing import TypeVar

Settings = TypeVar("Settings")


# package only
def built(cls: type[Settings], fields: dict, prefix: str = "") -> Settings:
    """A dataclass from plain JSON values; an unknown field is named, with those there are."""
    hints = typing.get_type_hints(cls)
    names = [each.name for each in dataclasses.fields(cls)]
    for name in fields:
        if name not in names:
            where, known = prefix.rstrip(".") or "the recipe", ", ".join(names)
            raise ValueError(f"unknown recipe field {prefix + name!r}: {where} has {known}")
    values = {}
    for name, value in fields.items():
        hint = hints[name]
        is_group = dataclasses.is_dataclass(hint)
        if not (isinstance(value, dict) if is_group else fits(value, hint)):
            allowed = in_words(hint, prefix + name)
            raise ValueError(f"recipe field {prefix + name} = {value!r}: must be {allowed}")
        if is_group:
            value = built(hint, value, f"{prefix}{name}.")
        values[name] = tuple(value) if isinstance(value, list) else value
    try:
        return cls(**values)
    except TypeError as error:
        raise ValueError(f"{prefix or 'recipe'}: {error}") from None
    except ValueError as error:  # a class says which of its fields is wrong, not where it stands
        is_named = str(error).partition(" ")[0].partition(".")[0] in names
        raise ValueError(f"{prefix if is_named else ''}{error}") from None


# package only
def fits(value: object, hint: object) -> bool:
    """Is a plain JSON value of the type that a field asks for? (An int may stand for a float.)"""
    if isinstance(hint, types.UnionType):
        return any(fits(value, each) for each in typing.get_args(hint))
    if typing.get_origin(hint) is typing.Literal:
        return value in typing.get_args(hint)
    if typing.get_origin(hint) is tuple:
        hints = item_hints(hint, len(value)) if isinstance(value, list) else None
        return bool(hints is not None and len(hints) == len(value)) and all(map(fits, value, hints))
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, hint) if isinstance(hint, type) else True


# package only
def item_hints(hint: object, num_items: int) -> tuple[object, ...]:
    """The type of each item of a tuple: `tuple[int, ...]` takes any number of them."""
    items = typing.get_args(hint)
    return items[:1] * num_items if items[-1] is ... else items


# package only
def in_words(hint: object, path: str) -> str:
    """What a field may be, for a message."""
    if dataclasses.is_dataclass(hint):
        name = dataclasses.fields(hint)[0].name
        return f"a group of fields; set one of them, for example {path}.{name}=VALUE"
    if isinstance(hint, types.UnionType):
        return " or ".join(in_words(each, path) for each in typing.get_args(hint))
    if typing.get_origin(hint) is typing.Literal:
        return f"one of {', '.join(map(str, typing.get_args(hint)))}"
    if typing.get_origin(hint) is tuple:
        *kinds, last = (getattr(each, "__name__", "...") for each in typing.get_args(hint))
        return f"a list of {kinds[0]}" if last == "..." else f"a list [{', '.join([*kinds, last])}]"
    return "null" if hint is types.NoneType else getattr(hint, "__name__", str(hint))


# package only
def with_fields(settings: Settings, assignments: Sequence[str]) -> Settings:
    """The same with `room.field=value` replaced; a value is JSON (`3`, `[1, 2]`) or else text."""
    fields = json.loads(json.dumps(dataclasses.asdict(settings)))
    for assignment in assignments:
        path, separator, text = assignment.partition("=")
        if not separator:
            raise ValueError(
                f"--set {assignment}: write FIELD=VALUE, for example training.learning_rate=0.002"
            )
        try:
            value = json.loads(text)
        except json.JSONDecodeError:
            value = text
        *rooms, name = path.split(".")
        place = fields
        for room in rooms:
            is_room = isinstance(place.get(room), dict)
            if not is_room:
                known = ", ".join(place)
                raise ValueError(f"unknown recipe field {path!r}: no {room!r} among {known}")
            place = place[room]
        place[name] = value
    return built(type(settings), fields)
