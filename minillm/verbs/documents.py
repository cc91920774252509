"""What verbs that make documents say: before, what takes whose place; after, what the card denies.

A run keeps one set of documents, one tokenizer, one model; those made anew replace the earlier.
"""

import argparse
import json
import sys
from typing import TYPE_CHECKING

from minillm.verbs.arguments import notes

if TYPE_CHECKING:
    from minillm.core.records import Artifact, Run
    from minillm.recipes import Recipe


# package only
def made_before(run: "Run", kind: str = "model") -> "Artifact | None":
    """What a run has of this kind before it is made again."""
    from minillm.core.records import MANIFEST, Artifact

    folder = run.path / kind
    return Artifact.load(folder) if (folder / MANIFEST).is_file() else None


# package only
def say_what_is_replaced(run: "Run", recipe: "Recipe", verb: str, kind: str) -> None:
    """Before documents or tokenizer of a run that has a model are made otherwise: say so.

    `kind` is made, and what it is made from; after `train` the model is another one too.
    """
    from minillm.core.records import canonical

    if made_before(run) is None:
        return
    asked = {"documents": recipe.corpus, "tokenizer": recipe.tokenizer}
    for each in ("documents",) if kind == "documents" or recipe.start_from else tuple(asked):
        earlier = made_before(run, each)
        if earlier is None:
            continue
        config = {name: value for name, value in earlier.config.items() if name != "contents"}
        if canonical(config) != canonical(asked[each]):
            stays = f"and the model stays until `minillm train --run {run.name}`"
            print(
                f"minillm {verb}: run '{run.name}' has a model, and its {each} by other settings "
                f"than these; what is made here replaces the {each}, "
                f"{'then the model' if kind == 'model' else stays} (another --run keeps both)",
                file=sys.stderr,
            )
            return


# package only
def say_what_the_card_denies(args: argparse.Namespace, documents: "Artifact") -> None:
    """The failed questions of the data card in one line; nothing where all hold."""
    card = json.loads((documents.path / "card.json").read_text(encoding="utf-8"))
    failed = [
        f"{each['question']}: {each['value']:.4g} (at most {each['limit']:.4g})"
        for each in card["checklist"] if not each["holds"]
    ]  # fmt: skip
    if failed:
        place = documents.path / "card.md"
        print(f"✗ data card: {'; '.join(failed)} → {place}", file=notes(args))
