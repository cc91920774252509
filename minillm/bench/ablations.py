"""What does each choice of a recipe buy? One change at a time, at equal compute, seed by seed.

A base recipe, and variants that differ from it in a line or two of `--set`. Every run gets the same
number of floating-point operations: what a step of a variant costs is counted (`training_flops`),
and the number of steps follows. A seed decides first weights and order of batches; a variant is
compared with the base of the same seed, and the mean difference gets Student's interval. Two rows
change nothing but the first weights: what they show is chance. Each variant runs at the base's
learning rate; a shape that wanted another one is judged too hard.
"""

import dataclasses
import time
from collections.abc import Mapping, Sequence
from typing import TypeVar

import torch

from minillm.batches.shards import BatchesConfig, Shards, shards_of
from minillm.batches.stream import Stream
from minillm.bench.optimizers import with_interval
from minillm.core.settings import with_fields
from minillm.corpus.mix import story_seed
from minillm.corpus.storyworld import tell_story
from minillm.corpus.storyworld.stories import LEVELS
from minillm.model.counting import training_flops
from minillm.model.loss import bits_per_byte
from minillm.model.transformer import ModelConfig, Transformer
from minillm.recipes import Recipe
from minillm.tokenizer.bytepair import TokenizerConfig, train_tokenizer
from minillm.train.averaging import optimizer_for
from minillm.train.loop import training_step
from minillm.train.schedule import TrainingConfig
from minillm.train.trainer import pretraining_loss

# what has a model, batches and training
Planned = TypeVar("Planned", bound="Trial | Recipe")
NUM_STORIES, NUM_HELD_OUT, NUM_TOKENIZER_STORIES, NUM_FEW = 3600, 60, 600, 100
# what the base reads, 256,000 tokens: a curriculum has to end within the run
READ_SHARE = 1 / 3
SEEDS = (0, 1, 2, 3)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """All that decides a run but its seed: shape, batches, training, and which text is read."""

    model: ModelConfig
    batches: BatchesConfig
    training: TrainingConfig
    text: str = "mixed"
    weights_seed: int = 0


BASE = Trial(
    model=ModelConfig(
        vocab_size=512, width=48, num_layers=2, num_heads=4, num_kv_heads=4, ffn_width=128,
        context_length=64, initial_std=0.09,  # FIRST_WEIGHTS / √48
    ),
    batches=BatchesConfig(context_length=64, batch_size=8),
    training=TrainingConfig(max_steps=500, learning_rate=8e-3, precision="float32"),
)  # fmt: skip
SHAPES = {
    "other first weights": ("weights_seed=1000",),
    "1 layer": ("model.num_layers=1",),
    "4 layers": ("model.num_layers=4",),
    "1 head": ("model.num_heads=1", "model.num_kv_heads=1"),
    "8 heads": ("model.num_heads=8", "model.num_kv_heads=8"),
    "width 32": ("model.width=32", "model.ffn_width=84", "model.initial_std=0.11"),
    "width 96": ("model.width=96", "model.ffn_width=256", "model.initial_std=0.063"),
    "context 32": ("model.context_length=32", "batches.context_length=32", "batches.batch_size=16"),
    "context 128": (
        "model.context_length=128", "batches.context_length=128", "batches.batch_size=4",
    ),
    "one key head for four": ("model.num_kv_heads=1",),
    "untied embeddings": ("model.tie_embeddings=false",),
}  # fmt: skip
RECIPES = {
    "yet other first weights": ("weights_seed=2000",),
    "half the rate": ("training.learning_rate=0.004",),
    "twice the rate": ("training.learning_rate=0.016",),
    "no weight decay": ("training.weight_decay=0.0",),
    "no warm-up": ("training.warmup_fraction=0.0",),
    "no clipping": ("training.clip_norm=1e9",),
    "level rate": ("training.final_fraction=1.0",),
    "plateau, late fall": ("training.decay=linear", "training.decay_fraction=0.3"),
    "4 rows a step": ("batches.batch_size=4",),
    "16 rows a step": ("batches.batch_size=16",),
    "easy stories first": ("text=easy first",),
    "level 1 alone": ("text=level 1",),
    "100 stories again and again": ("text=few",),
}
GROUPS = {"shape": SHAPES, "recipe": RECIPES}


# package only
@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Texts:
    """Shards to train on by name, and held-out documents with their bytes."""

    trained: dict[str, Shards]
    held_out: list[list[int]]
    num_bytes: int


# package only
def made_texts(
    num_stories: int = NUM_STORIES, num_held_out: int = NUM_HELD_OUT, num_few: int = NUM_FEW
) -> Texts:
    """The same stories in several orders and choices; held out, others, as many of each level."""
    stories = [
        (level, tell_story(story_seed(index, "train"), level).text)
        for index, level in enumerate(LEVELS * (num_stories // len(LEVELS)))
    ]
    config = TokenizerConfig(vocab_size=BASE.model.vocab_size)
    tokenizer = train_tokenizer([text for _, text in stories[:NUM_TOKENIZER_STORIES]], config)
    mixed, num_read = [text for _, text in stories], round(READ_SHARE * num_stories)
    first = range(num_stories, 2 * num_stories)
    chosen = {
        "mixed": mixed,
        "easy first": [text for _, text in sorted(stories[:num_read], key=lambda each: each[0])],
        "level 1": [tell_story(story_seed(index, "train"), 1).text for index in first],
        "few": mixed[:num_few],
    }
    unread = [
        tell_story(story_seed(index, "validation"), LEVELS[index % len(LEVELS)]).text
        for index in range(num_held_out)
    ]
    return Texts(
        trained={name: shards_of(texts, tokenizer) for name, texts in chosen.items()},
        held_out=[[tokenizer.end_of_text, *tokenizer.encode(text)] for text in unread],
        num_bytes=sum(len(text.encode()) for text in unread),
    )


def step_flops(trial: Planned) -> int:
    """What one step of a trial costs, the head's product and attention's scores included."""
    rows, length = trial.batches.batch_size, trial.batches.context_length
    return trial.training.accumulate * training_flops(trial.model, rows, length)


def at_equal_compute(trial: Planned, base: Planned) -> Planned:
    """The trial with as many steps as the base's operations pay for."""
    budget = base.training.max_steps * step_flops(base)
    steps = max(1, round(budget / step_flops(trial)))
    return dataclasses.replace(
        trial, training=dataclasses.replace(trial.training, max_steps=steps)
    )


# package only
def train_on(model: Transformer, shards: Shards, trial: Planned, seed: int) -> None:
    """All the trial's steps, over batches in the order of this seed."""
    stream = Stream(shards, dataclasses.replace(trial.batches, seed=seed))
    optimizer = optimizer_for(model, trial.training)
    loss_fn = pretraining_loss(shards.num_bytes / shards.num_tokens, "cpu")
    for step in range(trial.training.max_steps):
        fraction = step / trial.training.max_steps
        training_step(model, stream, loss_fn, optimizer, trial.training, fraction=fraction)


def held_out_bits(trial: Trial, seed: int, texts: Texts) -> float:
    """Train from this seed, and how many bits a byte of unread stories takes afterwards."""
    torch.manual_seed(seed + trial.weights_seed)
    model = Transformer(trial.model)
    train_on(model, texts.trained[trial.text], trial, seed)
    return bits_per_byte(model, texts.held_out, texts.num_bytes, trial.model.context_length)


def minus_base(bits: Sequence[float], base: Sequence[float]) -> dict[str, float]:
    """Bits a byte that a variant has more than the base, seed by seed: mean and interval."""
    return with_interval([ours - theirs for ours, theirs in zip(bits, base, strict=True)])


# package only
def measure(
    base: Trial = BASE,
    groups: Mapping[str, Mapping[str, Sequence[str]]] | None = None,
    seeds: Sequence[int] = SEEDS,
    texts: Texts | None = None,
) -> dict[str, object]:
    """Held-out bits a byte of the base and of each variant, by seed, and how far they differ."""
    groups, texts, begin = groups or GROUPS, texts or made_texts(), time.process_time()
    trials = {
        name: at_equal_compute(with_fields(base, changes), base)
        for variants in groups.values() for name, changes in variants.items()
    }  # fmt: skip
    bits: dict[str, list[float]] = {name: [] for name in ("base", *trials)}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for seed in seeds:  # outermost: a slow hour falls on all alike
            for name, trial in {"base": base, **trials}.items():
                bits[name].append(round(held_out_bits(trial, seed, texts), 4))
                print(f"seed {seed}, {name}: {bits[name][-1]} bits a byte", flush=True)
    finally:
        torch.set_num_threads(threads)
    return {
        "flops_a_run": base.training.max_steps * step_flops(base),
        "base": described(base, bits["base"]),
        **{
            group: {
                name: {
                    "set": list(changes), **described(trials[name], bits[name]),
                    "minus_base": minus_base(bits[name], bits["base"]),
                }
                for name, changes in variants.items()
            }
            for group, variants in groups.items()
        },
        "processor_s": round(time.process_time() - begin, 1),
    }  # fmt: skip


# package only
def described(trial: Trial, bits: Sequence[float]) -> dict[str, object]:
    """What a run was, and what it came to."""
    steps = trial.training.max_steps
    return {
        "parameters": trial.model.num_parameters,
        "steps": steps,
        "tokens": steps * trial.batches.batch_size * trial.batches.context_length,
        "bits_per_byte": list(bits),
    }
