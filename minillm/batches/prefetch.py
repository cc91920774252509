"""The same batches, made ahead by a thread while the model computes.

In: a stream. Out: its batches, in its order, on the device that trains. The one idea: `position`
counts what was *given out*, not what was made, so that a checkpoint taken in between repeats and
skips nothing. For a GPU the thread puts batches into pinned memory, from which a copy runs beside
the computation; without one nothing is pinned. An error of the stream is raised to whoever asks for
the batch that it struck, and ends the stream. Training reads by `read_ahead`.
"""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
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


class Pinned:
    """A stream's batches in pinned memory. They stay there: a loss counts targets on the host."""

    def __init__(self, stream: Positioned) -> None:
        self.stream = stream

    @property
    def position(self) -> int:
        """That of the stream."""
        return self.stream.position

    def __next__(self) -> Batch:
        return pinned(next(self.stream))


def read_ahead(stream: Positioned, device: str) -> Positioned:
    """For a GPU batches made ahead, pinned; the loss moves them, and that copy does not wait.

    On a CPU the stream itself: to make a batch takes a thousandth of a step there (LOG.md).
    """
    if torch.device(device).type == "cpu":
        return stream
    return Prefetched(Pinned(stream))


# package only
@contextmanager
def ended(stream: object) -> Iterator[None]:
    """However this ends, a thread that makes batches of the stream ahead ends with it."""
    try:
        yield
    finally:
        if isinstance(stream, Prefetched):
            stream.close()
