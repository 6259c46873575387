"""A framework's items in the log of a conversation: written as JSON, read as they were."""

import json
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from ctxbridge.bridge import Bridge
from ctxbridge.errors import Fenced, Malformed, TooLarge
from ctxbridge.model import (
    Address,
    Assurance,
    Change,
    Claim,
    Committed,
    Context,
    Endpoint,
    Message,
    Opaque,
    Part,
)
from ctxbridge.wire.checked import MAX_MESSAGE_BYTES, checked

_TRIES = 3
_FRAMES = 64
"""Bytes that an item takes in the log besides its JSON, at most."""


def written(item: Any, kind: str) -> Opaque:
    """The item as it is stored. Raises `Malformed` for what is no JSON object, `TooLarge`."""
    if not isinstance(item, dict):
        raise Malformed(f"an item of {kind} is a JSON object")
    if (size := _characters(item)) > MAX_MESSAGE_BYTES:
        raise TooLarge(f"an item of {kind}", size, MAX_MESSAGE_BYTES)
    try:
        try:
            data = _json(item, ascii=False)
        except UnicodeEncodeError:  # a lone surrogate stays what it is, escaped
            data = _json(item, ascii=True)
    except (TypeError, ValueError, RecursionError):
        raise Malformed(f"an item of {kind} cannot be written as JSON") from None
    if len(data) > MAX_MESSAGE_BYTES:
        raise TooLarge(f"an item of {kind}", len(data), MAX_MESSAGE_BYTES)
    return Opaque(kind, data)


def _characters(item: Any) -> int:
    """The characters of the item's texts, or so many that it is surely too large: at a glance."""
    size, rest = 0, [item]
    while rest and size <= MAX_MESSAGE_BYTES:
        value = rest.pop()
        size += len(value) if isinstance(value, (str, list, dict)) else 1
        if isinstance(value, dict):
            rest += value.values()
        elif isinstance(value, list):
            rest += value
    return size


def _json(item: Any, *, ascii: bool) -> bytes:
    text = json.dumps(item, ensure_ascii=ascii, allow_nan=False, separators=(",", ":"))
    return text.encode()


def read(part: Opaque) -> Any:
    """The item; `None` where its bytes are damaged."""
    try:
        return msgspec.json.decode(part.data)
    except (msgspec.DecodeError, RecursionError):
        pass
    try:  # the slower one knows lone surrogates
        return json.loads(part.data)
    except (ValueError, RecursionError):
        return None


def fitting(parts: Sequence[Opaque]) -> None:
    """Raise `TooLarge` where these do not fit into one entry of the log."""
    size = sum(len(part.data) + _FRAMES for part in parts)
    if size > MAX_MESSAGE_BYTES:
        raise TooLarge("what is added at once", size, MAX_MESSAGE_BYTES)


class ItemLog:
    """The log of one address, outside of turns: one round trip to read, and one to append."""

    def __init__(self, bridge: Bridge[Any], address: Address | str) -> None:
        where = Address.parse(address) if isinstance(address, str) else address
        self._bridge = bridge
        self.address: Address = checked(where)
        self._contact = b""

    async def read(self, window: int, *, fresh: bool = True) -> Context:
        """The latest entries of the log, 0 for all; not `fresh`, a near cache may answer."""
        context = await self._bridge.context(self.address, window=window, fresh=fresh)
        self._contact = context.contact.id if context.contact else b""
        return context

    async def append(self, parts: Sequence[Opaque], once: bytes = b"") -> bool:
        """Append the parts as one entry, and tell whether that was done.

        With `once` only the first of all who append under this key does. Raises `TooLarge` for more
        than a megabyte, `Fenced` for an address that is erased meanwhile, and `StoreError`.
        """
        fitting(parts)
        now, turn = self._bridge.clock.now(), once or self._bridge.ids.new()
        entry = self._message(turn, tuple(parts), now)
        for _ in range(_TRIES):
            if not self._contact and not await self._known(turn, now):
                raise Fenced("this address was erased while it was written to; nothing was stored")
            done = await self._commit(Change(
                self._bridge.tenant, self._contact, turn, now, append=(entry,),
                remember_seconds=self._bridge.settings.remember_seconds,
            ))  # fmt: skip
            if done is not None:
                return not done.replayed
            self._contact = b""
        raise Fenced("the contact of this address keeps changing; nothing was stored")

    async def amend(
        self, place: int, message: Message, parts: tuple[Part, ...], once: bytes
    ) -> bool:
        """Leave only `parts` of the message at `place`, if nobody else did under `once`."""
        message = replace(message, parts=parts)
        if not parts:
            message = replace(message, disposition="withheld")
        now = self._bridge.clock.now()
        done = await self._commit(Change(
            self._bridge.tenant, self._contact, once, now, amend=((place, message),),
            remember_seconds=self._bridge.settings.remember_seconds,
        ))  # fmt: skip
        return done is not None and not done.replayed

    def _message(self, turn: bytes, parts: tuple[Opaque, ...], now: int) -> Message:
        return Message(
            turn, "agent", self.address.channel, parts, now, "accepted", self.address,
            message_id=turn.hex(),
        )  # fmt: skip

    async def _commit(self, change: Change) -> Committed | None:
        outcome = await self._bridge.store.commit(change)
        return outcome if isinstance(outcome, Committed) else None

    async def _known(self, turn: bytes, now: int) -> bool:
        """Find whose the address is; somebody never heard of becomes a contact."""
        context = await self.read(1)
        if context.contact is not None:
            return True
        mark = Message(
            turn, "system", self.address.channel, (), now, "withheld", self.address,
            message_id=turn.hex(),
        )  # fmt: skip
        ids = self._bridge.ids
        claim = Claim(
            self._bridge.tenant, Endpoint(self.address.channel, "framework"), self.address, mark,
            turn, turn, ids.new(), ids.new(), now, Assurance.CLAIMED, (), 0.0,
        )  # fmt: skip
        opened = await self._bridge.store.open(claim)
        contact = opened.context.contact
        self._contact = contact.id if contact else b""
        return bool(self._contact)
