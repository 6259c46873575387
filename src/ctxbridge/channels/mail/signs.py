"""What a line, or a few that belong together, says of the words around it: `quotes` asks.

All that comes in here is in lower case, without edges and at most `LINE` characters long, so each
question costs at most so much.
"""

import re
from typing import NamedTuple

from ctxbridge.channels.mail.phrases import every
from ctxbridge.channels.mail.phrases.devices import (
    DEVICES,
    FOOTER_OPENS,
    GETS,
    PROGRAMS,
    TELLERS,
    WRITERS,
)

LINE = 400
MARK_DASHES = 2
MARK_WORDS = 3
RULE = 3
DATE_WITHIN = 24
BRIEF_WORDS = 5
MOMENT_CHARACTERS = 40
FOOTER_CHARACTERS = 120
FOOTER_WORDS = 7
DEVICE_WORDS = 14
SENT_WORDS = 9
ADVERTISEMENT_WORDS = 9
DEVICE_WITHIN = 60
LEGAL_PHRASES = 3


def any_of(field: str) -> str:
    """A pattern for the phrases of a field in all languages, longest first."""
    return _one_of(every(field))


def _one_of(phrases: frozenset[str]) -> str:
    return "|".join(re.escape(p) for p in sorted(phrases, key=len, reverse=True))


_RULES = "-_=—–─‐"
_VERB = rf"(?:{any_of('verbs')})"
_HAS_VERB = re.compile(rf"(?<!\w){_VERB}(?!\w)|{_VERB}\s*[:：]?$")
_VERBS = tuple(every("verbs"))
# Between a verb at the end of an attribution and the end of its last line.
_CLOSING = " :：-*_—"
_QUOTE = (">", "＞")
_FRAME = "-*_ ‐"
COLONS = (":", "：")
_TAIL = re.compile(rf">\s*,?\s*{_VERB}?\s*[:：]")
_ENDS_IN_ADDRESS = re.compile(r"@[^\s<>@]+[>)\]]?\s*[:：]$")
_SAYS = re.compile(rf"@[^\s<>@]+>,?\s*(?:{_VERB})\s*[:：]?")
_OPENS = re.compile(rf"[\W_]{{0,4}}(?:{any_of('opens')})(?!\w)|[在于於]")
_QUOTING = re.compile(any_of("quoting"))
# Who tells of a letter says "my colleague wrote"; a mail program names people.
_POINTS = dict.fromkeys(map(ord, ",.:;!\"'()"), " ")
_TELLERS = frozenset(TELLERS.split("|"))
_WRITERS = frozenset(WRITERS.split("|"))
_MARK = re.compile(rf"(?:{any_of('marks')})(?:\s*[:：])?")
_FOOTER = re.compile(any_of("footers"))
_SENT = re.compile(any_of("sends"))
_DEVICE = _one_of(frozenset(DEVICES.split("|")))
_NAMES_DEVICE = re.compile(rf"(?<!\w)(?:{_DEVICE})")
_PROGRAM = re.compile(_one_of(frozenset(PROGRAMS.split("|"))))
_GETS = re.compile(_one_of(frozenset(GETS.split("|"))))
_ENDS_FOOTER = re.compile(
    rf"(?:{_one_of(frozenset(FOOTER_OPENS.split('|')))}|{_DEVICE}).*(?:{any_of('ends')})"
)
_LEGAL = re.compile(any_of("legal"))
_DAY = re.compile(
    r"(?:19|20)\d\d|\d{1,2}[./-]\d{1,2}[./-]\d\d|\d{1,2}\s*月\s*\d|\d{1,2}월|[٠-٩]{4}|[۰-۹]{4}"
)
_TIME = re.compile(r"\d{1,2}[:.h]\d\d|\d{1,2}\s*[ap]\.?m\b|\d{1,2}\s*[时點点時시]")
_DIGIT = re.compile(r"\d")
_ADDRESS = re.compile(r"[^\s<>@]@[^\s<>@]")
_NAMED_ADDRESS = re.compile(r"[<\[(](?:mailto:)?[^\s<>@]+@[^\s<>@]+[>\])]")
# A link behind the name of a mail program, as in "Get Outlook for iOS<https://...>".
_LINK = re.compile(r"[<(\[][^<>()\[\]]{0,200}[>)\]]")
_REFERENCE = re.compile(r"https?://|www\.|[^\s<>@]@[^\s<>@]")
_FIGURE = re.compile(rf"[{_RULES}]{{2,}}[^{_RULES}].{{0,80}}[{_RULES}]{{2,}}")


class Evidence(NamedTuple):
    """What speaks for some lines being "On ... wrote:"."""

    verb: bool
    last: bool
    opens: bool
    address: bool
    day: bool
    time: bool


def may_open(head: str, after: str) -> bool:
    """Whether an attribution can begin like this: a date, an address, or "On" in some language.

    `after` is the line after it: a long name may stand alone before its address, and if a quote
    follows, a name and a verb are enough.
    """
    if head.endswith("<") or after.startswith(("<", *_QUOTE)):
        return True
    return bool(_DIGIT.search(head) or _OPENS.match(head) or _ADDRESS.search(head))


def begins_anew(head: str, before: str) -> bool:
    """Whether an attribution of its own begins here, so that the line before is none of it."""
    person = before.startswith("<") or before.endswith(">")
    return bool(not person and _OPENS.match(head) and _DAY.search(head))


def starts_one(head: str) -> bool:
    """Whether the first line of an attribution surely belongs to it: "On", a day, a person."""
    return head.endswith("<") or bool(_OPENS.match(head) or _DAY.search(head)) or names(head)


def may_introduce(joined: str) -> bool:
    """Whether it ends as an attribution does: the cheap question, which most lines fail."""
    joined = joined.rstrip(_FRAME)
    return joined.endswith(COLONS) or joined.rstrip(_CLOSING).endswith(_VERBS)


def is_attribution(joined: str, *, quoted: bool) -> bool:
    """Whether it says who wrote when.

    `quoted` says that quoted lines follow at once: then less evidence is enough.
    """
    joined = joined.strip(_FRAME)
    if "@" not in joined and not joined.endswith(COLONS):
        return False
    last = joined.rstrip(_CLOSING).endswith(_VERBS)
    verb, address = last or _has_verb(joined), has_address(joined)
    if not (verb or address or quoted):
        return False
    seen = Evidence(
        verb=verb,
        last=last,
        opens=bool(_OPENS.match(joined)),
        address=address,
        day=bool(_DAY.search(joined)),
        time=bool(_TIME.search(joined)),
    )
    return _introduces(joined, seen, quoted=quoted)


def _has_verb(joined: str) -> bool:
    """Plain look-ups first: a pattern of all verbs takes its time."""
    return any(verb in joined for verb in _VERBS) and bool(_HAS_VERB.search(joined))


def _introduces(joined: str, seen: Evidence, *, quoted: bool) -> bool:
    if seen.last and not joined.endswith(COLONS) and not seen.address:
        return False
    when = seen.day or seen.time
    says = seen.last and (bool(_SAYS.search(joined)) or (seen.address and seen.opens))
    says = says or (seen.address and bool(_QUOTING.match(joined)))
    # No verb: "30.09.2017, 18.30, "Ann" <ann@example.org>:", or a language that is not known.
    bare = seen.address and seen.day and seen.time and not seen.verb
    if says or (bare and (quoted or seen.opens or _ENDS_IN_ADDRESS.search(joined))):
        return True
    if quoted and when and (seen.verb or seen.address):
        return True
    if not (names(joined) or _TELLERS.isdisjoint(_words(joined))):
        return False
    if quoted:
        brief = len(joined.split()) <= BRIEF_WORDS
        return (seen.day and seen.time) or (seen.last and (seen.opens or brief))
    return seen.verb and when and (seen.last or _names_first(joined, seen))


def _words(text: str) -> list[str]:
    return text.translate(_POINTS).split()


def _names_first(joined: str, seen: Evidence) -> bool:
    """Whether a verb inside is that of an attribution: "On ... wrote Ann:", "Ann wrote on ...:"."""
    if seen.opens or _DIGIT.search(joined, 0, DATE_WITHIN) or names(joined):
        return True
    return not seen.address


def is_quoted(head: str) -> bool:
    """Whether it has a quote's prefix."""
    return head.startswith(_QUOTE)


def is_tail(head: str, before: str) -> bool:
    """Whether it is no quote but the wrapped end of "Ann <ann@example.org" + "> wrote:"."""
    return not before.startswith(">") and "<" in before and bool(_TAIL.fullmatch(head))


def names(head: str) -> bool:
    """Whether there is an address as behind a name: "Ann <ann@example.org>"."""
    return bool(_NAMED_ADDRESS.search(head))


def has_address(head: str) -> bool:
    """Whether there is an e-mail address in it."""
    return "@" in head and bool(_ADDRESS.search(head))


def has_moment(head: str) -> bool:
    """Whether there are a day and a time in it."""
    return bool(_TIME.search(head) and _DAY.search(head))


def is_person(head: str) -> bool:
    """Whether it is nothing but a name and its address."""
    return head.endswith(">") and head[:1] != "<" and ":" not in head and names(head)


def is_moment(head: str) -> bool:
    """Whether it is nothing but a day and a time."""
    return len(head) <= MOMENT_CHARACTERS and has_moment(head) and "@" not in head


def refers(head: str) -> bool:
    """Whether it has a link or an address."""
    return bool(_REFERENCE.search(head))


def is_rule(head: str) -> bool:
    """Whether it is nothing but dashes or their like."""
    return len(head) >= RULE and not head.strip(_RULES + "*#~ ")


def is_framed(head: str) -> bool:
    """Whether some words stand between dashes, or it is a rule: what may stand over a header."""
    return is_rule(head) or bool(_FIGURE.fullmatch(head))


def is_mark(head: str) -> bool:
    """Whether it is like "----- Original Message -----", or Apple's "Begin forwarded message:"."""
    if not _marks(head):
        return False
    dashes = len(head) - len(head.lstrip(_RULES + "*# "))
    return dashes >= MARK_DASHES or (head.endswith(COLONS) and len(head.split()) >= MARK_WORDS)


def is_bare_mark(head: str) -> bool:
    """Whether it is like "Original message:", which only a header below it proves."""
    return head.endswith(COLONS) and _marks(head)


def _marks(head: str) -> bool:
    """Whether a mark's words are all there is, but for dashes or a header in the same line."""
    inside = head.strip(_RULES + "*#> ")
    found = _MARK.match(inside)
    if not found:
        return False
    rest = inside[found.end() :].strip(" .")
    return not rest or (rest.startswith("--") and ":" in rest)


def is_delimiter(head: str) -> bool:
    """Whether a signature may begin behind it (RFC 3676, 4.3)."""
    return head == "--"


def is_list_rule(head: str) -> bool:
    """Whether a mailing list's own lines may begin behind it."""
    return len(head) > 1 and not head.strip("_")


def is_footer(head: str) -> bool:
    """Whether a device or a mail program wrote it, as "Sent from my phone"."""
    words = _LINK.sub("", head).strip(" .。*_-")
    count = len(words.split())
    if not words or len(words) > FOOTER_CHARACTERS or count > DEVICE_WORDS or "?" in words:
        return False
    if count <= FOOTER_WORDS and "," not in words and _FOOTER.match(words):
        return True
    if count <= ADVERTISEMENT_WORDS and _PROGRAM.search(words):
        linked = len(words) < len(head) and "http" in head
        if linked or _GETS.match(words):
            return True
    if not _NAMES_DEVICE.search(words[:DEVICE_WITHIN].partition(",")[0]):
        return False
    brief = len(words.partition(",")[0].split()) <= SENT_WORDS
    return bool((brief and _SENT.match(words)) or _ENDS_FOOTER.fullmatch(words))


def has_legal(paragraph: str) -> bool:
    """Whether there is a word in it that lawyers write under mails."""
    return bool(_LEGAL.search(paragraph))


def is_legal(words: str) -> bool:
    """Whether lawyers wrote it: some of their words at once, and nobody speaks for himself."""
    return len(set(_LEGAL.findall(words))) >= LEGAL_PHRASES and _WRITERS.isdisjoint(_words(words))
