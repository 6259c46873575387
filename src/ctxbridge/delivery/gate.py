"""The send gate: what is asked in the moment before a message leaves."""

from collections.abc import Awaitable, Callable

from msgspec import Struct

from ctxbridge.model import Context, Decision, Message
from ctxbridge.rules import gate


class Permit(Struct, frozen=True, gc=False):
    """The gate's answer: yes, or why not, or when to ask again (Unix milliseconds).

    `decision` is what guards said of it, where any were asked.
    """

    refused: str = ""
    until: int = 0
    decision: Decision | None = None


YES = Permit()
Gate = Callable[[Context, Message], Awaitable[Permit]]
"""Asked with the context as it is now, and the message as it was committed."""


async def policy(context: Context, message: Message) -> Permit:
    """The rule that holds for everybody: consent, floor, recipient, decision."""
    refused = gate.refusal(context, message)
    return Permit(refused) if refused else YES
