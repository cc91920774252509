"""Killed at any act, saving included: no checkpoint that was reported is lost, no bit differs."""

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from minillm.core.records import Run, read_json_lines
from minillm.train.checkpoint import load_model, read_checkpoint
from minillm.train.trainer import CHECKPOINTS, LOG
from tests.train.tiny import losses, weights

ROOT = Path(__file__).resolve().parents[2]
# a life of twenty steps has about 300 acts, four fifths of them in the saving of a checkpoint
LONGEST_LIFE = 70


def lives(home: Path, *moments: object) -> tuple[list[dict], Run]:
    """What was seen after each death, and at the end; the run."""
    command = [sys.executable, "-m", "tests.train.kills", str(home), *map(str, moments)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return lines, Run(name="tiny", path=home / "runs" / "tiny")


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> tuple[list, bytes]:
    """The loss curve and the weights of a run that nothing disturbed."""
    (end,), run = lives(tmp_path_factory.mktemp("straight"))
    assert end["is_finished"] and end["signal"] == 0
    return losses(run), weights(run.artifact("model"))


def survives(home: Path, moments: list[int], uninterrupted: tuple[list, bytes]) -> list[dict]:
    """Nothing reported is lost, nothing is damaged, and the end is that of the undisturbed run."""
    (*deaths, end), run = lives(home, *moments)
    assert [death["signal"] for death in deaths] == [signal.SIGKILL] * len(moments)
    for death in deaths:
        assert death["readable"] >= death["reported"] and death["warnings"] == []
    assert end["is_finished"]
    artifact = run.artifact("model")
    assert (losses(run), weights(artifact)) == uninterrupted
    assert artifact.figures["best_step"] == 8 and artifact.figures["steps"] == 20
    assert artifact.figures["score"] == 0.5
    names = sorted(each.name for each in (run.path / CHECKPOINTS).iterdir())
    assert names == ["step_000008", "step_000020"]
    return deaths


def test_three_kills_saving_included(tmp_path: Path, uninterrupted: tuple[list, bytes]) -> None:
    deaths = survives(tmp_path, [53, 8, 64], uninterrupted)
    assert any(death["is_in_save"] for death in deaths)


@pytest.mark.proof
@pytest.mark.parametrize("seed", range(4))
def test_twenty_kills_at_random_moments(
    tmp_path: Path, uninterrupted: tuple[list, bytes], seed: int
) -> None:
    chance = random.Random(seed)
    survives(tmp_path, [chance.randint(1, LONGEST_LIFE) for _ in range(5)], uninterrupted)


def test_a_save_that_removes_before_it_writes_is_seen_to_lose_what_it_reported(
    tmp_path: Path,
) -> None:
    """The planted bug: dead between the two, nothing is left."""
    deaths, _ = lives(tmp_path, "--removes-first", *[97] * 2, *range(20, 60, 7))
    assert any(death["readable"] < death["reported"] for death in deaths)


def test_the_best_is_the_result_with_its_average_and_not_the_last(
    uninterrupted: tuple[list, bytes], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The weights of step 8's checkpoint are not the result: their average is."""
    (_,), run = lives(tmp_path_factory.mktemp("again"))
    model, _ = load_model(run.path / "model")
    best = read_checkpoint(run.path / CHECKPOINTS / "step_000008")
    name = "model.norm.weight"
    found = dict(model.named_parameters())[name]
    assert torch.equal(found, best.optimizer[f"average.{name}"])
    assert not torch.equal(found, best.model[name])
    lines = list(read_json_lines(run.path / LOG))
    assert [line["score"] for line in lines if line["event"] == "evaluation"][3] == 0.5
