"""Breaks loops of two machines that answer each other, where no header gives them away.

Three layers, from the surest to the last resort: our own words come back; answers come too fast or
say the same again and again, without any sign of a person between; and simply too many.
"""

import unicodedata
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from ctxbridge.errors import ConfigurationError
from ctxbridge.guards import past
from ctxbridge.guards.guard import FunctionGuard, TextCheck, allow, block, guard
from ctxbridge.model import Message, Verdict

COMPARED_CHARACTERS = 4_096
COMPARED_MESSAGES = 10
FEWEST_WORDS = 5
"""A person says "Yes, thank you" as we do; nobody writes a whole sentence of ours by chance."""
ALIKE = 0.9


class Likeness:
    """A text as it is compared with others: its words, and each with the one that follows it."""

    __slots__ = ("pairs", "words")

    def __init__(self, text: str) -> None:
        folded = unicodedata.normalize("NFKC", text[:COMPARED_CHARACTERS]).casefold()
        self.words = "".join([c if c.isalnum() else " " for c in folded]).split()
        self.pairs = Counter(pairwise(self.words))

    def is_like(self, other: "Likeness") -> bool:
        """Whether they share nine of ten pairs of words (Dice), or are the same."""
        if self.words == other.words:
            return True
        total = len(self.words) + len(other.words) - 2
        if total <= 0 or abs(len(self.words) - len(other.words)) > total * (1 - ALIKE):
            return False
        return 2 * (self.pairs & other.pairs).total() >= ALIKE * total


def loop_breaker(
    *,
    exchanges: int = 4,
    within_seconds: float = 600.0,
    quick_seconds: float = 3.0,
    per_hour: int = 30,
) -> FunctionGuard:
    """Blocks, in silence, what looks like a machine that answers us.

    ``loop.echo``: the message is one of our last ten, or nearly. ``loop.rate``: more than
    `exchanges` messages in a row, all within `within_seconds`, that came within `quick_seconds` of
    an answer of ours or repeat what they said before; one message that does neither is taken for a
    person's and ends the row. ``loop.cap``: more than `per_hour` messages from the contact in an
    hour.

    It knows what the context shows: for the cap, `Bridge(window=...)` must hold twice `per_hour`.
    """
    if exchanges < 1 or per_hour < 1 or within_seconds <= 0 or quick_seconds < 0:
        raise ConfigurationError("a loop has at least one exchange, in some seconds")

    @guard("inbound", name="loop_breaker")
    def check(check: TextCheck) -> Verdict:
        if check.context is None:
            return allow()
        said = Likeness(check.text)
        if _is_echo(said, check):
            return block("loop.echo")
        before = _before(check)
        since = check.now - round(within_seconds * 1000)
        recent = [m for m in before if m.accepted_at >= since]
        if _row(said, check, recent, round(quick_seconds * 1000)) > exchanges:
            return block("loop.rate")
        hour = check.now - 3_600_000
        theirs = sum(m.author == "contact" and m.accepted_at > hour for m in before)
        return block("loop.cap") if theirs >= per_hour else allow()

    return check


def _before(check: TextCheck) -> list[Message]:
    """What was said before the message that is judged, the last first.

    Messages that no turn has judged yet are the one at hand and those that wait behind it.
    """
    return [m for m in past.newest_first(check.context) if m.disposition != "pending"]


def _is_echo(said: Likeness, check: TextCheck) -> bool:
    if len(said.words) < FEWEST_WORDS:
        return False
    latest = [m for m, _ in zip(past.ours(check.context), range(COMPARED_MESSAGES), strict=False)]
    return any(said.is_like(Likeness(m.text)) for m in latest)


def _row(said: Likeness, check: TextCheck, before: Sequence[Message], quick: int) -> int:
    """How many messages up to this one look like a machine's, without one between that does not."""
    arrived = check.now
    count = 0
    for place, message in enumerate((None, *before)):
        if message is not None:
            if message.author != "contact":
                continue
            said, arrived = Likeness(message.text), message.accepted_at
        if not _looks_automatic(said, arrived, before[place:], quick):
            break
        count += 1
    return count


def _looks_automatic(said: Likeness, arrived: int, before: Sequence[Message], quick: int) -> bool:
    """Whether it came too soon after an answer of ours, or says what they said before."""
    if not before:
        return False
    last = before[0]
    if last.author == "agent" and last.visible and arrived - last.accepted_at <= quick:
        return True
    earlier = next((m for m in before if m.author == "contact"), None)
    return (
        earlier is not None
        and len(said.words) >= FEWEST_WORDS
        and said.is_like(Likeness(earlier.text))
    )
