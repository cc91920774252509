"""A training that is killed and goes on: what is saved, what is put back, and where it resumes.

The next step depends on weights, optimizer, random numbers, the place in the stream and a few plain
numbers: all of them are in a checkpoint, under a key that ties it to recipe, code and parents. So
every stage that trains (pretraining, fine-tuning, distillation …) resumes by the same function.
Rank 0 saves, every rank restores; a run may go on with another number of ranks.
"""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from torch import nn

from minillm.core.records import JsonLines, atomic_write
from minillm.model.transformer import Transformer
from minillm.train.averaging import of_the_average, optimizer_for, take_average
from minillm.train.checkpoint import (
    Checkpoint,
    load_latest_checkpoint,
    load_model_tensors,
    model_tensors,
    random_state,
    save_checkpoint,
    set_random_state,
)
from minillm.train.loop import Evaluation, LossFunction, train, with_precision
from minillm.train.optimizer import Optimizer
from minillm.train.ranks import ALONE, Ranks, Unlogged
from minillm.train.schedule import TrainingConfig, TrainState


# package only
class ResumableStream(Protocol):
    """Batches without end; `position` counts those given out, and is all that going on needs."""

    position: int

    def __next__(self) -> object: ...


# package only
def cut_log(path: Path, step: int) -> None:
    """Drop the lines after `step`, which a resumed run writes again, and a line that a kill cut."""
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        try:
            if json.loads(line)["step"] > step:
                break
        except json.JSONDecodeError:
            break
        kept.append(line + "\n")
    atomic_write(path, "".join(kept))


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


def resumable(
    model: Transformer,
    training: TrainingConfig,
    open_stream: Callable[[int], ResumableStream],
    loss_fn: LossFunction,
    *,
    folder: Path,
    log: Path,
    key: str,
    evaluate: Evaluation | None = None,
    ranks: Ranks = ALONE,
) -> TrainState:
    """Train to the end, from the start or from the last checkpoint in `folder` with this key.

    `open_stream(position)` gives the batches from that position on.
    """
    checkpoint = load_latest_checkpoint(folder, key)
    state = TrainState(**checkpoint.state["train"]) if checkpoint else TrainState()
    training = with_precision(training, state, model, ranks)
    optimizer = optimizer_for(model, training)
    if checkpoint:
        state = restore_run(checkpoint, model, optimizer)
    is_first = ranks.rank == 0
    if is_first:
        cut_log(log, state.step)
    stream = open_stream(checkpoint.state["position"] if checkpoint else 0)

    def save(state: TrainState) -> None:
        checkpoint = run_checkpoint(model, optimizer, stream, state, key)
        save_checkpoint(checkpoint, folder, state.step)

    state = train(
        model, stream, loss_fn, optimizer, training, state=state, ranks=ranks,
        log=JsonLines(log) if is_first else Unlogged(),
        evaluate=of_the_average(evaluate, optimizer) if is_first else None,
        save=save if is_first else None,
    )
    take_average(optimizer)
    return state
