"""One request on its way through the engine: what it asks for, what it has so far, and when.

A `Generation` belongs to the engine once it is submitted; whoever submitted it gets its text by
`deliver`, in pieces, the last one with the reason why the reply ended.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from minillm.model.generate import next_token_probabilities, refuse_impossible_sampling
from minillm.serve.reply_text import ReplyText

FinishReason = Literal["stop", "length", "cancelled", "error"]
Deliver = Callable[[str, FinishReason | None], None]
MAX_SEED = (1 << 63) - 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Sampling:
    """How a reply is drawn and where it ends; without a seed the draw is a new one every time."""

    max_tokens: int
    temperature: float = 1.0
    top_p: float | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    stop_ids: frozenset[int] = frozenset()

    def __post_init__(self) -> None:
        refuse_impossible_sampling(self.temperature, None, self.top_p)
        if self.max_tokens < 1:
            raise ValueError(f"max_tokens = {self.max_tokens}: must be at least 1")
        if self.seed is not None and not 0 <= self.seed <= MAX_SEED:
            raise ValueError(f"seed = {self.seed}: must be 0 to {MAX_SEED}; or leave it out")
        if "" in self.stop:
            raise ValueError("stop holds an empty text, which stands everywhere: leave it out")


def ignore(text: str, finish_reason: FinishReason | None) -> None:
    """Deliver to nobody: the text is read off the generation itself."""


class Generation:
    """A prompt, how to continue it, and the reply as it grows. Times are `time.monotonic()`."""

    def __init__(
        self, prompt: Sequence[int], sampling: Sampling, deliver: Deliver = ignore
    ) -> None:
        self.prompt, self.sampling, self.deliver = list(prompt), sampling, deliver
        self.reply: list[int] = []
        self.text = ReplyText(sampling.stop)
        self.finish_reason: FinishReason | None = None
        self.is_cancelled = False
        self.prompt_nats: list[float] = []
        self.submitted_s = time.monotonic()
        self.admitted_s: float | None = None
        self.first_token_s: float | None = None
        self.finished_s: float | None = None
        self.generator = torch.Generator()
        if sampling.seed is None:
            self.generator.seed()
        else:
            self.generator.manual_seed(sampling.seed)

    def draw(self, logits_V: torch.Tensor) -> int:
        """The next token, from this request's own random numbers and nobody else's."""
        if self.sampling.temperature == 0:
            return int(logits_V.argmax())
        probability_1V = next_token_probabilities(
            logits_V[None], self.sampling.temperature, None, self.sampling.top_p
        )
        return int(torch.multinomial(probability_1V, 1, generator=self.generator))

    def accept(self, token: int, token_bytes: bytes, num_places: int) -> None:
        """Take the next token, send what may be sent, and end where the reply has to.

        `num_places` is how many tokens the context holds in all."""
        if self.first_token_s is None:
            self.first_token_s = time.monotonic()
        if token in self.sampling.stop_ids:
            return self.finish("stop")
        self.reply.append(token)
        is_last = (
            len(self.reply) == self.sampling.max_tokens
            or len(self.prompt) + len(self.reply) == num_places
        )
        piece = self.text.add(token_bytes, is_last)
        if self.text.is_stopped or is_last:
            self.finish("stop" if self.text.is_stopped else "length", piece)
        elif piece:
            self.deliver(piece, None)

    def finish(self, reason: FinishReason, piece: str = "") -> None:
        """The reply ends here, with what still waited to be sent."""
        if self.finish_reason is None:
            piece += "" if self.text.is_stopped else self.text.add(b"", is_last=True)
            self.finish_reason, self.finished_s = reason, time.monotonic()
            self.deliver(piece, reason)
