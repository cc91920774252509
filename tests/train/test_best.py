"""The best evaluation's checkpoint: found by a named figure, kept, put back, or one clear error."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from minillm.core.records import Run
from minillm.train import resumable
from minillm.train.checkpoint import load_latest_checkpoint, load_model
from minillm.train.loop import note_best
from minillm.train.ranks import ALONE
from minillm.train.schedule import TrainingConfig, TrainState
from minillm.train.trainer import CHECKPOINTS, pretrain
from tests.train.tiny import tiny_config, tiny_run

LOWEST = TrainingConfig(max_steps=9, keep_best="score", evaluate_every_steps=1)


def best_steps(values: list[float], config: TrainingConfig = LOWEST) -> list[int | None]:
    """The best step after each of these evaluations."""
    state, found = TrainState(), []
    for step, value in enumerate(values, start=1):
        state.step, state.figures = step, {"score": value}
        note_best(state, config)
        found.append(state.best_step)
    return found


def test_the_best_is_the_lowest_or_the_highest_the_first_of_equals_and_a_number() -> None:
    assert best_steps([3.0, 2.0, 2.0, 4.0, 1.0]) == [1, 2, 2, 2, 5]
    assert best_steps([3.0, 2.0, 5.0], replace(LOWEST, best_is="highest")) == [1, 1, 3]
    assert best_steps([math.nan, 2.0, -math.inf, math.nan, 1.0]) == [None, 2, 2, 2, 5]
    assert best_steps([3.0], TrainingConfig(max_steps=9)) == [None]


def test_a_figure_that_no_evaluation_has_is_named_with_those_there_are() -> None:
    state = TrainState(step=3, figures={"loss": 1.0, "bits": 2.0})
    with pytest.raises(ValueError, match="keep_best = 'score': the evaluation has only loss, bits"):
        note_best(state, LOWEST)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"best_is": "nicest"}, "best_is = 'nicest': choose one of lowest, highest"),
        ({"keep_last": 0}, "keep_last = 0: must be above 0"),
        (
            {"keep_best": "score"},
            "keep_best = 'score' with evaluate_every_steps = None and evaluate_every_fraction",
        ),
    ],
)
def test_what_cannot_be_kept_is_refused(fields: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TrainingConfig(max_steps=1, **fields)


def test_without_an_evaluation_nothing_could_be_best(tmp_path: Path) -> None:
    run = tiny_run(tmp_path)
    with pytest.raises(ValueError, match="keep_best = 'score': this stage is given no evaluation"):
        pretrain(tiny_config(run, keep_best="score"), run)


def best_at(step_of_best: int):
    def evaluate(_model: nn.Module, step: int) -> dict[str, float]:
        return {"score": float(abs(step - step_of_best))}

    return evaluate


def kept_run(home: Path, step_of_best: int, **training: object) -> tuple[Run, dict]:
    run = tiny_run(home)
    asked = {"keep_best": "score", "keep_last": 1, **training}
    artifact = pretrain(tiny_config(run, **asked), run, evaluate=best_at(step_of_best))
    return run, artifact.figures


@pytest.mark.parametrize("step_of_best", [3, 10, 20])
def test_the_best_weights_are_the_result_whenever_they_came(
    tmp_path: Path, step_of_best: int
) -> None:
    """Step 3 lies between two regular checkpoints, 20 is the last step."""
    run, figures = kept_run(tmp_path, step_of_best)
    assert figures["score"] == 0.0 and figures["best_step"] == step_of_best
    assert figures["steps"] == 20
    names = {each.name for each in (run.path / CHECKPOINTS).iterdir()}
    assert names == {f"step_{step_of_best:06d}", "step_000020"}
    model, _ = load_model(run.path / "model")
    checkpoint = resumable.read_checkpoint(run.path / CHECKPOINTS / f"step_{step_of_best:06d}")
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, checkpoint.model[name])
    last = load_latest_checkpoint(run.path / CHECKPOINTS)
    is_last = torch.equal(model.lm_head.weight, last.model["model.embed_tokens.weight"])
    assert is_last == (step_of_best == 20)


def test_a_best_without_its_average_is_another_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planted bug: only the weights are put back, and the average of the last step is taken."""
    right, _ = kept_run(tmp_path / "right", 5, average_decay=0.9)
    restore = resumable.restore_run

    def weights_alone(checkpoint: object, model: nn.Module, optimizer: object) -> TrainState:
        kept = {name: each.clone() for name, each in optimizer.state_tensors().items()}
        state = restore(checkpoint, model, optimizer)
        optimizer.load_state_tensors(kept)
        return state

    monkeypatch.setattr(resumable, "restore_run", weights_alone)
    wrong, _ = kept_run(tmp_path / "wrong", 5, average_decay=0.9)
    models = [load_model(run.path / "model")[0] for run in (right, wrong)]
    assert not torch.equal(models[0].lm_head.weight, models[1].lm_head.weight)


def test_a_damaged_best_leaves_the_last_with_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def damaged(path: Path) -> None:
        raise ValueError(f"{path.name}/model.safetensors is damaged")

    monkeypatch.setattr(resumable, "read_checkpoint", damaged)
    with pytest.warns(UserWarning, match="best checkpoint, of step 5.*damaged.*step 20 are the"):
        run, figures = kept_run(tmp_path, 5)
    assert figures["score"] == 15.0 and "best_step" not in figures


def test_a_rank_that_evaluates_nothing_puts_back_what_the_first_one_says(tmp_path: Path) -> None:
    run, _ = kept_run(tmp_path, 5)
    asked = []

    class Second:
        rank, world_size = 1, 2
        average_gradients = ALONE.average_gradients

        def largest(self, *values: float) -> list[float]:
            asked.append(values)
            return [5.0]

    model, _ = load_model(run.path / "model")
    expected = model.lm_head.weight.clone()
    optimizer = resumable.optimizer_for(model, tiny_config(run).training)
    with torch.no_grad():
        model.lm_head.weight.zero_()
    state = TrainState(step=20)
    training = replace(LOWEST, max_steps=20)
    resumable.take_best(state, training, model, optimizer, run.path / CHECKPOINTS, Second())
    assert asked == [(0,)] and torch.equal(model.lm_head.weight, expected)


def test_where_no_evaluation_gave_a_number_the_last_weights_are_the_result(
    tmp_path: Path,
) -> None:
    run = tiny_run(tmp_path)
    config = tiny_config(run, keep_best="score", best_is="lowest")
    with pytest.warns(UserWarning, match="keep_best = 'score': no evaluation gave a number"):
        artifact = pretrain(config, run, evaluate=lambda _model, _step: {"score": math.nan})
    assert "best_step" not in artifact.figures
