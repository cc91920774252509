"""Keep a finished laptop run in the checkout: its models, a data card, and its figures.

`python tools/record.py --run laptop` writes `data/models/laptop/` (the base model in bfloat16),
`laptop-aligned/` (the aligned one, too) and `laptop-int8/` (that one in int8), and
`data/results/laptop.json`, and puts its figures into README.md. Stories are sampled and checked,
and questions asked, here.
"""

import argparse
import copy
import dataclasses
import datetime
import json
import shutil
from collections.abc import Callable
from operator import attrgetter
from pathlib import Path

import torch

from minillm import recipes, stages
from minillm.align.chat import chat_replies
from minillm.align.instructions import continue_prompt
from minillm.bench.measuring import machine
from minillm.bench.text import compare
from minillm.compress.layers import with_quantized_modules
from minillm.compress.pipeline import (
    CompressConfig,
    compress_summary,
    compressed_state,
    held_out_figures,
    save_quantized,
)
from minillm.compress.quantize import state_bytes
from minillm.core.records import (
    Artifact,
    Run,
    atomic_write,
    canonical,
    read_json_lines,
    seal,
    sha256_of,
)
from minillm.corpus.pipeline import read_documents
from minillm.corpus.storyworld import Story, check_story
from minillm.corpus.storyworld.stories import ALL_LEVELS
from minillm.evaluate.answering import distance_name, guess_is_right
from minillm.evaluate.intervals import wilson
from minillm.evaluate.questions import Answer, ask
from minillm.evaluate.stories import (
    SamplingConfig,
    continue_openings,
    near_duplicate_fraction,
    story_scores,
)
from minillm.model.transformer import Transformer
from minillm.tokenizer.bytepair import Tokenizer
from minillm.train.checkpoint import load_model, model_tensors, save_model
from tools.readme import STORIES_PER_LEVEL, with_figures

ROOT = Path(__file__).resolve().parent.parent
MODELS = ROOT / "data" / "models"
SHOWN_SAMPLES, CURVE_POINTS = 3, 200
# in how few bits the aligned model is measured; the codes of int8 are kept
SMALLER = {"int8": CompressConfig(), "int4": CompressConfig(scheme="int4", method="gptq")}


def story_figures(
    model: Transformer, tokenizer: Tokenizer, run: Run, recipe: recipes.Recipe
) -> tuple[dict, dict]:
    """Scores and the first samples by level: 200 held-out openings each, as the recipe samples."""
    documents = read_documents(run.artifact("documents").path, "train")
    told = {level: [] for level in ALL_LEVELS}
    for document in documents:
        if document.level:
            told[document.level].append(document.text)
    held_out = stages.held_out_stories(recipe.corpus)
    scores, samples = {}, {}
    for level in sorted({story.level for story in held_out}):
        openings = [story.opening for story in held_out if story.level == level][:STORIES_PER_LEVEL]
        texts = continue_openings(model, tokenizer, openings, SamplingConfig(count=len(openings)))
        near = near_duplicate_fraction(texts, told[level])
        scores[f"level{level}"] = story_scores(texts) | {"near_duplicate_fraction": near}
        samples[f"level{level}"] = [
            {"opening": opening, "text": text}
            for opening, text in zip(openings[:SHOWN_SAMPLES], texts, strict=False)
        ]
    return scores, samples


def data_card(run: Run, recipe: recipes.Recipe) -> str:
    """What the model is for, what it has read, under which licences, and whom to name."""
    figures = run.artifact("documents").figures
    sources = json.loads((ROOT / "data" / "sources.json").read_text(encoding="utf-8"))
    return (
        "# What this model has read\n\n"
        f"Made to {recipe.brief.purpose}, for {recipe.brief.users}.\n\n"
        f"{figures['num_documents']:,} documents, {figures['num_bytes']:,} bytes. "
        "Documents by source:\n\n"
        + "".join(
            f"- {source}: {count:,}\n" for source, count in figures["documents_by_source"].items()
        )
        + f"\nRejected: {figures['num_rejected']:,} "
        f"(by step: {json.dumps(figures['rejected_by_step'])}).\n"
        f"Missing sources: {', '.join(figures['missing_sources']) or 'none'}.\n\n"
        "Where each source comes from, its licence and its authors: `data/sources.json`"
        f" ({len(sources)} entries). Stories are the course's own (CC0-1.0).\n\n"
        f"Limits: {run.artifact('model').figures['parameters']:,} parameters, minutes of training; "
        "it invents facts.\n"
    )


def keep(run: Run, kind: str, name: str, card: str) -> Transformer:
    """Write a model of the run in bfloat16, sealed as it was; returns it as it is read back."""
    artifact, folder = run.artifact(kind), MODELS / name
    model, tokenizer = load_model(artifact.path)
    shutil.rmtree(folder, ignore_errors=True)
    save_model(model, tokenizer, folder, dtype=torch.bfloat16)
    atomic_write(folder / "README.md", card)
    seal(
        folder, kind, artifact.key, artifact.config, artifact.parents, artifact.figures,
        artifact.summary,
    )  # fmt: skip
    return load_model(folder)[0]


def keep_smaller(run: Run, model: Transformer, tokenizer: Tokenizer) -> dict[str, dict]:
    """Write the aligned model in int8, sealed; returns what each of SMALLER costs."""
    aligned, folder = Artifact.load(MODELS / "laptop-aligned"), MODELS / "laptop-int8"
    shutil.rmtree(folder, ignore_errors=True)
    costs = {}
    for name, config in SMALLER.items():
        state = compressed_state(config, model, run)
        smaller = with_quantized_modules(copy.deepcopy(model), state)
        costs[name] = {
            "scheme": config.scheme, "method": config.method, "bytes": state_bytes(state),
            "full_bytes": state_bytes(dict(model_tensors(model))),
            **held_out_figures(config, model, smaller, tokenizer, run),
        }  # fmt: skip
        if name == "int8":
            schemes = {"layers": config.scheme, "tables": config.table_scheme}
            save_quantized(state, model.config, tokenizer, folder, schemes)
            fields, parents = dataclasses.asdict(config), {aligned.kind: aligned.sha256}
            seal(
                folder, "quantized", sha256_of(canonical([fields, parents])), fields, parents,
                costs[name], compress_summary(costs[name]),
            )  # fmt: skip
    return costs


def question_figures(model: Transformer, tokenizer: Tokenizer, stories: list[Story]) -> dict:
    """The questions of held-out stories: right by level and distance, abstention by kind."""
    answers = ask(model.eval(), tokenizer, stories)
    told = [each for each in answers if each.question.answerable]
    untold = [each for each in answers if not each.question.answerable]

    def share(chosen: list[Answer], holds: Callable[[Answer], bool]) -> dict[str, float]:
        return dataclasses.asdict(wilson(sum(map(holds, chosen)), len(chosen)))

    def by(chosen: list[Answer], key: Callable[[Answer], str], name: str) -> dict[str, dict]:
        parts = sorted({key(each) for each in chosen})
        return {
            part: share([each for each in chosen if key(each) == part], attrgetter(name))
            for part in parts
        }

    return {
        "exact": share(told, attrgetter("is_exact")),
        "last_mention": share(told, guess_is_right),
        "false_abstention": share(told, attrgetter("is_abstention")),
        "exact_by_level": by(told, lambda each: str(each.story.level), "is_exact"),
        "exact_by_distance": by(
            told, lambda each: distance_name(each.question.distance), "is_exact"
        ),
        "exact_by_kind": by(told, lambda each: each.question.kind, "is_exact"),
        "abstention_by_kind": by(untold, lambda each: each.question.kind, "is_abstention"),
    }


def continued_figures(model: Transformer, tokenizer: Tokenizer, stories: list[Story]) -> dict:
    """Stories continued in a chat: the share free of contradictions, by level."""
    replies = chat_replies(
        model, tokenizer, [[continue_prompt(each.opening)] for each in stories], max_tokens=200,
        temperature=0.8, top_p=0.95, generator=torch.Generator().manual_seed(0),
    )  # fmt: skip
    figures = {}
    for level in sorted({each.level for each in stories}):
        fine = [
            check_story(f"{story.opening} {reply}").is_consistent
            for story, reply in zip(stories, replies, strict=True) if story.level == level
        ]  # fmt: skip
        figures[f"level{level}"] = dataclasses.asdict(wilson(sum(fine), len(fine)))
    return figures


def some_of_each_level(stories: list[Story]) -> list[Story]:
    """The first STORIES_PER_LEVEL of each level."""
    by_level = {level: [each for each in stories if each.level == level] for level in ALL_LEVELS}
    return [story for some in by_level.values() for story in some[:STORIES_PER_LEVEL]]


def record(run: Run, recipe: recipes.Recipe, command: str, remark: str) -> dict:
    """Write models, card and figures; returns the figures."""
    card = data_card(run, recipe)
    kept = keep(run, "model", "laptop", card)
    tokenizer = load_model(run.artifact("model").path)[1]
    scores, samples = story_figures(kept, tokenizer, run, recipe)
    aligned = keep(run, "aligned", "laptop-aligned", card)
    smaller = keep_smaller(run, aligned, tokenizer)
    held_out = some_of_each_level(stages.held_out_stories(recipe.corpus))
    assistant, _ = load_model(run.artifact("assistant").path)
    talkers = {"assistant": assistant, "aligned": aligned}
    lines = list(read_json_lines(run.path / "logs" / "pretrain.jsonl"))
    steps = [line for line in lines if line["event"] == "step"]
    names = ("step", "loss", "learning_rate", "gradient_norm", "tokens", "elapsed_s")
    course = run.path / "figures.json"
    changes = run.artifact("second").path / "changes.json"
    figures = {
        "command": command,
        "remark": remark,
        "course": json.loads(course.read_text(encoding="utf-8")),
        "machine": machine(),
        "date": datetime.date.today().isoformat(),
        **{kind: run.artifact(kind).figures for kind in stages.STAGES},
        "stories": scores,
        "questions": {
            name: question_figures(model, tokenizer, held_out) for name, model in talkers.items()
        },
        "continued": {
            name: continued_figures(model, tokenizer, held_out) for name, model in talkers.items()
        },
        "smaller": smaller,
        "changes": json.loads(changes.read_text(encoding="utf-8"))["changes"],
        "over_training": [line for line in lines if line["event"] == "evaluation"],
        "peers": compare(run),
        "curve": [
            {name: line[name] for name in names}
            for line in steps[:: max(1, len(steps) // CURVE_POINTS)]
        ],
        "samples": samples,
    }
    atomic_write(
        ROOT / "data" / "results" / "laptop.json",
        json.dumps(figures, indent=1, ensure_ascii=False) + "\n",
    )
    readme = ROOT / "README.md"
    atomic_write(readme, with_figures(readme.read_text(encoding="utf-8"), figures))
    return figures


def main() -> None:
    """The command line of this tool."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", default="laptop")
    parser.add_argument("--home", type=Path)
    parser.add_argument(
        "--command", default="make course", help="how the run was made, kept with its figures"
    )
    parser.add_argument("--remark", default="", help="what was not as it should be, if anything")
    args = parser.parse_args()
    run, recipe = recipes.existing_run(args.run, args.home)
    figures = record(run, recipe, args.command, args.remark)
    print(json.dumps({"stories": figures["stories"], "peers": figures["peers"]}, indent=1))


if __name__ == "__main__":
    main()
