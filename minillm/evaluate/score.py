"""The stage: every model of a run → one report card, a column each.

In: the run's documents and its models. Out: the artifact `scores`: `scores.json`, `items.json` and
`card.html`. All models meet the same items. A base model has the scores that make sense for it; an
assistant has them too, and those of its replies.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from minillm.align.chat import prompt_tokens
from minillm.core.progress import track
from minillm.core.promotion import MODEL_KINDS, is_current, promote
from minillm.core.records import Artifact, Run, counted, make_artifact
from minillm.corpus.pipeline import read_documents
from minillm.corpus.sources import Document
from minillm.evaluate.answering import MAX_REPLY_TOKENS, answering_figures, chatting
from minillm.evaluate.card import Card, Figure, proportion, read_cards, write_cards
from minillm.evaluate.gate import Verdict, best
from minillm.evaluate.items import EvaluateConfig, Items, evaluation_items
from minillm.evaluate.overlap import overlaps
from minillm.evaluate.page import PAGE, page
from minillm.evaluate.reading import attack_figures, continuing, reading_figures
from minillm.evaluate.redteam import Conversation
from minillm.model.transformer import Transformer
from minillm.tokenizer.bytepair import Tokenizer
from minillm.train.checkpoint import load_model

CODE = ("minillm.evaluate", "minillm.corpus.storyworld", "minillm.model", "minillm.align.chat")
BASE_KINDS = ("model",)


# package only
def score_model(
    model: Transformer, tokenizer: Tokenizer, items: Items, config: EvaluateConfig, is_chat: bool
) -> dict[str, Figure]:
    """Every figure of one model, by name."""
    figures: dict[str, Figure] = {}
    groups = [reading_figures(model, tokenizer, items, config)]
    respond = continuing(model, tokenizer)
    if is_chat:
        groups.append(answering_figures(model, tokenizer, items, config))
        respond = chatting(model, tokenizer)

    def fits_whole(messages: Conversation) -> bool:
        needed = len(prompt_tokens(messages, tokenizer)) if is_chat else sum(
            len(tokenizer.encode(message.content)) for message in messages
        )
        return needed + MAX_REPLY_TOKENS // 2 <= model.config.context_length

    for group in groups:
        for found in group:
            figures |= found
    return figures | attack_figures(respond, items, config.attacks, fits_whole, is_chat)


# package only
def contamination(items: Items, documents: Sequence[Document]) -> dict[str, dict[str, float]]:
    """How much of each kind of item stands in the training text: a share per item."""
    texts = {
        "pairs": {pair.id: pair.context + pair.true for pair in items.pairs},
        "stories": {f"{each.level}/{each.seed}": each.text for each in items.stories},
        "held_out": {each.id: each.text for each in items.held_out},
    }
    together = {
        f"{kind} {name}": text for kind, each in texts.items() for name, text in each.items()
    }
    trained_on = (each.text for each in documents if each.split == "train")
    shares = overlaps(together, trained_on)
    return {
        kind: {name: shares[f"{kind} {name}"] for name in each} for kind, each in texts.items()
    }


# package only
def clean_figures(
    figures: Mapping[str, Figure], shares: Mapping[str, float]
) -> dict[str, Figure]:
    """The minimal pairs again, without those of which training text holds a run of words."""
    if "pairs/all" not in figures:
        return {}
    items = figures["pairs/all"].items
    clean = {name: bool(top) for name, (top, _) in items.items() if shares[name] == 0}
    meaning = "… of which training holds no 13 words"
    return {"pairs/clean": proportion(clean, meaning)} if clean else {}


# package only
def contamination_report(shares: Mapping[str, Mapping[str, float]]) -> dict[str, dict]:
    """Per kind of item: how many, how many share any run of words, how many stand there whole."""
    return {
        kind: {
            "items": len(each),
            "share_a_run": sum(share > 0 for share in each.values()),
            "wholly_in_training": sum(share == 1 for share in each.values()),
        }
        for kind, each in shares.items()
    }


# package only
def models_of(run: Run, kinds: Sequence[str] = MODEL_KINDS) -> list[Artifact]:
    """The run's models, from the first to the last made, none of them from an earlier one that was
    made anew since; FileNotFoundError without any."""
    made = [kind for kind in kinds if is_current(run, kind)]
    return [run.artifact(kind) for kind in made or kinds[:1]]


# package only
def write_report(
    cards: Mapping[str, Card], shares: Mapping[str, Mapping[str, float]], config: EvaluateConfig,
    folder: Path,
) -> dict[str, object]:
    """`scores.json`, `items.json` and `card.html`; returns the figures of the manifest."""
    chosen, verdicts = best(cards, config.margin)
    report = {
        "best": chosen,
        "margin": config.margin,
        "gate": [
            {"candidate": each.candidate, "against": each.parent, "accepted": each.is_accepted,
             "reasons": list(each.reasons), "changes": [str(change) for change in each.changes]}
            for each in verdicts
        ],
        "contamination": contamination_report(shares),
    }  # fmt: skip
    write_cards(cards, report, folder)
    (folder / PAGE).write_text(page(cards, report), encoding="utf-8")
    num_figures = sum(len(card.figures) for card in cards.values())
    return {"models": len(cards), "figures": num_figures, "best": chosen}


def score_cards(
    models: Iterable[tuple[str, str, bool, Transformer, Tokenizer]],
    documents: Sequence[Document],
    config: EvaluateConfig,
) -> tuple[dict[str, Card], dict[str, dict[str, float]]]:
    """A card for each (kind, sha256, is_chat, model, tokenizer), and the items' contamination."""
    items = evaluation_items(config, documents)
    shares = contamination(items, documents) if documents else {}
    cards = {}
    for kind, sha256, is_chat, model, tokenizer in models:
        figures = score_model(model, tokenizer, items, config, is_chat)
        if shares:
            figures |= clean_figures(figures, shares["pairs"])
        form = "chat" if is_chat else "base"
        cards[kind] = Card(kind=kind, sha256=sha256, form=form, figures=figures)
    return cards, shares


def loaded(models: Sequence[Artifact]) -> Iterator[tuple[str, str, bool, Transformer, Tokenizer]]:
    """Each model of a run when its turn comes, and whether it answers chats."""
    for each in track(models, "scoring"):
        yield each.kind, each.sha256, each.kind not in BASE_KINDS, *load_model(each.path)


def evaluate(
    config: EvaluateConfig, run: Run, kinds: Sequence[str] = MODEL_KINDS
) -> Artifact:
    """The stage: the run's models and documents → its report card."""
    models, documents = models_of(run, kinds), run.artifact("documents")

    def write(folder: Path) -> dict[str, object]:
        texts = list(read_documents(documents.path))
        cards, shares = score_cards(loaded(models), texts, config)
        return write_report(cards, shares, config, folder)

    return make_artifact(
        run, "scores", config=config, parents=(documents, *models), code=CODE,
        write=write, summary=lambda figures: f"{figures['figures']} scores of "
        + counted(figures["models"], "model"),
    )  # fmt: skip


def promote_best(run: Run, scores: Artifact, margin: float) -> tuple[str, list[Verdict]]:
    """Let the best model by the gate answer the run's users, and say how each comparison went."""
    cards = read_cards(scores.path)
    chosen, verdicts = best(cards, margin)
    promote(run, run.artifact(chosen))
    return chosen, verdicts
