"""`minillm train` in several processes: by its own option, and started by torchrun."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from minillm.__main__ import main
from minillm.scale.launch import ENVIRONMENT
from minillm.train.checkpoint import load_model

FIELDS = (
    "tokenizer.vocab_size=300", "model.width=32", "model.num_layers=2", "model.num_heads=2",
    "model.num_kv_heads=1", "model.ffn_width=48", "model.context_length=64",
    "batches.context_length=64", "batches.batch_size=4", "training.max_minutes=null",
    "training.max_steps=12", "training.precision=float32",
    "model.attention=torch",
)  # fmt: skip
SETTINGS = [word for field in FIELDS for word in ("--set", field)]
TORCHRUN = ("-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "--", "minillm")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    lines = (f"Day {day}: the fox met {day % 7} hens, and spoke of rain.\n" for day in range(400))
    (folder / "tale.txt").write_text("".join(lines))
    return folder


def python(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **ENVIRONMENT, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, *words], cwd=home, env=environment, capture_output=True, text=True,
        timeout=100,
    )  # fmt: skip


def train(
    home: Path, run: str, *words: str, start: tuple[str, ...] = ("-m", "minillm")
) -> subprocess.CompletedProcess[str]:
    return python(home, *start, "train", "--text", "tale.txt", "--run", run, *SETTINGS, *words)


def test_processes_torchrun_and_one_process_make_the_same_model(home: Path) -> None:
    results = {
        "one": train(home, "one", "--json"),
        "two": train(home, "two", "--json", "--processes", "2"),
        "torchrun": train(home, "torchrun", "--json", start=TORCHRUN),
    }
    figures = {}
    for name, result in results.items():
        assert result.returncode == 0, result.stderr
        assert result.stdout.count("\n") == 1, "the first rank alone speaks"
        figures[name] = json.loads(result.stdout)
    runs = home / "runs"
    assert (runs / "latest").read_text().strip() == "torchrun"
    # the loss is the mean over the last step, after eleven steps with sums in another order
    for name in ("two", "torchrun"):
        assert figures[name]["tokens"] == figures["one"]["tokens"]
        assert figures[name]["loss"] == pytest.approx(figures["one"]["loss"], abs=1e-3)
    models = [load_model(runs / name / "model")[0] for name in ("two", "torchrun", "one")]
    for two, torchrun, one in zip(*(model.parameters() for model in models), strict=True):
        assert torch.equal(two, torchrun)
        assert (two - one).abs().max() < 5e-3


@pytest.mark.parametrize("number", ["3", "0"])
def test_processes_that_cannot_share_a_batch_are_refused_in_one_line(
    home: Path, number: str, capsys: pytest.CaptureFixture
) -> None:
    words = ["train", "--home", str(home), "--run", "refused", *SETTINGS, "--processes", number]
    assert main(words) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    (line,) = shown.err.strip().splitlines()
    assert f"processes = {number}" in line and "choose one of 1, 2, 4" in line
    assert not (home / "runs" / "refused").exists()


def test_processes_must_be_a_number(home: Path) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["train", "--home", str(home), "--run", "refused", "--processes", "two"])
    assert not (home / "runs" / "refused").exists()


def test_processes_within_torchrun_are_refused(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    words = ["train", "--home", str(home), "--run", "refused", "--processes", "2"]
    assert main(words) == 1
    assert "started by torchrun" in capsys.readouterr().err
    assert not (home / "runs" / "refused").exists()
