"""What becomes of a request: routed, verified, stored, acknowledged; answered behind that."""

import json
import logging

import anyio
import pytest

from ctxbridge import Bridge, errors
from ctxbridge.asgi import Limits, webhooks
from ctxbridge.channels import Email, Twilio, WebChat
from ctxbridge.errors import Malformed
from ctxbridge.model import (
    Address,
    Assurance,
    Capabilities,
    Endpoint,
    HttpReply,
    Inbound,
    Notice,
    Parsed,
    Receipt,
    Text,
    Verification,
)

from .conftest import (
    ANN,
    ORIGIN,
    SECRET,
    SHOP,
    TOKEN,
    Agent,
    call,
    chat,
    encoded,
    form,
    said,
    scope_of,
    settled,
    signature,
    sms,
)

EMPTY_TWIML = b'<?xml version="1.0" encoding="UTF-8"?><Response></Response>'


class Batches:
    """A provider that sends many events at once, by name: an adapter of the test's own."""

    name, channel, horizon_seconds = "batches", "sms", 86_400.0
    capabilities = Capabilities()

    def verify(self, request):
        return Verification("unsigned")

    def parse(self, request, verification):
        events, bad = [], []
        for one in json.loads(request.body):
            ours, sender = Endpoint("sms", SHOP), Address("sms", one.get("from", ANN))
            if one["kind"] == "bad":
                bad.append(Malformed("one of the events is malformed"))
            elif one["kind"] == "receipt":
                events.append(Receipt("sms", ours, one["id"], "delivered", sender))
            elif one["kind"] == "notice":
                events.append(Notice("sms", ours, "reaction", sender, one["id"], value="+1"))
            else:
                events.append(
                    Inbound("sms", ours, sender, one["id"], (Text(one["text"]),), Assurance.CHANNEL)
                )
        return Parsed(tuple(events), tuple(bad))

    def reply(self, outcome, answer=()):
        return HttpReply(200, " | ".join(m.text for m in answer).encode())


class Greeting(Batches):
    name = "greeting"

    def handshake(self, request):
        _, _, challenge = request.url.partition("challenge=")
        return HttpReply(200, challenge.encode()) if challenge else None


async def batch(app, *events, path="/batches"):
    return await call(app, scope_of("POST", path), [json.dumps(events).encode()])


def message(id, text, **more):
    return {"kind": "message", "id": id, "text": text, **more}


class TestAcknowledged:
    async def test_as_soon_as_it_is_stored_and_answered_behind_that(self, hooks, bridge):
        agent = Agent(waits=True)
        answer = await sms(hooks(agent), "SM1", "Hello")
        assert (answer.status, answer.body) == (200, EMPTY_TWIML)
        assert answer.headers["content-type"] == "text/xml"
        assert await said(bridge) == [("contact", "Hello")]
        agent.let_go.set()
        await settled(bridge)
        assert await said(bridge) == [("contact", "Hello"), ("agent", "re: Hello")]

    async def test_a_duplicate_is_answered_as_before_and_stores_nothing(self, hooks, bridge):
        agent = Agent()
        app = hooks(agent)
        first = await sms(app, "SM1", "Hello")
        again = await sms(app, "SM1", "Hello")
        await settled(bridge)
        assert await sms(app, "SM1", "Hello") == first == again
        assert (agent.asked, len(await said(bridge))) == (1, 2)

    async def test_a_wrong_signature_gets_the_providers_word_and_stores_nothing(
        self, hooks, bridge, caplog
    ):
        answer = await sms(hooks(Agent()), "SM1", "my secret", token="another")
        assert (answer.status, await said(bridge)) == (403, [])
        assert "the signature does not match" in caplog.text
        assert "secret" not in caplog.text

    async def test_it_is_one_conversation_over_all_channels(self, hooks, bridge):
        await bridge.link("sms:" + ANN, "chat:customer-7", evidence="crm:1")
        app = hooks(Agent())
        await sms(app, "SM1", "Hello")
        await settled(bridge)
        answer = await chat(app, "1", "It is me", "customer-7", now=bridge.clock.now())
        await settled(bridge)
        assert answer.status == 200
        assert [text for _, text in await said(bridge)] == [
            "Hello", "re: Hello", "It is me", "re: It is me"
        ]  # fmt: skip

    async def test_without_an_agent_it_is_left_to_other_processes(self, hooks, bridge):
        assert (await sms(hooks(), "SM1", "Hello")).status == 200
        await settled(bridge)
        assert await said(bridge) == [("contact", "Hello")]
        await anyio.sleep(1.05)  # give-back: tried again after a second
        assert await bridge.recover(Agent()) == 1
        assert await said(bridge) == [("contact", "Hello"), ("agent", "re: Hello")]

    async def test_receipts_and_notices_go_to_the_bridge(self, hooks, bridge):
        app = hooks(Agent(), [Batches()])
        answer = await batch(
            app, message("M1", "Hello"), {"kind": "receipt", "id": "P1"}, {"kind": "notice", "id": "N1"}
        )  # fmt: skip
        await settled(bridge)
        window = (await bridge.context("sms:" + ANN)).window
        assert answer.status == 200
        assert [getattr(e, "kind", "message") for e in window] == ["message", "reaction", "message"]


class TestRefused:
    """What is not stored is never acknowledged."""

    @pytest.mark.parametrize(
        "error",
        [
            errors.Unavailable("down"),
            errors.StoreFull("full"),
            errors.OutcomeUnknown("who knows"),
            errors.NotDurable("not yet"),
            errors.HistoryRolledBack("gone"),
            errors.BacklogFull("too many wait"),
            errors.Busy("rejected"),
            errors.CorruptRecord("damaged"),
            errors.KeyMissing("k1"),
            ValueError("a mistake"),
        ],
        ids=lambda e: type(e).__name__,
    )
    async def test_503_so_that_it_comes_again(self, hooks, bridge, error):
        app, agent = None, Agent()
        app = hooks(agent)
        bridge.store.fails = [error]
        refused = await sms(app, "SM1", "Hello")
        assert (refused.status, refused.headers["retry-after"]) == (503, "5")
        assert b"Hello" not in refused.body
        assert (await sms(app, "SM1", "Hello")).status == 200
        await settled(bridge)
        assert (agent.asked, await said(bridge)) == (
            1, [("contact", "Hello"), ("agent", "re: Hello")]
        )  # fmt: skip

    async def test_a_store_that_hangs_is_not_waited_for(self, hooks, bridge):
        agent, bridge.store.hangs = Agent(), anyio.Event()
        app = hooks(agent, limits=Limits(storing_seconds=0.05))
        assert (await sms(app, "SM1", "Hello")).status == 503
        bridge.store.hangs.set()  # it was stored after all
        assert (await sms(app, "SM1", "Hello")).status == 200
        await settled(bridge)
        assert (agent.asked, len(await said(bridge))) == (1, 2)

    async def test_a_known_id_with_another_body_is_kept_aside_and_not_repeated(
        self, hooks, bridge, caplog
    ):
        app = hooks(Agent())
        await sms(app, "SM1", "Hello")
        await settled(bridge)
        answer = await sms(app, "SM1", "Something else")
        assert answer.status == 200
        assert "IdempotencyMismatch" in caplog.text
        log = (await bridge.context("sms:" + ANN)).messages
        assert [(m.text, m.disposition) for m in log][-1] == ("Something else", "quarantined")


class TestBatch:
    async def test_38_what_is_malformed_does_not_hold_up_the_rest(self, hooks, bridge):
        kept = []

        async def quarantine(path, request, why):
            kept.append((path, request.body, [str(error) for error in why]))

        app = hooks(Agent(), [Batches()], quarantine=quarantine)
        answer = await batch(app, message("M1", "one"), {"kind": "bad"}, message("M3", "three"))
        await settled(bridge)
        assert answer.status == 200
        assert [text for who, text in await said(bridge) if who == "contact"] == ["one", "three"]
        ((path, body, why),) = kept
        assert (path, b"three" in body, why) == (
            "batches", True, ["one of the events is malformed"]
        )  # fmt: skip

    async def test_a_quarantine_that_fails_makes_it_come_again(self, hooks, bridge, caplog):
        async def quarantine(path, request, why):
            raise OSError("no room for my secret")

        app = hooks(Agent(), [Batches()], quarantine=quarantine)
        assert (await batch(app, {"kind": "bad"})).status == 503
        assert "secret" not in caplog.text

    async def test_the_failure_of_one_makes_all_come_again_and_the_others_are_known_then(
        self, hooks, bridge
    ):
        agent = Agent()
        app = hooks(agent, [Batches()])
        events = [message(f"M{n}", f"m{n}", **{"from": f"+1555010000{n}"}) for n in range(5)]
        bridge.store.fails = [None, None, errors.Unavailable("down"), None, None]
        assert (await batch(app, *events)).status == 503
        await settled(bridge)
        assert agent.asked == 4
        assert (await batch(app, *events)).status == 200
        await settled(bridge)
        assert agent.asked == 5
        for n in range(5):
            assert len(await said(bridge, f"sms:+1555010000{n}")) == 2

    async def test_the_order_of_a_request_is_that_of_the_log(self, hooks, bridge):
        app = hooks(Agent(waits=True), [Batches()])
        await batch(app, *[message(f"M{n}", f"m{n}") for n in range(20)])
        assert [text for _, text in await said(bridge)] == [f"m{n}" for n in range(20)]


class TestInBand:
    async def test_the_answer_goes_out_with_the_response(self, hooks):
        app = hooks(Agent(), in_band={"twilio": 5.0})
        answer = await sms(app, "SM1", "Hello")
        assert b"<Message>re: Hello</Message>" in answer.body
        assert await sms(app, "SM1", "Hello") == answer

    async def test_one_that_is_late_is_given_when_the_provider_asks_again(self, hooks, bridge):
        agent = Agent(waits=True)
        app = hooks(agent, in_band={"twilio": 0.05})
        late = await sms(app, "SM1", "Hello")
        assert (late.status, late.headers["retry-after"]) == (503, "1")
        agent.let_go.set()
        await settled(bridge)
        assert b"re: Hello" in (await sms(app, "SM1", "Hello")).body
        assert agent.asked == 1

    async def test_one_that_fails_comes_again(self, hooks, bridge):
        async def broken(turn):
            raise ValueError

        app = hooks(broken, in_band={"twilio": 5.0})
        assert (await sms(app, "SM1", "Hello")).status == 503

    async def test_a_channel_that_has_a_sender_does_not_wait(self):
        from tests.delivery.conftest import Pigeon

        agent, pigeon = Agent(waits=True), Pigeon()
        async with Bridge("memory://", tenant="acme", senders=[pigeon]) as bridge:
            app = webhooks(
                bridge, [Twilio(TOKEN)], agent, in_band={"twilio": 9.0}, origin=ORIGIN
            )  # fmt: skip
            answer = await sms(app, "SM1", "Hello")
            assert (answer.status, answer.body) == (200, EMPTY_TWIML)
            agent.let_go.set()
            await settled(bridge)
            assert pigeon.texts == ["re: Hello"]

    async def test_a_frame_of_the_web_chat_gets_its_answer(self, hooks, bridge):
        app = hooks(Agent(), in_band={"webchat": 5.0})
        answer = await chat(app, "1", "Hi", now=bridge.clock.now())
        assert json.loads(answer.body)["messages"] == [{"author": "agent", "text": "re: Hi"}]


class TestRouted:
    async def test_by_the_name_of_the_adapter_or_as_a_mapping_says(self, hooks, bridge):
        app = hooks(Agent(), {"sms/uk": Twilio(TOKEN), "sms/us": Twilio("another")})
        assert (await sms(app, "SM1", "Hello", path="/sms/uk")).status == 200
        assert (await sms(app, "SM2", "Hello", path="/sms/uk/")).status == 200
        assert (await sms(app, "SM3", "Hello", path="/sms/us")).status == 403
        await settled(bridge)

    @pytest.mark.parametrize(
        "path", ["/", "", "/twili", "/twilio/x", "//x", "/Twilio", "/../twilio", "/%00"]
    )
    async def test_another_path_is_not_found(self, hooks, path):
        assert (await call(hooks(Agent()), scope_of("POST", path))).status == 404

    @pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "HEAD", "PATCH", "OPTIONS", "X"])
    async def test_another_method_is_not_allowed(self, hooks, method):
        answer = await call(hooks(Agent()), scope_of(method, "/twilio"))
        assert (answer.status, answer.headers["allow"]) == (405, "POST")

    async def test_a_greeting_is_answered(self, hooks):
        app = hooks(Agent(), [Greeting()])
        asked = scope_of("GET", "/greeting", query=b"challenge=1158201444")
        assert (await call(app, asked))[:2] == (200, b"1158201444")
        none = await call(app, scope_of("GET", "/greeting"))
        assert (none.status, none.headers["allow"]) == (405, "POST")
        assert (await call(app, scope_of("PUT", "/greeting"))).headers["allow"] == "GET, POST"

    @pytest.mark.parametrize(
        ("root", "path"), [("/hooks", "/hooks/twilio"), ("/hooks", "/twilio"), ("/a/b/", "/a/b/twilio")]
    )  # fmt: skip
    async def test_mounted_as_servers_tell_it(self, hooks, bridge, root, path):
        fields = form("SM1", "Hello")
        headers = [("X-Twilio-Signature", signature(ORIGIN + path, fields))]
        scope = scope_of("POST", path, headers, root_path=root)
        assert (await call(hooks(Agent()), scope, [encoded(fields)])).status == 200
        await settled(bridge)

    async def test_mounted_by_a_dispatcher_that_takes_its_path_away(self, hooks, bridge):
        """As Hypercorn's does: what was called is told by `raw_path` alone."""
        fields = form("SM1", "Hello")
        headers = [("X-Twilio-Signature", signature(ORIGIN + "/hooks/twilio", fields))]
        scope = scope_of("POST", "/twilio", headers, raw_path=b"/hooks/twilio")
        assert (await call(hooks(Agent()), scope, [encoded(fields)])).status == 200
        await settled(bridge)

    async def test_a_websocket_is_turned_away(self, hooks):
        sent = []

        async def receive():
            return {"type": "websocket.connect"}

        async def send(told):
            sent.append(told)

        await hooks(Agent())({"type": "websocket", "path": "/twilio"}, receive, send)
        assert sent == [{"type": "websocket.close", "code": 1000}]

    async def test_another_protocol_is_a_mistake(self, hooks):
        with pytest.raises(errors.UsageError):
            await hooks(Agent())({"type": "mqtt"}, None, None)


class TestAddress:
    """The signature is over the address that the provider called."""

    async def test_without_an_origin_it_is_what_the_request_says(self, hooks, bridge):
        app = hooks(Agent(), origin="")
        fields = form("SM1", "Hello")
        url = "https://shop.example:8443/twilio?a=%41+b&c="
        headers = [("Host", "shop.example:8443"), ("X-Twilio-Signature", signature(url, fields))]
        scope = scope_of("POST", "/twilio", headers, b"a=%41+b&c=", scheme="https")
        assert (await call(app, scope, [encoded(fields)])).status == 200
        await settled(bridge)

    async def test_forwarded_headers_are_never_believed(self, hooks):
        app = hooks(Agent(), origin="")
        fields = form("SM1", "Hello")
        headers = [
            ("Host", "10.0.0.7"), ("X-Forwarded-Host", "hooks.example.org"),
            ("X-Forwarded-Proto", "https"), ("Forwarded", "host=hooks.example.org;proto=https"),
            ("X-Twilio-Signature", signature(ORIGIN + "/twilio", fields)),
        ]  # fmt: skip
        assert (
            await call(app, scope_of("POST", "/twilio", headers), [encoded(fields)])
        ).status == 403

    async def test_the_adapters_own_address_wins(self, hooks, bridge):
        app = hooks(Agent(), [Twilio(TOKEN, url=ORIGIN)], origin="")
        assert (await sms(app, "SM1", "Hello")).status == 200
        await settled(bridge)

    async def test_a_server_that_tells_the_path_only_decoded(self, hooks, bridge):
        app = hooks(Agent(), {"sms uk": Twilio(TOKEN)})
        fields = form("SM1", "Hello")
        headers = [("X-Twilio-Signature", signature(ORIGIN + "/sms%20uk", fields))]
        scope = scope_of("POST", "/sms uk", headers)
        del scope["raw_path"]
        assert (await call(app, scope, [encoded(fields)])).status == 200
        await settled(bridge)


class TestFailing:
    async def test_an_adapter_that_raises_is_an_error_without_words(self, hooks, caplog):
        class Broken(Batches):
            def parse(self, request, verification):
                raise KeyError("my secret")

        answer = await batch(hooks(Agent(), [Broken()]), message("M1", "x"))
        assert (answer.status, answer.body) == (500, b"internal error")
        assert "KeyError (test_app.py:" in caplog.text
        assert "secret" not in caplog.text

    async def test_an_agent_that_raises_is_logged_without_words_and_tried_again(
        self, hooks, bridge, caplog
    ):
        async def broken(turn):
            raise RuntimeError(turn.inbound.text)

        assert (await sms(hooks(broken), "SM1", "my secret")).status == 200
        await settled(bridge)
        assert "RuntimeError (test_app.py:" in caplog.text
        assert "secret" not in caplog.text
        await anyio.sleep(1.05)
        assert await bridge.recover(Agent()) == 1
        assert (await said(bridge))[-1] == ("agent", "re: my secret")

    async def test_a_client_that_has_gone_when_it_is_answered(self, hooks, bridge):
        fields = form("SM1", "Hello")
        headers = [("X-Twilio-Signature", signature(ORIGIN + "/twilio", fields))]

        async def receive():
            return {"type": "http.request", "body": encoded(fields), "more_body": False}

        async def send(told):
            raise OSError("gone")

        await hooks(Agent())(scope_of("POST", "/twilio", headers), receive, send)
        await settled(bridge)
        assert await said(bridge) == [("contact", "Hello"), ("agent", "re: Hello")]


class TestConfigured:
    @pytest.mark.parametrize(
        "options",
        [
            {"channels": []},
            {"channels": {}},
            {"channels": [Twilio(), Twilio()]},
            {"channels": {"health": Twilio()}},
            {"channels": {"": Twilio()}},
            {"channels": {"/a": Twilio(), "a/": Twilio()}},
            {"channels": [Twilio]},
            {"channels": [object()]},
            {"channels": [Email()], "in_band": {"twilio": 3.0}},
            {"channels": [Twilio()], "in_band": {"twilio": 0.0}},
            {"channels": [Twilio()], "agent": None, "in_band": {"twilio": 1.0}},
            {"channels": [Twilio()], "origin": "hooks.example.org"},
        ],
    )
    def test_what_cannot_be_is_told_before_anything_starts(self, options):
        bridge = Bridge("memory://", tenant="acme")
        with pytest.raises(errors.ConfigurationError):
            webhooks(bridge, **({"agent": Agent()} | options))

    def test_a_limit_is_positive(self):
        with pytest.raises(errors.ConfigurationError):
            Limits(requests=0)

    def test_what_a_channel_does_without_is_told(self, caplog):
        from tests.delivery.conftest import Pigeon

        bridge = Bridge("memory://", tenant="acme", senders=[Pigeon()])
        webhooks(bridge, [Twilio(TOKEN), Email()], Agent())
        webhooks(bridge, [WebChat(SECRET)], Agent(), in_band={"webchat": 5.0})
        assert [record.getMessage() for record in caplog.records] == [
            "email: nothing verifies its requests: anybody can write there",
            "email: the bridge has no sender for email: answers are stored, and do not leave",
        ]

    async def test_that_nobody_sweeps_is_told_once(self, hooks, bridge, caplog):
        app = hooks(Agent())
        with caplog.at_level(logging.WARNING, "ctxbridge"):
            await sms(app, "SM1", "one")
            await sms(app, "SM2", "two")
        assert caplog.text.count("nobody runs bridge.run") == 1
        await settled(bridge)

    async def test_where_it_is_run_nothing_is_told(self, hooks, bridge, caplog):
        app = hooks(Agent())
        async with app.lifespan():
            await anyio.sleep(0.01)
            await sms(app, "SM1", "one")
            await settled(bridge)
        assert "nobody runs" not in caplog.text
