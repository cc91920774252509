"""What all verbs share: choosing the run, refusing what cannot be heeded, figures for programs.

Rooms are imported where they are called, so that `minillm --help` answers at once; and after what
can be refused without them.
"""

import argparse
import io
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from minillm.core.records import Run
    from minillm.recipes import Recipe

FAILED = 1
# The keys of `recipes.RECIPES`, known before what takes seconds to import.
RECIPE_NAMES = ("smoke", "laptop")
KEEPS_ITS_RECIPE = (
    "the run keeps its own recipe; leave it out, or make a run with another: "
    "minillm train --run NAME --recipe NAME --set FIELD=VALUE"
)


# package only
def add_reporting(made: argparse.ArgumentParser) -> None:
    """How any verb reports: its figures, and an error."""
    made.add_argument("--json", action="store_true", help="figures as one JSON object on stdout")
    made.add_argument("--debug", action="store_true", help="show the traceback of an error")


# package only
def warning_line(message: Warning | str, *_: object) -> str:
    """A warning as the user sees it: without the line of code that it comes from."""
    return f"minillm: warning: {message}\n"


# package only
def refuse(args: argparse.Namespace, names: tuple[str, ...], reason: str) -> None:
    """ValueError for the first of these options that was given: this verb would not heed it."""
    for name in names:
        if getattr(args, name) is not None:
            raise ValueError(f"--{name.replace('_', '-')}: {reason}")


# package only
def check_folder(name: str, path: Path) -> None:
    """ValueError where the folder that an option names cannot be made: a file is in the way."""
    at = next(each for each in (path, *path.absolute().parents) if each.exists())
    if not at.is_dir():
        raise ValueError(f"{name} {path}: {at} is a file; give the name of a folder")


# package only
def check_figures_file(path: Path | None) -> None:
    """ValueError where --out names what is no file of figures, or cannot be made."""
    from minillm.bench.measuring import check_replaceable_file

    if path is not None:
        check_folder("--out", path.parent)
        check_replaceable_file(path, "--out ")


# package only
def figures_out(args: argparse.Namespace, figures: dict) -> None:
    """With `--json` one object on one line of standard output."""
    if args.json:
        print(json.dumps(figures, ensure_ascii=False))


# package only
def chosen_run(args: argparse.Namespace) -> tuple["Run", "Recipe"]:
    """The run and recipe that --run, --recipe, --set, --text and --minutes ask for together."""
    if args.recipe not in (None, *RECIPE_NAMES):
        raise ValueError(f"recipe = {args.recipe!r}: choose one of {', '.join(RECIPE_NAMES)}")

    from minillm import recipes, tailored

    text, minutes = getattr(args, "text", None), getattr(args, "minutes", None)
    if args.recipe is not None:
        recipe = recipes.recipe_named(args.recipe)
    elif text:
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
    before, recipe = recipe, recipes.changed(recipe, args.set or ())
    tailored.check_start(before, recipe)
    if getattr(args, "processes", None) is not None:
        from minillm.scale.launch import check_processes

        check_processes(args.processes, recipe.batches.batch_size)
    return recipes.open_run(args.run, recipe=recipe, home=args.home)


# package only
class AtHome(io.TextIOBase):
    """A stream on which a run's place is said with the folder that `--home` names."""

    def __init__(self, stream: TextIO, home: Path) -> None:
        self.stream, self.home = stream, home

    def write(self, text: str) -> int:
        self.stream.write(text.replace("→ runs/", f"→ {self.home / 'runs'}/"))
        return len(text)

    def flush(self) -> None:
        self.stream.flush()


# package only
def notes(args: argparse.Namespace) -> TextIO:
    """Where lines for people go: standard output, unless that is kept for `--json`."""
    stream = sys.stderr if args.json else sys.stdout
    return stream if args.home is None else AtHome(stream, args.home)


# package only
def existing_run(args: argparse.Namespace) -> "Run":
    """The run that a verb works on, which was made before and keeps its recipe."""
    refuse(args, ("recipe", "set"), KEEPS_ITS_RECIPE)

    from minillm import recipes

    return recipes.existing_run(args.run, args.home)[0]
