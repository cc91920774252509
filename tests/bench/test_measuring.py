"""Times are compared fairly, and figures are kept with what made them."""

import datetime
import json
import re
from pathlib import Path

import pytest

from minillm.bench import measuring

# proofs.json has another form: proofs by name, written by the run that makes them
FOLDER = Path(__file__).resolve().parents[2] / "bench"
RECORDED = sorted(path for path in FOLDER.glob("*.json") if path.name != "proofs.json")


def test_each_action_has_its_turn_in_every_round_and_the_median_counts(monkeypatch):
    clock, order = [0.0], []
    seconds = {"ours": iter((1.0, 9.0, 2.0)), "peer": iter((4.0, 4.0, 30.0))}
    monkeypatch.setattr(measuring.time, "perf_counter", lambda: clock[0])

    def action(name: str) -> None:
        order.append(name)
        clock[0] += next(seconds[name])

    medians = measuring.median_seconds(
        {name: lambda name=name: action(name) for name in seconds}, repeats=3
    )
    assert medians == {"ours": 2.0, "peer": 4.0}
    assert order == ["ours", "peer"] * 3


def test_no_repeat_is_refused():
    with pytest.raises(ValueError, match="repeats is 0; give at least 1"):
        measuring.median_seconds({}, repeats=0)


def test_figures_are_kept_with_command_machine_and_date(tmp_path: Path):
    measuring.save_figures(tmp_path / "bench" / "x.json", "minillm bench x", {"ratio": 1.5})
    kept = json.loads((tmp_path / "bench" / "x.json").read_text(encoding="utf-8"))
    assert kept["figures"] == {"ratio": 1.5} and kept["command"] == "minillm bench x"
    assert "cores" in kept["machine"] and len(kept["date"]) == len("2026-11-29")


def test_only_figures_of_ours_are_replaced(tmp_path: Path) -> None:
    measuring.save_figures(tmp_path / "ours.json", "minillm bench x", {"ratio": 1.5})
    for name in ("ours.json", "new.json", "below/new.json"):
        measuring.check_replaceable_file(tmp_path / name)
    for content in ("# a page\n", "{}", '["command", "figures"]', "\udcff", ""):
        other = tmp_path / "other"
        other.write_text(content, encoding="utf-8", errors="surrogateescape")
        with pytest.raises(ValueError, match="--out .*other: keeps no figures of ours"):
            measuring.check_replaceable_file(other, "--out ")
    with pytest.raises(ValueError, match="is a folder; name the file"):
        measuring.check_replaceable_file(tmp_path)


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.name)
def test_what_is_recorded_names_command_machine_and_date_and_is_no_draft(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    recorded = json.loads(text)
    assert recorded["command"] and recorded["machine"] and recorded["figures"]
    assert datetime.date.fromisoformat(recorded["date"])
    assert not re.search(r"\b(TODO|FIXME|FAKE|TBD|TITLE)\b", text)
