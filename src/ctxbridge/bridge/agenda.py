"""When to look at which conversation again: one record of a tenant, kept short.

What is to be done then stands in the log alone. So an entry too many does no harm, and each is
written before the step that it is for. Whoever sweeps takes an entry for a while; who dies with
it loses nothing, it is due again.
"""

from collections.abc import Callable, Iterable, Sequence
from random import random
from typing import TYPE_CHECKING, Any, Literal

import anyio
import msgspec
from msgspec import Struct
from msgspec.structs import replace

from ctxbridge.errors import Busy, Conflict, TooLarge
from ctxbridge.model import Address, Record, RecordRead, RecordWrite

if TYPE_CHECKING:
    from ctxbridge.bridge.bridge import Bridge

SCOPE, NAME = "handoff", "agenda"
MOST = 4_000
"""Entries at a time: each is an offer that stands, or a word to a helpdesk that is under way."""
MOST_AT_A_TIME = 100
HOLD_MILLISECONDS = 300_000
"""How long an entry is its taker's, who then has to be believed dead."""
_GRACE_SECONDS = 30 * 86_400.0
_TRIES = 100
_LONGEST_PAUSE_SECONDS = 0.05


What = Literal["end", "tell"]


class Look(Struct, frozen=True, array_like=True, gc=False):
    """Look at the conversation of an address, for an offer that ends or a helpdesk to be told.

    `due` and `made` are in Unix milliseconds; `attempt` counts how often it was told in vain.
    """

    what: What
    due: int
    made: int
    channel: str
    value: str
    scope: str = ""
    attempt: int = 0

    @property
    def address(self) -> Address:
        """Whose conversation."""
        return Address(self.channel, self.value, self.scope)

    def is_for(self, other: "Look") -> bool:
        """Whether both are about the same, so that one of them will do."""
        return self.what == other.what and self.address == other.address


_reader = msgspec.msgpack.Decoder(list[Look])
Edit = Callable[[list[Look]], list[Look]]


class Agenda:
    """What is to be looked at, by all processes of a tenant."""

    def __init__(self, bridge: "Bridge[Any]") -> None:
        self._bridge = bridge
        self._lock: anyio.Lock | None = None

    async def put(self, look: Look) -> None:
        """Look then; instead of what was meant for the same before. Raises `TooLarge`."""

        def edit(looks: list[Look]) -> list[Look]:
            kept = [one for one in looks if not one.is_for(look)]
            if len(kept) >= MOST:
                raise TooLarge("the offers that stand at once", len(kept) + 1, MOST)
            return [*kept, look]

        await self._edit(edit)

    async def take(self, what: What, now: int) -> Sequence[Look]:
        """The oldest that are due, for the caller alone to do, each with when it is due again."""
        taken: list[Look] = []

        def edit(looks: list[Look]) -> list[Look]:
            due = [one for one in looks if one.what == what and one.due <= now]
            due = sorted(due, key=lambda one: one.due)[:MOST_AT_A_TIME]
            taken[:] = [replace(one, due=now + HOLD_MILLISECONDS) for one in due]
            return [one for one in looks if one not in due] + taken

        await self._edit(edit)
        return taken

    async def done(self, taken: Look, then: Look | None = None) -> None:
        """What was taken is done, unless something came anew; `then` is to be done next."""

        def edit(looks: list[Look]) -> list[Look]:
            if taken not in looks:
                return looks
            kept = [one for one in looks if one != taken]
            return [*kept, then] if then is not None else kept

        await self._edit(edit)

    async def forget(self, addresses: Iterable[Address]) -> None:
        """Nothing of these is kept any more."""
        gone = frozenset(addresses)
        await self._edit(lambda looks: [one for one in looks if one.address not in gone])

    async def _edit(self, edit: Edit) -> None:
        """Write what `edit` makes of the entries; again where another process was faster."""
        if self._lock is None:  # made in the event loop that it is for
            self._lock = anyio.Lock()
        async with self._lock:
            await self._edit_alone(edit)

    async def _edit_alone(self, edit: Edit) -> None:
        store, tenant, now = self._bridge.store, self._bridge.tenant, self._bridge.clock.now()
        for _ in range(_TRIES):
            held = await store.records(RecordRead(tenant, SCOPE, NAME, now))
            looks = _read(held)
            after = edit(looks)
            if after == looks:
                return
            last = max([one.due for one in after], default=now)
            life = max(last - now, 0) / 1000 + _GRACE_SECONDS
            write = RecordWrite(
                tenant, SCOPE, NAME, now, msgspec.msgpack.encode(after),
                held.revision if held else 0, life,
            )  # fmt: skip
            try:
                await store.records(write)
            except Conflict:
                await anyio.sleep(random() * _LONGEST_PAUSE_SECONDS)
                continue
            return
        raise Busy("the agenda of handoffs kept changing; a retry is safe")


def _read(held: Record | None) -> list[Look]:
    return _reader.decode(held.value) if held is not None else []
