"""Models with variants leave as the family that computes the same, or not at all."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM
from transformers.models.mixtral.modeling_mixtral import load_balancing_loss_func

from minillm.export import families
from minillm.export.families import family_of
from minillm.export.gguf import save_gguf
from minillm.export.huggingface import load_folder, save_folder
from minillm.model.experts import balance_loss, routed
from minillm.model.transformer import ModelConfig, Transformer
from minillm.tokenizer.bytepair import Tokenizer, TokenizerConfig, train_tokenizer

VOCAB_SIZE = 270
FAMILIES = {
    "LlamaForCausalLM": [{}],
    "MistralForCausalLM": [{"window": 5}],
    "Qwen3ForCausalLM": [
        {"qk_norm": True},
        {"qk_norm": True, "window": 5},
        {"qk_norm": True, "window": 5, "full_every": 2},
    ],
    "MixtralForCausalLM": [{"num_experts": 5}, {"num_experts": 3, "experts_per_token": 1}],
    "Qwen3MoeForCausalLM": [{"num_experts": 5, "experts_per_token": 3, "qk_norm": True}],
}
CASES = [(name, changes) for name, each in FAMILIES.items() for changes in each]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    text = "the cat sat on the mat, and the dog sat on the cat"
    return train_tokenizer([text], TokenizerConfig(vocab_size=VOCAB_SIZE))


def random_model(**changes: object) -> Transformer:
    """Weights large enough that every part moves the logits, norms and routers included."""
    torch.manual_seed(0)
    shape = {
        "vocab_size": VOCAB_SIZE, "width": 48, "num_layers": 3, "num_heads": 6, "num_kv_heads": 2,
        "ffn_width": 40, "context_length": 40, "initial_std": 0.2, "norm_epsilon": 3e-5,
    }  # fmt: skip
    model = Transformer(ModelConfig(**(shape | changes)))
    for parameter in model.parameters():
        if parameter.ndim == 1:
            torch.nn.init.uniform_(parameter, 0.5, 1.5)
    return model


@torch.no_grad()
def error_after_export(model: Transformer, tokenizer: Tokenizer, folder: Path) -> float:
    theirs = AutoModelForCausalLM.from_pretrained(save_folder(model, tokenizer, folder))
    tokens_BT = torch.randint(VOCAB_SIZE, (3, 37), generator=torch.Generator().manual_seed(1))
    return float((theirs(tokens_BT).logits - model(tokens_BT)).abs().max())


@pytest.mark.parametrize("tie_embeddings", [True, False], ids=["tied", "untied"])
@pytest.mark.parametrize(("architecture", "changes"), CASES, ids=str)
def test_transformers_computes_the_same_logits(
    architecture: str, changes: dict, tie_embeddings: bool, tmp_path: Path, tokenizer: Tokenizer
) -> None:
    model = random_model(tie_embeddings=tie_embeddings, **changes)
    assert error_after_export(model, tokenizer, tmp_path / "out") < 1e-5
    written = json.loads((tmp_path / "out/config.json").read_text())
    assert written["architectures"] == [architecture]
    if architecture != "LlamaForCausalLM":
        with pytest.raises(ValueError, match="only LlamaForCausalLM can be loaded"):
            load_folder(tmp_path / "out")


@pytest.mark.parametrize("changes", [{}, {"experts_per_token": 3, "qk_norm": True}], ids=str)
def test_even_routers_owe_transformers_what_they_owe_here(changes: dict) -> None:
    config = random_model(num_experts=5, balance_coefficient=0.03, **changes).config
    # every expert is as often the first choice as the second and the third
    logits_NE = sum(torch.eye(5).roll(k, 1) * (3 - k) for k in range(3)).repeat(4, 1)
    per_token = config.experts_per_token
    theirs = load_balancing_loss_func((logits_NE,) * config.num_layers, 5, per_token)
    routing = routed(logits_NE, per_token)
    ours = config.balance_coefficient * config.num_layers * balance_loss(routing)
    factor = family_of(config).fields["router_aux_loss_coef"]
    assert float(factor * theirs) == pytest.approx(float(ours))
    assert float(ours) == pytest.approx(0.03 * config.num_layers)


def test_mixtral_s_weights_have_the_names_of_its_checkpoints(
    tmp_path: Path, tokenizer: Tokenizer
) -> None:
    save_folder(random_model(num_experts=2), tokenizer, tmp_path / "out")
    names = load_file(tmp_path / "out/model.safetensors").keys()
    layer = "model.layers.1.block_sparse_moe."
    assert {name.removeprefix(layer) for name in names if name.startswith(layer)} == {
        "gate.weight", *(f"experts.{e}.{w}.weight" for e in (0, 1) for w in ("w1", "w2", "w3")),
    }  # fmt: skip


def test_planted_exchange_of_two_matrices_is_noticed(
    tmp_path: Path, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    exchanged = families.MIXTRAL_NAMES | {"gate_proj": "w3", "up_proj": "w1"}
    monkeypatch.setattr(families, "MIXTRAL_NAMES", exchanged)
    assert error_after_export(random_model(num_experts=5), tokenizer, tmp_path / "out") > 1e-2


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"norm_position": "post"}, "norm_position = 'post': a Llama of transformers"),
        ({"window": 4, "full_every": 2}, "full_every = 2: a Mistral of transformers"),
        ({"num_experts": 4, "window": 4}, "window = 4: a Mixtral of transformers"),
        ({"num_experts": 4, "qk_norm": True, "window": 4}, "window = 4: a Qwen3-MoE of"),
        ({"qk_norm": True, "norm_position": "post"}, "norm_position = 'post': a Qwen3 of"),
    ],
)
def test_what_no_family_computes_is_refused_by_name(changes: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        family_of(random_model(**changes).config)


@pytest.mark.parametrize("changes", [each for _, each in CASES if each], ids=str)
def test_a_gguf_file_is_a_plain_llama_alone(
    changes: dict, tmp_path: Path, tokenizer: Tokenizer
) -> None:
    with pytest.raises(ValueError, match="a Llama of llama.cpp knows nothing of it"):
        save_gguf(random_model(**changes), tokenizer, tmp_path / "model.gguf")
    assert not list(tmp_path.iterdir())
