"""How the events can be said that only stories of level 2 and 3 have.

In and out as in `phrases.py`; besides its slots there are `{C}` a third person and `{o}` "the
ball", a second thing. Left out on purpose: every choice of *what* to say; that is the plot's work.
"""

WIDE_PHRASES: dict[str, tuple[str, ...]] = {
    "scene of three": (
        "One {weather} {daytime}, {A}, {B} and {C} were {at}.",
        "It was a {weather} {daytime}, and {A}, {B} and {C} were {at}.",
        "One {daytime}, {A}, {B} and {C} went to {place}.",
        "Once there were three good friends, {A}, {B} and {C}.",
        "It was a {weather} {daytime}, and {A} went to {place} with {B} and {C}.",
    ),
    "go on": (
        "After that, they all went to {place}.",
        "Later, {A}, {B} and {C} went to {place}.",
        "Then the three friends went to {place}.",
    ),
    "meet": (
        "There they met a {girl} named {A}.",
        "There they met their friend {A}.",
        "There {B} met {A}.",
    ),
    "offer": (
        '"I will give you {t} for {o}," said {A} to {B}.',
        "{A} wanted to trade {t} for {o}.",
        '"Can we trade {t} for {o}, {B}?" asked {A}.',
        "{A} asked {B} to trade {o} for {t}.",
    ),
    "trade": (
        "{A} gave {B} {t}, and {B} gave {A} {o}.",
        "{A} said yes and traded {t} for {o}.",
        '"Yes," said {A}, and {he} traded {t} for {o}.',
        "{A} thought for a while and traded {t} for {o}.",
    ),
    "watch": (
        "{A} watched and laughed.",
        "{A} watched {B} and smiled.",
        "{A} watched, and {he} clapped.",
    ),
    "end both": (
        "Now {A} had {t}, and {B} had {o}.",
        "In the end, {A} had {t}, and {B} had {o}.",
        "So {A} went home with {t}, and {B} went home with {o}.",
        "Then they went home, and {A} had {t}, and {B} had {o}.",
    ),
    "refuse": (
        '"No, I need it," said {A}.',
        '"No, you cannot have {t}," said {A}.',
        "But {A} said no and kept {t}.",
        "But {A} said no to {B}.",
    ),
    "sad of no": (
        "{A} was {sad} because {B} had said no.",
        "{A} was {sad} because {he} could not have {t}.",
        "{A} was very {sad} and began to cry.",
    ),
    "notice": (
        "{A} saw that {B} was {sad}.",
        "{A} heard that {B} was {sad}.",
        "{A} did not want {B} to be {sad}.",
    ),
    "promise": (
        "{A} promised to give {t} to {B} later.",
        '"You can have {t} later," said {A} to {B}.',
        "{A} promised that {B} could have {t} later.",
        '"I will give it to you later, {B}," said {A}.',
    ),
    "give promised": (
        "{A} kept {his} promise and gave {t} to {B}.",
        "{A} did not forget {his} promise and gave {t} to {B}.",
        "Later {A} gave {B} {t} and kept {his} promise.",
    ),
    "put": (
        "{A} put {t} {s} and went away.",
        "{A} left {t} {s} for a while and went away.",
        "{A} put {t} {s} for later and went away.",
    ),
    "move": (
        "Then {A} came and put {t} {s}.",
        "{A} saw {t} there and put it {s}.",
        "When {B} was away, {A} put {t} {s}.",
    ),
    "believe": (
        "{A} thought that {t} was still {s}.",
        "{A} came back and thought that {t} was still {s}.",
        "{A} did not know that {t} was not {s} any more.",
    ),
    "look in vain": (
        "{A} looked {s}, but {t} was not there.",
        "So {A} looked {s}, but {he} did not find {t}.",
        "{A} looked for {t} {s}, but it was not there.",
    ),
    "tell": (
        '"The {n} is {s}," said {A} to {B}.',
        "{A} told {B} that {t} was {s}.",
        '"Look {s}, {B}," said {A}.',
    ),
    "give thanks": (
        "{A} wanted to say thank you and gave {t} to {B}.",
        "To say thank you, {A} gave {B} {t}.",
        '"This is for you, {B}," said {A}, and {he} gave {B} {t}.',
        "So {A} gave {t} to {B} as a present.",
    ),
    "give freely": (
        "{A} was kind and gave {t} to {B}.",
        '"Here you are, {B}," said {A}, and {he} gave {b_him} {t}.',
        "So {A} gave {t} to {B}.",
        "{A} smiled and gave {B} {t}.",
        '"You can have my {n}, {B}," said {A}, and {he} gave it to {b_him}.',
    ),
    "break": (
        "But then {A} broke {t}.",
        "{A} fell, and {t} broke.",
        "{A} was not careful and broke {t}.",
    ),
    "sad of break": (
        "{A} was {sad} because {t} was broken.",
        "{A} was {sad} because {B} had broken {t}.",
        '"My {n} is broken!" cried {A}.',
    ),
    "mend": (
        "{A} helped {B} and mended {t}.",
        '"I can help you, {B}," said {A}, and {he} mended {t}.',
        "But {A} was clever and mended {t}.",
    ),
}  # fmt: skip
