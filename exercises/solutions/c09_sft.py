"""Solutions to the exercises of chapter 09, Supervised fine-tuning."""


def targets(tokens: list[int], is_said: list[bool], ignore: int) -> list[int]:
    """The target at each place but the last: the *next* token if it is said, else `ignore`."""
    pairs = zip(tokens[1:], is_said[1:])
    return [token if said else ignore for token, said in pairs]


def completion_loss(logprobs: list[float], is_said: list[bool]) -> float:
    """The mean surprise, in nats, of the tokens that are said; 0.0 where none is.

    `logprobs[i]` is the log-probability that the model gave token i.
    """
    said = [-logprob for logprob, own in zip(logprobs, is_said) if own]
    return sum(said) / len(said) if said else 0.0


def spliced(turns: list[tuple[str, str]], begin: int, end: int) -> list[int]:
    """A conversation as ids: for each (role, content) `begin`, "role: content", `end`.

    Text becomes the code points of its characters, `[ord(c) for c in text]`; the two marks are ids,
    and nothing that stands in a content can become one.
    """
    ids = []
    for role, content in turns:
        ids += [begin, *(ord(character) for character in f"{role}: {content}"), end]
    return ids


def exact_match(replies: list[str], answers: list[str]) -> float:
    """The share of replies that are the answer, word for word; 0.0 for no reply.

    Case, the spaces around and between words, and full stops at the end do not count.
    """
    def plain(text: str) -> str:
        return " ".join(text.lower().split()).rstrip(".")

    hits = [plain(reply) == plain(answer) for reply, answer in zip(replies, answers)]
    return sum(hits) / len(hits) if hits else 0.0
