"""Phrases found in free text: data in a small notation, one pass over the words, no backtracking.

A phrase is a row of slots. A slot is a word, several with ``|`` between them, or ``_`` for any
word; with ``?`` after it, it may be missing. ``.`` is where a sentence ends or begins, ``,`` a
pause in it. A row that begins with ``!`` counts only where no word of `never_before` stands earlier
in the sentence. Words are written as `folded` gives them: lower case, without accents.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from msgspec import Struct
from msgspec.structs import replace

SENTENCE, PAUSE, ANY = ".", ",", "_"
SAME_THOUGHT = 8
"""How many words back what is said still belongs together."""
_MARKS = frozenset({SENTENCE, PAUSE})
_AS_MARKED = dict.fromkeys(("!", "?", "\u2026", "\u3002", "\n\n"), SENTENCE) | dict.fromkeys(
    ";:", PAUSE
)
_UNSEEN = re.compile("[\u00ad\u200b-\u200d\u2060\ufeff\ufe0e\ufe0f]+")
_ACCENTS = re.compile("[\u0300-\u036f]+")
# Letters that Unicode does not take apart into a letter and an accent.
_PLAIN = str.maketrans({"ł": "l", "ø": "o", "đ": "d", "ı": "i", "æ": "ae", "œ": "oe"})
_TOKEN = re.compile(r"\w+|[.!?…\u3002]|\n\n|[,;:]")
_CONTRACTION = re.compile(r"(?<=[a-z])['\u2019](?=(?:t|m|s|re|ve|ll|d)\b)")


def plain(text: str) -> str:
    """`text` in one form: NFKC, lower case, without accents and characters that are not seen."""
    if text.isascii():
        return text.lower()
    lower = unicodedata.normalize("NFKC", _UNSEEN.sub("", text)).casefold()
    return _ACCENTS.sub("", unicodedata.normalize("NFD", lower)).translate(_PLAIN)


@lru_cache(maxsize=1)  # two guards read the same message one after the other
def folded(text: str) -> tuple[str, ...]:
    """The words of `text` and the marks between them; it begins and ends with a sentence's end."""
    form = plain(text)
    if "'" in form or "\u2019" in form:
        form = _CONTRACTION.sub("", form)
    form = form.replace("e-mail", "email")
    words = [_AS_MARKED.get(token, token) for token in _TOKEN.findall(form)]
    return (SENTENCE, *words, SENTENCE)


class _Slot(Struct, frozen=True, gc=False):
    words: frozenset[str]
    optional: bool

    def takes(self, token: str) -> bool:
        return token in self.words or (ANY in self.words and token not in _MARKS)


class _Rest(Struct, frozen=True, gc=False):
    """What of a phrase comes after its first two words."""

    slots: tuple[_Slot, ...]
    never_after: frozenset[str]
    never_before: frozenset[str]

    def follows(self, tokens: Sequence[str], first: int) -> bool:
        """Whether it goes on so after `first`, and nothing before that turns its sense round."""
        if tokens[first - 1] in self.never_after:
            return False
        if first > 1 and f"{tokens[first - 2]} {tokens[first - 1]}" in self.never_after:
            return False
        if self.never_before and not self.never_before.isdisjoint(_earlier(tokens, first)):
            return False
        ends = {first + 2}  # all places that the slots so far can reach
        for slot in self.slots:
            taken = {p + 1 for p in ends if p < len(tokens) and slot.takes(tokens[p])}
            ends = ends | taken if slot.optional else taken
            if not ends:
                return False
        return True


def _earlier(tokens: Sequence[str], first: int) -> Sequence[str]:
    """The words before `first` in its sentence, as far as they matter."""
    near = tokens[max(first - SAME_THOUGHT, 0) : first]
    ends = [place for place, token in enumerate(near) if token == SENTENCE]
    return near[ends[-1] :] if ends else near


class Phrases:
    """Phrases by language, looked for by their first two words.

    `never_after` are, by language, the words and pairs of words that no phrase may follow.
    """

    def __init__(
        self,
        phrases: Mapping[str, Iterable[str]],
        never_after: Mapping[str, Iterable[str]] | None = None,
        never_before: Mapping[str, Iterable[str]] | None = None,
    ) -> None:
        self._by_first: dict[str, dict[str, list[_Rest]]] = {}
        for language, rows in phrases.items():
            after = frozenset((never_after or {}).get(language, ()))
            before = frozenset((never_before or {}).get(language, ()))
            for row in rows:
                slots = tuple(_slot(part) for part in row.removeprefix("! ").split())
                self._learn(_Rest(slots, after, before if row.startswith("! ") else frozenset()))

    def _learn(self, phrase: _Rest) -> None:
        """Note the phrase under each pair of words that it can begin with."""
        first, *slots = phrase.slots
        for place, second in enumerate(slots):
            rest = replace(phrase, slots=tuple(slots[place + 1 :]))
            for word in first.words:
                by_second = self._by_first.setdefault(word, {})
                for follower in second.words:
                    by_second.setdefault(follower, []).append(rest)
            if not second.optional:
                break

    def occur(self, tokens: Sequence[str]) -> bool:
        """Whether any of them stands in `tokens`, as `folded` made them."""
        by_first = self._by_first
        for place, token in enumerate(tokens[:-1]):
            by_second = by_first.get(token)
            if by_second is None:
                continue
            follower = tokens[place + 1]
            found = by_second.get(follower, ())
            if ANY in by_second and follower not in _MARKS:
                found = (*found, *by_second[ANY])
            if any(rest.follows(tokens, place) for rest in found):
                return True
        return False


def _slot(part: str) -> _Slot:
    bare = part.removesuffix("?")
    return _Slot(frozenset(bare.split("|")), bare != part)
