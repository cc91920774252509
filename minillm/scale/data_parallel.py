"""Data parallel: every rank has the whole model and a share of each batch's rows.

In: each rank's gradient, summed over its own targets. Out: on every rank the sum over all targets;
the loop divides it once. The one idea: ranks have different numbers of targets, so the mean of
their means is wrong, while sums add up exactly. Many small messages cost a latency each, so
gradients travel in buckets (Li et al., arXiv:2006.15704). Left out: sending a bucket while the
backward pass still works on the next, which PyTorch's own DDP does.
"""

from collections.abc import Sequence

import torch
import torch.distributed as dist
from torch import nn

from minillm.train.ranks import Sums

BUCKET_BYTES = 25 * 2**20  # DDP's own default


def add_one_by_one(tensors: Sequence[torch.Tensor]) -> None:
    """Sum each tensor over all ranks, in place: one message a tensor."""
    for tensor in tensors:
        dist.all_reduce(tensor)


def buckets(tensors: Sequence[torch.Tensor], max_bytes: int) -> list[list[torch.Tensor]]:
    """Neighbours together, up to `max_bytes` a bucket; a larger tensor has one of its own."""
    filled: list[list[torch.Tensor]] = []
    free_bytes = 0
    for tensor in tensors:
        if not filled or tensor.nbytes > free_bytes:
            filled.append([])
            free_bytes = max_bytes
        filled[-1].append(tensor)
        free_bytes -= tensor.nbytes
    return filled


def add_in_buckets(tensors: Sequence[torch.Tensor], max_bytes: int = BUCKET_BYTES) -> None:
    """Sum each tensor over all ranks, in place: one message a bucket, all on their way at once."""
    packed = [
        (bucket, torch.cat([tensor.flatten() for tensor in bucket]))
        for bucket in buckets(tensors, max_bytes)
    ]
    for message in [dist.all_reduce(flat, async_op=True) for _, flat in packed]:
        message.wait()
    for bucket, flat in packed:
        sums = flat.split([tensor.numel() for tensor in bucket])
        for tensor, total in zip(bucket, sums, strict=True):
            tensor.copy_(total.view_as(tensor))


def summed_figures(sums: Sums) -> Sums:
    """Each figure's sum over all ranks; the number of targets stays a whole number."""
    values = torch.tensor([float(value) for value in sums.values()], dtype=torch.float64)
    dist.all_reduce(values)
    totals = dict(zip(sums, values.tolist(), strict=True))
    return {**totals, "num_targets": round(totals["num_targets"])}


def largest(*values: float) -> list[float]:
    """Of each value the largest that any rank has."""
    tensor = torch.tensor(values, dtype=torch.float64)
    dist.all_reduce(tensor, op=dist.ReduceOp.MAX)
    return tensor.tolist()


def check_alike(model: nn.Module) -> None:
    """ValueError where ranks begin with different weights: their averages would mean nothing."""
    sums = [parameter.detach().double().sum() for parameter in model.parameters()]
    weights = torch.stack(sums).tolist()
    bounds = largest(*weights, *(-weight for weight in weights))
    names = [name for name, _ in model.named_parameters()]
    for name, high, low in zip(names, bounds, bounds[len(names) :], strict=False):
        if high != -low:
            raise ValueError(
                f"{name} differs between ranks: start all of them with one seed (training.seed) "
                "and the same checkpoint"
            )


class DataParallel:
    """This process as one of the ranks of torch.distributed's group: `train.ranks.Ranks`."""

    def __init__(self, bucket_bytes: int = BUCKET_BYTES) -> None:
        self.rank, self.world_size = dist.get_rank(), dist.get_world_size()
        self.bucket_bytes = bucket_bytes
        self.is_checked = False

    def average_gradients(self, model: nn.Module, sums: Sums) -> Sums:
        """Add all ranks' gradients, in place, and their sums over targets."""
        if not self.is_checked:
            check_alike(model)
            self.is_checked = True
        trained = [each for each in model.parameters() if each.requires_grad]
        for parameter in trained:
            if parameter.grad is None:  # this rank's rows had no target: it adds nothing
                parameter.grad = torch.zeros_like(parameter)
        add_in_buckets([parameter.grad for parameter in trained], self.bucket_bytes)
        return summed_figures(sums)

    def largest(self, *values: float) -> list[float]:
        """Of each value the largest that any rank has."""
        return largest(*values)

    def wait(self) -> None:
        """Return when every rank has come here."""
        dist.barrier()
