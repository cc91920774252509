"""Personal data of people who do not exist, and numbers that only look like it.

In: a random generator. Out: sentences with the values that they hold. The values cannot be
anybody's: e-mail at example.org and its like (RFC 2606), telephone numbers kept for films in four
countries, card numbers that begin with a zero, account numbers of countries that do not exist (ISO
3166 leaves XA and ZZ to users), social security numbers of an area that was never given out,
internet addresses of documentation (RFC 5737, RFC 3849). The decoys are hard on purpose: a number
without a word beside it that would give it away is among those of orders, versions and shelves.
"""

import random
from collections.abc import Callable

from minillm.corpus.dirty.texts import NAME_STARTS, town_name
from minillm.corpus.personal import DNI_LETTERS, is_luhn_valid, pseudonym

Maker = Callable[[random.Random], str]
FIRST_NAMES = "pat kim alex robin noor sasha jules mika".split()
ROADS = "Market Mill Church Station Garden River Old Bridge".split()
DIGITS = "0123456789"


# package only
def digits(rng: random.Random, count: int) -> str:
    """So many random digits."""
    return "".join(rng.choices(DIGITS, k=count))


# package only
def grouped(number: str, *sizes: int, sign: str = " ") -> str:
    """A number cut into groups of these sizes."""
    ends = [sum(sizes[: index + 1]) for index in range(len(sizes))]
    return sign.join(
        number[end - size : end] for size, end in zip(sizes, ends, strict=True)
    )


# package only
def make_email(rng: random.Random) -> str:
    """An address at a domain that RFC 2606 keeps for examples; one in six hides its signs."""
    name, end = rng.choice(FIRST_NAMES), rng.choice(("org", "com", "net"))
    name += rng.choice((".", "_", "-", "+", "")) + rng.choice((digits(rng, 2), "post", "reads"))
    host = rng.choice(("", "mail.", "post.")) + "example"
    if rng.random() < 5 / 6:
        return f"{name}@{host}.{end}"
    at, dot = rng.choice(((" at ", " dot "), ("[at]", "[dot]"), (" (at) ", " (dot) ")))
    return f"{name}{at}example{dot}{end}"


# package only
def make_phone(rng: random.Random) -> str:
    """A number that the US, the UK, France or Germany keeps for films and books."""
    us, uk, france, germany = f"01{digits(rng, 2)}", digits(rng, 3), digits(rng, 4), digits(rng, 3)
    return rng.choice((
        f"(212) 555-{us}", f"212-555-{us}", f"212 555 {us}", f"212.555.{us}", f"+1 212 555 {us}",
        f"+44 20 7946 0{uk}", f"020 7946 0{uk}", f"(020) 7946 0{uk}",
        f"01 99 00 {france[:2]} {france[2:]}", f"+33 1 99 00 {france[:2]} {france[2:]}",
        f"030 23125 {germany}", f"+49 30 23125 {germany}", f"030/23125{germany}",
        f"212555{us}",
    ))  # fmt: skip


# package only
def make_card(rng: random.Random) -> str:
    """A number with a true check digit that no bank gives out: it begins with a zero."""
    number = "0" + digits(rng, 14)
    number += next(each for each in DIGITS if is_luhn_valid(number + each))
    shapes = (grouped(number, 4, 4, 4, 4), grouped(number, 4, 4, 4, 4, sign="-"), number)
    return rng.choices(shapes, (3, 1, 1))[0]


def make_iban(rng: random.Random) -> str:
    """An account number with true check digits, of a country that there is not."""
    country, account = rng.choice(("XA", "ZZ")), digits(rng, rng.choice((14, 16, 18)))
    as_number = int(account + "".join(str(int(sign, 36)) for sign in country) + "00")
    code = f"{country}{98 - as_number % 97:02}{account}"
    pieces = [code[start : start + 4] for start in range(0, len(code), 4)]
    return rng.choice(("", " ", " ")).join(pieces)


# package only
def make_ssn(rng: random.Random) -> str:
    """A US social security number of area 666, which was never given out."""
    return f"666-{rng.randrange(1, 100):02}-{rng.randrange(1, 10_000):04}"


def make_dni(rng: random.Random) -> str:
    """A Spanish identity number with its true letter, from the top of the range."""
    number = 99_900_000 + rng.randrange(100_000)
    return f"{number}{rng.choice(('', '', '-'))}{DNI_LETTERS[number % 23]}"


# package only
def make_ip(rng: random.Random) -> str:
    """An internet address of the ranges for documentation."""
    if rng.random() < 0.25:
        return f"2001:db8:{rng.randrange(1, 65536):x}::{rng.randrange(1, 65536):x}"
    network = rng.choice(("192.0.2", "198.51.100", "203.0.113"))
    return f"{network}.{rng.randrange(1, 255)}"


# package only
def make_street(rng: random.Random) -> str:
    """A house in a street, as four languages write it."""
    house, name = rng.randrange(1, 200), rng.choice(NAME_STARTS)
    road = f"{rng.choice(ROADS)} {rng.choice(('Street', 'Road', 'Lane', 'Avenue'))}"
    return rng.choice((
        f"{house} {road}", f"{house} {road}", f"{house} {name} Hill",
        f"{name}{rng.choice(('straße', 'weg', 'platz'))} {house}",
        f"{house} rue de {town_name(rng)}", f"Calle {name} {house}",
    ))  # fmt: skip


PERSONAL: dict[str, tuple[Maker, tuple[str, ...]]] = {
    "email": (make_email, ("Write to {}.", "Her address is {}, she says.", "Ask {} for the rest.")),
    "phone": (make_phone, ("Call {} before noon.", "To order, phone {}.", "Tel. {}, or come.")),
    "card": (make_card, ("Pay with {}.", "She gave her card, {}, to a stranger.", "Visa {}.")),
    "iban": (make_iban, ("Send the money to {}.", "The account is {}. Thank you.", "IBAN: {}")),
    "ssn": (make_ssn, ("His social security number is {}.", "SSN {} stood on the form.")),
    "dni": (make_dni, ("Her DNI is {}.", "The guest showed a card with {}.", "Nombre y DNI: {}.")),
    "ip": (make_ip, ("The message came from {}.", "Last login: {}", "The rude guest was {}.")),
    "address": (make_street, ("She lives at {}.", "Come to {} on Sunday.", "Send it to {}.")),
}  # fmt: skip


# package only
def make_version(rng: random.Random) -> str:
    """Four small numbers with dots: an internet address to look at."""
    return ".".join(str(rng.randrange(1, 30)) for _ in range(4))


# package only
def make_isbn(rng: random.Random) -> str:
    """A book's number, with hyphens or without."""
    number = "978" + digits(rng, 9)
    weighted = sum(int(each) * (1 + 2 * (index % 2)) for index, each in enumerate(number))
    number += str(-weighted % 10)
    return rng.choice((number, grouped(number, 3, 1, 3, 5, 1, sign="-")))


# package only
def make_order(rng: random.Random) -> str:
    """A number as long as a card's; one in ten has its check digit by chance."""
    return rng.choice((digits(rng, 16), grouped(digits(rng, 16), 4, 4, 4, 4)))


# package only
def make_date(rng: random.Random) -> str:
    """A day, as different people write it."""
    year, month, day = rng.randrange(1950, 2026), rng.randrange(1, 13), rng.randrange(1, 29)
    return rng.choice((
        f"{year}-{month:02}-{day:02}", f"{day:02}.{month:02}.{year}", f"{day:02}-{month:02}-{year}",
        f"{day:02}/{month:02}/{year}",
    ))  # fmt: skip


# package only
def make_years(rng: random.Random) -> str:
    """From one year to another."""
    start = rng.randrange(1500, 1900)
    return f"{start}-{start + rng.randrange(1, 60)}"


DECOYS: dict[str, tuple[Maker, tuple[str, ...]]] = {
    "order": (make_order, (
        "Your order is number {}.", "Order no. {} has left.", "The parcel {} is on its way.",
        "Invoice {} is paid.", "On its back somebody had written {}.",
    )),
    "version": (make_version, (
        "Version {} is out today.", "Take release {} of the program.", "Firmware {} repairs it.",
        "It is told in section {}.", "We have used Bookmaker {} for years.",
    )),
    "isbn": (make_isbn, ("The book is ISBN {}.", "ISBN: {}", "Ask in the shop for ISBN {}.")),
    "part": (lambda rng: f"{digits(rng, 3)}-{digits(rng, 2)}-{digits(rng, 4)}", (
        "The lamp has part number {}.", "Look for item {} in the list.", "Model {} is blue.",
    )),
    "shelf": (lambda rng: digits(rng, 8) + rng.choice("ABCDEFGHJKLMNPQRSTVWXYZ"), (
        "The map lies on shelf {}.", "Serial number {} is ours.", "The key is marked {}.",
    )),
    "date": (make_date, ("It was opened on {}.", "Read on {}.", "The feast of {} was the best.")),
    "years": (make_years, ("He was mayor in {}.", "The wall was built in {}.")),
    "verse": (lambda rng: f"{rng.randrange(1, 150)}:{rng.randrange(1, 40)}", (
        "They read Psalm {} aloud.", "The sermon was about John {}.",
    )),
    "count": (lambda rng: f"{rng.randrange(10, 99)} {digits(rng, 3)} {digits(rng, 3)}", (
        "It has {} books.", "The bridge cost {} crowns.",
    )),
    "house": (lambda rng: f"the {rng.randrange(3, 60)} Mill Road houses", (
        "She painted all {}.", "Of {} two are left.",
    )),
    "handle": (lambda rng: f"bell@{rng.randrange(9)}.{rng.randrange(20)}.{rng.randrange(9)}", (
        "Install {} first.", "It needs {} or later.",
    )),
    "local": (lambda rng: f"192.168.{rng.randrange(255)}.{rng.randrange(1, 255)}", (
        "At home it answers at {}.", "Open {} to set the lamp.",
    )),
}  # fmt: skip


# package only
def add_sentences(
    text: str,
    clean: str,
    kinds: dict[str, tuple[Maker, tuple[str, ...]]],
    count: int,
    rng: random.Random,
) -> tuple[str, str, tuple[tuple[str, str], ...]]:
    """Text and clean text with a line of such sentences, masked in the clean one, and the values.

    What is no personal data stands in both as it is.
    """
    told, masked, values = [], [], []
    for _ in range(count):
        kind = rng.choice(list(kinds))
        make, sentences = kinds[kind]
        value, sentence = make(rng), rng.choice(sentences)
        told.append(sentence.format(value))
        masked.append(sentence.format(pseudonym(kind, value) if kind in PERSONAL else value))
        values.append((kind, value))
    return f"{text}\n{' '.join(told)}", f"{clean}\n{' '.join(masked)}", tuple(values)
