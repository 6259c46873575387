"""How adapters read what providers send as JSON: leniently where nothing is lost by it."""

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, TypeVar
from urllib.parse import unquote_to_bytes

import msgspec

T = TypeVar("T")

MAX_REPAIRED_BYTES = 256 * 1024
"""Of one request, no more is repaired: it would take too long on the event loop."""

MAX_MILLISECONDS = 10**14
"""A time beyond three thousand years is no time of ours."""

PIECE = 4 * 1024

UNKNOWN_TYPE = "application/octet-stream"

# What msgspec raises for bytes that are no JSON, no UTF-8, or nested too deep.
_UNDECODABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)

# A pair of surrogates, or any other escape, is kept by the first group; a lone surrogate is not.
_ESCAPES = re.compile(
    rb"(\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\(?!u[dD][89a-fA-F]).)"
    rb"|\\u[dD][89a-fA-F][0-9a-fA-F]{2}",
    re.DOTALL,
)
_DIGITS = re.compile(r"[0-9]{1,14}")
_ID = re.compile(r"[!-~](?:[ -~]{0,510}[!-~])?")
_MEDIA_TYPE = re.compile(r"[a-z0-9!#$&^_.+-]{1,80}/[a-z0-9!#$&^_.+-]{1,80}")
_WEB_ADDRESS = re.compile(r"https?://[!-~]{1,2000}")


def percent_decoded(data: bytes) -> bytes:
    """`data` with its percent encoding undone, as the library does it (RFC 3986, 2.1).

    By the piece: the library makes an object for each percent, fifty bytes of memory for one.
    """
    if len(data) <= PIECE or b"%" not in data:
        return unquote_to_bytes(data)
    found, at = bytearray(), 0
    while at < len(data):
        end = at + PIECE
        # Two characters follow a percent, and stay with it.
        cut = data.find(b"%", end - 2, end)
        end = cut if cut >= 0 else end
        found += unquote_to_bytes(data[at:end])
        at = end
    return bytes(found)


def is_bounded(body: bytes, most_bytes: int, most_commas: int) -> bool:
    """Whether a body can be read in a few milliseconds: commas tell how many things it can hold."""
    return len(body) <= most_bytes and body.count(b",") <= most_commas


class Reader:
    """Reads the JSON of one request, piece by piece."""

    def __init__(self) -> None:
        self._left = MAX_REPAIRED_BYTES

    def read(self, decoder: "msgspec.json.Decoder[T]", data: bytes | msgspec.Raw) -> T | None:
        """What `data` says, or `None` if it is not of the decoder's kind.

        Lone surrogates and bytes that are no UTF-8 become U+FFFD, and a member that is ``null``
        counts as left out: a message is not lost for these.
        """
        try:
            return decoder.decode(data)
        except _UNDECODABLE:
            body = bytes(data)
        for may_help, repair in _REPAIRS:
            if not may_help(body):
                continue
            self._left -= len(body)
            if self._left < 0:
                return None
            try:
                body = repair(body)
                return decoder.decode(body)
            except _UNDECODABLE:
                pass
        return None


class Allowance:
    """How many of something are read, in all."""

    def __init__(self, most: int) -> None:
        self._left = most

    @property
    def exceeded(self) -> bool:
        return self._left < 0

    def of(self, items: Iterable[T]) -> Iterator[T]:
        """The items, until there were too many."""
        for item in items:
            self._left -= 1
            if self._left < 0:
                return
            yield item


def is_there(member: msgspec.Raw) -> bool:
    """Whether a member of JSON is neither left out nor ``null``."""
    return bytes(member) not in {b"", b"null"}


def is_id(value: str) -> bool:
    """Whether `value` can be a provider's id: printable ASCII, no blank around, at most 512."""
    return _ID.fullmatch(value) is not None


def is_web_address(value: str) -> bool:
    """Whether `value` can lead to a file on the web."""
    return _WEB_ADDRESS.fullmatch(value) is not None


def media_type(value: str) -> str:
    """The type without parameters, or the one that says nothing (RFC 2046, 4.5.1)."""
    kind = value.partition(";")[0].strip().lower()
    return kind if _MEDIA_TYPE.fullmatch(kind) else UNKNOWN_TYPE


def milliseconds_of_iso(text: str) -> int:
    """Unix milliseconds of a time as RFC 3339 writes it; UTC where it has no zone, 0 if it is none.

    More than six digits of a second are allowed, and those beyond are dropped.
    """
    if not text.isascii() or not 10 <= len(text) <= 40:
        return 0
    try:
        moment = datetime.fromisoformat(text)
        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return _bounded(int(aware.timestamp() * 1000))
    except (ValueError, OverflowError):
        return 0


def milliseconds_of_seconds(value: str | int) -> int:
    """Unix milliseconds of Unix seconds, written as a number or as its digits; 0 if it is none."""
    text = str(value)
    return _bounded(int(text) * 1000) if _DIGITS.fullmatch(text) else 0


def _bounded(milliseconds: int) -> int:
    return milliseconds if 0 < milliseconds < MAX_MILLISECONDS else 0


def _may_be_unsound(body: bytes) -> bool:
    return b"\\u" in body or not body.isascii()


def _with_sound_text(body: bytes) -> bytes:
    return _ESCAPES.sub(_kept, body.decode("utf-8", "replace").encode())


def _kept(found: re.Match[bytes]) -> bytes:
    return found[1] or rb"\ufffd"


def _may_have_nulls(body: bytes) -> bool:
    return b"null" in body


def _without_nulls(body: bytes) -> bytes:
    return msgspec.json.encode(_pruned(msgspec.json.decode(body)))


def _pruned(value: Any) -> Any:
    """`value` without the members that are null."""
    if isinstance(value, dict):
        return {k: _pruned(v) for k, v in value.items() if v is not None}
    return [_pruned(item) for item in value] if isinstance(value, list) else value


_REPAIRS = ((_may_be_unsound, _with_sound_text), (_may_have_nulls, _without_nulls))
