"""One request on its way through the engine: what it asks for, what it has so far, and when.

A `Generation` belongs to the engine once it is submitted; whoever submitted it gets its text by
`deliver`, in pieces, the last one with the reason why the reply ended.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from minillm.model.sampling import SamplingOptions, drawn_tokens
from minillm.serve.reply_text import ReplyText

FinishReason = Literal["stop", "length", "cancelled", "error"]
Deliver = Callable[[str, FinishReason | None], None]
MAX_SEED = (1 << 63) - 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Sampling(SamplingOptions):
    """How a reply is drawn, where it begins and ends; without a seed the draw is always new."""

    max_tokens: int
    seed: int | None = None
    stop: tuple[str, ...] = ()
    stop_ids: frozenset[int] = frozenset()
    is_turn: bool = False

    def __post_init__(self) -> None:
        SamplingOptions.__post_init__(self)
        if self.max_tokens < 1:
            raise ValueError(f"max_tokens = {self.max_tokens}: must be at least 1")
        if self.seed is not None and not 0 <= self.seed <= MAX_SEED:
            raise ValueError(f"seed = {self.seed}: must be 0 to {MAX_SEED}; or leave it out")
        if "" in self.stop:
            raise ValueError("stop holds an empty text, which stands everywhere: leave it out")


# package only
def ignore(text: str, finish_reason: FinishReason | None) -> None:
    """Deliver to nobody: the text is read off the generation itself."""


# package only
def random_numbers(seed: int | None) -> torch.Generator:
    """A source of random numbers of its own, from a seed or from the system's chance."""
    generator = torch.Generator()
    if seed is None:
        generator.seed()
    else:
        generator.manual_seed(seed)
    return generator


class Generation:
    """A prompt, how to continue it, and the reply as it grows. Times are `time.monotonic()`."""

    def __init__(
        self, prompt: Sequence[int], sampling: Sampling, deliver: Deliver = ignore
    ) -> None:
        self.prompt, self.sampling, self.deliver = list(prompt), sampling, deliver
        self.random = random_numbers(sampling.seed)
        self.text = ReplyText(sampling.stop, is_turn=sampling.is_turn)
        self.reply: list[int] = []
        self.prompt_nats: list[float] = []
        self.finish_reason: FinishReason | None = None
        self.is_cancelled = False
        self.submitted_s = time.monotonic()
        self.admitted_s = self.first_token_s = self.finished_s = None

    def finish(self, reason: FinishReason, piece: str = "") -> None:
        """The reply ends here, with what still waited to be sent."""
        if self.finish_reason is None:
            piece += "" if self.text.is_stopped else self.text.add(b"", is_last=True)
            self.finish_reason, self.finished_s = reason, time.monotonic()
            self.deliver(piece, reason)


def drawn_token(generation: Generation, logits_V: torch.Tensor) -> int:
    """The next token, by this request's own random numbers and nobody else's."""
    sampling, num_prompt = generation.sampling, torch.tensor([len(generation.prompt)])
    # what was said before matters to penalties alone
    text = [*generation.prompt, *generation.reply] if sampling.has_penalties else []
    text_1T = torch.tensor([text], dtype=torch.long)
    return int(drawn_tokens(logits_V[None], text_1T, num_prompt, sampling, generation.random))


def take_token(generation: Generation, token: int, token_bytes: bytes, num_places: int) -> None:
    """Add a token to the reply, send what may be sent, end where the reply has to.

    `num_places` is how many tokens the context holds, prompt and reply together."""
    sampling, text = generation.sampling, generation.text
    generation.first_token_s = generation.first_token_s or time.monotonic()
    if token in sampling.stop_ids:
        return generation.finish("stop")
    generation.reply.append(token)
    num_tokens = len(generation.prompt) + len(generation.reply)
    is_last = len(generation.reply) == sampling.max_tokens or num_tokens == num_places
    piece = text.add(token_bytes, is_last)
    if text.is_stopped or is_last:
        generation.finish("stop" if text.is_stopped else "length", piece)
    elif piece:
        generation.deliver(piece, None)
