"""Keep a finished laptop run in the checkout: its model in bfloat16, a data card, and its figures.

`python tools/record.py --run laptop` writes `data/models/laptop/` and `data/results/laptop.json`,
which the notebooks and the README show. The stories are sampled, checked and compared with the training stories here.
"""

import argparse
import datetime
import json
import os
import platform
import shutil
from pathlib import Path

import torch

from minillm import recipes
from minillm.bench.text import compare
from minillm.core.records import Run, atomic_write, read_json_lines, seal
from minillm.corpus.pipeline import read_documents
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


def machine() -> str:
    """The processor as the system names it, and its cores."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        names = [
            line.split(":", 1)[1].strip()
            for line in info.read_text().splitlines()
            if line.startswith("model name")
        ]
        name = names[0] if names else name
    wide = (
        "bfloat16 units" if "avx512_bf16" in info.read_text() else "AVX2" if info.is_file() else ""
    )
    return f"{name}, {os.cpu_count()} cores{', ' + wide if wide else ''}, {platform.system()}"


def story_figures(
    model: Transformer, tokenizer: Tokenizer, run: Run, recipe: recipes.Recipe
) -> tuple[dict, dict]:
    """Scores and the first samples by level: 200 held-out openings each, as the recipe samples."""
    documents = read_documents(run.artifact("documents").path, "train")
    told = {level: [] for level in (1, 2, 3)}
    for document in documents:
        if document.level:
            told[document.level].append(document.text)
    held_out = recipes.held_out_stories(recipe.corpus)
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


def data_card(run: Run) -> str:
    """What the model has read, under which licences, and whom to name."""
    figures = run.artifact("documents").figures
    sources = json.loads((ROOT / "data" / "sources.json").read_text(encoding="utf-8"))
    return (
        "# What this model has read\n\n"
        f"{figures['num_documents']:,} documents, {figures['num_bytes']:,} bytes. Documents by source:\n\n"
        + "".join(
            f"- {source}: {count:,}\n" for source, count in figures["documents_by_source"].items()
        )
        + f"\nRejected: {figures['num_rejected']:,} (by step: {json.dumps(figures['rejected_by_step'])}).\n"
        f"Missing sources: {', '.join(figures['missing_sources']) or 'none'}.\n\n"
        "Where each source comes from, its licence and its authors: `data/sources.json`"
        f" ({len(sources)} entries). Stories are the course's own (CC0-1.0).\n\n"
        "Limits: a few million parameters, minutes of training; it invents facts.\n"
    )


def record(run: Run, recipe: recipes.Recipe, command: str) -> dict:
    """Write model, card and figures; returns the figures."""
    artifact = run.artifact("model")
    model, tokenizer = load_model(artifact.path)
    folder = ROOT / "data" / "models" / "laptop"
    shutil.rmtree(folder, ignore_errors=True)
    save_model(model, tokenizer, folder, dtype=torch.bfloat16)
    atomic_write(folder / "README.md", data_card(run))
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
    figures = {
        "command": command,
        "machine": machine(),
        "date": datetime.date.today().isoformat(),
        **{kind: run.artifact(kind).figures for kind in recipes.STAGES},
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
    return figures


def main() -> None:
    """The command line of this tool."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", default="laptop")
    parser.add_argument("--home", type=Path)
    parser.add_argument(
        "--command", default="make course", help="how the run was made, kept with its figures"
    )
    args = parser.parse_args()
    run, recipe = recipes.existing_run(args.run, args.home)
    figures = record(run, recipe, args.command)
    print(json.dumps({"stories": figures["stories"], "peers": figures["peers"]}, indent=1))


if __name__ == "__main__":
    main()
