"""A model that says something else at every place, a second to make, and a run that serves it."""

from pathlib import Path

import torch

from minillm.core.records import Run, make_artifact
from minillm.model.transformer import ModelConfig, Transformer
from minillm.recipes import open_run
from minillm.serve.engine import Engine, step
from minillm.serve.generation import Generation, Sampling
from minillm.tokenizer.bytepair import Tokenizer, TokenizerConfig, train_tokenizer
from minillm.train.checkpoint import save_model

VOCAB_SIZE = 300
TEXTS = ["Ann has a red ball. Tom wants the ball. The cat sleeps under the old tree. é 🎈"]


def small_tokenizer() -> Tokenizer:
    return train_tokenizer(TEXTS, TokenizerConfig(vocab_size=VOCAB_SIZE))


def small_model(tokenizer: Tokenizer, context_length: int = 64, **changes: object) -> Transformer:
    """Weights large enough that each context has a likeliest token of its own, never a mark."""
    torch.manual_seed(3)
    fields = {
        "vocab_size": tokenizer.vocab_size, "width": 24, "num_layers": 2, "num_heads": 3,
        "num_kv_heads": 1, "ffn_width": 40, "context_length": context_length,
        "tie_embeddings": False, "initial_std": 0.5,
    }  # fmt: skip
    model = Transformer(ModelConfig(**{**fields, **changes}))
    with torch.no_grad():
        model.lm_head.weight[list(tokenizer.special_ids.values())] = 0
    return model.eval()


def small_engine(num_slots: int = 4, max_queue: int = 100, **changes: object) -> Engine:
    tokenizer = small_tokenizer()
    model = small_model(tokenizer, **changes)
    return Engine(model, tokenizer, num_slots=num_slots, max_queue=max_queue)


def run_all(engine: Engine, generations: list[Generation]) -> list[Generation]:
    """Submit all at once, then step until nothing is left to do."""
    for generation in generations:
        engine.submit(generation)
    while step(engine):
        pass
    return generations


def asking(prompt: list[int], max_tokens: int = 20, **fields: object) -> Generation:
    fields = {"temperature": 0.0, **fields}
    return Generation(prompt, Sampling(max_tokens=max_tokens, **fields))


def small_run(home: Path, kind: str = "model", context_length: int = 2048) -> Run:
    """A run whose one artifact is the small model, under the name of a stage."""
    run, _ = open_run("small", home=home)
    tokenizer = small_tokenizer()

    def write(folder: Path) -> dict:
        save_model(small_model(tokenizer, context_length), tokenizer, folder)
        return {}

    make_artifact(
        run, kind, config={}, parents=(), code=(), write=write, summary=lambda figures: "small"
    )
    return run
