"""What can happen between people: each plot is a short list of events that follow from one another.

In: a `Cast`: who, which things, which spots and places. Out: events. The one idea: a plot is a want
and what stands in its way, and each event is the cause of the next. A level-1 story is one plot
between two people and one thing, level 2 has three people and two things, level 3 joins two plots
and travels between them. Left out on purpose: plots in which the world is not put right again.
"""

from collections.abc import Callable
from dataclasses import dataclass

from minillm.corpus.storyworld.world import Event


@dataclass(frozen=True, kw_only=True, slots=True)
class Cast:
    """The roles of a plot: three people, the thing of `a`, another thing, two spots."""

    a: str
    b: str
    c: str
    thing: str
    other: str
    spot: str
    spot_2: str


Plot = Callable[[Cast], list[Event]]


def gift(cast: Cast) -> list[Event]:
    """`b` wants the thing, asks for it, and `a` gives it away."""
    a, b, thing = cast.a, cast.b, cast.thing
    return [
        Event("want", b, thing, a),
        Event("ask", b, thing, a),
        Event("give", a, thing, b),
        Event("thank", b, thing, a),
        Event("feel", b, thing, a, manner="glad of gift"),
        Event("end", b, thing, a, manner="end has"),
    ]


def loan(cast: Cast) -> list[Event]:
    """`b` borrows the thing, uses it, and gives it back."""
    a, b, thing = cast.a, cast.b, cast.thing
    return [
        Event("want", b, thing, a),
        Event("ask", b, thing, a, manner="borrow"),
        Event("lend", a, thing, b),
        Event("use", b, thing, a),
        Event("return", b, thing, a, manner="give back"),
        Event("end", a, thing, b, manner="end again"),
    ]


def loss(cast: Cast) -> list[Event]:
    """`a` loses the thing, and `b` finds it and brings it back."""
    a, b, thing = cast.a, cast.b, cast.thing
    return [
        Event("put", a, thing, b, place=cast.spot, manner="lose"),
        Event("feel", a, thing, b, manner="miss"),
        Event("find", b, thing, a, place=cast.spot),
        Event("return", b, thing, a, manner="give back"),
        Event("feel", a, thing, b, manner="glad of return"),
        Event("end", a, thing, b, manner="end again"),
    ]


def quarrel(cast: Cast) -> list[Event]:
    """`b` takes the thing without asking, is sorry, and is forgiven."""
    a, b, thing = cast.a, cast.b, cast.thing
    return [
        Event("want", b, thing, a),
        Event("take", b, thing, a),
        Event("feel", a, thing, b, manner="sad of take"),
        Event("return", b, thing, a, manner="sorry"),
        Event("forgive", a, thing, b),
        Event("end", a, thing, b, manner="end again"),
    ]


def hiding(cast: Cast) -> list[Event]:
    """`a` hides the thing for a game, and `b` finds it."""
    a, b, thing = cast.a, cast.b, cast.thing
    return [
        Event("put", a, thing, b, place=cast.spot, manner="hide"),
        Event("look", b, thing, a, manner="seek"),
        Event("find", b, thing, a, place=cast.spot),
        Event("feel", a, thing, b, manner="clap"),
        Event("end", b, thing, a, manner="end has"),
    ]


def trade(cast: Cast) -> list[Event]:
    """`b` has another thing, and the two change things."""
    a, b, thing, other = cast.a, cast.b, cast.thing, cast.other
    return [
        Event("want", b, thing, a),
        Event("offer", b, other, a, other=thing),
        Event("trade", a, thing, b, other=other),
        Event("use", b, thing, a),
        Event("use", a, other, b),
        Event("watch", cast.c, whom=b),
        Event("end", b, thing, a, other=other, manner="end both"),
    ]


def comfort(cast: Cast) -> list[Event]:
    """`a` keeps the thing, and `c` cheers `b` up with another."""
    a, b, c, thing, other = cast.a, cast.b, cast.c, cast.thing, cast.other
    return [
        Event("want", b, thing, a),
        Event("ask", b, thing, a),
        Event("refuse", a, thing, b),
        Event("feel", b, thing, a, manner="sad of no"),
        Event("notice", c, whom=b),
        Event("give", c, other, b, manner="give freely"),
        Event("feel", b, other, c, manner="glad of gift"),
        Event("end", a, thing, b, other=other, manner="end both"),
    ]


def passing(cast: Cast) -> list[Event]:
    """`a` gives the thing to `b`, and `b` gives it on to `c`."""
    a, b, c, thing = cast.a, cast.b, cast.c, cast.thing
    return [
        Event("want", b, thing, a),
        Event("ask", b, thing, a),
        Event("give", a, thing, b),
        Event("use", b, thing, a),
        Event("want", c, thing, b),
        Event("give", b, thing, c, manner="give freely"),
        Event("thank", c, thing, b),
        Event("end", c, thing, b, manner="end has"),
    ]


def promise(cast: Cast) -> list[Event]:
    """`a` promises the thing to `b`, and keeps the promise although `c` asks too."""
    a, b, c, thing = cast.a, cast.b, cast.c, cast.thing
    return [
        Event("want", b, thing, a),
        Event("ask", b, thing, a),
        Event("promise", a, thing, b),
        Event("use", a, thing, b),
        Event("ask", c, thing, a),
        Event("refuse", a, thing, c),
        Event("give", a, thing, b, manner="give promised"),
        Event("feel", b, thing, a, manner="glad of gift"),
        Event("end", b, thing, a, manner="end has"),
    ]


def moved(cast: Cast) -> list[Event]:
    """`a` looks where the thing was; `c` has moved it; `b` saw it and tells."""
    a, b, c, thing = cast.a, cast.b, cast.c, cast.thing
    return [
        Event("put", a, thing, b, place=cast.spot),
        Event("move", c, thing, a, place=cast.spot_2),
        Event("believe", a, thing, b, place=cast.spot),
        Event("look", a, thing, c, place=cast.spot, manner="look in vain"),
        Event("feel", a, thing, c, manner="miss"),
        Event("tell", b, thing, a, place=cast.spot_2),
        Event("find", a, thing, b, place=cast.spot_2),
        Event("thank", a, whom=b),
        Event("end", a, thing, b, manner="end again"),
    ]


def search(cast: Cast) -> list[Event]:
    """`a` loses the thing; `b` looks in the wrong spot and `c` in the right one."""
    a, b, c, thing = cast.a, cast.b, cast.c, cast.thing
    return [
        Event("put", a, thing, b, place=cast.spot, manner="lose"),
        Event("feel", a, thing, b, manner="miss"),
        Event("look", b, thing, a, place=cast.spot_2, manner="look in vain"),
        Event("find", c, thing, a, place=cast.spot),
        Event("return", c, thing, a, manner="give back"),
        Event("feel", a, thing, c, manner="glad of return"),
        Event("thank", a, whom=c),
        Event("end", a, thing, c, manner="end again"),
    ]


def reward(cast: Cast) -> list[Event]:
    """`b` finds what `a` lost and gets another thing for it."""
    a, b, c, thing, other = cast.a, cast.b, cast.c, cast.thing, cast.other
    return [
        Event("put", a, thing, c, place=cast.spot, manner="lose"),
        Event("feel", a, thing, c, manner="miss"),
        Event("look", c, thing, a, place=cast.spot_2, manner="look in vain"),
        Event("find", b, thing, a, place=cast.spot),
        Event("return", b, thing, a, manner="give back"),
        Event("give", a, other, b, manner="give thanks"),
        Event("feel", b, other, a, manner="glad of gift"),
        Event("end", a, thing, b, other=other, manner="end both"),
    ]


def mending(cast: Cast) -> list[Event]:
    """`b` breaks what he borrowed, and `c` mends it."""
    a, b, c, thing = cast.a, cast.b, cast.c, cast.thing
    return [
        Event("ask", b, thing, a, manner="borrow"),
        Event("lend", a, thing, b),
        Event("break", b, thing, a),
        Event("feel", a, thing, b, manner="sad of break"),
        Event("mend", c, thing, b),
        Event("return", b, thing, a, manner="give back"),
        Event("thank", b, whom=c),
        Event("end", a, thing, b, manner="end again"),
    ]


PLOTS_BY_LEVEL: dict[int, dict[str, Plot]] = {
    1: {"gift": gift, "loan": loan, "loss": loss, "quarrel": quarrel, "hiding": hiding},
    2: {"trade": trade, "comfort": comfort, "passing": passing, "promise": promise, "moved": moved,
        "search": search, "reward": reward},
    3: {"mending": mending},
}  # fmt: skip
# Who has the other thing at the start, where it is not `a`.
OTHER_OWNER = {"trade": "b", "comfort": "c", "reward": "a"}
OPTIONAL = {"thank", "glad of gift", "glad of return", "forgive", "clap", "seek", "watch"}
