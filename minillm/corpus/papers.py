"""Papers as text: LaTeX as authors write it, JATS as publishers store it.

In: the bytes of a source file. Out: a `Document` of kind paper: title, abstract, then paragraph by
paragraph; formulas stay as they are written. The one idea: a paper's text is what stands between
the marks, so marks are removed from the inside outwards, and what is not read aloud (figures,
tables, references) goes with its marks. Form of JATS: NISO Z39.96. Left out: macros with arguments.
"""

import re
import unicodedata
from collections.abc import Callable
from itertools import takewhile
from xml.etree import ElementTree

from minillm.corpus.markup import MAX_DEPTH, commons_licence
from minillm.corpus.opening import CHUNK_BYTES, MAX_RECORD_BYTES, Defaults, Unusable, utf8_text
from minillm.corpus.sources import Document

COMMENT = re.compile(r"(?<!\\)%[^\n]*\n?[ \t]*")
# What begins a formula and what ends it; None: the same sign that began it.
FORMULA = re.compile(r"(?<!\\)\$\$?|\\[\[(]|\\begin\{(?:equation|align|gather|multline)\*?\}")
FORMULA_END = {r"\[": r"\]", r"\(": r"\)"}
MAX_FORMULA = 4000  # characters; what is longer has lost its end
SILENT = "figure|table|tabular|thebibliography|lstlisting|verbatim|tikzpicture|algorithm"
SILENT_PART = re.compile(rf"\\begin\{{(?:{SILENT})\*?\}}")
DEFINITION = re.compile(r"\\(?:re)?newcommand\*?\{?\\([a-zA-Z]+)\}?\{([^{}\\]{0,200})\}")
HEADING = re.compile(r"\\(?:part|chapter|(?:sub)*section|paragraph)\*?\{([^{}]*)\}")
SILENT_COMMAND = re.compile(
    r"\\(?:cite\w*|ref|eqref|autoref|[cC]ref|label|input|include\w*|bibliography\w*|vspace|hspace"
    r"|url|usepackage|documentclass|thanks|date|author|maketitle)\*?"
    r"(?:\[[^\[\]]*\])*(?:\{[^{}]*\})*"
)
FOOTNOTE = re.compile(r"\\footnote\{([^{}]*)\}")
COMMAND_WITH_TEXT = re.compile(r"\\[a-zA-Z]+\*?(?:\[[^\[\]]*\])?\{([^{}]*)\}")
BORDER = re.compile(r"\\(?:begin|end)\{[^{}]*\}(?:\[[^\[\]]*\])?")
COMMAND = re.compile(r"\\[a-zA-Z]+\*?[ \t]*|\\[,;:!/ ]")
ACCENT = re.compile(r"\\(['`^\"~=.]|[cvuH](?=\{))\{?\\?([a-zA-Z])\}?")
MARK = {
    "'": "\u0301", "`": "\u0300", "^": "\u0302", '"': "\u0308", "~": "\u0303",
    "=": "\u0304", ".": "\u0307", "c": "\u0327", "v": "\u030c", "u": "\u0306", "H": "\u030b",
}  # fmt: skip
LETTERS = {r"\ss": "ß", r"\o": "ø", r"\O": "Ø", r"\ae": "æ", r"\AE": "Æ", r"\aa": "å", r"\l": "ł"}
LETTER = re.compile(r"\\(?:ss|[oO]|ae|AE|aa|l)(?![a-zA-Z])(?:\{\})?[ \t]?")
SIGNS = {"---": "—", "--": "–", "``": '"', "''": '"', "~": " ", "{": "", "}": ""}
MAX_NESTED_COMMANDS = 8
PLACE = "\x00{}\x00"

# What JATS marks but nobody reads aloud.
SILENT_ELEMENTS = frozenset(
    "ref-list table-wrap fig graphic media supplementary-material fn-group contrib-group".split()
)
BLOCK_ELEMENTS = frozenset("p title article-title sec abstract list-item disp-quote".split())


# package only
def accented(found: re.Match[str]) -> str:
    """`\\'e` → é."""
    return unicodedata.normalize("NFC", found[2] + MARK[found[1]])


# package only
def braced(text: str, command: str) -> str:
    """What stands in the braces after a command, braces in it included; nothing without it."""
    start = text.find(command + "{")
    if start < 0:
        return ""
    depth, first = 0, start + len(command)
    for place in range(first, len(text)):
        depth += (text[place] == "{") - (text[place] == "}")
        if depth == 0:
            return text[first + 1 : place]
    return ""


# package only
def replaced_parts(
    text: str, begin: re.Pattern[str], max_length: int, shown: Callable[[str], str]
) -> str:
    """The text with each part from a beginning to its end replaced by what `shown` makes of it.

    One pass: the next end of each kind is looked for once, not once for each beginning.
    """
    pieces, done, ends = [], 0, {}
    for found in begin.finditer(text):
        if found.start() < done:
            continue
        end = FORMULA_END.get(found[0], found[0].replace("begin", "end"))
        if 0 <= ends.get(end, 0) < found.end():
            ends[end] = text.find(end, found.end())
            while end == "$" and ends[end] > 0 and text[ends[end] - 1] == "\\":
                ends[end] = text.find(end, ends[end] + 1)
        stop = ends[end] + len(end)
        if ends[end] >= 0 and stop - found.start() <= max_length:
            pieces += [text[done : found.start()], shown(text[found.start() : stop])]
            done = stop
    return "".join((*pieces, text[done:]))


# package only
def without_commands(text: str) -> str:
    """LaTeX as plain text: commands go, the text in their braces stays."""
    formulas: list[str] = []

    def kept(formula: str) -> str:
        formulas.append(formula)
        stands_apart = not formula.startswith(("\\(", "$")) or formula.startswith("$$")
        return ("\n\n{}\n\n" if stands_apart else "{}").format(PLACE.format(len(formulas) - 1))

    text = replaced_parts(text, SILENT_PART, len(text), lambda part: "")
    text = replaced_parts(text, FORMULA, MAX_FORMULA, kept)
    text = LETTER.sub(lambda found: LETTERS[found[0].rstrip("{} \t")], ACCENT.sub(accented, text))
    text = BORDER.sub("\n\n", SILENT_COMMAND.sub("", text))
    text = HEADING.sub(r"\n\n\1\n\n", text).replace(r"\\", "\n").replace(r"\item", "\n\n")
    for _ in range(MAX_NESTED_COMMANDS):
        text = COMMAND_WITH_TEXT.sub(r"\1", FOOTNOTE.sub(r" (\1)", text))
    text = COMMAND.sub("", text)
    text = re.sub(r"\\([&%$#_{}])", lambda found: f"\x01{ord(found[1])}\x01", text)
    for sign, plain in SIGNS.items():
        text = text.replace(sign, plain)
    text = re.sub(r"\x01(\d+)\x01", lambda found: chr(int(found[1])), text)
    paragraphs = (" ".join(each.split()) for each in re.split(r"\n\s*\n", text))
    text = "\n\n".join(each for each in paragraphs if each)
    text = re.sub(r" +([.,;:!?)])", r"\1", text)
    return re.sub("\x00(\\d+)\x00", lambda found: " ".join(formulas[int(found[1])].split()), text)


# package only
def latex_text(source: str) -> str:
    """Title, abstract and body of a paper in LaTeX."""
    source = COMMENT.sub("", source).replace("\x00", "").replace("\x01", "")
    short = dict(DEFINITION.findall(source))
    source = DEFINITION.sub("", source)
    if short:
        named = re.compile(rf"\\({'|'.join(map(re.escape, short))})(?![a-zA-Z])(?:\{{\}})?")
        if sum(len(short[name]) for name in named.findall(source)) > MAX_RECORD_BYTES:
            raise Unusable("macros that grow too long", "a macro bomb", MAX_RECORD_BYTES)
        source = named.sub(lambda found: short[found[1]], source)
    title = braced(source, r"\title")
    body = source.replace(f"\\title{{{title}}}", "", 1)
    body = body.partition(r"\begin{document}")[2] or body
    body = body.partition(r"\end{document}")[0]
    return "\n\n".join(part for part in map(without_commands, (title, body)) if part)


# package only
def jats_root(data: bytes) -> ElementTree.Element:
    """The root of an XML file; Unusable where it is not XML, or nested deeper than any paper."""
    parser, depth, root = ElementTree.XMLPullParser(("start", "end")), 0, None
    try:
        for start in range(0, len(data), CHUNK_BYTES):
            parser.feed(data[start : start + CHUNK_BYTES])
            for event, element in parser.read_events():
                root = element if root is None else root
                depth += 1 if event == "start" else -1
                if depth > MAX_DEPTH:
                    raise Unusable("XML that is nested too deep", depth, MAX_DEPTH)
        parser.close()
    except ElementTree.ParseError as error:
        raise Unusable("not XML", str(error), "JATS") from None
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    return root


# package only
def read_aloud(element: ElementTree.Element) -> str:
    """The text of an element and all in it that is read aloud; blocks stand apart."""
    if element.tag in SILENT_ELEMENTS:
        return ""
    parts = [element.text or ""]
    for child in element:
        is_citation = child.tag == "xref" and child.get("ref-type") == "bibr"
        parts += ["" if is_citation else read_aloud(child), child.tail or ""]
    text = "".join(parts)
    return f"\n\n{text}\n\n" if element.tag in BLOCK_ELEMENTS else text


# package only
def jats_text(root: ElementTree.Element) -> str:
    """Title, abstract and body of an article."""
    about = root.find(".//article-meta")
    parts = [] if about is None else [about.find(".//article-title"), *about.iterfind("abstract")]
    parts.append(root.find("body"))
    text = "\n\n".join(read_aloud(part) for part in parts if part is not None)
    paragraphs = (" ".join(each.split()) for each in re.split(r"\n\s*\n", text))
    text = "\n\n".join(each for each in paragraphs if each)
    return re.sub(r" ?\[[\s,–-]*\]", "", text)  # what is left of `[3, 4]` without its references


# package only
def jats_date(root: ElementTree.Element) -> str | None:
    """`2026-01-31`, or as much of it as the article says."""
    published = root.find(".//article-meta/pub-date")
    if published is None:
        return None
    parts = takewhile(bool, (published.findtext(name) for name in ("year", "month", "day")))
    return "-".join(part.strip().zfill(2) for part in parts) or None


# package only
def read_latex(data: bytes, name: str, defaults: Defaults) -> Document:
    """A paper in LaTeX."""
    text = latex_text(utf8_text(data))
    if not text:
        raise Unusable("LaTeX without a text", 0, "a text")
    kind, licence = defaults.kind or "paper", defaults.licence
    return Document(
        name, text, defaults.source, kind, licence, defaults.language, date=defaults.date
    )


# package only
def read_jats(data: bytes, name: str, defaults: Defaults) -> Document:
    """A paper in JATS, with the licence, language and date that it names itself."""
    root = jats_root(data)
    if root.tag != "article":
        allowed = "article; a copy named .txt is read as the text that it is"
        raise Unusable("XML of another kind than JATS", root.tag, allowed)
    text = jats_text(root)
    if not text:
        raise Unusable("an article without a text", 0, "a text")
    marks = [
        " ".join((*each.attrib.values(), each.text or ""))
        for each in root.iterfind(".//permissions//*")
    ]
    language = root.get("{http://www.w3.org/XML/1998/namespace}lang")
    return Document(
        id=name,
        text=text,
        source=defaults.source,
        kind=defaults.kind or "paper",
        licence=commons_licence(" ".join(marks)) or defaults.licence,
        language=language.lower()[:2] if language else defaults.language,
        date=jats_date(root) or defaults.date,
    )
