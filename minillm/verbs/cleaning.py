"""`minillm corpus clean --documents FILES --out DIR`: clean documents, here or on many machines.

The result belongs to no run, and is the same to the byte for every engine and number of shards.
"""

import argparse
from contextlib import redirect_stdout
from pathlib import Path

from minillm.verbs.arguments import figures_out, notes, refuse

CLEAN = "clean"
OUTSIDE_RUNS = "with `clean` the result belongs to no run; leave it out"
ONLY_CLEAN = "only `minillm corpus clean` heeds it"
OPTIONS = ("documents", "engine", "workers", "address", "shards")


# package only
def add_options(made: argparse.ArgumentParser) -> None:
    """What is cleaned, and by whom."""
    add = made.add_argument
    words = "with clean: JSON lines, one document a line"
    add("--documents", metavar="FILE", nargs="+", type=Path, help=words)
    add("--engine", metavar="NAME", help="with clean: local (default), processes, or ray")
    add("--workers", type=int, metavar="N", help="processes at once (default: one a core)")
    add("--address", metavar="HOST:PORT", help="with ray: a cluster's; default: one started here")
    add("--shards", type=int, metavar="N", help="with clean: parts of the work (default: 8)")


# package only
def run_clean(args: argparse.Namespace) -> int:
    """Clean; an interrupted command goes on where it was when it is given again."""
    from minillm.corpus.sharded import DEFAULT_SHARDS, clean_files

    refuse(args, ("run", "recipe", "set", "home", "text"), OUTSIDE_RUNS)
    for name in ("documents", "out"):
        if getattr(args, name) is None:
            raise ValueError(f"--{name} is missing; give --documents FILE … --out DIR")
    with redirect_stdout(notes(args)):
        artifact = clean_files(
            args.documents, args.out.resolve(), engine=args.engine or "local",
            workers=args.workers, address=args.address,
            num_shards=DEFAULT_SHARDS if args.shards is None else args.shards,
        )  # fmt: skip
    figures_out(args, artifact.figures | {"path": str(artifact.path)})
    return 0
