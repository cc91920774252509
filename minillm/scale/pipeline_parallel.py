"""Pipeline parallel: every rank has some of the layers, and small batches follow one another.

In: a model cut into p stages, a batch cut into m microbatches. Out: a schedule, and the gradients
of the whole. A stage waits at the start and at the end, the bubble: (p − 1)/(m + p − 1) of the
time. GPipe (arXiv:1811.06965) runs all forwards first and keeps m microbatches in memory; 1F1B
(arXiv:1806.03377, arXiv:2104.04473) goes back as soon as it can and keeps at most p. Run here in
one process, in the schedule's order. Left out: interleaved stages, and sending between processes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from minillm.batches.stream import IGNORE, Batch
from minillm.model.experts import with_balance
from minillm.model.transformer import Transformer

# what a stage does next: is it a forward pass, and of which microbatch
Turn = tuple[bool, int]
Order = Callable[[int, int, int], list[Turn]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Slot:
    """A time in which one stage works on one microbatch."""

    stage: int
    microbatch: int
    is_forward: bool
    start: float
    end: float


def gpipe(stage: int, num_stages: int, num_microbatches: int) -> list[Turn]:
    """All forwards, then all backwards."""
    numbers = range(num_microbatches)
    return [(True, number) for number in numbers] + [(False, number) for number in numbers]


def one_forward_one_backward(stage: int, num_stages: int, num_microbatches: int) -> list[Turn]:
    """Just enough forwards to keep the later stages busy, then one backward for each forward."""
    ahead = min(num_stages - 1 - stage, num_microbatches)
    turns = [(True, number) for number in range(ahead)]
    for number in range(ahead, num_microbatches):
        turns += [(True, number), (False, number - ahead)]
    return turns + [(False, number) for number in range(num_microbatches - ahead, num_microbatches)]


def schedule(
    order: Order, num_stages: int, num_microbatches: int, times: tuple[float, float] = (1.0, 2.0)
) -> list[Slot]:
    """When each stage does what: as early as its order, and its neighbour's results, allow.

    `times` are those of a forward and of a backward pass, which takes about twice as long.
    """
    turns = [order(stage, num_stages, num_microbatches) for stage in range(num_stages)]
    free_at, ended_at, slots = [0.0] * num_stages, {}, []
    while any(turns):
        for stage in range(num_stages):
            if not turns[stage]:
                continue
            is_forward, number = turns[stage][0]
            neighbour = stage - 1 if is_forward else stage + 1
            needed = (neighbour, is_forward, number)
            if 0 <= neighbour < num_stages and needed not in ended_at:
                continue
            start = max(free_at[stage], ended_at.get(needed, 0.0))
            end = start + times[0 if is_forward else 1]
            free_at[stage] = ended_at[stage, is_forward, number] = end
            slots.append(
                Slot(stage=stage, microbatch=number, is_forward=is_forward, start=start, end=end)
            )
            turns[stage].pop(0)
    return sorted(slots, key=lambda slot: (slot.start, slot.stage))


def bubble_fraction(num_stages: int, num_microbatches: int) -> float:
    """(p − 1) / (m + p − 1): the part of the time in which a stage has nothing to do."""
    return (num_stages - 1) / (num_microbatches + num_stages - 1)


def idle_fraction(slots: Sequence[Slot]) -> float:
    """The same, counted on a schedule."""
    num_stages = 1 + max(slot.stage for slot in slots)
    busy = sum(slot.end - slot.start for slot in slots)
    return 1 - busy / (num_stages * max(slot.end for slot in slots))


def most_in_flight(slots: Sequence[Slot], stage: int) -> int:
    """How many microbatches a stage holds at once, forward done and backward not yet."""
    held = most = 0
    for slot in (slot for slot in slots if slot.stage == stage):
        held += 1 if slot.is_forward else -1
        most = max(most, held)
    return most


def layers_of_stage(num_layers: int, stage: int, num_stages: int) -> range:
    """Neighbouring layers, dealt as evenly as they go."""
    if not 1 <= num_stages <= num_layers:
        raise ValueError(
            f"num_stages = {num_stages}: must lie between 1 and num_layers = {num_layers}; "
            "every stage needs a layer"
        )
    return range(num_layers * stage // num_stages, num_layers * (stage + 1) // num_stages)


def stage_output(
    model: Transformer, stage: int, num_stages: int, x: torch.Tensor, documents_BT: torch.Tensor
) -> torch.Tensor:
    """One stage: its layers; the first embeds tokens before, the last gives logits after them."""
    backbone, num_tokens = model.model, documents_BT.shape[1]
    rotary = backbone.rotary(0, num_tokens)
    if stage == 0:
        x = backbone.embed_positions(backbone.embed_tokens(x), 0, documents_BT)
    for index in layers_of_stage(len(backbone.layers), stage, num_stages):
        x = backbone.layers[index](x, rotary, None, documents_BT)
    return model.lm_head(backbone.norm(x)) if stage == num_stages - 1 else x


def scaled_loss(logits_BTV: torch.Tensor, targets_BT: torch.Tensor, total: int) -> torch.Tensor:
    """A microbatch's part of the mean over all targets."""
    logits_NV, targets_N = logits_BTV.flatten(0, 1), targets_BT.flatten()
    return F.cross_entropy(logits_NV, targets_N, ignore_index=IGNORE, reduction="sum") / total


def stage_debt(
    model: Transformer, stage: int, num_stages: int, batch: Batch, total: int
) -> torch.Tensor:
    """What a stage's routers owe for a microbatch, by its part of all targets: a 0 with a slope."""
    part = int((batch.targets_BT != IGNORE).sum()) / total
    mine = layers_of_stage(len(model.model.layers), stage, num_stages)
    layers = model.model.layers[mine.start : mine.stop]
    return part * with_balance(torch.zeros(()), layers, batch)


def run_schedule(
    model: Transformer, slots: Sequence[Slot], microbatches: Sequence[Batch]
) -> tuple[float, list[int]]:
    """Do a schedule's work in its order: gradients stay in the model as if it were one batch.

    Routers balance each microbatch by itself, as in accumulation: nobody sees them all at once.
    Returns the loss, and how many microbatches each stage held at most.
    """
    num_stages = 1 + max(slot.stage for slot in slots)
    num_targets = sum(int((batch.targets_BT != IGNORE).sum()) for batch in microbatches)
    held: list[dict[int, tuple[torch.Tensor, ...]]] = [{} for _ in range(num_stages)]
    activations: dict[tuple[int, int], torch.Tensor] = {}
    gradients: dict[tuple[int, int], torch.Tensor] = {}
    total, most = 0.0, [0] * num_stages
    for slot in slots:
        stage, number, batch = slot.stage, slot.microbatch, microbatches[slot.microbatch]
        if slot.is_forward:
            x = batch.tokens_BT if stage == 0 else activations.pop((stage, number))
            out = stage_output(model, stage, num_stages, x, batch.documents_BT)
            owed = stage_debt(model, stage, num_stages, batch, num_targets)
            if stage == num_stages - 1:
                out = scaled_loss(out, batch.targets_BT, num_targets)
                total += out.item()
            else:  # only the numbers travel, not the graph behind them
                activations[stage + 1, number] = out.detach().requires_grad_()
            held[stage][number] = (x, out, owed)
            most[stage] = max(most[stage], len(held[stage]))
        else:
            x, out, owed = held[stage].pop(number)
            if stage < num_stages - 1:  # the slope of this sum is what came back
                out = (out * gradients.pop((stage, number))).sum()
            (out + owed).backward()
            if stage > 0:
                gradients[stage - 1, number] = x.grad
    return total, most
