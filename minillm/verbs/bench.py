"""`minillm bench WHAT`: ours against named peers, measured in one run on the same data.

Without WHAT a run's model is measured; each other name is a module of `minillm.bench` that needs no
run. `--out` keeps the figures with the command, the machine and the date.
"""

import argparse
import importlib
from contextlib import redirect_stdout
from pathlib import Path

from minillm.verbs.arguments import (
    check_figures_file,
    existing_run,
    figures_out,
    notes,
    refuse,
)
from minillm.verbs.evaluation_sets import evaluation_sets

MODEL = "model"
WITHOUT_RUN = {
    "ablations": "what each choice of shape and recipe buys, at equal compute",
    "attention": "attention's forms side by side: time and memory",
    "duplicates": "near-duplicates beside datasketch, rensa and datatrove",
    "generate": "prefill and decode beside transformers",
    "language": "the language identifier beside fastText's lid.176",
    "learn": "bits per byte after ten minutes, beside nanoGPT; takes about two hours",
    "optimizers": "Muon and AdamW, each at its best learning rate",
    "positions": "five ways to know the order of words, and longer texts",
    "quality": "the learned filters beside the rules",
    "stories": "what each choice of the laptop recipe does to its stories",
    "stream": "tokens read a second, and how well they are mixed",
    "tokenizer": "training and encoding beside tokenizers, rustbpe and tiktoken",
    "train": "a training step beside transformers and nanoGPT",
    "transfer": "the best learning rate by width, with the width rule and without",
    "unigram": "the unigram tokenizer beside SentencePiece and byte-pair encoding",
    "vocabulary": "bits per byte by the size of the vocabulary, at equal compute",
    "world": "the story world: speed, variety, and what its checker notices",
}
WORDS = {MODEL: "a run's model beside an n-gram model and a compressor (default)", **WITHOUT_RUN}
BESIDE_NANOGPT = ("learn", "train")
# They judge pages of the report's dirty web, into which parts of the evaluation sets leak.
ON_THE_REPORTS_PAGES = ("duplicates", "language")
NO_RUN = "this bench reads no run; leave it out"


# package only
def add_options(made: argparse.ArgumentParser) -> None:
    """What only `bench` takes."""
    words = "what to measure, by a name from the list below; only model reads a run"
    made.add_argument("what", nargs="?", default=MODEL, choices=WORDS, metavar="WHAT", help=words)
    made.formatter_class = argparse.RawDescriptionHelpFormatter
    made.epilog = "\n".join(("WHAT:", *(f"  {name:<12}{said}" for name, said in WORDS.items())))
    words = "a checkout of nanoGPT to measure beside (train, learn)"
    made.add_argument("--nanogpt", type=Path, metavar="PATH", help=words)
    made.add_argument("--out", type=Path, metavar="FILE", help="keep the figures there, as JSON")


# package only
def given_to(args: argparse.Namespace) -> dict[str, object]:
    """What a bench is handed: a checkout the user names, the report's sets; else ValueError."""
    if args.what not in BESIDE_NANOGPT:
        refuse(args, ("nanogpt",), f"only {' and '.join(BESIDE_NANOGPT)} measure beside it")
        return {"sets": evaluation_sets()} if args.what in ON_THE_REPORTS_PAGES else {}
    if args.nanogpt is not None and not (args.nanogpt / "model.py").is_file():
        raise ValueError(f"--nanogpt {args.nanogpt}: no model.py in it; give a checkout's folder")
    return {"nanogpt": args.nanogpt and args.nanogpt.resolve()}


# package only
def run_bench(args: argparse.Namespace) -> int:
    """Measure, print a line for each figure, keep them where asked."""
    from minillm.bench.measuring import save_figures

    check_figures_file(args.out)
    given = given_to(args)
    if args.what == MODEL:
        from minillm.bench.text import compare

        figures = compare(existing_run(args))
    else:
        refuse(args, ("run", "recipe", "set", "home"), NO_RUN)
        module = importlib.import_module(f"minillm.bench.{args.what}")
        with redirect_stdout(notes(args)):
            figures = module.measure(**given)
    for name, value in figures.items():
        shown = f"{value:.4g}" if isinstance(value, float) else value
        print(f"{name} {shown}", file=notes(args))
    if args.out is not None:
        beside = " --nanogpt PATH" if args.nanogpt else ""
        save_figures(args.out, f"minillm bench {args.what}{beside} --json", figures)
    figures_out(args, figures)
    return 0
