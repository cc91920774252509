"""How the events of level 4 can be said: the kinds that are new there.

In: the kind or manner of an event. Out: templates as in the small `phrases.py`; besides their slots
there are `{how}` an adverb, `{d}` a detail, `{a_d}` the same with its article, `{kin} {job}`.
Left out on purpose: every choice of *what* to say; that is the plot's work.
"""

from minillm.corpus.storyworld.phrases import PHRASES
from minillm.corpus.storyworld.wide.more_phrases import ASIDES, MORE
from minillm.corpus.storyworld.wide_phrases import WIDE_PHRASES

NEW = {
    "forget loan": (
        "{A} forgot to give {t} back.",
        "But {A} forgot to return {t} to {B}.",
        "It was late, but {A} still had {t} and did not think of {B}.",
        "{A} kept {t} and forgot to give it back.",
    ),
    "remind loan": (
        '"Please give me back my {n}, {B}," said {A}.',
        "{A} asked {B} to give {t} back.",
        "{A} asked {B} for {his} {n}.",
        "{A} {how} reminded {B} of {t}.",
    ),
    "forget promise": (
        "But {A} forgot {his} promise.",
        "But {A} forgot to give {t} to {B}.",
        "But {A} broke {his} promise and kept {t}.",
        "But {A} did not keep {his} promise.",
    ),
    "remind promise": (
        '"You promised me {t}, {B}," said {A}.',
        "{A} reminded {B} of the promise.",
        "{A} asked {B} to keep the promise.",
    ),
    "forget errand": (
        "But {A} forgot to take {t} to {B}.",
        "But {A} forgot {his} errand.",
        "On the way, {A} forgot about {B} and kept {t}.",
    ),
    "remind errand": (
        '"Please take {t} to {C} now, {B}," said {A}.',
        "{A} reminded {B} of the errand.",
        "{A} {how} told {B} to take {t} to {C}.",
    ),
    "apologise": (
        "{A} {how} apologised to {B}.",
        '"I am sorry, {B}," said {A}.',
        "{A} said sorry to {B}.",
        '"Please forgive me, {B}," said {A}.',
        "{A} was ashamed and apologised to {B}.",
    ),
    "accuse": (
        '"You took my {n}, {B}!" cried {A}.',
        "{A} thought that {B} had taken {t}.",
        "{A} blamed {B} for it.",
        "{A} was sure that {B} had taken {t}.",
    ),
    "deny": (
        '"I did not take it, {B}," said {A}.',
        '"I do not have {t}, {B}," said {A}.',
        "But {A} had not taken {t}.",
        "But {A} did not have {t}.",
    ),
    "sad of blame": (
        "{A} was {sad} because {B} had blamed {him}.",
        "{A} felt {sad} because {B} had blamed {him} for nothing.",
        "{A} cried because {B} had blamed {him}.",
        "{A} was {sad} and turned away from {B}.",
    ),
    "confess move": (
        '"I put it {s}, {B}," said {A}.',
        "{A} admitted that {he} had put {t} {s}.",
        "{A} {how} told {B} that {he} had put {t} {s}.",
    ),
    "confess loss": (
        '"I lost your {n}, {B}," said {A}.',
        "{A} admitted that {he} had lost {t}.",
        "{A} {how} told {B} that {he} had lost {t}.",
    ),
    "mistake": (
        '"Is this your {n}, {B}?" asked {A}.',
        "{A} thought that {t} belonged to {B}.",
        "{A} asked {B} about {t}.",
        "{A} was sure that {t} belonged to {B}.",
    ),
    "disown": (
        '"It is not mine, {B}," said {A}.',
        '"That is not my {n}, {B}," said {A}.',
        "{A} told {B} that it was not {own}.",
        "But {t} did not belong to {A}.",
    ),
    "point": (
        '"It belongs to {C}, {B}," said {A}.',
        "{A} told {B} that {t} belonged to {C}.",
        "{A} knew that it belonged to {C}.",
        '"Give it to {C}, {B}," said {A}.',
    ),
    "entrust": (
        "{A} left {t} with {B} for a while.",
        '"Please look after {t}, {B}," said {A}, and {he} left it with {b_him}.',
        "{A} {how} trusted {B} with {t}.",
        "{A} asked {B} to look after {t}.",
    ),
    "send": (
        "{A} asked {B} to take {t} to {C}.",
        '"Please take {t} to {C}, {B}," said {A}.',
        "{A} sent {B} to {C} with {t}.",
        "{A} gave {B} {t} for {C}.",
    ),
    "deliver": (
        "{A} carried {t} to {B}.",
        "{A} {how} delivered {t} to {B}.",
        "{A} went to {B} and gave {b_him} {t}.",
        '"This is for you, {B}," said {A}, and {he} gave {b_him} {t}.',
    ),
    "sad of theft": (
        "{A} was {sad} because {B} had taken {t}.",
        "{A} felt {sad} because {t} was gone.",
        "{A} cried because {B} had {t}.",
    ),
    "glad of present": (
        "{A} was {glad} to have {t}.",
        "{A} was very {glad} because {he} had {t}.",
        "{A} felt {glad} because {t} was {own} now.",
    ),
    "warn": (
        '"Be careful with {t}, {B}," said {A}.',
        "{A} warned {B} to be careful with {t}.",
        "{A} begged {B} to be careful with {t}.",
    ),
    "heed": (
        "{A} was very careful with {t}.",
        "{A} thought of the warning and {used} {t} gently.",
        "{A} remembered the warning and {used} {t} slowly.",
    ),
    "ignore": (
        "But {A} forgot the warning.",
        "But {A} did not think of the warning.",
        "But {A} did not listen to {B}.",
    ),
    "replace": (
        "{A} gave {B} {t} instead.",
        "To make up for it, {A} gave {t} to {B}.",
        '"Take my {n} instead, {B}," said {A}, and {he} gave it to {b_him}.',
    ),
    "regret": (
        "But soon {A} wanted {t} back.",
        "{A} missed {t} and wanted it back.",
        "{A} asked {B} for {t} again.",
    ),
    "trade back": (
        "{A} gave {t} back to {B}, and {B} gave {A} {o} back.",
        "{A} agreed and traded {t} for {o}.",
        "{A} {how} traded {t} for {o} again.",
    ),
    "refuse trade": (
        '"No, you cannot have {t}, {B}," said {A}.',
        "But {A} said no and kept {t}.",
        "But {A} {how} said no to {B}.",
        "But {A} would not give {t} to {B}.",
    ),
    "end own": (
        "From then on, {t} belonged to {A}.",
        "Now {t} belonged to {A}, and {B} was {glad} too.",
        "In the end, {t} belonged to {A}.",
        "So {t} belonged to {A} now, and {A} and {B} were good friends.",
    ),
    "mend alone": (
        "But {A} was clever and mended {t}.",
        "{A} {how} repaired {t}.",
        "{A} mended {t} in the end.",
        "{A} worked hard and mended {t}.",
    ),
    "relent": (
        "But then {A} changed {his} mind.",
        "{A} thought of {B} and changed {his} mind.",
        "{A} was sorry that {he} had said no.",
    ),
    "pass": (
        "{A} lent {t} to {B} without asking.",
        "{A} did not ask {C} and lent {t} to {B}.",
        "{A} handed {t} to {B} without asking.",
    ),
    "sad of passing": (
        "{A} was {sad} because {B} had lent {t} to {C}.",
        "{A} noticed it and was {sad}.",
        "{A} felt {sad} because {C} had {t}.",
    ),
    "stash": (
        "{A} secretly hid {t} {s}.",
        "{A} hid {t} {s} and went away.",
        "But {A} wanted to keep {t} and hid it {s}.",
    ),
    "fetch": (
        "So {A} went to fetch {t}.",
        "{A} fetched {t}.",
        "{A} came back and fetched {t} {s}.",
    ),
    "scold": (
        '"Give it back, {B}," said {A}.',
        "{A} told {B} to give {t} back.",
        "{A} scolded {B}.",
        '"That is not nice, {B}," said {A}.',
    ),
    "joke": (
        "For a joke, {A} put {t} {s}.",
        "{A} wanted to play a joke and put {t} {s}.",
        "When {B} was away, {A} put {t} {s} for a joke.",
    ),
    "sad of gift": (
        "{A} was {sad} because {B} had given {t} to {C}.",
        "{A} felt {sad} because {C} had {t}.",
        "{A} cried because {C} had {t}.",
    ),
    "propose": (
        '"Would you like {t}, {B}?" asked {A}.',
        "{A} offered {t} to {B}.",
        "{A} wanted to give {t} to {B}.",
        '"I want to give you {t}, {B}," said {A}.',
    ),
    "decline": (
        '"I cannot take it, {B}," said {A}.',
        "But {A} did not want to take {t}.",
        "At first {A} did not dare to take {t}.",
    ),
    "teach": (
        "{A} showed {B} how to {use} {t}.",
        "{A} taught {B} to {use} {t}.",
        "{A} {how} explained {t} to {B}.",
        "{A} helped {B} to {use} {t}.",
    ),
    "take turns": (
        '"Let us take turns, {B}," said {A}, and {he} lent {b_him} {t}.',
        "They agreed to take turns, and {A} lent {t} to {B}.",
        "{A} lent {t} to {B} for the first turn.",
    ),
    "cede": (
        '"You can keep {t}, {B}," said {A}.',
        '"It is yours now, {B}," said {A}.',
        "{A} told {B} to keep {t}.",
        "{A} let {B} keep {t}.",
    ),
}  # fmt: skip

SMALL = PHRASES | WIDE_PHRASES
# Where three people are told of, these leave open who it was.
OPEN = (
    "if {he} could", '"You found it!"', "was clever and mended", "clapped for {B}", "Well done",
    "helped {B} and mended", "can help you",
)  # fmt: skip
KNOWN = {
    kind: tuple(phrase for phrase in phrases if not any(words in phrase for words in OPEN))
    for kind, phrases in SMALL.items()
}
EVERY_PHRASE = KNOWN | {kind: KNOWN[kind] + more for kind, more in MORE.items()} | ASIDES | NEW
