"""Intervals hold the truth as often as they say; figures are those counted by hand."""

import dataclasses

import numpy as np
import pytest
from scipy import stats

from minillm.monitor.health import health, quantile_estimate, share_estimate
from minillm.monitor.requests import Request
from tests.monitor.logs import ASKED, usual


def test_a_quantile_and_its_interval_by_hand() -> None:
    # 8 samples, median: P(fewer than 2 below) = P(more than 6 below) = 9/256 > .025, so the
    # interval goes from the first sample to the last
    found = quantile_estimate([8, 1, 2, 3, 4, 5, 6, 7], 0.5)
    assert (found.value, found.low, found.high, found.count) == (4.5, 1.0, 8.0, 8)


@pytest.mark.parametrize("count", [1, 5])
def test_few_samples_leave_the_interval_open(count: int) -> None:
    found = quantile_estimate(list(range(count)), 0.95)
    assert found.high is None and found.value == pytest.approx(0.95 * (count - 1))
    assert quantile_estimate([], 0.5) is None


@pytest.mark.parametrize("count, fraction", [(20, 0.5), (101, 0.5), (200, 0.95)])
def test_the_interval_is_scipys_and_holds_the_true_quantile(count: int, fraction: float) -> None:
    rng, truth, num_hits = np.random.default_rng(count), stats.lognorm(0.5).ppf(fraction), 0
    for trial in range(400):
        values = rng.lognormal(0, 0.5, count)
        found = quantile_estimate(values.tolist(), fraction)
        num_hits += found.low <= truth <= found.high
        if trial == 0:
            theirs = stats.quantile_test(values, p=fraction).confidence_interval(0.95)
            assert (found.low, found.high) == (theirs.low, theirs.high)
    # at least 95 %, less four standard deviations of 400 trials
    assert num_hits / 400 >= 0.95 - 4 * np.sqrt(0.05 * 0.95 / 400)


def test_a_share_near_zero_keeps_a_sensible_interval() -> None:
    none = share_estimate(0, 20)
    assert none.value == 0 and none.low == pytest.approx(0) and 0.1 < none.high < 0.2
    assert share_estimate(0, 0) is None


def test_a_windows_figures_by_hand() -> None:
    shared = {"client": "a", "status": 200, "first_token_ms": 10.0, "queued_ms": 1.0} | ASKED
    rows = [
        Request(id="1", created_s=0.0, total_ms=100.0, completion_tokens=10, rating=1, **shared),
        Request(id="2", created_s=1.0, total_ms=300.0, completion_tokens=30, rating=-1, **shared),
        Request(id="3", created_s=3.0, status=400, total_ms=1.0, client="b", **ASKED),
        Request(id="4", created_s=3.5, status=503, total_ms=500.0, client="c", **ASKED),
    ]
    found = health(rows)
    assert (found.count, found.begin_s, found.end_s) == (4, 0.0, 4.0)
    assert (found.requests_per_s, found.tokens_per_s) == (1.0, 10.0)
    assert found.latency_median_ms.value == 200 and found.latency_median_ms.count == 2
    assert found.client_errors.value == found.server_errors.value == 0.25
    assert found.thumbs_up.value == 0.5 and found.first_token_median_ms.value == 10


def test_order_does_not_matter_and_what_is_missing_is_none() -> None:
    rows = usual(37, np.random.default_rng(0))
    assert health(rows) == health(rows[::-1])
    bare = [dataclasses.replace(each, first_token_ms=None, rating=None) for each in rows]
    assert health(bare).first_token_median_ms is None and health(bare).thumbs_up is None
    one = health([Request(id="1", created_s=5.0, client="a", status=503, **ASKED)])
    assert one.requests_per_s is None and one.latency_median_ms is None


def test_nothing_has_no_health() -> None:
    with pytest.raises(ValueError, match="requests is empty"):
        health([])
    with pytest.raises(ValueError, match=r"fraction = 1: must lie between 0 and 1"):
        quantile_estimate([1.0], 1)
