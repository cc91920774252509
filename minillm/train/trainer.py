"""The stage: shards become a model, and a killed run goes on where it was.

Checkpoints lie in `runs/<name>/checkpoints`, tied to the recipe by a key; the log is `runs/<name>/logs/pretrain.jsonl`.
A resumed run repeats nothing and skips nothing: with `max_steps` its remaining losses are those of an uninterrupted
run, bit for bit (with `max_minutes` the schedule follows the clock, which no run repeats).
"""

import dataclasses
import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch
from torch import nn

from minillm.batches.shards import BatchesConfig, Shards, open_shards
from minillm.batches.stream import IGNORE, Batch, Stream
from minillm.core.records import (
    Artifact, JsonLines, Run, atomic_write, canonical, code_sha256, make_artifact, read_json_lines,
    sha256_of,
)
from minillm.core.runtime import Runtime, detect
from minillm.model.loss import cross_entropy
from minillm.model.transformer import ModelConfig, Transformer
from minillm.tokenizer.bytepair import Tokenizer
from minillm.train.checkpoint import (
    Checkpoint, load_latest_checkpoint, load_model, load_model_tensors, model_tensors, random_state,
    remove_checkpoints, save_checkpoint, save_model, set_random_state,
)
from minillm.train.loop import Figures, LossFunction, TrainingConfig, TrainState, train
from minillm.train.optimizer import Optimizer, make_optimizer
from minillm.train.precision import compiled

CHECKPOINTS, LOG = Path("checkpoints"), Path("logs/pretrain.jsonl")
CODE = ("minillm.batches", "minillm.model", "minillm.train")


@dataclass(frozen=True, kw_only=True, slots=True)
class PretrainConfig:
    """All that decides a trained model: its shape, its batches, its training, and the weights it starts from."""

    model: ModelConfig
    batches: BatchesConfig
    training: TrainingConfig
    initial_sha256: str | None = None


def next_token_loss(model: nn.Module, batch: Batch) -> torch.Tensor:
    """Mean surprise at the next token, in nats; pieces of a packed row do not see each other."""
    logits_BTV = model(batch.tokens_BT, documents_BT=batch.documents_BT)
    return cross_entropy(logits_BTV, batch.targets_BT)


def pretraining_loss(
    bytes_per_token: float, device: str, loss: Callable[[nn.Module, Batch], torch.Tensor] = next_token_loss
) -> LossFunction:
    """The loss with its figures: the targets it is a mean over, and bits per byte by the corpus' average."""

    def loss_fn(model: nn.Module, batch: Batch) -> tuple[torch.Tensor, Figures]:
        num_targets = int((batch.targets_BT != IGNORE).sum())
        nats = loss(model, batch.to(device))
        return nats, {"num_targets": num_targets, "bits_per_byte": nats.detach() / (math.log(2) * bytes_per_token)}

    return loss_fn


# package only
def cut_log(path: Path, step: int) -> None:
    """Drop the lines after `step`: a resumed run writes them again. A line cut off by a kill goes too."""
    if not path.is_file():
        return
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            if json.loads(line)["step"] > step:
                break
        except json.JSONDecodeError:
            break
        kept.append(line + "\n")
    atomic_write(path, "".join(kept))


def saved_run(model: nn.Module, optimizer: Optimizer, stream: Stream, state: TrainState, key: str) -> Checkpoint:
    """Everything that the next step depends on, gathered."""
    numbers = {"key": key, "position": stream.position, **dataclasses.asdict(state)}
    return Checkpoint(
        model=model_tensors(model), optimizer=optimizer.state_tensors(), random=random_state(), state=numbers
    )


def restore_run(checkpoint: Checkpoint, model: nn.Module, optimizer: Optimizer) -> TrainState:
    """Put everything back where it was; the stream is opened anew at the saved position."""
    load_model_tensors(model, checkpoint.model)
    optimizer.load_state_tensors(checkpoint.optimizer)
    set_random_state(checkpoint.random)
    names = [each.name for each in dataclasses.fields(TrainState)]
    return TrainState(**{name: checkpoint.state[name] for name in names})


def pretrained(
    config: PretrainConfig,
    run: Run,
    shards: Shards,
    runtime: Runtime,
    *,
    key: str,
    evaluate: Callable[[nn.Module, int], Figures] | None,
    initial: Transformer | None,
) -> tuple[Transformer, TrainState]:
    """Train from the start, or from this run's last checkpoint, to the end."""
    training, checkpoints, log_path = config.training, run.path / CHECKPOINTS, run.path / LOG
    torch.manual_seed(training.seed)
    model = Transformer(config.model)
    if initial is not None:
        load_model_tensors(model, model_tensors(initial))
    model.to(runtime.device)
    optimizer = make_optimizer(model, training.optimizer, weight_decay=training.weight_decay, betas=training.betas)
    checkpoint, state, position = load_latest_checkpoint(checkpoints, key), TrainState(), 0
    if checkpoint is not None:
        state, position = restore_run(checkpoint, model, optimizer), checkpoint.state["position"]
    cut_log(log_path, state.step)
    stream = Stream(shards, config.batches, position=position)
    loss = next_token_loss
    if training.compile:
        loss = compiled(loss, device=runtime.device, cache_folder=run.path.parent / ".compiled")
    state = train(
        model, stream, pretraining_loss(shards.num_bytes / shards.num_tokens, runtime.device, loss), optimizer, training,
        state=state, log=JsonLines(log_path), evaluate=evaluate,
        save=lambda state: save_checkpoint(saved_run(model, optimizer, stream, state, key), checkpoints, state.step),
    )
    return model, state


def pretrain(
    config: PretrainConfig,
    run: Run,
    *,
    evaluate: Callable[[nn.Module, int], Figures] | None = None,
    initial: Transformer | None = None,
) -> Artifact:
    """Shards and tokenizer of this run → a trained model. `initial` gives the weights to start from."""
    shards, tokenizer = run.artifact("shards"), run.artifact("tokenizer")
    text_tokenizer = Tokenizer.load(tokenizer.path / "tokenizer.json")
    if initial is None and config.training.from_folder is not None:
        initial, _ = load_model(config.training.from_folder)
    check_sizes(config, text_tokenizer, initial)
    if initial is not None:
        weights = safetensors.torch.save(model_tensors(initial))
        config = dataclasses.replace(config, initial_sha256=hashlib.sha256(weights).hexdigest())
    key = sha256_of(canonical([dataclasses.asdict(config), shards.sha256, tokenizer.sha256, code_sha256(CODE)]))

    def write(folder: Path) -> Figures:
        runtime = detect(config.training.seed)
        opened = open_shards(shards.path, "train")
        model, state = pretrained(config, run, opened, runtime, key=key, evaluate=evaluate, initial=initial)
        save_model(model, text_tokenizer, folder)
        return model_figures(model, state, run)

    artifact = make_artifact(
        run, "model", config=config, parents=(shards, tokenizer), code=CODE, write=write, summary=model_summary
    )
    remove_checkpoints(run.path / CHECKPOINTS, int(artifact.figures["steps"]), keep=1)
    return artifact


# package only
def check_sizes(config: PretrainConfig, tokenizer: Tokenizer, initial: Transformer | None) -> None:
    """ValueError where the parts of a recipe do not fit each other."""
    if config.model.vocab_size != tokenizer.vocab_size:
        raise ValueError(
            f"model.vocab_size = {config.model.vocab_size}: the run's tokenizer has {tokenizer.vocab_size} tokens; "
            "make the two equal"
        )
    if config.batches.context_length > config.model.context_length:
        raise ValueError(
            f"batches.context_length = {config.batches.context_length}: the model sees at most "
            f"{config.model.context_length} tokens; shorten the rows or raise model.context_length"
        )
    if initial is not None:
        expected = dataclasses.replace(initial.config, attention=config.model.attention)
        if config.model != expected:
            raise ValueError(f"model = {config.model}: the weights to start from are of {expected}; use that shape")


# package only
def model_figures(model: Transformer, state: TrainState, run: Run) -> Figures:
    """What the manifest says of a model; `loss` is the mean over the last tenth of the logged steps."""
    losses = [line["loss"] for line in read_json_lines(run.path / LOG) if line["event"] == "step"]
    tail = losses[-max(1, len(losses) // 10) :]
    return {
        "parameters": model.num_parameters, "steps": state.step, "tokens": state.num_targets,
        "seconds": round(state.elapsed_s, 1), "loss": sum(tail) / len(tail), **state.figures,
    }


# package only
def model_summary(figures: Figures) -> str:
    return (
        f"{figures['parameters']:,} parameters, {figures['steps']:,} steps over {figures['tokens']:,} tokens, "
        f"loss {figures['loss']:.2f}"
    )
