"""Commands to bytes and bytes to replies, in the servers' protocol (RESP2 and RESP3).

hiredis reads if it is installed (``ctxbridge[redis]``); else a reader in Python, which is slower.
"""

from collections.abc import Callable
from typing import Any, Protocol

from ctxbridge.errors import ReplyMismatch

MISSING: Any = object()
"""What a reader gives while a reply is not whole yet."""


class ServerError:
    """An error as the server answers it: a value like other replies, never raised as it is.

    Only its `code` may be shown: the `rest` may repeat what was stored.
    """

    __slots__ = ("code", "rest")

    def __init__(self, text: str) -> None:
        self.code, _, self.rest = text.partition(" ")

    def __repr__(self) -> str:
        return f"<ServerError {self.code}>"


class _Push(list[Any]):
    """What the server says unasked: that a key has changed."""


class Reader(Protocol):
    """Takes bytes as they arrive and gives the replies in them."""

    def feed(self, data: Any, start: int = 0, size: int = -1, /) -> None:
        """Take `size` more bytes, from `start` in `data` on; or all of it."""
        ...

    def gets(self) -> Any:
        """The next reply, or `MISSING`."""
        ...


def _bulk(value: bytes) -> bytes:
    return b"$%d\r\n%b\r\n" % (len(value), value)


def pack(*words: bytes) -> bytes:
    """A command as the server reads it."""
    return b"*%d\r\n%b" % (len(words), b"".join([_bulk(word) for word in words]))


bulk = _bulk


class PythonReader:
    """Reads replies without hiredis. Replies that are not whole are read again from their start."""

    def __init__(self) -> None:
        self._data = b""
        self._at = 0

    def feed(self, data: Any, start: int = 0, size: int = -1, /) -> None:
        """Take `size` more bytes, from `start` in `data` on; or all of it."""
        end = len(data) if size < 0 else start + size
        self._data = self._data[self._at :] + bytes(memoryview(data)[start:end])
        self._at = 0

    def gets(self) -> Any:
        """The next reply, or `MISSING`."""
        start = self._at
        try:
            return self._read(0)
        except _NotYet:
            self._at = start
            return MISSING

    def _line(self) -> bytes:
        end = self._data.find(b"\r\n", self._at)
        if end < 0:
            raise _NotYet
        line = self._data[self._at : end]
        self._at = end + 2
        return line

    def _read(self, depth: int) -> Any:
        line = self._line()
        read = _KINDS.get(line[:1])
        if read is None or depth > _DEEPEST:
            raise ReplyMismatch("a reply starts with a mark that is none")
        try:
            return read(self, line[1:], depth + 1)
        except ValueError:
            raise ReplyMismatch("a reply has a length or a number that is none") from None

    def _take(self, line: bytes) -> bytes | None:
        size = int(line)
        if size < 0:
            return None
        end = self._at + size
        if len(self._data) < end + 2:
            raise _NotYet
        value = self._data[self._at : end]
        self._at = end + 2
        return value

    def _take_list(self, line: bytes, depth: int) -> list[Any] | None:
        size = int(line)
        return None if size < 0 else [self._read(depth) for _ in range(size)]

    def _take_pairs(self, line: bytes, depth: int) -> dict[Any, Any]:
        values = [self._read(depth) for _ in range(2 * int(line))]
        return dict(zip(values[::2], values[1::2], strict=True))


class _NotYet(Exception):
    """More bytes are needed."""


_DEEPEST = 32
_KINDS: dict[bytes, Callable[[PythonReader, bytes, int], Any]] = {
    b"+": lambda _, line, __: line,
    b"-": lambda _, line, __: ServerError(line.decode("utf-8", "replace")),
    b":": lambda _, line, __: int(line),
    b"$": lambda reader, line, __: reader._take(line),  # noqa: SLF001
    b"*": lambda reader, line, depth: reader._take_list(line, depth),  # noqa: SLF001
    b"~": lambda reader, line, depth: reader._take_list(line, depth),  # noqa: SLF001
    b">": lambda reader, line, depth: _Push(reader._take_list(line, depth) or ()),  # noqa: SLF001
    b"%": lambda reader, line, depth: reader._take_pairs(line, depth),  # noqa: SLF001
    b"_": lambda _, __, ___: None,
    b"#": lambda _, line, __: line == b"t",
    b",": lambda _, line, __: float(line),
    b"(": lambda _, line, __: int(line),
    b"=": lambda reader, line, __: (reader._take(line) or b"")[4:],  # noqa: SLF001
}

try:
    import hiredis
except ImportError:  # pragma: no cover - one of the two is always tested as `PythonReader`
    PUSHES: tuple[type, ...] = (_Push,)

    def new_reader() -> Reader:
        """A reader for a new connection."""
        return PythonReader()
else:
    PUSHES = (hiredis.PushNotification, _Push)

    def new_reader() -> Reader:
        """A reader for a new connection."""
        return hiredis.Reader(
            protocolError=ReplyMismatch,
            replyError=ServerError,  # type: ignore[arg-type]  # any callable will do
            notEnoughData=MISSING,
        )
