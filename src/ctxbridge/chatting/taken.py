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
        self._acknowledged = False

    async def run(self) -> None:
        """Return when its turn has ended; what goes wrong is told and logged."""
        try:
            turn = await self._terms.bridge.answer(self._inbound, self._think)
            await self._acknowledge(turn)
            if turn.status == "noted":
                await self._spread_revision()
        except CtxBridgeError as failed:
            logger.warning("a chat message was not answered: %s", type(failed).__name__)
            self._refuse(type(failed).__name__, again=failed.retry_safe)
        except Exception as failed:  # noqa: BLE001 - an agent is foreign code
            logger.error("an agent raised %s; its turn waits", type(failed).__name__)  # noqa: TRY400
            self._refuse("internal", again=True)

    async def _think(self, turn: Turn[Any]) -> str | None:
        """The agent's part, behind the acknowledgement."""
        await self._acknowledge(turn)
        await self._show_typing(on=True)
        try:
            return await self._terms.agent(turn)
        finally:
            await self._show_typing(on=False)

    async def _acknowledge(self, turn: Turn[Any]) -> None:
        if self._acknowledged:
            return
        address = self._inbound.sender
        ids = {m.message_id for m in turn.messages}
        frame: dict[str, object] = {"type": "ack", "client_msg_id": self._called}
        if log := log_of(turn.context, address):
            frame["log"] = log
        for seq, entry in turn.context.window.numbered():
            if not isinstance(entry, Message) or not self._is_mine(entry):
                continue
            if entry.message_id == self._inbound.message_id:
                frame["seq"] = seq
            if entry.message_id in ids and (told := theirs(seq, entry)) is not None:
                await self._terms.sender.tell(address, told)
        self._tell(encoded(frame))
        self._acknowledged = True

    def _is_mine(self, message: Message) -> bool:
        mine = (self._inbound.sender, self._inbound.endpoint)
        return message.author == "contact" and (message.address, message.endpoint) == mine

    async def _spread_revision(self) -> None:
        """Let other tabs change what they show."""
        inbound = self._inbound
        kind = "edit" if inbound.parts else "delete"
        frame = {"type": kind, "of": client_msg_id_of(inbound.revises), "text": inbound.text}
        await self._terms.sender.tell(inbound.sender, frame)

    def _refuse(self, reason: str, *, again: bool) -> None:
        """Tell the page, unless it was told that the message is stored: it waits then."""
        if not self._acknowledged:
            self._tell(error(reason, self._called, again=again))

    async def _show_typing(self, *, on: bool) -> None:
        frame = {"type": "typing", "author": "agent", "on": on}
        await self._terms.sender.tell(self._inbound.sender, frame)
