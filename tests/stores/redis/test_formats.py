"""What lies on the server, byte for byte as docs/formats.md tells it: later releases must read it."""

import struct

import msgspec
from msgspec.structs import replace

from ctxbridge import wire
from ctxbridge.model import Head
from ctxbridge.rules import fold
from ctxbridge.testing.actor import MAIL, OURS, PHONE, Actor
from ctxbridge.wire.keys import provider_key, tenant_key

from .conftest import make

_SEEN = struct.Struct(">16s8s")
DAY = 86_400_000


def number(data):
    return int.from_bytes(data, "big")


async def test_the_keys_of_a_conversation_and_what_is_in_them(server):
    client = server.client()
    async with make(server.url) as store:
        actor = Actor()
        claim = actor.claim("hi")
        opened = await store.open(claim)
        await store.commit(actor.change(opened, "one", "two", state=b"s"))
        await store.identify(actor.link(PHONE, MAIL))
        await store.records(actor.write_record("k", b"v", lifetime_seconds=10.0))
        await store.records(actor.write_record("gone", b"v"))
        await store.records(actor.write_record("gone", None))
        prefix = store.settings.prefix.encode()
        keys = store._ground.keys
        place, mail = keys.of_address("acme", PHONE), keys.of_address("acme", MAIL)
        contact = opened.context.contact.id

        _, pointer = keys.pointer("acme", contact)
        _, record = keys.record("acme", "test", "k")
        _, gone = keys.record("acme", "test", "gone")
        agenda = keys.agenda("acme", place.shard)
        expected = {place.key, place.ids, mail.key, pointer, record, gone, agenda.due,
                    prefix + b":{00}:store"}  # fmt: skip
        assert set(client.scan_iter(prefix + b":*")) == expected

        *entries, head, packed, state = client.lrange(place.key, 0, -1)
        assert [wire.decode_entry(entry).turn for entry in entries[:3]] == [opened.turn] * 3
        assert (len(entries), state) == (4, b"s")
        assert wire.decode_contact(packed).id == contact
        assert contact[-1] == place.shard
        assert wire.decode_head(head) == Head(
            claim.conversation, 4, 2, 1, 0, turn=claim.turn, assurance=2, waiting=b"\0\0\0\0\1"
        )
        assert client.zrange(agenda.due, 0, -1, withscores=True) == [
            (place.hash, actor.now + 1_000)
        ]

        ids = client.hgetall(place.ids)
        seen = next(v for k, v in ids.items() if k[:1] == b"m")
        assert _SEEN.unpack_from(seen) == (claim.turn, claim.digest[:8])
        assert (number(seen[24:29]), seen[29]) == (1, 2)
        assert number(seen[30:]) == actor.now + 7 * DAY
        answer = ids[b"t" + claim.turn]
        assert [number(answer[a:b]) for a, b in ((0, 5), (5, 7), (7, 12), (12, 17), (17, 23))] == [
            2, 2, 1, 1, actor.now + 7 * DAY,
        ]  # fmt: skip
        assert (len(ids[b"l"]), ids[b"l"][8:]) == (9, b"n")
        assert int(ids[b"x"]) == actor.now + 8 * DAY

        assert client.get(pointer) == place.hash
        assert client.lrange(mail.key, 0, -1) == [wire.encode_forward(wire.Forward(place.hash))]
        stored = client.get(record)
        assert wire.decode_record(stored[8:]).value == b"v"
        assert 10_000 < client.pttl(record) <= DAY + 10_000
        assert len(client.get(gone)) == 8
        assert set(client.hgetall(prefix + b":{00}:store")) == {b"format", b"shards", b"epoch"}


async def test_a_turn_that_runs_and_one_that_was_superseded(server):
    client = server.client()
    async with make(server.url) as store:
        actor = Actor()
        first = await store.open(actor.claim("one", lease_seconds=9.0))
        place = store._ground.keys.of_address("acme", PHONE)
        due = store._ground.keys.agenda("acme", place.shard).due
        assert client.zscore(due, place.hash) == first.lease_end == actor.now + 9_000
        head = client.lindex(place.key, -3)
        assert (head[134:], len(head)) == (b"\0\5" + b"\0\0\0\0\1", 141)
        claim = actor.claim("two", message_id="SM2", overlap="supersede", lease_seconds=20.0)
        await store.open(claim)
        head = client.lindex(place.key, -3)
        assert head[134:] == b"\0\12" + b"\0\0\0\0\1" + b"\0\0\0\0\2"
        assert (wire.decode_head(head).flags, client.zscore(due, place.hash)) == (
            fold.SUPERSEDED, actor.now + 20_000,
        )  # fmt: skip
        await store.open(actor.claim("an edit", message_id="SM3", lease_seconds=0.0))
        assert len(client.hget(place.ids, "w")) == 8
        two = replace(claim.message, disposition="accepted")
        done = replace(actor.change(await store.open(claim)), amend=((1, two), (2, two)))
        assert (await store.commit(replace(done, fence=2, joined=(first.turn,)))).seq == 3
        assert not client.exists(due)
        assert client.lindex(place.key, -3)[134:] == b"\0\0"
        answer = client.hget(place.ids, b"t" + first.turn)
        assert (answer[:7], number(answer[12:17])) == (bytes(7), 2)


async def test_an_outbox_and_the_sets_that_list_it(server):
    client = server.client()
    async with make(server.url) as store:
        actor = Actor()
        sent = actor.delivery(2, token=b"worker-1", repeatable=True)
        later = actor.delivery(1, due=actor.now + 5_000)
        claim = actor.claim("hi", stop=False)
        opened = await store.open(claim)
        accepted = replace(claim.message, disposition="accepted")
        change = actor.change(opened, "one", "two", accept=accepted, deliveries=(sent, later))
        await store.commit(change)
        place = store._ground.keys.of_address("acme", PHONE)
        agenda = store._ground.keys.agenda("acme", place.shard)
        contact, now, week = opened.context.contact.id, actor.now, actor.now + 7 * DAY

        fields = client.hgetall(place.outbox)
        assert set(fields) == {b"d" + sent.id, b"d" + later.id, b"s", b"x"}
        assert fields[b"s"] == tenant_key("acme")
        assert int(fields[b"x"]) == week + 5_000 + DAY
        assert read(fields[b"d" + sent.id]) == (
            1, 4, 1, 1, 1, now, now + 60_000, 1, b"worker-1", now, "", "", week,
        )  # fmt: skip
        assert read(fields[b"d" + later.id]) == (
            1, 3, 0, 0, 0, now + 5_000, 0, 1, bytes(8), now, "", "", week + 5_000,
        )  # fmt: skip
        assert client.zrange(agenda.due, 0, -1, withscores=True) == [
            (place.hash + later.id, now + 5_000),
            (place.hash + sent.id, now + 60_000),
        ]

        said = actor.settle("failed", contact=contact, delivery=sent.id, provider_id="P1",
                            code="30003", attempt=1)  # fmt: skip
        await store.deliver(said)
        early = actor.settle("delivered", recipient=PHONE, provider_id="P2", remember_seconds=9.0)
        assert (await store.deliver(early)).status == "kept"
        fields = client.hgetall(place.outbox)
        assert read(fields[b"d" + sent.id]) == (
            1, 4, 4, 1, 1, now, 0, 1, bytes(8), now, "P1", "30003", week,
        )  # fmt: skip
        named = fields[b"p" + provider_key("acme", OURS, "P1")]
        assert (named[:17], number(named[17:])) == (b"d" + sent.id, week)
        kept = fields[b"p" + provider_key("acme", OURS, "P2")]
        assert (kept[:1], number(kept[-6:])) == (b"k", now + 9_000)
        assert msgspec.msgpack.decode(kept[1:-6]) == ["delivered", now, 0, b"", b"P2", None]
        assert client.zrange(agenda.due, 0, -1) == [place.hash + later.id]
        assert client.zrange(agenda.dead, 0, -1, withscores=True) == [(place.hash + sent.id, week)]


def read(raw):
    """A delivery, field by field: places and times in five and six bytes."""
    widths, values = (1, 5, 1, 1, 2, 6, 6, 8, 8, 6), []
    for width in widths:
        values.append(raw[:width])
        raw = raw[width:]
    size = number(raw[:2])
    texts = (raw[2 : 2 + size].decode(), raw[2 + size : -6].decode())
    numbers = [value if n == 8 else number(value) for n, value in enumerate(values)]
    return (*numbers, *texts, number(raw[-6:]))


async def test_ids_take_no_more_than_64_bytes_each(server):
    """As long as there are no more of them than a server keeps in one piece."""
    client = server.client()
    async with make(server.url) as store:
        actor = Actor()
        for n in range(200):
            opened = await store.open(actor.claim("hi", message_id=f"{n}"))
            await store.commit(actor.change(opened))
        place = store._ground.keys.of_address("acme", PHONE)
        fields = client.hlen(place.ids)
        assert fields >= 400
        assert client.memory_usage(place.ids, samples=0) / fields <= 64
