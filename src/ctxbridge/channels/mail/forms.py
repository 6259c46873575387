"""Forms as mail providers post them: urlencoded, or in parts (RFC 7578). Bounded and linear.

Files are measured and not copied. A form in parts is only as sound as its boundary: some providers
use the same one always, and a sender who knows it can write fields into his words. What such a form
says of a sender is only believed where it can be read in one way (`Form.only`).
"""

import binascii
import re
from collections.abc import Iterator

from msgspec import Struct

from ctxbridge.channels.mail import headers
from ctxbridge.channels.mail.charset import decode
from ctxbridge.model import RawRequest
from ctxbridge.rules.text import clean

MAX_FIELDS = 400
MAX_FIELD_HEADER_BYTES = 8 * 1024
MAX_BOUNDARY_CHARACTERS = 200
MAX_NAME_CHARACTERS = 200

_BLANK = re.compile(rb"[\s-]*")


class Field(Struct, frozen=True):
    """One field: its bytes, or of a file only how many there are."""

    name: str
    value: bytes = b""
    charset: str = ""
    size: int = -1
    filename: str = ""
    media_type: str = ""

    @property
    def is_file(self) -> bool:
        """Whether a file was sent here, whose bytes are not kept."""
        return self.size >= 0


class Form:
    """The fields of a form, in their order. `whole` says that it ends where its body does."""

    __slots__ = ("_by_name", "fields", "whole")

    def __init__(self, fields: list[Field], *, whole: bool) -> None:
        self.fields = fields
        self.whole = whole
        self._by_name: dict[str, list[Field]] = {}
        for field in fields:
            self._by_name.setdefault(field.name, []).append(field)

    def __contains__(self, name: str) -> bool:
        return name in self._by_name

    def raw(self, name: str) -> bytes:
        """The bytes of the first field of that name; none if there is none."""
        return next((field.value for field in self._by_name.get(name, ())), b"")

    def text(self, name: str, charset: str = "") -> str:
        """The words of the first field of that name, in the charset that is said of it."""
        field = next(iter(self._by_name.get(name, ())), None)
        return clean(decode(field.value, charset or field.charset)) if field else ""

    def only(self, name: str) -> str:
        """The words of the one field of that name; nothing if somebody may have added one."""
        several = self._by_name.get(name, ())
        return self.text(name) if self.whole and len(several) == 1 else ""

    def files(self) -> list[Field]:
        """The files, in their order."""
        return [field for field in self.fields if field.is_file]


def form_of(request: RawRequest, max_bytes: int) -> Form | None:
    """The form in a request; `None` if it is over a limit, or none."""
    body = request.body
    if len(body) > max_bytes:
        return None
    given = request.header("content-type")
    kind, named = headers.parameters((given or "")[:MAX_FIELD_HEADER_BYTES])
    if kind == "multipart/form-data":
        return _in_parts(body, named.get("boundary", ""))
    # Without a header it is guessed, as from a file that somebody has kept.
    if given is None and body.startswith(b"--"):
        return _in_parts(body, body[2:].partition(b"\n")[0].strip().decode("latin-1"))
    if given is None or kind == "application/x-www-form-urlencoded":
        return _urlencoded(body)
    return None


def _urlencoded(body: bytes) -> Form | None:
    if body.count(b"&") >= MAX_FIELDS:
        return None
    pairs = [pair.partition(b"=") for pair in body.rstrip(b"\r\n").split(b"&") if pair]
    fields = [Field(decode(unquoted(name[:600])), unquoted(value)) for name, _, value in pairs]
    return Form(fields, whole=True)


def unquoted(data: bytes) -> bytes:
    """Percent encoding undone, and ``+`` for a blank.

    As quoted-printable, which the library undoes in one pass: the one for percents makes an object
    of each of them, and forms hold whole mails.
    """
    if b"%" not in data:
        return data.replace(b"+", b" ")
    data = data.replace(b"+", b" ").replace(b"=", b"%3D").replace(b"%", b"=")
    return binascii.a2b_qp(data)


def _in_parts(body: bytes, boundary: str) -> Form | None:
    """The parts between the lines of the boundary; what cannot be a field is left out."""
    if not (boundary.isascii() and 0 < len(boundary) <= MAX_BOUNDARY_CHARACTERS):
        return None
    mark = b"--" + boundary.encode("ascii")
    if body.count(mark) > MAX_FIELDS:
        return None
    fields: list[Field] = []
    whole = False
    for start, end in _spans(body, mark):
        if end < 0:
            whole = _BLANK.fullmatch(body, start) is not None
        elif (field := _field(body, start, end)) is not None:
            fields.append(field)
    return Form(fields, whole=whole) if fields else None


def _spans(body: bytes, mark: bytes) -> Iterator[tuple[int, int]]:
    """Where each part starts and ends; last where the closing boundary is, with an end of -1."""
    at = 0 if body.startswith(mark) else _line(body, mark, 0)
    while at >= 0:
        at += len(mark)
        if body.startswith(b"--", at):
            yield at + 2, -1
            return
        start = body.find(b"\n", at) + 1
        following = _line(body, mark, start - 1) if start else -1
        if following >= 0:
            end = following - (2 if body.startswith(b"\r\n", following - 2) else 1)
            yield start, max(start, end)
        at = following


def _line(body: bytes, mark: bytes, at: int) -> int:
    """Where the next line begins that starts with `mark`; -1 if none does."""
    found = body.find(b"\n" + mark, at)
    return found + 1 if found >= 0 else -1


def _field(body: bytes, start: int, end: int) -> Field | None:
    """The part in that span; `None` where it has no name, or headers without an end."""
    limit = min(end + 2, start + MAX_FIELD_HEADER_BYTES)
    found = _END_OF_HEADERS.search(body, start, limit)
    if found is None:
        return None
    named: dict[str, str] = {}
    media_type = charset = ""
    for line in body[start : found.start()].splitlines():
        name, _, value = line.decode("utf-8", "surrogateescape").partition(":")
        if name.strip().lower() == "content-disposition":
            named = headers.parameters(value)[1]
        elif name.strip().lower() == "content-type":
            media_type, given = headers.parameters(value)
            charset = given.get("charset", "")
    name = named.get("name", "")[:MAX_NAME_CHARACTERS]
    if not name:
        return None
    at = min(found.end(), end)
    if "filename" in named:
        return Field(name, b"", charset, end - at, named["filename"], media_type)
    return Field(name, body[at:end], charset)


_END_OF_HEADERS = re.compile(rb"\r?\n\r?\n")
