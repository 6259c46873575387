"""``ctxbridge tail``: what is written, as it is written."""

import sys
from typing import Any

import anyio
from msgspec import Struct
from msgspec.structs import replace

from ctxbridge import Bridge
from ctxbridge.cli import timeline
from ctxbridge.cli.following import Following, Stirring, at_of
from ctxbridge.cli.output import colourful, emit, paint, plain, say, warn, width
from ctxbridge.cli.where import Where
from ctxbridge.errors import StoreError
from ctxbridge.model import Address, Context, Event, Message, Window

PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 60.0
REST = 4
"""A look at a whole store is followed by a rest of so many times as long."""


class Tailed(Struct, frozen=True):
    """What the command line asks for; without an `address` the whole store is followed."""

    where: Where
    address: str = ""
    last: int = 10
    only: bool = False
    as_json: bool = False
    seconds: float | None = None


def tail(asked: Tailed) -> int:
    """Print what is new until it is interrupted (130), or `seconds` are over (0)."""
    anyio.run(_tail, asked)
    return 0


async def _tail(asked: Tailed) -> None:
    async with asked.where.bridge() as bridge:
        with anyio.move_on_after(asked.seconds):
            await _follow(bridge, asked)


async def _follow(bridge: Bridge[Any], asked: Tailed) -> None:
    address = bridge.canonical(asked.address) if asked.address else None
    if address and (await bridge.context(address, window=1)).contact is None:
        warn("nobody is stored under this address yet; waiting")
    following = Following(bridge, asked.last if address else 0)
    stirring, teller, pause = Stirring(bridge.store), Teller(asked, address), PAUSE_SECONDS
    failed = False
    while True:
        began = anyio.current_time()
        try:
            if stirring.stirred():
                await _look(following, address, teller)
            failed, pause = False, PAUSE_SECONDS
        except StoreError as error:
            if not error.retry_safe:
                raise
            stirring.forget()
            if not failed:
                warn(f"{error}; trying again")
            failed, pause = True, min(2 * pause, 1.0)
        if address is None:
            took = anyio.current_time() - began
            pause = min(max(pause, took * REST), LONGEST_PAUSE_SECONDS)
        await anyio.sleep(pause)


async def _look(following: Following, address: Address | None, teller: "Teller") -> None:
    for context in await (following.of(address) if address else following.of_all()):
        teller.tell(context)


class Teller:
    """Prints entries; a headline stands where the day, or whose they are, is another one."""

    def __init__(self, asked: Tailed, address: Address | None) -> None:
        self._asked = asked
        self._address = address
        self._day, self._whose = "", b""

    def tell(self, context: Context) -> None:
        """Print the entries of a context's window."""
        if self._asked.only:
            context = replace(context, window=self._by_the_address(context))
        if self._asked.as_json:
            for seq, entry in context.window.numbered():
                emit(record(context, seq, entry))
        elif len(context.window):
            self._lines(context)
        sys.stdout.flush()

    def _by_the_address(self, context: Context) -> Window:
        kept = [
            (seq, entry)
            for seq, entry in context.window.numbered()
            if isinstance(entry, Message) and entry.address == self._address
        ]
        return Window([entry for _, entry in kept], [seq for seq, _ in kept])

    def _lines(self, context: Context) -> None:
        colours = colourful()
        if self._address is None and context.conversation != self._whose:
            self._whose = context.conversation
            named = context.contact.addresses[0] if context.contact else ""
            say(paint(f"{plain(str(named))}, contact {_id(context)}", "cyan", colours))
        shown = timeline.rows(context)
        for line in timeline.render(shown, width(), colours=colours, day=self._day):
            say(line)
        self._day = timeline.day_of(shown[-1].at)


def record(context: Context, seq: int, entry: Message | Event) -> dict[str, Any]:
    """An entry as an object: messages as `show` prints them, with their time."""
    if isinstance(entry, Message):
        return timeline.record(context, seq, entry) | {"at": at_of(entry)}
    return {
        "kind": "event",
        "seq": seq,
        "turn": entry.turn.hex(),
        "event": entry.kind,
        "at": entry.at,
        "data": dict(entry.data),
        "contact": _id(context),
        "conversation": context.conversation.hex(),
    }


def _id(context: Context) -> str:
    return context.contact.id.hex() if context.contact else ""
