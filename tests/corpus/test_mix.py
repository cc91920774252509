"""Stories, caps, the held-out tail and the training order: bytes counted, chances measured."""

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minillm.corpus import mix
from minillm.corpus.mix import (
    FIRST_SEED,
    capped,
    chance,
    held_out_tail,
    hold_out,
    story_seed,
    tell_documents,
    training_order,
    training_place,
)
from minillm.corpus.sources import Document

LONGEST_RUN = 10**7


def document(identity: str, level: int | None = None, source: str = "stories") -> Document:
    return Document(identity, "text " + identity, source, "story", "CC0-1.0", "en", "train", level)


def test_seeds_of_the_splits_never_meet():
    first, second = sorted(FIRST_SEED.values())
    assert first >= 1_000_000, "smaller seeds belong to notebooks"
    assert first + LONGEST_RUN < second
    assert story_seed(0, "train") == FIRST_SEED["train"]
    assert story_seed(7, "validation") == FIRST_SEED["validation"] + 7


def test_stories_are_documents_with_a_level():
    told = list(tell_documents(2, 3, "validation"))
    assert [each.id for each in told] == [f"stories/2/validation/{n}" for n in range(3)]
    assert {(each.level, each.split, each.kind) for each in told} == {(2, "validation", "story")}
    assert len({each.text for each in told}) == 3


def test_chance_is_even_and_depends_on_id_and_seed_alone():
    draws = [chance(f"id {number}", 0) for number in range(4000)]
    assert abs(sum(draws) / 4000 - 0.5) < 5 * (1 / 12 / 4000) ** 0.5
    assert chance("id 1", 0) == draws[1] != chance("id 1", 1)


def test_cap_is_kept_and_chooses_the_same_documents_again():
    documents = [document(f"{number:04}") for number in range(500)]
    size = len(documents[0].text)
    kept = capped(documents, 50 * size + 3, seed=1)
    assert len(kept) == 50
    assert capped(documents[::-1], 50 * size + 3, seed=1) == kept
    assert capped(documents, 50 * size, seed=2) != kept
    assert len(capped(documents, None, seed=1)) == 500


def test_of_a_document_longer_than_the_cap_the_beginning_is_kept():
    long, short = document("long"), document("short")
    long = replace(long, text="word " * 100)
    for order in ([long, short], [short, long]):
        kept = capped(order, 12, seed=1)
        assert sum(len(each.text) for each in kept) <= 12 and len(kept) == 1
    assert capped([long], 12, seed=1) == [replace(long, text="word word wo")]
    assert capped([long], 500, seed=1) == [long]
    assert capped([long], 0, seed=1) == []


def test_one_document_more_moves_no_other():
    documents = [document(str(number), 1) for number in range(100)]
    order = training_order(documents, (0, 0, 0), seed=0)
    more = training_order([*documents, document("new", 1)], (0, 0, 0), seed=0)
    assert [each for each in more if each.id != "new"] == order


def test_the_fraction_held_out_is_the_one_asked_for():
    documents = [document(str(number), source="recipes") for number in range(5000)]
    held = sum(hold_out(each, 0.02, seed=0).split == "validation" for each in documents)
    assert abs(held - 100) < 5 * (5000 * 0.02 * 0.98) ** 0.5
    assert hold_out(documents[0], 0.0, seed=0) == documents[0]


def check_order(place) -> None:
    """No story of a level stands before that level's start; after it, all places are as likely."""
    starts = (0.0, 0.1, 0.25)
    for level, start in zip((1, 2, 3), starts, strict=True):
        places = [place(document(f"{level} {n}", level), starts, 0) for n in range(3000)]
        assert min(places) >= start and max(places) < 1
        middle, sigma = (1 + start) / 2, (1 - start) / 12**0.5
        assert abs(sum(places) / 3000 - middle) < 5 * sigma / 3000**0.5


def test_each_level_joins_at_its_start():
    check_order(training_place)


def test_an_order_without_starts_is_noticed():
    with pytest.raises(AssertionError):
        check_order(lambda document, starts, seed: chance(f"place {document.id}", seed))


def test_found_text_comes_from_the_beginning_and_the_users_text_first():
    starts = (0.5, 0.5, 0.5)
    assert training_place(document("a", None, "recipes"), starts, 0) == chance("place a", 0)
    user = Document("u", "x", "text", "text", "user", "unknown")
    order = training_order([document("a", 1), user], starts, 0)
    assert order[0] == user


def check_tail(make) -> None:
    """All bytes, in order; the tail is the last 10 %, rounded up, and longer by a cut character."""
    for text in ["a" * n for n in (2, 9, 10, 11, 97, 1000)] + ["é" * 50, "日本語" * 7, "a😀" * 11]:
        data = text.encode()
        train, validation = make([("a.txt", text)])
        assert (train.split, validation.split) == ("train", "validation")
        assert train.text + validation.text == text
        wanted = -(-len(data) // 10)
        assert wanted <= len(validation.text.encode()) <= wanted + 3
        if text.isascii():
            assert validation.text.encode() == data[-wanted:]


def test_the_tail_is_the_last_tenth_of_the_bytes():
    check_tail(held_out_tail)


@pytest.mark.parametrize("wrong", [-1, 1])
def test_a_cut_that_is_off_by_one_is_noticed(monkeypatch, wrong):
    right = mix.tail_cut
    monkeypatch.setattr(mix, "tail_cut", lambda num_bytes: right(num_bytes) + wrong)
    with pytest.raises((AssertionError, ValueError)):
        check_tail(held_out_tail)


@given(st.lists(st.text(min_size=1), min_size=1, max_size=5))
def test_the_tail_of_several_files_is_of_the_whole_text(texts):
    whole = "".join(texts)
    num_bytes = len(whole.encode())
    named = [(f"{number}.txt", text) for number, text in enumerate(texts)]
    if num_bytes < 2 or len(whole) == 1:
        with pytest.raises(ValueError, match="give more text"):
            held_out_tail(named)
        return
    try:
        documents = held_out_tail(named)
    except ValueError:
        assert len(whole[0].encode()) > num_bytes * 9 // 10
        return
    train = "".join(each.text for each in documents if each.split == "train")
    tail = "".join(each.text for each in documents if each.split == "validation")
    assert train + tail == whole
    assert -(-num_bytes // 10) <= len(tail.encode()) <= -(-num_bytes // 10) + 3
    assert len({each.id for each in documents}) == len(documents)


def test_whole_files_in_front_of_the_cut_stay_whole():
    documents = held_out_tail([("a", "x" * 60), ("b", "y" * 40)])
    assert [(each.id, len(each.text)) for each in documents] == [
        ("text/1/a/train", 60),
        ("text/2/b/train", 30),
        ("text/2/b/validation", 10),
    ]


def test_one_byte_is_too_short():
    with pytest.raises(ValueError, match="text of 1 bytes"):
        held_out_tail([("a", "x")])


def test_documents_that_a_cap_has_kept_are_spread_over_the_whole_training_order() -> None:
    documents = [
        Document(f"web/{number}", "x" * 100, "web", "web", "CC0-1.0", "en", "train")
        for number in range(2_000)
    ]
    kept = mix.capped(documents, 20_000, seed=0)
    places = [mix.training_place(each, (0.0, 0.1, 0.2), seed=0) for each in kept]
    assert len(kept) == 200
    # the mean of 200 uniform draws: 5 standard deviations are 5 · √(1/12/200) = .102
    assert abs(sum(places) / len(places) - 0.5) < 0.102


def sized(**sizes: int) -> list[Document]:
    """Documents of ten characters each, so many of each source."""
    return [
        Document(f"{source}/{index}", "ten chars!", source, "web", "CC0-1.0", "en")
        for source, count in sizes.items()
        for index in range(count)
    ]


@pytest.mark.parametrize(("temperature", "share"), [(1.0, 0.1), (2.0, 0.25), (1e9, 0.5)])
def test_temperature_shares_by_hand(temperature: float, share: float):
    shares = mix.temperature_shares({"large": 900, "small": 100}, temperature)
    assert shares["small"] == pytest.approx(share)
    assert sum(shares.values()) == pytest.approx(1.0)


@given(st.integers(1, 60), st.integers(1, 60), st.sampled_from([1.0, 1.5, 2.0, 5.0]))
def test_a_mix_has_its_shares_and_takes_nothing_twice(large: int, small: int, temperature: float):
    documents = sized(large=large, small=small)
    kept = mix.temperature_mix(documents, temperature, seed=0)
    assert len({each.id for each in kept}) == len(kept)
    assert [each for each in documents if each in kept] == kept
    shares = mix.temperature_shares({"large": large, "small": small}, temperature)
    total = min(large / shares["large"], small / shares["small"])
    for source in ("large", "small"):
        num_kept = sum(each.source == source for each in kept)
        assert abs(num_kept - total * shares[source]) < 1.1


def test_with_temperature_one_everything_is_kept():
    documents = sized(large=30, small=7)
    assert mix.temperature_mix(documents, 1.0, seed=3) == documents
    assert mix.temperature_mix([], 2.0, seed=3) == []


def test_a_source_of_one_long_document_stays_in_the_mix_with_its_share():
    book = Document("book/1", "x" * 900, "book", "book", "CC0-1.0", "en")
    kept = mix.temperature_mix([book, *sized(small=10)], 2.0, seed=0)
    sizes = Counter({source: sum(len(e.text) for e in kept if e.source == source)
                     for source in ("book", "small")})  # fmt: skip
    assert sizes == {"book": 300, "small": 100}


def test_a_mix_by_the_wrong_exponent_would_be_noticed(monkeypatch: pytest.MonkeyPatch):
    documents = sized(large=90, small=10)
    right = mix.temperature_mix(documents, 2.0, seed=0)
    shares = mix.temperature_shares
    monkeypatch.setattr(mix, "temperature_shares", lambda sizes, t: shares(sizes, 1 / t))
    assert len(mix.temperature_mix(documents, 2.0, seed=0)) != len(right) == 40
