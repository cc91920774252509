"""Pages become text, characters are repaired, boilerplate goes: known answers and decoys."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minillm.corpus.clean import (
    decode_windows_1252,
    drop_boilerplate,
    html_to_text,
    line_key,
    page_to_text,
    repair_mojibake,
    repair_text,
    shared_lines,
)
from minillm.corpus.sources import Document

FIXTURES = Path(__file__).resolve().parents[2] / "data" / "fixtures"


def document(text: str, kind: str = "web", identity: str = "d") -> Document:
    return Document(identity, text, "test", kind, "CC0-1.0", "en")


def test_a_page_leaves_its_text_and_not_its_menu():
    page = (FIXTURES / "village_page.html").read_text(encoding="utf-8")
    text = (FIXTURES / "village_page.txt").read_text(encoding="utf-8")
    assert html_to_text(page) + "\n" == text


def test_link_density_decides_which_blocks_stay():
    half = "<p>abcd<a>efgh</a></p>"
    more = "<p>abc<a>efgh</a></p>"
    assert html_to_text(half) == "abcdefgh"
    assert html_to_text(more) == ""


@pytest.mark.parametrize("page", ["", "   ", "<p>", "</p></a></script>", "<script>x", "<a>b"])
def test_broken_and_empty_pages_have_no_text(page):
    assert html_to_text(page) == ""


def test_a_head_without_an_end_hides_its_title_and_script_alone():
    head = "<html><head><title>T</title><style>b {}</style><script>x</script>"
    assert html_to_text(f"{head}<body><p>Text.</p></body></html>") == "Text."
    assert html_to_text(f"{head}</head><body><p>Text.</p></body></html>") == "Text."


def test_deeply_nested_page_is_read():
    assert html_to_text("<div>" * 20_000 + "deep" + "</div>" * 20_000) == "deep"


def test_only_web_pages_are_taken_for_html():
    assert page_to_text(document("a <b> c", "code")).text == "a <b> c"
    assert page_to_text(document("a <b> c", "web")).text == "a c"


def test_mojibake_by_hand():
    assert "é".encode() == b"\xc3\xa9"
    assert decode_windows_1252(b"\xc3\xa9") == "Ã©"
    assert repair_mojibake("cafÃ© â€œNoâ€\x9d âˆ’4 Â°C ðŸ™‚") == "café “No” −4 °C 🙂"


@given(st.text(st.characters(min_codepoint=0x80, exclude_categories=("Cs",)), min_size=1))
def test_every_damaged_text_is_repaired(text):
    assert repair_mojibake(decode_windows_1252(text.encode())) == text


def test_text_that_is_not_damaged_stays():
    for text in ("naïve café", "Ünïcödé ¡sí!", "Ã alone", "5 × 3 ÷ 2", "©2026 Â", "日本語"):
        assert repair_mojibake(text) == text


def test_overlong_bytes_are_no_utf8_and_stay():
    assert repair_mojibake(decode_windows_1252(b"\xe0\x80\x80")) == decode_windows_1252(
        b"\xe0\x80\x80"
    )


def test_one_way_to_write_each_thing():
    found = document("\r\n“cafe\u0301”\u00a0it\u2019s \t\r\n\x07ok\u200b \n\n", "book")
    assert repair_text(found).text == "\"café\" it's\nok"


def test_boilerplate_is_what_many_pages_share():
    letters = "abcdefgh"
    pages = [document(f"cookies\ntext {letter}", identity=letter) for letter in letters]
    assert shared_lines(pages, 8) == {"cookies"}
    assert shared_lines(pages, 9) == frozenset()
    step = drop_boilerplate(pages, min_pages=8)
    assert [step(page).text for page in pages] == [f"text {letter}" for letter in letters]


def test_lines_that_differ_in_their_numbers_are_one_line():
    assert line_key("Page 7 of 120, 3 May 2026") == line_key("Page 10 of 9, 31 May 1999")
    assert line_key("Page 7") != line_key("Pages 7")
    pages = [document(f"{count} comments\n{sign}", identity=sign) for count, sign in
             enumerate("abcdefgh")]  # fmt: skip
    assert drop_boilerplate(pages)(pages[3]).text == "d"


def test_a_line_that_one_page_repeats_is_not_shared():
    assert shared_lines([document("la\nla\nla")], 2) == frozenset()


def test_boilerplate_of_the_web_is_not_taken_from_books():
    pages = [document("Amen", identity=str(number)) for number in range(9)]
    book = document("Amen", "book")
    assert drop_boilerplate([*pages, book])(book).text == "Amen"
