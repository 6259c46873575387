"""What a request may cost, and how much is done at once; the life of the app, and its health."""

import json
import sqlite3
import time
from contextlib import closing

import anyio
import pytest

from ctxbridge import Bridge, errors
from ctxbridge.asgi import Limits, receiving, webhooks
from ctxbridge.channels import Email, Twilio
from ctxbridge.model import Parsed
from ctxbridge.stores.sqlite import schema
from tests.patience import best_of

from .conftest import ORIGIN, TOKEN, Agent, call, encoded, form, said, scope_of, settled, sms, until

SLOW = [lambda: anyio.sleep(60.0), b"late"]


def post(*headers, path="/twilio", **more):
    return scope_of("POST", path, headers, **more)


class TestBody:
    async def test_one_that_says_it_is_too_long_is_refused_unread(self, hooks):
        async def never():
            pytest.fail("the body was asked for")

        scope = post(("Content-Length", str(5 * 1024 * 1024)))
        answer = await call(hooks(Agent()), scope, [never, b""])
        assert (answer.status, answer.headers["connection"]) == (413, "close")

    async def test_one_that_is_too_long_is_read_no_further(self, hooks):
        async def never():
            pytest.fail("more was asked for")

        app = hooks(Agent(), limits=Limits(body_bytes=1000))
        for said_to_be in ([], [("Content-Length", "10")], [("Content-Length", "-1")]):
            answer = await call(app, post(*said_to_be), [b"a" * 600, b"a" * 600, never, b""])
            assert answer.status == 413

    async def test_a_mail_may_be_longer(self, hooks):
        app = hooks(Agent(), [Email()], limits=Limits(body_bytes=10, mail_bytes=1000))
        assert (await call(app, post(path="/email"), [b"a" * 900])).status == 200
        assert (await call(app, post(path="/email"), [b"a" * 1001])).status == 413

    @pytest.mark.parametrize(
        "pieces", [SLOW, [b"From=1", *SLOW], [b"a", lambda: anyio.sleep(0.04)] * 9]
    )
    async def test_one_that_does_not_come_in_time_is_not_waited_for(self, hooks, pieces):
        app = hooks(Agent(), limits=Limits(body_seconds=0.1))
        answer = await call(app, post(), pieces)
        assert (answer.status, answer.headers["connection"]) == (408, "close")

    async def test_http_2_has_no_header_that_closes(self, hooks):
        scope = post(("Content-Length", str(10**9)), http_version="2")
        assert "connection" not in (await call(hooks(Agent()), scope)).headers

    @pytest.mark.parametrize("pieces", [[None], [b"MessageSid=", None]])
    async def test_whoever_hangs_up_gets_nothing_and_stores_nothing(self, hooks, bridge, pieces):
        assert await call(hooks(Agent()), post(), pieces) is None
        assert len(bridge.acceptances) == 0

    async def test_all_bodies_together_are_bounded_and_let_go_again(self, hooks, bridge):
        app = hooks(Agent(), limits=Limits(buffered_bytes=1000))
        held = Held()
        async with anyio.create_task_group() as group:
            group.start_soon(call, app, post(), [b"a" * 800, held.wait, None])
            await until(lambda: held.count == 1)
            answer = await call(app, post(), [b"a" * 300])
            assert (answer.status, answer.headers["retry-after"]) == (503, "5")
            held.let_go.set()
        assert (await sms(app, "SM1", "Hello")).status == 200
        await settled(bridge)

    async def longest_wait(self, app):
        """How long anything else waited while a large body was read."""
        longest = 0.0

        async def watch():
            nonlocal longest
            while True:
                before = anyio.current_time()
                await anyio.sleep(0.001)
                longest = max(longest, anyio.current_time() - before)

        async with anyio.create_task_group() as group:
            group.start_soon(watch)
            await anyio.sleep(0.05)
            assert (await call(app, post(path="/email"), [b"a" * 100_000])).status == 200
            await anyio.sleep(0.01)
            group.cancel_scope.cancel()
        return longest

    async def test_a_large_one_is_read_beside_the_loop(self, hooks, monkeypatch):
        app = hooks(Agent(), [Laborious()])
        beside = await best_of(lambda: self.longest_wait(app), lambda found: found < 0.25)
        monkeypatch.setattr(receiving, "LARGE_BYTES", 10**9)  # the negative control
        inline = await self.longest_wait(app)
        assert beside < 0.25
        assert inline > 0.5


class Held:
    """Holds up who sends a body, and counts them."""

    def __init__(self):
        self.count, self.let_go = 0, anyio.Event()

    async def wait(self):
        self.count += 1
        await self.let_go.wait()


class Laborious(Email):
    """Broken on purpose: what it reads keeps the interpreter busy for half a second."""

    def parse(self, request, verification):
        ends = time.monotonic() + 0.5
        while time.monotonic() < ends:
            pass
        return Parsed()


class TestAddressAndHeaders:
    @pytest.mark.parametrize(
        ("scope", "status"),
        [
            (post(("X-Long", "a" * 40_000)), 431),
            (post(*[(f"X-{n}", "1") for n in range(201)]), 431),
            (post(query=b"a" * 70_000), 414),
        ],
    )
    async def test_what_is_too_long_is_refused(self, hooks, scope, status):
        assert (await call(hooks(Agent()), scope)).status == status


class TestAtOnce:
    async def test_requests_are_bounded(self, hooks, bridge):
        app, held = hooks(Agent(), limits=Limits(requests=2)), Held()
        async with anyio.create_task_group() as group:
            for _ in range(2):
                group.start_soon(call, app, post(), [held.wait, None])
            await until(lambda: held.count == 2)
            answer = await sms(app, "SM1", "Hello")
            assert (answer.status, answer.headers["retry-after"]) == (503, "1")
            assert (await call(app, scope_of("GET", "/health"))).status == 200
            held.let_go.set()
        assert (await sms(app, "SM1", "Hello")).status == 200
        await settled(bridge)

    async def test_agents_are_bounded_and_nothing_is_lost(self, hooks, bridge):
        agent = Agent(waits=True)
        app = hooks(agent, limits=Limits(agents=3))
        for n in range(10):
            answer = await sms(app, f"SM{n}", "Hello", sender=f"+1555010{n:04}")
            assert answer.status == 200
        await until(lambda: agent.asked == 3)
        await anyio.sleep(0.05)  # and no more
        assert (agent.asked, len(bridge.acceptances)) == (3, 10)
        agent.let_go.set()
        await settled(bridge)
        assert (agent.asked, agent.most) == (10, 3)

    async def test_turns_that_have_not_ended_are_bounded(self, hooks, bridge):
        agent = Agent(waits=True)
        app = hooks(agent, limits=Limits(turns=3))
        answers = [await sms(app, f"SM{n}", "Hello", sender=f"+1555010{n:04}") for n in range(4)]
        assert [answer.status for answer in answers] == [200, 200, 200, 503]
        assert await said(bridge, "sms:+15550100003") == []
        agent.let_go.set()
        await settled(bridge)
        assert (await sms(app, "SM3", "Hello", sender="+15550100003")).status == 200
        await settled(bridge)

    async def test_a_flood_of_one_customer_is_bounded_by_the_backlog(self):
        agent = Agent(waits=True)
        async with Bridge("memory://", tenant="acme", backlog=5, drain_seconds=0) as bridge:
            app = webhooks(bridge, [Twilio(TOKEN)], agent, origin=ORIGIN)
            statuses = [(await sms(app, f"SM{n}", "Hello")).status for n in range(8)]
            assert statuses == [200] * 5 + [503] * 3


async def health(app, method="GET"):
    answer = await call(app, scope_of(method, "/health"))
    return answer.status, json.loads(answer.body or b"{}")


class TestHealth:
    async def test_it_tells_the_store_and_what_has_not_ended(self, hooks, bridge):
        agent = Agent(waits=True)
        app = hooks(agent)
        await sms(app, "SM1", "Hello")
        assert await health(app) == (200, {
            "status": "ok", "turns": 1, "store": "memory", "durable": False, "due": 0, "error": "",
        })  # fmt: skip
        assert await health(app, "HEAD") == (200, {})
        assert (await call(app, scope_of("POST", "/health"))).status == 405

    async def test_what_nobody_takes_up_is_counted(self, hooks, bridge):
        app = hooks()
        await sms(app, "SM1", "Hello")
        await anyio.sleep(1.05)
        assert (await health(app))[1]["due"] == 1

    async def test_a_store_that_cannot_be_reached(self, hooks, bridge):
        async def check():
            raise errors.Unavailable("no route to my secret host")

        bridge.store.check = check
        status, told = await health(hooks(Agent()))
        assert (status, told["status"], told["error"]) == (503, "failing", "Unavailable")
        assert "secret" not in str(told)

    async def test_a_file_that_another_process_holds_is_failing_until_it_is_free(
        self, tmp_path, monkeypatch
    ):
        monkeypatch.setattr(schema, "_BUSY_SECONDS", 0.3)
        path = tmp_path / "bot.db"
        async with Bridge(f"sqlite:///{path}", tenant="acme", drain_seconds=0) as bridge:
            app = webhooks(bridge, [Twilio(TOKEN)], Agent(), origin=ORIGIN)
            assert (await health(app))[0] == 200
            other = sqlite3.connect(path, isolation_level=None)
            other.execute("BEGIN IMMEDIATE")
            await anyio.sleep(1.05)
            status, told = await health(app)
            assert (status, told["status"], told["error"]) == (503, "failing", "Unavailable")
            assert (await sms(app, "SM1", "Hello")).status == 503
            other.close()
            await anyio.sleep(1.05)
            assert (await health(app))[0] == 200

    async def test_asking_leaves_nothing_in_the_store(self, tmp_path):
        path = tmp_path / "bot.db"
        async with Bridge(f"sqlite:///{path}", tenant="acme", drain_seconds=0) as bridge:
            app = webhooks(bridge, [Twilio(TOKEN)], Agent(), origin=ORIGIN)
            with closing(sqlite3.connect(path)) as other:
                versions = [other.execute("PRAGMA data_version").fetchone()]
                assert (await health(app))[0] == 200
                versions.append(other.execute("PRAGMA data_version").fetchone())
                await sms(app, "SM1", "Hello")
                versions.append(other.execute("PRAGMA data_version").fetchone())
        assert versions[0] == versions[1] != versions[2]  # the last: a write would be seen

    async def test_it_asks_the_store_once_a_second(self, hooks, bridge):
        asked, check = 0, bridge.store.check

        async def counted():
            nonlocal asked
            asked += 1
            return await check()

        bridge.store.check = counted
        app, began = hooks(Agent()), time.monotonic()
        for _ in range(50):
            await health(app)
        assert asked <= 1 + (time.monotonic() - began)


class TestLife:
    async def test_alone_it_lives_by_the_lifespan_protocol(self):
        bridge, sent = Bridge("memory://", tenant="acme", drain_seconds=0), []
        app = webhooks(bridge, [Twilio(TOKEN)], Agent(), origin=ORIGIN)
        told, tell = anyio.create_memory_object_stream(9)

        async def send(message):
            sent.append(message["type"])

        assert (await sms(app, "SM0", "Hello")).status == 503
        assert (await health(app))[1]["status"] == "closed"
        async with anyio.create_task_group() as group:
            group.start_soon(app, {"type": "lifespan"}, tell.receive, send)
            await told.send({"type": "lifespan.startup"})
            await until(lambda: bridge.runs)
            assert (await sms(app, "SM1", "Hello")).status == 200
            await settled(bridge)
            await told.send({"type": "lifespan.shutdown"})
        assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
        assert not bridge.runs
        assert (await sms(app, "SM2", "Hello")).status == 503
        told.close(), tell.close()

    async def test_a_store_that_cannot_be_opened_is_told_to_the_server(self, tmp_path):
        bridge = Bridge(f"sqlite:///{tmp_path}/missing/folder.db?mode=ro", tenant="acme")
        app, sent = webhooks(bridge, [Twilio(TOKEN)], Agent()), []

        async def receive():
            return {"type": "lifespan.startup"}

        async def send(message):
            sent.append(message)

        await app({"type": "lifespan"}, receive, send)
        assert [m["type"] for m in sent] == ["lifespan.startup.failed"]
        assert sent[0]["message"]

    async def test_mounted_and_forgotten_it_says_what_is_missing(self, caplog):
        app = webhooks(Bridge("memory://", tenant="acme"), [Twilio(TOKEN)], Agent())
        assert (await sms(app, "SM1", "Hello")).status == 503
        assert "lifespan=hooks.lifespan" in caplog.text

    async def test_a_bridge_that_is_open_stays_open(self, hooks, bridge):
        app = hooks(Agent())
        async with app.lifespan():
            pass
        assert bridge.acceptances.is_open

    async def test_it_drains_then_gives_back_and_is_not_found_again(self):
        store = (first := Bridge("memory://", tenant="acme", drain_seconds=2.0)).store
        agent, healths = Agent(waits=True), []
        app = webhooks(first, [Twilio(TOKEN)], agent, origin=ORIGIN)

        async def ask():
            await until(lambda: first.acceptances.is_closing)
            healths.append(await health(app))
            healths.append((await sms(app, "SM2", "Hello")).status)

        async with anyio.create_task_group() as group, app.lifespan():
            assert (await sms(app, "SM1", "Hello")).status == 200
            group.start_soon(ask)
        assert (healths[0][1]["status"], healths[1]) == ("draining", 503)
        await anyio.sleep(1.05)  # not the 60 s of its lease
        async with Bridge(store, tenant="acme") as second:
            assert await second.recover(Agent()) == 1
            assert [who for who, _ in await said(second)] == ["contact", "agent"]

    async def test_garbage_is_answered_and_stores_nothing(self, hooks, bridge):
        app = hooks(Agent())
        for body in (b"", b"\x00", b"\xff" * 999, b"{}", b"&" * 5000, encoded(form("SM1", "x"))):
            assert (await call(app, post(), [body])).status == 403
            assert (await call(app, post(path="/webchat"), [body])).status in {400, 401}
        assert len(bridge.acceptances) == 0
