"""Exercises 01.7 and 01.8, which belong to notebooks 01b, 01c and 01e, with their wrong answers."""

from exercises.engine import Exercise, Mistake
from exercises.solutions import telling as solutions

Event = tuple[str, str, str, str]
State = tuple[str | None, str | None]

# 01.7 who has it


def lending_is_giving(events: list[Event], thing: str, moment: int) -> State:
    given = [("give" if each[0] == "lend" else each[0], *each[1:]) for each in events]
    return solutions.who_has_it(given, thing, moment)


def named_last(events: list[Event], thing: str, moment: int) -> State:
    people = [whom or who for _, who, what, whom in events[:moment] if what == thing]
    _, owner = solutions.who_has_it(events, thing, moment)
    return (people[-1] if people else None), owner


def who_had_it_first(events: list[Event], thing: str, moment: int) -> State:
    first = [who for kind, who, what, _ in events[:moment] if (kind, what) == ("have", thing)]
    return (first[0], first[0]) if first else (None, None)


def the_owner_never_changes(events: list[Event], thing: str, moment: int) -> State:
    holder, _ = solutions.who_has_it(events, thing, moment)
    return holder, who_had_it_first(events, thing, moment)[1]


def one_event_too_few(events: list[Event], thing: str, moment: int) -> State:
    return solutions.who_has_it(events, thing, max(0, moment - 1))


def one_event_too_many(events: list[Event], thing: str, moment: int) -> State:
    return solutions.who_has_it(events, thing, moment + 1)


def at_the_end(events: list[Event], thing: str, moment: int) -> State:
    return solutions.who_has_it(events, thing, len(events))


def any_thing(events: list[Event], thing: str, moment: int) -> State:
    return solutions.who_has_it([(*each[:2], thing, each[3]) for each in events], thing, moment)


def finders_are_keepers(events: list[Event], thing: str, moment: int) -> State:
    kept = [("have" if each[0] == "find" else each[0], *each[1:]) for each in events]
    return solutions.who_has_it(kept, thing, moment)


LOAN = [
    ("have", "Ella", "marble", ""),
    ("have", "Adam", "kite", ""),
    ("want", "Adam", "marble", "Ella"),
    ("ask", "Adam", "marble", "Ella"),
    ("lend", "Ella", "marble", "Adam"),
    ("give", "Adam", "kite", "Mia"),
    ("return", "Adam", "marble", "Ella"),
    ("give", "Ella", "marble", "Mia"),
    ("ask", "Adam", "marble", "Mia"),
]
LOSS = [
    ("have", "Tom", "rope", ""),
    ("lend", "Tom", "rope", "Anna"),
    ("put", "Anna", "rope", "under the bench"),
    ("find", "Leo", "rope", "under the bench"),
    ("want", "Anna", "rope", "Leo"),
    ("return", "Leo", "rope", "Tom"),
]

EXERCISES = (
    Exercise(
        id="01.7",
        title="Who has it now, and whose is it?",
        question=(
            "A story is true because it *happened* first, event by event, in a world with a state "
            "([01b](../notebooks/01b_story_world.ipynb), [01c](../notebooks/01c_story_world.ipynb))"
            ". Whoever checks what a model tells must keep two facts a thing: who has it, and "
            "whose it is. `events` are tuples (kind, who, thing, whom), in order; return (holder, "
            "owner) after the first `moment` of them. After Ella has *lent* Adam her marble they "
            "are `(\"Adam\", \"Ella\")`, after she has *given* it to him `(\"Adam\", \"Adam\")`."
        ),
        solution=solutions.who_has_it,
        cases=(
            *((LOAN, "marble", moment) for moment in (1, 4, 5, 6, 7, 8, 9)),
            (LOAN, "kite", 6),
            *((LOSS, "rope", moment) for moment in range(7)),
            (LOSS, "spade", 6),
        ),
        mistakes=(
            Mistake(
                "lending is taken for giving",
                "Who lends a thing still owns it: only the holder changes, and so it can be "
                "returned.",
                lending_is_giving,
            ),
            Mistake(
                "takes whoever was named last",
                "Wanting and asking are words: the thing has not moved. Let only hand-overs change "
                "the holder.",
                named_last,
            ),
            Mistake(
                "stays with the first owner",
                "That is who had it *at first*. Each hand-over has changed the state: go through "
                "the events one after the other.",
                who_had_it_first,
            ),
            Mistake(
                "the owner never changes",
                "Lending leaves the owner, giving does not: a present belongs to whom it was "
                "given.",
                the_owner_never_changes,
            ),
            Mistake(
                "stops one event early",
                "`moment` events *have happened*, the last of them too: `events[:moment]`.",
                one_event_too_few,
            ),
            Mistake(
                "goes one event too far",
                "The event at index `moment` comes next; it has not happened yet.",
                one_event_too_many,
            ),
            Mistake(
                "looks at the end of the story",
                "The question is about a moment in the story; what comes after it does not count.",
                at_the_end,
            ),
            Mistake(
                "mixes the things up",
                "A kite that changes hands does not move the marble: pass over events about other "
                "things.",
                any_thing,
            ),
            Mistake(
                "finders are keepers",
                "Who finds a thing has it; whose it is, no event has changed.",
                finders_are_keepers,
            ),
        ),
        hints=(
            "Begin with two names that are None, and let each event change what it changes.",
            "Which kinds change the holder, and which of them the owner too? `events[:moment]` "
            "are those that count.",
        ),
    ),
)
