"""The stage: killed and resumed = uninterrupted, bit for bit; bad input is one clear error."""

import dataclasses
import errno
import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from minillm.batches.shards import open_shards
from minillm.batches.stream import IGNORE, Stream
from minillm.core.records import JsonLines, Run, read_json_lines
from minillm.model.transformer import Transformer
from minillm.recipes import laptop, smoke
from minillm.train import loop, precision, resumable, trainer
from minillm.train.checkpoint import Checkpoint, load_latest_checkpoint, load_model
from minillm.train.run_log import cut_log
from minillm.train.schedule import TrainingConfig
from minillm.train.spikes import SpikeConfig
from minillm.train.trainer import (
    CHECKPOINTS,
    LOG,
    PretrainConfig,
    compile_decided,
    next_token_loss,
    pretrain,
)
from tests.train.tiny import losses, rests, tiny_config, tiny_model, tiny_run, weights

ROOT = Path(__file__).resolve().parents[2]


class Killed(BaseException):
    """Stands for a death of the process: nothing catches it."""


def dies_at(step_of_death: int):
    def evaluate(_model: torch.nn.Module, step: int) -> dict[str, float]:
        if step == step_of_death:
            raise Killed
        return {}

    return evaluate


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return tiny_run(tmp_path / "run")


def in_a_process(home: Path, *death: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.train.tiny", str(home), *death]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120
    )


def test_a_run_killed_by_sigkill_goes_on_bit_for_bit(tmp_path: Path, uninterrupted: tuple) -> None:
    assert in_a_process(tmp_path, "13", "SIGKILL").returncode == -signal.SIGKILL
    run = Run(name="tiny", path=tmp_path / "runs" / "tiny")
    assert not (run.path / "model").exists()
    assert [step for step, *_ in losses(run)] == list(range(1, 14))
    artifact = pretrain(tiny_config(run), run, evaluate=rests)
    assert (losses(run), weights(artifact)) == uninterrupted


def test_sigterm_saves_stops_with_one_line_and_the_run_goes_on(
    tmp_path: Path, uninterrupted: tuple
) -> None:
    stopped = in_a_process(tmp_path, "7", "SIGTERM")
    assert stopped.returncode == 1
    assert stopped.stderr.strip().splitlines() == [
        "stopped: SIGTERM: training stopped after step 8"
    ]
    run = Run(name="tiny", path=tmp_path / "runs" / "tiny")
    assert (run.path / CHECKPOINTS / "step_000008").is_dir()
    artifact = pretrain(tiny_config(run), run, evaluate=rests)
    assert (losses(run), weights(artifact)) == uninterrupted


def resumed_curve(run: Run, step_of_death: int, **training: object) -> tuple[list, bytes]:
    config = tiny_config(run, **training)
    with pytest.raises(Killed):
        pretrain(config, run, evaluate=dies_at(step_of_death))
    artifact = pretrain(config, run, evaluate=rests)
    return losses(run), weights(artifact)


@pytest.mark.parametrize("step_of_death", [1, 5, 10, 19, 20])
def test_wherever_it_dies_the_curve_is_the_same(
    run: Run, step_of_death: int, uninterrupted: tuple
) -> None:
    assert resumed_curve(run, step_of_death) == uninterrupted


def test_an_evaluation_behind_the_last_step_is_written_once(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dead after it, before the model is written, a run evaluates again."""

    def dies(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(trainer, "save_model", dies)
        with pytest.raises(Killed):
            pretrain(tiny_config(run), run, evaluate=rests)
    pretrain(tiny_config(run), run, evaluate=rests)
    lines = [line for line in read_json_lines(run.path / LOG) if line["event"] == "evaluation"]
    assert [line["step"] for line in lines] == list(range(1, 21))


def test_a_step_left_out_is_not_in_the_manifests_loss(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of twenty steps the nineteenth has a loss that is no number, and moves nothing."""
    num_calls = 0

    def broken(model: torch.nn.Module, batch: object) -> torch.Tensor:
        nonlocal num_calls
        num_calls += 1
        return next_token_loss(model, batch) * (math.nan if num_calls == 19 else 1.0)

    monkeypatch.setattr(trainer, "next_token_loss", broken)
    artifact = pretrain(tiny_config(run, spikes=SpikeConfig(action="skip")), run)
    curve = losses(run)
    assert math.isnan(curve[18][1]) and len(curve) == 20
    assert artifact.figures["loss"] == curve[19][1]


def test_muon_and_accumulation_resume_too(run: Run, tmp_path: Path) -> None:
    training = {"optimizer": "muon", "accumulate": 2}
    straight = tiny_run(tmp_path / "straight")
    artifact = pretrain(tiny_config(straight, **training), straight, evaluate=rests)
    assert resumed_curve(run, 12, **training) == (losses(straight), weights(artifact))


def test_a_precision_left_open_is_measured_once_and_kept_on_resuming(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = iter(["bfloat16"])  # a second measurement would find nothing left
    monkeypatch.setattr(loop, "faster_precision", lambda _device: next(measured))
    resumed_curve(run, 13, precision=None)
    checkpoint = load_latest_checkpoint(run.path / CHECKPOINTS)
    assert checkpoint.state["train"]["precision"] == "bfloat16"


@pytest.mark.parametrize("forgotten", ["stream", "optimizer", "step"])
def test_a_resume_that_forgets_something_is_seen(
    run: Run, forgotten: str, uninterrupted: tuple, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Planted bugs: each must change the curve after the resume, and nothing before it."""
    restore, stream = resumable.restore_run, trainer.Stream
    if forgotten == "stream":
        monkeypatch.setattr(
            trainer, "Stream", lambda shards, config, **_: stream(shards, config)
        )
    elif forgotten == "optimizer":

        def blind(checkpoint: Checkpoint) -> Checkpoint:
            zeros = {name: each.zero_() for name, each in checkpoint.optimizer.items()}
            return dataclasses.replace(checkpoint, optimizer=zeros)

        monkeypatch.setattr(
            resumable, "restore_run", lambda found, *rest: restore(blind(found), *rest)
        )
    else:

        def early(*arguments: object) -> object:
            return dataclasses.replace(restore(*arguments), step=9)

        monkeypatch.setattr(resumable, "restore_run", early)
    curve, _ = resumed_curve(run, 13)
    expected, _ = uninterrupted
    assert curve != expected
    assert curve[:9] == expected[:9]


def test_a_damaged_checkpoint_costs_five_steps_and_nothing_else(
    run: Run, uninterrupted: tuple
) -> None:
    config = tiny_config(run)
    with pytest.raises(Killed):
        pretrain(config, run, evaluate=dies_at(13))
    (run.path / CHECKPOINTS / "step_000010" / "optimizer.safetensors").write_bytes(b"damaged")
    with pytest.warns(UserWarning, match="step_000010 cannot be used"):
        artifact = pretrain(config, run, evaluate=rests)
    assert (losses(run), weights(artifact)) == uninterrupted


def test_a_full_disk_stops_the_run_and_it_goes_on_when_there_is_space(
    run: Run, uninterrupted: tuple, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = resumable.save_checkpoint.__globals__["atomic_write"]

    def write_until_full(path: Path, content: bytes | str) -> None:
        if "step_000010" in str(path):
            raise OSError(errno.ENOSPC, "No space left on device")
        write(path, content)

    with monkeypatch.context() as patch:
        patch.setitem(resumable.save_checkpoint.__globals__, "atomic_write", write_until_full)
        with pytest.raises(OSError, match="checkpoint of step 10 is not saved"):
            pretrain(tiny_config(run), run, evaluate=rests)
    assert [each.name for each in (run.path / CHECKPOINTS).iterdir()] == ["step_000005"]
    artifact = pretrain(tiny_config(run), run, evaluate=rests)
    assert (losses(run), weights(artifact)) == uninterrupted


def test_a_finished_model_is_used_and_keeps_only_its_last_checkpoint(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    first = pretrain(tiny_config(run), run, evaluate=lambda model, step: {"score": 0.5})
    again = pretrain(tiny_config(run), run, evaluate=dies_at(20))
    assert first.sha256 == again.sha256
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == lines[-2]
    assert lines[-1].startswith("model: ") and lines[-1].endswith("→ runs/tiny/model")
    assert [each.name for each in (run.path / CHECKPOINTS).iterdir()] == ["step_000020"]
    assert first.figures["score"] == 0.5 and first.figures["steps"] == 20
    model, _ = load_model(first.path)
    assert first.figures["parameters"] == model.num_parameters


def test_a_changed_recipe_starts_afresh(run: Run) -> None:
    with pytest.raises(Killed):
        pretrain(tiny_config(run), run, evaluate=dies_at(13))
    pretrain(tiny_config(run, max_steps=6), run, evaluate=rests)
    assert [step for step, *_ in losses(run)] == [1, 2, 3, 4, 5, 6]


def test_what_is_written_beside_a_run_may_change_when_it_goes_on(
    run: Run, uninterrupted: tuple
) -> None:
    with pytest.raises(Killed):
        pretrain(tiny_config(run), run, evaluate=dies_at(13))
    begun = []
    changed = tiny_config(run, keep_last=5, log_every_steps=2)
    artifact = pretrain(changed, run, evaluate=lambda _model, step: begun.append(step) or {})
    assert begun[0] == 11, "it goes on behind the checkpoint of step 10"
    assert weights(artifact) == uninterrupted[1]


def test_a_model_that_is_found_leaves_another_recipes_checkpoints_alone(run: Run) -> None:
    short = tiny_config(run, max_steps=6)
    finished = pretrain(short, run, evaluate=rests)
    with pytest.raises(Killed):
        pretrain(tiny_config(run), run, evaluate=dies_at(13))
    kept = {each.name for each in (run.path / CHECKPOINTS).iterdir()}
    assert pretrain(short, run, evaluate=rests).sha256 == finished.sha256
    assert {each.name for each in (run.path / CHECKPOINTS).iterdir()} == kept != set()


def test_training_learns_and_every_token_is_counted(run: Run) -> None:
    artifact = pretrain(tiny_config(run, max_steps=60), run)
    curve = losses(run)
    assert curve[-1][1] < 0.6 * curve[0][1]
    stream = Stream(open_shards(run.artifact("shards").path, "train"), tiny_config(run).batches)
    counted = sum(int((next(stream).targets_BT != IGNORE).sum()) for _ in range(60))
    assert artifact.figures["tokens"] == counted < 60 * 4 * 24
    assert (
        "seconds" not in artifact.summary
        and f"{artifact.figures['tokens']:,} tokens" in artifact.summary
    )


def test_many_logits_are_made_in_chunks_and_give_the_same_loss(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny_config(run)
    torch.manual_seed(0)
    model = Transformer(config.model)
    batch = next(Stream(open_shards(run.artifact("shards").path, "train"), config.batches))
    found = {}
    for many, name in ((1 << 40, "plain"), (0, "chunks")):
        monkeypatch.setattr(trainer, "MANY_LOGITS", many)
        value = next_token_loss(model, batch)
        found[name] = [value, *torch.autograd.grad(value, list(model.parameters()))]
        assert (value.grad_fn.name() == "ChunkedCrossEntropyBackward") == (name == "chunks")
    for ours, theirs in zip(found["chunks"], found["plain"], strict=True):
        torch.testing.assert_close(ours, theirs)


def test_the_recipes_own_batches_have_few_logits() -> None:
    for recipe in (smoke(), laptop()):
        tokens = recipe.batches.batch_size * recipe.batches.context_length
        assert tokens * recipe.model.vocab_size < trainer.MANY_LOGITS


def test_the_weights_of_another_model_are_a_start(run: Run) -> None:
    config = tiny_config(run, max_steps=1, learning_rate=1e-9)
    torch.manual_seed(5)
    initial = Transformer(config.model)
    artifact = pretrain(config, run, initial=initial)
    model, _ = load_model(artifact.path)
    for found, expected in zip(model.parameters(), initial.parameters(), strict=True):
        torch.testing.assert_close(found, expected, atol=1e-7, rtol=0)
    other = pretrain(config, run)
    assert artifact.key != other.key


def changed(config: PretrainConfig, **model: object) -> PretrainConfig:
    return dataclasses.replace(config, model=dataclasses.replace(config.model, **model))


def test_parts_that_do_not_fit_are_named(run: Run) -> None:
    config = tiny_config(run)
    with pytest.raises(ValueError, match="model.vocab_size = 77: the run's tokenizer has"):
        pretrain(changed(config, vocab_size=77), run)
    with pytest.raises(
        ValueError, match="batches.context_length = 24: the model sees at most 8 tokens"
    ):
        pretrain(changed(config, context_length=8), run)
    with pytest.raises(ValueError, match="the weights to start from have another shape"):
        pretrain(config, run, initial=Transformer(tiny_model(num_layers=3)))


def test_a_log_that_is_cut_inside_a_character_is_no_obstacle(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    log = JsonLines(path)
    log.write(event="step", step=1)
    whole = path.read_bytes()
    log.write(event="evaluation", step=1, **{"text/1": "so far \ufffd"})
    path.write_bytes(path.read_bytes()[:-5])  # within the sign's three bytes
    with pytest.raises(UnicodeDecodeError):
        path.read_text(encoding="utf-8")
    cut_log(path, 1)
    assert path.read_bytes() == whole


def test_a_log_line_that_a_kill_cut_is_dropped(run: Run, uninterrupted: tuple) -> None:
    with pytest.raises(Killed):
        pretrain(tiny_config(run), run, evaluate=dies_at(13))
    with open(run.path / LOG, "a", encoding="utf-8") as log:
        log.write('{"event": "step", "st')
    pretrain(tiny_config(run), run, evaluate=rests)
    assert losses(run) == uninterrupted[0]


def test_without_a_compiler_training_is_eager_and_says_so(
    run: Run, uninterrupted: tuple, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision.shutil, "which", lambda name: None)
    with pytest.warns(UserWarning, match="torch.compile is not used: there is no C.. compiler"):
        pretrain(tiny_config(run, compile=True), run, evaluate=rests)
    assert losses(run) == uninterrupted[0]


@pytest.mark.parametrize(
    ("asked", "faster", "device", "compiler", "is_compiled"),
    [
        ({"max_minutes": 8.4}, "bfloat16", "cpu", True, True),
        ({"max_minutes": 5.0}, "bfloat16", "cpu", True, False),
        ({"max_minutes": 8.4}, "float32", "cpu", True, False),
        ({"max_minutes": 8.4}, "bfloat16", "cuda", True, False),
        ({"max_minutes": 8.4}, "bfloat16", "cpu", False, False),
        ({"max_minutes": 10.1}, "float32", "cpu", True, True),
        ({"max_minutes": 10.1}, "float32", "cuda", True, True),
        ({"max_minutes": 10.1}, "float32", "cpu", False, False),
        ({"max_minutes": 60, "recompute": True}, "bfloat16", "cpu", True, False),
        ({"max_minutes": 60, "statistics_every_steps": 9}, "bfloat16", "cpu", True, False),
        ({"max_minutes": 8.4, "precision": "bfloat16"}, "float32", "cpu", True, True),
        ({"max_minutes": 8.4, "precision": "float32"}, "bfloat16", "cpu", True, False),
        ({"max_steps": 9999}, "bfloat16", "cpu", True, False),
        ({"max_minutes": 60, "compile": False}, "bfloat16", "cpu", True, False),
        ({"max_steps": 1, "compile": True}, "float32", "cpu", False, True),
    ],
)
def test_whether_to_compile_is_said_or_follows_from_minutes_and_machine(
    asked: dict, faster: str, device: str, compiler: bool, is_compiled: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(precision, "faster_precision", lambda device: faster)
    reason = None if compiler else "there is none"
    monkeypatch.setattr(precision, "missing_for_compile", lambda device: reason)
    config = TrainingConfig(**({"compile": None} | asked))
    assert compile_decided(config, device).compile is is_compiled


def test_what_was_decided_is_what_is_done(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[str] = []

    def noted(function: Callable, **said: object) -> Callable:
        compiled.append(function.__name__)
        return function

    decided = dataclasses.replace(tiny_config(run).training, compile=True)
    monkeypatch.setattr(trainer, "compiled", noted)
    monkeypatch.setattr(trainer, "compile_decided", lambda config, device: decided)
    pretrain(tiny_config(run), run, evaluate=rests)
    assert compiled == ["next_token_loss"]


@pytest.mark.proof
@pytest.mark.usefixtures("compiler_in")
def test_a_compiled_step_gives_the_eager_losses(run: Run, uninterrupted: tuple) -> None:
    """Fused kernels round in another order; measured 2e-7 after twenty steps."""
    pretrain(tiny_config(run, compile=True), run, evaluate=rests)
    compiled = torch.tensor([loss for _, loss, _ in losses(run)])
    torch.testing.assert_close(
        compiled, torch.tensor([loss for _, loss, _ in uninterrupted[0]]), rtol=1e-5, atol=0
    )


def test_a_text_with_other_line_separators_does_not_cut_the_log(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    log = JsonLines(path)
    log.write(event="evaluation", step=1, **{"text/1": "a\u2028b\x85c"})
    log.write(event="checkpoint", step=1)
    before = path.read_bytes()
    log.write(event="step", step=2)
    cut_log(path, 1)
    assert path.read_bytes() == before
