"""Generation against transformers' `generate` on the same weights: prefill and decode apart.

In: nothing; a model of 5.4 M parameters gets fresh weights, which cost as much as trained ones, and
transformers' Llama the same ones. Out: tokens/s of reading a prompt and of each further token, for
batches of 1 and 16, with each cache and without, all in turns; and how near decoding comes to what
the memory's measured speed allows, ours alone. A comparison counts only if the texts are the same,
so greedy texts are compared first. With one thread the processor's own seconds count, which are the
same whatever else the machine does. Left out: compiled graphs, other number formats, GPUs.
"""

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

import torch

from minillm.bench.measuring import median_seconds
from minillm.model.caches import KeyValueCache, StaticCache
from minillm.model.generate import generate_batch, last_logits
from minillm.model.transformer import ModelConfig, Transformer

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM

SHAPE = ModelConfig(
    vocab_size=4096, width=256, num_layers=6, num_heads=4, num_kv_heads=2, ffn_width=688,
    context_length=256,
    # so large that no two tokens are nearly alike: both sides must take the same
    initial_std=0.1,
)  # fmt: skip
NUM_PROMPT, NUM_NEW, BATCH_SIZES, REPEATS = 128, 32, (1, 16), 5
NUM_READS = 20

Tokens = list[list[int]]
# A way to write: prompts and how many tokens → texts.
Writer = Callable[[Tokens, int], Tokens]


# package only
def peer_model(model: Transformer) -> "LlamaForCausalLM":
    """The same weights in transformers' Llama, set to greedy writing without an end."""
    from transformers import LlamaConfig, LlamaForCausalLM

    shape = model.config
    peer = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=shape.vocab_size, hidden_size=shape.width, head_dim=shape.head_width,
            intermediate_size=shape.ffn_width, num_hidden_layers=shape.num_layers,
            num_attention_heads=shape.num_heads, num_key_value_heads=shape.num_kv_heads,
            max_position_embeddings=shape.context_length, rms_norm_eps=shape.norm_epsilon,
            rope_theta=shape.rope_theta, tie_word_embeddings=shape.tie_embeddings,
            bos_token_id=None, eos_token_id=None, pad_token_id=0,
        )
    )  # fmt: skip
    peer.load_state_dict(model.state_dict())
    return peer.eval()


# package only
def writers(model: Transformer, peer: "LlamaForCausalLM") -> dict[str, Writer]:
    """By name: each way to write the likeliest tokens after prompts of one length."""

    def ours(prompts: Tokens, count: int, *, kind: str) -> Tokens:
        room = len(prompts[0]) + count
        caches = {"plain": KeyValueCache, "static": partial(StaticCache, room)}
        kept = {"cache": caches[kind]()} if kind in caches else {"use_cache": False}
        return generate_batch(model, prompts, max_tokens=count, temperature=0, **kept)

    @torch.no_grad()
    def theirs(prompts: Tokens, count: int) -> Tokens:
        given_BT = torch.tensor(prompts)
        options = {"max_new_tokens": count, "do_sample": False, "use_cache": True}
        whole_BT = peer.generate(given_BT, attention_mask=torch.ones_like(given_BT), **options)
        return whole_BT[:, given_BT.shape[1] :].tolist()

    kinds = {"plain": "ours, plain cache", "static": "ours, static cache", "none": "ours, no cache"}
    ways: dict[str, Writer] = {name: partial(ours, kind=kind) for kind, name in kinds.items()}
    return ways | {"transformers": theirs}


# package only
def clock() -> Callable[[], float]:
    """The processor's time where one thread works: nobody else's is in it; else the wall's."""
    return time.process_time if torch.get_num_threads() == 1 else time.perf_counter


# package only
def rates(
    ways: Mapping[str, Writer], prompts: Tokens, num_new: int, repeats: int
) -> dict[str, dict[str, float]]:
    """Tokens/s of both phases: one token costs the prefill, what further ones add is decoding."""
    actions = {}
    for name, write in ways.items():
        actions[name, "prefill"] = partial(write, prompts, 1)
        actions[name, "whole"] = partial(write, prompts, 1 + num_new)
    seconds = median_seconds(actions, repeats, clock())
    figures = {}
    for name in ways:
        prefill_s, whole_s = seconds[name, "prefill"], seconds[name, "whole"]
        figures[name] = {
            "prefill_tokens_per_s": len(prompts) * len(prompts[0]) / prefill_s,
            "decode_tokens_per_s": len(prompts) * num_new / (whole_s - prefill_s),
        }
    return figures


# package only
@torch.no_grad()
def bytes_and_seconds(model: Transformer, prompts: Tokens, repeats: int) -> dict[str, float]:
    """One decode step beside the reading of as many bytes as it has to read, in turns."""
    text_BT = torch.tensor(prompts)
    cache = StaticCache(text_BT.shape[1])
    last_logits(model, text_BT, cache)
    weight_bytes = sum(each.nbytes for each in model.parameters())
    cache_bytes = sum(room.nbytes for room in cache.rooms.values())
    # a product with a vector reads each number once, and faster than a sum does
    memory, vector = torch.ones((weight_bytes + cache_bytes) // 4000, 1000), torch.ones(1000)

    def step() -> None:
        cache.num_tokens = text_BT.shape[1] - 1
        last_logits(model, text_BT, cache)

    actions = {"step": step, "read": lambda: memory @ vector}
    seconds = median_seconds(actions, repeats * NUM_READS, clock())
    return {
        "weight_bytes": weight_bytes,
        "cache_bytes": cache_bytes,
        "read_gb_per_s": memory.nbytes / seconds["read"] / 1e9,
        "floor_ms": 1000 * seconds["read"],
        "step_ms": 1000 * seconds["step"],
        "step_over_floor": seconds["step"] / seconds["read"],
    }


# package only
def measure(
    shape: ModelConfig = SHAPE, num_prompt: int = NUM_PROMPT, num_new: int = NUM_NEW,
    repeats: int = REPEATS,
) -> dict[str, object]:  # fmt: skip
    """By batch size: tokens/s of both phases, ratios to transformers, decoding and its floor."""
    torch.manual_seed(0)
    model = Transformer(shape).eval()
    ways = writers(model, peer_model(model))
    figures: dict[str, object] = {
        "parameters": model.num_parameters, "dtype": "float32", "threads": torch.get_num_threads(),
        "seconds": "the processor's" if clock() is time.process_time else "the clock's",
        "prompt_tokens": num_prompt, "new_tokens": num_new,
    }  # fmt: skip
    for size in BATCH_SIZES:
        prompts = torch.randint(shape.vocab_size, (size, num_prompt)).tolist()
        texts = [write(prompts, 1 + num_new) for write in ways.values()]
        found = rates(ways, prompts, num_new, repeats)
        peer = found["transformers"]
        ratios = {
            f"{name}: {key.partition('_')[0]} over transformers": each[key] / peer[key]
            for name, each in found.items()
            for key in each
            if name != "transformers"
        }
        figures[f"batch {size}"] = {
            "texts_equal": all(text == texts[0] for text in texts),
            **found, **ratios, "bytes": bytes_and_seconds(model, prompts, repeats),
        }  # fmt: skip
    return figures
