"""The send gate: what is asked in the moment before a message leaves."""

from collections.abc import Awaitable, Callable
from typing import Protocol

from msgspec import Struct

from ctxbridge.model import Context, Decision, Found, Message
from ctxbridge.rules import gate


class Permit(Struct, frozen=True, gc=False):
    """The gate's answer: yes, or why not, or when to ask again (Unix milliseconds).

    `decision` is what guards said of it, where any were asked.
    """

    refused: str = ""
    until: int = 0
    decision: Decision | None = None


YES = Permit()


class Steers(Protocol):
    """What knows the tenant's control; stores compare its `epoch` with their own."""

    @property
    def epoch(self) -> int:
        """The epoch of the newest control that is known here."""
        ...

    def adopt(self, raw: bytes, /) -> None:
        """Know this control from now on, if it is newer."""
        ...

    def withdrawn(self, message: Message, /) -> str:
        """Why a message will never leave, whatever else is known of it; empty if it may."""
        ...

    def objection(self, context: Context, message: Message, /) -> tuple[str, int]:
        """Why a message may not leave now, and when to ask again (0: it never will)."""
        ...

    def holds(self, found: Found, /) -> bool:
        """Whether it is to wait, as far as can be told without claiming it."""
        ...

    async def refused(self, message: Message, code: str, /) -> None:
        """The message is about to be withheld for good: see to it that its contact is answered."""
        ...


class Unsteered:
    """Where nobody steers: no control is known, and none is minded."""

    epoch = 0

    def adopt(self, raw: bytes, /) -> None:
        """Pass the gate under it, whatever it says."""
        self.epoch = int.from_bytes(raw[:8], "big")

    def withdrawn(self, _message: Message, /) -> str:
        """No message is."""
        return ""

    def objection(self, _context: Context, _message: Message, /) -> tuple[str, int]:
        """None may not."""
        return "", 0

    def holds(self, _found: Found, /) -> bool:
        """None waits."""
        return False

    async def refused(self, _message: Message, _code: str, /) -> None:
        """Nobody is asked for another."""


Gate = Callable[[Context, Message], Awaitable[Permit]]
"""Asked with the context as it is now, and the message as it was committed."""


async def policy(context: Context, message: Message) -> Permit:
    """The rule that holds for everybody: consent, floor, recipient, decision."""
    refused = gate.refusal(context, message)
    return Permit(refused) if refused else YES
