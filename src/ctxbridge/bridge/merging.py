"""Merging two contacts: what would come of it, and doing it."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct

from ctxbridge.bridge.explaining import whole_context
from ctxbridge.errors import Busy, UnknownContact, UsageError
from ctxbridge.model import Address, Change, Contact, Context, Head, Merge, Refused
from ctxbridge.rules import merging
from ctxbridge.rules.merging import Side
from ctxbridge.wire import decode_state, encode_state
from ctxbridge.wire.aside import laid_aside, layers_of
from ctxbridge.wire.format2 import NOTHING

if TYPE_CHECKING:
    from ctxbridge.bridge.bridge import Bridge

States = Callable[[Any, Any], Any]
"""Makes one state of two: the first is of the contact that stays."""

_TRIES = 20
_RUNS = "the two change all the time; nothing was merged, and a retry is safe"


class Preview(Struct, frozen=True):
    """What a merge of two contacts would come to; nothing is changed by asking.

    `into` would stay, `contact` become a part of it, and `merged` is what there would be then: all
    links, and what still counts of both consents. `entries` are the lengths of the two logs,
    `waiting` how many messages of both wait for a turn. `states` says who has a state of the
    team's: for ``both`` a merge needs to be told how they become one.
    """

    into: Contact
    contact: Contact
    merged: Contact
    entries: tuple[int, int]
    waiting: int
    states: Literal["none", "into", "contact", "both"]


async def preview(bridge: "Bridge[Any]", into: Address, contact: Address) -> Preview:
    """See `Bridge.preview_merge`."""
    ours, theirs = await _both(bridge, into, contact)
    assert ours.contact is not None
    assert theirs.contact is not None
    if ours.contact.id == theirs.contact.id:
        raise UsageError("both addresses lead to one contact already")
    claim = Merge(bridge.tenant, ours.contact.id, theirs.contact.id, 0, "", "")
    both = merging.merged(_side(ours), _side(theirs), claim)
    return Preview(
        ours.contact, theirs.contact, both.contact, (ours.seq, theirs.seq),
        len(ours.waiting) + len(theirs.waiting), _who_has_a_state(ours, theirs),
    )  # fmt: skip


async def merge(
    bridge: "Bridge[Any]",
    into: Address,
    contact: Address,
    evidence: str,
    source: str,
    states: States | None,
) -> Contact:
    """See `Bridge.merge`."""
    if not evidence:
        raise UsageError("a merge needs evidence: what does it rest on?")
    for _ in range(_TRIES):
        ours, theirs = await _both(bridge, into, contact)
        assert ours.contact is not None
        assert theirs.contact is not None
        if ours.contact.id == theirs.contact.id:
            return ours.contact
        state = _state_of_both(bridge, ours, theirs, states)
        claim = Merge(
            bridge.tenant, ours.contact.id, theirs.contact.id, bridge.clock.now(), evidence, source,
            state, None if state is None else (ours.revision, theirs.revision),
        )  # fmt: skip
        answer = await bridge.store.identify(claim)
        if answer.status == "unknown":
            raise UnknownContact("one of the two was erased or merged elsewhere meanwhile")
        if answer.contact is not None and answer.status in {"merged", "unchanged"}:
            if state is not None:
                await _mend(bridge, into, theirs, states)
            return answer.contact
    raise Busy(_RUNS)


async def _both(bridge: "Bridge[Any]", into: Address, contact: Address) -> tuple[Context, Context]:
    ours, theirs = await whole_context(bridge, into), await whole_context(bridge, contact)
    if ours.contact is None or theirs.contact is None:
        raise UnknownContact("nobody is stored under one of the addresses")
    return ours, theirs


def _side(context: Context) -> Side:
    assert context.contact is not None
    head = Head(context.conversation, context.seq, context.revision)
    return Side(head, context.contact, context.state)


def _has_state(context: Context) -> bool:
    return context.state is not None and decode_state(context.state).codec != NOTHING


def _who_has_a_state(ours: Context, theirs: Context) -> Literal["none", "into", "contact", "both"]:
    if _has_state(ours):
        return "both" if _has_state(theirs) else "into"
    return "contact" if _has_state(theirs) else "none"


def _state_of_both(
    bridge: "Bridge[Any]", ours: Context, theirs: Context, states: States | None
) -> bytes | None:
    """The envelope for both; `None` where that of `ours` stays as it is."""
    who = _who_has_a_state(ours, theirs)
    if who in {"none", "into"}:
        return None
    if who == "contact":
        team = theirs.state
        assert team is not None
        aside = layers_of(decode_state(team))
    elif states is None:
        raise UsageError("both have a state: say by `states=` how they become one")
    else:
        codec = bridge.codec
        found, other = codec.read(ours.state), codec.read(theirs.state)
        team = codec.encode(states(found.value, other.value))
        aside = found.aside or other.aside
    guards = decode_state(ours.state).guards if ours.state is not None else ()
    return encode_state(decode_state(team)._replace(guards=laid_aside(guards, aside)))


async def _mend(
    bridge: "Bridge[Any]", into: Address, theirs: Context, states: States | None
) -> None:
    """The state was changed in the very moment of the merge: make it of what it is now."""
    assert theirs.contact is not None
    for _ in range(_TRIES):
        held = await whole_context(bridge, into)
        assert held.contact is not None
        if merging.tells_of_state(held.window, theirs.contact.id):
            return
        turn, now = bridge.ids.new(), bridge.clock.now()
        change = Change(
            bridge.tenant, held.contact.id, turn, now, revision=held.revision,
            state=_state_of_both(bridge, held, theirs, states),
        )  # fmt: skip
        if change.state is None or not isinstance(await bridge.store.commit(change), Refused):
            return
    raise Busy("the contacts are merged, but their state changes all the time: merge that anew")
