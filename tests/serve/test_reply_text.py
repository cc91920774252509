"""Pieces joined are the reply; nothing is sent that a stop string takes back; no half character."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minillm.serve.reply_text import ReplyText, first_stop, num_held_back


def sent(tokens: list[bytes], stops: tuple[str, ...] = ()) -> tuple[list[str], bool]:
    text = ReplyText(stops)
    pieces = []
    for index, token in enumerate(tokens):
        pieces.append(text.add(token, index == len(tokens) - 1))
        if text.is_stopped:
            break
    assert "".join(pieces) == text.sent
    return pieces, text.is_stopped


def test_by_hand_a_stop_string_over_three_tokens() -> None:
    pieces, is_stopped = sent([b"a ball", b".\n", b"\nOn", b"ce"], ("\n\nOnce",))
    assert pieces == ["a ball", ".", "", ""] and is_stopped


def test_what_was_held_back_for_nothing_is_sent() -> None:
    assert sent([b"EN", b"A", b"EN"], ("END",)) == (["", "ENA", "EN"], False)


def test_text_after_the_stop_string_in_the_same_token_is_dropped() -> None:
    assert sent([b"yes. STOP no"], ("STOP",)) == (["yes. "], True)


def test_the_first_of_several_stop_strings_counts() -> None:
    assert sent([b"one two three"], ("three", "two")) == (["one "], True)
    assert first_stop("abc", ("c", "b")) == 1 and first_stop("abc", ()) is None


def test_half_a_character_waits_and_a_broken_one_is_shown_as_one() -> None:
    balloon = "🎈".encode()
    assert sent([balloon[:2], balloon[2:], b"!"]) == (["", "🎈", "!"], False)
    assert sent([b"a", balloon[:2]]) == (["a", "�"], False)


def test_a_turn_begins_after_its_white_space_and_a_text_does_not() -> None:
    tokens = (b" ", b"\n ", b" Ann", b" has")
    turn, text = ReplyText(is_turn=True), ReplyText()
    assert [turn.add(token) for token in tokens] == ["", "", "Ann", " has"]
    assert [text.add(token) for token in tokens] == [" ", "\n ", " Ann", " has"]


@pytest.mark.parametrize(
    ("text", "stops", "expected"),
    [("", ("ab",), 0), ("xa", ("ab",), 1), ("ab", ("abc", "b!"), 2), ("aaa", ("aaab",), 3),
     ("b", ("ab",), 0), ("x", (), 0), ("x", ("x",), 0)],
)  # fmt: skip
def test_as_little_as_possible_is_held_back(
    text: str, stops: tuple[str, ...], expected: int
) -> None:
    assert num_held_back(text, stops) == expected


@given(
    st.text("abé🎈", max_size=20),
    st.lists(st.text("abé", min_size=1, max_size=4), max_size=3),
    st.integers(1, 5),
)
def test_however_a_text_is_cut_the_reply_ends_before_a_stop_string(
    text: str, stops: list[str], size: int
) -> None:
    data = text.encode()
    tokens = [data[at : at + size] for at in range(0, len(data), size)] or [b""]
    pieces, is_stopped = sent(tokens, tuple(stops))
    joined = "".join(pieces)
    assert text.startswith(joined) and is_stopped == any(stop in text for stop in stops)
    assert not any(stop in joined for stop in stops)
    if is_stopped:
        assert any(text.startswith(stop, len(joined)) for stop in stops)
    else:
        assert joined == text


@given(st.text("ab", max_size=12), st.text("ab", min_size=1, max_size=3))
def test_a_single_stop_string_ends_the_reply_where_it_first_stands(text: str, stop: str) -> None:
    pieces, is_stopped = sent([letter.encode() for letter in text] or [b""], (stop,))
    assert "".join(pieces) == text.partition(stop)[0]
    assert is_stopped == (stop in text)
