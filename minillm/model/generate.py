"""Logits become text: one token at a time, drawn from the probabilities that the model gives.

In: prompts of any lengths, which go on together. Out: what follows each. `sampling` says how a
token is drawn; a cache of keys and values spares the work on tokens that were seen before. Left
out: text longer than the model's context, drafts by a smaller model (arXiv:2211.17192).
"""

import warnings
from collections.abc import Sequence

import torch

from minillm.model.caches import KeyValueCache
from minillm.model.sampling import SamplingOptions, drawn_tokens
from minillm.model.transformer import Cache, Transformer
from minillm.tokenizer.bytepair import Tokenizer

SHOWN_CHARACTERS = 40
# Marks the places of a row that no prompt has filled: no token has this id.
NOT_GIVEN = -1


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


def last_logits(
    model: Transformer, tokens_BT: torch.Tensor, cache: Cache | None = None
) -> torch.Tensor:
    """The logits `[B, V]` after the last token; with a cache only what it lacks is computed."""
    if cache is None:
        return model(tokens_BT)[:, -1]
    if cache.num_tokens >= tokens_BT.shape[1]:
        raise ValueError(
            f"the cache holds {cache.num_tokens} tokens of {tokens_BT.shape[1]}: nothing is left "
            "to read; give a longer text or a fresh cache"
        )
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


# package only
def chosen_cache(cache: Cache | None, use_cache: bool) -> Cache | None:
    """The caller's, which must be empty, or a plain one; none where none shall be used."""
    if cache is not None and not use_cache:
        raise ValueError("cache with use_cache = False: it would stay empty; leave one of them out")
    if cache is not None and cache.num_tokens:
        raise ValueError(
            f"cache holds {cache.num_tokens} tokens of another text: give a fresh one, or none"
        )
    return KeyValueCache() if cache is None and use_cache else cache


@torch.no_grad()
def generate_batch(
    model: Transformer,
    prompts: Sequence[Sequence[int]],
    *,
    max_tokens: int,
    stop_ids: Sequence[int] = (),
    generator: torch.Generator | None = None,
    use_cache: bool = True,
    cache: Cache | None = None,
    **sampling: float | None,
) -> list[list[int]]:
    """Continue prompts of any lengths: up to a stop token, `max_tokens`, or the context's end;
    `sampling` are the fields of `SamplingOptions`, `cache` an empty one, else it is a plain one.

    Rows advance together, from the shortest prompt's end; inside its prompt a row keeps its own."""
    options, lengths = SamplingOptions(**sampling), [len(prompt) for prompt in prompts]
    context_length, device = model.config.context_length, next(model.parameters()).device
    refuse_impossible_prompts(prompts, max_tokens, model.config.vocab_size, context_length)
    end = min(context_length, max(lengths) + max_tokens)
    tokens_BT = side_by_side(prompts, end, device)
    lengths_B = torch.tensor(lengths, device=device)
    stop_tensor = torch.tensor(stop_ids, dtype=torch.long, device=device)
    is_done_B = torch.zeros(len(prompts), dtype=torch.bool, device=device)
    cache = chosen_cache(cache, use_cache)
    for place in range(min(lengths), end):
        logits_BV = last_logits(model, tokens_BT[:, :place], cache)
        drawn_B = drawn_tokens(logits_BV, tokens_BT[:, :place], lengths_B, options, generator)
        is_free_B = tokens_BT[:, place] == NOT_GIVEN
        tokens_BT[:, place] = torch.where(is_free_B, drawn_B, tokens_BT[:, place])
        is_done_B |= is_free_B & torch.isin(drawn_B, stop_tensor)
        is_done_B |= place + 1 - lengths_B >= max_tokens
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
