"""Keys and values that were computed once, kept for the tokens that come after.

Three places for the same numbers. `KeyValueCache` grows by doubling. `StaticCache` has its whole
room from the beginning: nothing ever moves, and its bytes are known before the first token.
`SlidingCache` keeps the last `window` tokens alone and forgets what no query may look at any more:
sliding-window attention (Child et al., arXiv:1904.10509; Mistral 7B, arXiv:2310.06825) in memory
that does not grow with the text. Left out: pages (arXiv:2309.06180), fewer bits, the first tokens
kept for good (arXiv:2309.17453).
"""

from collections.abc import Sequence

import torch


class KeyValueCache:
    """Each layer's keys and values of the first `num_tokens` tokens, `[B, G, S, K]`.

    They are views of a room that is doubled when it is full: few tokens make the others move.
    Gradients do not pass: a room written with them would keep the graph of all tokens before.
    """

    def __init__(self) -> None:
        self.num_tokens = 0
        self.layers: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
        self.rooms: dict[int, torch.Tensor] = {}

    def extend(
        self, layer: int, k_BGTK: torch.Tensor, v_BGTK: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append the next tokens' keys and values; all of the layer's, old ones first."""
        B, G, T, K = k_BGTK.shape
        start = self.layers[layer][0].shape[2] if layer in self.layers else 0
        room = self.rooms.get(layer, k_BGTK.new_empty(2, B, G, 0, K))
        assert room.shape[1:3] == (B, G), f"the cache has B, G = {*room.shape[1:3],}, not {B, G}"
        if start + T > room.shape[3]:
            roomier = k_BGTK.new_empty(2, B, G, max(start + T, 2 * start), K)
            roomier[:, :, :, :start] = room[:, :, :, :start]
            self.rooms[layer] = room = roomier
        room[0, :, :, start : start + T] = k_BGTK.detach()
        room[1, :, :, start : start + T] = v_BGTK.detach()
        self.layers[layer] = room[0, :, :, : start + T], room[1, :, :, : start + T]
        return self.layers[layer]

    def take_rows(self, rows: Sequence[int]) -> None:
        """Go on with these rows, in this order; a row may be taken several times, or not at all."""
        for layer, (k_BGSK, _) in self.layers.items():
            room = self.rooms[layer][:, list(rows)]
            self.rooms[layer] = room
            self.layers[layer] = tuple(room[:, :, :, : k_BGSK.shape[2]])


class StaticCache:
    """A room for `max_tokens` tokens, taken whole at the first: it neither grows nor moves.

    Where to write follows from `num_tokens`, which its owner keeps true. Gradients do not pass."""

    def __init__(self, max_tokens: int) -> None:
        self.num_tokens, self.max_tokens = 0, max_tokens
        self.rooms: dict[int, torch.Tensor] = {}

    def extend(
        self, layer: int, k_BGTK: torch.Tensor, v_BGTK: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write at the next places; the layer's keys and values so far."""
        B, G, T, K = k_BGTK.shape
        start, stop = self.num_tokens, self.num_tokens + T
        if stop > self.max_tokens:
            raise ValueError(
                f"max_tokens = {self.max_tokens}: a static cache does not grow, and token {stop} "
                "is to be written; make it with more room"
            )
        if layer not in self.rooms:
            self.rooms[layer] = k_BGTK.new_empty(2, B, G, self.max_tokens, K)
        room = self.rooms[layer]
        assert room.shape[1:3] == (B, G), f"the cache has B, G = {*room.shape[1:3],}, not {B, G}"
        room[0, :, :, start:stop] = k_BGTK.detach()
        room[1, :, :, start:stop] = v_BGTK.detach()
        return room[0, :, :, :stop], room[1, :, :, :stop]


class SlidingCache:
    """The last `window` tokens' keys and values: a query sees itself and `window` − 1 before it.

    The room is twice as long; when it is full, what may still be seen moves to its beginning.
    Gradients do not pass."""

    def __init__(self, window: int) -> None:
        if window < 1:
            raise ValueError(f"window = {window}: must be at least 1, the token itself")
        self.num_tokens, self.window = 0, window
        self.rooms: dict[int, torch.Tensor] = {}
        self.ends: dict[int, int] = {}

    def extend(
        self, layer: int, k_BGTK: torch.Tensor, v_BGTK: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """At most `window` − 1 earlier tokens' keys and values, then the new ones.

        Several new tokens at once need a mask: the later of them may not see all that is here."""
        B, G, T, K = k_BGTK.shape
        end = self.ends.get(layer, 0)
        num_kept = min(end, self.window - 1)
        room = self.rooms.get(layer, k_BGTK.new_empty(2, B, G, 0, K))
        assert room.shape[1:3] == (B, G), f"the cache has B, G = {*room.shape[1:3],}, not {B, G}"
        if end + T > room.shape[3]:
            moved = k_BGTK.new_empty(2, B, G, max(2 * self.window, num_kept + T), K)
            moved[:, :, :, :num_kept] = room[:, :, :, end - num_kept : end]
            self.rooms[layer], room, end = moved, moved, num_kept
        room[0, :, :, end : end + T] = k_BGTK.detach()
        room[1, :, :, end : end + T] = v_BGTK.detach()
        self.ends[layer] = end + T
        seen = slice(end - num_kept, end + T)
        return room[0, :, :, seen], room[1, :, :, seen]
