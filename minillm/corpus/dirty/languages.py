"""Pages in other languages, and pages in two: a corpus of English must do without them.

In: a random generator. Out: lines, each with its language: our own sentences about towns, and found
lines of the committed fixture that no identifier was trained on. Thin on purpose: an identifier
learns from other text than this.
"""

import random
from functools import cache

from minillm.corpus.dirty.texts import make_article, town_name
from minillm.corpus.spoken import read_lines

SENTENCES: dict[str, tuple[str, ...]] = {
    "fr": (
        "{town} est une petite ville de {people} habitants au bord de la rivière.",
        "Les premières maisons furent construites en {year} par des marchands venus de {other}.",
        "Le marché du samedi attire beaucoup de gens, surtout quand il fait beau.",
        "En hiver il neige souvent, et les enfants vont à l'école à pied.",
        "On y mange un pain noir que l'on ne trouve nulle part ailleurs.",
        "Chaque été, une fête réunit toute la ville sur la place de l'église.",
        "Le vieux pont, qui mène vers {other}, a été réparé plusieurs fois.",
    ),
    "es": (
        "{town} es un pueblo de {people} habitantes que está junto al río.",
        "Unos comerciantes de {other} levantaron las primeras casas en el año {year}.",
        "Los sábados hay un mercado muy grande donde se vende queso y miel.",
        "En invierno hace mucho frío, pero casi nunca nieva en las calles.",
        "La escuela tiene un jardín que los niños cuidan ellos mismos.",
        "Todos los veranos la gente cena fuera hasta muy tarde.",
        "El puente viejo lleva a {other} y fue reparado varias veces.",
    ),
    "de": (
        "{town} ist eine kleine Stadt mit {people} Einwohnern, die am Fluss liegt.",
        "Die ersten Häuser wurden im Jahr {year} von Händlern aus {other} gebaut.",
        "Am Samstag gibt es einen großen Markt, auf dem man Käse und Honig kaufen kann.",
        "Im Winter ist es so kalt, dass der Fluss manchmal zufriert.",
        "Die Schule hat einen Garten, um den sich die Kinder selbst kümmern.",
        "Jeden Sommer wird ein Fest gefeiert, bei dem alle draußen essen.",
        "Die alte Brücke nach {other} ist schon mehrmals ausgebessert worden.",
    ),
    "da": (
        "{town} er en lille by med {people} indbyggere, og den ligger ved åen.",
        "De første huse blev bygget i {year} af købmænd, som kom fra {other}.",
        "Om lørdagen er der et stort marked, hvor man kan købe ost og honning.",
        "Om vinteren er det så koldt, at åen fryser til is.",
        "Skolen har en have, som børnene selv passer hele året.",
        "Hver sommer holder de en fest, hvor alle spiser ude til langt ud på natten.",
        "Den gamle bro til {other} er blevet repareret mange gange.",
    ),
    "nl": (
        "{town} is een klein stadje met {people} inwoners dat aan de rivier ligt.",
        "De eerste huizen werden in {year} gebouwd door kooplieden uit {other}.",
        "Op zaterdag is er een grote markt waar men kaas en honing kan kopen.",
        "In de winter is het zo koud dat de rivier soms bevriest.",
        "De school heeft een tuin waar de kinderen zelf voor zorgen.",
        "Elke zomer is er een feest waarbij iedereen tot laat buiten eet.",
        "De oude brug naar {other} is al verschillende keren hersteld.",
    ),
    "it": (
        "{town} è una piccola città di {people} abitanti che si trova vicino al fiume.",
        "Le prime case furono costruite nel {year} da mercanti venuti da {other}.",
        "Il sabato c'è un grande mercato dove si comprano formaggio e miele.",
        "D'inverno fa così freddo che qualche volta il fiume gela.",
        "La scuola ha un giardino di cui si occupano i bambini stessi.",
        "Ogni estate c'è una festa in cui tutti mangiano fuori fino a tardi.",
        "Il vecchio ponte verso {other} è stato riparato più volte.",
    ),
    "pt": (
        "{town} é uma pequena cidade de {people} habitantes que fica junto ao rio.",
        "As primeiras casas foram construídas em {year} por mercadores vindos de {other}.",
        "Aos sábados há um grande mercado onde se compram queijo e mel.",
        "No inverno faz tanto frio que às vezes o rio congela.",
        "A escola tem um jardim de que as próprias crianças cuidam.",
        "Todos os verões há uma festa em que toda a gente janta fora até tarde.",
        "A ponte velha que leva a {other} já foi reparada muitas vezes.",
    ),
    "sv": (
        "{town} är en liten stad med {people} invånare som ligger vid ån.",
        "De första husen byggdes år {year} av köpmän som kom från {other}.",
        "På lördagarna är det en stor marknad där man kan köpa ost och honung.",
        "På vintern är det så kallt att ån fryser till is.",
        "Skolan har en trädgård som barnen själva sköter hela året.",
        "Varje sommar hålls en fest där alla äter ute till långt in på natten.",
        "Den gamla bron till {other} har lagats många gånger.",
    ),
}
LANGUAGES = tuple(SENTENCES)
# Of the fixture's sources those whose licence a page can name in a link.
FOUND_LICENCE, FOUND_SOURCES = "CC-BY-SA-4.0", ("encyclopaedia", "recipes")
Lines = list[tuple[str, str]]


# package only
@cache
def found_lines(language: str) -> tuple[str, ...]:
    """Lines of a language that no identifier was trained on; none for some."""
    return tuple(
        line.text
        for line in read_lines()
        if (line.language, line.split) == (language, "validation") and line.source in FOUND_SOURCES
    )


# package only
def make_foreign(language: str, rng: random.Random) -> str:
    """Some sentences about a town, in one language."""
    words = {
        "town": town_name(rng), "other": town_name(rng), "year": rng.randrange(1100, 1700),
        "people": rng.randrange(900, 9000),
    }  # fmt: skip
    first, *others = SENTENCES[language]
    chosen = [first, *rng.sample(others, rng.randrange(4, len(others) + 1))]
    return " ".join(chosen).format_map(words)


# package only
def foreign_lines(language: str, rng: random.Random) -> tuple[Lines, bool]:
    """Lines in one language, half of the time found ones if there are any; are they found ones?"""
    found = found_lines(language)
    is_found = len(found) >= 4 and rng.random() < 0.5
    texts = rng.sample(found, 4) if is_found else [make_foreign(language, rng)]
    return [(text, language) for text in texts], is_found


# package only
def mixed_lines(language: str, rng: random.Random) -> Lines:
    """An English paragraph, and two of the other language around it: most of it is not English."""
    return [
        (make_foreign(language, rng), language), (make_article(rng), "en"),
        (make_foreign(language, rng), language),
    ]  # fmt: skip
