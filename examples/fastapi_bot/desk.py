"""The colleague of the demo: Bea, who takes a conversation over, writes, and gives it back."""

from collections.abc import Awaitable, Callable

from shop import Ticket

from ctxbridge import Bridge, CtxBridgeError, errors
from ctxbridge.bridge.sending import Written

BEA = "Bea"


class Desk:
    """Each function is a button on the page: it gives a sentence about what became of it."""

    def __init__(self, bridge: Bridge[Ticket]) -> None:
        self._floor = bridge.floor
        self._bridge = bridge

    async def take(self, address: str, _text: str = "") -> str:
        """Bea speaks from now on, whether she was asked to or not."""
        held = await self._floor.accept(address, by=BEA)
        asked = f" ({held.reason})" if held.reason else ""
        return f"{BEA} has the conversation{asked}: the agent is silent."

    async def say(self, address: str, text: str) -> str:
        """Bea writes to the customer, to where they wrote from last."""
        context = await self._bridge.context(address, fresh=True)
        wrote = [m.address for m in context.messages if m.author == "contact" and m.address]
        written = await self._floor.say(wrote[-1] if wrote else address, text, by=BEA)
        return _became(written)

    async def back(self, address: str, note: str) -> str:
        """The agent speaks again; it is told who spoke, and what they noted."""
        await self._floor.release(address, by=BEA, note=note)
        return f"{BEA} gave the conversation back: the agent answers the next message."

    async def do(self, name: str, address: str, text: str) -> str:
        """Press a button. Raises `KeyError` for none of ours."""
        steps: dict[str, Callable[[str, str], Awaitable[str]]] = {
            "take": self.take, "say": self.say, "back": self.back,
        }  # fmt: skip
        step = steps[name]
        try:
            return await step(address, text)
        except errors.FloorTaken as taken:
            return f"That came late: {taken.holder or taken.floor} has the conversation."
        except CtxBridgeError as error:
            return f"That did not work: {type(error).__name__}: {error}"


def _became(written: Written) -> str:
    message = written.message
    if message.visible:
        return f"{BEA} wrote by {message.channel}."
    return f"{BEA}’s words were kept back: {message.decision.code if message.decision else ''}."
