"""`minillm serve` and `minillm chat`: results on stdout, each error one clear line on stderr."""

import io
import json
import socket
import sys
import urllib.request
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from minillm.__main__ import main
from minillm.core.promotion import promote
from minillm.serve.config import ServeConfig
from minillm.serve.process import running_server
from tests.serve.small import small_run


Verb = Callable[..., tuple[int, str, str]]


@pytest.fixture
def minillm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> Verb:
    """The command line in this process: its exit code, standard output, standard error."""
    monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)
    monkeypatch.chdir(tmp_path)

    def run_verb(*words: object, typed: str = "") -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
        capsys.readouterr()
        code = main([*map(str, words), "--home", str(tmp_path)])
        return code, *capsys.readouterr()

    return run_verb


def test_bad_input_is_one_clear_line(tmp_path: Path, minillm: Verb) -> None:
    small_run(tmp_path)
    (tmp_path / "empty.txt").write_text("\n")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        cases = [
            (("--run", "gone"), "no run 'gone'"),
            (("--port", port), f"cannot listen on 127.0.0.1 port {port}"),
            (("--port", 70_000), "port = 70000"),
            (("--host", "not.an.address"), "host = 'not.an.address'"),
            (("--slots", 0), "num_slots = 0"),
            (("--api-key-file", "gone.txt"), "gone.txt"),
            (("--api-key-file", "empty.txt"), "is empty"),
            (("--api-key-file", "empty.txt", "--api-key-sha256", "ab"), "give one of the two"),
            (("--api-key-sha256", "ab"), "api_key_sha256 has 2 characters"),
            (("--set", "training.max_steps=1"), "--set: the run keeps its own recipe"),
        ]
        for words, expected in cases:
            code, out, said = minillm("serve", "--run", "small", *words)
            assert code == 1 and said.count("\n") == 1 and expected in said, (words, said)
            assert out == "", words
    assert not (tmp_path / "runs" / "small" / "requests.sqlite").exists()


def test_the_promoted_model_is_served_and_talked_to(tmp_path: Path, minillm: Verb) -> None:
    run = small_run(tmp_path)
    small_run(tmp_path, kind="assistant")
    words = ("chat", "--run", "small", "--prompt", "Who?", "--max-tokens", 5, "--json")
    newest = json.loads(minillm(*words)[1])
    assert newest["prompt"] == "Who?" and newest["model"] == "assistant" and newest["text"]
    promote(run, run.artifact("model"))
    promoted = json.loads(minillm(*words)[1])
    assert promoted["model"] == "model" and promoted["text"] != newest["text"]
    with running_server(run) as url:
        served = json.load(urllib.request.urlopen(f"{url}/v1/models"))["data"][0]
    assert served["id"] == "small-model" and served["sha256"] == run.artifact("model").sha256


def test_a_chat_remembers_what_was_said(tmp_path: Path, minillm: Verb) -> None:
    small_run(tmp_path, kind="assistant")
    words = ("chat", "--run", "small", "--max-tokens", 5, "--temperature", 0, "--json")
    code, out, said = minillm(*words, typed="Who?\nWho?\n\n")
    assert code == 0 and "The assistant answers." in said
    first, second = (json.loads(line)["text"] for line in out.splitlines())
    assert first != second, "the second question stands after the first one's answer"
    again = json.loads(minillm(*words, "--prompt", "Who?")[1])
    assert again["text"] == first


@pytest.mark.parametrize(
    ("fields", "words"),
    [({"port": -1}, "port = -1"), ({"max_queue": -1}, "max_queue = -1"),
     ({"max_tokens": 0}, "max_tokens = 0"), ({"max_body_bytes": 0}, "max_body_bytes = 0"),
     ({"host": ""}, "host = ''"), ({"api_key_sha256": "x" * 64}, "64 characters")],
)  # fmt: skip
def test_an_impossible_service_is_refused(fields: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        ServeConfig(**fields)


def test_the_service_is_for_this_machine_alone_unless_told_otherwise() -> None:
    assert ServeConfig().host == "127.0.0.1" and not ServeConfig().log_text
    assert ServeConfig(host="::1").host == "::1" and ServeConfig(host="localhost")
