"""Control of one tenant's agents: which release answers whom, and what stands still."""

from collections.abc import Awaitable, Callable, Sequence
from random import uniform
from typing import TYPE_CHECKING, Any

import anyio
from msgspec.structs import replace

from ctxbridge.bridge.killing import begin_kill, end_kills
from ctxbridge.bridge.recovery import Agent
from ctxbridge.bridge.rolling import Report, Rollback, roll_back
from ctxbridge.errors import (
    Busy,
    Conflict,
    CorruptRecord,
    UnknownFormat,
    UsageError,
)
from ctxbridge.model import Conclusion, RecordRead, RecordWrite, TrialPolicy
from ctxbridge.model.control import (
    Canary,
    Control,
    Halt,
    Mode,
    Pending,
    Release,
    Route,
    Running,
    Scope,
)
from ctxbridge.model.record import CONTROL
from ctxbridge.ports import Guard
from ctxbridge.rules import control as rules
from ctxbridge.rules.trial import begin, conclude
from ctxbridge.telemetry import controlled
from ctxbridge.wire.control1 import decode_control, encode_control

if TYPE_CHECKING:
    from ctxbridge.bridge.bridge import Bridge

_TRIES, _LONGEST_PAUSE_SECONDS = 16, 0.3
_ACTS = "control.acts"
_KEPT_SECONDS = 400 * 86_400.0
"""How long it is known who did what."""

Act = Callable[[Control], Control]


class Controls:
    """What `Bridge.control` gives. Each act is written down with who did it, when and why.

    Once an act has returned it holds on every worker: whatever was decided under the control before
    is refused by the store. All raise `ConfigurationError` for an agent or a version that was never
    deployed, `UsageError` (`TooLarge` for more words than can be kept), `Busy` where others change
    the control all the time, and `StoreError`; the same again is safe, and finishes what broke off.
    """

    def __init__(self, bridge: "Bridge[Any]") -> None:
        self._bridge = bridge

    async def read(self) -> Control:
        """The control as it is now, from the store."""
        control, _ = await self._stored()
        return control

    async def history(self, limit: int = 50) -> tuple[Control, ...]:
        """The control as it was after each act, the newest first: `act`, `by`, `why`, `at` (ms)."""
        control, found = await self.read(), list[Control]()
        while control.epoch and len(found) < limit:
            found.append(control)
            read = RecordRead(self._bridge.tenant, _ACTS, _name(control.before), self._now())
            record = await self._bridge.store.records(read)
            control = decode_control(record.value) if record else Control()
        return tuple(found)

    # --- releases ---------------------------------------------------------------------------------

    async def rollback(
        self,
        agent: str,
        /,
        to: str,
        *,
        versions: Sequence[str] = (),
        running: Running = "retake",
        pending: Pending = "withhold",
        by: str = "",
        why: str = "",
        within_seconds: float = 10.0,
        dry_run: bool = False,
    ) -> Report:
        """Let the version `to` answer all, at once, and take back what others have begun.

        `versions` are those to take back; by default all that may answer now but for `to`. Their
        turns that run cannot say anything any more: with ``retake`` the version `to` takes them up
        on the same context, with ``handoff`` a person is to. Messages of theirs that have not left
        are withheld, and their conversations answered anew (or ``release``: they leave). It is
        waited up to `within_seconds` for the turns that were stopped; see `Report`.

        With `dry_run` nothing is changed, and the report says what there is to be stopped.
        """
        if running not in {"retake", "handoff"} or pending not in {"withhold", "release"}:
            raise UsageError('running is "retake" or "handoff", pending "withhold" or "release"')
        wanted = Rollback(agent, to, tuple(versions), running, pending, within_seconds, dry_run)
        return await roll_back(self._bridge, self, wanted, by=by, why=why)

    async def promote(
        self, agent: str, /, version: str, *, by: str = "", why: str = "", dry_run: bool = False
    ) -> Control:
        """Let `version` answer all new conversations. What the stable one has begun, it ends.

        A version that was rolled back may be promoted: then it is so no more.
        """
        act = self._bridge.releases.rerouting(agent, lambda route: rules.promoted(route, version))
        return await self.do(f"promote {agent}@{version}", act, by, why, dry_run=dry_run)

    async def canary(
        self,
        agent: str,
        /,
        version: str,
        percent: float = 100.0,
        *,
        channels: Sequence[str] = (),
        labels: Sequence[str] = (),
        trial: TrialPolicy | None = None,
        by: str = "",
        why: str = "",
        dry_run: bool = False,
    ) -> Control:
        """Let `version` answer some of the new conversations; with 0 percent no more of them.

        They must fit all that is given: `percent` of all contacts (0 to 100, always the same ones),
        one of the `channels`, one of the `labels` that guards put on the first message.

        With a `trial` its conversations are compared with those of the stable version, and it is
        rolled back (or that is proposed) once enough speaks against it: see `TrialPolicy`. There is
        one trial for each release; where it has begun it goes on, with the policy it began with.
        """
        whose = rules.checked_names("channels", channels), rules.checked_names("labels", labels)
        canary = Canary(version, percent, *whose, trial is not None)
        act = self._bridge.releases.rerouting(agent, lambda route: rules.with_canary(route, canary))
        if trial is not None and not dry_run:
            act(await self.read())  # where the canary is refused, its trial must not have begun
            await self._begin_trial(Release.parse(f"{agent}@{version}"), trial)
        return await self.do(
            f"canary {agent}@{version} {percent:g} %", act, by, why, dry_run=dry_run
        )

    async def _begin_trial(self, canary: Release, policy: TrialPolicy) -> None:
        control, watching = await self.read(), self._bridge.watching
        route = control.route(canary.agent)
        held, _ = await watching.trial(canary)
        if held is None and route is not None:
            await watching.put(canary, begin(canary.version, route.stable, policy), 0)

    async def trial(self, agent: str, version: str) -> Conclusion | None:
        """What the trial of a release comes to so far, with its reasons; `None` for none."""
        trial, _ = await self._bridge.watching.trial(Release.parse(f"{agent}@{version}"))
        return conclude(trial) if trial is not None else None

    async def propose(self, release: Release, why: str) -> bool:
        """Note, once, that a release should be rolled back; whether that was new."""
        what = f"propose rollback {release}"
        if any(control.act == what for control in await self.history()):
            return False
        await self.do(what, lambda control: control, "policy:trial", why)
        return True

    async def drain(
        self, agent: str, /, version: str, *, by: str = "", why: str = "", dry_run: bool = False
    ) -> Control:
        """Let `version` begin no conversation any more; it goes on with those that it has."""
        act = self._bridge.releases.rerouting(agent, lambda route: rules.drained(route, version))
        return await self.do(f"drain {agent}@{version}", act, by, why, dry_run=dry_run)

    async def deployed(self) -> None:
        """Let it be known what is deployed in this process, and the first of it be stable."""
        releases = self._bridge.releases
        route = releases.route(self._bridge.steering.control)
        if set(releases.versions) - set(route.known):
            known = ", ".join(releases.versions)
            act = releases.rerouting(releases.agent, lambda r: rules.deployed(r, releases.versions))
            try:
                await self.do(f"deploy {releases.agent}: {known}", act, "", "", unless_known=True)
            except (UnknownFormat, CorruptRecord):
                # It was told when it was read. Whoever restarts must not stay away by that.
                if self._bridge.settings.control_fails == "closed":
                    raise

    # --- what stands still ------------------------------------------------------------------------

    async def pause(
        self, scope: Scope | None = None, /, *, by: str = "", why: str = "", dry_run: bool = False
    ) -> Control:
        """Let what `scope` names stand still (without one: the whole tenant). See `Halt`."""
        return await self._halt(scope or Scope(), "pause", by, why, dry_run=dry_run)

    async def kill(
        self, scope: Scope | None = None, /, *, by: str = "", why: str = "", dry_run: bool = False
    ) -> Control:
        """As `pause`, and what of it has not left yet never will."""
        return await self._halt(scope or Scope(), "kill", by, why, dry_run=dry_run)

    async def resume(
        self, scope: Scope | None = None, /, *, by: str = "", why: str = "", dry_run: bool = False
    ) -> Control:
        """End the pause or kill of exactly this scope; what waits is answered now.

        Raises `UsageError` where nothing of this scope stands still.
        """
        scope = rules.checked_scope(scope or Scope())

        def act(control: Control) -> Control:
            after = rules.without_halt(control, scope)
            if after.halts == control.halts:
                halted = "; ".join(str(halt.scope) for halt in control.halts) or "nothing"
                raise UsageError(f"nothing of this scope stands still; what does: {halted}")
            return after

        return await self.do(f"resume {scope}", act, by, why, scope, "running", dry_run=dry_run)

    async def _halt(self, scope: Scope, mode: Mode, by: str, why: str, *, dry_run: bool) -> Control:
        scope = rules.checked_scope(scope)
        rules.require_purpose(scope)
        halt = Halt(scope, mode, *rules.checked_words(by, why), self._now())
        state = {"pause": "paused", "kill": "killed"}[mode]

        def act(control: Control) -> Control:
            self._require_agent(control, scope)
            return rules.with_halt(control, halt)

        after = await self.do(f"{mode} {scope}", act, by, why, scope, state, dry_run=dry_run)
        if mode == "kill" and not dry_run:
            await begin_kill(self._bridge, scope)
        return after

    def _require_agent(self, control: Control, scope: Scope) -> None:
        """Raise `ConfigurationError` for an agent or a version that could not be halted."""

        def known(route: Route) -> Route:
            if scope.version:
                rules.require_known(route, scope.version)
            return route

        if scope.agent:
            self._bridge.releases.rerouting(scope.agent, known)(control)

    # --- acting -----------------------------------------------------------------------------------

    async def do(
        self,
        what: str,
        act: Act,
        by: str,
        why: str,
        scope: Scope | None = None,
        state: str = "running",
        *,
        dry_run: bool = False,
        unless_known: bool = False,
    ) -> Control:
        """Change the control by `act`, which may be called again where others change it too.

        `unless_known`: only where it changes any route.
        """
        by, why = rules.checked_words(by, why)
        for tries in range(_TRIES):
            before, revision = await self._stored()
            wanted = act(before)
            if unless_known and set(wanted.routes) == set(before.routes):
                self._bridge.steering.adopt(encode_control(before))
                return before
            after = self._stamped(wanted, before, what, by, why)
            if dry_run:
                return after
            await end_kills(self._bridge, before, after)
            if await self._write(after, revision):
                self._bridge.steering.adopt(encode_control(after))
                _tell(scope, state, by)
                return after
            # All processes of a service may start at the same moment.
            await anyio.sleep(uniform(0.0, min(_LONGEST_PAUSE_SECONDS, 0.002 * 2**tries)))
        raise Busy("others keep changing the control; nothing was changed, and a retry is safe")

    def _stamped(self, wanted: Control, before: Control, what: str, by: str, why: str) -> Control:
        """The control after the act.

        Clocks may disagree, and a server may have lost the last act, which workers know of: the
        epoch grows all the same.
        """
        now = self._now()
        epoch = max(before.epoch + 1, self._bridge.steering.epoch + 1, now)
        return replace(wanted, epoch=epoch, act=what, by=by, why=why, at=now, before=before.epoch)

    async def _stored(self) -> tuple[Control, int]:
        read = RecordRead(self._bridge.tenant, *CONTROL, self._now())
        record = await self._bridge.store.records(read)
        if record is None:
            return Control(), 0
        try:
            return decode_control(record.value), record.revision
        except CorruptRecord:
            return await self._noted(record.value), record.revision

    async def _noted(self, damaged: bytes) -> Control:
        """A control that is damaged, from the note of its act: else nobody could mend it by any.

        Raises `CorruptRecord` where there is no such note.
        """
        name = _name(rules.epoch_of(damaged))
        read = RecordRead(self._bridge.tenant, _ACTS, name, self._now())
        note = await self._bridge.store.records(read)
        return decode_control(note.value if note else damaged)

    async def _write(self, control: Control, revision: int) -> bool:
        """Whether it was written; the note of the act stands first, so that none is ever lost."""
        tenant, now, value = self._bridge.tenant, self._now(), encode_control(control)
        store = self._bridge.store
        note = RecordWrite(tenant, _ACTS, _name(control.epoch), now, value, None, _KEPT_SECONDS)
        await store.records(note)
        try:
            await store.records(RecordWrite(tenant, *CONTROL, now, value, revision))
        except Conflict:
            return False
        return True

    def _now(self) -> int:
        return self._bridge.clock.now()


def _name(epoch: int) -> str:
    return f"{epoch:016x}"


def _tell(scope: Scope | None, state: str, by: str) -> None:
    actor = "human" if by and not by.startswith("policy") else "policy"
    if scope is None:
        controlled("release", state, actor)
    else:
        controlled(scope.kind, state, actor, agent=scope.agent, version=scope.version)


class Controlled:
    """A part of `Bridge`: releases, and control over them."""

    @property
    def control(self: Any) -> Controls:
        """Roll back, promote, pause, kill, and see who did: see `Controls`."""
        return Controls(self)

    def deploy(
        self: Any,
        release: Release | str,
        agent: Agent,
        /,
        *,
        guards: Sequence[Guard] | None = None,
        state: Any = None,
    ) -> None:
        """Let this process answer as `release` (``support@v12``), which `agent` does.

        `guards` judge besides those of the bridge. `state` is the type of the conversation's state
        as this release knows it; without, the bridge's. The first that is deployed by anybody is
        the stable one; what is deployed later answers nobody before `control.promote` or
        `control.canary` say so. Deploy in every process what may have to answer: the release to
        roll back to as well.

        Call it before the bridge is entered, and give `deployed` as the agent. Raises `UsageError`
        once it is, and `ConfigurationError` for what is no release, or is deployed already.
        """
        if self.acceptances.is_open:
            raise UsageError("releases are deployed before the bridge is entered")
        named = Release.parse(str(release))
        self.releases.deploy(named, agent, guards, state)

    @property
    def deployed(self: Any) -> Callable[[Any], Awaitable[str | None]]:
        """The agent that lets each turn be answered by its release: for `answer`, `run`, ..."""
        answer: Callable[[Any], Awaitable[str | None]] = self.releases.answer
        return answer
