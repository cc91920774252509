"""Web pages as text: their encoding, their main text, and what they say of themselves.

In: the bytes of a page. Out: a `Document` with its HTML, and from that the text of its main part.
The ideas: bytes that are valid UTF-8 are UTF-8, whatever a careless server says; and nesting is
counted before anything is parsed, because the time to parse a page grows with its depth. The tool
is resiliparse's extractor, what `html_to_text` teaches in small. Left out: scripts are not run.
"""

import codecs
import html
import re
from collections import Counter
from collections.abc import Mapping
from urllib.parse import urlsplit

from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.encoding import bytes_to_str, detect_encoding, map_encoding_to_html5

from minillm.corpus.opening import CHUNK_BYTES, Defaults, Unusable
from minillm.corpus.sources import Document

META_CHARSET = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([a-zA-Z0-9_:.-]{2,40})", re.I)
META_BYTES = 1024  # where the HTML standard wants the name to stand
REPLACEMENT = "\ufffd"
MAX_DEPTH = 512  # where a well-known browser's parser stops nesting, too
CARELESS_ENCODINGS = ("cp1252", "iso8859-1", "utf-8")
# What no text holds (the MIME Sniffing standard's binary data bytes); a damaged page has a few.
BINARY = re.compile(r"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f]")
MAX_BINARY_FRACTION = 0.01
TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9]*)|(<!--)|(-->)")
UNNESTED = frozenset(
    "area base br col embed hr img input link meta source track wbr html head body"
    " p li dt dd option optgroup tr td th thead tbody tfoot colgroup".split()
)
LANGUAGE = re.compile(r"<html\b[^>]{0,999}?\blang\s*=\s*[\"']?([a-zA-Z]{2,3})\b", re.IGNORECASE)
LINK = re.compile(r"<(?:a|link)\b([^<>]*)>", re.IGNORECASE)
SAYS_LICENCE = re.compile(r"\brel\s*=\s*[\"']?license\b", re.IGNORECASE)
COMMONS = re.compile(r"creativecommons\.org/(licenses|publicdomain)/([a-z-]+)/(\d\.\d)", re.I)
# Headers that speak of training on the page, and the name under which a page's own head says it.
PERMISSION_HEADERS = {"x-robots-tag": "robots", "tdm-reservation": "tdm-reservation"}


def depth_of(page: str) -> int:
    """How deep the elements of a page are nested at most; script, style and comments hold none."""
    num_open: Counter[str] = Counter()
    depth = deepest = 0
    inside = None
    for found in TAG.finditer(page):
        end, name, opens_comment, closes_comment = found.groups()
        name = name.lower() if name else None
        if inside is not None:
            if closes_comment and inside == "comment" or end and name == inside:
                inside = None
        elif opens_comment:
            inside = "comment"
        elif name in ("script", "style") and not end:
            inside = name
        elif name is not None and name not in UNNESTED:
            if not end:
                num_open[name] += 1
                depth += 1
                deepest = max(deepest, depth)
            elif num_open[name]:
                num_open[name] -= 1
                depth -= 1
    return deepest


# package only
def check_depth(page: str) -> None:
    """Unusable for a page that is nested too deep; one with few tags need not be counted."""
    if page.count("<") > MAX_DEPTH and (depth := depth_of(page)) > MAX_DEPTH:
        raise Unusable("HTML that is nested too deep", depth, MAX_DEPTH)


# package only
def main_text(page: str) -> str:
    """The text of a page's main part, a line a block; of the whole page where none stands out.

    A page that is nested too deep is Unusable: finding the main part would take forever.
    """
    check_depth(page)
    asked = {"preserve_formatting": True, "list_bullets": False, "alt_texts": False}
    text = extract_plain_text(page, main_content=True, comments=False, **asked)
    text = text if text.strip() else extract_plain_text(page, **asked)
    return "\n".join(line.strip() for line in text.splitlines() if line.strip())


# package only
def named_encoding(page: bytes, header_charset: str | None) -> str | None:
    """The encoding that the header names, else the `meta` tag; None if neither is known."""
    in_page = META_CHARSET.search(page[:META_BYTES])
    names = (header_charset, in_page[1].decode("ascii") if in_page else None)
    known = (map_encoding_to_html5(name, fallback_utf8=False) for name in names if name)
    return next((codecs.lookup(name).name for name in known if name), None)


# package only
def decoded_page(page: bytes, header_charset: str | None = None) -> str:
    """The text of a page's bytes: as its header says, else its `meta` tag, else its own letters.

    Names that servers give without looking do not count against bytes that are nearly all UTF-8.
    """
    encoding = named_encoding(page, header_charset)
    if encoding is None or encoding in CARELESS_ENCODINGS:
        text = page.decode("utf-8-sig", "replace")
        num_bad = text.count(REPLACEMENT)
        if not num_bad or num_bad < len(text) - len(text.encode("ascii", "ignore")) - num_bad:
            return text
        encoding = "cp1252" if encoding == "iso8859-1" else encoding or detect_encoding(page)
    return bytes_to_str(page, encoding, errors="replace", fallback_encodings=("cp1252",))


# package only
def commons_licence(text: str) -> str | None:
    """The Creative Commons licence that an address names: `…/by-sa/4.0/` → CC-BY-SA-4.0."""
    found = COMMONS.search(text)
    if found is None:
        return None
    shelf, name, version = found[1].lower(), found[2].lower(), found[3]
    if shelf == "publicdomain":
        return "CC0-1.0" if name == "zero" else "public-domain"
    return f"CC-{name.upper()}-{version}"


# package only
def page_licence(page: str) -> str | None:
    """The licence of a page that links to one with `rel="license"`; other links do not count."""
    links = (link for link in LINK.findall(page) if SAYS_LICENCE.search(link))
    return next((name for link in links if (name := commons_licence(link))), None)


# package only
def with_permissions(page: str, headers: Mapping[str, str]) -> str:
    """The page, and in front of it as `meta` tags what its headers say of being used."""
    marks = [
        f'<meta name="{PERMISSION_HEADERS[name.lower()]}" content="{html.escape(value)}">\n'
        for name, value in headers.items()
        if name.lower() in PERMISSION_HEADERS
    ]
    return "".join(marks) + page


# package only
def host_of(address: str) -> str:
    """The site of an address, or the whole of it where it names none; Unusable if it is broken."""
    try:
        return urlsplit(address).hostname or address
    except ValueError as error:
        raise Unusable("a broken address", str(error), "an address") from None


# package only
def page_document(
    page: bytes,
    name: str,
    defaults: Defaults | None,
    headers: Mapping[str, str] | None = None,
    charset: str | None = None,
    date: str | None = None,
) -> Document:
    """A page's HTML as a document, with the language and the licence that it names itself.

    Without `defaults` its host is its source. Unusable for an empty page and one nested too deep.
    """
    text = with_permissions(decoded_page(page, charset), headers or {})
    if not text.strip():
        raise Unusable("an empty page", 0, "a page")
    check_depth(text)
    spoken = LANGUAGE.search(text[:CHUNK_BYTES])
    otherwise = defaults or Defaults(source=host_of(name))
    return Document(
        id=name,
        text=text,
        source=otherwise.source,
        kind=otherwise.kind or "web",
        licence=page_licence(text) or otherwise.licence,
        language=spoken[1].lower() if spoken else otherwise.language,
        date=date or otherwise.date,
    )


# package only
def page_of_file(data: bytes, name: str, defaults: Defaults) -> Document:
    """A file that is a page by its name alone: Unusable if it is none, as a picture would be.

    Of random bytes a tenth are binary; a server's word, as in an archive, is not doubted.
    """
    page = page_document(data, name, defaults)
    fraction = len(BINARY.findall(page.text)) / len(page.text)
    if fraction > MAX_BINARY_FRACTION:
        found = f"{fraction:.1%} control characters"
        raise Unusable("binary, not a page", found, f"{MAX_BINARY_FRACTION:.0%}")
    return page
