"""Is one client using the service as it was not meant: flooding, scraping, forged turns?

In: windows of requests. Out: for each client of a window its points and a p-value. The one idea:
the threshold is not chosen, it is *calibrated*: a client is flagged when at most α of the
reference's clients have as many points (split conformal prediction, Vovk et al. 2005), so that an
honest client is flagged at the stated rate, whatever shape honest use has. Repeats are seen without
reading texts: equal prompts have equal lengths and equal bits per byte. Left out: what the texts
mean; clients that act together.
"""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from minillm.monitor.requests import Request

# forged turns and the classic overrides; found only where the log keeps texts
MARKERS = re.compile(
    r"<\|\w+\|>|^\s*(system|assistant)\s*:|\bignore (all |any )?(previous|earlier) instructions\b",
    re.IGNORECASE | re.MULTILINE,
)


# package only
@dataclass(frozen=True, kw_only=True, slots=True)
class MisuseConfig:
    """How many of a hundred honest clients may be flagged, as a fraction."""

    false_positive_rate: float = 0.05

    def __post_init__(self) -> None:
        if not 0 < self.false_positive_rate < 1:
            remedy = "must lie between 0 and 1; 0.05 flags five of a hundred honest clients"
            raise ValueError(f"false_positive_rate = {self.false_positive_rate}: {remedy}")


@dataclass(frozen=True, kw_only=True, slots=True)
class ClientUse:
    """What one client did in one window."""

    client: str
    num_requests: int
    num_repeats: int
    num_marked: int

    @property
    def points(self) -> int:
        """One for each request, one more if it repeats an earlier one, one more for a marker."""
        return self.num_requests + self.num_repeats + self.num_marked


@dataclass(frozen=True, kw_only=True, slots=True)
class ClientVerdict:
    """A client's use, how rare it is among the reference's clients, and what follows."""

    use: ClientUse
    p_value: float
    is_flagged: bool


def fingerprint(request: Request) -> tuple[object, ...]:
    """Equal for equal prompts, also where the log keeps no text; a refused one equals no other."""
    if request.prompt_bytes is None or request.prompt_bits_per_byte is None:
        return (request.id,)
    # rounded: the same prompt beside other rows of a batch differs in the last digits
    return request.prompt_bytes, round(request.prompt_bits_per_byte, 3)


def uses_of(window: Sequence[Request]) -> list[ClientUse]:
    """What each client did in this window, by points, most first."""
    by_client: dict[str, list[Request]] = defaultdict(list)
    for request in window:
        by_client[request.client].append(request)
    uses = [
        ClientUse(
            client=client,
            num_requests=len(own),
            num_repeats=len(own) - len({fingerprint(each) for each in own}),
            num_marked=sum(bool(each.prompt and MARKERS.search(each.prompt)) for each in own),
        )
        for client, own in by_client.items()
    ]
    return sorted(uses, key=lambda use: (-use.points, use.client))


def conformal_p_value(reference_points: Sequence[int], points: int) -> float:
    """(1 + clients of the reference with as many points) / (1 + clients of the reference)."""
    as_many = sum(each >= points for each in reference_points)
    return (1 + as_many) / (1 + len(reference_points))


def window_misuse(
    reference_points: Sequence[int], window: Sequence[Request], config: MisuseConfig
) -> list[ClientVerdict]:
    """Each client of a window against the points that honest clients had in windows as large."""
    verdicts = []
    for use in uses_of(window):
        p_value = conformal_p_value(reference_points, use.points)
        is_flagged = p_value <= config.false_positive_rate
        verdicts.append(ClientVerdict(use=use, p_value=p_value, is_flagged=is_flagged))
    return verdicts


def points_of(windows: Sequence[Sequence[Request]]) -> list[int]:
    """The points of every client of every window: what a threshold is calibrated on."""
    return [use.points for window in windows for use in uses_of(window)]


# package only
def least_rate(num_reference: int) -> float:
    """The smallest false-positive rate that so many reference clients can vouch for."""
    return 1 / (1 + num_reference)
