"""Supervised fine-tuning: a model that continues text learns to answer.

In: a model and conversations. Out: the artifact `assistant`. The same loop, the same loss as in
pretraining, with two differences: the targets are only what the assistant says (elsewhere IGNORE,
so the gradient there is exactly zero), and rows are packed from whole conversations, which do not
see each other (Ouyang et al. 2022, arXiv:2203.02155, section 3.5). Left out: adapters (LoRA),
losses on the user's words.
"""

import dataclasses
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import nn

from minillm.align.chat import chat_tokens
from minillm.align.instructions import (
    Conversation,
    document_conversation,
    story_conversations,
)
from minillm.batches.packing import pack
from minillm.batches.stream import IGNORE, Batch
from minillm.core.records import (
    Artifact,
    Run,
    canonical,
    code_sha256,
    make_artifact,
    read_json_lines,
    sha256_of,
)
from minillm.core.runtime import detect
from minillm.corpus.mix import story_seed
from minillm.corpus.pipeline import read_documents
from minillm.corpus.storyworld import tell_story
from minillm.model.transformer import Transformer
from minillm.tokenizer.bytepair import Tokenizer
from minillm.train.checkpoint import (
    load_model,
    load_model_tensors,
    model_tensors,
    remove_checkpoints,
    save_model,
)
from minillm.train.loop import Evaluation, Figures, StepFigures
from minillm.train.precision import compiled
from minillm.train.resumable import resumable
from minillm.train.schedule import TrainingConfig, TrainState
from minillm.train.trainer import COMPILED, next_token_loss

CODE = (
    "minillm.align.chat", "minillm.align.instructions", "minillm.align.sft",
    "minillm.corpus.storyworld", "minillm.model", "minillm.train",
)  # fmt: skip
WINDOW = 512


# package only
@dataclass(frozen=True, kw_only=True, slots=True)
class SftConfig:
    """What is taught, in which rows, and how. `stories` counts them by level."""

    stories: tuple[int, ...] = (300, 100, 50)
    max_documents: int = 200
    context_length: int = 256
    batch_size: int = 8
    seed: int = 0
    training: TrainingConfig = field(
        default_factory=lambda: TrainingConfig(
            max_steps=60, learning_rate=2e-3, evaluate_every_steps=20
        )
    )
    # False: the same fine-tuning from random weights, to see what pretraining bought
    from_base: bool = True
    # held-out stories of each level whose questions are asked while it trains
    asked_stories: int = 8

    def __post_init__(self) -> None:
        if not self.stories or min(self.stories) < 0 or not any(self.stories):
            raise ValueError(
                f"stories = {self.stories}: give a count of at least 0 for each level, one above 0"
            )
        for name in ("context_length", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} = {getattr(self, name)}: must be at least 1")
        if self.max_documents < 0:
            raise ValueError(f"max_documents = {self.max_documents}: must be at least 0")


# package only
def taught_conversations(config: SftConfig, run: Run) -> list[Conversation]:
    """Stories of the training split, easy ones first; documents with a title spread among them."""
    stories = [
        tell_story(story_seed(index, "train"), level)
        for level, count in enumerate(config.stories, start=1)
        for index in range(count)
    ]
    chosen = list(story_conversations(stories, config.seed))
    chance = random.Random(config.seed)
    place_of = {each.source: index / len(chosen) for index, each in enumerate(chosen)}
    texts = read_documents(run.artifact("documents").path, "train")
    documents = [each for text in texts if (each := document_conversation(text)) is not None]
    chance.shuffle(documents)
    documents = documents[: config.max_documents]
    place_of |= {each.source: chance.random() for each in documents}
    # neighbours of like difficulty mix: each is moved by up to a quarter of the whole
    both = chosen + documents
    moved = {each.source: place_of[each.source] + 0.25 * chance.random() for each in both}
    return sorted(both, key=lambda each: moved[each.source])


@dataclass(frozen=True, slots=True)
class Example:
    """A conversation as ids, and which of them are the assistant's."""

    tokens: tuple[int, ...]
    is_said: tuple[bool, ...]


def encoded(
    conversations: Sequence[Conversation], tokenizer: Tokenizer, context_length: int
) -> list[Example]:
    """Conversations as ids; one that does not fit into a row whole is left out."""
    pairs = (chat_tokens(each.messages, tokenizer) for each in conversations)
    examples = (Example(tuple(tokens), tuple(is_said)) for tokens, is_said in pairs)
    return [each for each in examples if len(each.tokens) <= context_length + 1]


def batch_of_examples(rows: Sequence[Sequence[Example]], context_length: int, filler: int) -> Batch:
    """Conversations side by side; a target wherever the *next* token is the assistant's."""
    shape = (len(rows), context_length)
    tokens_BT = np.full(shape, filler, np.int64)
    targets_BT = np.full(shape, IGNORE, np.int64)
    documents_BT = np.zeros(shape, np.int32)
    for row, examples in enumerate(rows):
        column = 0
        for ordinal, example in enumerate(examples):
            stop = column + len(example.tokens) - 1
            tokens = np.array(example.tokens)
            tokens_BT[row, column:stop] = tokens[:-1]
            targets_BT[row, column:stop] = np.where(example.is_said[1:], tokens[1:], IGNORE)
            documents_BT[row, column:stop] = ordinal
            column = stop
        documents_BT[row, column:] = len(examples)
    return Batch(*(torch.from_numpy(part) for part in (tokens_BT, targets_BT, documents_BT)))


class ConversationStream:
    """Batches of packed conversations without end; `position` counts those given out.

    The first epoch keeps the order up to packing and shuffling in a window, later ones shuffle all.
    """

    def __init__(
        self, examples: Sequence[Example], config: SftConfig, filler: int, position: int = 0
    ) -> None:
        if not examples:
            raise ValueError(
                f"context_length = {config.context_length}: no conversation fits into a row; "
                "raise it, or give more stories"
            )
        self.examples, self.config, self.filler, self.position = examples, config, filler, position
        self.rows = self.rows_without_end()
        for _ in range(position * config.batch_size):
            next(self.rows)

    def rows_without_end(self) -> Iterator[list[Example]]:
        """Rows of whole conversations, epoch after epoch, the same for the same seed."""
        epoch, capacity = 0, self.config.context_length
        while True:
            chance = np.random.default_rng([self.config.seed, epoch])
            order = np.arange(len(self.examples))
            order = order if epoch == 0 else chance.permutation(order)
            for first in range(0, len(order), WINDOW):
                window = [self.examples[index] for index in order[first : first + WINDOW]]
                packed = pack([len(each.tokens) - 1 for each in window], capacity, capacity)
                for number in chance.permutation(len(packed)):
                    yield [window[piece.document] for piece in packed[number]]
            epoch += 1

    def __iter__(self) -> "ConversationStream":
        return self

    def __next__(self) -> Batch:
        self.position += 1
        rows = [next(self.rows) for _ in range(self.config.batch_size)]
        return batch_of_examples(rows, self.config.context_length, self.filler)


def completion_loss(
    device: str, loss: Callable[[nn.Module, Batch], torch.Tensor] = next_token_loss
) -> Callable[[nn.Module, Batch], tuple[torch.Tensor, StepFigures]]:
    """The loss of pretraining, over what the assistant says: the batch holds no other targets."""

    def loss_fn(model: nn.Module, batch: Batch) -> tuple[torch.Tensor, StepFigures]:
        num_targets = int((batch.targets_BT != IGNORE).sum())
        return loss(model, batch.to(device)), {"num_targets": num_targets}

    return loss_fn


# package only
def checkpoints(run: Run, name: str) -> Path:
    """Where a fine-tuning of this name keeps its checkpoints."""
    return run.path / "checkpoints" / name


# package only
def sft_log(run: Run, name: str = "assistant") -> Path:
    """Where a fine-tuning of this name logs its steps."""
    return run.path / "logs" / f"{name}.jsonl"


def fine_tuned(
    config: SftConfig, run: Run, base: Transformer, tokenizer: Tokenizer, *,
    key: str, name: str = "assistant", evaluate: Evaluation | None = None,
) -> tuple[Transformer, TrainState]:
    """The base model, or random weights of its shape, trained on conversations.

    Checkpoints and log of the run carry the name: a killed fine-tuning goes on.
    """
    device = detect(config.training.seed).device
    torch.manual_seed(config.training.seed)
    # rotary positions have no weights: the context may grow, fine-tuning teaches the new places
    length = max(config.context_length, base.config.context_length)
    model = Transformer(dataclasses.replace(base.config, context_length=length)).to(device)
    if config.from_base:
        load_model_tensors(model, model_tensors(base))
    examples = encoded(taught_conversations(config, run), tokenizer, config.context_length)
    loss = next_token_loss
    if config.training.compile:
        loss = compiled(loss, device=device, cache_folder=run.path.parent / COMPILED)
    state = resumable(
        model, config.training,
        lambda position: ConversationStream(examples, config, tokenizer.end_of_text, position),
        completion_loss(device, loss),
        folder=checkpoints(run, name), log=sft_log(run, name), key=key, evaluate=evaluate,
    )
    return model, state


def fine_tune(config: SftConfig, run: Run, *, evaluate: Evaluation | None = None) -> Artifact:
    """The stage: the run's base model → its assistant."""
    base, documents = run.artifact("model"), run.artifact("documents")
    parents = (base, documents)
    hashes = [each.sha256 for each in parents]
    key = sha256_of(canonical([dataclasses.asdict(config), hashes, code_sha256(CODE)]))

    def write(folder: Path) -> Figures:
        model, tokenizer = load_model(base.path)
        tuned, state = fine_tuned(config, run, model, tokenizer, key=key, evaluate=evaluate)
        save_model(tuned, tokenizer, folder)
        return sft_figures(tuned, state, run)

    artifact = make_artifact(
        run, "assistant", config=config, parents=parents, code=CODE,
        write=write, summary=sft_summary,
    )
    remove_checkpoints(checkpoints(run, "assistant"), int(artifact.figures["steps"]), keep=1)
    return artifact


# package only
def sft_figures(model: Transformer, state: TrainState, run: Run) -> Figures:
    """What the manifest says; `loss` is the mean over the last tenth of the steps."""
    losses = [line["loss"] for line in read_json_lines(sft_log(run)) if line["event"] == "step"]
    tail = losses[-max(1, len(losses) // 10) :]
    return {
        "parameters": model.num_parameters, "steps": state.step,
        "target_tokens": state.num_targets, "seconds": round(state.elapsed_s, 1),
        "loss": sum(tail) / len(tail), **state.figures,
    }


# package only
def sft_summary(figures: Figures) -> str:
    """What is the same on every machine."""
    return (
        f"{figures['parameters']:,} parameters, {figures['steps']:,} steps over "
        f"{figures['target_tokens']:,} tokens that the assistant says"
    )
