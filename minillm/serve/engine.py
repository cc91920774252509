"""Many requests, one model: those in the slots advance together, one token a step.

In: generations. Out: their text, piece by piece. The one idea, continuous batching (Yu et al.,
"Orca", OSDI 2022): requests come and go *between decode steps*, so that nobody waits for somebody
else's long reply. A prompt is prefilled alone and a step is always `num_slots` wide, hence a reply
is the same under load as alone. Left out: prompts in chunks, preemption, speculation, several GPUs.
"""

import threading
import time
from collections import deque

import torch
import torch.nn.functional as F

from minillm.model.generate import KeyValueCache
from minillm.model.transformer import Transformer
from minillm.serve.generation import Generation
from minillm.serve.slots import SlotCache
from minillm.tokenizer.bytepair import TokenTable

# what a free slot is fed: any token will do, since nobody reads that row
IDLE_TOKEN = 0


class QueueFull(Exception):
    """Nobody else may wait: better refused at once than served too late."""


class EngineClosed(Exception):
    """The engine takes no more requests: it is shutting down, or a step failed."""


class Engine:
    """Slots, a queue before them, and three verbs a step: drop, admit, decode.

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

    def step(self) -> bool:
        """One more token for each request in a slot; False if there was none."""
        self.drop_cancelled()
        self.admit()
        if self.num_running == 0:
            return False
        self.decode()
        return True

    def drop_cancelled(self) -> None:
        """Requests that were given up leave their slots and their places in the queue."""
        with self.has_news:
            dropped = [each for each in self.waiting if each.is_cancelled]
            self.waiting = deque(each for each in self.waiting if not each.is_cancelled)
        for slot, generation in enumerate(self.slots):
            if generation is not None and generation.is_cancelled:
                dropped.append(generation)
                self.release(slot)
        for generation in dropped:
            generation.finish("cancelled")

    def admit(self) -> None:
        """First come, first served: those who wait move into the free slots."""
        for slot in range(len(self.slots)):
            with self.has_news:
                if self.slots[slot] is not None or not self.waiting:
                    continue
                self.slots[slot] = self.waiting.popleft()
            self.prefill(slot)

    @torch.no_grad()
    def prefill(self, slot: int) -> None:
        """Compute the prompt in one pass, on its own; its first token is drawn at once."""
        generation, alone = self.slots[slot], KeyValueCache()
        generation.admitted_s = time.monotonic()
        prompt_T = torch.tensor(generation.prompt)
        logits_TV = self.model(prompt_T[None], alone)[0]
        self.cache.fill(slot, alone)
        nats_T = F.cross_entropy(logits_TV[:-1], prompt_T[1:], reduction="none")
        generation.prompt_nats = nats_T.tolist()
        self.accept(slot, logits_TV[-1])

    @torch.no_grad()
    def decode(self) -> None:
        """Every slot's last token goes in at the full width, each request's next comes out."""
        running = [slot for slot, each in enumerate(self.slots) if each is not None]
        tokens = [each.reply[-1] if each is not None else IDLE_TOKEN for each in self.slots]
        logits_BV = self.model(torch.tensor(tokens)[:, None], self.cache)[:, 0]
        self.cache.num_tokens[running] += 1
        for slot in running:
            self.accept(slot, logits_BV[slot])

    def accept(self, slot: int, logits_V: torch.Tensor) -> None:
        """Draw a slot's next token; a request that ends with it leaves at once."""
        generation = self.slots[slot]
        token = generation.draw(logits_V)
        generation.accept(token, self.tokens.token_bytes(token), self.model.config.context_length)
        if generation.finish_reason is not None:
            self.release(slot)

    def release(self, slot: int) -> None:
        """The slot is free for the next request."""
        self.slots[slot] = None
        self.cache.free(slot)

    def run(self) -> None:
        """Step until closed; then, or if a step fails, every request left learns that it ends."""
        try:
            while not self.is_closed:
                if not self.step():
                    with self.has_news:
                        self.has_news.wait_for(lambda: self.waiting or self.is_closed)
        finally:
            self.close()
            for generation in (*self.waiting, *self.slots):
                if generation is not None:
                    generation.finish("error")

    def close(self) -> None:
        """Take no more requests, and let `run` come to its end."""
        with self.has_news:
            self.is_closed = True
            self.has_news.notify()
