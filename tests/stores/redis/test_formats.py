"""What lies on the server, byte for byte as docs/formats.md tells it: later releases must read it."""

import struct

from ctxbridge import wire
from ctxbridge.model import Head
from ctxbridge.testing.actor import MAIL, PHONE, Actor

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
        expected = {place.key, place.ids, mail.key, pointer, record, gone, prefix + b":{00}:store"}
        assert set(client.scan_iter(prefix + b":*")) == expected

        *entries, head, packed, state = client.lrange(place.key, 0, -1)
        assert [wire.decode_entry(entry).turn for entry in entries[:3]] == [opened.turn] * 3
        assert (len(entries), state) == (4, b"s")
        assert wire.decode_contact(packed).id == contact
        assert contact[-1] == place.shard
        assert wire.decode_head(head) == Head(
            claim.conversation, 4, 2, 1, 0, turn=claim.turn, assurance=2
        )

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
