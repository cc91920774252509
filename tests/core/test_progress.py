"""Progress suits where it is read, and its estimate knows what was done before."""

import io

import pytest

from minillm.core import progress
from minillm.core.progress import Progress, duration, track


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that stands still until it is set."""
    now_s = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now_s[0])
    return now_s


def test_durations_as_a_person_says_them() -> None:
    shown = [duration(seconds) for seconds in (8.4, 125, 4200)]
    assert shown == ["8 s", "2 min 05 s", "1 h 10 min"]


def test_recorded_output_gets_a_plain_line_every_ten_seconds(clock: list[float]) -> None:
    stream = io.StringIO()
    shown = Progress("training", stream)
    for second in range(26):
        clock[0] = second
        shown.update(second / 100, f"step {second}")
    assert stream.getvalue() == (
        "training  10% step 10 (1 min 30 s left)\ntraining  20% step 20 (1 min 20 s left)\n"
    )


def test_a_terminal_gets_one_line_that_is_cleared(clock: list[float]) -> None:
    stream = Terminal()
    shown = Progress("training", stream)
    shown.update(0.0)
    clock[0] = 1.0
    shown.update(0.5)
    shown.close()
    text = stream.getvalue()
    assert "█" in text and "(1 s left)" in text and "\n" not in text and text.endswith("\x1b[K")


def test_work_taken_up_again_is_not_credited_with_what_was_done_before(clock: list[float]) -> None:
    stream = io.StringIO()
    shown = Progress("training", stream)
    shown.update(0.5)
    clock[0] = 10.0
    shown.update(0.6)
    assert stream.getvalue() == "training  60%  (40 s left)\n"


def test_a_short_loop_prints_nothing_where_output_is_recorded() -> None:
    assert list(track(range(3), "counting")) == [0, 1, 2]
