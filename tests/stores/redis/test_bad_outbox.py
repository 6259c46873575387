"""An outbox that is damaged, or of a newer release: reported where it is touched, and passed by."""

import logging
from itertools import product

import pytest

from ctxbridge import errors
from ctxbridge.stores.redis.deliveries import decode_delivery
from ctxbridge.testing.actor import CHAT, MAIL, PHONE, outgoing, raises

from .conftest import make
from .test_bad_input import CANARY, DAMAGE, Place, damaged, everything

TOUCHING = ("take", "settle as sent", "settle as failed")
SCANS = ("scan due", "scan pending", "scan dead")


@pytest.fixture
async def place(own):
    async with make(own.url) as store:
        yield await Place(own, store).fill()


def field_of(place, first):
    """The name of a field of the outbox, and what is in it."""
    fields = place.hand("HGETALL", place.keys["outbox"])
    return next((n, v) for n, v in sorted(fields.items()) if n.startswith(first))


async def each_ends_well(place, verbs, note=""):
    """Each verb gives a value, or says that what is stored is damaged and changes nothing.

    Where a damaged number leads to another entry of the log, that is seen once it is claimed.
    """
    for verb in verbs:
        place.store._ground.forget()
        before = everything(place.server, place.store)
        try:
            await place.calls()[verb]()
        except DAMAGE as error:
            unseen = "no message that could leave" in str(error)
            assert unseen or everything(place.server, place.store) == before, (verb, note)


async def test_a_delivery_that_is_damaged(place):
    name, whole = (
        b"d" + place.sent.id,
        place.hand("HGET", place.keys["outbox"], b"d" + place.sent.id),
    )
    for bad in damaged(whole):
        place.restore()
        place.hand("HSET", place.keys["outbox"], name, bad)
        await each_ends_well(place, (*TOUCHING, *SCANS), bad)


async def test_what_no_truncation_of_a_delivery_passes_for(place):
    """Where the length tells, it is always reported by who touches it, and passed by in a list."""
    name = b"d" + place.sent.id
    whole = place.hand("HGET", place.keys["outbox"], name)
    for length in range(len(whole)):
        place.restore()
        place.hand("HSET", place.keys["outbox"], name, whole[:length])
        for verb in TOUCHING:
            place.store._ground.forget()
            error = await raises(errors.StoreError, place.calls()[verb]())
            assert isinstance(error, DAMAGE)
        assert place.sent.id not in [f.id for f in await place.calls()["scan pending"]()]
        with pytest.raises(DAMAGE):
            decode_delivery(place.sent.id, whole[:length])


@pytest.mark.parametrize("field", [b"s", b"n", b"x", b"p"])
async def test_other_fields_of_an_outbox(place, field):
    await place.calls()["keep a word"]()
    place.hand("HSETNX", place.keys["outbox"], b"n", b"64")
    place.stored = everything(place.server, place.store)
    name, whole = field_of(place, field)
    verbs = ("take", "keep a word", "settle as sent", "commit with a delivery")
    for bad, verb in product(damaged(whole), verbs):
        place.restore()
        place.hand("HSET", place.keys["outbox"], name, bad)
        await each_ends_well(place, [verb], bad)


async def test_a_newer_delivery_is_not_written_to(place):
    name = b"d" + place.sent.id
    whole = place.hand("HGET", place.keys["outbox"], name)
    place.hand("HSET", place.keys["outbox"], name, b"\2" + whole[1:])
    before = everything(place.server, place.store)
    for verb in TOUCHING:
        place.store._ground.forget()
        error = await raises(errors.UnknownFormat, place.calls()[verb]())
        assert "upgrade" in str(error)
    assert everything(place.server, place.store) == before


async def test_a_torn_conversation_is_passed_by_in_a_list_and_the_others_are_found(place, caplog):
    actor, store = place.actor, place.store
    claim = actor.claim(CANARY, message_id="<1@x>", address=CHAT)
    other = await store.open(claim)
    await store.commit(actor.change(other, finished=False, retry_seconds=0.0))
    place.hand("LTRIM", place.keys["list"], 1, -1)
    with caplog.at_level(logging.WARNING, "ctxbridge.redis"):
        found = await store.scan(actor.scan())
    assert [one.message.text for one in found] == [CANARY]
    assert "torn" in caplog.text
    assert CANARY not in caplog.text
    await raises(errors.CorruptRecord, place.calls()["take"]())


async def test_another_tenants_entry_in_a_set_is_not_given(place):
    """The set is read by its key alone; what stands in it must be found by the tenant again."""
    actor, store = place.actor, place.store
    entries = place.hand("ZRANGE", place.keys["due"], 0, -1)
    assert len(entries) == 2
    ours = store._ground.keys.agenda
    read = store._ground.courier.read_all

    async def misled(asked):
        """The broken variant of a server: it answers with the set of another tenant."""
        return [
            [[entry, 0.0] for entry in entries]
            if b"ZRANGEBYSCORE" in request.data and shard == place.home.shard
            else reply
            for (shard, request), reply in zip(asked, await read(asked), strict=True)
        ]

    store._ground.courier.read_all = misled
    assert len(await store.scan(actor.scan())) == 2
    stranger = type(actor)("stranger")
    assert list(await store.scan(stranger.scan())) == []
    assert ours("stranger", 0).tenant != ours(actor.tenant, 0).tenant


async def test_whose_outbox_it_is_says_the_outbox(place):
    """Where a conversation is, is no secret that would open it."""
    stranger = type(place.actor)("stranger")
    step = stranger.take(place.home.hash, place.sent.id)
    assert (await place.store.deliver(step)).status == "gone"
    place.hand("HSET", place.keys["outbox"], "s", store_tenant(place, "stranger"))
    assert (await place.store.deliver(step)).status == "taken", "the check above checks nothing"


def store_tenant(place, tenant):
    return place.store._ground.keys.agenda(tenant, 0).tenant


async def test_tokens_and_ids_of_odd_lengths(place):
    actor, store = place.actor, place.store
    before = everything(place.server, store)
    for where, id in ((b"", place.sent.id), (place.home.hash, b""), (b"x" * 17, b"y" * 16)):
        assert (await store.deliver(actor.take(where, id))).status == "gone"
    step = actor.take(place.home.hash, place.sent.id, token=b"too long")
    for token in (b"x", b"123456789"):
        odd = type(step)(step.tenant, step.where, step.delivery, token, step.now)
        await raises(errors.UsageError, store.deliver(odd))
    for bad in ({"due": 1 << 60}, {"token": b"x"}, {"id": b"x"}):
        delivery = actor.delivery()
        delivery = type(delivery)(bad.get("id", delivery.id), due=bad.get("due", 0), token=bad.get("token", b""))  # fmt: skip
        note = actor.note(place.contact, actor.message("x"), deliveries=(delivery,))
        await raises(errors.UsageError, store.commit(note))
    said = actor.settle("sent", recipient=PHONE, delivery=b"x")
    assert (await store.deliver(said)).status == "gone"
    assert everything(place.server, store) == before


async def test_texts_of_providers_of_any_kind_are_kept(place):
    actor, store = place.actor, place.store
    for number, id in enumerate(("x" * 4_000, "\0", "é" * 300, "\ud800", "{}:*\r\n")):
        delivery = actor.delivery(token=b"worker-1")
        contact = await outgoing(store, actor, delivery, message_id=f"odd {number}")
        early = actor.settle("delivered", recipient=PHONE, provider_id=id, code=id)
        assert (await store.deliver(early)).status == "kept"
        sent = actor.settle("sent", contact=contact, delivery=delivery.id, provider_id=id)
        settled = (await store.deliver(sent)).delivery
        assert (settled.status, settled.provider_id, settled.code) == (
            "delivered", id[:255], id[:64],
        )  # fmt: skip
    assert (
        await store.deliver(actor.settle("sent", recipient=MAIL, provider_id="P"))
    ).status == "kept"
