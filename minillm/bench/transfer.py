"""Does the best learning rate of a narrow model serve a wide one? Trained at every rate and width.

Stories, one tokenizer, the same batches for all; models that differ in width and first weights
alone. Plainly: weights as large as the recipes have them, .62/√D, and one rate for all parameters.
With transfer: `ModelConfig.base_width`, from which first weights and step sizes follow (Yang et
al., arXiv:2203.03466). Each is trained at every learning rate with several seeds; the best rate is
where a parabola through the held-out losses near the lowest one, over the logarithm of the rate,
is lowest. At the base width both are the same model.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch

from minillm.batches.shards import BatchesConfig, Shards, shards_of
from minillm.batches.stream import IGNORE, Batch, Stream
from minillm.brief import FIRST_WEIGHTS
from minillm.corpus.storyworld import tell_story
from minillm.model.transformer import ModelConfig, Transformer
from minillm.tokenizer.bytepair import TokenizerConfig, train_tokenizer
from minillm.train.loop import training_step
from minillm.train.optimizer import make_optimizer
from minillm.train.schedule import TrainingConfig
from minillm.train.trainer import next_token_loss

WIDTHS, HEAD_WIDTH, NUM_LAYERS = (32, 64, 128), 16, 2
RATES = tuple(round(0.004 * 2 ** (step * 2 / 3), 5) for step in range(7))
NUM_SEEDS, NUM_STEPS = 3, 200
CONTEXT_LENGTH, BATCH_SIZE, VOCAB_SIZE = 64, 16, 512
NUM_STORIES, NUM_TOKENIZER_STORIES, NUM_HELD_OUT = 6000, 1500, 150
WAYS = ("plain", "transfer")
# points on each side of the lowest that the parabola goes through
NEAR = 2
# by way, by width: a row a seed, a loss a rate
Losses = Mapping[str, Mapping[str, Sequence[Sequence[float]]]]


# package only
def story_shards() -> tuple[Shards, Shards]:
    """Stories of three levels as tokens in memory: to train on, and held out."""
    texts = [tell_story(seed, 1 + seed % 3).text for seed in range(NUM_STORIES)]
    config = TokenizerConfig(vocab_size=VOCAB_SIZE)
    tokenizer = train_tokenizer(texts[:NUM_TOKENIZER_STORIES], config)
    parts = (texts[:-NUM_HELD_OUT], texts[-NUM_HELD_OUT:])
    return shards_of(parts[0], tokenizer), shards_of(parts[1], tokenizer)


# package only
def shape(way: str, width: int, base_width: int) -> ModelConfig:
    """The model of this width: more heads and a wider feed-forward part, nothing else."""
    ruled_by = width if way == "plain" else base_width
    return ModelConfig(
        vocab_size=VOCAB_SIZE, width=width, num_layers=NUM_LAYERS,
        num_heads=width // HEAD_WIDTH, num_kv_heads=width // HEAD_WIDTH,
        ffn_width=8 * width // 3 // 8 * 8, context_length=CONTEXT_LENGTH,
        initial_std=FIRST_WEIGHTS / math.sqrt(ruled_by),
        base_width=None if way == "plain" else base_width,
    )


# package only
@torch.no_grad()
def held_out_loss(model: Transformer, held_out: Shards) -> float:
    """Mean surprise over all held-out rows, in nats a token."""
    stream = Stream(held_out, BatchesConfig(context_length=CONTEXT_LENGTH, batch_size=BATCH_SIZE))
    nats, count = 0.0, 0
    for _ in range(stream.num_batches_per_epoch):
        batch = next(stream)
        targets = int((batch.targets_BT != IGNORE).sum())
        nats += next_token_loss(model, batch).item() * targets
        count += targets
    return nats / count


# package only
def trained_loss(
    config: ModelConfig, rate: float, seed: int, num_steps: int, train: Shards, held_out: Shards
) -> float:
    """What a model of this shape comes to in so many steps at this rate."""
    torch.manual_seed(seed)
    model = Transformer(config)
    training = TrainingConfig(
        max_steps=num_steps, learning_rate=rate, warmup_fraction=0.1, precision="float32"
    )
    optimizer = make_optimizer(model, "adamw", weight_decay=0.1, betas=training.betas)
    batches = BatchesConfig(context_length=CONTEXT_LENGTH, batch_size=BATCH_SIZE, seed=seed)
    stream = Stream(train, batches)

    def loss_fn(model: Transformer, batch: Batch) -> tuple[torch.Tensor, dict[str, float]]:
        count = int((batch.targets_BT != IGNORE).sum())
        return next_token_loss(model, batch), {"num_targets": count}

    for step in range(num_steps):
        training_step(model, stream, loss_fn, optimizer, training, fraction=step / num_steps)
    return held_out_loss(model, held_out)


# package only
def best_rate(rates: Sequence[float], losses: Sequence[float]) -> float:
    """Where a parabola through the points near the lowest is lowest, over the rate's logarithm."""
    lowest = int(np.argmin(losses))
    near = slice(max(0, lowest - NEAR), lowest + NEAR + 1)
    x, y = np.log2(rates[near]), np.asarray(losses[near])
    square, slope, _ = np.polyfit(x, y, 2)
    vertex = -slope / (2 * square) if square > 0 else x[np.argmin(y)]
    return float(2 ** np.clip(vertex, x[0], x[-1]))


# package only
def summary(losses: Losses, rates: Sequence[float]) -> dict[str, dict]:
    """The best rate by way and width, and how far apart the best rates of one way lie."""
    best = {
        way: {width: best_rate(rates, np.mean(rows, axis=0)) for width, rows in by_width.items()}
        for way, by_width in losses.items()
    }
    return {
        "best_rate": best,
        "best_rates_apart": {
            way: max(found.values()) / min(found.values()) for way, found in best.items()
        },
    }


# package only
def measure(
    widths: Sequence[int] = WIDTHS,
    rates: Sequence[float] = RATES,
    num_seeds: int = NUM_SEEDS,
    num_steps: int = NUM_STEPS,
) -> dict[str, object]:
    """Held-out loss by way, width, seed and rate; the best rates, and how far they lie apart."""
    train, held_out = story_shards()
    losses: dict[str, dict[str, list[list[float]]]] = {way: {} for way in WAYS}
    for width in widths:
        for way in WAYS:
            if width == widths[0] and way == "transfer":
                losses[way][str(width)] = losses["plain"][str(width)]
                continue
            config = shape(way, width, widths[0])
            losses[way][str(width)] = [
                [
                    round(trained_loss(config, rate, seed, num_steps, train, held_out), 4)
                    for rate in rates
                ]
                for seed in range(num_seeds)
            ]
            print(way, width, losses[way][str(width)], flush=True)
    return {
        "steps": num_steps,
        "tokens_per_step": CONTEXT_LENGTH * BATCH_SIZE,
        "layers": NUM_LAYERS,
        "rates": list(rates),
        "losses": losses,
        **summary(losses, rates),
    }
