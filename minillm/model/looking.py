"""Looking inside a model while it reads: who listens to whom, and what it would say at each layer.

In: a model and tokens. Out: attention weights of every head; the head's logits after every layer,
the "logit lens" (nostalgebraist, "interpreting GPT: the logit lens", LessWrong, 2020); and a score
that finds induction heads, which look up what came after the same token before (Olsson et al.,
arXiv:2209.11895). Nothing of the model changes. Left out: changing what flows (patching), probes.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from minillm.model.attention import reference_attention
from minillm.model.transformer import Transformer


class AttentionRecorder:
    """A form of attention that writes its weights down: of one-hot values the weights come out."""

    def __init__(self, attend: object, found: list[torch.Tensor]) -> None:
        self.attend, self.found = attend, found

    def __call__(
        self, q_BHTK: torch.Tensor, k_BGSK: torch.Tensor, v_BGSK: torch.Tensor, **seen: object
    ) -> torch.Tensor:
        one_hot_SS = torch.eye(k_BGSK.shape[2], dtype=v_BGSK.dtype, device=v_BGSK.device)
        one_hot_BGSS = one_hot_SS.expand(*k_BGSK.shape[:2], -1, -1)
        self.found.append(reference_attention(q_BHTK, k_BGSK, one_hot_BGSS, **seen))
        return self.attend(q_BHTK, k_BGSK, v_BGSK, **seen)


@contextmanager
def listening(model: Transformer) -> Iterator[list[torch.Tensor]]:
    """Inside this context every pass adds its weights to the list, a layer at a time."""
    found: list[torch.Tensor] = []
    blocks = [layer.self_attn for layer in model.model.layers]
    forms = [block.attend for block in blocks]
    try:
        for block, attend in zip(blocks, forms, strict=True):
            block.attend = AttentionRecorder(attend, found)
        yield found
    finally:
        for block, attend in zip(blocks, forms, strict=True):
            block.attend = attend


@torch.no_grad()
def attention_weights(
    model: Transformer, tokens_BT: torch.Tensor, documents_BT: torch.Tensor | None = None
) -> torch.Tensor:
    """Who listens to whom: weights_LBHTS, whose rows add up to 1."""
    with listening(model) as found:
        model(tokens_BT, documents_BT=documents_BT)
    return torch.stack(found)


@torch.no_grad()
def lens_logits(model: Transformer, tokens_BT: torch.Tensor) -> torch.Tensor:
    """What the last norm and the head make of the stream before the first layer and after each:
    logits_MBTV with M = L + 1, of which the last are the model's own."""
    streams: list[torch.Tensor] = []

    def note_stream(_part: torch.nn.Module, _given: tuple, x_BTD: torch.Tensor) -> None:
        streams.append(x_BTD)

    parts = [model.model.embed_positions, *model.model.layers]
    hooks = [part.register_forward_hook(note_stream) for part in parts]
    try:
        model(tokens_BT)
    finally:
        for hook in hooks:
            hook.remove()
    return torch.stack([model.lm_head(model.model.norm(x_BTD)) for x_BTD in streams])


def repeated_rows(
    num_rows: int, length: int, vocab_size: int, periods: range, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Random tokens over and over, each row with a period of its own: tokens_BT and periods_B."""
    periods_B = torch.tensor(periods)[torch.randint(len(periods), (num_rows,), generator=generator)]
    pool_BT = torch.randint(vocab_size, (num_rows, length), generator=generator)
    place_BT = torch.arange(length) % periods_B[:, None]
    return pool_BT.gather(1, place_BT), periods_B


def induction_scores(weights_LBHTS: torch.Tensor, periods_B: torch.Tensor) -> torch.Tensor:
    """scores_LH: from the second round on, the mean weight at the token that followed last time.

    One period back stands the same token, so the one that followed it is at t − period + 1.
    """
    length = weights_LBHTS.shape[-1]
    place_T = torch.arange(length, device=weights_LBHTS.device)
    periods_B = periods_B.to(weights_LBHTS.device)
    source_BT = place_T - periods_B[:, None] + 1
    is_repeated_BT = place_T >= periods_B[:, None]
    index = source_BT.clamp(min=0)[None, :, None, :, None]
    heard = weights_LBHTS.gather(-1, index.expand(*weights_LBHTS.shape[:-1], 1))[..., 0]
    counted = heard.transpose(2, 3)[:, is_repeated_BT]  # [L, N, H]
    return counted.mean(dim=1)


@torch.no_grad()
def model_induction_scores(
    model: Transformer, num_rows: int = 16, length: int = 48, seed: int = 0
) -> torch.Tensor:
    """The scores of a model's heads on repeated random tokens that it has never seen."""
    generator = torch.Generator().manual_seed(seed)
    periods = range(length // 4, length // 2)
    vocab_size = model.config.vocab_size
    tokens_BT, periods_B = repeated_rows(num_rows, length, vocab_size, periods, generator)
    weights_LBHTS = attention_weights(model, tokens_BT.to(model.model.norm.weight.device))
    return induction_scores(weights_LBHTS, periods_B)
