"""Where a text may be cut without tearing what people see as one character (UAX #29).

A few tables of ranges and the categories of `unicodedata` stand for the data files of the annex.
Where it matters they err on the side of keeping together: a joiner holds whatever comes after it.
"""

import unicodedata

ZWNJ, ZWJ = "\u200c", "\u200d"
_MARKS = frozenset({"Mn", "Me", "Mc"})
_VIRAMA = 9
"""The combining class of what joins two consonants of an Indic script (rule GB9c)."""
# Marks in the sense of rule GB9 whose category is another: modifiers of emoji, tags, and others.
_EXTENDING = (
    (0x0E33, 0x0E33), (0x0EB3, 0x0EB3), (0xFF9E, 0xFF9F), (0x1F3FB, 0x1F3FF), (0xE0020, 0xE007F),
)  # fmt: skip
# Hangul: leading consonants, vowels and trailing consonants; syllables are computed.
_LEADING = ((0x1100, 0x115F), (0xA960, 0xA97C))
_VOWELS = ((0x1160, 0x11A7), (0xD7B0, 0xD7C6))
_TRAILING = ((0x11A8, 0x11FF), (0xD7CB, 0xD7FB))
_SYLLABLES, _SYLLABLES_END, _PER_VOWEL = 0xAC00, 0xD7A3, 28
_FLAG_LETTERS = (0x1F1E6, 0x1F1FF)


def may_cut(text: str, place: int, start: int = 0) -> bool:
    """Whether `text` may be cut before the character at `place`; `start` is where one may be.

    Only what stands right before is looked at, but for the letters of flags, which go in pairs.
    """
    if not start < place < len(text):
        return True
    before, after = text[place - 1], text[place]
    if before < "\u0300" and after < "\u0300":
        return not (before == "\r" and after == "\n")
    if _extends(after) or before == ZWJ:
        return False
    if unicodedata.combining(before) == _VIRAMA and after.isalpha():
        return False
    if _is_flag_letter(before) and _is_flag_letter(after):
        return _flag_letters_before(text, place, start) % 2 == 0
    return not _joins_in_hangul(_hangul(before), _hangul(after))


def last_cut(text: str, start: int, end: int) -> int:
    """The last place up to `end` at which the text behind `start` may be cut; `start` if none."""
    while end > start and not may_cut(text, end, start):
        end -= 1
    return end


def _extends(character: str) -> bool:
    if character in {ZWJ, ZWNJ} or unicodedata.category(character) in _MARKS:
        return True
    return _within(ord(character), _EXTENDING)


def _within(code: int, ranges: tuple[tuple[int, int], ...]) -> bool:
    return any(first <= code <= last for first, last in ranges)


def _is_flag_letter(character: str) -> bool:
    return _FLAG_LETTERS[0] <= ord(character) <= _FLAG_LETTERS[1]


def _flag_letters_before(text: str, place: int, start: int) -> int:
    first = place
    while first > start and _is_flag_letter(text[first - 1]):
        first -= 1
    return place - first


def _hangul(character: str) -> str:
    """The kind of a Hangul character: ``L``, ``V``, ``T``, ``LV``, ``LVT``, or empty."""
    code = ord(character)
    if _SYLLABLES <= code <= _SYLLABLES_END:
        return "LVT" if (code - _SYLLABLES) % _PER_VOWEL else "LV"
    kinds = (("L", _LEADING), ("V", _VOWELS), ("T", _TRAILING))
    return next((kind for kind, ranges in kinds if _within(code, ranges)), "")


def _joins_in_hangul(before: str, after: str) -> bool:
    """Rules GB6, GB7 and GB8."""
    if before == "L":
        return after in {"L", "V", "LV", "LVT"}
    if before in {"V", "LV"}:
        return after in {"V", "T"}
    return before in {"T", "LVT"} and after == "T"
