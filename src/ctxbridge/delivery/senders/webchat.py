"""Web chat: our own frames of JSON, written to whoever is connected to this process.

A message is ``{"type": "message", "seq": 12, "id": ..., "text": ..., "author": ..., "at":
1700000000000}``: its place in the conversation's log, and the time in Unix milliseconds. A text
that is still being written is ``{"type": "draft", "id": ..., "text": ...}`` under the id that the
message will have. The page drops a message whose place it has seen, shows the latest draft only,
and takes it away when the message comes or the draft's text is empty.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager

import anyio
import msgspec

from ctxbridge.model import Address, Message, Outgoing, Sent
from ctxbridge.rules.text import clean

Write = Callable[[str], Awaitable[object]]

NOT_CONNECTED_SECONDS = 5.0
"""How long to wait before the next attempt: about what a page needs to connect again."""


def shown(message: Message, seq: int) -> dict[str, object]:
    """The frame that shows a message of the log, which stands at `seq`."""
    return {
        "type": "message",
        "seq": seq,
        "text": clean(message.text),
        "author": message.author,
        "at": message.accepted_at,
    }


class WebChatSender:
    """Sends to the pages that are connected here: both a `Sender` and a `Streamer`.

    It runs on asyncio and trio, and must stay on the event loop that it was first used on. A write
    may take half of `timeout_seconds`; one that takes longer, or raises, ends the connection's
    part in this, and its owner should close it so that the page connects anew.
    """

    channel: str = "chat"
    repeatable: bool = True

    def __init__(self, *, per_second: float = 0.0, timeout_seconds: float = 10.0) -> None:
        self.per_second = per_second
        self.timeout_seconds = timeout_seconds
        # A key for each connection, since the same `write` may be given twice.
        self._tabs: dict[Address, dict[object, Write]] = {}

    @contextmanager
    def connected(self, address: Address, write: Write) -> Iterator[None]:
        """Let `address` be reached by ``await write(text)`` for as long as the block runs.

        An address may have several connections, such as two tabs; each of them gets every frame.
        `write` is called by one task for each frame, so frames may overlap if it is slow.
        """
        key = object()
        self._tabs.setdefault(address, {})[key] = write
        try:
            yield
        finally:
            self._drop(address, key)

    async def send(self, outgoing: Outgoing, /) -> Sent:
        """Write the message to all connections of its address; one that took it is enough.

        Its id at the provider, which is us, is its place in the log: the page acknowledges that.
        ``failed``: ``chat.empty`` for a message without words. ``retry``: ``chat.not_connected``,
        where nobody is connected, or no connection took it.
        """
        if not clean(outgoing.text).strip():
            return Sent("failed", code="chat.empty")
        place = outgoing.delivery.place
        frame = shown(outgoing.message, place) | {"id": outgoing.key}
        if await self.tell(outgoing.address, frame):
            return Sent("sent", provider_id=str(place))
        wait = NOT_CONNECTED_SECONDS
        return Sent("retry", provider_id=str(place), code="chat.not_connected", retry_after=wait)

    async def show(self, outgoing: Outgoing, /) -> None:
        """Show the text so far; an empty one takes the draft back. Errors are ignored."""
        frame: dict[str, object] = {
            "type": "draft",
            "id": outgoing.key,
            "text": clean(outgoing.text),
        }
        await self.tell(outgoing.address, frame)

    def connections(self, address: Address) -> int:
        """How many connections of the address there are here; 0 for nobody present."""
        return len(self._tabs.get(address, ()))

    async def aclose(self) -> None:
        """Forget all connections; they are their owners' to close."""
        self._tabs.clear()

    async def tell(self, address: Address, frame: Mapping[str, object]) -> bool:
        """Write any frame to all connections of the address; whether one of them took it.

        All are written to at once: none waits for another.
        """
        text = msgspec.json.encode(frame).decode()
        took: list[bool] = []
        async with anyio.create_task_group() as tasks:
            for key, write in tuple(self._tabs.get(address, {}).items()):
                tasks.start_soon(self._write_one, address, key, write, text, took)
        return bool(took)

    async def _write_one(
        self, address: Address, key: object, write: Write, text: str, took: list[bool]
    ) -> None:
        with anyio.move_on_after(self.timeout_seconds / 2):
            try:
                await write(text)
            except Exception:  # noqa: BLE001, S110 - whatever a web framework raises, it is closed
                pass
            else:
                took.append(True)
                return
        # Also after a write that was cut short: what it left behind in the connection is unknown.
        self._drop(address, key)

    def _drop(self, address: Address, key: object) -> None:
        tabs = self._tabs.get(address, {})
        tabs.pop(key, None)
        if not tabs:
            self._tabs.pop(address, None)
