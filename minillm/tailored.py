"""Recipes cut to a user's own wishes: their text, their minutes, a model to start from.

Each function takes a recipe (or makes one) and returns another; none of them touches a run.
"""

import dataclasses
import warnings
from collections.abc import Sequence
from pathlib import Path

from minillm.batches.shards import BatchesConfig
from minillm.brief import Brief, model_for
from minillm.corpus.ownfiles import found_in_files
from minillm.corpus.pipeline import CorpusConfig
from minillm.export.huggingface import load_folder
from minillm.recipes import Recipe
from minillm.tokenizer.bytepair import TokenizerConfig
from minillm.train.trainer import TrainingConfig

TEXT_MINUTES = 5.0
LEAST_BYTES = 10_000
# vocabulary, and the bytes of text above which it is worth its rows of the embedding
VOCABULARIES = ((4096, 8e6), (2048, 1e6), (1024, 1e5), (512, -1))

# A run of minutes lives on the number of its steps: small batches gain more than they lose (LOG.md)
ROWS_OF_A_SHORT_RUN, ROWS_OF_A_LONG_RUN = 4, 16
LONG_RUN_MINUTES = 10


# package only
def read_first(files: Sequence[Path]) -> tuple[tuple[str, ...], int]:
    """The files' full paths as text, and the bytes of all their texts, unpacked.

    A recipe is kept as JSON and read from other folders. That each file is read here means that
    one which is not there, or files without a text, stop before a run begins.
    """
    read = found_in_files([str(path) for path in files])
    num_bytes = sum(len(text.encode()) for _, texts, _ in read for _, text in texts)
    return tuple(str(path.resolve()) for path in files), num_bytes


# package only
def recipe_for_text(files: Sequence[Path], minutes: float) -> Recipe:
    """A run on the user's own files: vocabulary from their length, model from the minutes too."""
    text_files, num_bytes = read_first(files)
    if num_bytes < LEAST_BYTES:
        warnings.warn(
            f"a text of {num_bytes:,} bytes teaches a model hardly anything; "
            f"give {LEAST_BYTES:,} bytes or more, better a megabyte",
            stacklevel=2,
        )
    brief = Brief(purpose="model the given text", minutes=minutes)
    vocab_size = next(size for size, least_bytes in VOCABULARIES if num_bytes > least_bytes)
    context_length = 256 if num_bytes > 1e5 else 128
    model = model_for(brief, vocab_size, context_length, max_parameters=3 * num_bytes)
    is_long = minutes > LONG_RUN_MINUTES
    num_rows = ROWS_OF_A_LONG_RUN if is_long else ROWS_OF_A_SHORT_RUN
    return Recipe(
        name="text",
        brief=brief,
        corpus=CorpusConfig(
            stories=(0, 0, 0),
            held_out_stories=0,
            text_files=text_files,
            licences=brief.licences,
        ),
        tokenizer=TokenizerConfig(vocab_size=vocab_size),
        batches=BatchesConfig(context_length=context_length, batch_size=num_rows),
        model=dataclasses.replace(model, attention="reference") if is_long else model,
        training=TrainingConfig(
            max_steps=None, max_minutes=minutes, learning_rate=3e-3, checkpoint_every_steps=200,
            evaluate_every_steps=None, compile=None,
        ),
    )


# package only
def with_user_text(recipe: Recipe, files: Sequence[Path]) -> Recipe:
    """The same recipe with the user's files in the place of its sources; the stories stay."""
    corpus = dataclasses.replace(recipe.corpus, sources=(), text_files=read_first(files)[0])
    return dataclasses.replace(recipe, corpus=corpus)


# package only
def starting_from(recipe: Recipe, folder: Path) -> Recipe:
    """The same recipe, trained on from the weights and the tokenizer of a Hugging Face folder."""
    initial, tokenizer = load_folder(folder)
    if tokenizer.vocab_size != initial.config.vocab_size:
        raise ValueError(
            f"{folder}: vocab_size = {initial.config.vocab_size}, but its tokenizer has "
            f"{tokenizer.vocab_size} tokens, and rows without a token cannot be trained on; cut "
            f"them off: model.resize_token_embeddings({tokenizer.vocab_size}) of transformers, "
            "then save_pretrained"
        )
    context_length = min(recipe.batches.context_length, initial.config.context_length)
    return dataclasses.replace(
        recipe,
        start_from=str(folder.resolve()),
        tokenizer=dataclasses.replace(recipe.tokenizer, vocab_size=tokenizer.vocab_size),
        model=initial.config,
        batches=dataclasses.replace(recipe.batches, context_length=context_length),
    )


# package only
def check_start(before: Recipe, after: Recipe) -> None:
    """ValueError where a field was set that the weights to start from have decided already."""
    if after.start_from is None:
        return
    for room in ("model", "tokenizer"):
        kept, asked = getattr(before, room), getattr(after, room)
        for name in (each.name for each in dataclasses.fields(kept)):
            # how attention is computed changes no weight
            if name != "attention" and getattr(kept, name) != getattr(asked, name):
                raise ValueError(
                    f"{room}.{name} = {getattr(asked, name)}: the weights in {after.start_from} "
                    f"were made with {getattr(kept, name)}; leave it out, or train from first "
                    "weights, without --from"
                )


# package only
def with_minutes(recipe: Recipe, minutes: float) -> Recipe:
    """The same recipe, its training bounded by the clock instead of by a number of steps."""
    return dataclasses.replace(
        recipe,
        brief=dataclasses.replace(recipe.brief, minutes=minutes),
        training=dataclasses.replace(recipe.training, max_steps=None, max_minutes=minutes),
    )
