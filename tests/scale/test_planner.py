"""Planned bytes against real tensors; shares that cover each number once."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from minillm.model.transformer import Transformer
from minillm.scale.planner import (
    STAGES, bytes_sent_per_step, first_fitting_stage, memory_per_rank, share,
)  # fmt: skip
from minillm.scale.ring import bytes_sent_by_ring
from minillm.train.optimizer import AdamW, ParameterGroup, parameter_groups
from tests.train.tiny import tiny_model


def test_seven_and_a_half_billion_on_64_ranks_by_hand() -> None:
    totals = [memory_per_rank(7_500_000_000, 64, stage).total_bytes / 1e9 for stage in range(4)]
    # 16 bytes a number; 8 + 8/64; 4 + 12/64; 16/64
    assert totals == pytest.approx([120, 60.9375, 31.40625, 1.875])


def stored_bytes(optimizer: AdamW) -> int:
    return sum(each.nbytes for name, each in optimizer.state_tensors().items() if "." in name
               and not name.endswith("num_steps"))  # fmt: skip


def test_without_sharing_the_plan_is_what_a_model_really_holds() -> None:
    model = Transformer(tiny_model())
    model(torch.zeros(1, 3, dtype=torch.long)).sum().backward()
    plan = memory_per_rank(model.num_parameters, 5, 0)
    assert plan.parameter_bytes == sum(each.nbytes for each in model.parameters())
    assert plan.gradient_bytes == sum(each.grad.nbytes for each in model.parameters())
    assert plan.optimizer_bytes == stored_bytes(AdamW(parameter_groups(model, 0.1)))


@pytest.mark.parametrize("num_ranks", [1, 2, 3, 7])
def test_sharded_adamw_makes_the_same_move_with_the_planned_bytes(num_ranks: int) -> None:
    generator = torch.Generator().manual_seed(0)
    count = 1009
    start, gradient = (torch.randn(count, generator=generator) for _ in range(2))
    plan, joined = memory_per_rank(count, num_ranks, 3), []
    whole = nn.Parameter(start.clone())
    for rank in range(num_ranks):
        mine = share(count, rank, num_ranks)
        part = nn.Parameter(start[mine.start : mine.stop].clone())
        part.grad = gradient[mine.start : mine.stop].clone()
        optimizer = AdamW([ParameterGroup(parameters={"flat": part}, weight_decay=0.1)])
        optimizer.step(1e-2)
        joined.append(part.detach())
        assert part.nbytes <= plan.parameter_bytes < part.nbytes + 4 * 2
        assert stored_bytes(optimizer) <= plan.optimizer_bytes < stored_bytes(optimizer) + 8 * 2
    whole.grad = gradient.clone()
    AdamW([ParameterGroup(parameters={"flat": whole}, weight_decay=0.1)]).step(1e-2)
    assert torch.equal(torch.cat(joined), whole.detach())


@given(st.integers(0, 1000), st.integers(1, 40))
def test_shares_cover_every_place_once_and_differ_by_at_most_one(count: int, ranks: int) -> None:
    shares = [share(count, rank, ranks) for rank in range(ranks)]
    assert [place for each in shares for place in each] == list(range(count))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@given(st.integers(1, 10**9), st.integers(1, 1000))
def test_each_stage_holds_at_most_what_the_one_before_holds(count: int, ranks: int) -> None:
    totals = [memory_per_rank(count, ranks, stage).total_bytes for stage in range(len(STAGES))]
    assert totals == sorted(totals, reverse=True) and totals[0] == 16 * count


def test_data_parallel_sends_what_the_ring_sends_and_stage_3_half_as_much_again() -> None:
    assert bytes_sent_per_step(1000, 4, 0) == bytes_sent_by_ring(4000, 4) == 6000
    assert bytes_sent_per_step(1000, 4, 2) == 6000
    assert bytes_sent_per_step(1000, 4, 3) == 9000


def test_the_first_stage_that_fits() -> None:
    found = [first_fitting_stage(1000, 4, kb * 1000) for kb in (16, 15, 8, 6, 4, 3.9)]
    assert found == [0, 1, 2, 3, 3, None]


@pytest.mark.parametrize("plan", [(0, 1, 0), (10, 0, 0), (10, 1, 4), (10, 1, -1)])
def test_what_cannot_be_planned_is_said(plan: tuple) -> None:
    with pytest.raises(ValueError, match="at least 1|choose one of 0 .data parallel"):
        memory_per_rank(*plan)
