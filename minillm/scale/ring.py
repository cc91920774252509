"""All-reduce by a ring: every rank ends with the sum over all ranks, and nobody carries more.

In: a tensor of the same shape on each of n ranks. The tensor is cut into n pieces; each rank only
ever sends to its right neighbour. After n − 1 steps every rank owns the full sum of one piece
(reduce-scatter), after n − 1 more every rank has all of them (all-gather). Each step moves 1/n of
the bytes, so a rank sends 2(n − 1)/n of them: less than twice, however many ranks there are
(Patarasuk and Yuan, 2009). Left out: trees, which take fewer steps and suit small tensors.
"""

import queue
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch
import torch.distributed as dist

# sends a piece to the right neighbour, and returns the one that the left neighbour has sent
Exchange = Callable[[torch.Tensor, torch.Size], torch.Tensor]


def ring_all_reduce(tensor: torch.Tensor, rank: int, num_ranks: int, exchange: Exchange) -> None:
    """Replace `tensor` by its sum over all ranks, in place; every rank calls this at once."""
    pieces = tensor.view(-1).tensor_split(num_ranks)
    for step in range(num_ranks - 1):
        sent, received = pieces[(rank - step) % num_ranks], pieces[(rank - step - 1) % num_ranks]
        received += exchange(sent, received.shape)
    for step in range(num_ranks - 1):
        sent, received = pieces[(rank + 1 - step) % num_ranks], pieces[(rank - step) % num_ranks]
        received.copy_(exchange(sent, received.shape))


def ring_of_threads(tensors: Sequence[torch.Tensor]) -> list[int]:
    """The ring in one process: ranks are threads, wires are queues. Returns the bytes each sent."""
    num_ranks = len(tensors)
    wires: list[queue.Queue[torch.Tensor]] = [queue.Queue() for _ in tensors]

    def run(rank: int) -> int:
        sent_bytes = 0

        def exchange(piece: torch.Tensor, _shape: torch.Size) -> torch.Tensor:
            nonlocal sent_bytes
            sent_bytes += piece.nbytes
            wires[(rank + 1) % num_ranks].put(piece.clone())
            return wires[rank].get()

        ring_all_reduce(tensors[rank], rank, num_ranks, exchange)
        return sent_bytes

    with ThreadPoolExecutor(num_ranks) as threads:
        return list(threads.map(run, range(num_ranks)))


def neighbour_exchange(piece: torch.Tensor, shape: torch.Size) -> torch.Tensor:
    """The wire between processes: send right and receive from the left, both at once."""
    rank, num_ranks = dist.get_rank(), dist.get_world_size()
    arrived = torch.empty(shape, dtype=piece.dtype)
    sending = dist.isend(piece.contiguous(), (rank + 1) % num_ranks)
    receiving = dist.irecv(arrived, (rank - 1) % num_ranks)
    sending.wait()
    receiving.wait()
    return arrived


def bytes_sent_by_ring(num_bytes: int, num_ranks: int) -> float:
    """2 (n − 1) / n of the tensor's bytes."""
    return 2 * (num_ranks - 1) / num_ranks * num_bytes
