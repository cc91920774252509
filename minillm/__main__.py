"""The command line: `minillm <verb>`, a thin layer over the recipes and the rooms' stage functions.

Results go to standard output, progress and errors to standard error. Exit codes: 0 success, 1 something
went wrong (one line says what, `--debug` shows where), 2 wrong usage, 3 a verb whose chapter is to come.
"""

import argparse
import json
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

FAILED, USAGE, TO_COME, INTERRUPTED = 1, 2, 3, 130
CHAPTER_TO_COME = {
    "align": ("fine-tune and prefer", "09_sft and 10_preferences"),
    "evaluate": ("score any model, with intervals", "11_validate"),
    "compress": ("quantise, prune, distil", "12_compress"),
    "serve": ("answer requests over HTTP", "13_serve"),
    "monitor": ("watch the requests for drift", "14_monitor"),
}
STORY_DEFAULT = "Once upon a time"


# package only
def figures_out(args: argparse.Namespace, figures: dict) -> None:
    """With `--json` one object on one line of standard output."""
    if args.json:
        print(json.dumps(figures, ensure_ascii=False))


# package only
def chosen_run(args: argparse.Namespace) -> tuple:
    """The run and recipe that --run, --recipe, --set, --text and --minutes ask for together."""
    from minillm import recipes

    text, minutes = getattr(args, "text", None), getattr(args, "minutes", None)
    if args.recipe:
        recipe = recipes.recipe_named(args.recipe)
    elif text and args.verb == "train":
        recipe = recipes.recipe_for_text(text, minutes or recipes.TEXT_MINUTES)
    else:
        recipe = recipes.recipe_of(args.run, args.home)
    if text:
        recipe = recipes.with_user_text(recipe, text)
    if minutes:
        recipe = recipes.with_minutes(recipe, minutes)
    if getattr(args, "from_folder", None):
        recipe = recipes.starting_from(recipe, args.from_folder)
    recipe = recipes.with_fields(recipe, args.set or ())
    return recipes.open_run(args.run, recipe=recipe, home=args.home)


# package only
def run_course(args: argparse.Namespace) -> int:
    from minillm import recipes
    from tools.course import run_course as run_notebooks

    run, _ = chosen_run(args)
    exit_code = run_notebooks(run_name=run.name, home=args.home)
    if exit_code == 0:
        recipes.mark_latest(run)
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
    from minillm.corpus.sources import read_text
    from minillm.tokenizer.bytepair import TokenizerConfig, train_tokenizer

    if not args.text:
        run, recipe = chosen_run(args)
        artifact = recipes.reach(run, recipe, "tokenizer")
        figures_out(args, artifact.figures)
        return 0
    if args.out is None:
        raise ValueError("--out is missing: with --text, say which folder tokenizer.json is written to (--out DIR)")
    texts = [read_text(path) for path in args.text]
    tokenizer = train_tokenizer(texts, TokenizerConfig(vocab_size=args.vocab_size))
    args.out.mkdir(parents=True, exist_ok=True)
    tokenizer.save(args.out / "tokenizer.json")
    print(f"tokenizer: {tokenizer.vocab_size:,} tokens → {args.out / 'tokenizer.json'}", file=notes(args))
    figures_out(args, {"vocab_size": tokenizer.vocab_size, "path": str(args.out / "tokenizer.json")})
    return 0


# package only
def notes(args: argparse.Namespace):
    """Where lines for people go: standard output, unless that is kept for `--json`."""
    return sys.stderr if args.json else sys.stdout


# package only
def run_train(args: argparse.Namespace) -> int:
    from minillm import recipes

    run, recipe = chosen_run(args)
    artifact = recipes.reach(run, recipe, "model")
    recipes.mark_latest(run)
    figures = artifact.figures
    shown = {name: figures[name] for name in ("bits_per_byte", "tokens", "seconds", "parameters") if name in figures}
    words = ", ".join(f"{name} {value:,.4g}" if value < 1000 else f"{name} {value:,.0f}" for name, value in shown.items())
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
    print(f"model of run '{run.name}' → {args.out} (open it with transformers' AutoModelForCausalLM)", file=notes(args))
    figures_out(args, {"run": run.name, "parameters": model.num_parameters, "path": str(args.out)})
    return 0


# package only
def run_chat(args: argparse.Namespace) -> int:
    """Continue a prompt, or read prompts line by line: so far a base model, which continues and does not obey."""
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
                model, tokens, max_tokens=args.max_tokens, temperature=args.temperature, top_p=args.top_p,
                stop_ids=[tokenizer.end_of_text], generator=generator,
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
    from minillm.core.records import lineage

    run, _ = recipes.existing_run(args.run, args.home)
    links = lineage(run, recipes.STAGES)
    if args.json:
        figures_out(args, {"run": run.name, "links": links})
    else:
        for depth, link in enumerate(links):
            print("   " * depth + ("└─ " if depth else "") + f"{link['kind']}: {link['summary']} — {link['state']}")
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
    print(f"minillm {args.verb} ({purpose}): its chapter is still to come ({chapters})", file=sys.stderr)
    return TO_COME


# package only
class Parser(argparse.ArgumentParser):
    """argparse, with wrong usage said in one line."""

    def error(self, message: str) -> None:
        self.exit(USAGE, f"{self.prog}: {message} (see {self.prog} --help)\n")


# package only
def parser() -> argparse.ArgumentParser:
    """Every verb with its options; stable from here on."""
    common = Parser(add_help=False)
    common.add_argument("--run", metavar="NAME", help="the run's name (a folder under runs/)")
    common.add_argument("--recipe", metavar="NAME", help="smoke or laptop; default: the run's own, else smoke")
    common.add_argument("--set", metavar="FIELD=VALUE", action="append", help="change one field of the recipe")
    common.add_argument("--home", type=Path, help="the folder that holds runs/ (default: the checkout, else here)")
    common.add_argument("--json", action="store_true", help="figures as one JSON object on one line of stdout")
    common.add_argument("--debug", action="store_true", help="show the traceback of an error")
    root = Parser(prog="minillm", description="A language model from raw text to a monitored service.")
    verbs = root.add_subparsers(dest="verb", metavar="verb", required=True, parser_class=Parser)

    def verb(name: str, action: Callable[[argparse.Namespace], int], words: str) -> argparse.ArgumentParser:
        made = verbs.add_parser(name, parents=[common], help=words, description=words)
        made.set_defaults(action=action)
        return made

    def text_files(made: argparse.ArgumentParser) -> None:
        made.add_argument("--text", metavar="FILE", nargs="+", type=Path, help="your own text files (UTF-8)")

    verb("course", run_course, "run every notebook in order, without a screen")
    text_files(verb("corpus", run_corpus, "text → documents"))
    tokenizer = verb("tokenizer", run_tokenizer, "documents → tokenizer.json")
    text_files(tokenizer)
    tokenizer.add_argument("--vocab-size", type=int, default=4096, help="bytes and special tokens counted in")
    tokenizer.add_argument("--out", type=Path, metavar="DIR", help="with --text: where tokenizer.json is written")
    train = verb("train", run_train, "from text to a model")
    text_files(train)
    train.add_argument("--minutes", type=float, help="bound of the training steps; the schedule ends there")
    train.add_argument("--from", dest="from_folder", type=Path, metavar="DIR", help="start from a Hugging Face folder")
    export = verb("export", run_export, "the model in other people's form")
    export.add_argument("--to", choices=("hf",), default="hf", help="hf: a folder that transformers loads")
    export.add_argument("--out", type=Path, required=True, metavar="DIR")
    chat = verb("chat", run_chat, "talk to the run's model")
    chat.add_argument("--prompt", metavar="TEXT")
    chat.add_argument("--max-tokens", type=int, default=200)
    chat.add_argument("--temperature", type=float, default=0.8)
    chat.add_argument("--top-p", type=float, default=0.95)
    chat.add_argument("--seed", type=int, default=0)
    verb("lineage", run_lineage, "the chain from the model to its documents, and what was altered")
    check = verb("check", run_check, "check the exercises you have solved")
    check.add_argument("chapter", nargs="?", metavar="NN", help="a chapter's number; default: all")
    verb("bench", run_bench, "the run's model against an n-gram model and a compressor, on its held-out text")
    for name, (purpose, _) in CHAPTER_TO_COME.items():
        verb(name, run_to_come, f"{purpose} (still to come)")
    return root


# package only
def one_line(error: BaseException) -> str:
    """An error as one clear line."""
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return " ".join(str(error).split()) or type(error).__name__


# package only
def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; the exit code is 0 only on success."""
    args = parser().parse_args(arguments)
    warnings.formatwarning = lambda message, *_: f"minillm: warning: {message}\n"
    try:
        return args.action(args)
    except KeyboardInterrupt as error:
        print(f"minillm {args.verb}: stopped{f' ({error})' if str(error) else ''}", file=sys.stderr)
        code = INTERRUPTED
    except (ValueError, OSError, ImportError, AssertionError, RuntimeError) as error:
        if args.debug:
            raise
        print(f"minillm {args.verb}: {one_line(error)}", file=sys.stderr)
        code = FAILED
    return code


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)
    code = main()
    sys.stdout.flush()
    os._exit(code) if code == INTERRUPTED else sys.exit(code)
