"""Batches made ahead by a thread, as for a GPU: the run is the same one, killed or not."""

import signal
import threading
from pathlib import Path

import pytest

from minillm.batches.prefetch import Positioned, Prefetched
from minillm.core.records import Run
from minillm.core.runtime import detect
from minillm.train import trainer
from minillm.train.trainer import pretrain
from tests.train.test_pretrain import in_a_process, resumed_curve
from tests.train.test_spikes import PoisonedStream, run_with
from tests.train.tiny import losses, rests, tiny_config, tiny_run, weights

pytestmark = pytest.mark.usefixtures("one_thread")


def threads() -> list[str]:
    return [each.name for each in threading.enumerate() if "prefetch" in each.name]


class Ahead(Prefetched):
    """Batches made ahead; at each step the thread has made all that it may."""

    # kept, so that no thread ends because nobody holds its batches any more
    opened: list[Prefetched] = []

    def __init__(self, stream: Positioned, _device: str) -> None:
        super().__init__(stream, depth=3)
        self.opened.append(self)

    def __next__(self) -> object:
        batch = super().__next__()
        self.ahead[-1].result()
        assert self.stream.position == self.position + 3
        return batch


class FetchedPlace(Ahead):
    """The planted bug: its place is that of the batches made, not of those given out."""

    @property
    def position(self) -> int:
        return self.stream.position

    @position.setter
    def position(self, _value: int) -> None:
        pass

    def __next__(self) -> object:
        batch = Prefetched.__next__(self)
        self.ahead[-1].result()
        return batch


@pytest.fixture
def ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer, "read_ahead", Ahead)


@pytest.mark.usefixtures("ahead")
def test_a_run_that_reads_ahead_is_the_run_that_does_not(
    tmp_path: Path, uninterrupted: tuple
) -> None:
    run = tiny_run(tmp_path)
    artifact = pretrain(tiny_config(run), run, evaluate=rests)
    assert (losses(run), weights(artifact)) == uninterrupted and threads() == []


@pytest.mark.usefixtures("ahead")
@pytest.mark.parametrize("step_of_death", [1, 5, 12, 20])
def test_killed_and_resumed_it_is_the_uninterrupted_run(
    tmp_path: Path, step_of_death: int, uninterrupted: tuple
) -> None:
    assert resumed_curve(tiny_run(tmp_path), step_of_death) == uninterrupted
    assert threads() == [], "the killed run's thread has ended too"


@pytest.mark.usefixtures("ahead")
def test_accumulated_steps_resume_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = resumed_curve(tiny_run(tmp_path / "killed"), 12, accumulate=3)
    monkeypatch.setattr(trainer, "read_ahead", lambda stream, _device: stream)
    run = tiny_run(tmp_path / "straight")
    artifact = pretrain(tiny_config(run, accumulate=3), run, evaluate=rests)
    assert found == (losses(run), weights(artifact))


@pytest.mark.parametrize("is_ahead_after", [False, True])
def test_killed_by_sigkill_it_goes_on_with_or_without_a_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_ahead_after: bool, uninterrupted: tuple
) -> None:
    """A checkpoint written on a GPU may be taken up on a CPU: nothing in it says who read ahead."""
    assert in_a_process(tmp_path, "13", "SIGKILL", "--ahead").returncode == -signal.SIGKILL
    run = Run(name="tiny", path=tmp_path / "runs" / "tiny")
    if is_ahead_after:
        monkeypatch.setattr(trainer, "read_ahead", Ahead)
    artifact = pretrain(tiny_config(run), run, evaluate=rests)
    assert (losses(run), weights(artifact)) == uninterrupted


def test_a_place_taken_from_what_was_made_ahead_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uninterrupted: tuple
) -> None:
    monkeypatch.setattr(trainer, "read_ahead", FetchedPlace)
    curve, _ = resumed_curve(tiny_run(tmp_path), 12)
    # step 10 was saved: what came until then is right, and three batches are never trained on
    assert curve[:10] == uninterrupted[0][:10] and curve[10] != uninterrupted[0][10]


def test_a_rollback_leaves_out_the_same_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = run_with(tmp_path / "plain", PoisonedStream, monkeypatch)
    monkeypatch.setattr(trainer, "read_ahead", Ahead)
    found = run_with(tmp_path / "ahead", PoisonedStream, monkeypatch)
    assert found[:2] == plain[:2] and threads() == []
    backs = [[line for line in log if line["event"] == "rollback"] for *_, log in (plain, found)]
    assert backs[0] == backs[1] and len(backs[0]) == 1


def test_training_asks_for_its_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def noted(stream: Positioned, device: str) -> Positioned:
        asked.append(device)
        return stream

    monkeypatch.setattr(trainer, "read_ahead", noted)
    run = tiny_run(tmp_path)
    pretrain(tiny_config(run, max_steps=2), run)
    assert asked == [detect().device]
