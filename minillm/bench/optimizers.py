"""Muon against AdamW: one model, one text, each at its best learning rate of one grid.

A race is fair in two ways. *Same steps*: both take as many, on the same batches, and what a step
costs is left out. *Same minutes*: the dearer step is measured (interleaved, medians), and AdamW is
given as many more steps as fit into Muon's time. Each rate is run from every seed; a seed decides
first weights and order of batches, so differences are taken seed by seed. Held-out stories count.
"""

import dataclasses
import math
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from statistics import mean, median, stdev

import torch

from minillm.batches.description import DESCRIPTION, Description
from minillm.batches.shards import BatchesConfig, Shards, open_shards, token_sequence, write_split
from minillm.batches.stream import IGNORE, Batch, Stream
from minillm.corpus.storyworld import tell_story
from minillm.corpus.storyworld.stories import LEVELS
from minillm.model.transformer import ModelConfig, Transformer
from minillm.tokenizer.bytepair import TokenizerConfig, train_tokenizer
from minillm.train.loop import training_step
from minillm.train.optimizer import Optimizer, make_optimizer
from minillm.train.schedule import TrainingConfig
from minillm.train.trainer import next_token_loss, pretraining_loss

NUM_STORIES, NUM_HELD_OUT = 2000, 60
VOCAB_SIZE, CONTEXT, BATCH_SIZE = 512, 64, 8
SHAPE = ModelConfig(
    vocab_size=VOCAB_SIZE, width=96, num_layers=3, num_heads=3, num_kv_heads=1, ffn_width=256,
    context_length=CONTEXT,
)
RATES = (2e-3, 4e-3, 8e-3, 1.6e-2, 3.2e-2)
SEEDS = (0, 1, 2)
NUM_STEPS, NUM_TIMED = 150, 25
# Student's t for 95 % with n - 1 degrees of freedom
T_95 = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776}


# package only
def made_text(folder: Path, num_stories: int, num_held_out: int) -> dict[str, Shards]:
    """Stories of the story world as shards: seeds of training and held-out ones do not meet."""
    numbers = {"train": range(num_stories), "validation": range(10**6, 10**6 + num_held_out)}
    texts = {
        split: [tell_story(seed, LEVELS[seed % len(LEVELS)]).text for seed in seeds]
        for split, seeds in numbers.items()
    }
    tokenizer = train_tokenizer(texts["train"][:500], TokenizerConfig(vocab_size=VOCAB_SIZE))
    for split, each in texts.items():
        write_split(folder, split, *token_sequence(each, tokenizer), 1 << 20)
    (folder / DESCRIPTION).write_bytes(Description(tokens_per_shard=1 << 20).to_json())
    return {split: open_shards(folder, split) for split in numbers}


# package only
def held_out_bits(model: Transformer, shards: Shards) -> float:
    """Bits per byte of all held-out stories."""
    stream = Stream(shards, BatchesConfig(context_length=CONTEXT, batch_size=BATCH_SIZE))
    nats, count = 0.0, 0
    with torch.inference_mode():
        for batch in islice(stream, stream.num_batches_per_epoch):
            targets = int((batch.targets_BT != IGNORE).sum())
            nats += next_token_loss(model, batch).item() * targets
            count += targets
    return nats / count / math.log(2) * shards.num_tokens / shards.num_bytes


# package only
@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Race:
    """What both sides share: text, shape, batches, schedule."""

    shards: dict[str, Shards]
    shape: ModelConfig = SHAPE

    def start(self, kind: str, seed: int) -> tuple[Transformer, Optimizer, Iterator[Batch]]:
        torch.manual_seed(seed)
        model = Transformer(self.shape)
        rows = BatchesConfig(context_length=CONTEXT, batch_size=BATCH_SIZE, seed=seed)
        optimizer = make_optimizer(model, kind, weight_decay=0.1, betas=(0.9, 0.95))
        return model, optimizer, Stream(self.shards["train"], rows)

    def run(self, kind: str, rate: float, seed: int, num_steps: int) -> float:
        """Held-out bits per byte after so many steps; infinite where the run diverged."""
        model, optimizer, stream = self.start(kind, seed)
        config = TrainingConfig(max_steps=num_steps, learning_rate=rate, precision="float32")
        loss_fn = pretraining_loss(1.0, "cpu")
        for step in range(num_steps):
            fraction = step / num_steps
            training_step(model, stream, loss_fn, optimizer, config, fraction=fraction)
        bits = held_out_bits(model, self.shards["validation"])
        return bits if math.isfinite(bits) else math.inf

    def step_seconds(self, num_steps: int) -> dict[str, float]:
        """The median processor time of a step; the two take turns."""
        config = TrainingConfig(max_steps=num_steps, precision="float32")
        sides = {kind: self.start(kind, 0) for kind in ("adamw", "muon")}
        seconds: dict[str, list[float]] = {kind: [] for kind in sides}
        loss_fn = pretraining_loss(1.0, "cpu")
        for _ in range(num_steps):
            for kind, (model, optimizer, stream) in sides.items():
                begin = time.process_time()
                training_step(model, stream, loss_fn, optimizer, config, fraction=0.5)
                seconds[kind].append(time.process_time() - begin)
        return {kind: median(times) for kind, times in seconds.items()}


# package only
def with_interval(differences: list[float]) -> dict[str, float]:
    """Mean and 95 % interval of paired differences, by Student's t."""
    half = T_95[len(differences)] * stdev(differences) / math.sqrt(len(differences))
    middle = mean(differences)
    return {"mean": middle, "low": middle - half, "high": middle + half}


# package only
def measure(
    num_stories: int = NUM_STORIES,
    num_steps: int = NUM_STEPS,
    rates: tuple[float, ...] = RATES,
    seeds: tuple[int, ...] = SEEDS,
    num_timed: int = NUM_TIMED,
    shape: ModelConfig = SHAPE,
) -> dict[str, object]:
    """Held-out bits per byte by optimizer and rate, and the two races between the best."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with tempfile.TemporaryDirectory() as name:
            race = Race(shards=made_text(Path(name), num_stories, NUM_HELD_OUT), shape=shape)
            grid = {
                kind: {rate: [race.run(kind, rate, seed, num_steps) for seed in seeds]
                       for rate in rates}
                for kind in ("adamw", "muon")
            }
            best = {
                kind: min(runs, key=lambda rate, runs=runs: mean(runs[rate]))
                for kind, runs in grid.items()
            }
            seconds = race.step_seconds(num_timed)
            steps = round(num_steps * seconds["muon"] / seconds["adamw"])
            longer = [race.run("adamw", best["adamw"], seed, steps) for seed in seeds]
    finally:
        torch.set_num_threads(threads)
    muon, adamw = grid["muon"][best["muon"]], grid["adamw"][best["adamw"]]
    return {
        "parameters": shape.num_parameters,
        "steps": num_steps,
        "bits_per_byte": {k: {f"{r:g}": v for r, v in runs.items()} for k, runs in grid.items()},
        "best_rate": best,
        "step_cost_muon_over_adamw": seconds["muon"] / seconds["adamw"],
        "adamw_steps_in_muons_time": steps,
        "adamw_bits_in_muons_time": longer,
        "muon_minus_adamw_same_steps": with_interval([a - b for a, b in zip(muon, adamw)]),
        "muon_minus_adamw_same_minutes": with_interval([a - b for a, b in zip(muon, longer)]),
    }
