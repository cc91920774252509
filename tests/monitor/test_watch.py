"""A whole log with planted events: what was planted is found, what was not is not."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from minillm.monitor.drift import DriftConfig
from minillm.monitor.misuse import MisuseConfig
from minillm.monitor.requests import Request
from minillm.monitor.watch import MonitorConfig, alarm_lines, watch, write_report
from tests.monitor.logs import usual

CONFIG = MonitorConfig(
    drift=DriftConfig(reference_requests=120, window_requests=40, permutations=499),
    misuse=MisuseConfig(false_positive_rate=0.01),
)


def planted_log(seed: int = 0) -> tuple[list[Request], dict[str, str]]:
    """Reference, a calm window, one of other prompts, one with a flood; and the events by id."""
    rng = np.random.default_rng(seed)
    calm = usual(160, rng)
    other = usual(40, rng, begin=160, bits_shift=1.0)
    flooded = usual(40, rng, begin=200)
    loud = flooded[0]
    for index in range(3, 30):
        flooded[index] = dataclasses.replace(
            loud, id=flooded[index].id, created_s=flooded[index].created_s
        )
    names = ["calm"] * 160 + ["drift"] * 40 + ["attack"] * 40
    requests = [*calm, *other, *flooded]
    return requests, {each.id: name for each, name in zip(requests, names, strict=True)}


def test_each_planted_event_is_found_in_its_window_and_only_there() -> None:
    requests, events = planted_log()
    report = watch(requests, CONFIG, event_by_id=events)
    assert [window.planted for window in report.windows] == [("calm",), ("drift",), ("attack",)]
    alarmed = [
        [each.signal for each in window.drift.having("alarm")] for window in report.windows
    ]
    assert alarmed == [[], ["prompt bits per byte"], []]
    flagged = [[v.use.client for v in w.misuse if v.is_flagged] for w in report.windows]
    assert flagged == [[], [], [requests[200].client]]
    lines = alarm_lines(report)
    assert [line.partition(":")[0] for line in lines] == ["alarm", "misuse"]
    assert "window 2 (requests 161–200): prompt bits per byte moved, median" in lines[0]
    assert "window 3" in lines[1] and "sent 28 requests, 27 repeated" in lines[1]


def test_another_log_as_reference_gives_every_request_to_the_watch() -> None:
    requests, _ = planted_log()
    report = watch(requests, CONFIG, reference=usual(120, np.random.default_rng(9)))
    assert (len(report.windows), report.windows[0].first, report.num_waiting) == (6, 1, 0)
    assert report.windows[4].drift.having("alarm")


def test_requests_that_fill_no_window_wait() -> None:
    report = watch(usual(120 + 53, np.random.default_rng(0)), CONFIG)
    assert (len(report.windows), report.num_waiting) == (1, 13)


@pytest.mark.parametrize("count", [0, 119, 159])
def test_too_short_a_log_says_how_to_go_on(count: int) -> None:
    expected = f"has {count} of 160 requests: too few.*reference_requests=N"
    with pytest.raises(ValueError, match=expected):
        watch(usual(count, np.random.default_rng(0)), CONFIG)


def test_another_model_and_too_few_clients_to_calibrate_are_said() -> None:
    requests, _ = planted_log()
    served = [
        dataclasses.replace(each, model_sha256="b" * 64) if index >= 200 else each
        for index, each in enumerate(requests)
    ]
    assert "note: window 3 was answered by another model" in alarm_lines(watch(served, CONFIG))
    strict = dataclasses.replace(CONFIG, misuse=MisuseConfig(false_positive_rate=0.001))
    lines = alarm_lines(watch(requests, strict))
    assert "120 reference clients vouch for a false-positive rate of 0.0083 at best" in lines[-1]


def test_the_same_log_gives_the_same_report_to_the_byte(tmp_path: Path) -> None:
    requests, events = planted_log()
    for name in ("one", "two"):
        write_report(watch(requests, CONFIG, event_by_id=events), tmp_path / name)
    for name in ("drift.json", "index.html"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    fields = json.loads((tmp_path / "one" / "drift.json").read_text())
    signal = fields["windows"][1]["drift"]["signals"][0]
    assert {"statistic", "p_value", "adjusted_p", "decision", "num_reference", "num_live"} <= (
        signal.keys()
    )
    assert signal["decision"] == "alarm"
    assert (signal["num_reference"], signal["num_live"]) == (120, 40)
