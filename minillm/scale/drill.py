"""What ranks run in this chapter's notebook and tests: a rank can only run what it can import.

Gradients of a shared batch, by several ways of adding them; a timeline of who waits for whom; a
training run in which one rank is killed. Each takes files and plain values, and returns plain
values: what crosses from one process to another is copied.
"""

import os
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from minillm.batches.stream import IGNORE, Batch
from minillm.core.records import Run
from minillm.model.transformer import Transformer
from minillm.scale.data_parallel import DataParallel, add_in_buckets, add_one_by_one
from minillm.scale.launch import joined
from minillm.scale.ring import neighbour_exchange, ring_all_reduce
from minillm.train.checkpoint import load_model
from minillm.train.loop import accumulate_gradients
from minillm.train.ranks import Ranks, Sums
from minillm.train.schedule import TrainingConfig
from minillm.train.trainer import PretrainConfig, next_token_loss, pretrain, pretraining_loss

Gradients = dict[str, np.ndarray]
Add = Callable[[Sequence[torch.Tensor]], None]
ONE_STEP = TrainingConfig(max_steps=1, precision="float32")


# package only
@dataclass(frozen=True, kw_only=True, slots=True)
class Work:
    """A model's folder, and the rows of a batch that ranks share: each row a text as tokens."""

    model: Path
    rows: tuple[tuple[int, ...], ...]

    def batch(self, rank: int = 0, world_size: int = 1) -> Batch:
        """Every world_size-th row, padded to the longest of all; a short row has few targets."""
        mine = self.rows[rank::world_size]
        num_places = max(map(len, self.rows)) - 1
        tokens_BT = torch.zeros(len(mine), num_places, dtype=torch.long)
        targets_BT = torch.full_like(tokens_BT, IGNORE)
        for row, tokens in enumerate(mine):
            tokens_BT[row, : len(tokens) - 1] = torch.tensor(tokens[:-1])
            targets_BT[row, : len(tokens) - 1] = torch.tensor(tokens[1:])
        return Batch(tokens_BT, targets_BT, torch.zeros(tokens_BT.shape, dtype=torch.int32))


# package only
def flat_gradients(model: nn.Module) -> np.ndarray:
    """All gradients of a model in one row of numbers."""
    return torch.cat([each.grad.flatten() for each in model.parameters()]).numpy()


# package only
def add_by_ring(tensors: Sequence[torch.Tensor]) -> None:
    """Sum each tensor over all ranks by our own ring."""
    for tensor in tensors:
        ring_all_reduce(tensor, dist.get_rank(), dist.get_world_size(), neighbour_exchange)


# package only
def loss_and_gradients(model: Transformer, batch: Batch, ranks: Ranks) -> tuple[float, np.ndarray]:
    """One step's loss and gradients by the trainer's own code, over all ranks."""
    model.zero_grad()
    loss_fn = pretraining_loss(bytes_per_token=1.0, device="cpu")
    batches = iter([batch])
    figures = accumulate_gradients(model, batches, loss_fn, ONE_STEP, ranks.average_gradients)
    return float(figures["loss"]), flat_gradients(model)


# package only
def gradients_added_by(add: Add, model: Transformer, batch: Batch) -> np.ndarray:
    """The weighted average of gradients over all ranks, added up by the function `add`."""
    model.zero_grad()
    num_targets = (batch.targets_BT != IGNORE).sum()
    if num_targets:
        (next_token_loss(model, batch) * num_targets).backward()
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in model.parameters()]
    add([*gradients, num_targets])
    return torch.cat([(gradient / num_targets).flatten() for gradient in gradients]).numpy()


# package only
def gradients_of_ddp(model: Transformer, batch: Batch, *, is_weighted: bool) -> np.ndarray:
    """PyTorch's own: it takes the mean over ranks, so each loss is scaled by n·(targets / all)."""
    wrapped = DistributedDataParallel(model)
    mine = (batch.targets_BT != IGNORE).sum()
    total = mine.clone()
    dist.all_reduce(total)
    model.zero_grad()
    weight = mine / total * dist.get_world_size() if is_weighted else 1.0
    (next_token_loss(wrapped, batch) * weight).backward()
    return flat_gradients(model)


# package only
def gradients_of_rank(work: Work) -> tuple[float, Gradients]:
    """The loss over all ranks, and its gradients by each way of adding them up."""
    with joined() as ranks:
        model, _ = load_model(work.model)
        batch = work.batch(ranks.rank, ranks.world_size)
        loss, trained = loss_and_gradients(model, batch, ranks)
        ways = {
            "trainer": trained,
            "one message a tensor": gradients_added_by(add_one_by_one, model, batch),
            "buckets": gradients_added_by(add_in_buckets, model, batch),
            "our ring": gradients_added_by(add_by_ring, model, batch),
        }
        # all ranks must take the same way: one that skips a sum leaves the others waiting
        is_empty = not bool((batch.targets_BT != IGNORE).any())
        if ranks.largest(is_empty) == [0]:
            ways["DDP, weighted"] = gradients_of_ddp(model, batch, is_weighted=True)
            ways["DDP as it comes"] = gradients_of_ddp(model, batch, is_weighted=False)
        return loss, ways


# package only
def timeline_of_rank(
    work: Work, num_steps: int, passes: Sequence[int]
) -> list[tuple[str, float, float]]:
    """What this rank did from when to when, in seconds of the machine's clock.

    `passes[rank]` says how often it computes its gradients: more than once is longer work.
    """
    with joined() as ranks:
        model, _ = load_model(work.model)
        batch, spans = work.batch(ranks.rank, ranks.world_size), []

        def timed(name: str, action: Callable[[], object]) -> None:
            started_s = time.monotonic()
            action()
            spans.append((name, started_s, time.monotonic()))

        def compute() -> None:
            for _ in range(passes[ranks.rank]):
                next_token_loss(model, batch).backward()

        compute()  # the first pass asks for memory, and would not be like the others
        dist.barrier()
        for _ in range(num_steps):
            timed("compute", compute)
            # without it the wait would hide in the time of the all-reduce
            timed("wait", dist.barrier)
            timed("communicate", lambda: add_in_buckets([p.grad for p in model.parameters()]))
        return spans


# package only
class Doomed(DataParallel):
    """Ranks of which one is killed once, before it adds its gradients of a step."""

    def __init__(self, rank: int, step: int) -> None:
        super().__init__()
        self.is_victim = rank == self.rank and os.environ["TORCHELASTIC_RESTART_COUNT"] == "0"
        self.steps_to_live = step

    def average_gradients(self, model: nn.Module, sums: Sums) -> Sums:
        self.steps_to_live -= 1
        if self.is_victim and self.steps_to_live == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().average_gradients(model, sums)


# package only
def training_of_rank(
    config: PretrainConfig, run: Run, killed: tuple[int, int] | None = None
) -> str:
    """The trainer's own stage on every rank; `killed` names a rank and the step it dies in."""
    with joined() as ranks, redirect_stdout(StringIO()):
        return pretrain(config, run, ranks=Doomed(*killed) if killed else ranks).sha256


# package only
def in_turn(calls: Sequence[tuple[Callable[..., object], tuple[object, ...]]]) -> list[object]:
    """Several of these in one group: starting processes takes seconds, calling them none."""
    with joined():
        return [function(*arguments) for function, arguments in calls]
