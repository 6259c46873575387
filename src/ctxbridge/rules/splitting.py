"""Limits of channels in their own unit, and texts that are over them: split, never cut short."""

from collections.abc import Callable
from typing import get_args

from ctxbridge.errors import ConfigurationError
from ctxbridge.model.capabilities import Unit
from ctxbridge.rules.graphemes import last_cut, may_cut
from ctxbridge.rules.sms import GSM_ALONE, segments

# A piece is ended at the best of these that leaves it at least half full.
_ENDS = ("\n\n", "\n", ". ", "! ", "? ", "。", "; ", ", ", " ")


def _utf16(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def _octets(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


_MEASURES: dict[Unit, Callable[[str], int]] = {
    "character": len,
    "utf16": _utf16,
    "byte": _octets,
    "segment": segments,
}


def length(text: str, unit: Unit) -> int:
    """How many of `unit` the text has; an empty one is one segment."""
    return _MEASURES[unit](text)


def fits(text: str, longest: int, unit: Unit) -> bool:
    """Whether the text is within the limit; 0 is no limit."""
    # No unit has more than four octets for a character, and few texts come near a limit.
    if not longest or (unit != "segment" and len(text) * 4 <= longest):
        return True
    return _MEASURES[unit](text) <= longest


def split(text: str, longest: int, unit: Unit = "character") -> tuple[str, ...]:
    """`text` in pieces of at most `longest` of `unit`; joined they are the text again.

    A piece ends with a paragraph, a line, a sentence or a word where one ends in its second half,
    else before a word that fits into the next, else between two characters as people see them. What
    is one such character and over the limit by itself is cut between code points, since it would
    have to be cut short otherwise. An escape pair of GSM 03.38 and a surrogate pair are one code
    point, and never torn.

    Raises `ConfigurationError` for a limit in which no character would fit.
    """
    if unit not in get_args(Unit) or (longest and longest < 4 and unit != "segment"):
        raise ConfigurationError("a limit is at least 4, in a unit that exists")
    if fits(text, longest, unit):
        return (text,)
    pieces: list[str] = []
    start = 0
    while start < len(text):
        end = _end(text, start, longest, unit)
        pieces.append(text[start:end])
        start = end
    return tuple(pieces)


def _end(text: str, start: int, longest: int, unit: Unit) -> int:
    """Where the piece that begins at `start` ends."""
    full = _full(text, start, longest, unit)
    if full == len(text):
        return full
    half = start + (full - start) // 2
    for mark in _ENDS:
        found = text.rfind(mark, half, full)
        if found >= 0 and may_cut(text, found + len(mark), start):
            return found + len(mark)
    word = max(text.rfind(" ", start, full), text.rfind("\n", start, full)) + 1
    # A short piece is better than a torn address, unless that is too long for any.
    if word > start and _ends_within(text, word, full - start) and may_cut(text, word, start):
        return word
    cut = last_cut(text, start, full)
    return cut if cut > start else full


def _ends_within(text: str, start: int, room: int) -> bool:
    """Whether the word at `start` has at most `room` characters."""
    word = text[start : start + room + 1]
    return len(word) <= room or " " in word or "\n" in word


def _full(text: str, start: int, longest: int, unit: Unit) -> int:
    """The last end at which the piece is within the limit: all measures grow with the text."""
    measure = _MEASURES[unit]
    most = longest * (GSM_ALONE if unit == "segment" else 1)
    low, high = start + 1, min(len(text), start + most)
    while low < high:
        middle = (low + high + 1) // 2
        if measure(text[start:middle]) <= longest:
            low = middle
        else:
            high = middle - 1
    return low
