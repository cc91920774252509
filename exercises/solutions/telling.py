"""Solutions of chapter 01, 01.7 and 01.8: what a text tells. They belong to 01b, 01c and 01e."""

def who_has_it(
    events: list[tuple[str, str, str, str]], thing: str, moment: int
) -> tuple[str | None, str | None]:
    """Who has the thing, and whose it is, once the first `moment` events have happened.

    An event is (kind, who, thing, whom), and what it changes depends on its kind:

    - "have": `who` has the thing, and owns it
    - "give": `whom` has it, and owns it
    - "lend", "return": `whom` has it; the owner stays
    - "put": it lies at `whom`, a place; the owner stays
    - "find": `who` has it; the owner stays
    - "want", "ask": nothing

    Before anything is told of the thing: `(None, None)`.
    `who_has_it([("have", "Ella", "marble", ""), ("lend", "Ella", "marble", "Adam")], "marble", 2)`
    is `("Adam", "Ella")`.
    """
    holder = owner = None
    for kind, who, what, whom in events[:moment]:
        if what != thing:
            continue
        if kind in ("give", "lend", "return", "put"):
            holder = whom
        elif kind in ("have", "find"):
            holder = who
        if kind in ("have", "give"):
            owner = holder
    return holder, owner
