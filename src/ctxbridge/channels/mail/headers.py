"""Headers, decoded by hand: linear in their length, and nothing in them raises.

The standard library's own header parser takes seconds for a `To` of 64 KiB; this one is bounded by
the limits in `mime` and reads every character at most a few times.
"""

import base64
import binascii
import calendar
import re
from collections.abc import Iterator
from email.utils import parsedate_tz
from string import ascii_lowercase, ascii_uppercase
from urllib.parse import unquote_to_bytes

from msgspec import Struct

from ctxbridge.channels.mail.charset import decode
from ctxbridge.rules.text import clean

MAX_REFERENCES = 100
MAX_MAILBOXES = 100
MAX_ID_CHARACTERS = 512
MAX_ENCODED_WORD = 2000
MAX_DATE_CHARACTERS = 200
MAX_LOCAL, MAX_DOMAIN = 256, 255

# The first moment that a mail of ours can be from, and how far a sender's clock may run ahead.
EARLIEST = 631_152_000_000  # 1990
AHEAD = 24 * 3600 * 1000

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_SPACES = re.compile(r"\s+")
_MESSAGE_ID = re.compile(rf"<([!-;=?-~]{{1,{MAX_ID_CHARACTERS}}})>")
_BARE_ID = re.compile(rf"[!-;=?-~]{{1,{MAX_ID_CHARACTERS}}}")
_CHARSET = re.compile(r"=\?([^?\s*]{1,64})(?:\*[^?\s]{0,64})?\?([bBqQ])\?")
_WORD = r"[^\s()<>@,;:\\\"/\[\]?=]+"
_VALUE = re.compile(rf"[\s\"']*({_WORD})(?:\s*/\s*({_WORD}))?")
_DOMAIN = re.compile(r"(?:[\w-]+(?:\.[\w-]+)*\.?|\[[0-9A-Za-z:.]+\])")
_LOWER = str.maketrans(ascii_uppercase, ascii_lowercase)
_ATOM = re.compile(r"[^\s\"(),:;<>@\[\\\]\x00-\x1f\x7f]+")


class Mailbox(Struct, frozen=True):
    """One mailbox of an address header: the canonical `address`, and the name that is shown.

    `several` says that the entry could be read as more than one address.
    """

    address: str
    name: str = ""
    several: bool = False


def text(raw: str) -> str:
    """A header's words on one line: encoded words decoded (RFC 2047), control characters gone."""
    words = _CONTROL.sub(" ", "".join(_decoded(raw)))
    return clean(_SPACES.sub(" ", words).strip())


def eight_bit(raw: str) -> str:
    """Raw bytes, which the parser keeps as surrogates, read as UTF-8 or windows-1252."""
    if raw.isascii():
        return raw
    return decode(raw.encode("utf-8", "surrogateescape"))


def _decoded(raw: str) -> Iterator[str]:
    """The pieces of `raw`. Neighbours of one charset may share a character, so they are joined."""
    raw = eight_bit(raw)
    at, held, charset = 0, b"", ""
    while (start := raw.find("=?", at)) >= 0:
        word = _CHARSET.match(raw, start)
        end = raw.find("?=", word.end(), word.end() + MAX_ENCODED_WORD) if word else -1
        if word is None or end < 0:
            yield from _flush(held, charset)
            yield raw[at : start + 2]
            at, held = start + 2, b""
            continue
        between = raw[at:start]
        if held and (between.strip() or word[1].lower() != charset):
            yield from _flush(held, charset)
            held = b""
            between = between if between.strip() else ""
        elif held:
            between = ""
        yield between
        charset = word[1].lower()
        held += _word_bytes(raw[word.end() : end], word[2])
        at = end + 2
    yield from _flush(held, charset)
    yield raw[at:]


def _flush(held: bytes, charset: str) -> Iterator[str]:
    if held:
        yield decode(held, charset)


def _word_bytes(word: str, encoding: str) -> bytes:
    data = word.encode("utf-8", "replace")
    if encoding in "qQ":
        return binascii.a2b_qp(data.replace(b" ", b"_"), header=True)
    return unbase64(data)


_BASE64 = bytes(
    set(range(256)) - set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
)


def unbase64(data: bytes) -> bytes:
    """Base64 with whatever lies between its characters left out (RFC 2045, 6.8); never raises."""
    data = data.translate(None, _BASE64)
    if len(data) % 4 == 1:
        data = data[:-1]
    return base64.b64decode(data + b"=" * (-len(data) % 4))


def base64_size(data: bytes) -> int:
    """How many bytes `unbase64` would make of `data`, without making them."""
    return len(data.translate(None, _BASE64)) * 3 // 4


def message_ids(raw: str) -> list[str]:
    """The ids in a header, without their angle brackets (RFC 5322, 3.6.4); no invalid ones."""
    return _MESSAGE_ID.findall(raw)


def message_id(raw: str) -> str:
    """The id of a Message-ID header, empty if it has none. Some mailers forget the brackets."""
    found = _MESSAGE_ID.search(raw)
    if found:
        return found[1]
    bare = _SPACES.sub(" ", raw).strip()
    return bare if _BARE_ID.fullmatch(bare) else ""


def references(in_reply_to: str, named: str, own: str) -> tuple[str, ...]:
    """Ids of earlier mails, nearest first, each once, at most 100: the newest are kept."""
    nearest = message_ids(in_reply_to) + message_ids(named)[::-1]
    return tuple(i for i in dict.fromkeys(nearest) if i != own)[:MAX_REFERENCES]


def date(raw: str, received_at: int) -> int:
    """Unix ms of a Date header; 0 if it is none, before 1990, or a day ahead of `received_at`."""
    try:
        parts = parsedate_tz(raw[:MAX_DATE_CHARACTERS])
        if parts is None:
            return 0
        # Without a zone it is UTC: `mktime_tz` would take the zone of this machine.
        at = (calendar.timegm((*parts[:6], 0, 1, -1)) - (parts[9] or 0)) * 1000
    except (ValueError, TypeError, OverflowError, IndexError):
        return 0
    latest = received_at + AHEAD if received_at > 0 else at
    return at if EARLIEST <= at <= latest else 0


def parameters(raw: str) -> tuple[str, dict[str, str]]:
    """A structured header's value, lower-cased, and its parameters (RFC 2045, RFC 2231 decoded).

    The value comes without quotes, blanks and comments; parameters may follow it without semicolon.
    """
    value, *pieces = _split(eight_bit(raw))
    value, rest = _value(value)
    pieces.insert(0, rest)
    plain: dict[str, str] = {}
    pieced: dict[str, dict[int, str]] = {}
    for piece in pieces:
        name, equals, given = piece.partition("=")
        name, given = name.strip().lower(), given.strip()
        if not equals:
            continue
        if given.startswith('"'):
            given = _unquoted(given)
        base, star, rest = name.partition("*")
        if not star:
            plain.setdefault(name, given)
            continue
        number = rest.rstrip("*")
        place = int(number) if number.isascii() and number.isdigit() and len(number) < 4 else 0
        mark = "%" if rest.endswith("*") or not rest else "="
        pieced.setdefault(base, {}).setdefault(place, mark + given)
    for base, found in pieced.items():
        plain[base] = _joined(found)
    return value, plain


def _value(raw: str) -> tuple[str, str]:
    """``type/subtype`` or a word at the beginning of `raw`, and the rest; all of it if neither."""
    found = _VALUE.match(raw)
    if found is None:
        return raw.strip().lower(), ""
    kind, below = found[1], found[2]
    value = kind if below is None else f"{kind}/{below}"
    return value.strip("'").lower(), raw[found.end() :].lstrip("\"' ,:")


def is_media_type(value: str) -> bool:
    """Whether `value` is ``type/subtype`` (RFC 2045, 5.1)."""
    found = _VALUE.fullmatch(value)
    return found is not None and found[2] is not None


def _joined(pieces: dict[int, str]) -> str:
    """RFC 2231: ``charset'language'text`` in numbered pieces, those marked with % encoded."""
    charset, data = "", b""
    for place in sorted(pieces):
        mark, value = pieces[place][0], pieces[place][1:]
        if mark == "%" and not data and value.count("'") >= 2:
            charset, _, value = value.split("'", 2)
        raw = value.encode("utf-8", "replace")
        data += unquote_to_bytes(raw) if mark == "%" else raw
    return decode(data, charset)


def _split(raw: str) -> list[str]:
    """`raw` at its semicolons, but for those inside quotes. One pass."""
    pieces, start, quoted, skip = [], 0, False, False
    for at, char in enumerate(raw):
        if skip:
            skip = False
        elif char == "\\" and quoted:
            skip = True
        elif char == '"':
            quoted = not quoted
        elif char == ";" and not quoted:
            pieces.append(raw[start:at])
            start = at + 1
    return [*pieces, raw[start:]]


def _unquoted(value: str) -> str:
    """The inside of a quoted string, up to its closing quote or the end."""
    kept, skip = [], False
    for char in value[1:]:
        if skip:
            kept.append(char)
            skip = False
        elif char == "\\":
            skip = True
        elif char == '"':
            break
        else:
            kept.append(char)
    return "".join(kept)


def canonical(address: str) -> str:
    """The form in which a mailbox is an `Address`; empty if it is none.

    Both halves in lower case. The local part may mean its case (RFC 5321, 2.4), but practically no
    mailbox does, and people write their own address in several ways.
    """
    address = eight_bit(address).strip()
    if address.startswith(
        "@"
    ):  # an obsolete route: <@relay.example,@other.example:ann@example.org>
        address = address.partition(":")[2]
    local, at, domain = address.rpartition("@")
    local, domain = local.strip(), domain.strip()
    if local.startswith('"') and local.endswith('"') and len(local) > 2:
        local = local[1:-1]
    sized = 0 < len(local) <= MAX_LOCAL and 0 < len(domain) <= MAX_DOMAIN
    if not (at and sized and is_atom(local) and _DOMAIN.fullmatch(domain)):
        return ""
    return lower(f"{local}@{domain.rstrip('.')}")


def is_atom(local: str) -> bool:
    """Whether a local part is one without quotes, so that it can be written in one way only."""
    return _ATOM.fullmatch(local) is not None


def lower(text: str) -> str:
    """A-Z in lower case. `str.lower` makes the Kelvin sign a k too, and one of two mailboxes."""
    return text.translate(_LOWER)
