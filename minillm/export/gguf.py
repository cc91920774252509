"""A model as one GGUF file, which llama.cpp and its relatives load: weights, shape and tokenizer.

In: model and tokenizer. Out: GGUF version 3, little-endian: a count of facts and tensors, the
facts, where each tensor lies, then the tensors, each at a multiple of 32 bytes. The one trap: these
engines turn neighbouring pairs of a head (0, 1), (2, 3), …, where Llama checkpoints pair the halves
(0, K/2), (1, K/2 + 1), …: so the rows of query and key matrices change places. Left out: the K
quants (blocks of 256), splitting files. The file is put together in memory.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import torch

import minillm
from minillm.align.chat import CHAT_TEMPLATE, TURN_BEGIN, TURN_END
from minillm.core.records import atomic_write
from minillm.export.rope import exported_theta, refuse_other_positions
from minillm.model.transformer import ModelConfig, Transformer
from minillm.model.variants import refuse_variants
from minillm.tokenizer.bytepair import Tokenizer
from minillm.tokenizer.formats import printable

MAGIC, VERSION, ALIGNMENT = b"GGUF", 3, 32
# the numbers by which the format names its types of facts
UINT32, INT32, FLOAT32, BOOL, STRING, ARRAY = 4, 5, 6, 7, 8, 9
PACKING = {UINT32: "<I", INT32: "<i", FLOAT32: "<f", BOOL: "<?"}
# … of tensors, and of whole files
TensorType = Literal["f32", "f16", "q8_0"]
TENSOR_TYPE = {"f32": 0, "f16": 1, "q8_0": 8}
FILE_TYPE = {"f32": 0, "f16": 1, "q8_0": 7}
BLOCK = 32
NORMAL_TOKEN, CONTROL_TOKEN, UNUSED_TOKEN = 1, 3, 5
# the engines know split patterns by name only; this one's is cl100k's and Llama 3's, which is ours
SPLIT_NAME = "smaug-bpe"
NAME_BY_OURS = {
    "model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output",
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}  # fmt: skip

Fact = tuple[str, int, object]


# package only
def packed_text(text: str) -> bytes:
    """Length in eight bytes, then UTF-8."""
    content = text.encode()
    return struct.pack("<Q", len(content)) + content


# package only
def packed_value(kind: int, value: object) -> bytes:
    """One value as the format writes it."""
    return packed_text(str(value)) if kind == STRING else struct.pack(PACKING[kind], value)


# package only
def packed_fact(name: str, kind: int, value: object) -> bytes:
    """Name, type, value; a list is an array of its type."""
    if not isinstance(value, list):
        return packed_text(name) + struct.pack("<I", kind) + packed_value(kind, value)
    head = packed_text(name) + struct.pack("<IIQ", ARRAY, kind, len(value))
    return head + b"".join(packed_value(kind, each) for each in value)


def half_turned(weight_NK: torch.Tensor, num_heads: int) -> torch.Tensor:
    """Rows of each head from (first half, second half) to neighbouring pairs: 0, K/2, 1, K/2 + 1 …

    With it, turning neighbours gives the products that turning halves gave.
    """
    num_rows, width = weight_NK.shape
    halves = weight_NK.reshape(num_heads, 2, num_rows // num_heads // 2, width)
    return halves.transpose(1, 2).reshape(num_rows, width)


def rounded_half_away(x: torch.Tensor) -> torch.Tensor:
    """Nearest whole number, halves away from 0: C's rounding, not torch's, which is to even."""
    size = x.abs()
    whole = size.floor()
    return x.sign() * (whole + (2 * (size - whole)).floor())


def q8_0_blocks(weight_NK: torch.Tensor) -> torch.Tensor:
    """Blocks of 34 bytes: a float16 scale, absmax / 127, and 32 codes; as bytes `[N, K/32 · 34]`.

    Codes are found with the scale before it is rounded to float16, as the format's makers do.
    """
    blocks = weight_NK.float().unflatten(1, (-1, BLOCK))
    scales = blocks.abs().amax(dim=-1, keepdim=True) / 127
    inverse = torch.where(scales == 0, 0.0, 1.0 / scales)
    codes = rounded_half_away(blocks * inverse).to(torch.int8)
    parts = (scales.half().view(torch.uint8), codes.view(torch.uint8))
    return torch.cat(parts, dim=-1).flatten(1)


# package only
def tensor_bytes(tensor: torch.Tensor, kind: TensorType) -> bytes:
    """The numbers as they lie in the file."""
    plain = tensor.float().contiguous()
    stored = {"f32": lambda: plain, "f16": plain.half, "q8_0": lambda: q8_0_blocks(plain)}[kind]()
    return stored.contiguous().view(torch.uint8).numpy().tobytes()


# package only
def gguf_name(name: str) -> str:
    """`model.layers.3.mlp.up_proj.weight` → `blk.3.ffn_up.weight`."""
    path = name.removesuffix(".weight")
    if not path.startswith("model.layers."):
        return f"{NAME_BY_OURS[path]}.weight"
    layer, _, rest = path.removeprefix("model.layers.").partition(".")
    return f"blk.{layer}.{NAME_BY_OURS[rest]}.weight"


# package only
def gguf_tensors(
    model: Transformer, kind: TensorType
) -> Iterator[tuple[str, TensorType, torch.Tensor]]:
    """Every tensor under the format's name; vectors in float32, what fits no blocks in float16."""
    for name, parameter in model.named_parameters():
        tensor = parameter.detach().cpu()
        if name.endswith("q_proj.weight"):
            tensor = half_turned(tensor, model.config.num_heads)
        if name.endswith("k_proj.weight"):
            tensor = half_turned(tensor, model.config.num_kv_heads)
        own_kind = kind if tensor.ndim == 2 else "f32"
        if own_kind == "q8_0" and tensor.shape[1] % BLOCK:
            own_kind = "f16"  # a row must be whole blocks
        yield gguf_name(name), own_kind, tensor


# package only
def shape_facts(config: ModelConfig, kind: TensorType) -> list[Fact]:
    """What the model is, in the format's words; ValueError for what it has no words for."""
    refuse_variants(config, "a Llama of llama.cpp")
    sizes = {
        "context_length": config.context_length, "embedding_length": config.width,
        "block_count": config.num_layers, "feed_forward_length": config.ffn_width,
        "attention.head_count": config.num_heads, "attention.head_count_kv": config.num_kv_heads,
        "attention.key_length": config.head_width, "attention.value_length": config.head_width,
        "rope.dimension_count": config.head_width, "vocab_size": config.vocab_size,
    }  # fmt: skip
    return [
        ("general.architecture", STRING, "llama"),
        ("general.name", STRING, f"minillm {minillm.__version__}"),
        ("general.file_type", UINT32, FILE_TYPE[kind]),
        ("general.quantization_version", UINT32, 2),
        ("general.alignment", UINT32, ALIGNMENT),
        *((f"llama.{name}", UINT32, value) for name, value in sizes.items()),
        ("llama.attention.layer_norm_rms_epsilon", FLOAT32, config.norm_epsilon),
        *rope_facts(config),
    ]


# package only
def rope_facts(config: ModelConfig) -> list[Fact]:
    """How positions turn; ValueError for other positions than rotary ones."""
    refuse_other_positions(config, "llama.cpp")
    facts: list[Fact] = [("llama.rope.freq_base", FLOAT32, exported_theta(config))]
    if config.rope_scaling in ("linear", "yarn"):
        facts.append(("llama.rope.scaling.type", STRING, config.rope_scaling))
        facts.append(("llama.rope.scaling.factor", FLOAT32, config.rope_factor))
    if config.rope_scaling == "yarn":
        length = config.rope_trained_length
        facts.append(("llama.rope.scaling.original_context_length", UINT32, length))
    return facts


# package only
def tokenizer_facts(tokenizer: Tokenizer, vocab_size: int) -> list[Fact]:
    """Tokens in the order of their ids, merges in the order of their rank, marks by id."""
    num_plain = tokenizer.vocab_size - len(tokenizer.special_ids)
    tokens = [printable(tokenizer.token_bytes(index)) for index in range(num_plain)]
    num_unused = vocab_size - tokenizer.vocab_size
    kinds = [NORMAL_TOKEN] * num_plain + [CONTROL_TOKEN] * len(tokenizer.special_ids)
    facts: list[Fact] = [
        ("tokenizer.ggml.model", STRING, "gpt2"),
        ("tokenizer.ggml.pre", STRING, SPLIT_NAME),
        (
            "tokenizer.ggml.tokens", STRING,
            [*tokens, *tokenizer.special_ids, *(f"<|unused_{i}|>" for i in range(num_unused))],
        ),
        ("tokenizer.ggml.token_type", INT32, kinds + [UNUSED_TOKEN] * num_unused),
        (
            "tokenizer.ggml.merges", STRING,
            [f"{printable(left)} {printable(right)}" for left, right in tokenizer.merges],
        ),
        ("tokenizer.ggml.bos_token_id", UINT32, tokenizer.end_of_text),
        ("tokenizer.ggml.eos_token_id", UINT32, tokenizer.end_of_text),
        # a document begins with the mark: without it the model has never seen a first token
        ("tokenizer.ggml.add_bos_token", BOOL, True),
    ]  # fmt: skip
    if "<|pad|>" in tokenizer.special_ids:
        pad = tokenizer.special_ids["<|pad|>"]
        facts.append(("tokenizer.ggml.padding_token_id", UINT32, pad))
    if {TURN_BEGIN, TURN_END} <= tokenizer.special_ids.keys():
        facts += [
            ("tokenizer.ggml.eot_token_id", UINT32, tokenizer.special_ids[TURN_END]),
            ("tokenizer.chat_template", STRING, CHAT_TEMPLATE),
        ]
    return facts


# package only
def padded(content: bytes) -> bytes:
    """Zeros up to the next multiple of the alignment."""
    return content + bytes(-len(content) % ALIGNMENT)


# package only
def gguf_content(model: Transformer, tokenizer: Tokenizer, kind: TensorType) -> bytes:
    """The whole file."""
    facts = shape_facts(model.config, kind)
    facts += tokenizer_facts(tokenizer, model.config.vocab_size)
    places, contents, offset = [], [], 0
    for name, own_kind, tensor in gguf_tensors(model, kind):
        # the format counts the fastest-running dimension first
        sizes = struct.pack(f"<I{tensor.ndim}Q", tensor.ndim, *reversed(tensor.shape))
        places.append(
            packed_text(name) + sizes + struct.pack("<IQ", TENSOR_TYPE[own_kind], offset)
        )
        contents.append(padded(tensor_bytes(tensor, own_kind)))
        offset += len(contents[-1])
    head = MAGIC + struct.pack("<IQQ", VERSION, len(places), len(facts))
    head += b"".join(packed_fact(*fact) for fact in facts) + b"".join(places)
    return b"".join([padded(head), *contents])


# package only
def refuse_impossible_export(path: Path, kind: str) -> None:
    """ValueError naming what cannot be written so, and what can."""
    if kind not in TENSOR_TYPE:
        raise ValueError(f"type = {kind!r}: choose one of {', '.join(TENSOR_TYPE)}")
    if path.is_dir():
        raise ValueError(f"{path}: is a folder; name a file, for example {path / 'model.gguf'}")
    if path.is_file() and path.read_bytes()[:4] not in (b"", MAGIC):
        raise ValueError(f"{path}: exists and is no GGUF file; choose another name")


# package only
def save_gguf(
    model: Transformer, tokenizer: Tokenizer, path: Path | str, kind: TensorType = "f16"
) -> Path:
    """Write the file whole or not at all; ValueError where it cannot be written so."""
    path = Path(path)
    refuse_impossible_export(path, kind)
    atomic_write(path, gguf_content(model, tokenizer, kind))
    return path
