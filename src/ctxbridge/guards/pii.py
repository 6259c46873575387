"""Patterns of what should not be stored: card numbers, IBANs, keys. Masked before anything is kept.

Each pattern is anchored at a character that rarely occurs and has bounded repetitions, so a hostile
text costs what a harmless one of its length costs.
"""

import re
from collections.abc import Callable, Iterable

from ctxbridge.errors import ConfigurationError
from ctxbridge.guards.guard import FunctionGuard, TextCheck, allow, guard, modify
from ctxbridge.model import Finding, Verdict


def luhn(digits: str) -> bool:
    """Whether the digits carry the check digit of ISO/IEC 7812 (payment cards)."""
    doubled = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)
    total = sum(int(d) for d in digits[-1::-2]) + sum(doubled[int(d)] for d in digits[-2::-2])
    return total % 10 == 0


def _card(found: str) -> bool:
    digits = "".join(c for c in found if c.isdigit())
    return 13 <= len(digits) <= 19 and luhn(digits) and len(set(digits)) > 1


def _iban(found: str) -> bool:
    """ISO 13616: moved by four and read in base 36, the rest by 97 is 1."""
    plain = found.replace(" ", "").upper()
    if not 15 <= len(plain) <= 34:
        return False
    return int("".join(str(int(c, 36)) for c in plain[4:] + plain[:4])) % 97 == 1


_CARD = re.compile(r"(?<![\d.])\d(?:[ \-]?\d){12,18}(?![\d])", re.ASCII)
_IBAN = re.compile(
    r"\b[A-Za-z]{2}\d{2}(?: ?[A-Za-z0-9]{4}){2,7}(?: ?[A-Za-z0-9]{1,3})?\b", re.ASCII
)
_SSN = re.compile(r"(?<!\d)(?!000|666|9\d\d)\d{3}-(?!00)\d{2}-(?!0000)\d{4}(?!\d)", re.ASCII)
_SECRET = re.compile(
    r"\b(?:sk-[A-Za-z0-9_\-]{20,100}|AKIA[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{36}"
    r"|xox[abprs]-[A-Za-z0-9\-]{10,100})",
    re.ASCII,
)

KINDS: dict[str, tuple[re.Pattern[str], Callable[[str], bool]]] = {
    "card": (_CARD, _card),
    "iban": (_IBAN, _iban),
    "ssn": (_SSN, lambda _: True),
    "secret": (_SECRET, lambda _: True),
}


def find(text: str, kinds: Iterable[str] = tuple(KINDS)) -> list[Finding]:
    """What `text` holds of `kinds`, in order, without overlaps."""
    found: list[Finding] = []
    for kind in kinds:
        pattern, certain = KINDS[kind]
        found.extend(
            Finding(kind, match.start(), match.end())
            for match in pattern.finditer(text)
            if certain(match.group())
        )
    found.sort(key=lambda f: (f.start, -f.end))
    return [f for i, f in enumerate(found) if not i or f.start >= found[i - 1].end]


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


def pii(*, kinds: Iterable[str] = tuple(KINDS)) -> FunctionGuard:
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
