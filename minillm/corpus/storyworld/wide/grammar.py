"""Words of the grammar that level 4 adds: verb forms, nouns, states and adverbs.

In: the lexicon of level 4. Out: tables, which `grammar.py` joins to its own. Left out on purpose:
rules; what the verbs mean for a story stands in `reading.py`.
"""

from minillm.corpus.storyworld.wide.words import (
    CREATURES,
    EVERY_DAYTIME,
    EVERY_WEATHER,
    FOODS,
    HOBBIES,
    HOW,
    JOBS,
    KIN,
    LANDMARKS,
    MONTHS,
    SEASONS,
    TRAITS,
    WEEKDAYS,
)

# infinitive, past, participle, ing-form, meaning; then regular verbs with their meaning
WIDE_IRREGULAR = """
beg begged begged begging ask|lay laid laid laying put|bend bent bent bending nod
eat ate eaten eating eat|get got got getting get|buy bought bought buying get
teach taught taught teaching teach|send sent sent sending send|sit sat sat sitting nod
spend spent spent spending spend|stop stopped stopped stopping nod|slip slipped slipped slipping nod
admit admitted admitted admitting confess|carry carried carried carrying deliver
long longed longed longing want|try tried tried trying look|deny denied denied denying deny
"""
REGULAR = (
    "gaze look|discover find|snatch take|repair mend|notice see|agree agree|turn turn|point point|"
    "offer offer|remind remind|apologise apologise|blame blame|believe think|trust trust|"
    "deliver deliver|warn warn|remember remember|listen listen|miss miss|change change|fetch fetch|"
    "scold scold|work nod|dare dare|explain explain|receive get|share eat|dream nod"
)
CREATURE_DID = sorted({did for each in CREATURES.values() for did in each})
WIDE_ADVERBS = set(HOW) | set("often instead secretly late hard".split())
WIDE_STATES = set(TRAITS) | {"ashamed", "sure", "wild", "late", "yours", "nice"}
WIDE_BARE = {hobby.split()[-1] for hobby in HOBBIES if " " in hobby} | {"turns"}
WIDE_OTHERS = set(
    "birthday warning errand mind joke own hurry".split() + MONTHS + WEEKDAYS + SEASONS
) | set(EVERY_DAYTIME)
KIND_OF_NOUN = (
    dict.fromkeys(WIDE_BARE | WIDE_OTHERS, "other")
    | dict.fromkeys((phrase.split()[-1] for phrase in LANDMARKS), "landmark")
    | dict.fromkeys(CREATURES, "creature")
    | dict.fromkeys(FOODS, "food")
    | dict.fromkeys(JOBS, "job")
    | dict.fromkeys(KIN, "kin")
)
WIDE_ADVERBIALS = [
    "for some time", "again and again", "for a joke", "for fun", "from then on", "at sunset",
    "more than anything", "in a hurry", "on the way", "at first", "for the first turn",
    "to make up for it", "after a while", "a little later", "before long", "a moment later",
    "for nothing", "at once", "some time later", "later that day",
    *(f"in {time}" for time in MONTHS + SEASONS),
    *(f"last {time}" for time in SEASONS),
    *(f"one {weather} {time}" for weather in EVERY_WEATHER for time in EVERY_DAYTIME),
    *(f"one {time}" for time in EVERY_DAYTIME + WEEKDAYS),
    *(f"on {article} {weather} {day}" for weather in EVERY_WEATHER for day in WEEKDAYS
      for article in ("a", "an")),
]  # fmt: skip
WIDE_SAID = {
    "how kind of you": "thank", "forgive me": "sorry", "i forgive you": "forgive",
    "that is not nice": "scold",
}  # fmt: skip


# package only
def hobby_verbs() -> list[str]:
    """What people like to do, as bare verbs."""
    return [hobby.split()[0] for hobby in HOBBIES]


# package only
def regular_forms(verb: str) -> tuple[str, str, str, str]:
    """`bake`, `baked`, `baked`, `baking`: for verbs that double no letter."""
    stem = verb.removesuffix("e")
    return verb, stem + "ed", stem + "ed", stem + "ing"
