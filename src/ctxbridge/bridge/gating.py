"""The gate of one bridge: the rule for everybody, the digest, and the guards at `send`."""

from collections.abc import Sequence
from functools import partial

from ctxbridge.delivery.gate import YES, Permit, policy
from ctxbridge.guards.guard import TextCheck
from ctxbridge.guards.pipeline import judge
from ctxbridge.model import Context, Message
from ctxbridge.ports import Clock, Guard
from ctxbridge.wire.keys import text_digest

ALTERED = "reply.altered"
"""The text is not the one that was judged."""


class SendGate:
    """Asked before each attempt. Without guards at `send` it is a rule and a digest alone."""

    def __init__(self, guards: Sequence[Guard], tenant: str, clock: Clock) -> None:
        self._guards = [guard for guard in guards if "send" in guard.stages]
        self._digest = partial(text_digest, tenant)
        self._clock = clock

    async def __call__(self, context: Context, message: Message) -> Permit:
        """Whether the message may leave now."""
        permit = await policy(context, message)
        if permit.refused:
            return permit
        decision = message.decision
        if decision is None or decision.enforced_digest != self._digest(message.text):
            return Permit(ALTERED)
        return await self._ask_guards(context, message) if self._guards else YES

    async def _ask_guards(self, context: Context, message: Message) -> Permit:
        check = TextCheck(
            "send", message.text, message.channel, message.assurance, self._clock.now(),
            message.flags, context.contact, context, address=message.address,
        )  # fmt: skip
        judged = await judge(self._guards, check, self._digest)
        if judged.blocked:
            return Permit(judged.decision.code or "guard.send")
        if judged.modified:
            return Permit(ALTERED)
        return Permit(until=judged.until) if judged.until > check.now else YES
