"""One trainer in a process of its own: ours, nanoGPT or transformers, a few steps at a time.

`python -m minillm.bench.trainers '{…}'`, the JSON of a `Side`. Each line that comes in is a
number of steps; each that goes out is JSON with the seconds that they took, reading of batches,
clipping, logging and all; the very first tells how many parameters are trained. In between the
process sleeps: so several trainers take turns on one machine, and none sees what another has set
(threads, allocator, precision of products). A side beside the bare step answers with the seconds of
as many bare steps, too, taken by the same process right after its own: forward, backward and the
optimizer's step of one batch in memory, which no training can leave out.

All train a decoder of the same depth and width on the same file of ids. Ours runs the loop that the
course runs, with what it asks of the process (`detect`: freed memory is kept, float32 products may
be faster); nanoGPT's model and optimizer come from a checkout that the user names, and are stepped
as its `train.py` does; transformers' Llama is stepped in the same way, by the fused AdamW that its
Trainer takes. nanoGPT as its authors publish it keeps PyTorch's defaults; every other peer's
process is asked for the same as ours. Attention is PyTorch's own in the peers, what is faster here
in ours.
"""

import importlib
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from minillm.batches.shards import BatchesConfig, open_shards
from minillm.batches.stream import Batch, Stream
from minillm.core.records import JsonLines
from minillm.core.runtime import detect
from minillm.core.settings import built
from minillm.model.transformer import ModelConfig, Transformer
from minillm.train.loop import train
from minillm.train.optimizer import Optimizer
from minillm.train.precision import autocast, compiled
from minillm.train.averaging import optimizer_for
from minillm.train.ranks import ALONE
from minillm.train.resumable import watched
from minillm.train.schedule import TrainingConfig, TrainState
from minillm.train.trainer import next_token_loss, pretraining_loss

# nanoGPT's own settings for a small model (config/train_shakespeare_char.py), without dropout
PEER_RATE, PEER_BETAS, PEER_DECAY, PEER_CLIP = 1e-3, (0.9, 0.99), 0.1, 1.0
PRODUCT_WIDTH, PRODUCTS_A_STEP = 2048, 8
Pair = tuple[torch.Tensor, torch.Tensor]


# package only
@dataclass(frozen=True, kw_only=True, slots=True)
class Side:
    """Who trains, in which numbers, compiled or not, on what."""

    who: str
    precision: str = "float32"
    is_compiled: bool = False
    is_beside_bare: bool = False
    is_as_published: bool = False  # with nothing that its authors do not speak of
    statistics_every_steps: int | None = None
    shape: ModelConfig
    rows: int
    folder: str
    nanogpt: str | None = None
    cache: str


# package only
def answer(**figures: object) -> None:
    """A line of JSON to whoever asks: on standard output, which nothing else writes to."""
    print(json.dumps(figures), file=sys.__stdout__, flush=True)


# package only
class Paced:
    """Batches that are given out as they are asked for from outside; the time between is told."""

    def __init__(self, batches: Iterator) -> None:
        self.batches, self.left, self.started_s = batches, 0, None
        self.asked, self.bare_step = 0, None

    def __iter__(self) -> Iterator:
        return self

    def __next__(self) -> object:
        if self.left == 0:
            if self.started_s is not None:
                seconds = time.perf_counter() - self.started_s
                answer(seconds=seconds, **self.bare_seconds())
            self.left = self.asked = int(sys.stdin.readline() or 0)
            if not self.left:
                raise StopIteration
            self.started_s = time.perf_counter()
        self.left -= 1
        return next(self.batches)

    def bare_seconds(self) -> dict[str, float]:
        """Of as many bare steps as were asked for, if there is such a step."""
        if self.bare_step is None:
            return {}
        started_s = time.perf_counter()
        for _ in range(self.asked):
            self.bare_step()
        torch.clear_autocast_cache()  # the loop's next step casts its own
        return {"bare_seconds": time.perf_counter() - started_s}


# package only
def random_crops(file: Path, length: int, num_rows: int, seed: int = 0) -> Iterator[Pair]:
    """Rows from anywhere in a file of ids and, one place on, their targets: as nanoGPT draws."""
    tokens, random = np.memmap(file, dtype=np.uint16, mode="r"), np.random.default_rng(seed)
    while True:
        starts = random.integers(0, len(tokens) - length, num_rows)
        rows = np.stack([tokens[start : start + length + 1] for start in starts])
        rows_BT = torch.from_numpy(rows.astype(np.int64))
        yield rows_BT[:, :-1].contiguous(), rows_BT[:, 1:].contiguous()


# package only
def run_ours(side: Side, log: Path) -> None:
    """The course's own loop: stream, gradients, clipping, step, a line of figures each step."""
    detect()
    torch.manual_seed(0)
    model = Transformer(side.shape)
    training = TrainingConfig(
        max_steps=10**6, precision=side.precision, compile=side.is_compiled,
        statistics_every_steps=side.statistics_every_steps,
    )  # fmt: skip
    rows = BatchesConfig(context_length=side.shape.context_length, batch_size=side.rows)
    stream = Paced(Stream(open_shards(Path(side.folder), "train"), rows))
    answer(parameters=model.num_parameters)
    loss = compiled_if_asked(next_token_loss, side)
    loss_fn, optimizer = pretraining_loss(1.0, "cpu", loss), optimizer_for(model, training)
    if side.is_beside_bare:
        batch: Batch = next(stream.batches)
        stream.bare_step = partial(bare_step, model, batch, loss, optimizer, side.precision)
    state, lines = TrainState(), JsonLines(log)
    watch, loss_fn = watched(model, training, loss_fn, state, lines, stream.batches, ALONE)
    with suppress(StopIteration):  # the end of the orders, in the middle of the loop
        train(model, stream, loss_fn, optimizer, training, state=state, log=lines, watch=watch)


# package only
def bare_step(
    model: Transformer, batch: Batch, loss: Callable, optimizer: Optimizer, precision: str
) -> None:
    """What no training can leave out: forward, backward, step."""
    # the loop asks for its batches within an autocast of its own: backward is not to be in it
    torch.clear_autocast_cache()  # which keeps the cast weights as long as the loop's block lasts
    with torch.autocast("cpu", enabled=False):
        with autocast("cpu", precision):
            nats = loss(model, batch)
        nats.backward()
        optimizer.step(0.0)  # a batch learnt by heart would have slower steps (LOG.md)
        model.zero_grad(set_to_none=True)


# package only
def nanogpt_model(checkout: str, shape: ModelConfig) -> nn.Module:
    """GPT of the checkout at the same depth and width: (ids, targets) → (logits, loss)."""
    sys.path.insert(0, checkout)
    theirs = importlib.import_module("model")
    return theirs.GPT(
        theirs.GPTConfig(
            block_size=shape.context_length, vocab_size=shape.vocab_size, n_layer=shape.num_layers,
            n_head=shape.num_heads, n_embd=shape.width, dropout=0.0, bias=False,
        )
    )  # fmt: skip


# package only
def peer_optimizer(model: nn.Module, rate: float) -> torch.optim.Optimizer:
    """nanoGPT's own, which decays matrices alone; for a model that brings none, PyTorch's AdamW."""
    if hasattr(model, "configure_optimizers"):
        return model.configure_optimizers(PEER_DECAY, rate, PEER_BETAS, "cpu")
    return torch.optim.AdamW(
        model.parameters(), lr=rate, betas=PEER_BETAS, weight_decay=PEER_DECAY, fused=True
    )


# package only
def compiled_if_asked(function: Callable, side: Side) -> Callable:
    """Ours and the peers' alike: with code that is right on this machine, kept in one place."""
    if not side.is_compiled:
        return function
    return compiled(function, device="cpu", cache_folder=Path(side.cache))


# package only
def peer_losses(side: Side) -> tuple[nn.Module, Callable[[torch.Tensor, torch.Tensor], object]]:
    """A peer's model, and its loss of one batch."""
    torch.manual_seed(0)
    if side.who == "nanoGPT":
        model = nanogpt_model(side.nanogpt, side.shape)
        called = compiled_if_asked(model, side)
        return model, lambda tokens_BT, targets_BT: called(tokens_BT, targets_BT)[1]
    from minillm.bench.generate import peer_model

    model = peer_model(Transformer(side.shape)).train()
    called = compiled_if_asked(model, side)

    def loss(tokens_BT: torch.Tensor, targets_BT: torch.Tensor) -> torch.Tensor:
        logits_BTV = called(tokens_BT, use_cache=False).logits
        return F.cross_entropy(logits_BTV.flatten(0, 1).float(), targets_BT.flatten())

    return model, loss


# package only
def run_peer(side: Side) -> None:
    """Random rows, loss, gradients, PyTorch's clipping and AdamW; the loss read every tenth."""
    if not side.is_as_published:
        detect()  # what is asked of PyTorch for ours: to keep freed memory, faster products
    model, loss_fn = peer_losses(side)
    answer(parameters=sum(each.numel() for each in model.parameters()))
    optimizer = peer_optimizer(model, PEER_RATE)
    crops = random_crops(
        Path(side.folder) / "train_0000.bin", side.shape.context_length, side.rows
    )
    for step, (tokens_BT, targets_BT) in enumerate(Paced(crops)):
        with autocast("cpu", side.precision):
            loss = loss_fn(tokens_BT, targets_BT)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), PEER_CLIP)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if step % 10 == 0:
            print(f"step {step}: loss {loss.item():.4f}", file=sys.stderr)


# package only
def run_products(side: Side) -> None:
    """No training at all: large matrix products, whose rate the others' is a share of."""
    left, right = (
        torch.randn(PRODUCT_WIDTH, PRODUCT_WIDTH).to(getattr(torch, side.precision)) for _ in "ab"
    )
    answer(parameters=0)
    for _ in Paced(iter(int, 1)):
        for _ in range(PRODUCTS_A_STEP):
            left @ right


# package only
def main(words: str) -> None:
    """Run the side that the JSON says, until no more steps are asked for.

    What models say of themselves goes to standard error: answers have standard output alone.
    """
    side = built(Side, json.loads(words))
    with redirect_stdout(sys.stderr):
        if side.who == "product":
            run_products(side)
        elif side.who.startswith("ours"):
            run_ours(side, Path(side.folder) / f"{side.who}.jsonl")
        else:
            run_peer(side)


if __name__ == "__main__":
    main(sys.argv[1])
