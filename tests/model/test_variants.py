"""Variants of the model: each equal to another library's on the same weights, off by default."""

import dataclasses
from dataclasses import replace

import pytest
import torch
from torch import nn
from transformers import MistralConfig, MistralForCausalLM, Qwen3Config, Qwen3ForCausalLM

from minillm.core.settings import with_fields
from minillm.export.gguf import shape_facts
from minillm.model import transformer
from minillm.model.caches import KeyValueCache, SlidingCache
from minillm.model.counting import parameter_counts
from minillm.model.generate import generate
from minillm.model.positions import rotate
from minillm.model.transformer import ModelConfig, Transformer
from minillm.model.variants import (
    EXPERTS,
    Variants,
    layer_window,
    refuse_variants,
    residual_step,
)
from minillm.recipes import smoke
from minillm.scale.pipeline_parallel import stage_output
from minillm.scale.tensor_parallel import split_logits
from minillm.serve.slots import SlotCache
from tests.model.small import SMALL, seeded, small_model

WINDOW = 5
VARIANTS = [
    {"qk_norm": True},
    {"norm_position": "post"},
    {"window": WINDOW},
    {"window": WINDOW, "full_every": 2},
    {"qk_norm": True, "norm_position": "post", "window": WINDOW, "positions": "alibi"},
]
each_variant = pytest.mark.parametrize("changes", VARIANTS, ids=str)
SIZES = {
    "vocab_size": SMALL.vocab_size, "hidden_size": SMALL.width, "head_dim": SMALL.head_width,
    "intermediate_size": SMALL.ffn_width, "num_hidden_layers": SMALL.num_layers,
    "num_attention_heads": SMALL.num_heads, "num_key_value_heads": SMALL.num_kv_heads,
    "max_position_embeddings": SMALL.context_length, "rms_norm_eps": SMALL.norm_epsilon,
    "rope_theta": SMALL.rope_theta, "tie_word_embeddings": True,
}  # fmt: skip


def with_uneven_norms(model: Transformer) -> Transformer:
    """Norms that scale every number differently: a norm in the wrong place is seen."""
    generator = seeded(3)
    for parameter in model.parameters():
        if parameter.ndim == 1:
            nn.init.uniform_(parameter, 0.5, 1.5, generator=generator)
    return model


def tokens(batch: int = 2, length: int = 29) -> torch.Tensor:
    return torch.randint(61, (batch, length), generator=seeded(1))


# The same weights in transformers


@torch.no_grad()
def error_beside(theirs: nn.Module, ours: Transformer) -> float:
    theirs.load_state_dict(ours.state_dict())
    return float((theirs.eval()(tokens()).logits - ours(tokens())).abs().max())


def qwen3(**changes: object) -> Qwen3ForCausalLM:
    return Qwen3ForCausalLM(Qwen3Config(**SIZES, attention_bias=False, **changes))


def test_qk_norm_is_that_of_qwen3() -> None:
    assert error_beside(qwen3(), with_uneven_norms(small_model(qk_norm=True))) < 1e-5


def test_a_window_is_that_of_mistral() -> None:
    theirs = MistralForCausalLM(MistralConfig(**SIZES, sliding_window=WINDOW))
    assert error_beside(theirs, with_uneven_norms(small_model(window=WINDOW))) < 1e-5


@pytest.mark.parametrize("full_every", [None, 2])
def test_windows_in_some_layers_are_those_of_qwen3(full_every: int | None) -> None:
    ours = with_uneven_norms(small_model(qk_norm=True, window=WINDOW, full_every=full_every))
    kinds = ["sliding_attention", "sliding_attention", "sliding_attention"]
    kinds[1] = "full_attention" if full_every else kinds[1]
    said = {"use_sliding_window": True, "sliding_window": WINDOW, "layer_types": kinds}
    assert error_beside(qwen3(**said), ours) < 1e-5


@pytest.mark.parametrize("by", [-1, 1])
def test_planted_window_off_by_one_is_noticed(by: int) -> None:
    theirs = MistralForCausalLM(MistralConfig(**SIZES, sliding_window=WINDOW))
    assert error_beside(theirs, small_model(window=WINDOW + by)) > 1e-2


def test_planted_qk_norm_after_the_rotation_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = with_uneven_norms(small_model(qk_norm=True))
    norms = [(layer.self_attn.q_norm, layer.self_attn.k_norm) for layer in ours.model.layers]
    theirs = qwen3()
    theirs.load_state_dict(ours.state_dict())
    turn = iter([norm for pair in norms for norm in pair])
    monkeypatch.setattr(
        transformer, "rotate", lambda x, cos, sin: next(turn)(rotate(x, cos, sin))
    )
    for layer in ours.model.layers:
        layer.self_attn.q_norm = layer.self_attn.k_norm = nn.Identity()
    with torch.no_grad():
        assert (theirs.eval()(tokens()).logits - ours(tokens())).abs().max() > 1e-2


# Each by hand


@torch.no_grad()
def test_qk_norm_makes_scores_blind_to_the_size_of_their_matrices() -> None:
    for qk_norm in (True, False):
        model = small_model(qk_norm=qk_norm)
        before = model(tokens())
        for layer in model.model.layers:
            layer.self_attn.q_proj.weight *= 100
        same = torch.allclose(model(tokens()), before, atol=1e-3)
        assert same == qk_norm


def test_where_the_norm_stands_by_hand() -> None:
    x, halved = torch.tensor([4.0, 2.0]), lambda x: x / 2
    assert residual_step(x, halved, lambda x: x + 1, "pre").tolist() == [7.0, 4.0]
    assert residual_step(x, halved, lambda x: x + 1, "post").tolist() == [4.5, 2.5]


@torch.no_grad()
def test_after_a_post_norm_layer_the_stream_has_size_one() -> None:
    model, found = small_model(norm_position="post"), []
    for layer in model.model.layers:
        layer.register_forward_hook(lambda part, given, x: found.append(x.square().mean(-1)))
    model(tokens())
    for size_BT in found:
        torch.testing.assert_close(size_BT, torch.ones_like(size_BT), atol=1e-3, rtol=0)


def test_which_layers_have_a_window() -> None:
    config = replace(SMALL, num_layers=7, window=4, full_every=3)
    assert [layer_window(config, n) for n in range(7)] == [4, 4, None, 4, 4, None, 4]
    assert layer_window(replace(SMALL, window=4), 2) == 4 and layer_window(SMALL, 2) is None


# How far one sees


@torch.no_grad()
def moved_places(model: Transformer, place: int) -> list[int]:
    """Where logits change when one token does."""
    before, changed = model(tokens(1)), tokens(1)
    changed[0, place] = (changed[0, place] + 7) % 61
    return (model(changed) != before).any(-1)[0].nonzero().flatten().tolist()


@pytest.mark.parametrize("attention", ["reference", "torch"])
@pytest.mark.parametrize("window", [1, 2, 5, 11])
def test_a_token_reaches_as_far_as_its_windows_add_up_to(attention: str, window: int) -> None:
    """Each of L layers carries it W − 1 places on: beyond that nothing moves, to the last bit."""
    reach = 3 * (window - 1)
    found = moved_places(small_model(window=window, attention=attention), 3)
    assert found == list(range(3, min(29, 3 + reach + 1)))


def test_one_full_layer_among_them_reaches_all() -> None:
    assert moved_places(small_model(window=2, full_every=3), 3) == list(range(3, 29))


def test_planted_layer_that_forgets_its_window_is_noticed() -> None:
    model = small_model(window=2)
    model.model.layers[1].self_attn.window = None
    assert moved_places(model, 3) != list(range(3, 7))


# With a cache


@torch.no_grad()
def cache_error(model: Transformer, cache: object, cuts: list[int]) -> float:
    parts = []
    for start, stop in zip([0, *cuts], [*cuts, 29], strict=True):
        parts.append(model(tokens()[:, start:stop], cache))
        cache.num_tokens = stop
    return float((torch.cat(parts, dim=1) - model(tokens())).abs().max())


@each_variant
@pytest.mark.parametrize("attention", ["reference", "torch"])
@pytest.mark.parametrize("cuts", [[1], [7, 8, 20], list(range(1, 29))])
def test_cached_is_uncached(changes: dict, attention: str, cuts: list[int]) -> None:
    model = small_model(attention=attention, **changes)
    assert cache_error(model, KeyValueCache(), cuts) < 1e-5


@pytest.mark.parametrize("cuts", [[9], [7, 8, 20], list(range(1, 29))])
def test_a_cache_that_forgets_is_enough_where_every_layer_has_a_window(cuts: list[int]) -> None:
    assert cache_error(small_model(window=WINDOW), SlidingCache(WINDOW), cuts) < 1e-5
    assert cache_error(small_model(window=WINDOW), SlidingCache(WINDOW + 1), cuts) < 1e-5
    with pytest.raises(ValueError, match="window = 4 of the sliding cache: .* use SlidingCache.5."):
        small_model(window=WINDOW)(tokens(), SlidingCache(WINDOW - 1))


def test_a_cache_that_forgets_is_refused_where_some_layers_see_all() -> None:
    mixed = small_model(window=WINDOW, full_every=2)
    with pytest.raises(ValueError, match="full_every = 2: a sliding cache of window = 5 forgets"):
        mixed(tokens(), SlidingCache(WINDOW))


@torch.no_grad()
@each_variant
def test_rows_of_their_own_lengths_are_each_as_alone(changes: dict) -> None:
    model, rows_BT, lengths = small_model(**changes), tokens(3), [3, 11, 20]
    slots = SlotCache(model.config, 3)
    for slot, length in enumerate(lengths):
        alone = KeyValueCache()
        model(rows_BT[slot : slot + 1, :length], alone)
        slots.fill(slot, alone)
    for step in range(9):
        fed_B1 = torch.stack([rows_BT[b, n + step] for b, n in enumerate(lengths)])[:, None]
        logits_BV = model(fed_B1, slots)[:, 0]
        slots.num_tokens += 1
        for row, length in enumerate(lengths):
            whole_V = model(rows_BT[row : row + 1, : length + step + 1])[0, -1]
            assert (logits_BV[row] - whole_V).abs().max() < 1e-5


@each_variant
def test_generated_text_is_the_same_with_and_without_a_cache(changes: dict) -> None:
    model, options = small_model(**changes), {"max_tokens": 20, "temperature": 0.0}
    cached = generate(model, [3, 1, 4], **options)
    assert cached == generate(model, [3, 1, 4], use_cache=False, **options)


# In the rest of the house


def test_the_default_stores_what_it_stored() -> None:
    names = [name for name, _ in small_model().named_parameters()]
    assert len(names) == 9 * 3 + 2 and not any("q_norm" in name for name in names)
    fields = dataclasses.asdict(SMALL)
    old = {name: each for name, each in fields.items() if name not in Variants.__annotations__}
    assert ModelConfig(**old) == SMALL and len(old) == 18


@each_variant
def test_parameters_by_formula_are_parameters_counted(changes: dict) -> None:
    model = small_model(**changes)
    assert model.config.num_parameters == model.num_parameters
    assert sum(parameter_counts(model.config).values()) == model.num_parameters
    assert model.num_parameters - small_model().num_parameters == (
        3 * 2 * 4 if "qk_norm" in changes else 0
    )


@each_variant
def test_forms_of_attention_agree_and_every_parameter_is_moved(changes: dict) -> None:
    documents_BT = (torch.arange(29) // 11).int().expand(2, -1)
    forms = [small_model(attention=name, **changes) for name in ("reference", "torch")]
    logits = [model(tokens(), documents_BT=documents_BT) for model in forms]
    torch.testing.assert_close(*logits)
    logits[0].square().mean().backward()
    assert all(each.grad is not None and each.grad.any() for each in forms[0].parameters())


@torch.no_grad()
@each_variant
def test_in_stages_it_is_the_same_model_and_in_parts_it_is_refused(changes: dict) -> None:
    model, x = small_model(**changes), tokens(1)
    documents_BT = torch.zeros_like(x)
    for stage in range(3):
        x = stage_output(model, stage, 3, x, documents_BT)
    assert torch.equal(x, model(tokens(1), documents_BT=documents_BT))
    with pytest.raises(ValueError, match=f"{next(iter(changes))}.*: tensor parallel splits plain"):
        split_logits(model, tokens(1), 2)


@each_variant
def test_llama_shaped_exports_refuse_by_name(changes: dict) -> None:
    config = replace(SMALL, **{name: each for name, each in changes.items() if name != "positions"})
    words = f"{next(iter(changes))} = .*would compute something else"
    with pytest.raises(ValueError, match=f"{words}; use .* there, or this package"):
        shape_facts(config, "f32")


def test_fields_of_experts_are_let_pass_where_there_are_none() -> None:
    idle = replace(SMALL, experts_per_token=1, balance_coefficient=0.5, router_z_coefficient=0.5)
    refuse_variants(idle, "a Llama")
    others = EXPERTS - {"balance_coefficient"}
    with pytest.raises(ValueError, match="balance_coefficient = 0.5: a Mixtral knows nothing"):
        refuse_variants(replace(idle, num_experts=3), "a Mixtral", others)


def test_recipes_take_the_fields() -> None:
    names = ["model.qk_norm=true", "model.window=7", "model.norm_position=post"]
    found = with_fields(smoke(), names).model
    assert (found.qk_norm, found.window, found.norm_position) == (True, 7, "post")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"norm_position": "middle"}, "norm_position = 'middle': choose one of pre, post"),
        ({"window": 0}, "window = 0: must be above 0"),
        ({"full_every": 2}, "full_every = 2: without a window every layer sees all; give a window"),
        ({"window": 4, "full_every": -1}, "full_every = -1: must be above 0"),
        ({"window": 4, "full_every": 1}, "full_every = 1: every layer sees all, and window = 4"),
    ],
)
def test_impossible_variants_are_refused_with_the_remedy(
    changes: dict[str, object], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        replace(SMALL, **changes)
