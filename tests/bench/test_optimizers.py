"""The race of Muon and AdamW: one start for both, and what is kept of it."""

import dataclasses
import json
from pathlib import Path

import pytest
import torch

from minillm.bench import optimizers as bench

ROOT = Path(__file__).resolve().parent.parent.parent
TINY = dataclasses.replace(bench.SHAPE, width=16, num_layers=1, num_heads=2, ffn_width=24)


def test_a_seed_gives_both_sides_the_same_weights_and_batches(tmp_path: Path) -> None:
    race = bench.Race(shards=bench.made_text(tmp_path, 60, 3), shape=TINY)
    (left, _, ours), (right, _, theirs) = (race.start(kind, 1) for kind in ("adamw", "muon"))
    for one, other in zip(left.parameters(), right.parameters(), strict=True):
        assert torch.equal(one, other)
    assert torch.equal(next(ours).tokens_BT, next(theirs).tokens_BT)
    _, _, another = race.start("adamw", 2)
    assert not torch.equal(next(another).tokens_BT, next(race.start("adamw", 1)[2]).tokens_BT)


def test_a_small_race_has_a_figure_for_every_rate_and_seed() -> None:
    figures = bench.measure(
        num_stories=60, num_steps=4, rates=(1e-3, 1e-2), seeds=(0, 1), num_timed=3, shape=TINY
    )
    for kind in ("adamw", "muon"):
        assert list(figures["bits_per_byte"][kind]) == ["0.001", "0.01"]
        assert all(len(runs) == 2 for runs in figures["bits_per_byte"][kind].values())
        assert figures["best_rate"][kind] in (1e-3, 1e-2)
    assert figures["adamw_steps_in_muons_time"] == round(4 * figures["step_cost_muon_over_adamw"])
    assert figures["parameters"] == TINY.num_parameters


def test_the_interval_of_paired_differences_by_hand() -> None:
    """Mean 2, standard deviation 1, three of them: 2 ± 4.303 / √3."""
    found = bench.with_interval([1.0, 2.0, 3.0])
    assert found["mean"] == 2
    assert found["high"] - 2 == pytest.approx(4.303 / 3**0.5)
    assert 2 - found["low"] == pytest.approx(4.303 / 3**0.5)


def test_the_kept_race_is_of_this_size_and_its_best_rates_lie_inside_the_grid() -> None:
    kept = json.loads((ROOT / "bench" / "optimizers.json").read_text(encoding="utf-8"))
    figures = kept["figures"]
    assert kept["command"] == "minillm bench optimizers --json" and kept["machine"]
    assert figures["parameters"] == bench.SHAPE.num_parameters
    for kind, runs in figures["bits_per_byte"].items():
        assert [float(rate) for rate in runs] == list(bench.RATES)
        assert all(len(each) == len(bench.SEEDS) for each in runs.values())
        assert figures["best_rate"][kind] not in (bench.RATES[0], bench.RATES[-1])
