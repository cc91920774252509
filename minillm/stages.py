"""The stages of a run, in order, each called with what its recipe says.

`reach(run, recipe, kind)` is the whole course in one line: it runs the stages up to `kind`, and
finds those that are finished. What a room must not know is handed in here: while a model trains,
the story world's checker and its questions say what it has learnt.
"""

import dataclasses
import warnings
from pathlib import Path

from minillm.align.preferences import align
from minillm.align.sft import fine_tune
from minillm.batches.shards import make_shards
from minillm.compress.pipeline import compress
from minillm.core.home import home_folder
from minillm.core.promotion import MODEL_KINDS, served_model
from minillm.core.records import Artifact, Run, canonical, make_artifact, sha256_of
from minillm.corpus.mix import story_seed
from minillm.corpus.pipeline import CorpusConfig, make_documents
from minillm.corpus.storyworld import Story, tell_story
from minillm.evaluate.during import asked_while_training
from minillm.evaluate.questions import ask, question_scores
from minillm.evaluate.score import evaluate, promote_best
from minillm.evaluate.stories import probe
from minillm.export.huggingface import load_folder
from minillm.model.transformer import Transformer
from minillm.monitor.feedback import feedback
from minillm.monitor.second import second
from minillm.monitor.traffic import traffic
from minillm.monitor.watch import monitor
from minillm.recipes import Recipe, open_run
from minillm.tokenizer.bytepair import Tokenizer, make_tokenizer
from minillm.train.checkpoint import load_model
from minillm.train.ranks import ALONE, Ranks
from minillm.train.trainer import PretrainConfig, pretrain

STAGES = (
    "documents", "tokenizer", "shards", "model", "assistant", "aligned", "scores", "quantized",
    "traffic", "drift", "feedback", "second",
)  # fmt: skip


def reach(run: Run, recipe: Recipe, kind: str, ranks: Ranks = ALONE) -> Artifact:
    """Run the stages in order up to and including `kind`; what is finished is found and used."""
    if kind not in STAGES:
        raise ValueError(f"kind = {kind!r}: choose one of {', '.join(STAGES)}")
    make = {
        "documents": lambda: make_documents(recipe.corpus, run),
        "tokenizer": lambda: make_tokenizer(recipe.tokenizer, run),
        "shards": lambda: make_shards(recipe.batches, run),
        "model": lambda: make_model(recipe, run, ranks=ranks),
        "assistant": lambda: make_assistant(recipe, run),
        "aligned": lambda: align(recipe.preferences, run),
        "scores": lambda: make_scores(recipe, run),
        "quantized": lambda: compress(recipe.compress, run),
        "traffic": lambda: traffic(recipe.population, run),
        "drift": lambda: monitor(recipe.monitor, run),
        "feedback": lambda: feedback(recipe.feedback, run),
        "second": lambda: second(recipe.second, run),
    }
    if recipe.start_from:
        initial, tokenizer = load_folder(Path(recipe.start_from))
        make["tokenizer"] = lambda: adopt_tokenizer(tokenizer, run)
        make["model"] = lambda: make_model(recipe, run, initial, ranks)
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


def make_model(
    recipe: Recipe, run: Run, initial: Transformer | None = None, ranks: Ranks = ALONE
) -> Artifact:
    """Pretrain by the recipe; while it trains, the story world's checker reads what it writes, and
    it is asked for its bits by source, and what `recipe.probes` turns on."""
    stories = held_out_stories(recipe.corpus)
    tokenizer = Tokenizer.load(run.artifact("tokenizer").path / "tokenizer.json")
    # a short text gives fewer merges than were asked for: the model takes the vocabulary there is
    shape = dataclasses.replace(recipe.model, vocab_size=tokenizer.vocab_size)
    asked = asked_while_training(
        run, tokenizer, recipe.batches.context_length, recipe.probes, recipe.evaluation,
        recipe.training,
    )

    def evaluate(model: Transformer, step: int) -> dict[str, float | str]:
        scores = probe(model, tokenizer, stories, recipe.sampling)
        figures = {
            f"level{level}_{name}": value
            for level, each in scores.items()
            for name, value in each.items()
        }
        for ask in asked:
            figures |= ask(model, step)
        return figures

    evaluation = {"sampling": dataclasses.asdict(recipe.sampling), "stories": len(stories)}
    evaluation |= recipe.probes.deciding(recipe.evaluation)
    config = PretrainConfig(
        model=shape, batches=recipe.batches, training=recipe.training, evaluation=evaluation
    )
    return pretrain(config, run, evaluate=evaluate, initial=initial, ranks=ranks)


def make_assistant(recipe: Recipe, run: Run) -> Artifact:
    """Fine-tune by the recipe; held-out stories' questions show what has been learnt."""
    stories = held_out_stories(recipe.corpus, recipe.sft.asked_stories)
    tokenizer = Tokenizer.load(run.artifact("tokenizer").path / "tokenizer.json")

    def evaluate(model: Transformer, step: int) -> dict[str, float]:
        return question_scores(ask(model, tokenizer, stories))

    return fine_tune(recipe.sft, run, evaluate=evaluate)


# package only
def make_scores(recipe: Recipe, run: Run) -> Artifact:
    """Score the run's models; the best by the gate answers its users from here on.

    The second round's model is made from what is chosen here, and has a verdict of its own: where
    it was promoted, it stays."""
    first_kinds = [each for each in MODEL_KINDS if each != "second"]
    scores = evaluate(recipe.evaluation, run, first_kinds)
    second = served_model(run)
    chosen = run.artifact(str(scores.figures["best"]))
    if second.kind != "second" or second.parents.get(chosen.kind) != chosen.sha256:
        promote_best(run, scores, recipe.evaluation.margin)
    return scores


def held_out_stories(corpus: CorpusConfig, max_count: int | None = None) -> list[Story]:
    """The stories of the validation split (the first so many of each level that is trained on)."""
    num_stories = corpus.held_out_stories
    num_stories = num_stories if max_count is None else min(num_stories, max_count)
    return [
        tell_story(story_seed(index, "validation"), level)
        for level, count in enumerate(corpus.stories, start=1) if count
        for index in range(num_stories)
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
