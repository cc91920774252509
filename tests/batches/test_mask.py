"""Documents in one row know nothing of each other, in the real model, bit for bit."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from minillm.batches.mask import block_diagonal_mask, restarted_positions
from minillm.batches.packing import Piece
from minillm.batches.shards import BatchesConfig
from minillm.batches.stream import Batch, Stream, batch_of_rows
from minillm.model.attention import attention_mask
from minillm.model.transformer import ModelConfig, Transformer
from tests.batches.numbered import numbered_shards

CONFIG = ModelConfig(
    vocab_size=97, context_length=24, width=32, num_layers=3, num_heads=4, num_kv_heads=2,
    ffn_width=48, attention="reference",
)
# documents of 9, 4 and 7 tokens in a row of 24: four places of padding
LENGTHS = [9, 4, 7]
ROW = [Piece(0, 0, 9), Piece(1, 0, 4), Piece(2, 0, 7)]

ordinals = st.lists(st.integers(1, 6), min_size=1, max_size=6).map(
    lambda lengths: torch.tensor([[n for n, length in enumerate(lengths) for _ in range(length)]])
)


@pytest.fixture
def batch() -> Batch:
    made = batch_of_rows([ROW], 1, numbered_shards(LENGTHS), 24)
    return replace(made, tokens_BT=made.tokens_BT * 5 % 97)


def model(attention: str = "reference", dtype: torch.dtype = torch.float32) -> Transformer:
    torch.manual_seed(3)
    return Transformer(replace(CONFIG, attention=attention)).to(dtype).eval()


@given(documents_BT=ordinals)
def test_the_mask_is_what_the_words_say_and_what_the_model_does(documents_BT):
    mask_BTS = block_diagonal_mask(documents_BT)
    places = documents_BT.shape[1]
    for t in range(places):
        for s in range(places):
            is_allowed = s <= t and documents_BT[0, s] == documents_BT[0, t]
            assert bool(mask_BTS[0, t, s]) == bool(is_allowed)
    theirs = attention_mask(places, places, 0, documents_BT, documents_BT.device)
    assert torch.equal(mask_BTS[:, None], theirs)


@given(documents_BT=ordinals)
def test_positions_begin_again_in_every_piece(documents_BT):
    positions, expected, before = restarted_positions(documents_BT)[0].tolist(), [], None
    for ordinal in documents_BT[0].tolist():
        expected.append(expected[-1] + 1 if ordinal == before else 0)
        before = ordinal
    assert positions == expected


def test_positions_of_several_rows_by_hand():
    documents_BT = torch.tensor([[0, 0, 0, 1, 1, 2], [0, 1, 1, 1, 1, 1]], dtype=torch.int32)
    assert restarted_positions(documents_BT).tolist() == [[0, 1, 2, 0, 1, 0], [0, 0, 1, 2, 3, 4]]


def changed(batch: Batch, ordinal: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Every token of one piece replaced; and which places are elsewhere."""
    inside_BT = batch.documents_BT == ordinal
    return torch.where(inside_BT, (batch.tokens_BT + 41) % 97, batch.tokens_BT), ~inside_BT


def leak(network: Transformer, batch: Batch, ordinal: int, is_masked: bool = True) -> float:
    """The largest change of a logit elsewhere when every token of one piece is replaced."""
    documents_BT = batch.documents_BT if is_masked else None
    tokens_BT, elsewhere_BT = changed(batch, ordinal)
    with torch.no_grad():
        before = network(batch.tokens_BT, documents_BT=documents_BT)[elsewhere_BT]
        after = network(tokens_BT, documents_BT=documents_BT)[elsewhere_BT]
    return float((before - after).abs().max())


@pytest.mark.parametrize("attention", ["reference", "torch", "triton"])
@pytest.mark.parametrize("ordinal", [0, 1, 2, 3])
def test_a_changed_document_changes_no_bit_of_another(batch, attention, ordinal):
    assert leak(model(attention), batch, ordinal) == 0.0


@pytest.mark.parametrize("attention", ["reference", "torch", "triton"])
@pytest.mark.parametrize("ordinal", [0, 1, 2])
def test_without_the_mask_it_leaks(batch, attention, ordinal):
    assert leak(model(attention), batch, ordinal, is_masked=False) > 1e-4


def test_a_mask_that_is_one_place_off_leaks(batch):
    shifted = replace(batch, documents_BT=batch.documents_BT.roll(1, dims=1))
    tokens_BT, elsewhere_BT = changed(batch, 0)
    with torch.no_grad():
        before = model()(batch.tokens_BT, documents_BT=shifted.documents_BT)[elsewhere_BT]
        after = model()(tokens_BT, documents_BT=shifted.documents_BT)[elsewhere_BT]
    assert not torch.equal(before, after)


def test_no_gradient_flows_from_one_document_to_another(batch):
    network = model(dtype=torch.float64)
    seen = network.model.embed_tokens(batch.tokens_BT).detach().requires_grad_()
    network.model.embed_tokens.forward = lambda tokens_BT: seen
    logits_BTV = network(batch.tokens_BT, documents_BT=batch.documents_BT)
    inside_BT = batch.documents_BT == 1
    logits_BTV[inside_BT].square().sum().backward()
    assert (seen.grad[~inside_BT] == 0).all() and (seen.grad[inside_BT] != 0).any()


def with_restarted_positions(network: Transformer, documents_BT: torch.Tensor) -> Transformer:
    """The same model, told for every token its place in its own document."""
    positions_B1T = restarted_positions(documents_BT)[:, None]
    turns = network.model.cos[positions_B1T], network.model.sin[positions_B1T]
    network.model.rotary = lambda start, num_places: turns
    return network


@pytest.mark.parametrize("is_restarted", [False, True])
def test_a_packed_document_computes_what_it_computes_alone(batch, is_restarted):
    network = model(dtype=torch.float64)
    column = 0
    for ordinal, length in enumerate(LENGTHS):
        alone_1T = batch.tokens_BT[:, column : column + length]
        packed_net = model(dtype=torch.float64)
        if is_restarted:
            packed_net = with_restarted_positions(packed_net, batch.documents_BT)
        with torch.no_grad():
            packed = packed_net(batch.tokens_BT, documents_BT=batch.documents_BT)
            alone = network(alone_1T)
        # float64; rotary angles are kept in float32 precision or better, so the same to 1e-6 where
        # positions are shifted and to rounding where they begin again
        inside = packed[:, column : column + length]
        assert torch.allclose(inside, alone, rtol=0, atol=1e-12 if is_restarted else 1e-6), ordinal
        column += length


def test_with_restarted_positions_too_nothing_leaks(batch):
    network = with_restarted_positions(model(), batch.documents_BT)
    assert all(leak(network, batch, ordinal) == 0.0 for ordinal in range(4))


def test_a_stream_s_batches_leak_nothing():
    shards = numbered_shards([7, 1, 40, 3, 16, 17, 2, 9, 33, 5])
    stream = Stream(shards, BatchesConfig(context_length=24, batch_size=3, window_documents=5))
    for _ in range(4):
        batch = next(stream)
        batch = replace(batch, tokens_BT=batch.tokens_BT % 97)
        assert all(leak(model(), batch, ordinal) == 0.0 for ordinal in (0, 1))
