"""The stage: an assistant becomes one that is preferred, by pairs and then by rewards.

In: the run's assistant. Out: the artifact `aligned`. First DPO on pairs (corrupted answers, and the
assistant's own mistakes), then GRPO with the story world's checker as the reward. Both are the one
loop of chapter 07 with other batches and another loss, and both go on after a kill. Each of the
two has as its reference the model it started from.
"""

import copy
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

import torch

from minillm.align.chat import chat_replies, prompt_tokens
from minillm.align.dpo import PairStream, pair_rows, preference_loss
from minillm.align.grpo import RolloutStream, reward_loss, story_reward
from minillm.align.instructions import ANSWER_TOKENS, continue_prompt, question_prompt
from minillm.align.pairs import Pair, balanced, corrupted_pairs, mistaken_pairs
from minillm.align.sft import checkpoints, sft_log
from minillm.core.records import (
    Artifact,
    Run,
    canonical,
    code_sha256,
    make_artifact,
    read_json_lines,
    sha256_of,
)
from minillm.corpus.mix import story_seed
from minillm.corpus.storyworld import Story, tell_story
from minillm.corpus.storyworld.stories import ALL_LEVELS, LEVELS
from minillm.model.transformer import Transformer
from minillm.tokenizer.bytepair import Tokenizer
from minillm.train.checkpoint import load_model, save_model
from minillm.train.loop import Figures
from minillm.train.resumable import resumable
from minillm.train.schedule import TrainingConfig, TrainState

CODE = ("minillm.align", "minillm.corpus.storyworld", "minillm.model", "minillm.train")
# the stories of this stage come after those of fine-tuning: nothing is asked that was taught
FIRST_STORY = 500_000
# what `dpo` and `rl`, two trainings, cannot heed
UNUSED = ("z_weight", "recompute", "compile", "evaluate_every_steps", "evaluate_every_fraction")


# package only
@dataclass(frozen=True, kw_only=True, slots=True)
class PreferenceConfig:
    """Pairs and rewards: from how many stories of each level, and how strongly they pull."""

    pair_stories: tuple[int, ...] = (60, 20, 10)
    # stories of each level whose questions the assistant is asked, to take its own mistakes
    mistake_stories: int = 6
    # of each kind as many answers to what is not told as shrugs at what is: whichever are more
    # would move how readily the assistant leaves that kind open (LOG.md)
    balance_kinds: bool = False
    story_fraction: float = 0.2
    beta: float = 0.2
    pair_batch_size: int = 8
    dpo: TrainingConfig = field(
        default_factory=lambda: TrainingConfig(
            max_steps=8, learning_rate=1e-4, weight_decay=0.0, precision="float32"
        )
    )
    reward_stories: tuple[int, ...] = (32, 16, 0)
    group_size: int = 4
    prompts_per_batch: int = 3
    max_tokens: int = 80
    min_sentences: int = 3
    clip: float = 0.2
    kl_weight: float = 0.05
    rl: TrainingConfig = field(
        default_factory=lambda: TrainingConfig(
            max_steps=3, learning_rate=1e-4, weight_decay=0.0, precision="float32"
        )
    )

    def __post_init__(self) -> None:
        if self.beta <= 0:
            raise ValueError(f"beta = {self.beta}: must be above 0, it scales the rewards")
        if self.group_size < 2:
            raise ValueError(
                f"group_size = {self.group_size}: must be at least 2, replies are compared"
            )
        for name, levels in (("pair_stories", LEVELS), ("reward_stories", ALL_LEVELS)):
            if len(getattr(self, name)) > len(levels):
                raise ValueError(
                    f"{name} = {getattr(self, name)}: takes stories of levels {levels}; give at "
                    f"most {len(levels)} counts"
                )
        if sum(self.reward_stories) < self.prompts_per_batch:
            raise ValueError(
                f"prompts_per_batch = {self.prompts_per_batch}: reward_stories = "
                f"{self.reward_stories} are fewer; lower it, or give more"
            )
        for name, option in product(("dpo", "rl"), UNUSED):
            if value := getattr(getattr(self, name), option):
                raise ValueError(
                    f"{name}.{option} = {value}: it would do nothing in this stage; leave it out "
                    "here (pretraining takes it)"
                )
        for name in ("story_fraction", "clip"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} = {getattr(self, name)}: must lie between 0 and 1")
        for name in ("pair_batch_size", "prompts_per_batch", "max_tokens", "min_sentences"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} = {getattr(self, name)}: must be at least 1")


# package only
def stories_for(counts: Sequence[int], first: int) -> list[Story]:
    """So many training stories of each level, from this index on."""
    return [
        tell_story(story_seed(first + index, "train"), level)
        for level, count in enumerate(counts, start=1)
        for index in range(count)
    ]


def own_mistakes(
    assistant: Transformer, tokenizer: Tokenizer, config: PreferenceConfig
) -> list[Pair]:
    """What the assistant gets wrong when it is asked about stories it has not seen."""
    counts = [config.mistake_stories if count else 0 for count in config.pair_stories]
    stories = stories_for(counts, FIRST_STORY + max(config.pair_stories))
    limit = assistant.config.context_length - ANSWER_TOKENS
    asked = [
        (story, question, [question_prompt(story.text, question.text)])
        for story in stories for question in story.questions
    ]  # fmt: skip
    asked = [each for each in asked if len(prompt_tokens(each[2], tokenizer)) <= limit]
    prompts = [prompt for *_, prompt in asked]
    replies = chat_replies(
        assistant, tokenizer, prompts, max_tokens=ANSWER_TOKENS, temperature=0.0
    )
    answered = [
        (story, question, reply)
        for (story, question, _), reply in zip(asked, replies, strict=True)
    ]
    return mistaken_pairs(balanced(answered, config.dpo.seed) if config.balance_kinds else answered)


def prefer(
    assistant: Transformer, tokenizer: Tokenizer, config: PreferenceConfig, run: Run, key: str
) -> tuple[Transformer, TrainState]:
    """DPO: the assistant, moved toward the chosen replies of its pairs."""
    reference = copy.deepcopy(assistant).eval()
    stories = stories_for(config.pair_stories, FIRST_STORY)
    pairs = list(corrupted_pairs(stories, config.story_fraction, seed=config.dpo.seed))
    pairs += own_mistakes(reference, tokenizer, config)
    rows = pair_rows(pairs, tokenizer, assistant.config.context_length)

    def open_stream(position: int) -> PairStream:
        return PairStream(
            rows, reference, config.pair_batch_size, tokenizer.end_of_text,
            seed=config.dpo.seed, position=position,
        )  # fmt: skip

    state = resumable(
        assistant, config.dpo, open_stream, preference_loss(config.beta),
        folder=checkpoints(run, "preferences"), log=sft_log(run, "preferences"), key=key,
    )  # fmt: skip
    return assistant, state


def reinforce(
    policy: Transformer, tokenizer: Tokenizer, config: PreferenceConfig, run: Run, key: str
) -> tuple[Transformer, TrainState]:
    """GRPO: the policy goes on with stories, and the checker says what that was worth."""
    reference = copy.deepcopy(policy).eval()
    stories = stories_for(config.reward_stories, 2 * FIRST_STORY)
    prompts = [continue_prompt(each.opening) for each in stories]

    def reward(index: int, reply: str, is_ended: bool) -> float:
        return story_reward(stories[index].opening, reply, is_ended, config.min_sentences)

    def open_stream(position: int) -> RolloutStream:
        return RolloutStream(
            policy=policy, reference=reference, tokenizer=tokenizer, prompts=prompts, reward=reward,
            prompts_per_batch=config.prompts_per_batch, group_size=config.group_size,
            max_tokens=config.max_tokens, temperature=1.0, seed=config.rl.seed, position=position,
        )  # fmt: skip

    state = resumable(
        policy, config.rl, open_stream, reward_loss(config.clip, config.kl_weight),
        folder=checkpoints(run, "rewards"), log=sft_log(run, "rewards"), key=key,
    )  # fmt: skip
    return policy, state


def align(config: PreferenceConfig, run: Run) -> Artifact:
    """The stage: the run's assistant → its aligned model."""
    assistant = run.artifact("assistant")
    hashes = [assistant.sha256, code_sha256(CODE)]
    keys = [
        sha256_of(canonical([name, dataclasses.asdict(config), hashes])) for name in ("dpo", "rl")
    ]

    def write(folder: Path) -> Figures:
        model, tokenizer = load_model(assistant.path)
        torch.manual_seed(config.dpo.seed)
        model, preferred = prefer(model, tokenizer, config, run, keys[0])
        model, rewarded = reinforce(model, tokenizer, config, run, keys[1])
        save_model(model, tokenizer, folder)
        return preference_figures(run, preferred, rewarded)

    return make_artifact(
        run, "aligned", config=config, parents=(assistant,), code=CODE,
        write=write, summary=preference_summary,
    )


# package only
def preference_figures(run: Run, preferred: TrainState, rewarded: TrainState) -> Figures:
    """Where pairs and rewards began and where they ended: means over a tenth of the steps."""
    figures = {
        "pairs": preferred.num_targets, "replies": rewarded.num_targets,
        "seconds": round(preferred.elapsed_s + rewarded.elapsed_s, 1),
    }
    for name, columns in (("preferences", ("loss", "accuracy")), ("rewards", ("reward", "kl"))):
        lines = [line for line in read_json_lines(sft_log(run, name)) if line["event"] == "step"]
        few = max(1, len(lines) // 10)
        for column in columns:
            first, last = (
                sum(line[column] for line in part) / few for part in (lines[:few], lines[-few:])
            )
            figures |= {f"first_{column}": first, f"last_{column}": last}
    return figures


# package only
def preference_summary(figures: Figures) -> str:
    """What is the same on every machine."""
    return f"{figures['pairs']:,} pairs preferred, {figures['replies']:,} replies rewarded"
