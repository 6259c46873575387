"""Parting what is two: undoing a merge, unlinking an address, and what the log tells of it."""

from typing import TYPE_CHECKING, Any, Literal

from msgspec.structs import replace

from ctxbridge.bridge.explaining import whole_context
from ctxbridge.errors import Busy, UnknownContact, UsageError
from ctxbridge.model import Address, Contact, Context, Entry, Event, Identified, Split
from ctxbridge.rules import merging

if TYPE_CHECKING:
    from ctxbridge.bridge.bridge import Bridge

History = Literal["stays", "goes"]
TOLD = frozenset({"link", "merge", "split", "proposal", "erased"})
"""The entries that tell whose an address is."""

_TRIES = 20
_NESTED = (
    "it was merged into another contact first, which was merged into this one: split that one off, "
    "and then this"
)
_RUNS = "the conversation changes all the time; nothing was parted, and a retry is safe"


async def split(
    bridge: "Bridge[Any]", address: Address, part: bytes | None, evidence: str, source: str
) -> tuple[Contact, Contact]:
    """See `Bridge.split`."""
    if not evidence:
        raise UsageError("a split needs evidence: what does it rest on?")
    for _ in range(_TRIES):
        context, contact = await _held(bridge, address)
        whom = part or _latest(context)
        if whom not in contact.merged:
            raise UsageError("nobody of this id was merged into the contact")
        claim = Split(
            bridge.tenant, contact.id, whom, bridge.clock.now(), evidence, source, 0
        )  # fmt: skip
        asked = await bridge.store.identify(claim)
        if asked.part is None:
            raise UsageError(_NESTED)
        moves = _what_goes(context, contact, whom, asked.part)
        answer = await bridge.store.identify(replace(claim, seq=context.seq, moves=moves))
        if answer.status == "split":
            return _both(answer)
    raise Busy(_RUNS)


async def unlink(
    bridge: "Bridge[Any]", address: Address, evidence: str, history: History, source: str
) -> Contact:
    """See `Bridge.unlink`."""
    if not evidence:
        raise UsageError("to unlink needs evidence: what does it rest on?")
    if history not in {"stays", "goes"}:
        raise UsageError("history is 'stays' or 'goes'")
    for _ in range(_TRIES):
        context, contact = await _held(bridge, address)
        if contact.link_to(address) is None or len(contact.addresses) < 2:
            raise UsageError("it is the only address of its contact: erase that, or merge it")
        held = dict(context.window.numbered())
        places = merging.said_by(held, [address])
        if history == "stays":  # but what waits wants an answer
            places = tuple([place for place in places if place in context.waiting])
        claim = Split(
            bridge.tenant, contact.id, bridge.ids.new(), bridge.clock.now(), evidence, source,
            context.seq, tuple([(place, held[place]) for place in places]), address,
            bridge.ids.new(),
        )  # fmt: skip
        answer = await bridge.store.identify(claim)
        if answer.status == "split":
            return _both(answer)[1]
        if answer.status == "unknown":
            raise UnknownContact("the contact was erased or merged meanwhile")
    raise Busy(_RUNS)


async def history(bridge: "Bridge[Any]", address: Address) -> tuple[tuple[int, Event], ...]:
    """See `Bridge.history`."""
    context, _ = await _held(bridge, address)
    return tuple(
        [
            (place, entry)
            for place, entry in context.window.numbered()
            if isinstance(entry, Event) and entry.kind in TOLD
        ]
    )


async def _held(bridge: "Bridge[Any]", address: Address) -> tuple[Context, Contact]:
    context = await whole_context(bridge, address)
    if context.contact is None:
        raise UnknownContact("nobody is stored under this address")
    return context, context.contact


def _latest(context: Context) -> bytes:
    """Who was merged last and is still there."""
    latest = b""
    held = dict(context.window.numbered())
    for place, entry in held.items():
        if isinstance(entry, Event) and entry.kind == merging.MERGED:
            whom = bytes.fromhex(entry.about("contact"))
            latest = whom if merging.came_with(held, whom).start == place + 1 else latest
    if not latest:
        raise UsageError("nobody was merged into the contact")
    return latest


def _what_goes(
    context: Context, contact: Contact, whom: bytes, part: Contact
) -> tuple[tuple[int, Entry], ...]:
    """What came with the merge, and what was said since by the addresses that came with it.

    Also by those that were unlinked since, whose history stayed: it is the part's as well.
    """
    held = dict(context.window.numbered())
    came = merging.came_with(held, whom)
    since = {place: entry for place, entry in held.items() if place >= came.stop}
    ours = frozenset(contact.addresses) - frozenset(part.addresses)
    theirs = [link.address for link in part.links if link.address not in ours]
    places = (*came, *merging.said_by(since, theirs))
    return tuple([(place, held[place]) for place in places])


def _both(answer: Identified) -> tuple[Contact, Contact]:
    assert answer.contact is not None
    assert answer.part is not None
    return answer.contact, answer.part
