"""A tenant's control: which release answers whom, what stands still, and who said so."""

from hashlib import blake2b
from typing import Any, Literal

from msgspec import Struct

from ctxbridge.errors import ConfigurationError

MOST_NAME_CHARACTERS = 64

Mode = Literal["pause", "kill"]
Running = Literal["retake", "handoff"]
"""What becomes of the turns that run when their release is rolled back: the next release takes them
up again, or a person."""
Pending = Literal["withhold", "release"]
"""What becomes of messages of a release that was rolled back, which have not left yet."""


def checked_name(name: Any, what: str) -> str:
    """A name of an agent or a version; raises `ConfigurationError` for what cannot be one."""
    good = isinstance(name, str) and 0 < len(name) <= MOST_NAME_CHARACTERS
    if not good or "@" in name or not name.isprintable() or " " in name:
        raise ConfigurationError(
            f"{what} is a word of up to {MOST_NAME_CHARACTERS} characters, without spaces and @"
        )
    return str(name)


class Release(Struct, frozen=True, array_like=True, gc=False, cache_hash=True, order=True):
    """A deployed version of an agent, as in ``Release("support", "v12")``."""

    agent: str
    version: str

    def __str__(self) -> str:
        return f"{self.agent}@{self.version}"

    @classmethod
    def parse(cls, text: str) -> "Release":
        """Read ``support@v12``; raises `ConfigurationError` for anything else."""
        agent, _, version = str(text).partition("@")
        return cls(checked_name(agent, "an agent's name"), checked_name(version, "a version"))

    @property
    def key(self) -> bytes:
        """What a conversation that is pinned to it holds: 8 bytes."""
        return blake2b(str(self).encode(), digest_size=8, person=b"ctxb:release").digest()


class Scope(Struct, frozen=True, array_like=True, gc=False):
    """What a halt is for: all fields that are given must fit; none stands for the whole tenant.

    `endpoint` is written as in ``sms:+15559990001``, `contact` and `conversation` are ids in
    hexadecimal digits, `purpose` that of a message.
    """

    agent: str = ""
    version: str = ""
    channel: str = ""
    endpoint: str = ""
    contact: str = ""
    conversation: str = ""
    purpose: str = ""

    def __str__(self) -> str:
        named = [f"{f}={getattr(self, f)}" for f in self.__struct_fields__ if getattr(self, f)]
        return " ".join(named) or "tenant"

    @property
    def kind(self) -> str:
        """The narrowest of what it names: ``tenant``, ``agent``, ``release``, ``channel``, ..."""
        named = [field for field in self.__struct_fields__ if getattr(self, field)]
        last = named[-1] if named else "tenant"
        return "release" if last == "version" else last


class Halt(Struct, frozen=True, array_like=True, gc=False):
    """What stands still: no turn opens, none is committed, nothing leaves.

    ``pause``: messages of ours that have not left wait for the end of it. ``kill``: they never
    leave. What customers write is stored and waits in both.
    """

    scope: Scope
    mode: Mode
    by: str = ""
    why: str = ""
    at: int = 0


class Canary(Struct, frozen=True, array_like=True, gc=False):
    """A version that gets some of the conversations: those that fit all that is given here.

    `percent` (0 to 100) is by contact: whoever is in stays in when it grows. `channels` and
    `labels` (of the message with which a conversation begins) name some of them; none: all.
    `on_trial` says that its conversations are compared with those of the stable version.
    """

    version: str
    percent: float = 100.0
    channels: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    on_trial: bool = False

    @property
    def by_lot(self) -> bool:
        """Whether nothing but a lot decides who gets it, so that the two can be compared."""
        return 0 < self.percent < 100 and not (self.channels or self.labels)


class Withdrawn(Struct, frozen=True, array_like=True, gc=False):
    """A version that was rolled back, and what becomes of what it has begun."""

    version: str
    running: Running = "retake"
    pending: Pending = "withhold"


class Route(Struct, frozen=True, array_like=True, gc=False):
    """Which version of an agent answers whom.

    `stable` is for all that the canary does not get. `draining` versions keep the conversations
    that they have and get no others. A pin ends once a conversation was silent for `pin_seconds`.
    `known` are all versions that were ever deployed.
    """

    agent: str
    stable: str
    canary: Canary | None = None
    withdrawn: tuple[Withdrawn, ...] = ()
    draining: tuple[str, ...] = ()
    pin_seconds: float = 86_400.0
    known: tuple[str, ...] = ()

    def withdrawal(self, version: str) -> Withdrawn | None:
        """How the version was rolled back, if it was."""
        return next((one for one in self.withdrawn if one.version == version), None)


class Control(Struct, frozen=True, array_like=True, gc=False):
    """All of it, as it is at one `epoch` (it only grows). Who did the last act, why and when."""

    epoch: int = 0
    routes: tuple[Route, ...] = ()
    halts: tuple[Halt, ...] = ()
    act: str = ""
    by: str = ""
    why: str = ""
    at: int = 0
    before: int = 0

    def route(self, agent: str) -> Route | None:
        """The route of an agent, if anybody has set one."""
        return next((route for route in self.routes if route.agent == agent), None)
