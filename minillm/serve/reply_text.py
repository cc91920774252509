"""Tokens become text that may be sent: whole characters, and nothing that a stop string takes back.

In: a reply's bytes, token by token. Out: pieces of text. The one idea: what may still turn out to
be the beginning of a stop string, or half of a character, waits; all else goes out at once. So the
pieces of a stream, joined, are the reply that is sent in one piece.
"""

import codecs
from collections.abc import Sequence


def first_stop(text: str, stops: Sequence[str]) -> int | None:
    """Where the earliest stop string begins; None if there is none."""
    places = [text.find(stop) for stop in stops if stop in text]
    return min(places, default=None)


def num_held_back(text: str, stops: Sequence[str]) -> int:
    """How many of the last characters may be the beginning of a stop string."""
    for length in range(min(len(text), max(map(len, stops), default=1) - 1), 0, -1):
        if any(stop.startswith(text[-length:]) for stop in stops):
            return length
    return 0


class ReplyText:
    """The text of one reply as it grows; a turn of a chat begins after its white space."""

    def __init__(self, stops: Sequence[str] = (), *, is_turn: bool = False) -> None:
        self.stops, self.is_turn, self.is_stopped = tuple(stops), is_turn, False
        self.waiting, self.sent = "", ""
        self._decode = codecs.getincrementaldecoder("utf-8")(errors="replace").decode

    def add(self, token: bytes, is_last: bool = False) -> str:
        """What may be sent once this token is there; with `is_last` all that waits, too."""
        self.waiting += self._decode(token, is_last)
        if self.is_turn and not self.sent:
            self.waiting = self.waiting.lstrip()
        place = first_stop(self.waiting, self.stops)
        if place is not None:
            self.is_stopped = True
            piece, self.waiting = self.waiting[:place], ""
        else:
            num_kept = 0 if is_last else num_held_back(self.waiting, self.stops)
            split = len(self.waiting) - num_kept
            piece, self.waiting = self.waiting[:split], self.waiting[split:]
        self.sent += piece
        return piece
