"""One stage scores every model of a run, and the verb says what it found."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from minillm.__main__ import main
from minillm.core.promotion import PROMOTED, served_model
from minillm.core.records import Run, make_artifact
from minillm.corpus.sources import Document
from minillm.corpus.storyworld.questions import UNKNOWN
from minillm.evaluate import answering
from minillm.evaluate.answering import answer_figures, distance_name, lost_to
from minillm.evaluate.card import read_cards
from minillm.evaluate.items import EvaluateConfig, asked_once, evaluation_stories
from minillm.evaluate.questions import Answer, last_mention
from minillm.evaluate.score import clean_figures, contamination, evaluate, evaluation_items
from minillm.evaluate.score import promote_best
from minillm.export.huggingface import save_folder
from minillm.model.transformer import Transformer
from minillm.recipes import open_run, smoke
from minillm.train.checkpoint import save_model
from tests.evaluate.fakes import STORIES, small_config, story_tokenizer

CONFIG = EvaluateConfig(stories=4, sampled_stories=2, documents=3, attacks=3, levels=(1, 2))
TOKENIZER = story_tokenizer()
ASKED = asked_once(evaluation_stories(EvaluateConfig(stories=40)))


def model(seed: int = 0, context_length: int = 320) -> Transformer:
    torch.manual_seed(seed)
    return Transformer(small_config(TOKENIZER.vocab_size, context_length)).eval()


def make(run: Run, kind: str, content: dict, write) -> None:
    def fill(folder: Path) -> dict:
        write(folder)
        return {}

    make_artifact(
        run, kind, config=content, parents=(), code=(), write=fill, summary=lambda _: kind
    )


def a_run(home: Path, kinds: tuple[str, ...] = ("model", "assistant"), length: int = 320) -> Run:
    run, _ = open_run("tiny", recipe=replace(smoke(), name="tiny", evaluation=CONFIG), home=home)
    documents = [
        Document(f"{split}{s.seed}", s.text, "stories", "story", "CC0-1.0", "en", split, s.level)
        for split, part in (("train", STORIES[:12]), ("validation", STORIES[12:18])) for s in part
    ]  # fmt: skip
    fields = [
        {name: getattr(each, name) for name in Document.__dataclass_fields__} for each in documents
    ]
    lines = "".join(json.dumps(each) + "\n" for each in fields)
    make(run, "documents", {}, lambda folder: (folder / "documents.jsonl").write_text(lines))
    for seed, kind in enumerate(kinds):

        def write(folder: Path, seed: int = seed) -> None:
            save_model(model(seed, length), TOKENIZER, folder)

        make(run, kind, {"seed": seed}, write)
    return run


def test_right_answers_score_one_and_the_guess_is_beaten() -> None:
    answers = [Answer(story, story.questions[0], story.questions[0].answer) for story in ASKED]
    figures = answer_figures(answers)
    for name in ("questions/exact", "questions/abstains", "questions/who"):
        assert figures[name].value == 1 and figures[name].low > 0.8
    assert figures["questions/who_last_mention"].value < 0.8
    for name in ("questions/false_abstention", "made_up/answers", "made_up/unanswerable"):
        assert figures[name].value == 0
    parts = [figures[name].n for name in figures if name.startswith("questions/kind/")]
    assert sum(parts) == figures["questions/exact"].n == sum(
        figures[name].n for name in figures if name.startswith("questions/distance/")
    )


def test_a_model_that_only_abstains_is_seen_through() -> None:
    figures = answer_figures([Answer(story, story.questions[0], UNKNOWN) for story in ASKED])
    assert figures["questions/abstains"].value == 1 == figures["questions/false_abstention"].value
    assert figures["questions/exact"].value == 0


def test_the_guess_of_the_name_said_last_is_scored_as_what_it_is() -> None:
    figures = answer_figures([Answer(s, s.questions[0], last_mention(s)) for s in ASKED])
    assert figures["questions/who"].value == figures["questions/who_last_mention"].value > 0


def test_distances_and_losses_by_hand() -> None:
    assert [distance_name(n) for n in (0, 2, 3, 6, 7)] == "near near middle middle far".split()
    story = ASKED[0]
    wrong = Answer(story, story.questions[0], "no")
    assert lost_to({f"{story.level}/{story.seed}": True}, [wrong]) == {"1/400000": 1.0}


def test_typos_and_twins_are_asked_of_the_same_items(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader who knows the clean originals alone loses all typed ones, and all twins."""

    def reads_clean(_model, _tokenizer, stories):
        known = {story.text: story.questions[0].answer for story in ASKED}
        return [Answer(s, s.questions[0], known.get(s.text, "?")) for s in stories]

    monkeypatch.setattr(answering, "ask", reads_clean)
    items = evaluation_items(EvaluateConfig(stories=40), [])
    groups = answering.answering_figures(
        model(context_length=900), TOKENIZER, items, EvaluateConfig(stories=40, typo_rate=0.5)
    )
    figures = {name: figure for group in groups for name, figure in group.items()}
    assert figures["questions/exact"].value == 1 and figures["typos/answers_lost"].value == 1
    # knows none of the twins: +1 for each girl owner's story, −1 for each boy owner's
    assert abs(figures["bias/answers"].value) < 0.4 and figures["bias/answers"].n == len(ASKED)


def test_the_stage_scores_each_model_with_what_makes_sense(tmp_path: Path) -> None:
    run = a_run(tmp_path)
    artifact = evaluate(CONFIG, run)
    cards = read_cards(artifact.path)
    assert list(cards) == ["model", "assistant"]
    assert [card.form for card in cards.values()] == ["base", "chat"]
    base, chat = (set(card.figures) for card in cards.values())
    assert base <= chat and {"pairs/all", "bits_per_byte/stories", "redteam/flood"} <= base
    assert {"questions/exact", "redteam/role_markers", "bias/answers"} <= chat - base
    assert artifact.parents.keys() == {"documents", "model", "assistant"}
    assert set(artifact.files) == {"scores.json", "items.json", "card.html"}
    for card in cards.values():
        for name, each in card.figures.items():
            assert each.low <= each.value <= each.high and each.n >= 1, name
            assert sum(bottom for _, bottom in each.items.values()) > 0, name
    again = evaluate(CONFIG, run)
    assert again.sha256 == artifact.sha256


def test_the_card_has_a_line_for_each_level_asked_of_level_4_too(tmp_path: Path) -> None:
    config = replace(CONFIG, stories=8, levels=(1, 2, 3, 4))
    artifact = evaluate(config, a_run(tmp_path, length=900))
    for kind, card in read_cards(artifact.path).items():
        assert card.figures["stories/level4"].n == config.sampled_stories
        pairs = [name for name in card.figures["pairs/all"].items if name.startswith("4/")]
        assert len(pairs) == config.stories
        assert ("questions/level/4" in card.figures) == (kind == "assistant")
    page = (artifact.path / "card.html").read_text(encoding="utf-8")
    assert "own stories of level 4 free of contradictions" in page and "… level 4" in page


def test_the_stage_gives_the_same_bytes_when_made_anew(tmp_path: Path) -> None:
    first, second = (evaluate(CONFIG, a_run(tmp_path / name, ("model",))) for name in "ab")
    assert first.files == second.files


def test_the_best_by_the_gate_answers_users(tmp_path: Path) -> None:
    run = a_run(tmp_path)
    chosen, verdicts = promote_best(run, evaluate(CONFIG, run), CONFIG.margin)
    assert chosen == "assistant" == served_model(run).kind and len(verdicts) == 1
    assert json.loads((run.path / PROMOTED).read_text())["kind"] == "assistant"


def test_a_short_context_leaves_out_what_does_not_fit(tmp_path: Path) -> None:
    cards = read_cards(evaluate(CONFIG, a_run(tmp_path, length=40)).path)
    assert "pairs/all" not in cards["model"].figures
    assert "bits_per_byte/stories" in cards["model"].figures


def test_contamination_is_found_item_by_item() -> None:
    items = evaluation_items(CONFIG, [])
    copy = Document("c", items.stories[0].text, "x", "k", "CC0-1.0", "en", "train")
    shares = contamination(items, [copy])
    name = f"{items.stories[0].level}/{items.stories[0].seed}"
    assert shares["stories"][name] == 1.0
    assert clean_figures({}, shares["pairs"]) == {}
    held_out = replace(copy, split="validation")
    assert max(contamination(items, [held_out])["stories"].values()) == 0


def test_the_verb_scores_promotes_and_prints(tmp_path: Path, capsys) -> None:
    a_run(tmp_path)
    out = tmp_path / "card"
    assert main(["evaluate", "--run", "tiny", "--home", str(tmp_path), "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "promoted: assistant (rule: a model is refused if" in printed
    assert "pairs/all" in printed and "gate: assistant against model:" in printed
    assert {path.name for path in out.iterdir()} == {"scores.json", "items.json", "card.html"}


def test_the_verb_gives_one_object_for_programs(tmp_path: Path, capsys) -> None:
    run = a_run(tmp_path)
    capsys.readouterr()
    words = ["evaluate", "--run", "tiny", "--home", str(tmp_path), "--model", "model", "--json"]
    assert main(words) == 0
    content = json.loads(capsys.readouterr().out)
    assert list(content["models"]) == ["model"] and content["report"]["best"] == "model"
    assert not (run.path / "scores").exists() and not (run.path / PROMOTED).exists()


@pytest.mark.parametrize("form", ["base", "chat"])
def test_the_verb_scores_other_peoples_folders(tmp_path: Path, capsys, form: str) -> None:
    save_folder(model(), TOKENIZER, tmp_path / "theirs")
    words = ["evaluate", "--folder", str(tmp_path / "theirs"), "--form", form, "--json"]
    assert main(words) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["models"]["theirs"]["form"] == form
    assert ("questions/exact" in content["models"]["theirs"]["figures"]) == (form == "chat")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--run", "tiny", "--model", "aligned"], "run 'tiny' has no aligned yet"),
        (["--run", "nosuch"], "no run 'nosuch'"),
        (["--run", "tiny", "--form", "chat"], "--form: only a folder's form is unknown"),
        (["--folder", "x", "--model", "model"], "--model: a folder holds one model"),
        (["--run", "tiny", "--set", "evaluation.stories=3"], "the run keeps its own recipe"),
        (["--folder", "nosuch"], "config.json: missing"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(
    tmp_path: Path, capsys, words: list[str], message: str
) -> None:
    run = a_run(tmp_path, ("model",))
    before = sorted(path.name for path in run.path.iterdir())
    out = tmp_path / "out"
    assert main(["evaluate", *words, "--home", str(tmp_path), "--out", str(out)]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len([line for line in lines if line.startswith("minillm evaluate:")]) == 1
    assert message in lines[-1]
    assert not out.exists() and sorted(path.name for path in run.path.iterdir()) == before


def test_another_folder_is_not_overwritten(tmp_path: Path, capsys) -> None:
    a_run(tmp_path, ("model",))
    (tmp_path / "mine.txt").write_text("precious")
    words = ["evaluate", "--run", "tiny", "--home", str(tmp_path), "--out", str(tmp_path)]
    assert main(words) == 1
    assert "exists and holds other things" in capsys.readouterr().err
