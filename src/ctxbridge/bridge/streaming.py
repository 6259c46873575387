"""A reply that is shown while it is being written, as far as the guards have let it through."""

from collections.abc import AsyncIterable, AsyncIterator, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import anyio
from msgspec.structs import replace

from ctxbridge.bridge.beholding import behold, was_taken
from ctxbridge.bridge.judging import Inquiry
from ctxbridge.bridge.replying import Reply, Replying
from ctxbridge.errors import CtxBridgeError, TooLarge, UsageError
from ctxbridge.model import Context, Delivery, Message, Outgoing, Query, Text
from ctxbridge.telemetry import held_back

if TYPE_CHECKING:
    from ctxbridge.bridge.bridge import Bridge

HOLD_BACK_CHARACTERS = 128
"""The end of a text is not shown before more has come: a guard may see there what it must mask.
A sender may ask for more or less, by an attribute `hold_back_characters`."""

_STEP_CHARACTERS = 32
_SHOW_SECONDS = 1.0
_MOST_CHARACTERS = 64 * 1024


class Stream:
    """One reply on its way. `delivery` is the id that it will leave under, empty where none will.

    What is shown has been judged as far as it goes, by the guards that judge the whole reply when
    the turn is committed, and under the consent, the floor and the control of that moment. Nothing
    is shown before the judges beside the agent have let the message through.
    """

    def __init__(
        self,
        bridge: "Bridge[Any]",
        inquiry: Inquiry,
        replying: Replying,
        context: Context,
        lost: anyio.Event,
    ) -> None:
        self._bridge = bridge
        self._inquiry = inquiry
        self._inbound = inbound = inquiry.inbound
        self._replying = replying
        self._context = context
        self._lost = lost
        sender: Any = bridge.outbox.sender_on(inbound.channel)
        self._show = getattr(sender, "show", None)
        self._held_back = getattr(sender, "hold_back_characters", HOLD_BACK_CHARACTERS)
        self.delivery = bridge.ids.new() if sender is not None else b""
        self._shown = ""

    async def collect(self, chunks: AsyncIterable[str], turn: bytes) -> str:
        """The whole text; meanwhile it is shown."""
        source = aiter(chunks)
        try:
            text = await self._read(source, turn)
        except BaseException:
            with anyio.CancelScope(shield=True), anyio.move_on_after(1.0):
                await self.withdraw(turn)
            raise
        finally:
            await _close(source)
        if self._lost.is_set():
            await self.withdraw(turn)
        return text

    async def _read(self, source: AsyncIterator[str], turn: bytes) -> str:
        text, judged_at = "", 0
        async for chunk in source:
            given: Any = chunk
            if not isinstance(given, str):
                raise UsageError("a stream is of texts")
            text += given
            if len(text) > _MOST_CHARACTERS:
                raise TooLarge("a reply", len(text), _MOST_CHARACTERS)
            if self._lost.is_set():
                break
            if self._show and len(text) - judged_at >= _STEP_CHARACTERS:
                judged_at = len(text)
                await self._show_of(text, turn)
        return text

    async def _show_of(self, text: str, turn: bytes) -> None:
        beside = self._inquiry.beside
        if beside is not None and beside.thinks:
            return
        context = await self._context_now() if await self._inquiry.cleared() else None
        if context is None:
            await self._end(turn)
            return
        now = self._bridge.clock.now()
        first, *_ = await self._replying.judge(turn, [Reply(text)], context, now)
        message = first.message
        if message.author != "agent" or first.due:
            return
        if not message.visible:
            await self._end(turn)
            return
        shown = message.text[: -self._held_back or None]
        held_back(message.channel, len(message.text[len(shown) :].encode()))
        if shown and shown != self._shown:
            self._shown = shown
            await self._put(message, shown)

    async def _context_now(self) -> Context | None:
        """The turn's context, under the consent and the floor of now.

        `None` if nobody can tell, or a control of now stops the turn: no store compares what is
        shown.
        """
        inbound = self._inbound
        query = Query(self._bridge.tenant, inbound.sender, self._context.reader, 1)
        try:
            now = await behold(self._bridge, query)
            moved = now.gate_epoch != self._context.gate_epoch
            gone = moved and await was_taken(self._bridge, inbound.sender, self._context)
        except CtxBridgeError:
            return None
        if gone or self._lost.is_set():
            return None
        return replace(
            self._context, contact=now.contact, floor=now.floor, gate_epoch=now.gate_epoch
        )

    async def _end(self, turn: bytes) -> None:
        """Show nothing any more."""
        await self.withdraw(turn)
        self._show = None

    async def withdraw(self, turn: bytes) -> None:
        """Take back what was shown."""
        if not self._shown:
            return
        inbound = self._inbound
        self._shown = ""
        await self._put(
            Message(
                turn, "agent", inbound.channel, (), 0, address=inbound.sender,
                endpoint=inbound.endpoint, written_as=inbound.written_as,
            ),
            "",
        )  # fmt: skip

    async def _put(self, message: Message, text: str) -> None:
        show, inbound = self._show, self._inbound
        if show is None:
            return
        shown = replace(message, parts=(Text(text),) if text else ())
        to = shown.recipient or inbound.sender
        outgoing = Outgoing(Delivery(self.delivery), shown, to, inbound.endpoint)
        # A draft is a courtesy: whatever hinders it must not end the turn, nor hold it up.
        with suppress(Exception), anyio.move_on_after(_SHOW_SECONDS):
            await show(outgoing)


async def _close(source: AsyncIterator[str]) -> None:
    """A generator that was not read to its end is closed here, not whenever it is collected."""
    close = getattr(source, "aclose", None)
    if close is not None:
        with anyio.CancelScope(shield=True), anyio.move_on_after(1.0):
            await close()


class Drafts:
    """The streams of one turn."""

    def __init__(self) -> None:
        self._streams: list[Stream] = []

    async def collect(self, stream: Stream, chunks: AsyncIterable[str], turn: bytes) -> str:
        """The whole text of one; meanwhile it is shown."""
        self._streams.append(stream)
        return await stream.collect(chunks, turn)

    async def withdraw(self, turn: bytes, but: Iterable[bytes] = ()) -> None:
        """Take back what was shown and does not leave: all `but` what these deliveries bring."""
        leaving = set(but)
        for stream in self._streams:
            if stream.delivery not in leaving:
                with anyio.CancelScope(shield=True), anyio.move_on_after(_SHOW_SECONDS):
                    await stream.withdraw(turn)
