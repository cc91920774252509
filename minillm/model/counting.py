"""What a model costs, counted from its shape before it is built, and what it did cost, measured.

In: a configuration and a batch's size. Out: parameters, floating-point operations, bytes. One
multiplication and one addition are two operations; only matrix products are counted, which is where
the time goes. Bytes are those of float32. `saved_bytes` and `peak_bytes` measure what the formulas
predict. Left out: what a kernel allocates inside itself, element-wise arithmetic, other precisions.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from torch import nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakIdKeyDictionary

from minillm.model.transformer import ModelConfig
from minillm.model.variants import (
    feed_forward_parameters,
    layer_window,
    norm_parameters,
    refuse_variants,
)

# variants of which is known what they keep
COUNTED = frozenset(("qk_norm", "norm_position", "window", "full_every"))
FLOAT_BYTES = 4
ID_BYTES = 8
ORDINAL_BYTES = 4
# 2 on the way forward, 4 on the way back: each product X·W has two there, for X and for W
TRAINING_FLOPS_PER_WEIGHT = 6


def parameter_counts(config: ModelConfig) -> dict[str, int]:
    """The stored numbers by part; they add up to `config.num_parameters`."""
    D, kv_width = config.width, config.num_kv_heads * config.head_width
    num_places = config.context_length if config.positions == "learned" else 0
    return {
        "embedding": (config.vocab_size + num_places) * D,
        "attention": config.num_layers * (2 * D * D + 2 * D * kv_width),
        "feed-forward": config.num_layers * feed_forward_parameters(config),
        "norms": config.num_layers * norm_parameters(config) + D,
        "head": 0 if config.tie_embeddings else config.vocab_size * D,
    }


def active_parameters(config: ModelConfig) -> int:
    """The stored numbers that one token uses: of its experts alone; without experts all of them."""
    all_parts = feed_forward_parameters(config)
    idle = all_parts - feed_forward_parameters(config, is_active=True)
    return config.num_parameters - config.num_layers * idle


def layer_flops(config: ModelConfig, num_tokens: int, num_keys: int) -> int:
    """All layers read `num_tokens` tokens of which each looks at `num_keys` keys, hidden ones too:
    2 a token and weight, and 2D for the scores and 2D for the weighted sum a layer and key."""
    feed_forward = config.num_layers * feed_forward_parameters(config, is_active=True)
    weights = parameter_counts(config)["attention"] + feed_forward
    return num_tokens * (2 * weights + 4 * config.num_layers * config.width * num_keys)


def head_flops(config: ModelConfig, num_logits: int) -> int:
    """The head's product at so many places: 2VD each."""
    return num_logits * 2 * config.vocab_size * config.width


def forward_flops(
    config: ModelConfig, num_tokens: int, num_keys: int, num_logits: int | None = None
) -> int:
    """Tokens to logits, at every place or at the last `num_logits` alone."""
    logits = num_tokens if num_logits is None else num_logits
    return layer_flops(config, num_tokens, num_keys) + head_flops(config, logits)


def training_flops(
    config: ModelConfig, num_rows: int, length: int, is_recomputed: bool = False
) -> int:
    """A step over `num_rows` rows: forward, twice that back, and, if activations are not kept, the
    layers again up to each one's last product, `down`: nothing needs its result."""
    num_tokens = num_rows * length
    again = 0
    if is_recomputed:
        again = layer_flops(config, num_tokens, length)
        if config.num_experts is None and config.norm_position == "pre":  # else something needs it
            again -= 2 * num_tokens * config.num_layers * config.ffn_width * config.width
    return 3 * forward_flops(config, num_tokens, length) + again


def approximate_training_flops(num_parameters: float, num_tokens: float) -> float:
    """6·N·D (Kaplan et al., arXiv:2001.08361; in these letters Hoffmann et al., arXiv:2203.15556):
    `training_flops` without scores and sums of attention, with norms and an untied embedding as if
    they were matrices."""
    return TRAINING_FLOPS_PER_WEIGHT * num_parameters * num_tokens


def cache_bytes(config: ModelConfig, num_tokens: int, number_bytes: int = FLOAT_BYTES) -> int:
    """A key and a value of K numbers in each of G heads of each layer, for each token of a row."""
    kv_width = config.num_kv_heads * config.head_width
    return 2 * config.num_layers * kv_width * num_tokens * number_bytes


def attention_numbers(config: ModelConfig, length: int) -> int:
    """What attention keeps of a token: queries, keys, values, output, as much of its weights as the
    form needs to go back, one sum a head or all T of them; and what norms of queries and keys do:
    their input, its sizes, the quotient."""
    D, H, G = config.width, config.num_heads, config.num_kv_heads
    kv_width = G * config.head_width
    norms = 2 * D + H + 2 * kv_width + G if config.qk_norm else 0
    if config.attention == "reference":  # keys and values repeated for every query head
        return norms + 4 * D + H * length
    return norms + 2 * D + 2 * kv_width + H


def mask_bytes(config: ModelConfig, rows: int, length: int, is_packed: bool, index: int) -> int:
    """What a layer keeps of the mask: booleans, or for PyTorch's kernel, if it is more than causal,
    numbers to be added; for the Triton kernel (where Triton is; it knows no prices) where the
    document of each place begins and ends. A mask of whole rows is one for all."""
    pairs = (rows if is_packed else 1) * length**2
    if config.attention == "reference":
        return pairs
    if config.positions == "alibi":
        return FLOAT_BYTES * pairs * config.num_heads
    if config.attention == "triton":
        return 2 * ORDINAL_BYTES * rows * length if is_packed else 0
    window = layer_window(config, index)
    is_plain = not is_packed and (window is None or window >= length)
    return 0 if is_plain else FLOAT_BYTES * pairs


def activation_bytes(
    config: ModelConfig,
    num_rows: int,
    length: int,
    *,
    has_documents: bool = False,
    is_recomputed: bool = False,
) -> int:
    """What the forward pass of a step keeps for the way back, beside weights; float32, no experts.

    A norm keeps its input, the input's size, the quotient and the product with w; the feed-forward
    part gate, silu, up and their product; the loss a probability a logit, ids and targets. Layers
    that are recomputed keep their input alone.
    """
    refuse_variants(config, "this count of activations", COUNTED)
    D, L, num_tokens = config.width, config.num_layers, num_rows * length
    norm = 3 * D + 1
    numbers = 2 * norm + attention_numbers(config, length) + 4 * config.ffn_width
    layers = L * FLOAT_BYTES * num_tokens * numbers
    layers += sum(mask_bytes(config, num_rows, length, has_documents, index) for index in range(L))
    outside = num_tokens * (FLOAT_BYTES * (norm + config.vocab_size) + 2 * ID_BYTES)
    outside += FLOAT_BYTES  # how many targets counted
    if is_recomputed:
        layers = L * FLOAT_BYTES * num_tokens * D
    is_read_back = config.attention == "triton" and config.positions != "alibi"
    if has_documents and (is_recomputed or is_read_back):
        outside += ORDINAL_BYTES * num_tokens  # the documents, one tensor for all layers
    if config.positions == "learned":  # which row of the table each place has taken
        outside += ID_BYTES * length * (num_rows if has_documents else 1)
    return layers + outside


def saved_bytes(model: nn.Module, loss: Callable[[], torch.Tensor]) -> int:
    """The storages that autograd keeps while `loss()` runs, each once, beside the model's own."""
    own = {each.untyped_storage().data_ptr() for each in (*model.parameters(), *model.buffers())}
    kept: dict[int, torch.Tensor] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor  # held, so that no address comes twice
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor):
        loss()
    return sum(each.untyped_storage().nbytes() for at, each in kept.items() if at not in own)


def tensors_in(value: object) -> Iterator[torch.Tensor]:
    """The tensors of nested lists, tuples and dictionaries."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, list | tuple | dict):
        for each in value.values() if isinstance(value, dict) else value:
            yield from tensors_in(each)


class LiveBytes(TorchDispatchMode):
    """Inside this context: how many bytes the tensors made in it take, at the moment they take
    most."""

    def __init__(self) -> None:
        super().__init__()
        self.alive, self.peak_bytes = WeakIdKeyDictionary(), 0

    def __torch_dispatch__(
        self,
        function: Callable[..., object],
        types: Sequence[type],
        arguments: tuple = (),
        options: Mapping[str, object] | None = None,
    ) -> object:
        given = {each.untyped_storage()._cdata for each in tensors_in((arguments, options))}
        result = function(*arguments, **(options or {}))
        for each in tensors_in(result):
            storage = each.untyped_storage()
            if storage._cdata not in given:  # not a view, and not changed in place
                self.alive[storage] = storage.nbytes()
        self.peak_bytes = max(self.peak_bytes, sum(self.alive.values()))
        return result


def peak_bytes(work: Callable[[], object]) -> int:
    """The most that the tensors take which `work()` makes, on the way forward and back."""
    with LiveBytes() as live:
        work()
    return live.peak_bytes
