"""Rows of tables by the shape of their columns: documents, dialogues, or pairs of replies.

In: a row of a table (Parquet, CSV, JSON lines, a set of the Hugging Face hub). Out: a `Document`, a
`Dialogue` or a `Preference`. The one idea: nobody needs a reader for each public set, because they
have three shapes between them, and the names of the columns tell which. Left out: pictures, sound,
calls of tools.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Literal

from minillm.corpus.opening import Defaults, Unusable
from minillm.corpus.sources import Document, Rejection

Shape = Literal["documents", "dialogues", "preferences"]
Turn = tuple[str, str]
HUB_INSTALL = 'pip install "minillm[hub]"'

TEXT_COLUMNS = ("text", "content", "raw_content", "document", "article", "story", "body")
TURN_COLUMNS = ("messages", "conversations", "conversation", "data")
# A request and its reply in two columns, as GSM8K, Alpaca and Dolly have them.
REPLY_COLUMNS = (
    ("question", "answer"),
    ("instruction", "output"),
    ("instruction", "response"),
    ("prompt", "completion"),
    ("prompt", "response"),
)
ROLE_COLUMNS, SAID_COLUMNS = ("role", "from"), ("content", "value")
ROLES = {
    "system": "system", "user": "user", "human": "user", "prompter": "user",
    "assistant": "assistant", "gpt": "assistant", "chatbot": "assistant", "bot": "assistant",
}  # fmt: skip
# HH-RLHF writes its speakers into one text.
SPEAKERS = {"\n\nHuman:": "user", "\n\nAssistant:": "assistant"}
DATE_COLUMNS = ("date", "timestamp", "created", "published")
LANGUAGE_COLUMNS, LICENCE_COLUMNS = ("language", "lang"), ("licence", "license")


# package only
@dataclass(frozen=True, slots=True)
class Dialogue:
    """Who says what, in order: (role, text) pairs, the roles system, user and assistant."""

    id: str
    source: str
    licence: str
    turns: tuple[Turn, ...]
    language: str = "unknown"
    date: str | None = None


# package only
@dataclass(frozen=True, slots=True)
class Preference:
    """What was said before, the better reply and the worse one."""

    id: str
    source: str
    licence: str
    prompt: tuple[Turn, ...]
    chosen: str
    rejected: str
    language: str = "unknown"
    date: str | None = None


# package only
@dataclass(frozen=True, slots=True)
class HubSet:
    """How a public set is asked for, and its licence as its card states it."""

    config: str | None
    licence: str


HUB_SETS = {
    "HuggingFaceFW/fineweb-edu": HubSet("sample-10BT", "ODC-By-1.0"),
    "roneneldan/TinyStories": HubSet(None, "CDLA-Sharing-1.0"),
    "allenai/c4": HubSet("en", "ODC-By-1.0"),
    "wikimedia/wikipedia": HubSet("20231101.en", "CC-BY-SA-3.0"),
    "HuggingFaceTB/smoltalk": HubSet("all", "Apache-2.0"),
    "HuggingFaceH4/ultrachat_200k": HubSet(None, "MIT"),
    "HuggingFaceH4/ultrafeedback_binarized": HubSet(None, "MIT"),
    "Anthropic/hh-rlhf": HubSet(None, "MIT"),
    "openai/gsm8k": HubSet("main", "MIT"),
}


def first_of(names: Sequence[str], columns: Collection[str]) -> str | None:
    """The first of these names that is a column."""
    return next((name for name in names if name in columns), None)


def shape_of(columns: Collection[str], text_column: str | None = None) -> Shape:
    """What a table holds, from the names of its columns: the most telling ones decide."""
    if text_column is not None and text_column in columns:
        return "documents"
    if {"chosen", "rejected"} <= set(columns):
        return "preferences"
    if first_of(TURN_COLUMNS, columns) or any(set(pair) <= set(columns) for pair in REPLY_COLUMNS):
        return "dialogues"
    if first_of(TEXT_COLUMNS, columns):
        return "documents"
    raise ValueError(
        f"columns are {', '.join(map(str, columns))}; a text column is called one of "
        f"{', '.join(TEXT_COLUMNS)}; call yours so (in Python, name it with text_column)"
    )


# package only
def said(value: object) -> str:
    """A text that is one and is not empty; Unusable for anything else."""
    if not isinstance(value, str) or not value.strip():
        found = "empty" if isinstance(value, str) else type(value).__name__
        raise Unusable("no text where one should be", found, "a text")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise Unusable("half a character (a lone surrogate)", error.start, "Unicode") from None
    return value


# package only
def spoken_turns(text: str) -> tuple[Turn, ...]:
    """The turns of one text with its speakers written in: `⏎⏎Human: … ⏎⏎Assistant: …`."""
    turns: list[Turn] = []
    rest = text
    while rest:
        role = next((SPEAKERS[mark] for mark in SPEAKERS if rest.startswith(mark)), None)
        if role is None:
            raise Unusable("a text without its speaker", rest[:20], " or ".join(SPEAKERS.values()))
        rest = rest.partition(":")[2]
        ends = [place for mark in SPEAKERS if (place := rest.find(mark)) >= 0]
        end = min(ends, default=len(rest))
        turns.append((role, rest[:end].strip()))
        rest = rest[end:]
    return tuple(turns)


# package only
def turns_of(value: object) -> tuple[Turn, ...]:
    """The turns of a cell: a list of messages, a list of texts that alternate, or one text."""
    if isinstance(value, str):
        return spoken_turns(value)
    if not isinstance(value, Sequence) or not value:
        raise Unusable("no list of messages", type(value).__name__, "a list")
    turns = []
    for number, message in enumerate(value):
        if isinstance(message, str):
            turns.append((("user", "assistant")[number % 2], said(message)))
            continue
        if not isinstance(message, Mapping):
            raise Unusable("no message", type(message).__name__, "a role and a content")
        role = str(message.get(first_of(ROLE_COLUMNS, message))).lower()
        if role not in ROLES:
            raise Unusable("a role that is not known", role, ", ".join(ROLES))
        turns.append((ROLES[role], said(message.get(first_of(SAID_COLUMNS, message)))))
    return tuple(turns)


# package only
def dialogue_turns(row: Mapping[str, object]) -> tuple[Turn, ...]:
    """The turns of a row that holds them in one column, or a request and a reply in two."""
    if column := first_of(TURN_COLUMNS, row):
        return turns_of(row[column])
    asks, replies = next(pair for pair in REPLY_COLUMNS if set(pair) <= set(row))
    more = row.get("input") or row.get("context")
    request = f"{said(row[asks])}\n\n{said(more)}" if more else said(row[asks])
    return ("user", request), ("assistant", said(row[replies]))


# package only
def preference_of(row: Mapping[str, object]) -> tuple[tuple[Turn, ...], str, str]:
    """What was said before, the better last reply and the worse one."""
    if isinstance(row.get("prompt"), str) and isinstance(row["chosen"], str):
        return (("user", said(row["prompt"])),), said(row["chosen"]), said(row["rejected"])
    chosen, rejected = turns_of(row["chosen"]), turns_of(row["rejected"])
    if chosen[:-1] != rejected[:-1]:
        raise Unusable("two replies to different prompts", len(chosen), len(rejected))
    if len(chosen) < 2 or not chosen[-1][0] == rejected[-1][0] == "assistant":
        raise Unusable("no reply at the end", chosen[-1][0], "assistant")
    return chosen[:-1], said(chosen[-1][1]), said(rejected[-1][1])


# package only
def cell(row: Mapping[str, object], names: Sequence[str]) -> str | None:
    """The first of these columns that holds something, as text; dates in ISO form."""
    value = next((row[name] for name in names if row.get(name)), None)
    return value.isoformat() if isinstance(value, date) else value and str(value)


# package only
def read_row(
    row: Mapping[str, object], name: str, defaults: Defaults
) -> Document | Dialogue | Preference:
    """A row as what its columns say it is; Unusable where a cell does not hold what it should."""
    try:
        shape = shape_of(row, defaults.text_column)
    except ValueError as error:
        raise Unusable(str(error), ", ".join(map(str, row)), "a column of text") from None
    licence = cell(row, LICENCE_COLUMNS) or defaults.licence
    said_of_it = {
        "language": cell(row, LANGUAGE_COLUMNS) or defaults.language,
        "date": cell(row, DATE_COLUMNS) or defaults.date,
    }
    if shape == "dialogues":
        return Dialogue(name, defaults.source, licence, dialogue_turns(row), **said_of_it)
    if shape == "preferences":
        return Preference(name, defaults.source, licence, *preference_of(row), **said_of_it)
    text = said(row[defaults.text_column or first_of(TEXT_COLUMNS, row)])
    title = row.get("title")
    if isinstance(title, str) and title.strip() and not text.startswith(title):
        text = f"{title}\n\n{text}"
    return Document(
        id=cell(row, ("url",)) or name,
        text=text,
        source=defaults.source,
        kind=defaults.kind or "text",
        licence=licence,
        **said_of_it,
    )


# package only
def as_document(record: Document | Dialogue | Preference) -> Document:
    """A record as text to read: speakers are named, and of two replies only the better is kept."""
    if isinstance(record, Document):
        return record
    turns = record.turns if isinstance(record, Dialogue) else (
        *record.prompt, ("assistant", record.chosen)
    )  # fmt: skip
    text = "\n\n".join(f"{role.title()}: {said}" for role, said in turns)
    return Document(
        record.id, text, record.source, "dialogue", record.licence, record.language,
        date=record.date,
    )  # fmt: skip


# package only
def read_hub(
    name: str, split: str, streaming: bool = True, *, config: str | None = None
) -> Iterator[Document | Dialogue | Preference | Rejection]:
    """The rows of a set of the hub, or of a folder of files in the same form, one after the other.

    With `streaming` nothing is kept on disk, and reading starts at once.
    """
    try:
        from datasets import load_dataset
    except ImportError:
        raise ImportError(f"set {name}: the hub needs datasets; {HUB_INSTALL}") from None
    known = HUB_SETS.get(name, HubSet(None, "unknown"))
    rows = load_dataset(name, config or known.config, split=split, streaming=streaming)
    short = Path(name).name
    defaults = Defaults(source=short, licence=known.licence)
    for number, row in enumerate(rows, start=1):
        if number == 1:
            shape_of(row)
        try:
            yield read_row(row, f"{short}/{split}#{number}", defaults)
        except Unusable as fault:
            yield fault.rejection(Path(short), number)
