"""Many requests, one model: those in the slots advance together, one token a step.

In: generations. Out: their text, piece by piece. The one idea, continuous batching (Yu et al.,
"Orca", OSDI 2022): requests come and go *between decode steps*, so that nobody waits for somebody
else's long reply. A prompt is prefilled alone and a step is always `num_slots` wide, hence a reply
is the same under load as alone (with experts but for rounding: `slots`). Left out: prompts in
chunks, preemption, speculation, several GPUs.
"""

import threading
import time
from collections import deque

import torch
import torch.nn.functional as F

from minillm.model.caches import KeyValueCache
from minillm.model.transformer import Transformer
from minillm.serve.generation import Generation, drawn_token, take_token
from minillm.serve.slots import SlotCache
from minillm.tokenizer.bytepair import TokenTable

# what a free slot is fed: any token will do, since nobody reads that row
IDLE_TOKEN = 0


class QueueFull(Exception):
    """Nobody else may wait: better refused at once than served too late."""


class EngineClosed(Exception):
    """The engine takes no more requests: it is shutting down, or a step failed."""


class Engine:
    """A model, its slots, and the queue before them.

    `submit`, `close` and `is_cancelled` may come from any thread, steps from one."""

    def __init__(
        self, model: Transformer, tokens: TokenTable, *, num_slots: int, max_queue: int
    ) -> None:
        self.model, self.tokens, self.max_queue = model, tokens, max_queue
        self.cache = SlotCache(model.config, num_slots)
        self.slots: list[Generation | None] = [None] * num_slots
        self.waiting: deque[Generation] = deque()
        self.has_news, self.is_closed = threading.Condition(), False

    @property
    def num_running(self) -> int:
        """How many slots hold a request."""
        return sum(each is not None for each in self.slots)

    def submit(self, generation: Generation) -> None:
        """Let a request wait for a slot; QueueFull if `max_queue` wait already for a busy one."""
        with self.has_news:
            if self.is_closed:
                raise EngineClosed
            num_free = len(self.slots) - self.num_running
            if len(self.waiting) >= num_free + self.max_queue:
                raise QueueFull
            self.waiting.append(generation)
            self.has_news.notify()

    def close(self) -> None:
        """Take no more requests, and let `run_engine` come to its end."""
        with self.has_news:
            self.is_closed = True
            self.has_news.notify()


def step(engine: Engine) -> bool:
    """One more token for each request in a slot; False if there was none."""
    drop_cancelled(engine)
    admit(engine)
    if engine.num_running == 0:
        return False
    decode(engine)
    return True


def drop_cancelled(engine: Engine) -> None:
    """Requests that were given up leave their slots and their places in the queue."""
    with engine.has_news:
        dropped = [each for each in engine.waiting if each.is_cancelled]
        engine.waiting = deque(each for each in engine.waiting if not each.is_cancelled)
    for slot, generation in enumerate(engine.slots):
        if generation is not None and generation.is_cancelled:
            dropped.append(generation)
            release(engine, slot)
    for generation in dropped:
        generation.finish("cancelled")


def admit(engine: Engine) -> None:
    """First come, first served: those who wait move into the free slots."""
    for slot in range(len(engine.slots)):
        with engine.has_news:
            if engine.slots[slot] is not None or not engine.waiting:
                continue
            engine.slots[slot] = engine.waiting.popleft()
        prefill(engine, slot)


@torch.no_grad()
def prefill(engine: Engine, slot: int) -> None:
    """Compute the prompt in one pass, on its own; its first token is drawn at once."""
    generation, alone = engine.slots[slot], KeyValueCache()
    generation.admitted_s = time.monotonic()
    prompt_T = torch.tensor(generation.prompt)
    logits_TV = engine.model(prompt_T[None], alone)[0]
    engine.cache.fill(slot, alone)
    nats_T = F.cross_entropy(logits_TV[:-1], prompt_T[1:], reduction="none")
    generation.prompt_nats = nats_T.tolist()
    accept(engine, slot, logits_TV[-1])


@torch.no_grad()
def decode(engine: Engine) -> None:
    """Every slot's last token goes in at the full width, each request's next comes out."""
    running = [slot for slot, each in enumerate(engine.slots) if each is not None]
    tokens = [each.reply[-1] if each is not None else IDLE_TOKEN for each in engine.slots]
    logits_BV = engine.model(torch.tensor(tokens)[:, None], engine.cache)[:, 0]
    engine.cache.num_tokens[running] += 1
    for slot in running:
        accept(engine, slot, logits_BV[slot])


def accept(engine: Engine, slot: int, logits_V: torch.Tensor) -> None:
    """Draw a slot's next token; a request that ends with it leaves at once."""
    generation = engine.slots[slot]
    token = drawn_token(generation, logits_V)
    token_bytes = engine.tokens.token_bytes(token)
    take_token(generation, token, token_bytes, engine.model.config.context_length)
    if generation.finish_reason is not None:
        release(engine, slot)


def release(engine: Engine, slot: int) -> None:
    """The slot is free for the next request."""
    engine.slots[slot] = None
    engine.cache.free(slot)


def run_engine(engine: Engine) -> None:
    """Step until closed; then, or if a step fails, every request left learns that it ends."""
    try:
        while not engine.is_closed:
            if not step(engine):
                with engine.has_news:
                    engine.has_news.wait_for(lambda: engine.waiting or engine.is_closed)
    finally:
        engine.close()
        for generation in (*engine.waiting, *engine.slots):
            if generation is not None:
                generation.finish("error")
