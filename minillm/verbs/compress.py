"""The verb `compress`: the model that answers a run's users, in fewer bits."""

import argparse
from contextlib import redirect_stdout

from minillm.verbs.arguments import existing_run, figures_out, notes


# package only
def add_options(parser: argparse.ArgumentParser) -> None:
    """What only `compress` takes; left out, the run's recipe decides."""
    add = parser.add_argument
    add("--scheme", metavar="NAME", help="int8, int4, or with -tensor, -channel, -g32, -g64 …")
    add("--method", choices=("nearest", "gptq"), help="gptq: codes that make up for one another")


# package only
def run_compress(args: argparse.Namespace) -> int:
    """Make the artifact `quantized`; says how much smaller it is, and what that cost."""
    import dataclasses

    from minillm import recipes
    from minillm.compress.pipeline import compress

    run = existing_run(args)
    config = recipes.recipe_of(run.name, args.home).compress
    asked = {"scheme": args.scheme, "method": args.method}
    chosen = {name: value for name, value in asked.items() if value is not None}
    with redirect_stdout(notes(args)):
        artifact = compress(dataclasses.replace(config, **chosen), run)
    figures = artifact.figures
    if "kl_nats" in figures:
        words = (
            f"perplexity {figures['perplexity_change_fraction']:+.2%}, "
            f"KL {figures['kl_nats']:.2g} nats a token"
        )
        print(f"{words}, over {figures['measured_tokens']:,} held-out tokens", file=notes(args))
    figures_out(args, figures | {"run": run.name, "path": str(artifact.path)})
    return 0
