"""Logits become text: one token at a time, drawn from the probabilities that the model gives.

Temperature, the k likeliest and the nucleus (top-p, Holtzman et al., arXiv:1904.09751) shape the
probabilities; a key-value cache spares the work on tokens that were seen before. Prompts of any
lengths go on together. Left out: beam search, penalties, text longer than the model's context.
"""

import warnings
from collections.abc import Sequence

import torch
import torch.nn.functional as F

from minillm.model.transformer import Transformer
from minillm.tokenizer.bytepair import Tokenizer

SHOWN_CHARACTERS = 40
# Marks the places of a row that no prompt has filled: no token has this id.
NOT_GIVEN = -1


class KeyValueCache:
    """Each layer's keys and values of the first `num_tokens` tokens, `[B, G, S, K]`.

    They are views of a room that is doubled when it is full: few tokens make the others move.
    For reading only: gradients do not pass.
    """

    def __init__(self) -> None:
        self.num_tokens = 0
        self.layers: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
        self.rooms: dict[int, torch.Tensor] = {}

    def extend(
        self, layer: int, k_BGTK: torch.Tensor, v_BGTK: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append the next tokens' keys and values; all of the layer's, old ones first."""
        B, G, T, K = k_BGTK.shape
        start = self.layers[layer][0].shape[2] if layer in self.layers else 0
        room = self.rooms.get(layer, k_BGTK.new_empty(2, B, G, 0, K))
        assert room.shape[1:3] == (B, G), f"the cache has {room.shape[1]} rows, not {B}"
        if start + T > room.shape[3]:
            roomier = k_BGTK.new_empty(2, B, G, max(start + T, 2 * start), K)
            roomier[:, :, :, :start] = room[:, :, :, :start]
            self.rooms[layer] = room = roomier
        room[0, :, :, start : start + T] = k_BGTK
        room[1, :, :, start : start + T] = v_BGTK
        self.layers[layer] = room[0, :, :, : start + T], room[1, :, :, : start + T]
        return self.layers[layer]


# package only
def refuse_impossible_sampling(
    temperature: float, top_k: int | None, top_p: float | None
) -> None:
    """ValueError naming the setting, its value, what is allowed and what to use instead."""
    if not 0 <= temperature < float("inf"):
        raise ValueError(
            f"temperature = {temperature}: must be 0 or more; 0 takes the likeliest token, "
            "1 the model's own probabilities"
        )
    if top_k is not None and top_k < 1:
        raise ValueError(f"top_k = {top_k}: must be at least 1; use None to keep every token")
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError(
            f"top_p = {top_p}: must be above 0 and at most 1; use None to keep every token"
        )


# package only
def refuse_impossible_prompts(
    prompts: Sequence[Sequence[int]], max_tokens: int, vocab_size: int, context_length: int
) -> None:
    """ValueError naming the prompt that cannot be continued, and why."""
    if not prompts:
        raise ValueError("prompts is empty: give at least one prompt")
    if max_tokens < 1:
        raise ValueError(f"max_tokens = {max_tokens}: must be at least 1")
    for index, prompt in enumerate(prompts):
        if not prompt:
            raise ValueError(
                f"prompt {index} is empty: give at least one token, for example <|endoftext|>, "
                "after which a document begins"
            )
        if len(prompt) >= context_length:
            raise ValueError(
                f"prompt {index} has {len(prompt)} tokens: at most {context_length - 1} leave "
                f"room for one more in the context of {context_length}; shorten it"
            )
        if not 0 <= min(prompt) <= max(prompt) < vocab_size:
            raise ValueError(
                f"prompt {index} has token ids from {min(prompt)} to {max(prompt)}: this model "
                f"knows 0 to {vocab_size - 1}; encode the text with the model's own tokenizer"
            )


def next_token_probabilities(
    logits_BV: torch.Tensor,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
) -> torch.Tensor:
    """Probabilities to draw from: shaped by temperature (0: all on the likeliest token), cut to
    the k likeliest, then to the fewest of these that hold p; what is left sums to 1 again."""
    refuse_impossible_sampling(temperature, top_k, top_p)
    if temperature == 0:
        return F.one_hot(logits_BV.argmax(dim=-1), logits_BV.shape[-1]).float()
    probability_BV = (logits_BV.float() / temperature).softmax(dim=-1)
    if top_k is None and top_p is None:
        return probability_BV
    ordered_BV, order_BV = probability_BV.sort(dim=-1, descending=True, stable=True)
    if top_k is not None:
        ordered_BV[:, top_k:] = 0
        ordered_BV /= ordered_BV.sum(dim=-1, keepdim=True)
    if top_p is not None:
        before_BV = ordered_BV.cumsum(dim=-1) - ordered_BV
        ordered_BV[before_BV >= top_p] = 0
        ordered_BV /= ordered_BV.sum(dim=-1, keepdim=True)
    return torch.zeros_like(probability_BV).scatter_(-1, order_BV, ordered_BV)


def last_logits(
    model: Transformer, tokens_BT: torch.Tensor, cache: KeyValueCache | None = None
) -> torch.Tensor:
    """The logits `[B, V]` after the last token; with a cache only what it lacks is computed."""
    if cache is None:
        return model(tokens_BT)[:, -1]
    logits_BTV = model(tokens_BT[:, cache.num_tokens :], cache, logits_to_keep=1)
    cache.num_tokens = tokens_BT.shape[1]
    return logits_BTV[:, -1]


def until_stop(tokens: list[int], stop_ids: set[int]) -> list[int]:
    """The tokens before the first stop token; all of them if there is none."""
    for index, token in enumerate(tokens):
        if token in stop_ids:
            return tokens[:index]
    return tokens


def side_by_side(
    prompts: Sequence[Sequence[int]], width: int, device: torch.device
) -> torch.Tensor:
    """Prompts as the rows of one table; a place that no prompt fills holds NOT_GIVEN."""
    rows = [[*prompt, *[NOT_GIVEN] * (width - len(prompt))] for prompt in prompts]
    return torch.tensor(rows, device=device)


@torch.no_grad()
def generate_batch(
    model: Transformer,
    prompts: Sequence[Sequence[int]],
    *,
    max_tokens: int,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    stop_ids: Sequence[int] = (),
    generator: torch.Generator | None = None,
    use_cache: bool = True,
) -> list[list[int]]:
    """Continue prompts of any lengths: up to a stop token, `max_tokens`, or the context's end.

    Rows advance together, from the shortest prompt's end; inside its prompt a row keeps its own."""
    context_length, device = model.config.context_length, next(model.parameters()).device
    refuse_impossible_prompts(prompts, max_tokens, model.config.vocab_size, context_length)
    lengths = [len(prompt) for prompt in prompts]
    end = min(context_length, max(lengths) + max_tokens)
    tokens_BT = side_by_side(prompts, end, device)
    stop_tensor = torch.tensor(stop_ids, dtype=torch.long, device=device)
    is_done_B = torch.zeros(len(prompts), dtype=torch.bool, device=device)
    cache = KeyValueCache() if use_cache else None
    for place in range(min(lengths), end):
        logits_BV = last_logits(model, tokens_BT[:, :place], cache)
        probability_BV = next_token_probabilities(logits_BV, temperature, top_k, top_p)
        drawn_B = torch.multinomial(probability_BV, 1, generator=generator)[:, 0]
        is_free_B = tokens_BT[:, place] == NOT_GIVEN
        tokens_BT[:, place] = torch.where(is_free_B, drawn_B, tokens_BT[:, place])
        is_done_B |= is_free_B & torch.isin(drawn_B, stop_tensor)
        if is_done_B.all():
            break
    rows = zip(tokens_BT.tolist(), lengths, strict=True)
    return [until_stop(row[start : start + max_tokens], set(stop_ids)) for row, start in rows]


def generate(model: Transformer, prompt: Sequence[int], **options: object) -> list[int]:
    """Continue one prompt; see `generate_batch` for the options."""
    return generate_batch(model, [prompt], **options)[0]


# package only
def continued_text(
    model: Transformer, tokenizer: Tokenizer, prompt: str, **options: object
) -> str:
    """What follows a prompt, up to `<|endoftext|>`; see `generate_batch` for the options.

    A prompt that leaves no room in the context loses its first tokens, with a warning.
    """
    tokens = tokenizer.encode(prompt)
    # <|endoftext|> stands before the prompt, and at least one token is to come after it
    num_cut = max(0, len(tokens) - (model.config.context_length - 2))
    if num_cut:
        cut = tokenizer.decode(tokens[:num_cut])
        shown = cut[:SHOWN_CHARACTERS].replace("\n", " ") + "…" * (len(cut) > SHOWN_CHARACTERS)
        warnings.warn(
            f"the prompt's first {num_cut} of {len(tokens)} tokens are cut ('{shown}'): the "
            "model's context has no room for them; give a shorter prompt, or train a longer "
            "context",
            stacklevel=2,
        )
    begun = [tokenizer.end_of_text, *tokens[num_cut:]]
    return tokenizer.decode(generate(model, begun, stop_ids=[tokenizer.end_of_text], **options))
