"""Conversations as tokens: who speaks, what is said, and where a turn ends.

In: messages. Out: ids, and for each id whether it is the assistant's own. The one idea: the marks
between turns are *ids*, spliced in between contents that are encoded as plain text, so that nobody
can write a mark: a user's literal `<|im_start|>` stays plain text, and speaks for nobody.
The form is ChatML's but for a colon: `<|im_start|>role: content<|im_end|>⏎`, after the mark that
begins a document. The space matters: a name that begins a reply is then the token that it is inside
a story. Left out: tools, images, reasoning.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from minillm.model.generate import generate_batch
from minillm.model.transformer import Transformer
from minillm.tokenizer.bytepair import Tokenizer

TURN_BEGIN = "<|im_start|>"
TURN_END = "<|im_end|>"
ROLES = ("system", "user", "assistant")
# the same form for transformers' `apply_chat_template`
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + ': ' + message['content'] | trim + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant:' }}{% endif %}"
)


@dataclass(frozen=True, slots=True)
class Message:
    """Who says what; `chat_tokens` drops the white space around it."""

    role: str
    content: str

    def __post_init__(self) -> None:
        if self.role not in ROLES:
            raise ValueError(f"role = {self.role!r}: choose one of {', '.join(ROLES)}")


def turn_marks(tokenizer: Tokenizer) -> tuple[int, int]:
    """The ids that begin and end a turn; ValueError for a tokenizer without them."""
    missing = [name for name in (TURN_BEGIN, TURN_END) if name not in tokenizer.special_ids]
    if missing:
        raise ValueError(
            f"special_tokens: the tokenizer has no {' and no '.join(missing)}, which a chat needs; "
            "train one with the course's special tokens"
        )
    return tokenizer.special_ids[TURN_BEGIN], tokenizer.special_ids[TURN_END]


def turn_header(role: str, tokenizer: Tokenizer) -> list[int]:
    """What stands before a turn's content: the mark, the role, a colon."""
    return [turn_marks(tokenizer)[0], *tokenizer.encode(f"{role}:")]


def chat_tokens(
    messages: Sequence[Message], tokenizer: Tokenizer
) -> tuple[list[int], list[bool]]:
    """A conversation's ids, and which of them the assistant says: its contents and turn ends."""
    ids, is_said = [tokenizer.end_of_text], [False]
    for message in messages:
        header = turn_header(message.role, tokenizer)
        content = tokenizer.encode(f" {message.content.strip()}")
        said = [*content, turn_marks(tokenizer)[1]]
        ids += [*header, *said, *tokenizer.encode("\n")]
        is_own = message.role == "assistant"
        is_said += [False] * len(header) + [is_own] * len(said) + [False]
    return ids, is_said


def prompt_tokens(messages: Sequence[Message], tokenizer: Tokenizer) -> list[int]:
    """The conversation so far, and the header of the turn that the assistant is to write."""
    return chat_tokens(messages, tokenizer)[0] + turn_header("assistant", tokenizer)


# package only
def chat_replies(
    model: Transformer,
    tokenizer: Tokenizer,
    conversations: Sequence[Sequence[Message]],
    *,
    max_tokens: int,
    batch_size: int = 64,
    **options: object,
) -> list[str]:
    """What the assistant says next in each conversation; see `generate_batch` for the options."""
    prompts = [prompt_tokens(messages, tokenizer) for messages in conversations]
    stop_ids = [turn_marks(tokenizer)[1], tokenizer.end_of_text]
    # rows of like length advance together, so little is computed twice
    order = sorted(range(len(prompts)), key=lambda index: len(prompts[index]))
    replies = [""] * len(prompts)
    for first in range(0, len(order), batch_size):
        chosen = order[first : first + batch_size]
        rows = generate_batch(
            model, [prompts[index] for index in chosen],
            max_tokens=max_tokens, stop_ids=stop_ids, **options,
        )  # fmt: skip
        for index, row in zip(chosen, rows, strict=True):
            replies[index] = tokenizer.decode(row).strip()
    return replies
