"""Keys of others in our places, damaged bytes, hostile names: typed errors, and nothing changes."""

import re
from itertools import product

import pytest
from msgspec.structs import replace

from ctxbridge import errors
from ctxbridge.model import Address, Committed, Context, Endpoint, Opened, Record
from ctxbridge.stores.redis.scripts import OPEN, Script
from ctxbridge.testing.actor import CHAT, MAIL, PHONE, Actor, contact_of, raises, texts
from ctxbridge.testing.contract.reading import HOSTILE
from ctxbridge.testing.servers import Server, wait_for
from ctxbridge.wire import Forward, encode_forward

from .conftest import LEAST_RIGHTS, any_binary, make

CANARY = "Xyzzy-4711"
PLANTS = {
    "string": ("SET", "theirs, and long enough to be one of ours"),
    "list": ("RPUSH", "theirs"),
    "set": ("SADD", "theirs"),
    "zset": ("ZADD", "1", "theirs"),
    "hash": ("HSET", "field", "theirs"),
    "stream": ("XADD", "*", "field", "theirs"),
}
DAMAGE = (errors.CorruptRecord, errors.UnknownFormat)


@pytest.fixture
async def store(own):
    async with make(own.url) as store:
        yield store


def everything(server, store):
    """All that is stored under the store's prefix, byte by byte."""
    keys = sorted(server.hand("KEYS", f"{store.settings.prefix}:*"))
    pipeline = server.hands(transaction=False)
    for key in keys:
        pipeline.execute_command("DUMP", key)
    return dict(zip(keys, pipeline.execute(), strict=True))


def plant(server, key, kind):
    """Put a value of another program in the place of `key`."""
    verb, *rest = PLANTS[kind]
    server.hand("DEL", key)
    server.hand(verb, key, *rest)


class Place:
    """One stored conversation with a state, a link, a finished turn and a record; and its keys."""

    def __init__(self, server, store):
        self.server, self.store, self.actor = server, store, Actor()
        self.hand = server.hand

    async def fill(self):
        store, actor = self.store, self.actor
        self.contact = await contact_of(store, actor, CANARY)
        await store.commit(actor.note(self.contact, actor.message("more"), state=b"\1state"))
        assert (await store.identify(actor.link(PHONE, MAIL))).status == "linked"
        await store.records(actor.write_record("there", b"value", lifetime_seconds=60.0))
        self.sent, self.failed = actor.delivery(), actor.delivery()
        out = actor.message("out", author="agent")
        await store.commit(actor.note(self.contact, out, deliveries=(self.sent, self.failed)))
        await store.deliver(self.said("failed", self.failed))
        left = await store.open(actor.claim("left", message_id="SM8"))
        await store.commit(actor.change(left, finished=False, retry_seconds=0.0))
        keys = store._ground.keys
        home = self.home = keys.of_address(actor.tenant, PHONE)
        self.keys = {
            "list": home.key,
            "ids": home.ids,
            "forward": keys.of_address(actor.tenant, MAIL).key,
            "pointer": keys.pointer(actor.tenant, self.contact)[1],
            "record": keys.record(actor.tenant, "test", "there")[1],
            "outbox": home.outbox,
            "due": keys.agenda(actor.tenant, home.shard).due,
            "dead": keys.agenda(actor.tenant, home.shard).dead,
        }
        self.stored = everything(self.server, store)
        return self

    def said(self, status, delivery, **more):
        return self.actor.settle(status, contact=self.contact, delivery=delivery.id, **more)

    def restore(self):
        """Everything as it was, and nothing remembered of it."""
        pipeline = self.server.hands(transaction=False)
        for key in self.hand("KEYS", f"{self.store.settings.prefix}:*"):
            if key not in self.stored:
                pipeline.execute_command("DEL", key)
        for key, value in self.stored.items():
            pipeline.execute_command("RESTORE", key, 0, value, "REPLACE")
        pipeline.execute()
        self.store._ground.forget()

    def calls(self):
        """Each verb, by name, in ways that lead over every key."""
        store, actor = self.store, self.actor
        return {
            "read": lambda: store.read(actor.query()),
            "read by link": lambda: store.read(actor.query(MAIL)),
            "open": lambda: store.open(actor.claim("new", message_id="SM9")),
            "open again": lambda: store.open(actor.claim(CANARY)),
            "open by link": lambda: store.open(actor.claim("x", message_id="SM9", address=MAIL)),
            "open that takes consent back": lambda: store.open(
                actor.claim("STOP", message_id="SM9", stop=True)
            ),
            "commit": lambda: store.commit(actor.note(self.contact, actor.message("x"))),
            "identify": lambda: store.identify(actor.link(PHONE, CHAT)),
            "link by id": lambda: store.identify(actor.link(self.contact, CHAT)),
            "read a record": lambda: store.records(actor.read_record("there")),
            "write a record": lambda: store.records(actor.write_record("there", b"x")),
            "delete a record": lambda: store.records(actor.write_record("there", None)),
            "take up": lambda: store.open(actor.claim("left", message_id="SM8")),
            "commit with a delivery": lambda: store.commit(
                actor.note(self.contact, actor.message("x"), deliveries=(actor.delivery(),))
            ),
            "take": lambda: store.deliver(actor.take(self.home.hash, self.sent.id)),
            "settle as sent": lambda: store.deliver(self.said("sent", self.sent)),
            "settle as failed": lambda: store.deliver(self.said("failed", self.sent)),
            "send again": lambda: store.deliver(self.said("pending", self.failed)),
            "keep a word": lambda: store.deliver(
                actor.settle("delivered", recipient=PHONE, provider_id="P1")
            ),
            "scan due": lambda: store.scan(actor.scan()),
            "scan pending": lambda: store.scan(actor.scan("pending")),
            "scan dead": lambda: store.scan(actor.scan("dead")),
        }


@pytest.fixture
async def place(own, store):
    return await Place(own, store).fill()


SETTLING = {"settle as sent", "settle as failed", "send again"}
NEEDS = {
    "list": {"read", "read by link", "open", "open again", "open by link", "commit", "identify",
             "open that takes consent back", "take up", "commit with a delivery", "take",
             "keep a word", *SETTLING},
    "ids": {"open", "open again", "open by link", "open that takes consent back", "commit",
            "take up", "commit with a delivery"},
    "forward": {"read by link", "open by link"},
    "pointer": {"commit", "link by id", "commit with a delivery", *SETTLING},
    "record": {"read a record", "write a record", "delete a record"},
    "outbox": {"commit with a delivery", "take", "keep a word", *SETTLING},
    "due": {"open", "open by link", "open that takes consent back", "take up",
            "commit with a delivery", "take", "scan due", "scan pending", *SETTLING},
    "dead": {"settle as failed", "send again", "scan dead"},
}  # fmt: skip
"""Which verb cannot do without which key. A scan passes damaged conversations by, and says so."""
OURS = {
    "list": "list", "ids": "hash", "forward": "list", "pointer": "string", "record": "string",
    "outbox": "hash", "due": "zset", "dead": "zset",
}  # fmt: skip


class TestPlantedKeys:
    @pytest.mark.parametrize("name", NEEDS)
    async def test_a_key_of_another_type_is_reported_and_nothing_changes(self, place, name):
        for kind in PLANTS.keys() - {OURS[name]}:
            await self.each_verb_keeps_its_hands_off(place, name, kind)

    async def each_verb_keeps_its_hands_off(self, place, name, kind):
        # A link to what is damaged has a test of its own: `TestLinks`.
        for verb in place.calls().keys() - ({"link by id"} if name == "list" else set()):
            place.restore()
            plant(place.server, place.keys[name], kind)
            before = everything(place.server, place.store)
            try:
                await place.calls()[verb]()
            except errors.CorruptRecord as error:
                assert CANARY not in str(error)  # noqa: PT017
                assert verb in NEEDS[name], f"{verb} needs no {name}"
                assert everything(place.server, place.store) == before, f"half applied: {verb}"
            else:
                assert verb not in NEEDS[name], f"{verb} takes a {kind} for a {name}"
                there = everything(place.server, place.store)
                assert there[place.keys[name]] == before[place.keys[name]]

    @pytest.mark.parametrize("name", NEEDS)
    async def test_a_key_of_the_same_type_is_no_record_of_ours_either(self, place, name):
        if OURS[name] == "hash":
            pytest.skip("a hash with other fields has nothing that we would read")
        if OURS[name] == "zset":
            await self.only_scans_read_its_entries(place, name)
            return
        for verb in sorted(NEEDS[name]):
            place.restore()
            plant(place.server, place.keys[name], OURS[name])
            before = everything(place.server, place.store)
            await raises(errors.StoreError, place.calls()[verb]())
            assert everything(place.server, place.store) == before, f"half applied: {verb}"

    async def only_scans_read_its_entries(self, place, name):
        for verb in ("scan due", "scan pending", "scan dead"):
            place.restore()
            place.hand("ZADD", place.keys[name], 0, "theirs")
            if verb in NEEDS[name]:
                await raises(errors.CorruptRecord, place.calls()[verb]())
            else:
                await place.calls()[verb]()

    @pytest.mark.parametrize("ends", ["finished", "given back", "renewed"])
    @pytest.mark.parametrize("name", ["due", "outbox"])
    async def test_a_turn_whose_end_cannot_be_listed_has_not_ended(self, place, ends, name):
        store, actor = place.store, place.actor
        opened = await store.open(actor.claim("now", message_id="SM9"))
        how = {"finished": {}, "given back": {"finished": False}}.get(
            ends, {"finished": False, "lease_seconds": 9.0}
        )
        change = actor.change(opened, "x", deliveries=(actor.delivery(),), **how)
        place.stored = everything(place.server, store)
        for kind in PLANTS.keys() - {OURS[name]}:
            place.restore()
            plant(place.server, place.keys[name], kind)
            before = everything(place.server, store)
            error = await raises(errors.CorruptRecord, store.commit(change))
            assert CANARY not in str(error)
            assert everything(place.server, store) == before
        place.restore()
        assert await store.commit(change) == Committed(opened.seq + 1, opened.context.revision)

    async def test_a_script_that_writes_before_it_has_looked_is_caught(self, place, monkeypatch):
        """The broken variant: the list grows, then the ids turn out to be no hash."""
        looks = b"if known.err then return {nonce, 'torn'} end"
        last = b"local status = 'noted'\n"
        grows = b"append(KEYS[1], what == 'home', entries, pack_head(h), contact, state)\n"
        assert looks in OPEN.text
        assert last in OPEN.text
        text = OPEN.text.replace(looks, b"if known.err then known = {} end")
        broken = Script(text.replace(last, last + grows))
        monkeypatch.setattr("ctxbridge.stores.redis.opening.OPEN", broken)
        with pytest.raises(AssertionError, match=r"half applied: (open|take up)"):
            await self.each_verb_keeps_its_hands_off(place, "ids", "set")

    @pytest.mark.parametrize("kind", PLANTS)
    async def test_somebody_new_whose_places_are_taken(self, own, store, kind):
        actor, keys = Actor(), store._ground.keys
        place = keys.of_address(actor.tenant, PHONE)
        for key, ours in ((place.key, "list"), (place.ids, "hash")):
            if kind == ours:
                continue
            plant(own, key, kind)
            before = everything(own, store)
            await raises(errors.CorruptRecord, store.open(actor.claim()))
            if key == place.key:
                await raises(errors.CorruptRecord, store.read(actor.query()))
                await raises(errors.CorruptRecord, store.identify(actor.link(PHONE, MAIL)))
            assert everything(own, store) == before
            own.hand("DEL", key)
        assert (await store.open(actor.claim())).status == "new"

    @pytest.mark.parametrize("kind", PLANTS)
    async def test_somebody_new_whose_pointer_is_taken(self, own, store, kind):
        actor, keys = Actor(), store._ground.keys
        claim, place = actor.claim(), keys.of_address(actor.tenant, PHONE)
        plant(own, keys.pointer(actor.tenant, keys.born_at(claim.contact, place))[1], kind)
        before = everything(own, store)
        await raises(errors.CorruptRecord, store.open(claim))
        assert everything(own, store) == before

    async def test_a_short_string_in_the_place_of_a_record(self, place):
        place.hand("SET", place.keys["record"], "theirs")
        for verb in ("read a record", "write a record", "delete a record"):
            await raises(errors.CorruptRecord, place.calls()[verb]())
        assert place.hand("GET", place.keys["record"]) == b"theirs"

    async def test_a_barrier_of_another_type_is_written_over(self, own):
        """It is ours by its name, holds nothing, and without it no write could be acknowledged."""
        own.hand("CONFIG", "SET", "repl-diskless-sync-delay", 0)
        with Server(any_binary()) as replica:
            replica.command("REPLICAOF", "127.0.0.1", own.port)
            wait_for("it is in sync", lambda: b"link_status:up" in replica.command("INFO"))
            async with make(own.url, durability="replicated") as store:
                actor = Actor()
                shard = store._ground.keys.of_address(actor.tenant, PHONE).shard
                plant(own, store._ground.keys.barrier(shard), "hash")
                await contact_of(store, actor)


def damaged(whole):
    """Every truncation, and every byte turned over in two ways; the first byte in more."""
    step = max(1, len(whole) // 40)
    for length in range(0, len(whole), step):
        yield whole[:length]
    for at, flip in product(range(0, len(whole), step), (0x01, 0xFF)):
        yield whole[:at] + bytes([whole[at] ^ flip]) + whole[at + 1 :]
    for first in (0, 2, 0x7F, 0xFF):
        yield bytes([first]) + whole[1:]
    yield whole + b"\0"


class TestDamage:
    """What is damaged is reported when it is touched, or, where no byte tells, is a value still."""

    async def calls_end_well(self, place, verbs, also=()):
        """Each verb gives a value of its kind, or says that what is stored is damaged."""
        for verb in verbs:
            place.store._ground.forget()
            try:
                value = await place.calls()[verb]()
                if isinstance(value, Opened):
                    list(value.context.window)
                if isinstance(value, Context):
                    list(value.window)
            except (*DAMAGE, *also) as error:
                assert CANARY not in str(error)  # noqa: PT017

    @pytest.mark.parametrize(
        ("what", "at"), [("head", -3), ("contact", -2), ("state", -1), ("entry", 0)]
    )
    async def test_elements_of_a_conversation(self, place, what, at):
        list_key = place.keys["list"]
        whole = place.hand("LINDEX", list_key, at)
        also = (errors.HistoryRolledBack, errors.ReplyMismatch) if what == "contact" else ()
        for bad in damaged(whole):
            place.restore()
            place.hand("LSET", list_key, at, bad)
            verbs = ("read", "open again", "open", "commit")
            await self.calls_end_well(place, verbs, also)

    async def test_what_no_truncation_of_a_record_passes_for(self, place):
        """Where the length tells, it is always reported."""
        list_key = place.keys["list"]
        for at in (-3, -2, 0):
            whole = place.hand("LINDEX", list_key, at)
            for length in range(len(whole)):
                place.restore()
                place.hand("LSET", list_key, at, whole[:length])
                with pytest.raises(DAMAGE):
                    list((await place.store.read(place.actor.query())).window)

    @pytest.mark.parametrize(("what", "at"), [("head", -3), ("contact", -2), ("entry", 0)])
    async def test_a_newer_format_says_upgrade(self, place, what, at):
        list_key = place.keys["list"]
        whole = place.hand("LINDEX", list_key, at)
        place.hand("LSET", list_key, at, b"\x02" + whole[1:])
        place.store._ground.forget()
        with pytest.raises(errors.UnknownFormat, match="upgrade"):
            list((await place.store.read(place.actor.query())).window)

    async def test_a_newer_head_is_not_written_to(self, place):
        await self.refuses_to_write(place, -3)

    async def test_a_newer_contact_is_not_written_to(self, place):
        await self.refuses_to_write(place, -2)

    async def refuses_to_write(self, place, at):
        list_key = place.keys["list"]
        element = place.hand("LINDEX", list_key, at)
        place.hand("LSET", list_key, at, b"\x02" + element[1:])
        before = everything(place.server, place.store)
        for verb in ("open", "commit", "open that takes consent back"):
            place.store._ground.forget()
            error = await raises(errors.UnknownFormat, place.calls()[verb]())
            assert "upgrade" in str(error)
        assert everything(place.server, place.store) == before

    async def test_forwards(self, place):
        whole = place.hand("LINDEX", place.keys["forward"], 0)
        for bad in damaged(whole):
            place.restore()
            place.hand("LSET", place.keys["forward"], 0, bad)
            # One that leads elsewhere leads nowhere: it is told, and the address starts anew.
            lost = (*DAMAGE, errors.HistoryRolledBack)
            await self.calls_end_well(place, ("read by link", "open by link"), lost)
        place.restore()
        place.hand("LSET", place.keys["forward"], 0, b"\x02" + whole[1:])
        error = await raises(errors.UnknownFormat, place.calls()["read by link"]())
        assert "upgrade" in str(error)

    async def test_a_forward_that_leads_nowhere(self, place):
        nowhere = encode_forward(Forward(bytes(16)))
        for verb in ("read by link", "open by link"):
            place.restore()
            place.hand("LSET", place.keys["forward"], 0, nowhere)
            place.store._ground.forget()
            await raises(errors.HistoryRolledBack, place.calls()[verb]())
            assert (await place.store.read(place.actor.query(MAIL))).contact is None

    async def test_forwards_in_a_circle(self, place):
        own_hash = place.store._ground.keys.of_address(place.actor.tenant, MAIL).hash
        place.hand("LSET", place.keys["forward"], 0, encode_forward(Forward(own_hash)))
        for verb in ("read by link", "open by link"):
            place.store._ground.forget()
            await raises(errors.CorruptRecord, place.calls()[verb]())

    async def test_journals(self, place):
        forward = encode_forward(Forward(bytes(16), b"journal"))
        place.hand("LSET", place.keys["forward"], 0, forward)
        await self.calls_end_well(place, ("read by link", "open by link"))
        place.store._ground.forget()
        await raises(errors.CorruptRecord, place.store.read(place.actor.query(MAIL)))

    async def test_pointers_and_records(self, place):
        for name, verbs in (
            ("pointer", ("commit", "link by id")),
            ("record", ("read a record", "write a record", "delete a record")),
        ):
            whole = place.hand("GET", place.keys[name])
            for bad in damaged(whole):
                place.restore()
                place.hand("SET", place.keys[name], bad)
                await self.calls_end_well(place, verbs)
        place.hand("SET", place.keys["record"], b"nonce678\x02" + bytes(16))
        for verb in ("read a record", "write a record"):
            error = await raises(errors.UnknownFormat, place.calls()[verb]())
            assert "upgrade" in str(error)

    async def test_entries_that_are_missing(self, place):
        list_key, actor = place.keys["list"], place.actor
        for words in (("LTRIM", 1, -1), ("LTRIM", 0, -2), ("LREM", 1), ("LTRIM", -2, -1)):
            place.restore()
            verb, *rest = words
            if verb == "LREM":
                rest.append(place.hand("LINDEX", list_key, 1))
            place.hand(verb, list_key, *rest)
            before = everything(place.server, place.store)
            await raises(errors.CorruptRecord, place.store.read(actor.query()))
            for name in ("open", "open again", "commit"):
                place.store._ground.forget()
                await raises(errors.CorruptRecord, place.calls()[name]())
            assert everything(place.server, place.store) == before

    async def test_what_is_intact_of_a_torn_conversation_stays_readable(self, place):
        place.hand("LTRIM", place.keys["list"], 1, -1)
        context = await place.store.read(place.actor.query(window=2))
        assert texts(context) == ["out", "left"]

    @pytest.mark.parametrize("first", ["t", "l"])
    async def test_fields_of_ids(self, place, first):
        await self.a_field_is_damaged(place, first)

    async def test_a_message_id_at_a_place_that_is_not_there(self, place):
        await self.a_field_is_damaged(place, "m")

    async def test_when_the_key_ends(self, place):
        await self.a_field_is_damaged(place, "x")

    @pytest.mark.parametrize("fields", [("m-damaged", "?", "n", 1), ("n", "?")])
    async def test_a_field_that_is_looked_at_only_when_much_is_remembered(self, place, fields):
        actor = place.actor
        for number in range(60):
            await place.store.commit(actor.note(place.contact, actor.message(str(number))))
        place.hand("HSET", place.keys["ids"], *fields)
        place.stored = everything(place.server, place.store)
        for number in range(40):
            before = everything(place.server, place.store)
            try:
                await place.store.open(actor.claim("x", message_id=f"many {number}"))
            except DAMAGE:
                assert everything(place.server, place.store) == before

    async def a_field_is_damaged(self, place, first):
        """Reported with nothing changed, or of no account."""
        ids = place.keys["ids"]
        field, whole = next(
            (name, value)
            for name, value in sorted(place.hand("HGETALL", ids).items())
            if name.startswith(first.encode())
        )
        for verb, bad in product(("open", "open again", "commit"), damaged(whole)):
            place.restore()
            place.hand("HSET", ids, field, bad)
            before = everything(place.server, place.store)
            try:
                await place.calls()[verb]()
            except DAMAGE:
                assert everything(place.server, place.store) == before, (verb, bad)


WAYS = {
    "planted": lambda hand, key: (hand("DEL", key), hand("SADD", key, "theirs")),
    "no end": lambda hand, key: hand("LTRIM", key, 0, -2),
    "an entry missing": lambda hand, key: hand("LTRIM", key, 1, -1),
    "a newer head": lambda hand, key: hand("LSET", key, -3, b"\2" + hand("LINDEX", key, -3)[1:]),
    "a newer contact": lambda hand, key: hand("LSET", key, -2, b"\2"),
}


class TestLinks:
    """A link is made in three steps; where the contact cannot take it, none of them must stay."""

    @pytest.mark.parametrize("what", WAYS)
    async def test_a_damaged_contact_leaves_the_address_to_itself(self, place, what):
        WAYS[what](place.hand, place.keys["list"])
        before = everything(place.server, place.store)
        place.store._ground.forget()
        with pytest.raises(DAMAGE):
            await place.calls()["link by id"]()
        assert everything(place.server, place.store) == before


async def test_numbers_out_of_range_are_the_callers_fault(own, store):
    actor = Actor()
    opened = await store.open(actor.claim())
    contact = opened.context.contact.id
    before = everything(own, store)
    for change in (
        actor.note(contact, actor.message("x"), revision=-1),
        replace(actor.change(opened, "x"), fence=-1),
        replace(actor.change(opened, "x"), gate_epoch=1 << 70),
    ):
        await raises(errors.UsageError, store.commit(change))
    many = actor.note(contact, *[actor.message("x")] * 65_536)
    await raises(errors.TooLarge, store.commit(many))
    await raises(errors.UsageError, store.records(actor.write_record("k", b"v", revision=-1)))
    assert everything(own, store) == before


GRAMMAR = re.compile(
    rb"cb:\d+:\{[0-9a-f]{2}\}:"
    rb"(b|[A-Za-z0-9_-]{22}(:[io])?|[cdrx]:[A-Za-z0-9_-]{22})|cb:\d+:\{00\}:store"
)
NAMES = [*HOSTILE, "\0", "a\0b", CANARY, f"{{{CANARY}}}", "}{", "cb:1:{00}:store", "*" * 65_536]


class TestHostileNames:
    @pytest.fixture(params=["default", "least rights"])
    def url(self, request):
        with Server(any_binary()) as server:
            server.command("ACL", "SETUSER", "bot", *LEAST_RIGHTS.split())
            login = "bot:secret@" if request.param == "least rights" else ""
            yield server, server.url.replace("//", f"//{login}")

    async def test_no_name_reaches_a_key(self, url):
        server, where = url
        async with make(where) as store:
            for number, name in enumerate(NAMES):
                await self.use(store, number, name)
        keys = server.command("KEYS", "*")
        assert len(keys) > 3 * len(NAMES)
        for key in keys:
            assert GRAMMAR.fullmatch(key), key
            assert CANARY.encode() not in key

    async def use(self, store, number, name):
        """Every verb, with `name` in all places where one can stand."""
        actor = Actor(name)
        address = Address("chat", name, name)
        mine = {"address": address, "endpoint": Endpoint(f"chat{name}", name)}
        claim = actor.claim(f"text {number}", message_id=name, **mine)
        opened = await store.open(claim)
        await store.commit(actor.change(opened, "ok", address=address))
        assert (await store.open(actor.claim(f"text {number}", message_id=name, **mine))).answer
        linked = Address(name or "x", f"{name}!", name)
        assert (await store.identify(actor.link(address, linked))).status == "linked"
        await store.records(actor.write_record(name, b"v%d" % number, scope=name))
        assert texts(await store.read(actor.query(linked))) == [f"text {number}", "ok"]
        record = await store.records(actor.read_record(name, scope=name))
        assert isinstance(record, Record)
        assert record.value == b"v%d" % number

    async def test_a_name_in_a_key_would_be_seen(self, url):
        """The broken variant of the check above."""
        assert not GRAMMAR.fullmatch(f"cb:1:{{00}}:c:{CANARY}".encode())
        assert not GRAMMAR.fullmatch(b"cb:1:{00}:c:\r\n" + b"x" * 22)
        assert not GRAMMAR.fullmatch(b"other:1:{00}:b")
        assert replace(PHONE, value="x") != PHONE
