"""Learning from a reward that can be checked: several replies, and the better ones become likelier.

In: requests, a policy, a reward. Out: the policy, moved toward what earned more. The one idea
(GRPO, Shao et al., arXiv:2402.03300): answer one request several times, and let the group's own
mean be what is expected: no second network has to guess it. The loss is the clipped one of PPO
(arXiv:1707.06347), with the k3 estimate of the divergence from the reference as a leash. Every said
token counts alike (GRPO averages within each reply first). The reward is the story world's checker.
Left out: several updates on the same replies, replies from elsewhere.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from minillm.align.chat import Message, prompt_tokens, turn_marks
from minillm.align.conversations import Example
from minillm.align.dpo import padded, token_logprobs
from minillm.batches.stream import IGNORE, Batch
from minillm.corpus.storyworld import check_story
from minillm.model.experts import with_balance
from minillm.model.generate import generate_batch
from minillm.model.transformer import Transformer
from minillm.tokenizer.bytepair import Tokenizer
from minillm.train.loop import StepFigures

Reward = Callable[[int, str, bool], float]


def story_reward(opening: str, continuation: str, is_ended: bool, min_sentences: int) -> float:
    """The share of sentences that are readable and contradict nothing, squared; 0 without an end.

    A continuation of fewer sentences earns nothing: else the shortest story is the safest one.
    """
    text = f"{opening} {continuation}"
    verdicts = check_story(text).sentences[len(check_story(opening).sentences) :]
    if not is_ended or len(verdicts) < min_sentences:
        return 0.0
    num_good = sum(each.readable and each.contradiction is None for each in verdicts)
    return (num_good / len(verdicts)) ** 2


def group_advantages(reward_NG: torch.Tensor) -> torch.Tensor:
    """How much better than its group: (r − mean) / (standard deviation + 1e-4)."""
    mean_N1 = reward_NG.mean(dim=1, keepdim=True)
    return (reward_NG - mean_N1) / (reward_NG.std(dim=1, keepdim=True) + 1e-4)


def grpo_loss(
    logprob_BT: torch.Tensor,
    old_logprob_BT: torch.Tensor,
    reference_logprob_BT: torch.Tensor,
    advantage_B: torch.Tensor,
    is_said_BT: torch.Tensor,
    *,
    clip: float,
    kl_weight: float,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean over said tokens of −min(ratio·A, clipped ratio·A) + weight·KL; and the KL alone."""
    ratio_BT = (logprob_BT - old_logprob_BT).exp()
    advantage_BT = advantage_B[:, None].expand_as(ratio_BT)
    clipped_BT = ratio_BT.clamp(1 - clip, 1 + clip)
    gain_BT = torch.minimum(ratio_BT * advantage_BT, clipped_BT * advantage_BT)
    log_ratio_BT = reference_logprob_BT - logprob_BT
    kl_BT = log_ratio_BT.exp() - log_ratio_BT - 1
    num_said = is_said_BT.sum()
    loss = ((kl_weight * kl_BT - gain_BT) * is_said_BT).sum() / num_said
    return loss, (kl_BT * is_said_BT).sum().detach() / num_said


@dataclass(frozen=True, slots=True)
class RolloutBatch:
    """Replies, what they were worth, and what policy and reference thought of them."""

    batch: Batch
    advantage_B: torch.Tensor
    old_logprob_BT: torch.Tensor
    reference_logprob_BT: torch.Tensor
    reward: float


def rewarded(
    policy: Transformer,
    tokenizer: Tokenizer,
    requests: Sequence[tuple[int, Message]],
    reward: Reward,
    *,
    max_tokens: int,
    temperature: float,
    generator: torch.Generator,
) -> tuple[list[Example], list[float]]:
    """A reply to each (index, request) as a conversation, and its reward."""
    prompts = [prompt_tokens([message], tokenizer) for _, message in requests]
    end, room = turn_marks(tokenizer)[1], policy.config.context_length
    replies = generate_batch(
        policy, prompts, max_tokens=max_tokens, temperature=temperature,
        stop_ids=[end], generator=generator,  # a document's end is not the turn's
    )  # fmt: skip
    examples, rewards = [], []
    for (index, _), prompt, reply in zip(requests, prompts, replies, strict=True):
        is_ended = len(reply) < min(max_tokens, room - len(prompt))
        rewards.append(reward(index, tokenizer.decode(reply).strip(), is_ended))
        said = [*reply, end] if is_ended else reply
        mask = [False] * len(prompt) + [True] * len(said)
        examples.append(Example((*prompt, *said), tuple(mask)))
    return examples, rewards


@dataclass(kw_only=True)
class RolloutStream:
    """Asks the policy, as it is at that moment, and rewards what it says."""

    policy: Transformer
    reference: Transformer
    tokenizer: Tokenizer
    prompts: Sequence[Message]
    reward: Reward
    prompts_per_batch: int
    group_size: int
    max_tokens: int
    temperature: float
    seed: int
    position: int = 0

    def __iter__(self) -> "RolloutStream":
        return self

    def __next__(self) -> RolloutBatch:
        epoch, number = divmod(self.position, len(self.prompts) // self.prompts_per_batch)
        order = np.random.default_rng([self.seed, epoch]).permutation(len(self.prompts))
        chosen = order[number * self.prompts_per_batch : (number + 1) * self.prompts_per_batch]
        requests = [(i, self.prompts[i]) for i in np.repeat(chosen, self.group_size).tolist()]
        self.policy.eval()
        with torch.no_grad():
            examples, rewards = rewarded(
                self.policy, self.tokenizer, requests, self.reward, max_tokens=self.max_tokens,
                temperature=self.temperature,
                generator=torch.Generator().manual_seed(self.seed + self.position),
            )  # fmt: skip
            batch = padded(examples, self.tokenizer.end_of_text)
            opinions = [
                token_logprobs(model, batch) for model in (self.policy, self.reference)
            ]
        self.policy.train()
        self.position += 1
        advantage_B = group_advantages(torch.tensor(rewards).view(-1, self.group_size)).flatten()
        return RolloutBatch(batch, advantage_B, *opinions, float(np.mean(rewards)))


def reward_loss(
    clip: float, kl_weight: float
) -> Callable[[Transformer, RolloutBatch], tuple[torch.Tensor, StepFigures]]:
    """The loss on a batch of rewarded replies, and what is worth watching."""

    def loss_fn(model: Transformer, rollout: RolloutBatch) -> tuple[torch.Tensor, StepFigures]:
        is_said_BT = rollout.batch.targets_BT != IGNORE
        loss, kl = grpo_loss(
            token_logprobs(model, rollout.batch),
            rollout.old_logprob_BT, rollout.reference_logprob_BT, rollout.advantage_B,
            is_said_BT, clip=clip, kl_weight=kl_weight,
        )  # fmt: skip
        lengths_B = is_said_BT.sum(dim=-1).float()
        return with_balance(loss, model, rollout.batch), {
            "num_targets": len(lengths_B), "reward": rollout.reward, "kl": kl,
            "reply_tokens": lengths_B.mean(),
        }

    return loss_fn
