"""Headers of older mails as they stand in the text of a new one: "From: ... Sent: ... To: ..."."""

import re
from typing import NamedTuple

from ctxbridge.channels.mail.signs import any_of, has_address, has_moment, names

# How many labels an unknown language needs, and how many lines without one may stand between two.
LABELS = 3
LOOSE = 2

_KINDS = (
    rf"(?:(?P<sender>{any_of('sender')})|(?P<sent>{any_of('sent')})"
    rf"|(?P<to>{any_of('to')})|(?P<subject>{any_of('subject')}))[\s*_\xa0]{{0,4}}[:：]"
)
_LABEL = re.compile(rf"[\s*_>|]{{0,12}}{_KINDS}")
_MORE_LABELS = re.compile(rf"[\s;>][*_]{{0,2}}{_KINDS}")
# A word or two of any language, and a colon.
_ANY_LABEL = re.compile(
    r"[*_]{0,2}[^\W\d_][^\s:：<>@\d]{0,19}(?: [^\s:：<>@\d]{1,12})?[*_\s]{0,3}[:：]"
)


_NONE: frozenset[str] = frozenset()


class Label(NamedTuple):
    """A line of a quoted header: which kind of label begins it, and what it has besides.

    `labels`: it begins with a word or two and a colon, known or not; `kind`: sender, sent, to,
    subject, or empty; `more`: those further in, where a whole header came into one line.
    """

    words: bool
    labels: bool
    kind: str
    address: bool
    sender: bool
    moment: bool
    more: frozenset[str]


def label(head: str) -> Label:
    """What the line says as one of a quoted header."""
    found = _LABEL.match(head)
    labels = found is not None or bool(_ANY_LABEL.match(head))
    return Label(
        words=bool(head),
        labels=labels,
        kind=(found.lastgroup or "") if found else "",
        address=has_address(head),
        sender=labels and names(head),
        moment=labels and has_moment(head),
        more=frozenset(m.lastgroup or "" for m in _MORE_LABELS.finditer(head)) if found else _NONE,
    )


class HeaderBlock:
    """A block of labels, taken line by line."""

    def __init__(self, *, known: bool) -> None:
        self.size = 0
        self._known = known
        self._seen = 0
        self._loose = 0
        self._gap = False
        self._labels = 0
        self._kinds: set[str] = set()
        self._address = False
        self._sender = False
        self._moment = False

    def take(self, line: Label) -> bool:
        """Whether the line may still belong to it: labels, and what of them was wrapped."""
        self._seen += 1
        if not line.words or (self._gap and not line.kind):
            self._gap = True
            return not line.words and self._known
        if line.kind:
            self._kinds |= {line.kind, *line.more}
        if line.labels:
            self._labels += 1
            self.size, self._loose = self._seen, 0
            first = self._labels <= 1 + self._moment
            self._sender = self._sender or (first and line.sender)
            self._moment = self._moment or line.moment
        elif self._loose == LOOSE:
            return False
        else:
            self._loose += 1
        self._address = self._address or line.address
        return True

    @property
    def is_known(self) -> bool:
        """Whether it is a header in a language that is known."""
        others = len(self._kinds) - 1
        if "sender" not in self._kinds or others < 1:
            return False
        return self._address or (others > 1 and "subject" in self._kinds)

    @property
    def is_like_one(self) -> bool:
        """Whether it is a header in some language: its sender comes first, or below a moment."""
        return self._labels >= LABELS and self._sender and self._moment
