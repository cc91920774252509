"""What can happen between people: each plot is a short list of events that follow from one another.

In: who, which thing, which spot. Out: events. The one idea: a plot is a want and what stands in its way; the order
of its events is their cause. A level-1 story is one plot between two people; higher levels chain and widen them.
Left out on purpose: plots in which the world is not put right again.
"""

import random

from minillm.corpus.storyworld.world import Event


def gift(a: str, b: str, thing: str, spot: str) -> list[Event]:
    """`b` wants the thing, asks for it, and `a` gives it away."""
    return [
        Event(kind="want", who=b, thing=thing, whom=a),
        Event(kind="ask", who=b, thing=thing, whom=a),
        Event(kind="give", who=a, thing=thing, whom=b),
        Event(kind="thank", who=b, thing=thing, whom=a),
        Event(kind="glad of gift", who=b, thing=thing, whom=a),
        Event(kind="end has", who=b, thing=thing, whom=a),
    ]


def loan(a: str, b: str, thing: str, spot: str) -> list[Event]:
    """`b` borrows the thing, uses it, and gives it back."""
    return [
        Event(kind="want", who=b, thing=thing, whom=a),
        Event(kind="borrow", who=b, thing=thing, whom=a),
        Event(kind="lend", who=a, thing=thing, whom=b),
        Event(kind="use", who=b, thing=thing, whom=a),
        Event(kind="give back", who=b, thing=thing, whom=a),
        Event(kind="end again", who=a, thing=thing, whom=b),
    ]


def loss(a: str, b: str, thing: str, spot: str) -> list[Event]:
    """`a` loses the thing, and `b` finds it and brings it back."""
    return [
        Event(kind="lose", who=a, thing=thing, whom=b, place=spot),
        Event(kind="miss", who=a, thing=thing, whom=b),
        Event(kind="find", who=b, thing=thing, whom=a, place=spot),
        Event(kind="give back", who=b, thing=thing, whom=a),
        Event(kind="glad of return", who=a, thing=thing, whom=b),
        Event(kind="end again", who=a, thing=thing, whom=b),
    ]


def quarrel(a: str, b: str, thing: str, spot: str) -> list[Event]:
    """`b` takes the thing without asking, is sorry, and is forgiven."""
    return [
        Event(kind="want", who=b, thing=thing, whom=a),
        Event(kind="take", who=b, thing=thing, whom=a),
        Event(kind="sad of take", who=a, thing=thing, whom=b),
        Event(kind="sorry", who=b, thing=thing, whom=a),
        Event(kind="forgive", who=a, thing=thing, whom=b),
        Event(kind="end again", who=a, thing=thing, whom=b),
    ]


def hiding(a: str, b: str, thing: str, spot: str) -> list[Event]:
    """`a` hides the thing for a game, and `b` finds it."""
    return [
        Event(kind="hide", who=a, thing=thing, whom=b, place=spot),
        Event(kind="seek", who=b, thing=thing, whom=a),
        Event(kind="find", who=b, thing=thing, whom=a, place=spot),
        Event(kind="clap", who=a, thing=thing, whom=b),
        Event(kind="end has", who=b, thing=thing, whom=a),
    ]


PLOTS = {"gift": gift, "loan": loan, "loss": loss, "quarrel": quarrel, "hiding": hiding}
OPTIONAL = {"thank", "glad of gift", "glad of return", "forgive", "clap", "seek"}
