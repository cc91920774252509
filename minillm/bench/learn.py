"""What a minute of training is worth: ours beside nanoGPT, the same text, machine and minutes.

In: the path of a nanoGPT checkout. The laptop recipe's text, tokens and held-out documents for
both; models of one depth and width; every core of the machine, one learner after the other, seed by
seed. Ours trains as the recipe says, which was tuned on this text. nanoGPT trains in the machine's
faster precision, compiled, with the best of three numbers of rows a step and three peak rates: all
are tried for a tenth of the time, the two likeliest for all of it. Its bits are the lower of two
ways to ask (`learners`). What is compiled was compiled before, for both. Beside them the Kneser–Ney
5-gram model of the same training tokens; and of our stories, told and read, how sound and how well
guessed they are, beside what the story world itself needs (`corpus.storyworld.entropy`). Left out:
other machines, other texts, longer runs.
"""

import dataclasses
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from statistics import mean

import torch

from minillm.batches.shards import open_shards
from minillm.bench.baselines import n_gram_bits_per_byte
from minillm.bench.learners import NUM_WEIGHED, Learner, unread_stories
from minillm.bench.optimizers import with_interval
from minillm.bench.text import all_tokens
from minillm.corpus.storyworld.entropy import story_bits
from minillm.model.transformer import ModelConfig
from minillm.recipes import Recipe, laptop, open_run
from minillm.stages import reach
from minillm.tokenizer.bytepair import Tokenizer
from minillm.train.schedule import TrainingConfig
from minillm.train.trainer import compile_decided

MINUTES, SEEDS = 10.0, (0, 1, 2)
PEER_RATES, RATE_SEED = (1e-3, 2e-3, 4e-3), 100
# nanoGPT's warm-up and floor (config/train_shakespeare_char.py), in parts of a run
PEER_SCHEDULE = {"warmup_fraction": 0.02, "final_fraction": 0.1}
# fewer than its 64: of these so few steps fit into the minutes
PEER_ROWS = (4, 8, 16)

NUM_STORIES = 200

Curve = list[dict[str, float]]
# level → what the checker says of the stories told, and the bits a byte of unread ones
Told = dict[str, dict[str, float]]


# package only
def answers_of(learner: Learner) -> list[dict]:
    """Let it learn in a process of its own; what it answers on the way and at the end."""
    command = [
        sys.executable, "-m", "minillm.bench.learners", json.dumps(dataclasses.asdict(learner))
    ]  # fmt: skip
    environment = os.environ | {"TORCHINDUCTOR_CACHE_DIR": learner.cache}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        raise RuntimeError(f"{learner.who} has ended: {last[0]}")
    return [json.loads(line) for line in done.stdout.splitlines()]


# package only
@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """Both learners on one text: made for a seed and so many minutes."""

    recipe: Recipe
    shards: Path
    ids: Path
    tokenizer: Path
    cache: Path
    nanogpt: Path
    num_stories: int
    peer_is_compiled: bool = True

    def learner(
        self, who: str, shape: ModelConfig, training: TrainingConfig, num_rows: int
    ) -> Learner:
        batches = dataclasses.replace(self.recipe.batches, batch_size=num_rows, seed=training.seed)
        return Learner(
            who=who, shape=shape, training=training, batches=batches, shards=str(self.shards),
            ids=str(self.ids), tokenizer=str(self.tokenizer), cache=str(self.cache),
            num_stories=self.num_stories, nanogpt=str(self.nanogpt),
        )  # fmt: skip

    def ours(self, minutes: float, seed: int) -> tuple[Curve, Told]:
        recipe = self.recipe
        training = dataclasses.replace(
            recipe.training, max_steps=None, max_minutes=minutes, seed=seed
        )
        rows = recipe.batches.batch_size
        *curve, last = answers_of(self.learner("ours", recipe.model, training, rows))
        return curve, last["stories"]

    def peer(self, minutes: float, seed: int, num_rows: int, rate: float) -> Curve:
        training = TrainingConfig(
            max_minutes=minutes, learning_rate=rate, compile=self.peer_is_compiled, seed=seed,
            **PEER_SCHEDULE,
        )  # fmt: skip
        return answers_of(self.learner("nanoGPT", self.recipe.model, training, num_rows))


# package only
def last_bits(curve: Curve) -> float:
    """What a learner knows at the end, by the better of the two ways to ask."""
    return min(curve[-1]["bits_per_byte"], curve[-1]["bits_per_byte_in_a_row"])


# package only
def first_below(curve: Curve, bits: float) -> float | None:
    """The minute of the first answer below so many bits per byte; None where there was none."""
    return next((each["minutes"] for each in curve if each["bits_per_byte"] < bits), None)


# package only
def over_seeds(told: Sequence[Told]) -> dict[str, dict[str, list[float]]]:
    """Level → figure → its value in each run."""
    return {
        level: {name: [each[level][name] for each in told] for name in figures}
        for level, figures in told[0].items()
    }


# package only
def levels_together(
    stories: dict[str, dict[str, list[float]]], world: dict[str, float], num_bytes: dict[str, int]
) -> list[float]:
    """Seed by seed, the bits of all levels' stories over those that the world needs for them."""
    needed = sum(num_bytes[level] * bits for level, bits in world.items())
    taken = (
        [num_bytes[level] * bits for bits in stories[level]["bits_per_byte"]] for level in world
    )
    return [sum(of_seed) / needed for of_seed in zip(*taken, strict=True)]


# package only
def over_the_world(
    stories: dict[str, dict[str, list[float]]], num_weighed: int
) -> dict[str, object]:
    """The bits a byte that the story world itself needs, and how many times as many we need."""
    world, num_bytes, times = {}, {}, {}
    for level in stories:
        known = unread_stories(num_weighed, [int(level)])
        num_bytes[level] = sum(len(story.text.encode()) for story in known)
        world[level] = sum(map(story_bits, known)) / num_bytes[level]
        times[level] = [bits / world[level] for bits in stories[level]["bits_per_byte"]]
    together = levels_together(stories, world, num_bytes)
    return {
        "world_bits_per_byte": world, "story_bytes": num_bytes,
        "story_bits_over_the_worlds": times,
        "story_bits_over_the_worlds_together": {"by_seed": together, "mean": mean(together)},
    }  # fmt: skip


# package only
def peers_best(pair: Pair, minutes: float) -> dict[str, object]:
    """nanoGPT's rows a step and peak rate, and the bits of all that were tried."""
    for num_rows in PEER_ROWS:  # what it compiles is kept for all others
        pair.peer(minutes / 100, RATE_SEED, num_rows, PEER_RATES[0])

    def bits(minutes: float, way: tuple[int, float]) -> float:
        return last_bits(pair.peer(minutes, RATE_SEED, *way))

    short = {way: bits(minutes / 10, way) for way in product(PEER_ROWS, PEER_RATES)}
    whole = {way: bits(minutes, way) for way in sorted(short, key=short.get)[:2]}
    num_rows, rate = min(whole, key=whole.get)
    tried = [
        {"rows": rows, "rate": rate, "minutes": given, "bits_per_byte": found[rows, rate]}
        for given, found in ((minutes / 10, short), (minutes, whole)) for rows, rate in found
    ]
    return {"nanogpt_tried": tried, "nanogpt_rows": num_rows, "nanogpt_rate": rate}


# package only
def race(pair: Pair, minutes: float, seeds: Sequence[int]) -> dict[str, object]:
    """nanoGPT's best settings, then seed by seed both curves, and how far apart they end."""
    whole = dataclasses.replace(pair.recipe.training, max_steps=None, max_minutes=minutes)
    # decided for all of the minutes, so that the short run before compiles as the long ones do
    recipe = dataclasses.replace(pair.recipe, training=compile_decided(whole, "cpu"))
    pair = dataclasses.replace(pair, recipe=recipe)
    chosen = peers_best(pair, minutes)
    way = chosen["nanogpt_rows"], chosen["nanogpt_rate"]
    dataclasses.replace(pair, num_stories=1).ours(minutes / 100, RATE_SEED)  # it compiles as well
    curves: dict[str, list[Curve]] = {"ours": [], "nanoGPT": []}
    told: list[Told] = []
    for number, seed in enumerate(seeds):
        if number % 2:  # a machine that slows down is slow for each of them first
            curves["nanoGPT"].append(pair.peer(minutes, seed, *way))
        curve, stories = pair.ours(minutes, seed)
        curves["ours"].append(curve)
        told.append(stories)
        if not number % 2:
            curves["nanoGPT"].append(pair.peer(minutes, seed, *way))
    ends = {who: [last_bits(curve) for curve in found] for who, found in curves.items()}
    parts = [
        ours / peer for ours, peer in zip(ends["ours"], ends["nanoGPT"], strict=True)
    ]
    return {
        "minutes": minutes, "threads": torch.get_num_threads(),
        **chosen, "bits_per_byte": ends, "curves": curves,
        "ours_over_nanogpt": with_interval(parts) if len(parts) > 1 else {"mean": parts[0]},
        "stories": over_seeds(told),
    }  # fmt: skip


# package only
def measure(
    nanogpt: Path | None = None,
    minutes: float = MINUTES,
    seeds: Sequence[int] = SEEDS,
    recipe: Recipe | None = None,
    peer_is_compiled: bool = True,
    num_stories: int = NUM_STORIES,
) -> dict[str, object]:
    """Held-out bits per byte over the minutes, of both and of the 5-gram model; our stories."""
    if nanogpt is None:
        raise ValueError("--nanogpt is missing: give the folder of a nanoGPT checkout")
    recipe = recipe or laptop()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run, _ = open_run(recipe.name, recipe, home=folder)
        shards = reach(run, recipe, "shards").path
        merges = run.artifact("tokenizer").path / "tokenizer.json"
        tokenizer = Tokenizer.load(merges)
        training, held_out = open_shards(shards, "train"), open_shards(shards, "validation")
        tokens = all_tokens(training)
        tokens.tofile(folder / "ids.bin")
        pair = Pair(
            recipe=recipe, shards=shards, ids=folder / "ids.bin", tokenizer=merges,
            cache=folder / "compiled", nanogpt=nanogpt, num_stories=num_stories,
            peer_is_compiled=peer_is_compiled,
        )  # fmt: skip
        figures = {
            "parameters": recipe.model.num_parameters, "training_tokens": len(tokens),
            "held_out_bytes": held_out.num_bytes,
            "kneser_ney_5_gram_bits_per_byte": n_gram_bits_per_byte(
                tokens, all_tokens(held_out), tokenizer.vocab_size, tokenizer.end_of_text,
                held_out.num_bytes,
            ),
            **race(pair, minutes, seeds),
        }  # fmt: skip
    bar = figures["kneser_ney_5_gram_bits_per_byte"]
    below = [first_below(curve, bar) for curve in figures["curves"]["ours"]]
    return {
        **figures, "ours_below_5_gram_after_minutes": below,
        **over_the_world(figures["stories"], min(num_stories, NUM_WEIGHED)),
    }  # fmt: skip
