"""The verb `lineage`: from the served model, or from one reply, back to the documents."""

import argparse
from typing import TYPE_CHECKING

from minillm.verbs.arguments import FAILED, existing_run, figures_out, notes

if TYPE_CHECKING:
    from minillm.core.records import Artifact, Run


# package only
def add_options(made: argparse.ArgumentParser) -> None:
    """Where to begin."""
    words = "begin at the model that gave this reply: the id of a request in the run's log"
    made.add_argument("--reply", metavar="ID", help=words)


# package only
def run_lineage(args: argparse.Namespace) -> int:
    """Draw the walk from a model to its documents; 0 only if every link is intact."""
    from minillm import stages
    from minillm.core.lineage import depths, lineage

    run = existing_run(args)
    root = answered_by(args, run).kind if args.reply else last_kind(run)
    links = lineage(run, stages.STAGES, root)
    for link, depth in zip(links, depths(run, links).values(), strict=True):
        branch = "   " * depth + ("└─ " if depth else "")
        print(f"{branch}{link['kind']}: {link['summary']} — {link['state']}", file=notes(args))
    others = [] if args.reply else beside(run, {link["kind"] for link in links})
    for link in others:
        line = f"beside it: {link['kind']}: {link['summary']} — {link['state']}"
        print(line, file=notes(args))
    figures_out(args, {"run": run.name, "links": links + others})
    return 0 if all(link["state"] == "intact" for link in links + others) else FAILED


# package only
def last_kind(run: "Run") -> str | None:
    """The served model; before there is one, whatever there is."""
    from minillm.core.promotion import MODEL_KINDS, served_model
    from minillm.core.records import MANIFEST

    try:
        return served_model(run).kind
    except ValueError:  # altered or unreadable, which the walk will say
        made = [kind for kind in MODEL_KINDS if (run.path / kind / MANIFEST).is_file()]
        return made[-1]
    except FileNotFoundError:
        return None


# package only
def beside(run: "Run", seen: set[str]) -> list[dict[str, str]]:
    """The run's other artifacts: nothing that the model was made from."""
    from minillm import stages
    from minillm.core.lineage import lineage

    return [link for link in lineage(run, stages.STAGES) if link["kind"] not in seen]


# package only
def answered_by(args: argparse.Namespace, run: "Run") -> "Artifact":
    """The model that gave a reply, found by the hash that the log holds beside it."""
    from minillm.core.lineage import artifact_with
    from minillm.core.promotion import MODEL_KINDS
    from minillm.monitor.requests import LOG, request_with_id

    request = request_with_id((run.path / LOG, run.path / "traffic" / LOG), args.reply)
    found = artifact_with(run, (*MODEL_KINDS, "quantized"), request.model_sha256 or "")
    if found is None:
        raise ValueError(
            f"--reply {args.reply}: answered by {request.model} ({request.model_sha256}), which is "
            "no longer in this run: it was made anew since; keep a run's folder to keep its lineage"
        )
    print(f"{args.reply}: answered by {found.kind} ({found.sha256[:12]}…)", file=notes(args))
    return found
