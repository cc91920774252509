"""GRPO: advantages and loss by hand, the gradient of REINFORCE, a reward that is earned."""

import dataclasses

import pytest
import torch

from minillm.align.chat import Message, turn_marks
from minillm.align.grpo import (
    RolloutStream,
    group_advantages,
    grpo_loss,
    reward_loss,
    rewarded,
    story_reward,
)
from minillm.align.preferences import PreferenceConfig, stories_for
from minillm.batches.stream import IGNORE
from minillm.corpus.storyworld import tell_story
from minillm.model.transformer import Transformer
from minillm.tokenizer.bytepair import Tokenizer
from tests.train.tiny import tiny_model, tiny_run

STORIES = [tell_story(seed, level) for level in (1, 2) for seed in range(20)]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory) -> Tokenizer:
    run = tiny_run(tmp_path_factory.mktemp("tokens"))
    return Tokenizer.load(run.artifact("tokenizer").path / "tokenizer.json")


def a_model(tokenizer: Tokenizer, seed: int) -> Transformer:
    torch.manual_seed(seed)
    shape = tiny_model(vocab_size=tokenizer.vocab_size, context_length=48)
    return Transformer(dataclasses.replace(shape, initial_std=0.3))


def test_a_true_story_earns_everything_and_a_short_one_nothing():
    for story in STORIES:
        rest = story.text.removeprefix(story.opening).strip()
        assert story_reward(story.opening, rest, True, 2) == 1.0
        assert story_reward(story.opening, rest, False, 2) == 0.0
        assert story_reward(story.opening, rest, True, 50) == 0.0
        assert story_reward(story.opening, "", True, 1) == 0.0


def test_each_bad_sentence_costs():
    story = STORIES[0]
    rest = story.text.removeprefix(story.opening).strip()
    once = story_reward(story.opening, f"{rest} Blue runs the.", True, 2)
    twice = story_reward(story.opening, f"{rest} Blue runs the. Of of.", True, 2)
    assert 1 > once > twice > 0


def test_advantages_by_hand():
    ours = group_advantages(torch.tensor([[1.0, 0.0, 0.0, 1.0], [0.5, 0.5, 0.5, 0.5]]))
    deviation = (4 * 0.25 / 3) ** 0.5
    expected = 0.5 / (deviation + 1e-4)
    torch.testing.assert_close(ours[0], expected * torch.tensor([1.0, -1.0, -1.0, 1.0]))
    assert not ours[1].any()


def a_case(dtype: torch.dtype = torch.float64) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    shape = (6, 9)

    def draw() -> torch.Tensor:
        return -3 * torch.rand(shape, generator=generator, dtype=dtype)

    lengths = torch.tensor([9, 1, 5, 7, 2, 9])
    return {
        "logprob_BT": draw().requires_grad_(), "old_logprob_BT": draw(),
        "reference_logprob_BT": draw(),
        "advantage_B": torch.randn(6, generator=generator, dtype=dtype),
        "is_said_BT": torch.arange(9)[None] < lengths[:, None],
    }  # fmt: skip


def test_the_loss_token_by_token():
    case = a_case()
    loss, kl = grpo_loss(**case, clip=0.2, kl_weight=0.05)
    total, divergence, count = 0.0, 0.0, 0
    for row in range(6):
        for place in range(9):
            if case["is_said_BT"][row, place]:
                new, old, reference = (
                    case[name][row, place].item()
                    for name in ("logprob_BT", "old_logprob_BT", "reference_logprob_BT")
                )
                ratio = torch.tensor(new - old, dtype=torch.float64).exp().item()
                advantage = case["advantage_B"][row].item()
                gain = min(ratio * advantage, min(max(ratio, 0.8), 1.2) * advantage)
                k3 = torch.tensor(reference - new, dtype=torch.float64).exp().item()
                k3 += new - reference - 1
                total += 0.05 * k3 - gain
                divergence, count = divergence + k3, count + 1
    assert abs(loss.item() - total / count) < 1e-12
    assert abs(kl.item() - divergence / count) < 1e-12


def test_on_policy_the_gradient_is_that_of_reinforce():
    case = a_case()
    case["old_logprob_BT"] = case["logprob_BT"].detach()
    loss, _ = grpo_loss(**case, clip=0.2, kl_weight=0.0)
    loss.backward()
    expected = -case["advantage_B"][:, None] * case["is_said_BT"] / case["is_said_BT"].sum()
    torch.testing.assert_close(case["logprob_BT"].grad, expected)


def test_what_has_moved_far_enough_has_no_gradient():
    case = a_case()
    case["old_logprob_BT"] = case["logprob_BT"].detach() - 1.0  # ratio e: beyond the clip
    loss, _ = grpo_loss(**case, clip=0.2, kl_weight=0.0)
    loss.backward()
    is_gain = (case["advantage_B"] > 0)[:, None] & case["is_said_BT"]
    assert not case["logprob_BT"].grad[is_gain].any()
    assert case["logprob_BT"].grad[~is_gain & case["is_said_BT"]].all()


def stream_of(policy, reference, tokenizer, reward, **changes) -> RolloutStream:
    sizes = {"prompts_per_batch": 2, "group_size": 4, "max_tokens": 6}
    fields = {**sizes, "temperature": 1.0, "seed": 0}
    prompts = [Message("user", name) for name in ("Ann?", "Tom?", "Rain?")]
    fields |= {"policy": policy, "reference": reference, "tokenizer": tokenizer}
    return RolloutStream(prompts=prompts, reward=reward, **{**fields, **changes})


def test_rollouts_hold_what_was_said_and_what_it_was_worth(tokenizer):
    policy = a_model(tokenizer, 0)
    replies = []

    def reward(index: int, reply: str, is_ended: bool) -> float:
        replies.append((index, reply, is_ended))
        return float(len(reply))

    rollout = next(stream_of(policy, policy, tokenizer, reward))
    assert len(replies) == 8 and rollout.batch.tokens_BT.shape[0] == 8
    assert [index for index, *_ in replies[:4]] == [replies[0][0]] * 4
    end = turn_marks(tokenizer)[1]
    for row, (_, reply, is_ended) in enumerate(replies):
        said = [t for t in rollout.batch.targets_BT[row].tolist() if t != IGNORE]
        assert (said[-1:] == [end]) == is_ended
        assert tokenizer.decode([t for t in said if t != end]).strip() == reply
    assert abs(rollout.advantage_B.view(2, 4).sum(1)).max() < 1e-4
    torch.testing.assert_close(rollout.old_logprob_BT, rollout.reference_logprob_BT)


class Scripted(torch.nn.Module):
    """Says the tokens of a script, whatever it is asked."""

    def __init__(self, script: list[int], policy: Transformer) -> None:
        super().__init__()
        self.script, self.config = iter(script), policy.config
        self.place = torch.nn.Parameter(torch.zeros(1))

    def forward(
        self, tokens_BT: torch.Tensor, cache: object = None, logits_to_keep: int | None = None
    ) -> torch.Tensor:
        logits_BTV = torch.zeros(*tokens_BT.shape, self.config.vocab_size)
        logits_BTV[..., next(self.script)] = 99.0
        return logits_BTV


def test_the_end_of_a_document_does_not_end_a_turn(tokenizer):
    end, word = turn_marks(tokenizer)[1], tokenizer.encode(" ball")[0]
    script = [word, tokenizer.end_of_text, word, end]
    seen = []

    def reward(index: int, reply: str, is_ended: bool) -> float:
        seen.append(is_ended)
        return 0.0

    examples, _ = rewarded(
        Scripted(script, a_model(tokenizer, 0)), tokenizer, [(0, Message("user", "Ann?"))], reward,
        max_tokens=9, temperature=0.0, generator=torch.Generator().manual_seed(0),
    )  # fmt: skip
    assert seen == [True]
    said = [t for t, own in zip(examples[0].tokens, examples[0].is_said, strict=True) if own]
    assert said == script


def test_too_few_stories_for_a_batch_are_named():
    with pytest.raises(ValueError, match=r"prompts_per_batch = 3: reward_stories = \(1, 1\)"):
        PreferenceConfig(reward_stories=(1, 1))


def test_stories_of_a_level_that_cannot_be_used_are_named():
    with pytest.raises(ValueError, match=r"pair_stories = \(1, 1, 1, 1\): .* at most 3 counts"):
        PreferenceConfig(pair_stories=(1, 1, 1, 1))
    with pytest.raises(ValueError, match=r"reward_stories = \(1, .*: .* at most 4 counts"):
        PreferenceConfig(reward_stories=(1, 1, 1, 1, 1))
    config = PreferenceConfig(reward_stories=(1, 1, 1, 2))
    assert [each.level for each in stories_for(config.reward_stories, 0)] == [1, 2, 3, 4, 4]


def test_what_the_checker_believes_of_level_4_is_rewarded():
    for story in stories_for((0, 0, 0, 30), 0):
        rest = story.text.removeprefix(story.opening).strip()
        assert story_reward(story.opening, rest, True, 3) == 1.0


def ended(index: int, reply: str, is_ended: bool) -> float:
    """A reward for ending the turn at all."""
    return float(is_ended)


def test_a_stream_of_rollouts_resumes(tokenizer):
    policy = a_model(tokenizer, 0)
    stream = stream_of(policy, policy, tokenizer, ended)
    batches = [next(stream) for _ in range(3)]
    again = stream_of(policy, policy, tokenizer, ended, position=2)
    assert torch.equal(next(again).batch.tokens_BT, batches[2].batch.tokens_BT)


def test_the_policy_learns_what_is_rewarded(tokenizer):
    """A reward for ending the turn at once: the mean reward must rise."""
    policy, reference = a_model(tokenizer, 0), a_model(tokenizer, 0)
    stream = stream_of(policy, reference, tokenizer, ended, group_size=16)
    optimizer = torch.optim.Adam(policy.parameters(), 1e-2)
    rewards = []
    for _ in range(25):
        loss, figures = reward_loss(0.2, 0.0)(policy, next(stream))
        rewards.append(figures["reward"])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert sum(rewards[-5:]) > sum(rewards[:5]) + 1
