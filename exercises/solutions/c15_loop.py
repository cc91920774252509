"""Solutions to the exercises of chapter 15, The loop."""


def lessons(judgements: list[tuple[str, int, str | None]]) -> list[tuple[str, str | None]]:
    """What judgements teach: (chosen, rejected) for each that teaches anything.

    A judgement is (reply, rating, correction): 1 approves the reply, −1 lowers the thumb, 0 says
    nothing. A correction counts only below a lowered thumb, and only if it differs from the reply.
    """
    found = []
    for reply, rating, correction in judgements:
        if rating == 1:
            found.append((reply, None))
        elif rating == -1 and correction and correction != reply:
            found.append((correction, reply))
    return found


def elected(votes: list[tuple[str, str]], share: float) -> str | None:
    """The reply that more than this share of clients want; None if there is no such reply.

    A vote is (client, reply). Every client has one voice, and the last word counts.
    """
    reply_of = dict(votes)
    replies = list(reply_of.values())
    for reply in sorted(set(replies)):
        if replies.count(reply) > share * len(replies):
            return reply
    return None


def old_loss(replay_per_new: float, curvature_old: float, curvature_new: float) -> float:
    """The old task's loss where training on a mix ends.

    One weight w; the old loss is curvature_old · w² / 2, the new one curvature_new · (w − 1)² / 2,
    and the mix holds `replay_per_new` old examples for each new one.
    """
    w = curvature_new / (curvature_new + replay_per_new * curvature_old)
    return curvature_old * w**2 / 2


def verdict(drifted: tuple[float, float, float], old: tuple[float, float, float]) -> bool:
    """May the child take its parent's place?

    Each change is (low, value, high): drifted in bits a byte, old as a fraction of the parent's
    bits. Drifted traffic must be certainly better, old traffic may cost at most 1 % more.
    """
    return drifted[2] < 0 and old[1] <= 0.01


def ancestors(parents: dict[str, list[str]], root: str) -> list[str]:
    """Everything that `root` was made from, itself included, in alphabetical order.

    `parents` names the parents of each artifact; an artifact can be reached by several ways.
    """
    seen, waiting = {root}, [root]
    while waiting:
        for parent in parents.get(waiting.pop(), []):
            if parent not in seen:
                seen.add(parent)
                waiting.append(parent)
    return sorted(seen)
