"""Direct preference optimisation: learn from pairs, without a reward model and without sampling.

In: pairs, a policy and the reference it started from. Out: the policy, moved so that it prefers
what was chosen more than the reference does. The one idea (Rafailov et al., arXiv:2305.18290, eq.
7): the reward that a policy is optimal for can be read off the policy itself,
β·log(policy / reference), so a loss on pairs of rewards is a loss on four log-probabilities.
Left out: other losses on the same four numbers (hinge, IPO), which notebook 10 names.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from minillm.align.chat import Message, chat_tokens
from minillm.align.conversations import Example, batch_of_examples
from minillm.align.pairs import Pair
from minillm.batches.stream import IGNORE, Batch
from minillm.model.experts import real_routings, with_penalties
from minillm.model.transformer import Transformer
from minillm.tokenizer.bytepair import Tokenizer
from minillm.train.loop import StepFigures


def token_logprobs(model: Transformer, batch: Batch) -> torch.Tensor:
    """log p of each target, in nats, `[B, T]`; 0 where there is none: no logits are made there."""
    is_said_BT = batch.targets_BT != IGNORE
    logits_NV = model.lm_head(model.model(batch.tokens_BT, None, None)[is_said_BT])
    nats_N = F.cross_entropy(logits_NV.float(), batch.targets_BT[is_said_BT], reduction="none")
    return torch.zeros_like(batch.targets_BT, dtype=nats_N.dtype).masked_scatter(
        is_said_BT, -nats_N
    )


def reply_logprobs(model: Transformer, batch: Batch) -> torch.Tensor:
    """log p of each row's reply: the sum over its tokens, not their mean."""
    return token_logprobs(model, batch).sum(dim=-1)


def dpo_loss(
    policy_chosen_B: torch.Tensor,
    policy_rejected_B: torch.Tensor,
    reference_chosen_B: torch.Tensor,
    reference_rejected_B: torch.Tensor,
    beta: float,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """mean of −log σ(r_chosen − r_rejected), and both rewards r = β·log(policy / reference)."""
    chosen_reward_B = beta * (policy_chosen_B - reference_chosen_B)
    rejected_reward_B = beta * (policy_rejected_B - reference_rejected_B)
    loss = -F.logsigmoid(chosen_reward_B - rejected_reward_B).mean()
    return loss, chosen_reward_B.detach(), rejected_reward_B.detach()


@dataclass(frozen=True, slots=True)
class PairBatch:
    """Chosen and rejected replies, one a row, and what the reference thinks of each."""

    chosen: Batch
    rejected: Batch
    reference_chosen_B: torch.Tensor
    reference_rejected_B: torch.Tensor


def pair_rows(
    pairs: Sequence[Pair], tokenizer: Tokenizer, context_length: int
) -> list[tuple[Example, Example]]:
    """Both conversations of every pair as ids; a pair with one that is too long is left out."""
    rows = []
    for pair in pairs:
        replies = (pair.chosen, pair.rejected)
        chats = [(pair.prompt, Message("assistant", reply)) for reply in replies]
        pieces = [chat_tokens(chat, tokenizer) for chat in chats]
        if max(len(tokens) for tokens, _ in pieces) <= context_length + 1:
            rows.append(tuple(Example(tuple(ids), tuple(said)) for ids, said in pieces))
    return rows


def padded(examples: Sequence[Example], filler: int) -> Batch:
    """One conversation a row, as long as the longest of them needs."""
    length = max(len(each.tokens) for each in examples) - 1
    return batch_of_examples([[each] for each in examples], length, filler)


class PairStream:
    """Batches of pairs without end; the reference's opinion is asked once a batch, as it comes."""

    def __init__(
        self,
        rows: Sequence[tuple[Example, Example]],
        reference: Transformer,
        batch_size: int,
        filler: int,
        seed: int,
        position: int = 0,
    ) -> None:
        if len(rows) < batch_size:
            raise ValueError(
                f"batch_size = {batch_size}: only {len(rows)} pairs fit into the context; "
                "lower batch_size, or give more stories"
            )
        self.rows, self.reference = rows, reference
        self.batch_size, self.filler, self.seed, self.position = batch_size, filler, seed, position

    def __iter__(self) -> "PairStream":
        return self

    def __next__(self) -> PairBatch:
        num_batches = len(self.rows) // self.batch_size
        epoch, number = divmod(self.position, num_batches)
        order = np.random.default_rng([self.seed, epoch]).permutation(len(self.rows))
        indices = order[number * self.batch_size : (number + 1) * self.batch_size]
        self.position += 1
        chosen, rejected = (
            padded([self.rows[index][side] for index in indices], self.filler) for side in (0, 1)
        )
        with torch.no_grad():
            opinions = [reply_logprobs(self.reference, batch) for batch in (chosen, rejected)]
        return PairBatch(chosen, rejected, *opinions)


def preference_loss(
    beta: float,
) -> Callable[[Transformer, PairBatch], tuple[torch.Tensor, StepFigures]]:
    """The loss on a batch of pairs, and what is worth watching while it falls."""

    def loss_fn(model: Transformer, pairs: PairBatch) -> tuple[torch.Tensor, StepFigures]:
        logprobs, routings = [], []
        for batch in (pairs.chosen, pairs.rejected):
            logprobs.append(reply_logprobs(model, batch))
            routings.append(real_routings(model, batch))
        chosen_B, rejected_B = logprobs
        loss, chosen_reward_B, rejected_reward_B = dpo_loss(
            chosen_B, rejected_B, pairs.reference_chosen_B, pairs.reference_rejected_B, beta
        )
        return with_penalties(loss, *routings), {
            "num_targets": len(chosen_B),
            "chosen_reward": chosen_reward_B.mean(),
            "rejected_reward": rejected_reward_B.mean(),
            "accuracy": (chosen_reward_B > rejected_reward_B).float().mean(),
            "chosen_logprob": chosen_B.detach().mean(),
            "rejected_logprob": rejected_B.detach().mean(),
        }

    return loss_fn
