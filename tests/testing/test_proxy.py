"""The proxy: each fault does what it says to the client, and to the server."""

import asyncio
import gc
import time
from contextlib import asynccontextmanager, suppress
from importlib.util import find_spec

import pytest
from tests.patience import LIMIT_SECONDS, best_of, until

from ctxbridge.testing.proxy import Proxy

LOOPS = {"asyncio": {}, "uvloop": {"use_uvloop": True}}


@pytest.fixture(params=[name for name in LOOPS if name == "asyncio" or find_spec(name)])
def anyio_backend(request):
    return "asyncio", LOOPS[request.param]


class Server:
    """Answers each line with "ok <line>", and remembers what it executed. "slow" takes a while."""

    def __init__(self):
        self.executed = []
        self.ended = asyncio.Event()

    async def serve(self, reader, writer):
        try:
            while line := await reader.readline():
                if not line.endswith(b"\n"):
                    break
                if line.startswith(b"slow"):
                    await asyncio.sleep(0.05)
                self.executed.append(line.strip().decode())
                writer.write(b"ok " + line)
        except ConnectionError:
            pass
        finally:
            self.ended.set()
            writer.close()

    @asynccontextmanager
    async def at(self, start, *where):
        async with await start(self.serve, *where, limit=1 << 25) as listening:
            yield listening


class Client:
    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer

    def send(self, line):
        self.writer.write(line.encode() + b"\n")

    async def answer(self, seconds=LIMIT_SECONDS):
        async with asyncio.timeout(seconds):
            return (await self.reader.readline()).strip().decode()

    async def ask(self, line, seconds=LIMIT_SECONDS):
        self.send(line)
        return await self.answer(seconds)


@pytest.fixture
async def server():
    return Server()


@pytest.fixture
async def proxy(server):
    async with (
        server.at(asyncio.start_server, "127.0.0.1", 0) as listening,
        Proxy("127.0.0.1", listening.sockets[0].getsockname()[1]) as proxy,
    ):
        yield proxy


@pytest.fixture
async def connect(proxy):
    clients = []

    async def connect():
        clients.append(
            Client(*await asyncio.open_connection("127.0.0.1", proxy.port, limit=1 << 25))
        )
        return clients[-1]

    yield connect
    for client in clients:
        client.writer.close()
        with suppress(OSError):
            await client.writer.wait_closed()


async def silent(client, seconds=0.06):
    """Whether nothing comes, not even an end, for a while."""
    try:
        await client.answer(seconds)
    except TimeoutError:
        return True
    return False


class TestTransparent:
    async def test_answers_come_back(self, proxy, server, connect):
        client = await connect()
        assert [await client.ask(str(n)) for n in range(5)] == [f"ok {n}" for n in range(5)]
        assert server.executed == list("01234")
        assert (proxy.connections, proxy.open, proxy.requests, proxy.lost) == (1, 1, 5, 0)
        assert (proxy.bytes_in, proxy.bytes_out) == (10, 25)

    async def test_a_long_one_is_whole(self, connect):
        client, line = await connect(), "x" * 10_000_000
        assert await client.ask(line) == "ok " + line

    async def test_an_end_is_passed_on_after_what_was_sent(self, proxy, server, connect):
        client = await connect()
        client.send("slow goodbye")
        client.writer.write_eof()
        assert await client.answer() == "ok slow goodbye"
        assert await client.answer() == ""
        await until(lambda: proxy.open == 0)

    async def test_to_a_unix_socket(self, server, tmp_path):
        path = tmp_path / "socket"
        async with server.at(asyncio.start_unix_server, path), Proxy(path=path) as proxy:
            client = Client(*await asyncio.open_connection("127.0.0.1", proxy.port))
            assert await client.ask("a") == "ok a"
            proxy.lose(1, "reset")
            with pytest.raises(ConnectionResetError):
                await client.ask("b")
            assert server.executed == ["a", "b"]
            client.writer.close()

    async def test_without_a_server_the_client_is_reset(self):
        async with Proxy("127.0.0.1", 1) as proxy:
            with pytest.raises(ConnectionError):
                await Client(*await asyncio.open_connection("127.0.0.1", proxy.port)).ask("a")
            assert (proxy.connections, proxy.open) == (1, 0)


class TestLost:
    async def test_reset_comes_after_the_server_has_executed(self, proxy, server, connect):
        client = await connect()
        proxy.lose(1, "reset")
        with pytest.raises(ConnectionResetError):
            await client.ask("slow a")
        assert server.executed == ["slow a"]
        await until(lambda: proxy.open == 0)
        assert (proxy.lost, proxy.connections) == (1, 1)
        assert await (await connect()).ask("b") == "ok b"

    async def test_what_was_sent_behind_it_is_executed_too(self, proxy, server, connect):
        client = await connect()
        proxy.lose(1, "reset", containing=b"b")
        for line in ("slow a", "slow b", "slow c"):
            client.send(line)
            await until(lambda line=line: proxy.bytes_in >= 7 * "abc".index(line[-1]) + 7)
        with pytest.raises(ConnectionResetError):
            await client.answer()
        await server.ended.wait()
        assert server.executed == ["slow a", "slow b", "slow c"]

    async def test_only_the_requests_that_contain_it_and_only_so_many(self, proxy, server, connect):
        proxy.lose(2, "reset", containing=b"this")
        first, second, third = await connect(), await connect(), await connect()
        assert await first.ask("that") == "ok that"
        for client in (first, second):
            with pytest.raises(ConnectionResetError):
                await client.ask("this")
        assert await third.ask("this") == "ok this"
        assert server.executed == ["that", "this", "this", "this"]
        assert proxy.lost == 2

    async def test_a_black_hole_stays_open_and_swallows_both_ways(self, proxy, server, connect):
        client = await connect()
        proxy.lose(1, "blackhole")
        client.send("a")
        await until(lambda: server.executed)
        assert await silent(client)
        client.send("b")
        assert await silent(client)
        assert (server.executed, proxy.open) == (["a"], 1)
        client.writer.close()
        await asyncio.wait_for(server.ended.wait(), LIMIT_SECONDS)
        await until(lambda: proxy.open == 0)

    async def test_a_black_hole_hides_that_the_server_went_away(self, proxy, server, connect):
        client = await connect()
        proxy.lose(1, "blackhole")
        client.send("a")
        await until(lambda: proxy.bytes_out)
        proxy._server.get_loop().call_soon(next(iter(proxy._pairs))._up.transport.close)
        assert await silent(client)
        client.writer.close()
        await until(lambda: not proxy._pairs)

    async def test_late_comes_later_and_in_order(self, proxy, server, connect):
        client = await connect()
        proxy.late_seconds = 1.5
        proxy.lose(1, "late")
        started = time.monotonic()
        client.send("a")
        await until(lambda: server.executed)
        assert await silent(client)
        assert server.executed == ["a"]
        client.send("b")
        assert await silent(client)
        assert server.executed == ["a"], "what is sent meanwhile waits too"
        assert await client.answer() == "ok a"
        assert time.monotonic() - started > 1.4
        assert await client.answer() == "ok b"
        assert await client.ask("c") == "ok c"


class TestNotForwarded:
    async def test_refused_is_surely_not_applied(self, proxy, server, connect):
        client = await connect()
        assert await client.ask("a") == "ok a"
        proxy.refuse(1, containing=b"b")
        with pytest.raises(ConnectionResetError):
            await client.ask("b")
        await server.ended.wait()
        assert server.executed == ["a"]
        assert await (await connect()).ask("b") == "ok b"

    async def test_cut_reaches_the_server_by_half(self, proxy, server, connect):
        client = await connect()
        proxy.cut_requests(1)
        with pytest.raises(ConnectionResetError):
            await client.ask("first\nsecond")
        await server.ended.wait()
        assert server.executed == ["first"]
        assert proxy.bytes_in == 13


class TestOutOfOrder:
    async def test_a_left_over_comes_before_the_next_answer_of_each(self, proxy, connect):
        one, other = await connect(), await connect()
        await one.ask("a"), await other.ask("a")
        proxy.inject(b"left over\n")
        assert await silent(one)
        for client in (one, other):
            assert await client.ask("b") == "left over"
            assert await client.answer() == "ok b"
            assert await client.ask("c") == "ok c"

    async def test_two_answers_change_places(self, proxy, connect):
        client = await connect()
        proxy.swap_next()
        client.send("a")
        await until(lambda: proxy.bytes_out)
        assert await client.ask("b") == "ok b"
        assert await client.answer() == "ok a"
        assert await client.ask("c") == "ok c"


class TestWhole:
    async def test_delay_is_there_and_back_together(self, proxy, connect):
        client = await connect()
        await client.ask("a")
        proxy.delay_seconds = 0.1

        async def took():
            started = time.monotonic()
            assert await client.ask("b") == "ok b"
            return time.monotonic() - started

        assert 0.09 < await best_of(took, lambda seconds: seconds < 0.19) < 0.19

    async def test_a_shorter_delay_overtakes_nothing(self, proxy, server, connect):
        client = await connect()
        proxy.delay_seconds = 0.2
        client.send("a")
        await until(lambda: proxy.requests == 1)
        proxy.delay_seconds = 0.0
        assert await client.ask("b") == "ok a"
        assert await client.answer() == "ok b"

    async def test_reset_all(self, proxy, connect):
        clients = [await connect() for _ in range(3)]
        for client in clients:
            await client.ask("a")
        proxy.reset_all()
        for client in clients:
            with pytest.raises(ConnectionResetError):
                await client.answer()
        assert await (await connect()).ask("b") == "ok b"
        assert (proxy.connections, proxy.open) == (4, 1)

    async def test_down_lets_nobody_new_in(self, proxy, server, connect):
        old = await connect()
        await old.ask("a")
        proxy.down = True
        with pytest.raises(ConnectionError):
            await (await connect()).ask("b")
        assert await old.ask("c") == "ok c"
        proxy.heal()
        assert await (await connect()).ask("d") == "ok d"
        assert server.executed == ["a", "c", "d"]

    async def test_healed_of_what_was_planned(self, proxy, connect):
        proxy.lose(5, "reset")
        proxy.swap_next()
        proxy.heal()
        assert await (await connect()).ask("a") == "ok a"

    async def test_nothing_is_left_behind(self, server):
        before = asyncio.all_tasks()
        async with server.at(asyncio.start_server, "127.0.0.1", 0) as listening:
            async with Proxy("127.0.0.1", listening.sockets[0].getsockname()[1]) as proxy:
                idle, muted, delayed, fresh = [
                    Client(*await asyncio.open_connection("127.0.0.1", proxy.port))
                    for _ in range(4)
                ]
                await idle.ask("a")
                proxy.lose(1, "blackhole")
                muted.send("a")
                assert await silent(muted)
                proxy.delay_seconds = 60
                delayed.send("b")
                await until(lambda: proxy.requests == 3)
            for client in (idle, muted, delayed, fresh):
                with pytest.raises(ConnectionResetError):
                    await client.answer()
            assert not proxy._pairs
            assert not proxy._reaching
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection("127.0.0.1", proxy.port)
        await until(lambda: asyncio.all_tasks() == before)
        gc.collect()  # what was not closed warns now, and warnings are errors
