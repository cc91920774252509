"""The command line from outside: results on stdout, each error one line, exit code 0 on success."""

import json
import os
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest
import transformers

from minillm import __version__
from minillm.__main__ import main

VERBS = (
    "course",
    "corpus",
    "tokenizer",
    "train",
    "align",
    "evaluate",
    "compress",
    "export",
    "serve",
    "chat",
    "monitor",
    "lineage",
    "check",
    "bench",
)
TINY = (
    "tokenizer.vocab_size=300",
    "model.width=32",
    "model.num_layers=2",
    "model.num_heads=2",
    "model.num_kv_heads=1",
    "model.ffn_width=48",
    "model.context_length=64",
    "batches.context_length=64",
    "batches.batch_size=4",
    "training.max_minutes=null",
    "training.max_steps=24",
    "training.checkpoint_every_steps=4",
    "model.attention=torch",
)
SETTINGS = [word for field in TINY for word in ("--set", field)]


def minillm(
    *words: object, cwd: Path, timeout_s: float = 120, typed: str = ""
) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "minillm", *map(str, words)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=timeout_s,
        input=typed,
    )  # fmt: skip


def one_line(result: subprocess.CompletedProcess) -> str:
    """The error as the user sees it: exactly one line, no traceback."""
    assert "Traceback" not in result.stderr
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    return lines[0]


@pytest.fixture(scope="module")
def text_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("text") / "tale.txt"
    path.write_text(
        "".join(
            f"Day {day}: the fox met {day % 7} hens, and they spoke of rain.\n"
            for day in range(600)
        )
    )
    return path


@pytest.fixture(scope="module")
def trained(text_file: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    """A home with the finished run `tale`, and the figures that training reported."""
    home = tmp_path_factory.mktemp("home")
    result = minillm("train", "--text", text_file, "--run", "tale", "--json", *SETTINGS, cwd=home)
    assert result.returncode == 0, result.stderr
    return home, json.loads(result.stdout)


def test_help_names_every_verb_and_each_verb_has_its_own(tmp_path: Path) -> None:
    result = minillm("--help", cwd=tmp_path)
    assert result.returncode == 0
    assert [verb for verb in VERBS if verb not in result.stdout] == []
    own = minillm("train", "--help", cwd=tmp_path)
    assert own.returncode == 0 and "--minutes" in own.stdout and "--recipe" in own.stdout
    assert minillm("--version", cwd=tmp_path).stdout == f"minillm {__version__}\n"


def test_training_reports_its_figures(trained: tuple[Path, dict], text_file: Path) -> None:
    home, figures = trained
    assert {"bits_per_byte", "tokens", "seconds", "parameters", "run"} <= figures.keys()
    assert 0 < figures["bits_per_byte"] < 8 and figures["run"] == "tale"
    manifest = json.loads((home / "runs" / "tale" / "shards" / "manifest.json").read_text())
    assert manifest["figures"]["validation_bytes"] == pytest.approx(
        text_file.stat().st_size / 10, abs=1
    )
    assert (home / "runs" / "latest").read_text().strip() == "tale"


def test_chat_continues_a_prompt_and_repeats_with_the_same_seed(trained: tuple[Path, dict]) -> None:
    home, _ = trained
    replies = [minillm("chat", "--prompt", "Day 5:", "--max-tokens", 8, cwd=home) for _ in range(2)]
    assert replies[0].returncode == 0 and replies[0].stdout.startswith("Day 5:")
    assert replies[0].stdout == replies[1].stdout and len(replies[0].stdout) > len("Day 5:\n")


def test_chat_heeds_every_way_to_draw(trained: tuple[Path, dict]) -> None:
    home, _ = trained
    words = ("chat", "--prompt", "Day 5:", "--max-tokens", 30, "--json")

    def text(*more: object) -> str:
        result = minillm(*words, *more, cwd=home)
        assert result.returncode == 0, result.stderr
        return json.loads(result.stdout)["text"]

    greedy = text("--temperature", 0)
    assert text("--top-k", 1) == text("--min-p", 1) == greedy
    for name in ("repetition", "frequency", "presence"):
        assert text("--temperature", 0, f"--{name}-penalty", 2) != greedy, name
    refused = minillm(*words, "--frequency-penalty", 3, cwd=home)
    assert refused.returncode == 1 and "frequency_penalty = 3.0: must be -2 to 2" in refused.stderr


def test_lineage_draws_the_chain_and_names_an_altered_file(trained: tuple[Path, dict]) -> None:
    home, _ = trained
    intact = minillm("lineage", "--run", "tale", cwd=home)
    assert intact.returncode == 0
    assert [kind in intact.stdout for kind in ("model", "shards", "tokenizer", "documents")] == [
        True
    ] * 4
    path = home / "runs" / "tale" / "documents" / "documents.jsonl"
    before = path.read_bytes()
    path.write_bytes(before.replace(b"fox", b"cat", 1))
    altered = minillm("lineage", "--run", "tale", cwd=home)
    path.write_bytes(before)
    assert (
        altered.returncode == 1
        and "ALTERED" in altered.stdout
        and "documents.jsonl" in altered.stdout
    )


def test_export_opens_in_transformers_and_trains_on_from_there(
    trained: tuple[Path, dict], text_file: Path
) -> None:
    home, figures = trained
    exported = minillm("export", "--run", "tale", "--to", "hf", "--out", home / "hf", cwd=home)
    assert exported.returncode == 0, exported.stderr
    model = transformers.AutoModelForCausalLM.from_pretrained(home / "hf")
    assert model.num_parameters() == figures["parameters"]
    on = minillm(
        "train",
        "--text",
        text_file,
        "--run",
        "on",
        "--from",
        home / "hf",
        "--json",
        "--set",
        "training.max_minutes=null",
        "--set",
        "training.max_steps=4",
        "--set",
        "training.compile=false",
        cwd=home,
    )
    assert on.returncode == 0, on.stderr
    assert json.loads(on.stdout)["bits_per_byte"] < figures["bits_per_byte"] + 0.3


def test_bench_compares_with_an_n_gram_model_and_a_compressor(trained: tuple[Path, dict]) -> None:
    home, figures = trained
    result = minillm("bench", "--run", "tale", "--json", cwd=home)
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["model_bits_per_byte"] == pytest.approx(figures["bits_per_byte"], rel=1e-3)
    assert 0 < found["kneser_ney_5_gram_bits_per_byte"] < 8 and 0 < found["xz_bits_per_byte"] < 8


def test_tokenizer_on_its_own_writes_one_file(text_file: Path, tmp_path: Path) -> None:
    result = minillm(
        "tokenizer",
        "--text",
        text_file,
        "--vocab-size",
        300,
        "--out",
        tmp_path / "out",
        cwd=tmp_path,
    )
    assert result.returncode == 0, result.stderr
    assert (
        len(json.loads((tmp_path / "out" / "tokenizer.json").read_text())["model"]["vocab"]) >= 256
    )


def test_bad_input_is_one_clear_line(tmp_path: Path) -> None:
    empty, binary = tmp_path / "empty.txt", tmp_path / "binary.txt"
    empty.write_text("")
    binary.write_bytes(b"abc\x00\xff\xfe")
    cases = [
        (("train", "--text", "gone.txt", "--run", "x"), 1, "gone.txt"),
        (("train", "--text", empty, "--run", "x"), 1, "empty"),
        (("train", "--text", tmp_path, "--run", "x"), 1, "a folder; give the files in it"),
        (("train", "--text", binary, "--run", "x"), 1, "binary.txt"),
        (("train", "--txet", binary), 2, "--txet is not known: do you mean --text?"),
        (("serve", "--prot=80"), 2, "do you mean --port? (see minillm serve --help)"),
        (("--json", "lineage"), 2, "minillm lineage: --json stands before the verb; put it after"),
        (("train", "--version"), 2, "--version is not known (see minillm train --help)"),
        (("chat", "--wobble"), 2, "minillm chat: --wobble is not known (see minillm chat --help)"),
        (("train", "--recipe", "huge", "--run", "x"), 1, "recipe = 'huge'"),
        (("train", "--set", "training.stepz=1", "--run", "x"), 1, "stepz"),
        (("tokenizer", "--text", empty, "--out", tmp_path / "out"), 1, "empty"),
        (("tokenizer", "--text", "gone.txt", "--out", tmp_path / "out"), 1, "gone.txt"),
        (("chat", "--run", "gone"), 1, "no run 'gone'"),
        (("train", "--from", tmp_path, "--run", "x"), 1, str(tmp_path)),
        (("lineage",), 1, "no run has succeeded yet"),
        (("train", "--minutes", "0", "--run", "x"), 1, "minutes = 0.0: must be above 0"),
        (("train", "--text", __file__, "--minutes", "0", "--run", "x"), 1, "minutes = 0.0"),
        (("train", "--set", "brief=3", "--run", "x"), 1, "brief = 3: must be a group"),
    ]
    for words, code, expected in cases:
        result = minillm(*words, cwd=tmp_path)
        assert result.returncode == code, (words, result.stderr)
        assert expected in one_line(result), words
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())
    assert not (tmp_path / "runs" / "x").exists(), "a refused command leaves no run behind"


def test_altered_checkpoint_truncated_shard_and_unreadable_home_are_one_line(
    trained: tuple[Path, dict], tmp_path: Path
) -> None:
    home, _ = trained
    run = home / "runs" / "tale"
    for name, words in (
        ("model/model.safetensors", ("chat", "--run", "tale", "--prompt", "Day")),
        ("shards/train_0000.bin", ("bench", "--run", "tale")),
    ):
        path = run / name
        before = path.read_bytes()
        path.write_bytes(before[: len(before) // 2])
        result = minillm(*words, cwd=home)
        path.write_bytes(before)
        assert (
            result.returncode == 1
            and path.name in one_line(result)
            and "altered" in one_line(result)
        )
    (tmp_path / "file").write_text("a file, not a folder")
    result = minillm("train", "--home", tmp_path / "file", "--run", "x", cwd=tmp_path)
    assert result.returncode == 1 and "file" in one_line(result)


def test_an_option_that_a_verb_would_not_heed_is_refused(
    trained: tuple[Path, dict], text_file: Path
) -> None:
    home, _ = trained
    field, out = "training.max_steps=9", ("--out", home / "never")
    alone = ("tokenizer", "--text", text_file, *out)
    cases = [
        (("chat", "--prompt", "Day", "--set", field), "--set: the run keeps its own recipe"),
        (("chat", "--prompt", "Day", "--recipe", "smoke"), "--recipe: the run keeps its own"),
        (("export", *out, "--recipe", "laptop"), "--recipe: the run keeps its own recipe"),
        (("lineage", "--set", field), "--set: the run keeps its own recipe"),
        (("bench", "--set", field), "--set: the run keeps its own recipe"),
        (("check", "02", "--run", "tale"), "--run: the exercises belong to no run"),
        (("check", "--set", field), "--set: the exercises belong to no run"),
        ((*alone, "--run", "tale"), "--run: with --text and --out the tokenizer belongs to no run"),
        ((*alone, "--recipe", "smoke"), "--recipe: with --text and --out"),
        ((*alone, "--set", field), "--set: with --text and --out"),
        (("tokenizer", "--run", "tale", "--vocab-size", 300), "use --set tokenizer.vocab_size=N"),
        (("tokenizer", "--run", "tale", *out), "--out: the run's folder takes the tokenizer"),
    ]
    for words, expected in cases:
        result = minillm(*words, cwd=home)
        assert result.returncode == 1 and result.stdout == "", words
        assert expected in one_line(result), words
    assert not (home / "never").exists()


def test_check_reports_as_json_what_it_prints(tmp_path: Path) -> None:
    printed, reported = (minillm("check", "02", *more, cwd=tmp_path) for more in ((), ("--json",)))
    assert printed.returncode == reported.returncode == 1, "the committed exercises are unsolved"
    figures = json.loads(reported.stdout)
    last = f"{figures['passed']} of {figures['exercises']} exercises passed"
    assert printed.stdout.splitlines()[-1] == last and figures["exercises"] >= 3
    assert {each["state"] for each in figures["reports"]} == {"not started"}
    assert figures["reports"][0]["id"] == "02.1"


def test_course_reports_its_figures_as_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    from tools import course

    def run_course(*, run_name: str, home: Path) -> int:
        print("✓ [1/1] 00_map: 1 s")
        path = home / "runs" / run_name / "figures.json"
        path.write_text('{\n "run": "trial"\n}')
        return 0

    monkeypatch.setattr(course, "run_course", run_course)
    monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)
    words = ["course", "--run", "trial", "--home", str(tmp_path)]
    assert main([*words, "--json"]) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out) == {"run": "trial", "path": str(tmp_path / "runs" / "trial")}
    assert shown.out.count("\n") == 1 and "00_map" in shown.err
    assert main(words) == 0
    assert capsys.readouterr().out == "✓ [1/1] 00_map: 1 s\n"


def test_a_model_trained_again_is_told_of_and_nothing_made_from_the_earlier_one_answers(
    text_file: Path, tmp_path: Path
) -> None:
    train = ("train", "--text", text_file, "--run", "twice", *SETTINGS, "--set")
    first = minillm(*train, "training.max_steps=4", cwd=tmp_path)
    assert first.returncode == 0 and "already" not in first.stderr
    minillm("compress", "--run", "twice", "--scheme", "int8", cwd=tmp_path)
    chat = ("chat", "--run", "twice", "--prompt", "Day", "--max-tokens", 4, "--quantized")
    assert minillm(*chat, cwd=tmp_path).returncode == 0
    same = minillm(*train, "training.max_steps=4", cwd=tmp_path)
    assert same.returncode == 0 and "already" not in same.stderr, "a finished model is only used"
    second = minillm(*train, "training.max_steps=5", cwd=tmp_path)
    told = second.stderr.strip().splitlines()[-1]
    assert "run 'twice' had a model already (bits_per_byte " in told
    refused = minillm(*chat, cwd=tmp_path)
    assert refused.returncode == 1
    assert "minillm compress --run twice makes it again" in one_line(refused)


def test_chat_says_what_it_cuts_off_a_long_prompt(trained: tuple[Path, dict]) -> None:
    home, _ = trained
    prompt = "Rain fell on day one. " * 60
    result = minillm("chat", "--prompt", prompt, "--max-tokens", 4, "--json", cwd=home)
    assert result.returncode == 0
    warning = one_line(result)
    assert "tokens are cut ('Rain fell on day one." in warning and "shorter prompt" in warning
    assert json.loads(result.stdout)["prompt"] == prompt
    short = minillm("chat", "--prompt", "Rain fell", "--max-tokens", 4, cwd=home)
    assert short.stderr == ""


def test_chat_answers_each_line_and_ends_at_an_empty_one(trained: tuple[Path, dict]) -> None:
    home, _ = trained
    words = ("chat", "--run", "tale", "--max-tokens", 4)
    as_json = minillm(*words, "--json", cwd=home, typed="Day 5:\nDay 6:\n\nDay 7:\n")
    assert as_json.returncode == 0
    replies = [json.loads(line) for line in as_json.stdout.splitlines()]
    assert [reply["prompt"] for reply in replies] == ["Day 5:", "Day 6:"]
    plain = minillm(*words, cwd=home, typed="Day 5:\n")
    assert plain.stdout == "Day 5:" + replies[0]["text"] + "\n"


def test_killed_and_run_again_gives_the_losses_of_an_uninterrupted_run(
    text_file: Path, tmp_path: Path
) -> None:
    words = ["train", "--text", str(text_file), "--run", "drill", *SETTINGS]

    def lines(home: Path) -> list[dict]:
        text = (home / "runs" / "drill" / "logs" / "pretrain.jsonl").read_text()
        # the killed process may have left half a line behind
        return [json.loads(line) for line in text.splitlines(keepends=True) if line[-1] == "\n"]

    def losses(home: Path) -> dict[int, float]:
        return {line["step"]: line["loss"] for line in lines(home) if "loss" in line}

    whole, killed = tmp_path / "whole", tmp_path / "killed"
    whole.mkdir()
    killed.mkdir()
    assert minillm(*words, cwd=whole).returncode == 0
    process = subprocess.Popen(
        [sys.executable, "-m", "minillm", *words],
        cwd=killed,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    checkpoints = killed / "runs" / "drill" / "checkpoints"
    deadline_s = time.monotonic() + 100
    while time.monotonic() < deadline_s and not list(checkpoints.glob("step_*")):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    saved = {int(path.name.removeprefix("step_")) for path in checkpoints.glob("step_*")}
    assert saved, "no checkpoint before the kill: nothing to resume from"
    before = lines(killed)
    assert not (killed / "runs" / "drill" / "model" / "manifest.json").exists()
    assert minillm(*words, cwd=killed).returncode == 0
    # lines up to the checkpoint are the killed process's own, times included; the rest is new
    step, after = max(saved), lines(killed)
    assert [line for line in after if line["step"] <= step] == [
        line for line in before if line["step"] <= step
    ]
    assert 0 < step < 24 and after[-1]["step"] == 24
    assert losses(whole) == losses(killed) and len(losses(whole)) == 24


def test_who_stops_a_run_is_told_how_it_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt("SIGTERM: training stopped after step 3")

    monkeypatch.setattr("minillm.stages.reach", stopped)
    assert main(["train", "--run", "drill", "--home", str(tmp_path)]) == 130
    assert capsys.readouterr().err == (
        "minillm train: stopped (SIGTERM: training stopped after step 3; "
        f"`minillm train --run drill --home {tmp_path}` goes on from what is saved)\n"
    )
