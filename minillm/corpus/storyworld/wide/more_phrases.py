"""At level 4: where it begins, what happens besides, and more ways to say what is said below.

In: the kind or manner of an event. Out: templates as in `phrases.py` beside this one. Left
out on purpose: every choice of *what* to say.
"""

MORE = {
    "want": ("{A} gazed at {t} and wished to {use} it.", "{A} longed to {use} {t}."),
    "ask": ('"Could you give me {t}, {B}?" asked {A}.', "{A} {how} asked {B} for {t}."),
    "borrow": (
        '"Could you lend me {t}, {B}?" asked {A}.', "{A} {how} asked {B} to lend {him} {t}.",
    ),
    "give": ("{A} {how} gave {t} to {B}.", "{A} thought about it and gave {B} {t}."),
    "lend": ("{A} {how} lent {t} to {B}.", "{A} agreed and lent {B} {t} for some time."),
    "use": ("{A} {how} {used} {t} for some time.", "{A} {used} {t} again and again."),
    "give back": (
        "{A} {how} gave {t} back to {B}.", "{A} came to {B} and returned {t}.",
    ),
    "thank": ("{A} {how} thanked {B}.", '"How kind of you, {B}!" said {A}.'),
    "glad of gift": ("{A} felt {glad} because {B} had given {him} {t}.",),
    "lose": (
        "{A} was in a hurry and left {t} {s}.",
        "{A} laid {t} {s} and did not think of it any more.",
    ),
    "miss": (
        "{A} noticed that {t} was gone, and {he} was {sad}.",
        "{A} searched everywhere for {t} and felt {sad}.",
    ),
    "find": ("{A} discovered {t} {s}.", "{A} bent down and found {t} {s}."),
    "glad of return": ("{A} was {glad} because {t} was back.",),
    "take": ("{A} {how} took {t} from {B}.", "{A} snatched {t} from {B}."),
    "sad of take": ("{A} felt {sad} because {B} had taken {t}.",),
    "sorry": (
        "{A} was ashamed and gave {t} back to {B}.",
        '"Please forgive me, {B}," said {A}, and {he} gave {t} back.',
    ),
    "forgive": ("{A} {how} forgave {B}.", '"I forgive you, {B}," said {A}.'),
    "hide": ("{A} {how} hid {t} {s} for a game.", "For fun, {A} hid {t} {s}."),
    "seek": ("{A} {how} looked for {t}.", "{A} searched for {t} for a long time."),
    "clap": (
        '"You found it, {B}!" said {A}.', '"You found it!" said {A} to {B}.',
        "{A} smiled because {B} had found {t}.",
    ),
    "end has": ("From then on, {A} had {t}.", "At sunset, {A} went home with {t}."),
    "end again": ("So {t} was with {A} again.", "At sunset, {A} went home with {t} again."),
    "offer": ("{A} offered {B} {t} for {o}.", "{A} {how} offered {t} for {o}."),
    "trade": ("{A} agreed and traded {t} for {o}.", "{A} {how} traded {t} for {o}."),
    "refuse": ("But {A} {how} said no to {B}.", "But {A} would not give {t} to {B}."),
    "put": ("{A} laid {t} {s} and went away.", "{A} {how} put {t} {s} and went away."),
    "move": ("{A} {how} put {t} {s}.",),
    "tell": ("{A} {how} told {B} that {t} was {s}.", '"Try {s}, {B}," said {A}.'),
    "break": ("{A} was too wild, and {t} broke.", "{A} slipped and broke {t}."),
    "sad of break": ("{A} felt {sad} because {t} was broken.",),
    "mend": (
        "{A} repaired {t} for {B}.", "{A} {how} mended {t} for {B}.",
        "{A} sat down and mended {t} for {B}.",
    ),
    "promise": ('"I promise you {t}, {B}," said {A}.', "{A} {how} promised {t} to {B}."),
    "give freely": ("{A} {how} gave {t} to {B}.", "{A} turned to {B} and gave {b_him} {t}."),
}  # fmt: skip

ASIDES = {
    "wide scene": (
        "One {weather} {daytime} in {month}, {A}, {B} and {C} were {at}.",
        "It was {a_weather} {weekday}, and {A}, {B} and {C} were {at}.",
        "It was {a_weather} {daytime} in {season}, and {A} went to {place} with {B} and {C}.",
        "One {weekday} in {month}, {A}, {B} and {C} met {at}.",
        "{A}, {B} and {C} spent {a_weather} {daytime} {at}.",
        "Last {season}, {A}, {B} and {C} went to {place}.",
        "On {a_weather} {weekday}, {A} was {at} with {B} and {C}.",
    ),
    "trait": (
        "{A} was {a_trait} {girl} and liked to {d}.",
        "{A} was {trait} and loved to {d}.",
        "More than anything, {A} loved to {d}.",
        "{A} often dreamed of the {season} and liked to {d}.",
    ),
    "kin": (
        "{A}'s {kin} was {a_job}.",
        "{A} had {a_kin} who was {a_job}.",
        "{A} often helped {his} {kin}, who was {a_job}.",
    ),
    "origin": (
        "{A} had got {t} from {his} {kin}.",
        "{A} had received {t} from {his} {kin} last {season}.",
        "{A} had bought {t} on a {weekday} in {month}.",
        "{A} had got {t} for {his} birthday.",
    ),
    "creature": (
        "{A} saw {a_d} {landmark}.",
        "{A} heard {a_d} {landmark} and stopped for a while.",
        "{a_d} {did} {landmark}, and {A} looked up.",
        "{A} pointed at {a_d} {landmark}.",
        "{A} sat down {landmark} and watched {a_d}.",
    ),
    "snack": (
        "{A} shared {a_d} with {B}.",
        "{A} was hungry and ate {a_d}.",
        "{A} and {B} ate {a_d} together.",
        '"Would you like {a_d}, {B}?" asked {A}.',
    ),
}
