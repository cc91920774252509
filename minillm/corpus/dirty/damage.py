"""What servers and editors do to letters: broken quotes, other encodings, wrong declarations.

In: text or HTML. Out: damaged text, or the bytes of a page. The one idea: one program writes bytes,
another one says what they mean, and nothing makes the two agree.
"""

from minillm.corpus.clean import decode_windows_1252

# What a page is written in, what its server says, and of a hundred pages how many are so.
ENCODINGS: tuple[tuple[str, str | None, int], ...] = (
    ("utf-8", "utf-8", 70),
    ("cp1252", "windows-1252", 7),
    ("cp1252", "utf-8", 7),
    ("utf-8", "iso-8859-1", 7),
    ("utf-16", "utf-16", 4),
    ("utf-8", None, 3),
    ("mixed", "utf-8", 2),
)


def damage(text: str) -> str:
    """Quotes become typographic, and then UTF-8 is read as Windows-1252: `“` becomes `â€œ`."""
    pieces = text.split('"')
    curly = "".join(each + "“”"[index % 2] for index, each in enumerate(pieces[:-1])) + pieces[-1]
    return decode_windows_1252(curly.encode())


def encoded(html: str, encoding: str) -> bytes:
    """The bytes of a page; letters that an encoding does not have become `&#8722;` and the like.

    `mixed` pastes from two editors: every other word is UTF-8, the rest is Windows-1252.
    """
    if encoding == "utf-16":
        return b"\xff\xfe" + html.encode("utf-16-le")
    if encoding != "mixed":
        return html.encode(encoding, "xmlcharrefreplace")
    words = html.split(" ")
    return b" ".join(
        word.encode(("utf-8", "cp1252")[index % 2], "xmlcharrefreplace")
        for index, word in enumerate(words)
    )
