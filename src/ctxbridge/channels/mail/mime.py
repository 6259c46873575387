"""The structure of a mail, and what of it is to be read (RFC 2045, 2046, 2183).

The standard library's parser with `compat32` does the splitting: the only one that stands hostile
mail, once the limits here hold. They are checked while it works, so that what is over one costs
nothing more.
"""

import binascii
import re
from collections.abc import Iterable, Iterator
from email.feedparser import BytesFeedParser
from email.message import Message
from email.policy import Compat32, compat32
from functools import partial
from itertools import islice
from typing import NoReturn, cast

from msgspec import Struct

from ctxbridge.channels.mail import headers
from ctxbridge.channels.mail.charset import decode
from ctxbridge.channels.mail.flowed import unflowed
from ctxbridge.channels.mail.html import MAX_TAGS, render
from ctxbridge.errors import Malformed
from ctxbridge.model import Attachment
from ctxbridge.rules.text import clean

PIECE = 64 * 1024
MAX_LINES = 300_000
# 10 MiB of base64 are 136,000 lines: an ordinary mail with a big file must stay possible, and also
# if it is forwarded, some parts deep.
MAX_LINES_IN_PARTS = 160_000
MAX_LOOKS = 1_000_000
MAX_PARTS = 200
MAX_DEPTH = 20
MAX_HEADERS = 1000
MAX_HEADER_LINES = 40_000
MAX_HEADER_CHARACTERS = 16 * 1024
MAX_CONTENT_CHARACTERS = 8 * 1024
MAX_ALL_HEADER_CHARACTERS = 384 * 1024
MAX_REFERENCES_CHARACTERS = 2 * 1024 * 1024
MAX_ATTACHMENTS = 100
MAX_NAME_CHARACTERS = 255
MAX_STRAY_LINES = 3
MAX_TEXT_BYTES = 256 * 1024
MAX_DECODED_BYTES = 4 * MAX_TEXT_BYTES
MAX_HTML_CHARACTERS = 512 * 1024

# A reply in a long thread may name thousands of ids; all but the newest are dropped later.
_LONG = frozenset({"references", "in-reply-to"})
# What is written to be read. Calendars, tables and cards are files, as is what nobody has named.
_PLAIN = frozenset({"text/plain", "text", "plain/text", "text/*"})
_TEXT = _PLAIN | {"text/html", "text/markdown", "text/enriched", "text/richtext"}
_BOM = b"\xef\xbb\xbf"
# What other parts are in.
_HOLDERS = frozenset({"multipart", "message"})
_END_OF_HEADERS = re.compile(rb"(?>\r\n|\r|\n)(?=[\r\n])")
_FIELD = re.compile(rb"([!-9;-~]+)[ \t]*:")
_FORBIDDEN = '<>:"|?*'


Written = tuple[bytes, str]
"""Words as they were written, and the charset that they are said to be in."""


class Body(Struct):
    """What a mail says: its text, its attachments, and facts for guards.

    `hidden` says that words were left out that no reader would see, `cut` that `text` ends early,
    `plain_left`, `html_left` and `tags_left` how many bytes of plain text, characters and tags of
    HTML may still be read.
    """

    text: str = ""
    attachments: tuple[Attachment, ...] = ()
    hidden: bool = False
    cut: bool = False
    plain_left: int = MAX_DECODED_BYTES
    html_left: int = MAX_HTML_CHARACTERS
    tags_left: int = MAX_TAGS


class _Budget:
    """What one mail may still cost: shared by all its parts."""

    def __init__(self, lines: int) -> None:
        self.lines = lines
        self.parts = 1
        self.header_characters = 0


class Part(Message):
    """A part that counts itself in while the mail is being parsed, and raises when over a limit."""

    def __init__(self, budget: _Budget, policy: Compat32 = compat32) -> None:
        super().__init__(policy)
        self.depth = 0
        self.body = b""
        self._budget = budget

    def attach(self, payload: object) -> None:
        """Take in a part below this one."""
        if isinstance(payload, Part):
            payload.depth = self.depth + 1
            self._budget.parts += 1
            # The parser looks at every line once for every multipart that is open.
            looks = payload.depth * self._budget.lines
            if self._budget.parts > MAX_PARTS or payload.depth > MAX_DEPTH or looks > MAX_LOOKS:
                _refuse("the mail has too many parts, or too deep")
            if self._budget.lines > MAX_LINES_IN_PARTS:
                _refuse("the mail has too many lines")
        super().attach(payload)  # type: ignore[arg-type]

    def set_raw(self, name: str, value: str) -> None:
        """Take in a header."""
        key, budget = name.lower(), self._budget
        limit = MAX_HEADER_CHARACTERS
        if key in _LONG:
            limit = MAX_REFERENCES_CHARACTERS
        else:
            budget.header_characters += len(value)
        if key.startswith("content-"):
            limit = MAX_CONTENT_CHARACTERS
        over = budget.header_characters > MAX_ALL_HEADER_CHARACTERS
        if len(value) > limit or len(self) >= MAX_HEADERS or over:
            _refuse("the mail has too many headers, or too long")
        super().set_raw(name, value)

    @property
    def content(self) -> bytes:
        """The bytes of a leaf, still encoded for transfer.

        Not by `get_payload`: it decodes bytes of eight bits by whatever codec the mail names.
        """
        if self.body:
            return self.body
        payload: object = getattr(self, "_payload", None)
        return payload.encode("utf-8", "surrogateescape") if isinstance(payload, str) else b""

    def values(self, name: str) -> list[str]:  # type: ignore[override]
        """All values of the header `name`, as they came, top first."""
        wanted = name.lower()
        return [value for key, value in self.raw_items() if key.lower() == wanted]

    def first(self, name: str) -> str:
        """The topmost value of the header `name`, empty if there is none."""
        return next(iter(self.values(name)), "")


def parse(raw: bytes, max_bytes: int) -> Part:
    """The mail in `raw`. Raises `Malformed` if it is over a limit."""
    if len(raw) > max_bytes:
        _refuse("the mail is too large")
    lines = raw.count(b"\n") + raw.count(b"\r") - raw.count(b"\r\n")
    if lines > MAX_LINES:
        _refuse("the mail has too many lines")
    head, raw, end = _mended(raw)
    try:
        mail = _fed(_Budget(lines), head)
        # What is one text or one file needs no taking apart, which would hold it six times over.
        if not mail.get_payload() and mail.get_content_maintype() not in _HOLDERS:
            empty = 2 if raw.startswith(b"\r\n", end) else 1
            mail.body = raw[end + empty :]
            return mail
        return _fed(_Budget(lines), head, raw, end)
    except RecursionError:
        _refuse("the mail is nested too deep")


def _fed(budget: _Budget, head: bytes, rest: bytes = b"", start: int = 0) -> Part:
    parser = BytesFeedParser(partial(Part, budget), policy=compat32)
    # By the piece: as one it would be held several times over, four bytes for each.
    for data, first in ((head, 0), (rest, start)):
        for at in range(first, len(data), PIECE):
            parser.feed(data[at : at + PIECE])
    return cast("Part", parser.close())


def _mended(raw: bytes) -> tuple[bytes, bytes, int]:
    """The header block, so that it can be read; the mail, and where its headers have ended.

    What is in front of the headers is left out.
    """
    raw = raw.removeprefix(_BOM).lstrip(b"\r\n")
    limit = MAX_REFERENCES_CHARACTERS + MAX_ALL_HEADER_CHARACTERS
    found = _END_OF_HEADERS.search(raw, 0, limit)
    if found is None and len(raw) > limit:
        return raw, raw, len(raw)
    end = found.end() if found else len(raw)
    if raw.count(b"\n", 0, end) + raw.count(b"\r", 0, end) > 2 * MAX_HEADER_LINES:
        _refuse("the mail has too many headers, or too long")
    return _fields(raw[:end].splitlines(keepends=True)), raw, end


def _fields(lines: list[bytes]) -> bytes:
    """The header block without blanks before a colon and without lines that are no header.

    Those are left out only if they are few and a header follows: else the words have begun. What
    continues them goes with them, or it would continue the header above, which is another's.
    """
    kept: list[bytes] = []
    stray: list[bytes] = []
    for at, line in enumerate(lines):
        field = _FIELD.match(line)
        if field is not None:
            stray.clear()
            kept.append(field[1] + b":" + line[field.end() :])
        elif line[:1] in b" \t" and not stray:
            kept.append(line)
        else:
            stray.append(line)
        if len(stray) > MAX_STRAY_LINES:
            return b"".join([*kept, *stray, *lines[at + 1 :]])
    return b"".join([*kept, *stray])


def of_headers(pairs: Iterable[tuple[str, str]]) -> Part:
    """Headers that somebody has taken apart, as a mail without a body. Raises `Malformed`."""
    part = Part(_Budget(0))
    for name, value in pairs:
        part.set_raw(name, value)
    return part


def _refuse(reason: str) -> NoReturn:
    raise Malformed(reason)


def read(mail: Part) -> Body:
    """The text that is to be read, and the attachments, in the order of the mail."""
    body = Body()
    attachments: list[Attachment] = []
    return _finished(body, _read(mail, body, attachments), attachments)


def read_fields(plain: Written, html: Written, attachments: Iterable[Attachment]) -> Body:
    """The same of a mail that somebody has taken apart: its text, its HTML, and its files."""
    body = Body()
    text, shown = _plain(*plain, body), _html(*html, body)
    return _finished(body, text if text.strip() else shown, attachments)


def _finished(body: Body, text: str, attachments: Iterable[Attachment]) -> Body:
    text = clean(text).strip("\n")
    data = text.encode()
    if len(data) > MAX_TEXT_BYTES:
        text = data[:MAX_TEXT_BYTES].decode("utf-8", "ignore")
        body.cut = True
    body.text = text
    body.attachments = tuple(islice(attachments, MAX_ATTACHMENTS))
    return body


def _read(part: Part, body: Body, attachments: list[Attachment]) -> str:
    """The text of `part` and those below it; at most `MAX_DEPTH` calls deep."""
    kind, named = headers.parameters(part.first("content-type"))
    children = list(below(part))
    if kind.startswith("message/"):
        attachments.append(_attachment(part, kind, named))
        return ""
    if children:
        texts = [(child, _read(child, body, attachments)) for child in children]
        spoken = [(child, text) for child, text in texts if text.strip()]
        if kind == "multipart/alternative":
            return _preferred(spoken)
        return "\n".join([text for _, text in spoken])
    disposition, given = headers.parameters(part.first("content-disposition"))
    kind = _kind(part, kind)
    # Some mailers name even the body in its type, as "inline"; a file is named in its disposition.
    name = given.get("filename") or (disposition != "inline" and named.get("name"))
    named_file = disposition and name
    if disposition == "attachment" or named_file or kind not in _TEXT:
        attachments.append(_attachment(part, kind, named | given))
        return ""
    return _words(part, kind, named, body)


def _words(part: Part, kind: str, named: dict[str, str], body: Body) -> str:
    charset = named.get("charset", "")
    if kind == "text/html":
        return _html(content_of(part), charset, body)
    words = _plain(content_of(part), charset, body)
    if named.get("format", "").lower() != "flowed":
        return words
    return unflowed(words, deletes_blank=named.get("delsp", "").lower() == "yes")


def _plain(data: bytes, charset: str, body: Body) -> str:
    cut = len(data) > body.plain_left
    words = decode(data[: body.plain_left], charset, cut=cut)
    body.cut |= cut
    body.plain_left -= min(len(data), body.plain_left)
    return words.replace("\r\n", "\n").replace("\r", "\n")


def _html(data: bytes, charset: str, body: Body) -> str:
    most = min(MAX_DECODED_BYTES, 4 * body.html_left)
    words = decode(data[:most], charset, cut=len(data) > most)
    shown = render(words[: body.html_left], body.tags_left)
    body.hidden |= shown.hidden
    body.cut |= shown.cut or len(data) > most or len(words) > body.html_left
    body.html_left = max(0, body.html_left - len(words))
    body.tags_left = max(0, body.tags_left - shown.tags)
    return shown.text


def _kind(part: Part, said: str) -> str:
    """The media type of a leaf. Without one it is text (RFC 2045, 5.2), as is a broken multipart.

    So is what is no type at all, but it is kept as a file if it has the encoding of one.
    """
    if not said or said.startswith("multipart/"):
        return "text/plain"
    if said != "text" and not headers.is_media_type(said):
        return "application/octet-stream" if _encoding(part) == "base64" else "text/plain"
    return said


def below(part: Part) -> Iterator[Part]:
    """The parts directly below `part`; of a report's fields, one for each block of them."""
    payload = part.get_payload() if part.is_multipart() else ()
    return (child for child in payload if isinstance(child, Part))


def _preferred(spoken: list[tuple[Part, str]]) -> str:
    """Of several forms of the same: plain text if there is one, else the last, the best."""
    for child, text in spoken:
        if headers.parameters(child.first("content-type"))[0] in {*_PLAIN, ""}:
            return text
    return spoken[-1][1] if spoken else ""


def content_of(part: Part) -> bytes:
    """The bytes of a leaf, with its transfer encoding undone; never raises."""
    data = part.content
    encoding = _encoding(part)
    if encoding == "base64":
        return headers.unbase64(data)
    return binascii.a2b_qp(data) if encoding == "quoted-printable" else data


def _size(part: Part) -> int:
    """The size of a file in bytes, -1 for a mail inside the mail, which has none of its own."""
    if part.is_multipart():
        return -1
    if _encoding(part) == "base64":
        return headers.base64_size(part.content)
    return len(content_of(part))


def _encoding(part: Part) -> str:
    return headers.parameters(part.first("content-transfer-encoding"))[0]


def _attachment(part: Part, kind: str, named: dict[str, str]) -> Attachment:
    return attachment(kind, named.get("filename") or named.get("name") or "", _size(part))


def attachment(kind: str, name: str, size: int, where: str = "") -> Attachment:
    """The description of a file, whatever it is said to be: a name that is safe, a type that is."""
    known = kind.isascii() and kind.isprintable() and 0 < len(kind) <= MAX_NAME_CHARACTERS
    return Attachment(kind if known else "application/octet-stream", safe_name(name), size, where)


def safe_name(name: str) -> str:
    """A file's name that may be shown and stored: no path, no control characters, 255 at most."""
    shown = headers.text(name).replace("\\", "/").rpartition("/")[2]
    kept = "".join([c for c in shown if c.isprintable() and c not in _FORBIDDEN])
    kept = kept.strip().lstrip(".")
    if len(kept) <= MAX_NAME_CHARACTERS:
        return kept
    stem, dot, ending = kept.rpartition(".")
    if not dot or len(ending) > 16:
        return kept[:MAX_NAME_CHARACTERS]
    return stem[: MAX_NAME_CHARACTERS - len(ending) - 1] + dot + ending
