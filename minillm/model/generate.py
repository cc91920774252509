"""Logits become text: one token at a time, from the probabilities that the model gives.

Temperature and the nucleus (top-p, Holtzman et al., arXiv:1904.09751) shape the probabilities; a key-value
cache spares the work on tokens that were seen before. Beam search and penalties are left out here.
"""

from collections.abc import Sequence

import torch

from minillm.model.transformer import Transformer

NOT_GIVEN = -1


class KeyValueCache:
    """Keeps each layer's keys and values, `[B, G, S, K]`, and appends the next ones."""

    def __init__(self) -> None:
        self.num_tokens = 0
        self.layers: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    def extend(self, layer: int, k_BGTK: torch.Tensor, v_BGTK: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        if layer in self.layers:
            k_before, v_before = self.layers[layer]
            k_BGTK, v_BGTK = torch.cat((k_before, k_BGTK), dim=2), torch.cat((v_before, v_BGTK), dim=2)
        self.layers[layer] = k_BGTK, v_BGTK
        return k_BGTK, v_BGTK


def next_token_probabilities(
    logits_BV: torch.Tensor, temperature: float = 1.0, top_k: int | None = None, top_p: float | None = None
) -> torch.Tensor:
    """Probabilities to draw from: sharpened by temperature (0 = the likeliest), cut to the k best, then to the nucleus p."""
    if temperature == 0:
        best_B1 = logits_BV.argmax(dim=-1, keepdim=True)
        return torch.zeros_like(logits_BV).scatter_(-1, best_B1, 1.0)
    probability_BV = (logits_BV.float() / temperature).softmax(dim=-1)
    ordered_BV, order_BV = probability_BV.sort(dim=-1, descending=True)
    if top_k is not None:
        ordered_BV[:, top_k:] = 0
    if top_p is not None:
        before_BV = ordered_BV.cumsum(dim=-1) - ordered_BV
        ordered_BV[before_BV >= top_p] = 0
    kept_BV = torch.zeros_like(probability_BV).scatter_(-1, order_BV, ordered_BV)
    return kept_BV / kept_BV.sum(dim=-1, keepdim=True)


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
    """Continue prompts of any lengths; each result ends before its first stop token.

    All rows advance together from the shortest prompt's end; a row still inside its prompt takes its own next token.
    """
    device = next(model.parameters()).device
    lengths = [len(prompt) for prompt in prompts]
    given_BT = torch.full((len(prompts), max(lengths)), NOT_GIVEN, device=device)
    for row, prompt in enumerate(prompts):
        given_BT[row, : len(prompt)] = torch.tensor(prompt)
    tokens_BT = given_BT[:, : min(lengths)]
    stop_ids_tensor = torch.tensor(stop_ids, dtype=torch.long, device=device)
    is_done_B = torch.zeros(len(prompts), dtype=torch.bool, device=device)
    cache = KeyValueCache() if use_cache else None
    fresh_BT = tokens_BT
    for position in range(min(lengths), min(model.config.context_length, max(lengths) + max_tokens)):
        logits_BV = model(fresh_BT if cache else tokens_BT, cache)[:, -1]
        if cache:
            cache.num_tokens = position
        probability_BV = next_token_probabilities(logits_BV, temperature, top_k, top_p)
        fresh_BT = torch.multinomial(probability_BV, 1, generator=generator)
        if position < max(lengths):
            own_B1 = given_BT[:, position : position + 1]
            fresh_BT = torch.where(own_B1 == NOT_GIVEN, fresh_BT, own_B1)
        tokens_BT = torch.cat((tokens_BT, fresh_BT), dim=1)
        is_done_B |= torch.isin(fresh_BT[:, 0], stop_ids_tensor)
        if is_done_B.all() and position >= max(lengths):
            break
    rows = tokens_BT.tolist()
    return [
        until_stop(row[length : length + max_tokens], set(stop_ids))
        for row, length in zip(rows, lengths, strict=True)
    ]


def until_stop(tokens: list[int], stop_ids: set[int]) -> list[int]:
    """The tokens before the first stop token."""
    for index, token in enumerate(tokens):
        if token in stop_ids:
            return tokens[:index]
    return tokens


def generate(model: Transformer, prompt: Sequence[int], **options: object) -> list[int]:
    """Continue one prompt; see `generate_batch` for the options."""
    return generate_batch(model, [prompt], **options)[0]
