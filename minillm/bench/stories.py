"""What moves the stories? The laptop recipe, cut short, with one choice changed, seed by seed.

Every run gets the same number of floating-point operations (`ablations.at_equal_compute`), so no
clock decides, and the base's tokenizer; a seed decides first weights and the order of batches, and
a variant is compared with the base of the same seed. Asked at the end, of each level: bits a byte
of unread stories, and how sound the stories are that the model tells. One row changes nothing but
the seed: what it shows is chance. *Restated* says whenever somebody has got a thing once more that
he has it. Left out: the learning rate that each variant might like best, and what a longer run
would make of it; where text is taken away, nothing takes its place.
"""

import dataclasses
import multiprocessing
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from statistics import mean

import torch

from minillm.batches.shards import Shards, shards_of
from minillm.bench.ablations import at_equal_compute, minus_base, step_flops, train_on
from minillm.bench.learners import NUM_WEIGHED, told_by, unread_stories
from minillm.core.settings import with_fields
from minillm.corpus.mix import story_seed
from minillm.corpus.pipeline import read_documents
from minillm.corpus.sources import Document
from minillm.corpus.storyworld import Story, tell_story
from minillm.corpus.storyworld.world import World, act
from minillm.corpus.storyworld.words import SEX
from minillm.model.transformer import Transformer
from minillm.recipes import Recipe, laptop, open_run
from minillm.stages import reach
from minillm.tokenizer.bytepair import Tokenizer
from minillm.train.precision import faster_precision

SEEDS, NUM_STORIES = (0, 1, 2), 100
# the laptop recipe with as much text as these steps read, and as much of it from each source
SHORT = (
    "corpus.stories=[5000, 2300, 800]", "corpus.max_source_characters=70000",
    "corpus.held_out_stories=1", "training.max_minutes=null", "training.max_steps=900",
    "training.evaluate_every_fraction=null", "training.checkpoint_every_steps=null",
)  # fmt: skip
RESTATED = "restated"
# name → fields set anew; one that changes the text alone has a word instead
VARIANTS: dict[str, tuple[str, ...]] = {
    "another seed": ("training.seed=1000",),
    "levels mixed from the start": ("corpus.starts=[0, 0, 0]",),
    "level 2 and 3 for level 1": ("corpus.stories=[2000, 3400, 1600]",),
    "no found text": ("corpus.sources=[]",),
    "a third of the text, three times": (
        "corpus.stories=[1667, 767, 267]", "corpus.max_source_characters=23333",
    ),
    "hand-overs restated": (RESTATED,),
    "2 rows a step": ("batches.batch_size=2",),
    "16 rows a step": ("batches.batch_size=16",),
    "AdamW": ("training.optimizer=adamw",),
    "half the rate": ("training.learning_rate=0.0015",),
    "8 layers": ("model.num_layers=8",),
    "192 wide, 5 layers": (
        "model.width=192", "model.num_layers=5", "model.num_heads=3", "model.num_kv_heads=3",
        "model.ffn_width=512", "model.initial_std=0.0447",
    ),
}  # fmt: skip


# package only
def restated(story: Story) -> str:
    """The story, and after each event by which somebody gets a thing that he has it now."""
    world, told = World(), []
    for event, sentence in zip(story.events, story.sentences, strict=True):
        before = dict(world.holder)
        act(world, event)
        told.append(sentence)
        told += [
            f"Now {holder} had the {thing}." for thing, holder in world.holder.items()
            if before.get(thing, holder) != holder and holder in SEX
        ]  # fmt: skip
    return " ".join(told)


# package only
def text_of(document: Document) -> str:
    """A document's text; a story restated."""
    if not document.level:
        return document.text
    index = int(document.id.rsplit("/", 1)[-1])
    return restated(tell_story(story_seed(index, "train"), document.level))


# package only
def training_shards(run_folder: Path, tokenizer: Tokenizer, is_restated: bool) -> Shards:
    """What a run reads, in the order of its documents."""
    documents = read_documents(run_folder / "documents", "train")
    texts = (text_of(each) if is_restated else each.text for each in documents)
    return shards_of(texts, tokenizer)


# package only
def trained_and_asked(
    recipe: Recipe, run_folder: Path, tokenizer_file: Path, is_restated: bool, num_stories: int
) -> dict[str, dict[str, float]]:
    """Train on one thread, then ask: level → bits a byte, and what the checker says."""
    torch.set_num_threads(1)
    tokenizer = Tokenizer.load(tokenizer_file)
    shards = training_shards(run_folder, tokenizer, is_restated)
    torch.manual_seed(recipe.training.seed)
    model = Transformer(recipe.model)
    train_on(model, shards, recipe, recipe.training.seed)
    model.eval()
    return told_by(model, tokenizer, unread_stories(num_stories), recipe.model.context_length)


# package only
def trial_of(base: Recipe, changes: Sequence[str], seed: int) -> Recipe:
    """The base with changes and as many steps as its operations pay for, from this seed."""
    changed = with_fields(base, [each for each in changes if each != RESTATED])
    trial = at_equal_compute(changed, base)
    training = dataclasses.replace(trial.training, seed=trial.training.seed + seed)
    return dataclasses.replace(trial, training=training)


# package only
def prepared(recipe: Recipe, home: Path) -> Path:
    """The folder of a run that has this recipe's documents."""
    name = f"{hash(recipe.corpus) & 0xFFFFFFFF:08x}"
    run, _ = open_run(name, recipe, home=home)
    reach(run, recipe, "documents")
    return run.path


# package only
def summary(runs: Sequence[Mapping[str, Mapping[str, float]]]) -> dict[str, list[float]]:
    """Seed by seed: bits a byte, the mean of the levels; and the share of sound stories of each."""
    bits = [mean(told["bits_per_byte"] for told in run.values()) for run in runs]
    figures = {"bits_per_byte": bits}
    for level in runs[0]:
        figures[f"level_{level}_consistent"] = [run[level]["consistent_fraction"] for run in runs]
    figures["level_3_bad_sentences"] = [run[3]["bad_sentences_per_story"] for run in runs]
    return figures


# package only
def measure(
    base: Recipe | None = None,
    variants: Mapping[str, Sequence[str]] | None = None,
    seeds: Sequence[int] = SEEDS,
    num_stories: int = NUM_STORIES,
) -> dict[str, object]:
    """Base and variants by seed, and how far each lies from the base."""
    base = base or with_fields(laptop(), SHORT)
    precision = base.training.precision or faster_precision("cpu")
    base = with_fields(base, [f"training.precision={precision}"])
    trials = {"base": (), **(variants or VARIANTS)}
    begin, found = time.perf_counter(), {name: [] for name in trials}
    with tempfile.TemporaryDirectory() as home, ProcessPoolExecutor(
        os.cpu_count(), mp_context=multiprocessing.get_context("spawn")
    ) as pool:
        run, _ = open_run("base", base, home=home)
        merges = reach(run, base, "tokenizer").path / "tokenizer.json"
        for seed in seeds:
            for name, changes in trials.items():
                trial = trial_of(base, changes, seed)
                folder, is_restated = prepared(trial, Path(home)), RESTATED in changes
                said = (trial, folder, merges, is_restated, num_stories)
                found[name].append(pool.submit(trained_and_asked, *said))
        asked = {name: [each.result() for each in runs] for name, runs in found.items()}
    figures = {name: summary(runs) for name, runs in asked.items()}
    bits = figures["base"]["bits_per_byte"]
    return {
        "flops_a_run": base.training.max_steps * step_flops(base), "precision": precision,
        "stories_told_a_level": num_stories,
        "stories_weighed_a_level": min(num_stories, NUM_WEIGHED), "base": figures.pop("base"),
        "variants": {
            name: {
                "set": list(trials[name]), **each,
                "steps": trial_of(base, trials[name], 0).training.max_steps,
                "minus_base": minus_base(each["bits_per_byte"], bits),
            }
            for name, each in figures.items()
        },
        "seconds": round(time.perf_counter() - begin, 1),
    }  # fmt: skip
