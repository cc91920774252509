"""Verbs that make a model: the course, text → documents → tokenizer → model."""

import argparse
import json
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory

from minillm.core.records import Run
from minillm.verbs.arguments import (
    check_folder,
    chosen_run,
    figures_out,
    notes,
    refuse,
    warning_line,
)
from minillm.verbs.documents import (
    made_before,
    say_what_is_replaced,
    say_what_the_card_denies,
)

TOKENIZER = "tokenizer.json"
OUTSIDE_RUNS = (
    "with --text and --out the tokenizer belongs to no run; leave it out, or train it as a stage: "
    "minillm tokenizer --run NAME --set tokenizer.vocab_size=512"
)


# package only
def run_course(args: argparse.Namespace) -> int:
    """Every notebook, without a screen; the run becomes the latest if all pass."""
    run, _ = chosen_run(args)

    from minillm.core.home import mark_latest
    from tools.course import run_course as run_notebooks

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
    run, recipe = chosen_run(args)

    from minillm import stages

    say_what_is_replaced(run, recipe, kind, kind)
    with redirect_stdout(notes(args)):
        artifact = stages.reach(run, recipe, kind)
    figures_out(args, artifact.figures)
    return 0


# package only
def run_tokenizer(args: argparse.Namespace) -> int:
    """With --text and --out: train on the files as they are. Else the stage of the run."""
    from minillm.corpus.ownfiles import read_own_files
    from minillm.tokenizer.bytepair import TokenizerConfig, train_tokenizer

    if not args.text:
        refuse(args, ("vocab_size",), "the run's recipe decides; use --set tokenizer.vocab_size=N")
        refuse(args, ("out",), "the run's folder takes the tokenizer; leave it out, or add --text")
        return run_stage(args, "tokenizer")
    if args.out is None:
        remedy = "with --text, name the folder for tokenizer.json (--out DIR)"
        raise ValueError(f"--out is missing: {remedy}")
    refuse(args, ("run", "recipe", "set", "home"), OUTSIDE_RUNS)
    check_folder("--out", args.out)
    check_tokenizer_folder(args.out)
    asked = {} if args.vocab_size is None else {"vocab_size": args.vocab_size}
    texts = [text for _, text in read_own_files([str(path) for path in args.text])[0]]
    tokenizer = train_tokenizer(texts, TokenizerConfig(**asked))
    args.out.mkdir(parents=True, exist_ok=True)
    path = args.out / TOKENIZER
    tokenizer.save(path)
    print(f"tokenizer: {tokenizer.vocab_size:,} tokens → {path}", file=notes(args))
    figures_out(args, {"vocab_size": tokenizer.vocab_size, "path": str(path)})
    return 0


# package only
def check_tokenizer_folder(folder: Path) -> None:
    """ValueError unless the folder is new, empty, or holds nothing but a file that we wrote."""
    from minillm.core.records import check_replaceable
    from minillm.tokenizer.bytepair import Tokenizer

    check_replaceable(folder, TOKENIZER, (), "--out ")
    path = folder / TOKENIZER
    if not path.exists():
        return
    with TemporaryDirectory() as temporary:
        try:
            Tokenizer.load(path).save(Path(temporary) / TOKENIZER)
            is_ours = (Path(temporary) / TOKENIZER).read_bytes() == path.read_bytes()
        except (ValueError, OSError):
            is_ours = False
    if not is_ours:
        raise ValueError(f"--out {folder}: its {TOKENIZER} is not ours; choose an empty folder")


# package only
def run_train(args: argparse.Namespace) -> int:
    """Text becomes a model, in one process or, with --processes, in several."""
    if args.processes is None:
        return train_here(args)
    if "WORLD_SIZE" in os.environ:
        raise ValueError(
            f"--processes {args.processes}: this process was started by torchrun, as one of "
            "several already; leave it out"
        )
    chosen_run(args)  # a wrong option is said once, before there are several to say it

    from minillm.scale.launch import run_ranks

    return max(run_ranks(train_here, args.processes, args))


# package only
@contextmanager
def says_how_to_go_on(run: Run, args: argparse.Namespace) -> Iterator[None]:
    """Whoever stops a run is told with which words it goes on."""
    try:
        yield
    except KeyboardInterrupt as stop:
        home = "" if args.home is None else f" --home {args.home}"
        words = [str(stop), f"`minillm train --run {run.name}{home}` goes on from what is saved"]
        raise KeyboardInterrupt("; ".join(filter(None, words))) from None


# package only
def train_here(args: argparse.Namespace) -> int:
    """Train by the recipe, as one rank of a group where torchrun started this process as one.

    The first rank says how good the model is, and what it took.
    """
    warnings.formatwarning = warning_line  # this process may be one that torchrun has started
    run, recipe = chosen_run(args)

    from minillm import stages
    from minillm.core.home import mark_latest
    from minillm.scale.launch import joined

    earlier = made_before(run)
    with joined() as ranks:
        if ranks.rank == 0:
            say_what_is_replaced(run, recipe, "train", "model")
        with redirect_stdout(notes(args)), says_how_to_go_on(run, args):
            artifact = stages.reach(run, recipe, "model", ranks)
        if ranks.rank > 0:
            return 0
    mark_latest(run)
    say_what_the_card_denies(args, run.artifact("documents"))
    figures = artifact.figures
    names = ("bits_per_byte", "tokens", "seconds", "parameters")
    shown = {name: figures[name] for name in names if name in figures}
    words = [f"{name} {value:,.{'4g' if value < 1000 else '0f'}}" for name, value in shown.items()]
    print(", ".join(words), file=notes(args))
    if earlier is not None and earlier.sha256 != artifact.sha256:
        score = earlier.figures.get("bits_per_byte")
        had = "" if score is None else f" (bits_per_byte {score:.4g})"
        print(
            f"minillm train: run '{run.name}' had a model already{had}; this one took its place "
            "(another --run keeps both)",
            file=sys.stderr,
        )
    figures_out(args, figures | {"run": run.name, "path": str(artifact.path)})
    return 0
