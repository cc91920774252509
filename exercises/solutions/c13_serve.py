"""Solutions to the exercises of chapter 13: one right answer of several."""


def pieces_to_send(tokens: list[str], stop: str) -> list[str]:
    """What goes out after each token of a reply that ends before the text `stop`.

    Whatever may still be the beginning of `stop` waits; once `stop` is there, nothing more is sent.
    After the last token all that waits goes out.
    `pieces_to_send(["a", "b", "c"], "bc")` is `["a", "", ""]`.
    """
    waiting, pieces = "", []
    for index, token in enumerate(tokens):
        waiting += token
        before, found, _ = waiting.partition(stop)
        if found:
            return [*pieces, before] + [""] * (len(tokens) - index - 1)
        lengths = range(1, min(len(stop), len(waiting) + 1))
        kept = max((n for n in lengths if stop.startswith(waiting[-n:])), default=0)
        if index == len(tokens) - 1:
            kept = 0
        pieces.append(waiting[: len(waiting) - kept])
        waiting = waiting[len(waiting) - kept :]
    return pieces


def finish_steps(lengths: list[int], num_slots: int) -> list[int]:
    """The step after which each request is done, if all arrive at once and go in order.

    A request of length n sits in a slot for n steps; a slot that is free at the end of a step is
    taken by the next in line for the following step. `finish_steps([3, 1, 2], 2)` is `[3, 1, 3]`.
    """
    free_after = [0] * num_slots
    done = []
    for length in lengths:
        slot = free_after.index(min(free_after))
        free_after[slot] += length
        done.append(free_after[slot])
    return done


def event_data(chunks: list[str]) -> list[str]:
    """The data of the server-sent events in a body that arrives in any pieces, up to `[DONE]`.

    An event is a line `data: …` and an empty line; lines that begin with `:` are comments.
    `event_data(["data: a\\n", "\\ndata: [DONE]\\n\\n"])` is `["a"]`.
    """
    found = []
    for event in "".join(chunks).split("\n\n")[:-1]:
        lines = [line for line in event.split("\n") if line.startswith("data: ")]
        if not lines:
            continue
        data = "\n".join(line.removeprefix("data: ") for line in lines)
        if data == "[DONE]":
            break
        found.append(data)
    return found


def quantile(q: float, bounds: list[float], counts: list[int]) -> float:
    """The q-quantile that a histogram suggests, as Prometheus computes it.

    `counts[i]` observations were at most `bounds[i]`: cumulative; the last bound is infinite.
    Inside a bucket observations are spread evenly; the first bucket begins at 0. A quantile in the
    last bucket is its lower bound. `quantile(0.5, [1, 2, inf], [2, 4, 4])` is 1.
    """
    rank = q * counts[-1]
    bucket = next(index for index, count in enumerate(counts) if count >= rank)
    if bucket == len(bounds) - 1:
        return bounds[-2]
    lower, before = (bounds[bucket - 1], counts[bucket - 1]) if bucket else (0.0, 0)
    inside = counts[bucket] - before
    fraction = (rank - before) / inside if inside else 0.0
    return lower + (bounds[bucket] - lower) * fraction
