"""Opening a connection: by redis-py, with the team's own settings; then it is an `Exchange`."""

from collections.abc import Callable
from typing import Any

from ctxbridge.errors import Unavailable
from ctxbridge.stores.redis.exchange import LOST, Exchange
from ctxbridge.stores.redis.resp import ServerError, pack
from ctxbridge.stores.redis.settings import Settings, options_of
from ctxbridge.stores.redis.topology import Where

_TRACKING = pack(b"CLIENT", b"TRACKING", b"ON", b"NOLOOP")
_ROLE = pack(b"ROLE")

_LEAST_PATIENCE_SECONDS = 1.0
"""To open a connection takes several round trips, and a server under load is slow at it."""


def connection_of(settings: Settings, where: Where) -> Any:
    """A connection of redis-py, not opened yet: no retry, nothing decoded, no notifications."""
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff

    kwargs = dict(settings.connection)
    if where is not None:
        kwargs["host"], kwargs["port"] = where
    kwargs.setdefault("protocol", 3)
    patience = max(settings.timeout_seconds, _LEAST_PATIENCE_SECONDS)
    kwargs.setdefault("socket_connect_timeout", patience)
    kwargs.setdefault("socket_timeout", patience)
    kwargs |= _quiet(settings.connection_class)
    return settings.connection_class(retry=Retry(NoBackoff(), 0), **kwargs)


def _quiet(made: Any) -> dict[str, Any]:
    """What turns maintenance notifications off, where this redis-py knows of them.

    With them on, a reply that was left unread on a connection goes unnoticed.
    """
    if "maint_notifications_config" not in options_of(made):
        return {}
    from redis.maint_notifications import MaintNotificationsConfig

    return {"maint_notifications_config": MaintNotificationsConfig(enabled=False)}


async def dial(
    settings: Settings,
    where: Where,
    *,
    waits: bool,
    on_push: Callable[[Exchange, Any], None],
    on_end: Callable[[Exchange], None],
) -> Exchange:
    """An exchange on a new connection; raises redis-py's errors, or ours.

    `waits` makes it one whose writes wait for replicas. Else the server is asked to tell of keys
    that change, for the near cache.
    """
    exchange = Exchange(
        timeout_seconds=settings.timeout_seconds,
        on_push=lambda push: on_push(exchange, push),
        on_end=on_end,
        wait=(settings.replicas, int(settings.timeout_seconds * 500)) if waits else None,
    )
    connection = connection_of(settings, where)
    try:
        await connection.connect()
        exchange.adopt(connection)
        if settings.kind == "sentinel" and not waits:
            await _require_primary(exchange)
        if settings.tracks and not waits:
            exchange.tracks = not isinstance(await exchange.ask(_TRACKING).future, ServerError)
    except BaseException:
        exchange.end("it could not be set up")
        await connection.disconnect(nowait=True)
        raise
    return exchange


async def _require_primary(exchange: Exchange) -> None:
    """A server that was demoted a moment ago may still be named; who asked will ask again."""
    role = await exchange.ask(_ROLE).future
    if role is LOST or (isinstance(role, list) and role[0] != b"master"):
        raise Unavailable("the server that the sentinels named is no primary (yet)")
