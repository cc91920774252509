"""`minillm evaluate`: a run's models, one of them, or a Hugging Face folder → a report card.

Without `--model` and `--folder` the run's artifact `scores` is made, and the best model by the gate
answers the run's users from then on. With either nothing of the run changes.
"""

import argparse
import json
import shutil
import tempfile
from contextlib import redirect_stdout
from pathlib import Path

from minillm.verbs.arguments import KEEPS_ITS_RECIPE, figures_out, notes, refuse

FORMS = ("base", "chat")
FILES = ("scores.json", "items.json", "card.html")


# package only
def add_options(made: argparse.ArgumentParser) -> None:
    """What only `evaluate` takes."""
    add = made.add_argument
    add("--model", metavar="KIND", help="one model of the run alone: model, assistant, aligned …")
    add("--folder", type=Path, metavar="DIR", help="score a Hugging Face folder instead")
    add("--form", choices=FORMS, help="with --folder: does it answer chats? (default: base)")
    add("--out", type=Path, metavar="DIR", help="write scores.json, items.json, card.html there")


# package only
def run_evaluate(args: argparse.Namespace) -> int:
    """Score, print each figure with its interval, and say what the gate found."""
    from minillm.core.records import check_replaceable

    refuse(args, ("recipe", "set"), KEEPS_ITS_RECIPE)
    if args.folder is None:
        refuse(args, ("form",), "only a folder's form is unknown; leave it out, or add --folder")
    else:
        refuse(args, ("model",), "a folder holds one model; leave it out, or leave --folder out")
    if args.out is not None:
        check_replaceable(args.out, FILES[0], FILES[1:], "--out ")
    with tempfile.TemporaryDirectory() as temporary, redirect_stdout(notes(args)):
        folder = scored_alone(args, Path(temporary)) if args.folder or args.model else None
        folder = folder or scored_run(args)
        figures = shown(folder)
        if args.out is not None:
            args.out.mkdir(parents=True, exist_ok=True)
            for name in FILES:
                shutil.copyfile(folder / name, args.out / name)
            print(f"report card → {args.out / FILES[-1]}")
    figures_out(args, figures)
    return 0


# package only
def scored_run(args: argparse.Namespace) -> Path:
    """All models of the run: its artifact, and the promotion of the best."""
    from minillm import recipes, stages
    from minillm.evaluate.gate import RULE

    run, recipe = recipes.existing_run(args.run, args.home)
    artifact = stages.make_scores(recipe, run)
    rule = RULE.format(margin=recipe.evaluation.margin)
    print(f"promoted: {artifact.figures['best']} (rule: {rule})")
    return artifact.path


# package only
def scored_alone(args: argparse.Namespace, folder: Path) -> Path:
    """One model: of the run, or of a folder; without a run there are no documents to read."""
    from minillm import recipes
    from minillm.core.records import file_sha256
    from minillm.corpus.pipeline import read_documents
    from minillm.evaluate.items import EvaluateConfig
    from minillm.evaluate.score import loaded, models_of, score_cards, write_report
    from minillm.export.huggingface import load_folder

    config, documents, run = EvaluateConfig(), [], None
    if args.run is not None or args.folder is None:
        run, recipe = recipes.existing_run(args.run, args.home)
        config = recipe.evaluation
        documents = list(read_documents(run.artifact("documents").path))
    if args.folder is not None:
        model, tokenizer = load_folder(args.folder)
        sha256 = file_sha256(args.folder / "model.safetensors")
        models = [(args.folder.name, sha256, args.form == "chat", model, tokenizer)]
    else:
        models = loaded(models_of(run, (args.model,)))
    cards, shares = score_cards(models, documents, config)
    write_report(cards, shares, config, folder)
    return folder


# package only
def shown(folder: Path) -> dict:
    """Print the card as lines; returns what scores.json says."""
    content = json.loads((folder / FILES[0]).read_text(encoding="utf-8"))
    for kind, card in content["models"].items():
        print(f"{kind} ({card['form']}):")
        for name, each in card["figures"].items():
            ends = f"[{each['low']:.3f}, {each['high']:.3f}]"
            print(f"  {name:<28} {each['value']:7.3f} {ends}  n = {each['n']}  {each['meaning']}")
    for each in content["report"]["gate"]:
        said = "accepted" if each["accepted"] else "refused: " + "; ".join(each["reasons"])
        print(f"gate: {each['candidate']} against {each['against']}: {said}")
    return content
