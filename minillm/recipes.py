"""A complete run, as a function: a brief and every room's configuration, and the stages in order.

`smoke()` is what notebooks and tests run, `laptop()` what `make course` runs, `tailored` adds more.
A recipe is a frozen bundle of the rooms' own configs: change it with `dataclasses.replace`, or by
field name with `core.settings.with_fields`. `reach` runs the stages of a recipe in order.
"""

import dataclasses
import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from minillm.batches.shards import BatchesConfig, make_shards, open_shards
from minillm.brief import Brief, model_for
from minillm.core.home import home_folder, latest_run_name
from minillm.core.records import (
    Artifact,
    Run,
    atomic_write,
    canonical,
    make_artifact,
    sha256_of,
)
from minillm.core.settings import built, with_fields
from minillm.corpus.mix import story_seed
from minillm.corpus.pipeline import CorpusConfig, make_documents
from minillm.corpus.storyworld import Story, tell_story
from minillm.evaluate.stories import SamplingConfig, probe
from minillm.export.huggingface import load_folder
from minillm.model.loss import bits_per_byte
from minillm.model.transformer import ModelConfig, Transformer
from minillm.tokenizer.bytepair import Tokenizer, TokenizerConfig, make_tokenizer
from minillm.train.checkpoint import load_model
from minillm.train.trainer import PretrainConfig, TrainingConfig, pretrain

STAGES = ("documents", "tokenizer", "shards", "model")
RECIPE_FILE = "recipe.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """Everything a run needs to know, room by room."""

    name: str
    brief: Brief
    corpus: CorpusConfig
    tokenizer: TokenizerConfig
    batches: BatchesConfig
    model: ModelConfig
    training: TrainingConfig
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    start_from: str | None = None


def smoke(brief: Brief | None = None) -> Recipe:
    """The whole course in minutes, from the story world alone: for notebooks, tests and CI."""
    brief = brief or Brief(minutes=0.2, memory_gib=2.0)
    return Recipe(
        name="smoke",
        brief=brief,
        corpus=CorpusConfig(
            stories=(2400, 500, 100), held_out_stories=60,
            languages=brief.languages, licences=brief.licences,
        ),
        tokenizer=TokenizerConfig(vocab_size=1024),
        batches=BatchesConfig(context_length=128, batch_size=16),
        model=model_for(brief, vocab_size=1024, context_length=128),
        training=TrainingConfig(
            max_steps=120, learning_rate=4e-3, checkpoint_every_steps=40, evaluate_every_steps=60
        ),
        sampling=SamplingConfig(count=40, batch_size=40),
    )


def laptop(brief: Brief | None = None) -> Recipe:
    """Real text and the story world: nine minutes of training, on whatever machine."""
    brief = brief or Brief(minutes=9.0, memory_gib=4.0)
    return dataclasses.replace(
        smoke(brief),
        name="laptop",
        brief=brief,
        corpus=CorpusConfig(
            stories=(36_000, 15_000, 3_300),
            starts=(0.0, 0.4, 0.55),
            held_out_stories=200,
            sources=("encyclopaedia", "recipes", "plays", "bible", "python"),
            max_source_characters=350_000,
            languages=brief.languages,
            licences=brief.licences,
        ),
        tokenizer=TokenizerConfig(vocab_size=2048),
        # whole stories only: a piece without its beginning teaches names out of nowhere
        batches=BatchesConfig(context_length=256, batch_size=8, max_waste_fraction=1.0),
        # compiled, on rows this short, attention written out beats the fused kernel on processors
        model=dataclasses.replace(model_for(brief, 2048, 256), attention="reference"),
        training=TrainingConfig(
            max_minutes=brief.minutes, optimizer="muon", learning_rate=4e-3, warmup_fraction=0.03,
            decay="linear", decay_fraction=0.5, compile=True, checkpoint_every_steps=300,
            evaluate_every_fraction=0.125,
        ),
        sampling=SamplingConfig(count=100),
    )


RECIPES = {"smoke": smoke, "laptop": laptop}


def recipe_named(name: str, brief: Brief | None = None) -> Recipe:
    """The recipe of this name, for this brief; ValueError listing the names there are."""
    if name not in RECIPES:
        raise ValueError(f"recipe = {name!r}: choose one of {', '.join(RECIPES)}")
    return RECIPES[name](brief)


# package only
def changed(recipe: Recipe, assignments: Sequence[str]) -> Recipe:
    """The recipe with fields set by name: first of the brief, from which the others follow."""
    of_brief = [each for each in assignments if each.startswith("brief.")]
    others = [each for each in assignments if each not in of_brief]
    if of_brief:
        if recipe.name not in RECIPES or recipe != recipe_named(recipe.name):
            raise ValueError(
                f"{of_brief[0]}: the sizes of this recipe follow from its own brief already; "
                "set the brief of a recipe as it is (--recipe), or set model. and training. fields"
            )
        recipe = recipe_named(recipe.name, with_fields(recipe, of_brief).brief)
    return with_fields(recipe, others)


# package only
def existing_run(name: str | None = None, home: str | Path | None = None) -> tuple[Run, Recipe]:
    """A run begun before (the latest by default); FileNotFoundError listing the runs there are."""
    name = name or latest_run_name(home)
    path = home_folder(home) / "runs" / name
    if not (path / RECIPE_FILE).is_file():
        found = sorted(each.parent.name for each in path.parent.glob(f"*/{RECIPE_FILE}"))
        known = ", ".join(found) or "none yet"
        raise FileNotFoundError(f"no run '{name}' ({path}); there are: {known}")
    return open_run(name, home=home)


def open_run(
    name: str | None = None, recipe: Recipe | None = None, home: str | Path | None = None
) -> tuple[Run, Recipe]:
    """A run and its recipe: the one given, else the one kept, else that of its name, else smoke."""
    name = name or (recipe.name if recipe else "smoke")
    if not name or any(letter in name for letter in '/\\:*?"<>|') or name.startswith("."):
        raise ValueError(f"run = {name!r}: give a plain folder name, no / \\ : or leading dot")
    run = Run(name=name, path=home_folder(home) / "runs" / name)
    kept = run.path / RECIPE_FILE
    recipe = recipe or recipe_of(name, home)
    # one of the course's own recipes is kept by its name alone, so that it follows the package
    is_own = recipe.name in RECIPES and recipe == recipe_named(recipe.name)
    content = {"name": recipe.name} if is_own else dataclasses.asdict(recipe)
    text = json.dumps(content, indent=1, ensure_ascii=False)
    if not kept.is_file() or kept.read_text(encoding="utf-8") != text:
        atomic_write(kept, text)
    return run, recipe


def recipe_of(name: str | None, home: str | Path | None = None) -> Recipe:
    """The recipe that a run keeps; for a run not begun yet the recipe of that name, else smoke."""
    if name is None:
        return smoke()
    kept = home_folder(home) / "runs" / name / RECIPE_FILE
    if kept.is_file():
        return read_recipe(kept)
    return recipe_named(name) if name in RECIPES else smoke()


def read_recipe(path: Path) -> Recipe:
    """A recipe from its JSON file; unknown fields and unreadable files are named."""
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        return recipe_named(fields["name"]) if list(fields) == ["name"] else built(Recipe, fields)
    except (json.JSONDecodeError, UnicodeDecodeError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: not a recipe ({error}); delete it to start afresh") from None


def reach(run: Run, recipe: Recipe, kind: str) -> Artifact:
    """Run the stages in order up to and including `kind`; what is finished is found and used."""
    if kind not in STAGES:
        raise ValueError(f"kind = {kind!r}: choose one of {', '.join(STAGES)}")
    make = {
        "documents": lambda: make_documents(recipe.corpus, run),
        "tokenizer": lambda: make_tokenizer(recipe.tokenizer, run),
        "shards": lambda: make_shards(recipe.batches, run),
        "model": lambda: make_model(recipe, run),
    }
    if recipe.start_from:
        initial, tokenizer = load_folder(Path(recipe.start_from))
        make["tokenizer"] = lambda: adopt_tokenizer(tokenizer, run)
        make["model"] = lambda: make_model(recipe, run, initial)
    for stage in STAGES[: STAGES.index(kind) + 1]:
        artifact = make[stage]()
    return artifact


def adopt_tokenizer(tokenizer: Tokenizer, run: Run) -> Artifact:
    """The tokenizer of a model to start from: its weights know no other."""
    config = {"merges": sha256_of(canonical([tokenizer.vocab_size, repr(tokenizer.merges)]))}

    def write(folder: Path) -> dict:
        tokenizer.save(folder / "tokenizer.json")
        return {"vocab_size": tokenizer.vocab_size}

    return make_artifact(
        run, "tokenizer", config=config, parents=(), code=(), write=write,
        summary=lambda figures: f"{figures['vocab_size']:,} tokens, of the model started from",
    )


def make_model(recipe: Recipe, run: Run, initial: Transformer | None = None) -> Artifact:
    """Pretrain by the recipe; while it trains, the story world's checker reads what it writes."""
    stories = held_out_stories(recipe.corpus)
    tokenizer = Tokenizer.load(run.artifact("tokenizer").path / "tokenizer.json")
    held_out = open_shards(run.artifact("shards").path, "validation")
    # a short text gives fewer merges than were asked for: the model takes the vocabulary there is
    shape = dataclasses.replace(recipe.model, vocab_size=tokenizer.vocab_size)
    shape = initial.config if initial else shape

    def evaluate(model: Transformer, step: int) -> dict[str, float]:
        scores = probe(model, tokenizer, stories, recipe.sampling)
        figures = {
            f"level{level}_{name}": value
            for level, each in scores.items()
            for name, value in each.items()
        }
        if held_out.num_documents:
            documents = (held_out.document(index) for index in range(held_out.num_documents))
            figures["bits_per_byte"] = bits_per_byte(
                model, documents, held_out.num_bytes, recipe.batches.context_length
            )
        return figures

    evaluation = {"sampling": dataclasses.asdict(recipe.sampling), "stories": len(stories)}
    config = PretrainConfig(
        model=shape, batches=recipe.batches, training=recipe.training, evaluation=evaluation
    )
    return pretrain(config, run, evaluate=evaluate, initial=initial)


def held_out_stories(corpus: CorpusConfig) -> list[Story]:
    """The stories of the validation split, of every level that is trained on."""
    return [
        tell_story(story_seed(index, "validation"), level)
        for level, count in enumerate(corpus.stories, start=1) if count
        for index in range(corpus.held_out_stories)
    ]


def course_model() -> tuple[Transformer, Tokenizer]:
    """The recorded laptop run's model, which pictures look inside; it comes with the checkout.

    Where it is missing: the smoke run's, and a warning.
    """
    folder = home_folder() / "data" / "models" / "laptop"
    if not (folder / "model.safetensors").is_file():
        reason = f"{folder} has no model: the smoke run's takes its place, and knows far less"
        warnings.warn(reason, stacklevel=2)
        folder = reach(*open_run("smoke"), "model").path
    return load_model(folder)
