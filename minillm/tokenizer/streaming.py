"""Texts too long or too many: ids of a stream of text, of many texts in processes; text of ids.

In: blocks of one text, cut anywhere, or many texts. Out: the ids that each has in one piece. The
idea: some places no word crosses, before a space or after the end of a line; what stands before the
last of them is finished, and only the rest waits. The other way round, a character comes out when
all its bytes are there. Left out: text without such a place, which waits until it is complete.
"""

import codecs
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from itertools import islice
from multiprocessing import get_context

import numpy as np
import regex

from minillm.tokenizer.bytepair import Tokenizer, TokenTable

# Found from the end: before a space after a word, or after the end of a line before a word.
SAFE_PLACE = regex.compile(r"(?r)(?:(?<=\S)(?= )|(?<=[\r\n])(?=\S))")
TEXTS_AT_A_TIME = 64
# Enough that no process waits for work, few enough that memory stays flat.
TASKS_PER_PROCESS = 3


def encode_blocks(tokenizer: Tokenizer, blocks: Iterable[str]) -> Iterator[list[int]]:
    """The ids of one long text, part by part; joined, they are those of the text in one piece."""
    waiting: list[str] = []
    for block in blocks:
        last = waiting[-1][-1:] if waiting else ""
        found = SAFE_PLACE.search(last + block)
        if found is None:
            waiting += [block] if block else []
            continue
        place = found.start() - len(last)
        yield tokenizer.encode("".join([*waiting, block[:place]]))
        waiting = [block[place:]]
    yield tokenizer.encode("".join(waiting))


def decode_stream(table: TokenTable, ids: Iterable[int]) -> Iterator[str]:
    """The text of ids as they come: whole characters; the bytes of half a one wait."""
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    for token_id in ids:
        if text := decoder.decode(table.token_bytes(token_id)):
            yield text
    if text := decoder.decode(b"", final=True):
        yield text


# package only
class Encoder:
    """The tokenizer of a worker process, which arrives once and is kept with what it remembers."""

    tokenizer: Tokenizer

    @classmethod
    def receive(cls, tokenizer: Tokenizer) -> None:
        cls.tokenizer = tokenizer

    @classmethod
    def encode(cls, texts: Sequence[str]) -> list[np.ndarray]:
        return [np.array(cls.tokenizer.encode(text), np.uint32) for text in texts]


# package only
def encode_texts(
    tokenizer: Tokenizer, texts: Iterable[str], num_processes: int
) -> Iterator[np.ndarray]:
    """The ids of each text, in the order of the texts, made by several processes."""
    if num_processes < 1:
        raise ValueError(f"num_processes is {num_processes}; give at least 1")
    pool = ProcessPoolExecutor(
        num_processes, get_context("spawn"), initializer=Encoder.receive, initargs=(tokenizer,)
    )
    tasks: deque[Future[list[np.ndarray]]] = deque()
    with pool:
        remaining = iter(texts)
        while some := list(islice(remaining, TEXTS_AT_A_TIME)):
            tasks.append(pool.submit(Encoder.encode, some))
            if len(tasks) > TASKS_PER_PROCESS * num_processes:
                yield from tasks.popleft().result()
        while tasks:
            yield from tasks.popleft().result()
