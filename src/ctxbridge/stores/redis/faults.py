"""What a server's errors mean here: whose fault, and whether anything may have been applied.

No wording of the server or of redis-py is passed on, since it may repeat what was stored; only the
code of an error is, and the remedy.
"""

import re
import socket
import ssl
from collections.abc import Iterator
from functools import cache

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

_RIGHTS = (
    "give its user `+evalsha +eval +lrange +get +pttl` and the rest of the recipe in "
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
    "LOADING": (Unavailable, f"the server is still loading its data; {NOTHING_CHANGED}"),
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
    "unknown": (
        ConfigurationError,
        "the server lacks a command that the store needs: see docs/redis.md",
    ),
    "no cluster": (ConfigurationError, "the server is not part of a Cluster: use redis://"),
    "no database": (
        ConfigurationError,
        "the server has no database of the number that stands in the address",
    ),
    "damaged": (
        CorruptRecord,
        "what is stored of a conversation is damaged: a script of the store could not read it",
    ),
}
_WORDS = (
    ("unknown command", "unknown"),
    ("can't run this command", "NOPERM"),
    ("ACL failure in script", "NOPERM"),
    ("HELLO must be called", "NOAUTH"),
    ("cluster support disabled", "no cluster"),
    ("DB index is out of range", "no database"),
    ("bad argument #", "damaged"),
    ("attempt to ", "damaged"),
)
"""What has no code of its own and is known by its wording; small letters are names of ours."""
_CODE = re.compile(r"[A-Z]{2,32}")
_WRAPPED = re.compile(r"@user_script: ?\d+: -?([A-Z]{2,32}) ")
"""How 6.2 tells of an error that a script met."""


def code_of(error: ServerError) -> str:
    """The code of an error, also where it is wrapped in another or only known by its wording."""
    if error.code != "ERR":
        return error.code
    wrapped = _WRAPPED.search(error.rest)
    if wrapped is not None:
        return wrapped[1]
    return next((code for words, code in _WORDS if words in error.rest), "ERR")


def typed(error: ServerError) -> CtxBridgeError:
    """Our error for one that the server answered with."""
    code = code_of(error)
    kind, text = _KNOWN.get(code, (Unavailable, f"the server refused; {NOTHING_CHANGED}"))
    return kind(f"{text} ({code})" if _CODE.fullmatch(code) else text)


def torn(what: bytes) -> CtxBridgeError:
    """Our error for a script that found no sound conversation."""
    if what == b"format":
        return UnknownFormat("a stored head or record is of a newer release: upgrade ctxbridge")
    return CorruptRecord(
        "a conversation is torn: its list, its ids or its head are not what they should be; "
        "nothing was changed. Was another program's key put here, or did the server evict one?"
    )


def unreachable(error: BaseException) -> CtxBridgeError:
    """Our error for a connection that could not be made."""
    if isinstance(error, CtxBridgeError):
        return error
    chain = list(_chain(error))
    answered = _answered(chain)
    if answered is not None:
        return typed(answered)
    for kind, made, cause in _causes():
        if any(isinstance(e, kind) for e in chain):
            remedy = f"; {NOTHING_CHANGED}" if made is Unavailable else ""
            return made(f"the server cannot be reached: {cause}{remedy}")
    return Unavailable(f"the server cannot be reached ({type(error).__name__}); {NOTHING_CHANGED}")


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _answered(chain: list[BaseException]) -> ServerError | None:
    """What the server answered to redis-py, which has taken the code off."""
    from redis import exceptions as theirs

    for error in reversed(chain):
        if isinstance(error, theirs.AuthenticationError):
            wanted = "HELLO must be called" in str(error) or "required" in str(error)
            return ServerError("NOAUTH" if wanted else "WRONGPASS")
        for kind, code in (
            (theirs.BusyLoadingError, "LOADING"),
            (theirs.NoPermissionError, "NOPERM"),
            (theirs.ResponseError, "ERR"),
        ):
            if isinstance(error, kind):
                return ServerError(f"{code} {error}")
    return None


@cache
def _causes() -> list[tuple[type[BaseException], type[CtxBridgeError], str]]:
    """What may be behind an error of redis-py; the first that is there counts."""
    from redis import exceptions as theirs
    from redis.asyncio.sentinel import MasterNotFoundError

    lasting, passing = ConfigurationError, Unavailable
    return [
        (ssl.SSLCertVerificationError, lasting, "its certificate is not trusted: set ssl_ca_certs"),
        (ssl.SSLEOFError, passing, "it hung up while TLS was agreed on; is TLS spoken there?"),
        (ssl.SSLError, lasting, "it does not speak TLS as it was asked to (rediss://)"),
        (MasterNotFoundError, passing, "no sentinel was reached that knows a primary of this name"),
        (theirs.InvalidResponse, passing, "what answers there is no Redis or Valkey server"),
        (socket.gaierror, passing, "the name of its host does not resolve"),
        (ConnectionRefusedError, passing, "nobody listens at its address"),
        (FileNotFoundError, passing, "there is no such file: its socket, or that of ssl_ca_certs"),
        (PermissionError, passing, "its socket, or a file of its address, may not be opened"),
        (TimeoutError, passing, "no answer in time; is TLS spoken by both, or by none?"),
        (theirs.TimeoutError, passing, "no answer in time; is TLS spoken by both, or by none?"),
        (theirs.ConnectionError, passing, "it hung up; is TLS spoken by both, or by none?"),
    ]
