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
            where = prefix or "the recipe "
            known = ", ".join(names)
            raise ValueError(f"unknown recipe field {prefix + name!r}: {where}has {known}")
    values = {}
    for name, value in fields.items():
        hint = hints[name]
        if dataclasses.is_dataclass(hint):
            value = built(hint, value, f"{prefix}{name}.")
        elif isinstance(value, list):
            value = tuple(value)
        elif not fits(value, hint):
            allowed = getattr(hint, "__name__", hint)
            raise ValueError(f"recipe field {prefix + name} = {value!r}: must be {allowed}")
        values[name] = value
    try:
        return cls(**values)
    except TypeError as error:
        raise ValueError(f"{prefix or 'recipe'}: {error}") from None


# package only
def fits(value: object, hint: object) -> bool:
    """Is a plain JSON value of the type that a field asks for? (An int may stand for a float.)"""
    if isinstance(hint, types.UnionType):
        return any(fits(value, each) for each in typing.get_args(hint))
    if typing.get_origin(hint) is typing.Literal:
        return value in typing.get_args(hint)
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, hint) if isinstance(hint, type) else True


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
