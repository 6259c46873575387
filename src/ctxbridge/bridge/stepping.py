"""One step of a handoff: read how the floor stands, decide, write; again where it has moved."""

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from msgspec.structs import replace

from ctxbridge.bridge.agenda import Agenda, Look
from ctxbridge.bridge.sending import Letter, Written, write
from ctxbridge.bridge.steering import PAUSED
from ctxbridge.errors import Busy, CtxBridgeError, Halted, UnknownContact, UsageError
from ctxbridge.model import Address, Change, Committed, Context, Event, Floor, Handoff
from ctxbridge.rules import handoff as rules
from ctxbridge.telemetry import about, handed_off

if TYPE_CHECKING:
    from ctxbridge.bridge.bridge import Bridge

WINDOW = 200
"""Entries that are looked through for the last step, before all of them are."""
TRIES = 8
SETTLING_MILLISECONDS = 5_000
"""How long a step may take from its entry in the agenda to its commit."""

logger = logging.getLogger("ctxbridge")
Decide = Callable[[Handoff, int], Handoff]


class _MovedError(Exception):
    """The conversation was changed since it was read."""


class Steps:
    """What each verb of `Handoffs` stands on."""

    def __init__(self, bridge: "Bridge[Any]") -> None:
        self._bridge = bridge
        self._agenda = Agenda(bridge)

    async def _step(self, where: Address, decide: Decide) -> Handoff:
        for _ in range(TRIES):
            context, held = await self._held(where)
            now = self._bridge.clock.now()
            if rules.is_over(held, now):
                await self._expire(where)
                continue
            made = decide(held, now)
            if made is held:
                return held
            made = replace(made, epoch=context.gate_epoch + 1)
            await self._will_tell(where)
            if await self._commit(context, made):
                tell_of(context, rules.FLOORS[made.floor])
                await self._tell(where)
                return made
        raise busy()

    async def _held(self, where: Address) -> tuple[Context, Handoff]:
        """The conversation, and how its floor stands."""
        context = await self._bridge.context(where, window=WINDOW, fresh=True)
        if context.contact is None:
            raise UnknownContact("nobody is stored under this address")
        held = rules.standing(context)
        if held is None and context.floor is not Floor.AGENT and context.seq > WINDOW:
            context = await self._bridge.context(where, window=0, fresh=True)
            held = rules.standing(context)
        return context, held or rules.unknown(context)

    async def _commit(self, context: Context, made: Handoff) -> bool:
        """Whether it is stored: else the conversation has changed since it was read."""
        assert context.contact is not None
        turn = self._bridge.ids.new()
        change = Change(
            self._bridge.tenant, context.contact.id, turn, made.at,
            gate_epoch=context.gate_epoch, revision=context.revision,
            append=(rules.event_of(made, turn),), floor=rules.FLOORS[made.floor],
        )  # fmt: skip
        return isinstance(await self._bridge.store.commit(change), Committed)

    async def _write(
        self, letter: Letter, context: Context, events: tuple[Event, ...]
    ) -> Written | None:
        """`None` where the floor may have moved since the context was read."""

        def along(now: Context) -> tuple[Event, ...]:
            if now.revision != context.revision:
                raise _MovedError
            return events

        try:
            return await write(self._bridge, replace(letter, along=along))
        except _MovedError:
            return None

    def _until(self, within_seconds: float | None) -> int:
        seconds = self._bridge.settings.offer_seconds if within_seconds is None else within_seconds
        return rules.until(self._bridge.clock.now(), seconds)

    # --- the helpdesk -------------------------------------------------------------------------

    async def _will_tell(self, where: Address) -> None:
        """Should this process die behind its step, another one tells of it."""
        if self._bridge.helpdesk is not None:
            now = self._bridge.clock.now()
            await self._agenda.put(look_for("tell", where, now + SETTLING_MILLISECONDS, now))

    async def _tell(self, where: Address) -> None:
        """Let the next sweep tell the helpdesk how things stand. What is stored is stored."""
        if self._bridge.helpdesk is None:
            return
        now = self._bridge.clock.now()
        try:
            await self._agenda.put(look_for("tell", where, now, now))
        except CtxBridgeError as error:
            logger.error("the helpdesk is not told of a handoff: %s", type(error).__name__)  # noqa: TRY400

    # --- the end of an offer ------------------------------------------------------------------

    async def _expire(self, where: Address, *, waits: bool = False) -> None:
        """The floor goes back and the customer is told, in one step; nothing where it has moved.

        Where the customer cannot be told now, that is left out; or, if it `waits` for the end of a
        pause, `Halted` is raised and nothing is done.
        """
        for _ in range(TRIES):
            context, held = await self._held(where)
            now = self._bridge.clock.now()
            if not rules.is_over(held, now):
                return
            made = replace(rules.expired(held, now), epoch=context.gate_epoch + 1)
            if await self._gone_back(where, context, made, waits=waits):
                tell_of(context, Floor.AGENT)
                await self._tell(where)
                return
        raise busy()

    async def _gone_back(
        self, where: Address, context: Context, made: Handoff, *, waits: bool
    ) -> bool:
        if made.otherwise:
            letter = Letter(where, made.otherwise, author="system", floor=Floor.AGENT)
            try:
                return await self._write(letter, context, (rules.event_of(made),)) is not None
            except UsageError:
                logger.warning("nobody ever wrote from there: who waits is not told")
            except Halted as halted:
                if waits and halted.code == PAUSED:
                    raise
                logger.warning("it stands still: who waits is not told")
        return await self._commit(context, made)


def look_for(what: Literal["end", "tell"], where: Address, due: int, now: int) -> Look:
    """An entry of the agenda."""
    return Look(what, due, now, where.channel, where.value, where.scope)


def busy() -> Busy:
    """What is raised where the conversation has moved each time."""
    return Busy("the conversation kept changing; nothing was stored, and a retry is safe")


def tell_of(context: Context, owner: Floor) -> None:
    """Tell telemetry that the floor of this conversation has gone to `owner`."""
    with about(context.conversation):
        handed_off(owner)
