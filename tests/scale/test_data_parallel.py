"""Many processes = one process on the union of their batches; planted bugs are seen."""

from itertools import chain

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from minillm.model.transformer import Transformer
from minillm.scale.data_parallel import buckets
from minillm.scale.drill import Work, gradients_of_rank, loss_and_gradients
from minillm.scale.launch import run_ranks
from minillm.tokenizer.bytepair import Tokenizer
from minillm.train.checkpoint import load_model, save_model
from minillm.train.ranks import ALONE
from tests.scale.ranked import (
    in_turn, largest_of_rank, rows_of, seeds_of_rank, sums_of_rank, wait_of_rank, weights_after,
    weights_of_rank, whole_batch,
)  # fmt: skip
from tests.train.tiny import CONTEXT, tiny_model, tiny_run

SIZES = (1, 7, 0, 16, 2, 3)
# 6 rows of so many tokens; of three ranks the last has rows 2 and 5, which have no target at all
ROW_LENGTHS = (CONTEXT, 4, 1, 2, 10, 1)
BUGS = ("mean of means", "forgets the last", "keeps its own")
STEPS = 12


@pytest.fixture(autouse=True, scope="module")
def as_in_the_ranks() -> None:
    """One thread, and products of float32's own precision, whatever an earlier test has set."""
    before = torch.get_num_threads(), torch.get_float32_matmul_precision()
    torch.set_num_threads(1)
    torch.set_float32_matmul_precision("highest")
    yield
    torch.set_num_threads(before[0])
    torch.set_float32_matmul_precision(before[1])


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Work:
    run = tiny_run(tmp_path_factory.mktemp("work"))
    tokenizer = Tokenizer.load(run.artifact("tokenizer").path / "tokenizer.json")
    torch.manual_seed(0)
    model = Transformer(tiny_model(vocab_size=tokenizer.vocab_size))
    save_model(model, tokenizer, run.path / "start")
    rows = tuple(tuple(range(row, row + length)) for row, length in enumerate(ROW_LENGTHS))
    return Work(model=run.path / "start", rows=rows)


@pytest.fixture(scope="module", params=[2, 3])
def answers(request: pytest.FixtureRequest, work: Work) -> list[dict[str, object]]:
    """Everything that two and three ranks found, each in one group: by rank, then by name."""
    calls = {
        "gradients": (gradients_of_rank, (work,)),
        "sums": (sums_of_rank, (SIZES, 40)),
        "same seed": (seeds_of_rank, (True,)),
        "seeds": (seeds_of_rank, (False,)),
        "largest": (largest_of_rank, ()),
        "wait": (wait_of_rank, ()),
        "right": (weights_of_rank, ("right", STEPS)),
        "muon": (weights_of_rank, ("right", STEPS, "muon")),
        **{bug: (weights_of_rank, (bug, 2)) for bug in BUGS},
    }
    found = run_ranks(in_turn, request.param, list(calls.values()))
    return [dict(zip(calls, of_rank, strict=True)) for of_rank in found]


def test_loss_and_gradients_equal_one_process_on_the_union(answers: list, work: Work) -> None:
    model, _ = load_model(work.model)
    loss, gradients = loss_and_gradients(model, work.batch(0, 1), ALONE)
    for of_rank in answers:
        found, ways = of_rank["gradients"]
        assert abs(found - loss) <= 2e-6
        assert {"trainer", "one message a tensor", "buckets", "our ring"} <= ways.keys()
        for way in ways.keys() - {"DDP as it comes"}:
            # DDP's weight is itself rounded to float32: 1.0e-7 here, ours 2e-8
            allowed = 5e-7 if way == "DDP, weighted" else 1e-7
            assert np.abs(ways[way] - gradients).max() <= allowed, way
    assert np.abs(gradients).max() > 1e-2, "a bound of 1e-7 says something"


def test_the_mean_of_means_that_ddp_takes_as_it_comes_is_another_gradient(
    answers: list, work: Work
) -> None:
    if len(answers) == 3:
        # a rank without targets has no mean to give: DDP would make not-a-number of all
        assert all("DDP as it comes" not in of_rank["gradients"][1] for of_rank in answers)
        return
    model, _ = load_model(work.model)
    _, gradients = loss_and_gradients(model, work.batch(0, 1), ALONE)
    naive = answers[0]["gradients"][1]["DDP as it comes"]
    assert np.linalg.norm(naive - gradients) > 0.1 * np.linalg.norm(gradients)


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_after_twelve_steps_in_float64_the_weights_are_those_of_one_process(
    answers: list, optimizer: str
) -> None:
    alone = torch.tensor(weights_after(ALONE, STEPS, optimizer))
    name = "right" if optimizer == "adamw" else "muon"
    for of_rank in answers:
        # AdamW divides by √v̂: rounding of 1e-16 grows where a gradient is nearly nothing
        assert (torch.tensor(of_rank[name]) - alone).abs().max() <= 1e-9
        assert of_rank[name] == answers[0][name], "every rank holds the same, to the last bit"


@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_leads_elsewhere(answers: list, bug: str) -> None:
    alone = torch.tensor(weights_after(ALONE, 2))
    assert (torch.tensor(answers[0][bug]) - alone).abs().max() > 1e-4


def test_ranks_that_keep_their_own_gradients_drift_apart(answers: list) -> None:
    assert answers[0]["keeps its own"] != answers[1]["keeps its own"]


def test_different_seeds_are_one_clear_error_on_every_rank(answers: list) -> None:
    for of_rank in answers:
        assert of_rank["same seed"] == "alike"
        assert "differs between ranks" in of_rank["seeds"] and "one seed" in of_rank["seeds"]


def test_every_way_of_adding_gives_the_sum_on_every_rank(answers: list) -> None:
    factor = sum(10.0**rank for rank in range(len(answers)))
    expected = [[number * factor for number in range(size)] for size in SIZES]
    for of_rank in answers:
        for way, found in of_rank["sums"].items():
            assert found == expected, way


def test_the_largest_is_the_same_everywhere(answers: list) -> None:
    for of_rank in answers:
        assert of_rank["largest"] == [len(answers) - 1, 0, 7.5]


def test_nobody_goes_on_from_a_wait_before_the_last_has_come(answers: list) -> None:
    came_s, went_on_s = zip(*(of_rank["wait"] for of_rank in answers), strict=True)
    assert max(came_s) <= min(went_on_s)


def test_rows_dealt_to_ranks_have_different_numbers_of_targets() -> None:
    counts = [int((rows_of(whole_batch(6), rank, 2).targets_BT >= 0).sum()) for rank in (0, 1)]
    assert counts[0] != counts[1]


@given(st.lists(st.integers(0, 50), max_size=12), st.integers(1, 200))
def test_buckets_keep_every_tensor_in_order_and_their_bound(sizes: list, max_bytes: int) -> None:
    tensors = [torch.zeros(size) for size in sizes]
    filled = buckets(tensors, max_bytes)
    assert [id(each) for each in chain(*filled)] == [id(each) for each in tensors]
    for bucket in filled:
        assert len(bucket) == 1 or sum(each.nbytes for each in bucket) <= max_bytes
    for left, right in zip(filled, filled[1:], strict=False):
        assert sum(each.nbytes for each in left) + right[0].nbytes > max_bytes
