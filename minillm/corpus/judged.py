"""Which documents the learned steps look at, and how many they let pass unseen.

In: documents that were kept. Out: counts by step and kind. The idea: a step that was trained on
prose says nothing of programs, and nothing of English where a text has none; what it has not
looked at is counted instead of taken for good.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace

from minillm.corpus.classifier import is_english_page, is_in_english
from minillm.corpus.language import has_words
from minillm.corpus.sources import Document

# By learned step, whether it looks at a document; the others it lets pass.
JUDGED: dict[str, Callable[[Document], bool]] = {
    "language": has_words, "civility": is_in_english, "quality": is_english_page,
}  # fmt: skip


# package only
def not_judged(documents: Iterable[Document]) -> dict[str, dict[str, int]]:
    """By learned step how many documents of which kind it let pass unseen: `{"text": 2}`.

    Kinds that it judges in English are named with the language: `web in de`.
    """
    counts = {name: Counter() for name in JUDGED}
    for each in documents:
        for name, is_judged in JUDGED.items():
            if not is_judged(each):
                in_english = replace(each, language="en")
                kind = f"{each.kind} in {each.language}" if is_judged(in_english) else each.kind
                counts[name][kind] += 1
    return {name: dict(count.most_common()) for name, count in counts.items() if count}
