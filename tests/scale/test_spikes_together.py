"""Two processes that train together meet a spike, and go back together."""

from dataclasses import replace
from pathlib import Path

import pytest

from minillm.core.records import Run, read_json_lines
from minillm.scale.drill import in_turn
from minillm.scale.launch import run_ranks
from minillm.train import trainer
from minillm.train.spikes import SpikeConfig
from minillm.train.trainer import LOG, PretrainConfig, pretrain
from tests.scale.ranked import poisoned_training
from tests.train.test_spikes import PoisonedStream
from tests.train.tiny import losses, tiny_config, tiny_run

RANKS = 2


def settings(run: Run, action: str) -> PretrainConfig:
    spikes = SpikeConfig(action=action, window=16, min_steps=4, factor=6.0, margin_batches=1)
    return tiny_config(run, spikes=spikes, evaluate_every_steps=None, statistics_every_steps=5)


def test_two_processes_skip_and_go_back_as_one_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    actions = ("skip", "rollback")
    runs = {name: tiny_run(tmp_path / name) for name in actions}
    calls = [(poisoned_training, (settings(run, name), run)) for name, run in runs.items()]
    hashes = run_ranks(in_turn, RANKS, calls)
    assert hashes[0] == hashes[1]
    monkeypatch.setattr(trainer, "Stream", PoisonedStream)
    for name in actions:
        alone = tiny_run(tmp_path / f"alone_{name}")
        pretrain(replace(settings(alone, name)), alone)
        seen = []
        for run in (alone, runs[name]):
            lines = list(read_json_lines(run.path / LOG))
            seen.append([
                (line["event"], line["step"], line["batches"])
                for line in lines if line["event"] in ("spike", "rollback")
            ])  # fmt: skip
            steps = [line["step"] for line in lines if line["event"] == "statistics"]
            assert steps == [5, 10, 15, 20]
        assert seen[0] == seen[1] and len(seen[0]) == 1
        # the same sums in another order
        for (_, one, _), (_, two, _) in zip(losses(alone), losses(runs[name]), strict=True):
            assert two == pytest.approx(one, abs=1e-4)
