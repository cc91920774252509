"""A run that trains in a second: forty texts, a tokenizer of 300, a model of 9,000 numbers.

Called as a program it trains that run in a process of its own, which tests may kill:
`python -m tests.train.tiny HOME [STEP SIGNAL]` sends itself the signal when it evaluates at STEP.
With `--ahead` as the last word a thread makes its batches ahead, as for a GPU.
"""

import json
import os
import signal
import sys
from pathlib import Path

import torch

from minillm.batches.description import DESCRIPTION
from minillm.batches.prefetch import Prefetched
from minillm.batches.shards import BatchesConfig, token_sequence, write_split
from minillm.core.records import Artifact, Run, make_artifact, read_json_lines
from minillm.model.transformer import ModelConfig
from minillm.tokenizer.bytepair import Tokenizer, TokenizerConfig, train_tokenizer
from minillm.train import trainer
from minillm.train.schedule import TrainingConfig
from minillm.train.trainer import LOG, PretrainConfig, pretrain

VOCAB_SIZE, CONTEXT = 300, 24
SENTENCES = (
    "Ann has a red ball.",
    "Tom wants the ball.",
    "The cat sleeps under the old tree.",
    "Ann gives the ball to Tom.",
    "Tom is glad.",
    "The rain falls on the town.",
)
TEXTS = [
    " ".join(SENTENCES[(start * step + number) % len(SENTENCES)] for step in range(1 + number % 5))
    for number, start in enumerate(range(40))
]


def tiny_run(home: Path) -> Run:
    """A run with tokenizer and shards in place."""
    run = Run(name="tiny", path=home / "runs" / "tiny")
    tokenizer = train_tokenizer(TEXTS, TokenizerConfig(vocab_size=VOCAB_SIZE))

    def write_tokenizer(folder: Path) -> dict:
        tokenizer.save(folder / "tokenizer.json")
        return {}

    def write_shards(folder: Path) -> dict:
        for split in ("train", "validation"):
            write_split(folder, split, *token_sequence(TEXTS, tokenizer), 1 << 12)
        (folder / DESCRIPTION).write_text(json.dumps({"tokens_per_shard": 1 << 12}))
        return {}

    made_by = {"tokenizer": write_tokenizer, "shards": write_shards}
    for kind, write in made_by.items():
        make_artifact(
            run, kind, config={}, parents=(), code=(), write=write, summary=lambda figures: "tiny"
        )
    return run


def tiny_model(**changes: object) -> ModelConfig:
    fields = {
        "vocab_size": VOCAB_SIZE,
        "width": 16,
        "num_layers": 2,
        "num_heads": 2,
        "num_kv_heads": 1,
        "ffn_width": 24,
        "context_length": CONTEXT,
    }
    return ModelConfig(**{**fields, **changes})


def tiny_config(run: Run, **training: object) -> PretrainConfig:
    """Twenty steps in float32; `training` replaces fields of the training configuration."""
    tokenizer = Tokenizer.load(run.artifact("tokenizer").path / "tokenizer.json")
    fields = {
        "max_steps": 20,
        "learning_rate": 1e-2,
        "precision": "float32",
        "checkpoint_every_steps": 5,
        "evaluate_every_steps": 1,
    }
    return PretrainConfig(
        model=tiny_model(vocab_size=tokenizer.vocab_size),
        batches=BatchesConfig(context_length=CONTEXT, batch_size=4),
        training=TrainingConfig(**{**fields, **training}),
    )


def rests(_model: torch.nn.Module, _step: int) -> dict[str, float]:
    """An evaluation that asks nothing."""
    return {}


def losses(run: Run) -> list[tuple[int, float, float]]:
    """(step, loss, gradient norm) of every logged step, as written: to the last bit."""
    lines = [line for line in read_json_lines(run.path / LOG) if line["event"] == "step"]
    return [(line["step"], line["loss"], line["gradient_norm"]) for line in lines]


def weights(artifact: Artifact) -> bytes:
    return (artifact.path / "model.safetensors").read_bytes()


if __name__ == "__main__":
    home, *death = sys.argv[1:]
    torch.set_num_threads(1)
    if death[-1:] == ["--ahead"]:
        death.pop()
        trainer.read_ahead = lambda stream, _device: Prefetched(stream)
    step_of_death, name = (int(death[0]), death[1]) if death else (None, "SIGKILL")

    def evaluate(_model: torch.nn.Module, step: int) -> dict[str, float]:
        if step == step_of_death:
            os.kill(os.getpid(), getattr(signal, name))
        return {}

    tiny = tiny_run(Path(home))
    try:
        pretrain(tiny_config(tiny), tiny, evaluate=evaluate)
    except KeyboardInterrupt as error:
        sys.exit(f"stopped: {error}")
