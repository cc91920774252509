"""How large should a vocabulary be? A small Transformer for each size, at equal compute.

The text is the laptop recipe's mix, shuffled, a twentieth held out; every size is a tokenizer of
its own, learned from what is trained on. A run gets as many steps as the base's floating-point
operations pay for (`ablations.at_equal_compute`). Two things move with the size besides: the head's
product, V·D a place, which leaves fewer steps to the others, and the bytes that a row of tokens
covers. Both are recorded. Bits a byte compare what is left, seed by seed; an n-gram model over the
same tokens stands beside them. Counted are matrix products: looking up embeddings and moving the
weights is not. Left out: the learning rate, the width and the untied head that a size might like.
"""

import dataclasses
import multiprocessing
import os
import random
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import islice

import numpy as np
import torch

from minillm.batches.shards import Shards, shards_of
from minillm.batches.stream import IGNORE, Stream
from minillm.bench.ablations import at_equal_compute, minus_base, step_flops, train_on
from minillm.bench.baselines import n_gram_bits_per_byte
from minillm.bench.optimizers import with_interval
from minillm.bench.stories import SHORT
from minillm.bench.text import all_tokens
from minillm.core.runtime import keep_freed_memory
from minillm.core.settings import with_fields
from minillm.corpus.pipeline import read_documents
from minillm.model.counting import forward_flops, head_flops, parameter_counts
from minillm.model.loss import bits_per_byte
from minillm.model.transformer import Transformer
from minillm.recipes import Recipe, laptop, open_run
from minillm.stages import reach
from minillm.tokenizer.bytepair import Tokenizer, train_tokenizer
from minillm.train.precision import faster_precision

SIZES, SEEDS = (512, 1024, 2048, 4096, 8192), (0, 1, 2)
# one document of so many is held out; the n-gram model looks two tokens back
HELD_OUT, GRAM = 20, 3
# an id met less often than so many times in the training text is a seldom one
SELDOM = 10
# the laptop recipe's text and settings, a smaller shape, and steps of which none reads text twice
SMALL = (
    *SHORT, "training.max_steps=200", "model.width=96", "model.num_layers=3", "model.num_heads=3",
    "model.num_kv_heads=3", "model.ffn_width=256", "model.initial_std=0.0633",
)  # fmt: skip
Texts = Mapping[str, Sequence[str]]


# package only
def mixed_texts(recipe: Recipe) -> tuple[list[str], dict[str, list[str]]]:
    """The recipe's documents in a random order: to train on, and held out by kind."""
    with tempfile.TemporaryDirectory() as home:
        run, _ = open_run("vocabulary", recipe, home=home)
        documents = list(read_documents(reach(run, recipe, "documents").path))
    random.Random(0).shuffle(documents)
    held_out: dict[str, list[str]] = {"stories": [], "found": []}
    for each in documents[::HELD_OUT]:
        held_out["stories" if each.level else "found"].append(each.text)
    trained = [each.text for at, each in enumerate(documents) if at % HELD_OUT]
    return trained, {kind: texts for kind, texts in held_out.items() if texts}


def cut_to(tokenizer: Tokenizer, vocab_size: int) -> Tokenizer:
    """The tokenizer that learning would have given at this size: its first merges."""
    num_merges = vocab_size - (tokenizer.vocab_size - len(tokenizer.merges))
    if not 0 <= num_merges <= len(tokenizer.merges):
        raise ValueError(
            f"vocab_size = {vocab_size}: can be cut from {tokenizer.vocab_size} entries down to "
            f"{tokenizer.vocab_size - len(tokenizer.merges)}; give another, or more text"
        )
    return Tokenizer(tokenizer.merges[:num_merges])


def trial_at(base: Recipe, vocab_size: int, seed: int) -> Recipe:
    """The base with this vocabulary and as many steps as its operations pay for."""
    trial = at_equal_compute(with_fields(base, [f"model.vocab_size={vocab_size}"]), base)
    return dataclasses.replace(trial, training=dataclasses.replace(trial.training, seed=seed))


def described(trial: Recipe, shards: Shards) -> dict[str, float]:
    """What a size costs and what it gets for that; shares are of parameters, operations, ids."""
    shape, length, steps = trial.model, trial.batches.context_length, trial.training.max_steps
    bytes_per_token = shards.num_bytes / shards.num_tokens
    batches = islice(Stream(shards, trial.batches), steps)
    num_targets = sum(int((batch.targets_BT != IGNORE).sum()) for batch in batches)
    times = np.bincount(all_tokens(shards), minlength=shape.vocab_size)
    return {
        "parameters": shape.num_parameters,
        "embedding_share": parameter_counts(shape)["embedding"] / shape.num_parameters,
        "head_share": head_flops(shape, length) / forward_flops(shape, length, length),
        "seldom_share": float((times < SELDOM).mean()),
        "bytes_per_token": bytes_per_token,
        "context_bytes": length * bytes_per_token,
        "steps": steps,
        "tokens": num_targets,
        "megabytes_read": num_targets * bytes_per_token / 1e6,
    }


def held_out_bits(
    model: Transformer, tokenizer: Tokenizer, held_out: Texts, context_length: int
) -> dict[str, float]:
    """Bits a byte of each kind of text, and of all of it."""
    bits, num_bytes = {}, {kind: len("".join(texts).encode()) for kind, texts in held_out.items()}
    for kind, texts in held_out.items():
        documents = [[tokenizer.end_of_text, *tokenizer.encode(text)] for text in texts]
        bits[kind] = bits_per_byte(model, documents, num_bytes[kind], context_length)
    total = sum(num_bytes.values())
    return {**bits, "all": sum(bits[kind] * num_bytes[kind] for kind in bits) / total}


def trained_bits(
    trial: Recipe, tokenizer: Tokenizer, trained: Sequence[str], held_out: Texts
) -> dict[str, float]:
    """On one thread: train from the trial's seed, then ask."""
    torch.set_num_threads(1)
    keep_freed_memory()
    torch.manual_seed(trial.training.seed)
    model = Transformer(trial.model)
    train_on(model, shards_of(trained, tokenizer), trial, trial.training.seed)
    return held_out_bits(model, tokenizer, held_out, trial.model.context_length)


# package only
def n_gram_bits(tokenizer: Tokenizer, shards: Shards, held_out: Texts) -> float:
    """Kneser–Ney's bits a byte of all that is held out, over the same tokens."""
    texts = [text for kind in held_out.values() for text in kind]
    unseen = shards_of(texts, tokenizer)
    return n_gram_bits_per_byte(
        all_tokens(shards), all_tokens(unseen), tokenizer.vocab_size, tokenizer.end_of_text,
        unseen.num_bytes, GRAM,
    )  # fmt: skip


# package only
def trained_runs(
    base: Recipe, tokenizers: Mapping[int, Tokenizer], seeds: Sequence[int],
    trained: Sequence[str], held_out: Texts,
) -> dict[int, list[dict[str, float]]]:
    """Bits a byte by size and seed, each run in a process of its own."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(os.cpu_count(), mp_context=spawn) as pool:
        runs = {
            (size, seed): pool.submit(
                trained_bits, trial_at(base, size, seed), tokenizer, trained, held_out
            )
            for seed in seeds for size, tokenizer in tokenizers.items()
        }  # fmt: skip
        for (size, seed), run in runs.items():
            print(f"seed {seed}, {size} entries: {run.result()['all']:.4f} bits a byte", flush=True)
    return {size: [runs[size, seed].result() for seed in seeds] for size in tokenizers}


# package only
def measure(
    base: Recipe | None = None, sizes: Sequence[int] = SIZES, seeds: Sequence[int] = SEEDS
) -> dict[str, object]:
    """Held-out bits a byte by size and seed, what each size costs, and how far it is from the base.

    The base's own size has to be one of `sizes`.
    """
    begin, base = time.perf_counter(), base or with_fields(laptop(), SMALL)
    precision = base.training.precision or faster_precision("cpu")
    base = with_fields(base, [f"training.precision={precision}"])
    trained, held_out = mixed_texts(base)
    config = dataclasses.replace(base.tokenizer, vocab_size=max(sizes))
    largest, by_size = train_tokenizer(trained, config), {}
    tokenizers = {size: cut_to(largest, size) for size in sizes}
    found = trained_runs(base, tokenizers, seeds, trained, held_out)
    base_bits = [each["all"] for each in found[base.model.vocab_size]]
    for size, runs in found.items():
        shards, bits = shards_of(trained, tokenizers[size]), [each["all"] for each in runs]
        by_size[str(size)] = {
            **described(trial_at(base, size, seeds[0]), shards),
            "bits_per_byte": {kind: [round(each[kind], 4) for each in runs] for kind in runs[0]},
            "interval": with_interval(bits), "minus_base": minus_base(bits, base_bits),
            "kneser_ney": n_gram_bits(tokenizers[size], shards, held_out),
        }
    return {
        "flops_a_run": base.training.max_steps * step_flops(base), "precision": precision,
        "base": base.model.vocab_size, "training_megabytes": shards.num_bytes / 1e6,
        "held_out_bytes": {kind: len("".join(texts).encode()) for kind, texts in held_out.items()},
        "sizes": by_size, "seconds": round(time.perf_counter() - begin, 1),
    }  # fmt: skip
