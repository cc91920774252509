"""The same batches, made ahead by a thread while the model computes.

In: a stream. Out: its batches, in its order, on the device that trains. The one idea: `position`
counts what was *given out*, not what was made, so that a checkpoint taken in between repeats and
skips nothing. For a GPU the thread puts batches into pinned memory, from which a copy runs beside
the computation; without one nothing is pinned. An error of the stream is raised to whoever asks for
the batch that it struck, and ends the stream.
"""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

import torch

from minillm.batches.stream import Batch


# package only
class Positioned(Protocol):
    """Batches one by one, and how many were given out."""

    position: int

    def __next__(self) -> Batch: ...


def pinned(batch: Batch) -> Batch:
    """The batch in memory that the system may not move: a GPU can fetch it on its own."""
    parts = (batch.tokens_BT, batch.targets_BT, batch.documents_BT)
    return Batch(*(part.pin_memory() for part in parts))


class Prefetched:
    """Batches of `stream`, up to `depth` of them ready; close it, or use it in a `with`."""

    def __init__(self, stream: Positioned, *, device: str = "cpu", depth: int = 2) -> None:
        check_prefetch(device, depth)
        self.stream, self.device, self.position = stream, device, stream.position
        self.is_gpu = torch.device(device).type == "cuda"
        # one thread alone touches the stream, and does what it is asked in order
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="prefetch")
        first: list[Future] = [self.thread.submit(self.make) for _ in range(depth)]
        self.ahead, self.is_closed = deque(first), False

    def make(self) -> tuple[Batch, int]:
        """In the thread: the next batch, and the stream's position after it."""
        batch = next(self.stream)
        return pinned(batch) if self.is_gpu else batch, self.stream.position

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        if self.is_closed:
            raise ValueError(
                f"closed at position {self.position}: nothing is read any more; "
                "open a stream at that position to go on"
            )
        self.ahead.append(self.thread.submit(self.make))
        try:
            batch, self.position = self.ahead.popleft().result()
        except BaseException:
            self.close()
            raise
        return batch.to(self.device) if self.is_gpu else batch

    def close(self) -> None:
        """Drop what was made ahead and end the thread; closing twice does nothing."""
        self.is_closed = True
        self.ahead.clear()
        self.thread.shutdown(wait=True, cancel_futures=True)

    def __enter__(self) -> "Prefetched":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


# package only
def check_prefetch(device: str, depth: int) -> None:
    """ValueError where batches cannot be made ahead as asked."""
    if depth < 1:
        raise ValueError(f"depth = {depth}: must be at least 1; 2 is enough where reading is quick")
    if torch.device(device).type == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"device = {device!r}: no GPU is to be had here; use 'cpu'")
