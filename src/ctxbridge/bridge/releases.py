"""The releases of an agent that are deployed in this process, and which of them answers."""

from collections.abc import Callable, Collection, Sequence
from math import inf
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import replace

from ctxbridge.bridge.judging import Inquiry
from ctxbridge.bridge.recovery import Agent
from ctxbridge.bridge.replying import GATE_OF_AGENT
from ctxbridge.errors import ConfigurationError, UsageError
from ctxbridge.guards.panel import Panel
from ctxbridge.model import Context
from ctxbridge.model.control import Control, Release, Route
from ctxbridge.model.head import NO_RELEASE
from ctxbridge.ports import Guard
from ctxbridge.rules import control as rules
from ctxbridge.wire.typed import StateCodec

if TYPE_CHECKING:
    from ctxbridge.bridge.bridge import Bridge


class Deployed(Struct, frozen=True):
    """A release with what it answers by: its agent, its guards, its state's schema."""

    release: Release
    agent: Agent
    panel: Panel
    codec: StateCodec[Any]


class Releases:
    """What `Bridge.deploy` was told. The first is the stable one, until control says otherwise."""

    def __init__(self, bridge: "Bridge[Any]") -> None:
        self._bridge = bridge
        self._deployed: dict[str, Deployed] = {}
        self.agent = ""
        """The name of the agent; empty where nothing was deployed."""

    def __len__(self) -> int:
        return len(self._deployed)

    def deploy(
        self, release: Release, agent: Agent, guards: Sequence[Guard] | None, state: Any
    ) -> None:
        """See `Bridge.deploy`."""
        release = Release.parse(str(release))
        if self.agent not in {"", release.agent}:
            raise ConfigurationError(
                f"a bridge answers by one agent, this one by {self.agent!r}: give another its own"
            )
        if release.version in self._deployed:
            raise ConfigurationError(f"{release} is deployed already")
        bridge = self._bridge
        panel = self._panel(release, guards or ())
        codec = StateCodec(bridge.codec.model if state is None else state)
        self.agent = release.agent
        self._deployed[release.version] = Deployed(release, agent, panel, codec)
        # Whoever is rolled back to must read what a newer release has written.
        models = [one.codec.model for one in self._deployed.values()]
        for version, one in self._deployed.items():
            self._deployed[version] = replace(one, codec=StateCodec(one.codec.model, newer=models))

    def _panel(self, release: Release, guards: Sequence[Guard]) -> Panel:
        if any(guard.early for guard in guards):
            raise ConfigurationError(
                "a guard that judges before anything is stored is the bridge's, not a release's: "
                "which release answers is not known then"
            )
        whole = (*self._bridge.settings.guards, *guards)
        return Panel(whole, self._bridge.tenant, GATE_OF_AGENT, release=release)

    def forget(self) -> None:
        """Forget what guards have judged before."""
        for deployed in self._deployed.values():
            deployed.panel.forget()

    @property
    def versions(self) -> tuple[str, ...]:
        """The versions that are deployed here, the first that was deployed first."""
        return tuple(self._deployed)

    def find(self, release: Release | None) -> Deployed | None:
        """What answers as this release here; `None` where it is not deployed in this process."""
        if release is None or release.agent != self.agent:
            return None
        return self._deployed.get(release.version)

    def panel_of(self, release: str) -> Panel:
        """The guards of the release that a message names; the bridge's where there is none."""
        deployed = self.find(Release.parse(release)) if release and self._deployed else None
        return deployed.panel if deployed else self._bridge.panel

    def route(self, control: Control) -> Route:
        """Which version answers whom."""
        stable = next(iter(self._deployed), "")
        return control.route(self.agent) or Route(self.agent, stable)

    def rerouting(
        self, agent: str, change: Callable[[Route], Route]
    ) -> Callable[[Control], Control]:
        """The act that puts what `change` makes of an agent's route in its place.

        It raises `ConfigurationError` for an agent that was deployed nowhere.
        """

        def act(control: Control) -> Control:
            route = control.route(agent)
            if route is None and agent == self.agent and agent:
                route = rules.deployed(self.route(control), self.versions)
            if route is None:
                known = ", ".join(one.agent for one in control.routes) or "none"
                raise ConfigurationError(f"no agent {agent!r} was deployed; known: {known}")
            return rules.with_route(control, change(route))

        return act

    def choose(
        self, control: Control, context: Context, channel: str, labels: Collection[str], turn: bytes
    ) -> tuple[Release | None, bool]:
        """The release that answers the turn, and whether it was chosen just now.

        `None` where none was ever deployed.
        """
        if not self._deployed or context.contact is None:
            return None, False
        route = self.route(control)
        pinned = self._pinned(route, context)
        silent = self._silent_seconds(context, turn) if pinned else inf
        version = rules.choose(route, context.contact.id, channel, labels, pinned, silent)
        return Release(self.agent, version), not pinned or silent >= route.pin_seconds

    def steer(
        self, inquiry: Inquiry, context: Context, turn: bytes
    ) -> tuple[Deployed | None, bool]:
        """Let the release judge that answers; whether it was chosen just now.

        `None` where it is not deployed here, or none is.
        """
        channel, labels = inquiry.inbound.channel, inquiry.labels
        control = self._bridge.steering.control
        inquiry.release, anew = self.choose(control, context, channel, labels, turn)
        deployed = self.find(inquiry.release)
        if deployed is not None:
            inquiry.panel = deployed.panel
        return deployed, anew

    def _pinned(self, route: Route, context: Context) -> str:
        if context.release == NO_RELEASE:
            return ""
        gone = [one.version for one in route.withdrawn]
        for version in (*rules.running_versions(route), *self._deployed, *gone):
            if version and Release(self.agent, version).key == context.release:
                return version
        return ""

    def _silent_seconds(self, context: Context, turn: bytes) -> float:
        """For how long nothing had been said before this turn; 0 where the context does not tell.

        Its window may end before that, or its reader may not see it: a conversation must not
        change hands by that.
        """
        before = [message.accepted_at for message in context.messages if message.turn != turn]
        return (self._bridge.clock.now() - max(before)) / 1000 if before else 0.0

    async def answer(self, turn: Any) -> str | None:
        """Let the release that the turn has answer it; see `Bridge.deployed`."""
        deployed = self.find(turn.release)
        if deployed is None:
            raise UsageError("nothing was deployed that could answer: call Bridge.deploy first")
        return await deployed.agent(turn)
