"""Folders mean the same to transformers and to us; what we cannot compute is refused."""

import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
)

from minillm.export import huggingface
from minillm.export.huggingface import load_folder, save_folder
from minillm.model.transformer import ModelConfig, Transformer
from minillm.tokenizer.bytepair import Tokenizer, TokenizerConfig, train_tokenizer

TEXTS = [
    "the cat sat on the mat, and the dog sat on the cat.\n\nThe end of it all!",
    "it's 1234 o'clock — çà et là 🙂",
]
VOCAB_SIZE = 300


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer(TEXTS, TokenizerConfig(vocab_size=VOCAB_SIZE))


def random_model(**changes: object) -> Transformer:
    """Weights large enough that every part moves the logits, norms included."""
    torch.manual_seed(0)
    shape = {
        "vocab_size": VOCAB_SIZE,
        "width": 48,
        "num_layers": 3,
        "num_heads": 6,
        "num_kv_heads": 2,
        "ffn_width": 77,
        "context_length": 40,
        "initial_std": 0.2,
        "rope_theta": 500.0,
        "norm_epsilon": 3e-5,
    }
    model = Transformer(ModelConfig(**(shape | changes)))
    for parameter in model.parameters():
        if parameter.ndim == 1:
            torch.nn.init.uniform_(parameter, 0.5, 1.5)
    return model


def random_tokens(length: int = 37) -> torch.Tensor:
    return torch.randint(0, VOCAB_SIZE, (3, length), generator=torch.Generator().manual_seed(1))


@torch.no_grad()
@pytest.mark.parametrize("tie_embeddings", [True, False], ids=["tied", "untied"])
@pytest.mark.parametrize("num_kv_heads", [1, 2, 6])
def test_transformers_computes_the_same_logits(
    tmp_path: Path, tokenizer: Tokenizer, tie_embeddings: bool, num_kv_heads: int
) -> None:
    model = random_model(tie_embeddings=tie_embeddings, num_kv_heads=num_kv_heads)
    theirs = AutoModelForCausalLM.from_pretrained(save_folder(model, tokenizer, tmp_path / "out"))
    ours_BTV, theirs_BTV = model(random_tokens()), theirs(random_tokens()).logits
    assert ours_BTV.std() > 0.5
    torch.testing.assert_close(ours_BTV, theirs_BTV, atol=1e-6, rtol=1e-6)


@torch.no_grad()
@pytest.mark.parametrize("tie_embeddings", [True, False], ids=["tied", "untied"])
def test_saved_and_loaded_back_is_the_same_model(
    tmp_path: Path, tokenizer: Tokenizer, tie_embeddings: bool
) -> None:
    model = random_model(tie_embeddings=tie_embeddings)
    loaded, loaded_tokenizer = load_folder(save_folder(model, tokenizer, tmp_path / "out"))
    assert loaded.config == model.config
    assert torch.equal(loaded(random_tokens()), model(random_tokens()))
    assert loaded_tokenizer.encode(TEXTS[0]) == tokenizer.encode(TEXTS[0])
    assert (loaded.lm_head.weight is loaded.model.embed_tokens.weight) == tie_embeddings


def transformers_folder(folder: Path, tokenizer: Tokenizer, **changes: object) -> LlamaForCausalLM:
    torch.manual_seed(2)
    shape = {
        "vocab_size": VOCAB_SIZE,
        "hidden_size": 48,
        "intermediate_size": 77,
        "num_hidden_layers": 2,
        "num_attention_heads": 6,
        "num_key_value_heads": 3,
        "max_position_embeddings": 40,
        "initializer_range": 0.2,
        "rope_theta": 700.0,
    }
    theirs = LlamaForCausalLM(LlamaConfig(**(shape | changes)))
    theirs.save_pretrained(folder)
    tokenizer.save(folder / "tokenizer.json")
    return theirs


@torch.no_grad()
@pytest.mark.parametrize("tie_word_embeddings", [True, False], ids=["tied", "untied"])
def test_a_folder_of_save_pretrained_loads(
    tmp_path: Path, tokenizer: Tokenizer, tie_word_embeddings: bool
) -> None:
    theirs = transformers_folder(tmp_path, tokenizer, tie_word_embeddings=tie_word_embeddings)
    ours, _ = load_folder(tmp_path)
    torch.testing.assert_close(
        ours(random_tokens()), theirs(random_tokens()).logits, atol=1e-6, rtol=1e-6
    )


@torch.no_grad()
def test_theirs_through_ours_and_out_again_is_theirs(tmp_path: Path, tokenizer: Tokenizer) -> None:
    theirs = transformers_folder(tmp_path / "in", tokenizer)
    save_folder(*load_folder(tmp_path / "in"), tmp_path / "out")
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    assert torch.equal(again(random_tokens()).logits, theirs(random_tokens()).logits)


def test_bfloat16_weights_are_read_as_float32(tmp_path: Path, tokenizer: Tokenizer) -> None:
    model = random_model().bfloat16()
    folder = save_folder(model, tokenizer, tmp_path / "out")
    assert json.loads((folder / "config.json").read_text())["dtype"] == "bfloat16"
    loaded, _ = load_folder(folder)
    for ours, theirs in zip(loaded.parameters(), model.parameters(), strict=True):
        assert ours.dtype == torch.float32 and torch.equal(ours, theirs.float())


def test_whoever_may_read_the_folder_may_read_its_files(
    tmp_path: Path, tokenizer: Tokenizer
) -> None:
    before = os.umask(0o022)
    try:
        folder = save_folder(random_model(), tokenizer, tmp_path / "out")
    finally:
        os.umask(before)
    modes = {each.name: oct(each.stat().st_mode & 0o777) for each in folder.iterdir()}
    assert set(modes.values()) == {"0o644"}, modes


def test_a_tied_head_is_stored_once(tmp_path: Path, tokenizer: Tokenizer) -> None:
    folder = save_folder(random_model(), tokenizer, tmp_path / "out")
    stored = load_file(folder / "model.safetensors")
    assert "lm_head.weight" not in stored
    assert sum(tensor.numel() for tensor in stored.values()) == random_model().num_parameters


@pytest.mark.parametrize(
    "text", [*TEXTS, "", " ", "a\r\n\r\nb  c\t", "<|endoftext|>x", "日本語 12345"]
)
def test_auto_tokenizer_gives_the_same_ids(tmp_path: Path, tokenizer: Tokenizer, text: str) -> None:
    theirs = AutoTokenizer.from_pretrained(save_folder(random_model(), tokenizer, tmp_path / "out"))
    ids = theirs.encode(text, add_special_tokens=False, split_special_tokens=True)
    assert ids == tokenizer.encode(text)
    assert theirs.decode(ids) == text


def test_marks_are_known_to_transformers(tmp_path: Path, tokenizer: Tokenizer) -> None:
    folder = save_folder(random_model(), tokenizer, tmp_path / "out")
    theirs, model = (
        AutoTokenizer.from_pretrained(folder),
        AutoModelForCausalLM.from_pretrained(folder),
    )
    assert theirs.eos_token_id == theirs.bos_token_id == tokenizer.end_of_text
    turn_end = tokenizer.special_ids["<|im_end|>"]
    assert model.generation_config.eos_token_id == [tokenizer.end_of_text, turn_end]
    assert theirs.pad_token_id == tokenizer.special_ids["<|pad|>"]
    assert theirs.model_max_length == 40


def test_transformers_generates_what_we_would(tmp_path: Path, tokenizer: Tokenizer) -> None:
    from minillm.model.generate import generate

    model = random_model()
    theirs = AutoModelForCausalLM.from_pretrained(save_folder(model, tokenizer, tmp_path / "out"))
    prompt = [tokenizer.end_of_text, *tokenizer.encode("the cat")]
    output = theirs.generate(
        torch.tensor([prompt]), max_new_tokens=12, do_sample=False, eos_token_id=None
    )
    assert output[0, len(prompt) :].tolist() == generate(
        model, prompt, max_tokens=12, temperature=0
    )


@torch.no_grad()
def test_a_planted_bug_is_seen_by_the_comparison(
    tmp_path: Path, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong theta or epsilon must show in the logits, else parity proves nothing."""
    model = random_model()
    for field, wrong in (
        ("rope_theta", 10_000.0),
        ("rms_norm_eps", 1e-2),
        ("num_key_value_heads", 1),
    ):
        folder = save_folder(model, tokenizer, tmp_path / field)
        config = json.loads((folder / "config.json").read_text()) | {field: wrong}
        if field == "rope_theta":
            config["rope_parameters"]["rope_theta"] = wrong
        (folder / "config.json").write_text(json.dumps(config))
        theirs = AutoModelForCausalLM.from_pretrained(folder, ignore_mismatched_sizes=True)
        assert (theirs(random_tokens()).logits - model(random_tokens())).abs().max() > 1e-3


# What is refused, and how clearly


def changed_config(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.fixture
def folder(tmp_path: Path, tokenizer: Tokenizer) -> Path:
    return save_folder(random_model(), tokenizer, tmp_path / "out")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("architectures", ["MistralForCausalLM"]),
        ("model_type", "qwen3"),
        ("rope_scaling", {"type": "dynamic", "factor": 2.0}),
        ("rope_scaling", {"rope_type": "llama3", "factor": 8.0}),
        ("rope_parameters", {"rope_type": "linear", "rope_theta": 1e4, "factor": 0.5}),
        ("rope_parameters", {"rope_type": "default", "partial_rotary_factor": 0.5}),
        ("attention_bias", True),
        ("mlp_bias", True),
        ("hidden_act", "gelu"),
        ("head_dim", 16),
        ("num_key_value_heads", 4),
        ("vocab_size", 0),
        ("hidden_size", "48"),
        ("num_attention_heads", 0),
        ("quantization_config", {"bits": 4}),
    ],
)
def test_what_we_would_compute_differently_is_refused(
    folder: Path, field: str, value: object
) -> None:
    changed_config(folder, **{field: value})
    with pytest.raises(ValueError, match="config.json|num_kv_heads|vocab_size") as caught:
        load_folder(folder)
    assert "\n" not in str(caught.value)


def test_another_family_is_refused_by_name(tmp_path: Path) -> None:
    GPT2LMHeadModel(GPT2Config(n_layer=1, n_head=2, n_embd=8, vocab_size=11)).save_pretrained(
        tmp_path
    )
    with pytest.raises(ValueError, match="GPT2LMHeadModel.*only LlamaForCausalLM"):
        load_folder(tmp_path)


def test_an_unscaled_rope_scaling_is_no_scaling(folder: Path) -> None:
    changed_config(folder, rope_scaling={"rope_type": "default"})
    assert load_folder(folder)[0].config == random_model().config


def test_missing_field_is_named(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    del config["intermediate_size"]
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="'intermediate_size' of a Llama model is missing"):
        load_folder(folder)


@pytest.mark.parametrize("content", [b"", b"[1]", b"\xff\xfe\x00", b"{"])
def test_broken_config_is_one_clear_line(folder: Path, content: bytes) -> None:
    (folder / "config.json").write_bytes(content)
    with pytest.raises(ValueError, match="config.json: not a model configuration"):
        load_folder(folder)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
def test_missing_file_is_named_with_what_is_there(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(FileNotFoundError, match=f"{name}: missing .*generation_config.json"):
        load_folder(folder)


def test_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere.config.json: missing"):
        load_folder(tmp_path / "nowhere")


def test_missing_extra_and_misshaped_tensors_are_named(folder: Path) -> None:
    path = folder / "model.safetensors"
    weights = load_file(path)
    norm = "model.norm.weight"
    for changed, words in (
        (
            {name: tensor for name, tensor in weights.items() if name != norm},
            "lacks model.norm.weight",
        ),
        (weights | {"model.extra": torch.ones(1)}, "also has model.extra"),
        (weights | {norm: torch.ones(7)}, r"model.norm.weight has shape \(7,\).*\(48,\)"),
        (weights | {"lm_head.weight": torch.ones(VOCAB_SIZE, 48)}, "tie_word_embeddings"),
    ):
        save_file(changed, path)
        with pytest.raises(ValueError, match=words):
            load_folder(folder)
    save_file(weights | {"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(4)}, path)
    load_folder(folder)


def test_truncated_weights_are_refused(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match="not a whole safetensors file"):
        load_folder(folder)


def test_sharded_weights_are_refused_with_the_remedy(tmp_path: Path, tokenizer: Tokenizer) -> None:
    theirs = transformers_folder(tmp_path, tokenizer)
    (tmp_path / "model.safetensors").unlink()
    theirs.save_pretrained(tmp_path, max_shard_size="50KB")
    assert (tmp_path / "model.safetensors.index.json").is_file()
    with pytest.raises(ValueError, match="sharded.*max_shard_size"):
        load_folder(tmp_path)


def test_a_tokenizer_larger_than_the_vocabulary_is_refused(
    tmp_path: Path, tokenizer: Tokenizer
) -> None:
    transformers_folder(tmp_path, tokenizer, vocab_size=VOCAB_SIZE - 1)
    with pytest.raises(ValueError, match="300 tokens.*vocab_size = 299"):
        load_folder(tmp_path)


# Whole or not at all


def test_a_failed_save_leaves_nothing(
    tmp_path: Path, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(huggingface, "write_json", full_disk)
    with pytest.raises(OSError, match="No space"):
        save_folder(random_model(), tokenizer, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_failed_save_keeps_the_earlier_folder(
    folder: Path, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (folder / "model.safetensors").read_bytes()
    monkeypatch.setattr(huggingface, "exported_config", lambda *_: {"broken": object()})
    with pytest.raises(TypeError):
        save_folder(random_model(num_layers=1), tokenizer, folder)
    assert (folder / "model.safetensors").read_bytes() == before
    assert [path.name for path in folder.parent.iterdir()] == ["out"]


def test_saving_again_replaces_an_earlier_export(folder: Path, tokenizer: Tokenizer) -> None:
    save_folder(random_model(num_layers=1), tokenizer, folder)
    assert load_folder(folder)[0].config.num_layers == 1


def test_other_files_are_never_replaced(folder: Path, tokenizer: Tokenizer) -> None:
    (folder / "thesis.txt").write_text("years of work")
    with pytest.raises(ValueError, match="holds other files; choose a new or empty folder"):
        save_folder(random_model(), tokenizer, folder)
    assert (folder / "thesis.txt").read_text() == "years of work"
    file = folder.parent / "file"
    shutil.copy(folder / "config.json", file)
    with pytest.raises(ValueError, match="other files"):
        save_folder(random_model(), tokenizer, file)


# Tokenizers of other hands


def test_a_tokenizer_that_transformers_saved_loads(tmp_path: Path, tokenizer: Tokenizer) -> None:
    folder = save_folder(random_model(), tokenizer, tmp_path / "out")
    AutoTokenizer.from_pretrained(folder).save_pretrained(folder)
    _, loaded = load_folder(folder)
    for text in TEXTS:
        assert loaded.encode(text) == tokenizer.encode(text)


def test_a_tokenizer_that_splits_otherwise_is_refused(folder: Path) -> None:
    path = folder / "tokenizer.json"
    content = path.read_text(encoding="utf-8")
    changed = content.replace(r"\\p{N}{1,3}", r"\\p{N}")
    assert changed != content
    path.write_text(changed, encoding="utf-8")
    with pytest.raises(ValueError, match="tokenizer.json"):
        load_folder(folder)


# Conversations


def test_the_chat_template_writes_what_the_course_writes(
    tmp_path: Path, tokenizer: Tokenizer
) -> None:
    from minillm.align.chat import Message, prompt_tokens

    theirs = AutoTokenizer.from_pretrained(save_folder(random_model(), tokenizer, tmp_path / "out"))
    messages = [{"role": "user", "content": "who sat on the mat?"}]
    ids = theirs.apply_chat_template(messages, add_generation_prompt=True)["input_ids"]
    assert ids == prompt_tokens([Message("user", "who sat on the mat?")], tokenizer)
