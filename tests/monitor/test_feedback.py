"""Judgements become data: few voices each, a majority, masked, nothing that is tested with."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minillm.corpus.storyworld import tell_story
from minillm.monitor.feedback import (
    FeedbackConfig,
    Voice,
    agreed,
    alarmed_requests,
    as_document,
    first_voices,
    flagged_clients,
    gathered,
    voice_of,
)
from minillm.monitor.requests import Request
from minillm.monitor.watch import MonitorConfig
from tests.monitor.logs import ASKED, usual

VOTES = st.lists(
    st.builds(
        Voice, id=st.uuids().map(str), client=st.sampled_from("abcdef"),
        prompt=st.sampled_from(["who", "where"]), chosen=st.sampled_from(["Ella", "Adam"]),
    ),
    max_size=30,
)  # fmt: skip


def request(number: int = 0, **fields: object) -> Request:
    given_fields = {
        "id": f"r{number}", "created_s": float(number), "client": f"c{number}", "status": 200,
        "prompt": "Who has it?", "reply": "Adam.",
    }  # fmt: skip
    return Request(**ASKED | given_fields | fields)


def test_each_kind_of_judgement_teaches_what_it_says_and_no_more() -> None:
    assert voice_of(request(rating=1)).chosen == "Adam."
    assert voice_of(request(rating=1)).rejected is None
    corrected = voice_of(request(rating=-1, correction=" Ella. "))
    assert (corrected.chosen, corrected.rejected) == ("Ella.", "Adam.")
    for silent in (
        request(), request(rating=-1), request(rating=-1, correction="  "),
        request(rating=-1, correction="adam"), request(rating=1, prompt=None, reply=None),
        request(rating=1, reply=""), request(rating=1, status=503),
    ):  # fmt: skip
        assert voice_of(silent) is None


def test_a_correction_of_an_empty_reply_is_learnt_but_makes_no_pair() -> None:
    found = gathered(
        [request(rating=-1, correction="Ella.", reply="")], [], set(), [], FeedbackConfig()
    )
    assert [each.chosen for each in found.voices] == ["Ella."] and found.pairs == []


@given(VOTES, st.integers(1, 4))
def test_no_client_has_more_voices_than_allowed_and_the_first_ones_stay(
    votes: list[Voice], most: int
) -> None:
    kept = first_voices(votes, most)
    for client in "abcdef":
        own = [each for each in votes if each.client == client]
        assert [each for each in kept if each.client == client] == own[:most]


@given(VOTES)
def test_of_one_prompt_at_most_one_reply_is_believed_and_by_more_than_half_of_its_clients(
    votes: list[Voice],
) -> None:
    kept = agreed(votes, 0.5)
    for prompt in ("who", "where"):
        replies = {each.chosen for each in kept if each.prompt == prompt}
        assert len(replies) <= 1
        clients = {each.client for each in votes if each.prompt == prompt}
        if replies:
            assert 2 * sum(each.prompt == prompt for each in kept) > len(clients)


def test_who_shouts_has_one_voice_and_one_against_one_is_disputed() -> None:
    loud = [Voice(str(n), "dan", "who", "Adam") for n in range(9)]
    ann, ben = Voice("a", "ann", "who", "Ella."), Voice("b", "ben", "Who ", "ella")
    assert [each.client for each in agreed([*loud, ann, ben], 0.5)] == ["ann", "ben"]
    assert agreed([*loud, ann], 0.5) == []


def test_a_clients_last_word_counts() -> None:
    words = [Voice("1", "ann", "who", "Adam"), Voice("2", "ann", "who", "Ella")]
    assert [each.chosen for each in agreed(words, 0.5)] == ["Ella"]


def test_an_attacker_with_one_address_leaves_nothing_and_with_the_most_addresses_wins() -> None:
    honest = [Voice(f"h{n}", f"h{n}", "who", "Ella") for n in range(4)]
    for num_addresses, wrong in ((1, 0), (3, 0), (5, 5)):
        poison = [Voice(f"x{n}", f"x{n}", "who", "Tom") for n in range(num_addresses)] * 8
        heard = agreed(first_voices(honest + poison, 3), 0.5)
        assert sum(each.chosen == "Tom" for each in heard) == wrong


def test_personal_data_is_masked_in_prompt_reply_correction_and_text() -> None:
    secret = "mail ella.smith@example.org or +44 20 7946 0123"
    sent = request(prompt=f"{secret}?", reply=f"{secret}!", rating=-1, correction=f"{secret}.")
    found = gathered([sent], [sent], set(), [], FeedbackConfig())
    (pair,) = found.pairs
    for text in (found.documents[0].text, pair.prompt.content, pair.chosen, pair.rejected):
        assert "@" not in text and "7946" not in text and "<email>" in text and "<phone>" in text


def test_nothing_that_is_tested_with_is_learnt_whether_as_text_or_as_reply() -> None:
    exam = tell_story(400_000, 1).text
    asks = request(0, prompt=f"{exam} Who?", rating=1)
    tells = request(1, prompt="Tell me a story.", reply=exam, rating=1)
    fine = request(2, prompt="Hello there", reply="Good day.", rating=1)
    found = gathered(
        [asks, tells, fine], [asks, fine], set(), [as_document("exam", exam)], FeedbackConfig()
    )
    assert [each.id for each in found.voices] == ["r2"] == [each.id for each in found.documents]
    assert found.left_out == {"contamination": 2, "text: contamination": 1}


def test_copies_are_dropped_but_only_after_they_were_counted_as_agreement() -> None:
    same = [request(n, rating=-1, correction="Ella.") for n in range(3)]
    against = request(3, rating=1)
    found = gathered([*same, against], [], set(), [], FeedbackConfig())
    assert len(found.voices) == 1 and found.voices[0].chosen == "Ella."
    assert found.left_out == {"disputed": 1, "exact copy": 2}


def test_every_rated_request_is_heard_or_counted_with_its_reason() -> None:
    rng = np.random.default_rng(0)
    rows = [
        request(n, client=f"c{n % 7}", prompt=f"question {n % 11}", reply=f"reply {n % 3}",
                rating=int(rng.choice([-1, 1])), correction=str(rng.choice(["", "right"])))
        for n in range(60)
    ]  # fmt: skip
    found = gathered(rows, [], {"c0"}, [], FeedbackConfig(max_voices=4))
    assert len(found.voices) + sum(found.left_out.values()) == 60
    assert all(each.client != "c0" for each in found.voices)
    voices = [voice for each in rows if (voice := voice_of(each)) and each.client != "c0"]
    beyond = len(voices) - len(first_voices(voices, 4))
    assert found.left_out["too many of one client"] == beyond > 0


def test_texts_come_from_windows_with_an_alarm_alone() -> None:
    rows = [request(n) for n in range(6)]
    windows = [
        {"first": 1, "last": 2, "drift": {"signals": [{"decision": "warning"}]}},
        {"first": 3, "last": 4, "drift": {"signals": [{"decision": "alarm"}]}},
        {"first": 5, "last": 6, "drift": {"signals": []}},
    ]
    assert [each.id for each in alarmed_requests(rows, windows)] == ["r2", "r3"]


def test_clients_flagged_in_any_window_are_found() -> None:
    rng = np.random.default_rng(1)
    rows = usual(96, rng)
    flood = [
        request(1000 + n, client="mallory", prompt_bytes=9, prompt_bits_per_byte=1.0)
        for n in range(16)
    ]
    assert flagged_clients([*rows[:80], *flood, *rows[80:]], MonitorConfig()) == {"mallory"}
    assert "mallory" not in flagged_clients(rows, MonitorConfig())


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"max_voices": 0}, "max_voices = 0: must be at least 1"),
        ({"agreement": 1.0}, "agreement = 1.0: .*0.5 asks for more than half"),
        ({"slice_stories": 1}, "slice_stories = 1: must be at least 2"),
    ],
)
def test_bad_settings_name_the_remedy(fields: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        FeedbackConfig(**fields)
