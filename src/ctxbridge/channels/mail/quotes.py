"""Telling what was written in this mail from what it repeats.

One pass over the lines; each is looked at with at most a few after it, and only its beginning
counts, so hostile text costs what plain text costs. It prefers keeping: every line ends up in
exactly one span, only what is surely repeated is taken for a quote, and a mail that would be left
without words of its own (a bare forward) keeps its text.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from operator import ne
from typing import NamedTuple

from ctxbridge.channels.mail import signs
from ctxbridge.channels.mail.labels import HeaderBlock, Label, label
from ctxbridge.channels.mail.signs import LINE

# How many lines are looked at (what follows goes by ">" alone), and how many may make one
# attribution, header, signature.
LINES = 4_000
SPANS = 100
ATTRIBUTION_LINES = 4
HEADER_LINES = 12
SIGNATURE_LINES = 20
# How many blank lines or rules may stand between a mark and its header.
NEAR = 5
LIST_LINES = 8
LEGAL_LINES = 60
LEGAL_CHARACTERS = 100
HEADING_WORDS = 3
# Where a line may have been broken on its way: it and the next word are at least this long.
BROKEN = 60
BROKEN_WITH_NEXT = 72
# What editors and programs put between words, unseen: many kinds of spaces, direction marks,
# joiners, byte marks.
_UNSEEN = dict.fromkeys(map(ord, "\xa0\u2007\u202f\u3000"), " ") | dict.fromkeys(
    [*range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x206A), 0xFEFF]
)
_EDGES = " \t\r\f\v"


class Span(NamedTuple):
    """Some lines that belong together: new words, or repeated ones."""

    quoted: bool
    text: str


def spans(text: str, *, reply: bool = True) -> list[Span]:
    """The lines of `text` in their order, as spans of new and of repeated words.

    `reply`: whether the mail may repeat another at all. Below "Sent from my phone" a reply has an
    older mail, even if nothing introduces it, while a first mail has a postscript.

    Empty lines at the edges of a span are dropped, words never. What would fall into more than a
    hundred spans comes as two: all new words, then all repeated ones.
    """
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    scan = _Scan(lines[:LINES], reply=reply)
    marks = scan.marks()
    if len(lines) > LINES:
        cut = scan.end < LINES
        marks += [cut or (line.startswith(">") if line else marks[-1]) for line in lines[LINES:]]
    turns = [at for at, turns in enumerate(map(ne, marks, marks[1:]), 1) if turns]
    if len(turns) >= SPANS:
        return [Span(side, _lines(lines, marks, side=side)) for side in (False, True)]
    edges = [0, *turns, len(lines)]
    found = [
        Span(marks[start], "\n".join(lines[start:end]).strip("\n"))
        for start, end in pairwise(edges)
    ]
    return [span for span in found if span.text.strip()]


def _lines(lines: Sequence[str], marks: Sequence[bool], *, side: bool) -> str:
    kept = [line for line, mark in zip(lines, marks, strict=True) if mark == side]
    return "\n".join(kept).strip("\n")


class _Scan:
    """One walk over the lines. `heads` is what counts of each: its beginning, in lower case.

    `own` are the lines of the writer's own words, `footers` those that a device wrote. `forwards`
    says that an older mail was met before any own words; `bare`, that it has no prefixes, so that
    its words count as own. `end` is where all the rest is an older mail.
    """

    def __init__(self, lines: Sequence[str], *, reply: bool) -> None:
        self.reply = reply
        beginnings = [_beginning(line) for line in lines]
        self.heads = [beginning.lower() for beginning in beginnings]
        self.long = [len(line) > LINE for line in lines]
        self.stops: dict[int, bool] = {}
        self.labels: dict[int, Label] = {}
        self.quoted = _quoted(self.heads)
        _join_broken(self.quoted, beginnings)
        self.own: list[int] = []
        self.footers: list[int] = []
        self.forwards = self.bare = False
        self.end = len(lines)

    def marks(self) -> list[bool]:
        """For each line whether it is repeated."""
        marks = list(self.quoted)
        at = 0
        while at < self.end:
            at = at + 1 if self.quoted[at] or not self.heads[at] else self._step(at, marks)
        if not self.own:
            self._keep_something(marks)
        elif not self.bare:
            self._take_endings(marks)
        self._join_blanks(marks)
        return marks

    def _step(self, at: int, marks: list[bool]) -> int:
        """Decide on the line `at`, which has words and no prefix; which line is next."""
        attributed = self._attribution(at)
        older = attributed or self._older(at)
        if older and self._quote_follows(at + older):
            self.forwards |= not (self.own or attributed)
            return self._take(marks, at, at + older)
        if older and not self.bare:
            return self._cut(at, older, marks)
        if self.bare:
            self.own.append(at)
        elif until := self._signature(at):
            return self._take(marks, at, until)
        elif self._stands_alone(at) and signs.is_footer(self.heads[at]):
            self.footers.append(at)
        elif not signs.is_rule(self.heads[at]):
            self.own.append(at)
        return at + 1

    def _take(self, marks: list[bool], at: int, until: int) -> int:
        marks[at:until] = [True] * (until - at)
        return until

    def _cut(self, at: int, older: int, marks: list[bool]) -> int:
        """All from here on is an older mail; without a word before, it was sent on purpose."""
        if not self.own:
            self.forwards = self.bare = True
            return at + older
        at = self._above(at)
        self._take(marks, at, len(marks))
        self.end = at
        return at

    def _above(self, at: int) -> int:
        """Where the blank lines and rules begin that stand over the line `at`."""
        while at and (not self.heads[at - 1] or signs.is_rule(self.heads[at - 1])):
            at -= 1
        return at

    def _keep_something(self, marks: list[bool]) -> None:
        """Without own words: a forward is kept whole, and so is a lone signature or footer."""
        if self.forwards or not any(self.quoted):
            marks[:] = [False] * len(marks)
        elif self.footers:
            for at in self.footers:
                marks[at] = True

    def _quote_follows(self, at: int) -> bool:
        """Whether the next line with words has a quote's prefix. Blank lines before it are few."""
        near = range(at, min(at + 3, len(self.heads)))
        return next((self.quoted[i] for i in near if self.heads[i]), False)

    def _after(self, at: int) -> str:
        return self.heads[at + 1] if at + 1 < len(self.heads) else ""

    def _attribution(self, at: int) -> int:
        """How many lines from `at` say "On ... wrote:"; 0 if they do not."""
        if self.long[at] or not signs.may_open(self.heads[at], self._after(at)):
            return 0
        joined = ""
        for here in range(at, min(at + ATTRIBUTION_LINES, len(self.heads))):
            head = self.heads[here]
            if not head or self.quoted[here]:
                return 0
            if here > at and (self.long[here] or signs.begins_anew(head, self.heads[here - 1])):
                return 0
            joined += head if not joined or joined.endswith("<") else " " + head
            if len(joined) > LINE:
                return 0
            if signs.may_introduce(joined) and self._introduces(joined, here):
                return 0 if self._starts_below(at, here) else self._closed(at, here + 1)
        return 0

    def _introduces(self, joined: str, last: int) -> bool:
        """Whether these lines are an attribution: if a quote follows, less evidence is enough."""
        return signs.is_attribution(joined, quoted=self._quote_follows(last + 1))

    def _starts_below(self, at: int, last: int) -> bool:
        """Whether an attribution that ends in the line `last` begins in the line after `at`."""
        if at == last or signs.starts_one(self.heads[at]) or self._after(at).startswith("<"):
            return False
        rest = " ".join(self.heads[at + 1 : last + 1])
        return signs.may_introduce(rest) and signs.is_attribution(rest, quoted=False)

    def _closed(self, at: int, until: int) -> int:
        """An attribution's size, with its colon or the end of its frame if those were wrapped."""
        rest = self.heads[until] if until < len(self.heads) else ""
        closes = rest in signs.COLONS or (self.heads[at].startswith("--") and signs.is_rule(rest))
        return until - at + (bool(rest) and closes)

    def _older(self, at: int) -> int:
        """How many lines stand over an older mail here: a mark between dashes, a quoted header."""
        head = self.heads[at]
        if signs.is_mark(head):
            return 1 + self._header_near(at + 1)
        if signs.is_framed(head) or signs.is_bare_mark(head):
            below = self._header_near(at + 1)
            if below or (self._quote_follows(at + 1) and not signs.is_rule(head)):
                return 1 + below
            return 0
        begins = self._begins(at)
        return self._header(at, begins=begins) or 2 * (begins and self._dated(at))

    def _dated(self, at: int) -> bool:
        """Whether a person, a moment and labels stand here, as Lotus Notes begins a header."""
        if not signs.is_person(self.heads[at]) or not signs.is_moment(self._after(at)):
            return False
        return any(self._label(i).kind for i in range(at + 2, min(at + 5, len(self.heads))))

    def _header_near(self, at: int) -> int:
        """How many lines a header takes that begins here or behind an empty line or a rule."""
        for start in range(at, min(at + NEAR, len(self.heads))):
            head = self.heads[start]
            if head and not signs.is_rule(head) and not self.quoted[start]:
                size = self._header(start, begins=True)
                return size and start - at + size
        return 0

    def _header(self, at: int, *, begins: bool) -> int:
        """How many lines of labels begin here that are a mail's header, not the words of a form.

        It needs the sender, and a subject or an address besides: "From: Berlin To: Rome" is a trip.
        In an unknown language it needs three labels, a name with its address, a day and a time.
        """
        first = self._label(at)
        known = bool(first.kind)
        if not known and not (begins and first.labels and self._label_follows(at)):
            return 0
        block = HeaderBlock(known=known)
        for here in range(at, min(at + HEADER_LINES, len(self.heads))):
            if not block.take(self._label(here)):
                break
        return block.size if (known and block.is_known) or block.is_like_one else 0

    def _label(self, at: int) -> Label:
        """What the line `at` says as a label. Remembered, for many headers may begin before it."""
        if at not in self.labels:
            self.labels[at] = label(self.heads[at])
        return self.labels[at]

    def _label_follows(self, at: int) -> bool:
        return any(self._label(i).labels for i in range(at + 1, min(at + 3, len(self.heads))))

    def _begins(self, at: int) -> bool:
        """Whether a paragraph begins here."""
        return not at or not self.heads[at - 1] or signs.is_rule(self.heads[at - 1])

    def _signature(self, at: int) -> int:
        """Where a signature or a list's own lines end that begin here; 0 if none do."""
        lists = signs.is_list_rule(self.heads[at])
        if not lists and not signs.is_delimiter(self.heads[at]):
            return 0
        seen, refers = 0, False
        for here in range(at + 1, len(self.heads)):
            if self._stops(here):
                return here if refers or not lists else 0
            seen += bool(self.heads[here])
            refers = refers or signs.refers(self.heads[here])
            if seen > (LIST_LINES if lists else SIGNATURE_LINES):
                return 0
        return len(self.heads) if refers or not lists else 0

    def _stops(self, at: int) -> bool:
        """Whether a signature ends before this line. Remembered, for many may begin before it."""
        if at not in self.stops:
            heads = self.heads
            self.stops[at] = self.quoted[at] or bool(
                heads[at] and (self._attribution(at) or self._older(at))
            )
        return self.stops[at]

    def _stands_alone(self, at: int) -> bool:
        """Whether it is a paragraph of its own."""
        return not (at and self.heads[at - 1]) and not self._after(at)

    def _take_endings(self, marks: list[bool]) -> None:
        """Mark what no person wrote below the writer's words: a device's line, a lawyer's."""
        last = self.own[-1]
        below = any(at > last for at in self.footers)
        alone = len(self.own) > 1 and not self.long[last] and not below
        if alone and signs.is_footer(self.heads[last]):
            self.footers.append(self.own.pop())
        for at in self.footers:
            marks[at] = True
        self._take_rest(marks)
        self._take_legal(marks)

    def _take_rest(self, marks: list[bool]) -> None:
        """Below a device's line there is only an older mail, if nothing else tells it apart."""
        first = min(self.footers, default=self.end)
        told_apart = self.end < len(marks) or any(marks[first + 1 :])
        if self.reply and not told_apart and self.own[0] < first:
            self._take(marks, first, len(marks))

    def _take_legal(self, marks: list[bool]) -> None:
        """Mark the paragraphs of lawyers that end the writer's words; the first never is one."""
        top = 0
        for start, words in self._last_paragraphs(marks):
            heading = top and len(words.split()) <= HEADING_WORDS
            if start == self.own[0] or not signs.has_legal(words):
                break
            if heading or (len(words) >= LEGAL_CHARACTERS and signs.is_legal(words)):
                top = start
        if top:
            self._take(marks, self._above(top), self.own[-1] + 1)

    def _last_paragraphs(self, marks: list[bool]) -> Iterator[tuple[int, str]]:
        """The last paragraphs of the writer, from below: where each begins, and its words."""
        words = ""
        for at in reversed(self.own[-LEGAL_LINES:]):
            if marks[at]:
                continue
            words = f"{self.heads[at]} {words}"
            if self._begins(at) or marks[at - 1]:
                yield at, words
                words = ""

    def _join_blanks(self, marks: list[bool]) -> None:
        """Let an empty line go with the line before it, so that it parts no span."""
        for at in range(1, len(marks)):
            if not self.heads[at]:
                marks[at] = marks[at - 1]


def _beginning(line: str) -> str:
    beginning = line[:LINE]
    return (beginning if beginning.isascii() else beginning.translate(_UNSEEN)).strip(_EDGES)


def _quoted(heads: Sequence[str]) -> list[bool]:
    """For each line whether it has a quote's prefix."""
    quoted = [signs.is_quoted(head) for head in heads]
    for at in range(1, len(heads)):
        if quoted[at] and signs.is_tail(heads[at], heads[at - 1]):
            quoted[at] = False
    return quoted


def _join_broken(quoted: list[bool], lines: Sequence[str]) -> None:
    """Let the rest of a quoted line that was broken on its way be quoted, too.

    It stands alone between two quoted lines, the first of which is long. Where one goes on in the
    middle of a sentence, lines were broken in this mail, and all that look so are taken for it.
    """
    between = [
        at
        for at in range(1, len(lines) - 1)
        if quoted[at - 1] and quoted[at + 1] and not quoted[at] and _may_go_on(lines, at)
    ]
    if any(lines[at][0].islower() and lines[at - 1][-1] not in ".!…" for at in between):
        for at in between:
            quoted[at] = True


def _may_go_on(lines: Sequence[str], at: int) -> bool:
    before, here = lines[at - 1], lines[at]
    if not here or len(before) < BROKEN or before.endswith(("?", ":")):
        return False
    return len(before) + 1 + len(here[:BROKEN].split()[0]) >= BROKEN_WITH_NEXT
