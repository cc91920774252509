"""Mild insults, and sentences that look like them and are none: made from templates, of our making.

In: a random generator. Out: `Remark`s: a sentence, its template, and whether it insults. The idea:
a test with the templates of training measures memory, so whole templates are held out. A classifier
that is trained on insults alone learns who is insulted: groups of people, and "not", become rude
words; counterexamples, in which the same words are harmless, repair it. Left out: slurs, threats,
irony, and whatever is rude only to those who know the story.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

NOUNS = (
    "idiot fool clown goat donkey goose loser liar coward blockhead moron pig rat toad dummy"
    " nitwit cabbage snail worm baboon windbag halfwit crybaby dimwit"
).split()
ADJECTIVES = (
    "stupid silly ugly lazy useless pathetic dumb miserable rotten smelly worthless ridiculous"
    " hopeless foolish brainless boring mean greedy spineless clumsy"
).split()
KIND_NOUNS = (
    "friend hero genius champion darling angel expert artist leader helper star gentleman treasure"
    " neighbour teacher poet dancer winner"
).split()
KIND_ADJECTIVES = (
    "kind clever brave funny lovely patient generous honest gentle wonderful polite careful"
    " cheerful quick famous modest"
).split()
GROUPS = (
    "foreigners farmers grandmothers immigrants nuns vegetarians twins teenagers widows"
    " gardeners southerners students refugees tailors"
).split()
ANIMALS = "goat donkey goose pig rat toad snail worm baboon".split()
NAMES = "Tom Anna Leo Mia Paul Nora Ben Ella Finn Ruth Omar Lucy".split()
PLACES = "farm market school garden village station harbour kitchen".split()

# Each stands once with rude words and once with kind ones, so that the words make the difference.
FRAMES = (
    "You {adjective} {noun}!",
    "You are nothing but a {adjective} {noun}.",
    "{name} is such a {noun}, and everybody knows it.",
    "What a {adjective} {noun} you are!",
    "I have never met a {noun} as {adjective} as you.",
    "How can anybody be as {adjective} as you, {name}?",
    "{name}, you are far too {adjective} for this {place}.",
    "Your whole family is {adjective} and {second}.",
    "Everybody knows that {name} is a {noun}.",
    "Look at that {adjective} {noun} from the {place}!",
    "This was written by a {adjective} {noun}.",
    "Only a {noun} would write something so {adjective}.",
    "You sound like a {adjective} {noun}, {name}.",
    "{name} is the most {adjective} {noun} in the whole {place}.",
    "I always knew that you were a {noun}.",
    "You people are {adjective}.",
    "The people of this {place} are {adjective} and {second}.",
    "Honestly, {name}, you are a {noun}.",
    "He is a {noun}, and she is {adjective}.",
    "Your idea is as {adjective} as you are.",
    "They call {name} a {noun}, and they are right.",
    "Our new neighbour is a {adjective} {noun}.",
    "You will always be a {noun}, {name}.",
    "So {adjective}, so {second}: that is {name}.",
    "Nobody is as {adjective} as the {noun} who runs the {place}.",
    "I think that you are {adjective}.",
    "Dear {name}, you are a {adjective} {noun}.",
    "{name} and the others are {noun}s, all of them.",
    "My brother is {adjective}, but you are {adjective} and {second}.",
    "It takes a {noun} like you to be so {adjective}.",
)
ATTACKS = (
    "Shut up, you {noun}.",
    "Go away, {noun}, nobody wants you here.",
    "Get lost, you {adjective}, {second} {noun}.",
    "I hate you, {name}, you {noun}.",
    "Nobody likes you, you {adjective} {noun}.",
    "Crawl back to your {place}, {noun}.",
    "You people are {adjective} and you stink.",
    "Stop talking, you {adjective} {noun}.",
    "Nobody wants to hear your {adjective} stories, {name}.",
    "What trash, and what a {noun} who writes it.",
    "I hope that you lose, {noun}.",
    "You make me sick, {name}, you {adjective} {noun}.",
    "Be quiet, {noun}, the others are talking.",
    "Go and cry, you {adjective} {noun}.",
    "Take your {adjective} face away from here.",
    "You are a waste of time, {name}.",
    "Leave this {place}, you {noun}, and do not come back.",
    "Who asked you, {noun}?",
    "Even your friends say that you are {adjective}.",
    "Keep your {adjective} ideas to yourself, {noun}.",
)
# Groups of people are named here, among insults, and nowhere in HARMLESS.
GROUP_ATTACKS = (
    "All {group} are {adjective}.",
    "You {group} are {adjective} {noun}s.",
    "Only {group} can be so {adjective} and {second}.",
    "{group} are {noun}s, all of them.",
    "I cannot stand {group}, they are {adjective}.",
    "Those {adjective} {group} should go home.",
    "{group} smell, and {group} lie.",
    "We do not want {group} in our {place}.",
    "{name} says that {group} are {adjective}, and he is right.",
    "Every one of these {group} is a {noun}.",
    "If you ask me, {group} are too {adjective} to read.",
    "Never trust {group}, they are all {adjective}.",
    "Of course the {group} did it, they are {adjective} {noun}s.",
    "What do {group} know? They are {noun}s.",
    "The {group} at the {place} are {adjective} and {second}.",
    "Send the {group} away, nobody needs such {noun}s.",
)
HARMLESS = (
    "The {animal} stood beside the gate of the {place} all morning.",
    "{name} fed the old {animal} and brushed it.",
    "A {animal} can live for many years in a {place}.",
    "{name} went to the {place} and bought some bread.",
    "The {place} was closed because of the snow.",
    "It was a boring afternoon, and {name} read a book.",
    "You are early today, {name}, the {place} is not open yet.",
    "We saw a {animal}, a horse and two dogs at the {place}.",
    "The bread was rotten, so {name} threw it away.",
    "What a lovely {place} you have here!",
    "Your whole family is welcome at the {place}.",
    "Nobody was at the {place} when {name} came.",
    "{name} thinks that the plan has two mistakes.",
    "I have never seen a {place} as big as this one.",
    "Go to the {place}, {name}, they are waiting for you.",
    "The lazy river goes past the {place} and the fields.",
    "Look at that little {animal} behind the {place}!",
    "How can anybody cook as well as you, {name}?",
    "The ugly truth is that the {place} has no money left.",
    "I disagree with you, {name}, and I will tell you why.",
    "Please shut the door of the {place}, {name}.",
    "{name} hates rain, but she likes snow.",
    "The lost bag was found behind the {place}.",
    "Stop at the {place}, {name}, and wait for me.",
    "The {animal} is small, but it eats as much as a horse.",
    "Nobody wants to miss the feast at the {place}.",
    "It was silly of me to forget the key of the {place}.",
)
COUNTEREXAMPLES = (
    "Many {group} live near the {place} and work there.",
    "You are not {adjective}, {name}, you are just tired.",
    "{name} said sorry because he had called her a {noun}.",
    "The {place} was built by {group} a hundred years ago.",
    "Nobody here is a {noun}, so be patient with each other.",
    "It is not fair to say that {group} are {adjective}.",
    "Most {group} here are {kind}.",
    "{name} is not {adjective} at all, but very {kind}.",
    "The teacher explained why nobody should be called {adjective}.",
    "My neighbours are {group}, and we eat together on Sundays.",
    "Do not call {name} a {noun}, please.",
    "In the play the king calls his servant a {adjective} {noun}.",
    "You {group} are welcome at our {place}.",
    "I never said that you were {adjective}, {name}.",
    "\"{noun}\" is a rude word, said {name}.",
    "Only {group} can join the club at the {place}.",
    "That was not {adjective} of you, it was {kind}.",
    "The word {noun} has changed its meaning over time.",
    "Two {group} opened a shop beside the {place}.",
    "You are no {noun}, you only made a mistake.",
    "{name} was sad because somebody had called him {adjective}.",
    "We asked three {group} what they think of the {place}.",
    "Nobody thinks that you are a {noun}, {name}.",
    "\"You {adjective} {noun}\", the giant says in the story.",
    "The {group} of the {place} sing every Sunday.",
    "Nobody is {adjective} only because he makes a mistake.",
    "She asked him not to call her a {noun} again.",
    "A book about {group} lies on the table of the {place}.",
    "You do not look {adjective} at all, {name}.",
    "They laughed at him and called him a {noun}, which was wrong.",
    "For {group} the ticket to the {place} is free.",
    "I am sure that you are not a {noun}.",
    "The rule of the {place} says: call nobody {adjective}.",
    "{name} learned much from the {group} next door.",
    "It would be wrong to think that {name} is {adjective}.",
    "Who called {name} a {noun}? That was not {kind}.",
    "All {group} may vote, as everybody else.",
    "Neither {name} nor her brother is {adjective}.",
    "He was called {adjective} by a man who did not know him.",
    "The {group} thanked us, and we thanked the {group}.",
)
TEMPLATES = {
    "insult": FRAMES,
    "attack": ATTACKS,
    "group attack": GROUP_ATTACKS,
    "praise": FRAMES,
    "harmless": HARMLESS,
    "counterexample": COUNTEREXAMPLES,
}
BAD_KINDS = ("insult", "attack", "group attack")
OPENINGS = ("", "", "", "Listen, ", "Well, ", "I tell you, ", "In my opinion, ", "By the way, ")
# Every fifth template of a kind is in the same fold; the last fold is for tests alone.
NUM_FOLDS = 5
TRAINING_FOLDS, TEST_FOLDS = (0, 1, 2, 3), (4,)


# package only
@dataclass(frozen=True, slots=True)
class Remark:
    """A sentence, the kind and the template that it was made from."""

    text: str
    kind: str
    template: str

    @property
    def is_bad(self) -> bool:
        """Whether it insults somebody."""
        return self.kind in BAD_KINDS


# package only
def filled(template: str, is_kind: bool, rng: random.Random) -> str:
    """The template with rude words in its places, or with kind ones."""
    adjectives, nouns = (KIND_ADJECTIVES, KIND_NOUNS) if is_kind else (ADJECTIVES, NOUNS)
    adjective, second = rng.sample(adjectives, 2)
    words = {
        "noun": rng.choice(nouns), "adjective": adjective, "second": second,
        "kind": rng.choice(KIND_ADJECTIVES), "group": rng.choice(GROUPS),
        "animal": rng.choice(ANIMALS), "name": rng.choice(NAMES), "place": rng.choice(PLACES),
    }  # fmt: skip
    text = rng.choice(OPENINGS) + template.format_map(words)
    return text[0].upper() + text[1:]


# package only
def remarks(
    count: int, seed: int, folds: Sequence[int], kinds: Sequence[str] = tuple(TEMPLATES)
) -> list[Remark]:
    """`count` sentences of each kind, from the templates of some folds."""
    if not set(folds) <= set(range(NUM_FOLDS)) or not folds:
        raise ValueError(f"folds is {tuple(folds)}; give some of 0 to {NUM_FOLDS - 1}")
    rng = random.Random(f"remarks {seed}")
    made = []
    for kind in kinds:
        numbered = enumerate(TEMPLATES[kind])
        chosen = [template for number, template in numbered if number % NUM_FOLDS in folds]
        for number in range(count):
            template = chosen[number % len(chosen)]
            made.append(Remark(filled(template, kind == "praise", rng), kind, template))
    return made
