"""Readers of wheels that hold the same kind of text in many languages: messages and chat.

In: a wheel and what the source list says of it. Out: (name, text) of each document, one message or
turn a line. The idea: programs are translated by people into dozens of languages, and the
catalogues of translations (gettext's `.po` files) ship with them. Placeholders and markup go; what
is not yet translated is left out. No YAML library: a conversation is a list of lists of lines.
"""

import re
from collections.abc import Iterator
from zipfile import ZipFile

STRINGS = r'((?:\s+"(?:[^"\\\n]|\\.)*")+)'
ENTRY = re.compile(rf"^msgid{STRINGS}\s+msgstr{STRINGS}", re.M)
QUOTED = re.compile(r'"((?:[^"\\\n]|\\.)*)"')
PLACEHOLDER = re.compile(r"%\(\w+\)[a-z]|%[a-z]|\{[^}]*\}|<[^>]+>|&\w+;|\\[a-z]")
TURN = re.compile(r"^\s*(?:- )?\s*- +(.+)$", re.M)
SOURCE_LANGUAGE = "en"


# package only
def plain_message(quoted: str) -> str:
    """The text of a catalogue's strings, without placeholders, markup and escapes."""
    joined = PLACEHOLDER.sub(" ", "".join(QUOTED.findall(quoted)))
    return " ".join(joined.replace('\\"', '"').split())


# package only
def messages(catalogue: str, is_source: bool) -> Iterator[str]:
    """The translations of a catalogue, or what was translated; neither doubtful nor equal ones."""
    for block in re.split(r"\n\s*\n", catalogue):
        found = ENTRY.search(block)
        if found and "#, fuzzy" not in block:
            original, translation = map(plain_message, found.groups())
            chosen = original if is_source else translation
            # the head of a catalogue translates nothing: it names people, who are nobody's business
            if original and chosen and (is_source or original != translation):
                yield chosen


# package only
def read_messages(archive: ZipFile, path: str) -> Iterator[tuple[str, str]]:
    """(part of the program, its messages, one a line) in the language of the locale `path`."""
    end = f"/locale/{path}/LC_MESSAGES/django.po"
    for name in sorted(archive.namelist()):
        if name.endswith(end):
            catalogue = archive.read(name).decode("utf-8")
            said = list(messages(catalogue, path == SOURCE_LANGUAGE))
            if said:
                yield name.removesuffix(end), "\n".join(said) + "\n"


# package only
def read_chat(archive: ZipFile, path: str) -> Iterator[tuple[str, str]]:
    """(topic, its turns, one a line) of each file of conversations in the folder `path`."""
    for name in sorted(archive.namelist()):
        if name.startswith(path) and name.endswith(".yml"):
            turns = TURN.findall(archive.read(name).decode("utf-8"))
            said = [turn.strip().strip("'\"").strip() for turn in turns]
            # the first lists are of categories: single words
            spoken = [turn for turn in said if " " in turn]
            yield name.removeprefix(path).removesuffix(".yml"), "\n".join(spoken) + "\n"
