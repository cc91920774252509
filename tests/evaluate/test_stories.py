"""Story scores count what the checker says, and near-duplicates are those of the definition."""

import pytest
import torch

from minillm.corpus.storyworld import tell_story
from minillm.evaluate.stories import (
    SamplingConfig,
    continue_openings,
    near_duplicate_fraction,
    probe,
    story_scores,
    word_runs,
)
from minillm.model.transformer import ModelConfig, Transformer
from minillm.tokenizer.bytepair import Tokenizer, TokenizerConfig, train_tokenizer

STORIES = [tell_story(seed, 1) for seed in range(12)]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer([story.text for story in STORIES], TokenizerConfig(vocab_size=400))


@pytest.fixture(scope="module")
def model(tokenizer: Tokenizer) -> Transformer:
    torch.manual_seed(0)
    return Transformer(
        ModelConfig(
            vocab_size=tokenizer.vocab_size, width=16, num_layers=1, num_heads=2, num_kv_heads=1,
            ffn_width=16, context_length=128,
        )
    )  # fmt: skip


def test_true_stories_are_without_fault() -> None:
    scores = story_scores([story.text for story in STORIES])
    assert scores["consistent_fraction"] == scores["readable_fraction"] == 1
    assert scores["bad_sentences_per_story"] == 0 and scores["stories"] == 12


def test_an_unreadable_sentence_counts_against_its_story() -> None:
    texts = [STORIES[0].text, STORIES[1].text + " Zork blib the of."]
    scores = story_scores(texts)
    assert scores["consistent_fraction"] == 0.5 and scores["bad_sentences_per_story"] == 0.5
    assert scores["readable_fraction"] < 1


def test_near_duplicates_by_hand() -> None:
    known = "a b c d e f g h i j k l"
    one_word_more = known + " m"
    other = "a b c x y z u v w q r s"
    left, right = word_runs(known), word_runs(one_word_more)
    assert len(left & right) / len(left | right) == 10 / 11
    assert near_duplicate_fraction([one_word_more, other], [known]) == 0.5
    assert near_duplicate_fraction([other], [known]) == 0


def test_a_story_keeps_its_opening_and_repeats_with_its_seed(
    model: Transformer, tokenizer: Tokenizer
) -> None:
    openings = [story.opening for story in STORIES[:3]]
    config = SamplingConfig(count=3, batch_size=2)
    first, second = (continue_openings(model, tokenizer, openings, config) for _ in range(2))
    assert first == second
    assert all(text.startswith(opening) for text, opening in zip(first, openings, strict=True))


def test_an_untrained_model_tells_no_consistent_story(
    model: Transformer, tokenizer: Tokenizer
) -> None:
    scores = probe(model, tokenizer, STORIES, SamplingConfig(count=4))
    assert scores[1]["stories"] == 4 and scores[1]["consistent_fraction"] == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("count", 0), ("batch_size", 0), ("batch_size", -3), ("temperature", -1),
        ("temperature", float("nan")), ("temperature", float("inf")), ("top_p", 0),
        ("top_p", 1.01), ("top_p", float("nan")),
    ],
)  # fmt: skip
def test_sampling_that_cannot_be_is_refused_with_its_field_and_value(
    name: str, value: float
) -> None:
    with pytest.raises(ValueError, match=f"{name} = {value}: must"):
        SamplingConfig(**{name: value})


def test_the_edges_of_sampling_are_allowed() -> None:
    SamplingConfig(count=1, batch_size=1, temperature=0, top_p=1)
