"""Schedules: the bubble, what is held, and gradients equal to one batch's."""

import dataclasses

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from minillm.batches.stream import IGNORE, Batch
from minillm.model.transformer import Transformer
from minillm.scale import pipeline_parallel as module
from minillm.scale.drill import loss_and_gradients
from minillm.scale.pipeline_parallel import (
    bubble_fraction, gpipe, idle_fraction, layers_of_stage, most_in_flight,
    one_forward_one_backward, run_schedule, schedule,
)  # fmt: skip
from minillm.train.ranks import ALONE
from minillm.train.trainer import next_token_loss
from tests.scale.ranked import rows_of, whole_batch
from tests.train.tiny import tiny_model

ORDERS = (gpipe, one_forward_one_backward)


def test_two_stages_and_three_microbatches_by_hand() -> None:
    turns = {
        order.__name__: [
            "".join(f"{'F' if is_forward else 'B'}{number}" for is_forward, number in each)
            for each in (order(0, 2, 3), order(1, 2, 3))
        ]
        for order in ORDERS
    }
    assert turns == {
        "gpipe": ["F0F1F2B0B1B2"] * 2,
        "one_forward_one_backward": ["F0F1B0F2B1B2", "F0B0F1B1F2B2"],
    }
    first, last = schedule(gpipe, 2, 3)[0], schedule(gpipe, 2, 3)[-1]
    assert (first.start, first.end, last.end) == (0, 1, 3 + 6 + 1 + 2)


@given(st.integers(1, 6), st.integers(1, 9), st.sampled_from(ORDERS))
def test_the_idle_part_of_a_schedule_is_the_formula(stages: int, micro: int, order) -> None:
    slots = schedule(order, stages, micro)
    assert len(slots) == 2 * stages * micro
    assert idle_fraction(slots) == pytest.approx(bubble_fraction(stages, micro))


@given(st.integers(1, 6), st.integers(1, 9), st.sampled_from(ORDERS))
def test_nothing_starts_before_what_it_needs_and_no_stage_does_two_things(
    stages: int, micro: int, order
) -> None:
    slots = schedule(order, stages, micro)
    ends = {(slot.stage, slot.is_forward, slot.microbatch): slot.end for slot in slots}
    for slot in slots:
        before = slot.stage - 1 if slot.is_forward else slot.stage + 1
        needed = [(before, slot.is_forward, slot.microbatch)]
        needed += [] if slot.is_forward else [(slot.stage, True, slot.microbatch)]
        assert all(slot.start >= ends[key] for key in needed if key in ends)
    for stage in range(stages):
        mine = [slot for slot in slots if slot.stage == stage]
        assert all(left.end <= right.start for left, right in zip(mine, mine[1:], strict=False))


@given(st.integers(1, 6), st.integers(1, 9))
def test_gpipe_holds_all_microbatches_and_1f1b_no_more_than_stages(stages: int, micro: int) -> None:
    eager, frugal = (schedule(order, stages, micro) for order in ORDERS)
    for stage in range(stages):
        assert most_in_flight(eager, stage) == micro
        assert most_in_flight(frugal, stage) == min(micro, stages - stage)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(("num_stages", "num_microbatches"), [(1, 1), (2, 3), (3, 2), (3, 6)])
def test_a_run_schedule_gives_the_gradients_of_one_batch(
    order, num_stages: int, num_microbatches: int
) -> None:
    torch.manual_seed(0)
    model = Transformer(tiny_model(num_layers=5)).double()
    batch = whole_batch(6)
    loss, gradients = loss_and_gradients(model, batch, ALONE)
    model.zero_grad()
    parts = [rows_of(batch, number, num_microbatches) for number in range(num_microbatches)]
    slots = schedule(order, num_stages, num_microbatches)
    found, most = run_schedule(model, slots, parts)
    # the trainer takes the loss in float32
    assert found == pytest.approx(loss, abs=1e-6)
    flat = torch.cat([each.grad.flatten() for each in model.parameters()])
    torch.testing.assert_close(flat, torch.from_numpy(gradients).to(flat), rtol=1e-5, atol=1e-8)
    assert most == [most_in_flight(slots, stage) for stage in range(num_stages)]


def accumulated(model: Transformer, parts: list[Batch]) -> tuple[float, torch.Tensor]:
    """The loss and all gradients of batches that the trainer's loss takes one after another."""
    model.zero_grad()
    total = sum(int((part.targets_BT != IGNORE).sum()) for part in parts)
    losses = []
    for part in parts:
        if share := int((part.targets_BT != IGNORE).sum()) / total:
            losses.append(next_token_loss(model, part) * share)
            losses[-1].backward()
    gradients = [each.grad.flatten() for each in model.parameters()]
    return sum(each.item() for each in losses), torch.cat(gradients)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("num_stages", [1, 2, 3])
def test_routers_of_every_stage_owe_what_they_owe_in_accumulation(
    order, num_stages: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    shape = tiny_model(num_layers=3, num_experts=3, balance_coefficient=1.0, initial_std=0.3)
    model, batch = Transformer(shape).double(), whole_batch(6)
    parts = [rows_of(batch, number, 3) for number in range(3)]
    nothing = torch.full_like(parts[0].targets_BT, IGNORE)
    parts.append(dataclasses.replace(parts[0], targets_BT=nothing))  # padding alone owes nothing
    loss, expected = accumulated(model, parts)
    slots = schedule(order, num_stages, len(parts))

    def found() -> torch.Tensor:
        model(batch.tokens_BT[:1])  # what routers still keep of another pass is not owed
        model.zero_grad()
        assert run_schedule(model, slots, parts)[0] == pytest.approx(loss, abs=1e-6)
        return torch.cat([each.grad.flatten() for each in model.parameters()])

    # routers, and the trainer's loss, compute in float32
    torch.testing.assert_close(found(), expected, rtol=1e-5, atol=1e-7)
    owed = module.stage_debt
    for bug in (
        lambda model, stage, *rest: torch.zeros(()),
        lambda model, stage, stages, part, total: owed(model, stage, stages, part, total) * 3,
        lambda model, stage, *rest: owed(model, stage, *rest) if stage else torch.zeros(()),
    ):
        monkeypatch.setattr(module, "stage_debt", bug)
        assert (found() - expected).abs().max() > 1e-3


def test_a_schedule_whose_backward_comes_too_early_is_seen() -> None:
    """Planted bug: the first backward before its forward."""
    with pytest.raises(KeyError):
        model = Transformer(tiny_model())
        slots = schedule(lambda *_: [(False, 0), (True, 0)], 1, 1)
        run_schedule(model, slots, [whole_batch(1)])


@given(st.integers(1, 12), st.data())
def test_stages_share_the_layers_in_order(num_layers: int, data) -> None:
    num_stages = data.draw(st.integers(1, num_layers))
    stages = [layers_of_stage(num_layers, stage, num_stages) for stage in range(num_stages)]
    assert [layer for each in stages for layer in each] == list(range(num_layers))
    assert all(stages) and max(map(len, stages)) - min(map(len, stages)) <= 1


@pytest.mark.parametrize("num_stages", [0, 6])
def test_more_stages_than_layers_are_refused(num_stages: int) -> None:
    with pytest.raises(ValueError, match=f"num_stages = {num_stages}: .*every stage needs a layer"):
        layers_of_stage(5, 0, num_stages)
