"""Intervals hold the truth as often as they claim, and the naive one does not."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from minillm.evaluate.intervals import (
    Estimate,
    bootstrap_mean,
    bootstrap_ratio,
    coverage,
    exact_coverage,
    normal_interval,
    paired_difference,
    unpaired_difference,
    wilson,
)


def test_wilson_by_hand() -> None:
    # 7 of 10, z² = 3.8415: (.7 + .19207) / 1.38415 ± 1.95996 / 1.38415 · √(.021 + .0096036)
    found = wilson(7, 10)
    assert found.value == 0.7 and found.n == 10
    assert [found.low, found.high] == pytest.approx([0.396778, 0.892209], abs=1e-6)


@given(st.integers(1, 400), st.data())
def test_wilson_is_scipys(n: int, data: st.DataObject) -> None:
    successes = data.draw(st.integers(0, n))
    ours = wilson(successes, n)
    theirs = stats.binomtest(successes, n).proportion_ci(method="wilson")
    assert [ours.low, ours.high] == pytest.approx([theirs.low, theirs.high], abs=1e-12)


@given(st.integers(1, 200), st.data())
def test_wilson_is_symmetric_and_inside(n: int, data: st.DataObject) -> None:
    k = data.draw(st.integers(0, n))
    one, other = wilson(k, n), wilson(n - k, n)
    assert 0 <= one.low <= one.value <= one.high <= 1
    assert one.low == pytest.approx(1 - other.high, abs=1e-12)
    assert wilson(k, n, confidence=0.99).high >= one.high


def test_all_right_is_not_certainty() -> None:
    # the lower end for n of n is n / (n + z²)
    assert wilson(20, 20).low == pytest.approx(20 / (20 + 1.959964**2), abs=1e-6)
    assert normal_interval(20, 20).low == normal_interval(20, 20).high == 1


@pytest.mark.parametrize("n", [10, 20, 50])
def test_wilson_covers_and_the_normal_interval_does_not(n: int) -> None:
    shares = np.linspace(0.02, 0.98, 97)
    ours = np.mean([exact_coverage(wilson, p, n) for p in shares])
    naive = np.mean([exact_coverage(normal_interval, p, n) for p in shares])
    # measured: .956 .953 .951, and .790 .867 .918
    assert 0.93 <= ours <= 0.97 and naive < ours - 0.01
    assert exact_coverage(normal_interval, 0.02, n) < 0.93


def test_simulated_coverage_is_the_exact_one() -> None:
    def sample(rng: np.random.Generator) -> tuple[Estimate, float]:
        return wilson(int(rng.binomial(17, 0.3)), 17), 0.3

    exact = exact_coverage(wilson, 0.3, 17)
    # 5 standard deviations of a share over 4,000 trials
    assert abs(coverage(sample, trials=4000) - exact) < 5 * math.sqrt(exact * (1 - exact) / 4000)


@pytest.mark.parametrize("n", [8, 30])
def test_the_bootstrap_covers_means(n: int) -> None:
    def sample(rng: np.random.Generator) -> tuple[Estimate, float]:
        seed = int(rng.integers(1 << 30))
        return bootstrap_mean(rng.normal(3, 2, n), seed=seed, resamples=400), 3.0

    assert 0.93 <= coverage(sample, trials=1500) <= 0.97  # measured: .950 and .948


def test_the_bootstrap_covers_paired_differences() -> None:
    def sample(rng: np.random.Generator) -> tuple[Estimate, float]:
        hard = rng.normal(0, 3, 40)  # what makes an item hard is common to both
        ours, theirs = hard + rng.normal(0.5, 1, 40), hard + rng.normal(0, 1, 40)
        return paired_difference(ours, theirs, seed=int(rng.integers(1 << 30)), resamples=400), 0.5

    assert 0.93 <= coverage(sample, trials=1500) <= 0.97


def test_the_bootstrap_covers_a_ratio_of_sums() -> None:
    def sample(rng: np.random.Generator) -> tuple[Estimate, float]:
        sizes = rng.integers(50, 500, 60).astype(float)
        bits = sizes * 0.6 + rng.normal(0, 0.1, 60) * sizes
        return bootstrap_ratio(bits, sizes, seed=int(rng.integers(1 << 30)), resamples=400), 0.6

    assert 0.93 <= coverage(sample, trials=1500) <= 0.97


def test_a_plain_percentile_bootstrap_would_cover_too_little() -> None:
    """The widening matters: without it 8 items cover 90 %."""

    def sample(rng: np.random.Generator) -> tuple[Estimate, float]:
        values = rng.normal(0, 1, 8)
        draws = rng.choice(values, (400, 8)).mean(axis=1)
        low, high = np.quantile(draws, [0.025, 0.975])
        return Estimate(float(values.mean()), float(low), float(high), 8), 0.0

    assert coverage(sample, trials=1500) < 0.93


def test_pairs_are_sharper_than_two_intervals() -> None:
    rng = np.random.default_rng(0)
    hard = rng.normal(0, 3, 50)
    ours, theirs = hard + 0.5 + rng.normal(0, 0.3, 50), hard
    paired = paired_difference(ours, theirs)
    apart = unpaired_difference(bootstrap_mean(ours), bootstrap_mean(theirs))
    assert paired.low > 0 > apart.low and paired.value == pytest.approx(apart.value)


def test_unpaired_difference_by_hand() -> None:
    # Newcombe (1998), table II: 56/70 − 48/80, method 10: .0524 to .3339
    found = unpaired_difference(wilson(56, 70), wilson(48, 80))
    assert [found.low, found.high] == pytest.approx([0.0524, 0.3339], abs=1e-4)


def test_equal_values_have_no_width_and_one_seed_one_interval() -> None:
    assert bootstrap_mean([0.5] * 5) == Estimate(0.5, 0.5, 0.5, 5)
    values = np.random.default_rng(0).random(13)
    assert bootstrap_mean(values, seed=3) == bootstrap_mean(values, seed=3)
    assert bootstrap_mean(values, seed=3) != bootstrap_mean(values, seed=4)


def test_what_cannot_be_scored_is_refused() -> None:
    with pytest.raises(ValueError, match="n = 0: must be at least 1"):
        wilson(0, 0)
    with pytest.raises(ValueError, match="successes = 4: must lie between 0 and n = 3"):
        wilson(4, 3)
    with pytest.raises(ValueError, match="at least 2"):
        bootstrap_mean([1.0])
    with pytest.raises(ValueError, match="pairs need the same ones"):
        paired_difference([1.0, 2.0], [1.0])
