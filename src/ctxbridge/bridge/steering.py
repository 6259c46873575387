"""What this process knows of the tenant's control, and what that means for a turn or a message.

Safety never depends on when it is learned: every store compares the epoch that is known here in the
very step that opens, commits or claims, and refuses what was decided under an older one.
"""

import logging
from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct
from msgspec.structs import replace

from ctxbridge.bridge.asking_anew import ask_anew
from ctxbridge.bridge.sweeping import sweep
from ctxbridge.errors import Halted, StateUnreadable, StoreError
from ctxbridge.model import Context, Found, Inbound, Message, RecordRead
from ctxbridge.model.control import Control, Release, Scope
from ctxbridge.model.record import CONTROL
from ctxbridge.rules import control as rules
from ctxbridge.rules.control import Subject
from ctxbridge.telemetry import control as told
from ctxbridge.wire.control1 import decode_control

if TYPE_CHECKING:
    from ctxbridge.bridge.bridge import Bridge
    from ctxbridge.bridge.releases import Deployed
    from ctxbridge.bridge.turn import Turn

logger = logging.getLogger("ctxbridge")

_BREATH_SECONDS = 0.01
LOOK_AGAIN_MILLISECONDS = 5_000
"""After how long the gate is asked again of what a pause holds back."""

PAUSED, KILLED = "control.paused", "control.killed"
ROLLED_BACK, ELSEWHERE = "release.rolled_back", "release.elsewhere"


def release_of(message: Message) -> Release | None:
    """Which release wrote it; `None` where a person did, or nobody knows."""
    if not message.release or message.author == "human_agent":
        return None
    return Release.parse(message.release)


class Bar(Struct, frozen=True):
    """Why a turn may not go on: a short code; `then` says what becomes of its message."""

    code: str
    then: Literal["wait", "retake", "handoff"] = "wait"
    patience: int = 0
    """As how old the message counts when it is given back (milliseconds): see `give_back`."""


def _patience(scope: Scope) -> int:
    """What `Steering.holds` cannot see is opened again and again, so that is not done too often."""
    return 2 * LOOK_AGAIN_MILLISECONDS if scope.version or scope.conversation else 0


def unreadable(deployed: "Deployed | None", context: Context) -> Bar | None:
    """A state that another release has written and this one cannot read: a person is to answer.

    The state stays as it is stored, so whoever can read it goes on from there.
    """
    if deployed is None or context.state is None or deployed.release.key == context.release:
        return None
    try:
        deployed.codec.read(context.state)
    except StateUnreadable as error:
        return Bar(f"state.{error.why}", "handoff")
    return None


class Steering:
    """The newest control that this process was told of."""

    def __init__(self, bridge: "Bridge[Any]", fails: Literal["closed", "open"]) -> None:
        self._bridge = bridge
        self._fails = fails
        self._turns: set[Turn[Any]] = set()
        self._revision = 0
        """That of its record, where it was read as one."""
        self._passed: dict[tuple[bytes, int], int] = {}
        self.control = Control()

    @property
    def epoch(self) -> int:
        """What stores compare."""
        return self.control.epoch

    def adopt(self, raw: bytes) -> None:
        """Know a control from now on, if it is newer; turns that it stops are told at once.

        Raises `UnknownFormat` or `CorruptRecord` for one that cannot be read, unless the bridge
        `control_fails` open: then what was known before goes on to hold.
        """
        epoch, before = rules.epoch_of(raw), self.control
        if epoch <= before.epoch:
            return
        try:
            self.control = decode_control(raw)
        except StoreError as error:
            logger.error("the tenant's control cannot be read: %s", error)  # noqa: TRY400
            if self._fails == "closed":
                raise
            self.control = replace(self.control, epoch=epoch)
        told.known(before, self.control)
        self._passed.clear()
        for turn in list(self._turns):
            turn.recheck()

    async def refresh(self, patience_seconds: float = 0.0) -> int:
        """Ask the store for the newest, and wait for it so long; 1 if there was one."""
        before = self.control.epoch
        read = RecordRead(
            self._bridge.tenant, *CONTROL, self._bridge.clock.now(), self._revision,
            patience_seconds,
        )  # fmt: skip
        record = await self._bridge.store.records(read)
        if record is not None:
            self._revision = record.revision
            self.adopt(record.value)
        return int(self.control.epoch != before)

    async def look_up(self) -> None:
        """Ask the store for the newest where something stands still: what is held is not opened.

        So whoever sweeps without `watch` would never be told of the end of it.
        """
        if self.control.halts:
            await self.refresh()

    async def watch(self, seconds: float) -> None:
        """Know of every newer control as soon as the store tells of it, until cancelled.

        It is asked again every so often, in case it does not tell.
        """
        await sweep(lambda: self.refresh(seconds), _BREATH_SECONDS)

    def begins(self, turn: "Turn[Any]") -> None:
        """The turn is to be told what stops it."""
        self._turns.add(turn)

    def ends(self, turn: "Turn[Any]") -> None:
        """It need not be told any more."""
        self._turns.discard(turn)

    def pass_by(self, contact: bytes, place: int) -> None:
        """Leave a message, whose release is not deployed here, to other processes for a while.

        Else whoever sweeps a moment before them would have its lease each time anew.
        """
        now = self._bridge.clock.now()
        self._passed = {key: until for key, until in self._passed.items() if until > now}
        self._passed[contact, place] = now + LOOK_AGAIN_MILLISECONDS

    # --- what it means ----------------------------------------------------------------------------

    def bar(
        self, release: Release | None, inbound: Inbound, context: Context, purpose: str = ""
    ) -> Bar | None:
        """What stops a turn of this release, or a message of this purpose, if anything does."""
        control, releases = self.control, self._bridge.releases
        if release is not None:
            gone = releases.route(control).withdrawal(release.version)
            if gone is not None:
                return Bar(ROLLED_BACK, gone.running)
        halt = self.halt(release, inbound, context, purpose)
        if halt is not None:
            return halt
        if release is not None and releases.find(release) is None:
            return Bar(ELSEWHERE)
        return None

    def halt(
        self, release: Release | None, inbound: Inbound, context: Context, purpose: str = ""
    ) -> Bar | None:
        """What stands still of it."""
        control = self.control
        if not control.halts:
            return None
        agent, version = (release.agent, release.version) if release else ("", "")
        subject = Subject(
            agent, version, inbound.channel, str(inbound.endpoint), rules.ids_of(context.contact),
            context.conversation.hex(), purpose,
        )  # fmt: skip
        halt = rules.halted(control, subject)
        if halt is None:
            return None
        return Bar(KILLED if halt.mode == "kill" else PAUSED, patience=_patience(halt.scope))

    def holds(self, found: Found) -> bool:
        """Whether this message is to wait, as far as can be told without opening or claiming it."""
        if (
            found.delivery is None
            and self._passed.get((found.contact, found.place), 0) > self._bridge.clock.now()
        ):
            return True
        if not self.control.halts or found.message is None:
            return False
        ids = tuple([id.hex() for id in (found.contact, *found.merged)])
        message = found.message
        subject = Subject(
            self._bridge.releases.agent, "", message.channel, str(message.endpoint or ""), ids
        )
        if found.delivery is None:
            return rules.halted(self.control, subject) is not None
        return not self.withdrawn(message) and self._is_paused(message, subject)

    def _is_paused(self, message: Message, subject: Subject) -> bool:
        """Whether a message of ours has to wait to leave: one that is killed is to be withheld."""
        release = release_of(message)
        agent, version = (release.agent, release.version) if release else ("", "")
        asked = replace(subject, agent=agent, version=version, purpose=message.purpose)
        halt = rules.halted(self.control, asked)
        return halt is not None and halt.mode == "pause"

    def require(
        self, release: Release | None, inbound: Inbound, context: Context, purpose: str
    ) -> None:
        """Raise `Halted` where nobody may write for this purpose now."""
        bar = self.bar(release, inbound, context, purpose)
        if bar is not None and bar.code != ELSEWHERE:
            raise Halted(bar.code)

    def withdrawn(self, message: Message) -> str:
        """Why a message will never leave, as far as its release says that; empty if it may."""
        release = release_of(message)
        route = self.control.route(release.agent) if release else None
        gone = route.withdrawal(release.version) if route and release else None
        return ROLLED_BACK if gone is not None and gone.pending == "withhold" else ""

    async def refused(self, message: Message, code: str) -> None:
        """Let a message that is withheld by a rollback be asked for anew. Raises `StoreError`."""
        if code == ROLLED_BACK:
            await ask_anew(self._bridge, message)

    def unhalted(self, answer: tuple[Message, ...], context: Context) -> tuple[Message, ...]:
        """Of a stored answer what no control stands against."""
        return tuple([one for one in answer if not self.objection(context, one)[0]])

    def waits(self, answer: tuple[Message, ...], context: Context) -> bool:
        """Whether any of a stored answer may leave once a pause is over."""
        return any(self.objection(context, one)[1] for one in answer)

    def objection(self, context: Context, message: Message) -> tuple[str, int]:
        """What stands against the leaving of a message: a code, and when to ask again (0: never).

        Times are Unix milliseconds. What a person wrote is held by a halt that names no agent.
        """
        control = self.control
        if not control.epoch:
            return "", 0
        code = self.withdrawn(message)
        if code:
            return code, 0
        release = release_of(message)
        subject = Subject.of(release, message, context.contact, context.conversation)
        halt = rules.halted(control, subject)
        if halt is None:
            return "", 0
        if halt.mode == "kill":
            return KILLED, 0
        return PAUSED, self._bridge.clock.now() + LOOK_AGAIN_MILLISECONDS
