"""Do today's requests still look like those the service was made for? Tests with a known error.

In: reference requests and a window of live ones. Out: for each signal a statistic, a p-value and a
decision. The one idea: an alarm is worth what its false-alarm rate is worth, so only tests whose
rate is known are used (Kolmogorov–Smirnov, Mann–Whitney, permutation, Fisher), Holm's method (1979)
pays for asking several questions, and a falling share of the error for asking again every window.
Left out: PSI and Jensen–Shannon thresholds (notebook 14 shows why), embeddings, seasons.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import scipy  # its `stats` is loaded where it is first used: that takes half a second

from minillm.monitor.requests import Request, first_of_each_client

Numbers = Sequence[float] | np.ndarray


# package only
@dataclass(frozen=True, kw_only=True, slots=True)
class DriftConfig:
    """How many requests are compared with how many, and how often a false alarm is accepted."""

    reference_requests: int = 48
    window_requests: int = 24
    alpha: float = 0.05
    min_values: int = 8
    permutations: int = 1999
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.alpha < 1:
            remedy = "a false-alarm rate between 0 and 1; 0.05 is one in twenty"
            raise ValueError(f"alpha = {self.alpha}: must be {remedy}")
        for name, least in (
            ("reference_requests", 2), ("window_requests", 1), ("min_values", 2),
            ("permutations", 99),
        ):  # fmt: skip
            if getattr(self, name) < least:
                raise ValueError(f"{name} = {getattr(self, name)}: must be at least {least}")


def ks_statistic(reference: Numbers, live: Numbers) -> float:
    """max over x of |F_reference(x) − F_live(x)|: the widest gap between the two staircases."""
    values = np.concatenate([reference, live])
    below_reference = np.searchsorted(np.sort(reference), values, side="right") / len(reference)
    below_live = np.searchsorted(np.sort(live), values, side="right") / len(live)
    return float(np.abs(below_reference - below_live).max())


def permutation_test(
    reference: Numbers, live: Numbers, permutations: int, seed: int
) -> tuple[float, float]:
    """The widest gap, and its p-value by shuffling which value is live: exact also with ties.

    p = (1 + shuffles with a gap as wide) / (1 + shuffles): the data's own order counts as one.
    """
    values = np.sort(np.concatenate([reference, live]))
    is_last = np.append(values[1:] != values[:-1], True)  # a step of the staircase ends here
    is_live = np.arange(len(values)) < len(live)
    rng = np.random.default_rng(seed)
    shuffled = rng.permuted(np.tile(is_live, (permutations, 1)), axis=1)
    below_live = shuffled.cumsum(axis=1) / len(live)
    below_reference = (~shuffled).cumsum(axis=1) / len(reference)
    gaps = np.abs(below_live - below_reference)[:, is_last].max(axis=1)
    found = ks_statistic(reference, live)
    return found, float((1 + (gaps >= found - 1e-12).sum()) / (1 + permutations))


def fisher_test(reference: Numbers, live: Numbers) -> tuple[float, float]:
    """The difference of two rates, and its p-value over every way to share out the ones."""
    ones = [int(sum(reference)), int(sum(live))]
    zeros = [len(reference) - ones[0], len(live) - ones[1]]
    difference = ones[1] / len(live) - ones[0] / len(reference)
    return difference, float(scipy.stats.fisher_exact([ones, zeros]).pvalue)


def compared(
    test: str, reference: Numbers, live: Numbers, *, permutations: int = 1999, seed: int = 0
) -> tuple[float, float]:
    """Statistic and p-value of one test; each holds its false-alarm rate at any sample size."""
    if test == "Kolmogorov–Smirnov":  # any change of shape, for values without ties
        found = scipy.stats.ks_2samp(reference, live)
    elif test == "Mann–Whitney":  # a shift up or down; the ties of whole numbers are accounted for
        found = scipy.stats.mannwhitneyu(reference, live)
        common = found.statistic / (len(reference) * len(live))
        return float(common), float(found.pvalue)
    elif test == "permutation":  # any change of shape, also where most values are the same
        return permutation_test(reference, live, permutations, seed)
    elif test == "Fisher":
        return fisher_test(reference, live)
    else:
        known = "Kolmogorov–Smirnov, Mann–Whitney, permutation, Fisher"
        raise ValueError(f"test = {test!r}: choose one of {known}")
    return float(found.statistic), float(found.pvalue)


@dataclass(frozen=True, slots=True)
class Signal:
    """What is watched: a name, the test that suits it, and its value of a request (None: none)."""

    name: str
    test: str
    value: Callable[[Request], float | None]

    def values(self, requests: Sequence[Request]) -> list[float]:
        """The values of those requests that have one."""
        found = (self.value(request) for request in requests)
        return [float(each) for each in found if each is not None]


SIGNALS = (
    Signal("prompt bits per byte", "Kolmogorov–Smirnov", lambda each: each.prompt_bits_per_byte),
    Signal("prompt bytes", "Mann–Whitney", lambda each: each.prompt_bytes),
    Signal("reply tokens", "permutation", lambda each: each.completion_tokens),
    Signal("thumbs up", "Fisher", lambda each: each.rating and float(each.rating > 0)),
)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values: the smallest times m, the next times m − 1, …, never falling, at most 1.

    Reject where it is ≤ α: then the chance of even one false rejection among m is ≤ α.
    """
    order = np.argsort(p_values, kind="stable")
    adjusted, floor = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        floor = max(floor, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = floor
    return adjusted


def share_of_alpha(alpha: float, number: int) -> float:
    """What window `number` (1, 2, …) may use up of α: α / (k·(k + 1)); all of them together: α."""
    return alpha / (number * (number + 1))


# package only
@dataclass(frozen=True, kw_only=True, slots=True)
class SignalDrift:
    """One signal in one window: how large the samples were, what was found, what follows."""

    signal: str
    test: str
    num_reference: int
    num_live: int
    reference_median: float | None
    live_median: float | None
    statistic: float | None
    p_value: float | None
    adjusted_p: float | None
    decision: str


# package only
@dataclass(frozen=True, kw_only=True, slots=True)
class WindowDrift:
    """A window's signals; `warning` errs in α of all windows, `alarm` in α of all watches."""

    number: int
    alarm_level: float
    signals: tuple[SignalDrift, ...]

    def having(self, *decisions: str) -> list[SignalDrift]:
        """The signals on which one of these decisions fell."""
        return [each for each in self.signals if each.decision in decisions]


def decision(adjusted_p: float, alpha: float, alarm_level: float) -> str:
    """`alarm` if rare enough for the whole watch, `warning` for this window alone, else `none`."""
    if adjusted_p <= alarm_level:
        return "alarm"
    return "warning" if adjusted_p <= alpha else "none"


def window_drift(
    reference: Sequence[Request], live: Sequence[Request], number: int, config: DriftConfig
) -> WindowDrift:
    """Every signal of window `number` against the reference, one request of each client."""
    before, after = first_of_each_client(reference), first_of_each_client(live)
    samples = [(each, each.values(before), each.values(after)) for each in SIGNALS]
    is_tested = [min(len(old), len(new)) >= config.min_values for _, old, new in samples]
    # each window shuffles anew: the same shuffles would err in the same direction every time
    shuffling = {"permutations": config.permutations, "seed": config.seed + number}
    found = [
        compared(signal.test, old, new, **shuffling) if enough else (None, None)
        for (signal, old, new), enough in zip(samples, is_tested, strict=True)
    ]
    adjusted = iter(holm([p_value for _, p_value in found if p_value is not None]))
    level = share_of_alpha(config.alpha, number)
    signals = []
    for (signal, old, new), (statistic, p_value) in zip(samples, found, strict=True):
        corrected = None if p_value is None else next(adjusted)
        verdict = "too few" if corrected is None else decision(corrected, config.alpha, level)
        signals.append(
            SignalDrift(
                signal=signal.name, test=signal.test, num_reference=len(old), num_live=len(new),
                reference_median=float(np.median(old)) if old else None,
                live_median=float(np.median(new)) if new else None,
                statistic=statistic, p_value=p_value, adjusted_p=corrected, decision=verdict,
            )
        )  # fmt: skip
    return WindowDrift(number=number, alarm_level=level, signals=tuple(signals))
