"""The verb `align`: the run's model becomes an assistant, and then one that is preferred."""

import argparse
from contextlib import redirect_stdout

from minillm.verbs.arguments import chosen_run, figures_out, notes


# package only
def add_options(made: argparse.ArgumentParser) -> None:
    """How far to go."""
    made.add_argument(
        "--until", choices=("assistant", "aligned"), default="aligned",
        help="assistant: fine-tuning alone; aligned (default): pairs and rewards too",
    )  # fmt: skip


# package only
def run_align(args: argparse.Namespace) -> int:
    """Fine-tune on conversations, then learn from pairs and rewards; what is finished is used."""
    run, recipe = chosen_run(args)

    from minillm import stages

    with redirect_stdout(notes(args)):
        artifact = stages.reach(run, recipe, args.until)
    names = ("answerable_exact", "abstention", "false_abstention", "last_loss", "last_reward")
    words = [f"{name} {artifact.figures[name]:.3g}" for name in names if name in artifact.figures]
    print(", ".join(words), file=notes(args))
    figures_out(args, artifact.figures | {"run": run.name, "path": str(artifact.path)})
    return 0
