"""The plots of level 4: episodes written as short scripts, and plots that string them together.

In: a `Cast`. Out: events, as from the plots of the levels below, which are told at level 4 too. The
one idea: a plot is data. A line `lend a t b` is an event; an episode is a few lines; a plot is a
list of episodes, each of which needs what the one before has brought about. Left out on purpose:
more than three people and two things at once.
"""

from functools import partial

from minillm.corpus.storyworld.plots import OTHER_OWNER, PLOTS_BY_LEVEL, Cast, Plot
from minillm.corpus.storyworld.world import Event

# kind/its_manner doer thing whom @spot +other ^third: t, o are things; s, z are spots
EPISODES = {
    "want": "want b t a",
    "c wants": "want c t a",
    "ask": "want b t a|ask b t a",
    "borrow": "want b t a|ask/borrow b t a|lend a t b",
    "use": "use b t a",
    "owner uses": "use a t b",
    "back": "return/give_back b t a",
    "back sorry": "return/sorry b t a",
    "gift": "give a t b|feel/glad_of_gift b t a",
    "give freely": "give/give_freely a t b",
    "keep": "cede a t b",
    "thank": "thank b t a",
    "thanked": "thank a b",
    "forgive": "forgive a t b",
    "sorry": "apologise b t a|forgive a t b",
    "late": "forget/forget_loan b t a|remind/remind_loan a t b",
    "take turns": "lend/take_turns a t b",
    "promise": "promise a t b",
    "promise forgotten": "use a t b|forget/forget_promise a t b|remind/remind_promise b t a",
    "promise kept": "apologise a t b|give/give_promised a t b|feel/glad_of_gift b t a",
    "put": "put a t b @s",
    "c moves": "move c t a @z",
    "b moves": "move/joke b t a @z",
    "look": "believe a t b @s|look/look_in_vain a t c @s",
    "miss": "feel/miss a t b",
    "blame": "accuse a t b|deny b t a|feel/sad_of_blame b t a",
    "c owns up": "confess/confess_move c t a @z|find a t c @z",
    "b owns up": "confess/confess_move b t a @z|find a t b @z",
    "blame undone": "apologise a t b|forgive b t a",
    "lose": "put/lose a t b @s|feel/miss a t b",
    "b finds": "find b t a @s",
    "mistake": "mistake b t c|disown c t b|point c t b ^a",
    "entrust": "entrust a t b",
    "c asks b": "want c t b|ask c t b|refuse b t c|feel/sad_of_no c t b",
    "b loses": "put/lose b t a @s|confess/confess_loss b t a|feel/miss a t b",
    "b loses again": "put/lose b t a @z|confess/confess_loss b t a|feel/miss a t b",
    "c finds": "find c t a @s|return/give_back c t a",
    "c finds there": "look/look_in_vain c t a @s|find c t a @z|return/give_back c t a",
    "b finds again": "look/look_in_vain b t a @z|find b t a @s",
    "send": "entrust/send a t b ^c",
    "deliver": "deliver b t c|feel/glad_of_present c t b",
    "c thanks": "thank c t b",
    "errand forgotten": "use b t a|forget/forget_errand b t c|remind/remind_errand a t b ^c",
    "sorry for it": "apologise b t c|forgive c t b",
    "c gives thanks": "give/give_thanks c o a|feel/glad_of_gift a o c",
    "warn": "want b t a|ask/borrow b t a|warn a t b|lend a t b",
    "heed": "heed b t a",
    "ignore": "ignore b t a",
    "break": "break b t a|feel/sad_of_break a t b",
    "c mends": "mend c t b",
    "b mends": "mend/mend_alone b t a",
    "replace": "give/replace b o a|feel/glad_of_gift a o b",
    "hide": "put/hide a t b @s|look/seek b t a",
    "hint": "look/look_in_vain b t a @z|tell a t b @s",
    "found": "find b t a @s|feel/clap a t b",
    "trade": "offer b o a +t|trade a t b +o",
    "trade refused": "offer b o a +t|refuse/refuse_trade a t b|feel/sad_of_no b t a",
    "regret": "use b t a|regret a t b|trade/trade_back b t a +o",
    "refuse": "refuse a t b|feel/sad_of_no b t a",
    "relent": "relent a t b",
    "pass on": "pass b t c ^a|use c t b|feel/sad_of_passing a t b ^c",
    "c returns": "return/give_back c t a",
    "stash": "put/stash b t a @z|look/look_in_vain a t b @s|fetch b t a @z",
    "take": "take b t a|feel/sad_of_take a t b",
    "c scolds": "scold c t b ^a",
    "a thanks c": "thank a c",
    "take too": "take a o b|feel/sad_of_take b o a",
    "both back": "return/sorry b t a|return/give_back a o b",
    "c asks too": "want c t a|ask c t a|give a t b|feel/sad_of_gift c t a ^b",
    "other for c": "give/give_freely a o c|feel/glad_of_gift c o a",
    "c borrows": "want c t a|ask/borrow c t a|lend a t c|use c t a|return/give_back c t a",
    "favour": "want a o b|ask/borrow a o b|lend b o a|use a o b|return/give_back a o b",
    "propose": "propose a t b|decline b t a",
    "teach": "teach a t b",
    "ask to borrow": "ask/borrow b t a|lend a t b",
    "c takes": "want c t b|take c t b|feel/sad_of_theft b t c",
    "a scolds": "scold a t c|return/sorry c t a|forgive a t c",
    "end": "end/end_again a t b",
    "end own": "end/end_own b t a",
    "end b": "end/end_has b t a",
    "end c": "end/end_has c t b",
    "end other": "end/end_has a o b",
    "end both": "end/end_both a t b +o",
    "end both b": "end/end_both b t a +o",
    "end b and c": "end/end_both b t c +o",
    "end c and a": "end/end_both c t a +o",
}
PLOT_TABLE = {
    "late return": "borrow, use, late, back sorry, forgive, end",
    "kept for good": "borrow, use, keep, thank, end own",
    "turns": "ask, take turns, use, back, owner uses, end",
    "forgotten promise": "ask, promise, promise forgotten, promise kept, end b",
    "false blame": "put, c moves, look, miss, blame, c owns up, blame undone, end",
    "mistaken owner": "lose, b finds, mistake, back, thanked, end",
    "good guard": "entrust, c asks b, back, thanked, end",
    "bad guard": "entrust, b loses, c finds, sorry, end",
    "errand": "send, deliver, c thanks, end c",
    "late errand": "send, errand forgotten, deliver, sorry for it, end c",
    "present by errand": "send, deliver, c gives thanks, end c and a",
    "warning heeded": "warn, heed, back, thanked, end",
    "warning ignored": "warn, ignore, break, c mends, back sorry, forgive, end",
    "replacement": "borrow, break, back sorry, replace, end other",
    "own repair": "borrow, use, break, b mends, back sorry, forgive, end",
    "treasure hunt": "hide, found, keep, end own",
    "hint": "hide, hint, found, end b",
    "regretted trade": "want, trade, regret, end both",
    "second thoughts": "ask, refuse, relent, give freely, thank, end b",
    "refused trade": "want, trade refused, relent, trade, end both b",
    "lent on": "borrow, pass on, c returns, sorry, end",
    "finders keepers": "lose, b finds, stash, back sorry, forgive, end",
    "scolded": "want, take, c scolds, back sorry, a thanks c, end",
    "double quarrel": "want, take, take too, both back, end both",
    "prank": "put, b moves, look, miss, b owns up, sorry, end",
    "two wishes": "ask, c asks too, other for c, end b and c",
    "round": "borrow, use, back, c borrows, end",
    "favour returned": "borrow, use, back, favour, end both",
    "modesty": "propose, give freely, thank, end b",
    "lesson": "want, teach, ask to borrow, thank, use, back, end",
    "lesson and gift": "want, teach, ask, gift, use, thank, end b",
    "lost twice": "lose, b finds, b loses again, c finds there, sorry, end",
    "robbed guard": "entrust, c takes, a scolds, end",
    "lost loan": "borrow, use, b loses, b finds again, back sorry, forgive, end",
    "broken turn": "ask, take turns, break, c mends, back sorry, forgive, end",
}
ROLES = {"a": "a", "b": "b", "c": "c", "t": "thing", "o": "other", "s": "spot", "z": "spot_2"}
# Who has the other thing at the start, where it is not `a`.
WIDE_OTHER_OWNER = OTHER_OWNER | {
    "present by errand": "c", "replacement": "b", "regretted trade": "b", "refused trade": "b",
    "double quarrel": "b", "two wishes": "a", "favour returned": "b",
}  # fmt: skip
# What may go unsaid, because nothing that follows needs it.
WIDE_OPTIONAL = {"thank", "glad of gift", "glad of present", "forgive", "clap", "seek", "use"}


def event_of(line: str, cast: Cast) -> Event:
    """The event that a line of a script means, with the cast in its roles."""
    head, doer, *rest = line.split()
    kind, _, manner = head.partition("/")
    parts: dict[str, str] = {}
    for token in rest:
        role = {"@": "place", "+": "other", "^": "third"}.get(token[0])
        role = role or ("thing" if token in "to" else "whom")
        parts[role] = getattr(cast, ROLES[token.lstrip("@+^")])
    return Event(kind, getattr(cast, doer), manner=manner.replace("_", " ") or None, **parts)


def play(name: str, cast: Cast) -> list[Event]:
    """The events of a plot of the table."""
    lines = [line for part in PLOT_TABLE[name].split(", ") for line in EPISODES[part].split("|")]
    return [event_of(line, cast) for line in lines]


WIDE_PLOTS: dict[str, Plot] = {
    name: plot for plots in PLOTS_BY_LEVEL.values() for name, plot in plots.items()
} | {name: partial(play, name) for name in PLOT_TABLE}
