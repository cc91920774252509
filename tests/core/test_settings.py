"""Settings come in as plain values; what does not fit is refused with field, value and remedy."""

from dataclasses import dataclass, field
from typing import Literal

import pytest

from minillm.core.settings import built, with_fields
from minillm.recipes import smoke


@dataclass(frozen=True, kw_only=True, slots=True)
class Room:
    """One field of each kind."""

    size: int = 1
    rate: float = 0.5
    names: tuple[str, ...] = ()
    pair: tuple[float, float] = (0.0, 1.0)
    bound: int | None = None
    kind: Literal["plain", "fancy"] = "plain"
    is_on: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class House:
    """Two levels, as a recipe has them."""

    name: str = "house"
    room: Room = field(default_factory=Room)


@pytest.mark.parametrize(
    ("assignment", "expected"),
    [
        ("room.size=3", Room(size=3)),
        ("room.rate=2", Room(rate=2)),
        ("room.names=[]", Room()),
        ('room.names=["a", "b"]', Room(names=("a", "b"))),
        ("room.pair=[0.5, 2]", Room(pair=(0.5, 2))),
        ("room.bound=null", Room()),
        ("room.bound=4", Room(bound=4)),
        ("room.kind=fancy", Room(kind="fancy")),
        ("room.is_on=true", Room(is_on=True)),
    ],
)
def test_a_field_is_set_by_its_name(assignment: str, expected: Room) -> None:
    assert with_fields(House(), [assignment]) == House(room=expected)


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("room=3", r"room = 3: must be a group .* for example room\.size=VALUE"),
        ("room=[1]", r"room = \[1\]: must be a group"),
        ("room=null", "room = None: must be a group"),
        ("room.size=[1, 2]", r"room\.size = \[1, 2\]: must be int"),
        ("room.size=1.5", r"room\.size = 1\.5: must be int"),
        ("room.size=true", r"room\.size = True: must be int"),
        ("room.size={}", r"room\.size = {}: must be int"),
        ("room.names=a", r"room\.names = 'a': must be a list of str"),
        ('room.names=["a", 1]', r"room\.names = \['a', 1\]: must be a list of str"),
        ("room.names=[[]]", "must be a list of str"),
        ("room.pair=[0.5]", r"room\.pair = \[0\.5\]: must be a list \[float, float\]"),
        ("room.pair=[1, 2, 3]", r"must be a list \[float, float\]"),
        ('room.pair=[1, "2"]', r"must be a list \[float, float\]"),
        ("room.bound=x", r"room\.bound = 'x': must be int or null"),
        ("room.kind=odd", r"room\.kind = 'odd': must be one of plain, fancy"),
        ("room.sise=3", r"unknown recipe field 'room\.sise': room has size, rate"),
        ("roof.size=3", r"unknown recipe field 'roof\.size': no 'roof' among name, room"),
        ("room.size", "write FIELD=VALUE"),
    ],
)
def test_what_does_not_fit_is_refused_with_field_value_and_remedy(
    assignment: str, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        with_fields(House(), [assignment])


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("brief=3", r"brief = 3: must be a group of fields"),
        ('corpus.stories=["a", 1, 2]', r"corpus\.stories = .* must be a list \[int, int, int\]"),
        ("corpus.stories=[1, 2]", r"must be a list \[int, int, int\]"),
        ("corpus.stories=[1, 2, 3, 4, 5]", r"\[int, int, int\] or a list \[int, int, int, int\]"),
        ("corpus.starts=[0, 0.5]", r"float\] or a list \[float, float, float, float\]"),
        ("corpus.stories=[1, 2, 3, 4]", r"starts is .*; give 4 fractions, 0 ≤ fraction < 1"),
        ("sft.stories=[1, 2, 3, 4]", r"starts = .* for each of the 4 levels in stories"),
        ("sft.stories=[1, 2, 3, 4, 5]", r"stories = .* give at most 4 counts"),
        ("evaluation.levels=[4, 5]", r"levels = \(4, 5\): choose some of \(1, 2, 3, 4\)"),
        ("sampling.batch_size=0", r"^sampling\.batch_size = 0: must be at least 1"),
        ("sampling.temperature=-1", r"^sampling\.temperature = -1: must be"),
        ("training.z_weight=-1", r"^training\.z_weight = -1: must be"),
        ("sft.training.recompute=true", r"^sft\.training\.recompute = True: fine-tuning keeps"),
        ("preferences.dpo.compile=true", r"^preferences\.dpo\.compile = True: it would do nothing"),
    ],
)
def test_a_recipe_refuses_it_too(assignment: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        with_fields(smoke(), [assignment])


def test_a_recipe_goes_to_plain_values_and_back() -> None:
    assert with_fields(smoke(), []) == smoke()
    assert built(House, {"room": {"names": ["a"]}}) == House(room=Room(names=("a",)))
