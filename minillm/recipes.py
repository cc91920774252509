"""A complete run, as a function: the brief, the sizes that follow from it, and every room's own configuration.

`smoke()` is what notebooks and tests run, `laptop()` what `make course` runs; a recipe for a user's own text
is derived from its length and the minutes given. A recipe is a frozen bundle: change it with
`dataclasses.replace`, or by field name with `with_fields`; an unknown field is an error.
"""

import dataclasses
import json
import types
import typing
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from minillm.batches.shards import BatchesConfig, make_shards, open_shards
from minillm.core.records import Artifact, Run, atomic_write, canonical, make_artifact, sha256_of
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
LATEST_FILE = "latest"
TEXT_MINUTES = 5.0

# Measured on 2 cores (README, "What it costs"): training arithmetic that arrives in the model, per second.
TRAINING_FLOP_PER_S = 4.3e11
# Below an hour on a laptop a model gains more from steps than from width: about one and a half tokens a parameter
# (a large run takes 20 and more: Hoffmann et al., arXiv:2203.15556).
TOKENS_PER_PARAMETER = 1.4
# width, layers, query heads, key/value heads, feed-forward width: each about 1.5 times the parameters of the one before
SHAPES = (
    (128, 4, 4, 2, 344),
    (192, 5, 6, 2, 512),
    (256, 6, 4, 2, 688),
    (320, 7, 5, 1, 856),
    (384, 8, 6, 2, 1024),
    (512, 8, 8, 2, 1376),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Brief:
    """The first decision of any project: for whom, in which languages, from what, with how much."""

    purpose: str = "write small English stories and show how it was done"
    users: str = "people who learn how language models work"
    languages: tuple[str, ...] = ("en",)
    licences: tuple[str, ...] = ("CC0-1.0", "CC-BY-SA-4.0", "PSF-2.0", "public-domain", "user")
    minutes: float = 10.0
    memory_gib: float = 4.0

    def __post_init__(self) -> None:
        for name in ("minutes", "memory_gib"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} = {getattr(self, name)}: must be above 0; say how much this run may use")
        if not self.languages or not self.licences:
            raise ValueError("languages and licences must each name at least one; an empty list allows no text at all")

    @property
    def num_parameters(self) -> float:
        """C = 6·N·tokens FLOPs in the minutes given, at TOKENS_PER_PARAMETER tokens for each of N."""
        flops = TRAINING_FLOP_PER_S * 60 * self.minutes
        return (flops / (6 * TOKENS_PER_PARAMETER)) ** 0.5


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
    sampling: SamplingConfig = SamplingConfig()
    start_from: str | None = None


def model_for(brief: Brief, vocab_size: int, context_length: int, max_parameters: float | None = None) -> ModelConfig:
    """The largest shape of the ladder that the brief's minutes can train (and `max_parameters` allows)."""
    wanted = min(brief.num_parameters, max_parameters or float("inf"))
    configs = [
        ModelConfig(
            vocab_size=vocab_size, width=width, num_layers=num_layers, num_heads=num_heads,
            num_kv_heads=num_kv_heads, ffn_width=ffn_width, context_length=context_length,
        )
        for width, num_layers, num_heads, num_kv_heads, ffn_width in SHAPES
    ]
    fitting = [config for config in configs if config.num_parameters <= wanted]
    return fitting[-1] if fitting else configs[0]


def smoke() -> Recipe:
    """The whole course in minutes, from the story world alone: what notebooks, tests and CI run."""
    brief = Brief(minutes=0.2, memory_gib=2.0)
    return Recipe(
        name="smoke",
        brief=brief,
        corpus=CorpusConfig(stories=(2400, 500, 100), held_out_stories=60, licences=brief.licences),
        tokenizer=TokenizerConfig(vocab_size=1024),
        batches=BatchesConfig(context_length=128, batch_size=16),
        model=model_for(brief, vocab_size=1024, context_length=128),
        training=TrainingConfig(max_steps=120, learning_rate=4e-3, checkpoint_every_steps=40, evaluate_every_steps=60),
        sampling=SamplingConfig(count=40, batch_size=40),
    )


def laptop() -> Recipe:
    """Real text and the story world, ten minutes of training on two cores: the recorded run of the course."""
    brief = Brief(minutes=10.0, memory_gib=4.0)
    base = smoke()
    return dataclasses.replace(
        base,
        name="laptop",
        brief=brief,
        corpus=CorpusConfig(
            stories=(36_000, 10_000, 6_000),
            held_out_stories=200,
            sources=("encyclopaedia", "recipes", "plays", "bible", "python"),
            max_source_characters=1_000_000,
            licences=brief.licences,
        ),
        tokenizer=TokenizerConfig(vocab_size=4096),
        batches=BatchesConfig(context_length=256, batch_size=16),
        model=dataclasses.replace(model_for(brief, vocab_size=4096, context_length=256), attention="reference"),
        training=TrainingConfig(
            max_steps=1700, learning_rate=3e-3, checkpoint_every_steps=200, evaluate_every_steps=425, compile=True
        ),
        sampling=SamplingConfig(count=200),
    )


RECIPES = {"smoke": smoke, "laptop": laptop}


def recipe_named(name: str) -> Recipe:
    """The recipe of this name; ValueError listing the names there are."""
    if name not in RECIPES:
        raise ValueError(f"recipe = {name!r}: choose one of {', '.join(RECIPES)}")
    return RECIPES[name]()


def recipe_for_text(files: Sequence[Path], minutes: float) -> Recipe:
    """A run on the user's own files: vocabulary from the text's length, model from the minutes and the text."""
    num_bytes = sum(path.stat().st_size for path in files if path.is_file())
    brief = Brief(purpose="model the given text", minutes=minutes)
    vocab_size = 4096 if num_bytes > 8e6 else 2048 if num_bytes > 1e6 else 1024 if num_bytes > 1e5 else 512
    context_length = 256 if num_bytes > 1e5 else 128
    model = model_for(brief, vocab_size, context_length, max_parameters=3 * num_bytes)
    is_long = minutes > 2
    return Recipe(
        name="text",
        brief=brief,
        corpus=CorpusConfig(
            stories=(0, 0, 0), held_out_stories=0, text_files=tuple(str(path.resolve()) for path in files),
            licences=brief.licences,
        ),
        tokenizer=TokenizerConfig(vocab_size=vocab_size),
        batches=BatchesConfig(context_length=context_length, batch_size=16),
        model=dataclasses.replace(model, attention="reference") if is_long else model,
        training=TrainingConfig(
            max_steps=None, max_minutes=minutes, learning_rate=3e-3, checkpoint_every_steps=200,
            evaluate_every_steps=None, compile=is_long,
        ),
    )


# package only
def with_user_text(recipe: Recipe, files: Sequence[Path]) -> Recipe:
    """The same recipe with the user's files in the place of its downloaded sources; the stories stay."""
    corpus = dataclasses.replace(recipe.corpus, sources=(), text_files=tuple(str(path.resolve()) for path in files))
    return dataclasses.replace(recipe, corpus=corpus)


# package only
def starting_from(recipe: Recipe, folder: Path) -> Recipe:
    """The same recipe, trained on from the weights and the tokenizer of a Hugging Face folder."""
    initial, _ = load_folder(folder)
    context_length = min(recipe.batches.context_length, initial.config.context_length)
    return dataclasses.replace(
        recipe,
        start_from=str(folder.resolve()),
        model=initial.config,
        batches=dataclasses.replace(recipe.batches, context_length=context_length),
    )


# package only
def with_minutes(recipe: Recipe, minutes: float) -> Recipe:
    """The same recipe, its training bounded by the clock instead of by a number of steps."""
    return dataclasses.replace(
        recipe,
        brief=dataclasses.replace(recipe.brief, minutes=minutes),
        training=dataclasses.replace(recipe.training, max_steps=None, max_minutes=minutes),
    )


# package only
def built(cls: type, fields: dict, prefix: str = "") -> object:
    """A dataclass from plain JSON values; an unknown field is an error that names it and those there are."""
    hints = typing.get_type_hints(cls)
    names = [each.name for each in dataclasses.fields(cls)]
    for name in fields:
        if name not in names:
            raise ValueError(f"unknown recipe field {prefix + name!r}: {prefix or 'the recipe '}has {', '.join(names)}")
    values = {}
    for name, value in fields.items():
        hint = hints[name]
        if dataclasses.is_dataclass(hint):
            value = built(hint, value, f"{prefix}{name}.")
        elif isinstance(value, list):
            value = tuple(value)
        elif not fits(value, hint):
            raise ValueError(f"recipe field {prefix + name} = {value!r}: must be {getattr(hint, '__name__', hint)}")
        values[name] = value
    try:
        return cls(**values)
    except TypeError as error:
        raise ValueError(f"{prefix or 'recipe'}: {error}") from None


# package only
def fits(value: object, hint: object) -> bool:
    """Is a plain JSON value of the type that a field asks for? (An int may stand for a float.)"""
    if isinstance(hint, types.UnionType):
        return any(fits(value, each) for each in typing.get_args(hint))
    if typing.get_origin(hint) is typing.Literal:
        return value in typing.get_args(hint)
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, hint) if isinstance(hint, type) else True


# package only
def with_fields(recipe: Recipe, assignments: Sequence[str]) -> Recipe:
    """The recipe with `room.field=value` replaced; values are JSON (`3`, `1e-3`, `[1, 2]`), else text."""
    fields = json.loads(json.dumps(dataclasses.asdict(recipe)))
    for assignment in assignments:
        path, separator, text = assignment.partition("=")
        if not separator:
            raise ValueError(f"--set {assignment}: write FIELD=VALUE, for example training.learning_rate=0.002")
        try:
            value = json.loads(text)
        except json.JSONDecodeError:
            value = text
        *rooms, name = path.split(".")
        place = fields
        for room in rooms:
            if not isinstance(place.get(room), dict):
                raise ValueError(f"unknown recipe field {path!r}: there is no {room!r} among {', '.join(place)}")
            place = place[room]
        place[name] = value
    return built(Recipe, fields)


# package only
def home_folder(home: str | Path | None = None) -> Path:
    """Where `runs/` lies: the folder given, else the nearest parent that is a checkout of the course, else here."""
    if home is not None:
        return Path(home).resolve()
    here = Path.cwd().resolve()
    for folder in (here, *here.parents):
        if (folder / "notebooks").is_dir() and (folder / "pyproject.toml").is_file():
            return folder
    return here


# package only
def latest_run_name(home: str | Path | None = None) -> str:
    """The name of the last run that succeeded; FileNotFoundError with the remedy if there is none."""
    pointer = home_folder(home) / "runs" / LATEST_FILE
    if not pointer.is_file():
        raise FileNotFoundError(f"no run has succeeded yet ({pointer}); give --run NAME or start with: minillm course")
    return pointer.read_text(encoding="utf-8").strip()


# package only
def mark_latest(run: Run) -> None:
    atomic_write(run.path.parent / LATEST_FILE, run.name + "\n")


# package only
def existing_run(name: str | None = None, home: str | Path | None = None) -> tuple[Run, Recipe]:
    """A run that was begun before (the latest by default); FileNotFoundError listing the runs there are."""
    name = name or latest_run_name(home)
    path = home_folder(home) / "runs" / name
    if not (path / RECIPE_FILE).is_file():
        found = sorted(each.parent.name for each in path.parent.glob(f"*/{RECIPE_FILE}"))
        raise FileNotFoundError(f"no run '{name}' ({path}); there are: {', '.join(found) or 'none yet'}")
    return open_run(name, home=home)


# package only
def open_run(
    name: str | None = None, recipe: Recipe | None = None, home: str | Path | None = None
) -> tuple[Run, Recipe]:
    """The run's folder and its recipe: the one given, else the one kept, else the one of that name, else smoke."""
    name = name or (recipe.name if recipe else "smoke")
    if not name or any(letter in name for letter in '/\\:*?"<>|') or name.startswith("."):
        raise ValueError(f"run = {name!r}: a run's name is a plain folder name, without / \\ : or a leading dot")
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


# package only
def recipe_of(name: str | None, home: str | Path | None = None) -> Recipe:
    """The recipe that a run keeps; for a run not begun yet the recipe of that name, else smoke."""
    if name is None:
        return smoke()
    kept = home_folder(home) / "runs" / name / RECIPE_FILE
    if kept.is_file():
        return read_recipe(kept)
    return recipe_named(name) if name in RECIPES else smoke()


# package only
def read_recipe(path: Path) -> Recipe:
    """A recipe from its JSON file; unknown fields and unreadable files are errors that name the file."""
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        return recipe_named(fields["name"]) if list(fields) == ["name"] else built(Recipe, fields)
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: not a recipe ({error}); delete it to start the run afresh") from None


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


# package only
def adopt_tokenizer(tokenizer: Tokenizer, run: Run) -> Artifact:
    """The tokenizer of a model to start from takes the place of one trained here: its weights know no other."""
    config = {"merges": sha256_of(canonical([tokenizer.vocab_size, repr(tokenizer.merges)]))}

    def write(folder: Path) -> dict:
        tokenizer.save(folder / "tokenizer.json")
        return {"vocab_size": tokenizer.vocab_size}

    return make_artifact(
        run, "tokenizer", config=config, parents=(), code=(), write=write,
        summary=lambda figures: f"{figures['vocab_size']:,} tokens, of the model that this run starts from",
    )


def make_model(recipe: Recipe, run: Run, initial: Transformer | None = None) -> Artifact:
    """Pretrain by the recipe; while it trains, the story world's checker reads what it writes."""
    stories = held_out_stories(recipe.corpus)
    tokenizer = Tokenizer.load(run.artifact("tokenizer").path / "tokenizer.json")
    held_out = open_shards(run.artifact("shards").path, "validation")
    # a short text gives fewer merges than were asked for: the model takes the vocabulary that there is
    shape = initial.config if initial else dataclasses.replace(recipe.model, vocab_size=tokenizer.vocab_size)

    def evaluate(model: Transformer, step: int) -> dict[str, float]:
        scores = probe(model, tokenizer, stories, recipe.sampling)
        figures = {f"level{level}_{name}": value for level, each in scores.items() for name, value in each.items()}
        if held_out.num_documents:
            documents = (held_out.document(index) for index in range(held_out.num_documents))
            figures["bits_per_byte"] = bits_per_byte(
                model, documents, held_out.num_bytes, recipe.batches.context_length
            )
        return figures

    config = PretrainConfig(model=shape, batches=recipe.batches, training=recipe.training)
    return pretrain(config, run, evaluate=evaluate, initial=initial)


# package only
def held_out_stories(corpus: CorpusConfig) -> list[Story]:
    """The stories of the validation split, of every level that is trained on."""
    return [
        tell_story(story_seed(index, "validation"), level)
        for level, count in enumerate(corpus.stories, start=1) if count
        for index in range(corpus.held_out_stories)
    ]


def course_model() -> tuple[Transformer, Tokenizer]:
    """The recorded laptop run's model, which pictures look inside; it comes with the checkout."""
    folder = home_folder() / "data" / "models" / "laptop"
    if not (folder / "model.safetensors").is_file():
        folder = reach(*open_run("smoke"), "model").path
    return load_model(folder)
