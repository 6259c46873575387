"""Which channel a path leads to."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from ctxbridge.asgi.limits import Limits
from ctxbridge.errors import ConfigurationError
from ctxbridge.ports import Channel, Greeted

if TYPE_CHECKING:
    from ctxbridge.asgi.http import Scope

HEALTH = "health"

Channels = Sequence[Channel] | Mapping[str, Channel]


class Route(Struct, frozen=True):
    """One path and its channel. `answer_seconds` is how long its answers in band are waited for."""

    path: str
    channel: Channel
    body_bytes: int
    answer_seconds: float = 0.0

    @property
    def methods(self) -> tuple[str, ...]:
        """What may be asked of it: GET is for providers that greet first."""
        return ("GET", "POST") if isinstance(self.channel, Greeted) else ("POST",)


def routes_of(
    channels: Channels, in_band: Mapping[str, float], limits: Limits
) -> Mapping[str, Route]:
    """The route of each path: the adapter's `name`, or what the mapping says.

    Raises `ConfigurationError` for no channel at all, a path that two have or that cannot be, and
    for an answer in band on a path that is not there.
    """
    named = _named(channels)
    if not named:
        raise ConfigurationError("webhooks need a channel: channels=[Twilio(...), ...]")
    routes: dict[str, Route] = {}
    for given, channel in named:
        path = given.strip("/")
        if not path or path in routes or path == HEALTH:
            raise ConfigurationError(
                f"each channel needs a path of its own, which is not {HEALTH!r}; "
                "of two with one name give a mapping: channels={'sms': Twilio(...), ...}"
            )
        _check(channel)
        limit = limits.body_bytes_on(channel.channel)
        routes[path] = Route(path, channel, limit, in_band.get(given, 0.0))
    if unknown := set(in_band) - {given for given, _ in named}:
        raise ConfigurationError(f"in_band names no path of a channel: {sorted(unknown)}")
    if not all(seconds > 0 for seconds in in_band.values()):
        raise ConfigurationError("in_band gives a positive number of seconds for each path")
    return routes


def _named(channels: Channels) -> list[tuple[str, Channel]]:
    if isinstance(channels, Mapping):
        return list(channels.items())
    return [(getattr(channel, "name", ""), channel) for channel in channels]


def _check(channel: Any) -> None:
    verbs = ("verify", "parse", "reply")
    if isinstance(channel, type) or not all(callable(getattr(channel, v, None)) for v in verbs):
        raise ConfigurationError("each of the channels is an adapter, as in Twilio(...)")


def local_path(scope: "Scope") -> str:
    """The path within the app, without slashes around it.

    Where the app is mounted, `path` holds what stands before too (ASGI, `root_path`); some servers
    take it away.
    """
    path: str = scope["path"]
    root = scope.get("root_path", "").rstrip("/")
    if root and (path == root or path.startswith(root + "/")):
        path = path[len(root) :]
    return path.strip("/")
