"""Addresses and clients: what is read of them, and what is refused."""

import pytest
from redis.asyncio import BlockingConnectionPool, ConnectionPool, Redis, Sentinel
from redis.asyncio.cluster import RedisCluster
from redis.asyncio.connection import Connection, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff

from ctxbridge import Address, Assurance, Bridge, Endpoint, Inbound, Text, open_store
from ctxbridge.errors import ConfigurationError
from ctxbridge.stores.redis import RedisStore
from ctxbridge.stores.redis.settings import of_client, of_url

from .conftest import new_prefix


def read(url, **options):
    return of_url(url, options)


class TestAddresses:
    def test_what_an_address_says(self):
        settings = read("redis://bot:pa%20ss@example.org:6380/3?prefix=x&near_cache=no")
        assert settings.kind == "alone"
        assert settings.connection == {
            "host": "example.org", "port": 6380, "db": 3, "username": "bot", "password": "pa ss",
        }  # fmt: skip
        assert (settings.prefix, settings.near_cache) == ("x", False)
        assert settings.connection_class is Connection

    def test_tls_and_unix_sockets(self):
        tls = read("rediss://example.org/0?ssl_ca_certs=/etc/ca.pem")
        assert tls.connection_class is SSLConnection
        assert tls.connection["ssl_ca_certs"] == "/etc/ca.pem"
        unix = read("unix:///run/redis.sock?durability=local")
        assert unix.connection_class is UnixDomainSocketConnection
        assert (unix.connection, unix.durability) == ({"path": "/run/redis.sock"}, "local")

    def test_sentinels(self):
        settings = read("redis+sentinel://u:p@a:1,b:2,c/main/2?sentinel_password=s&replicas=2")
        assert (settings.kind, settings.service) == ("sentinel", "main")
        assert settings.nodes == (("a", 1), ("b", 2), ("c", 26379))
        assert settings.sentinel == {"password": "s"}
        assert settings.connection["db"] == 2
        assert (settings.connection["username"], settings.connection["password"]) == ("u", "p")

    def test_sentinels_speak_tls_where_the_servers_do_unless_told_otherwise(self):
        url = "rediss+sentinel://a:1/main?ssl_ca_certs=/ca"
        assert read(url).sentinel == {"ssl": True, "ssl_ca_certs": "/ca"}
        assert read(f"{url}&sentinel_ssl=no").sentinel == {"ssl": False}
        assert read("redis+sentinel://a:1/main").sentinel == {}

    def test_a_cluster(self):
        settings = read("rediss+cluster://p:q@a:1,[::1]:2,c?durability=replicated%2Blocal")
        assert settings.nodes == (("a", 1), ("::1", 2), ("c", 6379))
        assert settings.durability == "replicated+local"
        assert settings.connection_class is SSLConnection

    def test_a_plus_that_was_not_escaped_is_understood(self):
        assert read("redis://h?durability=replicated+local").durability == "replicated+local"

    def test_named_options_win(self):
        assert read("redis://h?prefix=a", prefix="b").prefix == "b"

    @pytest.mark.parametrize(
        ("url", "says"),
        [
            ("redis+sentinel://a:1", "NAME"),
            ("redis+cluster://a:x", "port"),
            ("redis://h?durability=best", "durability is one of"),
            ("redis://h?shards=0", "shards"),
            ("redis://h?shards=many", "'shards' of the store has a wrong value"),
            ("redis://h?near_cache=perhaps", "near_cache"),
            ("redis://h?prefix={x}", "prefix"),
            ("redis://h?prefix=", "prefix"),
            ("redis://h?timeout_seconds=0", "timeout_seconds"),
            ("redis://h?timeout_seconds=nan", "timeout_seconds"),
            ("redis://h?clock=mine", "clock"),
            ("redis://h?replicas=99", "replicas"),
            ("redis://h?socket_timeout=soon", "cannot be read"),
            ("redis://h/bot", "is no number of a database"),
            ("rediss://h/1O", "is no number of a database"),
            ("redis://h/1/2", "is no number of a database"),
            ("redis+sentinel://h/mymaster/bot", "is no number of a database"),
        ],
    )
    def test_what_makes_no_sense_is_refused(self, url, says):
        with pytest.raises(ConfigurationError, match=says):
            read(url)

    def test_an_unknown_option_is_refused_before_anything_is_sent(self):
        with pytest.raises(ConfigurationError, match="'colour'"):
            read("redis://h", colour="red")

    def test_an_option_that_redis_py_does_not_know_is_refused_too(self):
        with pytest.raises(ConfigurationError, match="colour"):
            RedisStore("redis://h?colour=red")

    def test_no_error_repeats_a_password(self):
        urls = ("redis+sentinel://u:hush@a:1", "redis://u:hush@h?shards=0", "redos://u:hush@h",
                "redis://u:hush/x@h", "redis://u:p@h:hush", "redis+cluster://u:hush/x@h")  # fmt: skip
        for url in urls:
            with pytest.raises(ConfigurationError) as caught:
                open_store(url)
            assert "hush" not in str(caught.value)

    def test_nor_does_what_is_printed_of_a_store(self):
        store = RedisStore("redis://u:hush@h")
        assert "hush" not in f"{store!r} {store.settings!r} {store.settings}"

    def test_what_is_no_address_is_refused(self):
        for url in ("redis://[::1", "redis+cluster://[::1"):
            with pytest.raises(ConfigurationError):
                open_store(url)

    def test_nodes_of_a_cluster_may_be_named_by_number(self):
        assert read("redis+cluster://[::1]:7,[::2]").nodes == (("::1", 7), ("::2", 6379))

    @pytest.mark.parametrize(("name", "value"), [("shards", "4"), ("prefix", b"x"), ("replicas", 1.5),
                                                 ("near_cache", "no"), ("timeout_seconds", "1")])  # fmt: skip
    def test_a_named_option_of_a_wrong_type_is_refused(self, name, value):
        with pytest.raises(ConfigurationError, match=name):
            read("redis://h", **{name: value})


class TestClients:
    def test_a_client_lends_its_settings(self):
        client = Redis(host="h", port=7, db=2, username="u", password="p", client_name="bot",
                       retry=Retry(ExponentialBackoff(), 10), decode_responses=True)  # fmt: skip
        settings = of_client(client, {})
        held = settings.connection
        assert (held["host"], held["port"], held["db"]) == ("h", 7, 2)
        assert (held["username"], held["password"], held["client_name"]) == ("u", "p", "bot")
        assert not {"retry", "decode_responses"} & set(held)
        assert settings.connection_class is Connection

    def test_pools_tls_and_sockets(self):
        tls = Redis(host="h", ssl=True, ssl_ca_certs="/ca")
        assert of_client(tls, {}).connection_class is SSLConnection
        assert of_client(tls, {}).connection["ssl_ca_certs"] == "/ca"
        unix = of_client(Redis.from_url("unix:///s"), {})
        assert unix.connection_class is UnixDomainSocketConnection
        for pool in (ConnectionPool, BlockingConnectionPool):
            settings = of_client(Redis(connection_pool=pool.from_url("redis://h:9/1")), {})
            assert (settings.connection["host"], settings.connection["db"]) == ("h", 1)

    def test_resp2_means_no_near_cache(self):
        assert of_client(Redis(protocol=3), {}).tracks
        assert not of_client(Redis(protocol=2), {}).tracks

    def test_a_client_of_sentinels(self):
        sentinel = Sentinel([("a", 1), ("b", 2)], sentinel_kwargs={"password": "s"})
        settings = of_client(sentinel.master_for("main", db=3, password="p"), {"prefix": "x"})
        assert (settings.kind, settings.service) == ("sentinel", "main")
        assert settings.nodes == (("a", 1), ("b", 2))
        assert (settings.sentinel["password"], settings.connection["password"]) == ("s", "p")
        assert (settings.connection["db"], settings.prefix) == (3, "x")

    def test_a_client_of_a_cluster(self):
        client = RedisCluster(host="a", port=7, password="p", ssl=True)
        settings = of_client(client, {})
        assert (settings.kind, settings.nodes) == ("cluster", (("a", 7),))
        assert settings.connection["password"] == "p"
        assert settings.connection_class is SSLConnection

    @pytest.mark.parametrize("thing", [object(), 7, None, __import__("redis").Redis()])
    def test_what_is_no_client_of_redis_asyncio_is_refused(self, thing):
        with pytest.raises(ConfigurationError, match=r"redis\.asyncio"):
            of_client(thing, {})


@pytest.fixture
async def clients(server, sentinels, cluster):
    hosts = [("127.0.0.1", s.port) for s in sentinels.sentinels]
    sentinel = Sentinel(hosts)
    made = {
        "alone": Redis.from_url(server.url),
        "resp2": Redis.from_url(server.url, protocol=2),
        "sentinel": sentinel.master_for("main"),
        "cluster": RedisCluster(host="127.0.0.1", port=cluster.servers[0].port),
    }
    yield made
    for client in made.values():
        await client.aclose()
    await sentinel.aclose()


@pytest.mark.parametrize("kind", ["alone", "resp2", "sentinel", "cluster"])
async def test_a_client_that_the_team_has_can_be_handed_in(clients, kind):
    """It keeps working for whoever had it; the store has connections of its own."""
    client, prefix = clients[kind], new_prefix()
    await client.set(f"{prefix}:mine", "1")
    async with open_store(client, prefix=prefix) as store, Bridge(store, tenant="acme") as bridge:
        inbound = Inbound(
            "sms", Endpoint("sms", "+1"), Address("sms", "+2"), "M1", (Text("hi"),),
            Assurance.CHANNEL,
        )  # fmt: skip
        async with bridge.turn(inbound) as turn:
            turn.reply("hello")
        assert [m.text for m in (await bridge.context("sms:+2")).messages] == ["hi", "hello"]
    assert await client.get(f"{prefix}:mine") == b"1"
    await client.delete(f"{prefix}:mine")


async def test_a_bridge_takes_a_client_as_its_one_argument_and_closes_only_its_own_store(clients):
    async with Bridge(clients["alone"], tenant=new_prefix()) as bridge:
        assert (await bridge.context("sms:+3")).contact is None
    assert await clients["alone"].ping()
    assert "closed" in repr(bridge.store)
