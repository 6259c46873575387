"""What a page has missed, out of the log: only what it may see, and what may leave."""

from collections.abc import Iterable
from hashlib import blake2b
from typing import Any

from ctxbridge.bridge import Bridge
from ctxbridge.bridge.gating import SendGate
from ctxbridge.channels.webchat.connection import Connection, encoded
from ctxbridge.channels.webchat.frames import Writer, client_msg_id_of
from ctxbridge.delivery.senders.webchat import shown
from ctxbridge.model import Address, Context, Endpoint, Message
from ctxbridge.model.revision import EDITED, is_deletion, revised

Placed = tuple[int, Message]

_LEFT = frozenset({"claimed", "unknown", "sent", "delivered", "read"})
"""What the gate has let go once. What waits or failed since nobody was there is asked anew."""

LEAVING_MILLISECONDS = 15_000
"""How long after it was stored a reply may be leaving, and nobody has noted yet that it has."""


def log_of(context: Context, address: Address) -> str:
    """A name for the conversation's log, which tells nothing of it; empty while there is none."""
    if context.contact is None:
        return ""
    return blake2b(context.contact.id + str(address).encode(), digest_size=12).hexdigest()


class Look:
    """One look into the log of `writer`.

    Once `frames` was asked, `unsure` says that something may be leaving this moment: it is to be
    looked again soon.
    """

    def __init__(self, bridge: Bridge[Any], endpoint: Endpoint, writer: Writer) -> None:
        self._bridge = bridge
        self._endpoint = endpoint
        self._writer = writer
        self._gate = SendGate(bridge)
        self._context: Context | None = None
        self.unsure = False

    async def read(self, entries: int) -> Context:
        """The newest entries, as this writer may see them."""
        writer = self._writer
        self._context = await self._bridge.context(
            writer.address, window=entries, assurance=writer.assurance, fresh=True
        )
        return self._context

    def ours(self) -> list[int]:
        """Where messages of ours stand that this page may have been shown."""
        return [seq for seq, m in self._own() if m.author != "contact" and m.visible]

    async def frames(self, connection: Connection) -> list[str]:
        """What the page has not got, oldest first."""
        assert self._context is not None
        own, log = self._own(), log_of(self._context, self._writer.address)
        revisions = [m for _, m in own if m.revises]
        found: list[str] = []
        for seq, message in own:
            if not connection.lacks(seq, log):
                continue
            if message.author == "contact":
                frame = theirs(seq, message, revisions)
            else:
                frame = await self._of_ours(seq, message)
            if frame is not None:
                found.append(encoded(frame))
        return found

    def _own(self) -> list[Placed]:
        """The messages of this chat: by this writer, to this app, and not forgotten yet."""
        assert self._context is not None
        since = self._bridge.clock.now() - int(self._bridge.settings.remember_seconds * 1000)
        return [
            (seq, entry)
            for seq, entry in self._context.window.numbered()
            if isinstance(entry, Message)
            and entry.address == self._writer.address
            and entry.endpoint == self._endpoint
            and entry.accepted_at >= since
        ]

    async def _of_ours(self, seq: int, message: Message) -> dict[str, object] | None:
        if not message.visible or not await self._may_be_shown(seq, message):
            return None
        return shown(message, seq)

    async def _may_be_shown(self, seq: int, message: Message) -> bool:
        """Whether it left once, or was tried to and may leave now."""
        assert self._context is not None
        find, now = self._bridge.outbox.known_as, self._bridge.clock.now()
        delivery = await find(str(seq), self._endpoint, self._writer.address)
        if delivery is None:
            self.unsure |= now - message.accepted_at < LEAVING_MILLISECONDS
            return False
        if delivery.status == "withheld":
            return False
        if delivery.status in _LEFT:
            return True
        permit = await self._gate(self._context, message)
        return not permit.refused and permit.until <= now


def theirs(
    seq: int, message: Message, revisions: Iterable[Message] = ()
) -> dict[str, object] | None:
    """The frame for what the contact wrote themselves, maybe in another tab."""
    if message.revises:
        kind = "delete" if is_deletion(message) else "edit"
        frame = {"type": kind, "seq": seq, "of": client_msg_id_of(message.revises)}
        return frame if kind == "delete" else frame | {"text": message.text}
    now = revised(message, revisions)
    if now is None:
        return None
    edited = {"edited": True} if EDITED in now.flags else {}
    return shown(now, seq) | {"client_msg_id": client_msg_id_of(message.message_id)} | edited
