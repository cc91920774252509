"""Five ways to know the order of words in one race, and longer texts than those trained on.

Everybody gets the same stories, batches, steps, learning rate and seeds; only `positions` differs.
Text is a stream of made-up stories, one after the other, read through windows of 128 tokens; a
story has about 300, so a longer window has more to go by. Then the rotary models are given windows
of 512: as they are, scaled in three ways, and scaled and trained for a few steps more. Beside them
stands the same model with no more than its 128 tokens: what a longer context has to beat.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace

import torch
import torch.nn.functional as F

from minillm.corpus.mix import story_seed
from minillm.corpus.storyworld import tell_story
from minillm.model.loss import cross_entropy
from minillm.model.positions import PositionKind, RopeScaling
from minillm.model.transformer import ModelConfig, Transformer
from minillm.tokenizer.bytepair import Tokenizer, TokenizerConfig, train_tokenizer
from minillm.train.checkpoint import load_model_tensors, model_tensors
from minillm.train.loop import StepFigures, training_step
from minillm.train.optimizer import make_optimizer
from minillm.train.schedule import TrainingConfig

KINDS: tuple[PositionKind, ...] = ("rotary", "alibi", "none", "learned", "sinusoidal")
SCALINGS: tuple[RopeScaling, ...] = (None, "linear", "ntk", "yarn")
LEVEL = 3  # the longest stories
NUM_TOKENIZER_STORIES = 300
PLACES_AT_ONCE = 32
ROWS_AT_ONCE = 8

Windows = tuple[torch.Tensor, torch.Tensor]


# package only
@dataclass(frozen=True, kw_only=True, slots=True)
class RaceConfig:
    """How much is read, by how large a model."""

    num_stories: int = 2400
    num_held_out: int = 200
    vocab_size: int = 512
    width: int = 96
    num_layers: int = 3
    num_heads: int = 4
    trained_length: int = 128
    tested_length: int = 512
    batch_size: int = 16
    steps: int = 300
    learning_rate: float = 6e-3
    tuning_steps: int = 40
    tuning_rate: float = 1e-3
    num_windows: int = 64
    seeds: tuple[int, ...] = (0, 1, 2)


def story_stream(tokenizer: Tokenizer, num_stories: int, split: str) -> torch.Tensor:
    """Stories one after the other, [N]; each begins with the mark that ends the one before."""
    tokens: list[int] = []
    for index in range(num_stories):
        text = tell_story(story_seed(index, split), LEVEL).text
        tokens += [tokenizer.end_of_text, *tokenizer.encode(text)]
    return torch.tensor(tokens)


def windows(stream_N: torch.Tensor, length: int, count: int, seed: int) -> Windows:
    """`count` windows from anywhere in the stream, and the token after each of their places."""
    generator = torch.Generator().manual_seed(seed)
    start_B = torch.randint(len(stream_N) - length, (count,), generator=generator)
    rows_BT = stream_N[start_B[:, None] + torch.arange(length + 1)]
    return rows_BT[:, :-1], rows_BT[:, 1:]


# package only
def race_shape(kind: PositionKind, race: RaceConfig) -> ModelConfig:
    """The same small model for all, but for the way in which it knows the order."""
    return ModelConfig(
        vocab_size=race.vocab_size, width=race.width, num_layers=race.num_layers,
        num_heads=race.num_heads, num_kv_heads=race.num_heads, ffn_width=race.width * 8 // 3,
        context_length=race.trained_length, initial_std=0.06, positions=kind,
    )  # fmt: skip


def next_token_loss(model: Transformer, batch: Windows) -> tuple[torch.Tensor, StepFigures]:
    """The loss of windows without a mask between stories: the stream is one text."""
    tokens_BT, targets_BT = batch
    return cross_entropy(model(tokens_BT), targets_BT), {"num_targets": targets_BT.numel()}


def read_on(
    model: Transformer, batches: Iterator[Windows], steps: int, learning_rate: float
) -> list[float]:
    """Train a model by AdamW with warm-up and cosine; the loss of every step."""
    config = TrainingConfig(max_steps=steps, learning_rate=learning_rate, precision="float32")
    optimizer = make_optimizer(
        model, config.optimizer, weight_decay=config.weight_decay, betas=config.betas
    )
    losses = []
    for step in range(steps):
        fraction = step / steps
        figures = training_step(
            model, batches, next_token_loss, optimizer, config, fraction=fraction
        )
        losses.append(float(figures["loss"]))
    return losses


# package only
def batches_of(
    stream_N: torch.Tensor, length: int, rows: int, steps: int, seed: int
) -> Iterator[Windows]:
    """A batch a step; the same for everybody who has the same seed."""
    for step in range(steps):
        yield windows(stream_N, length, rows, seed=1_000_000 * (seed + 1) + step)


def stretched(model: Transformer, length: int, scaling: RopeScaling) -> Transformer:
    """The same weights with room for `length` tokens, rotary positions scaled accordingly."""
    trained = model.config.context_length
    scaled = {} if scaling is None else {"rope_scaling": scaling, "rope_factor": length / trained}
    if scaling == "yarn":
        scaled["rope_trained_length"] = trained
    longer = Transformer(replace(model.config, context_length=length, **scaled))
    load_model_tensors(longer, model_tensors(model))
    return longer


@torch.no_grad()
def nats_by_place(model: Transformer, held_out: Windows) -> torch.Tensor:
    """The mean surprise at each place of the windows, [T], in nats a token."""
    tokens_BT, targets_BT = held_out
    total_T = torch.zeros(tokens_BT.shape[1], dtype=torch.float64)
    pieces = zip(tokens_BT.split(ROWS_AT_ONCE), targets_BT.split(ROWS_AT_ONCE), strict=True)
    for rows_BT, next_BT in pieces:
        nats_BT = F.cross_entropy(model(rows_BT).transpose(1, 2), next_BT, reduction="none")
        total_T += nats_BT.double().sum(dim=0)
    return total_T / len(tokens_BT)


# package only
@torch.no_grad()
def nats_of_short_pieces(model: Transformer, held_out: Windows) -> float:
    """The places beyond the trained length, each with half to all of that length before it."""
    trained = model.config.context_length
    tokens, targets = (each.unfold(1, trained, trained // 2).flatten(0, 1) for each in held_out)
    num_pieces = (held_out[0].shape[1] - trained) // (trained // 2) + 1
    # the second half of the first piece ends where the trained length does
    later = [
        nats_by_place(model, (tokens[piece::num_pieces], targets[piece::num_pieces]))
        for piece in range(1, num_pieces)
    ]
    return float(torch.stack(later)[:, trained // 2 :].mean())


# package only
def in_buckets(nats_T: torch.Tensor) -> list[float]:
    """Means over neighbouring places, so that a curve can be read."""
    return [round(each, 4) for each in nats_T.view(-1, PLACES_AT_ONCE).mean(dim=1).tolist()]


# package only
@dataclass(kw_only=True, slots=True)
class Texts:
    """What all have in common: training text, and the windows that nobody trains on."""

    trained_N: torch.Tensor
    near: Windows
    far: Windows


# package only
def texts(race: RaceConfig) -> Texts:
    """Stories, a tokenizer of their own, and held-out windows of both lengths."""
    seeds = (story_seed(index, "train") for index in range(NUM_TOKENIZER_STORIES))
    stories = [tell_story(seed, LEVEL).text for seed in seeds]
    tokenizer = train_tokenizer(stories, TokenizerConfig(vocab_size=race.vocab_size))
    held_out_N = story_stream(tokenizer, race.num_held_out, "validation")
    return Texts(
        trained_N=story_stream(tokenizer, race.num_stories, "train"),
        near=windows(held_out_N, race.trained_length, 4 * race.num_windows, seed=0),
        far=windows(held_out_N, race.tested_length, race.num_windows, seed=0),
    )


# package only
def raced(kind: PositionKind, seed: int, race: RaceConfig, text: Texts) -> Transformer:
    """One runner: its seed draws the weights and the windows."""
    torch.manual_seed(seed)
    model = Transformer(race_shape(kind, race))
    batches = batches_of(text.trained_N, race.trained_length, race.batch_size, race.steps, seed)
    read_on(model, batches, race.steps, race.learning_rate)
    return model


# package only
def extended(
    model: Transformer, seed: int, race: RaceConfig, text: Texts
) -> dict[str, dict[str, list[float]]]:
    """Curves over long windows by scaling: at once, and after a few steps at that length."""
    found: dict[str, dict[str, list[float]]] = {"at once": {}, "after training": {}}
    rows = max(1, race.batch_size * race.trained_length // race.tested_length)
    for scaling in SCALINGS:
        longer, name = stretched(model, race.tested_length, scaling), scaling or "unscaled"
        found["at once"][name] = in_buckets(nats_by_place(longer, text.far))
        batches = batches_of(text.trained_N, race.tested_length, rows, race.tuning_steps, seed + 50)
        read_on(longer, batches, race.tuning_steps, race.tuning_rate)
        found["after training"][name] = in_buckets(nats_by_place(longer, text.far))
    return found


# package only
def measure(race: RaceConfig | None = None) -> dict[str, object]:
    """Held-out nats a token by kind and seed; curves by place; the longer contexts."""
    race = race or RaceConfig()
    text = texts(race)
    near: dict[str, list[float]] = {kind: [] for kind in KINDS}
    far: dict[str, list[list[float]]] = {kind: [] for kind in KINDS if kind != "learned"}
    longer: list[dict[str, dict[str, list[float]]]] = []
    short: list[float] = []
    for seed in race.seeds:
        for kind in KINDS:
            model = raced(kind, seed, race, text)
            near[kind].append(round(float(nats_by_place(model, text.near).mean()), 4))
            print(f"seed {seed} {kind}: {near[kind][-1]} nats a token at the trained length")
            if kind in far:
                tried = stretched(model, race.tested_length, None)
                far[kind].append(in_buckets(nats_by_place(tried, text.far)))
            if kind == "rotary":
                short.append(round(nats_of_short_pieces(model, text.far), 4))
                longer.append(extended(model, seed, race, text))
    return {
        "race": asdict(race),
        "training_tokens": race.steps * race.batch_size * race.trained_length,
        "parameters": {kind: race_shape(kind, race).num_parameters for kind in KINDS},
        "nats_by_kind_and_seed": near,
        "places_per_bucket": PLACES_AT_ONCE,
        "far_nats_by_kind_and_seed": far,
        "extended_by_seed": longer,
        "beyond_trained_with_short_context": short,
    }
