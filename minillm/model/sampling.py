"""Logits become the probabilities from which the next token is drawn.

Penalties change the logits of tokens that were used, temperature sharpens or flattens what remains,
top-k, top-p and min-p cut the tail off. The order and the definitions are the field's, so that a
setting found elsewhere means the same here. Nucleus: Holtzman et al. (arXiv:1904.09751). Min-p:
Nguyen et al. (arXiv:2407.01082). Repetition penalty: Keskar et al., CTRL (arXiv:1909.05858, 4.1),
which always divides; that negative logits are multiplied is transformers'. Frequency and presence
penalties: OpenAI's API. Left out: typical sampling, n-grams that may not return, grammars.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F

MAX_PENALTY = 2.0
MAX_RATIO = 1000
# below it logits divided by the temperature may be too large for float32, which ends at 3e38
MIN_TEMPERATURE = 1e-30
# So many are looked at first: they nearly always hold the nucleus, and putting all tokens in order
# can take as long as a small model's step (16 rows of 4,096 tokens 4.5 ms, these 0.8: LOG.md).
FEW_TOKENS = 256


# package only
def refuse_impossible_sampling(
    temperature: float, top_k: int | None, top_p: float | None, min_p: float | None = None
) -> None:
    """ValueError naming the setting, its value, what is allowed and what to use instead."""
    if not 0 <= temperature < float("inf"):
        raise ValueError(
            f"temperature = {temperature}: must be 0 or more; 0 takes the likeliest token, "
            "1 the model's own probabilities"
        )
    if 0 < temperature < MIN_TEMPERATURE:
        raise ValueError(
            f"temperature = {temperature}: must be 0, which takes the likeliest token, or at least "
            f"{MIN_TEMPERATURE:g}"
        )
    if top_k is not None and top_k < 1:
        raise ValueError(f"top_k = {top_k}: must be at least 1; use None to keep every token")
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError(
            f"top_p = {top_p}: must be above 0 and at most 1; use None to keep every token"
        )
    if min_p is not None and not 0 <= min_p <= 1:
        raise ValueError(f"min_p = {min_p}: must be 0 to 1; 0 or None keeps every token")


@dataclass(frozen=True, kw_only=True, slots=True)
class SamplingOptions:
    """All that shapes a draw; the defaults draw from the model's own probabilities."""

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    repetition_penalty: float = 1.0
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0

    def __post_init__(self) -> None:
        refuse_impossible_sampling(self.temperature, self.top_k, self.top_p, self.min_p)
        if not 1 / MAX_RATIO <= self.repetition_penalty <= MAX_RATIO:
            remedy = f"must be 1/{MAX_RATIO} to {MAX_RATIO}; 1 changes nothing, more discourages"
            raise ValueError(f"repetition_penalty = {self.repetition_penalty}: {remedy}")
        for name in ("frequency_penalty", "presence_penalty"):
            if not -MAX_PENALTY <= getattr(self, name) <= MAX_PENALTY:
                remedy = f"must be -{MAX_PENALTY:g} to {MAX_PENALTY:g}; 0 leaves the logits alone"
                raise ValueError(f"{name} = {getattr(self, name)}: {remedy}")

    @property
    def has_penalties(self) -> bool:
        """Whether a draw depends on which tokens were used before."""
        penalties = (self.repetition_penalty, self.frequency_penalty, self.presence_penalty)
        return penalties != (1.0, 0.0, 0.0)


def token_counts(tokens_BT: torch.Tensor, counts_BT: torch.Tensor, vocab_size: int) -> torch.Tensor:
    """How often each token stands at the places that count, `[B, V]`."""
    counts_BV = torch.zeros(tokens_BT.shape[0], vocab_size, device=tokens_BT.device)
    return counts_BV.scatter_add_(1, tokens_BT, counts_BT.float())


def penalised_logits(
    logits_BV: torch.Tensor,
    text_BT: torch.Tensor,
    num_prompt_B: torch.Tensor,
    options: SamplingOptions,
) -> torch.Tensor:
    """Repetition: z/ρ if z > 0, else z·ρ, for every token of the text, prompt included (CTRL).
    Frequency and presence: z − α·count − β·[count > 0] over what was written after the prompt."""
    is_written_BT = torch.arange(text_BT.shape[1], device=text_BT.device) >= num_prompt_B[:, None]
    in_text_BV = token_counts(text_BT, torch.ones_like(text_BT), logits_BV.shape[-1]) > 0
    written_BV = token_counts(text_BT, is_written_BT, logits_BV.shape[-1])
    logits_BV, ratio = logits_BV.float(), options.repetition_penalty
    weakened_BV = torch.where(logits_BV > 0, logits_BV / ratio, logits_BV * ratio)
    logits_BV = torch.where(in_text_BV, weakened_BV, logits_BV)
    used_BV = options.presence_penalty * (written_BV > 0)
    return logits_BV - options.frequency_penalty * written_BV - used_BV


def likeliest_first(
    probability_BV: torch.Tensor, top_k: int | None, top_p: float | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Probabilities in falling order and their tokens, as far down as the two cuts can reach."""
    vocab_size = probability_BV.shape[-1]
    if top_k is not None and top_k < vocab_size:
        return tuple(probability_BV.topk(top_k))
    few = probability_BV.topk(min(FEW_TOKENS, vocab_size))
    if top_p is not None and top_p < 1 and bool((few.values.cumsum(dim=-1)[:, -1] >= top_p).all()):
        return tuple(few)
    return tuple(probability_BV.sort(dim=-1, descending=True, stable=True))


def next_token_probabilities(
    logits_BV: torch.Tensor,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
) -> torch.Tensor:
    """Probabilities to draw from: shaped by temperature (0: all on the likeliest token), cut to
    the k likeliest, then to the fewest of these that hold p, then to those that are at least min_p
    times as likely as the likeliest; what is left sums to 1 again."""
    refuse_impossible_sampling(temperature, top_k, top_p, min_p)
    if temperature == 0:
        return F.one_hot(logits_BV.argmax(dim=-1), logits_BV.shape[-1]).float()
    probability_BV = (logits_BV.float() / temperature).softmax(dim=-1)
    is_nucleus = top_p is not None and top_p < 1
    if is_nucleus or top_k is not None and top_k < logits_BV.shape[-1]:
        ordered_BV, order_BV = likeliest_first(probability_BV, top_k, top_p)
        if top_k is not None and top_k < logits_BV.shape[-1]:
            ordered_BV = ordered_BV / ordered_BV.sum(dim=-1, keepdim=True)
        if is_nucleus:
            before_BV = ordered_BV.cumsum(dim=-1) - ordered_BV
            ordered_BV = ordered_BV.masked_fill(before_BV >= top_p, 0)
            ordered_BV = ordered_BV / ordered_BV.sum(dim=-1, keepdim=True)
        probability_BV = torch.zeros_like(probability_BV).scatter_(-1, order_BV, ordered_BV)
    if min_p is not None:
        least_B1 = min_p * probability_BV.amax(dim=-1, keepdim=True)
        probability_BV = probability_BV.masked_fill(probability_BV < least_B1, 0)
        probability_BV = probability_BV / probability_BV.sum(dim=-1, keepdim=True)
    return probability_BV


def drawn_tokens(
    logits_BV: torch.Tensor,
    text_BT: torch.Tensor,
    num_prompt_B: torch.Tensor,
    options: SamplingOptions,
    generator: torch.Generator | None = None,
) -> torch.Tensor:
    """The next token of each row, `[B]`: penalties, then the likeliest or a draw."""
    if options.has_penalties:
        logits_BV = penalised_logits(logits_BV, text_BT, num_prompt_B, options)
    if options.temperature == 0:
        return logits_BV.argmax(dim=-1)
    probability_BV = next_token_probabilities(
        logits_BV, options.temperature, options.top_k, options.top_p, options.min_p
    )
    return torch.multinomial(probability_BV, 1, generator=generator)[:, 0]
