"""The records that this integration keeps for a tenant: each has a list of words for a name."""

from collections.abc import Awaitable, Iterable, Sequence
from itertools import islice
from typing import Any, TypeVar

import anyio
import msgspec

from ctxbridge.bridge import Bridge
from ctxbridge.errors import CorruptRecord, TooLarge
from ctxbridge.model import RecordRead, RecordWrite

T = TypeVar("T")
Name = Sequence[str]

MOST_BYTES = 8 * 1024 * 1024
"""No record is larger: whoever carries it has everybody else wait."""
TRIES = 64
"""So often is a change tried anew that others came before."""

_AT_ONCE = 32
_COUNTED_SECONDS = 3_600.0


class Records:
    """Reads and writes records of one tenant in one scope.

    `lifetime_seconds` is how long each lasts after it was written, 0 for ever.
    """

    def __init__(self, bridge: Bridge[Any], scope: str, lifetime_seconds: float = 0.0) -> None:
        self.bridge = bridge
        self.lifetime_seconds = lifetime_seconds
        self._scope = scope

    def now(self) -> int:
        """Unix milliseconds."""
        return self.bridge.clock.now()

    def fresh(self) -> str:
        """A word that no record had in its name before."""
        return self.bridge.ids.new().hex()

    async def read(self, name: Name) -> tuple[bytes, int]:
        """What the record holds and its revision; nothing and 0 where there is none."""
        read = RecordRead(self.bridge.tenant, self._scope, _text(name), self.now())
        record = await self.bridge.store.records(read)
        return (record.value, record.revision) if record is not None else (b"", 0)

    async def write(
        self,
        name: Name,
        value: bytes,
        revision: int | None = None,
        *,
        lifetime_seconds: float | None = None,
    ) -> int:
        """Write the record, and give its revision; `Conflict` unless it was at `revision`.

        Raises `TooLarge` beyond 8 MiB, and `StoreError`.
        """
        if len(value) > MOST_BYTES:
            raise TooLarge(f"a record ({name[0]})", len(value), MOST_BYTES)
        lasts = self.lifetime_seconds if lifetime_seconds is None else lifetime_seconds
        write = RecordWrite(
            self.bridge.tenant, self._scope, _text(name), self.now(), value, revision, lasts
        )
        record = await self.bridge.store.records(write)
        assert record is not None
        return record.revision

    async def drop(self, name: Name) -> None:
        """Delete the record, whatever it holds."""
        write = RecordWrite(self.bridge.tenant, self._scope, _text(name), self.now(), None)
        await self.bridge.store.records(write)

    async def empty(self, name: Name, revision: int) -> int:
        """Take all out of the record, and let its revisions be counted on for a while.

        Were it deleted, who still holds an old revision might meet the same number again.
        """
        return await self.write(name, b"", revision, lifetime_seconds=_COUNTED_SECONDS)


def _text(name: Name) -> str:
    return msgspec.json.encode(name).decode()


packed = msgspec.msgpack.encode


def unpacked(data: bytes, kind: type[T]) -> T:
    """The value that was packed; `CorruptRecord` if it is damaged."""
    try:
        return msgspec.msgpack.decode(data, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise CorruptRecord(f"a stored {kind.__name__.lower()} is damaged") from None


async def together(calls: Iterable[Awaitable[T]]) -> list[T]:
    """The answers in the order of the calls, which run beside each other, some at a time.

    Raises the first error, once all have ended.
    """
    answers: dict[int, T] = {}
    errors: list[Exception] = []

    async def take(place: int, call: Awaitable[T]) -> None:
        try:
            answers[place] = await call
        except Exception as error:  # noqa: BLE001 - one error is told, not a group of them
            errors.append(error)

    numbered = enumerate(calls)
    while some := list(islice(numbered, _AT_ONCE)):
        if len(some) == 1:
            await take(*some[0])
            continue
        async with anyio.create_task_group() as group:
            for place, call in some:
                group.start_soon(take, place, call)
    if errors:
        raise errors[0]
    return [answers[place] for place in sorted(answers)]
