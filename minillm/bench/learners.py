"""One learner in a process of its own: ours or nanoGPT, for so many minutes, asked on the way.

`python -m minillm.bench.learners '{…}'`, the JSON of a `Learner`. Each line that comes out is
JSON: the minutes trained (questions are not counted), the steps and tokens, bits per byte of the
held-out documents; ours ends with one about the stories that it tells. Both are asked at the same
parts of a run by the clock, compiling included, after the step that passes one, and more often in
the first fifth: in ten minutes at 1, 1.5, 1.9 and 2, so that
"within two minutes" has an answer from before the two are over. Ours is the course's loop
with the recipe's settings. nanoGPT is stepped as its `train.py` does, with its settings for small
models; its warm-up and cosine follow the clock, so that they end with the minutes.
"""

import json
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn

from minillm.batches.shards import BatchesConfig, Shards, open_shards
from minillm.batches.stream import Stream
from minillm.bench.trainers import (
    PEER_CLIP,
    answer,
    nanogpt_model,
    peer_optimizer,
    random_crops,
)
from minillm.core.runtime import detect
from minillm.core.settings import built
from minillm.corpus.mix import story_seed
from minillm.corpus.storyworld import Story, tell_story
from minillm.corpus.storyworld.stories import LEVELS
from minillm.evaluate.stories import SamplingConfig, probe, story_bits_per_byte
from minillm.model.loss import bits_per_byte
from minillm.model.transformer import ModelConfig, Transformer
from minillm.tokenizer.bytepair import Tokenizer
from minillm.train.averaging import optimizer_for
from minillm.train.loop import count_step, train
from minillm.train.precision import autocast, compiled, faster_precision
from minillm.train.ranks import Unlogged
from minillm.train.schedule import TrainingConfig, TrainState, fraction_done
from minillm.train.schedule import learning_rate as rate_at
from minillm.train.trainer import compile_decided, next_token_loss, pretraining_loss

# parts of a run after which a learner is asked; its end comes anyway
ASKED_AT = (0.1, 0.15, 0.19, 0.2, 0.4, 0.6, 0.8)
# of each level: what the world itself needs for a long story takes a second to find out
NUM_WEIGHED = 60
# schedules begin after the compiling, questions are asked by the minutes that all of it takes
by_the_clock = partial(replace, compiling_s=0.0)


# package only
@dataclass(frozen=True, kw_only=True, slots=True)
class Learner:
    """Who learns, with which shape and settings, from which shards, for how long."""

    who: str
    shape: ModelConfig
    training: TrainingConfig
    batches: BatchesConfig
    shards: str
    ids: str
    tokenizer: str
    cache: str
    num_stories: int
    nanogpt: str | None = None


# package only
class Logits(nn.Module):
    """nanoGPT as a function from ids to the logits of all places, which it gives with targets."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, tokens_BT: torch.Tensor) -> torch.Tensor:
        tokens_BT = tokens_BT.contiguous()  # its loss wants to see them as one row
        return self.model(tokens_BT, tokens_BT)[0]


# package only
def held_out_bits(model: nn.Module, shards: Shards, context_length: int) -> dict[str, float]:
    """Bits per byte of the documents, each by itself; and of all in a row, as nanoGPT reads them
    (there the mark between two is guessed too)."""
    documents = [shards.document(index) for index in range(shards.num_documents)]
    whole = [np.concatenate(documents)]
    ways = {"bits_per_byte": documents, "bits_per_byte_in_a_row": whole}
    return {
        name: bits_per_byte(model, texts, shards.num_bytes, context_length)
        for name, texts in ways.items()
    }


# package only
def tell(model: nn.Module, learner: Learner, state: TrainState) -> dict[str, float]:
    """Ask the model, and print what it knows by now."""
    shards = open_shards(Path(learner.shards), "validation")
    bits = held_out_bits(model, shards, learner.shape.context_length)
    answer(minutes=state.elapsed_s / 60, steps=state.step, tokens=state.num_targets, **bits)
    return bits


# package only
class Questions:
    """Those that are still to come."""

    def __init__(self) -> None:
        self.left = ASKED_AT

    def is_one_due(self, fraction: float) -> bool:
        """Has one come due, or the end? Those that one step has passed are one question."""
        later = tuple(each for each in self.left if each > fraction)
        is_due = later != self.left or fraction >= 1
        self.left = later
        return is_due


# package only
def unread_stories(count: int, levels: Sequence[int] = LEVELS) -> list[Story]:
    """So many stories of each level that no training reads."""
    return [
        tell_story(story_seed(index, "validation"), level)
        for level in levels for index in range(count)
    ]  # fmt: skip


# package only
def told_by(
    model: Transformer, tokenizer: Tokenizer, stories: list[Story], context_length: int
) -> dict[int, dict[str, float]]:
    """Of each level, how sound the model's own stories are, and the bits a byte of unread ones."""
    told = probe(model, tokenizer, stories, SamplingConfig(count=len(stories)))
    for level in told:
        unread = [story for story in stories if story.level == level][:NUM_WEIGHED]
        bits = story_bits_per_byte(model, tokenizer, unread, context_length)
        told[level]["bits_per_byte"] = bits
    return told


# package only
def learn_ours(learner: Learner) -> None:
    """The course's loop, with what its recipe says; then the stories that it tells."""
    # asked after every step, and answering when a question has come
    training = replace(learner.training, evaluate_every_steps=1, evaluate_every_fraction=None)
    training = compile_decided(training, detect().device)
    torch.manual_seed(training.seed)
    model = Transformer(learner.shape)
    shards = open_shards(Path(learner.shards), "train")
    loss: Callable = next_token_loss
    if training.compile:
        loss = compiled(loss, device="cpu", cache_folder=Path(learner.cache))
    loss_fn = pretraining_loss(shards.num_bytes / shards.num_tokens, "cpu", loss)
    training = replace(training, precision=training.precision or faster_precision("cpu"))
    state, questions = TrainState(), Questions()

    def asked(model: nn.Module, step: int) -> dict[str, float]:
        is_due = questions.is_one_due(fraction_done(by_the_clock(state), training))
        return tell(model, learner, state) if is_due else {}

    train(
        model, Stream(shards, learner.batches), loss_fn,
        optimizer_for(model, training), training, state=state, log=Unlogged(), evaluate=asked,
    )  # fmt: skip
    tokenizer = Tokenizer.load(Path(learner.tokenizer))
    stories = unread_stories(learner.num_stories)
    answer(stories=told_by(model, tokenizer, stories, learner.shape.context_length))


# package only
def learn_nanogpt(learner: Learner) -> None:
    """Random rows, autocast, compiled, AdamW, warm-up and cosine over the minutes."""
    training, config = learner.training, learner.shape
    precision = faster_precision("cpu")
    detect()  # what ours asks of its process, for both
    torch.manual_seed(training.seed)
    model = nanogpt_model(learner.nanogpt, config)
    called = model
    if training.compile:
        called = compiled(model, device="cpu", cache_folder=Path(learner.cache))
    optimizer = peer_optimizer(model, training.learning_rate)
    rows = learner.batches.batch_size
    crops = random_crops(Path(learner.ids), config.context_length, rows, training.seed)
    state, questions = TrainState(), Questions()
    while (fraction := fraction_done(state, training)) < 1:
        if questions.is_one_due(fraction_done(by_the_clock(state), training)):
            tell(Logits(model).eval(), learner, state)
            model.train()
        started_s = time.perf_counter()
        for group in optimizer.param_groups:
            group["lr"] = rate_at(fraction, training)
        tokens_BT, targets_BT = next(crops)
        with autocast("cpu", precision):
            loss = called(tokens_BT, targets_BT)[1]
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), PEER_CLIP)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        count_step(
            state, {"num_targets": targets_BT.numel()}, time.perf_counter() - started_s,
            is_compiling=training.compile and state.step == 0,
        )
    tell(Logits(model).eval(), learner, state)


# package only
def main(words: str) -> None:
    """Let the learner that the JSON says learn; what libraries say goes to standard error."""
    learner = built(Learner, json.loads(words))
    with redirect_stdout(sys.stderr):
        (learn_nanogpt if learner.who == "nanoGPT" else learn_ours)(learner)


if __name__ == "__main__":
    main(sys.argv[1])
