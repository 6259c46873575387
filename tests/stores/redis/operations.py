"""Operations of overlap and outbox for the matrix of lost replies: each done once, told as it is."""

from msgspec.structs import replace

from ctxbridge.model import Committed
from ctxbridge.testing.actor import texts

TOKEN = b"worker-1"


async def supersede_a_turn(stand):
    with stand.in_peace():
        await stand.store.open(stand.actor.claim("first", message_id="M2", address=stand.address))
    opened = await stand.store.open(stand.claim(overlap="supersede"))
    assert (opened.status, opened.seq, opened.fence, opened.resumed) == ("new", 4, 3, False)
    assert opened.context.waiting[-2:] == (3, 4)
    assert isinstance(await stand.store.commit(stand.actor.change(opened)), Committed)


async def note_a_message(stand):
    opened = await stand.store.open(stand.claim("an edit", lease_seconds=0.0))
    assert (opened.status, opened.seq, (await stand.now()).seq) == ("noted", 3, 3)


async def renew_a_lease(stand):
    with stand.in_peace():
        opened = await stand.store.open(stand.claim(lease_seconds=1.0))
    renewal = stand.actor.change(opened, finished=False, lease_seconds=100.0)
    assert await stand.store.commit(renewal) == Committed(3, 0)
    stand.actor.now += 99_000
    busy = await stand.store.open(stand.actor.claim(message_id="M2", address=stand.address))
    assert (busy.status, busy.lease_end) == ("busy", stand.actor.now + 1_000)


async def join_turns(stand):
    other = stand.actor.claim("other", message_id="M2", address=stand.address)
    with stand.in_peace():
        first, second = await stand.store.open(stand.claim()), await stand.store.open(other)
    change = stand.actor.change(first, "to both", address=stand.address)
    accepted = replace(other.message, disposition="accepted")
    change = replace(
        change,
        amend=((3, replace(accepted, parts=first.context.messages[-1].parts)), (4, accepted)),
        joined=(second.turn,),
    )
    outcome = await stand.store.commit(change)
    assert (outcome.seq, (await stand.now()).waiting) == (5, (1,))
    merged = await stand.store.open(
        stand.actor.claim("other", message_id="M2", address=stand.address)
    )
    assert (merged.status, merged.turn) == ("merged", second.turn)


async def commit_with_deliveries(stand):
    with stand.in_peace():
        opened = await stand.store.open(stand.claim())
    deliveries = (stand.actor.delivery(1), stand.actor.delivery(2, token=TOKEN))
    change = stand.actor.change(opened, "one", "two", address=stand.address, deliveries=deliveries)
    assert (await stand.store.commit(change)).seq == 5
    pending = await listed(stand, "pending")
    assert pending == {deliveries[0].id: ("pending", 0), deliveries[1].id: ("claimed", 1)}


async def take_a_delivery(stand):
    delivery, where = await prepared(stand)
    taken = await stand.store.deliver(stand.actor.take(where, delivery.id))
    assert (taken.status, taken.delivery.attempt, taken.message.text) == ("taken", 1, "out")
    assert texts(taken.context) == ["hello", "ok", "out"]
    assert await listed(stand, "pending") == {delivery.id: ("claimed", 1)}
    assert await listed(stand, "due") == {}


async def take_what_was_left(stand):
    delivery, where = await prepared(stand)
    with stand.in_peace():
        await stand.store.deliver(stand.actor.take(where, delivery.id, hold_seconds=1.0))
    stand.actor.now += 1_000
    lost = await stand.store.deliver(stand.actor.take(where, delivery.id))
    assert (lost.status, lost.delivery.status) == ("gone", "unknown")
    assert await listed(stand, "dead") == {delivery.id: ("unknown", 1)}


async def settle_a_delivery(stand):
    delivery, _ = await prepared(stand, token=TOKEN)
    more = {"contact": stand.contact, "attempt": 1}
    sent = stand.actor.settle("sent", delivery=delivery.id, provider_id="P1", **more)
    settled = await stand.store.deliver(sent)
    assert (settled.status, settled.delivery.status) == ("settled", "sent")
    by_provider = stand.actor.settle("delivered", recipient=stand.address, provider_id="P1")
    assert (await stand.store.deliver(by_provider)).delivery.status == "delivered"
    assert await listed(stand, "pending") == await listed(stand, "dead") == {}


async def put_a_delivery_back(stand):
    delivery, _ = await prepared(stand, token=TOKEN)
    said = stand.actor.settle(
        "pending", contact=stand.contact, delivery=delivery.id, attempt=1, retry_seconds=5.0
    )
    again = await stand.store.deliver(said)
    assert (again.delivery.status, again.delivery.due) == ("pending", stand.actor.now + 5_000)
    assert await listed(stand, "due") == {}
    stand.actor.now += 5_000
    assert await listed(stand, "due") == {delivery.id: ("pending", 1)}


async def keep_a_word(stand):
    delivery, _ = await prepared(stand, token=TOKEN)
    early = stand.actor.settle("delivered", recipient=stand.address, provider_id="P1")
    assert (await stand.store.deliver(early)).status == "kept"
    sent = stand.actor.settle(
        "sent", contact=stand.contact, delivery=delivery.id, attempt=1, provider_id="P1"
    )
    assert (await stand.store.deliver(sent)).delivery.status == "delivered"


async def list_what_is_due(stand):
    delivery, where = await prepared(stand)
    (found,) = await stand.store.scan(stand.actor.scan())
    assert (found.id, found.where, found.message.text) == (delivery.id, where, "out")


async def prepared(stand, **more):
    """A delivery that is due, or claimed already, and where it is."""
    delivery = stand.actor.delivery(**more)
    out = stand.actor.message("out", author="agent", address=stand.address)
    with stand.in_peace():
        await stand.store.commit(stand.actor.note(stand.contact, out, deliveries=(delivery,)))
        (where,) = {f.where for f in await stand.store.scan(stand.actor.scan("pending"))}
    return delivery, where


async def listed(stand, what):
    """What a list says of its deliveries, each of them once."""
    found = [f for f in await stand.store.scan(stand.actor.scan(what)) if f.id]
    statuses = {f.id: (f.delivery.status, f.delivery.attempt) for f in found}
    assert len(statuses) == len(found)
    return statuses


OUTBOX_OPERATIONS = [
    supersede_a_turn, note_a_message, renew_a_lease, join_turns, commit_with_deliveries,
    take_a_delivery, take_what_was_left, settle_a_delivery, put_a_delivery_back, keep_a_word,
    list_what_is_due,
]  # fmt: skip
