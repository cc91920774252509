"""Supervised fine-tuning: a model that continues text learns to answer.

In: a model and conversations. Out: the artifact `assistant`. The same loop, the same loss as in
pretraining, with two differences: the targets are only what the assistant says (elsewhere IGNORE,
so the gradient there is exactly zero), and rows are packed from whole conversations, which do not
see each other (Ouyang et al. 2022, arXiv:2203.02155, section 3.5). Left out: adapters (LoRA),
losses on the user's words.
"""

import dataclasses
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch

from minillm.align.conversations import ConversationStream, encoded
from minillm.align.instructions import Conversation, document_conversation, story_conversations
from minillm.batches.shards import BatchesConfig
from minillm.batches.stream import IGNORE, Batch
from minillm.core.records import Artifact, Run, make_artifact
from minillm.core.runtime import detect
from minillm.corpus.mix import story_seed
from minillm.corpus.pipeline import read_documents
from minillm.corpus.storyworld import tell_story
from minillm.corpus.storyworld.stories import ALL_LEVELS
from minillm.model.experts import with_balance
from minillm.model.loss import cross_entropy, with_z_penalty
from minillm.model.transformer import ModelConfig, Transformer
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
from minillm.train.resumable import resumable, resume_key
from minillm.train.schedule import TrainingConfig, TrainState
from minillm.train.trainer import COMPILED, compile_decided, final_loss

CODE = (
    "minillm.align.chat", "minillm.align.conversations", "minillm.align.instructions",
    "minillm.align.sft", "minillm.corpus.storyworld", "minillm.model", "minillm.train",
)  # fmt: skip


# package only
@dataclass(frozen=True, kw_only=True, slots=True)
class SftConfig:
    """What is taught, in which rows, and how."""

    # stories of each level, and the fractions done between which they are spread: level by level,
    # each begun before the one below it has ended (mixed from the start they are learnt later)
    stories: tuple[int, ...] = (300, 100, 50)
    starts: tuple[float, ...] = (0.0, 0.35, 0.7)
    ends: tuple[float, ...] = (0.6, 0.9, 1.0)
    max_documents: int = 200
    batches: BatchesConfig = field(
        default_factory=lambda: BatchesConfig(context_length=256, batch_size=8)
    )
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
        if len(self.stories) > len(ALL_LEVELS):
            raise ValueError(
                f"stories = {self.stories}: conversations are made from stories of levels "
                f"{ALL_LEVELS}; give at most {len(ALL_LEVELS)} counts"
            )
        if min(len(self.starts), len(self.ends)) < len(self.stories) or not all(
            0 <= start < end <= 1 for start, end in zip(self.starts, self.ends, strict=False)
        ):
            raise ValueError(
                f"starts = {self.starts}, ends = {self.ends}: give 0 ≤ start < end ≤ 1 for each of "
                f"the {len(self.stories)} levels in stories"
            )
        if self.max_documents < 0:
            raise ValueError(f"max_documents = {self.max_documents}: must be at least 0")
        if self.training.recompute:
            raise ValueError(
                "training.recompute = True: fine-tuning keeps what it computes; leave it out here"
            )


# package only
def taught_conversations(config: SftConfig, run: Run) -> list[Conversation]:
    """Stories of the training split and documents with a title, in the order of teaching.

    Every level is spread from its start to its end: easy ones come first.
    """
    chance = random.Random(config.batches.seed)
    placed = []
    for level, count in enumerate(config.stories, start=1):
        stories = [tell_story(story_seed(index, "train"), level) for index in range(count)]
        start, end = config.starts[level - 1], config.ends[level - 1]
        for each in story_conversations(stories, config.batches.seed):
            placed.append((start + (end - start) * chance.random(), each))
    texts = read_documents(run.artifact("documents").path, "train")
    documents = [each for text in texts if (each := document_conversation(text)) is not None]
    chance.shuffle(documents)
    placed += [(chance.random(), each) for each in documents[: config.max_documents]]
    return [each for _, each in sorted(placed, key=lambda pair: pair[0])]


def hidden_states(model: Transformer, batch: Batch) -> torch.Tensor:
    """What the layers make of a batch, before the head: x_BTD."""
    return model.model(batch.tokens_BT, None, batch.documents_BT)


def completion_loss(
    device: str,
    layers: Callable[[Transformer, Batch], torch.Tensor] = hidden_states,
    z_weight: float = 0.0,
) -> Callable[[Transformer, Batch], tuple[torch.Tensor, StepFigures]]:
    """The loss of pretraining, over what the assistant says: the batch holds no other targets.

    Logits are made where there is a target and nowhere else: most places have none here.
    """

    def loss_fn(model: Transformer, batch: Batch) -> tuple[torch.Tensor, StepFigures]:
        batch = batch.to(device)
        is_said_BT = batch.targets_BT != IGNORE
        logits_NV = model.lm_head(layers(model, batch)[is_said_BT])
        targets_N = batch.targets_BT[is_said_BT]
        loss = cross_entropy(logits_NV, targets_N)
        loss = with_z_penalty(loss, logits_NV, targets_N, z_weight)
        return with_balance(loss, model, batch), {"num_targets": int(is_said_BT.sum())}

    return loss_fn


# package only
def checkpoints(run: Run, name: str) -> Path:
    """Where a fine-tuning of this name keeps its checkpoints."""
    return run.path / "checkpoints" / name


# package only
def sft_log(run: Run, name: str = "assistant") -> Path:
    """Where a fine-tuning of this name logs its steps."""
    return run.path / "logs" / f"{name}.jsonl"


# package only
def with_context(config: ModelConfig, context_length: int) -> ModelConfig:
    """The shape with a context of at least this; ValueError if its places are a learned table."""
    length = max(context_length, config.context_length)
    if config.positions == "learned" and length > config.context_length:
        raise ValueError(
            f"batches.context_length = {length}: the model has learned {config.context_length} "
            "places and knows no more; use at most as many, or pretrain with rotary positions"
        )
    return dataclasses.replace(config, context_length=length)


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
    model = Transformer(with_context(base.config, config.batches.context_length)).to(device)
    if config.from_base:
        load_model_tensors(model, model_tensors(base))
    taught = taught_conversations(config, run)
    examples = encoded(taught, tokenizer, config.batches.context_length)
    layers, training = hidden_states, compile_decided(config.training, device)
    if training.compile:
        # the head stays outside: how many rows it gets differs from batch to batch
        layers = compiled(layers, device=device, cache_folder=run.path.parent / COMPILED)

    def open_stream(position: int) -> ConversationStream:
        return ConversationStream(examples, config.batches, tokenizer.end_of_text, position)

    state = resumable(
        model, training, open_stream, completion_loss(device, layers, training.z_weight),
        folder=checkpoints(run, name), log=sft_log(run, name), key=key, evaluate=evaluate,
    )
    return model, state


def fine_tune(config: SftConfig, run: Run, *, evaluate: Evaluation | None = None) -> Artifact:
    """The stage: the run's base model → its assistant."""
    base, documents = run.artifact("model"), run.artifact("documents")
    parents = (base, documents)
    hashes = [each.sha256 for each in parents]
    key = resume_key(config, hashes, CODE)

    def write(folder: Path) -> Figures:
        model, tokenizer = load_model(base.path)
        tuned, state = fine_tuned(config, run, model, tokenizer, key=key, evaluate=evaluate)
        save_model(tuned, tokenizer, folder)
        best_step = state.figures.get("best_step")
        remove_checkpoints(checkpoints(run, "assistant"), state.step, keep=1, best_step=best_step)
        return sft_figures(tuned, state, run)

    return make_artifact(
        run, "assistant", config=config, parents=parents, code=CODE,
        write=write, summary=sft_summary,
    )


# package only
def sft_figures(model: Transformer, state: TrainState, run: Run) -> Figures:
    """What the manifest says."""
    return {
        "parameters": model.num_parameters, "steps": state.step,
        "target_tokens": state.num_targets, "seconds": round(state.elapsed_s, 1),
        "loss": final_loss(sft_log(run)), **state.figures,
    }


# package only
def sft_summary(figures: Figures) -> str:
    """What is the same on every machine."""
    return (
        f"{figures['parameters']:,} parameters, {figures['steps']:,} steps over "
        f"{figures['target_tokens']:,} tokens that the assistant says"
    )
