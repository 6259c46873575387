"""Keys: a data key for each owner, wrapped by the tenant's key, which comes from outside."""

import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from inspect import isawaitable
from typing import Any, Generic, TypeVar

from ctxbridge.errors import ConfigurationError, CtxBridgeError, KeyMissing, Unavailable
from ctxbridge.stores.sealed.envelope import (
    KEY_BYTES,
    DataKey,
    key_in,
    new_data_key,
    unwrapped,
    wrapping_cipher,
)
from ctxbridge.wire.keys import tenant_key

KeySource = Callable[[str, str | None], tuple[str, bytes] | Awaitable[tuple[str, bytes]]]
"""Gives a tenant's key of 32 bytes with its id: that of an id, or the newest for `None`. Plain or
async; `LookupError` says that there is no such key."""

V = TypeVar("V")
_LONGEST_ID = 255
_MOST_TENANT_KEYS = 1_024

logger = logging.getLogger("ctxbridge")


class _Latest(Generic[V]):
    """The values that were used last, at most so many."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._values: OrderedDict[Any, V] = OrderedDict()

    def get(self, key: Any) -> V | None:
        value = self._values.get(key)
        if value is not None:
            self._values.move_to_end(key)
        return value

    def put(self, key: Any, value: V) -> None:
        self._values[key] = value
        self._values.move_to_end(key)
        if len(self._values) > self._most:
            self._values.popitem(last=False)


class KeyRing:
    """The keys in use in this process: bounded, and never shown.

    `most` is how many data keys are kept unwrapped. The newest key of a tenant is asked for again
    after `fresh_seconds` of the caller's time.
    """

    def __init__(self, source: KeySource, most: int, fresh_seconds: float) -> None:
        if not callable(source):
            raise ConfigurationError(
                "seal= takes a function: (tenant, key id or None) to (key id, 32 bytes)"
            )
        self._source = source
        self._fresh = round(fresh_seconds * 1000)
        self._tenants: _Latest[Any] = _Latest(_MOST_TENANT_KEYS)
        self._newest: _Latest[tuple[str, int]] = _Latest(_MOST_TENANT_KEYS)
        self._writing: _Latest[DataKey] = _Latest(most)
        self._reading: _Latest[DataKey] = _Latest(most)

    def __repr__(self) -> str:
        return "<KeyRing>"

    async def for_writing(self, tenant: str, owner: bytes, now: int) -> DataKey:
        """The key to seal with; a new one where none is known, or the tenant has a newer key.

        Raises `KeyMissing`, `ConfigurationError`, or `Unavailable` if the source of keys fails.
        """
        newest = await self._id_of_newest(tenant, now)
        held = self._writing.get((tenant, owner))
        if held is None or held.key_id != newest:
            held = new_data_key(await self._tenant_key(tenant, newest), tenant_key(tenant), newest)
            self._writing.put((tenant, owner), held)
            self._reading.put((tenant, held.header), held)
        return held

    async def for_reading(
        self, tenant: str, headers: Iterable[bytes]
    ) -> dict[bytes, DataKey | str | None]:
        """The keys that these headers of sealed values name.

        An id stands for a tenant's key that is missing, `None` for what is damaged. Raises
        `ConfigurationError`, or `Unavailable` if the source of keys fails.
        """
        found: dict[bytes, DataKey | str | None] = {}
        for header in dict.fromkeys(headers):
            found[header] = self._reading.get((tenant, header)) or await self._unwrap(
                tenant, header
            )
        return found

    async def _unwrap(self, tenant: str, header: bytes) -> DataKey | str | None:
        named = key_in(header)
        if named is None:
            return None
        id, wrapped = named
        try:
            wrapping = await self._tenant_key(tenant, id)
        except KeyMissing:
            return id
        key = unwrapped(wrapping, tenant_key(tenant), id, wrapped)
        if key is not None:
            self._reading.put((tenant, header), key)
        return key

    def share(
        self, tenant: str, address: bytes, contact: bytes, met: Iterable[DataKey | str | None]
    ) -> None:
        """From now on the address is written for with the key of its contact.

        That is the one in use here, or of those `met` in reading the first, so that processes come
        to use the same.
        """
        newest, _ = self._newest.get(tenant) or ("", 0)
        own, new = self._writing.get((tenant, contact)), self._writing.get((tenant, address))
        for key in (own, *met, new):
            if isinstance(key, DataKey) and key.key_id == newest:
                if own is not key:
                    self._writing.put((tenant, contact), key)
                if new is not key:
                    self._writing.put((tenant, address), key)
                return

    async def _id_of_newest(self, tenant: str, now: int) -> str:
        held = self._newest.get(tenant)
        if held is not None and abs(now - held[1]) <= self._fresh:
            return held[0]
        try:
            id, cipher = await self._ask(tenant, None)
        except Unavailable as error:
            if held is None:
                raise
            logger.warning("%s; the newest key that is known is used on", error)
            id, cipher = held[0], None
        if cipher is not None:
            self._tenants.put((tenant, id), cipher)
        self._newest.put(tenant, (id, now))
        return id

    async def _tenant_key(self, tenant: str, id: str) -> Any:
        held = self._tenants.get((tenant, id))
        if held is None:
            _, held = await self._ask(tenant, id)
            self._tenants.put((tenant, id), held)
        return held

    async def _ask(self, tenant: str, id: str | None) -> tuple[str, Any]:
        """Ask the source; what it raises is not repeated, since it may tell of a key."""
        try:
            answer = self._source(tenant, id)
            if isawaitable(answer):
                answer = await answer
        except LookupError:
            raise KeyMissing(id or "") from None
        except CtxBridgeError:
            raise
        except Exception as error:  # noqa: BLE001 - a source may raise anything
            raise Unavailable(f"the source of keys failed ({type(error).__name__})") from None
        return _checked(answer, id)


def _checked(answer: Any, id: str | None) -> tuple[str, Any]:
    if isinstance(answer, tuple) and len(answer) == 2:  # noqa: SIM102
        if isinstance(answer[0], str) and isinstance(answer[1], bytes | bytearray):
            named, key = answer
            fits = 0 < len(named.encode("utf-8", "replace")) <= _LONGEST_ID
            if fits and named.isprintable() and len(key) == KEY_BYTES and id in {None, named}:
                return named, wrapping_cipher(bytes(key))
    raise ConfigurationError(
        "the source of keys must give the id that was asked for (up to 255 bytes) and 32 bytes"
    )
