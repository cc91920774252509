"""A complete run, as a function: a brief and every room's configuration.

`smoke()` is what notebooks and tests run, `laptop()` what `make course` runs, `tailored` adds more.
A recipe is a frozen bundle of the rooms' own configs: change it with `dataclasses.replace`, or by
field name with `core.settings.with_fields`. `minillm/stages.py` runs the stages of a recipe.
"""

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from minillm.align.preferences import PreferenceConfig
from minillm.align.sft import SftConfig
from minillm.batches.shards import BatchesConfig
from minillm.brief import Brief, model_for
from minillm.compress.pipeline import CompressConfig
from minillm.core.home import home_folder, latest_run_name
from minillm.core.records import Run, atomic_write
from minillm.core.settings import built, with_fields
from minillm.corpus.pipeline import CorpusConfig
from minillm.evaluate.during import ProbeConfig, looks_to_pay_for
from minillm.evaluate.items import EvaluateConfig
from minillm.evaluate.stories import SamplingConfig
from minillm.model.transformer import ModelConfig
from minillm.monitor.feedback import FeedbackConfig
from minillm.monitor.population import LONGER_DAY, PopulationConfig
from minillm.monitor.replay import SecondConfig
from minillm.monitor.watch import LARGER_WINDOWS, MonitorConfig
from minillm.tokenizer.bytepair import TokenizerConfig
from minillm.train.schedule import TrainingConfig

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
    probes: ProbeConfig = field(default_factory=ProbeConfig)
    sft: SftConfig = field(default_factory=SftConfig)
    preferences: PreferenceConfig = field(default_factory=PreferenceConfig)
    compress: CompressConfig = field(default_factory=CompressConfig)
    evaluation: EvaluateConfig = field(default_factory=EvaluateConfig)
    population: PopulationConfig = field(default_factory=PopulationConfig)
    monitor: MonitorConfig = field(default_factory=MonitorConfig)
    feedback: FeedbackConfig = field(default_factory=FeedbackConfig)
    second: SecondConfig = field(default_factory=SecondConfig)
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
    """Real text and the story world: 8.4 minutes of pretraining, 5.6 of fine-tuning."""
    brief = brief or Brief(minutes=8.4, memory_gib=4.0)
    return dataclasses.replace(
        smoke(brief),
        name="laptop",
        brief=brief,
        corpus=CorpusConfig(
            stories=(24_000, 11_000, 4_000),
            starts=(0.0, 0.4, 0.55),
            held_out_stories=200,
            sources=("encyclopaedia", "recipes", "plays", "bible", "python"),
            max_source_characters=350_000,
            languages=brief.languages,
            licences=brief.licences,
        ),
        tokenizer=TokenizerConfig(vocab_size=2048),
        # whole stories only: a piece without its beginning teaches names out of nowhere; four rows
        # a step: more steps in the same minutes
        batches=BatchesConfig(context_length=256, batch_size=4, max_waste_fraction=1.0),
        # loud first weights, and yet a first loss within 1 % of knowing nothing (LOG.md)
        model=dataclasses.replace(model_for(brief, 2048, 256), initial_last_norm=0.5),
        training=TrainingConfig(
            max_minutes=brief.minutes, compile=None, optimizer="muon", learning_rate=3e-3,
            warmup_fraction=0.03, decay="linear", decay_fraction=0.5, checkpoint_every_steps=300,
            evaluate_every_fraction=0.25,
        ),
        sampling=SamplingConfig(count=60),
        **laptop_after_the_model(brief),
    )


# package only
def laptop_after_the_model(brief: Brief) -> dict[str, object]:
    """What the laptop recipe asks of the rooms that come after the base model."""
    return dict(
        population=LONGER_DAY,
        monitor=LARGER_WINDOWS,
        feedback=FeedbackConfig(slice_stories=150),
        second=SecondConfig(
            replay_per_new=3.0, batches=BatchesConfig(context_length=384, batch_size=4),
            training=TrainingConfig(max_steps=80, learning_rate=3e-4),
            evaluation=EvaluateConfig(
                stories=16, levels=(1, 2, 3), sampled_stories=6, attacks=6
            ),
        ),
        # three quarters of the minutes once left a kind of question unlearnt, more minutes answered
        # no more; two cores without bfloat16 units read so many stories once, the last level's at
        # the end (LOG.md)
        sft=SftConfig(
            stories=(5000, 4500, 2800), starts=(0.0, 0.25, 0.5), ends=(0.5, 0.85, 1.0),
            max_documents=300,
            batches=BatchesConfig(context_length=384, batch_size=4),
            training=TrainingConfig(
                max_minutes=round(brief.minutes * 2 / 3, 2), compile=None, optimizer="muon",
                learning_rate=1e-3, warmup_fraction=0.03, decay="linear", decay_fraction=0.7,
                checkpoint_every_steps=300, evaluate_every_fraction=0.25,
            ),
        ),
        preferences=PreferenceConfig(
            pair_stories=(200, 140, 100), mistake_stories=120, balance_kinds=True,
            pair_batch_size=16,
            dpo=TrainingConfig(
                max_steps=60, learning_rate=5e-5, weight_decay=0.0, precision="float32"
            ),
            reward_stories=(400, 200, 0), group_size=8, prompts_per_batch=8, max_tokens=120,
            rl=TrainingConfig(
                max_minutes=1.2, learning_rate=2e-4, weight_decay=0.0, precision="float32"
            ),
        ),
        evaluation=EvaluateConfig(stories=50, levels=(1, 2, 3), sampled_stories=25, attacks=25),
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
    recipe = with_fields(recipe, others)
    if recipe.probes.leaks:
        looks_to_pay_for(recipe.training)
    return recipe


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
