"""More ways, at level 4, to say what the levels below say too.

In: the kind or manner of an event. Out: templates with the slots of the small `phrases.py`, and
`{how}` for an adverb. Left out on purpose: every choice of *what* to say.
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
        "{A} wanted to help {B} and mended {t}.",
    ),
    "promise": ('"I promise you {t}, {B}," said {A}.', "{A} {how} promised {t} to {B}."),
    "give freely": ("{A} {how} gave {t} to {B}.", "{A} turned to {B} and gave {b_him} {t}."),
}  # fmt: skip
