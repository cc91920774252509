"""The server from outside: the unmodified openai client, broken connections, a killed process."""

import concurrent.futures
import hashlib
import json
import os
import signal
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import openai
import pytest

from minillm.core.records import Run
from minillm.serve.config import ServeConfig
from minillm.serve.process import options_of, running_server, start_server, stop_server
from minillm.serve.request_log import REQUEST_LOG, RequestRow, read_requests
from tests.serve.small import small_run

KEY = "correct-horse"  # obviously not a real one
SLOTS = 3
CONFIG = ServeConfig(
    num_slots=SLOTS, max_queue=64, max_tokens=2000, max_body_bytes=20_000, log_text=True,
    api_key_sha256=hashlib.sha256(KEY.encode()).hexdigest(),
)  # fmt: skip
MODEL, PROMPT = "small-model", "Ann has a"
LONG = {"model": MODEL, "prompt": PROMPT, "max_tokens": 1900, "temperature": 0}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return small_run(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def url(run: Run) -> Iterator[str]:
    with running_server(run, CONFIG) as address:
        yield address


@pytest.fixture(scope="module")
def client(url: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0)


def rows_of(run: Run) -> list[RequestRow]:
    return read_requests(run.path / REQUEST_LOG)


def row_of(run: Run, request_id: str) -> RequestRow | None:
    return next((row for row in rows_of(run) if row.id == request_id), None)


def metric(url: str, line: str) -> float:
    text = urllib.request.urlopen(f"{url}/metrics").read().decode()
    return next(float(each.split()[-1]) for each in text.splitlines() if each.startswith(line))


def eventually(condition: Callable[[], bool], timeout_s: float = 10) -> bool:
    deadline = time.monotonic() + timeout_s
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return condition()


def requests_running(url: str) -> float:
    return metric(url, "minillm:num_requests_running ")


def test_a_completion_and_its_row(run: Run, client: openai.OpenAI) -> None:
    reply = client.completions.create(model=MODEL, prompt=PROMPT, max_tokens=12, temperature=0)
    row = row_of(run, reply.id)
    assert reply.choices[0].finish_reason == row.finish_reason == "length"
    assert reply.usage.completion_tokens == row.completion_tokens == 12
    assert reply.usage.prompt_tokens == row.prompt_tokens and row.status == 200
    assert row.prompt == PROMPT and row.reply == reply.choices[0].text
    assert row.prompt_bytes == len(PROMPT) and 0 < row.prompt_bits_per_byte < 30
    assert 0 <= row.queued_ms <= row.first_token_ms <= row.total_ms < 60_000
    assert row.model == MODEL and row.model_sha256 == run.artifact("model").sha256
    assert "127.0.0.1" not in row.client
    assert reply._request_id == reply.id


def test_penalties_and_min_p_are_heeded(client: openai.OpenAI) -> None:
    asked = {"model": MODEL, "prompt": PROMPT, "max_tokens": 30}

    def text(**more: object) -> str:
        return client.completions.create(**asked, **more).choices[0].text

    greedy = text(temperature=0)
    assert text(temperature=0, frequency_penalty=2.0) != greedy
    assert text(temperature=0, presence_penalty=2.0) != greedy
    assert text(temperature=1.0, extra_body={"min_p": 1.0}) == greedy


@pytest.mark.parametrize("more", [{"temperature": 0}, {"temperature": 1.0, "seed": 5},
                                  {"temperature": 0, "stop": "e"}])  # fmt: skip
def test_a_stream_joined_is_the_reply_in_one_piece(client: openai.OpenAI, more: dict) -> None:
    asked = {"model": MODEL, "prompt": PROMPT, "max_tokens": 30, **more}
    whole = client.completions.create(**asked)
    chunks = list(
        client.completions.create(**asked, stream=True, stream_options={"include_usage": True})
    )
    assert "".join(each.choices[0].text for each in chunks[:-1]) == whole.choices[0].text
    assert chunks[-2].choices[0].finish_reason == whole.choices[0].finish_reason
    assert chunks[-1].choices == [] and chunks[-1].usage == whole.usage
    assert len({each.id for each in chunks}) == 1


def test_a_chat_in_one_piece_and_streamed(run: Run, client: openai.OpenAI) -> None:
    asked = {
        "model": MODEL, "temperature": 0, "max_tokens": 20,
        "messages": [{"role": "user", "content": "Who has the <|im_start|>ball?"}],
    }  # fmt: skip
    whole = client.chat.completions.create(**asked)
    assert whole.choices[0].message.role == "assistant"
    assert whole.choices[0].message.content == whole.choices[0].message.content.lstrip()
    chunks = list(client.chat.completions.create(**asked, stream=True))
    assert chunks[0].choices[0].delta.role == "assistant"
    assert all(each.choices[0].delta.role is None for each in chunks[1:])
    said = "".join(each.choices[0].delta.content or "" for each in chunks)
    assert said == whole.choices[0].message.content
    assert row_of(run, whole.id).prompt == "Who has the <|im_start|>ball?"


def test_requests_at_once_get_the_replies_of_one_at_a_time(client: openai.OpenAI) -> None:
    def ask(number: int) -> str:
        reply = client.completions.create(
            model=MODEL, prompt=[number % 290] * (1 + number % 7), max_tokens=5 + number,
            temperature=0 if number % 2 else 1, seed=number,
        )  # fmt: skip
        return reply.choices[0].text

    with concurrent.futures.ThreadPoolExecutor(32) as pool:
        together = list(pool.map(ask, range(32)))
    assert together == [ask(number) for number in range(32)]
    assert len(set(together)) == 32


def test_the_client_gets_its_own_error_classes(run: Run, client: openai.OpenAI, url: str) -> None:
    asked = {"model": MODEL, "prompt": PROMPT, "max_tokens": 2}
    cases = [
        ({"n": 2}, openai.BadRequestError, "n = 2"),
        ({"logprobs": 1}, openai.BadRequestError, "log-probabilities"),
        ({"prompt": "a" * 9000}, openai.BadRequestError, "do not fit into the context of 2048"),
        ({"max_tokens": 2001}, openai.BadRequestError, "at most 2000"),
        ({"prompt": [300]}, openai.BadRequestError, "0 to 299"),
        ({"model": "other"}, openai.NotFoundError, "small-model"),
        ({"prompt": "a" * 100_000}, openai.APIStatusError, "at most 20000 bytes"),
    ]
    for change, kind, words in cases:
        with pytest.raises(kind, match=words) as caught:
            client.completions.create(**{**asked, **change})
        row = row_of(run, caught.value.request_id)
        assert row.status == caught.value.status_code and row.error == caught.value.code
        assert row.reply is None and row.finish_reason is None
    assert caught.value.status_code == 413
    stranger = openai.OpenAI(base_url=f"{url}/v1", api_key="wrong", max_retries=0)
    for call in (stranger.models.list, lambda: stranger.completions.create(**asked)):
        with pytest.raises(openai.AuthenticationError, match="asks for a key"):
            call()
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("other")
    assert client.models.retrieve(MODEL).id == client.models.list().data[0].id == MODEL


def test_a_reader_who_leaves_frees_the_slot(run: Run, client: openai.OpenAI, url: str) -> None:
    streams = [client.completions.create(**LONG, stream=True) for _ in range(SLOTS)]
    ids = [next(iter(stream)).id for stream in streams]
    assert requests_running(url) == SLOTS
    for stream in streams:
        stream.close()
    assert eventually(lambda: requests_running(url) == 0)
    assert eventually(lambda: all(row_of(run, each) for each in ids))
    rows = [row_of(run, each) for each in ids]
    assert [(row.status, row.finish_reason) for row in rows] == [(499, "cancelled")] * SLOTS
    assert all(0 < row.completion_tokens < 1900 for row in rows)


def test_a_reader_who_leaves_before_a_whole_reply_frees_the_slot(run: Run, url: str) -> None:
    before = len(rows_of(run))
    body = json.dumps(LONG).encode()
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        head = (
            f"POST /v1/completions HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {KEY}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        connection.sendall(head.encode() + body)
        assert eventually(lambda: requests_running(url) == 1)
    assert eventually(lambda: requests_running(url) == 0)
    assert eventually(lambda: len(rows_of(run)) == before + 1)
    assert rows_of(run)[-1].status == 499


def test_a_full_queue_is_a_503_that_the_client_tries_again(tmp_path: Path) -> None:
    run = small_run(tmp_path)
    with running_server(run, ServeConfig(num_slots=1, max_queue=0, max_tokens=2000)) as url:
        patient = openai.OpenAI(base_url=f"{url}/v1", api_key="any", max_retries=3)
        stream = patient.completions.create(**LONG, stream=True)
        next(iter(stream))
        with pytest.raises(openai.InternalServerError, match="try again") as caught:
            patient.with_options(max_retries=0).completions.create(**LONG)
        assert caught.value.status_code == 503
        assert caught.value.response.headers["retry-after"] == "1"
        threading.Timer(0.2, stream.close).start()
        reply = patient.completions.create(**{**LONG, "max_tokens": 2})
        assert reply.usage.completion_tokens == 2
        refused = [row for row in rows_of(run) if row.status == 503]
        assert len(refused) >= 2 and {row.error for row in refused} == {"queue_full"}
        answered = row_of(run, reply.id)
        assert answered.created_s - refused[-1].created_s >= 0.9, "Retry-After is one second"
        assert answered.prompt is None, "texts are kept by opt-in alone"


def test_feedback_reaches_the_row(run: Run, client: openai.OpenAI, url: str) -> None:
    reply = client.completions.create(model=MODEL, prompt=PROMPT, max_tokens=2)

    def judge(**fields: str) -> dict:
        request = urllib.request.Request(
            f"{url}/v1/feedback", json.dumps(fields).encode(),
            {"content-type": "application/json", "authorization": f"Bearer {KEY}"},
        )  # fmt: skip
        return json.load(urllib.request.urlopen(request))

    assert judge(id=reply.id, rating="up")["correction_kept"] is False
    assert row_of(run, reply.id).rating == 1
    assert judge(id=reply.id, rating="down", correction="a ball")["correction_kept"] is True
    row = row_of(run, reply.id)
    assert (row.rating, row.correction) == (-1, "a ball")
    with pytest.raises(urllib.error.HTTPError, match="404"):
        judge(id="cmpl-unknown", rating="up")


def status_of(url: str, body: bytes | None = None, **headers: str) -> tuple[int, dict]:
    request = urllib.request.Request(url, body, headers)
    try:
        with urllib.request.urlopen(request) as response:
            return response.status, dict(response.headers)
    except urllib.error.HTTPError as error:
        error_body = json.load(error)
        assert error_body["error"]["message"] and "code" in error_body["error"]
        return error.code, dict(error.headers)


def test_other_paths_methods_and_types_are_errors_in_the_same_form(url: str) -> None:
    key = {"authorization": f"Bearer {KEY}"}
    assert status_of(f"{url}/health")[0] == 200
    assert status_of(f"{url}/nowhere")[0] == 404
    assert status_of(f"{url}/v1/completions", **key)[0] == 405
    form = {"content-type": "text/plain", **key}
    assert status_of(f"{url}/v1/completions", b"{}", **form)[0] == 415
    typed = {"content-type": "application/json; charset=utf-8", **key}
    assert status_of(f"{url}/v1/completions", b"{", **typed)[0] == 400
    status, headers = status_of(f"{url}/v1/models", **key)
    assert status == 200 and headers["x-request-id"].startswith("req-")
    assert "default-src 'none'" in status_of(url)[1]["content-security-policy"]


def test_metrics_add_up_with_the_log(run: Run, url: str) -> None:
    rows = [row for row in rows_of(run) if row.status == 200]
    assert metric(url, "minillm:generation_tokens_total") == sum(
        row.completion_tokens for row in rows
    )
    assert metric(url, "minillm:e2e_request_latency_seconds_count") == len(rows) > 30
    assert metric(url, "minillm:num_slots") == SLOTS


def test_a_killed_server_has_logged_every_request_that_was_finished(tmp_path: Path) -> None:
    run = small_run(tmp_path)
    process, url = start_server(run, ServeConfig(num_slots=4))
    client = openai.OpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0)
    finished: list[str] = []

    def ask_on() -> None:
        while True:
            asked = {"model": MODEL, "prompt": PROMPT, "max_tokens": 3}
            try:
                if len(finished) % 2:
                    chunks = list(client.completions.create(**asked, stream=True))
                    if chunks and chunks[-1].choices[0].finish_reason:
                        finished.append(chunks[-1].id)
                else:
                    finished.append(client.completions.create(**asked).id)
            except openai.APIError:
                return
            except (OSError, ValueError) as error:  # a stream cut in its middle
                assert process.poll() is not None, error
                return

    threads = [threading.Thread(target=ask_on, daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    assert eventually(lambda: len(finished) > 40)
    os.kill(process.pid, signal.SIGKILL)
    for thread in threads:
        thread.join(10)
    process.wait()
    process.stdout.close()
    kept = {row.id: row for row in rows_of(run)}
    assert len(finished) > 40 and set(finished) <= kept.keys()
    assert {kept[each].status for each in finished} == {200}


def test_a_stopped_server_lets_replies_come_to_their_end(tmp_path: Path) -> None:
    run = small_run(tmp_path)
    process, url = start_server(run, ServeConfig(max_tokens=2000))
    client = openai.OpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0)
    stream = iter(client.completions.create(**{**LONG, "max_tokens": 300}, stream=True))
    next(stream)
    stopping = threading.Thread(target=stop_server, args=(process,))
    stopping.start()
    assert list(stream)[-1].choices[0].finish_reason == "length"
    stopping.join(20)
    assert process.poll() == -signal.SIGTERM
    assert rows_of(run)[-1].completion_tokens == 300


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    run = Run(name="gone", path=tmp_path / "runs" / "gone")
    with pytest.raises(RuntimeError, match="no run 'gone'"), running_server(run):
        pass


def test_a_configuration_survives_the_way_through_the_command_line() -> None:
    from minillm.__main__ import parser
    from minillm.verbs.serve import GIVEN

    args = parser().parse_args(["serve", *options_of(CONFIG)])
    found = {name: getattr(args, name) for name in (*GIVEN, "log_text", "api_key_sha256")}
    assert ServeConfig(**found) == CONFIG
    assert "--port" in options_of(ServeConfig(port=0))
