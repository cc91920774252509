"""Five ways to know the order of words: by hand, against other libraries, cached, packed, split."""

import dataclasses
import math
from dataclasses import replace

import pytest
import torch
from torch import nn
from transformers.models.bloom.modeling_bloom import build_alibi_tensor
from transformers.models.xlm.modeling_xlm import create_sinusoidal_embeddings

from minillm.align.sft import with_context
from minillm.batches.stream import Batch
from minillm.compress.layers import with_quantized_modules
from minillm.compress.quantize import quantize_state, scheme_named
from minillm.core.settings import with_fields
from minillm.model import positions as module
from minillm.model.attention import ATTENTION, reference_attention, torch_attention
from minillm.model.generate import KeyValueCache
from minillm.model.positions import alibi_bias, alibi_slopes, position_ids, sinusoids
from minillm.model.transformer import ModelConfig, Transformer
from minillm.recipes import smoke
from minillm.scale.pipeline_parallel import stage_output
from minillm.scale.tensor_parallel import split_logits
from minillm.serve.slots import SlotCache
from minillm.train.checkpoint import load_model_tensors, model_tensors
from tests.model.small import SMALL, small_model

KINDS = ("rotary", "none", "learned", "sinusoidal", "alibi")
SCALED = {"rope_scaling": "yarn", "rope_factor": 4.0, "rope_trained_length": 7}
CASES = [{"positions": kind} for kind in KINDS] + [SCALED]
every_kind = pytest.mark.parametrize("changes", CASES, ids=[*KINDS, "yarn"])


def random_tokens(batch: int, length: int) -> torch.Tensor:
    return torch.randint(61, (batch, length), generator=torch.Generator().manual_seed(1))


# By hand, and against other libraries


def test_sinusoids_by_hand() -> None:
    """Width 4: the second pair turns a hundred times slower."""
    assert sinusoids(1, 4).tolist() == [[0, 1, 0, 1]]
    third = sinusoids(3, 4)[2].tolist()
    by_hand = [math.sin(2), math.cos(2), math.sin(0.02), math.cos(0.02)]
    assert third == pytest.approx(by_hand, abs=1e-7)


def test_sinusoids_equal_xlm_s() -> None:
    theirs = torch.empty(50, 24)
    create_sinusoidal_embeddings(50, 24, theirs)
    torch.testing.assert_close(sinusoids(50, 24), theirs, atol=1e-7, rtol=0)


def test_a_sine_s_place_plus_a_distance_is_a_fixed_turn_of_it() -> None:
    """Vaswani et al., section 3.5: PE(t + d) is a linear function of PE(t), the same for all t."""
    table = sinusoids(40, 8).double()
    turn = torch.linalg.lstsq(table[:30], table[7:37]).solution
    assert (table[:30] @ turn - table[7:37]).abs().max() < 1e-5  # float32 sines, condition 100


def test_slopes_by_hand() -> None:
    assert alibi_slopes(1).tolist() == [2**-8]
    assert alibi_slopes(4).tolist() == [1 / 4, 1 / 16, 1 / 64, 1 / 256]
    assert alibi_slopes(3).tolist() == pytest.approx([1 / 16, 1 / 256, 1 / 4])


@pytest.mark.parametrize("num_heads", [1, 2, 3, 4, 5, 7, 8, 12, 16, 31])
def test_slopes_equal_bloom_s(num_heads: int) -> None:
    theirs = build_alibi_tensor(torch.ones(1, 9), num_heads, torch.float32)  # slope · s
    torch.testing.assert_close(alibi_slopes(num_heads), theirs[:, 0, 1])


def test_the_price_by_hand() -> None:
    """Slope 1/4, two queries after two keys: distances 2 1 0 and 3 2 1 0."""
    price = alibi_bias(torch.tensor([0.25]), 2, 4, 2)[0, 0].tolist()
    assert price == [[-0.5, -0.25, 0, 0.25], [-0.75, -0.5, -0.25, 0]]  # 0.25: a masked place
    by_row = alibi_bias(torch.tensor([0.25]), 1, 3, torch.tensor([0, 2]))[:, 0, 0].tolist()
    assert by_row == [[0, 0.25, 0.5], [-0.5, -0.25, 0]]


def random_inputs(T: int, S: int, K: int = 8) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(5)
    shapes = ((2, 6, T, K), (2, 2, S, K), (2, 2, S, K))
    return [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes]


def naive_alibi(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, documents_BT: torch.Tensor | None
) -> torch.Tensor:
    """Query by query, one key at a time."""
    out, offset, slopes = torch.zeros_like(q), k.shape[2] - q.shape[2], alibi_slopes(6).tolist()
    for b in range(2):
        for h in range(6):
            g = h // 3
            for t in range(q.shape[2]):
                place = t + offset
                seen = [
                    s for s in range(place + 1)
                    if documents_BT is None or documents_BT[b, s] == documents_BT[b, t]
                ]  # fmt: skip
                scores = [q[b, h, t] @ k[b, g, s] / 8**0.5 - slopes[h] * (place - s) for s in seen]
                out[b, h, t] = torch.stack(scores).softmax(0) @ v[b, g, seen]
    return out


@pytest.mark.parametrize(("T", "S"), [(1, 1), (7, 7), (13, 13), (1, 11), (5, 19)])
@pytest.mark.parametrize("attend", [reference_attention, torch_attention])
def test_alibi_equals_the_naive_loops(T: int, S: int, attend: object) -> None:
    inputs, slopes_H = random_inputs(T, S), alibi_slopes(6)
    starts = (torch.arange(T) // 4).expand(2, -1)
    for documents_BT in [None, starts] if T == S else [None]:
        ours = attend(*inputs, documents_BT=documents_BT, offset=S - T, slopes_H=slopes_H.double())
        torch.testing.assert_close(ours, naive_alibi(*inputs, documents_BT))


@pytest.mark.parametrize("bug", ["sign", "no offset", "slopes reversed"])
def test_planted_bugs_in_the_price_differ_from_the_loops(
    bug: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(slopes_H: torch.Tensor, T: int, S: int, offset: int) -> torch.Tensor:
        if bug == "slopes reversed":
            return alibi_bias(slopes_H.flip(0), T, S, offset)
        # a constant for each query changes no softmax: what moves it is a price that grows with s
        distance = (torch.arange(T)[:, None] + (offset if bug == "sign" else 0)) - torch.arange(S)
        distance = -distance if bug == "sign" else distance.abs()
        return -slopes_H[:, None, None] * distance[None, None]

    monkeypatch.setattr("minillm.model.attention.alibi_bias", broken)
    inputs = random_inputs(5, 9)
    ours = reference_attention(*inputs, offset=4, slopes_H=alibi_slopes(6).double())
    assert (ours - naive_alibi(*inputs, None)).abs().max() > 1e-2


def test_alibi_weights_are_those_of_bloom_s_tensor() -> None:
    """Theirs prices −slope · (−s): the same up to a constant for each query."""
    q, k, _ = random_inputs(9, 9)
    k = k.repeat_interleave(3, dim=1)
    scores = q @ k.transpose(-2, -1) / 8**0.5
    mask = torch.ones(9, 9, dtype=torch.bool).tril()
    theirs = build_alibi_tensor(torch.ones(1, 9), 6, torch.float64).view(1, 6, 1, 9)
    expected = (scores + theirs).masked_fill(~mask, -math.inf).softmax(-1)
    one_hot = torch.eye(9, dtype=torch.float64).expand(2, 6, -1, -1)
    ours = reference_attention(q, k, one_hot, slopes_H=alibi_slopes(6).double())
    torch.testing.assert_close(ours, expected)


def test_gradients_of_the_forms_are_equal() -> None:
    gradients = []
    for attend in (reference_attention, torch_attention):
        inputs = [each.requires_grad_() for each in random_inputs(11, 11)]
        out = attend(*inputs, slopes_H=alibi_slopes(6).double())
        direction = torch.arange(out.numel()).view_as(out).sin()
        gradients.append(torch.autograd.grad((out * direction).sum(), inputs))
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_the_triton_kernel_gives_alibi_to_pytorch_and_says_so() -> None:
    inputs = [each.float() for each in random_inputs(5, 5)]
    with pytest.warns(UserWarning, match=r"prices no distance \(ALiBi\): attention 'torch'"):
        ours = ATTENTION["triton"](*inputs, slopes_H=alibi_slopes(6))
    assert torch.equal(ours, torch_attention(*inputs, slopes_H=alibi_slopes(6)))


def test_places_by_hand() -> None:
    assert position_ids(3, 5, None).tolist() == [5, 6, 7]
    assert position_ids(2, torch.tensor([0, 4]), None).tolist() == [[0, 1], [4, 5]]
    assert position_ids(5, 0, torch.tensor([[0, 0, 1, 1, 1]])).tolist() == [[0, 1, 0, 1, 2]]


def test_added_vectors_are_as_loud_as_the_tokens_at_the_start() -> None:
    for kind in ("learned", "sinusoidal"):
        model = small_model(positions=kind, width=96, context_length=400)
        table = model.model.embed_positions.weight.detach()
        assert float(table.square().mean().sqrt()) == pytest.approx(0.2, rel=0.05), kind


def test_a_learned_vector_is_added_to_the_token_s() -> None:
    """Moving the vectors of the places into the table of tokens gives the same logits."""
    model = small_model(positions="learned", tie_embeddings=False)
    plain = small_model(positions="none", tie_embeddings=False)
    tokens_BT = torch.arange(29)[None]  # all different: each token stands at one place
    tensors = {name: each.clone() for name, each in model_tensors(model).items()}
    tensors["model.embed_tokens.weight"][:29] += tensors.pop("model.embed_positions.weight")
    load_model_tensors(plain, tensors)
    with torch.no_grad():
        torch.testing.assert_close(model(tokens_BT), plain(tokens_BT))


# What order is, and who sees it


@torch.no_grad()
def notices_an_exchange(model: Transformer) -> bool:
    """Two earlier tokens exchanged: do the logits at the last place move?"""
    tokens_BT = random_tokens(1, 9)
    exchanged_BT = tokens_BT[:, [3, 1, 2, 0, *range(4, 9)]]
    return bool((model(tokens_BT) - model(exchanged_BT))[:, -1].abs().max() > 1e-4)


@every_kind
def test_one_layer_notices_order_unless_it_has_no_positions(changes: dict) -> None:
    sees = changes.get("positions") != "none"
    assert notices_an_exchange(small_model(num_layers=1, **changes)) == sees


def test_two_layers_notice_order_by_the_mask_alone() -> None:
    """What a token could see differs with its place: the second layer reads that."""
    assert notices_an_exchange(small_model(num_layers=2, positions="none"))


@torch.no_grad()
@every_kind
def test_the_kind_changes_the_logits(changes: dict) -> None:
    model, tokens_BT = small_model(**changes), random_tokens(1, 29)
    plain = small_model(positions="none")
    shared = {name: each for name, each in model_tensors(model).items() if "positions" not in name}
    load_model_tensors(plain, shared)
    is_none = changes.get("positions") == "none"
    assert torch.equal(model(tokens_BT), plain(tokens_BT)) == is_none


# Causal, and blind to other documents


@torch.no_grad()
@every_kind
@pytest.mark.parametrize("attention", ["reference", "torch"])
def test_a_future_token_changes_no_past_logit(changes: dict, attention: str) -> None:
    model, tokens_BT = small_model(attention=attention, **changes), random_tokens(2, 17)
    before_BTV = model(tokens_BT)
    for place in range(1, 17):
        changed_BT = tokens_BT.clone()
        changed_BT[:, place] = (changed_BT[:, place] + 7) % 61
        after_BTV = model(changed_BT)
        assert torch.equal(after_BTV[:, :place], before_BTV[:, :place])
        assert not torch.equal(after_BTV[:, place], before_BTV[:, place])


PACKED = torch.tensor([[0] * 6 + [1] * 8 + [2] * 3])


@torch.no_grad()
@every_kind
@pytest.mark.parametrize("attention", ["reference", "torch"])
def test_another_document_changes_nothing(changes: dict, attention: str) -> None:
    model, tokens_BT = small_model(attention=attention, **changes), random_tokens(1, 17)
    before_BTV = model(tokens_BT, documents_BT=PACKED)
    changed_BT = torch.where(PACKED == 0, (tokens_BT + 7) % 61, tokens_BT)
    after_BTV = model(changed_BT, documents_BT=PACKED)
    assert torch.equal(after_BTV[PACKED > 0], before_BTV[PACKED > 0])
    assert not torch.equal(after_BTV, before_BTV)


@torch.no_grad()
def packed_error(model: Transformer) -> float:
    """How far the logits of packed documents are from those of each alone."""
    tokens_BT = random_tokens(1, 17)
    packed_BTV = model(tokens_BT, documents_BT=PACKED)
    parts = [model(tokens_BT[:, start:stop]) for start, stop in ((0, 6), (6, 14), (14, 17))]
    return float((packed_BTV - torch.cat(parts, dim=1)).abs().max())


@every_kind
def test_a_packed_document_has_the_logits_it_has_alone(changes: dict) -> None:
    # float32 sums in another order; rotary angles of other places with the same difference
    assert packed_error(small_model(**changes)) < 2e-5


@pytest.mark.parametrize("kind", ["learned", "sinusoidal"])
def test_planted_places_that_do_not_restart_are_noticed(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "position_ids", lambda count, *_where: torch.arange(count))
    assert packed_error(small_model(positions=kind)) > 1e-2


@torch.no_grad()
@every_kind
def test_attention_forms_give_the_same_logits(changes: dict) -> None:
    documents_BT = (torch.arange(29) // 11).int().expand(2, -1)
    forms = [small_model(attention=name, **changes) for name in ("reference", "torch")]
    logits = [model(random_tokens(2, 29), documents_BT=documents_BT) for model in forms]
    torch.testing.assert_close(*logits)


# With a cache


@torch.no_grad()
@every_kind
@pytest.mark.parametrize("attention", ["reference", "torch"])
@pytest.mark.parametrize("cuts", [[1], [28], [7, 8, 20], list(range(1, 29))])
def test_cached_is_uncached_however_the_text_is_cut(
    changes: dict, attention: str, cuts: list[int]
) -> None:
    model, tokens_BT = small_model(attention=attention, **changes), random_tokens(2, 29)
    cache, parts = KeyValueCache(), []
    for start, stop in zip([0, *cuts], [*cuts, 29], strict=True):
        parts.append(model(tokens_BT[:, start:stop], cache))
        cache.num_tokens = stop
    torch.testing.assert_close(torch.cat(parts, dim=1), model(tokens_BT), atol=1e-5, rtol=1e-5)


@torch.no_grad()
@every_kind
def test_planted_cache_that_does_not_advance_is_noticed(changes: dict) -> None:
    model, tokens_BT, cache = small_model(**changes), random_tokens(2, 29), KeyValueCache()
    parts = [model(tokens_BT[:, :9], cache), model(tokens_BT[:, 9:], cache)]
    off = (torch.cat(parts, dim=1) - model(tokens_BT)).abs().max()
    # nobody and ALiBi count from the keys that are there, not from the number of tokens
    counts_keys = changes.get("positions") in ("none", "alibi")
    assert off < 1e-5 if counts_keys else off > 1e-2


@torch.no_grad()
@every_kind
def test_planted_cache_that_lost_a_key_is_noticed(changes: dict) -> None:
    model, tokens_BT, cache = small_model(**changes), random_tokens(2, 29), KeyValueCache()
    parts = [model(tokens_BT[:, :9], cache)]
    cache.num_tokens = 9
    cache.layers = {layer: (k[:, :, :8], v[:, :, :8]) for layer, (k, v) in cache.layers.items()}
    parts.append(model(tokens_BT[:, 9:], cache))
    assert (torch.cat(parts, dim=1) - model(tokens_BT)).abs().max() > 1e-2


@torch.no_grad()
def slot_error(model: Transformer, shift: int = 0) -> float:
    """Rows of 3, 11 and 20 tokens advance together, each at its own place, as a server does it."""
    tokens_BT, lengths = random_tokens(3, 29), [3, 11, 20]
    slots = SlotCache(model.config, 3)
    for slot, length in enumerate(lengths):
        alone = KeyValueCache()
        model(tokens_BT[slot : slot + 1, :length], alone)
        slots.fill(slot, alone)
    slots.num_tokens += shift
    worst = 0.0
    for step in range(9 - shift):
        fed_B1 = torch.stack([tokens_BT[b, n + step] for b, n in enumerate(lengths)])[:, None]
        logits_BV = model(fed_B1, slots)[:, 0]
        slots.num_tokens += 1
        for row, length in enumerate(lengths):
            whole_V = model(tokens_BT[row : row + 1, : length + step + 1])[0, -1]
            worst = max(worst, float((logits_BV[row] - whole_V).abs().max()))
    return worst


@every_kind
@pytest.mark.parametrize("attention", ["reference", "torch"])
def test_rows_of_their_own_lengths_are_each_as_alone(changes: dict, attention: str) -> None:
    assert slot_error(small_model(attention=attention, **changes)) < 1e-5


@every_kind
def test_planted_places_one_too_far_are_noticed(changes: dict) -> None:
    assert slot_error(small_model(**changes), shift=1) > 1e-2


@every_kind
def test_too_long_a_text_is_refused_with_the_remedy(changes: dict) -> None:
    with pytest.raises(ValueError, match="30 tokens: the context length is 29; shorten"):
        small_model(**changes)(random_tokens(1, 30))


# In the rest of the house


@every_kind
def test_parameters_by_formula_are_parameters_counted(changes: dict) -> None:
    model = small_model(**changes)
    assert model.config.num_parameters == model.num_parameters
    learned = 29 * 24 if changes.get("positions") == "learned" else 0
    assert model.num_parameters == small_model().num_parameters + learned


@every_kind
def test_a_training_step_moves_every_parameter(changes: dict) -> None:
    model = small_model(**changes)
    model(random_tokens(2, 29)).square().mean().backward()
    assert all(each.grad is not None and each.grad.any() for each in model.parameters())


def test_bfloat16_autocast_takes_the_price() -> None:
    model, tokens_BT = small_model(positions="alibi", initial_std=0.05), random_tokens(2, 29)
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = model(tokens_BT).float()
    with torch.no_grad():
        assert (rounded - model(tokens_BT)).abs().max() < 0.05  # logits up to 1; bfloat16 has 2⁻⁸


@torch.no_grad()
@every_kind
def test_split_over_ranks_and_stages_it_is_the_same_model(changes: dict) -> None:
    model, tokens_BT = small_model(**changes), random_tokens(1, 17)
    whole = model(tokens_BT, documents_BT=PACKED)
    split = split_logits(model, tokens_BT, 2, PACKED)
    torch.testing.assert_close(split, whole, atol=1e-5, rtol=1e-4)
    batch = Batch(tokens_BT, tokens_BT, PACKED)
    x = batch.tokens_BT
    for stage in range(3):
        x = stage_output(model, stage, 3, x, batch.documents_BT)
    assert torch.equal(x, whole)


def test_a_learned_table_is_not_made_into_codes() -> None:
    model = small_model(positions="learned", width=96)
    state = quantize_state(model_tensors(model), scheme_named("int8"), scheme_named("int8"))
    assert torch.equal(
        state["model.embed_positions.weight"], model.model.embed_positions.weight.detach()
    )
    with torch.no_grad():
        exact = model(random_tokens(1, 29))
        error = with_quantized_modules(model, state)(random_tokens(1, 29)) - exact
    assert error.norm() < 0.2 * exact.norm()  # measured .07; with the places reversed 1.4


def test_a_longer_context_is_refused_where_places_were_learned() -> None:
    with pytest.raises(ValueError, match="batches.context_length = 60: .* learned 29 places"):
        with_context(replace(SMALL, positions="learned"), 60)
    assert with_context(SMALL, 60).context_length == 60
    assert with_context(replace(SMALL, positions="learned"), 7).context_length == 29


def test_recipes_take_the_fields() -> None:
    recipe = with_fields(smoke(), ["model.positions=alibi"])
    assert recipe.model.positions == "alibi"
    names = ["model.rope_scaling=yarn", "model.rope_factor=4", "model.rope_trained_length=32"]
    assert with_fields(smoke(), names).model.rope_scaling == "yarn"
    with pytest.raises(ValueError, match="model.positions = 'clock': must be one of rotary, none"):
        with_fields(smoke(), ["model.positions=clock"])


def test_the_default_is_the_model_there_was() -> None:
    """Same parameters by name, so the same seeded weights; nothing new is stored."""
    model = small_model()
    assert {name.split(".")[-2] for name, _ in model.named_parameters()} == {
        "embed_tokens", "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj",
        "input_layernorm", "post_attention_layernorm", "norm",
    }  # fmt: skip
    assert "lm_head.weight" in model.state_dict() and not model.model.embed_positions.state_dict()
    written = dataclasses.asdict(SMALL)
    old = {
        name: each for name, each in written.items()
        if name not in ("positions", "rope_scaling", "rope_factor", "rope_trained_length")
    }  # fmt: skip
    assert ModelConfig(**old) == SMALL


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"positions": "clock"}, "positions = 'clock': choose one of rotary, none, learned"),
        ({"rope_scaling": "longer"}, "rope_scaling = 'longer': choose one of None, linear, ntk"),
        ({"rope_factor": 4.0}, "rope_factor = 4.0: scales nothing without rope_scaling"),
        ({"rope_scaling": "ntk", "rope_factor": 0.5}, "rope_factor = 0.5: must be at least 1"),
        ({"rope_scaling": "yarn", "rope_factor": 2.0}, "rope_trained_length = None: yarn asks"),
        ({"rope_trained_length": 9}, "rope_trained_length = 9: yarn asks for the context"),
        (
            {"positions": "alibi", "rope_scaling": "ntk", "rope_factor": 2.0},
            "rope_scaling = 'ntk': scales rotary positions, but positions = 'alibi'",
        ),
        ({"width": 12, "rope_scaling": "ntk"}, "rope_scaling = 'ntk': a head of width 2"),
        ({"width": 25, "positions": "none"}, "width = 25: must be a multiple of num_heads = 6"),
        ({"width": 30}, "width = 30: must be a multiple of 2 · num_heads = 12"),
        (
            {"width": 9, "num_heads": 3, "num_kv_heads": 1, "positions": "sinusoidal"},
            "width = 9: sinusoidal positions are pairs",
        ),
        ({**SCALED, "rope_theta": 1.0}, "rope_theta = 1.0: yarn sorts the pairs by speed"),
    ],
)
def test_impossible_positions_are_refused_with_the_remedy(
    changes: dict[str, object], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        replace(SMALL, **changes)


@pytest.mark.parametrize("kind", ["none", "learned", "alibi"])
def test_only_rotary_and_sines_need_pairs(kind: str) -> None:
    config = replace(SMALL, width=9, num_heads=3, num_kv_heads=1, positions=kind)
    assert isinstance(Transformer(config), nn.Module)
