"""How does the service feel to its users? Rates, quantiles and shares, each with its interval.

In: a window of requests. Out: its `Health`. The one idea: a figure from few requests is a guess, so
it comes with the interval that holds the true one 95 times in 100: for quantiles from the order of
the samples alone (binomial, no shape assumed), for shares Wilson's (1927).
Left out: histograms over days, seasons, service-level budgets.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy  # its `stats` is loaded where it is first used: that takes half a second

from minillm.monitor.requests import Request

CONFIDENCE = 0.95


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """A figure and the interval that holds the true one; an open end is None."""

    value: float
    low: float | None
    high: float | None
    count: int


def quantile_estimate(
    values: Sequence[float], fraction: float, confidence: float = CONFIDENCE
) -> Estimate | None:
    """The sample's quantile; its interval ends at two of the sorted samples, or is open.

    The number of samples below the true quantile is binomial(n, fraction), whatever the shape.
    """
    if not values:
        return None
    if not 0 < fraction < 1:
        raise ValueError(f"fraction = {fraction}: must lie between 0 and 1; 0.5 is the median")
    ordered, tail = np.sort(values), (1 - confidence) / 2
    below = scipy.stats.binom(len(ordered), fraction)
    low_rank = int(below.ppf(tail))  # P(fewer than that many lie below) ≤ tail
    high_rank = int(below.isf(tail)) + 1
    return Estimate(
        value=float(np.quantile(ordered, fraction)),
        low=float(ordered[low_rank - 1]) if low_rank >= 1 else None,
        high=float(ordered[high_rank - 1]) if high_rank <= len(ordered) else None,
        count=len(ordered),
    )


def share_estimate(num_hits: int, count: int, confidence: float = CONFIDENCE) -> Estimate | None:
    """A share with Wilson's interval, which stays right near 0 and 1; None of nothing."""
    if count == 0:
        return None
    interval = scipy.stats.binomtest(num_hits, count).proportion_ci(confidence, method="wilson")
    return Estimate(
        value=num_hits / count, low=float(interval.low), high=float(interval.high), count=count
    )


# package only
@dataclass(frozen=True, kw_only=True, slots=True)
class Health:
    """One window's figures; None where the log has nothing to compute one from."""

    count: int
    begin_s: float
    end_s: float
    requests_per_s: float | None
    tokens_per_s: float | None
    latency_median_ms: Estimate | None
    latency_p95_ms: Estimate | None
    first_token_median_ms: Estimate | None
    queued_median_ms: Estimate | None
    client_errors: Estimate | None
    server_errors: Estimate | None
    thumbs_up: Estimate | None


def present(requests: Sequence[Request], name: str) -> list[float]:
    """The values of a column, without those that are missing."""
    return [value for each in requests if (value := getattr(each, name)) is not None]


def health(requests: Sequence[Request]) -> Health:
    """A window's figures; times are of answered requests, since refusals are quick."""
    if not requests:
        raise ValueError("requests is empty: a window's health needs at least one request")
    answered = [each for each in requests if each.is_answered]
    statuses, ratings = present(requests, "status"), present(answered, "rating")
    begin_s = min(each.created_s for each in requests)
    end_s = max(each.created_s + (each.total_ms or 0) / 1000 for each in requests)
    span_s = end_s - begin_s
    latencies_ms = present(answered, "total_ms")
    return Health(
        count=len(requests),
        begin_s=begin_s,
        end_s=end_s,
        requests_per_s=len(requests) / span_s if span_s > 0 else None,
        tokens_per_s=sum(present(answered, "completion_tokens")) / span_s if span_s > 0 else None,
        latency_median_ms=quantile_estimate(latencies_ms, 0.5),
        latency_p95_ms=quantile_estimate(latencies_ms, 0.95),
        first_token_median_ms=quantile_estimate(present(answered, "first_token_ms"), 0.5),
        queued_median_ms=quantile_estimate(present(answered, "queued_ms"), 0.5),
        client_errors=share_estimate(sum(400 <= s < 500 for s in statuses), len(statuses)),
        server_errors=share_estimate(sum(s >= 500 for s in statuses), len(statuses)),
        thumbs_up=share_estimate(sum(rating > 0 for rating in ratings), len(ratings)),
    )
