"""Papers and letters: what is read aloud stays, and what they say of themselves is kept."""

import time
from email.message import EmailMessage
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minillm.corpus.mail import mailbox_messages, read_message
from minillm.corpus.opening import Defaults, Unusable
from minillm.corpus.papers import (
    jats_date,
    jats_root,
    latex_text,
    read_jats,
    read_latex,
    without_commands,
)
from minillm.corpus.readers import read_file
from minillm.corpus.sources import Document, Rejection

HERE = Defaults(source="here")

LATEX = r"""\documentclass[11pt]{article} % 100% of this goes
\usepackage{amsmath}
\newcommand{\LM}{language model}
\title{On \emph{small} {\LM}s}
\author{Made Up\thanks{Nowhere}}
\begin{document}
\maketitle
\begin{abstract}
We train a \LM{} on 5\% of the text~\cite{x,y}.
It costs \$3 --- or less.
\end{abstract}
\section{Introduction}\label{sec:intro}
As \textbf{shown \emph{here}}\footnote{And there.}, $a_{i} \le b$ holds.
% a line that nobody reads
\begin{figure}[t]\caption{none}\end{figure}
\begin{itemize}
\item one
\item two, see \url{https://a.example} % gone
\end{itemize}
\begin{equation}
E = mc^2
\end{equation}
The end.
\begin{thebibliography}{9}\bibitem{x} X.\end{thebibliography}
\end{document}
not this
"""
LATEX_TEXT = r"""On small language models

We train a language model on 5% of the text. It costs $3 — or less.

Introduction

As shown here (And there.), $a_{i} \le b$ holds.

one

two, see

\begin{equation} E = mc^2 \end{equation}

The end."""


def test_a_paper_in_latex_is_its_title_abstract_and_paragraphs():
    assert latex_text(LATEX) == LATEX_TEXT


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (r"Caf\'e, na\"{\i}ve, Erd\H{o}s", "Café, naïve, Erdős"),
        (r"gar\c{c}on, Stra\ss e, \O re", "garçon, Straße, Øre"),
        (r"\textit{a \textbf{b \emph{c}}} d", "a b c d"),
        (r"a~b -- c, ``quoted''", 'a b – c, "quoted"'),
        (r"50\% \& \$5 \#1 a\_b \{x\}", "50% & $5 #1 a_b {x}"),
        (r"\(x\) and $$y$$", "\\(x\\) and\n\n$$y$$"),
        (r"one\\two", "one two"),
        ("plain words", "plain words"),
        ("", ""),
    ],
)  # fmt: skip
def test_commands_go_and_their_words_stay(source, text):
    assert without_commands(source) == text


def test_formulas_are_kept_to_the_letter():
    formula = r"$\frac{\partial L}{\partial w_{ij}} = \sum_k {a}_k$"
    assert formula in latex_text(rf"\begin{{document}}So {formula} holds.\end{{document}}")


@given(st.text("ab \\{}$%~[]\n&", max_size=60))
def test_no_source_is_too_broken_to_read(source):
    assert isinstance(latex_text(source), str)


HOSTILE = (
    r"\[", r"\begin{figure}", r"\begin{equation}", "$", "$$", r"\(", r"\cite[", r"\a[", r"\a{", "{",
    r"\footnote{", r"\title{", r"\begin{a}[", r"\'", "%", r"\newcommand{\a}{", "\n\n", r"\a{}",
)  # fmt: skip


@pytest.mark.parametrize("piece", HOSTILE)
def test_no_source_takes_more_time_than_its_length_deserves(piece):
    began = time.process_time()
    latex_text(piece * (300_000 // len(piece)))
    assert time.process_time() - began < 4  # quadratic: minutes


def test_macros_that_grow_without_measure_are_unusable():
    bomb = r"\newcommand{\a}{" + "b" * 190 + "}" + r"\a " * 100_000
    with pytest.raises(Unusable, match="macros that grow too long"):
        latex_text(bomb)


def test_latex_without_words_is_unusable():
    with pytest.raises(Unusable, match="without a text"):
        read_latex(rb"\documentclass{article}\begin{document}\end{document}", "x", HERE)


JATS = """<?xml version="1.0"?><article xml:lang="en-GB" xmlns:xlink="http://www.w3.org/1999/xlink">
<front><article-meta>
<title-group><article-title>On <italic>small</italic> models</article-title></title-group>
<contrib-group><contrib><name>Nobody</name></contrib></contrib-group>
<pub-date><day>3</day><month>2</month><year>2026</year></pub-date>
<permissions><license xlink:href="https://creativecommons.org/licenses/by/4.0/"/></permissions>
<abstract><p>We train &amp; test.</p></abstract></article-meta></front>
<body><sec><title>Intro</title><p>As shown [<xref ref-type="bibr">1</xref>,
<xref ref-type="bibr">2</xref>] here, see <xref ref-type="fig">Fig. 1</xref>.</p>
<fig><caption><p>no</p></caption></fig><table-wrap><table/></table-wrap></sec>
<sec><title>End</title><p>Done.</p></sec></body>
<back><ref-list><ref>Someone</ref></ref-list></back></article>""".encode()


def test_an_article_in_jats_says_its_licence_language_and_date():
    found = read_jats(JATS, "x", HERE)
    assert found.text == (
        "On small models\n\nWe train & test.\n\nIntro\n\nAs shown here, see Fig. 1.\n\nEnd\n\nDone."
    )
    assert (found.kind, found.licence, found.language, found.date) == (
        "paper", "CC-BY-4.0", "en", "2026-02-03",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("parts", "date"),
    [
        ("<day>3</day><month>1</month><year>2026</year>", "2026-01-03"),
        ("<month>11</month><year>2026</year>", "2026-11"),
        ("<day>31</day><year>2026</year>", "2026"),
        ("<season>Spring</season>", None),
    ],
)
def test_a_date_says_no_more_than_the_article(parts, date):
    about = f"<article-meta><pub-date>{parts}</pub-date></article-meta>"
    assert jats_date(jats_root(f"<article>{about}</article>".encode())) == date


def test_a_namespace_changes_nothing():
    named = JATS.replace(b"<article xml", b'<article xmlns="https://j.example" xml')
    assert read_jats(named, "x", HERE) == read_jats(JATS, "x", HERE)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"<article><body><p>cut", "not XML"),
        (b"no xml", "not XML"),
        (b"", "not XML"),
        (b"<html><p>x</p></html>", "XML of another kind than JATS"),
        (b"<article><front/></article>", "an article without a text"),
        (b"<article>" + b"<sec>" * 10_000 + b"</sec>" * 10_000 + b"</article>", "nested too deep"),
    ],
)
def test_xml_that_is_no_article_is_unusable(data, reason):
    with pytest.raises(Unusable, match=reason):
        read_jats(data, "x", HERE)


def test_an_entity_bomb_does_not_explode():
    levels = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 12))
    bomb = f'<!DOCTYPE article [<!ENTITY a0 "ha">{levels}]><article><body>&a11;</body></article>'
    with pytest.raises(Unusable, match="not XML"):
        read_jats(bomb.encode(), "x", HERE)


# E-mail


def letter(text: str = "Dear B,\n\nFrom here: é.\n", html: str | None = None) -> EmailMessage:
    message = EmailMessage()
    message["Subject"] = "A größer subject"
    message["From"] = "Ann Made-Up <ann@a.example>"
    message["Date"] = "Mon, 02 Feb 2026 10:00:00 +0100"
    message.set_content(text)
    if html is not None:
        message.add_alternative(html, subtype="html")
    return message


def test_a_letter_is_its_subject_and_body_without_addresses():
    found = read_message(letter().as_bytes(), "x", HERE)
    assert found.text == "A größer subject\n\nDear B,\n\nFrom here: é."
    assert (found.kind, found.date) == ("mail", "2026-02-02T10:00:00+01:00")
    assert "a.example" not in found.text


def test_plain_text_is_read_before_html_and_html_where_there_is_nothing_else():
    both = letter(html="<p>Other</p>")
    assert "Dear B" in read_message(both.as_bytes(), "x", HERE).text
    only = EmailMessage()
    only["Subject"] = "s"
    only.set_content("<html><body><p>Hello <b>you</b></p></body></html>", subtype="html")
    assert read_message(only.as_bytes(), "x", HERE).text == "s\n\nHello you"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"no headers here", "it begins without headers"),
        (b"", "it begins without headers"),
        (b"Content-Type: text/plain; charset=nope\n\nabc", "cannot be decoded"),
        (b"Content-Type: image/png\n\nabc", "a message without text"),
        (b"X-Empty: yes\n\n", "an empty message"),
    ],
)
def test_a_letter_that_cannot_be_read_is_unusable(data, reason):
    with pytest.raises(Unusable, match=reason):
        read_message(data, "x", HERE)


def test_a_letter_of_parts_in_parts_without_end_is_unusable():
    parts = "".join(
        f'Content-Type: multipart/mixed; boundary="b{n}"\n\n--b{n}\n' for n in range(3000)
    )
    with pytest.raises(Unusable, match="nested too deep"):
        read_message(f"Subject: x\n{parts}\n\nend".encode(), "x", HERE)


def mailbox(*letters: bytes) -> bytes:
    quoted = (each.replace(b"\nFrom ", b"\n>From ") for each in letters)
    return b"".join(b"From x@a.example Mon Feb  2\n" + each + b"\n\n" for each in quoted)


def test_a_mailbox_gives_its_letters_and_passes_over_what_is_none(tmp_path):
    path = tmp_path / "a.mbox"
    one, two = letter("One\n\nFrom home").as_bytes(), letter("Two").as_bytes()
    path.write_bytes(mailbox(one, b"rubbish", two))
    found = list(read_file(path, HERE))
    assert [type(each) for each in found] == [Document, Rejection, Document]
    assert found[0].text.endswith("One\n\nFrom home") and found[2].id == "here/a.mbox#3"
    assert found[1].reason == "a.mbox, record 2: no message: it begins without headers"


def test_a_letter_that_is_too_long_costs_itself_alone(tmp_path):
    long = b"Subject: b\n\n" + b"line\n" * 100
    path = tmp_path / "a.mbox"
    path.write_bytes(mailbox(b"Subject: a\n\none", long, b"Subject: c\n\nthree"))
    with open(path, "rb") as stream:
        found = list(mailbox_messages(stream, max_bytes=200))
    assert [isinstance(each, Unusable) for each in found] == [False, True, False]
    assert found[0].startswith(b"Subject: a\n\none") and b"three" in found[2]


def test_a_file_that_is_no_mailbox_is_a_rejection(tmp_path):
    path: Path = tmp_path / "a.mbox"
    path.write_bytes(b"no letters\nat all\n")
    (found,) = read_file(path, HERE)
    assert found.reason == "a.mbox, record 1: no mailbox: no message begins in it"
