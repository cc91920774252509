"""A training that is killed and goes on: what is saved, what is put back, and where it resumes.

The next step depends on weights, optimizer, random numbers, the place in the stream and a few plain
numbers: all of them are in a checkpoint, under a key that ties it to recipe, code and parents. So
every stage that trains (pretraining, fine-tuning, distillation …) resumes by the same function.
A spike may send a run back to its last checkpoint, to go on behind the batches that led to it.
Rank 0 saves, every rank restores; a run may go on with another number of ranks.
"""

import dataclasses
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from torch import nn

from minillm.batches.prefetch import ended
from minillm.core.records import canonical, code_sha256, sha256_of
from minillm.model.transformer import Transformer
from minillm.train.averaging import of_the_average, optimizer_for, take_average
from minillm.train.checkpoint import (
    Checkpoint,
    load_latest_checkpoint,
    load_model_tensors,
    model_tensors,
    random_state,
    read_checkpoint,
    save_checkpoint,
    set_random_state,
)
from minillm.train.loop import Evaluation, LossFunction, note_best, train, with_precision
from minillm.train.optimizer import Optimizer
from minillm.train.ranks import ALONE, Ranks
from minillm.train.run_log import log_from, steps_given_up
from minillm.train.schedule import TrainingConfig, TrainState
from minillm.train.signals import wish_to_stop
from minillm.train.statistics import StatisticsWatch
from minillm.train.watch import UNWATCHED, Log, SpikeFound, SpikeWatch, Watch, Watches


# package only
class ResumableStream(Protocol):
    """Batches without end; `position` counts those given out, and is all that going on needs."""

    position: int

    def __next__(self) -> object: ...


# package only
def watched(
    model: nn.Module, training: TrainingConfig, loss_fn: LossFunction, state: TrainState,
    log: Log, stream: ResumableStream, ranks: Ranks,
) -> tuple[Watch, LossFunction]:
    """Who looks at the steps of this run, and the loss as it is looked into."""
    watches: list[Watch] = []
    if training.spikes.action is not None:
        watches.append(SpikeWatch(
            training.spikes, state, log, position=lambda: stream.position, ranks=ranks,
            is_scaled=training.precision == "float16",
        ))  # fmt: skip
    if training.statistics_every_steps is not None and ranks.rank == 0:
        statistics = StatisticsWatch(model, training, state, log, world_size=ranks.world_size)
        watches.append(statistics)
        loss_fn = statistics.noting(loss_fn)
    return Watches(watches) if watches else UNWATCHED, loss_fn


# what is written beside a run: no weight depends on it
NOT_DECIDING = ("log_every_steps", "keep_last", "tensorboard")


def resume_key(config: object, parents: Sequence[str], code: Sequence[str]) -> str:
    """What checkpoints belong to: a stage's configuration, which has a field `training`, parents,
    code. A run that goes on and only logs or keeps more is the same run."""
    deciding = dataclasses.asdict(config)
    for name in NOT_DECIDING:
        del deciding["training"][name]
    return sha256_of(canonical([deciding, list(parents), code_sha256(code)]))


def run_checkpoint(
    model: nn.Module, optimizer: Optimizer, stream: ResumableStream, state: TrainState, key: str
) -> Checkpoint:
    """All that the next step depends on, gathered."""
    return Checkpoint(
        model=model_tensors(model),
        optimizer=optimizer.state_tensors(),
        random=random_state(),
        state={"key": key, "position": stream.position, "train": dataclasses.asdict(state)},
    )


def restore_run(checkpoint: Checkpoint, model: nn.Module, optimizer: Optimizer) -> TrainState:
    """Put all of it back; the stream is opened at the saved position by whoever calls this."""
    load_model_tensors(model, checkpoint.model)
    optimizer.load_state_tensors(checkpoint.optimizer)
    set_random_state(checkpoint.random)
    return TrainState(**checkpoint.state["train"])


def taken_up(
    model: Transformer, training: TrainingConfig, folder: Path, key: str, ranks: Ranks = ALONE
) -> tuple[TrainingConfig, Optimizer, TrainState, int]:
    """Put back the last checkpoint in `folder` with this key, if any: what training begins with.

    The last of the four is the place in the stream.
    """
    checkpoint = load_latest_checkpoint(folder, key)
    state = TrainState(**checkpoint.state["train"]) if checkpoint else TrainState()
    training = with_precision(training, state, model, ranks)
    optimizer = optimizer_for(model, training)
    if checkpoint is None:
        return training, optimizer, state, 0
    state = restore_run(checkpoint, model, optimizer)
    return training, optimizer, state, checkpoint.state["position"]


def gone_back(
    spike: SpikeFound, state: TrainState, model: nn.Module, optimizer: Optimizer,
    folder: Path, log: Path, writer: Log, key: str, ranks: Ranks = ALONE,
) -> TrainState:
    """Put back the last checkpoint because of a spike, and write into the log what that gave up.

    What was spent stays spent: the time, and one of the rollbacks that are allowed.
    """
    checkpoint = load_latest_checkpoint(folder, key)
    if checkpoint is None:
        raise ValueError(f"{folder}: {spike}, and no checkpoint is left to go back to; start again")
    back = restore_run(checkpoint, model, optimizer)
    model.zero_grad(set_to_none=True)  # the spike's own, which no step has used
    back.elapsed_s, back.compiling_s = state.elapsed_s, state.compiling_s
    back.num_rollbacks = state.num_rollbacks + 1
    given_up = steps_given_up(log, back.step) if ranks.rank == 0 else []
    writer.write(
        # under the step that comes next: a run killed after it meets the same spike again
        event="rollback", **{**spike.line, "step": back.step + 1},
        spike_step=spike.line["step"], to_step=back.step,
        left_out=[checkpoint.state["position"], spike.next_batch - 1], given_up=given_up,
    )
    return back


# package only
def stop_if_asked(spike: SpikeFound, state: TrainState, ranks: Ranks) -> None:
    """KeyboardInterrupt where a signal came in the spike's step: the run is back, and ends here."""
    if stop := wish_to_stop(spike.requests, state, ranks):
        raise KeyboardInterrupt(f"{stop[0]}: training stopped after step {state.step}")


# package only
def check_best(training: TrainingConfig, evaluate: Evaluation | None) -> None:
    """ValueError where nothing would ever say which checkpoint is the best."""
    if training.keep_best is not None and evaluate is None:
        raise ValueError(
            f"keep_best = {training.keep_best!r}: this stage is given no evaluation whose figures "
            "could decide; leave keep_best out"
        )


# package only
def take_best(
    state: TrainState, training: TrainingConfig, model: nn.Module, optimizer: Optimizer,
    folder: Path, ranks: Ranks,
) -> None:
    """Put back the checkpoint of the best evaluation, the average with it; its figures are kept.

    The state goes on to say how far the run has come. Nothing where none is asked for.
    """
    if training.keep_best is None:
        return
    note_best(state, training)  # the last evaluation comes after the last step
    best_step = int(ranks.largest(state.best_step or 0)[0])  # rank 0 alone evaluates
    if best_step == 0:
        warnings.warn(
            f"keep_best = {training.keep_best!r}: no evaluation gave a number; the weights of step "
            f"{state.step} are the result",
            stacklevel=2,
        )
        return
    if best_step != state.step:
        try:
            checkpoint = read_checkpoint(folder / f"step_{best_step:06d}")
        except (ValueError, KeyError, TypeError, OSError) as error:
            warnings.warn(
                f"the best checkpoint, of step {best_step}, cannot be used ({error}); the weights "
                f"of step {state.step} are the result",
                stacklevel=2,
            )
            return
        state.figures = restore_run(checkpoint, model, optimizer).figures
    state.figures = {**state.figures, "best_step": best_step}


def resumable(
    model: Transformer,
    training: TrainingConfig,
    open_stream: Callable[[int], ResumableStream],
    loss_fn: LossFunction,
    *,
    folder: Path, log: Path, key: str,
    evaluate: Evaluation | None = None,
    ranks: Ranks = ALONE,
) -> TrainState:
    """Train to the end from the last checkpoint of this key; `open_stream(position)` reads on."""
    check_best(training, evaluate)
    training, optimizer, state, position = taken_up(model, training, folder, key, ranks)
    stream, is_first = open_stream(position), ranks.rank == 0

    def save(state: TrainState) -> None:
        checkpoint, keep = run_checkpoint(model, optimizer, stream, state, key), training.keep_last
        save_checkpoint(checkpoint, folder, state.step, keep=keep, best_step=state.best_step)
        writer.write(event="checkpoint", step=state.step)

    with log_from(log, state.step, training, ranks) as writer:
        if is_first and state.step == 0 and training.spikes.action == "rollback":
            save(state)  # a spike may come before the first regular one
        while True:
            watch, seen_loss = watched(model, training, loss_fn, state, writer, stream, ranks)
            try:
                with ended(stream):
                    train(
                        model, stream, seen_loss, optimizer, training, state=state, log=writer,
                        evaluate=of_the_average(evaluate, optimizer) if is_first else None,
                        save=save if is_first else None, ranks=ranks, watch=watch,
                    )
                break
            except SpikeFound as spike:
                state = gone_back(spike, state, model, optimizer, folder, log, writer, key, ranks)
                stop_if_asked(spike, state, ranks)
                stream = open_stream(spike.next_batch)
    take_best(state, training, model, optimizer, folder, ranks)
    take_average(optimizer)
    return state
