"""Which of other people's models ours is, with the variants that it has.

In: a configuration. Out: the architecture that computes the same, its fields of a config.json, and
the names under which it keeps its weights. Plain models are Llamas, those with a window in every
layer Mistrals, with normed queries Qwen3s, with experts Mixtrals, with both Qwen3-MoEs. What none
of them computes is refused by name. Only written: folders are read as Llamas alone.
"""

from dataclasses import dataclass, field

from minillm.model.transformer import ModelConfig
from minillm.model.variants import EXPERTS, layer_window, refuse_variants

# Mixtral's checkpoints say it so
MIXTRAL_NAMES = {
    ".mlp.": ".block_sparse_moe.", "gate_proj": "w1", "down_proj": "w2", "up_proj": "w3",
}  # fmt: skip


# package only
@dataclass(frozen=True, kw_only=True, slots=True)
class Family:
    """An architecture of transformers, what it is called, and how it calls its weights."""

    architecture: str
    model_type: str
    fields: dict[str, object] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)

    def weight_name(self, name: str) -> str:
        """Our name of a weight in the family's words."""
        for ours, theirs in self.names.items():
            name = name.replace(ours, theirs)
        return name


# package only
def window_fields(config: ModelConfig) -> dict[str, object]:
    """Qwen3's words for windows in all layers or in some."""
    if config.window is None:
        return {"use_sliding_window": False, "sliding_window": None}
    windows = [layer_window(config, layer) for layer in range(config.num_layers)]
    kinds = ["full_attention" if each is None else "sliding_attention" for each in windows]
    return {
        "use_sliding_window": True, "sliding_window": config.window, "layer_types": kinds,
        "max_window_layers": 0,
    }  # fmt: skip


# package only
def expert_fields(config: ModelConfig) -> dict[str, object]:
    """How many experts, how many a token, what the router owes; as both families say it.

    They count a token's choices where we count shares, and pool the layers where we add them up:
    with this coefficient even routers owe the same there, uneven ones nearly.
    """
    as_theirs = config.num_layers / config.experts_per_token
    return {
        "num_experts_per_tok": config.experts_per_token,
        "router_aux_loss_coef": config.balance_coefficient * as_theirs,
    }


# package only
def family_of(config: ModelConfig) -> Family:
    """The family that computes what this model computes; ValueError if none does."""
    if config.num_experts is not None and config.qk_norm:
        refuse_variants(config, "a Qwen3-MoE of transformers", EXPERTS | {"qk_norm"})
        own = {
            "num_experts": config.num_experts, "moe_intermediate_size": config.ffn_width,
            "norm_topk_prob": True, "decoder_sparse_step": 1, "mlp_only_layers": [],
        }  # fmt: skip
        own |= expert_fields(config)
        return Family(architecture="Qwen3MoeForCausalLM", model_type="qwen3_moe", fields=own)
    if config.num_experts is not None:
        refuse_variants(config, "a Mixtral of transformers", EXPERTS)
        own = {"num_local_experts": config.num_experts, "sliding_window": None}
        own |= expert_fields(config)
        return Family(
            architecture="MixtralForCausalLM", model_type="mixtral", fields=own,
            names=MIXTRAL_NAMES,
        )  # fmt: skip
    if config.qk_norm:
        refuse_variants(
            config, "a Qwen3 of transformers", frozenset(("qk_norm", "window", "full_every"))
        )
        own = window_fields(config)
        return Family(architecture="Qwen3ForCausalLM", model_type="qwen3", fields=own)
    if config.window is not None:
        refuse_variants(config, "a Mistral of transformers", frozenset(("window",)))
        own = {"sliding_window": config.window}
        return Family(architecture="MistralForCausalLM", model_type="mistral", fields=own)
    refuse_variants(config, "a Llama of transformers")
    return Family(architecture="LlamaForCausalLM", model_type="llama")
