"""A message of a page on its way: stored, acknowledged, answered."""

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ctxbridge.bridge import Turn
from ctxbridge.channels.webchat.connection import encoded, error
from ctxbridge.channels.webchat.frames import client_msg_id_of
from ctxbridge.chatting.missed import log_of, theirs
from ctxbridge.errors import CtxBridgeError
from ctxbridge.model import Inbound, Message

if TYPE_CHECKING:
    from ctxbridge.chatting.talk import Terms

logger = logging.getLogger("ctxbridge.chatting")

Tell = Callable[[str], object]


class Taken:
    """One message, which goes its way also when the page is gone.

    `tell` writes to the page that sent it; what concerns all tabs of the person goes by the sender.
    """

    def __init__(self, terms: "Terms", inbound: Inbound, tell: Tell) -> None:
        self._terms = terms
        self._inbound = inbound
        self._tell = tell
        self._called = client_msg_id_of(inbound.message_id)

    async def run(self) -> None:
        """Return when its turn has ended; what goes wrong is told and logged."""
        try:
            accepted = await self._terms.bridge.accept(self._inbound, self._think)
        except CtxBridgeError as failed:
            logger.warning("a chat message was not accepted: %s", type(failed).__name__)
            self._tell(error(type(failed).__name__, self._called, again=failed.retry_safe))
            return
        self._tell(encoded({"type": "ack", "client_msg_id": self._called}))
        if accepted.status == "noted":
            await self._spread_revision()
        await accepted.wait()

    async def _think(self, turn: Turn[Any]) -> str | None:
        """The agent's part, behind the acknowledgement."""
        await self._spread(turn)
        await self._show_typing(on=True)
        try:
            reply: str | None = await self._terms.agent(turn)
            return reply
        finally:
            await self._show_typing(on=False)

    async def _spread(self, turn: Turn[Any]) -> None:
        """Let all tabs show what is to be answered now, and where in the log it stands."""
        address = self._inbound.sender
        ids = {m.message_id for m in turn.messages}
        log = {"log": log_of(turn.context, address)}
        for seq, entry in turn.context.window.numbered():
            if not isinstance(entry, Message) or entry.message_id not in ids:
                continue
            told = theirs(seq, entry) if self._is_mine(entry) else None
            if told is not None:
                await self._terms.sender.tell(address, told | log)

    def _is_mine(self, message: Message) -> bool:
        mine = (self._inbound.sender, self._inbound.endpoint)
        return message.author == "contact" and (message.address, message.endpoint) == mine

    async def _spread_revision(self) -> None:
        """Let other tabs change what they show."""
        inbound = self._inbound
        kind = "edit" if inbound.parts else "delete"
        frame = {"type": kind, "of": client_msg_id_of(inbound.revises), "text": inbound.text}
        await self._terms.sender.tell(inbound.sender, frame)

    async def _show_typing(self, *, on: bool) -> None:
        frame = {"type": "typing", "author": "agent", "on": on}
        await self._terms.sender.tell(self._inbound.sender, frame)
