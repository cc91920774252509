"""How fast a step is: the course's loop beside nanoGPT's and transformers', all taking turns.

In: nothing, or the path of a nanoGPT checkout (`--nanogpt`). Decoders of the same depth and width,
context 256, as many rows a step from one file of ids (ours packs whole documents, about 1 % of its
places stay empty; peers cut rows anywhere): ours of 1.3, 5.4 and 14 million parameters, nanoGPT's a
little larger, since its feed-forward part is. A peer at its best is the faster of two in the faster
precision, compiled and not. Each trainer has a process of its own (`trainers`), a few steps at a
time in turn. Out: tokens/s by median, ratios, the share of the machine's measured peak (MFU; only
matrix products count), what compiling costs and when it is repaid, and which share of a step is not
forward, backward and update: loader, log, clipping, statistics. That share is taken in processes of
their own (`LOOPS`), each against the bare steps of the same process and turn.
"""

import dataclasses
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from statistics import median

import numpy as np
import torch

from minillm.batches.description import DESCRIPTION, Description
from minillm.batches.shards import write_split
from minillm.bench.trainers import PRODUCT_WIDTH, PRODUCTS_A_STEP, Side
from minillm.model.counting import training_flops
from minillm.model.transformer import ModelConfig
from minillm.train.precision import faster_precision

# the sizes that the bars are about; beside them the laptop recipe's depth, width and rows
BAR_SHAPES = {"5.4M": ((256, 6, 4, 2, 688), 16), "14M": ((384, 8, 6, 2, 1024), 8)}
SHAPES = {"1.3M": ((128, 4, 2, 2, 344), 4), **BAR_SHAPES}
NUM_IDS, CONTEXT = 4096, 256
NUM_DOCUMENTS, SHORTEST, LONGEST = 20_000, 40, 330
WARM_STEPS, STEPS_A_TURN, ROUNDS = 3, 4, 9
# README asks for statistics every 50 steps; these cost five times as much
STATISTICS_EVERY_STEPS = 10
# Whose loop is weighed: name → is it compiled, and how often are there statistics? A run that asks
# for them is not compiled by itself (`compile_decided`), so no single figure says it all. Compiled
# without any: as the laptop recipe trains. Not compiled, with all: as a run goes that asks for
# them. Compiled with them (`compile=true`): what is inside a layer is left out there.
LOOPS = {
    "compiled": (True, None), "eager, statistics": (False, STATISTICS_EVERY_STEPS),
    "compiled, statistics": (True, STATISTICS_EVERY_STEPS),
}  # fmt: skip
# attention written out: at 256 tokens faster on a processor than PyTorch's own kernel (LOG.md)
FORM = "reference"


# package only
def write_ids(folder: Path, num_documents: int) -> None:
    """Documents of random ids in one file: what the ids are does not change a step's time."""
    random = np.random.default_rng(0)
    ends = np.concatenate([[0], np.cumsum(random.integers(SHORTEST, LONGEST, num_documents))])
    tokens = random.integers(1, NUM_IDS, ends[-1] + 1).astype(np.uint16)
    tokens[ends] = 0
    write_split(folder, "train", tokens, np.stack([ends, 4 * ends], axis=1), len(tokens))
    (folder / DESCRIPTION).write_bytes(Description(tokens_per_shard=len(tokens)).to_json())


# package only
def model_shape(sizes: Sequence[int], form: str = "torch") -> ModelConfig:
    """Width, layers, heads, key/value heads and feed-forward width, in this form of attention."""
    width, num_layers, num_heads, num_kv_heads, ffn_width = sizes
    return ModelConfig(
        vocab_size=NUM_IDS, width=width, num_layers=num_layers, num_heads=num_heads,
        num_kv_heads=num_kv_heads, ffn_width=ffn_width, context_length=CONTEXT, attention=form,
    )


# package only
def sides_of(
    sizes: Sequence[int], rows: int, precision: str, folder: Path, nanogpt: Path | None
) -> dict[str, Side]:
    """Who takes turns, by name: ours three ways, the peers eager and compiled."""

    def side(who: str, precision: str, is_compiled: bool = False) -> Side:
        form = FORM if who.startswith("ours") else "torch"
        return Side(
            who=who, precision=precision, is_compiled=is_compiled, rows=rows, folder=str(folder),
            shape=model_shape(sizes, form), cache=str(folder / "compiled"),
            nanogpt=str(nanogpt) if nanogpt else None,
        )

    sides = {
        "ours": side("ours", precision, True),
        "ours, eager": side("ours", precision),
        **{
            f"loop: {name}": dataclasses.replace(
                side("ours", precision, is_compiled), is_beside_bare=True,
                statistics_every_steps=every,
            )
            for name, (is_compiled, every) in LOOPS.items()
        },
        "transformers": side("transformers", precision),
        "transformers, compiled": side("transformers", precision, True),
        "product": side("product", precision),
    }
    if nanogpt is not None:
        sides["nanoGPT"] = dataclasses.replace(side("nanoGPT", "float32"), is_as_published=True)
        sides["nanoGPT, eager"] = side("nanoGPT", precision)
        sides["nanoGPT, compiled"] = side("nanoGPT", precision, True)
    return sides


# package only
class Trainer:
    """A side's process: asked for steps, it answers with seconds."""

    def __init__(self, name: str, process: subprocess.Popen, said: Path) -> None:
        self.name, self.process, self.said = name, process, said

    def seconds(self, num_steps: int) -> dict[str, float]:
        """Of so many steps; and of as many bare ones, where they are taken too."""
        with suppress(BrokenPipeError):  # it has ended: `answer` says how
            self.process.stdin.write(f"{num_steps}\n")
            self.process.stdin.flush()
        return self.answer()

    def answer(self) -> dict[str, float]:
        answer = self.process.stdout.readline()
        if not answer:
            last = self.said.read_text(encoding="utf-8").splitlines()[-1:]
            raise RuntimeError(f"{self.name} has ended: {''.join(last) or 'it said nothing'}")
        return json.loads(answer)


# package only
@contextmanager
def trainer(name: str, side: Side) -> Iterator[Trainer]:
    """Start a side's process; end it by closing its input."""
    said = Path(side.folder) / f"{name}.txt"
    environment = os.environ | {"TORCHINDUCTOR_CACHE_DIR": side.cache}
    command = [
        sys.executable, "-m", "minillm.bench.trainers", json.dumps(dataclasses.asdict(side))
    ]  # fmt: skip
    with open(said, "w", encoding="utf-8") as errors:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True,
            env=environment,
        )  # fmt: skip
        try:
            yield Trainer(name, process, said)
        finally:
            with suppress(BrokenPipeError):
                process.stdin.close()
            process.wait()


# package only
def turns(sides: dict[str, Side], rounds: int) -> dict[str, dict[str, float]]:
    """Parameters, seconds of the first step, the median of a later one, by side; all in turn."""
    with ExitStack() as stack:
        trainers = [stack.enter_context(trainer(name, side)) for name, side in sides.items()]
        parameters = {each.name: each.answer()["parameters"] for each in trainers}
        first = {each.name: each.seconds(1)["seconds"] for each in trainers}
        for each in trainers:
            each.seconds(WARM_STEPS)
        found: dict[str, list[dict[str, float]]] = {name: [] for name in sides}
        for _ in range(rounds):
            for each in trainers:
                # with statistics: so many that one step of each turn has them
                num_steps = sides[each.name].statistics_every_steps or STEPS_A_TURN
                told = each.seconds(num_steps)
                found[each.name].append({name: told[name] / num_steps for name in told})
    return {
        name: {"parameters": parameters[name], "first_step_s": first[name]} | medians(turns_of)
        for name, turns_of in found.items()
    }


# package only
def medians(turns_of: Sequence[dict[str, float]]) -> dict[str, float]:
    """Seconds of a step; of its part that is not bare, turn by turn, where that was asked, the
    middle one and the quartiles."""
    told = {"step_s": median(each["seconds"] for each in turns_of)}
    if "bare_seconds" in turns_of[0]:
        shares = [1 - each["bare_seconds"] / each["seconds"] for each in turns_of]
        low, middle, high = np.quantile(shares, (0.25, 0.5, 0.75)).tolist()
        told |= {"loop_share": middle, "loop_share_low": low, "loop_share_high": high}
    return told


# package only
def with_best_peers(found: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    """Each peer's faster way beside its others, under a name of its own."""
    ways = {
        "nanoGPT": ("nanoGPT, eager", "nanoGPT, compiled"),
        "transformers": ("transformers", "transformers, compiled"),
    }
    best = {
        f"{peer} at its best": min((found[name] for name in names), key=lambda each: each["step_s"])
        for peer, names in ways.items() if names[0] in found
    }  # fmt: skip
    return found | best


# package only
def compared(
    found: dict[str, dict[str, float]], config: ModelConfig, rows: int
) -> dict[str, object]:
    """Tokens/s, ratios to each peer, MFU, compiling's cost, the loop's share; the product's rate
    is the peak."""
    loops = {name: found[f"loop: {name}"] for name in LOOPS}
    found = {name: each for name, each in found.items() if not name.startswith("loop: ")}
    tokens = rows * CONTEXT
    peak = PRODUCTS_A_STEP * 2 * PRODUCT_WIDTH**3 / found.pop("product")["step_s"]
    found = with_best_peers(found)
    ours, eager = (found[name] for name in ("ours", "ours, eager"))
    flops = training_flops(config, rows, CONTEXT)
    saved_s = eager["step_s"] - ours["step_s"]
    extra_s = ours["first_step_s"] - eager["first_step_s"]
    peers = [name for name in found if not name.startswith("ours")]
    return {
        "parameters": {name: each["parameters"] for name, each in found.items()}, "rows": rows,
        "tokens_per_s": {name: tokens / each["step_s"] for name, each in found.items()},
        "first_step_s": {name: each["first_step_s"] for name, each in found.items()},
        "ours_over": {name: found[name]["step_s"] / ours["step_s"] for name in peers},
        "ours_eager_over": {name: found[name]["step_s"] / eager["step_s"] for name in peers},
        "peak_tflop_per_s": peak / 1e12,
        "mfu": {name: flops / found[name]["step_s"] / peak for name in ("ours", "ours, eager")},
        # from then on as many steps are done as eager does in that time
        "compiling_repaid_after_s":
            eager["step_s"] * extra_s / saved_s if saved_s > 0 else None,
        "loop_share": {name: each["loop_share"] for name, each in loops.items()},
        "loop_share_quartiles": {
            name: [each["loop_share_low"], each["loop_share_high"]] for name, each in loops.items()
        },
        "statistics_every_steps": STATISTICS_EVERY_STEPS,
    }  # fmt: skip


# package only
def measure(
    nanogpt: Path | None = None,
    shapes: dict[str, tuple[Sequence[int], int]] = SHAPES,
    num_documents: int = NUM_DOCUMENTS,
    rounds: int = ROUNDS,
) -> dict[str, object]:
    """By size: how fast each trainer is, and what follows from it."""
    precision = faster_precision("cpu")
    figures: dict[str, object] = {"precision": precision, "threads": torch.get_num_threads()}
    for name, (sizes, rows) in shapes.items():
        with tempfile.TemporaryDirectory() as folder:
            write_ids(Path(folder), num_documents)
            found = turns(sides_of(sizes, rows, precision, Path(folder), nanogpt), rounds)
        figures[name] = compared(found, model_shape(sizes), rows)
    return figures
