"""Made ahead, the batches are the same, errors arrive, and nothing stays behind."""

import threading
import time
from itertools import islice

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from minillm.batches.prefetch import Prefetched, ended, read_ahead
from minillm.batches.stream import Batch, Stream
from tests.batches.numbered import numbered_shards
from tests.batches.test_stream import LENGTHS, config, same

SHARDS = numbered_shards(LENGTHS)


def stream(position: int = 0) -> Stream:
    return Stream(SHARDS, config(), position=position)


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if "prefetch" in thread.name]


@settings(max_examples=20, deadline=None)
@given(depth=st.integers(1, 9), position=st.integers(0, 60), count=st.integers(1, 40))
def test_batches_are_those_of_the_stream(depth, position, count):
    with Prefetched(stream(position), depth=depth) as ahead:
        pairs = zip(islice(stream(position), count), ahead)
        assert all(same(left, right) for left, right in pairs)
    assert threads() == []


@pytest.mark.parametrize("depth", [1, 2, 7])
def test_position_counts_what_was_given_out_and_not_what_was_made(depth):
    plain = stream()
    with Prefetched(plain, depth=depth) as ahead:
        for given_out in range(1, 8):
            next(ahead)
            assert ahead.position == given_out
        while plain.position < 7 + depth:
            time.sleep(0.001)
        saved = ahead.position
    # planted: who saves the position of the stream itself skips what was made and never seen
    expected = next(stream(7))
    assert same(next(stream(saved)), expected)
    assert not same(next(stream(plain.position)), expected)


class Broken:
    """Four batches, then an error."""

    def __init__(self, error: Exception) -> None:
        self.inner, self.error, self.position, self.asked = stream(), error, 0, 0

    def __next__(self) -> Batch:
        self.asked += 1
        if self.position == 4:
            raise self.error
        self.position += 1
        return next(self.inner)


@pytest.mark.parametrize("depth", [1, 3, 6])
def test_an_error_comes_with_the_batch_that_it_struck(depth):
    ahead = Prefetched(Broken(OSError("the disk is gone")), depth=depth)
    for left in islice(stream(), 4):
        assert same(left, next(ahead))
    with pytest.raises(OSError, match="the disk is gone"):
        next(ahead)
    assert threads() == [] and ahead.position == 4
    with pytest.raises(ValueError, match="closed at position 4: .*open a stream at that position"):
        next(ahead)


def test_what_ends_ends():
    ahead = Prefetched(Broken(StopIteration()), depth=2)
    assert len(list(ahead)) == 4 and threads() == []


def test_closing_ends_the_thread_at_once_and_twice_is_once():
    ahead = Prefetched(stream(), depth=50)
    next(ahead)
    assert len(threads()) == 1
    ahead.close()
    ahead.close()
    assert threads() == []


def test_an_error_of_the_training_closes_too():
    with pytest.raises(KeyError), Prefetched(stream()) as ahead:
        next(ahead)
        raise KeyError("training failed")
    assert threads() == []


def test_no_more_is_made_than_asked_for():
    made = Broken(OSError())
    with Prefetched(made, depth=2) as ahead:
        time.sleep(0.05)
        assert made.asked == 2
        next(ahead)
        time.sleep(0.05)
        assert made.asked == 3


class Slow:
    """A batch takes 20 ms, as where a disk is slow."""

    position = 0

    def __next__(self) -> None:
        time.sleep(0.02)


def test_reading_goes_on_while_the_model_computes():
    with Prefetched(Slow(), depth=2) as ahead:
        started_s = time.perf_counter()
        for _ in range(10):
            next(ahead)
            time.sleep(0.02)
        together_s = time.perf_counter() - started_s
    # one after the other: 10 · 40 ms; beside each other: 10 · 20 ms and the first batch
    assert together_s < 0.38


class Recorded:
    """In the place of a tensor: what is asked of it."""

    def __init__(self, calls: list[str]) -> None:
        self.calls = calls

    def pin_memory(self) -> "Recorded":
        self.calls.append(f"pinned in {threading.current_thread().name[:8]}")
        return self

    def to(self, device: str, non_blocking: bool) -> "Recorded":
        self.calls.append(f"{device}, non_blocking={non_blocking}")
        return self


class OneBatch:
    position = 0

    def __init__(self) -> None:
        self.calls: list[str] = []

    def __next__(self) -> Batch:
        return Batch(*(Recorded(self.calls) for _ in range(3)))


@pytest.mark.parametrize("has_gpu", [False, True])
def test_nothing_is_pinned_or_copied_for_the_cpu(monkeypatch, has_gpu):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: has_gpu)
    made = OneBatch()
    with Prefetched(made, device="cpu") as ahead:
        next(ahead)
    assert made.calls == []


def test_for_a_gpu_the_thread_pins_and_the_copy_does_not_wait(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    made = OneBatch()
    with Prefetched(made, device="cuda", depth=1) as ahead:
        while len(made.calls) < 3:
            time.sleep(0.001)
        made.calls.clear()
        next(ahead)
    assert made.calls.count("cuda, non_blocking=True") == 3
    assert {call for call in made.calls if "pinned" in call} <= {"pinned in prefetch"}


def test_training_on_a_cpu_reads_the_stream_itself():
    plain = stream()
    assert read_ahead(plain, "cpu") is plain and threads() == []


def test_training_on_a_gpu_reads_pinned_batches_that_are_still_on_the_host():
    """Its loss counts targets there: on the GPU each count would wait for the step before."""
    made = OneBatch()
    ahead = read_ahead(made, "cuda:0")
    with ended(ahead):
        next(ahead)
        ahead.ahead[-1].result()
    assert made.calls == ["pinned in prefetch"] * 9  # one given out, two ready, three tensors each
    assert threads() == []


def test_read_ahead_the_place_is_that_of_what_was_given_out(monkeypatch):
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self: self)
    plain = stream(5)
    ahead = read_ahead(plain, "cuda")
    with ended(ahead):
        for given_out, left in enumerate(islice(stream(5), 6), start=6):
            assert same(left, next(ahead)) and ahead.position == given_out
        ahead.ahead[-1].result()
        assert plain.position == ahead.position + 2


def test_what_reads_nothing_ahead_has_nothing_to_end():
    with pytest.raises(KeyError), ended(stream()):
        raise KeyError("training failed")


def test_a_gpu_that_is_not_there_is_refused_at_once(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="device = 'cuda:1': no GPU is to be had here; use 'cpu'"):
        Prefetched(stream(), device="cuda:1")
    assert threads() == []


def test_no_depth_is_refused():
    with pytest.raises(ValueError, match="depth = 0: must be at least 1"):
        Prefetched(stream(), depth=0)


def test_where_there_is_a_gpu_batches_arrive_there_unchanged():
    # the same lines on every machine: without a GPU they hold for the CPU
    device = "cuda" if torch.cuda.is_available() else "cpu"
    with Prefetched(stream(), device=device) as ahead:
        for left, right in zip(islice(stream(), 9), ahead):
            assert right.tokens_BT.device.type == device and same(left, right.to("cpu"))
