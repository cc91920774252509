"""Verbs that use a model that is there: export, chat; and the exercises' check."""

import argparse
import sys
from contextlib import redirect_stdout
from dataclasses import fields
from typing import TYPE_CHECKING

from minillm.verbs.arguments import FAILED, existing_run, figures_out, notes, refuse

if TYPE_CHECKING:
    from minillm.core.records import Artifact, Run

GGUF_TYPE = "f16"
READS_NO_RUN = "the exercises belong to no run; leave it out (a chapter's number may be given)"


# package only
def run_export(args: argparse.Namespace) -> int:
    """Write the model that answers users as a folder for transformers, or as one GGUF file."""
    from minillm.core.promotion import served_model
    from minillm.export.gguf import save_gguf
    from minillm.export.huggingface import save_folder
    from minillm.train.checkpoint import load_model

    run = existing_run(args)
    if args.to != "gguf":
        refuse(args, ("type",), "a choice of GGUF files; leave it out, or add --to gguf")
    model, tokenizer = load_model(served_model(run).path)
    if args.to == "gguf":
        reader = f"llama.cpp, {args.type or GGUF_TYPE}"
        save_gguf(model, tokenizer, args.out, args.type or GGUF_TYPE)
    else:
        reader = "transformers' AutoModelForCausalLM"
        save_folder(model, tokenizer, args.out)
    print(f"model of run '{run.name}' → {args.out} (for {reader})", file=notes(args))
    figures_out(args, {"run": run.name, "parameters": model.num_parameters, "path": str(args.out)})
    return 0


# package only
def run_chat(args: argparse.Namespace) -> int:
    """Talk to the run's model, line by line: an assistant answers, a base model continues."""
    import torch

    from minillm.align.chat import Message, chat_replies
    from minillm.compress.pipeline import load_served
    from minillm.core.promotion import served_model
    from minillm.model.generate import continued_text
    from minillm.model.sampling import SamplingOptions

    run = existing_run(args)
    artifact = quantized(run) if args.quantized else served_model(run)
    model, tokenizer = load_served(artifact.path)
    kind = next(iter(artifact.parents)) if args.quantized else artifact.kind
    is_base, said = kind == "model", []
    options = {
        "max_tokens": args.max_tokens, "generator": torch.Generator().manual_seed(args.seed)
    } | {field.name: getattr(args, field.name) for field in fields(SamplingOptions)}

    def answer(prompt: str) -> None:
        if is_base:
            text = continued_text(model, tokenizer, prompt, **options)
        else:
            said.append(Message("user", prompt))
            text = chat_replies(model, tokenizer, [said], **options)[0]
            said.append(Message("assistant", text))
        figures_out(args, {"prompt": prompt, "text": text, "model": artifact.kind})
        if not args.json:
            print(prompt + text if is_base else text)

    if args.prompt is not None:
        answer(args.prompt)
        return 0
    words = "A base model continues what you write." if is_base else "The assistant answers."
    print(f"{words} Empty line or Ctrl-D ends.", file=sys.stderr)
    while prompt := next_line():
        answer(prompt)
    return 0


# package only
def quantized(run: "Run") -> "Artifact":
    """The run's model in fewer bits; ValueError where the model has been made anew since."""
    from minillm.core.promotion import MODEL_KINDS, is_current

    artifact = run.artifact("quantized")
    (kind,) = (each for each in artifact.parents if each in MODEL_KINDS)
    if not is_current(run, kind) or run.artifact(kind).sha256 != artifact.parents[kind]:
        remedy = f"minillm compress --run {run.name} makes it again"
        raise ValueError(f"--quantized: the run's models were made anew since; {remedy}")
    return artifact


# package only
def next_line() -> str:
    """What the user writes; nothing at the end of the input."""
    print("> ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().rstrip("\n")


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
