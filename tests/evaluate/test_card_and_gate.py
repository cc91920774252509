"""A card survives the disk, a worse model is refused by name, an equal one hardly ever."""

import json
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from minillm.evaluate.card import Card, Figure, mean, proportion, ratio, read_cards, write_cards
from minillm.evaluate.gate import best, change, gate
from minillm.evaluate.intervals import wilson
from minillm.evaluate.page import page

MARGIN = 0.05


def card(kind: str, right: list[bool], bits: list[float] | None = None, form: str = "chat") -> Card:
    figures = {
        "pairs/all": proportion(
            {f"p{n}": each for n, each in enumerate(right)}, "true likelier", guard="always"
        )
    }
    if bits:
        items = {f"d{n}": (each * 100, 100.0) for n, each in enumerate(bits)}
        figures["bits_per_byte/stories"] = ratio(
            items, "bits a byte", better="lower", guard="same form"
        )
    return Card(kind=kind, sha256="0" * 64, form=form, figures=figures)


HALF = [True, False] * 50
BITS = [0.5, 0.6, 0.7, 0.4] * 10


def test_a_figure_says_its_interval_and_keeps_its_items() -> None:
    figure = proportion({"a": True, "b": False, "c": True}, "right")
    expected = wilson(2, 3)
    assert (figure.value, figure.n) == (0.666667, 3)
    assert (figure.low, figure.high) == (round(expected.low, 6), round(expected.high, 6))
    assert figure.items == {"a": (1, 1), "b": (0, 1), "c": (1, 1)}
    assert ratio({"a": (1.0, 4.0), "b": (3.0, 4.0)}, "bits", seed=3).value == 0.5
    assert mean({"a": 1.0, "b": 3.0}, "nats", seed=3).seed == 3


def test_a_card_survives_the_disk(tmp_path: Path) -> None:
    cards = {"model": card("model", HALF, BITS, "base"), "assistant": card("assistant", HALF)}
    write_cards(cards, {"best": "assistant"}, tmp_path)
    assert read_cards(tmp_path) == cards
    content = json.loads((tmp_path / "scores.json").read_text())
    figure = content["models"]["model"]["figures"]["pairs/all"]
    assert {"value", "low", "high", "n", "seed"} <= figure.keys() and "items" not in figure


def test_a_broken_card_names_its_file_and_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="minillm evaluate --run NAME"):
        read_cards(tmp_path)
    write_cards({"model": card("model", HALF)}, {}, tmp_path)
    (tmp_path / "scores.json").write_text('{"models": {"model": {}}}')
    with pytest.raises(ValueError, match="not a report card"):
        read_cards(tmp_path)


def test_a_worse_model_is_refused_with_the_score_that_fell() -> None:
    parent = card("assistant", [True] * 80 + [False] * 20, BITS)
    worse = card("aligned", [True] * 50 + [False] * 50, BITS)
    verdict = gate(worse, parent, MARGIN)
    assert not verdict.is_accepted and len(verdict.reasons) == 1
    assert verdict.reasons[0].startswith("pairs/all -0.300 [-0.")
    assert gate(parent, worse, MARGIN).is_accepted


def test_more_bits_a_byte_are_a_loss() -> None:
    parent, worse = card("a", HALF, BITS), card("b", HALF, [each + 0.2 for each in BITS])
    assert gate(worse, parent, MARGIN).reasons[0].startswith("bits_per_byte/stories -0.200")
    assert gate(parent, worse, MARGIN).is_accepted


def test_an_equal_and_a_slightly_worse_model_pass() -> None:
    parent = card("a", HALF, BITS)
    assert gate(parent, parent, MARGIN).is_accepted
    assert gate(card("b", [False, *HALF[1:]], BITS), parent, MARGIN).is_accepted


def test_pairs_see_what_two_intervals_do_not() -> None:
    ours = [True] * 60 + [False] * 40
    theirs = [True] * 72 + [False] * 28
    mine, yours = (card("a", each).figures["pairs/all"] for each in (ours, theirs))
    other = proportion({f"q{n}": each for n, each in enumerate(theirs)}, "other items")
    paired, apart = change("x", mine, yours), change("x", mine, other)
    assert paired.is_paired and not apart.is_paired
    assert paired.improvement.value == pytest.approx(apart.improvement.value) == -0.12
    assert paired.is_loss(MARGIN) and not apart.is_loss(MARGIN)


def test_false_refusals_are_rare_and_real_losses_are_found() -> None:
    rng = np.random.default_rng(0)

    def refusals(loss: float, trials: int = 150) -> float:
        refused = 0
        for _ in range(trials):
            hard = rng.random(150)
            parent, candidate = (
                card(kind, list((hard * 0.6 + rng.random(150) * 0.4) < share))
                for kind, share in (("a", 0.7), ("b", 0.7 - loss))
            )
            refused += not gate(candidate, parent, MARGIN).is_accepted
        return refused / trials

    assert refusals(0.0) <= 0.02 and refusals(0.2) >= 0.95  # measured: 0 and 1


def test_a_guarded_score_that_is_missing_is_a_reason() -> None:
    parent, candidate = card("a", HALF, BITS), card("b", HALF)
    assert gate(candidate, parent, MARGIN).reasons == (
        "bits_per_byte/stories: not measured, but it is guarded",
    )


def test_a_base_model_guards_only_what_both_forms_have() -> None:
    base, chat = card("model", HALF, BITS, "base"), card("assistant", HALF)
    assert gate(chat, base, MARGIN).is_accepted
    unguarded = replace(base, figures={"x": Figure(value=1, low=1, high=1, n=9, meaning="")})
    assert gate(chat, unguarded, MARGIN).changes == ()


def test_the_best_passes_each_gate_in_turn() -> None:
    base = card("model", [True] * 100, BITS, "base")
    assistant, better = card("assistant", HALF), card("aligned", [True] * 90 + [False] * 10)
    worse = card("second", [False] * 100)
    cards = {each.kind: each for each in (base, assistant, better, worse)}
    chosen, verdicts = best(cards, MARGIN)
    # an assistant takes a base model's place even where it lost something: the loss is on the card
    assert chosen == "aligned" and [v.is_accepted for v in verdicts] == [False, True, False]
    assert [v.parent for v in verdicts] == ["model", "assistant", "aligned"]
    assert best({"model": base}, MARGIN) == ("model", [])
    with pytest.raises(ValueError, match="cards is empty"):
        best({}, MARGIN)
    with pytest.raises(ValueError, match="margin = -1"):
        gate(base, base, -1)


class Page(HTMLParser):
    """Collects the tags and what they point to."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]


def test_the_page_stands_alone_and_escapes_what_it_shows() -> None:
    odd = replace(card("<b>odd</b>", HALF, BITS), form="chat")
    report = {
        "best": "x", "margin": MARGIN, "gate": [
            {"candidate": "b", "against": "a", "accepted": False, "reasons": ["<i>"], "changes": []}
        ],
        "contamination": {"pairs": {"items": 2, "share_a_run": 1, "wholly_in_training": 0}},
    }  # fmt: skip
    text = page({"model": card("model", HALF, BITS), "odd": odd}, report)
    seen = Page()
    seen.feed(text)
    assert seen.links == [] and not {"script", "link", "img", "iframe"} & set(seen.tags)
    assert "url(" not in text and "http" not in text and "@import" not in text
    assert seen.tags.count("svg") == 4 and "<b>odd" not in text and "refused" in text
