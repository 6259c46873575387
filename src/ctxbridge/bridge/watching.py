"""A canary on trial: what becomes of its conversations and of the stable ones is told to the rule.

The rule is `rules.trial`; here is what it needs of its caller. A conversation counts that begins
while the canary is on trial, and whose release the lot has decided. Its outcome is read from the
log once, the bridge's `settle_seconds` after it began, or at once where its agent raised; by the
same rule for both releases. Whoever tells it notes that first, so that nobody tells it again.

What waits to be told is kept in the process. One that is killed loses it, of both releases alike.
"""

import logging
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import anyio
from msgspec import Struct

from ctxbridge.errors import Conflict, CtxBridgeError, OutcomeUnknown
from ctxbridge.model import (
    Address,
    Context,
    Event,
    Floor,
    Message,
    Outcome,
    RecordRead,
    RecordWrite,
    Trial,
)
from ctxbridge.model.control import Canary, Release, Route
from ctxbridge.rules import trial as rules

if TYPE_CHECKING:
    from ctxbridge.bridge.bridge import Bridge

logger = logging.getLogger("ctxbridge")

MOST_UNTOLD = 10_000
"""What is more is told early, the oldest first."""
MOST_HELD = 2 * MOST_UNTOLD
"""What is more is lost, the oldest first, of both releases alike: here nobody runs `Bridge.run`."""
_TRIALS, _TOLD = "control.trial", "control.told"
_TOLD_SECONDS = 60 * 86_400.0
_LOOKED_AT = 200
_TRIES = 16
_AT_ONCE = 16
_PATIENCE_MILLISECONDS = 60_000
"""A message that came a moment before is being answered."""
_CLOSING_SECONDS = 5.0


class _Begun(Struct):
    """A conversation that waits to be told."""

    release: Release
    canary: Release
    address: Address
    due: int
    since: int
    failed: bool = False


class Watching:
    """Tells the trials of one bridge what became of conversations."""

    def __init__(self, bridge: "Bridge[Any]", settle_seconds: float) -> None:
        self._bridge = bridge
        self._settle = round(settle_seconds * 1000)
        self._begun: OrderedDict[bytes, _Begun] = OrderedDict()
        self._proposed: set[Release] = set()

    def begins(self, release: Release | None, context: Context, address: Address) -> None:
        """The turn is the first of a conversation whose release was chosen just now."""
        canary = self._canary()
        if canary is None or release is None or context.contact is None:
            return
        route = self._route()
        if release.version not in {canary.version, route.stable}:
            return
        now, id = self._bridge.clock.now(), context.contact.id
        tried = Release(release.agent, canary.version)
        if len(self._begun) >= MOST_HELD:
            self._begun.popitem(last=False)
        self._begun.setdefault(id, _Begun(release, tried, address, now + self._settle, now))

    def failed(self, contact: bytes) -> None:
        """The agent has raised: that is told at once."""
        begun = self._begun.get(contact)
        if begun is not None:
            begun.failed, begun.due = True, 0

    def _route(self) -> Route:
        bridge = self._bridge
        return bridge.releases.route(bridge.steering.control)

    def _canary(self) -> Canary | None:
        canary = self._route().canary
        return canary if canary is not None and canary.on_trial else None

    async def aclose(self) -> None:
        """Tell what is known by now: nobody would later."""
        if self._begun:
            with anyio.move_on_after(_CLOSING_SECONDS):
                try:
                    await self.settle(all_of_it=True)
                except CtxBridgeError as error:
                    logger.warning("outcomes are not told: %s", type(error).__name__)

    # --- telling ----------------------------------------------------------------------------------

    async def settle(self, *, all_of_it: bool = False) -> int:
        """Tell what is due, and act on what the trial comes to; how many were told."""
        due = self._due(all_of_it=all_of_it)
        outcomes: dict[Release, list[Outcome]] = {}
        limiter = anyio.CapacityLimiter(_AT_ONCE)

        async def tell(id: bytes, begun: _Begun) -> None:
            async with limiter:
                try:
                    outcome = await self._outcome(id, begun)
                except CtxBridgeError as error:
                    logger.warning("an outcome is not told: %s", type(error).__name__)
                    return
                if outcome is not None:
                    outcomes.setdefault(begun.canary, []).append(outcome)

        async with anyio.create_task_group() as group:
            for id, begun in due:
                group.start_soon(tell, id, begun)
        for canary, told in outcomes.items():
            await self._fold(canary, told)
        await self._act()
        return sum(map(len, outcomes.values()))

    def _due(self, *, all_of_it: bool) -> list[tuple[bytes, _Begun]]:
        now, surplus = self._bridge.clock.now(), len(self._begun) - MOST_UNTOLD
        due = [
            (id, begun)
            for place, (id, begun) in enumerate(self._begun.items())
            if all_of_it or begun.due <= now or place < surplus
        ]
        for id, _ in due:
            del self._begun[id]
        return due

    async def _outcome(self, id: bytes, begun: _Begun) -> Outcome | None:
        """What became of the conversation; `None` where somebody has told it."""
        bridge = self._bridge
        context = await bridge.context(begun.address, window=_LOOKED_AT, fresh=True)
        name = f"{begun.canary}:{id.hex()}"
        told = RecordWrite(bridge.tenant, _TOLD, name, bridge.clock.now(), b"1", 0, _TOLD_SECONDS)
        try:
            await bridge.store.records(told)
        except Conflict:
            return None
        waited = bridge.clock.now() - _PATIENCE_MILLISECONDS
        return outcome_of(
            context, begun.release, begun.canary, begun.since, waited, failed=begun.failed
        )

    # --- the trial --------------------------------------------------------------------------------

    async def trial(self, canary: Release) -> tuple[Trial | None, int]:
        """The trial of a release as it stands, and the revision of its record."""
        read = RecordRead(self._bridge.tenant, _TRIALS, str(canary), self._bridge.clock.now())
        record = await self._bridge.store.records(read)
        return (Trial.unpack(record.value), record.revision) if record else (None, 0)

    async def put(self, canary: Release, trial: Trial, revision: int) -> bool:
        """Store it; whether nobody else has changed it meanwhile."""
        bridge = self._bridge
        write = RecordWrite(
            bridge.tenant, _TRIALS, str(canary), bridge.clock.now(), trial.pack(), revision
        )
        try:
            await bridge.store.records(write)
        except Conflict:
            return False
        return True

    async def _fold(self, canary: Release, outcomes: list[Outcome]) -> None:
        """Fold them in, once: where it is not known whether they were, they are not told again."""
        try:
            for _ in range(_TRIES):
                trial, revision = await self.trial(canary)
                if trial is None:
                    return
                if await self.put(canary, rules.fold(trial, outcomes), revision):
                    return
        except OutcomeUnknown:
            pass
        logger.warning("outcomes may be lost to a trial: %d", len(outcomes))

    async def _act(self) -> None:
        """Do what the trial says: whoever comes by first, since who folded may be gone."""
        canary, route = self._canary(), self._route()
        if canary is None:
            return
        release = Release(route.agent, canary.version)
        trial, _ = await self.trial(release)
        found = rules.conclude(trial) if trial is not None else None
        if found is None or not found.trips:
            return
        control = self._bridge.control
        if found.does == "propose":
            if release in self._proposed:
                return  # the history is long, and would be read each second
            if await control.propose(release, found.words):
                logger.error("a trial has tripped: %s", found.words)
            self._proposed.add(release)
        elif await self._still(canary):
            logger.error("a trial has tripped: %s", found.words)
            report = await control.rollback(
                route.agent, self._route().stable, versions=[canary.version], by="policy:trial",
                why=found.words, within_seconds=0.0,
            )  # fmt: skip
            logger.error("%s", report)

    async def _still(self, canary: Canary) -> bool:
        """Whether nobody has taken the canary back meanwhile."""
        await self._bridge.steering.refresh()
        return self._canary() == canary


def outcome_of(
    context: Context, release: Release, canary: Release, since: int, waited: int, *, failed: bool
) -> Outcome:
    """What became of a conversation that `release` began at `since` (Unix milliseconds).

    What has come after `waited` need not be answered yet.
    """
    ours = [m for m in context.messages if m.release == str(release) and m.accepted_at >= since]
    turns = {m.turn for m in ours}
    answered = {m.turn for m in context.messages if m.author != "contact" and m.visible}
    events = [e for e in context.window if isinstance(e, Event) and e.at >= since]
    contact = context.contact
    words = contact.consents if contact else ()
    handed = any(e.kind.startswith("handoff.") for e in events)
    return Outcome(
        canary=release == canary,
        blocked=any(map(_was_stopped, ours))
        or any(e.kind == "escalated" and e.turn in turns for e in events),
        failed=failed,
        unanswered=bool(turns - answered) or any(_waits(m, waited) for m in context.messages),
        opted_out=any(not word.granted and word.at >= since for word in words),
        taken_over=handed or context.floor is not Floor.AGENT,
    )


def _waits(message: Message, since: int) -> bool:
    return message.disposition == "pending" and message.accepted_at <= since


def _was_stopped(message: Message) -> bool:
    decision = message.decision
    return decision is not None and decision.enforced in {"block", "escalate"}
