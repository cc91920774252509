"""Held-out text in training documents: found word for word, missed in other words."""

from hypothesis import given
from hypothesis import strategies as st

from minillm.corpus.contamination import (
    CANARY,
    ENOUGH_RUNS,
    MIN_SHARE,
    ItemIndex,
    Leak,
    drop_contaminated,
    drop_leaks,
    index_items,
    item_marks,
    leak_report,
    without_canary,
    word_runs,
)
from minillm.corpus.sources import Document, Rejection

HELD_OUT = " ".join(f"w{number}" for number in range(30))


def document(text: str, split: str = "train") -> Document:
    return Document("d", text, "test", "web", "CC0-1.0", "en", split)


def test_runs_by_hand():
    assert word_runs("a b c d", 3) == {"a b c", "b c d"}
    assert word_runs("a b", 3) == set()


def test_thirteen_words_in_a_row_are_a_leak_and_twelve_are_not():
    step = drop_contaminated([document(HELD_OUT, "validation")])
    words = HELD_OUT.split()
    leak = document("x " + " ".join(words[5:18]).upper() + "! y")
    assert isinstance(step(leak), Rejection)
    assert step(leak).value == 1
    clean = document("x " + " ".join(words[5:17]) + " y")
    assert step(clean) is clean


def test_a_leak_in_other_words_is_missed():
    step = drop_contaminated([document(HELD_OUT, "validation")])
    words = HELD_OUT.split()
    words[::12] = ["other"] * len(words[::12])
    retold = document(" ".join(words))
    assert step(retold) is retold


def test_held_out_documents_themselves_stay():
    held_out = document(HELD_OUT, "validation")
    assert drop_contaminated([held_out])(held_out) is held_out


SHORT = "Who has the old lamp in the end? Dan has."


def index_by_hand() -> ItemIndex:
    return index_items({"long": {"a": HELD_OUT}, "short": {"b": SHORT}, "tiny": {"c": "?!?!? !"}})


def test_marks_by_hand():
    assert len(item_marks(HELD_OUT)) == 30 - 13 + 1
    assert item_marks(SHORT) == {"who has the old lamp in the end dan has"}
    assert item_marks("No  one KNOWS.") == {"line: no one knows."}
    assert item_marks("") == item_marks(" \n") == set()


def test_a_leak_says_the_share_of_the_item():
    words = HELD_OUT.split()
    whole = document(f"x {HELD_OUT} y")
    assert index_by_hand().leaks(whole) == [Leak("d", "long", "a", 1.0, 18)]
    half = document(" ".join(words[:22]))  # 10 of 18 runs
    assert index_by_hand().leaks(half) == [Leak("d", "long", "a", 10 / 18, 10)]
    assert index_by_hand().leaks(half, min_share=0.6) == []
    one_run = document(" ".join(words[:13]))  # 1 of 18 runs is less than a tenth
    assert index_by_hand().leaks(one_run) == []


def test_of_a_long_item_a_passage_is_enough():
    book = " ".join(f"w{number}" for number in range(2000))
    index = index_items({"books": {"one": book}})
    passage = " ".join(book.split()[500 : 500 + ENOUGH_RUNS + 12])
    assert [leak.item for leak in index.leaks(document(passage))] == ["one"]
    assert index.leaks(document(passage.rpartition(" ")[0])) == []
    rejection = drop_leaks({"books": {"one": book}})(document(passage))
    assert rejection.reason == "holds books one, so many runs of it"
    assert (rejection.value, rejection.limit) == (ENOUGH_RUNS, ENOUGH_RUNS)
    assert 50 / (2000 - 12) < MIN_SHARE, "of its share none could say that it is above the limit"


@given(st.integers(13, 700), st.integers(0, 40))
def test_a_rejection_never_says_a_value_below_its_limit(num_words, start):
    book = [f"w{number}" for number in range(700)]
    found = drop_leaks({"books": {"one": " ".join(book)}})(
        document(" ".join(book[start : start + num_words]))
    )
    assert isinstance(found, Document) or found.value >= found.limit


def test_a_short_item_counts_whole():
    found = index_by_hand().leaks(document(f"He asked: {SHORT.upper()} So it was."))
    assert found == [Leak("d", "short", "b", 1.0, 1)]
    assert index_by_hand().leaks(document("Who has the old lamp in the end? Ann has.")) == []


def test_a_tiny_item_must_be_a_line_of_its_own():
    found = index_by_hand().leaks(document("a\n?!?!?  !\nb"))
    assert found == [Leak("d", "tiny", "c", 1.0, 1)]
    assert index_by_hand().leaks(document("a ?!?!? ! b")) == []


def test_an_empty_item_leaks_nowhere():
    index = index_items({"set": {"empty": "", "blank": " \n"}})
    assert index.leaks(document("a line\n\nanother line"), min_share=0.0) == []


def test_two_items_that_share_a_run_both_leak():
    index = index_items({"one": {"a": HELD_OUT}, "two": {"b": f"{HELD_OUT} and more"}})
    found = {(leak.set, leak.item) for leak in index.leaks(document(HELD_OUT))}
    assert found == {("one", "a"), ("two", "b")}


def test_both_directions_are_reported():
    documents = [
        Document(name, text, "test", "web", "CC0-1.0", "en")
        for name, text in (("whole", HELD_OUT), ("part", " ".join(HELD_OUT.split()[:20])),
                           ("none", "Nothing is told here."))
    ]  # fmt: skip
    report = leak_report(documents, {"long": {"a": HELD_OUT, "b": SHORT}})
    assert report["long"].documents == {"whole", "part"}
    assert report["long"].share_by_item == {"a": 1.0}
    assert report["long"].num_items == 2


def test_the_step_rejects_what_leaks_and_spares_held_out_documents():
    step = drop_leaks({"long": {"a": HELD_OUT}})
    rejection = step(document(HELD_OUT))
    assert isinstance(rejection, Rejection)
    assert rejection.reason == "holds long a" and rejection.value == 1.0
    held_out = document(HELD_OUT, "validation")
    assert step(held_out) is held_out
    clean = document("Nothing is told here.")
    assert step(clean) is clean


def test_the_canary_gives_a_page_away():
    assert without_canary(document("A page.")).text == "A page."
    quoting = document(f"Look what I found: {CANARY}")
    assert isinstance(without_canary(quoting), Rejection)


@given(st.lists(st.sampled_from("a b c d e f g h i j".split()), min_size=8, max_size=60))
def test_every_item_is_found_in_a_text_that_holds_it(words):
    item = " ".join(words)
    index = index_items({"set": {"item": item}})
    (leak,) = index.leaks(document(f"before it {item} after it"))
    assert leak.share == 1.0
