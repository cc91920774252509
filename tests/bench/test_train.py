"""The bench of a step: trainers take turns, figures follow from seconds, errors are told."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from minillm.__main__ import parser
from minillm.bench import train as bench
from minillm.bench.trainers import PRODUCT_WIDTH, PRODUCTS_A_STEP, random_crops
from minillm.model.counting import training_flops
from minillm.verbs.bench import given_to
from tests.bench.checkout import write_checkout

TINY = (16, 1, 2, 1, 24)
LOOP_SIDES = [f"loop: {name}" for name in bench.LOOPS]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("ids")
    bench.write_ids(made, 60)
    return made


def test_all_sides_take_their_turns_and_count_seconds(folder: Path, tmp_path: Path) -> None:
    checkout = write_checkout(tmp_path / "nanogpt")
    sides = {
        name: dataclasses.replace(side, is_compiled=False)
        for name, side in bench.sides_of(TINY, 2, "float32", folder, checkout).items()
        if name not in LOOP_SIDES
    }
    found = bench.turns(sides, rounds=2)
    assert set(found) == {
        "ours", "ours, eager", "transformers", "product", "nanoGPT",
        "nanoGPT, eager", "nanoGPT, compiled", "transformers, compiled",
    }  # fmt: skip
    assert all(each["first_step_s"] > 0 and each["step_s"] > 0 for each in found.values())
    ours = bench.model_shape(TINY).num_parameters
    assert found["ours"]["parameters"] == found["transformers"]["parameters"] == ours
    # two tables of the checkout's model, and the head's bias
    assert found["nanoGPT"]["parameters"] == bench.NUM_IDS * (2 * TINY[0] + 1)
    # the loop has written a line of figures for each of the steps that were asked for
    steps = 1 + bench.WARM_STEPS + 2 * bench.STEPS_A_TURN
    lines = [json.loads(line) for line in (folder / "ours.jsonl").read_text().splitlines()]
    by_step = [line["step"] for line in lines]
    # "ours" and "ours, eager" write to one file
    assert sorted(by_step) == sorted([*range(1, steps + 1)] * 2)


def test_a_side_that_ends_is_named_with_its_last_words(folder: Path, tmp_path: Path) -> None:
    sides = bench.sides_of(TINY, 2, "float32", folder, tmp_path / "nowhere")
    with pytest.raises(RuntimeError, match="nanoGPT has ended: .*No module named 'model'"):
        bench.turns({"nanoGPT": sides["nanoGPT"]}, rounds=1)


def test_without_a_checkout_nanogpt_takes_no_part(folder: Path) -> None:
    assert not any("nanoGPT" in name for name in bench.sides_of(TINY, 2, "float32", folder, None))


def test_figures_by_hand() -> None:
    config, rows = bench.model_shape(TINY), 2
    operations = training_flops(config, rows, bench.CONTEXT)
    product_s = PRODUCTS_A_STEP * 2 * PRODUCT_WIDTH**3 / (10 * operations)  # ten times as many a s
    seconds = {"ours": 0.2, "ours, eager": 0.3, "nanoGPT": 0.8}
    told = {"parameters": 9, "first_step_s": 1.0}
    found = {name: {**told, "step_s": each} for name, each in seconds.items()}
    found["ours"]["first_step_s"] = 21.0
    found["product"] = {"parameters": 0, "first_step_s": 1.0, "step_s": product_s}
    shares = {"loop_share": 0.05, "loop_share_low": 0.01, "loop_share_high": 0.06}
    found |= {name: {**told, "step_s": 9.0, **shares} for name in LOOP_SIDES}
    figures = bench.compared(found, config, rows)
    assert figures["tokens_per_s"]["ours"] == pytest.approx(rows * bench.CONTEXT / 0.2)
    assert figures["ours_over"] == {"nanoGPT": pytest.approx(4)}
    assert figures["ours_eager_over"] == {"nanoGPT": pytest.approx(0.8 / 0.3)}
    # a step does its operations in .2 s, a fifth of what ten times as many in a second would be
    assert figures["mfu"]["ours"] == pytest.approx(1 / 0.2 / 10)
    # 20 s more at the start, .1 s less a step: after 200 steps, which took .3 s each without, and
    # 20 s and .2 s each with it
    assert figures["compiling_repaid_after_s"] == pytest.approx(60)
    assert figures["loop_share"] == dict.fromkeys(bench.LOOPS, 0.05)
    assert figures["loop_share_quartiles"] == dict.fromkeys(bench.LOOPS, [0.01, 0.06])
    assert set(figures["tokens_per_s"]) == {"ours", "ours, eager", "nanoGPT"}


def test_the_loops_share_is_taken_turn_by_turn() -> None:
    # a slow turn is slow for both: of their medians, 2 and 1.5, the share would be a fourth
    pairs = [(1.0, 0.9), (2.0, 1.8), (3.0, 1.5)]
    turns_of = [{"seconds": loop, "bare_seconds": bare} for loop, bare in pairs]
    found = bench.medians(turns_of)
    assert found == {
        "step_s": 2.0, "loop_share": pytest.approx(0.1), "loop_share_low": pytest.approx(0.1),
        "loop_share_high": pytest.approx(0.3),
    }  # fmt: skip
    assert bench.medians([{"seconds": 1.0}]) == {"step_s": 1.0}


def test_a_loop_beside_its_bare_steps_has_statistics_once_a_turn(
    folder: Path, tmp_path: Path
) -> None:
    sides = bench.sides_of(TINY, 2, "float32", folder, None)
    assert [sides[name].is_beside_bare for name in LOOP_SIDES] == [True] * 3
    name = "loop: eager, statistics"
    assert not sides[name].is_compiled
    shutil.copytree(folder, tmp_path / "run", ignore=shutil.ignore_patterns("*.jsonl"))
    side = dataclasses.replace(sides[name], folder=str(tmp_path / "run"))
    found = bench.turns({name: side}, rounds=2)[name]
    assert found["loop_share_low"] <= found["loop_share"] <= found["loop_share_high"] < 1
    text = (tmp_path / "run" / "ours.jsonl").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    looked = [each["step"] for each in lines if each["event"] == "statistics"]
    # after a first step and the warm ones two turns of ten, with one such step each
    assert looked == [10, 20] and lines[-1]["step"] == 1 + bench.WARM_STEPS + 20


def test_a_peer_at_its_best_is_the_faster_of_its_two_ways() -> None:
    steps = {"nanoGPT": 9.0, "nanoGPT, eager": 2.0, "nanoGPT, compiled": 3.0, "transformers": 5.0,
             "transformers, compiled": 4.0}  # fmt: skip
    found = bench.with_best_peers({name: {"step_s": each} for name, each in steps.items()})
    assert found["nanoGPT at its best"]["step_s"] == 2.0
    assert found["transformers at its best"]["step_s"] == 4.0
    assert "nanoGPT at its best" not in bench.with_best_peers({
        name: {"step_s": each} for name, each in steps.items() if "nanoGPT" not in name
    })


def test_compiling_that_saves_nothing_is_never_repaid() -> None:
    step = {"parameters": 9, "first_step_s": 1.0, "step_s": 0.2}
    found = dict.fromkeys(("ours", "ours, eager", "product"), step)
    share = dict.fromkeys(("loop_share", "loop_share_low", "loop_share_high"), 0.05)
    found |= {name: {**step, **share} for name in LOOP_SIDES}
    figures = bench.compared(found, bench.model_shape(TINY), 2)
    assert figures["compiling_repaid_after_s"] is None


def test_crops_are_rows_of_the_file_and_targets_lie_one_place_on(tmp_path: Path) -> None:
    np.arange(100, dtype=np.uint16).tofile(tmp_path / "ids.bin")
    tokens_BT, targets_BT = next(random_crops(tmp_path / "ids.bin", 10, 50))
    assert (targets_BT == tokens_BT + 1).all()
    assert (tokens_BT.diff(dim=1) == 1).all()
    assert tokens_BT[:, 0].min() < 20 and tokens_BT[:, 0].max() > 70


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train", "--nanogpt", "nowhere"], "no model.py in it; give a checkout's folder"),
        (["stream", "--nanogpt", "."], "only learn and train measure beside it"),
    ],
)
def test_a_checkout_that_cannot_be_used_is_refused(words: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        given_to(parser().parse_args(["bench", *words]))
