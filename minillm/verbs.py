"""What each verb of the command line does: choose the run and its recipe, call the room, report.

Rooms are imported where they are called, so that `minillm --help` answers at once.
"""

import argparse
import json
import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from minillm.core.records import Run
    from minillm.recipes import Recipe

FAILED, TO_COME = 1, 3
CHAPTER_TO_COME = {
    "align": ("fine-tune and prefer", "09_sft and 10_preferences"),
    "evaluate": ("score any model, with intervals", "11_validate"),
    "compress": ("quantise, prune, distil", "12_compress"),
    "serve": ("answer requests over HTTP", "13_serve"),
    "monitor": ("watch the requests for drift", "14_monitor"),
}


# package only
def figures_out(args: argparse.Namespace, figures: dict) -> None:
    """With `--json` one object on one line of standard output."""
    if args.json:
        print(json.dumps(figures, ensure_ascii=False))


# package only
def chosen_run(args: argparse.Namespace) -> tuple["Run", "Recipe"]:
    """The run and recipe that --run, --recipe, --set, --text and --minutes ask for together."""
    from minillm import recipes, tailored
    from minillm.core.settings import with_fields

    text, minutes = getattr(args, "text", None), getattr(args, "minutes", None)
    if args.recipe:
        recipe = recipes.recipe_named(args.recipe)
    elif text and args.verb == "train":
        recipe = tailored.recipe_for_text(text, minutes or tailored.TEXT_MINUTES)
    else:
        recipe = recipes.recipe_of(args.run, args.home)
    if text:
        recipe = tailored.with_user_text(recipe, text)
    if minutes:
        recipe = tailored.with_minutes(recipe, minutes)
    if getattr(args, "from_folder", None):
        recipe = tailored.starting_from(recipe, args.from_folder)
    recipe = with_fields(recipe, args.set or ())
    return recipes.open_run(args.run, recipe=recipe, home=args.home)


# package only
def run_course(args: argparse.Namespace) -> int:
    from minillm.core.home import mark_latest
    from tools.course import run_course as run_notebooks

    run, _ = chosen_run(args)
    exit_code = run_notebooks(run_name=run.name, home=args.home)
    if exit_code == 0:
        mark_latest(run)
    return exit_code


# package only
def run_corpus(args: argparse.Namespace) -> int:
    from minillm import recipes

    run, recipe = chosen_run(args)
    artifact = recipes.reach(run, recipe, "documents")
    figures_out(args, artifact.figures)
    return 0


# package only
def run_tokenizer(args: argparse.Namespace) -> int:
    """With --text and --out: train on the files as they are. Else the stage of the run."""
    from minillm import recipes
    from minillm.corpus.sources import read_text_file
    from minillm.tokenizer.bytepair import TokenizerConfig, train_tokenizer

    if not args.text:
        run, recipe = chosen_run(args)
        artifact = recipes.reach(run, recipe, "tokenizer")
        figures_out(args, artifact.figures)
        return 0
    if args.out is None:
        raise ValueError(
            "--out is missing: with --text, name the folder for tokenizer.json (--out DIR)"
        )
    texts = [read_text_file(str(path)) for path in args.text]
    tokenizer = train_tokenizer(texts, TokenizerConfig(vocab_size=args.vocab_size))
    args.out.mkdir(parents=True, exist_ok=True)
    tokenizer.save(args.out / "tokenizer.json")
    print(
        f"tokenizer: {tokenizer.vocab_size:,} tokens → {args.out / 'tokenizer.json'}",
        file=notes(args),
    )
    figures_out(
        args, {"vocab_size": tokenizer.vocab_size, "path": str(args.out / "tokenizer.json")}
    )
    return 0


# package only
def notes(args: argparse.Namespace) -> TextIO:
    """Where lines for people go: standard output, unless that is kept for `--json`."""
    return sys.stderr if args.json else sys.stdout


# package only
def run_train(args: argparse.Namespace) -> int:
    from minillm import recipes
    from minillm.core.home import mark_latest

    run, recipe = chosen_run(args)
    artifact = recipes.reach(run, recipe, "model")
    mark_latest(run)
    figures = artifact.figures
    shown = {
        name: figures[name]
        for name in ("bits_per_byte", "tokens", "seconds", "parameters")
        if name in figures
    }
    words = ", ".join(
        f"{name} {value:,.4g}" if value < 1000 else f"{name} {value:,.0f}"
        for name, value in shown.items()
    )
    print(words, file=notes(args))
    figures_out(args, figures | {"run": run.name, "path": str(artifact.path)})
    return 0


# package only
def run_export(args: argparse.Namespace) -> int:
    from minillm import recipes
    from minillm.export.huggingface import save_folder
    from minillm.train.checkpoint import load_model

    run, _ = recipes.existing_run(args.run, args.home)
    model, tokenizer = load_model(run.artifact("model").path)
    save_folder(model, tokenizer, args.out)
    print(
        f"model of run '{run.name}' → {args.out} (for transformers' AutoModelForCausalLM)",
        file=notes(args),
    )
    figures_out(args, {"run": run.name, "parameters": model.num_parameters, "path": str(args.out)})
    return 0


# package only
def run_chat(args: argparse.Namespace) -> int:
    """Continue a prompt, or prompts line by line: a base model continues and does not obey."""
    import torch

    from minillm import recipes
    from minillm.model.generate import generate
    from minillm.train.checkpoint import load_model

    run, _ = recipes.existing_run(args.run, args.home)
    model, tokenizer = load_model(run.artifact("model").path)
    generator = torch.Generator().manual_seed(args.seed)

    def reply(prompt: str) -> str:
        room = model.config.context_length - 1
        tokens = [tokenizer.end_of_text, *tokenizer.encode(prompt)[-room + 1 :]]
        return tokenizer.decode(
            generate(
                model,
                tokens,
                max_tokens=args.max_tokens,
                temperature=args.temperature,
                top_p=args.top_p,
                stop_ids=[tokenizer.end_of_text],
                generator=generator,
            )
        )

    if args.prompt is not None:
        text = reply(args.prompt)
        figures_out(args, {"prompt": args.prompt, "text": text})
        if not args.json:
            print(args.prompt + text)
        return 0
    print("A base model continues what you write. Empty line or Ctrl-D ends.", file=sys.stderr)
    while True:
        try:
            prompt = input("> ")
        except EOFError:
            return 0
        if not prompt:
            return 0
        print(prompt + reply(prompt))


# package only
def run_lineage(args: argparse.Namespace) -> int:
    from minillm import recipes
    from minillm.core.lineage import lineage

    run, _ = recipes.existing_run(args.run, args.home)
    links = lineage(run, recipes.STAGES)
    if args.json:
        figures_out(args, {"run": run.name, "links": links})
    else:
        for depth, link in enumerate(links):
            print(
                "   " * depth
                + ("└─ " if depth else "")
                + f"{link['kind']}: {link['summary']} — {link['state']}"
            )
    return 0 if all(link["state"] == "intact" for link in links) else FAILED


# package only
def run_check(args: argparse.Namespace) -> int:
    from exercises.engine import check_chapter

    return check_chapter(args.chapter)


# package only
def run_bench(args: argparse.Namespace) -> int:
    from minillm import recipes
    from minillm.bench.text import compare

    run, _ = recipes.existing_run(args.run, args.home)
    figures = compare(run)
    for name, value in figures.items():
        print(f"{name} {value:.4g}", file=notes(args))
    figures_out(args, figures)
    return 0


# package only
def run_to_come(args: argparse.Namespace) -> int:
    purpose, chapters = CHAPTER_TO_COME[args.verb]
    print(
        f"minillm {args.verb} ({purpose}): its chapter is still to come ({chapters})",
        file=sys.stderr,
    )
    return TO_COME
