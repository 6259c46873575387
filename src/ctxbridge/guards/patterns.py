"""Patterns of what should not be stored: card numbers, IBANs, keys, and where people are reached.

Each pattern begins at a character that rarely occurs and has bounded or possessive repetitions, so
a hostile text costs what a harmless one of its length costs. What has a check digit or an issuer
counts only if these are right. Each search first asks for a character that it cannot do without.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from ipaddress import ip_address
from itertools import accumulate

from ctxbridge.model import Finding

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
_SSN = re.compile(r"[0-8][0-9]{2}-[0-9]{2}-[0-9]{4}(?![0-9])")
_NO_SSN = re.compile(r"000|666|...-00|....-..-0000")
# Keys by a character and a part that each holds: only where both occur is the pattern looked for.
_NOT_AFTER = r"(?<![A-Za-z0-9_\-])"
_KEYS = {
    "_": (
        ("gh", r"gh[pousr]_[A-Za-z0-9]{36,255}+"),  # GitHub
        ("github_pat_", r"github_pat_[A-Za-z0-9_]{22,255}+"),
        ("_live_", r"[sr]k_live_[A-Za-z0-9]{16,}+"),  # Stripe
        ("_test_", r"[sr]k_test_[A-Za-z0-9]{16,}+"),
        ("whsec_", r"whsec_[A-Za-z0-9+/=]{16,}+"),
        ("npm_", r"npm_[A-Za-z0-9]{36}"),
        ("hf_", r"hf_[A-Za-z0-9]{30,255}+"),
        ("dop_v1_", r"dop_v1_[a-f0-9]{64}"),  # DigitalOcean
        ("shp", r"shp(?:at|ca|pa|ss)_[A-Fa-f0-9]{32}"),  # Shopify
    ),
    "-": (
        ("sk-", r"sk-[A-Za-z0-9_\-]{20,}+"),  # OpenAI, Anthropic, and those who write it as they do
        ("glpat-", r"glpat-[A-Za-z0-9_\-]{20,255}+"),  # GitLab
        ("xox", r"xox[abeoprs]-[A-Za-z0-9\-]{10,}+"),  # Slack
        ("xapp-", r"xapp-[A-Za-z0-9\-]{10,}+"),
        ("pypi-", r"pypi-AgE[A-Za-z0-9_\-]{40,}+"),
        ("key-", r"key-[0-9a-f]{32}\b"),  # Mailgun
    ),
    "A": (
        ("AKIA", r"AKIA[0-9A-Z]{16}\b"),  # AWS
        ("ASIA", r"ASIA[0-9A-Z]{16}\b"),
        ("AIza", r"AIza[A-Za-z0-9_\-]{35}"),  # Google
    ),
    ".": (
        ("SG.", r"SG\.[A-Za-z0-9_\-]{16,64}+\.[A-Za-z0-9_\-]{16,128}+"),  # SendGrid
        ("ya29.", r"ya29\.[A-Za-z0-9_\-]{20,}+"),  # Google
        ("eyJ", r"eyJ[A-Za-z0-9_\-]{8,}+\.eyJ[A-Za-z0-9_\-]{8,}+\.[A-Za-z0-9_\-]{8,}+"),  # JWT
    ),
    ":": (
        (":AA", r"[0-9]{8,10}:AA[A-Za-z0-9_\-]{33}"),  # Telegram
    ),
    "r": (
        ("earer ", r"[Bb]earer (?!eyJ)[A-Za-z0-9._~+/\-]{24,}+=*+"),
    ),
}  # fmt: skip
_INSIDE = {
    "/": (
        ("://", r"(?<=://)[^\s/@:]{1,64}+:[^\s/@]{1,256}+(?=@)"),  # a password in an address
        ("hooks.slack.com/", r"(?<=hooks\.slack\.com/)services/[A-Za-z0-9/]{20,255}+"),
    ),
    "=": (
        ("AccountKey=", r"(?<=AccountKey=)[A-Za-z0-9+/]{40,}+=*+"),  # Azure
    ),
    "K": (
        (
            "PRIVATE KEY-----",
            (
                r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----[A-Za-z0-9+/=:,.\s]*+"
                r"(?:-----END [A-Z ]{0,40}PRIVATE KEY-----)?"
            ),
        ),
    ),
}  # fmt: skip
_SECRETS = tuple(
    (char, tuple((part, re.compile(before + pattern, re.ASCII)) for part, pattern in keys))
    for before, table in ((_NOT_AFTER, _KEYS), ("", _INSIDE))
    for char, keys in table.items()
)
_LOCAL = r"[\w.!#$%&'*+/=?^`{|}~\-]"
_EMAIL = re.compile(
    rf"(?<!{_LOCAL}){_LOCAL}{{1,64}}+@(?:[\w\-]{{1,63}}+\.){{1,8}}[^\W\d_]{{2,24}}(?![\w\-])"
)
# Where a number may begin to be a telephone's, and then whether it is one.
_RUN = re.compile(r"[+(0-9](?:[ \xa0().\-/]{0,2}[0-9]){6,19}+")
_PHONE = re.compile(
    r"(?<![\w+./\-])(?<![0-9] )(?:"
    r"(?:\+|00)[1-9](?:[ \xa0().\-/]{0,2}[0-9]){6,13}"  # with the country's code
    r"|(?:1[ .\-])?(?:\([2-9][0-9]{2}\) ?|[2-9][0-9]{2}[ .\-])[2-9][0-9]{2}[ .\-][0-9]{4}"
    r"|\(?0[1-9][0-9]{0,3}\)?[ /\-][0-9]{2,4}(?:[ \-]?[0-9]{2,4}){1,3}"  # with a trunk zero
    r"|0[1-9](?:[ .][0-9]{2}){4}"  # French
    r")(?![\w]|[.\-/,][0-9])",
    re.ASCII,
)
_IPV4 = re.compile(r"[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}(?![\w\-]|\.[0-9])")
_BEFORE_IP = re.compile(r"[\w.\-]")
_IPV6 = re.compile(
    r"(?<![\w:.])[0-9A-Fa-f]{0,4}+:[0-9A-Fa-f:]{1,39}+(?:(?:\.?[0-9]{1,3}){3})?(?![\w:])"
)
_ANY_DIGIT = re.compile("[0-9]")

KINDS = ("card", "iban", "ssn", "secret")
"""What is looked for unless it is said otherwise."""
ALL_KINDS = (*KINDS, "email", "phone", "ip")


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


def _ssns(text: str) -> Iterator[Finding]:
    for match in _SSN.finditer(text) if "-" in text else ():
        start, end = match.span()
        if not text[start - 1 : start].isdecimal() and not _NO_SSN.match(text, start, end):
            yield Finding("ssn", start, end)


def _secrets(text: str) -> Iterator[Finding]:
    for char, keys in _SECRETS:
        if char not in text:
            continue
        for part, pattern in keys:
            if part in text:
                yield from _plain("secret", pattern, text)


def _phones(text: str) -> Iterator[Finding]:
    for run in _RUN.finditer(text):
        for match in _PHONE.finditer(text, run.start(), min(run.end() + 2, len(text))):
            yield Finding("phone", match.start(), match.end())


def _ips(text: str) -> Iterator[Finding]:
    for match in _IPV4.finditer(text) if text.count(".") > 2 else ():
        start, end = match.span()
        if not _BEFORE_IP.match(text, max(start - 1, 0), start) and _is_ip(match.group()):
            yield Finding("ip", start, end)
    for match in _IPV6.finditer(text) if text.count(":") > 1 else ():
        if match.group().count(":") > 1 and match.group() != "::" and _is_ip(match.group()):
            yield Finding("ip", match.start(), match.end())


def _is_ip(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


_SEARCHES: dict[str, Callable[[str], Iterator[Finding]]] = {
    "card": _cards,
    "iban": _ibans,
    "ssn": _ssns,
    "secret": _secrets,
    "email": lambda text: _plain("email", _EMAIL, text) if "@" in text else iter(()),
    "phone": _phones,
    "ip": _ips,
}
_OF_DIGITS = frozenset({"card", "iban", "ssn", "phone"})


def find(text: str, kinds: Iterable[str] = KINDS) -> list[Finding]:
    """What `text` holds of `kinds`, in order, without overlaps."""
    has_digits = _ANY_DIGIT.search(text) is not None
    wanted = [kind for kind in kinds if has_digits or kind not in _OF_DIGITS]
    found = [finding for kind in wanted for finding in _SEARCHES[kind](text)]
    if len(found) > 1:
        found.sort(key=lambda f: (f.start, -f.end))
    kept: list[Finding] = []
    for finding in found:
        if not kept or finding.start >= kept[-1].end:
            kept.append(finding)
    return kept
