"""Conversations as batches: whole, packed side by side, with targets where the assistant speaks.

In: conversations. Out: the batches of chapter 03, without end. The mask is not a tensor of its own:
where nothing is said the target is IGNORE, so the loss of pretraining serves unchanged. What does
not fit into a row whole is left out, because half a conversation teaches answers to nothing.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from minillm.align.chat import chat_tokens
from minillm.align.instructions import Conversation
from minillm.batches.packing import pack
from minillm.batches.shards import BatchesConfig
from minillm.batches.stream import IGNORE, Batch
from minillm.tokenizer.bytepair import Tokenizer


@dataclass(frozen=True, slots=True)
class Example:
    """A conversation as ids, and which of them are the assistant's."""

    tokens: tuple[int, ...]
    is_said: tuple[bool, ...]


def encoded(
    conversations: Sequence[Conversation], tokenizer: Tokenizer, context_length: int
) -> list[Example]:
    """Conversations as ids; one that does not fit into a row whole is left out."""
    pairs = (chat_tokens(each.messages, tokenizer) for each in conversations)
    examples = (Example(tuple(tokens), tuple(is_said)) for tokens, is_said in pairs)
    return [each for each in examples if len(each.tokens) <= context_length + 1]


def batch_of_examples(rows: Sequence[Sequence[Example]], context_length: int, filler: int) -> Batch:
    """Conversations side by side; a target wherever the *next* token is the assistant's."""
    shape = (len(rows), context_length)
    tokens_BT = np.full(shape, filler, np.int64)
    targets_BT = np.full(shape, IGNORE, np.int64)
    documents_BT = np.zeros(shape, np.int32)
    for row, examples in enumerate(rows):
        column = 0
        for ordinal, example in enumerate(examples):
            stop = column + len(example.tokens) - 1
            tokens = np.array(example.tokens)
            tokens_BT[row, column:stop] = tokens[:-1]
            targets_BT[row, column:stop] = np.where(example.is_said[1:], tokens[1:], IGNORE)
            documents_BT[row, column:stop] = ordinal
            column = stop
        documents_BT[row, column:] = len(examples)
    return Batch(*(torch.from_numpy(part) for part in (tokens_BT, targets_BT, documents_BT)))


def rows_without_end(
    examples: Sequence[Example], config: BatchesConfig
) -> Iterator[list[Example]]:
    """Rows of whole conversations, epoch after epoch, the same for the same seed.

    The first epoch keeps the order up to packing and shuffling in a window, later ones shuffle all.
    """
    epoch = 0
    while True:
        chance = np.random.default_rng([config.seed, epoch])
        order = np.arange(len(examples))
        order = order if epoch == 0 else chance.permutation(order)
        for first in range(0, len(order), config.window_documents):
            window = [examples[i] for i in order[first : first + config.window_documents]]
            lengths = [len(each.tokens) - 1 for each in window]
            # a row may stay as empty as it likes: a conversation is never cut
            packed = pack(lengths, config.context_length, max_gap=config.context_length)
            for number in chance.permutation(len(packed)):
                yield [window[piece.document] for piece in packed[number]]
        epoch += 1


class ConversationStream:
    """Batches of packed conversations without end; `position` counts those given out."""

    def __init__(
        self, examples: Sequence[Example], config: BatchesConfig, filler: int, position: int = 0
    ) -> None:
        if not examples:
            raise ValueError(
                f"context_length = {config.context_length}: no conversation fits into a row; "
                "raise it, or give more stories"
            )
        self.config, self.filler, self.position = config, filler, position
        self.rows = rows_without_end(examples, config)
        for _ in range(position * config.batch_size):
            next(self.rows)

    def __iter__(self) -> "ConversationStream":
        return self

    def __next__(self) -> Batch:
        self.position += 1
        rows = [next(self.rows) for _ in range(self.config.batch_size)]
        return batch_of_examples(rows, self.config.context_length, self.filler)
