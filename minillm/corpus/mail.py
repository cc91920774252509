"""E-mail as text: single messages and mailboxes, read through the standard library.

In: the bytes of a message (.eml), or a mailbox (.mbox). Out: a `Document` of kind mail: the subject
and the body, in plain text if the message has one, else from its HTML. The one idea: names and
addresses stand in the headers, which are left out. Form: RFC 5322 and 2045. Left out: attachments.
"""

import re
from collections.abc import Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import BinaryIO

from minillm.corpus.markup import main_text
from minillm.corpus.opening import MAX_RECORD_BYTES, Defaults, Unusable, bounded_lines
from minillm.corpus.sources import Document

BEGIN = b"From "
QUOTED_BEGIN = re.compile(rb"^>(>*From )", re.MULTILINE)


# package only
def beginning(data: bytes) -> str:
    """The first bytes, to be shown."""
    return data[:20].decode("ascii", "replace")


# package only
def message_body(message: EmailMessage) -> str:
    """The text of a message; Unusable where it has none that can be read."""
    part = message.get_body(preferencelist=("plain", "html"))
    if part is None:
        raise Unusable("a message without text", message.get_content_type(), "text/plain")
    try:
        content = part.get_content()
    except (LookupError, UnicodeError, ValueError) as error:
        raise Unusable("a message that cannot be decoded", str(error), "its own charset") from None
    text = main_text(content) if part.get_content_type() == "text/html" else content
    return text.replace("\r\n", "\n").strip()


# package only
def read_message(data: bytes, name: str, defaults: Defaults) -> Document:
    """One message: its subject, then its body; its date is that of its header."""
    try:
        message = message_from_bytes(data, policy=policy.default)
        if not message.keys():
            raise Unusable("no message: it begins without headers", beginning(data), "headers")
        text = message_body(message)
    except RecursionError:
        raise Unusable("parts that are nested too deep", "a mail bomb", "a letter") from None
    try:
        subject, sent = str(message["subject"] or "").strip(), message["date"]
        date = sent.datetime.isoformat() if sent is not None and sent.datetime else defaults.date
    except (LookupError, ValueError, TypeError, AttributeError) as error:
        raise Unusable("headers that cannot be read", str(error), "RFC 5322") from None
    if not text and not subject:
        raise Unusable("an empty message", 0, "a text")
    return Document(
        id=name,
        text="\n\n".join(part for part in (subject, text) if part),
        source=defaults.source,
        kind=defaults.kind or "mail",
        licence=defaults.licence,
        language=defaults.language,
        date=date,
    )


# package only
def mailbox_messages(
    stream: BinaryIO, max_bytes: int = MAX_RECORD_BYTES
) -> Iterator[bytes | Unusable]:
    """The messages of a mailbox: each begins after an empty line with a line `From …`."""
    lines: list[bytes] = []
    size, fault, was_empty, has_begun = 0, None, True, False

    def finished() -> bytes | Unusable:
        return fault or QUOTED_BEGIN.sub(rb"\1", b"\n".join(lines))

    for line in bounded_lines(stream, max_bytes):
        if isinstance(line, Unusable):
            fault, was_empty = line, False
            continue
        line = line.rstrip(b"\r\n")
        if was_empty and line.startswith(BEGIN):
            if has_begun:
                yield finished()
            lines, size, fault, has_begun = [], 0, None, True
        else:
            size += len(line) + 1
            if size > max_bytes:
                lines, fault = [], Unusable("a message that is too long, in bytes", size, max_bytes)
            else:
                lines.append(line)
        was_empty = not line
    if has_begun:
        yield finished()
    elif size or fault:
        found = beginning(lines[0]) if lines else "a line without an end"
        yield Unusable("no mailbox: no message begins in it", found, "From …")
