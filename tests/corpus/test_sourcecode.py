"""Code as documents: licences, generated files, and secrets that are made up here."""

import random
import string
import sysconfig
import time
from pathlib import Path

import pytest

from minillm.corpus import sourcecode
from minillm.corpus.opening import Defaults
from minillm.corpus.readers import read_file
from minillm.corpus.sourcecode import (
    entropy_bits,
    generated_by,
    licence_of_code,
    read_code,
    secrets_in,
    without_secrets,
    written_by_hand,
)
from minillm.corpus.sources import Document, Rejection

HERE = Defaults(source="here", licence="unknown", language="en")
ROOT = Path(__file__).resolve().parent.parent.parent
LETTERS = string.ascii_letters + string.digits


def drawn(chance: random.Random, length: int, signs: str = LETTERS) -> str:
    """Random signs with at least one letter and one digit."""
    return "".join(chance.choices(signs, k=length - 2)) + "a7"


def planted(chance: random.Random) -> list[tuple[str, str]]:
    """(kind, a line that gives a secret of this kind away); no line is a secret of anybody."""
    upper = string.ascii_uppercase + string.digits
    key = drawn(chance, 64)
    return [
        ("private key", "-----BEGIN RSA " + f"PRIVATE KEY-----\n{key}\n"),
        ("cloud access key", f'aws = "AK{"IA"}{"".join(chance.choices(upper, k=16))}"'),
        ("code host token", f"git clone https://gh{'p'}_{drawn(chance, 36)}@host"),
        ("chat token", f"bot('xox{'b'}-{drawn(chance, 24)}')"),
        ("cloud API key", f"AI{'za'}{drawn(chance, 35)}"),
        ("payment key", f"sk_{'live'}_{drawn(chance, 24)}"),
        ("model API key", f"call('sk-proj-{drawn(chance, 40)}')"),
        ("signed token", f"'ey{'J'}{drawn(chance, 20)}.ey{'J'}{drawn(chance, 30)}.{key}'"),
        ("password in an address", f"postgres://admin:{drawn(chance, 12)}@db.local/x"),
        ("assigned secret", f'password = "{drawn(chance, 16)}"'),
        ("assigned secret", f"API_KEY={drawn(chance, 32)}"),
        ("assigned secret", f'"clientSecret": "{drawn(chance, 24)}",'),
        ("assigned secret", f"apiKey: '{drawn(chance, 24)}'"),
    ]  # fmt: skip


HARMLESS = (
    "token = tokenizer.encode(text)", "password = getpass()", 'API_KEY = os.environ["API_KEY"]',
    "api_key: your_api_key_goes_here1", 'password = "changeme123456"', "token = logits.argmax()",
    'secret = "this is a sentence, no secret 1"', 'SECRET_NAME = "SECRET"', "tokens = 100000000000",
    "https://user:{password}@host/x", "sha256 = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b'",
    'token = "aaaaaaaaaaaaaaaaaaaaaa1"', "if token == 'end_of_text':", "-----BEGIN PUBLIC KEY-----",
    "the text '-----BEGIN RSA PRIVATE KEY-----' is a mark", f"task-{'1234567890' * 4}",
)  # fmt: skip


def test_every_planted_secret_is_found_with_its_kind_and_line():
    chance = random.Random(0)
    for _ in range(40):
        for kind, line in planted(chance):
            found = secrets_in(f"first line\nsecond\n{line}\nlast line\n")
            assert kind in [name for name, _ in found], line
            assert {number for _, number in found} == {3}


@pytest.mark.parametrize("line", HARMLESS)
def test_what_only_looks_like_a_secret_is_none(line):
    assert secrets_in(f"first\n{line}\n") == []


def test_the_standard_library_gives_hardly_anything_away():
    files = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))
    texts = [path.read_text(encoding="utf-8", errors="replace") for path in files]
    found = [path.name for path, text in zip(files, texts, strict=True) if secrets_in(text)]
    assert len(files) > 150 and len(found) <= 1, found


def test_without_the_entropy_harmless_lines_are_seen_to_be_taken(monkeypatch):
    monkeypatch.setattr(sourcecode, "is_random", lambda value: True)
    taken = {line for line in HARMLESS if secrets_in(line)}
    assert taken == {'password = "changeme123456"', 'token = "aaaaaaaaaaaaaaaaaaaaaa1"'}


@pytest.mark.parametrize(
    "piece", ["sk-", "eyJ", "eyJ" + "a" * 90, "://a:", "-----BEGIN ", "password=", 'token="', "gh"]
)
def test_no_file_takes_more_time_than_its_length_deserves(piece):
    began = time.process_time()
    secrets_in(piece * (1_000_000 // len(piece)))
    assert time.process_time() - began < 5


def test_a_rejection_names_the_secret_but_does_not_repeat_it():
    chance = random.Random(1)
    for kind, line in planted(chance):
        document = Document("x", f"a\n{line}\n", "s", "code", "MIT", "en")
        rejection = without_secrets(document)
        assert isinstance(rejection, Rejection) and rejection.step == "secret"
        assert rejection.reason.endswith(" in line 2")
        secret = max(line.replace("'", '"').split('"'), key=len)
        assert secret not in str(rejection) or len(secret) < 12


@pytest.mark.parametrize(("text", "bits"), [("", 0), ("aaaa", 0), ("abab", 1), ("abcd", 2)])
def test_entropy_by_hand(text, bits):
    assert entropy_bits(text) == pytest.approx(bits)


@pytest.mark.parametrize(
    ("head", "licence"),
    [
        ("# SPDX-License-Identifier: Apache-2.0", "Apache-2.0"),
        ("/* SPDX-License-Identifier: MIT OR Apache-2.0 */", "MIT OR Apache-2.0"),
        ("# Permission is hereby granted, free of\n# charge, to any person", "MIT"),
        (" * Licensed under the Apache License,\n * Version 2.0 (the", "Apache-2.0"),
        ("// This program is under the GNU General\n// Public License", "GPL-3.0"),
        ("// GNU Lesser General Public License", "LGPL-3.0"),
        ("# Redistribution and use in source and binary forms", "BSD-2-Clause"),
        ("Redistribution and use in source and binary forms\nNeither the name of", "BSD-3-Clause"),
        ("import os", None),
        ("\n" * 4000 + "# SPDX-License-Identifier: MIT", None),
    ],
)
def test_the_licence_is_in_the_first_lines(head, licence):
    assert licence_of_code(head + "\nx = 1\n") == licence
    assert read_code((head + "\nx = 1\n").encode(), "x", HERE).licence == (licence or "unknown")


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("// Code generated by protoc-gen-go. DO NOT EDIT.\npackage x", "Code generated by"),
        ("# @generated\nx = 1", "@generated"),
        ("/* Do not modify */\nint x;", "Do not modify"),
        ("var a=" + "b+" * 2000 + "c", "a line of 4,007 characters"),
        (f"x = [\n{('1, ' * 50 + chr(10)) * 20}]\n", "characters a line"),
        ("def f():\n    return 1\n", None),
        ("x = 1\n" * 30 + "# do not edit\n", None),
    ],
)
def test_what_a_program_wrote_is_seen(text, part):
    reason = generated_by(text)
    assert reason is None if part is None else part in reason
    document = Document("x", text, "s", "code", "MIT", "en")
    assert isinstance(written_by_hand(document), Document if part is None else Rejection)


def test_our_own_code_is_written_by_hand_and_gives_nothing_away():
    for path in sorted((ROOT / "minillm").rglob("*.py")):
        (found,) = read_file(path, HERE)
        assert isinstance(found, Document) and found.kind == "code", found


def test_files_of_code_become_rejections_where_they_should(tmp_path):
    (tmp_path / "a.js").write_text("x=" + "1+" * 3000)
    (tmp_path / "b.env").write_text(planted(random.Random(2))[10][1])
    (rejected,) = read_file(tmp_path / "a.js", HERE)
    assert rejected.step == "generated"
    (rejected,) = read_file(tmp_path / "b.env", HERE)
    assert (rejected.step, rejected.reason) == ("secret", "assigned secret in line 1")
    assert (rejected.value, rejected.limit) == ("1 secret", 0)


def test_many_secrets_are_named_by_their_lines_in_time_that_grows_with_the_text():
    text = 'password = "a8f3k2l9d0s7"\n' * 40_000
    began_s = time.process_time()
    found = secrets_in(text)
    # measured 0.3 s; with all lines counted again for each it would be 12 s
    assert time.process_time() - began_s < 5
    assert found == [("assigned secret", number) for number in range(1, 40_001)]
