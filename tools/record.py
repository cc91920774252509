"""Keep a finished laptop run in the checkout: its model in bfloat16, a data card, and its figures.

`python tools/record.py --run laptop` writes `data/models/laptop/` and `data/results/laptop.json`,
which the notebooks show, and puts its figures into README.md. Stories are sampled, checked and
compared with the training stories here.
"""

import argparse
import datetime
import json
import os
import platform
import shutil
from pathlib import Path

import torch

from minillm import recipes, stages
from minillm.bench.text import compare
from minillm.core.records import Run, atomic_write, read_json_lines, seal
from minillm.corpus.pipeline import read_documents
from minillm.corpus.storyworld import check_story
from minillm.evaluate.stories import (
    SamplingConfig,
    continue_openings,
    near_duplicate_fraction,
    story_scores,
)
from minillm.model.transformer import Transformer
from minillm.tokenizer.bytepair import Tokenizer
from minillm.train.checkpoint import load_model, save_model

ROOT = Path(__file__).resolve().parent.parent
STORIES_PER_LEVEL, SHOWN_SAMPLES, CURVE_POINTS = 200, 3, 200
# a processor's flags as Linux lists them, and what they mean for the speed of a run
UNITS = {"avx512f": "AVX-512", "avx512_bf16": "bfloat16 units"}
PICTURE, SECTION = ("```\nsources ─▶", "```\n"), ("## The recorded laptop run\n", "## ")


def machine() -> str:
    """The processor as the system names it, and its cores."""
    path = Path("/proc/cpuinfo")
    info = path.read_text(encoding="utf-8") if path.is_file() else ""
    names = [line.split(":", 1)[1] for line in info.splitlines() if line.startswith("model name")]
    name = names[0].strip() if names else platform.processor() or platform.machine()
    parts = [name, f"{os.cpu_count()} cores"]
    parts += [words for flag, words in UNITS.items() if flag in info.split()]
    return ", ".join([*parts, platform.system()])


def story_figures(
    model: Transformer, tokenizer: Tokenizer, run: Run, recipe: recipes.Recipe
) -> tuple[dict, dict]:
    """Scores and the first samples by level: 200 held-out openings each, as the recipe samples."""
    documents = read_documents(run.artifact("documents").path, "train")
    told = {level: [] for level in (1, 2, 3)}
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
        "Limits: a few million parameters, minutes of training; it invents facts.\n"
    )


def record(run: Run, recipe: recipes.Recipe, command: str, remark: str) -> dict:
    """Write model, card and figures; returns the figures."""
    artifact = run.artifact("model")
    model, tokenizer = load_model(artifact.path)
    folder = ROOT / "data" / "models" / "laptop"
    shutil.rmtree(folder, ignore_errors=True)
    save_model(model, tokenizer, folder, dtype=torch.bfloat16)
    atomic_write(folder / "README.md", data_card(run, recipe))
    seal(
        folder,
        "model",
        artifact.key,
        artifact.config,
        artifact.parents,
        artifact.figures,
        artifact.summary,
    )
    kept, _ = load_model(folder)
    scores, samples = story_figures(kept, tokenizer, run, recipe)
    lines = list(read_json_lines(run.path / "logs" / "pretrain.jsonl"))
    steps = [line for line in lines if line["event"] == "step"]
    names = ("step", "loss", "learning_rate", "gradient_norm", "tokens", "elapsed_s")
    course = run.path / "figures.json"
    figures = {
        "command": command,
        "remark": remark,
        "course": json.loads(course.read_text(encoding="utf-8")),
        "machine": machine(),
        "date": datetime.date.today().isoformat(),
        **{kind: run.artifact(kind).figures for kind in stages.STAGES},
        "stories": scores,
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


def pipeline_picture(figures: dict) -> str:
    """The README's first picture, with the sizes of the run."""
    documents, model = figures["documents"], figures["model"]
    sizes = [
        f"{documents['num_documents']:,}", f"{figures['tokenizer']['vocab_size']:,}",
        f"{figures['shards']['train_tokens'] / 1e6:.1f} M", f"{model['parameters'] / 1e6:.1f} M",
    ]  # fmt: skip
    units = [f"{documents['num_bytes'] / 1e6:.1f} MB", "tokens", "tokens", "parameters"]
    rows = ["".join(f"{cell:<13}" for cell in cells).rstrip() for cells in (sizes, units)]
    return (
        "```\n"
        "sources ─▶ documents ─▶ tokenizer ─▶ shards ───▶ model ────▶ text\n"
        + "".join(f"{'':11}{row}\n" for row in rows)
        + "           └ corpus ┘   └tokenizer┘   └batches┘   └ model · train ┘\n"
        "```\n"
    )


def story_table(stories: dict) -> str:
    """What the checker says of the run's stories, a line a level."""
    lines = [
        "| level | readable sentences | stories free of contradictions | bad sentences a story"
        " | near-duplicates of training stories |",
        "|---|---|---|---|---|",
    ]
    for level, scores in stories.items():
        shares = ("readable_fraction", "consistent_fraction")
        readable, consistent = (f"{scores[name]:.1%}" for name in shares)
        bad, near = scores["bad_sentences_per_story"], scores["near_duplicate_fraction"]
        lines.append(f"| {level[-1]} | {readable} | **{consistent}** | {bad:.2f} | {near:.1%} |")
    return "\n".join(lines)


def faults(text: str) -> str:
    """What contradicts itself in a story, in the checker's words."""
    found = check_story(text).contradictions
    return f" *(The checker: {'; '.join(found)}.)*" if found else ""


def readme_section(figures: dict) -> str:
    """The README's account of the run: every figure is one of `data/results/laptop.json`."""
    model, peers, course = figures["model"], figures["peers"], figures["course"]
    remark = f" ({figures['remark']})" if figures["remark"] else ""
    samples = "\n\n".join(
        f"> {each[0]['text']}{faults(each[0]['text'])}" for each in figures["samples"].values()
    )
    return (
        f"{SECTION[0]}\nMade with `{figures['command']}` on {figures['machine']},"
        f" {figures['date']}; recorded by `python tools/record.py`{remark}. The whole course"
        f" took {course['total_seconds'] / 60:.1f} minutes, {model['seconds'] / 60:.1f} of them"
        " training:"
        f" {model['parameters']:,} parameters, {model['steps']:,} steps over {model['tokens']:,}"
        " tokens.\n\n"
        "Held-out text, bits per byte (`minillm bench`): the model"
        f" **{peers['model_bits_per_byte']:.3f}**, an interpolated Kneser–Ney 5-gram over the same"
        f" tokens and training text {peers['kneser_ney_5_gram_bits_per_byte']:.3f}, `xz -9`"
        f" {peers['xz_bits_per_byte']:.3f}.\n\n"
        f"{STORIES_PER_LEVEL} held-out openings a level, temperature .8, top-p .95, read by the"
        f" story world's checker:\n\n{story_table(figures['stories'])}\n\n"
        "The training ends with the minutes, so a slower machine reads less and scores lower, and"
        " a faster one the other way round. The first sample of each level, faults and all:\n\n"
        f"{samples}\n\n"
    )


def with_figures(readme: str, figures: dict) -> str:
    """The README with its picture and its account of the run made afresh from the figures."""
    for (begin, end), text in (
        (PICTURE, pipeline_picture(figures)),
        (SECTION, readme_section(figures)),
    ):
        start = readme.index(begin)
        stop = readme.index(end, start + len(begin))
        stop += len(end) if end == PICTURE[1] else 0
        readme = readme[:start] + text + readme[stop:]
    return readme


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
