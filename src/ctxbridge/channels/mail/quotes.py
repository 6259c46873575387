"""Telling what was written in this mail from what it repeats.

One pass over the lines; each is looked at with at most a few after it, and only its beginning
counts, so hostile text costs what plain text costs. It prefers keeping: every line ends up in
exactly one span, only what is surely repeated is taken for a quote, and a mail that would be left
without words of its own (a bare forward) keeps its text.
"""

import re
from collections.abc import Sequence
from operator import ne
from typing import NamedTuple

from ctxbridge.channels.mail.phrases import every

# How many characters of a line and how many lines are looked at (what follows goes by ">" alone),
# and how many lines may make one attribution or header.
LINE = 400
LINES = 20_000
SPANS = 100
ATTRIBUTION_LINES = 4
HEADER_LINES = 10
SIGNATURE_LINES = 20
MARK_DASHES = 2
RULE = 10
FOOTER_CHARACTERS = 90
FOOTER_WORDS = 7


class Span(NamedTuple):
    """Some lines that belong together: new words, or repeated ones."""

    quoted: bool
    text: str


def _any(field: str) -> str:
    """A pattern for the phrases of a field, longest first."""
    return "|".join(re.escape(p) for p in sorted(every(field), key=len, reverse=True))


_VERB = rf"(?:{_any('verbs')})"
_HAS_VERB = re.compile(rf"(?<!\w){_VERB}(?!\w)|{_VERB}\s*[:：]?$")
_VERBS = tuple(every("verbs"))
# Between a verb at the end of an attribution and the end of its last line.
_CLOSING = " :：-*_—"
_TAIL = re.compile(rf">\s*{_VERB}?\s*[:：]")
_OPENS = re.compile(rf"[\W_]{{0,4}}(?:{_any('opens')})(?!\w)|[在于於]")
_LABEL = re.compile(
    rf"[\s*_>|]{{0,12}}(?:(?P<sender>{_any('sender')})|(?P<sent>{_any('sent')})"
    rf"|(?P<to>{_any('to')})|(?P<subject>{_any('subject')}))[\s*_\xa0]{{0,4}}[:：]",
)
_MARK = re.compile(rf"(?:{_any('marks')})(?:\s*[:：])?")
_FOOTER = re.compile(rf"(?:{_any('footers')})|.{{1,40}}(?:{_any('ends')})\W{{0,3}}$")
_DIGIT = re.compile(r"\d")
_DAY = re.compile(
    r"(?:19|20)\d\d|\d{1,2}[./-]\d{1,2}[./-]\d\d|\d{1,2}\s*月\s*\d|\d{1,2}월",
)
_TIME = re.compile(r"\d{1,2}[:.h]\d\d|\d{1,2}\s*[ap]\.?m\b|\d{1,2}\s*[时點点時시]")
_ADDRESS = re.compile(r"[^\s<>@]@[^\s<>@]")
# A link behind the name of a mail program, as in "Get Outlook for iOS<https://...>".
_LINK = re.compile(r"[<(\[][^<>()\[\]]{0,200}[>)\]]")
# What editors leave at the edges of a line: no-break spaces, direction marks, joiners, byte marks.
_EDGES = " \t\xa0\r\f\v\u200b\u200c\u200d\u200e\u200f\u202a\u202c\u202f\u2060\ufeff"


def spans(text: str) -> list[Span]:
    """The lines of `text` in their order, as spans of new and of repeated words.

    Empty lines at the edges of a span are dropped, words never. What would fall into more than a
    hundred spans comes as two: all new words, then all repeated ones.
    """
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    marks = _Scan(lines[:LINES]).marks()
    marks += [marks[-1] if not line else line.startswith(">") for line in lines[LINES:]]
    if sum(map(ne, marks, marks[1:])) >= SPANS:
        return [Span(side, _lines(lines, marks, side=side)) for side in (False, True)]
    found: list[Span] = []
    start = 0
    for at in range(1, len(lines) + 1):
        if at < len(lines) and marks[at] == marks[start]:
            continue
        words = "\n".join(lines[start:at]).strip("\n")
        if words.strip():
            found.append(Span(marks[start], words))
        start = at
    return found


def _lines(lines: Sequence[str], marks: Sequence[bool], *, side: bool) -> str:
    kept = [line for line, mark in zip(lines, marks, strict=True) if mark == side]
    return "\n".join(kept).strip("\n")


class _Scan:
    """One walk over the lines. `heads` is what counts of each: its beginning, in lower case."""

    def __init__(self, lines: Sequence[str]) -> None:
        self.heads = [line[:LINE].strip(_EDGES).lower() for line in lines]
        self.long = [len(line) > LINE for line in lines]
        self.stops: dict[int, bool] = {}
        self.quoted = [head.startswith(">") for head in self.heads]
        for at, head in enumerate(self.heads[1:], 1):
            # Not a quote, but the wrapped end of "Ann <ann@example.org" + "> wrote:".
            if self.quoted[at] and _TAIL.fullmatch(head) and "<" in self.heads[at - 1]:
                self.quoted[at] = False

    def marks(self) -> list[bool]:
        """For each line whether it is repeated."""
        marks = list(self.quoted)
        at, end = 0, len(self.heads)
        own = forward = False
        while at < end:
            if self.quoted[at] or not self.heads[at]:
                at += 1
                continue
            size = self._attribution(at)
            local = size and self._quote_follows(at + size)
            if local:
                marks[at : at + size] = [True] * size
                at += size
            elif not forward and (size or self._cut(at)):
                if own:
                    marks[at:] = [True] * (end - at)
                    end = at
                # Without a word before, it is a forward: all of it was sent on purpose.
                forward = not own
                at += 1
            elif own and (until := self._signature(at)):
                marks[at:until] = [True] * (until - at)
                at = until
            else:
                own = True
                at += 1
        self._take_footer(marks, end)
        self._join_blanks(marks)
        return marks

    def _quote_follows(self, at: int) -> bool:
        """Whether the next line with words has a quote's prefix. Blank lines before it are few."""
        near = range(at, min(at + 3, len(self.heads)))
        return next((self.quoted[i] for i in near if self.heads[i]), False)

    def _attribution(self, at: int) -> int:
        """How many lines from `at` say "On ... wrote:"; 0 if they do not."""
        if self.long[at] or not _may_open(self.heads[at]):
            return 0
        joined = ""
        for size in range(1, ATTRIBUTION_LINES + 1):
            here = at + size - 1
            if here >= len(self.heads) or not self.heads[here] or self.quoted[here]:
                return 0
            if size > 1 and (self.long[here] or _begins(self.heads[here])):
                return 0
            joined = f"{joined} {self.heads[here]}" if joined else self.heads[here]
            if len(joined) > LINE:
                return 0
            if _is_attribution(joined):
                return size
        return 0

    def _cut(self, at: int) -> bool:
        """Whether all from here on is an older mail: a mark between dashes, or a quoted header."""
        head = self.heads[at]
        if _is_mark(head):
            return True
        if _is_rule(head):
            at = next((i for i in (at + 1, at + 2) if self._has(i)), at)
        return bool(_LABEL.match(self.heads[at])) and self._header(at)

    def _has(self, at: int) -> bool:
        return at < len(self.heads) and bool(self.heads[at])

    def _header(self, at: int) -> bool:
        """Whether a block of labels begins here that is a mail's header, not the words of a form.

        It needs the sender, and a subject or an address besides: "From: Berlin To: Rome" is a trip.
        """
        kinds: set[str] = set()
        address, loose = False, 0
        for head in self.heads[at : at + HEADER_LINES]:
            label = _LABEL.match(head)
            if label and label.lastgroup:
                kinds.add(label.lastgroup)
                loose = 0
            elif head and loose < 2:
                loose += 1
            elif kinds - {"sender"}:
                break
            address = address or bool(_ADDRESS.search(head))
        if "sender" not in kinds:
            return False
        others = len(kinds) - 1
        return others >= 1 + ("subject" not in kinds) or (others >= 1 and address)

    def _signature(self, at: int) -> int:
        """Where a signature ends that begins with "-- " here (RFC 3676, 4.3); 0 if none does."""
        if self.heads[at] != "--":
            return 0
        seen = 0
        for here in range(at + 1, len(self.heads)):
            if self._stops(here):
                return here
            seen += bool(self.heads[here])
            if seen > SIGNATURE_LINES:
                return 0
        return len(self.heads)

    def _stops(self, at: int) -> bool:
        """Whether a signature ends before this line. Remembered, for many may begin before it."""
        if at not in self.stops:
            cut = self.quoted[at] or self._attribution(at) > 0 or self._cut(at)
            self.stops[at] = cut
        return self.stops[at]

    def _take_footer(self, marks: list[bool], end: int) -> None:
        """Mark "Sent from my phone" where it is the last thing written, and not the only."""
        written = [i for i in range(end) if self.heads[i] and not marks[i]]
        if len(written) > 1 and not self.long[written[-1]] and _is_footer(self.heads[written[-1]]):
            marks[written[-1]] = True

    def _join_blanks(self, marks: list[bool]) -> None:
        """Let an empty line go with the line before it, so that it parts no span."""
        for at in range(1, len(marks)):
            if not self.heads[at]:
                marks[at] = marks[at - 1]


def _may_open(head: str) -> bool:
    """Whether an attribution can begin like this: a date, an address, or "On" in some language."""
    return bool(_OPENS.match(head) or _DIGIT.search(head, 0, 40) or _ADDRESS.search(head))


def _begins(head: str) -> bool:
    """Whether an attribution of its own begins here, so that the line before is none of it."""
    return bool(_OPENS.match(head) and _DAY.search(head))


def _is_attribution(joined: str) -> bool:
    """Whether it says who wrote when. Cheap questions first: most lines fail one of them."""
    joined = joined.strip("-*_ ")
    colon = joined.endswith((":", "："))
    ends = joined.rstrip(_CLOSING).endswith(_VERBS)
    if not (colon or ends):
        return False
    address = bool(_ADDRESS.search(joined))
    day, time = bool(_DAY.search(joined)), bool(_TIME.search(joined))
    if ends:
        return (colon or address) and (day or time or (address and bool(_OPENS.match(joined))))
    if _HAS_VERB.search(joined):
        return day or time
    # No verb: "30.09.2017, 18.30, "Ann" <ann@example.org>:", as Yandex and Gmail write it.
    return address and day and time


def _is_rule(head: str) -> bool:
    return len(head) >= RULE and not head.strip("-_=—–─ ")


def _is_mark(head: str) -> bool:
    """Whether it is like "----- Original Message -----", or Apple's "Begin forwarded message:"."""
    inside = head.strip("-_=—–─*> \xa0")
    if not _MARK.match(inside):
        return False
    dashes = len(head) - len(head.lstrip("-_=—–─* "))
    rest = _MARK.sub("", inside, count=1).strip()
    return not rest and (dashes >= MARK_DASHES or inside.endswith((":", "：")))


def _is_footer(head: str) -> bool:
    words = _LINK.sub("", head).strip(" .")
    if len(words) > FOOTER_CHARACTERS or len(words.split()) > FOOTER_WORDS or "," in words:
        return False
    return bool(_FOOTER.match(words))
