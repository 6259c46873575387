"""How a turn ends: its replies are judged, and all of it is committed or nothing."""

from time import monotonic
from typing import TYPE_CHECKING, Any

import anyio
from msgspec import Struct
from msgspec.structs import replace

from ctxbridge.bridge.beholding import was_taken
from ctxbridge.bridge.joining import Joined
from ctxbridge.bridge.judging import ESCALATED, Inquiry, escalation
from ctxbridge.bridge.keeping import Kept
from ctxbridge.bridge.replying import Reply, Replying, Said, Work, work_of
from ctxbridge.bridge.settings import UNKNOWN_HORIZON_SECONDS
from ctxbridge.errors import Busy, Fenced, Halted
from ctxbridge.model import (
    Change,
    Committed,
    Context,
    Delivery,
    Event,
    Floor,
    Handoff,
    Message,
    Opened,
    Query,
    Refused,
)
from ctxbridge.rules.access import sees_state
from ctxbridge.rules.handoff import LIMITS
from ctxbridge.telemetry import Committing

if TYPE_CHECKING:
    from ctxbridge.bridge.bridge import Bridge

_GATE_TRIES = 8
_FIRST_RETRY_SECONDS, _LONGEST_RETRY_SECONDS = 1.0, 600.0


class Prepared(Struct, frozen=True):
    """What a turn has come to, before it is judged: all that its commit is made of."""

    own: tuple[int, Message]
    joined: tuple[Joined, ...] = ()
    replies: tuple[Reply, ...] = ()
    notes: tuple[Event, ...] = ()
    work: Work = Work()
    trace: bytes = b""
    offer: Handoff | None = None
    halted: bool = False
    """Whether the agent must not answer: nothing of what it has said or kept is stored."""


class Finished(Struct, frozen=True):
    """What was stored, and when its claims began (monotonic). ``superseded``: nothing was.

    `seq` is the place of the last entry that was stored.
    """

    messages: tuple[Message, ...] = ()
    change: Change | None = None
    since: float = 0.0
    seq: int = 0
    superseded: bool = False

    @property
    def deliveries(self) -> tuple[bytes, ...]:
        """The ids of what leaves, now or later."""
        return tuple([d.id for d in self.change.deliveries]) if self.change else ()


def change_of(bridge: "Bridge[Any]", opened: Opened, context: Context) -> Change:
    """The change that ends the turn, with nothing in it yet."""
    assert opened.context.contact is not None
    return Change(
        bridge.tenant, opened.context.contact.id, opened.turn, bridge.clock.now(), opened.fence,
        context.gate_epoch, control=bridge.steering.epoch,
    )  # fmt: skip


async def commit(
    bridge: "Bridge[Any]",
    inquiry: Inquiry,
    replying: Replying,
    opened: Opened,
    context: Context,
    prepared: Prepared,
    kept: Kept[Any],
) -> Finished:
    """Judge and commit; again where a STOP came while the agent thought.

    What an agent did to the state while it thought about a message that was stopped is not saved.

    Raises `Fenced` if a later worker has the turn, `Halted` if a newer control stops it, `Busy` if
    the gate keeps moving, `StoreError`.
    """
    channel = inquiry.inbound.channel
    for tries in range(_GATE_TRIES):
        now = bridge.clock.now()
        said = await replying.judge(opened.turn, prepared.replies, context, now)
        # Nothing is awaited from here to the change: it is of the control that is looked at here.
        _mind_control(bridge, inquiry, context, prepared)
        notes = _notes(inquiry, replying, prepared, opened.turn, now)
        change = change_of(bridge, opened, context)
        change = replace(change, release=_pin(inquiry, context, prepared))
        if sees_state(context, inquiry.inbound.sender, bridge.settings.access):
            with_team = not (inquiry.blocked or prepared.halted)
            change = replace(change, state=kept.changed(with_team=with_team))
        elif kept.team_changed:
            notes = (*notes, Event("state.not_saved", now, opened.turn))
        change = _whole(bridge, inquiry, change, replace(prepared, notes=notes), said)
        offer = _offer(bridge, inquiry, prepared, notes)
        if offer is not None:
            change = await bridge.floor.along(change, context, inquiry.inbound.sender, offer)
        since = monotonic()
        # What has been sent to the store is settled before a cancellation is heard.
        with (
            anyio.CancelScope(shield=True),
            Committing(channel, tries, inquiry.disposition, inquiry.release) as step,
        ):
            outcome = await bridge.store.commit(change)
            step.came_to(outcome)
        if isinstance(outcome, Committed):
            await bridge.floor.ended(change, context, inquiry.inbound.sender, inquiry.release)
            messages = tuple([one.message for one in said if not one.due])
            return Finished(messages, change, since, outcome.seq)
        if outcome.reason == "superseded":
            return Finished(superseded=True)
        context = await _after(bridge, inquiry, opened, context, outcome)
    raise Busy("the conversation kept changing while it was committed; nothing was stored")


async def _after(
    bridge: "Bridge[Any]", inquiry: Inquiry, opened: Opened, context: Context, refused: Refused
) -> Context:
    """The context after the gate was closed on what the agent had prepared.

    Where a colleague has had the floor since, it is as if they still had: the agent does not know
    what they said.
    """
    if refused.reason == "controlled":
        bridge.steering.adopt(refused.control)
        return context
    if refused.reason != "gated":
        raise Fenced("a later worker has taken this turn over; nothing of this one was stored")
    inbound = inquiry.inbound
    query = Query(
        bridge.tenant, inbound.sender, context.reader, bridge.settings.window,
        policy=bridge.settings.access,
    )  # fmt: skip
    now = await bridge.store.read(query)
    if now.floor is Floor.AGENT and await was_taken(bridge, inbound.sender, opened.context):
        now = replace(now, floor=Floor.HUMAN)
    return replace(now, window=context.window)


def _mind_control(
    bridge: "Bridge[Any]", inquiry: Inquiry, context: Context, prepared: Prepared
) -> None:
    """Raise `Halted` where the control that is known by now stops the turn.

    It may have become known while the guards judged, or before the agent began: the store would
    take that for a change of who knows it.
    """
    if context.floor is Floor.AGENT and not prepared.halted:
        bar = bridge.steering.bar(inquiry.release, inquiry.inbound, context)
        if bar is not None:
            raise Halted(bar.code)


def _pin(inquiry: Inquiry, context: Context, prepared: Prepared) -> bytes:
    """The release that the conversation is pinned to from now on; empty where that stays as it is.

    Who did not speak has not read the state either: it may be one that another release can read.
    """
    spoke = context.floor is Floor.AGENT and not prepared.halted
    return inquiry.release.key if inquiry.release and spoke else b""


def _notes(
    inquiry: Inquiry, replying: Replying, prepared: Prepared, turn: bytes, now: int
) -> tuple[Event, ...]:
    """The events of the turn: those that its own code noted, and what a person is to look at."""
    first = inquiry.escalated
    own = (escalation(first, turn, now),) if first is not None else ()
    return (*prepared.notes, *own, *replying.events)


def _offer(
    bridge: "Bridge[Any]", inquiry: Inquiry, prepared: Prepared, notes: tuple[Event, ...]
) -> Handoff | None:
    """What is handed over to a colleague: by the agent, or by a guard where the bridge says so."""
    if prepared.offer is not None and not inquiry.blocked:
        return prepared.offer
    if bridge.settings.escalations == "note":
        return None
    first = next((event for event in notes if event.kind == ESCALATED), None)
    if first is None:
        return None
    code, to = first.about("code")[: LIMITS["reason"]], first.about("to")[: LIMITS["to"]]
    return bridge.floor.wanted(code, to, by="guard")


def _whole(
    bridge: "Bridge[Any]",
    inquiry: Inquiry,
    change: Change,
    prepared: Prepared,
    said: tuple[Said, ...],
) -> Change:
    """The change with all that the turn has prepared."""
    inbound, settings = inquiry.inbound, bridge.settings
    least = UNKNOWN_HORIZON_SECONDS if prepared.joined else settings.remember_seconds
    work: tuple[Message, ...] = ()
    if prepared.work.parts and not inquiry.blocked:
        work = (work_of(change.turn, inquiry, prepared.work, change.now),)
    deliveries = deliveries_of(bridge, said, len(work))
    return replace(
        change,
        append=(*work, *[one.message for one in said], *prepared.notes),
        amend=(prepared.own, *[(one.place, one.message) for one in prepared.joined]),
        joined=tuple([one.came_with for one in prepared.joined]),
        deliveries=deliveries,
        hold_seconds=bridge.outbox.hold_seconds(inbound.channel, len(deliveries)),
        trace=prepared.trace,
        remember_seconds=max(least, settings.remember_seconds, inbound.horizon_seconds),
    )


def deliveries_of(
    bridge: "Bridge[Any]", said: tuple[Said, ...], behind: int = 0
) -> tuple[Delivery, ...]:
    """A delivery for each message that may leave: claimed by us, unless it is due later.

    The messages stand `behind` so many others in what is appended.
    """
    found: list[Delivery] = []
    for place, one in enumerate(said, 1 + behind):
        message = one.message
        if not message.visible:
            continue
        delivery = bridge.outbox.delivery(message.channel, place, one.delivery)
        if delivery is not None and one.due:
            delivery = replace(delivery, token=b"", due=one.due)
        if delivery is not None:
            found.append(delivery)
    return tuple(found)


async def give_back(
    bridge: "Bridge[Any]", opened: Opened, accepted_at: int, *, at_once: bool
) -> None:
    """Free the lease, to be tried again the later the longer the message waits already.

    Or `at_once`, where another process is meant to have it.

    Should that fail too, the lease runs out by itself, and nothing is lost.
    """
    change = change_of(bridge, opened, opened.context)
    age = (change.now - accepted_at) / 1000
    retry = min(max(age / 2, _FIRST_RETRY_SECONDS), _LONGEST_RETRY_SECONDS)
    retry = 0.0 if at_once else retry
    await bridge.store.commit(replace(change, finished=False, retry_seconds=retry))
