"""Rows of one cache at lengths of their own give the numbers of each row alone."""

import pytest
import torch

from minillm.model.caches import KeyValueCache
from minillm.serve.slots import SlotCache
from tests.serve.small import small_model, small_tokenizer

LENGTHS = (1, 7, 13, 20)


@pytest.fixture(scope="module")
def tokens_BT() -> torch.Tensor:
    return torch.randint(0, 296, (4, 24), generator=torch.Generator().manual_seed(0))


def filled(model: torch.nn.Module, tokens_BT: torch.Tensor, slots: dict[int, int]) -> SlotCache:
    """A cache of four slots: slot → how many tokens of its row are prefilled."""
    cache = SlotCache(model.config, 4)
    for slot, length in slots.items():
        alone = KeyValueCache()
        model(tokens_BT[slot : slot + 1, :length], alone)
        cache.fill(slot, alone)
    return cache


@torch.no_grad()
@pytest.mark.parametrize("attention", ["reference", "torch"])
def test_each_row_goes_on_from_its_own_place(attention: str, tokens_BT: torch.Tensor) -> None:
    model = small_model(small_tokenizer(), attention=attention)
    cache = filled(model, tokens_BT, dict(enumerate(LENGTHS)))
    rows = torch.arange(4)
    for step in range(4):
        places = torch.tensor(LENGTHS) + step
        logits_BV = model(tokens_BT[rows, places][:, None], cache)[:, 0]
        cache.num_tokens += 1
        for row, place in enumerate(places):
            whole = model(tokens_BT[row : row + 1, : place + 1])[0, -1]
            # measured 1.2e-5, of logits up to 8: another order of summing
            torch.testing.assert_close(logits_BV[row], whole, rtol=1e-5, atol=1e-4)


@torch.no_grad()
def test_a_row_is_the_same_to_the_bit_whatever_the_others_hold(tokens_BT: torch.Tensor) -> None:
    model = small_model(small_tokenizer())
    alone = filled(model, tokens_BT, {2: 13})
    crowded = filled(model, tokens_BT, dict(enumerate(LENGTHS)))
    crowded.free(1)  # what the slot held stays in the table, behind the mask
    results = []
    for cache, others in ((alone, 0), (crowded, 250)):
        fed = torch.full((4, 1), others)
        fed[2] = 5
        logits_BV = model(fed, cache)[:, 0]
        results.append(logits_BV[2])
    assert torch.equal(*results)


@torch.no_grad()
def test_what_a_slot_held_before_does_not_matter(tokens_BT: torch.Tensor) -> None:
    model = small_model(small_tokenizer())
    used = filled(model, tokens_BT, {0: 20})
    used.free(0)
    short = KeyValueCache()
    model(tokens_BT[1:2, :3], short)
    used.fill(0, short)
    fresh = SlotCache(model.config, 4)
    fresh.fill(0, short)
    fed = torch.zeros(4, 1, dtype=torch.long)
    assert torch.equal(model(fed, used)[0], model(fed, fresh)[0])


@torch.no_grad()
def test_a_mask_that_sees_one_place_too_many_would_be_noticed(tokens_BT: torch.Tensor) -> None:
    model = small_model(small_tokenizer())
    cache = filled(model, tokens_BT, {0: 20})
    cache.num_tokens[0] = 12  # seven keys of the future are in the table
    logits = model(tokens_BT[:, 12:13], cache)[0, 0]
    torch.testing.assert_close(logits, model(tokens_BT[:1, :13])[0, -1], rtol=1e-5, atol=1e-4)
    cache.num_tokens[0] = 13
    wrong = model(tokens_BT[:, 12:13], cache)[0, 0]
    assert (wrong - logits).abs().max() > 1e-3


@torch.no_grad()
def test_a_row_beyond_the_context_is_refused(tokens_BT: torch.Tensor) -> None:
    model = small_model(small_tokenizer(), context_length=24)
    cache = filled(model, tokens_BT, {0: 23, 1: 5})
    model(tokens_BT[:, :1], cache)
    cache.num_tokens[0] += 1
    with pytest.raises(ValueError, match="25 tokens: the context length is 24"):
        model(tokens_BT[:, :1], cache)


def test_several_tokens_at_once_are_not_for_slots(tokens_BT: torch.Tensor) -> None:
    model = small_model(small_tokenizer())
    with pytest.raises(AssertionError, match="prompts are prefilled"):
        model(tokens_BT[:, :2], SlotCache(model.config, 4))


@torch.no_grad()
@pytest.mark.filterwarnings("error")
def test_the_triton_kernel_decodes_rows_of_different_lengths_itself(
    tokens_BT: torch.Tensor,
) -> None:
    model = small_model(small_tokenizer(), attention="triton")
    plain = small_model(small_tokenizer())
    logits_B1V, expected_B1V = (
        each(tokens_BT[:, 12:13], filled(each, tokens_BT, {0: 20, 2: 7})) for each in (model, plain)
    )
    torch.testing.assert_close(logits_B1V[[0, 2]], expected_B1V[[0, 2]])


def test_where_gradients_are_asked_for_rows_of_different_lengths_are_handed_on_with_a_warning(
    tokens_BT: torch.Tensor,
) -> None:
    model = small_model(small_tokenizer(), attention="triton")
    plain = small_model(small_tokenizer())
    with pytest.warns(UserWarning, match="attention 'torch' is used instead"):
        logits = model(tokens_BT[:, :1], SlotCache(model.config, 4))
    torch.testing.assert_close(logits, plain(tokens_BT[:, :1], SlotCache(plain.config, 4)))
