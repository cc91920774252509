"""What ranks run in these tests, planted bugs among it: a rank can only run what it can import."""

import time
from collections.abc import Callable
from itertools import repeat

import torch
import torch.distributed as dist
from torch import nn

from minillm.batches.stream import IGNORE, Batch
from minillm.core.records import Run
from minillm.model.transformer import Transformer
from minillm.scale import data_parallel
from minillm.scale.data_parallel import DataParallel, add_in_buckets, add_one_by_one, check_alike
from minillm.scale.drill import add_by_ring, in_turn as in_turn, training_of_rank
from minillm.scale.launch import joined
from minillm.train import trainer
from minillm.train.loop import train
from minillm.train.optimizer import make_optimizer
from minillm.train.ranks import ALONE, Ranks, Sums, Unlogged
from minillm.train.schedule import TrainingConfig, TrainState
from minillm.train.trainer import PretrainConfig, pretraining_loss
from tests.train.test_spikes import PoisonedStream
from tests.train.tiny import CONTEXT, VOCAB_SIZE, tiny_model


def whole_batch(num_rows: int) -> Batch:
    """Rows with 1, 2, 3 … targets: every share has another number of them."""
    generator = torch.Generator().manual_seed(1)
    tokens = torch.randint(VOCAB_SIZE, (num_rows, CONTEXT + 1), generator=generator)
    targets = tokens[:, 1:].clone()
    for row in range(num_rows):
        targets[row, 1 + row * row % CONTEXT :] = IGNORE
    return Batch(tokens[:, :-1], targets, torch.zeros(num_rows, CONTEXT, dtype=torch.int32))


def rows_of(batch: Batch, rank: int, world_size: int) -> Batch:
    parts = (batch.tokens_BT, batch.targets_BT, batch.documents_BT)
    return Batch(*(part[rank::world_size] for part in parts))


def double_model() -> nn.Module:
    torch.manual_seed(0)
    return Transformer(tiny_model()).double()


def weights_after(ranks: Ranks, num_steps: int, optimizer: str = "adamw") -> list[float]:
    """Train in float64, where rounding cannot hide a difference; the first weights of the end."""
    batch = rows_of(whole_batch(6), ranks.rank, ranks.world_size)
    config = TrainingConfig(max_steps=num_steps, precision="float32", learning_rate=1e-2)
    model = double_model()
    moves = make_optimizer(model, optimizer, weight_decay=0.1, betas=(0.9, 0.95))
    train(
        model, repeat(batch), pretraining_loss(4.0, "cpu"), moves, config,
        state=TrainState(), log=Unlogged(), ranks=ranks,
    )  # fmt: skip
    return torch.cat([each.detach().flatten() for each in model.parameters()]).tolist()


class MeanOfMeans(DataParallel):
    """Planted bug: every rank counts alike, whatever its number of targets."""

    def average_gradients(self, model: nn.Module, sums: Sums) -> Sums:
        for parameter in model.parameters():
            parameter.grad /= sums["num_targets"]
        totals = super().average_gradients(model, sums)
        for parameter in model.parameters():
            parameter.grad *= totals["num_targets"] / self.world_size
        return totals


class ForgetsTheLast(DataParallel):
    """Planted bug: the last rank's gradients never arrive."""

    def average_gradients(self, model: nn.Module, sums: Sums) -> Sums:
        if self.rank == self.world_size - 1:
            for parameter in model.parameters():
                parameter.grad.zero_()
        return super().average_gradients(model, sums)


class KeepsItsOwn(DataParallel):
    """Planted bug: figures are added, gradients are not."""

    def average_gradients(self, model: nn.Module, sums: Sums) -> Sums:
        return data_parallel.summed_figures(sums)


RANKS: dict[str, type[DataParallel]] = {
    "right": DataParallel, "mean of means": MeanOfMeans, "forgets the last": ForgetsTheLast,
    "keeps its own": KeepsItsOwn,
}  # fmt: skip


def weights_of_rank(kind: str, num_steps: int, optimizer: str = "adamw") -> list[float]:
    with joined() as ranks:
        return weights_after(RANKS[kind]() if ranks is not ALONE else ranks, num_steps, optimizer)


def seeds_of_rank(is_same: bool) -> str:
    """What the check says of models from one seed, or from a seed a rank."""
    with joined() as ranks:
        torch.manual_seed(0 if is_same else ranks.rank)
        try:
            check_alike(Transformer(tiny_model()))
        except ValueError as error:
            return str(error)
        return "alike"


def sums_of_rank(sizes: tuple[int, ...], max_bytes: int) -> dict[str, list[list[float]]]:
    """Tensors with a number of their own in every place, added by each way."""
    with joined() as ranks:
        ways: dict[str, Callable] = {
            "one by one": add_one_by_one,
            "buckets": lambda tensors: add_in_buckets(tensors, max_bytes),
            "ring": add_by_ring,
        }
        found = {}
        for name, add in ways.items():
            tensors = [torch.arange(size) * 10.0**ranks.rank for size in sizes]
            add(tensors)
            found[name] = [tensor.tolist() for tensor in tensors]
        return found


def largest_of_rank() -> list[float]:
    with joined() as ranks:
        return ranks.largest(ranks.rank, -ranks.rank, 7.5)


def wait_of_rank() -> tuple[float, float]:
    """When this rank came to the wait, and when it went on: the first one comes late."""
    with joined() as ranks:
        dist.barrier()
        if ranks.rank == 0:
            time.sleep(0.2)
        came_s = time.monotonic()
        ranks.wait()
        return came_s, time.monotonic()


def fails_in_rank(rank: int) -> None:
    with joined():
        if dist.get_rank() == rank:
            raise ValueError("shelf = 3: must be at most 2; take a lower one")
        dist.barrier()


def poisoned_training(config: PretrainConfig, run: Run) -> str:
    """The trainer's own stage on every rank, over batches of which one has wrong targets."""
    plain, trainer.Stream = trainer.Stream, PoisonedStream
    try:
        return training_of_rank(config, run)
    finally:
        trainer.Stream = plain
