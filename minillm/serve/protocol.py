"""What is said over HTTP, in the words of the OpenAI API: requests in, replies and errors out.

A request that asks for something this server does not do is refused with the field's name: an
option that is silently dropped would give a wrong answer. `null` means: as if it were not there.
`min_p` is not OpenAI's: other open servers take it under this name.
Left out: several replies to a request, log-probabilities, tools, images, JSON modes.
"""

import json
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from minillm.align.chat import Message
from minillm.model.sampling import MAX_PENALTY
from minillm.serve.generation import MAX_SEED

NO_LOGPROBS = "this server gives no log-probabilities; leave the field out"
REMEDIES = {
    "n": "one reply a request; send the request again for another",
    "best_of": "one reply a request; leave the field out",
    "echo": "the prompt is not repeated; leave the field out",
    "logprobs": NO_LOGPROBS,
    "top_logprobs": NO_LOGPROBS,
}
ERROR_TYPES = {401: "authentication_error", 404: "not_found_error"}

Count = Annotated[int, Field(ge=1)]
StopText = Annotated[str, Field(min_length=1, max_length=256)]
Penalty = Annotated[float, Field(ge=-MAX_PENALTY, le=MAX_PENALTY)]


class ApiError(Exception):
    """A request that gets an error: an HTTP status, a code for programs, words for people."""

    def __init__(
        self, status: int, code: str, message: str, param: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:  # fmt: skip
        super().__init__(message)
        self.status, self.code, self.param, self.headers = status, code, param, headers or {}

    def body(self) -> dict:
        """The envelope that clients of the API know."""
        kind = "server_error" if self.status >= 500 else "invalid_request_error"
        kind = ERROR_TYPES.get(self.status, kind)
        fields = {"message": str(self), "type": kind, "param": self.param, "code": self.code}
        return {"error": fields}


class Strict(BaseModel):
    """No field that is not named, no text where a number belongs; null is as good as nothing."""

    model_config = ConfigDict(extra="forbid", strict=True)

    @model_validator(mode="before")
    @classmethod
    def without_null(cls, fields: object) -> object:
        """The same without the fields that are null."""
        is_object = isinstance(fields, dict)
        return {n: v for n, v in fields.items() if v is not None} if is_object else fields


# package only
class StreamOptions(Strict):
    """`include_usage`: one more chunk before the end counts the tokens."""

    include_usage: bool = False


class GenerateRequest(Strict):
    """What completions and chats have in common."""

    model: str
    max_tokens: Count | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] = 1.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    min_p: Annotated[float, Field(ge=0, le=1)] = 0.0
    seed: Annotated[int, Field(ge=0, le=MAX_SEED)] | None = None
    stop: StopText | Annotated[list[StopText], Field(max_length=4)] = []
    stop_token_ids: Annotated[list[int], Field(max_length=64)] = []
    stream: bool = False
    stream_options: StreamOptions = StreamOptions()
    user: str | None = None
    n: Literal[1] = 1
    presence_penalty: Penalty = 0.0
    frequency_penalty: Penalty = 0.0

    @property
    def stops(self) -> tuple[str, ...]:
        """The stop strings, given as one or as several."""
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop)


class CompletionRequest(GenerateRequest):
    """A prompt to continue: a text, or token ids."""

    prompt: str | Annotated[list[int], Field(min_length=1)]
    best_of: Literal[1] = 1
    echo: Literal[False] = False
    logprobs: None = None


# package only
class TextPart(Strict):
    """A piece of a message's content."""

    type: Literal["text"]
    text: str


class ChatMessage(Strict):
    """One turn; its content is a text, or texts in pieces."""

    role: Literal["system", "user", "assistant"]
    content: str | list[TextPart]

    def message(self) -> Message:
        """The turn as the chat template takes it."""
        is_text = isinstance(self.content, str)
        text = self.content if is_text else "".join(part.text for part in self.content)
        return Message(self.role, text)


class ChatRequest(GenerateRequest):
    """A conversation whose next turn is the assistant's."""

    messages: Annotated[list[ChatMessage], Field(min_length=1)]
    max_completion_tokens: Count | None = None
    logprobs: Literal[False] = False
    top_logprobs: None = None


# package only
class FeedbackRequest(Strict):
    """What a reader thinks of a reply, and what it should have been."""

    id: str
    rating: Literal["up", "down"]
    correction: Annotated[str, Field(max_length=20_000)] | None = None


# package only
def told(faults: list[dict]) -> dict:
    """The first fault; where a value may be of several types, one beyond having the wrong type."""
    field = faults[0]["loc"][:1]
    of_field = [each for each in faults if each["loc"][:1] == field]
    return next((each for each in of_field if not each["type"].endswith("_type")), of_field[0])


AnyRequest = TypeVar("AnyRequest", bound=Strict)


def parsed(kind: type[AnyRequest], body: bytes) -> AnyRequest:
    """A request from its JSON; ApiError 400 names the first field that is wrong, and the remedy."""
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        fault = told(error.errors(include_url=False))
        if not fault["loc"]:
            words = f"the body is not a JSON object: {fault['msg']}"
            raise ApiError(400, "invalid_json", words) from None
        # pydantic also names which of several allowed types it tried: nothing that was sent
        sent = [part for part in fault["loc"] if str(part).isalnum() or "_" in str(part)]
        place = ".".join(str(part) for part in sent if part != "str")
        words = REMEDIES.get(place, f"{fault['msg'][:1].lower()}{fault['msg'][1:]}")
        if fault["type"] == "extra_forbidden":
            words = "this server does not know the field; leave it out"
        is_number = isinstance(fault["input"], int | float)
        given = f"{place} = {fault['input']}" if is_number else place
        raise ApiError(400, "invalid_value", f"{given}: {words}", place) from None


def usage(num_prompt: int, num_reply: int) -> dict[str, int]:
    """The tokens of a request, counted as the API does."""
    total = num_prompt + num_reply
    return {"prompt_tokens": num_prompt, "completion_tokens": num_reply, "total_tokens": total}


def choice(is_chat: bool, text: str, reason: str | None, stage: str) -> dict:
    """One reply, or a piece of it: `stage` is whole, first or later."""
    fields = {"index": 0, "finish_reason": reason, "logprobs": None}
    if not is_chat:
        return fields | {"text": text}
    if stage == "whole":
        return fields | {"message": {"role": "assistant", "content": text}}
    role = {"role": "assistant"} if stage == "first" else {}
    return fields | {"delta": role | ({"content": text} if text or role else {})}


def envelope(is_chat: bool, stage: str, request_id: str, model: str, created_s: float) -> dict:
    """What every reply and every piece of one begins with."""
    kind = "chat.completion" if is_chat else "text_completion"
    chunk = ".chunk" if is_chat and stage != "whole" else ""
    return {"id": request_id, "object": kind + chunk, "created": int(created_s), "model": model}


def server_sent(event: dict | str) -> str:
    """One server-sent event: a line `data: …`, then an empty line."""
    text = event if isinstance(event, str) else json.dumps(event, ensure_ascii=False)
    return f"data: {text}\n\n"
