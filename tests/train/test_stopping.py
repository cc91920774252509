"""What is kept is the best that was seen, and nothing is known that comes later."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minillm.train.stopping import Stop, early_stop


@pytest.mark.parametrize(
    ("held_out", "patience", "stop"),
    [
        ([3.0, 2.0, 1.0, 2.0, 3.0, 4.0], 2, Stop(2, 4)),
        ([3.0, 2.0, 2.5, 1.0, 1.5, 1.7], 1, Stop(1, 2)),
        ([3.0, 2.0, 2.5, 1.0, 1.5, 1.7], 2, Stop(3, 5)),
        ([3.0, 2.0, 1.0], 5, Stop(2, 2)),
        ([1.0, 1.0, 1.0, 0.5], 2, Stop(0, 2)),
        ([2.0], 1, Stop(0, 0)),
    ],
)
def test_by_hand(held_out: list[float], patience: int, stop: Stop) -> None:
    assert early_stop(held_out, patience) == stop


@given(st.lists(st.floats(0, 10), min_size=1, max_size=30), st.integers(1, 5))
def test_the_kept_look_is_the_first_lowest_so_far_and_the_future_changes_nothing(
    held_out: list[float], patience: int
) -> None:
    stop = early_stop(held_out, patience)
    seen = held_out[: stop.stopped + 1]
    assert stop.kept == seen.index(min(seen))
    assert stop.stopped == len(held_out) - 1 or stop.stopped - stop.kept == patience
    if stop.stopped - stop.kept == patience:
        assert early_stop([*seen, -1.0], patience) == stop


def test_no_look_and_no_patience_are_refused() -> None:
    for held_out, patience in (([], 1), ([1.0], 0)):
        with pytest.raises(ValueError, match="both must be at least 1"):
            early_stop(held_out, patience)
