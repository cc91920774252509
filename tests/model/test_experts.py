"""Experts: grouped = a loop, equal to Mixtral's, evenly used, and paid for by those that work."""

import copy
import math
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from transformers import MixtralConfig, MixtralForCausalLM, Qwen3MoeConfig, Qwen3MoeForCausalLM
from transformers.models.mixtral.modeling_mixtral import load_balancing_loss_func

from minillm.align.grpo import RolloutBatch, reward_loss
from minillm.batches.stream import Batch
from minillm.compress.distill import DistillConfig, distillation
from minillm.compress.gptq import gptq_state, input_moments
from minillm.compress.layers import with_quantized_modules
from minillm.compress.prune import prune_state
from minillm.compress.quantize import dequantize_state, quantize_state, scheme_named
from minillm.export.gguf import shape_facts
from minillm.model import experts as module
from minillm.model.caches import KeyValueCache
from minillm.model.counting import (
    active_parameters,
    activation_bytes,
    forward_flops,
    parameter_counts,
)
from minillm.model.experts import (
    Experts,
    Routing,
    balance_loss,
    expert_shares,
    routed,
    router_z_loss,
    with_balance,
)
from minillm.model.generate import generate
from minillm.model.loss import cross_entropy
from minillm.model.transformer import ModelConfig, Transformer
from minillm.scale.pipeline_parallel import stage_output
from minillm.scale.tensor_parallel import split_logits
from minillm.train import trainer
from minillm.train.checkpoint import load_model_tensors, model_tensors
from minillm.train.optimizer import make_optimizer
from minillm.train.recompute import recomputed
from minillm.train.trainer import next_token_loss
from tests.model.small import SMALL, seeded, small_model

NUM_EXPERTS = 5
PARTS = {"num_experts": NUM_EXPERTS, "ffn_width": 40}
SIZES = {
    "vocab_size": SMALL.vocab_size, "hidden_size": SMALL.width, "head_dim": SMALL.head_width,
    "num_hidden_layers": SMALL.num_layers, "num_attention_heads": SMALL.num_heads,
    "num_key_value_heads": SMALL.num_kv_heads, "max_position_embeddings": SMALL.context_length,
    "rms_norm_eps": SMALL.norm_epsilon, "rope_theta": SMALL.rope_theta,
    "tie_word_embeddings": True, "num_experts_per_tok": 2,
}  # fmt: skip


def with_choosy_routers(model: Transformer) -> Transformer:
    """Routers whose probabilities differ, so that weights and choices matter."""
    for layer in model.model.layers:
        layer.mlp.gate.weight.data *= 5
    return model


def expert_model(**changes: object) -> Transformer:
    return with_choosy_routers(small_model(**(PARTS | changes)))


def tokens(batch: int = 2, length: int = 29) -> torch.Tensor:
    return torch.randint(61, (batch, length), generator=seeded(1))


def batch_of(tokens_BT: torch.Tensor) -> Batch:
    targets_BT = tokens_BT.roll(-1, dims=1)
    return Batch(tokens_BT, targets_BT, torch.zeros_like(tokens_BT, dtype=torch.int32))


# Grouped = a loop


def naive(block: Experts, x_ND: torch.Tensor) -> torch.Tensor:
    """Token by token, choice by choice."""
    out_ND = torch.zeros_like(x_ND)
    for n, x_D in enumerate(x_ND):
        probabilities = block.gate(x_D).softmax(-1).tolist()
        chosen = sorted(range(len(probabilities)), key=lambda e: -probabilities[e])
        chosen = chosen[: block.experts_per_token]
        total = sum(probabilities[e] for e in chosen)
        for e in chosen:
            out_ND[n] += probabilities[e] / total * block.experts[e](x_D)
    return out_ND


@torch.no_grad()
def naive_error(block: Experts, num_tokens: int) -> float:
    x_BTD = torch.randn(1, num_tokens, SMALL.width, generator=seeded(2))
    return float((block(x_BTD)[0] - naive(block, x_BTD[0])).abs().max())


@pytest.mark.parametrize("num_tokens", [1, 2, 31])
@pytest.mark.parametrize(("num_experts", "per_token"), [(5, 2), (5, 5), (3, 1), (7, 3)])
def test_grouped_is_the_loop(num_tokens: int, num_experts: int, per_token: int) -> None:
    model = expert_model(num_experts=num_experts, experts_per_token=per_token)
    assert naive_error(model.model.layers[1].mlp, num_tokens) < 1e-5


def test_one_expert_alone_is_the_plain_part() -> None:
    """Its weight is 1 whatever the router says."""
    model, plain = expert_model(num_experts=1, experts_per_token=1), small_model(ffn_width=40)
    own = {
        name.replace(".mlp.experts.0.", ".mlp."): each
        for name, each in model_tensors(model).items()
        if ".gate.weight" not in name
    }
    load_model_tensors(plain, own)
    with torch.no_grad():
        torch.testing.assert_close(model(tokens()), plain(tokens()))


@pytest.mark.parametrize(
    "bug",
    [
        lambda r: replace(r, weights_NA=r.probabilities_NE.gather(1, r.chosen_NA)),
        lambda r: replace(r, weights_NA=r.weights_NA.flip(1)),
        lambda r: replace(r, chosen_NA=r.chosen_NA.roll(1, dims=0)),
    ],
    ids=["not renormalised", "weights exchanged", "another token's experts"],
)
def test_planted_routing_is_noticed(bug: object, monkeypatch: pytest.MonkeyPatch) -> None:
    block, right = expert_model().model.layers[1].mlp, module.routed
    monkeypatch.setattr(module, "routed", lambda logits, count: bug(right(logits, count)))
    assert naive_error(block, 31) > 1e-2


# The same weights in transformers


def stacked(model: Transformer) -> dict[str, torch.Tensor]:
    """Our tensors as transformers keeps them: those of all experts in one."""
    found = {n: t for n, t in model.state_dict().items() if ".experts." not in n}
    for index, layer in enumerate(model.model.layers):
        parts, name = layer.mlp.experts, f"model.layers.{index}.mlp.experts"
        both = [torch.cat((each.gate_proj.weight, each.up_proj.weight)) for each in parts]
        found[f"{name}.gate_up_proj"] = torch.stack(both)
        found[f"{name}.down_proj"] = torch.stack([each.down_proj.weight for each in parts])
    return found


@torch.no_grad()
def error_beside(theirs: nn.Module, ours: Transformer) -> float:
    theirs.load_state_dict(stacked(ours))
    return float((theirs.eval()(tokens()).logits - ours(tokens())).abs().max())


def mixtral(**changes: object) -> MixtralForCausalLM:
    own = {"intermediate_size": 40, "num_local_experts": NUM_EXPERTS}
    return MixtralForCausalLM(MixtralConfig(**SIZES, **own, **changes))


def test_logits_are_those_of_mixtral() -> None:
    assert error_beside(mixtral(sliding_window=None), expert_model()) < 1e-5


def test_with_qk_norm_they_are_those_of_qwen3_moe() -> None:
    own = {
        "intermediate_size": 40, "moe_intermediate_size": 40,
        "num_experts": NUM_EXPERTS, "norm_topk_prob": True, "decoder_sparse_step": 1,
    }  # fmt: skip
    theirs = Qwen3MoeForCausalLM(Qwen3MoeConfig(**SIZES, **own))
    assert error_beside(theirs, expert_model(qk_norm=True)) < 1e-5


def random_routing(num_tokens: int = 40, per_token: int = 2) -> Routing:
    logits = 3 * torch.randn(num_tokens, NUM_EXPERTS, generator=seeded(4))
    return routed(logits.requires_grad_(), per_token)


def test_the_balance_loss_is_that_of_mixtral() -> None:
    """They count the choices a token, we the fraction of choices: A times as much."""
    routing = random_routing()
    theirs = load_balancing_loss_func((routing.logits_NE,), NUM_EXPERTS, 2)
    assert abs((theirs / 2 - balance_loss(routing)).item()) < 1e-6


# The two losses by hand


def test_losses_by_hand() -> None:
    even = routed(torch.tensor([[1.0, 0.0], [0.0, 1.0]]).log(), 1)
    assert float(balance_loss(even)) == 1.0
    one_sided = routed(torch.tensor([[0.75, 0.25], [0.75, 0.25]]).log(), 1)
    assert float(balance_loss(one_sided)) == pytest.approx(2 * 0.75)
    assert float(router_z_loss(one_sided)) == pytest.approx(0.0, abs=1e-6)
    assert float(router_z_loss(routed(torch.zeros(3, 4), 2))) == pytest.approx(math.log(4) ** 2)


def test_shares_count_choices() -> None:
    assert expert_shares(torch.tensor([[0, 2], [2, 1]]), 4).tolist() == [0.25, 0.25, 0.5, 0.0]


def test_the_gradient_pushes_down_whoever_is_chosen_too_often() -> None:
    logits = torch.tensor([[2.0, 0.0, 0.0], [1.0, 0.0, 0.5]], requires_grad=True)
    balance_loss(routed(logits, 1)).backward()
    assert (logits.grad[:, 0] > 0).all() and (logits.grad[:, 1:] < 0).all()


def test_probabilities_alone_carry_the_gradient() -> None:
    routing = random_routing()
    logits = routing.logits_NE
    shares = expert_shares(routing.chosen_NA, NUM_EXPERTS)
    by_hand = NUM_EXPERTS * (logits.softmax(-1).mean(0) * shares).sum()
    theirs = torch.autograd.grad(by_hand, logits)[0]
    ours = torch.autograd.grad(balance_loss(routing), logits)[0]
    torch.testing.assert_close(ours, theirs)


# In training


def gradients(model: Transformer, loss: object = next_token_loss) -> dict[str, torch.Tensor]:
    loss(model, batch_of(tokens())).backward()
    return {name: each.grad for name, each in model.named_parameters()}


def all_owed(model: Transformer) -> torch.Tensor:
    """The penalties of the last pass, at all its places."""
    return sum(layer.mlp.owed(layer.mlp.routing) for layer in model.model.layers)


@pytest.mark.parametrize("many_logits", [1, 2**30])
def test_training_has_the_gradient_of_the_penalty_and_shows_the_surprise(
    many_logits: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer, "MANY_LOGITS", many_logits)
    model, twin, batch = expert_model(), expert_model(), batch_of(tokens())
    value = next_token_loss(model, batch)
    value.backward()
    logits = twin(batch.tokens_BT, documents_BT=batch.documents_BT)
    nats = cross_entropy(logits, batch.targets_BT)
    assert value.item() == pytest.approx(nats.item(), abs=1e-5)
    (nats + all_owed(twin)).backward()
    for ours, theirs in zip(model.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad)
    plain = gradients(expert_model(balance_coefficient=0.0, router_z_coefficient=0.0))
    name = "model.layers.1.mlp.gate.weight"
    assert (plain[name] - dict(model.named_parameters())[name].grad).abs().max() > 1e-4


def test_a_penalty_is_owed_once() -> None:
    model, nats, batch = expert_model(), torch.tensor(2.0), batch_of(tokens())
    model(tokens())
    assert with_balance(nats, model, batch).requires_grad
    assert with_balance(nats, model, batch) is nats
    assert with_balance(nats, small_model(), batch) is nats


def unbalanced() -> Transformer:
    return expert_model(balance_coefficient=0.0, router_z_coefficient=0.0)


def rewarded_loss(model: Transformer, batch: Batch) -> torch.Tensor:
    zeros_BT = torch.zeros(batch.tokens_BT.shape)
    rollout = RolloutBatch(batch, torch.tensor([1.0, -1.0]), zeros_BT - 4, zeros_BT - 4, 0.0)
    return reward_loss(0.2, 0.1)(model, rollout)[0]


def taught_loss(model: Transformer, batch: Batch) -> torch.Tensor:
    return distillation(small_model(), DistillConfig())(model, batch)[0]


@pytest.mark.parametrize("loss", [rewarded_loss, taught_loss])
def test_other_losses_have_the_gradient_of_the_penalty_too(loss: object) -> None:
    batch, plain, model, twin = batch_of(tokens()), unbalanced(), expert_model(), expert_model()
    values = [loss(plain, batch), loss(model, batch)]
    assert values[0].item() == values[1].item()
    for each in values:
        each.backward()
    twin(batch.tokens_BT)
    all_owed(twin).backward()
    name = "model.layers.1.mlp.gate.weight"
    found, without, owed = (dict(m.named_parameters())[name].grad for m in (model, plain, twin))
    torch.testing.assert_close(found - without, owed, atol=1e-6, rtol=1e-3)
    assert owed.abs().max() > 1e-4


def test_under_autocast_the_same_experts_are_chosen() -> None:
    block = expert_model(num_experts=9).model.layers[1].mlp
    x_BTD = torch.randn(1, 4000, SMALL.width, generator=seeded(6))
    with torch.no_grad():
        plain_BTD, plain_NA = block(x_BTD), block.chosen_NA
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rounded_BTD = block(x_BTD)
    assert torch.equal(block.chosen_NA, plain_NA)
    assert not torch.equal(rounded_BTD.float(), plain_BTD)  # the experts are still rounded


@torch.no_grad()
def test_without_gradients_nothing_is_owed_but_choices_are_kept() -> None:
    model = expert_model()
    model(tokens())
    assert all(layer.mlp.routing is None for layer in model.model.layers)
    assert all(layer.mlp.chosen_NA.shape == (58, 2) for layer in model.model.layers)


def test_layers_that_are_recomputed_give_the_same_gradients() -> None:
    kept, again = gradients(expert_model()), gradients(expert_model(), recomputed(next_token_loss))
    for name, each in kept.items():
        torch.testing.assert_close(again[name], each, msg=name)


def test_a_recomputed_layer_keeps_no_routing_behind() -> None:
    """It would hang on the second pass's graph, and hold all that was to be forgotten."""
    model = expert_model()
    gradients(model, recomputed(next_token_loss))
    assert all(layer.mlp.routing is None for layer in model.model.layers)


def test_an_expert_that_nobody_chose_has_a_gradient_of_zero() -> None:
    model = expert_model(num_experts=9)
    for layer in model.model.layers:
        layer.mlp.gate.weight.data.zero_()  # all alike: the same two win everywhere
    found = gradients(model)
    idle = [
        f"model.layers.{number}.mlp.experts.{expert}."
        for number, layer in enumerate(model.model.layers)
        for expert in set(range(9)) - set(layer.mlp.chosen_NA.flatten().tolist())
    ]
    assert len(idle) == 7 * len(model.model.layers)
    of_idle = [each for name, each in found.items() if name.startswith(tuple(idle))]
    assert len(of_idle) == 3 * len(idle) and not any(each.any() for each in of_idle)
    make_optimizer(model, "adamw", weight_decay=0.1, betas=(0.9, 0.95)).step(1e-3)


def trained_shares(coefficient: float) -> torch.Tensor:
    """A router that begins with a favourite, after 40 steps; the last layer's shares."""
    model = small_model(num_experts=4, balance_coefficient=coefficient, num_layers=1)
    generator = seeded(5)
    with torch.no_grad():
        model.model.layers[0].mlp.gate.weight[0] += model.model.embed_tokens.weight.mean(0) * 30
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(40):
        next_token_loss(model, batch_of(torch.randint(61, (8, 29), generator=generator))).backward()
        optimizer.step()
        optimizer.zero_grad()
    with torch.no_grad():
        model(tokens(8))
    return expert_shares(model.model.layers[0].mlp.chosen_NA, 4)


def test_the_balance_loss_makes_shares_even() -> None:
    left_alone, balanced = trained_shares(0.0), trained_shares(0.1)
    assert balanced.max() < 0.3 < left_alone.max(), (left_alone, balanced)


# In the rest of the house


@pytest.mark.parametrize("cuts", [[1], [7, 8, 20], list(range(1, 29))])
def test_cached_is_uncached(cuts: list[int]) -> None:
    model, cache, parts = expert_model(), KeyValueCache(), []
    with torch.no_grad():
        for start, stop in zip([0, *cuts], [*cuts, 29], strict=True):
            parts.append(model(tokens()[:, start:stop], cache))
            cache.num_tokens = stop
        assert (torch.cat(parts, dim=1) - model(tokens())).abs().max() < 1e-5
    options = {"max_tokens": 12, "temperature": 0.0}
    assert generate(model, [3, 1], **options) == generate(model, [3, 1], use_cache=False, **options)


@torch.no_grad()
def test_a_token_s_company_changes_its_logits_by_no_more_than_rounding() -> None:
    model = expert_model()
    alone = torch.cat([model(tokens()[row : row + 1]) for row in range(2)])
    torch.testing.assert_close(model(tokens()), alone, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("changes", [{}, {"experts_per_token": 3, "qk_norm": True}])
def test_numbers_by_formula_are_numbers_counted(changes: dict) -> None:
    model = expert_model(**changes)
    config, per_token = model.config, model.config.experts_per_token
    assert config.num_parameters == model.num_parameters
    assert sum(parameter_counts(config).values()) == model.num_parameters
    idle = sum(
        each.numel()
        for layer in model.model.layers
        for part in layer.mlp.experts[per_token:]
        for each in part.parameters()
    )
    assert active_parameters(config) == model.num_parameters - idle
    assert active_parameters(SMALL) == SMALL.num_parameters


def test_operations_by_formula_are_operations_counted() -> None:
    model = expert_model(attention="reference")
    with FlopCounterMode(display=False) as counted, torch.no_grad():
        model(tokens())
    assert counted.get_total_flops() == forward_flops(model.config, 2 * 29, 29)


def test_it_is_copied_and_made_into_codes() -> None:
    model = expert_model(width=96, ffn_width=64)
    model(tokens()).sum().backward()  # leaves routings that hang on a graph
    twin = copy.deepcopy(model)
    assert all(layer.mlp.routing is None for layer in twin.model.layers)
    state = quantize_state(model_tensors(model), scheme_named("int8"), scheme_named("int8"))
    load_model_tensors(twin, dequantize_state(state))
    with torch.no_grad():
        codes = with_quantized_modules(model, state, use_kernels=False)
        torch.testing.assert_close(codes(tokens()), twin(tokens()))
        # one token: with kernels too, an expert may be given no row
        assert with_quantized_modules(model, state)(tokens(1, 1)).isfinite().all()
    names = [name for name, each in model.named_parameters() if each.ndim == 2]
    with torch.no_grad():
        found = input_moments(model, [tokens()])
    assert {name for name in names if ".layers." in name} <= found.keys()


@torch.no_grad()
def test_routers_are_neither_rounded_nor_pruned() -> None:
    model, scheme = expert_model(), scheme_named("int4-channel")
    tensors = model_tensors(model)
    moments = input_moments(model, [tokens()])
    for state in (
        quantize_state(tensors, scheme, scheme),
        gptq_state(tensors, moments, scheme, scheme),
        prune_state(tensors, 0.5),
    ):
        changed = {name for name, each in state.items() if each is not tensors[name]}
        assert not any(".mlp.gate." in name for name in changed)
        parts = [f"model.layers.1.mlp.experts.4.{p}_proj.weight" for p in ("gate", "up", "down")]
        assert changed.issuperset([*parts, "model.layers.1.self_attn.q_proj.weight"])


@torch.no_grad()
def test_in_stages_it_is_the_same_model_and_in_parts_it_is_refused() -> None:
    model, x = expert_model(), tokens(1)
    for stage in range(3):
        x = stage_output(model, stage, 3, x, torch.zeros(1, 29, dtype=torch.int32))
    torch.testing.assert_close(x, model(tokens(1)))
    with pytest.raises(ValueError, match="num_experts: tensor parallel splits plain layers alone"):
        split_logits(model, tokens(1), 2)


def test_exports_and_counts_of_plain_models_refuse_by_name() -> None:
    words = "num_experts = 5: .* would compute something else; use None there"
    for refused in (
        lambda config: shape_facts(config, "f32"),
        lambda config: activation_bytes(config, 2, 8),
    ):
        with pytest.raises(ValueError, match=words):
            refused(replace(SMALL, **PARTS))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"num_experts": 3, "experts_per_token": 4}, "experts_per_token = 4: there are num_exp"),
        ({"num_experts": 0}, "num_experts = 0: must be above 0"),
        ({"num_experts": 4, "experts_per_token": 0}, "experts_per_token = 0: must be above 0"),
        ({"balance_coefficient": -0.1}, "balance_coefficient = -0.1: must be at least 0"),
        ({"router_z_coefficient": -1.0}, "router_z_coefficient = -1.0: must be at least 0"),
    ],
)
def test_impossible_experts_are_refused_with_the_remedy(changes: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        ModelConfig(**{**{f: getattr(SMALL, f) for f in SMALL.__dataclass_fields__}, **changes})
