"""The stage: a log becomes a report of health, drift and misuse, window by window, and its page.

In: requests in the order in which they came; the first of them (or another log) are the reference.
Out: a `Report`, the lines to say aloud, `drift.json` and `index.html`. The one idea: the reference
is fixed before the watch begins; one that follows the traffic would call every slow drift normal.
"""

import dataclasses
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from minillm.core.records import Artifact, Run, atomic_write, make_artifact, read_json_lines
from minillm.monitor.drift import DriftConfig, SignalDrift, WindowDrift, window_drift
from minillm.monitor.health import Health, health
from minillm.monitor.misuse import (
    ClientVerdict,
    MisuseConfig,
    least_rate,
    points_of,
    window_misuse,
)
from minillm.monitor.page import page
from minillm.monitor.population import PLAN
from minillm.monitor.requests import LOG, Request, read_requests, windows_of

CODE = ("minillm.monitor",)
REPORT, PAGE = "drift.json", "index.html"
SHOWN_CLIENTS = 3


# package only
@dataclass(frozen=True, kw_only=True, slots=True)
class MonitorConfig:
    """How drift and misuse are tested."""

    drift: DriftConfig = field(default_factory=DriftConfig)
    misuse: MisuseConfig = field(default_factory=MisuseConfig)


LARGER_WINDOWS = MonitorConfig(
    drift=DriftConfig(reference_requests=160, window_requests=40),
    misuse=MisuseConfig(false_positive_rate=0.02),
)


# package only
@dataclass(frozen=True, kw_only=True, slots=True)
class WindowReport:
    """One window: where it lies, what was planted in it (if known), and what was found."""

    number: int
    first: int
    last: int
    planted: tuple[str, ...]
    is_same_model: bool
    health: Health
    drift: WindowDrift
    misuse: tuple[ClientVerdict, ...]


# package only
@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """The reference's health, every window, and the requests that fill no window yet."""

    reference: Health
    num_reference_clients: int
    windows: tuple[WindowReport, ...]
    num_waiting: int
    config: MonitorConfig


def watch(
    requests: Sequence[Request],
    config: MonitorConfig,
    reference: Sequence[Request] | None = None,
    event_by_id: Mapping[str, str] | None = None,
) -> Report:
    """Compare window after window with the reference: another log, or the first requests."""
    drift, events = config.drift, event_by_id or {}
    num_own = 0 if reference is not None else drift.reference_requests
    reference = requests[:num_own] if reference is None else reference
    windows = windows_of(requests[num_own:], drift.window_requests)
    if len(reference) < max(num_own, 1) or not windows:
        raise ValueError(
            f"the log has {len(requests)} of {num_own + drift.window_requests} requests: too few "
            f"for a reference of {num_own} and a window of {drift.window_requests}; wait for more, "
            "or --set monitor.drift.reference_requests=N, --set monitor.drift.window_requests=N"
        )
    # honest clients' points depend on a window's size, so the reference is cut as the watch is
    points = points_of(windows_of(reference, drift.window_requests) or [list(reference)])
    models = {each.model_sha256 for each in reference}
    reports = []
    for number, window in enumerate(windows, start=1):
        first = num_own + (number - 1) * drift.window_requests
        planted = Counter(events[each.id] for each in window if each.id in events)
        reports.append(
            WindowReport(
                number=number, first=first + 1, last=first + len(window),
                planted=tuple(name for name, _ in planted.most_common()),
                is_same_model={each.model_sha256 for each in window} <= models,
                health=health(window),
                drift=window_drift(reference, window, number, drift),
                misuse=tuple(window_misuse(points, window, config.misuse)[:SHOWN_CLIENTS]),
            )
        )  # fmt: skip
    return Report(
        reference=health(reference), num_reference_clients=len(points), windows=tuple(reports),
        num_waiting=len(requests) - num_own - len(windows) * drift.window_requests, config=config,
    )  # fmt: skip


def drift_line(window: WindowReport, each: SignalDrift) -> str:
    """One drifted signal in words: from where to where, by which test, how sure."""
    level = window.drift.alarm_level
    bound = f"≤ {level:.2g}" if each.decision == "alarm" else f"not ≤ {level:.2g}"
    return (
        f"{each.decision}: window {window.number} (requests {window.first}–{window.last}): "
        f"{each.signal} moved, median {each.reference_median:.3g} → {each.live_median:.3g} "
        f"({each.test}, n = {each.num_reference} and {each.num_live}, "
        f"adjusted p = {each.adjusted_p:.2g}, {bound})"
    )


def misuse_line(window: WindowReport, verdict: ClientVerdict) -> str:
    """One flagged client in words."""
    use = verdict.use
    return (
        f"misuse: window {window.number} (requests {window.first}–{window.last}): {use.client!a} "
        f"sent {use.num_requests} requests, {use.num_repeats} repeated, {use.num_marked} with "
        f"forged marks (p = {verdict.p_value:.2g})"
    )


# package only
def alarm_lines(report: Report) -> list[str]:
    """What an operator should know, one line each; nothing where nothing was found."""
    lines = []
    for window in report.windows:
        found = window.drift.having("alarm", "warning")
        lines += [drift_line(window, each) for each in found]
        lines += [misuse_line(window, each) for each in window.misuse if each.is_flagged]
        if not window.is_same_model:
            lines.append(f"note: window {window.number} was answered by another model")
    rate, least = report.config.misuse.false_positive_rate, least_rate(report.num_reference_clients)
    if least > rate:
        lines.append(
            f"note: {report.num_reference_clients} reference clients vouch for a false-positive "
            f"rate of {least:.2g} at best, not {rate:g}: misuse is not flagged; take a longer "
            "reference, or set monitor.misuse.false_positive_rate"
        )
    return lines


# package only
def write_report(report: Report, folder: Path) -> None:
    """`drift.json` for programs, `index.html` for people."""
    fields = dataclasses.asdict(report) | {"lines": alarm_lines(report)}
    atomic_write(folder / REPORT, json.dumps(fields, indent=1, ensure_ascii=False) + "\n")
    atomic_write(folder / PAGE, page(fields))


def monitor(config: MonitorConfig, run: Run) -> Artifact:
    """The run's traffic becomes a report; the planted events stand beside what was found."""
    traffic = run.artifact("traffic")
    requests = read_requests(traffic.path / LOG)
    plan = list(read_json_lines(traffic.path / PLAN))

    def write(folder: Path) -> dict:
        events = {line["id"]: line["event"] for line in plan if line["id"]}
        report = watch(requests, config, event_by_id=events)
        write_report(report, folder)
        lines = alarm_lines(report)
        return {
            "windows": len(report.windows),
            "window_requests": config.drift.window_requests,
            "alarms": sum(line.startswith("alarm") for line in lines),
            "warnings": sum(line.startswith("warning") for line in lines),
            "misuse": sum(line.startswith("misuse") for line in lines),
        }

    return make_artifact(
        run, "drift", config=config, parents=(traffic,), code=CODE, write=write,
        summary=lambda figures: (
            f"{figures['windows']} windows of {figures['window_requests']} requests watched"
        ),
    )
