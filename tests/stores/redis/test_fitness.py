"""Servers that are absent, wrong, locked, full or unfit: what is said of them, and what stays."""

import asyncio
import time
import traceback
from contextlib import asynccontextmanager

import pytest
from msgspec.structs import replace

from ctxbridge import errors
from ctxbridge.model.record import CONTROL
from ctxbridge.stores.redis import faults
from ctxbridge.stores.redis.resp import MISSING, PythonReader, ServerError, bulk
from ctxbridge.stores.redis.scripts import COMMIT, Script
from ctxbridge.testing.actor import CHAT, MAIL, PHONE, Actor, contact_of, raises, texts
from ctxbridge.testing.servers import Server, free_port, wait_for

from .conftest import BINARIES, LEAST_RIGHTS, any_binary, binary, make

CANARY = "Xyzzy-4711"
"""A password, a customer's address and text: no error may repeat it."""


async def refused(where, kind, *words, seconds=3.0, **options):
    """The error of a store that cannot be opened: at once, naming what is wrong, and no more.

    At once is: long before the deadline of 5 s, on a machine that does other things too.
    """
    started = time.monotonic()
    error = await raises(kind, make(where, **options).check())
    assert time.monotonic() - started < seconds
    assert type(error) is kind
    for word in words:
        assert word in str(error)
    assert CANARY not in "".join(traceback.format_exception(error))
    return error


async def notes(where, **options):
    async with make(where, **options) as store:
        return " | ".join((await store.check()).notes)


@asynccontextmanager
async def listener(answer):
    """A server whose answer to whatever arrives is `answer(data)`; nothing for `None`."""

    async def serve(reader, writer):
        while data := await reader.read(65_536):
            said = answer(data)
            writer.write(said or b"")
            await asyncio.sleep(0)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        server.close()


def pretending(info):
    """The answers of a server that says `info` of itself, and OK to everything else."""

    def answer(data):
        reader, said = PythonReader(), []
        reader.feed(data)
        while (command := reader.gets()) is not MISSING:
            said.append(answers.get(command[0].upper(), b"+OK\r\n"))
        return b"".join(said)

    answers = {b"HELLO": b"%1\r\n+proto\r\n:3\r\n", b"INFO": bulk(info.encode())}
    return answer


@pytest.fixture(scope="module", params=sorted(BINARIES))
def own(request):
    """A server of each flavour whose settings these tests may change."""
    with Server(BINARIES[request.param]) as server:
        yield server


@pytest.fixture(autouse=True)
def as_it_was(request):
    """Whatever a test did to the settings of `own` is undone."""
    yield
    if "own" in request.fixturenames:
        server = request.getfixturevalue("own")
        server.command("CONFIG", "SET", "maxmemory", 0, "maxmemory-policy", "noeviction")


class TestAbsent:
    async def test_nobody_listens(self):
        places = f"127.0.0.1:{free_port()},127.0.0.1:{free_port()}"
        await refused(f"redis://127.0.0.1:{free_port()}", errors.Unavailable, "nobody listens")
        await refused(f"redis+cluster://{places}", errors.Unavailable, "nobody listens")
        await refused(f"redis+sentinel://{places}/main", errors.Unavailable, "no sentinel")

    async def test_a_socket_that_is_not_there(self, tmp_path):
        await refused(f"unix://{tmp_path}/{CANARY}", errors.Unavailable, "socket")

    async def test_a_host_that_nobody_knows(self):
        await refused(f"redis://{CANARY}.invalid:6379", errors.Unavailable, "does not resolve")

    @pytest.mark.parametrize("kind", ["redis://{}", "redis+cluster://{}", "redis+sentinel://{}/x"])
    async def test_one_that_answers_as_no_redis_does(self, kind):
        async with listener(lambda _: b"HTTP/1.1 400 Bad Request\r\n\r\n") as place:
            await refused(kind.format(place), errors.Unavailable, "no Redis or Valkey server")

    @pytest.mark.parametrize("kind", ["redis://{}", "redis+cluster://{}", "redis+sentinel://{}/x"])
    async def test_one_that_says_nothing_is_given_up_in_time(self, kind):
        async with listener(lambda _: None) as place:
            await refused(kind.format(place), errors.Unavailable, seconds=4.0, timeout_seconds=1.0)

    async def test_a_call_tries_until_its_deadline_and_no_longer(self):
        actor = Actor()
        with Server(any_binary()) as server:
            async with make(server.url, deadline_seconds=0.5) as store:
                await contact_of(store, actor)
                server.stop()
                await asyncio.sleep(0.05)  # the store hears that it was hung up on
                started = time.monotonic()
                error = await raises(errors.Unavailable, store.open(actor.claim(message_id="2")))
                assert 0.4 < time.monotonic() - started < 3.0
                assert "nobody listens" in str(error)


class TestNotReady:
    @pytest.mark.parametrize("flavour", sorted(BINARIES))
    async def test_a_server_that_is_loading_says_so_and_a_call_waits_for_it(self, flavour):
        actor = Actor()
        with Server(BINARIES[flavour], *SLOWLY) as server:
            server.command("EVAL", "for i = 1, 5000 do redis.call('SET', i, i) end", 0)
            async with make(server.url, deadline_seconds=30.0) as store:
                await contact_of(store, actor)
                server.command("SAVE")
                server.kill()
                server.launch()
                wait_for("it is loading", lambda: loading(server))
                await refused(server.url, errors.Unavailable, "loading")
                assert texts(await store.read(actor.query())) == ["hello", "ok"]

    async def test_a_replica_takes_no_writes(self, own):
        with Server(any_binary()) as replica:
            replica.command("REPLICAOF", "127.0.0.1", own.port)
            await refused(replica.url, errors.StoreReadOnly, "replica", "redis+sentinel://")

    async def test_a_server_that_became_a_replica_while_it_was_used(self, own):
        actor = Actor()
        async with make(own.url, deadline_seconds=0.3) as store:
            await contact_of(store, actor)
            own.command("REPLICAOF", "127.0.0.1", free_port())
            try:
                error = await raises(errors.StoreReadOnly, store.open(actor.claim(message_id="2")))
                assert error.retry_safe
                assert texts(await store.read(actor.query())) == ["hello", "ok"]
            finally:
                own.command("REPLICAOF", "NO", "ONE")
            assert (await store.open(actor.claim(message_id="2"))).status == "new"

    async def test_a_server_that_is_too_old(self):
        async with listener(pretending("redis_version:6.0.16\r\nrole:master\r\n")) as place:
            await refused(f"redis://{place}", errors.ConfigurationError, "6.0.16", "6.2")


SLOWLY = ("--key-load-delay", "400", "--loading-process-events-interval-bytes", "1024")
"""5,000 keys are loaded in about two seconds."""


def loading(server):
    try:
        return b"loading:1" in server.command("INFO")
    except Exception:  # noqa: BLE001 - it does not listen yet
        return False


class TestTheOtherKind:
    async def test_any_node_of_a_cluster_says_that_it_is_one(self, cluster):
        for server in cluster.servers:
            await refused(server.url, errors.ConfigurationError, "redis+cluster://")

    async def test_a_lone_server_is_no_cluster_and_no_sentinel(self, own):
        place = f"127.0.0.1:{own.port}"
        await refused(f"redis+cluster://{place}", errors.ConfigurationError, "redis://")
        await refused(f"redis+sentinel://{place}/main", errors.ConfigurationError, "command")

    async def test_sentinels(self, sentinels):
        await refused(sentinels.sentinels[0].url, errors.ConfigurationError, "redis+sentinel://")
        wrong = sentinels.url.replace("/main", f"/{CANARY}")
        await refused(wrong, errors.Unavailable, "knows a primary of this name")

    async def test_databases_that_are_not_there(self, own, cluster):
        await refused(f"{own.url}/99", errors.ConfigurationError, "database")
        await refused(f"{cluster.url}/1", errors.ConfigurationError, "database")

    async def test_another_number_of_shards_than_the_store_was_made_with(self, own):
        async with make(own.url, shards=16) as store:
            same = {"prefix": store.settings.prefix}
            await refused(own.url, errors.ConfigurationError, "shards=16", shards=17, **same)
            async with make(own.url, shards=16, **same):
                pass

    @pytest.mark.parametrize(
        ("field", "value", "kind", "word"),
        [("format", "2", errors.UnknownFormat, "upgrade"),
         ("format", "x", errors.UnknownFormat, "upgrade"),
         ("shards", b"\xff", errors.ConfigurationError, "shards")],
    )  # fmt: skip
    async def test_a_store_of_another_release(self, own, field, value, kind, word):
        async with make(own.url) as store:
            own.command("HSET", store._ground.keys.store, field, value)
        await refused(own.url, kind, word, prefix=store.settings.prefix)

    @pytest.mark.parametrize("words", [["SET"], ["RPUSH"], ["HSET", "epoch"]])
    async def test_another_programs_key_in_the_place_of_the_stores(self, own, words):
        first, *rest = words
        name = f"theirs-{'-'.join(words)}"
        own.command(first, f"{name}:{{00}}:store", *rest, "1")
        await refused(own.url, errors.CorruptRecord, "`prefix`", prefix=name)


class TestLockedOut:
    @pytest.mark.parametrize("flavour", sorted(BINARIES))
    async def test_no_password_and_a_wrong_one(self, flavour):
        with Server(BINARIES[flavour]) as server:
            server.command("CONFIG", "SET", "requirepass", "right")
            for protocol in ("2", "3"):
                end = f"?protocol={protocol}"
                await refused(server.url + end, errors.ConfigurationError, "wants a password")
                for login in (f":{CANARY}@", f"{CANARY}:{CANARY}@", f"{CANARY}:right@"):
                    url = server.url.replace("//", f"//{login}") + end
                    await refused(url, errors.ConfigurationError, "user name and password")
            await notes(server.url.replace("//", "//:right@"))

    async def test_a_wrong_password_of_sentinels_and_of_a_cluster(self, sentinels, cluster):
        for servers in (sentinels, cluster):
            url = servers.url.replace("//", f"//{CANARY}:{CANARY}@")
            await refused(url, errors.ConfigurationError, "user name and password")

    @pytest.mark.parametrize("right", [w for w in LEAST_RIGHTS.split() if w.startswith("+")])
    async def test_without_one_of_the_rights_it_refuses_or_can_do_without(self, own, right):
        """Checked when it is opened, so that no turn is lost on it."""
        rights = [word for word in LEAST_RIGHTS.split() if word != right]
        own.command("ACL", "SETUSER", "bot", "reset", *rights)
        url = own.url.replace("//", "//bot:secret@")
        dispensable = {"wait", "scan", "asking", "hello", "auth", "info", "config|get", "role",
                       "client|tracking", "cluster|slots", "cluster|shards", "getrange"}  # fmt: skip
        if right[1:] not in dispensable:
            await refused(url, errors.ConfigurationError, "user", right)
            return
        async with make(url) as store:
            await contact_of(store, Actor())

    async def test_who_may_not_read_a_part_of_the_control_reads_all_of_it(self, own):
        """As those may not who were given the rights of an earlier page."""
        rights = [word for word in LEAST_RIGHTS.split() if word != "+getrange"]
        own.command("ACL", "SETUSER", "bot", "reset", *rights)
        async with make(own.url.replace("//", "//bot:secret@")) as store:
            actor, (scope, name) = Actor(), CONTROL
            newer = (9).to_bytes(8, "big") + b"\x01"
            await store.records(actor.write_record(name, newer, scope=scope, revision=0))
            assert (await store.open(actor.claim())).control == newer
            assert (await store.open(actor.claim("two", message_id="M2", control=9))).control == b""

    async def test_a_level_that_waits_needs_the_right_to_wait(self, sentinels):
        rights = [word for word in LEAST_RIGHTS.split() if word != "+wait"]
        for server in sentinels.servers:
            server.command("ACL", "SETUSER", "hasty", *rights)
        url = sentinels.url.replace("//", "//hasty:secret@")
        await refused(url, errors.ConfigurationError, "+wait", durability="replicated")

    async def test_keys_of_another_prefix(self, own):
        own.command("ACL", "SETUSER", "bot", "reset", *LEAST_RIGHTS.split())
        url = own.url.replace("//", "//bot:secret@")
        await refused(url, errors.ConfigurationError, "~another:*", prefix="another")

    async def test_what_may_not_be_asked_is_unknown(self, own):
        rights = [w for w in LEAST_RIGHTS.split() if w not in {"+info", "+config|get"}]
        own.command("ACL", "SETUSER", "bot", "reset", *rights)
        url = own.url.replace("//", "//bot:secret@")
        said = await notes(url)
        assert "unknown: its version" in said
        assert "unknown: maxmemory-policy" in said
        said = await notes(url, durability="local")
        assert "unknown: appendonly" in said
        assert "unknown: appendfsync" in said
        assert "near cache" not in said

    async def test_without_tracking_there_is_no_near_cache_and_it_says_so(self, own):
        assert "no near cache" in await notes(f"{own.url}?protocol=2", near_cache=True)
        assert "no near cache" not in await notes(own.url, near_cache=False)

    async def test_certificates(self, guarded, own):
        bare = guarded.tls_url.partition("?")[0]
        await refused(bare, errors.ConfigurationError, "certificate", "ssl_ca_certs")
        missing = f"{bare}?ssl_ca_certs=/{CANARY}.pem"
        await refused(missing, errors.Unavailable, "ssl_ca_certs")
        with Server(binary("redis"), tls=True) as other:
            wrong = f"{bare}?ssl_ca_certs={other.ca_file}"
            await refused(wrong, errors.ConfigurationError, "certificate")

    async def test_tls_where_none_is_spoken_and_the_other_way_round(self, guarded, own):
        plain = f"redis://127.0.0.1:{guarded.tls_port}"
        await refused(plain, errors.Unavailable, "TLS", seconds=1.5, timeout_seconds=1.0)
        tls = f"rediss://127.0.0.1:{own.port}?ssl_ca_certs={guarded.ca_file}"
        await refused(tls, errors.Unavailable, "TLS", seconds=1.5, timeout_seconds=1.0)
        async with listener(lambda _: b"HTTP/1.1 400 Bad Request\r\n\r\n") as place:
            tls = f"rediss://{place}?ssl_ca_certs={guarded.ca_file}"
            await refused(tls, errors.ConfigurationError, "TLS")


class TestMemory:
    async def test_a_server_that_evicts_is_refused_or_taken_knowingly(self, own):
        for policy in ("allkeys-lru", "volatile-ttl"):
            own.command("CONFIG", "SET", "maxmemory", "100mb", "maxmemory-policy", policy)
            await refused(
                own.url, errors.ConfigurationError, policy, "`maxmemory-policy noeviction`"
            )
            assert f"evicts keys ({policy})" in await notes(own.url, evicting=True)
            assert f"evicts keys ({policy})" in await notes(f"{own.url}?evicting=1")
            own.command("CONFIG", "SET", "maxmemory", 0)
            assert "would evict keys" in await notes(own.url)

    async def test_a_new_store_finds_no_room(self, own):
        own.command("CONFIG", "SET", "maxmemory", 1)
        await refused(own.url, errors.StoreFull, "`maxmemory`")

    async def test_without_memory_every_write_is_refused_whole_and_reads_go_on(self, own):
        async with make(own.url) as store:
            await self.every_write_is_refused_whole(own, store)

    @pytest.mark.parametrize(
        ("right", "wrong"),
        [
            (b"local before, entries = h.seq, {}",
             b"local before, entries = h.seq, {}\nredis.call('HDEL', KEYS[2], 'l')"),
            (b"local refused = may_list(nonce, key, member)", b"local refused = nil"),
        ],
        ids=["another write before it", "what is listed is taken off at once"],
    )  # fmt: skip
    async def test_a_script_whose_first_write_is_never_refused_is_caught(
        self, own, monkeypatch, right, wrong
    ):
        """The broken variant: a server lets a script go on that has written, however full it is."""
        broken = changed(COMMIT, right, wrong)
        monkeypatch.setattr("ctxbridge.stores.redis.committing.COMMIT", broken)
        async with make(own.url) as store:
            with pytest.raises(AssertionError, match="StoreFull was not raised"):
                await self.every_write_is_refused_whole(own, store)

    async def every_write_is_refused_whole(self, server, store):
        actor, writes = await writes_of_every_kind(store)
        before = everything(server, store)
        server.command("CONFIG", "SET", "maxmemory", 1)
        for name, write in writes.items():
            error = await raises(errors.StoreFull, write())
            assert error.retry_safe
            assert CANARY not in str(error)
            assert everything(server, store) == before, f"half applied: {name}"
        assert texts(await store.read(actor.query()))[0] == CANARY
        assert (await store.records(actor.read_record("there"))).value == b"1"
        assert (await store.open(actor.claim(CANARY))).status == "duplicate"
        server.command("CONFIG", "SET", "maxmemory", 0)
        for name, write in writes.items():
            await write()
            assert everything(server, store) != before, name
            before = everything(server, store)


OTHER = replace(CHAT, value="visitor-8")


def changed(script, old, new):
    """The script with a piece of its text exchanged."""
    assert old in script.text
    return Script(script.text.replace(old, new))


async def writes_of_every_kind(store):
    """Calls that each change something: by name, none of them made yet."""
    actor = Actor()
    contact = await contact_of(store, actor, CANARY)
    opened = await store.open(actor.claim("second", message_id="SM2"))
    accepted = replace(actor.claim("second").message, turn=opened.turn, disposition="accepted")
    waits = replace(MAIL, value="waits@example.org")
    waiting = await store.open(actor.claim("waits", message_id="waits", address=waits))
    left = await store.open(actor.claim("left", message_id="left", address=MAIL))
    await store.commit(actor.change(left, finished=False))
    await store.records(actor.write_record("there", b"1"))
    await store.records(actor.write_record("gone", b"1"))
    out = [actor.delivery(token=b"worker-1" if n else b"") for n in range(5)]
    # What is committed beside a turn is settled while memory is short, and one is dead by then.
    note = actor.note(contact, actor.message("out", author="agent"), deliveries=tuple(out))
    await store.commit(note)
    due, sent, failed, retried, dead = out
    await store.deliver(actor.settle("failed", contact=contact, delivery=dead.id))
    running = await store.open(actor.claim("runs", message_id="runs", address=CHAT))
    expiring = await store.open(actor.claim("old", message_id="old", address=OTHER))
    await store.commit(actor.change(expiring, "ok", address=OTHER))
    where = store._ground.keys.of_address(actor.tenant, PHONE).hash
    new = replace(PHONE, channel="chat")
    return actor, {
        "commit with deliveries": lambda: store.commit(
            actor.note(contact, actor.message("x"), deliveries=(actor.delivery(),))
        ),
        "claim": lambda: store.deliver(actor.take(where, due.id)),
        "sent": lambda: store.deliver(
            actor.settle("sent", contact=contact, delivery=sent.id, provider_id="P1")
        ),
        "failed": lambda: store.deliver(
            actor.settle("failed", contact=contact, delivery=failed.id)
        ),
        "tried again": lambda: store.deliver(
            actor.settle("pending", contact=contact, delivery=retried.id, retry_seconds=9.0)
        ),
        "sent again by hand": lambda: store.deliver(
            actor.settle("pending", contact=contact, delivery=dead.id)
        ),
        "word that is kept": lambda: store.deliver(
            actor.settle("sent", contact=contact, provider_id="P2")
        ),
        "renewal": lambda: store.commit(
            actor.change(running, address=CHAT, finished=False, lease_seconds=90.0)
        ),
        "open that supersedes": lambda: store.open(
            actor.claim("x", message_id="over", address=CHAT, overlap="supersede")
        ),
        "note of a message": lambda: store.open(
            actor.claim("x", message_id="edit", address=CHAT, lease_seconds=0.0)
        ),
        "open that takes off what was answered": lambda: store.open(
            actor.claim("old", message_id="old", address=OTHER)
        ),
        "open of somebody new": lambda: store.open(actor.claim(message_id="SM3", address=new)),
        "open where another turn runs": lambda: store.open(actor.claim(message_id="SM4")),
        "open of a message that was left": lambda: store.open(
            actor.claim("left", message_id="left", address=MAIL)
        ),
        "note": lambda: store.commit(actor.note(contact, actor.message(CANARY))),
        "state alone": lambda: store.commit(actor.note(contact, state=b"s")),
        "turn that gives its lease back": lambda: store.commit(
            actor.change(waiting, address=waits, finished=False)
        ),
        "link": lambda: store.identify(actor.link(PHONE, replace(MAIL, value="b@example.org"))),
        "link that founds": lambda: store.identify(
            actor.link(replace(MAIL, value="c@example.org"), replace(MAIL, value="d@example.org"))
        ),
        "new record": lambda: store.records(actor.write_record("new", b"1")),
        "record again": lambda: store.records(actor.write_record("there", b"2")),
        "record with a lifetime": lambda: store.records(
            actor.write_record("brief", b"1", lifetime_seconds=9.0)
        ),
        "record deleted": lambda: store.records(actor.write_record("gone", None)),
        "turn that amends": lambda: store.commit(
            actor.change(opened, "ok", accept=accepted, state=b"t")
        ),
        "open that takes consent back": lambda: store.open(
            actor.claim("STOP", message_id="SM5", stop=True)
        ),
    }  # fmt: skip


def everything(server, store):
    """All that is stored under the store's prefix, byte by byte, but for the barriers."""
    found = {}
    for key in server.command("KEYS", f"{store.settings.prefix}:*"):
        if not key.endswith(b":b"):
            found[key] = server.command("DUMP", key)
    return found


_62 = "ERR Error running script (call to f_f7d0): @user_script:101: @user_script: 101: "
_70 = " script: f7d0, on @user_script:101."
WORDS = {
    "OOM command not allowed when used memory > 'maxmemory'." + _70: errors.StoreFull,
    _62 + "-OOM command not allowed when used memory > 'maxmemory'.": errors.StoreFull,
    _62 + "-READONLY You can't write against a read only replica.": errors.StoreReadOnly,
    _62 + "The user executing the script can't run this command or subcommand": (
        errors.ConfigurationError
    ),
    "ERR The user executing the script can't run this command or subcommand" + _70: (
        errors.ConfigurationError
    ),
    "ERR ACL failure in script: User bot has no permissions to run the 'hset' command" + _70: (
        errors.ConfigurationError
    ),
    "ERR unknown command 'EVALSHA', with args beginning with: 'x' ": errors.ConfigurationError,
    "ERR user_script:88: bad argument #2 to 'unpack' (data string too short)" + _70: (
        errors.CorruptRecord
    ),
    "ERR whatever else": errors.Unavailable,
    f"{CANARY} is no code": errors.Unavailable,
}


@pytest.mark.parametrize(("text", "kind"), WORDS.items())
def test_what_releases_say_in_their_own_words_becomes_the_same_error(text, kind):
    """The texts are those of Redis 6.2.14 and 7.0.15 and of Valkey 9.1.2."""
    error = faults.typed(ServerError(text))
    assert type(error) is kind
    assert CANARY not in str(error)
    assert "user_script" not in str(error)
