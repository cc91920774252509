"""Personal data: found by pattern, proved by a check, replaced by a pseudonym.

In: a text. Out: the same text in which each value names its kind, as in `<email>`, or with a salt
its pseudonym too, as in `<email-3f2a>`: one value has one pseudonym all over a corpus. The ideas: a
pattern says what a value looks like, a check digit or a range whether it is one (Luhn, US patent
2950048; ISO 7064 mod 97; the letter of a Spanish DNI), and the words before it what cannot be
computed. Left out: names, dates of birth, and whatever is told in words.
"""

import hmac
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_network

from minillm.corpus.sources import Document, Step

PSEUDONYM_DIGITS = 4
BEFORE_CHARACTERS = 32
DNI_LETTERS = "TRWAGMYFPDXBNJZSQVHLCKE"


def is_luhn_valid(digits: str) -> bool:
    """From the right, double every second digit (minus 9 above 9); the sum must end in 0."""
    total = 0
    for index, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + index % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def is_iban_valid(code: str) -> bool:
    """The first four signs go to the end, A to Z become 10 to 35; the number mod 97 must be 1."""
    moved = code[4:] + code[:4]
    return int("".join(str(int(sign, 36)) for sign in moved)) % 97 == 1


def is_dni_valid(code: str) -> bool:
    """The letter of a Spanish identity number: the one at place (its eight digits mod 23)."""
    return DNI_LETTERS[int(code[:8]) % 23] == code[-1]


# Networks of a house, of one machine, or of nobody: such an address leads to no person.
NOBODYS = tuple(
    map(ip_network, ("0.0.0.0/8", "10.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
                     "192.168.0.0/16", "224.0.0.0/3", "::/127", "fc00::/7", "fe80::/10"))
)  # fmt: skip


def leads_to_somebody(address: str) -> bool:
    """Is it an address of the internet, and of one that others can reach?"""
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    return not any(parsed in network for network in NOBODYS)


# What a number is said to be, directly before it: then it is no person's.
NUMBERED = re.compile(
    r"\b(?:order|invoice|parcel|tracking|ticket|serial|article|item|part|model|shelf|isbn|issn|ref)"
    r"\b(?:[^.!?\n]|\bn[or]\.)*$",
    re.IGNORECASE,
)
VERSIONED = re.compile(
    r"\b(?:version|release|firmware|build|update|driver|chapter|section|table|figure|rule|v)"
    r"\b[^.!?\n]*$|§\s*$",
    re.IGNORECASE,
)
PHONED = re.compile(
    r"\b(?:call(?:ed|s)?|tel|phones?|telephone|ring|dial|mobile|fax|text)\b[^!?\n]*$", re.IGNORECASE
)
IDENTIFIED = re.compile(
    r"\b(?:dni|nif|identi\w+|id|card|passports?|documento?s?)\b[^.!?\n]*$", re.IGNORECASE
)
ADDRESSED = re.compile(
    r"\b(?:ip|address|host|server|ping|from|login|connect\w*)\b[^!?\n]*$", re.IGNORECASE
)
COUNTED = re.compile(r"\b(?:the|these|those|all|another|since|until)\s+$", re.IGNORECASE)


# package only
def email_in(value: str, before: str) -> str:
    """An e-mail address as it stands; its form is proof enough."""
    return value


def card_in(value: str, before: str) -> str:
    """A card number passes Luhn; one other number in ten does, so its words count too."""
    digits = re.sub(r"\D", "", value)
    return value if is_luhn_valid(digits) and not NUMBERED.search(before) else ""


# package only
def iban_in(value: str, before: str) -> str:
    """An account number; what follows it may look like a part of it, and is left off."""
    while value and not is_iban_valid(value.replace(" ", "")):
        value = value.rpartition(" ")[0]
    return value if len(value) >= 15 else ""


# package only
def ssn_in(value: str, before: str) -> str:
    """A US social security number has no check digit: only its form and its words."""
    return "" if NUMBERED.search(before) else value


# package only
def dni_in(value: str, before: str) -> str:
    """A Spanish identity number has the letter that its digits ask for; one other code in 23 has
    it by chance, so words must say what it is."""
    is_valid = is_dni_valid(value.replace("-", "").replace(".", ""))
    return value if is_valid and IDENTIFIED.search(before) else ""


def ip_in(value: str, before: str) -> str:
    """An internet address; versions have the same form, but small parts, or words that say so."""
    if VERSIONED.search(before) or not leads_to_somebody(value):
        return ""
    is_large = ":" in value or any(int(part) > 99 for part in value.split("."))
    return value if is_large or ADDRESSED.search(before) else ""


def phone_in(value: str, before: str) -> str:
    """As many digits as telephones have; in one piece only after a word such as `call`."""
    if PHONED.search(before):
        return value
    num_digits = sum(sign.isdecimal() for sign in value)
    fewest, most = (7, 15) if value.startswith("+") else (9, 11)
    is_plausible = fewest <= num_digits <= most and not value.isdecimal()
    return value if is_plausible and not NUMBERED.search(before) else ""


# package only
def street_in(value: str, before: str) -> str:
    """A house and its street; `the 12 Mill Road shops` counts houses."""
    return "" if value[0].isdecimal() and COUNTED.search(before) else value


# A name before the @ has 64 signs at most (RFC 5321); without a limit, a long row of names with
# hyphens would be read again from each of them.
AT, DOT = r"(?:@| ?[\[(]at[\])] ?| at )", r"(?:\.| ?[\[(]dot[\])] ?| dot )"
EMAIL = re.compile(
    r"\b[\w.+-]{1,64}@[\w-]+(?:\.[\w-]+)*\.[a-zA-Z]{2,}\b"
    rf"|\b[\w.+-]{{1,64}}{AT}(?:[\w-]+{DOT})+(?:com|org|net|edu|info)\b"
)
IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b")
CARD = re.compile(r"(?<![\d.-])\d(?:[ -]?\d){12,18}(?![\d.-]*\d)")
SSN = re.compile(r"(?<![\d-])\d{3}-\d{2}-\d{4}(?![\d-])")
DNI = re.compile(r"\b\d{2}\.?\d{3}\.?\d{3}-?[A-Z]\b")
IP = re.compile(
    r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?!\.?\w)"
    r"|(?<![\w:])[0-9a-f]{1,4}(?:::?[0-9a-f]{1,4}){2,7}(?:::)?(?![\w:])"
)
# A telephone number begins where no other number goes on, and ends where none goes on.
BEGIN, END = r"(?<![\w.+-])(?<!\d[ ,])", r"(?![ .-]?\w*\d)"
PHONE = re.compile(
    r"(?<![\w+])\+\d{1,3}(?:[ -]?\(?\d{1,5}\)?){2,6}(?![\w-])"
    rf"|{BEGIN}(?:\(\d{{3}}\) ?\d{{3}}|\d{{3}}(?P<sign>[ .-])\d{{3}}(?=(?P=sign)))[ .-]\d{{4}}{END}"
    rf"|{BEGIN}(?!\d{{5}}-\d{{4}})\(?0[1-9]\d{{0,3}}\)?(?:[ /-]\d{{2,8}}){{1,4}}{END}"
    r"|(?<![\w.+-])\d{10,11}(?![\w-])"
)
NAMED = r"(?:[A-ZÄÖÜÉÈ][\w'’-]+)"
STREET = re.compile(
    rf"(?<![\w.-])\d{{1,3}}[a-z]? {NAMED}(?: {NAMED})? (?:Street|Road|Lane|Avenue|Square|Hill)\b"
    r"|\b[A-ZÄÖÜ][^\W\d_]+(?:straße|strasse|gasse|weg|platz) \d{1,3}[a-z]?\b"
    rf"|(?<![\w.-])\d{{1,3}}(?: bis)?,? (?:rue|avenue|place|chemin) (?:d\w{{1,2}} )?{NAMED}"
    rf"|\b(?:Calle|Plaza|Avenida|Paseo) (?:del? )?(?:la )?{NAMED},? \d{{1,3}}\b"
)
# Kinds in the order in which they claim their characters: pattern, and what is accepted of a match.
KINDS: dict[str, tuple[re.Pattern[str], Callable[[str, str], str]]] = {
    "email": (EMAIL, email_in), "iban": (IBAN, iban_in), "card": (CARD, card_in),
    "ssn": (SSN, ssn_in), "dni": (DNI, dni_in), "ip": (IP, ip_in), "phone": (PHONE, phone_in),
    "address": (STREET, street_in),
}  # fmt: skip
MAY_HOLD_PERSONAL_DATA = re.compile(r"@|\d|[ (\[]dot[ )\]]")


@dataclass(frozen=True, slots=True)
class Finding:
    """A value of personal data, and where it stands."""

    kind: str
    value: str
    start: int

    @property
    def end(self) -> int:
        return self.start + len(self.value)


def candidates(text: str) -> Iterator[Finding]:
    """What the patterns find and the checks accept, kind by kind; findings may overlap."""
    for kind, (pattern, accepted) in KINDS.items():
        for match in pattern.finditer(text):
            before = text[max(0, match.start() - BEFORE_CHARACTERS) : match.start()]
            if value := accepted(match[0], before):
                yield Finding(kind, value, match.start())


def findings(text: str) -> list[Finding]:
    """The personal data of a text from front to back; an earlier kind keeps what it has claimed."""
    if not MAY_HOLD_PERSONAL_DATA.search(text):
        return []
    found, claimed = [], bytearray(len(text))
    for each in candidates(text):
        if not any(claimed[each.start : each.end]):
            claimed[each.start : each.end] = b"\1" * len(each.value)
            found.append(each)
    return sorted(found, key=lambda each: each.start)


def personal_data(text: str) -> list[tuple[str, str]]:
    """(kind, value) of each e-mail address, account, number and address in a text."""
    return [(each.kind, each.value) for each in findings(text)]


def pseudonym(kind: str, value: str, salt: str | None = None) -> str:
    """`<kind>`, and with a salt four hexadecimal digits of a keyed hash of the value.

    One value written in two ways is one value: only letters and digits count, and their case not.
    """
    if salt is None:
        return f"<{kind}>"
    plain = re.sub(r"[\W_]", "", value).lower()
    digest = hmac.digest(salt.encode(), f"{kind} {plain}".encode(), "sha256").hex()
    return f"<{kind}-{digest[:PSEUDONYM_DIGITS]}>"


def mask_personal_data(document: Document, salt: str | None = None) -> Document:
    """Step: each value of personal data becomes its pseudonym."""
    text, rest = document.text, len(document.text)
    pieces: list[str] = []
    for each in reversed(findings(text)):
        pieces += [text[each.end : rest], pseudonym(each.kind, each.value, salt)]
        rest = each.start
    return replace(document, text="".join([text[:rest], *reversed(pieces)])) if pieces else document


def masking(salt: str) -> Step:
    """Make the step that masks with pseudonyms of this corpus; its salt stays secret."""
    return lambda document: mask_personal_data(document, salt)
