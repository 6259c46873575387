"""Rolling back a release: what it stops, and what becomes of that."""

import logging
from collections.abc import Iterable, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any

import anyio
from msgspec import Struct
from msgspec.structs import replace

from ctxbridge.bridge.asking_anew import ask_anew
from ctxbridge.errors import ConfigurationError, CtxBridgeError
from ctxbridge.model import Context, Floor, Found, Message, Scan, Settle
from ctxbridge.model.control import Control, Pending, Release, Route, Running, Withdrawn
from ctxbridge.rules import control as rules

if TYPE_CHECKING:
    from ctxbridge.bridge.bridge import Bridge
    from ctxbridge.bridge.controlling import Controls

logger = logging.getLogger("ctxbridge")

MOST_LOOKED_AT = 100_000
_AT_ONCE = 64
_LOOK_SECONDS = 0.1


class Rollback(Struct, frozen=True):
    """What is asked for; see `Controls.rollback`."""

    agent: str
    to: str
    versions: tuple[str, ...]
    running: Running
    pending: Pending
    within_seconds: float
    dry_run: bool


class Report(Struct, frozen=True):
    """What a rollback has done. Contacts are ids in hexadecimal digits, deliveries are keys.

    `stopped` are contacts whose turn ran or waited under a version that was taken back. Of these
    `taken_up` were answered meanwhile by the version `to`, `handed_over` are for a person,
    `waiting` were neither when the time was over: they stay stored and are answered by whoever
    sweeps. `already_sent` are deliveries that a worker had claimed before: they are with the
    provider or on the way there. `withheld` and `released` are those that had not left, and
    `asked_anew` the contacts of withheld ones, whose message is answered again.
    """

    agent: str
    to: str
    versions: tuple[str, ...]
    epoch: int
    dry_run: bool
    stopped: tuple[str, ...] = ()
    taken_up: tuple[str, ...] = ()
    handed_over: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()
    already_sent: tuple[str, ...] = ()
    withheld: tuple[str, ...] = ()
    released: tuple[str, ...] = ()
    asked_anew: tuple[str, ...] = ()
    seconds: float = 0.0
    """How long it took until the rollback held everywhere."""

    def __str__(self) -> str:
        """The report in a few lines, as a person reads it."""
        named = ", ".join(f"{self.agent}@{version}" for version in self.versions) or "nothing"
        head = f"{'would roll' if self.dry_run else 'rolled'} back {named} to {self.to}"
        lines = [head if self.dry_run else f"{head}, in force after {self.seconds * 1000:.0f} ms"]
        lines += [
            f"  {label:<14}{len(getattr(self, field))}"
            for field, label in _LABELS
            if not self.dry_run or field in _FORESEEN
        ]
        return "\n".join(lines)


_LABELS = (
    ("stopped", "stopped"), ("taken_up", "taken up"), ("handed_over", "handed over"),
    ("waiting", "waiting"), ("already_sent", "already sent"), ("withheld", "withheld"),
    ("released", "released"), ("asked_anew", "asked anew"),
)  # fmt: skip
_FORESEEN = frozenset({"stopped", "already_sent", "withheld", "released"})


async def roll_back(
    bridge: "Bridge[Any]", controls: "Controls", wanted: Rollback, *, by: str, why: str
) -> Report:
    """Roll back, and report."""
    agent, began = wanted.agent, monotonic()
    before = await controls.read()
    route = before.route(agent)
    if route is None and agent == bridge.releases.agent:
        route = bridge.releases.route(before)
    versions = _versions(route, wanted)
    gone = [Withdrawn(version, wanted.running, wanted.pending) for version in versions]
    act = controls._rerouting(  # noqa: SLF001 - two halves of one thing
        agent, lambda held: rules.rolled_back(held, wanted.to, gone)
    )
    named = ", ".join(versions) or "nothing"
    after = await controls.do(
        f"rollback {agent}: {named} to {wanted.to}", act, by, why, dry_run=wanted.dry_run
    )
    report = Report(
        agent, wanted.to, versions, after.epoch, wanted.dry_run, seconds=monotonic() - began
    )
    aftermath = _Aftermath(bridge, before, route or Route(agent, wanted.to), wanted, versions)
    return await aftermath.reported(report)


def _versions(route: Route | None, wanted: Rollback) -> tuple[str, ...]:
    """Which versions are taken back."""
    if route is None:
        return tuple(wanted.versions)
    for version in wanted.versions:
        rules.require_known(route, version)
    if wanted.to in wanted.versions:
        raise ConfigurationError("a version cannot be rolled back to itself")
    versions = wanted.versions or rules.running_versions(route)
    return tuple(version for version in versions if version != wanted.to)


class _Aftermath:
    """What was begun under the versions that were taken back, and what becomes of it."""

    def __init__(
        self,
        bridge: "Bridge[Any]",
        before: Control,
        route: Route,
        wanted: Rollback,
        versions: Sequence[str],
    ) -> None:
        self._bridge = bridge
        self._before = before
        self._route = route
        self._wanted = wanted
        self._names = {str(Release(wanted.agent, version)) for version in versions}
        self._versions = set(versions)

    async def reported(self, report: Report) -> Report:
        stopped = await self._stopped()
        report = await self._settled(replace(report, stopped=tuple(sorted(stopped))))
        if report.dry_run or not stopped:
            return report
        await self._answered(stopped)
        handed = set(await self._with_others(stopped))
        waiting = set(await self._listed()) & set(stopped) - handed
        taken = set(stopped) - handed - waiting
        return replace(
            report, taken_up=tuple(sorted(taken)), handed_over=tuple(sorted(handed)),
            waiting=tuple(sorted(waiting)),
        )  # fmt: skip

    # --- turns ------------------------------------------------------------------------------------

    async def _listed(self) -> dict[str, Message]:
        """Whose messages are not answered, by contact."""
        bridge = self._bridge
        scan = Scan(bridge.tenant, bridge.clock.now(), "waiting", MOST_LOOKED_AT)
        found = await bridge.store.scan(scan)
        return {one.contact.hex(): one.message for one in found if one.message is not None}

    async def _stopped(self) -> dict[str, Message]:
        """Those of them that a version would have answered which is taken back."""
        listed = await self._listed()
        contexts = await self._contexts(listed.values())
        return {
            contact: message
            for (contact, message), context in zip(listed.items(), contexts, strict=True)
            if context is not None and self._was_ours(context, message)
        }

    def _was_ours(self, context: Context, message: Message) -> bool:
        if context.contact is None or context.floor is not Floor.AGENT:
            return False
        pinned = next(
            (v for v in self._versions if Release(self._wanted.agent, v).key == context.release), ""
        )
        version = rules.choose(
            self._route, context.contact.id, message.channel, message.labels, pinned, 0.0
        )
        return version in self._versions

    async def _contexts(self, messages: Iterable[Message]) -> list[Context | None]:
        several = list(messages)
        found: list[Context | None] = [None] * len(several)
        limiter = anyio.CapacityLimiter(_AT_ONCE)

        async def look(place: int, message: Message) -> None:
            async with limiter:
                if message.address is not None:
                    found[place] = await self._bridge.context(message.address, window=1, fresh=True)

        async with anyio.create_task_group() as group:
            for place, message in enumerate(several):
                group.start_soon(look, place, message)
        return found

    async def _answered(self, stopped: dict[str, Message]) -> None:
        """Wait until they were answered or handed over, or the time is over."""
        with anyio.move_on_after(self._wanted.within_seconds):
            # Other processes answer them, so nobody here can tell when.
            while set(await self._listed()) & set(stopped):  # noqa: ASYNC110
                await anyio.sleep(_LOOK_SECONDS)

    async def _with_others(self, stopped: dict[str, Message]) -> list[str]:
        contexts = await self._contexts(stopped.values())
        return [
            contact
            for contact, context in zip(stopped, contexts, strict=True)
            if context is not None and context.floor is not Floor.AGENT
        ]

    # --- messages of ours -------------------------------------------------------------------------

    async def _settled(self, report: Report) -> Report:
        """The report with what was to leave, which by now cannot be claimed any more."""
        bridge, wanted = self._bridge, self._wanted
        scan = Scan(bridge.tenant, bridge.clock.now(), "pending", MOST_LOOKED_AT)
        ours = [one for one in await bridge.store.scan(scan) if self._is_ours(one)]
        claimed = [one for one in ours if one.delivery and one.delivery.status == "claimed"]
        rest = [one for one in ours if one.delivery and one.delivery.status == "pending"]
        keys = tuple([one.delivery.key for one in rest if one.delivery])
        report = replace(report, already_sent=tuple([one.id.hex() for one in claimed]))
        if wanted.pending == "release":
            return replace(report, released=keys)
        if wanted.dry_run:
            return replace(report, withheld=keys)
        asked: dict[str, None] = {}
        for one in rest:
            if await self._withhold(one):
                asked[one.contact.hex()] = None
        return replace(report, withheld=keys, asked_anew=tuple(asked))

    def _is_ours(self, found: Found) -> bool:
        return found.message is not None and found.message.release in self._names

    async def _withhold(self, found: Found) -> bool:
        """Withhold it; whether its conversation is answered anew."""
        bridge = self._bridge
        said = Settle(
            bridge.tenant, "withheld", bridge.clock.now(), found.contact, delivery=found.id,
            code="release.rolled_back",
        )  # fmt: skip
        assert found.message is not None
        try:
            await bridge.store.deliver(said)
            return await ask_anew(bridge, found.message, found.id)
        except CtxBridgeError as error:
            # The gate withholds it in any case; the operator sees that nobody was asked anew.
            logger.error("a withheld message is not answered anew: %s", type(error).__name__)  # noqa: TRY400
            return False
