"""Judgements become data: the thumbs and corrections of a log → documents and pairs.

In: a request log, the windows in which an alarm fell, and texts that must stay unseen. Out: texts
that users sent in those windows, replies that users approved or wrote, and pairs of a better and a
worse reply. The one idea: whoever can correct a model can poison it, so a correction is a *vote*: a
client has few, one who misused the service has none, and where voices differ more than half must
agree. All texts then pass the corpus's own steps. Left out: whether a correction that nobody
contradicts is true (somebody has to look at a sample); clients that act together.
"""

import dataclasses
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from minillm.align.chat import Message
from minillm.align.pairs import Pair
from minillm.core.records import (
    Artifact,
    JsonLines,
    Run,
    make_artifact,
    read_json_lines,
)
from minillm.core.settings import built
from minillm.corpus.clean import repair_text
from minillm.corpus.contamination import drop_contaminated
from minillm.corpus.duplicates import drop_near_copies, exact_duplicates
from minillm.corpus.personal import mask_personal_data
from minillm.corpus.pipeline import StepMaker, apply_steps, read_documents
from minillm.corpus.sources import Document
from minillm.corpus.storyworld import tell_story
from minillm.evaluate.items import EvaluateConfig, evaluation_stories
from minillm.evaluate.questions import normal_form
from minillm.monitor.misuse import points_of, window_misuse
from minillm.monitor.population import OFFICE, in_other_words
from minillm.monitor.requests import LOG, Request, read_requests, windows_of
from minillm.monitor.watch import REPORT, MonitorConfig

CODE = ("minillm.monitor.feedback", "minillm.monitor.misuse", "minillm.corpus")
DOCUMENTS, PAIRS, VOICES = "documents.jsonl", "pairs.jsonl", "voices.jsonl"
# stories that only the before-and-after comparison of a round asks about; never trained on
FIRST_SLICE_SEED = 600_000
LICENCE = "users-opt-in"


# package only
@dataclass(frozen=True, kw_only=True, slots=True)
class FeedbackConfig:
    """How many judgements of one client count, and how many must agree."""

    max_voices: int = 3
    # of the voices on one prompt more than this share must say the same
    agreement: float = 0.5
    slice_stories: int = 48
    protected: EvaluateConfig = field(
        default_factory=lambda: EvaluateConfig(stories=50, levels=(1, 2, 3))
    )

    def __post_init__(self) -> None:
        if self.max_voices < 1:
            raise ValueError(f"max_voices = {self.max_voices}: must be at least 1, or none counts")
        if not 0 <= self.agreement < 1:
            remedy = "must be at least 0 and below 1; 0.5 asks for more than half"
            raise ValueError(f"agreement = {self.agreement}: {remedy}")
        if self.slice_stories < 2:
            remedy = "must be at least 2; an interval needs items that can differ"
            raise ValueError(f"slice_stories = {self.slice_stories}: {remedy}")


# package only
@dataclass(frozen=True, slots=True)
class Voice:
    """What one client holds to be the right reply to one prompt, and what was wrong if it was."""

    id: str
    client: str
    prompt: str
    chosen: str
    rejected: str | None = None


# package only
@dataclass(frozen=True, slots=True)
class Feedback:
    """What a log has to teach, and for all else how often it was left out, and why."""

    documents: tuple[Document, ...]
    voices: tuple[Voice, ...]
    left_out: dict[str, int]

    @property
    def pairs(self) -> list[Pair]:
        """Every correction above the reply that it corrects."""
        return [
            Pair(Message("user", each.prompt), each.chosen, each.rejected, "corrected by a user")
            for each in self.voices if each.rejected
        ]  # fmt: skip


def voice_of(request: Request) -> Voice | None:
    """A raised thumb approves the reply, a correction replaces it; a bare lowered thumb says no
    more than that something was wrong."""
    if not (request.is_answered and request.prompt and request.rating):
        return None
    said = (request.id, request.client, request.prompt)
    if request.rating > 0:
        return Voice(*said, request.reply) if request.reply else None
    if not request.correction or not request.correction.strip():
        return None
    is_same = normal_form(request.correction) == normal_form(request.reply or "")
    return None if is_same else Voice(*said, request.correction.strip(), request.reply)


def first_voices(voices: Sequence[Voice], max_voices: int) -> list[Voice]:
    """The first so many of every client: shouting does not help."""
    counts: Counter[str] = Counter()
    kept = []
    for each in voices:
        counts[each.client] += 1
        if counts[each.client] <= max_voices:
            kept.append(each)
    return kept


def agreed(voices: Sequence[Voice], agreement: float) -> list[Voice]:
    """Of the voices on one prompt those of the reply that more than this share of clients want."""
    by_prompt: dict[str, dict[str, Voice]] = defaultdict(dict)
    for each in voices:
        by_prompt[normal_form(each.prompt)][each.client] = each  # a client's last word counts
    kept = []
    for of_client in by_prompt.values():
        votes = Counter(normal_form(each.chosen) for each in of_client.values())
        ((winner, count),) = votes.most_common(1)
        if count > agreement * len(of_client):
            kept += [each for each in of_client.values() if normal_form(each.chosen) == winner]
    return kept


def flagged_clients(requests: Sequence[Request], config: MonitorConfig) -> set[str]:
    """Whoever was flagged for misuse in any window after the reference."""
    num_own, size = config.drift.reference_requests, config.drift.window_requests
    points = points_of(windows_of(requests[:num_own], size) or [requests[:num_own]])
    windows = windows_of(requests[num_own:], size)
    verdicts = [each for window in windows for each in window_misuse(points, window, config.misuse)]
    return {each.use.client for each in verdicts if each.is_flagged}


def alarmed_requests(requests: Sequence[Request], windows: Iterable[Mapping]) -> list[Request]:
    """The requests of the report's windows in which a drift alarm fell."""
    return [
        request
        for window in windows
        if any(each["decision"] == "alarm" for each in window["drift"]["signals"])
        for request in requests[window["first"] - 1 : window["last"]]
    ]


# package only
def as_document(identity: str, text: str) -> Document:
    """A user's text, with personal data masked."""
    found = Document(
        id=identity, text=text, source="requests", kind="chat", licence=LICENCE, language="en"
    )  # fmt: skip
    return mask_personal_data(repair_text(found))


# package only
def masked(voice: Voice) -> Voice:
    """The same voice without personal data in prompt or replies."""
    texts = {
        name: as_document(voice.id, getattr(voice, name)).text
        for name in ("prompt", "chosen", "rejected") if getattr(voice, name)
    }  # fmt: skip
    return dataclasses.replace(voice, **texts)


def without_leaks(
    documents: Sequence[Document], held_out: Sequence[Document], *, near: bool
) -> tuple[list[Document], Counter[str]]:
    """The documents that share no run of words with held-out texts, without copies; the others
    counted by reason."""
    makers: dict[str, StepMaker] = {
        "contamination": lambda _: drop_contaminated(held_out),
        "exact copy": lambda _: exact_duplicates(),
    }
    if near:
        makers["near copy"] = drop_near_copies
    kept, rejected = apply_steps(list(documents), makers)
    return kept, Counter(each.step for each in rejected)


def gathered(
    requests: Sequence[Request], alarmed: Sequence[Request], flagged: set[str],
    held_out: Sequence[Document], config: FeedbackConfig,
) -> Feedback:
    """Every step in order: opt-in, misuse, few voices each, agreement, masking, leaks, copies."""
    left_out: Counter[str] = Counter()
    rated = [each for each in requests if each.rating]
    honest = [each for each in rated if each.client not in flagged]
    voices = [voice for each in honest if (voice := voice_of(each)) is not None]
    few = first_voices(voices, config.max_voices)
    right = [masked(each) for each in agreed(few, config.agreement)]
    left_out |= Counter({
        "misuse": len(rated) - len(honest), "no text": len(honest) - len(voices),
        "too many of one client": len(voices) - len(few), "disputed": len(few) - len(right),
    })  # fmt: skip
    told = [as_document(each.id, f"{each.prompt}\n{each.chosen}") for each in right]
    kept, leaks = without_leaks(told, held_out, near=False)
    sent = [each for each in alarmed if each.prompt and each.client not in flagged]
    texts = [as_document(each.id, each.prompt) for each in sent]
    documents, copies = without_leaks(texts, held_out, near=True)
    ids = {each.id for each in kept}
    found = left_out + leaks + Counter({f"text: {name}": n for name, n in copies.items()})
    return Feedback(tuple(documents), tuple(each for each in right if each.id in ids), dict(found))


# package only
def held_out_texts(config: FeedbackConfig, run: Run) -> list[Document]:
    """All that scores are made of: the run's held-out documents and stories, in both wordings."""
    stories = evaluation_stories(config.protected)
    stories += [tell_story(FIRST_SLICE_SEED + at, 1) for at in range(config.slice_stories)]
    texts = [text for each in stories for text in (each.text, in_other_words(each.text, OFFICE))]
    documents = read_documents(run.artifact("documents").path, "validation")
    return [*documents, *(as_document(f"evaluation/{at}", text) for at, text in enumerate(texts))]


# package only
def write_feedback(found: Feedback, folder: Path) -> dict[str, object]:
    """`documents.jsonl`, `voices.jsonl`, `pairs.jsonl`; the figures of the manifest."""
    parts = {DOCUMENTS: found.documents, VOICES: found.voices, PAIRS: found.pairs}
    for name, records in parts.items():
        (folder / name).touch()
        for each in records:
            JsonLines(folder / name).write(**dataclasses.asdict(each))
    counts = {name.partition(".")[0]: len(records) for name, records in parts.items()}
    return counts | {"left_out": found.left_out}


# package only
def read_voices(folder: Path) -> list[Voice]:
    """The voices of a feedback artifact."""
    return [Voice(**fields) for fields in read_json_lines(folder / VOICES)]


# package only
def read_pairs(folder: Path) -> list[Pair]:
    """The pairs of a feedback artifact, in the form that preferences are learnt from."""
    lines = read_json_lines(folder / PAIRS)
    return [Pair(**{**fields, "prompt": Message(**fields["prompt"])}) for fields in lines]


def feedback(config: FeedbackConfig, run: Run) -> Artifact:
    """The stage: the run's watched traffic → what it has to teach."""
    traffic, drift, documents = (run.artifact(kind) for kind in ("traffic", "drift", "documents"))

    def write(folder: Path) -> dict[str, object]:
        requests = read_requests(traffic.path / LOG)
        report = json.loads((drift.path / REPORT).read_text(encoding="utf-8"))
        alarmed = alarmed_requests(requests, report["windows"])
        flagged = flagged_clients(requests, built(MonitorConfig, drift.config))
        found = gathered(requests, alarmed, flagged, held_out_texts(config, run), config)
        return write_feedback(found, folder)

    return make_artifact(
        run, "feedback", config=config, parents=(traffic, drift, documents), code=CODE,
        write=write, summary=lambda figures: (
            f"{figures['documents']} documents, {figures['voices']} voices, "
            f"{figures['pairs']} pairs of the users"
        ),
    )  # fmt: skip
