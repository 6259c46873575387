"""Rolling back a release: what it stops, and what becomes of that."""

import logging
from collections.abc import Collection, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any

import anyio
from msgspec import Struct
from msgspec.structs import replace

from ctxbridge.bridge.asking_anew import ask_anew
from ctxbridge.bridge.background import Background
from ctxbridge.bridge.killing import withhold
from ctxbridge.bridge.steering import ROLLED_BACK
from ctxbridge.bridge.stopping import MOST_LOOKED_AT, Stopping
from ctxbridge.errors import ConfigurationError, CtxBridgeError
from ctxbridge.model import Found, Scan
from ctxbridge.model.control import Control, Pending, Release, Route, Running, Withdrawn
from ctxbridge.rules import control as rules

if TYPE_CHECKING:
    from ctxbridge.bridge.bridge import Bridge
    from ctxbridge.bridge.controlling import Controls
    from ctxbridge.bridge.releases import Releases

logger = logging.getLogger("ctxbridge")

_FIRST_LOOKED_AT = 5_000
_HEAD_START_SECONDS = 0.25
"""So much is looked at before, for the report; the rollback waits no longer for it than this."""


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

    `stopped` are contacts whose turn ran or waited under a version that was taken back when it was
    called, or when it held; some that were answered anew while the call was on its way are missing.
    Of these `taken_up` were answered meanwhile by the version `to`, `handed_over` are for a person,
    `waiting` were neither when the time was over: they stay stored and are answered by whoever
    sweeps. `already_sent` are deliveries that a worker had claimed before: they are with the
    provider or on the way there, or were when it was called (what a provider has confirmed while
    the call was on its way may be missing; what a worker stops on its last step is among them all
    the same). `withheld` and `released` are those that had not left, and `asked_anew` the contacts
    of withheld ones, whose message is answered again.
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
    began = monotonic()
    before = await controls.read()
    route = before.route(wanted.agent)
    if route is None and wanted.agent == bridge.releases.agent:
        route = bridge.releases.route(before)
    if route is None:
        route = Route(wanted.agent, "")
    act = _Act(controls, bridge.releases, wanted, route)
    aftermath = _Aftermath(bridge, wanted)
    first_look = Background(aftermath.look)
    try:
        with anyio.move_on_after(_HEAD_START_SECONDS):
            await first_look.wait()
        after = await act(by, why)
    except BaseException:
        first_look.end()
        raise
    seconds = monotonic() - began
    await first_look.wait()
    report = Report(
        wanted.agent, wanted.to, act.versions, after.epoch, wanted.dry_run, seconds=seconds
    )
    return await aftermath.reported(report, act.route, after)


class _Act:
    """The rollback itself. `route` is the one that it has replaced, `versions` are taken back."""

    def __init__(
        self, controls: "Controls", releases: "Releases", wanted: Rollback, route: Route
    ) -> None:
        self._controls = controls
        self._releases = releases
        self._wanted = wanted
        self.route = route
        self.versions = _versions(route, wanted)

    async def __call__(self, by: str, why: str) -> Control:
        wanted, named = self._wanted, ", ".join(self.versions) or "nothing"
        act = self._releases.rerouting(wanted.agent, self._change)
        what = f"rollback {wanted.agent}: {named} to {wanted.to}"
        return await self._controls.do(what, act, by, why, dry_run=wanted.dry_run)

    def _change(self, held: Route) -> Route:
        # Others may have changed it since it was read: whoever may answer by now is taken back.
        wanted, self.route, self.versions = self._wanted, held, _versions(held, self._wanted)
        gone = [Withdrawn(name, wanted.running, wanted.pending) for name in self.versions]
        return rules.rolled_back(held, wanted.to, gone)


def _versions(route: Route, wanted: Rollback) -> tuple[str, ...]:
    """Which versions are taken back; where none is left to be, those that were before.

    So the same call again finishes what broke off.
    """
    for version in wanted.versions:
        rules.require_known(route, version)
    if wanted.to in wanted.versions:
        raise ConfigurationError("a version cannot be rolled back to itself")
    versions = wanted.versions or rules.running_versions(route)
    found = tuple(version for version in versions if version not in {wanted.to, ""})
    return found or tuple(w.version for w in route.withdrawn if w.version != wanted.to)


class _Aftermath:
    """What was begun under the versions that were taken back, and what becomes of it."""

    def __init__(self, bridge: "Bridge[Any]", wanted: Rollback) -> None:
        self._bridge = bridge
        self._wanted = wanted
        self._stopping = Stopping(bridge, wanted.agent)
        self._claimed: list[Found] = []
        """What was on its way when the rollback was called, and may have left since."""

    async def look(self) -> None:
        """See what there is when the rollback is called: some of it ends before it holds."""
        try:
            self._claimed = _in(await self._to_leave(_FIRST_LOOKED_AT), "claimed")
            await self._stopping.look(_FIRST_LOOKED_AT)
        except CtxBridgeError as error:
            logger.warning("what a rollback stops is told in part: %s", type(error).__name__)

    async def reported(self, report: Report, before: Route, after: Control) -> Report:
        stopping, to_leave = self._stopping, await self._to_leave(MOST_LOOKED_AT)
        await stopping.look()
        await stopping.begin(before, report.versions)
        report = await self._settled(report, after, to_leave)
        if not report.dry_run:
            await stopping.settle(self._wanted.within_seconds)
        report = replace(report, stopped=stopping.contacts())
        if report.dry_run:
            return report
        return replace(
            report,
            taken_up=stopping.contacts("taken_up"),
            handed_over=stopping.contacts("handed_over"),
            waiting=stopping.contacts("waiting"),
        )

    # --- messages of ours -------------------------------------------------------------------------

    async def _to_leave(self, limit: int) -> Sequence[Found]:
        bridge = self._bridge
        return await bridge.store.scan(Scan(bridge.tenant, bridge.clock.now(), "pending", limit))

    async def _settled(self, report: Report, after: Control, found: Sequence[Found]) -> Report:
        """The report with what was found to leave, which by now cannot be claimed any more."""
        names = {str(Release(report.agent, version)) for version in report.versions}
        under_way = [*_in(self._claimed, "claimed"), *_in(found, "claimed")]
        sent = dict.fromkeys([one.id.hex() for one in under_way if _is_of(one, names)])
        rest = [one for one in _in(found, "pending") if _is_of(one, names)]
        withheld = [one for one in rest if self._is_withheld(one, after)]
        keys = {one.id: one.delivery.key for one in rest if one.delivery}
        report = replace(
            report, already_sent=tuple(sent),
            withheld=tuple([keys.pop(one.id) for one in withheld]), released=tuple(keys.values()),
        )  # fmt: skip
        if report.dry_run:
            return report
        return replace(report, asked_anew=await self._withhold(withheld))

    def _is_withheld(self, found: Found, after: Control) -> bool:
        route = after.route(self._wanted.agent)
        assert found.message is not None and route is not None  # noqa: PT018
        gone = route.withdrawal(Release.parse(found.message.release).version)
        return gone is not None and gone.pending == "withhold"

    async def _withhold(self, several: Sequence[Found]) -> tuple[str, ...]:
        """Withhold them; whose conversations are answered anew: each once, for the last of them."""
        last = {one.contact: one for one in sorted(several, key=lambda one: one.place)}
        asked: list[str] = []
        for one in several:
            assert one.message is not None
            try:
                if one is last[one.contact] and await ask_anew(self._bridge, one.message):
                    asked.append(one.contact.hex())
                await withhold(self._bridge, one, ROLLED_BACK)
            except CtxBridgeError as error:
                # It cannot leave in any case, and whoever looks at it next withholds it and asks.
                logger.error("a message waits to be withheld: %s", type(error).__name__)  # noqa: TRY400
        return tuple(asked)


def _in(several: Sequence[Found], status: str) -> list[Found]:
    return [one for one in several if one.delivery and one.delivery.status == status]


def _is_of(found: Found, releases: Collection[str]) -> bool:
    return found.message is not None and found.message.release in releases
