"""Patterns of what should not be stored: card numbers, IBANs, keys, and where people are reached.

Each pattern begins at a character that rarely occurs and has bounded or possessive repetitions, so
a hostile text costs what a harmless one of its length costs. What has a check digit or an issuer
counts only if these are right.

Most texts hold nothing, and that is found out cheaply: on the text's *shape*, where each letter is
an ``a`` and each digit a ``0``, by a search for a few bytes. Only what holds these is read closely.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from ipaddress import ip_address
from itertools import accumulate, islice

from ctxbridge.model import Finding

# A shape has one byte for each character, `?` for what is not ASCII.
_SHAPES = bytes(
    ord("0" if chr(n).isdigit() else "a" if chr(n).isalpha() else chr(n)) for n in range(128)
).ljust(256, b"?")
# What may stand between the digits of a number, and how many it has at least.
_BETWEEN = b" \t\n\r\x0b\x0c\x1c\x1d\x1e\x1f.,/_-()?"
_AS_SPACE = bytes.maketrans(_BETWEEN, b" " * len(_BETWEEN))
_LEAST = {"card": b"0" * 12, "ssn": b"0" * 9, "phone": b"0" * 7, "iban": b"00"}

# What people and their keyboards put between the groups of a number.
_GAP = r"[\s.,/_\-\u2010-\u2015\u200b-\u200d\u2060]{0,3}+"
_LONG_SHAPE = re.compile(rb"0(?<!00)(?: {0,3}+0){11,}+")
_LONG_NUMBER = re.compile(rf"[0-9](?:{_GAP}[0-9]){{11,}}+")
_GROUP = re.compile("[0-9]+")
_DIGIT = re.compile("[0-9]")
_DOUBLED = bytes.maketrans(b"0123456789", b"0246813579")
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
_IBAN_BEGIN = re.compile(rb"aa00")
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
_SSN_SHAPE = b"000-00-0000"
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
_AT_DOMAIN = re.compile(r"@(?:[\w\-]{1,63}+\.){1,8}[^\W\d_]{2,24}(?![\w\-])")
_BACKWARDS = re.compile(rf"{_LOCAL}+")
_LONGEST_LOCAL = 64
# Where a number may begin to be a telephone's, and then whether it is one.
_RUN = re.compile(r"[+(0-9](?:[ \xa0().\-/]{0,2}+[0-9]){6,19}+")
_PHONE = re.compile(
    r"(?<![\w+./\-])(?<![0-9] )(?:"
    r"(?:\+|00)[1-9](?:[ \xa0().\-/]{0,2}[0-9]){6,13}"  # with the country's code
    r"|(?:1[ .\-])?(?:\([2-9][0-9]{2}\) ?|[2-9][0-9]{2}[ .\-])[2-9][0-9]{2}[ .\-][0-9]{4}"
    r"|\(?0[1-9][0-9]{0,3}\)?[ /\-][0-9]{2,4}(?:[ \-]?[0-9]{2,4}){1,3}"  # with a trunk zero
    r"|0[1-9](?:[ .][0-9]{2}){4}"  # French
    r")(?![\w]|[.\-/,][0-9])",
    re.ASCII,
)
_IPV4_SHAPE = re.compile(rb"0\.0{1,3}\.0{1,3}\.0")
_IPV4 = re.compile(r"[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}(?![\w\-]|\.[0-9])")
_BEFORE_IP = re.compile(r"[\w.\-]")
_TWO_COLONS = re.compile(r":[0-9A-Fa-f]{0,4}:")
_IPV6 = re.compile(
    r"(?<![\w:.])[0-9A-Fa-f]{0,4}+:[0-9A-Fa-f:]{1,39}+(?:(?:\.?[0-9]{1,3}){3})?(?![\w:])"
)

KINDS = ("card", "iban", "ssn", "secret")
"""What is looked for unless it is said otherwise."""
ALL_KINDS = (*KINDS, "email", "phone", "ip")


@lru_cache(maxsize=10_000)
def _card_lengths(first_four: str) -> tuple[int, ...]:
    """How long a card number that begins like this may be, the longest first."""
    found = {n for begin, lengths in _ISSUERS if begin.match(first_four) for n in lengths}
    return tuple(sorted(found, reverse=True))


class _Luhn:
    """Check digits of ISO/IEC 7812 for any stretch of `digits`, by sums made once."""

    def __init__(self, digits: str) -> None:
        plain = digits.encode()
        doubled = plain.translate(_DOUBLED)
        self._sums = []
        for odd in (0, 1):
            mixed = bytearray(doubled)
            mixed[odd::2] = plain[odd::2]
            self._sums.append(list(accumulate(mixed, initial=0)))

    def holds(self, first: int, end: int) -> bool:
        """Whether the digits from `first` up to `end` carry a right check digit."""
        sums = self._sums[(end - 1) % 2]  # in these the last digit counts plain
        return (sums[end] - sums[first] - ord("0") * (end - first)) % 10 == 0


def _long_numbers(text: str, shape: bytes) -> Iterator[re.Match[str]]:
    """Numbers with as many digits as a card."""
    for wide in _LONG_SHAPE.finditer(shape.translate(_AS_SPACE)):
        yield from _LONG_NUMBER.finditer(text, *wide.span())


def _cards(text: str, shape: bytes) -> Iterator[Finding]:
    """Cards, also with other numbers around: one may begin and end at each border of a group."""
    for run in _long_numbers(text, shape):
        places = (digit.start() for digit in _DIGIT.finditer(text, *run.span()))
        passed = 0
        for first, end in _cards_among(_GROUP.findall(run.group())):
            start = next(islice(places, first - passed, None))
            yield Finding("card", start, next(islice(places, end - first - 2, None)) + 1)
            passed = end


def _cards_among(groups: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Which of all the digits are cards."""
    digits = "".join(groups)
    borders = list(accumulate(map(len, groups), initial=0))
    ends, after = set(borders), 0
    luhn: _Luhn | None = None  # most numbers do not even begin as a card does
    for first in borders:
        if first < after:
            continue
        for length in _card_lengths(digits[first : first + 4]):
            end = first + length
            if end not in ends:
                continue
            luhn = luhn or _Luhn(digits)
            if luhn.holds(first, end):
                yield first, end
                after = end
                break


def _ibans(text: str, shape: bytes) -> Iterator[Finding]:
    """IBANs, cut at their country's length: what follows in the sentence is none of it."""
    after = 0
    for begin in _IBAN_BEGIN.finditer(shape):
        start = begin.start()
        length = _IBAN_LENGTHS.get(text[start : start + 2].upper(), 0)
        if not length or start < after or not (match := _IBAN.match(text, start)):
            continue
        places = [i for i in range(start, match.end()) if text[i].isalnum()][:length]
        end = places[-1] + 1
        if len(places) < length or text[end : end + 1].isalnum():
            continue
        plain = "".join(text[i] for i in places).upper()
        # ISO 13616: moved by four and read in base 36, the rest by 97 is 1.
        if int("".join(str(int(c, 36)) for c in plain[4:] + plain[:4])) % 97 == 1:
            yield Finding("iban", start, end)
            after = end


def _ssns(text: str, shape: bytes) -> Iterator[Finding]:
    for match in _SSN.finditer(text) if _SSN_SHAPE in shape else ():
        start, end = match.span()
        if not text[start - 1 : start].isdecimal() and not _NO_SSN.match(text, start, end):
            yield Finding("ssn", start, end)


def _secrets(text: str, _shape: bytes) -> Iterator[Finding]:
    for char, keys in _SECRETS:
        if char not in text:
            continue
        for part, pattern in keys:
            if part in text:
                for match in pattern.finditer(text):
                    yield Finding("secret", match.start(), match.end())


def _emails(text: str, _shape: bytes) -> Iterator[Finding]:
    """Addresses, from the sign in their middle: what stands before it is read backwards."""
    after = 0
    for match in _AT_DOMAIN.finditer(text):
        at = match.start()
        before = text[max(at - _LONGEST_LOCAL - 1, after) : at][::-1]
        local = _BACKWARDS.match(before)
        if local and local.end() <= _LONGEST_LOCAL:
            yield Finding("email", at - local.end(), match.end())
            after = match.end()


def _phones(text: str, _shape: bytes) -> Iterator[Finding]:
    for run in _RUN.finditer(text):
        for match in _PHONE.finditer(text, run.start(), min(run.end() + 2, len(text))):
            yield Finding("phone", match.start(), match.end())


def _ips(text: str, shape: bytes) -> Iterator[Finding]:
    for match in _IPV4.finditer(text) if _IPV4_SHAPE.search(shape) else ():
        start, end = match.span()
        if not _BEFORE_IP.match(text, max(start - 1, 0), start) and _is_ip(match.group()):
            yield Finding("ip", start, end)
    for match in _IPV6.finditer(text) if _TWO_COLONS.search(text) else ():
        if match.group().count(":") > 1 and match.group() != "::" and _is_ip(match.group()):
            yield Finding("ip", match.start(), match.end())


def _is_ip(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


_SEARCHES: dict[str, Callable[[str, bytes], Iterator[Finding]]] = {
    "card": _cards,
    "iban": _ibans,
    "ssn": _ssns,
    "secret": _secrets,
    "email": _emails,
    "phone": _phones,
    "ip": _ips,
}


def find(text: str, kinds: Iterable[str] = KINDS) -> list[Finding]:
    """What `text` holds of `kinds`, in order, without overlaps."""
    shape = text.encode("ascii", "replace").translate(_SHAPES)
    close = shape.translate(None, _BETWEEN)
    wanted = [kind for kind in kinds if _LEAST.get(kind, b"") in close]
    found = [finding for kind in wanted for finding in _SEARCHES[kind](text, shape)]
    if len(found) > 1:
        found.sort(key=lambda f: (f.start, -f.end))
    kept: list[Finding] = []
    for finding in found:
        if not kept or finding.start >= kept[-1].end:
            kept.append(finding)
    return kept
