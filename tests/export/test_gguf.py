"""One GGUF file: read by the format's reader, computed by transformers, blocks by its makers."""

import struct
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, AutoTokenizer

from minillm.export import gguf as ours
from minillm.export.gguf import half_turned, packed_fact, q8_0_blocks, save_gguf
from minillm.export.huggingface import save_folder
from minillm.model.positions import rotary_angles
from minillm.model.transformer import ModelConfig, Transformer
from minillm.tokenizer.bytepair import Tokenizer, TokenizerConfig, train_tokenizer

VOCAB_SIZE = 300
TEXT = "the cat sat on the mat, and the dog sat on the cat.\n\nThe end of it all, it's 1234!"


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer([TEXT], TokenizerConfig(vocab_size=VOCAB_SIZE))


def random_model(**changes: object) -> Transformer:
    torch.manual_seed(0)
    shape = {
        "vocab_size": VOCAB_SIZE, "width": 96, "num_layers": 2, "num_heads": 6, "num_kv_heads": 2,
        "ffn_width": 160, "context_length": 40, "initial_std": 0.2, "rope_theta": 500.0,
        "norm_epsilon": 3e-5,
    }  # fmt: skip
    model = Transformer(ModelConfig(**(shape | changes))).eval()
    for parameter in model.parameters():
        if parameter.ndim == 1:
            torch.nn.init.uniform_(parameter, 0.5, 1.5)
    return model


def random_tokens() -> torch.Tensor:
    return torch.randint(0, VOCAB_SIZE, (3, 37), generator=torch.Generator().manual_seed(1))


def by_transformers(path: Path) -> torch.nn.Module:
    return AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name).eval()


@torch.no_grad()
@pytest.mark.parametrize("tie_embeddings", [True, False], ids=["tied", "untied"])
@pytest.mark.parametrize("num_kv_heads", [1, 2, 6])
def test_transformers_computes_the_same_from_it_as_from_the_folder(
    tmp_path, tokenizer, tie_embeddings, num_kv_heads
) -> None:
    model = random_model(tie_embeddings=tie_embeddings, num_kv_heads=num_kv_heads)
    theirs = by_transformers(save_gguf(model, tokenizer, tmp_path / "m.gguf", "f32"))
    folder = AutoModelForCausalLM.from_pretrained(save_folder(model, tokenizer, tmp_path / "hf"))
    found = theirs(random_tokens()).logits
    assert torch.equal(found, folder(random_tokens()).logits), "bit for bit"
    torch.testing.assert_close(found, model(random_tokens()), atol=1e-6, rtol=1e-6)
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, theirs.state_dict()[name]), name


@torch.no_grad()
def test_heads_left_as_they_were_are_seen_by_the_comparison(
    tmp_path, tokenizer, monkeypatch
) -> None:
    monkeypatch.setattr(ours, "half_turned", lambda weight, num_heads: weight)
    model = random_model()
    theirs = by_transformers(save_gguf(model, tokenizer, tmp_path / "m.gguf", "f32"))
    assert (theirs(random_tokens()).logits - model(random_tokens())).abs().max() > 1e-2


def test_turning_neighbours_after_the_exchange_gives_the_same_products() -> None:
    """What the exchange is for, without any library: scores of halves = scores of neighbours."""
    chance = torch.Generator().manual_seed(0)
    q_proj, k_proj = torch.randn(8, 12, generator=chance), torch.randn(8, 12, generator=chance)
    x = torch.randn(5, 12, generator=chance)
    cos, sin = rotary_angles(5, 8, 500.0)
    cos, sin = cos[:, :4], sin[:, :4]

    def turned(even: torch.Tensor, odd: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return even * cos - odd * sin, odd * cos + even * sin

    def halves(proj: torch.Tensor) -> torch.Tensor:
        y = x @ proj.T
        return torch.cat(turned(y[:, :4], y[:, 4:]), dim=1)

    def neighbours(proj: torch.Tensor) -> torch.Tensor:
        y = x @ half_turned(proj, 1).T
        return torch.stack(turned(y[:, 0::2], y[:, 1::2]), dim=-1).flatten(1)

    scores = halves(q_proj) @ halves(k_proj).T
    torch.testing.assert_close(neighbours(q_proj) @ neighbours(k_proj).T, scores)


def test_rows_change_places_by_hand() -> None:
    rows = torch.arange(8.0)[:, None]
    assert half_turned(rows, 1).flatten().tolist() == [0, 4, 1, 5, 2, 6, 3, 7]
    assert half_turned(rows, 2).flatten().tolist() == [0, 2, 1, 3, 4, 6, 5, 7]


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 5), st.integers(1, 4), st.integers(-12, 8), st.integers(0, 9999))
def test_q8_0_blocks_are_those_of_the_formats_makers(rows, blocks, power, seed) -> None:
    chance = torch.Generator().manual_seed(seed)
    weight = torch.randn(rows, 32 * blocks, generator=chance) * 2.0**power
    weight[0, :32] = 0
    weight[-1, 0] = weight.abs().max() * 3
    # exact halves of a step: where C's rounding and torch's differ
    weight[-1, 1] = weight[-1, 0] / 254 * 5
    theirs = gguf.quants.quantize(weight.numpy(), gguf.GGMLQuantizationType.Q8_0)
    assert np.array_equal(q8_0_blocks(weight).numpy(), theirs)


def test_rounding_to_even_would_be_seen(monkeypatch) -> None:
    """A block whose step is 1: .5, 2.5 and −4.5 lie exactly between two codes."""
    weight = torch.zeros(1, 32)
    weight[0, :4] = torch.tensor([127.0, 0.5, 2.5, -4.5])
    theirs = gguf.quants.quantize(weight.numpy(), gguf.GGMLQuantizationType.Q8_0)
    assert np.array_equal(q8_0_blocks(weight).numpy(), theirs)
    monkeypatch.setattr(ours, "rounded_half_away", torch.round)
    assert not np.array_equal(q8_0_blocks(weight).numpy(), theirs)


def test_the_reader_finds_every_tensor_as_it_was_written(tmp_path, tokenizer) -> None:
    model = random_model()
    for kind, number in (("f32", 0), ("f16", 1), ("q8_0", 8)):
        reader = gguf.GGUFReader(save_gguf(model, tokenizer, tmp_path / f"{kind}.gguf", kind))
        assert len(reader.tensors) == len(list(model.parameters()))
        for tensor in reader.tensors:
            is_matrix = len(tensor.shape) == 2
            assert tensor.tensor_type == (number if is_matrix else 0)
            assert tensor.data_offset % 32 == 0
        by_name = {tensor.name: tensor for tensor in reader.tensors}
        found = gguf.quants.dequantize(
            by_name["blk.1.ffn_down.weight"].data, by_name["blk.1.ffn_down.weight"].tensor_type
        )
        weight = model.model.layers[1].mlp.down_proj.weight.detach().numpy()
        allowed = {"f32": 0.0, "f16": 2**-11, "q8_0": 0.6 / 127}[kind] * np.abs(weight).max()
        assert np.abs(found - weight).max() <= allowed


def test_facts_are_read_back(tmp_path, tokenizer) -> None:
    reader = gguf.GGUFReader(save_gguf(random_model(), tokenizer, tmp_path / "m.gguf", "f16"))
    fact = {name: field.contents() for name, field in reader.fields.items()}
    assert fact["general.architecture"] == "llama" and fact["general.file_type"] == 1
    assert fact["llama.attention.head_count_kv"] == 2 and fact["llama.rope.freq_base"] == 500.0
    assert fact["llama.attention.layer_norm_rms_epsilon"] == pytest.approx(3e-5)
    assert fact["tokenizer.ggml.pre"] == "smaug-bpe"
    assert fact["tokenizer.ggml.add_bos_token"] is True
    tokens, kinds = fact["tokenizer.ggml.tokens"], fact["tokenizer.ggml.token_type"]
    assert len(tokens) == len(kinds) == VOCAB_SIZE
    assert tokens[tokenizer.end_of_text] == "<|endoftext|>"
    assert [index for index, kind in enumerate(kinds) if kind == 3] == sorted(
        tokenizer.special_ids.values()
    )
    assert fact["tokenizer.ggml.eot_token_id"] == tokenizer.special_ids["<|im_end|>"]
    assert "<|im_start|>" in fact["tokenizer.chat_template"]


@pytest.mark.parametrize("text", [TEXT, "", " ", "a\r\n\r\nb  c\t", "日本語 12345", "it's çà 🙂"])
def test_the_tokenizer_in_the_file_gives_the_same_ids(tmp_path, tokenizer, text) -> None:
    path = save_gguf(random_model(), tokenizer, tmp_path / "m.gguf", "f16")
    theirs = AutoTokenizer.from_pretrained(tmp_path, gguf_file=path.name)
    assert theirs.encode(text, add_special_tokens=False) == tokenizer.encode(text)


def test_a_vocabulary_with_room_to_spare_is_filled_with_unused_tokens(tmp_path, tokenizer) -> None:
    model = random_model(vocab_size=VOCAB_SIZE + 3)
    fact = gguf.GGUFReader(save_gguf(model, tokenizer, tmp_path / "m.gguf")).fields
    assert fact["tokenizer.ggml.token_type"].contents()[-3:] == [5, 5, 5]
    assert len(set(fact["tokenizer.ggml.tokens"].contents())) == VOCAB_SIZE + 3


def test_a_tokenizer_without_turns_has_no_template(tmp_path) -> None:
    plain = train_tokenizer(
        [TEXT], TokenizerConfig(vocab_size=290, special_tokens=("<|endoftext|>",))
    )
    model = random_model(vocab_size=290)
    fields = gguf.GGUFReader(save_gguf(model, plain, tmp_path / "m.gguf")).fields
    assert "tokenizer.chat_template" not in fields
    theirs = AutoTokenizer.from_pretrained(save_folder(model, plain, tmp_path / "hf"))
    assert theirs.chat_template is None


def test_a_fact_by_hand() -> None:
    found = packed_fact("ab", 4, 7)
    assert found == struct.pack("<Q", 2) + b"ab" + struct.pack("<II", 4, 7)
    listed = packed_fact("x", 8, ["hé"])
    assert listed == b"\x01" + bytes(7) + b"x" + struct.pack("<IIQQ", 9, 8, 1, 3) + "hé".encode()


def test_rows_that_are_no_whole_blocks_are_stored_in_float16(tmp_path, tokenizer) -> None:
    model = random_model(ffn_width=77)
    reader = gguf.GGUFReader(save_gguf(model, tokenizer, tmp_path / "m.gguf", "q8_0"))
    kinds = {each.name: each.tensor_type.name for each in reader.tensors}
    assert kinds["blk.0.ffn_down.weight"] == "F16" and kinds["blk.0.ffn_up.weight"] == "Q8_0"
    theirs = by_transformers(tmp_path / "m.gguf").state_dict()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(theirs[name], parameter, atol=2e-2, rtol=1e-2)


def test_what_cannot_be_written_is_refused_and_nothing_is_left(tmp_path, tokenizer) -> None:
    odd = random_model(ffn_width=77)
    with pytest.raises(ValueError, match="is a folder; name a file"):
        save_gguf(odd, tokenizer, tmp_path, "f16")
    with pytest.raises(ValueError, match="choose one of f32, f16, q8_0"):
        save_gguf(odd, tokenizer, tmp_path / "m.gguf", "q4_k")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(ValueError, match="exists and is no GGUF file"):
        save_gguf(odd, tokenizer, tmp_path / "thesis.txt", "f16")
    save_gguf(odd, tokenizer, tmp_path / "m.gguf", "f16")
    save_gguf(odd, tokenizer, tmp_path / "m.gguf", "f32")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.gguf", "thesis.txt"]
