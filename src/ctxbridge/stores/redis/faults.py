"""What a server's errors mean here: whose fault, and whether anything may have been applied.

No wording of the server or of redis-py is passed on, since it may repeat what was stored; only the
code of an error is, and the remedy.
"""

import ssl
from collections.abc import Iterator

from ctxbridge.errors import (
    ConfigurationError,
    CorruptRecord,
    CtxBridgeError,
    StoreFull,
    StoreReadOnly,
    Unavailable,
    UnknownFormat,
)
from ctxbridge.stores.redis.resp import ServerError

NOTHING_CHANGED = "nothing was changed, and a retry with the same message id is safe"

PASSING = frozenset({"LOADING", "TRYAGAIN", "CLUSTERDOWN", "MASTERDOWN", "BUSY"})
"""Surely not applied, and over in a while."""

ELSEWHERE = frozenset({"READONLY", "NOREPLICAS"})
"""Surely not applied; perhaps another server is the primary now."""

REDIRECTS = frozenset({"MOVED", "ASK"})

_RIGHTS = (
    "give its user `+evalsha +eval +script|load +lrange +get +pttl` and the rest of the recipe in "
    "docs/redis.md, on the keys of the store's prefix"
)
_KNOWN: dict[str, tuple[type[CtxBridgeError], str]] = {
    "OOM": (
        StoreFull,
        f"the server is out of memory: raise `maxmemory`, or let go of data; {NOTHING_CHANGED}",
    ),
    "MISCONF": (
        StoreFull,
        f"the server cannot write to its disk and takes no writes; {NOTHING_CHANGED}",
    ),
    "READONLY": (
        StoreReadOnly,
        f"the server is a replica and takes no writes: name the primary; {NOTHING_CHANGED}",
    ),
    "NOREPLICAS": (
        Unavailable,
        f"fewer replicas are there than `min-replicas-to-write` asks for; {NOTHING_CHANGED}",
    ),
    "NOPERM": (ConfigurationError, f"the server's user may not do this: {_RIGHTS}"),
    "NOAUTH": (ConfigurationError, "the server wants a password: put it into the address"),
    "WRONGPASS": (ConfigurationError, "the server does not take this user name and password"),
    "WRONGTYPE": (
        CorruptRecord,
        (
            "a key of the store holds another kind of value: another program wrote under its "
            "prefix; choose another `prefix`, or remove the key"
        ),
    ),
    "CROSSSLOT": (ConfigurationError, "the server is part of a Cluster: use redis+cluster://"),
}


def typed(error: ServerError) -> CtxBridgeError:
    """Our error for one that the server answered with."""
    kind, text = _KNOWN.get(error.code, (Unavailable, f"the server refused; {NOTHING_CHANGED}"))
    if error.code == "ERR" and "unknown command" in error.rest:
        return ConfigurationError(
            "the server lacks a command that the store needs: see docs/redis.md"
        )
    return kind(f"{text} ({error.code[:32]})")


def torn(what: bytes) -> CtxBridgeError:
    """Our error for a script that found no sound conversation."""
    if what == b"format":
        return UnknownFormat("a stored head or record is of a newer release: upgrade ctxbridge")
    return CorruptRecord(
        "a conversation is torn: its list, its ids or its head are not what they should be; "
        "nothing was changed. Was another program's key put here, or did the server evict one?"
    )


_UNTRUSTED = ConfigurationError(
    "the server's certificate is not trusted: name its authority with ssl_ca_certs=FILE"
)
_NO_TLS = ConfigurationError("the server does not speak TLS as it was asked to (rediss://)")
_LOADING = Unavailable(f"the server is still loading its data; {NOTHING_CHANGED}")


def unreachable(error: BaseException) -> CtxBridgeError:
    """Our error for a connection that could not be made."""
    from redis import exceptions as theirs

    if isinstance(error, CtxBridgeError):
        return error
    for kind, made in (
        (ssl.SSLCertVerificationError, _UNTRUSTED),
        (ssl.SSLError, _NO_TLS),
        (theirs.AuthenticationError, typed(ServerError("WRONGPASS"))),
        (theirs.NoPermissionError, typed(ServerError("NOPERM"))),
        (theirs.BusyLoadingError, _LOADING),
        (theirs.ResponseError, typed(ServerError(str(error)))),
    ):
        if any(isinstance(e, kind) for e in _chain(error)):
            return made
    return Unavailable(f"the server cannot be reached ({type(error).__name__}); {NOTHING_CHANGED}")


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
