"""The routers' losses are means over real tokens alone: padding owes nothing, in any loss."""

from collections.abc import Callable

import pytest
import torch
from transformers.models.mixtral.modeling_mixtral import load_balancing_loss_func

from minillm.align.conversations import Example, batch_of_examples
from minillm.align.dpo import PairBatch, preference_loss
from minillm.align.sft import completion_loss
from minillm.batches.packing import Piece
from minillm.batches.stream import IGNORE, Batch, batch_of_rows
from minillm.model import experts as module
from minillm.model.experts import balance_loss, real_places, real_routings, router_z_loss
from minillm.model.loss import cross_entropy
from minillm.model.transformer import Transformer
from minillm.train.recompute import recomputed
from minillm.train.trainer import next_token_loss
from tests.batches.numbered import numbered_shards
from tests.model.small import SMALL, seeded
from tests.model.test_experts import (
    NUM_EXPERTS,
    all_owed,
    batch_of,
    expert_model,
    rewarded_loss,
    taught_loss,
    tokens,
)

LENGTHS = (9, 4, 7)
FILLER = 60


def conversations() -> list[Example]:
    """Of 9, 4 and 7 inputs: what the user says has no target, nor has the new line at the end."""
    drawn = torch.randint(FILLER, (sum(LENGTHS) + 3,), generator=seeded(8)).tolist()
    examples = []
    for length in LENGTHS:
        ids, drawn = drawn[: length + 1], drawn[length + 1 :]
        examples.append(Example(tuple(ids), (False,) * (length - 1) + (True, False)))
    return examples


def padded_batch(num_places: int = 16) -> Batch:
    """Two rows: conversations of 9 and 4 side by side, and one of 7; the rest is padding."""
    first, second, third = conversations()
    return batch_of_examples([[first, second], [third]], num_places, FILLER)


def is_text_by_hand(num_places: int = 16) -> torch.Tensor:
    return torch.arange(num_places) < torch.tensor([[13], [7]])


# Which places are padding


def test_padding_is_the_piece_without_a_target_and_the_user_s_words_are_not() -> None:
    batch = padded_batch()
    assert torch.equal(real_places(batch), is_text_by_hand())
    assert (real_places(batch) & (batch.targets_BT == IGNORE)).any()
    full = batch_of_examples([conversations()], sum(LENGTHS), FILLER)
    assert real_places(full).all() and full.targets_BT[0, -1] == IGNORE


def test_padding_of_a_stream_of_shards_is_known_and_a_row_of_nothing_else() -> None:
    row = [Piece(number, 0, length) for number, length in enumerate(LENGTHS)]
    batch = batch_of_rows([row], 2, numbered_shards(LENGTHS), 24)
    assert real_places(batch).tolist() == [[True] * 20 + [False] * 4, [False] * 24]
    one_token = batch_of_rows([[Piece(0, 0, 1)]], 1, numbered_shards(LENGTHS), 1)
    assert real_places(one_token).tolist() == [[True]]


# Equal to those of transformers under its mask


def test_both_losses_under_a_mask_are_those_of_transformers() -> None:
    model, batch, logits = expert_model(), padded_batch(), []
    for layer in model.model.layers:
        layer.mlp.gate.register_forward_hook(lambda _, given, out: logits.append(out.detach()))
    model(batch.tokens_BT, documents_BT=batch.documents_BT)
    mask_BT = is_text_by_hand().float()
    found = real_routings(model, batch)
    assert len(found) == len(logits) == SMALL.num_layers
    for routing, logits_NE in zip(found.values(), logits, strict=True):
        assert len(routing.logits_NE) == 13 + 7
        theirs = load_balancing_loss_func((logits_NE,), NUM_EXPERTS, 2, mask_BT)
        torch.testing.assert_close(2 * balance_loss(routing), theirs)
        z_N = logits_NE.logsumexp(-1).square()
        expected = (z_N * mask_BT.flatten()).sum() / mask_BT.sum()
        torch.testing.assert_close(router_z_loss(routing), expected)
        # with padding it would be another number
        unmasked = load_balancing_loss_func((logits_NE,), NUM_EXPERTS, 2)
        assert abs((unmasked - theirs).item()) > 1e-2


# In every loss of the house


def pairs_loss(model: Transformer, batch: Batch) -> torch.Tensor:
    pairs = PairBatch(padded_batch(), batch, torch.zeros(2), torch.zeros(2))
    return preference_loss(0.1)(model, pairs)[0]


def said_loss(model: Transformer, batch: Batch) -> torch.Tensor:
    return completion_loss("cpu")(model, batch)[0]


LOSSES = (
    next_token_loss, recomputed(next_token_loss), said_loss, rewarded_loss, taught_loss, pairs_loss
)  # fmt: skip
Loss = Callable[[Transformer, Batch], torch.Tensor]


def router_gradients(loss: Loss, batch: Batch) -> torch.Tensor:
    model = expert_model(balance_coefficient=1.0, router_z_coefficient=0.1)
    loss(model, batch).backward()
    return torch.cat([layer.mlp.gate.weight.grad.flatten() for layer in model.model.layers])


@pytest.mark.parametrize("loss", LOSSES)
def test_more_padding_changes_no_gradient(loss: Loss, monkeypatch: pytest.MonkeyPatch) -> None:
    short, long = (router_gradients(loss, padded_batch(places)) for places in (13, 29))
    torch.testing.assert_close(long, short)
    # planted bug: padding counts
    monkeypatch.setattr(module, "real_places", lambda batch: batch.targets_BT == batch.targets_BT)
    short, long = (router_gradients(loss, padded_batch(places)) for places in (13, 29))
    assert (long - short).abs().max() > 1e-3


def test_words_without_a_target_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's words are routed like others: planted bug, only places with a target count."""
    right = router_gradients(next_token_loss, padded_batch())
    monkeypatch.setattr(module, "real_places", lambda batch: batch.targets_BT != IGNORE)
    assert (router_gradients(next_token_loss, padded_batch()) - right).abs().max() > 1e-3


def test_a_model_without_routers_does_not_ask_which_places_are_text(monkeypatch) -> None:
    monkeypatch.setattr(module, "real_places", None)
    assert real_routings(Transformer(SMALL), padded_batch()) == {}


def test_without_padding_gradients_are_those_of_all_places_to_the_last_bit() -> None:
    batch, model, twin = batch_of(tokens()), expert_model(), expert_model()
    next_token_loss(model, batch).backward()
    nats = cross_entropy(twin(batch.tokens_BT, documents_BT=batch.documents_BT), batch.targets_BT)
    (nats + all_owed(twin)).backward()
    for ours, theirs in zip(model.parameters(), twin.parameters(), strict=True):
        assert torch.equal(ours.grad, theirs.grad)
