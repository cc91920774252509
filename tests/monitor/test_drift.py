"""Known answers, oracles, and above all: false alarms come as often as was said, and no more."""

import dataclasses
import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from minillm.monitor import drift
from minillm.monitor.drift import (
    SIGNALS,
    DriftConfig,
    compared,
    fisher_test,
    holm,
    ks_statistic,
    permutation_test,
    share_of_alpha,
    window_drift,
)
from tests.monitor.logs import usual

QUICK = DriftConfig(permutations=199)
FEW = st.lists(st.integers(0, 5).map(float), min_size=1, max_size=9)


def test_the_widest_gap_by_hand() -> None:
    assert ks_statistic([1, 2, 3], [4, 5, 6]) == 1.0
    assert ks_statistic([1, 2, 3, 4], [3, 4, 5, 6]) == 0.5
    assert ks_statistic([1.0], [1.0]) == 0.0


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # its p-value, unread, may divide by 0
@given(FEW, FEW)
@settings(max_examples=60, deadline=None)
def test_the_widest_gap_is_scipys(reference: list[float], live: list[float]) -> None:
    theirs = stats.ks_2samp(reference, live, method="asymp").statistic
    assert ks_statistic(reference, live) == pytest.approx(theirs, abs=1e-12)


def test_three_against_three_can_be_no_rarer_than_one_in_ten() -> None:
    # of the 20 ways to choose three of six, two part the low from the high
    _, p_value = permutation_test([1, 2, 3], [4, 5, 6], 20_000, seed=1)
    assert p_value == pytest.approx(0.1, abs=5 * math.sqrt(0.1 * 0.9 / 20_000))
    assert stats.ks_2samp([1, 2, 3], [4, 5, 6]).pvalue == pytest.approx(0.1)


@pytest.mark.parametrize("reference, live", [([1, 1, 2, 5], [2, 2, 7]), ([0, 0, 0], [0, 1])])
def test_shuffles_give_the_share_of_all_arrangements_also_with_ties(
    reference: list[int], live: list[int]
) -> None:
    values, found = [*reference, *live], ks_statistic(reference, live)
    chosen = list(itertools.combinations(range(len(values)), len(live)))
    gaps = [
        ks_statistic(
            [values[i] for i in range(len(values)) if i not in picked],
            [values[i] for i in picked],
        )
        for picked in chosen
    ]
    exact = np.mean(np.array(gaps) >= found - 1e-12)
    statistic, p_value = permutation_test(reference, live, 20_000, seed=0)
    assert statistic == pytest.approx(found)
    assert p_value == pytest.approx(exact, abs=5 * math.sqrt(0.25 / 20_000))


def test_a_p_value_by_shuffling_is_never_zero() -> None:
    _, p_value = permutation_test([0.0] * 50, [1.0] * 50, 99, seed=0)
    assert p_value == 1 / 100


def test_shuffling_rates_is_fishers_test() -> None:
    reference, live = [1] * 9 + [0] * 3, [1] * 3 + [0] * 5
    difference, exact = fisher_test(reference, live)
    assert difference == pytest.approx(3 / 8 - 9 / 12)
    _, p_value = permutation_test(reference, live, 20_000, seed=0)
    assert p_value == pytest.approx(exact, abs=5 * math.sqrt(0.25 / 20_000))


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == [] and holm([0.2]) == [0.2] and holm([0.9, 0.8]) == [1.0, 1.0]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=5), st.floats(0.01, 0.5))
@settings(max_examples=100, deadline=None)
def test_holm_rejects_what_the_closed_test_rejects(p_values: list[float], alpha: float) -> None:
    # Marcus, Peritz and Gabriel (1976): reject i if every set that holds i is rejected, here by
    # Bonferroni; that needs 2^m tests, Holm's steps need m
    index = range(len(p_values))
    sets = [s for size in index for s in itertools.combinations(index, size + 1)]
    rejected = {s: len(s) * min(p_values[i] for i in s) <= alpha for s in sets}
    closed = [all(rejected[s] for s in sets if i in s) for i in index]
    assert [p <= alpha for p in holm(p_values)] == closed


def test_all_windows_together_spend_alpha() -> None:
    shares = [share_of_alpha(0.05, number) for number in range(1, 2000)]
    assert shares[0] == 0.025 and sum(shares) < 0.05
    assert sum(shares) == pytest.approx(0.05, rel=1e-3)


@pytest.mark.parametrize("signal", SIGNALS, ids=lambda each: each.name)
def test_each_test_alone_keeps_to_its_rate(signal: drift.Signal) -> None:
    rng, num_trials, alarms = np.random.default_rng(11), 500, 0
    for seed in range(num_trials):
        rows = usual(150, rng)
        reference, live = signal.values(rows[:100]), signal.values(rows[100:])
        _, p_value = compared(signal.test, reference, live, permutations=199, seed=seed)
        alarms += p_value <= 0.05
    # Fisher's test, and the shuffles where ties make few gaps possible, err less often than allowed
    least = {"Fisher": 0.01, "permutation": 0.025}.get(signal.test, 0.03)
    assert least <= alarms / num_trials <= 0.07, alarms


def null_windows(count: int, rng: np.random.Generator) -> list[drift.WindowDrift]:
    """Windows without drift, each with a reference of its own."""
    config = dataclasses.replace(QUICK, reference_requests=100, window_requests=50)
    found = []
    for number in range(count):
        rows = usual(150, rng)
        shuffled = dataclasses.replace(config, seed=number)
        found.append(window_drift(rows[:100], rows[100:], 1, shuffled))
    return found


def test_false_alarms_are_five_percent_over_500_windows_without_drift() -> None:
    windows = null_windows(500, np.random.default_rng(5))
    rate = np.mean([bool(each.having("alarm", "warning")) for each in windows])
    assert 0.03 <= rate <= 0.07, rate


def test_without_holm_the_same_windows_would_fire_far_more_often() -> None:
    windows = null_windows(200, np.random.default_rng(5))
    rate = np.mean([any(s.p_value <= 0.05 for s in each.signals) for each in windows])
    assert rate > 0.1, rate


def test_a_watch_of_many_windows_sees_an_alarm_in_five_percent_at_most() -> None:
    # one reference for all windows of a watch, as in service: their errors are not independent
    rng = np.random.default_rng(3)
    signals = [each for each in SIGNALS if each.test != "permutation"]
    alarmed, warned = 0, 0
    for _ in range(80):
        rows = usual(80 + 12 * 40, rng)
        samples = {each.name: each.values(rows[:80]) for each in signals}
        verdicts = set()
        for number in range(1, 13):
            live = rows[40 + 40 * number : 80 + 40 * number]
            p_values = [
                compared(each.test, samples[each.name], each.values(live))[1]
                for each in signals
            ]
            smallest = min(holm(p_values))
            verdicts.add(drift.decision(smallest, 0.05, share_of_alpha(0.05, number)))
        alarmed += "alarm" in verdicts
        warned += bool(verdicts & {"alarm", "warning"})
    # 5 % of 80 is 4, and four standard deviations above it 11.8
    assert alarmed <= 11 and warned > 16, (alarmed, warned)


def test_planted_drift_is_found_more_surely_in_larger_windows() -> None:
    rng, found = np.random.default_rng(0), []
    for size in (20, 60, 180):
        hits = 0
        for _ in range(40):
            reference, live = usual(200, rng), usual(size, rng, begin=200, bits_shift=0.25)
            verdict = window_drift(reference, live, 1, QUICK)
            hits += "prompt bits per byte" in [
                each.signal for each in verdict.having("alarm", "warning")
            ]
        found.append(hits / 40)
    assert found[0] < found[1] < found[2] and found[2] > 0.9, found


def test_fewer_thumbs_up_are_found() -> None:
    rng = np.random.default_rng(0)
    reference, live = usual(200, rng), usual(100, rng, begin=200, thumbs_up=0.3)
    verdict = window_drift(reference, live, 1, QUICK)
    assert [each.signal for each in verdict.having("alarm")] == ["thumbs up"]


def test_one_loud_client_does_not_look_like_drift() -> None:
    rng = np.random.default_rng(1)
    reference, live = usual(200, rng), usual(60, rng, begin=200)
    loud = dataclasses.replace(usual(1, rng, begin=900)[0], prompt_bits_per_byte=9.0)
    flood = [dataclasses.replace(loud, id=f"x{index}") for index in range(140)]
    assert window_drift(reference, [*live, *flood], 1, QUICK).having("alarm", "warning") == []
    # counted one by one the same requests would be an alarm
    everyone = [
        dataclasses.replace(each, client=each.id) for each in [*live, *flood]
    ]
    assert window_drift(reference, everyone, 1, QUICK).having("alarm")


def test_too_few_values_are_said_and_cost_the_others_nothing() -> None:
    rng = np.random.default_rng(0)
    reference, live = usual(100, rng), usual(40, rng, begin=100)
    live = [dataclasses.replace(each, rating=None) for each in live]
    verdict = window_drift(reference, live, 1, QUICK)
    assert [each.decision for each in verdict.signals][-1] == "too few"
    p_values = [each.p_value for each in verdict.signals[:-1]]
    assert [each.adjusted_p for each in verdict.signals[:-1]] == pytest.approx(holm(p_values))


def test_a_reference_against_itself_is_no_drift() -> None:
    reference = usual(53, np.random.default_rng(0))
    verdict = window_drift(reference, reference, 1, QUICK)
    assert {each.decision for each in verdict.signals} == {"none"}
    assert {each.p_value for each in verdict.signals} == {1.0}


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"alpha": 0.0}, "alpha = 0.0: must be a false-alarm rate between 0 and 1"),
        ({"window_requests": 0}, "window_requests = 0: must be at least 1"),
        ({"permutations": 9}, "permutations = 9: must be at least 99"),
    ],
)
def test_an_impossible_setting_is_named(fields: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DriftConfig(**fields)


def test_an_unknown_test_is_named_with_those_there_are() -> None:
    with pytest.raises(ValueError, match="test = 'psi'.*Mann–Whitney"):
        compared("psi", [1.0], [2.0])
