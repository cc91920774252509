"""Pages become text, characters are repaired, personal data is masked: known answers and decoys."""

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minillm.corpus import clean
from minillm.corpus.clean import (
    decode_windows_1252,
    drop_boilerplate,
    html_to_text,
    is_luhn_valid,
    mask_personal_data,
    page_to_text,
    personal_data,
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
    pages = [document(f"cookies\ntext {number}", identity=str(number)) for number in range(8)]
    assert shared_lines(pages, 8) == {"cookies"}
    assert shared_lines(pages, 9) == frozenset()
    step = drop_boilerplate(pages, min_pages=8)
    assert [step(page).text for page in pages] == [f"text {number}" for number in range(8)]


def test_a_line_that_one_page_repeats_is_not_shared():
    assert shared_lines([document("la\nla\nla")], 2) == frozenset()


def test_boilerplate_of_the_web_is_not_taken_from_books():
    pages = [document("Amen", identity=str(number)) for number in range(9)]
    book = document("Amen", "book")
    assert drop_boilerplate([*pages, book])(book).text == "Amen"


@pytest.mark.parametrize(
    ("digits", "valid"),
    [("0", True), ("18", True), ("19", False), ("79927398713", True), ("79927398710", False)],
)
def test_luhn_by_hand(digits, valid):
    assert is_luhn_valid(digits) is valid


@given(st.text("0123456789", min_size=1, max_size=18))
def test_exactly_one_check_digit_fits(digits):
    assert sum(is_luhn_valid(digits + last) for last in "0123456789") == 1


@given(st.text("0123456789", min_size=2, max_size=18), st.data())
def test_one_wrong_digit_is_always_noticed(digits, data):
    digits += next(last for last in "0123456789" if is_luhn_valid(digits + last))
    place = data.draw(st.integers(0, len(digits) - 1))
    wrong = data.draw(st.sampled_from([d for d in "0123456789" if d != digits[place]]))
    assert not is_luhn_valid(digits[:place] + wrong + digits[place + 1 :])


def check_personal_data() -> None:
    text = "pat.1@example.org, (212) 555-0143, +44 20 7946 0143, 0431 1998 2749 0946."
    assert personal_data(text) == [
        ("email", "pat.1@example.org"),
        ("card", "0431 1998 2749 0946"),
        ("phone", "(212) 555-0143"),
        ("phone", "+44 20 7946 0143"),
    ]
    for decoy in (
        "in 1914-1918 and 1939-1945", "0431 1998 2749 0947", "3.14159265358979", "a @ b", "2001",
        "pages 1200-1300", "1 234 567 people", "12:30", "version 1.2.3.4", "@home", "9780306406157",
    ):  # fmt: skip
        assert personal_data(decoy) == [], decoy


def test_personal_data_is_found_and_decoys_are_not():
    check_personal_data()


def test_without_the_check_digit_decoys_are_masked(monkeypatch):
    monkeypatch.setattr(clean, "is_luhn_valid", lambda digits: True)
    with pytest.raises(AssertionError):
        check_personal_data()


def test_masks_name_the_kind():
    text = "Write to pat.1@example.org or pat.1@example.org."
    assert mask_personal_data(document(text)).text == "Write to <email> or <email>."


def test_a_tenth_of_random_numbers_passes_luhn():
    rng = random.Random(0)
    count, number = 10_000, 16
    passed = sum(
        is_luhn_valid("".join(rng.choice("0123456789") for _ in range(number)))
        for _ in range(count)
    )
    assert abs(passed - count / 10) < 5 * (count * 0.1 * 0.9) ** 0.5
