"""What a bridge can be told, with its limits."""

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, TypedDict

from msgspec import Struct

from ctxbridge.bridge.clock import SystemClock, Uuid7
from ctxbridge.bridge.overlap import Overlap, Overlaps, overlaps_of
from ctxbridge.bridge.signing import Secrets
from ctxbridge.errors import ConfigurationError
from ctxbridge.guards import automatic, opt_out, pii
from ctxbridge.model import AccessPolicy
from ctxbridge.ports import Clock, Guard, Ids, Sender
from ctxbridge.rules import rendering

if TYPE_CHECKING:
    from ctxbridge.bridge.helpdesk import Helpdesk
    from ctxbridge.stores.sealed import KeySource

Escalations = Literal["note", "offer"]

DAY_SECONDS = 86_400.0
WEEK_SECONDS = 7 * DAY_SECONDS
MOST_WAITING = 1_000
UNKNOWN_HORIZON_SECONDS = 30 * DAY_SECONDS
"""How long an answer is remembered where nobody knows how long its message may be repeated: it was
taken up from the log, or joined the turn of another."""


class Options(TypedDict, total=False):
    """The options of a `Bridge`, which tells what they mean."""

    guards: Sequence[Guard] | None
    senders: Sequence[Sender]
    seal: "KeySource | None"
    overlap: Overlaps
    access: AccessPolicy
    subaddressing: Collection[str]
    markdown: bool | Collection[str]
    window: int
    backlog: int
    lease_seconds: float
    longest_turn_seconds: float
    wait_seconds: float
    remember_seconds: float
    drain_seconds: float
    code_secret: str | Sequence[str]
    control_fails: Literal["closed", "open"]
    settle_seconds: float
    escalations: Escalations
    offer_seconds: float
    helpdesk: "Helpdesk | None"
    clock: Clock | None
    ids: Ids | None


class Settings(Struct, frozen=True, kw_only=True):
    """The options, checked and with their defaults."""

    guards: tuple[Guard, ...]
    overlaps: Mapping[str, Overlap]
    access: AccessPolicy
    clock: Clock
    ids: Ids
    code_secret: Secrets
    subaddressing: frozenset[str] = frozenset()
    markdown: bool | frozenset[str] = False
    window: int = 20
    backlog: int = 128
    lease_seconds: float = 60.0
    longest_turn_seconds: float = 600.0
    wait_seconds: float = 30.0
    remember_seconds: float = WEEK_SECONDS
    drain_seconds: float = 20.0
    control_fails: Literal["closed", "open"] = "closed"
    settle_seconds: float = 3_600.0
    escalations: Escalations = "note"
    offer_seconds: float = 3_600.0

    def __post_init__(self) -> None:
        if not (
            self.window >= 1
            and 1 <= self.backlog <= MOST_WAITING
            and 0 < self.lease_seconds <= DAY_SECONDS
            and 0 < self.longest_turn_seconds <= DAY_SECONDS
            and 0 <= self.wait_seconds <= DAY_SECONDS
            and 0 <= self.drain_seconds <= DAY_SECONDS
            and 0 <= self.settle_seconds <= WEEK_SECONDS <= self.remember_seconds
            and self.remember_seconds <= 3_660 * DAY_SECONDS
        ):
            raise ConfigurationError(
                "window must be positive, backlog from 1 to 1000, lease_seconds, "
                "longest_turn_seconds, wait_seconds and drain_seconds at most a day, "
                "settle_seconds at most a week, and message ids are remembered for seven days to "
                "ten years (remember_seconds=604800)"
            )
        if self.control_fails not in {"closed", "open"}:
            raise ConfigurationError('control_fails is "closed" or "open"')

        if not 0 <= self.offer_seconds <= 30 * DAY_SECONDS:
            raise ConfigurationError("offer_seconds is up to 30 days; 0 for offers without an end")

    def overlap_on(self, channel: str) -> Overlap:
        """How messages of a channel overlap."""
        return self.overlaps.get(channel) or self.overlaps[""]


def settings_of(options: Options) -> Settings:
    """The settings that the options give; raises `ConfigurationError`."""
    numbers = {k: v for k, v in options.items() if k not in _NO_NUMBERS}
    guards = options.get("guards")
    return Settings(
        guards=tuple((opt_out(), automatic(), pii()) if guards is None else guards),
        overlaps=overlaps_of(options.get("overlap", "merge")),
        access=options.get("access") or AccessPolicy(),
        clock=options.get("clock") or SystemClock(),
        ids=options.get("ids") or Uuid7(),
        code_secret=Secrets(options.get("code_secret", ()), "code_secret"),
        escalations=_escalations(options.get("escalations", "note")),
        markdown=_markdown(options.get("markdown", False)),
        subaddressing=_domains(options.get("subaddressing", ())),
        **numbers,  # type: ignore[arg-type]
    )


_NO_NUMBERS = frozenset(
    {
        "guards", "senders", "seal", "overlap", "access", "clock", "ids", "code_secret",
        "subaddressing", "markdown", "escalations", "helpdesk",
    }
)  # fmt: skip


def _escalations(wanted: Escalations) -> Escalations:
    if wanted not in {"note", "offer"}:
        raise ConfigurationError("escalations are 'note' or 'offer'")
    return wanted


def _domains(names: Collection[str]) -> frozenset[str]:
    if isinstance(names, str) or not all(name and "@" not in name for name in names):
        raise ConfigurationError('subaddressing is a list of domains, such as ["gmail.com"]')
    return frozenset([name.lower() for name in names])


def _markdown(channels: bool | Collection[str]) -> bool | frozenset[str]:
    if isinstance(channels, str):
        raise ConfigurationError('markdown is True, or a list of channels, such as ["sms"]')
    if not channels:
        return False
    rendering.require()
    return True if isinstance(channels, bool) else frozenset(channels)
