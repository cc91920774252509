"""The run's model against an n-gram model and a compressor, on the run's own held-out text."""

import numpy as np

from minillm.batches.shards import Shards, open_shards
from minillm.bench.baselines import n_gram_bits_per_byte, xz_bits_per_byte
from minillm.core.records import Run
from minillm.corpus.pipeline import read_documents
from minillm.model.loss import bits_per_byte
from minillm.train.checkpoint import load_model


# package only
def all_tokens(shards: Shards) -> np.ndarray:
    """Every token of a split, in the order of its documents."""
    return np.concatenate([shards.document(index) for index in range(shards.num_documents)])


# package only
def compare(run: Run) -> dict[str, float]:
    """Bits per byte of the model, of Kneser–Ney over the same tokens, and of `xz -9`."""
    model, tokenizer = load_model(run.artifact("model").path)
    folder = run.artifact("shards").path
    training, held_out = open_shards(folder, "train"), open_shards(folder, "validation")
    if held_out.num_documents == 0:
        raise ValueError(
            f"run '{run.name}' holds nothing out: there is no text to compare on; give it more text"
        )
    text = "".join(
        document.text for document in read_documents(run.artifact("documents").path, "validation")
    )
    documents = [held_out.document(index) for index in range(held_out.num_documents)]
    context_length = run.artifact("shards").config["context_length"]
    return {
        "held_out_bytes": held_out.num_bytes,
        "model_bits_per_byte": bits_per_byte(model, documents, held_out.num_bytes, context_length),
        "kneser_ney_5_gram_bits_per_byte": n_gram_bits_per_byte(
            all_tokens(training),
            all_tokens(held_out),
            tokenizer.vocab_size,
            tokenizer.end_of_text,
            held_out.num_bytes,
        ),
        "xz_bits_per_byte": xz_bits_per_byte(text.encode()),
    }
