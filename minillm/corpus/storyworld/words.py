"""The lexicon of the story world: who may appear, with what, where, and in which weather and mood.

In: nothing. Out: tables of words. The generator draws from them and the checker reads with them;
they share these *words* and no rule. Everything that depends on the kind of a word (what a kite is
for, what can lie where) is said here once. The tables of level 4 stand in `wide/`. Left out on
purpose: plurals, and food that is eaten up.
"""

from dataclasses import dataclass

from minillm.corpus.storyworld.wide.names import WIDE_BOYS, WIDE_GIRLS

GIRLS = (
    "Mia Anna Lily Emma Lucy Ella Nora Ruby Zoe Clara "
    "Ivy Alice Maya Jane Molly Sara Tina Eva Grace Ida"
).split()
BOYS = (
    "Tom Ben Max Sam Leo Jack Finn Noah Paul Adam Luke Theo Hugo Oscar Peter Dan Tim Joe Fred Carl"
).split()
EVERY_GIRL, EVERY_BOY = (*GIRLS, *WIDE_GIRLS), (*BOYS, *WIDE_BOYS)  # those of level 4
SEX = dict.fromkeys(EVERY_GIRL, "girl") | dict.fromkeys(EVERY_BOY, "boy")


@dataclass(frozen=True, slots=True)
class Thing:
    """A thing: its noun, what one does with it, how it may look, whether it is small."""

    noun: str
    use: str
    used: str
    looks: tuple[str, ...]
    is_small: bool = True


COLOURS = tuple("red blue green yellow white black brown orange pink purple".split())
TOY_LOOKS = COLOURS[:8] + ("little", "new", "old", "shiny", "wooden")
PAPER_LOOKS = ("old", "new", "little", "thick", "funny", "yellow", "blue", "green")
CLOTHES_LOOKS = COLOURS + ("warm", "new", "soft", "funny")
MUSIC_LOOKS = ("old", "new", "shiny", "little", "wooden", "red", "black", "golden")
RIDE_LOOKS = COLOURS[:6] + ("new", "old", "fast", "shiny")
TOOL_LOOKS = COLOURS[:8] + ("little", "new", "old", "shiny")

# infinitive, past, looks, small things, big things
THING_TABLE = (
    ("play with", "played with", TOY_LOOKS,
     "ball doll robot puppet train truck boat puzzle car marble balloon dragon teddy", ""),
    ("fly", "flew", TOY_LOOKS, "kite plane", ""),
    ("read", "read", PAPER_LOOKS, "book letter map comic", ""),
    ("play", "played", MUSIC_LOOKS, "flute trumpet violin", "drum guitar"),
    ("blow", "blew", MUSIC_LOOKS, "whistle horn", ""),
    ("ring", "rang", MUSIC_LOOKS, "bell", ""),
    ("wear", "wore", CLOTHES_LOOKS, "hat scarf cap mask crown", "coat"),
    ("ride", "rode", RIDE_LOOKS, "", "bike scooter sled"),
    ("draw with", "drew with", TOOL_LOOKS, "pencil pen crayon", ""),
    ("paint with", "painted with", TOOL_LOOKS, "brush", ""),
    ("dig with", "dug with", TOOL_LOOKS, "spade", ""),
    ("use", "used", TOOL_LOOKS, "lamp umbrella camera bucket rope net mirror clock", ""),
)  # fmt: skip
THINGS = {
    noun: Thing(noun, use, used, looks, is_small)
    for use, used, looks, small, big in THING_TABLE
    for nouns, is_small in ((small, True), (big, False))
    for noun in nouns.split()
}

# place: (where one is, the spots where a small thing can lie)
PLACES = {
    "the park": ("at the park", ("under the bench", "behind the tree", "in the grass")),
    "the garden": ("in the garden", ("under the bush", "behind the wall", "in the flowers")),
    "the beach": ("at the beach", ("under the towel", "behind the rock", "in the sand")),
    "the kitchen": ("in the kitchen", ("under the table", "behind the door", "in the drawer")),
    "the playground": ("at the playground", ("under the slide", "behind the swing", "in the sand")),
    "the library": ("in the library", ("under the desk", "behind the shelf", "in the box")),
    "the farm": ("at the farm", ("under the cart", "behind the fence", "in the hay")),
    "the forest": ("in the forest", ("under the leaves", "behind the log", "in the moss")),
    "the yard": ("in the yard", ("under the steps", "behind the fence", "in the grass")),
    "the market": ("at the market", ("under the cart", "behind the wall", "in the box")),
    "the barn": ("in the barn", ("under the ladder", "behind the door", "in the hay")),
    "the attic": ("in the attic", ("under the blanket", "behind the chair", "in the trunk")),
    "the meadow": ("in the meadow", ("under the bush", "behind the rock", "in the flowers")),
    "the lake": ("at the lake", ("under the bridge", "behind the rock", "in the reeds")),
    "the school": ("at the school", ("under the desk", "behind the chair", "in the drawer")),
    "the house": ("in the house", ("under the bed", "behind the chair", "in the drawer")),
}  # fmt: skip
SPOTS = {spot for _, spots in PLACES.values() for spot in spots}

WEATHERS = "sunny rainy windy cold warm cloudy snowy hot".split()
DAYTIMES = "day morning afternoon evening".split()

GLAD = "happy glad joyful cheerful pleased".split()
UNHAPPY = "sad unhappy upset".split()


def with_article(words: str) -> str:
    """The noun phrase with `a` or `an`: `an old map`."""
    return ("an " if words[0] in "aeiou" and not words.startswith("use") else "a ") + words
