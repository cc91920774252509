"""A request is taken as it is meant, or refused with the field's name and a remedy."""

import json

import pytest

from minillm.serve.protocol import (
    ApiError, ChatRequest, CompletionRequest, FeedbackRequest, choice, envelope, parsed,
    server_sent,
)  # fmt: skip

GIVEN = {"model": "m", "prompt": "It was"}
CHAT = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


def completion(**fields: object) -> CompletionRequest:
    return parsed(CompletionRequest, json.dumps(GIVEN | fields).encode())


@pytest.mark.parametrize(
    ("fields", "param", "words"),
    [
        ({"n": 2}, "n", "n = 2: one reply a request"),
        ({"best_of": 3}, "best_of", "one reply a request"),
        ({"logprobs": 5}, "logprobs", "no log-probabilities"),
        ({"echo": True}, "echo", "not repeated"),
        ({"presence_penalty": 2.5}, "presence_penalty", "= 2.5.*less than or equal to 2"),
        ({"frequency_penalty": -3}, "frequency_penalty", "= -3.*greater than or equal to -2"),
        ({"min_p": 1.5}, "min_p", "min_p = 1.5: input should be less than or equal to 1"),
        ({"repetition_penalty": 1.1}, "repetition_penalty", "does not know the field"),
        ({"temperature": -0.1}, "temperature", "temperature = -0.1: input should be greater"),
        ({"temperature": "hot"}, "temperature", "valid number"),
        ({"temperature": float("nan")}, "temperature", "= nan: input should be"),
        ({"top_p": 0}, "top_p", "greater than 0"),
        ({"max_tokens": 0}, "max_tokens", "greater than or equal to 1"),
        ({"max_tokens": 1.5}, "max_tokens", "valid integer"),
        ({"seed": -1}, "seed", "greater than or equal to 0"),
        ({"stop": ["a"] * 5}, "stop", "at most 4"),
        ({"stop": [""]}, "stop", "at least 1 character"),
        ({"prompt": []}, "prompt", "at least 1"),
        ({"prompt": ["a", "b"]}, "prompt", "valid"),
        ({"model": None}, "model", "field required"),
        ({"tools": []}, "tools", "does not know the field"),
        ({"stream": "yes"}, "stream", "valid boolean"),
    ],
)
def test_what_is_not_done_here_is_refused_by_name(fields: dict, param: str, words: str) -> None:
    with pytest.raises(ApiError, match=words) as caught:
        completion(**fields)
    named = caught.value.param and caught.value.param.partition(".")[0]
    assert caught.value.status == 400 and named == param


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[1]", b'"x"', b"\xff\xfe", b'{"model": "m", "prompt": "\\ud800"}', b"[" * 5000],
)
def test_a_body_that_is_no_json_object_is_a_400(body: bytes) -> None:
    with pytest.raises(ApiError) as caught:
        parsed(CompletionRequest, body)
    assert caught.value.status == 400


def test_neutral_values_and_null_are_taken() -> None:
    asked = completion(
        n=1, best_of=1, logprobs=None, echo=False, presence_penalty=0.0, frequency_penalty=0,
        stop=None, seed=None, stream_options=None, user="u", max_tokens=None,
    )  # fmt: skip
    assert asked.stops == () and asked.max_tokens is None and asked.temperature == 1.0
    assert completion(stop="END").stops == ("END",)
    assert completion(stop=["a", "b"]).stops == ("a", "b")
    assert completion(prompt=[1, 2]).prompt == [1, 2]


def test_a_chat_takes_texts_and_texts_in_pieces() -> None:
    pieces = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    messages = [{"role": "system", "content": "s"}, {"role": "user", "content": pieces}]
    asked = parsed(ChatRequest, json.dumps(CHAT | {"messages": messages}).encode())
    assert [each.message().content for each in asked.messages] == ["s", "ab"]


@pytest.mark.parametrize(
    "message",
    [{"role": "wizard", "content": "x"}, {"role": "user"},
     {"role": "user", "content": "x", "name": "n"},
     {"role": "user", "content": [{"type": "image_url", "image_url": "x"}]}],
)  # fmt: skip
def test_turns_that_cannot_be_read_are_refused(message: dict) -> None:
    with pytest.raises(ApiError, match="messages.0"):
        parsed(ChatRequest, json.dumps(CHAT | {"messages": [message]}).encode())
    with pytest.raises(ApiError, match="messages"):
        parsed(ChatRequest, json.dumps(CHAT | {"messages": []}).encode())


def test_feedback_is_up_or_down() -> None:
    assert parsed(FeedbackRequest, b'{"id": "x", "rating": "up"}').correction is None
    with pytest.raises(ApiError, match="rating"):
        parsed(FeedbackRequest, b'{"id": "x", "rating": 5}')


def test_errors_and_events_have_the_form_that_clients_read() -> None:
    error = ApiError(404, "model_not_found", "no such model", "model").body()["error"]
    assert error == {
        "message": "no such model", "type": "not_found_error", "param": "model",
        "code": "model_not_found",
    }  # fmt: skip
    assert ApiError(503, "queue_full", "x").body()["error"]["type"] == "server_error"
    assert server_sent({"a": "é\n"}) == 'data: {"a": "é\\n"}\n\n'
    assert server_sent("[DONE]") == "data: [DONE]\n\n"
    first = choice(True, "", None, "first")
    assert first["delta"] == {"role": "assistant", "content": ""}
    assert choice(True, "", "stop", "later")["delta"] == {}
    assert envelope(True, "later", "i", "m", 1.9)["object"] == "chat.completion.chunk"
    assert envelope(False, "later", "i", "m", 1.9)["object"] == "text_completion"
