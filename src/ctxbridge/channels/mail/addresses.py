"""Address headers (RFC 5322, 3.4), in one pass over their characters."""

from ctxbridge.channels.mail.headers import MAX_MAILBOXES, Mailbox, canonical, is_atom, text


class _Entry:
    """One entry of an address list while it is being read."""

    __slots__ = ("angles", "closed", "quoted", "words")

    def __init__(self) -> None:
        self.words: list[str] = []
        self.quoted: list[str] = []
        self.angles: list[str] = []
        self.closed = 0

    def angle(self, inside: str) -> None:
        """Note what stood in angles; nothing that is an address may follow it."""
        self.angles.append(inside)
        self.closed = len(self.words)

    def mailbox(self) -> Mailbox | None:
        """The mailbox, or `None` if nothing here is an address. What is in angles wins."""
        bare = "".join(self.words)
        loose = bare.replace(" @", "@").replace("@ ", "@").split()
        named = [word for word in loose if "@" in word]
        found = self.angles or named
        address = next(filter(None, map(canonical, found)), "")
        if not address:
            return None
        shown = named if self.angles else ["", *named[1:]]
        name = " ".join([*self.quoted, *(w for w in loose if self.angles or "@" not in w)])
        # An address behind the angles is no name, as in "<a@evil.example>b@bank.example".
        behind = bool(self.angles) and "@" in self.words[self.closed :]
        return Mailbox(address, text(name), len(self.angles) > 1 or len(shown) > 1 or behind)


def mailboxes(raw: str) -> list[Mailbox]:
    """The mailboxes of an address header in order, at most 100; what is no address is left out.

    Comments are skipped without recursion, groups are opened, and an address is only ever read from
    what stands there plainly: never from a quoted or an encoded name.
    """
    found: list[Mailbox] = []
    for entry in _entries(raw):
        mailbox = entry.mailbox()
        if mailbox is not None:
            found.append(mailbox)
            if len(found) >= MAX_MAILBOXES:
                break
    return found


def _entries(raw: str) -> list[_Entry]:
    entries = [_Entry()]
    at, end = 0, len(raw)
    while at < end:
        entry, char = entries[-1], raw[at]
        if char == '"':
            start = at
            at, inside = _until(raw, at + 1, '"')
            if at < end and raw[at] == "@":  # a quoted local part, as it stands: "ann"@example.org
                # One that needs its quotes is none of ours, and no word in it is an address.
                entry.words.append(raw[start:at] if is_atom(raw[start + 1 : at - 1]) else '"')
            else:
                entry.quoted.append(inside)
                entry.words.append(" ")
        elif char == "(":
            at = _after_comment(raw, at + 1)
            entry.words.append(" ")
        elif char == "<":
            at, inside = _angle(raw, at + 1)
            entry.angle(inside)
        elif char in ",;":
            entries.append(_Entry())
            at += 1
        elif char == ":":  # what came before was the name of a group
            entries[-1] = _Entry()
            at += 1
        else:
            entry.words.append(" " if char.isspace() else char)
            at += 1
    return entries


def _until(raw: str, at: int, close: str) -> tuple[int, str]:
    """What is inside up to `close` (or the end), and where it goes on. Backslash takes the next."""
    kept: list[str] = []
    while at < len(raw) and raw[at] != close:
        if raw[at] == "\\" and at + 1 < len(raw):
            at += 1
        kept.append(raw[at])
        at += 1
    return at + 1, "".join(kept)


def _angle(raw: str, at: int) -> tuple[int, str]:
    """What is in angles up to ``>`` (or the end), comments left out, and where it goes on."""
    kept: list[str] = []
    while at < len(raw) and raw[at] != ">":
        if raw[at] == "(":
            at = _after_comment(raw, at + 1)
        else:
            kept.append(raw[at])
            at += 1
    return at + 1, "".join(kept)


def _after_comment(raw: str, at: int) -> int:
    """Where a comment ends that opened just before `at`; comments nest, so they are counted."""
    depth = 1
    while at < len(raw) and depth:
        char = raw[at]
        depth += (char == "(") - (char == ")")
        at += 2 if char == "\\" else 1
    return at
