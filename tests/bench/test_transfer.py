"""The bench of width transfer: one parabola, two ways, and a recorded run that holds the bar."""

import json
from pathlib import Path

import numpy as np
import pytest

from minillm.bench import transfer
from minillm.bench.transfer import best_rate, measure, shape, summary
from minillm.model.transformer import Transformer

ROOT = Path(__file__).resolve().parents[2]
RATES = [0.01 * 2**step for step in range(7)]
BAR = 1.5


@pytest.mark.parametrize("vertex", [0.01, 0.03, 0.1, 0.35, 0.64])
def test_the_best_rate_of_a_parabola_is_its_vertex(vertex: float) -> None:
    losses = [1 + 0.1 * np.log2(rate / vertex) ** 2 for rate in RATES]
    assert best_rate(RATES, losses) == pytest.approx(vertex)


def test_a_best_rate_never_lies_outside_what_was_tried() -> None:
    falling = [7.0 - step for step in range(7)]
    assert best_rate(RATES, falling) == pytest.approx(RATES[-1])
    assert best_rate(RATES, falling[::-1]) == pytest.approx(RATES[0])


def test_rates_that_move_with_the_width_are_told_from_rates_that_stay() -> None:
    def rows(vertex: float) -> list[list[float]]:
        return [[seed + np.log2(rate / vertex) ** 2 for rate in RATES] for seed in range(3)]

    losses = {
        "plain": {"32": rows(0.32), "64": rows(0.16), "128": rows(0.08)},
        "transfer": {"32": rows(0.32), "64": rows(0.30), "128": rows(0.36)},
    }
    apart = summary(losses, RATES)["best_rates_apart"]
    assert apart["plain"] == pytest.approx(4) and apart["transfer"] == pytest.approx(1.2)


def test_both_ways_are_one_model_at_the_base_width_and_two_above_it() -> None:
    def named(way: str, width: int) -> dict[str, float]:
        return {
            name: each.std().item() if each.ndim == 2 else each.mean().item()
            for name, each in Transformer(shape(way, width, 32)).named_parameters()
        }

    assert shape("plain", 32, 32).initial_std == shape("transfer", 32, 32).initial_std
    plain, transferred = named("plain", 128), named("transfer", 128)
    assert transferred["model.norm.weight"] == 0.25 and plain["model.norm.weight"] == 1
    name = "model.layers.0.mlp.up_proj.weight"
    assert transferred[name] == pytest.approx(plain[name], rel=0.05)
    assert transferred["model.embed_tokens.weight"] > 1.8 * plain["model.embed_tokens.weight"]


def test_a_small_run_gives_figures_of_every_rate_width_and_seed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(transfer, "NUM_STORIES", 300)
    monkeypatch.setattr(transfer, "NUM_TOKENIZER_STORIES", 100)
    monkeypatch.setattr(transfer, "NUM_HELD_OUT", 20)
    figures = measure(widths=(32, 64), rates=(0.01, 0.02, 0.04), num_seeds=2, num_steps=3)
    assert json.loads(json.dumps(figures)) == figures
    for way in ("plain", "transfer"):
        assert list(figures["losses"][way]) == ["32", "64"]
        for rows in figures["losses"][way].values():
            assert np.array(rows).shape == (2, 3) and np.isfinite(rows).all()
    assert figures["losses"]["plain"]["32"] == figures["losses"]["transfer"]["32"]
    assert figures["losses"]["plain"]["64"] != figures["losses"]["transfer"]["64"]


def test_the_recorded_run_holds_the_bar() -> None:
    recorded = json.loads((ROOT / "bench" / "transfer.json").read_text(encoding="utf-8"))
    figures = recorded["figures"]
    assert recorded["command"] == "minillm bench transfer --json"
    widths = [int(width) for width in figures["losses"]["transfer"]]
    assert max(widths) >= 4 * min(widths)
    assert all(len(rows) >= 3 for by in figures["losses"].values() for rows in by.values())
    again = summary(figures["losses"], figures["rates"])
    # a fit by least squares rounds by machine in its last digits
    for way, by_width in figures["best_rate"].items():
        assert again["best_rate"][way] == pytest.approx(by_width, rel=1e-9)
    assert again["best_rates_apart"] == pytest.approx(figures["best_rates_apart"], rel=1e-9)
    assert figures["best_rates_apart"]["transfer"] <= BAR < figures["best_rates_apart"]["plain"]
