"""What the engine reads for a request, and which part of it somebody wrote.

Marks and role names are the server's own: they are part of what the model reads, but say nothing
about the traffic. How surprising a prompt is, is therefore counted on what was written alone.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from minillm.align.chat import Message, prompt_tokens, turn_header, turn_marks
from minillm.tokenizer.bytepair import Tokenizer, TokenTable

LN_2 = math.log(2)


@dataclass(frozen=True, slots=True)
class Prompt:
    """Token ids, which of them were written by the user, and what the user wrote as text."""

    ids: list[int]
    is_written: list[bool]
    text: str


def completion_prompt(prompt: str | Sequence[int], tokenizer: Tokenizer) -> Prompt:
    """A text goes after the mark that begins a document; ids are taken as they are."""
    if not isinstance(prompt, str):
        return Prompt(list(prompt), [True] * len(prompt), tokenizer.decode(prompt))
    written = tokenizer.encode(prompt)
    return Prompt([tokenizer.end_of_text, *written], [False] + [True] * len(written), prompt)


def chat_prompt(messages: Sequence[Message], tokenizer: Tokenizer) -> Prompt:
    """A conversation up to the header of the turn that the assistant is to write."""
    ids = prompt_tokens(messages, tokenizer)
    is_written = [False] * len(ids)
    turn_begin, turn_end = turn_marks(tokenizer)
    place = 0
    for message in messages:
        # no content holds a mark, so the next one of its kind is the one that is meant
        begin = ids.index(turn_begin, place) + len(turn_header(message.role, tokenizer))
        place = ids.index(turn_end, begin)
        is_written[begin:place] = [message.role == "user"] * (place - begin)
    asked = [each.content.strip() for each in messages if each.role == "user"]
    return Prompt(ids, is_written, "\n\n".join(asked))


def bits_per_byte(
    prompt: Prompt, nats: Sequence[float], tokens: TokenTable
) -> tuple[int, float | None]:
    """The bytes that were written and predicted, and the model's bits for each of them.

    `nats[i]` is −ln p of token i + 1: nothing predicts the first token."""
    pairs = zip(prompt.ids[1:], prompt.is_written[1:], nats, strict=True)
    counted = [(token, nat) for token, is_written, nat in pairs if is_written]
    num_bytes = len(tokens.decode_bytes(token for token, _ in counted))
    bits = sum(nat for _, nat in counted) / LN_2
    return num_bytes, bits / num_bytes if num_bytes else None
