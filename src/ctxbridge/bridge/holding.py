"""A turn's hold on its conversation: the lease while it runs, and giving it back."""

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import anyio

from ctxbridge.bridge.finishing import give_back
from ctxbridge.bridge.leases import Lease
from ctxbridge.errors import UsageError
from ctxbridge.model import Inbound, Opened

if TYPE_CHECKING:
    from ctxbridge.bridge.bridge import Bridge


class Hold:
    """What one turn holds; nothing, where another has the turn or it was answered before."""

    def __init__(self, bridge: "Bridge[Any]", opened: Opened) -> None:
        self._bridge = bridge
        self._opened = opened
        self._lease: Lease | None = None

    def begin(self, inbound: Inbound) -> None:
        """The turn is ours: renew its lease from now on."""
        contact, settings = self._opened.context.contact, self._bridge.settings
        assert contact is not None
        self._lease = Lease(contact.id, self._opened.turn, self._opened.fence, inbound.sender)
        watched = any(overlap.mode == "supersede" for overlap in settings.overlaps.values())
        self._bridge.leases.hold(self._lease, watched=watched)

    @property
    def lost(self) -> anyio.Event:
        """Set when another worker has the turn; raises `UsageError` where it was never ours."""
        if self._lease is None:
            raise UsageError("this turn is held by nobody: see turn.status")
        return self._lease.lost

    def drop(self) -> None:
        """Renew the lease no more."""
        if self._lease is not None:
            self._bridge.leases.drop(self._lease)

    def end(self) -> None:
        """The turn has ended: renew nothing, and tell who waits for it in this process."""
        self.drop()
        contact = self._opened.context.contact
        if contact is not None:
            self._bridge.lines.call(contact.id)

    async def give_back(self, accepted_at: int, *, at_once: bool = False) -> None:
        """Let another worker have the turn, whatever becomes of this one; see `give_back`."""
        self.drop()
        if self._opened.status != "new":
            return
        # The error inside the block is the one to tell, whatever becomes of this.
        with anyio.CancelScope(shield=True), anyio.move_on_after(5.0), suppress(Exception):
            await give_back(self._bridge, self._opened, accepted_at, at_once=at_once)
        self.end()
