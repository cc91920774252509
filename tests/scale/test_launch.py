"""The trainer under torchrun's agent: one process's model, a rank killed, clear errors."""

import os
import signal
import time
from itertools import repeat

import pytest
import torch

from minillm.core.records import Run
from minillm.scale.drill import training_of_rank
from minillm.scale.launch import ENVIRONMENT, check_processes, joined, run_ranks
from minillm.train import loop
from minillm.train.checkpoint import load_latest_checkpoint, load_model
from minillm.train.optimizer import make_optimizer
from minillm.train.ranks import ALONE, Unlogged
from minillm.train.schedule import TrainingConfig, TrainState
from minillm.train.trainer import CHECKPOINTS, pretrain, pretraining_loss
from tests.scale.ranked import double_model, fails_in_rank, in_turn, whole_batch
from tests.train.tiny import losses, tiny_config, tiny_run, weights

RANKS, STEP_OF_DEATH = 2, 13


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """Three finished runs: one process; two; two of which one was killed and started again."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    made = {
        name: tiny_run(tmp_path_factory.mktemp(name)) for name in ("alone", "together", "killed")
    }
    torch.set_num_threads(before)
    config = tiny_config(made["alone"], evaluate_every_steps=None)
    pretrain(config, made["alone"])
    calls = [
        (training_of_rank, (config, made["together"])),
        (training_of_rank, (config, made["killed"], (1, STEP_OF_DEATH))),
    ]
    started_s = time.monotonic()
    hashes = run_ranks(in_turn, RANKS, calls, max_restarts=1)
    assert time.monotonic() - started_s < 100, "a restart must not wait for the dead"
    assert hashes[0] == hashes[1]
    return made


def test_two_processes_make_the_model_of_one(runs: dict[str, Run]) -> None:
    alone, together = losses(runs["alone"]), losses(runs["together"])
    assert [step for step, *_ in together] == [step for step, *_ in alone] == list(range(1, 21))
    # the same sums in another order; twenty AdamW steps made of them 2e-6 here
    for (_, one, _), (_, two, _) in zip(alone, together, strict=True):
        assert two == pytest.approx(one, abs=1e-4)
    assert together[0][1] == pytest.approx(alone[0][1], abs=2e-6)
    models = [load_model(runs[name].path / "model")[0] for name in ("alone", "together")]
    for left, right in zip(*(model.parameters() for model in models), strict=True):
        assert (left - right).abs().max() < 1e-3


def test_a_rank_killed_and_started_again_leaves_the_same_bits(runs: dict[str, Run]) -> None:
    assert losses(runs["killed"]) == losses(runs["together"])
    models = [runs[name].artifact("model") for name in ("killed", "together")]
    assert weights(models[0]) == weights(models[1])
    left, right = (
        load_latest_checkpoint(runs[name].path / CHECKPOINTS) for name in ("killed", "together")
    )
    assert left.state["train"]["step"] == right.state["train"]["step"] == 20
    assert all(torch.equal(left.optimizer[name], right.optimizer[name]) for name in left.optimizer)


def test_the_figures_count_the_targets_of_all_ranks(runs: dict[str, Run]) -> None:
    alone, together = (runs[name].artifact("model").figures for name in ("alone", "together"))
    assert alone["tokens"] == together["tokens"] and alone["steps"] == together["steps"]


def test_an_error_in_a_rank_is_one_error_here_and_names_the_rank() -> None:
    handlers = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    before = dict(os.environ)
    with pytest.raises(RuntimeError, match="one of 2 .*: rank 1: .*shelf = 3: must be at most 2"):
        run_ranks(fails_in_rank, 2, 1)
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == handlers
    left = {name for name in os.environ.keys() ^ before.keys() if not name.startswith("KMP")}
    assert left == set() and ENVIRONMENT.keys().isdisjoint(os.environ.keys() - before.keys())


def test_a_process_that_nobody_started_as_a_rank_is_alone(monkeypatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with joined() as ranks:
        assert ranks is ALONE
    assert ranks.largest(3.0, -1.0) == [3.0, -1.0]


@pytest.mark.parametrize("number", [0, -1, 3, 32])
def test_a_number_of_processes_that_does_not_fit_names_those_that_do(number: int) -> None:
    with pytest.raises(ValueError, match=rf"processes = {number}: .*of 16; choose one of 1, 2, 4"):
        check_processes(number, 16)
    check_processes(4, 16)


class Told:
    """Ranks of which another one was told to stop, or has the slower clock."""

    rank, world_size = 1, 2

    def __init__(
        self, stop_after: int | None = None, seconds: float = 0.0, compiling: float = 0.0
    ) -> None:
        self.calls, self.stop_after, self.seconds = 0, stop_after, seconds
        self.compiling = compiling
        self.waited: list[int] = []

    def average_gradients(self, model: torch.nn.Module, sums: dict) -> dict:
        self.calls += 1
        return sums

    def largest(self, *values: float) -> list[float]:
        if len(values) == 1:
            return list(values)
        is_told = self.calls == self.stop_after
        elapsed_s = max(values[0], self.seconds * self.calls)
        return [elapsed_s, max(values[1], self.compiling), float(is_told)]

    def wait(self) -> None:
        self.waited.append(self.calls)


def trained(ranks: Told, state: TrainState, saved: list[int], **end: float) -> None:
    model, config = double_model(), TrainingConfig(precision="float32", **end)
    loop.train(
        model, repeat(whole_batch(2)), pretraining_loss(4.0, "cpu"),
        make_optimizer(model, "adamw", weight_decay=0.1, betas=(0.9, 0.95)), config,
        state=state, log=Unlogged(), ranks=ranks, save=lambda state: saved.append(state.step),
    )  # fmt: skip


def test_all_ranks_wait_for_each_other_where_the_first_one_saves() -> None:
    ranks, saved = Told(), []
    trained(ranks, TrainState(), saved, max_steps=5, checkpoint_every_steps=2)
    assert ranks.waited == saved == [2, 4, 5]


def test_all_ranks_stop_after_the_same_step_when_one_is_told_to() -> None:
    state, saved = TrainState(), []
    with pytest.raises(KeyboardInterrupt, match="a signal to another rank: .* after step 3"):
        trained(Told(stop_after=3), state, saved, max_steps=10)
    assert saved == [3]


def test_a_schedule_by_the_clock_follows_the_slowest_rank() -> None:
    state = TrainState()
    trained(Told(seconds=6.0), state, [], max_minutes=0.5)
    assert state.step == 5 and state.elapsed_s == 30.0


def test_the_schedule_begins_where_the_rank_that_compiled_longest_began() -> None:
    state = TrainState()
    trained(Told(seconds=6.0, compiling=6.0), state, [], max_minutes=0.5)
    assert state.compiling_s == 6.0 and state.elapsed_s == 30.0
