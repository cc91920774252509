"""What each verb of the command line does: choose the run and its recipe, call the room, report.

Rooms are imported where they are called, so that `minillm --help` answers at once.
"""

import argparse
import json
import sys
from contextlib import redirect_stdout
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
KEEPS_ITS_RECIPE = (
    "the run keeps its own recipe; leave it out, or make a run with another: "
    "minillm train --run NAME --recipe NAME --set FIELD=VALUE"
)
READS_NO_RUN = "the exercises belong to no run; leave it out (a chapter's number may be given)"
OUTSIDE_RUNS = (
    "with --text and --out the tokenizer belongs to no run; leave it out, or train it as a stage: "
    "minillm tokenizer --run NAME --set tokenizer.vocab_size=512"
)


# package only
def refuse(args: argparse.Namespace, names: tuple[str, ...], reason: str) -> None:
    """ValueError for the first of these options that was given: this verb would not heed it."""
    for name in names:
        if getattr(args, name) is not None:
            raise ValueError(f"--{name.replace('_', '-')}: {reason}")


# package only
def figures_out(args: argparse.Namespace, figures: dict) -> None:
    """With `--json` one object on one line of standard output."""
    if args.json:
        print(json.dumps(figures, ensure_ascii=False))


# package only
def chosen_run(args: argparse.Namespace) -> tuple["Run", "Recipe"]:
    """The run and recipe that --run, --recipe, --set, --text and --minutes ask for together."""
    from minillm import recipes, tailored

    text, minutes = getattr(args, "text", None), getattr(args, "minutes", None)
    if args.recipe is not None:
        recipe = recipes.recipe_named(args.recipe)
    elif text and args.verb == "train":
        given = tailored.TEXT_MINUTES if minutes is None else minutes
        recipe = tailored.recipe_for_text(text, given)
    else:
        recipe = recipes.recipe_of(args.run, args.home)
    if text:
        recipe = tailored.with_user_text(recipe, text)
    if minutes is not None:
        recipe = tailored.with_minutes(recipe, minutes)
    if getattr(args, "from_folder", None):
        recipe = tailored.starting_from(recipe, args.from_folder)
    recipe = recipes.changed(recipe, args.set or ())
    return recipes.open_run(args.run, recipe=recipe, home=args.home)


# package only
def notes(args: argparse.Namespace) -> TextIO:
    """Where lines for people go: standard output, unless that is kept for `--json`."""
    return sys.stderr if args.json else sys.stdout


# package only
def existing_run(args: argparse.Namespace) -> "Run":
    """The run that a verb works on, which was made before and keeps its recipe."""
    from minillm import recipes

    refuse(args, ("recipe", "set"), KEEPS_ITS_RECIPE)
    return recipes.existing_run(args.run, args.home)[0]


# package only
def run_course(args: argparse.Namespace) -> int:
    """Every notebook in order; the run becomes the latest if all pass."""
    from minillm.core.home import mark_latest
    from tools.course import run_course as run_notebooks

    run, _ = chosen_run(args)
    with redirect_stdout(notes(args)):
        exit_code = run_notebooks(run_name=run.name, home=args.home)
    if exit_code == 0:
        mark_latest(run)
        figures = json.loads((run.path / "figures.json").read_text(encoding="utf-8"))
        figures_out(args, figures | {"path": str(run.path)})
    return exit_code


# package only
def run_stage(args: argparse.Namespace, kind: str) -> int:
    """Make one artifact of the run, and what it is made from."""
    from minillm import recipes

    run, recipe = chosen_run(args)
    with redirect_stdout(notes(args)):
        artifact = recipes.reach(run, recipe, kind)
    figures_out(args, artifact.figures)
    return 0


# package only
def run_corpus(args: argparse.Namespace) -> int:
    """Text becomes documents."""
    return run_stage(args, "documents")


# package only
def run_tokenizer(args: argparse.Namespace) -> int:
    """With --text and --out: train on the files as they are. Else the stage of the run."""
    from minillm.corpus.sources import read_text_file
    from minillm.tokenizer.bytepair import TokenizerConfig, train_tokenizer

    if not args.text:
        refuse(args, ("vocab_size",), "the run's recipe decides; use --set tokenizer.vocab_size=N")
        refuse(args, ("out",), "the run's folder takes the tokenizer; leave it out, or add --text")
        return run_stage(args, "tokenizer")
    if args.out is None:
        remedy = "with --text, name the folder for tokenizer.json (--out DIR)"
        raise ValueError(f"--out is missing: {remedy}")
    refuse(args, ("run", "recipe", "set", "home"), OUTSIDE_RUNS)
    asked = {} if args.vocab_size is None else {"vocab_size": args.vocab_size}
    texts = [read_text_file(str(path)) for path in args.text]
    tokenizer = train_tokenizer(texts, TokenizerConfig(**asked))
    args.out.mkdir(parents=True, exist_ok=True)
    path = args.out / "tokenizer.json"
    tokenizer.save(path)
    print(f"tokenizer: {tokenizer.vocab_size:,} tokens → {path}", file=notes(args))
    figures_out(args, {"vocab_size": tokenizer.vocab_size, "path": str(path)})
    return 0


# package only
def run_train(args: argparse.Namespace) -> int:
    """Text becomes a model; says how good it is, and what it took."""
    from minillm import recipes
    from minillm.core.home import mark_latest

    run, recipe = chosen_run(args)
    with redirect_stdout(notes(args)):
        artifact = recipes.reach(run, recipe, "model")
    mark_latest(run)
    figures = artifact.figures
    names = ("bits_per_byte", "tokens", "seconds", "parameters")
    shown = {name: figures[name] for name in names if name in figures}
    words = [f"{name} {value:,.{'4g' if value < 1000 else '0f'}}" for name, value in shown.items()]
    print(", ".join(words), file=notes(args))
    figures_out(args, figures | {"run": run.name, "path": str(artifact.path)})
    return 0


# package only
def run_export(args: argparse.Namespace) -> int:
    """Write the model as a folder that transformers loads."""
    from minillm.export.huggingface import save_folder
    from minillm.train.checkpoint import load_model

    run = existing_run(args)
    model, tokenizer = load_model(run.artifact("model").path)
    save_folder(model, tokenizer, args.out)
    words = f"model of run '{run.name}' → {args.out} (for transformers' AutoModelForCausalLM)"
    print(words, file=notes(args))
    figures_out(args, {"run": run.name, "parameters": model.num_parameters, "path": str(args.out)})
    return 0


# package only
def run_chat(args: argparse.Namespace) -> int:
    """Continue a prompt, or prompts line by line: a base model continues and does not obey."""
    import torch

    from minillm.model.generate import continued_text
    from minillm.train.checkpoint import load_model

    run = existing_run(args)
    model, tokenizer = load_model(run.artifact("model").path)
    generator = torch.Generator().manual_seed(args.seed)

    def answer(prompt: str) -> None:
        text = continued_text(
            model, tokenizer, prompt, max_tokens=args.max_tokens, temperature=args.temperature,
            top_p=args.top_p, generator=generator,
        )  # fmt: skip
        figures_out(args, {"prompt": prompt, "text": text})
        if not args.json:
            print(prompt + text)

    if args.prompt is not None:
        answer(args.prompt)
        return 0
    print("A base model continues what you write. Empty line or Ctrl-D ends.", file=sys.stderr)
    while prompt := next_line():
        answer(prompt)
    return 0


# package only
def next_line() -> str:
    """What the user writes; nothing at the end of the input."""
    print("> ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().rstrip("\n")


# package only
def run_lineage(args: argparse.Namespace) -> int:
    """Draw the chain from model to documents; 0 only if every link is intact."""
    from minillm import recipes
    from minillm.core.lineage import lineage

    run = existing_run(args)
    links = lineage(run, recipes.STAGES)
    for depth, link in enumerate(links):
        branch = "   " * depth + ("└─ " if depth else "")
        line = f"{branch}{link['kind']}: {link['summary']} — {link['state']}"
        print(line, file=notes(args))
    figures_out(args, {"run": run.name, "links": links})
    return 0 if all(link["state"] == "intact" for link in links) else FAILED


# package only
def run_check(args: argparse.Namespace) -> int:
    """Check the answers in the exercise notebooks; 0 only if all pass."""
    from exercises import engine

    refuse(args, ("run", "recipe", "set", "home"), READS_NO_RUN)
    if not args.json:
        return engine.check_chapter(args.chapter)
    with redirect_stdout(notes(args)):  # a learner's code may print
        reports = engine.chapter_reports(args.chapter)
    num_passed = engine.num_passed(reports)
    fields = [{"id": r.exercise.id, "state": r.state.value, "message": r.message} for r in reports]
    figures_out(args, {"passed": num_passed, "exercises": len(reports), "reports": fields})
    return 0 if num_passed == len(reports) else FAILED


# package only
def run_bench(args: argparse.Namespace) -> int:
    """The model against an n-gram model and a compressor, on the run's held-out text."""
    from minillm.bench.text import compare

    figures = compare(existing_run(args))
    for name, value in figures.items():
        print(f"{name} {value:.4g}", file=notes(args))
    figures_out(args, figures)
    return 0


# package only
def run_to_come(args: argparse.Namespace) -> int:
    """Say in one line that a chapter is still to be written."""
    purpose, chapters = CHAPTER_TO_COME[args.verb]
    words = f"minillm {args.verb} ({purpose}): its chapter is still to come ({chapters})"
    print(words, file=sys.stderr)
    return TO_COME
