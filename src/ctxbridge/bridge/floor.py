"""The floor: offered by an agent, taken by a colleague, passed on and given back."""

import logging
from collections.abc import Sequence

import anyio
from msgspec.structs import replace

from ctxbridge.bridge.agenda import Look, What
from ctxbridge.bridge.packing import MESSAGES, pack
from ctxbridge.bridge.sending import Letter, Written
from ctxbridge.bridge.steering import LOOK_AGAIN_MILLISECONDS
from ctxbridge.bridge.stepping import (
    SETTLING_MILLISECONDS,
    TRIES,
    WINDOW,
    Steps,
    busy,
    look_for,
    tell_of,
)
from ctxbridge.delivery import retrying
from ctxbridge.errors import CtxBridgeError, Halted, UnknownContact, UsageError
from ctxbridge.model import (
    Address,
    Change,
    Context,
    Endpoint,
    Floor,
    Handoff,
    Package,
    Release,
)
from ctxbridge.rules import handoff as rules
from ctxbridge.telemetry import handed_off

NOBODY_CAME = "Nobody of our team is free right now, so it is the assistant again. How can I help?"
_AT_ONCE = 8

logger = logging.getLogger("ctxbridge")


class Handoffs(Steps):
    """What `Bridge.floor` does: each verb moves the floor in one atomic step, or not at all.

    Each takes an address of the contact. A step that the same colleague repeats with the same
    `epoch` (or none) has no second effect; of two who take the floor at once one gets it, and the
    other a `FloorTaken`. All raise `UnknownContact` where nobody is stored under the address,
    `UsageError` and `TooLarge` for what cannot be said, `Busy` if the conversation keeps changing
    (a retry is safe), and `StoreError`.
    """

    # --- the steps --------------------------------------------------------------------------------

    async def show(self, address: Address | str, /) -> Handoff:
        """How the floor stands. An offer whose time is over is still there until a sweep."""
        _, held = await self._held(self._bridge.canonical(address))
        return held

    async def offer(
        self,
        address: Address | str,
        /,
        *,
        reason: str,
        to: str = "",
        summary: str = "",
        promised: Sequence[str] = (),
        within_seconds: float | None = None,
        otherwise: str = NOBODY_CAME,
        by: str = "agent",
    ) -> Handoff:
        """Ask for a colleague: nobody but them speaks from now on, not even the agent.

        `reason`, `summary` and `promised` (what the customer was told will happen) go into the
        `Package`. `to` names a colleague or a team, and keeps nobody else away. If nobody accepts
        within `within_seconds` (default: the bridge's `offer_seconds`; 0: for ever), the agent has
        the floor again and the customer is told `otherwise`, which may be empty; that is done by
        `Bridge.run`. An offer that stands already is given back as it is.

        Raises `FloorTaken` where a colleague has the floor.
        """
        wanted = self.wanted(reason, to, summary, promised, within_seconds, otherwise, by)
        where = self._bridge.canonical(address)
        if wanted.expires_at:
            await self._agenda.put(look_for("end", where, wanted.expires_at, wanted.at))
        return await self._step(where, lambda held, _: rules.offered(held, wanted))

    async def accept(
        self, address: Address | str, /, *, by: str, epoch: int | None = None
    ) -> Handoff:
        """A colleague takes the floor: `by` speaks from now on.

        With the `epoch` of an offer only if that stands: an accept that comes late raises
        `FloorTaken`. Without, also where nothing was offered: a takeover. What an agent has
        prepared before then does not leave.
        """
        by = rules.somebody(by)
        where = self._bridge.canonical(address)
        return await self._step(where, lambda held, now: rules.accepted(held, by, epoch, now))

    async def pass_on(
        self,
        address: Address | str,
        /,
        *,
        by: str,
        to: str,
        epoch: int | None = None,
        within_seconds: float | None = None,
        otherwise: str = NOBODY_CAME,
    ) -> Handoff:
        """Who has the floor gives it to the colleague `to`, or to whoever comes first (``queue``).

        In the queue it is an offer again, as by `offer`. Raises `FloorTaken` unless `by` has it.
        """
        by, where = rules.somebody(by), self._bridge.canonical(address)
        target = to if to == rules.QUEUE else rules.somebody(to)
        otherwise = rules.bounded(replace(_NOTHING, otherwise=otherwise)).otherwise
        ends = self._until(within_seconds) if target == rules.QUEUE else 0
        if ends:
            await self._agenda.put(look_for("end", where, ends, self._bridge.clock.now()))
        return await self._step(
            where, lambda held, now: rules.passed(held, by, target, epoch, now, ends, otherwise)
        )

    async def release(
        self,
        address: Address | str,
        /,
        *,
        by: str,
        note: str = "",
        epoch: int | None = None,
        force: bool = False,
    ) -> Handoff:
        """The agent has the floor again, and is told who had it from when to when, and the `note`.

        An offer that nobody has accepted is called off by it. With `force` the floor is taken from
        a colleague who is not `by`, as when they have left. Raises `FloorTaken`.
        """
        note = rules.bounded(replace(_NOTHING, note=note)).note
        by, where = rules.bounded(replace(_NOTHING, by=by)).by, self._bridge.canonical(address)
        return await self._step(
            where, lambda held, now: rules.released(held, by, note, epoch, now, force=force)
        )

    async def say(
        self,
        address: Address | str,
        text: str,
        /,
        *,
        by: str,
        endpoint: Endpoint | None = None,
        subject: str = "",
        key: str = "",
    ) -> Written:
        """Write to the customer as the colleague `by`, who has the floor; see `Bridge.send`.

        Consent, recipient and the guards at ``send`` count as for everybody; guards at ``reply``
        are not asked, since they judge agents. Raises `FloorTaken` unless `by` has the floor.
        """
        by = rules.somebody(by)
        given = Address.parse(address) if isinstance(address, str) else address
        letter = Letter(
            self._bridge.canonical(given), text, endpoint, subject=subject, key=key,
            written_as=given.value, author="human_agent",
        )  # fmt: skip
        for _ in range(TRIES):
            context, held = await self._held(letter.address)
            rules.require_holder(held, by)
            written = await self._write(letter, context, ())
            if written is not None:
                await self._tell(letter.address)
                return written
        raise busy()

    async def package(self, address: Address | str, /, *, messages: int = MESSAGES) -> Package:
        """What a colleague needs to go on: see `Package`. At most `messages` of them, up to 200."""
        if not 1 <= messages <= WINDOW:
            raise UsageError(f"messages is a number from 1 to {WINDOW}")
        context, held = await self._held(self._bridge.canonical(address))
        return await pack(self._bridge, context, held, messages)

    # --- what a turn does -------------------------------------------------------------------------

    def wanted(
        self,
        reason: str,
        to: str = "",
        summary: str = "",
        promised: Sequence[str] = (),
        within_seconds: float | None = None,
        otherwise: str = NOBODY_CAME,
        by: str = "agent",
    ) -> Handoff:
        """An offer as it can be stored; see `offer`."""
        now = self._bridge.clock.now()
        wanted = replace(
            _NOTHING, reason=reason, to=to, summary=summary, promised=promised,
            otherwise=otherwise, by=by, at=now, expires_at=self._until(within_seconds),
        )  # fmt: skip
        return rules.bounded(wanted)

    async def on_arrival(self, context: Context, address: Address) -> Context:
        """The context of a turn that begins: where an offer is over by now, the agent has it again.

        Nobody is told: the agent answers the message that has come.
        """
        held, now = rules.standing(context), self._bridge.clock.now()
        if held is None or not rules.is_over(held, now):
            return context
        made = replace(rules.expired(held, now), epoch=context.gate_epoch + 1)
        if not await self._commit(context, made):
            return context
        tell_of(context, Floor.AGENT)
        await self._tell(address)
        return replace(
            context, floor=Floor.AGENT, gate_epoch=made.epoch, revision=context.revision + 1
        )

    async def along(
        self, change: Change, context: Context, address: Address, wanted: Handoff
    ) -> Change:
        """The end of a turn, which offers the floor in the same step; unless it is gone by now."""
        if context.floor is not Floor.AGENT:
            return change
        held = rules.standing(context) or rules.unknown(context)
        made = replace(rules.offered(held, wanted), epoch=change.gate_epoch + 1)
        if made.expires_at:
            await self._agenda.put(look_for("end", address, made.expires_at, made.at))
        await self._will_tell(address)
        event = rules.event_of(made, change.turn)
        return replace(change, append=(*change.append, event), floor=Floor.QUEUE)

    async def ended(
        self, change: Change, context: Context, address: Address, release: Release | None
    ) -> None:
        """A turn was committed: the helpdesk is told if it moved the floor, or people have it."""
        if change.floor is not None:
            agent, version = (release.agent, release.version) if release else ("", "")
            handed_off(change.floor, agent=agent, version=version)
        if change.floor is not None or context.floor is not Floor.AGENT:
            await self._tell(address)

    # --- what goes on beside ----------------------------------------------------------------------

    async def sweep(self) -> int:
        """End offers whose time is over, and tell the helpdesk what is to be told; once.

        How many conversations were looked at, of each up to 100. Several processes may sweep: each
        is looked at by one of them. What fails is tried again.
        """
        return await self.end_offers() + await self.tell_helpdesk()

    async def end_offers(self) -> int:
        """The one half of `sweep`: a helpdesk that hangs does not hold it up."""
        return await self._do("end")

    async def tell_helpdesk(self) -> int:
        """The other half; nothing where this process has no helpdesk."""
        return await self._do("tell") if self._bridge.helpdesk is not None else 0

    async def _do(self, what: What) -> int:
        taken = await self._agenda.take(what, self._bridge.clock.now())
        limiter = anyio.CapacityLimiter(_AT_ONCE)
        async with anyio.create_task_group() as group:
            for look in taken:
                group.start_soon(self._look_at, look, limiter)
        return len(taken)

    async def _look_at(self, look: Look, limiter: anyio.CapacityLimiter) -> None:
        async with limiter:
            try:
                await self._agenda.done(look, await self._looked_at(look))
            except CtxBridgeError as error:
                logger.warning("a handoff is looked at again later: %s", type(error).__name__)

    async def forget(self, addresses: Sequence[Address]) -> None:
        """Somebody is erased: nothing of theirs stays in the agenda."""
        await self._agenda.forget(addresses)

    async def _looked_at(self, look: Look) -> Look | None:
        """What is to be looked at next instead; `None` for nothing."""
        try:
            context, held = await self._held(look.address)
        except UnknownContact:
            return None
        if look.what == "tell":
            return await self._told(look, context, held)
        now = self._bridge.clock.now()
        if rules.is_over(held, now):
            try:
                await self._expire(look.address, waits=True)
            except Halted:
                # Nobody could answer anyway, and who waits is to be told that nobody came.
                return replace(look, due=now + LOOK_AGAIN_MILLISECONDS)
            return None
        if held.floor == "queue" and held.expires_at:
            return replace(look, due=held.expires_at)
        # The step that it is for may be under way still.
        fresh = now < look.made + SETTLING_MILLISECONDS
        return replace(look, due=now + 1_000) if fresh else None

    async def _told(self, look: Look, context: Context, held: Handoff) -> Look | None:
        helpdesk, now = self._bridge.helpdesk, self._bridge.clock.now()
        if helpdesk is None:
            return None
        if await helpdesk.tell(await pack(self._bridge, context, held, MESSAGES), now):
            return None
        if look.attempt + 1 >= retrying.MOST_ATTEMPTS:
            logger.error("the helpdesk was not told of a handoff: it takes nothing")
            return None
        seconds = retrying.seconds_after(look.attempt + 1, 0.0)
        return replace(look, due=now + round(seconds * 1000), attempt=look.attempt + 1)


_NOTHING = Handoff("agent", 0, "", "")
