"""Memory is that of the action alone, and one that fails is told."""

import numpy as np
import pytest

from minillm.bench.memory import in_own_process


def test_a_process_of_its_own_gives_the_result_and_the_memory_that_it_took():
    total, peak = in_own_process(lambda: np.ones(64 * 2**17).sum())
    assert total == 64 * 2**17 and 60 < peak < 70
    assert in_own_process(lambda: None)[1] < 5


def test_a_failure_in_a_process_of_its_own_does_not_wait_for_ever(capfd):
    with pytest.raises(EOFError):
        in_own_process(lambda: 1 / 0)
    assert "ZeroDivisionError" in capfd.readouterr().err
