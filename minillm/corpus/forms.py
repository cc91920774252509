"""What bytes are, where they are not the UTF-8 text that they should be: a known form, or a guess.

In: the beginning of a file. Out: words on what it is, and what helps. The one idea: whoever gives a
picture is not helped by advice on encodings, so the first bytes are asked before any is given. Left
out: forms without a mark of their own.
"""

import re
from pathlib import Path

ADDRESS = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+:/")
PACKED = "packed with {0}; give its name the ending .{0}"
PDF = re.compile(rb"%PDF-\d")  # and not the comment `%PDF-related macros`
# The first bytes of forms that hold no plain text.
MARKS = {
    b"\x89PNG": "PNG", b"\xff\xd8\xff": "JPEG", b"GIF8": "GIF",
    b"II*\0": "TIFF", b"MM\0*": "TIFF", b"RIFF": "RIFF (sound or pictures)", b"OggS": "Ogg",
    b"ID3": "MP3", b"fLaC": "FLAC", b"\xd0\xcf\x11\xe0": "an old office document",
    b"PK\x03\x04": "zip, as office documents and e-books are too", b"7z\xbc\xaf": "7z",
    b"Rar!": "RAR", b"\x7fELF": "a program", b"MZ": "a program", b"SQLite format 3": "SQLite",
    b"PAR1": "Parquet; give its name the ending .parquet", b"\x93NUMPY": "NumPy",
    b"\x89HDF": "HDF5", b"\x1f\x8b": PACKED.format("gz"), b"BZh": PACKED.format("bz2"),
    b"\xfd7zXZ": PACKED.format("xz"), b"\x28\xb5\x2f\xfd": PACKED.format("zst"),
}  # fmt: skip
# The longer mark first: it begins with the shorter one.
ENCODING_MARKS = {
    b"\xff\xfe\0\0": "UTF-32", b"\0\0\xfe\xff": "UTF-32", b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}  # fmt: skip
NO_READER = "no reader for this form"


# package only
def why_no_file(path: Path) -> str:
    """Why there is no file at a path that is no folder, and what helps."""
    if path.exists():
        return "not a regular file; write what it gives into one"
    is_address = ADDRESS.match(str(path))
    remedy = "only files are taken: fetch it first" if is_address else "check the path"
    return f"there is no such file; {remedy}"


# package only
def binary_form(data: bytes) -> str | None:
    """The form of bytes that are no text, by their first ones; None if it is not known."""
    if is_pdf(data):
        return "PDF"
    return next((name for mark, name in MARKS.items() if data.startswith(mark)), None)


# package only
def is_pdf(data: bytes) -> bool:
    """Whether this is a PDF, which may be UTF-8 throughout and still is no text."""
    return PDF.match(data) is not None


# package only
def conversion(data: bytes) -> str:
    """What makes UTF-8 of bytes that are none, as far as a byte order mark or NULs tell that."""
    for mark, encoding in ENCODING_MARKS.items():
        if data.startswith(mark):
            return f"from {encoding}: iconv -f {encoding} -t UTF-8"
    if b"\0" in data:
        return "its NUL bytes say that this is binary"
    return "from Latin-1, for example: iconv -f LATIN1 -t UTF-8"
