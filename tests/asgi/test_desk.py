"""A helpdesk over HTTP: it is told of handoffs, and asks for the steps of its people.

Both sides are real servers, and signed by the SDK of Standard Webhooks.
"""

import json
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import anyio
import httpx
import msgspec
import pytest
import uvicorn
from standardwebhooks import Webhook

from ctxbridge import Bridge, errors
from ctxbridge.asgi import desk
from ctxbridge.bridge import Helpdesk
from ctxbridge.delivery import retrying
from ctxbridge.model import Package
from tests.bridge.conftest import SENDERS, Clock, Ticket, exchange, write
from tests.bridge.test_guards import Pigeon
from tests.patience import until

from .served import free_port

SECRET = "whsec_" + "bm90IGEgcmVhbCBzZWNyZXQgYXQgYWxs"
ANN = str(SENDERS["sms"])


@pytest.fixture
def anyio_backend():
    return "asyncio"  # uvicorn runs on nothing else


@asynccontextmanager
async def served(app):
    """The address of the app on a real server."""
    config = uvicorn.Config(app, port=free_port(), lifespan="off", log_level="error")
    server = uvicorn.Server(config)
    server.capture_signals = _no_signals
    async with anyio.create_task_group() as group:
        group.start_soon(server.serve)
        with anyio.fail_after(60):
            while not server.started:  # noqa: ASYNC110 - it tells in no other way
                await anyio.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{config.port}"
        finally:
            server.should_exit = True


def _no_signals():
    from contextlib import nullcontext

    return nullcontext()


class Inbox:
    """A helpdesk that takes what the SDK lets through; it answers what it is told to."""

    def __init__(self, *answers):
        self.packages, self.ids, self._answers = [], [], list(answers)

    async def __call__(self, scope, receive, send):
        body = b""
        while True:
            event = await receive()
            body += event.get("body", b"")
            if not event.get("more_body"):
                break
        headers = {k.decode(): v.decode() for k, v in scope["headers"]}
        told = Webhook(SECRET).verify(body, headers)
        status = self._answers.pop(0) if self._answers else 204
        self.ids.append(headers["webhook-id"])
        if status == 204:
            self.packages.append(told)
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body"})


@pytest.fixture
def pigeon():
    return Pigeon()


@asynccontextmanager
async def told(pigeon, inbox):
    """A bridge whose helpdesk is the inbox."""
    async with (
        served(inbox) as url,
        Bridge(
            "memory://", tenant="acme", state=Ticket, senders=[pigeon],
            helpdesk=Helpdesk(url, SECRET),
        ) as bridge,
    ):  # fmt: skip
        yield bridge


class TestWhatAHelpdeskIsTold:
    async def test_the_package_comes_signed_and_whole(self, pigeon):
        inbox = Inbox()
        async with told(pigeon, inbox) as bridge:
            async with bridge.turn(write("a person please")) as turn:
                turn.state.order = "A-17"
                turn.reply("One moment.")
                turn.hand_over("asked for", summary="about A-17", promised=["a call"])
            await bridge.floor.sweep()
            (package,) = inbox.packages
            assert package == json.loads(msgspec.json.encode(await bridge.floor.package(ANN)))
        assert (package["type"], package["version"]) == ("handoff", 1)
        handoff = package["handoff"]
        assert (handoff["floor"], handoff["reason"], handoff["summary"], handoff["promised"]) == (
            "queue", "asked for", "about A-17", ["a call"],
        )  # fmt: skip
        assert package["addresses"] == [{"address": ANN, "assurance": "channel"}]
        assert [(m["author"], m["text"]) for m in package["messages"]] == [
            ("contact", "a person please"), ("agent", "One moment."),
        ]  # fmt: skip
        assert package["state"] == {"order": "A-17", "turns": 0}

    async def test_each_step_and_what_is_said_meanwhile_is_told(self, pigeon):
        inbox = Inbox()
        async with told(pigeon, inbox) as bridge:
            await exchange(bridge, write("hello"), "hi")
            await bridge.floor.sweep()
            assert inbox.packages == [], "an agent that answers is no handoff"
            steps = (
                bridge.floor.offer(ANN, reason="refund"),
                bridge.floor.accept(ANN, by="ann"),
                exchange(bridge, write("are you there?")),
                bridge.floor.say(ANN, "yes", by="ann"),
                bridge.floor.release(ANN, by="ann"),
            )
            for step in steps:
                await step
                await bridge.floor.sweep()
        assert [p["handoff"]["floor"] for p in inbox.packages] == [
            "queue", "human", "human", "human", "agent",
        ]  # fmt: skip
        texts = [p["messages"][-1]["text"] for p in inbox.packages]
        assert texts == ["hi", "hi", "are you there?", "yes", "yes"]
        assert len(set(inbox.ids)) == 5

    async def test_it_is_told_again_until_it_answers_and_by_the_same_id(self, pigeon, monkeypatch):
        monkeypatch.setattr(retrying, "seconds_after", lambda attempt, asked: 0.0)
        inbox = Inbox(500, 404)
        async with told(pigeon, inbox) as bridge:
            await exchange(bridge, write("hello"), "hi")
            await bridge.floor.offer(ANN, reason="refund")
            looked = [await bridge.floor.sweep() for _ in range(4)]
        assert (looked, len(inbox.packages)) == ([1, 1, 1, 0], 1)
        assert len(set(inbox.ids)) == 1

    async def test_one_that_takes_nothing_is_given_up(self, pigeon, monkeypatch, caplog):
        monkeypatch.setattr(retrying, "seconds_after", lambda attempt, asked: 0.0)
        inbox = Inbox(*[500] * 99)
        async with told(pigeon, inbox) as bridge:
            await exchange(bridge, write("hello"), "hi")
            await bridge.floor.offer(ANN, reason="refund")
            for _ in range(retrying.MOST_ATTEMPTS + 3):
                await bridge.floor.sweep()
        assert len(inbox.ids) == retrying.MOST_ATTEMPTS
        assert "takes nothing" in caplog.text

    async def test_one_that_hangs_holds_no_offer_up(self, pigeon):
        asked = []

        async def hangs(scope, receive, send):
            asked.append(scope["path"])
            await anyio.sleep(5)

        clock = Clock()
        async with served(hangs) as url:
            helpdesk = Helpdesk(url, SECRET, timeout_seconds=4.0)
            async with Bridge(
                "memory://", tenant="acme", senders=[pigeon], helpdesk=helpdesk, clock=clock
            ) as bridge:
                await exchange(bridge, write("hello"), "hi")
                await bridge.floor.offer(ANN, reason="x", within_seconds=60, otherwise="Back.")
                clock.time += 60_000
                async with anyio.create_task_group() as group:
                    group.start_soon(lambda: bridge.run(sweep_seconds=0.01))
                    await until(lambda: asked and len(pigeon.texts) > 1)
                    group.cancel_scope.cancel()
                assert (asked, pigeon.texts) == (["/"], ["hi", "Back."])
                helpdesk = Helpdesk(url, SECRET, timeout_seconds=0.5)
                assert not await helpdesk.tell(await bridge.floor.package(ANN), clock.time)

    async def test_a_process_without_a_helpdesk_leaves_the_telling_to_one_that_has(self, pigeon):
        inbox = Inbox()
        async with told(pigeon, inbox) as bridge:
            await exchange(bridge, write("hello"), "hi")
            await bridge.floor.offer(ANN, reason="refund")
            assert await Bridge(bridge.store, tenant="acme").floor.sweep() == 0
            assert await bridge.floor.sweep() == 1
        assert len(inbox.packages) == 1

    async def test_one_that_is_not_there_is_tried_again(self, pigeon):
        helpdesk = Helpdesk(f"http://127.0.0.1:{free_port()}", SECRET)
        async with Bridge(
            "memory://", tenant="acme", senders=[pigeon], helpdesk=helpdesk
        ) as bridge:
            await exchange(bridge, write("hello"), "hi")
            await bridge.floor.offer(ANN, reason="refund")
            assert await bridge.floor.sweep() == 1
            assert (await bridge.floor.show(ANN)).floor == "queue"

    async def test_a_worker_that_died_behind_its_step_is_told_of_by_another(
        self, pigeon, monkeypatch
    ):
        inbox = Inbox()
        async with told(pigeon, inbox) as bridge:
            await exchange(bridge, write("hello"), "hi")
            monkeypatch.setattr("ctxbridge.bridge.stepping.SETTLING_MILLISECONDS", 0)

            async def dies(self, where):
                raise RuntimeError

            with monkeypatch.context() as patch:
                patch.setattr("ctxbridge.bridge.floor.Handoffs._tell", dies)
                with pytest.raises(RuntimeError):
                    await bridge.floor.accept(ANN, by="ann")
            await bridge.floor.sweep()
        assert [p["handoff"]["holder"] for p in inbox.packages] == ["ann"]

    @pytest.mark.parametrize(
        ("url", "secret"),
        [("ftp://x", SECRET), ("", SECRET), ("https://x", ""), ("https://x", "?")],
    )
    def test_what_is_no_helpdesk_is_refused(self, url, secret):
        with pytest.raises(errors.ConfigurationError):
            Helpdesk(url, secret)


class Caller:
    """A helpdesk that asks, signed by the SDK."""

    def __init__(self, client, url):
        self._client, self._url, self._count = client, url, 0

    async def __call__(self, do, id="", secret=SECRET, at=None, body=None, **more):
        self._count += 1
        body = json.dumps({"do": do, "address": ANN, **more}) if body is None else body
        id, at = id or f"msg_{self._count}", at or datetime.now(UTC)
        headers = {
            "webhook-id": id, "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": Webhook(secret).sign(id, at, body),
        }  # fmt: skip
        answer = await self._client.post(self._url, content=body, headers=headers)
        kind = answer.headers["content-type"]
        return answer.status_code, answer.json() if kind == "application/json" else answer.text


@pytest.fixture
async def ask(pigeon):
    async with (
        Bridge("memory://", tenant="acme", state=Ticket, senders=[pigeon]) as bridge,
        served(desk(bridge, secret=SECRET)) as url,
        httpx.AsyncClient() as client,
    ):
        await exchange(bridge, write("hello"), "hi")
        pigeon.texts.clear()
        caller = Caller(client, url)
        caller.bridge = bridge
        yield caller


class TestWhatAHelpdeskAsks:
    async def test_accept_say_pass_and_release(self, ask, pigeon):
        offer = await ask.bridge.floor.offer(ANN, reason="refund")
        status, taken = await ask("accept", by="ann", epoch=offer.epoch)
        assert (status, taken["floor"], taken["holder"]) == (200, "human", "ann")
        status, said = await ask("say", by="ann", text="Ann here.")
        assert (status, said["deliveries"], pigeon.texts) == (200, ["sent"], ["Ann here."])
        assert (await ask("pass", by="ann", to="bob"))[1]["holder"] == "bob"
        assert (await ask("release", by="bob", note="done"))[1]["note"] == "done"
        status, package = await ask("show")
        assert msgspec.convert(package, Package).handoff.floor == "agent"

    async def test_the_same_request_again_is_done_once(self, ask, pigeon):
        first = await ask("accept", "m1", by="ann", epoch=None)
        assert await ask("accept", "m1", by="ann", epoch=None) == first
        await ask("say", "m2", by="ann", text="one")
        assert (await ask("say", "m2", by="ann", text="one"))[1]["repeated"]
        assert pigeon.texts == ["one"]

    async def test_a_step_that_comes_again_late_does_not_end_a_later_stretch(self, ask):
        """A helpdesk repeats what it has no answer to, and whoever has seen it may as well."""
        await ask("accept", "m1", by="ann")
        assert (await ask("release", "m2", by="ann"))[1]["floor"] == "agent"
        await ask("accept", "m3", by="ann")
        assert (await ask("release", "m2", by="ann"))[1]["floor"] == "human"
        assert (await ask.bridge.floor.show(ANN)).holder == "ann"
        await ask("release", "m4", by="ann")
        assert (await ask("accept", "m1", by="ann"))[1]["floor"] == "agent"

    async def test_who_comes_late_is_told_who_has_it(self, ask):
        offer = await ask.bridge.floor.offer(ANN, reason="refund")
        await ask("accept", by="ann", epoch=offer.epoch)
        status, told = await ask("accept", by="bob", epoch=offer.epoch)
        assert (status, told["error"], told["floor"], told["holder"]) == (
            409, "FloorTaken", "human", "ann",
        )  # fmt: skip

    async def test_what_is_not_signed_by_it_is_not_done(self, ask):
        other = "whsec_" + "YW5vdGhlciBzZWNyZXQgYWx0b2dldGhlcg=="
        old = datetime.now(UTC) - timedelta(hours=1)
        assert (await ask("accept", by="eve", secret=other))[0] == 401
        assert (await ask("accept", by="eve", at=old))[0] == 401
        assert (await ask._client.post(ask._url, content=b"{}")).status_code == 401
        assert (await ask.bridge.floor.show(ANN)).floor == "agent"

    @pytest.mark.parametrize(
        ("wanted", "asked"),
        [
            (404, {"do": "accept", "by": "ann", "address": "sms:+15550100777"}),
            (422, {"do": "accept", "by": ""}), (422, {"do": "accept", "by": "a", "address": ""}),
            (400, {"do": "shout"}), (400, {"do": "accept", "by": 7}),
            (400, {"do": "accept", "by": "ann", "surprise": 1}),
            (400, {"do": "", "body": "[" * 10_000}), (409, {"do": "release", "by": "ann"}),
        ],
    )  # fmt: skip
    async def test_what_cannot_be_is_objected_to(self, ask, wanted, asked):
        assert (await ask(**asked))[0] == wanted

    async def test_too_much_is_refused_and_only_post_is_taken(self, ask):
        assert (await ask("say", by="ann", text="x" * 300_000))[0] == 413
        assert (await ask._client.get(ask._url)).status_code == 405

    async def test_a_store_that_fails_is_to_be_asked_again(self, ask, monkeypatch):
        async def down(query, /):
            raise errors.Unavailable("down")

        monkeypatch.setattr(ask.bridge.store, "read", down)
        assert (await ask("accept", by="ann"))[0] == 503

    def test_without_a_secret_there_is_no_desk(self, pigeon):
        for secret in ("", ()):
            with pytest.raises(errors.ConfigurationError):
                desk(Bridge("memory://", tenant="acme"), secret=secret)
