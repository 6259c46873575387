"""A tenant's control: which release answers whom, and what stands still. Pure.

A control begins with its epoch, which stores compare; what it means is decided here.
"""

import re
from collections.abc import Collection, Iterable, Sequence
from hashlib import blake2b

from msgspec import Struct
from msgspec.structs import replace

from ctxbridge.errors import ConfigurationError, TooLarge, UsageError
from ctxbridge.model import Address, Contact, Message, RecordWrite
from ctxbridge.model.control import (
    Canary,
    Control,
    Halt,
    Release,
    Route,
    Scope,
    Withdrawn,
)
from ctxbridge.model.record import CONTROL
from ctxbridge.rules.consent import PURPOSES
from ctxbridge.rules.text import clean

EPOCH_BYTES = 8
MOST_HALTS, MOST_WIDER = 1_000, 100
"""Of contacts and conversations, and of all else: those must not keep anybody from halting all."""
MOST_WITHDRAWN = 100
"""The oldest are forgotten: whoever is still pinned to one is routed anew all the same."""
MOST_DRAINING = 100
"""The oldest are forgotten too: their conversations go on with whoever is chosen anew."""
MOST_KNOWN = 1_000
MOST_NAMES = 100
LONGEST_BY, LONGEST_WHY, LONGEST_SCOPE = 200, 2_000, 500
"""Characters. Every worker and every shard holds all of it, and each act is kept for a year."""
_PURPOSES = tuple(purpose for purpose in PURPOSES if purpose != "all")
_BUCKETS = 1 << 32
_ID = re.compile("[0-9a-fA-F]{32}")


def epoch_of(control: bytes) -> int:
    """The epoch with which a stored control begins; 0 where there is none."""
    return int.from_bytes(control[:EPOCH_BYTES], "big")


def newer(held: bytes, known: int) -> bytes:
    """What is stored, if it is newer than the epoch that the caller knows; else empty."""
    return held if held and epoch_of(held) > known else b""


def require_control(write: RecordWrite) -> None:
    """Refuse to write a control that no store could compare: `UsageError`."""
    if (write.scope, write.name) != CONTROL:
        return
    if write.value is None or len(write.value) < EPOCH_BYTES or write.lifetime_seconds:
        raise UsageError("a control begins with its epoch, is never deleted and never expires")


# --- what stands still ----------------------------------------------------------------------------


class Subject(Struct, frozen=True, gc=False):
    """What is asked of: a turn, or a message of ours that is to leave (then with its purpose).

    `contacts` are the ids of a contact, with those that were merged into it.
    """

    agent: str = ""
    version: str = ""
    channel: str = ""
    endpoint: str = ""
    contacts: tuple[str, ...] = ()
    conversation: str = ""
    purpose: str = ""

    @classmethod
    def of(
        cls, release: Release | None, message: Message, contact: Contact | None, conversation: bytes
    ) -> "Subject":
        """The subject of a message that is to leave. Without an agent where a person wrote it."""
        agent, version = (release.agent, release.version) if release else ("", "")
        return cls(
            agent, version, message.channel, str(message.endpoint or ""), ids_of(contact),
            conversation.hex(), message.purpose,
        )  # fmt: skip


def ids_of(contact: Contact | None) -> tuple[str, ...]:
    """All ids under which a contact is known."""
    return (contact.id.hex(), *[id.hex() for id in contact.merged]) if contact else ()


def halted(control: Control, subject: Subject) -> Halt | None:
    """What stands in the way; a kill before a pause."""
    found = [halt for halt in control.halts if fits(halt.scope, subject)]
    return next((halt for halt in found if halt.mode == "kill"), found[0] if found else None)


def fits(scope: Scope, subject: Subject) -> bool:
    """Whether all that the scope names is so of the subject."""
    # First what tells most apart: of many halts nearly all are of other contacts.
    if scope.contact and scope.contact not in subject.contacts:
        return False
    if scope.conversation and scope.conversation != subject.conversation:
        return False
    named = (
        (scope.agent, subject.agent),
        (scope.version, subject.version),
        (scope.channel, subject.channel),
        (scope.endpoint, subject.endpoint),
        (scope.purpose, subject.purpose),
    )
    return not any(wanted and wanted != held for wanted, held in named)


# --- which release answers ------------------------------------------------------------------------


def choose(
    route: Route, contact: bytes, channel: str, labels: Collection[str], pinned: str, silent: float
) -> str:
    """The version that answers: the one the conversation is `pinned` to, or a new choice.

    `silent` is for how many seconds nothing was said in the conversation. `pinned` is empty for one
    that no version has answered yet.
    """
    kept = pinned and silent < route.pin_seconds and route.withdrawal(pinned) is None
    if kept and not _outgrown(route, pinned):
        return pinned
    canary = route.canary
    if canary is not None and _gets(canary, route.agent, contact, channel, labels):
        return canary.version
    return route.stable


def _outgrown(route: Route, pinned: str) -> bool:
    """Whether the version is none that this route knows: then nobody can answer with it."""
    known = {route.stable, *route.draining}
    if route.canary is not None:
        known.add(route.canary.version)
    return pinned not in known


def _gets(
    canary: Canary, agent: str, contact: bytes, channel: str, labels: Collection[str]
) -> bool:
    if canary.channels and channel not in canary.channels:
        return False
    if canary.labels and not set(canary.labels) & set(labels):
        return False
    return bucket(Release(agent, canary.version), contact) < canary.percent


def bucket(release: Release, contact: bytes) -> float:
    """The lot of a contact for a release, from 0 to below 100: always the same for both."""
    digest = blake2b(contact, digest_size=4, key=release.key, person=b"ctxb:canary")
    return int.from_bytes(digest.digest(), "big") / _BUCKETS * 100


# --- acts -----------------------------------------------------------------------------------------


def with_route(control: Control, route: Route) -> Control:
    """The control with this route in the place of that of its agent."""
    others = [one for one in control.routes if one.agent != route.agent]
    return replace(control, routes=(*others, route))


def deployed(route: Route, versions: Iterable[str]) -> Route:
    """The route, once these versions are known as well; who answers whom stays as it is."""
    known = tuple(dict.fromkeys([*route.known, *versions]))
    return route if known == route.known else replace(route, known=known[-MOST_KNOWN:])


def require_known(route: Route, version: str) -> None:
    """Raise `ConfigurationError` for a version that was never deployed."""
    if version not in route.known:
        known = ", ".join(route.known) or "none"
        raise ConfigurationError(
            f"{route.agent}@{version} was never deployed; known versions: {known}"
        )


def stable_at(route: Route, version: str) -> Route:
    """The route on which `version` answers all; what was drained or rolled back of it is over."""
    require_known(route, version)
    return replace(
        route,
        stable=version,
        canary=None,
        draining=tuple(one for one in route.draining if one != version),
        withdrawn=tuple(one for one in route.withdrawn if one.version != version),
    )


def promoted(route: Route, version: str) -> Route:
    """`version` answers all new conversations; what the stable one has begun, it goes on with."""
    after = stable_at(route, version)
    if route.stable in {version, ""}:
        return after
    return _draining(after, (*after.draining, route.stable))


def _draining(route: Route, versions: Sequence[str]) -> Route:
    """The route on which these are drained: who promotes every day would let it grow for ever."""
    return replace(route, draining=tuple(versions[-MOST_DRAINING:]))


def checked_names(name: str, names: Sequence[str]) -> tuple[str, ...]:
    """Channels or labels of a canary. Raises `UsageError`: the letters of one text are no names."""
    if isinstance(names, str) or len(names) > MOST_NAMES:
        raise UsageError(f"{name} is a list of up to {MOST_NAMES} texts")
    return tuple([_text(name, one, LONGEST_SCOPE) for one in names])


def with_canary(route: Route, canary: Canary) -> Route:
    """The route with some of its conversations for the canary; with no percent it ends."""
    require_known(route, canary.version)
    if not 0 <= canary.percent <= 100:
        raise ConfigurationError("percent is from 0 to 100")
    if canary.on_trial and not canary.by_lot:
        raise ConfigurationError(
            "a trial needs a lot: a percent between 0 and 100, without channels and labels"
        )
    if canary.version == route.stable:
        raise ConfigurationError("the canary is the stable version: promote it, or name another")
    if route.withdrawal(canary.version) is not None:
        raise ConfigurationError(f"{canary.version} was rolled back: promote it, or deploy anew")
    if canary.percent == 0:
        return drained(route, canary.version)
    before = route.canary.version if route.canary else canary.version
    drains = route.draining if before == canary.version else (*route.draining, before)
    drains = tuple(one for one in drains if one != canary.version)
    return _draining(replace(route, canary=canary), drains)


def drained(route: Route, version: str) -> Route:
    """`version` begins no conversation any more, and goes on with those that it has."""
    require_known(route, version)
    if version == route.stable:
        raise ConfigurationError("the stable version cannot be drained: promote another first")
    canary = route.canary
    if canary is not None and canary.version == version:
        route = replace(route, canary=None)
    if version in route.draining:
        return route
    return _draining(route, (*route.draining, version))


def rolled_back(route: Route, to: str, versions: Iterable[Withdrawn]) -> Route:
    """`to` answers all; the `versions` are withdrawn, with all that they have begun."""
    after = stable_at(route, to)
    gone = [one for one in versions if one.version != to]
    names = {one.version for one in gone}
    kept = [one for one in after.withdrawn if one.version not in names]
    # What is taken back now is never what is forgotten, however many there are.
    most = max(MOST_WITHDRAWN, len(gone))
    return replace(
        after,
        withdrawn=tuple([*kept, *gone][-most:]),
        draining=tuple(one for one in after.draining if one not in names),
    )


def running_versions(route: Route) -> Sequence[str]:
    """The versions that may answer now."""
    canary = (route.canary.version,) if route.canary else ()
    return tuple(dict.fromkeys([route.stable, *canary, *route.draining]))


def checked_scope(scope: Scope) -> Scope:
    """The scope as it is compared, byte by byte; raises `UsageError` for what could fit nothing.

    A halt that fits nothing would report success and stop nothing.
    """
    for field in scope.__struct_fields__:
        _text(field, getattr(scope, field), LONGEST_SCOPE)
    if scope.version and not scope.agent:
        raise UsageError("a version is one of an agent: name that too")
    for id in (scope.contact, scope.conversation):
        if id and not _ID.fullmatch(id):
            raise UsageError("a contact or conversation is named by its id, 32 hexadecimal digits")
    endpoint = str(Address.parse(scope.endpoint)) if ":+" in scope.endpoint else scope.endpoint
    if endpoint and ":" not in endpoint:
        raise UsageError("an endpoint is written with its channel, as in sms:+15559990001")
    return replace(
        scope, endpoint=endpoint, contact=scope.contact.lower(),
        conversation=scope.conversation.lower(),
    )  # fmt: skip


def require_purpose(scope: Scope) -> None:
    """Raise `UsageError` for a purpose that no message has: a halt of it would stop nothing."""
    if scope.purpose and scope.purpose not in _PURPOSES:
        named = ", ".join(_PURPOSES)
        raise UsageError(f"a purpose is one of {named}; without one, all of them stand still")


def checked_words(by: str, why: str) -> tuple[str, str]:
    """Who acts and why, as it can be stored. Raises `UsageError` for no text, `TooLarge`."""
    return _text("by", by, LONGEST_BY), _text("why", why, LONGEST_WHY)


def _text(name: str, text: object, most: int) -> str:
    if not isinstance(text, str):
        raise UsageError(f"{name} is a text")
    if len(text) > most:
        raise TooLarge(name, len(text), most)
    return clean(text)


def with_halt(control: Control, halt: Halt) -> Control:
    """The control with the halt in the place of another of the same scope."""
    others = [one for one in control.halts if one.scope != halt.scope]
    alike = [one for one in others if _is_narrow(one.scope) == _is_narrow(halt.scope)]
    most = MOST_HALTS if _is_narrow(halt.scope) else MOST_WIDER
    if len(alike) >= most:
        raise UsageError(f"more than {most} halts: resume some, or halt a wider scope")
    return replace(control, halts=(*others, halt))


def _is_narrow(scope: Scope) -> bool:
    return bool(scope.contact or scope.conversation)


def without_halt(control: Control, scope: Scope) -> Control:
    """The control without the halt of exactly this scope."""
    return replace(control, halts=tuple(one for one in control.halts if one.scope != scope))
