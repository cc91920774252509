"""Exercises 13 · Serving

Four small functions that stand between a model and its readers: what may be sent, who is served
when, how a stream is read, and what a histogram knows.
They belong to [chapter 13](../notebooks/13_serve.ipynb).
"""

import math

from exercises.engine import Exercise, Mistake, close
from exercises.solutions import c13_serve as solutions


def looks_at_each_token_alone(tokens: list[str], stop: str) -> list[str]:
    pieces, is_stopped = [], False
    for token in tokens:
        before, found, _ = token.partition(stop)
        pieces.append("" if is_stopped else before)
        is_stopped = is_stopped or bool(found)
    return pieces


def waits_for_the_end(tokens: list[str], stop: str) -> list[str]:
    text = "".join(tokens).partition(stop)[0]
    return [""] * (len(tokens) - 1) + [text] if tokens else []


def keeps_what_waited(tokens: list[str], stop: str) -> list[str]:
    pieces = solutions.pieces_to_send([*tokens, ""], stop)
    return pieces[:-1]


def sends_the_stop_string_too(tokens: list[str], stop: str) -> list[str]:
    pieces = solutions.pieces_to_send(tokens, stop)
    text, sent = "".join(tokens), "".join(pieces)
    if stop in text:
        place = next(i for i in range(len(tokens)) if stop in "".join(tokens[: i + 1]))
        pieces[place] += text[len(sent) : len(sent) + len(stop)]
    return pieces


def holds_back_a_fixed_length(tokens: list[str], stop: str) -> list[str]:
    waiting, pieces = "", []
    for index, token in enumerate(tokens):
        waiting += token
        before, found, _ = waiting.partition(stop)
        if found:
            return [*pieces, before] + [""] * (len(tokens) - index - 1)
        kept = 0 if index == len(tokens) - 1 else min(len(stop) - 1, len(waiting))
        pieces.append(waiting[: len(waiting) - kept])
        waiting = waiting[len(waiting) - kept :]
    return pieces


def batch_after_batch(lengths: list[int], num_slots: int) -> list[int]:
    start, done = 0, []
    for first in range(0, len(lengths), num_slots):
        batch = lengths[first : first + num_slots]
        done += [start + max(batch)] * len(batch)
        start += max(batch)
    return done


def batch_lets_the_short_ones_go(lengths: list[int], num_slots: int) -> list[int]:
    start, done = 0, []
    for first in range(0, len(lengths), num_slots):
        batch = lengths[first : first + num_slots]
        done += [start + length for length in batch]
        start += max(batch)
    return done


def everyone_at_once(lengths: list[int], num_slots: int) -> list[int]:
    return list(lengths)


def one_at_a_time(lengths: list[int], num_slots: int) -> list[int]:
    return [sum(lengths[: index + 1]) for index in range(len(lengths))]


def dealt_in_turns(lengths: list[int], num_slots: int) -> list[int]:
    own = [lengths[index % num_slots : index + 1 : num_slots] for index in range(len(lengths))]
    return [sum(each) for each in own]


def each_chunk_alone(chunks: list[str]) -> list[str]:
    return [data for chunk in chunks for data in solutions.event_data([chunk])]


def keeps_done(chunks: list[str]) -> list[str]:
    found = solutions.event_data(chunks)
    return [*found, "[DONE]"] if "data: [DONE]\n\n" in "".join(chunks) else found


def line_by_line(chunks: list[str]) -> list[str]:
    lines = "".join(chunks).split("\n")
    data = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]
    return data[: data.index("[DONE]")] if "[DONE]" in data else data


def comments_are_data(chunks: list[str]) -> list[str]:
    found = []
    for event in "".join(chunks).split("\n\n")[:-1]:
        lines = [line.removeprefix("data: ").removeprefix(": ") for line in event.split("\n")]
        if lines == ["[DONE]"]:
            break
        found.append("\n".join(lines))
    return found


def upper_bound(q: float, bounds: list[float], counts: list[int]) -> float:
    rank = q * counts[-1]
    bucket = next(index for index, count in enumerate(counts) if count >= rank)
    return bounds[bucket] if bucket < len(bounds) - 1 else bounds[-2]


def middle_of_the_bucket(q: float, bounds: list[float], counts: list[int]) -> float:
    rank = q * counts[-1]
    bucket = next(index for index, count in enumerate(counts) if count >= rank)
    if bucket == len(bounds) - 1:
        return bounds[-2]
    return ((bounds[bucket - 1] if bucket else 0.0) + bounds[bucket]) / 2


def counts_each_bucket_alone(q: float, bounds: list[float], counts: list[int]) -> float:
    summed = [sum(counts[: index + 1]) for index in range(len(counts))]
    return solutions.quantile(q, bounds, summed)


def last_bucket_is_infinite(q: float, bounds: list[float], counts: list[int]) -> float:
    rank = q * counts[-1]
    if rank > counts[-2]:
        return math.inf
    return solutions.quantile(q, bounds, counts)


def first_bucket_begins_at_its_end(q: float, bounds: list[float], counts: list[int]) -> float:
    return bounds[0] if q * counts[-1] <= counts[0] else solutions.quantile(q, bounds, counts)


EXERCISES = (
    Exercise(
        id="13.1",
        title="What may be sent",
        question=(
            "A reply is to end before a stop string, which may lie across several tokens, and it "
            "is streamed: what was sent cannot be taken back. After each token, what goes out?"
        ),
        solution=solutions.pieces_to_send,
        cases=(
            (["a", "b", "c"], "bc"),
            (["Once", " up", "on", " a"], " upon"),
            (["x EN", "D of it", " all"], "END"),
            (["EN", "A", "EN"], "END"),
            (["no", " stop", " here"], "zz"),
            (["yes.\n", "\nOnce"], "\n\n"),
            (["aa", "ab"], "aab"),
            ([], "x"),
        ),
        mistakes=(
            Mistake(
                "looks at each token alone",
                "A stop string that lies across two tokens slips through.",
                looks_at_each_token_alone,
            ),
            Mistake(
                "waits for the end",
                "That is right and no stream: send what cannot be part of `stop` at once.",
                waits_for_the_end,
            ),
            Mistake(
                "swallows what waited",
                "Text held back for a stop string that never came belongs to the reply.",
                keeps_what_waited,
            ),
            Mistake(
                "sends the stop string too",
                "The reply ends *before* it.",
                sends_the_stop_string_too,
            ),
            Mistake(
                "always holds back the same length",
                "Only a suffix that *begins* `stop` has to wait; the rest is late for nothing.",
                holds_back_a_fixed_length,
            ),
        ),
        hints=(
            "Keep a text `waiting`; after each token, look for `stop` in it first.",
            "Then find the longest n with `stop.startswith(waiting[-n:])`: so much stays.",
        ),
    ),
    Exercise(
        id="13.2",
        title="Who is done when",
        question=(
            "All requests arrive at once and wait in line for the slots. A slot that is free is "
            "taken by the next in line at once, whatever the other slots do. After which step is "
            "each request done?"
        ),
        solution=solutions.finish_steps,
        cases=(
            ([3, 1, 2], 2),
            ([5, 1, 1, 1, 1], 2),
            ([2, 2, 2], 3),
            ([4], 1),
            ([1, 2, 3, 4], 1),
            ([4, 2, 6, 1, 3, 2, 5], 3),
            ([], 2),
        ),
        mistakes=(
            Mistake(
                "batch after batch",
                "Nobody has to wait until the longest of a batch is done.",
                batch_after_batch,
            ),
            Mistake(
                "the next batch waits for the longest",
                "The short ones leave, but their slots stay empty: let the next in line move in.",
                batch_lets_the_short_ones_go,
            ),
            Mistake("forgets the slots", "Only `num_slots` run at a time.", everyone_at_once),
            Mistake("uses one slot", "`num_slots` run side by side.", one_at_a_time),
            Mistake(
                "deals requests out in turns",
                "Who is next takes the slot that is free *first*, not the one whose turn it is.",
                dealt_in_turns,
            ),
        ),
        hints=(
            "For each slot remember the step after which it is free.",
            "The next request takes the slot with the smallest of these numbers.",
        ),
    ),
    Exercise(
        id="13.3",
        title="Read a stream",
        question=(
            "The network cuts a stream where it likes: an event may come in three pieces, three "
            "events in one. Read the data of each event, and stop at `[DONE]`."
        ),
        solution=solutions.event_data,
        cases=(
            (["data: a\n", "\ndata: [DONE]\n\n"],),
            (["data: a\n\ndata: b\n\n", "data: [DONE]\n\n"],),
            (["da", "ta: {\"x\": ", "1}\n\n", "data: [DONE]\n\ndata: late\n\n"],),
            ([": ping\n\n", "data: a\n\n", ": ping\n\n"],),
            (["data: one\ndata: two\n\n", "data: [DONE]\n\n"],),
            (["data: whole\n\ndata: cut off"],),
            ([],),
        ),
        mistakes=(
            Mistake(
                "reads each chunk alone",
                "An event that was cut in two is lost. Keep the rest for the next chunk.",
                each_chunk_alone,
            ),
            Mistake("`[DONE]` is data", "It only says that nothing follows.", keeps_done),
            Mistake(
                "reads line by line",
                "An event ends at an *empty* line: several data lines are one event, and half an "
                "event is none.",
                line_by_line,
            ),
            Mistake(
                "comments are data", "A line that begins with `:` says nothing.", comments_are_data
            ),
        ),
        hints=(
            "Join first, then split at empty lines; what follows the last one is not finished.",
            "Of each event keep the lines that begin with `data: `, joined by a line end.",
        ),
    ),
    Exercise(
        id="13.4",
        title="What a histogram knows",
        question=(
            "A server counts how many requests took at most 0.1 s, at most 0.5 s, and so on. From "
            "these counts alone: within which time was a fraction q of them answered?"
        ),
        solution=solutions.quantile,
        cases=(
            (0.5, [1.0, 2.0, math.inf], [2, 4, 4]),
            (0.75, [1.0, 2.0, math.inf], [2, 4, 4]),
            (0.95, [0.1, 0.5, 1.0, math.inf], [10, 80, 100, 100]),
            (0.05, [0.1, 0.5, 1.0, math.inf], [10, 80, 100, 100]),
            (0.99, [0.1, 0.5, 1.0, math.inf], [50, 90, 95, 100]),
            (0.3, [0.25, 1.0, math.inf], [0, 10, 10]),
        ),
        mistakes=(
            Mistake(
                "the upper bound of the bucket",
                "The answer lies inside the bucket: go as far in as the rank goes.",
                upper_bound,
            ),
            Mistake(
                "the middle of the bucket",
                "Observations are spread evenly: the place in the bucket follows from the rank.",
                middle_of_the_bucket,
            ),
            Mistake(
                "takes the counts as each bucket's own",
                "They are cumulative: each counts everything up to its bound.",
                counts_each_bucket_alone,
            ),
            Mistake(
                "the last bucket has no end",
                "Nothing is known above the last finite bound: answer with that bound.",
                last_bucket_is_infinite,
            ),
            Mistake(
                "the first bucket is a point",
                "It reaches from 0 to its bound.",
                first_bucket_begins_at_its_end,
            ),
        ),
        hints=(
            "`rank = q * counts[-1]`; the bucket is the first whose count reaches the rank.",
            "`lower + (upper - lower) * (rank - before) / (count - before)`",
        ),
        judge=close(1e-9),
    ),
)
