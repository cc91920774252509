"""The learned classifiers, quality and civility, against the rules and on what they never saw.

In: the pinned sources, the story world, templates. Out: figures: what each finds by kind, at
thresholds chosen on other texts than those tested; what only the rules or only the classifier find
on the dirty web, which the classifier was not trained on; what is lost when a kind of dirt is new;
how often groups of people and negations are taken for insults, without and with counterexamples.
"""

import random
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np

from minillm.corpus import quality
from minillm.corpus.classifier import (
    Classifier,
    chosen_threshold,
    load_classifier,
    precision_recall_curve,
    sentences,
    train_classifier,
)
from minillm.corpus.dirty import make_dirty_web
from minillm.corpus.insults import TEMPLATES, TEST_FOLDS, TRAINING_FOLDS, Remark, remarks
from minillm.corpus.labelled import DIRT, Example, labelled
from minillm.corpus.mix import chance
from minillm.corpus.sources import Document, Rejection, known_sources, read_source
from minillm.corpus.spoken import held_out_split
from minillm.corpus.storyworld import tell_story

GOOD_SOURCES = ("encyclopaedia", "recipes", "plays", "bible")
SENTENCE_SOURCES = ("encyclopaedia", "recipes", "chat")
NUM_TEXTS = {"train": 600, "tuning": 200, "test": 200}
NUM_SENTENCES = {"train": 1200, "tuning": 600, "test": 600}
NUM_REMARKS = 600
# For classifiers that are made only to be compared.
MAX_COMPARED_TEXTS = 1000
LONGEST = 1200
# Of what is rejected so much must be bad: good text is dear, and dirt is not rare.
QUALITY_PRECISION = 0.995
CIVILITY_PRECISION = 0.95
STORY_SEEDS = {"train": 0, "tuning": 10_000, "test": 20_000}
SEEDS = {"train": 0, "tuning": 1, "test": 2}
WEB_PAGES = 1000
WITHOUT_COUNTEREXAMPLES = tuple(kind for kind in TEMPLATES if kind != "counterexample")


# package only
def split_of(document: Document) -> str:
    """Held-out documents test, a fourth of the others chooses the threshold, the rest trains."""
    if held_out_split(document) == "validation":
        return "test"
    return "tuning" if chance(f"tuning {document.id}", 0) < 0.25 else "train"


# package only
def english(source: str, split: str) -> list[Document]:
    """The English documents of a source and a split, in an order drawn by lot."""
    documents = read_source(known_sources()[source], ("en",))
    found = [each for each in documents if split_of(each) == split]
    return sorted(found, key=lambda each: chance(each.id, 3))


# package only
def piece(text: str, rng: random.Random) -> str:
    """A long text's piece, whole lines as far as they fit."""
    if len(text) <= LONGEST:
        return text.strip()
    start = text.find("\n", rng.randrange(len(text) - LONGEST)) + 1
    return text[start : start + LONGEST].rpartition("\n")[0].strip() or text[:LONGEST]


# package only
@lru_cache
def good_texts(split: str) -> list[str]:
    """Texts worth keeping: as many of each source, and stories."""
    count, rng = NUM_TEXTS[split], random.Random(f"pieces {split}")
    texts = [
        piece(document.text, rng)
        for source in GOOD_SOURCES
        for document in english(source, split)[:count]
    ]
    first = STORY_SEEDS[split]
    texts += [tell_story(first + index, 1 + index % 3).text for index in range(count)]
    return sorted(texts, key=lambda text: chance(text, 6))


# package only
@lru_cache
def real_sentences(split: str) -> list[str]:
    """Sentences of found text and of stories, which insult nobody."""
    texts_by_source = {
        source: [document.text for document in english(source, split)]
        for source in SENTENCE_SOURCES
    }
    first = STORY_SEEDS[split]
    numbers = range(NUM_TEXTS[split])
    texts_by_source["stories"] = [tell_story(first + index, 2).text for index in numbers]
    chosen = []
    for texts in texts_by_source.values():
        found = {each for text in texts for each in sentences(text)}
        chosen += sorted(found, key=lambda each: chance(each, 4))[: NUM_SENTENCES[split]]
    return chosen


# package only
def trained_quality(
    kinds: Sequence[str] = tuple(DIRT), max_texts: int | None = None
) -> Classifier:
    """The quality classifier with its threshold, from some kinds of dirt or all."""
    train = labelled(good_texts("train")[:max_texts], SEEDS["train"], kinds)
    tuning = labelled(good_texts("tuning"), SEEDS["tuning"], kinds)
    classifier = train_classifier([each.text for each in train], [each.is_bad for each in train])
    probabilities = classifier.probabilities([each.text for each in tuning])
    bad = [each.is_bad for each in tuning]
    threshold = chosen_threshold(probabilities, bad, QUALITY_PRECISION)
    return replace(classifier, threshold=threshold)


# package only
def with_sentences(
    made: Sequence[Remark], calm: Sequence[str]
) -> tuple[list[str], list[bool]]:
    """Texts and labels of remarks and of sentences that insult nobody."""
    texts = [each.text for each in made] + list(calm)
    return texts, [each.is_bad for each in made] + [False] * len(calm)


# package only
def trained_civility(kinds: Sequence[str] = tuple(TEMPLATES)) -> Classifier:
    """The civility classifier; its threshold is from templates that others were trained without."""
    calm, tuning = real_sentences("train"), real_sentences("tuning")
    probabilities, bad = [], []
    for fold in TRAINING_FOLDS:
        others = [each for each in TRAINING_FOLDS if each != fold]
        made = remarks(NUM_REMARKS, SEEDS["train"], others, kinds)
        left_out = remarks(NUM_REMARKS // 2, SEEDS["tuning"], [fold], kinds)
        texts, labels = with_sentences(left_out, tuning)
        judge = train_classifier(*with_sentences(made, calm))
        probabilities.append(judge.probabilities(texts))
        bad += labels
    threshold = chosen_threshold(np.concatenate(probabilities), bad, CIVILITY_PRECISION)
    made = remarks(NUM_REMARKS, SEEDS["train"], TRAINING_FOLDS, kinds)
    return replace(train_classifier(*with_sentences(made, calm)), threshold=threshold)


# package only
def found_by_kind(classifier: Classifier, made: Sequence[Example | Remark]) -> dict[str, float]:
    """The share of each kind that the classifier calls bad."""
    called_bad = classifier.probabilities([each.text for each in made]) > classifier.threshold
    kinds = np.array([each.kind for each in made])
    shares = {kind: called_bad[kinds == kind].mean() for kind in dict.fromkeys(kinds)}
    return {str(kind): round(float(share), 4) for kind, share in shares.items()}


# package only
def rejected_by_rules(text: str) -> bool:
    """Whether one of the course's own rules rejects the text."""
    document = Document("page", text, "web", "web", "CC0-1.0", "en")
    rules = (
        quality.long_enough, quality.mostly_words, quality.few_repeated_lines,
        quality.few_repeated_pairs, quality.has_common_words,
    )  # fmt: skip
    return any(isinstance(rule(document), Rejection) for rule in rules)


# package only
def rules_and_classifier(classifier: Classifier) -> dict[str, dict[str, int]]:
    """Pages of the dirty web by fault: found by both, only by the rules, only here, by neither."""
    pages = make_dirty_web(WEB_PAGES, seed=11)
    learned = classifier.probabilities([page.clean_text for page in pages]) > classifier.threshold
    figures: dict[str, dict[str, int]] = {}
    for page, is_found in zip(pages, learned, strict=True):
        names = {(True, True): "both", (True, False): "rules", (False, True): "classifier"}
        name = names.get((rejected_by_rules(page.clean_text), bool(is_found)), "neither")
        for fault in page.faults or {"none"}:
            row = figures.setdefault(fault, dict.fromkeys((*names.values(), "neither"), 0))
            row[name] += 1
    return dict(sorted(figures.items()))


# package only
def civility_figures() -> dict[str, float | dict]:
    """What the classifier finds on held-out templates, and what counterexamples mend."""
    made, calm = remarks(NUM_REMARKS // 2, SEEDS["test"], TEST_FOLDS), real_sentences("test")
    texts, bad = with_sentences(made, calm)
    civility = load_classifier("civility")
    probabilities = civility.probabilities(texts)
    _, precision, recall = precision_recall_curve(probabilities, bad)
    called = probabilities > civility.threshold
    biased = trained_civility(WITHOUT_COUNTEREXAMPLES)
    return {
        "civility: threshold": civility.threshold,
        "civility: precision": float(np.array(bad)[called].mean()),
        "civility: recall": float(called[np.array(bad)].mean()),
        "civility: recall at precision .95": float(recall[precision >= CIVILITY_PRECISION].max()),
        "civility: real sentences flagged": float(called[len(made) :].mean()),
        "civility: by kind": found_by_kind(civility, made),
        "civility: by kind, without counterexamples": found_by_kind(biased, made),
    }


# package only
def measure() -> dict[str, float | dict]:
    """All figures; the classifiers are those that come with the course."""
    known = load_classifier("quality")
    test = labelled(good_texts("test"), SEEDS["test"])
    figures: dict[str, float | dict] = {"quality: threshold": known.threshold}
    figures["quality: called bad by kind"] = found_by_kind(known, test)
    figures["quality: a kind never trained on"] = {
        kind: found_by_kind(
            trained_quality([each for each in DIRT if each != kind], MAX_COMPARED_TEXTS),
            [each for each in test if each.kind == kind],
        )[kind]
        for kind in DIRT
    }
    figures["quality: pages of the dirty web"] = rules_and_classifier(known)
    return figures | civility_figures()
