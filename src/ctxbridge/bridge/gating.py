"""The gate of one bridge: the rule for everybody, the digest, and the guards at `send`.

It is asked of what leaves later than its turn. What leaves at once has been asked all of it before
the commit, which claims it: see `Replying`.
"""

from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from ctxbridge.delivery.gate import YES, Permit, policy
from ctxbridge.guards.guard import TextCheck
from ctxbridge.guards.panel import Panel
from ctxbridge.guards.states import GuardStates
from ctxbridge.model import Context, Message, Release
from ctxbridge.ports import Clock
from ctxbridge.rules.gate import FLOOR_TAKEN
from ctxbridge.rules.handoff import taken_after
from ctxbridge.telemetry import permitted
from ctxbridge.wire import decode_state

if TYPE_CHECKING:
    from ctxbridge.bridge.bridge import Bridge

ALTERED = "reply.altered"
"""The text is not the one that was judged."""


class SendGate:
    """Asked before each attempt. Without guards at `send` it is a rule and a digest alone."""

    def __init__(self, bridge: "Bridge[Any]") -> None:
        self._bridge = bridge
        self._clock: Clock = bridge.clock

    async def __call__(self, context: Context, message: Message) -> Permit:
        """Whether the message may leave now."""
        permit = await self._asked(context, message)
        now = self._clock.now()
        release = Release.parse(message.release) if message.release else None
        permitted(message.channel, permit.refused, permit.until, context, now, release)
        return permit

    async def _asked(self, context: Context, message: Message) -> Permit:
        code, until = self._bridge.steering.objection(context, message)
        if until:
            return Permit(until=until)
        permit = Permit(code) if code else await policy(context, message)
        if permit.refused:
            return permit
        if message.author == "agent" and await self._was_taken(context, message):
            return Permit(FLOOR_TAKEN)
        panel, decision = self._bridge.releases.panel_of(message.release), message.decision
        if decision is None or decision.enforced_digest != panel.digest(message.text):
            return Permit(ALTERED)
        return await self._ask_guards(panel, context, message) if panel.send else YES

    async def _was_taken(self, context: Context, message: Message) -> bool:
        """Whether a colleague has had the floor since: the agent did not know what they said."""
        taken = taken_after(context, message)
        if taken is None and message.address is not None:
            whole = await self._bridge.context(message.address, window=0, fresh=True)
            taken = taken_after(whole, message)
        return taken or False

    async def _ask_guards(self, panel: Panel, context: Context, message: Message) -> Permit:
        check = TextCheck(
            "send", message.text, message.channel, message.assurance, self._clock.now(),
            message.flags, context.contact, context, message.purpose, message.address,
        )  # fmt: skip
        states = GuardStates(decode_state(context.state).guards if context.state else ())
        judged = await panel.judge(panel.send, check, states)
        permit = Permit(decision=judged.decision)
        if judged.blocked:
            return replace(permit, refused=judged.decision.code or "guard.send")
        if judged.modified:
            return replace(permit, refused=ALTERED)
        return replace(permit, until=judged.until if judged.until > check.now else 0)
