"""Probes ask what the evaluation asks, know chance, and leave the run alone that they look at."""

from dataclasses import replace

import pytest
import torch

from minillm.batches.shards import BatchesConfig, shards_of
from minillm.batches.stream import Stream
from minillm.corpus.sources import Document
from minillm.corpus.storyworld import tell_story
from minillm.corpus.storyworld.words import SEX
from minillm.evaluate import probes
from minillm.evaluate.items import EvaluateConfig, Items, one_pair
from minillm.evaluate.probes import Probes, answers_to_choose_from, question_figures, who_questions
from minillm.evaluate.reading import pair_figures, source_figures
from minillm.model.transformer import Transformer
from minillm.train.loop import train
from minillm.train.optimizer import make_optimizer
from minillm.train.schedule import TrainingConfig, TrainState
from minillm.train.trainer import pretraining_loss
from tests.evaluate.fakes import STORIES, Uniform, small_config, story_tokenizer

TOKENIZER = story_tokenizer()
FRESH = [tell_story(seed, level) for level in (1, 2) for seed in range(400, 406)]


def items() -> Items:
    told = [
        Document(f"{source}/{index}", story.text, source, "story", "CC0-1.0", "en", "validation")
        for source in ("left", "right") for index, story in enumerate(FRESH[:3])
    ]  # fmt: skip
    pairs = [pair for pair in map(one_pair, FRESH) if pair is not None]
    return Items(tuple(FRESH), tuple(pairs), tuple(told), ())


def probing(count: int = 2) -> Probes:
    return Probes(
        tokenizer=TOKENIZER, items=items(), openings=tuple(s.opening for s in FRESH[:count])
    )


def saying(name: str) -> Uniform:
    """Likes one name, wherever it stands, and full stops."""
    tokens = TOKENIZER.encode(f" {name}.")
    assert len(tokens) == 2, "a name of one token: no other name shares a part of it"
    return Uniform(TOKENIZER.vocab_size, dict.fromkeys(tokens, 50.0))


class Log:
    def __init__(self) -> None:
        self.lines: list[dict] = []

    def write(self, **fields: object) -> None:
        self.lines.append(fields)


def test_questions_after_a_person_have_the_right_one_first_and_the_others_behind() -> None:
    for story in STORIES:
        for question in who_questions(story):
            first, *others = answers_to_choose_from(story, question)
            assert first == question.answer and question.answerable
            assert first not in others and len(set(others)) == len(others) >= 1
            assert all(each.removesuffix(".") in story.text for each in (first, *others))


def test_who_likes_a_name_answers_right_where_it_is_the_answer_alone() -> None:
    asked = [story for story in STORIES if who_questions(story)]
    answers = {f"{s.level}/{s.seed}": who_questions(s)[0].answer for s in asked}
    names = [each for each in sorted(SEX) if len(TOKENIZER.encode(f" {each}.")) == 2]
    name = max(names, key=lambda each: list(answers.values()).count(f"{each}."))
    figure = question_figures(saying(name), TOKENIZER, asked)["questions/who"]
    has_name = {f"{s.level}/{s.seed}" for s in asked if name in s.text} & set(figure.items)
    right = {key for key, (top, _) in figure.items.items() if top == 1} & has_name
    assert right == {key for key in has_name if answers[key] == f"{name}."}
    assert right and len(has_name) > len(right)


def test_a_tie_is_not_a_right_answer() -> None:
    """Where two names are as likely, by byte, neither is preferred: no credit for coming first."""
    sizes = {name: (len(name), len(TOKENIZER.encode(f" {name}."))) for name in sorted(SEX)}
    one, other = next(
        (a, b) for a in sizes for b in sizes if a != b and sizes[a] == sizes[b]
    )  # fmt: skip
    story = next(each for each in STORIES if who_questions(each))
    question = replace(who_questions(story)[0], answer=f"{one}.")
    tied = replace(story, text=f"{one} met {other}.", questions=(question,))
    flat = Uniform(TOKENIZER.vocab_size)
    assert question_figures(flat, TOKENIZER, [tied])["questions/who"].value == 0


def test_a_question_of_which_one_answer_does_not_fit_is_not_asked() -> None:
    by_size = sorted(SEX, key=lambda name: len(TOKENIZER.encode(f" {name}.")))
    short, long = by_size[0], by_size[-1]
    story = next(each for each in STORIES if who_questions(each))
    question = replace(who_questions(story)[0], answer=f"{short}.")
    told = replace(story, text=f"{short} met {long}.", questions=(question,))
    names = answers_to_choose_from(told, question)
    assert names == [f"{short}.", f"{long}."]
    sizes = [len(TOKENIZER.encode(probes.with_question(told, question, each))) for each in names]
    assert sizes[0] < sizes[1], "the right answer is the shorter one"
    for room, count in ((sizes[1], 1), (sizes[0], 0)):
        model = Uniform(TOKENIZER.vocab_size)
        model.config = replace(model.config, context_length=1 + room)
        assert len(question_figures(model, TOKENIZER, [told])) == count


def test_chance_is_one_over_the_people() -> None:
    small = [story for story in FRESH if story.level == 1 and who_questions(story)]
    assert probes.chance_level(small) == pytest.approx(1 / 2)
    larger = [story for story in FRESH if story.level == 2 and who_questions(story)]
    assert probes.chance_level(larger) <= 1 / 3


def test_a_look_has_the_figures_of_the_report_card_and_the_same_texts_again() -> None:
    torch.manual_seed(0)
    model = Transformer(small_config(TOKENIZER.vocab_size)).eval()
    probe, config = probing(), EvaluateConfig()
    said = probe(model, 7)
    asked = source_figures(model, TOKENIZER, items().held_out, config.seed)
    asked |= pair_figures(model, TOKENIZER, items().pairs, config)
    assert {name: said[name] for name in asked} == {k: each.value for k, each in asked.items()}
    assert set(said) - set(asked) == {"questions/who"}
    assert {"bits_per_byte/left", "bits_per_byte/right", "pairs/all"} <= set(said)
    probe(model, 8)
    first, second = probe.snapshots
    assert (first.step, second.step) == (7, 8) and first.texts == second.texts
    for text, opening in zip(first.texts, probe.openings, strict=True):
        assert text.startswith(opening) and len(text) > len(opening)
    steps, figures = probes.curve(probe.snapshots, "pairs/all")
    assert steps == [7, 8] and [each.value for each in figures] == [said["pairs/all"]] * 2
    assert probes.curve(probe.snapshots, "no such figure") == ([], [])


def trained(probe: Probes | None) -> tuple[list[torch.Tensor], Log]:
    torch.manual_seed(0)
    model = Transformer(small_config(TOKENIZER.vocab_size))
    shards = shards_of([story.text for story in STORIES], TOKENIZER)
    training = TrainingConfig(
        max_steps=4, learning_rate=1e-2, precision="float32", evaluate_every_steps=2
    )
    stream = Stream(shards, BatchesConfig(context_length=64, batch_size=2))
    optimizer = make_optimizer(model, "adamw", weight_decay=0.1, betas=(0.9, 0.95))
    log = Log()
    train(
        model, stream, pretraining_loss(4.0, "cpu"), optimizer, training,
        state=TrainState(), log=log, evaluate=probe,
    )  # fmt: skip
    return [each.detach().clone() for each in model.parameters()], log


def test_a_run_that_is_looked_at_ends_with_the_same_weights_and_its_log_has_the_figures() -> None:
    probe = probing()
    looked_at, log = trained(probe)
    alone, _ = trained(None)
    assert all(torch.equal(one, other) for one, other in zip(looked_at, alone, strict=True))
    lines = [each for each in log.lines if each["event"] == "evaluation"]
    assert [each["step"] for each in lines] == [2, 4] == [each.step for each in probe.snapshots]
    assert all("pairs/all" in each and "questions/who" in each for each in lines)


def test_a_story_with_its_question_reads_on() -> None:
    story = next(each for each in STORIES if who_questions(each))
    question = who_questions(story)[0]
    text = probes.with_question(story, question)
    assert text == f"{story.text} {question.text} {question.answer}"
    assert probes.with_question(story, question, "Nobody.").endswith(f"{question.text} Nobody.")
