"""From a page to its text: extraction from HTML, repair of characters, removal of boilerplate.

In: a `Document` as it was found. Out: the same document with better text; nothing is rejected here.
The ideas: navigation is text inside links; boilerplate is a line that many pages share, whatever
the numbers in it; UTF-8 that was read as another encoding can be read back. Left out: letters that
were damaged twice, tables.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from html.parser import HTMLParser

from minillm.corpus.sources import Document, Step

BLOCK_TAGS = frozenset(
    "p div li ul ol dl dt dd h1 h2 h3 h4 h5 h6 td th tr table article section main nav aside header"
    " footer pre blockquote form br hr".split()
)
# Not `head`, whose end many pages leave out; there is nothing else in it that has a text.
HIDDEN_TAGS = frozenset("title script style template".split())
HTML_SPACE = re.compile(r"[ \t\n\r\f]+")
MAX_LINK_DENSITY = 0.5


@dataclass(slots=True)
class Block:
    """A stretch of text between two block tags, and how many of its characters are in links."""

    text: str = ""
    link_characters: int = 0

    @property
    def link_density(self) -> float:
        return self.link_characters / max(1, len(self.text))


class PageParser(HTMLParser):
    """Cuts a page into blocks: every block tag, opening or closing, ends one and begins another."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.blocks = [Block()]
        self.num_open: Counter[str] = Counter()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.num_open[tag] += 1
        if tag in BLOCK_TAGS:
            self.blocks.append(Block())

    def handle_endtag(self, tag: str) -> None:
        self.num_open[tag] = max(0, self.num_open[tag] - 1)
        if tag in BLOCK_TAGS:
            self.blocks.append(Block())

    def handle_data(self, data: str) -> None:
        if not any(self.num_open[tag] for tag in HIDDEN_TAGS):
            self.blocks[-1].text += data
            self.blocks[-1].link_characters += len(data) if self.num_open["a"] else 0


def html_to_text(page: str) -> str:
    """One line for each block of the page that is not mostly links."""
    parser = PageParser()
    parser.feed(page)
    parser.close()
    kept = (block.text for block in parser.blocks if block.link_density <= MAX_LINK_DENSITY)
    lines = (HTML_SPACE.sub(" ", text).strip(" ") for text in kept)
    return "\n".join(line for line in lines if line)


def page_to_text(document: Document) -> Document:
    """Step: a web page becomes its text; other kinds are text already."""
    if document.kind != "web":
        return document
    return replace(document, text=html_to_text(document.text))


def decode_windows_1252(data: bytes) -> str:
    """Bytes as a browser shows them if it takes them for Windows-1252; five unused ones stay."""
    return "".join(bytes([byte]).decode("cp1252", "ignore") or chr(byte) for byte in data)


# UTF-8: a first byte C2 to F4 says how many later bytes, 80 to BF, follow it.
LATER = "[" + re.escape(decode_windows_1252(bytes(range(0x80, 0xC0)))) + "]"
MOJIBAKE = re.compile(f"(?:[Â-ß]{LATER}|[à-ï]{LATER}{{2}}|[ð-ô]{LATER}{{3}})+")
BYTE_BY_CHARACTER = {decode_windows_1252(bytes([byte])): byte for byte in range(256)}


def repair_mojibake(text: str) -> str:
    """Undo UTF-8 that was read as Windows-1252, as in `cafÃ©`, where the bytes are valid UTF-8."""

    def repaired(found: re.Match[str]) -> str:
        try:
            return bytes(BYTE_BY_CHARACTER[each] for each in found[0]).decode("utf-8")
        except UnicodeDecodeError:
            return found[0]

    return MOJIBAKE.sub(repaired, text)


PLAIN_SIGNS = str.maketrans("“”‘’\u00a0", "\"\"'' ", "\u200b\ufeff")
CONTROL_CHARACTERS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def repair_text(document: Document) -> Document:
    """Step: one way to write each thing (NFC, plain quotes, `\\n`), and no control characters."""
    text = document.text.replace("\r\n", "\n")
    if not text.isascii():
        text = unicodedata.normalize("NFC", repair_mojibake(text)).translate(PLAIN_SIGNS)
    lines = CONTROL_CHARACTERS.sub("", text).split("\n")
    return replace(document, text="\n".join(line.rstrip() for line in lines).strip("\n"))


NUMBER = re.compile(r"\d+")


def line_key(line: str) -> str:
    """What makes lines the same: `Page 7 of 20` and `Page 8 of 20` are one line."""
    return NUMBER.sub("0", line)


def shared_lines(documents: Sequence[Document], min_documents: int) -> frozenset[str]:
    """The keys of lines that at least `min_documents` of the documents have."""
    num_documents = Counter(
        key for each in documents for key in set(map(line_key, each.text.split("\n")))
    )
    return frozenset(key for key, count in num_documents.items() if count >= min_documents)


def drop_boilerplate(documents: Sequence[Document], min_pages: int = 8) -> Step:
    """Make the step that takes from web pages every line that `min_pages` of them share."""
    boilerplate = shared_lines([each for each in documents if each.kind == "web"], min_pages)

    def step(document: Document) -> Document:
        if document.kind != "web":
            return document
        lines = [line for line in document.text.split("\n") if line_key(line) not in boilerplate]
        return replace(document, text="\n".join(lines))

    return step
