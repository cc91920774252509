"""Words of the grammar: verb forms, links, adverbs, determiners and what can be said in a word.

In: nothing. Out: tables. The checker reads with these and with the lexicon in `words.py`.
"""

from minillm.corpus.storyworld.wide import grammar as wide
from minillm.corpus.storyworld.wide.words import (
    EVERY_GLAD,
    EVERY_PLACE,
    EVERY_SPOT,
    EVERY_THING,
    EVERY_UNHAPPY,
    EVERY_WEATHER,
    WIDE_TABLE,
)
from minillm.corpus.storyworld.words import COLOURS, DAYTIMES, THING_TABLE, WEATHERS

# infinitive, past, participle, ing-form, meaning
IRREGULAR = """
have had had having have|hold held held holding have|own owned owned owning have
bring brought brought bringing bring|give gave given giving give|hand handed handed handing give
pass passed passed passing give|return returned returned returning return
lend lent lent lending lend|borrow borrowed borrowed borrowing borrow|take took taken taking take
grab grabbed grabbed grabbing take|find found found finding find|pick picked picked picking pick
lose lost lost losing lose|put put put putting put|leave left left leaving put
drop dropped dropped dropping put|hide hid hidden hiding hide|look looked looked looking look
search searched searched searching look|want wanted wanted wanting want
wish wished wished wishing wish|like liked liked liking like|love loved loved loving like
ask asked asked asking ask|say said said saying say|tell told told telling tell
thank thanked thanked thanking thank|be was been being be|be were been being be
feel felt felt feeling feel|smile smiled smiled smiling smile|laugh laughed laughed laughing smile
clap clapped clapped clapping smile|nod nodded nodded nodding nod|cry cried cried crying cry
hug hugged hugged hugging hug|go went gone going go|run ran run running go
walk walked walked walking go|come came come coming come|meet met met meeting meet
forgive forgave forgiven forgiving forgive|forget forgot forgotten forgetting forget
see saw seen seeing see|think thought thought thinking think|know knew known knowing know
let let let letting let|help helped helped helping help|show showed shown showing show
begin began begun beginning begin|close closed closed closing close
belong belonged belonged belonging belong|trade traded traded trading trade
keep kept kept keeping have|watch watched watched watching watch|need needed needed needing have
hear heard heard hearing hear|promise promised promised promising promise
break broke broken breaking break|fall fell fallen falling fall|mend mended mended mending mend
"""
VERB_FORMS: dict[str, dict[str, str]] = {}


# package only
def add_verb(infinitive: str, past: str, participle: str, ing: str, meaning: str) -> None:
    """Enter the forms of a verb: form → {which form it is: meaning}."""
    names = ("infinitive", "past", "participle", "ing")
    for name, form in zip(names, (infinitive, past, participle, ing), strict=True):
        VERB_FORMS.setdefault(form, {}).setdefault(name, meaning)


for row in IRREGULAR.replace("\n", "|").split("|"):
    if row:
        add_verb(*row.split())
for row in wide.WIDE_IRREGULAR.strip().replace("\n", "|").split("|"):
    add_verb(*row.split())
for row in wide.REGULAR.split("|"):
    add_verb(*wide.regular_forms(row.split()[0]), row.split()[1])
for use, used, *_ in THING_TABLE + WIDE_TABLE:
    stem = use.split()[0]
    ing = (stem[:-1] if stem.endswith("e") else stem + "g" if stem == "dig" else stem) + "ing"
    add_verb(stem, used.split()[0], used.split()[0], ing, "use")
for form in ("is", "am", "are"):
    VERB_FORMS[form] = {"present": "be"}
for did in wide.CREATURE_DID:
    VERB_FORMS.setdefault(did, {}).setdefault("past", "animal")
for hobby in wide.hobby_verbs():
    VERB_FORMS.setdefault(hobby, {}).setdefault("infinitive", "hobby")
VERB_FORMS["has"] = {"present": "have"}
VERB_FORMS["belongs"] = {"present": "belong"}

AUXILIARIES = set("did could can may might will would must do cannot".split())
LINKS = set("and but so because when while who".split())
DETERMINERS = set("a an the his her my your their our this that two three".split())
PRONOUNS = set("he she it him her they them i me you we us his hers mine this that".split())
PREPOSITIONS = set("at in on to from with for of about under behind by near after".split())
ADVERBS = set(
    "then soon now again too very also there here back away up down "
    "everywhere together both once still "
    "all finally later once where".split()
) | wide.WIDE_ADVERBS
BARE_NOUNS = set("friends home fun".split()) | wide.WIDE_BARE
OTHER_NOUNS = set(
    "girl boy friend friends eyes hands smile lot game day morning afternoon evening "
    "while time help promise present".split()
)
ADVERBIALS = {
    tuple(phrase.split())
    for phrase in [
        "at last", "in the end", "very much", "for a while", "for a long time", "after that",
        "a lot of fun", "as a present", "for later",
        "with a smile", "with a big smile", "for a game", "without asking", "of course", "any more",
    ]
    + wide.WIDE_ADVERBIALS
    + [f"one {weather} {time}" for weather in WEATHERS for time in DAYTIMES]
    + [f"on a {weather} {time}" for weather in WEATHERS for time in DAYTIMES]
    + [f"one {time}" for time in DAYTIMES]
}  # fmt: skip
LOOKS = {look for thing in EVERY_THING.values() for look in thing.looks} | set(COLOURS)
ADJECTIVES = LOOKS | set(EVERY_WEATHER) | set(wide.TRAITS)
ADJECTIVES |= {"good", "big", "three", "best", "little", "wonderful"}
GOOD = set(EVERY_GLAD) | {"proud"}
BAD = set(EVERY_UNHAPPY)
STATES = (
    GOOD
    | BAD
    | {"sorry", "gone", "his", "hers", "wonderful", "angry", "kind", "broken", "careful", "clever"}
    | wide.WIDE_STATES
)
NOUNS = dict.fromkeys(EVERY_THING, "thing")
NOUNS |= {place.split()[-1]: "place" for place in EVERY_PLACE}
NOUNS |= {noun: "other" for noun in BARE_NOUNS}
NOUNS |= {spot.split()[-1]: "spot" for spot in EVERY_SPOT} | {noun: "other" for noun in OTHER_NOUNS}
NOUNS |= {noun: kind for noun, kind in wide.KIND_OF_NOUN.items() if noun not in NOUNS}
PHRASES_SAID = {
    "yes": "agree", "of course": "agree", "of course you can": "agree",
    "you can have it": "agree", "no": "refuse", "thank you": "thank", "i am sorry": "sorry",
    "sorry": "sorry", "it is all right": "forgive", "here you are": "offer",
    "well done": "praise", "you are a good friend": "praise", "close your eyes": "none",
    "you found it": "found", **wide.WIDE_SAID,
}  # fmt: skip
