"""From a page to its text: extraction from HTML, repair of characters, masking of personal data.

In: a `Document` as it was found. Out: the same document with better text; nothing is rejected here.
The ideas: navigation is text inside links; boilerplate is a line that many pages share; UTF-8 that
was read as another encoding can be read back; and a card number carries its own check digit (Luhn,
US patent 2950048). Thin so far: one kind of mojibake, three kinds of personal data, no tables.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from html.parser import HTMLParser

from minillm.corpus.sources import Document, Step

BLOCK_TAGS = frozenset("p div li ul ol h1 h2 h3 h4 td tr table article header footer br".split())
HIDDEN_TAGS = frozenset("head script style template".split())
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


def shared_lines(documents: Sequence[Document], min_documents: int) -> frozenset[str]:
    """The lines that at least `min_documents` of the documents have."""
    num_documents = Counter(line for each in documents for line in set(each.text.split("\n")))
    return frozenset(line for line, count in num_documents.items() if count >= min_documents)


def drop_boilerplate(documents: Sequence[Document], min_pages: int = 8) -> Step:
    """Make the step that takes from web pages every line that `min_pages` of them share."""
    boilerplate = shared_lines([each for each in documents if each.kind == "web"], min_pages)

    def step(document: Document) -> Document:
        if document.kind != "web":
            return document
        lines = [line for line in document.text.split("\n") if line not in boilerplate]
        return replace(document, text="\n".join(lines))

    return step


def is_luhn_valid(digits: str) -> bool:
    """From the right, double every second digit (minus 9 above 9); the sum must end in 0."""
    total = 0
    for index, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + index % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


EMAIL = re.compile(r"\b[\w.+-]+@[\w-]+(?:\.[\w-]+)+\b")
CARD = re.compile(r"(?<![\d.-])\d(?:[ -]?\d){12,18}(?![\d.-]*\d)")
COUNTRY = r"(?:\+\d{1,3}[ -]?)?"
AREA = r"(?:\(\d{2,4}\) ?|\d{2,4}[ -])"
PHONE = re.compile(rf"(?<![\w.+-])(?<!\d ){COUNTRY}{AREA}\d{{3,4}}[ -]\d{{4}}(?![ -]?\d)")


def personal_data(text: str) -> list[tuple[str, str]]:
    """(kind, value) of each e-mail address, card number and telephone number in a text."""
    emails = EMAIL.findall(text) if "@" in text else []
    cards = [each for each in CARD.findall(text) if is_luhn_valid(re.sub(r"\D", "", each))]
    kinds = {"email": emails, "card": cards, "phone": PHONE.findall(text)}
    return [(kind, value) for kind, values in kinds.items() for value in values]


def mask_personal_data(document: Document) -> Document:
    """Step: each value of personal data becomes the name of its kind, such as `<email>`."""
    text = document.text
    for kind, value in personal_data(text):
        text = text.replace(value, f"<{kind}>")
    return replace(document, text=text)
