"""The stage: shards become a model, and a killed run goes on where it was.

Checkpoints lie in `runs/<name>/checkpoints`, tied to the recipe, code and parents by a key; the log
is `runs/<name>/logs/pretrain.jsonl`. A resumed run repeats nothing and skips nothing: with
`max_steps` its losses are those of an uninterrupted run, bit for bit (with `max_minutes` the
schedule follows the clock, which no two runs share). With several `ranks` each takes a share of
every batch's rows; rank 0 writes.
"""

import dataclasses
import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import safetensors.torch
import torch
from torch import nn

from minillm.batches.prefetch import Positioned, read_ahead
from minillm.batches.shards import BatchesConfig, Shards, open_shards
from minillm.batches.stream import IGNORE, Batch, Stream
from minillm.core.records import Artifact, Run, make_artifact, read_json_lines
from minillm.core.runtime import detect
from minillm.model.experts import with_balance
from minillm.model.loss import (
    MANY_LOGITS,
    chunked_cross_entropy,
    cross_entropy,
    with_z_penalty,
)
from minillm.model.transformer import ModelConfig, Transformer
from minillm.tokenizer.bytepair import Tokenizer
from minillm.train.checkpoint import (
    load_model_tensors,
    model_tensors,
    remove_checkpoints,
    save_model,
)
from minillm.train.loop import Evaluation, Figures, LossFunction, StepFigures
from minillm.train.precision import compiled, pays_to_compile
from minillm.train.ranks import ALONE, Ranks, made_together
from minillm.train.recompute import recomputed
from minillm.train.resumable import resumable, resume_key
from minillm.train.schedule import TrainingConfig, TrainState

CODE = ("minillm.batches", "minillm.model", "minillm.train")
CHECKPOINTS, LOG = Path("checkpoints"), Path("logs/pretrain.jsonl")
COMPILED = Path(".compiled")


@dataclass(frozen=True, kw_only=True, slots=True)
class PretrainConfig:
    """All that decides a model and its figures: shape, batches, training, first weights, questions.

    `evaluation` says how the evaluation that is passed in asks: its figures stay with the model.
    """

    model: ModelConfig
    batches: BatchesConfig
    training: TrainingConfig
    initial_sha256: str | None = None
    evaluation: dict[str, object] = field(default_factory=dict)


def next_token_loss(model: nn.Module, batch: Batch, z_weight: float = 0.0) -> torch.Tensor:
    """Mean surprise at the next token, in nats; pieces of a packed row do not see each other.

    Very many logits are made and left in chunks. The z-penalty adds its gradient alone.
    """
    tokens_BT, targets_BT, documents_BT = batch.tokens_BT, batch.targets_BT, batch.documents_BT
    if isinstance(model, Transformer):
        if tokens_BT.numel() * model.config.vocab_size >= MANY_LOGITS:
            x_BTD = model.model(tokens_BT, None, documents_BT)
            nats = chunked_cross_entropy(
                x_BTD, model.lm_head.weight, targets_BT, z_weight=z_weight, z_in_value=False
            )
            return with_balance(nats, model, batch)
    logits_BTV = model(tokens_BT, documents_BT=documents_BT)
    nats = cross_entropy(logits_BTV, targets_BT)
    nats = with_z_penalty(nats, logits_BTV, targets_BT, z_weight)
    return with_balance(nats, model, batch)


def pretraining_loss(
    bytes_per_token: float,
    device: str,
    loss: Callable[[nn.Module, Batch], torch.Tensor] = next_token_loss,
) -> LossFunction:
    """The loss and its figures: how many targets, and bits per byte by the corpus' average."""

    def loss_fn(model: nn.Module, batch: Batch) -> tuple[torch.Tensor, StepFigures]:
        num_targets = int((batch.targets_BT != IGNORE).sum())
        nats = loss(model, batch.to(device))
        bits_per_byte = nats.detach() / (math.log(2) * bytes_per_token)
        return nats, {"num_targets": num_targets, "bits_per_byte": bits_per_byte}

    return loss_fn


# package only
def compile_decided(config: TrainingConfig, device: str) -> TrainingConfig:
    """The same configuration; whether to compile, if left open, follows from minutes and machine.

    A run of so many steps does not: its losses are to be the same wherever it goes on. Nor one
    that is looked into, or that computes inner tensors twice.
    """
    if config.compile is not None:
        return config
    is_closed = config.recompute or config.statistics_every_steps is not None
    minutes = 0.0 if is_closed or config.max_minutes is None else config.max_minutes
    pays = minutes > 0 and pays_to_compile(minutes, config.precision, device)
    return dataclasses.replace(config, compile=pays)


def pretrained(
    config: PretrainConfig,
    run: Run,
    shards: Shards,
    *,
    key: str,
    evaluate: Evaluation | None,
    initial: Transformer | None,
    ranks: Ranks = ALONE,
) -> tuple[Transformer, TrainState]:
    """The model of this shape, trained on these shards."""
    device = detect(config.training.seed).device
    torch.manual_seed(config.training.seed)
    model = Transformer(config.model).to(device)
    if initial is not None:
        load_model_tensors(model, model_tensors(initial))
    loss, training = next_token_loss, compile_decided(config.training, device)
    if training.z_weight:
        loss = partial(loss, z_weight=training.z_weight)
    if training.recompute:
        loss = recomputed(loss)
    if training.compile:
        loss = compiled(loss, device=device, cache_folder=run.path.parent / COMPILED)
    loss_fn = pretraining_loss(shards.num_bytes / shards.num_tokens, device, loss)

    def open_stream(position: int) -> Positioned:
        place = {"rank": ranks.rank, "world_size": ranks.world_size, "position": position}
        return read_ahead(Stream(shards, config.batches, **place), device)

    state = resumable(
        model, training, open_stream, loss_fn,
        folder=run.path / CHECKPOINTS, log=run.path / LOG, key=key, evaluate=evaluate, ranks=ranks,
    )
    return model, state


def pretrain(
    config: PretrainConfig,
    run: Run,
    *,
    evaluate: Evaluation | None = None,
    initial: Transformer | None = None,
    ranks: Ranks = ALONE,
) -> Artifact:
    """Shards and tokenizer of this run → a model. `initial` gives the weights to start from."""
    shards, tokenizer = run.artifact("shards"), run.artifact("tokenizer")
    encoder = Tokenizer.load(tokenizer.path / "tokenizer.json")
    check_sizes(config, encoder, initial)
    if initial is not None:
        weights = safetensors.torch.save(model_tensors(initial))
        config = dataclasses.replace(config, initial_sha256=hashlib.sha256(weights).hexdigest())
    parents = [shards.sha256, tokenizer.sha256]
    key = resume_key(config, parents, CODE)

    def work() -> tuple[Transformer, TrainState]:
        opened = open_shards(shards.path, "train")
        return pretrained(
            config, run, opened, key=key, evaluate=evaluate, initial=initial, ranks=ranks
        )

    def write(folder: Path) -> Figures:
        ranks.largest(1)  # the others wait to hear whether there is work
        model, state = work()
        save_model(model, encoder, folder)
        best_step = state.figures.get("best_step")
        remove_checkpoints(run.path / CHECKPOINTS, state.step, keep=1, best_step=best_step)
        return model_figures(model, state, run)

    def make() -> Artifact:
        return make_artifact(
            run, "model", config=config, parents=(shards, tokenizer), code=CODE,
            write=write, summary=model_summary,
        )

    return made_together(make, work, lambda: run.artifact("model"), ranks)


# package only
def check_sizes(config: PretrainConfig, tokenizer: Tokenizer, initial: Transformer | None) -> None:
    """ValueError where the parts of a recipe do not fit each other."""
    if config.model.vocab_size != tokenizer.vocab_size:
        raise ValueError(
            f"model.vocab_size = {config.model.vocab_size}: the run's tokenizer has "
            f"{tokenizer.vocab_size} tokens; make the two equal"
        )
    if config.batches.context_length > config.model.context_length:
        raise ValueError(
            f"batches.context_length = {config.batches.context_length}: the model sees at most "
            f"{config.model.context_length} tokens; shorten the rows or raise model.context_length"
        )
    if initial is not None:
        shape = dataclasses.replace(initial.config, attention=config.model.attention)
        if config.model != shape:
            raise ValueError(
                f"model = {config.model}: the weights to start from have another shape; use {shape}"
            )


# package only
def final_loss(log: Path) -> float:
    """Mean loss over the last tenth of the logged steps that moved the weights, of the run's own
    weights (neither the best's nor the average's); NaN where none did."""
    steps = [line for line in read_json_lines(log) if line["event"] == "step"]
    losses = [line["loss"] for line in steps if not line.get("is_skipped")]
    tail = losses[-max(1, len(losses) // 10) :]
    return sum(tail) / len(tail) if tail else math.nan


# package only
def model_figures(model: Transformer, state: TrainState, run: Run) -> Figures:
    """What the manifest says of a model."""
    return {
        "parameters": model.num_parameters,
        "steps": state.step,
        "tokens": state.num_targets,
        "seconds": round(state.elapsed_s, 1),
        "loss": final_loss(run.path / LOG),
        **state.figures,
    }


# package only
def model_summary(figures: Figures) -> str:
    """What is the same on every machine: losses and times stay in the figures."""
    return (
        f"{figures['parameters']:,} parameters, {figures['steps']:,} steps over "
        f"{figures['tokens']:,} tokens"
    )
