"""Scaled rotary positions mean the same to transformers; other kinds leave for no other engine."""

import json
from pathlib import Path

import gguf
import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from minillm.export.gguf import save_gguf
from minillm.export.huggingface import load_folder, save_folder
from minillm.export.rope import exported_rope, exported_theta
from minillm.model.transformer import ModelConfig, Transformer
from minillm.tokenizer.bytepair import Tokenizer, TokenizerConfig, train_tokenizer

VOCAB_SIZE, THETA, FACTOR, TRAINED = 300, 500.0, 4.0, 24
SCALED: dict[str, dict[str, object]] = {
    "linear": {"rope_scaling": "linear", "rope_factor": FACTOR},
    "ntk": {"rope_scaling": "ntk", "rope_factor": FACTOR},
    "yarn": {"rope_scaling": "yarn", "rope_factor": FACTOR, "rope_trained_length": TRAINED},
}


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    text = "the cat sat on the mat, and the dog sat on the cat.\n\nThe end of it all! it's 1234"
    return train_tokenizer([text * 3], TokenizerConfig(vocab_size=270))


def random_model(**changes: object) -> Transformer:
    """Weights large enough that positions move the logits; heads of width 16, 8 pairs."""
    torch.manual_seed(0)
    shape = {
        "vocab_size": VOCAB_SIZE, "width": 64, "num_layers": 2, "num_heads": 4, "num_kv_heads": 2,
        "ffn_width": 40, "context_length": 96, "initial_std": 0.2, "rope_theta": THETA,
    }  # fmt: skip
    return Transformer(ModelConfig(**(shape | changes)))


def random_tokens(length: int = 96) -> torch.Tensor:
    return torch.randint(0, VOCAB_SIZE, (2, length), generator=torch.Generator().manual_seed(1))


def theirs_with(rope_parameters: dict[str, object], context_length: int = 96) -> LlamaForCausalLM:
    """A Llama of our shape and weights, told its positions in its own words."""
    config = LlamaConfig(
        vocab_size=VOCAB_SIZE, hidden_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, intermediate_size=40, max_position_embeddings=context_length,
        rms_norm_eps=1e-5, tie_word_embeddings=True, rope_parameters=rope_parameters,
    )  # fmt: skip
    theirs = LlamaForCausalLM(config)
    theirs.load_state_dict(random_model().state_dict())
    return theirs


def largest_difference(ours: Transformer, theirs: LlamaForCausalLM, length: int = 96) -> float:
    with torch.no_grad():
        ours_BTV, theirs_BTV = ours(random_tokens(length)), theirs(random_tokens(length)).logits
    assert ours_BTV.std() > 0.5
    return float((ours_BTV - theirs_BTV).abs().max())


@pytest.mark.parametrize("scaling", SCALED)
def test_transformers_reads_the_folder_and_computes_the_same(
    tmp_path: Path, tokenizer: Tokenizer, scaling: str
) -> None:
    model = random_model(**SCALED[scaling])
    theirs = AutoModelForCausalLM.from_pretrained(save_folder(model, tokenizer, tmp_path / "out"))
    # four times the trained length; the bound is that of the unscaled model, 1e-6
    assert largest_difference(model, theirs) < 1e-6
    assert largest_difference(random_model(), theirs) > 1e-2, "unscaled, it would be another model"


@pytest.mark.parametrize("scaling", SCALED)
def test_what_transformers_was_told_directly_is_what_we_compute(scaling: str) -> None:
    """Not by our own words for it: the parameters as a checkpoint's author would write them."""
    written = {
        "linear": {"rope_type": "linear", "rope_theta": THETA, "factor": FACTOR},
        "ntk": {"rope_type": "default", "rope_theta": THETA * FACTOR ** (16 / 14)},
        "yarn": {
            "rope_type": "yarn", "rope_theta": THETA, "factor": FACTOR,
            "original_max_position_embeddings": TRAINED,
        },
    }[scaling]  # fmt: skip
    assert largest_difference(random_model(**SCALED[scaling]), theirs_with(written)) < 1e-6


@pytest.mark.parametrize("length", [48, 72, 96])
def test_dynamic_scaling_is_ours_at_one_length_at_a_time(length: int) -> None:
    """Its factor f at length L of a context M stands for our fixed factor f·L/M − (f − 1)."""
    dynamic = {"rope_type": "dynamic", "rope_theta": THETA, "factor": 2.0}
    fixed = 2.0 * length / 24 - 1
    ours = random_model(rope_scaling="ntk", rope_factor=fixed)
    # theirs raises theta in float32: speeds off by 2⁻²³ or so, angles at place 96 by 1e-5
    assert largest_difference(ours, theirs_with(dynamic, context_length=24), length) < 2e-5
    elsewhere = random_model(rope_scaling="ntk", rope_factor=fixed + 1)
    theirs = theirs_with(dynamic, context_length=24)
    assert largest_difference(elsewhere, theirs, length) > 1e-3


@pytest.mark.parametrize("scaling", SCALED)
def test_saved_and_loaded_back_it_computes_the_same(
    tmp_path: Path, tokenizer: Tokenizer, scaling: str
) -> None:
    model = random_model(**SCALED[scaling])
    loaded, _ = load_folder(save_folder(model, tokenizer, tmp_path / "out"))
    with torch.no_grad():
        assert torch.equal(loaded(random_tokens()), model(random_tokens()))
    if scaling == "ntk":  # a larger theta is all there is to it
        assert loaded.config.rope_scaling is None
        assert loaded.config.rope_theta == exported_theta(model.config) > THETA
    else:
        assert loaded.config == model.config


@pytest.mark.parametrize("form", ["rope_parameters", "rope_scaling"])
@pytest.mark.parametrize("scaling", ["linear", "yarn"])
def test_a_folder_in_either_form_loads(
    tmp_path: Path, tokenizer: Tokenizer, scaling: str, form: str
) -> None:
    folder = save_folder(random_model(**SCALED[scaling]), tokenizer, tmp_path / "out")
    path = folder / "config.json"
    fields = json.loads(path.read_text())
    del fields["rope_scaling" if form == "rope_parameters" else "rope_parameters"]
    path.write_text(json.dumps(fields))
    assert load_folder(folder)[0].config == random_model(**SCALED[scaling]).config
    theirs = AutoModelForCausalLM.from_pretrained(folder)
    assert largest_difference(random_model(**SCALED[scaling]), theirs) < 1e-6


@pytest.mark.parametrize(
    ("rope", "words"),
    [
        ({"rope_type": "dynamic", "factor": 2.0}, "rope_type = 'dynamic'; only default, linear"),
        ({"rope_type": "longrope"}, "rope_type = 'longrope'"),
        ({"full_attention": {"rope_type": "default"}}, "rope_type = 'full_attention'"),
        ({"rope_type": "yarn", "factor": 4.0, "mscale": 0.7}, "yarn's mscale = 0.7; only None"),
        ({"rope_type": "yarn", "factor": 4.0, "beta_fast": 16}, "yarn's beta_fast = 16; only 32"),
        ({"rope_type": "yarn", "factor": 4.0, "truncate": False}, "truncate = False; only True"),
        ({"rope_type": "linear"}, "the field 'factor' of a Llama model is missing"),
    ],
)
def test_what_we_would_compute_otherwise_is_refused(
    tmp_path: Path, tokenizer: Tokenizer, rope: dict[str, object], words: str
) -> None:
    path = save_folder(random_model(), tokenizer, tmp_path / "out") / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"rope_parameters": rope}))
    with pytest.raises(ValueError, match=words):
        load_folder(path.parent)


@pytest.mark.parametrize("positions", ["none", "learned", "sinusoidal", "alibi"])
def test_other_kinds_of_positions_leave_for_no_other_engine(
    tmp_path: Path, tokenizer: Tokenizer, positions: str
) -> None:
    model = random_model(positions=positions)
    words = f"positions = '{positions}': .* as a Llama, .*minillm serve, or train"
    with pytest.raises(ValueError, match="transformers|" + words):
        save_folder(model, tokenizer, tmp_path / "out")
    with pytest.raises(ValueError, match=words):
        save_gguf(model, tokenizer, tmp_path / "model.gguf")
    assert list(tmp_path.iterdir()) == []


def gguf_facts(path: Path) -> dict[str, object]:
    """The scaling as gguf's own reader finds it, under the names that it knows."""
    keys = gguf.constants.Keys.Rope
    names = (keys.FREQ_BASE, keys.SCALING_TYPE, keys.SCALING_FACTOR, keys.SCALING_ORIG_CTX_LEN)
    reader = gguf.GGUFReader(path)
    found = {name: reader.get_field(name.format(arch="llama")) for name in names}
    return {name.split("rope.")[1]: each.contents() for name, each in found.items() if each}


def test_gguf_names_the_scaling_as_its_library_does(tmp_path: Path, tokenizer: Tokenizer) -> None:
    """Read by the `gguf` package; how llama.cpp computes it is not run here."""
    found = {}
    for scaling, changes in {"plain": {}, **SCALED}.items():
        path = save_gguf(random_model(**changes), tokenizer, tmp_path / f"{scaling}.gguf", "f32")
        found[scaling] = gguf_facts(path)
    assert found["plain"] == {"freq_base": THETA}
    assert found["linear"] == {
        "freq_base": THETA, "scaling.factor": 4.0,
        "scaling.type": gguf.RopeScalingType.LINEAR.value,
    }  # fmt: skip
    assert found["ntk"] == {"freq_base": pytest.approx(THETA * 4 ** (16 / 14), rel=1e-7)}
    assert found["yarn"] == {
        "freq_base": THETA, "scaling.type": gguf.RopeScalingType.YARN.value, "scaling.factor": 4.0,
        "scaling.original_context_length": TRAINED,
    }  # fmt: skip


def test_unscaled_the_words_are_what_they_were() -> None:
    plain = {"rope_type": "default", "rope_theta": THETA}
    expected = {"rope_theta": THETA, "rope_parameters": plain}
    assert exported_rope(random_model().config) == expected
