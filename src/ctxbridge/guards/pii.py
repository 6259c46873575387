"""Patterns of what should not be stored: card numbers, IBANs, keys. Masked before anything is kept.

Each pattern begins at a character that rarely occurs and has bounded repetitions, so a hostile text
costs what a harmless one of its length costs. A number counts only if its check digit is right and
its beginning and length are those of an issuer.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from itertools import accumulate

from ctxbridge.errors import ConfigurationError
from ctxbridge.guards.guard import FunctionGuard, TextCheck, allow, guard, modify
from ctxbridge.model import Finding, Verdict

# What people and their keyboards put between the groups of a number.
_GAP = r"[\s.,/_\-\u2010-\u2015\u200b-\u200d\u2060]{0,3}"
_DIGITS = re.compile(rf"[0-9](?:{_GAP}[0-9]){{11,59}}")
# Beginning and lengths of card numbers (ISO/IEC 7812; lengths as the schemes publish them).
_ISSUERS = (
    (re.compile("4"), (13, 16, 19)),  # Visa
    (re.compile("5[1-5]|2(?:22[1-9]|2[3-9]|[3-6]|7[01]|720)"), (16,)),  # Mastercard
    (re.compile("3[47]"), (15,)),  # American Express
    (re.compile("3(?:0[0-5]|[689])"), (14, 16, 19)),  # Diners Club
    (re.compile("35(?:2[89]|[3-8])"), (16, 19)),  # JCB
    (re.compile("6(?:011|5|4[4-9])"), (16, 19)),  # Discover
    (re.compile("62|81"), (16, 17, 18, 19)),  # UnionPay
    (re.compile("50|5[6-9]|6[0-9]"), (12, 13, 15, 16, 18, 19)),  # Maestro
)
_IBAN = re.compile(r"\b[A-Za-z]{2}\d{2}(?:[ \-\xa0]?[A-Za-z0-9]){11,30}", re.ASCII)
# Lengths by country (SWIFT's IBAN registry).
_LENGTHS_OF_COUNTRIES = """
AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 DK18 DO28
EE20 EG29 ES24 FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27
JO30 KW30 KZ20 LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MN20 MR27 MT31 MU30 NI28 NL18
NO15 OM23 PK24 PL28 PS29 PT25 QA29 RO24 RS22 RU33 SA24 SC31 SD18 SE24 SI19 SK24 SM27 SO23 ST25 SV28
TL23 TN24 TR26 UA29 VA22 VG24 XK20 YE30
"""
_IBAN_LENGTHS = {entry[:2]: int(entry[2:]) for entry in _LENGTHS_OF_COUNTRIES.split()}
_SSN = re.compile(r"(?<!\d)(?!000|666|9\d\d)\d{3}-(?!00)\d{2}-(?!0000)\d{4}(?!\d)", re.ASCII)
_SECRET = re.compile(
    r"\b(?:sk-[A-Za-z0-9_\-]{20,100}|AKIA[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{36}"
    r"|xox[abprs]-[A-Za-z0-9\-]{10,100})",
    re.ASCII,
)

KINDS = ("card", "iban", "ssn", "secret")


class _Luhn:
    """Check digits of ISO/IEC 7812 for any stretch of `digits`, by sums made once."""

    _DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)

    def __init__(self, digits: str) -> None:
        plain = [int(d) for d in digits]
        doubled = [self._DOUBLED[n] for n in plain]
        pairs = list(zip(plain, doubled, strict=True))
        self._sums = [
            list(accumulate((pair[(i + odd) % 2] for i, pair in enumerate(pairs)), initial=0))
            for odd in (0, 1)
        ]

    def holds(self, first: int, last: int) -> bool:
        """Whether the digits from `first` to `last` carry a right check digit."""
        sums = self._sums[last % 2]  # in these the digit at `last` counts plain
        return (sums[last + 1] - sums[first]) % 10 == 0


@lru_cache(maxsize=10_000)
def _card_lengths(first_four: str) -> tuple[int, ...]:
    """How long a card number that begins like this may be, the longest first."""
    found = {n for begin, lengths in _ISSUERS if begin.match(first_four) for n in lengths}
    return tuple(sorted(found, reverse=True))


def _cards(text: str) -> Iterator[Finding]:
    """Cards, also with other numbers around: one may begin and end at each border of a group."""
    for run in _DIGITS.finditer(text):
        places = [i for i in range(run.start(), run.end()) if text[i].isdigit()]
        digits = "".join(text[i] for i in places)
        begins = [n for n, i in enumerate(places) if not n or places[n - 1] != i - 1]
        ends = {n for n, i in enumerate(places) if n + 1 == len(places) or places[n + 1] != i + 1}
        luhn = _Luhn(digits)
        after = 0
        for first in begins:
            if first < after:
                continue
            for length in _card_lengths(digits[first : first + 4]):
                last = first + length - 1
                if last in ends and luhn.holds(first, last):
                    yield Finding("card", places[first], places[last] + 1)
                    after = last + 1
                    break


def _ibans(text: str) -> Iterator[Finding]:
    """IBANs, cut at their country's length: what follows in the sentence is none of it."""
    for match in _IBAN.finditer(text):
        length = _IBAN_LENGTHS.get(match.group()[:2].upper(), 0)
        places = [i for i in range(match.start(), match.end()) if text[i].isalnum()][:length]
        if not length or len(places) < length:
            continue
        end = places[-1] + 1
        if text[end : end + 1].isalnum():
            continue
        plain = "".join(text[i] for i in places).upper()
        # ISO 13616: moved by four and read in base 36, the rest by 97 is 1.
        if int("".join(str(int(c, 36)) for c in plain[4:] + plain[:4])) % 97 == 1:
            yield Finding("iban", match.start(), end)


def _plain(kind: str, pattern: "re.Pattern[str]", text: str) -> Iterator[Finding]:
    return (Finding(kind, match.start(), match.end()) for match in pattern.finditer(text))


def find(text: str, kinds: Iterable[str] = KINDS) -> list[Finding]:
    """What `text` holds of `kinds`, in order, without overlaps."""
    searches: dict[str, Callable[[str], Iterator[Finding]]] = {
        "card": _cards,
        "iban": _ibans,
        "ssn": lambda t: _plain("ssn", _SSN, t),
        "secret": lambda t: _plain("secret", _SECRET, t),
    }
    found = sorted(
        (f for kind in kinds for f in searches[kind](text)), key=lambda f: (f.start, -f.end)
    )
    kept: list[Finding] = []
    for finding in found:
        if not kept or finding.start >= kept[-1].end:
            kept.append(finding)
    return kept


def mask(text: str, findings: Iterable[Finding]) -> str:
    """`text` with each finding replaced by its kind and, for a card, its last four digits."""
    pieces: list[str] = []
    position = 0
    for finding in findings:
        pieces.append(text[position : finding.start])
        last = text[finding.start : finding.end][-4:] if finding.category == "card" else ""
        pieces.append(
            f"[{finding.category} …{last}]" if last.isdigit() else f"[{finding.category}]"
        )
        position = finding.end
    return "".join((*pieces, text[position:]))


def pii(*, kinds: Iterable[str] = KINDS) -> FunctionGuard:
    """Masks payment cards, IBANs, US social security numbers and API keys, coming in and going out.

    On the way in it runs before anything is stored, so what it masks is never written down.
    """
    chosen = tuple(kinds)
    unknown = set(chosen) - set(KINDS)
    if unknown:
        raise ConfigurationError(f"pii knows the kinds {sorted(KINDS)}")

    @guard("inbound", "reply", name="pii", early=True, modifies=True)
    def check(check: TextCheck) -> Verdict:
        findings = find(check.text, chosen)
        if not findings:
            return allow()
        masked = mask(check.text, findings)
        return modify(masked, f"pii.{findings[0].category}", findings=tuple(findings))

    return check
