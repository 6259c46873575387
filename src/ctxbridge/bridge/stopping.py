"""The turns that a rollback stops, and what becomes of each of them: read from their logs."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal

import anyio
from msgspec import Struct

from ctxbridge.bridge.steering import ROLLED_BACK
from ctxbridge.errors import CtxBridgeError
from ctxbridge.model import Context, Event, Floor, Found, Message, Scan
from ctxbridge.model.control import Release, Route
from ctxbridge.rules import control as rules

if TYPE_CHECKING:
    from ctxbridge.bridge.bridge import Bridge

MOST_LOOKED_AT = 100_000
_WINDOW = 50
_AT_ONCE = 64
_LOOK_SECONDS = 0.1

Fate = Literal["waiting", "taken_up", "handed_over", "before"]
"""``before``: a version that was taken back had answered it, and its commit was the earlier one."""


class Place(Struct, frozen=True, order=True):
    """Where a message stands that waits for an answer."""

    contact: str
    place: int


class Stopping:
    """What waits under the versions of an agent that are taken back."""

    def __init__(self, bridge: "Bridge[Any]", agent: str) -> None:
        self._bridge = bridge
        self._agent = agent
        self._route = Route(agent, "")
        self._versions: set[str] = set()
        self._found: dict[Place, Message] = {}
        self.fates: dict[Place, Fate] = {}
        """What became of the messages that a version would have answered that is taken back."""

    async def look(self, limit: int = MOST_LOOKED_AT) -> None:
        """Know of what waits now. Raises `StoreError`."""
        for place, message in (await self._listed(limit)).items():
            self._found.setdefault(place, message)

    async def _listed(self, limit: int = MOST_LOOKED_AT) -> dict[Place, Message]:
        bridge = self._bridge
        found = await bridge.store.scan(Scan(bridge.tenant, bridge.clock.now(), "waiting", limit))
        return {Place(one.contact.hex(), one.place): said for one in found if (said := _said(one))}

    async def begin(self, route: Route, versions: Iterable[str]) -> None:
        """Tell which of them are stopped, and what became of them already.

        `route` is the one from before, `versions` are taken back.
        """
        self._route, self._versions = route, set(versions)
        places = list(self._found)
        contexts = await self._contexts(places)
        for place, context in zip(places, contexts, strict=True):
            if context is not None and self._was_ours(context, place):
                fate = _fate(context, place, self._names)
                if fate != "before":
                    self.fates[place] = fate

    async def settle(self, seconds: float) -> None:
        """Wait up to so many seconds until none of them waits any more."""
        with anyio.move_on_after(seconds):
            # Other processes answer them, so nobody here can tell when.
            while left := self._left():
                listed = await self._listed()
                await self._update([place for place in left if place not in listed])
                await anyio.sleep(_LOOK_SECONDS)
        await self._update(self._left())

    def _left(self) -> list[Place]:
        return [place for place, fate in self.fates.items() if fate == "waiting"]

    async def _update(self, places: Sequence[Place]) -> None:
        contexts = await self._contexts(places)
        for place, context in zip(places, contexts, strict=True):
            if context is not None:
                fate = _fate(context, place, self._names)
                # One that a taken-back version has answered all the same would be told as that.
                self.fates[place] = "taken_up" if fate == "before" else fate

    @property
    def _names(self) -> set[str]:
        return {str(Release(self._agent, version)) for version in self._versions}

    def contacts(self, *fates: Fate) -> tuple[str, ...]:
        """Whose messages have come to this; all of them without any."""
        found = {p.contact for p, fate in self.fates.items() if not fates or fate in fates}
        return tuple(sorted(found))

    # --- whose they were --------------------------------------------------------------------------

    def _was_ours(self, context: Context, place: Place) -> bool:
        message = self._found[place]
        handed = _fate(context, place, self._names) == "handed_over"
        if context.contact is None or (context.floor is not Floor.AGENT and not handed):
            return False
        pinned = self._pinned(context, place)
        version = rules.choose(
            self._route, context.contact.id, message.channel, message.labels, pinned, 0.0
        )
        return version in self._versions

    def _pinned(self, context: Context, place: Place) -> str:
        """The version that the conversation had when the message came."""
        for seq, entry in reversed(list(context.window.numbered())):
            if seq < place.place and isinstance(entry, Message) and entry.release:
                release = Release.parse(entry.release)
                return release.version if release.agent == self._agent else ""
        return ""

    async def _contexts(self, places: Sequence[Place]) -> list[Context | None]:
        found: list[Context | None] = [None] * len(places)
        limiter = anyio.CapacityLimiter(_AT_ONCE)
        failed: list[CtxBridgeError] = []

        async def look(number: int, message: Message) -> None:
            async with limiter:
                if message.address is not None and not failed:
                    try:
                        found[number] = await self._bridge.context(
                            message.address, window=_WINDOW, fresh=True
                        )
                    except CtxBridgeError as error:
                        failed.append(error)

        async with anyio.create_task_group() as group:
            for number, place in enumerate(places):
                group.start_soon(look, number, self._found[place])
        if failed:
            raise failed[0]
        return found


def _said(found: Found) -> Message | None:
    return found.message if found.delivery is None else None


def _fate(context: Context, place: Place, taken_back: set[str]) -> Fate:
    """What became of the message, as the log has it."""
    entry = dict(context.window.numbered()).get(place.place)
    if not isinstance(entry, Message):
        return "taken_up"  # it went out of the window, so the conversation has gone on
    if entry.disposition == "pending":
        return "waiting"
    if any(_offers(other, entry.turn) for other in context.window):
        return "handed_over"
    return "before" if entry.release in taken_back else "taken_up"


def _offers(entry: object, turn: bytes) -> bool:
    """Whether this is the word that the turn was handed over because of a rollback."""
    return (
        isinstance(entry, Event)
        and entry.turn == turn
        and entry.kind == "handoff.offered"
        and ("reason", ROLLED_BACK) in entry.data
    )
