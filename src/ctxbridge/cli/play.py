"""The scene of the demo: which payload comes when, and how it is played through the bridge."""

from collections.abc import Mapping
from datetime import datetime
from importlib.resources import files
from time import perf_counter_ns
from typing import Any

import msgspec
from msgspec import Struct

from ctxbridge import Bridge, guards
from ctxbridge.channels import Email, Twilio, WebChat
from ctxbridge.cli.agent import Ticket, answer, no_promises
from ctxbridge.model import Inbound, RawRequest
from ctxbridge.ports import Channel, Guard


class Step(Struct, frozen=True):
    """One request of a provider: its body is the file, `at` the moment it came."""

    file: str
    provider: str
    at: datetime
    headers: dict[str, str] = {}


class Scene(Struct, frozen=True):
    """Who plays, with which settings of the adapters, and the steps in their order."""

    tenant: str
    contact: str
    linked: tuple[str, ...]
    evidence: str
    opens: datetime
    twilio: dict[str, str]
    email: dict[str, str]
    webchat: dict[str, str]
    steps: tuple[Step, ...]

    @property
    def addresses(self) -> tuple[str, ...]:
        """Every address of the one customer."""
        return (self.contact, *self.linked)

    def adapters(self) -> Mapping[str, Channel]:
        """The adapter of each provider, with its secrets."""
        return {
            "twilio": Twilio(**self.twilio),
            "email": Email(self.email["mailbox"], authserv_id=self.email["authserv_id"]),
            "webchat": WebChat(self.webchat["secret"], app=self.webchat["app"]),
        }


class Played(Struct, frozen=True):
    """What became of one inbound event: its turn, and how long that took."""

    turn: str
    duplicate: bool
    nanoseconds: int
    at: int


class SceneClock:
    """Stands at the moment of the scene, so that every run says the same."""

    def __init__(self, moment: datetime) -> None:
        self.moment = moment

    def now(self) -> int:
        """Unix milliseconds."""
        return round(self.moment.timestamp() * 1000)


def load() -> Scene:
    """The scene that comes with the package."""
    return msgspec.json.decode(_read("scene.json"), type=Scene)


def _read(name: str) -> bytes:
    return (files("ctxbridge.cli") / "scene" / name).read_bytes()


def bridge_of(store: str, scene: Scene) -> tuple[Bridge[Ticket], SceneClock]:
    """The demo's bridge over `store`, and the clock it goes by."""
    clock = SceneClock(scene.opens)
    chosen: list[Guard] = [guards.opt_out(), guards.automatic(), guards.pii(), no_promises]
    bridge = Bridge(store, tenant=scene.tenant, state=Ticket, guards=chosen, clock=clock)
    return bridge, clock


async def play(bridge: Bridge[Ticket], clock: SceneClock, scene: Scene) -> list[Played]:
    """Link the customer's addresses as a CRM would, then let every payload come in at its time."""
    for address in scene.linked:
        await bridge.link(scene.contact, address, evidence=scene.evidence)
    adapters = scene.adapters()
    played: list[Played] = []
    for step in scene.steps:
        clock.moment = step.at
        adapter = adapters[step.provider]
        request = RawRequest(
            _read(step.file),
            tuple(step.headers.items()),
            url=scene.twilio["url"],
            received_at=clock.now(),
        )
        parsed = adapter.parse(request, adapter.verify(request))
        for error in parsed.errors:
            raise error
        inbound = [event for event in parsed.events if isinstance(event, Inbound)]
        played += [await take(bridge, event) for event in inbound]
    return played


async def take(bridge: Bridge[Any], inbound: Inbound) -> Played:
    """One turn: what a service does for every message that comes in."""
    started = perf_counter_ns()
    async with bridge.turn(inbound) as turn:
        if turn.open:
            turn.reply(answer(turn.context, turn.state))
    took = perf_counter_ns() - started
    return Played(turn.id, turn.status == "duplicate", took, bridge.clock.now())
