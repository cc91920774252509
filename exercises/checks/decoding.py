"""Exercises of chapter 06 from 06.7 on, which belong to notebook 06b, with their wrong answers."""

import math

from exercises.engine import Exercise, Mistake, close
from exercises.solutions import decoding as solutions

# 06.7 min-p


def measures_against_one(probabilities: list[float], min_p: float) -> list[int]:
    return [token for token, probability in enumerate(probabilities) if probability >= min_p]


def asks_for_more_than(probabilities: list[float], min_p: float) -> list[int]:
    least = min_p * max(probabilities)
    return [token for token, probability in enumerate(probabilities) if probability > least]


def takes_it_for_a_nucleus(probabilities: list[float], min_p: float) -> list[int]:
    kept, held = [], 0.0
    for token in sorted(range(len(probabilities)), key=lambda token: -probabilities[token]):
        if held >= min_p:
            break
        kept.append(token)
        held += probabilities[token]
    return sorted(kept)


def measures_against_the_average(probabilities: list[float], min_p: float) -> list[int]:
    least = min_p / len(probabilities)
    return [token for token, probability in enumerate(probabilities) if probability >= least]


# 06.8 penalties


def penalties(
    logits: list[float], prompt: list[int], written: list[int], repetition: float, frequency: float
) -> list[float]:
    return solutions.with_penalties(logits, prompt, written, repetition, frequency)


def divides_below_zero(
    logits: list[float], prompt: list[int], written: list[int], repetition: float, frequency: float
) -> list[float]:
    used = {*prompt, *written}
    divided = [z / repetition if token in used else z for token, z in enumerate(logits)]
    return penalties(divided, prompt, written, 1.0, frequency)


def counts_the_prompt(
    logits: list[float], prompt: list[int], written: list[int], repetition: float, frequency: float
) -> list[float]:
    return penalties(logits, [], [*prompt, *written], repetition, frequency)


def forgets_the_prompt(
    logits: list[float], prompt: list[int], written: list[int], repetition: float, frequency: float
) -> list[float]:
    return penalties(logits, [], written, repetition, frequency)


def subtracts_once(
    logits: list[float], prompt: list[int], written: list[int], repetition: float, frequency: float
) -> list[float]:
    changed = penalties(logits, prompt, written, repetition, 0.0)
    return [z - frequency * (token in written) for token, z in enumerate(changed)]


def rewards_repeating(
    logits: list[float], prompt: list[int], written: list[int], repetition: float, frequency: float
) -> list[float]:
    return penalties(logits, prompt, written, repetition, -frequency)


def a_penalty_for_every_time(
    logits: list[float], prompt: list[int], written: list[int], repetition: float, frequency: float
) -> list[float]:
    changed = list(logits)
    for token in [*prompt, *written]:
        above = changed[token] > 0
        changed[token] = changed[token] / repetition if above else changed[token] * repetition
    return penalties(changed, prompt, written, 1.0, frequency)


def frequency_first(
    logits: list[float], prompt: list[int], written: list[int], repetition: float, frequency: float
) -> list[float]:
    lowered = penalties(logits, prompt, written, 1.0, frequency)
    return penalties(lowered, prompt, written, repetition, 0.0)


# 06.9 the window


def sees_one_too_many(num_tokens: int, window: int) -> list[int]:
    return solutions.seen_places(num_tokens, window + 1)


def forgets_itself(num_tokens: int, window: int) -> list[int]:
    return solutions.seen_places(num_tokens, window)[:-1]


def keeps_the_oldest(num_tokens: int, window: int) -> list[int]:
    return list(range(min(window, num_tokens)))


def begins_before_the_text(num_tokens: int, window: int) -> list[int]:
    return list(range(num_tokens - window, num_tokens))


# 06.10 the score


def allows_for_no_length(logprobs: list[list[float]], length_penalty: float) -> int:
    return solutions.best_text(logprobs, 0.0)


def always_takes_the_mean(logprobs: list[list[float]], length_penalty: float) -> int:
    return solutions.best_text(logprobs, 1.0)


def multiplies_by_the_length(logprobs: list[list[float]], length_penalty: float) -> int:
    return solutions.best_text(logprobs, -length_penalty)


def takes_the_least_likely(logprobs: list[list[float]], length_penalty: float) -> int:
    scores = [sum(each) / len(each) ** length_penalty for each in logprobs]
    return scores.index(min(scores))


# 06.11 one step


def one_for_each_row(
    logprobs: list[float], next_logprobs: list[list[float]], num_beams: int
) -> list[tuple[int, int]]:
    best = [each.index(max(each)) for each in next_logprobs]
    total = [so_far + max(each) for so_far, each in zip(logprobs, next_logprobs, strict=True)]
    rows = sorted(range(len(best)), key=lambda row: -total[row])
    return [(row, best[row]) for row in rows[:num_beams]]


def forgets_the_text_so_far(
    logprobs: list[float], next_logprobs: list[list[float]], num_beams: int
) -> list[tuple[int, int]]:
    return solutions.beam_step([0.0] * len(logprobs), next_logprobs, num_beams)


def multiplies_logarithms(
    logprobs: list[float], next_logprobs: list[list[float]], num_beams: int
) -> list[tuple[int, int]]:
    products = [
        [logprobs[row] * added for added in each] for row, each in enumerate(next_logprobs)
    ]
    return solutions.beam_step([0.0] * len(logprobs), products, num_beams)


def keeps_so_many_of_each_row(
    logprobs: list[float], next_logprobs: list[list[float]], num_beams: int
) -> list[tuple[int, int]]:
    every = solutions.beam_step(logprobs, next_logprobs, len(logprobs) * len(next_logprobs[0]))
    by_row = [[pair for pair in every if pair[0] == row] for row in range(len(logprobs))]
    return [pair for pairs in by_row for pair in pairs[:num_beams]]


# 06.12 bytes


def reads_the_weights_for_each_row(
    weight_bytes: int, cache_bytes_per_row: int, num_rows: int, bytes_per_s: float
) -> float:
    return solutions.most_tokens_per_s(weight_bytes, cache_bytes_per_row, 1, bytes_per_s)


def forgets_the_cache(
    weight_bytes: int, cache_bytes_per_row: int, num_rows: int, bytes_per_s: float
) -> float:
    return solutions.most_tokens_per_s(weight_bytes, 0, num_rows, bytes_per_s)


def one_cache_for_all(
    weight_bytes: int, cache_bytes_per_row: int, num_rows: int, bytes_per_s: float
) -> float:
    return num_rows * bytes_per_s / (weight_bytes + cache_bytes_per_row)


def counts_steps(
    weight_bytes: int, cache_bytes_per_row: int, num_rows: int, bytes_per_s: float
) -> float:
    whole = solutions.most_tokens_per_s(weight_bytes, cache_bytes_per_row, num_rows, bytes_per_s)
    return whole / num_rows


EIGHTHS = [0.125, 0.5, 0.125, 0.25]
SURE = [0.0, 0.96875, 0.03125]
LN = math.log

EXERCISES = (
    Exercise(
        id="06.7",
        title="Min-p",
        question="Which tokens does min-p keep? Those that are at least `min_p` times as likely "
        "as the likeliest, smallest token first. Of `[1/8, 1/2, 1/8, 1/4]`, `min_p = 0.5` keeps "
        "tokens 1 and 3.",
        solution=solutions.min_p_tokens,
        cases=(
            (EIGHTHS, 0.5),
            (EIGHTHS, 0.25),
            (EIGHTHS, 0.3),
            (EIGHTHS, 1.0),
            (EIGHTHS, 0.0),
            (SURE, 0.5),
            (SURE, 0.03125),
            ([0.25, 0.25, 0.25, 0.25], 0.9),
        ),
        mistakes=(
            Mistake(
                "measures against 1",
                "The measure is the likeliest token: where all four have 1/4, all are kept, "
                "however large `min_p` is.",
                measures_against_one,
            ),
            Mistake(
                "asks for more than the least",
                "*At least*: `min_p = 1` still keeps the likeliest. Compare with `>=`.",
                asks_for_more_than,
            ),
            Mistake(
                "takes it for a nucleus",
                "Min-p asks each token alone; what they hold together is top-p's question.",
                takes_it_for_a_nucleus,
            ),
            Mistake(
                "measures against the average",
                "Not 1/V but the *likeliest* token is the measure.",
                measures_against_the_average,
            ),
        ),
        hints=(
            "First the least probability that is enough.",
            "`least = min_p * max(probabilities)`",
        ),
    ),
    Exercise(
        id="06.8",
        title="Penalties on the right side of zero",
        question="Apply the repetition penalty, then the frequency penalty. The first is for "
        "every token of prompt or reply: `z / repetition` above zero, `z * repetition` otherwise. "
        "The second subtracts `frequency` once for each time that a token was *written*; the "
        "prompt does not count.",
        solution=solutions.with_penalties,
        cases=(
            ([2.0, -2.0, 1.0, 1.0], [0], [1, 1, 2], 2.0, 0.0),
            ([2.0, -2.0, 1.0, 1.0], [0], [1, 1, 2], 1.0, 0.5),
            ([2.0, -2.0, 1.0, 1.0], [0], [1, 1, 2], 2.0, 0.5),
            ([0.5, 3.0, -1.0], [2, 2], [], 1.25, 1.0),
            ([0.5, 3.0, -1.0], [], [0, 0, 0], 1.5, 0.25),
            ([1.0, 2.0], [0, 1], [0], 1.0, 0.0),
        ),
        mistakes=(
            Mistake(
                "divides below zero",
                "−2 divided by 2 is −1: the token has become *likelier*. Below zero, multiply.",
                divides_below_zero,
            ),
            Mistake(
                "counts the prompt",
                "The frequency penalty is for what the model wrote: a name that the user gave may "
                "be said.",
                counts_the_prompt,
            ),
            Mistake(
                "forgets the prompt",
                "The repetition penalty is for the whole text, prompt included.",
                forgets_the_prompt,
            ),
            Mistake(
                "subtracts once",
                "That is the presence penalty. Frequency subtracts for *each* time.",
                subtracts_once,
            ),
            Mistake(
                "rewards repeating",
                "A penalty is subtracted: what was said often gets a smaller logit.",
                rewards_repeating,
            ),
            Mistake(
                "a penalty for every time",
                "Repetition counts once, however often a token stands there.",
                a_penalty_for_every_time,
            ),
            Mistake(
                "frequency first",
                "Repetition first: the sign of the unchanged logit decides.",
                frequency_first,
            ),
        ),
        hints=(
            "Change each used token once, however often it occurs: a set helps.",
            "`written.count(token)` is how often a token was written.",
        ),
        judge=close(1e-9),
    ),
    Exercise(
        id="06.9",
        title="What a window holds",
        question="In sliding-window attention, which places may the newest of `num_tokens` tokens "
        "look at? Itself and the `window` − 1 before it. The sliding cache holds just these.",
        solution=solutions.seen_places,
        cases=((5, 3), (1, 3), (3, 3), (4, 3), (2, 1), (10, 4), (6, 10)),
        mistakes=(
            Mistake(
                "sees one too many",
                "The token itself is one of the `window`: with a window of 1 it sees itself alone.",
                sees_one_too_many,
            ),
            Mistake(
                "forgets itself",
                "Causal attention includes the query's own place.",
                forgets_itself,
            ),
            Mistake(
                "keeps the oldest",
                "What is far away is dropped, not what is near.",
                keeps_the_oldest,
            ),
            Mistake(
                "begins before the text",
                "A short text has no places below 0: `max(0, …)`.",
                begins_before_the_text,
            ),
        ),
        hints=(
            "After tokens 0 to 4 and with a window of 3: places 2, 3, 4.",
            "Count back from the newest: which place is the first, and what if the text is shorter "
            "than the window?",
        ),
    ),
    Exercise(
        id="06.10",
        title="The best text",
        question="Each text is given by ln p of its tokens. Which has the best score, "
        "$\\ln p / \\text{length}^\\lambda$, where ln p is the sum over the text?",
        solution=solutions.best_text,
        cases=(
            ([[-1.0, -1.0], [-0.9, -0.9, -0.9]], 0.0),
            ([[-1.0, -1.0], [-0.9, -0.9, -0.9]], 1.0),
            ([[-1.0], [-0.6, -0.6], [-0.5, -0.5, -0.5, -0.5]], 0.5),
            ([[-1.0], [-0.6, -0.6], [-0.5, -0.5, -0.5, -0.5]], 0.2),
            ([[-1.0, -1.0], [-2.0] * 6, [-1.0]], 2.0),
            ([[-1.0, -1.0], [-2.1]], 1.0),
            ([[-3.0], [-0.5]], 1.0),
        ),
        mistakes=(
            Mistake(
                "allows for no length",
                "Without the division every further token makes a text worse, and the shortest "
                "wins.",
                allows_for_no_length,
            ),
            Mistake(
                "always takes the mean",
                "The length is raised to the power `length_penalty`; 1 is the mean, 0 no division.",
                always_takes_the_mean,
            ),
            Mistake(
                "multiplies by the length",
                "ln p is negative: *dividing* brings a long text nearer to 0, multiplying "
                "punishes it twice.",
                multiplies_by_the_length,
            ),
            Mistake(
                "takes the least likely",
                "Scores are negative; the best is the largest, nearest to 0.",
                takes_the_least_likely,
            ),
        ),
        hints=(
            "A score for each text, then the place of the largest.",
            "`sum(each) / len(each) ** length_penalty`",
        ),
    ),
    Exercise(
        id="06.11",
        title="One step of beam search",
        question="Some texts run side by side. `logprobs` holds ln p of each so far, "
        "`next_logprobs` for each row ln p of every next token. Which `num_beams` of all "
        "continuations go on? Give pairs (row, token), the likeliest text first.",
        solution=solutions.beam_step,
        cases=(
            ([0.0], [[LN(0.6), LN(0.4)]], 2),
            ([LN(0.6), LN(0.4)], [[LN(0.45), LN(0.55)], [LN(0.9), LN(0.1)]], 2),
            ([LN(0.9), LN(0.1)], [[LN(0.5), LN(0.4), LN(0.1)], [LN(0.8), LN(0.1), LN(0.1)]], 2),
            ([LN(0.9), LN(0.1)], [[LN(0.5), LN(0.4), LN(0.1)], [LN(0.8), LN(0.1), LN(0.1)]], 3),
            ([LN(0.5), LN(0.3)], [[LN(0.3), LN(0.7)], [LN(0.99), LN(0.01)]], 1),
        ),
        mistakes=(
            Mistake(
                "takes one of each row",
                "All continuations compete: both survivors may come from the same row.",
                one_for_each_row,
            ),
            Mistake(
                "forgets the text so far",
                "What counts is ln p of the whole text: what it had, plus what the token adds.",
                forgets_the_text_so_far,
            ),
            Mistake(
                "multiplies logarithms",
                "Probabilities multiply, so logarithms *add*.",
                multiplies_logarithms,
            ),
            Mistake(
                "keeps so many of each row",
                "`num_beams` go on in all; else there would be twice as many after each step.",
                keeps_so_many_of_each_row,
            ),
        ),
        hints=(
            "Make a list of (ln p, row, token) for every row and token, and sort it.",
            "`sort(key=lambda each: -each[0])`, then the first `num_beams`.",
        ),
    ),
    Exercise(
        id="06.12",
        title="Tokens per second from bytes",
        question="A decode step reads all weights once, and the cache of every row; it gives each "
        "row a token. How many tokens/s can a memory of `bytes_per_s` give at most? 14 GB of "
        "weights, no cache to speak of, one row and 100 GB/s: a little over 7.",
        solution=solutions.most_tokens_per_s,
        cases=(
            (14 * 10**9, 0, 1, 100e9),
            (14 * 10**9, 0, 16, 100e9),
            (14 * 10**9, 10**9, 1, 100e9),
            (14 * 10**9, 10**9, 14, 100e9),
            (4 * 10**6, 10**6, 4, 16e9),
        ),
        mistakes=(
            Mistake(
                "reads the weights for each row",
                "That is why rows go together: weights that were fetched serve all of them.",
                reads_the_weights_for_each_row,
            ),
            Mistake(
                "forgets the cache",
                "Every row's keys and values are read too; of long texts they outweigh the model.",
                forgets_the_cache,
            ),
            Mistake(
                "one cache for all",
                "Each row has said something else, so each has a cache of its own.",
                one_cache_for_all,
            ),
            Mistake(
                "counts steps",
                "A step gives one token to *each* row.",
                counts_steps,
            ),
        ),
        hints=(
            "Bytes of a step first; then steps per second; then tokens.",
            "Every row gets a token; the weights are read once a step, the cache once a row.",
        ),
        judge=close(1e-9),
    ),
)
