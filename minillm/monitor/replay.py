"""A second round of training: what users said, mixed with what was taught before.

In: texts and replies of a feedback artifact, and the run's own stories. Out: a copy of the parent,
trained by the same loop and the same loss as every fine-tuning. The one idea: new examples are
mixed with *replay* of old ones, since a network that trains on one thing alone forgets the other
(McCloskey and Cohen, 1989). Left out: penalties that hold weights in place (arXiv:1612.00796).
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from minillm.align.chat import Message, chat_tokens
from minillm.align.conversations import ConversationStream, Example
from minillm.align.dpo import PairStream, pair_rows, preference_loss
from minillm.align.instructions import story_conversations
from minillm.align.sft import checkpoints, completion_loss, sft_log
from minillm.batches.shards import BatchesConfig
from minillm.core.records import Run
from minillm.core.runtime import detect
from minillm.corpus.mix import chance, story_seed
from minillm.corpus.pipeline import read_documents
from minillm.corpus.storyworld import tell_story
from minillm.evaluate.items import EvaluateConfig
from minillm.model.transformer import Transformer
from minillm.monitor.feedback import read_pairs
from minillm.tokenizer.bytepair import Tokenizer
from minillm.train.loop import Evaluation
from minillm.train.resumable import resumable
from minillm.train.schedule import TrainingConfig, TrainState

NAME, PAIRS_NAME = "second", "second_pairs"
# what this stage's training would not heed
UNHEARD = ("recompute", "compile")
# the stories of replay come after those of the stages before: seeds of the training split
FIRST_REPLAY_STORY = 700_000


# package only
@dataclass(frozen=True, kw_only=True, slots=True)
class SecondConfig:
    """How much of the old is replayed beside the new, how it is trained, what is asked then."""

    replay_per_new: float = 2.0
    # of the replay so much is conversations, the rest documents of the run
    replay_conversations: float = 0.7
    batches: BatchesConfig = field(
        default_factory=lambda: BatchesConfig(context_length=256, batch_size=8)
    )
    training: TrainingConfig = field(
        default_factory=lambda: TrainingConfig(max_steps=24, learning_rate=1e-3)
    )
    # no steps: the pairs are kept, but not learnt from
    pair_steps: int = 0
    beta: float = 0.2
    pair_batch_size: int = 8
    pair_learning_rate: float = 2e-5
    max_old_loss: float = 0.01
    # some of the items that the parent was asked, of the same levels: they are compared in pairs
    evaluation: EvaluateConfig = field(
        default_factory=lambda: EvaluateConfig(stories=8, sampled_stories=3, attacks=3)
    )

    def __post_init__(self) -> None:
        for name in ("replay_per_new", "pair_steps", "max_old_loss"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} = {getattr(self, name)}: must be at least 0")
        if not 0 <= self.replay_conversations <= 1:
            remedy = "is a share: from 0 for documents alone to 1 for conversations alone"
            raise ValueError(f"replay_conversations = {self.replay_conversations}: {remedy}")
        for name in ("beta", "pair_learning_rate"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} = {getattr(self, name)}: must be above 0")
        for option in UNHEARD:
            if value := getattr(self.training, option):
                raise ValueError(
                    f"training.{option} = {value}: it would do nothing in this stage; leave it out "
                    "here (pretraining takes it)"
                )


def whole_text(text: str, tokenizer: Tokenizer) -> Example:
    """A document as an example: what people wrote, all of it to be learnt."""
    ids = [tokenizer.end_of_text, *tokenizer.encode(text), tokenizer.end_of_text]
    return Example(tuple(ids), (False, *[True] * (len(ids) - 1)))


def conversation(prompt: str, reply: str, tokenizer: Tokenizer) -> Example:
    """A prompt and a reply as an example: the reply is to be learnt."""
    turns = (Message("user", prompt), Message("assistant", reply))
    return Example(*map(tuple, chat_tokens(turns, tokenizer)))


def new_examples(
    texts: Sequence[str], replies: Sequence[tuple[str, str]], tokenizer: Tokenizer
) -> list[Example]:
    """What users sent in the alarmed windows, and the replies that they approved or wrote."""
    documents = [whole_text(text, tokenizer) for text in texts]
    return documents + [conversation(*pair, tokenizer) for pair in replies]


def replayed(config: SecondConfig, run: Run, count: int, tokenizer: Tokenizer) -> list[Example]:
    """`count` examples of what the model was taught before: conversations, and documents."""
    num_conversations = round(config.replay_conversations * count)
    seeds = [story_seed(FIRST_REPLAY_STORY + at, "train") for at in range(num_conversations)]
    stories = [tell_story(seed, 1 + at % 2) for at, seed in enumerate(seeds)]
    taught = [
        Example(*map(tuple, chat_tokens(each.messages, tokenizer)))
        for each in story_conversations(stories, config.batches.seed)
    ]
    texts = read_documents(run.artifact("documents").path, "train")
    chosen = sorted(texts, key=lambda each: chance(each.id, config.batches.seed))
    documents = chosen[: count - num_conversations]
    return taught + [whole_text(each.text, tokenizer) for each in documents]


def mixed(new: Sequence[Example], old: Sequence[Example], config: BatchesConfig) -> list[Example]:
    """New and old examples that fit into a row, in one random order."""
    fitting = [each for each in (*new, *old) if len(each.tokens) <= config.context_length + 1]
    order = [chance(f"{at}", config.seed) for at in range(len(fitting))]
    return [each for _, each in sorted(zip(order, fitting, strict=True), key=lambda pair: pair[0])]


def second_round(
    parent: Transformer, examples: Sequence[Example], config: SecondConfig, run: Run,
    tokenizer: Tokenizer, *, key: str, name: str = NAME, evaluate: Evaluation | None = None,
) -> tuple[Transformer, TrainState]:
    """A copy of the parent, trained on these examples by the loop of every other stage."""
    device = detect(config.training.seed).device
    torch.manual_seed(config.training.seed)
    model = copy.deepcopy(parent).to(device)

    def open_stream(position: int) -> ConversationStream:
        return ConversationStream(examples, config.batches, tokenizer.end_of_text, position)

    state = resumable(
        model, config.training, open_stream,
        completion_loss(device, z_weight=config.training.z_weight),
        folder=checkpoints(run, name), log=sft_log(run, name), key=key, evaluate=evaluate,
    )
    return model, state


def preferred(
    model: Transformer, config: SecondConfig, run: Run, tokenizer: Tokenizer, *, key: str,
    folder: Path,
) -> Transformer:
    """The model moved toward its users' corrections by DPO; as it is, if no steps are asked for."""
    rows = pair_rows(read_pairs(folder), tokenizer, config.batches.context_length)
    if not config.pair_steps or len(rows) < config.pair_batch_size:
        return model
    reference = copy.deepcopy(model).eval()
    training = TrainingConfig(
        max_steps=config.pair_steps, learning_rate=config.pair_learning_rate, weight_decay=0.0,
        precision="float32", seed=config.training.seed,
    )  # fmt: skip

    def open_stream(position: int) -> PairStream:
        return PairStream(
            rows, reference, config.pair_batch_size, tokenizer.end_of_text, training.seed, position
        )

    resumable(
        model, training, open_stream, preference_loss(config.beta),
        folder=checkpoints(run, PAIRS_NAME), log=sft_log(run, PAIRS_NAME), key=key,
    )  # fmt: skip
    return model
