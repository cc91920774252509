"""Between the words of the API and the engine: what is asked for becomes a generation, what came
of it becomes a row of the log. Knows nothing of HTTP but its status codes.
"""

import dataclasses
import time
from dataclasses import dataclass, field

from minillm.align.chat import TURN_BEGIN, TURN_END
from minillm.model.transformer import Transformer
from minillm.serve.config import ServeConfig
from minillm.serve.engine import Engine, EngineClosed, QueueFull
from minillm.serve.generation import Deliver, Generation, Sampling
from minillm.serve.metrics import Metrics
from minillm.serve.prompt import Prompt, bits_per_byte, chat_prompt, completion_prompt
from minillm.serve.protocol import ApiError, ChatRequest, CompletionRequest, FeedbackRequest
from minillm.serve.request_log import RequestLog, RequestRow
from minillm.tokenizer.bytepair import Tokenizer

CLIENT_GONE = 499  # no official code; the one that web servers log when the reader has left
RETRY_AFTER_S = 1


# package only
def ended(reason: str | None) -> ApiError:
    """The error of a reply that did not come to its own end."""
    if reason == "error":
        return ApiError(500, "engine_failed", "the engine failed; the request was not at fault")
    return ApiError(CLIENT_GONE, "client_gone", "the reader left before the reply's end")


# package only
@dataclass(kw_only=True, slots=True)
class Call:
    """One request from its arrival on; the parts come in as they are known."""

    id: str
    endpoint: str
    address: str
    created_s: float = field(default_factory=time.time)
    started_s: float = field(default_factory=time.monotonic)
    prompt: Prompt | None = None
    generation: Generation | None = None


# package only
class Service:
    """A model with its engine, log and metrics, under the name that clients ask for."""

    def __init__(
        self, model: Transformer, tokenizer: Tokenizer, config: ServeConfig, log: RequestLog,
        *, name: str, kind: str, sha256: str,
    ) -> None:  # fmt: skip
        self.tokenizer, self.config, self.log = tokenizer, config, log
        self.name, self.kind, self.sha256, self.created_s = name, kind, sha256, time.time()
        self.context_length = model.config.context_length
        self.engine = Engine(
            model, tokenizer, num_slots=config.num_slots, max_queue=config.max_queue
        )
        self.metrics = Metrics(
            lambda: self.engine.num_running, lambda: len(self.engine.waiting), config.num_slots
        )

    def submit(self, call: Call, asked: CompletionRequest | ChatRequest, deliver: Deliver) -> None:
        """Give a request to the engine; ApiError where it cannot be answered."""
        if asked.model != self.name:
            words = f"model {asked.model!r} is not served here; the model is {self.name!r}"
            raise ApiError(404, "model_not_found", words, "model")
        call.prompt = self.prompt(asked)
        sampling = self.sampling(asked, len(call.prompt.ids))
        call.generation = Generation(call.prompt.ids, sampling, deliver)
        try:
            self.engine.submit(call.generation)
        except QueueFull:
            raise ApiError(
                503, "queue_full", "as many requests wait as may wait; try again in a moment",
                headers={"retry-after": str(RETRY_AFTER_S)},
            ) from None  # fmt: skip
        except EngineClosed:
            raise ApiError(503, "engine_stopped", "the engine has stopped") from None

    def prompt(self, asked: CompletionRequest | ChatRequest) -> Prompt:
        """The prompt's ids; what looks like a mark in a text stays text."""
        if isinstance(asked, ChatRequest):
            if not {TURN_BEGIN, TURN_END} <= self.tokenizer.special_ids.keys():
                words = f"{self.name!r} knows no turns: its tokenizer lacks the marks; use prompt"
                raise ApiError(400, "no_chat", words, "messages")
            return chat_prompt([each.message() for each in asked.messages], self.tokenizer)
        if not isinstance(asked.prompt, str):
            last = self.tokenizer.vocab_size - 1
            if not 0 <= min(asked.prompt) <= max(asked.prompt) <= last:
                words = f"prompt holds an id that is not 0 to {last}, those this model knows"
                raise ApiError(400, "invalid_value", words, "prompt")
        return completion_prompt(asked.prompt, self.tokenizer)

    def sampling(self, asked: CompletionRequest | ChatRequest, num_prompt: int) -> Sampling:
        """How the reply is drawn; ApiError 400 where the context has no room for it."""
        field, wanted = "max_tokens", asked.max_tokens
        if wanted is None and isinstance(asked, ChatRequest):
            field, wanted = "max_completion_tokens", asked.max_completion_tokens
        room = self.context_length - num_prompt
        if room < max(1, wanted or 1):
            raise ApiError(
                400, "context_length_exceeded",
                f"the prompt's {num_prompt} tokens and {wanted or 1} more do not fit into the "
                f"context of {self.context_length}; shorten the prompt or ask for fewer tokens",
                "messages" if isinstance(asked, ChatRequest) else "prompt",
            )  # fmt: skip
        if wanted is not None and wanted > self.config.max_tokens:
            words = f"{field} = {wanted}: this server gives at most {self.config.max_tokens}"
            raise ApiError(400, "invalid_value", words, field)
        return Sampling(
            max_tokens=wanted or min(room, self.config.max_tokens),
            temperature=asked.temperature,
            top_p=None if asked.top_p == 1 else asked.top_p,
            min_p=asked.min_p or None,
            presence_penalty=asked.presence_penalty,
            frequency_penalty=asked.frequency_penalty,
            seed=asked.seed,
            stop=asked.stops,
            is_turn=isinstance(asked, ChatRequest),
            # a reply ends at any mark: marks are the server's own and never part of a text
            stop_ids=frozenset(self.tokenizer.special_ids.values()) | set(asked.stop_token_ids),
        )

    def record(self, call: Call, error: ApiError | None = None) -> None:
        """Commit what came of a request to the log, and count it."""
        row = RequestRow(
            id=call.id, created_s=call.created_s, client=self.log.client(call.address),
            endpoint=call.endpoint, model=self.name, model_sha256=self.sha256,
            status=error.status if error else 200, error=error.code if error else None,
            total_ms=1000 * (time.monotonic() - call.started_s),
        )  # fmt: skip
        if call.prompt is not None:
            row = dataclasses.replace(
                row, prompt_tokens=len(call.prompt.ids), prompt=call.prompt.text
            )
        if call.generation is not None and call.generation.first_token_s is not None:
            row = dataclasses.replace(row, **self.outcome(call))
        self.log.add(row)
        self.metrics.count(row)

    def rate(self, given: FeedbackRequest) -> bool:
        """Keep a reader's judgement; False if no reply has that id."""
        rating = 1 if given.rating == "up" else -1
        is_kept = self.log.rate(given.id, rating, given.correction)
        if is_kept:
            self.metrics.ratings.labels(given.rating).inc()
        return is_kept

    def about(self) -> dict[str, object]:
        """What a list of models says of this one, besides its name."""
        return {"created": int(self.created_s), "kind": self.kind, "sha256": self.sha256}

    def outcome(self, call: Call) -> dict[str, object]:
        """What is known once a reply has begun."""
        generation = call.generation
        num_bytes, bits = bits_per_byte(call.prompt, generation.prompt_nats, self.tokenizer)
        return {
            "completion_tokens": len(generation.reply),
            "prompt_bytes": num_bytes,
            "prompt_bits_per_byte": bits,
            "queued_ms": 1000 * (generation.admitted_s - call.started_s),
            "first_token_ms": 1000 * (generation.first_token_s - call.started_s),
            "finish_reason": generation.finish_reason or "cancelled",
            "reply": generation.text.sent,
        }
