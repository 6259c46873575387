"""Records: scoped bytes with a revision and a lifetime, one key each."""

import asyncio

from ctxbridge.errors import Conflict, CorruptRecord
from ctxbridge.model import Record, RecordRead, RecordWrite
from ctxbridge.model.record import CONTROL
from ctxbridge.rules import fold
from ctxbridge.rules.control import require_control
from ctxbridge.stores.redis.ground import Ground
from ctxbridge.stores.redis.request import Request
from ctxbridge.stores.redis.resp import pack
from ctxbridge.stores.redis.scripts import CONTROL as COPY
from ctxbridge.stores.redis.scripts import RECORD
from ctxbridge.stores.redis.values import keys_of, packed_write
from ctxbridge.wire import decode_record

_NONCE_BYTES = 8
_MARGIN_MILLISECONDS = 86_400_000
"""How much longer than its record a key lives, so that the revision is counted on."""


class Recording:
    """`Store.records`."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    async def read(self, read: RecordRead) -> Record | None:
        """The record, if it is there and has not expired."""
        shard, key = self._ground.keys.record(read.tenant, read.scope, read.name)
        request = Request((pack(b"GET", key), pack(b"PTTL", key)))
        raw, left = await self._ground.courier.read(shard, request)
        if raw is None or len(raw) == _NONCE_BYTES:
            return None
        if not isinstance(raw, bytes) or len(raw) < _NONCE_BYTES:
            raise CorruptRecord("a stored record is damaged")
        record = decode_record(raw[_NONCE_BYTES:])
        if self._ground.settings.clock == "caller":
            return None if fold.expired(record, read.now) else record
        # On the server's own clock: the callers' clocks need not agree.
        return None if record.expires_at and left <= _MARGIN_MILLISECONDS else record

    async def write(self, write: RecordWrite) -> Record | None:
        """Write or delete the record; the tenant's control goes into every shard behind that."""
        require_control(write)
        record = await self._write(write)
        if (write.scope, write.name) == CONTROL and write.value is not None:
            await self._copy(write.tenant, write.value)
        return record

    async def _copy(self, tenant: str, control: bytes) -> None:
        """Put the control where the scripts find it: in the slot of each shard.

        Where that breaks off, the same act again finishes it: a copy never takes back a newer one.
        """
        shards = range(self._ground.keys.shards)
        copies = [self._copy_into(shard, tenant, control) for shard in shards]
        # One that fails keeps no other from being stopped.
        for failed in await asyncio.gather(*copies, return_exceptions=True):
            if failed is not None:
                raise failed

    async def _copy_into(self, shard: int, tenant: str, control: bytes) -> None:
        nonce, key = self._ground.nonce(), self._ground.keys.agenda(tenant, shard).control
        request = COPY.request(nonce, keys_of(key), 1, nonce, control)
        self._ground.require_sound(await self._ground.courier.write(shard, request))

    async def _write(self, write: RecordWrite) -> Record | None:
        nonce, ground = self._ground.nonce(), self._ground
        shard, key = ground.keys.record(write.tenant, write.scope, write.name)
        deletes = write.value is None
        fixed = packed_write(
            nonce, ground.time(write.now), write.lifetime_seconds, write.revision, deletes=deletes
        )
        request = RECORD.request(nonce, keys_of(key), 1, fixed, write.value or b"")
        reply = await ground.courier.write(shard, request)
        if ground.require_sound(reply) == b"conflict":
            raise Conflict("a record has another revision than expected; read it again")
        _, _, revision, ends = reply
        return None if write.value is None else Record(write.value, revision, ends)
