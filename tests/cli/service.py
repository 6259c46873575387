"""A service with two releases, for the commands that control it from outside.

The command line is another bridge over the same store, which has nothing deployed.
"""

import json
import time
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import anyio

from ctxbridge import Address, Assurance, Bridge, Endpoint, Inbound, Text, Turn
from ctxbridge.guards import allow, defer, guard
from ctxbridge.model import Outgoing, Sent

OURS = Endpoint("sms", "+15550199999")
ANN, BOB = "sms:+15550100001", "sms:+15550100002"
HOUR = 3_600_000
WHY = ("--why", "it swears")
Run = Callable[..., "Done"]


class Done(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def objects(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [one for one in self.objects if one["kind"] == kind]


@guard("reply")
def later(check: Any) -> Any:
    """Whatever says so waits an hour before it is sent."""
    return defer(check.now + HOUR, "later") if "later" in check.text else allow()


class Ahead:
    """A clock that is more than an hour ahead, so that what waits is due."""

    def now(self) -> int:
        return time.time_ns() // 1_000_000 + 2 * HOUR


class Phone:
    channel, repeatable, timeout_seconds, per_second = "sms", False, 5.0, 0.0

    def __init__(self) -> None:
        self.texts: list[str] = []

    async def send(self, outgoing: Outgoing) -> Sent:
        self.texts.append(outgoing.text)
        return Sent("sent", provider_id="P")

    async def aclose(self) -> None:
        pass


def url(db: object) -> str:
    return str(db) if "://" in str(db) else f"sqlite:///{db}"


class Service:
    """A process with v11 and v12; what a test puts into `before` happens while v12 thinks."""

    def __init__(self, db: object, **options: Any) -> None:
        self.phone = Phone()
        self.before: Callable[[], Awaitable[None]] | None = None
        options = {"senders": [self.phone], "guards": [later], **options}
        self.bridge: Bridge[Any] = Bridge(url(db), tenant="demo", wait_seconds=0.1, **options)
        self.bridge.deploy("support@v11", self._old)
        self.bridge.deploy("support@v12", self._new)

    async def _old(self, turn: Turn[Any]) -> str:
        return f"v11: {turn.inbound.text}"

    async def _new(self, turn: Turn[Any]) -> str:
        if self.before:
            await self.before()
        return f"v12: {turn.inbound.text}"

    async def write(self, text: str, sender: str = ANN) -> Turn[Any]:
        inbound = Inbound(
            "sms", OURS, Address.parse(sender), text + sender, (Text(text),), Assurance.CHANNEL
        )
        return await self.bridge.answer(inbound, self.bridge.deployed)


def serve(db: object, work: Callable[[Service], Awaitable[Any]], **options: Any) -> Any:
    """What `work` gives, done by a service over the store."""

    async def within() -> Any:
        service = Service(db, **options)
        async with service.bridge:
            return await work(service)

    return anyio.run(within)


def write(db: object, *texts: str, sender: str = ANN) -> list[Turn[Any]]:
    """Messages to the service, and what became of each."""

    async def work(service: Service) -> list[Turn[Any]]:
        return [await service.write(text, sender) for text in texts]

    turns: list[Turn[Any]] = serve(db, work)
    return turns


def release_of(turn: Turn[Any]) -> str:
    return turn.release.version if turn.release else ""
