"""The web chat as a server sees it: one person, several tabs, lost connections, hostile pages."""

import anyio
import pytest

from ctxbridge import Address, Bridge, Event, Message
from ctxbridge.channels import WebChat
from ctxbridge.channels.webchat import Limits, client
from ctxbridge.chatting import chat
from ctxbridge.chatting import talk as talk_module
from ctxbridge.delivery.senders import WebChatSender
from ctxbridge.errors import ConfigurationError
from ctxbridge.model import Settle

from .conftest import CHANNEL, QUICK, SITE, address, app_of, connected, opened, token


async def stored(bridge, subject="ann"):
    context = await bridge.context(address(subject), window=0, fresh=True)
    return [(m.author, m.text) for m in context.messages]


class TestAnExchange:
    async def test_a_message_is_acknowledged_then_answered(self, bridge, app):
        async with connected(app) as page:
            page.write("Hello", "m1")
            reply = await page.next("message", author="agent")
            await page.settled()
        (ack,) = [f for f in page.frames if f["type"] == "ack"]
        (own,) = [f for f in page.frames if f.get("author") == "contact"]
        assert ack == {"type": "ack", "client_msg_id": "m1"}
        assert (own["client_msg_id"], own["seq"]) == ("m1", 1)
        assert (reply["text"], reply["seq"]) == ("re: Hello", 2)
        assert await stored(bridge) == [("contact", "Hello"), ("agent", "re: Hello")]

    async def test_the_acknowledgement_does_not_wait_for_the_agent(self, bridge):
        thinks = anyio.Event()

        async def slow(turn):
            await thinks.wait()
            return "done"

        async with connected(app_of(bridge, slow)) as page:
            page.write("Hello", "m1")
            await page.next("ack")
            assert page.texts("agent") == []
            thinks.set()
            await page.next("message", author="agent")
        typing = [f["on"] for f in page.frames if f["type"] == "typing"]
        assert typing == [True, False]

    async def test_a_message_behind_a_turn_that_runs_is_acknowledged_at_once(self, bridge):
        thinks = anyio.Event()

        async def slow(turn):
            await thinks.wait()
            return f"to {len(turn.messages)}"

        async with connected(app_of(bridge, slow)) as page:
            for n in range(3):
                page.write("Hello", f"m{n}")
                await page.next("ack", client_msg_id=f"m{n}")
            thinks.set()
            await page.next("message", author="agent", text="to 2")
            await page.settled()
        assert page.texts("agent") == ["to 1", "to 2"]
        assert page.texts("contact") == ["Hello"] * 3

    async def test_82_a_message_that_is_sent_again_is_stored_and_answered_once(self, bridge, app):
        async with connected(app) as page:
            for _ in range(5):
                page.write("Hello", "m1")
            for _ in range(5):
                await page.next("ack", client_msg_id="m1")
            async with connected(app) as other:
                await other.next("message", author="agent")
            await page.settled()
            assert page.texts("agent") == ["re: Hello"]
        assert await stored(bridge) == [("contact", "Hello"), ("agent", "re: Hello")]

    async def test_82_the_control_without_ids_of_the_pages_own_doubles(self, bridge, app):
        """The same repetition by a page that makes a new id each time: the tests above can fail."""
        async with connected(app) as page:
            for n in range(2):
                page.write("Hello", f"another-{n}")
                await page.next("message", author="agent")
        assert [text for _, text in await stored(bridge)].count("Hello") == 2

    async def test_75_an_edit_and_a_deletion_change_what_was_said(self, bridge, app):
        async with connected(app) as page:
            page.write("order 17", "m1")
            await page.next("message", author="agent")
            page.say(type="edit", client_msg_id="m2", of="m1", text="order 18")
            await page.next("ack", client_msg_id="m2")
            page.write("oops", "m3")
            await page.next("message", author="agent", text="re: oops")
            page.say(type="delete", client_msg_id="m4", of="m3")
            await page.next("ack", client_msg_id="m4")
        shown = (await bridge.context(address(), window=0, fresh=True)).as_chat()
        assert [m["content"] for m in shown] == ["order 18", "re: order 17", "re: oops"]

    async def test_83_reactions_typing_and_receipts_never_become_turns(self, bridge):
        turns = []

        async def counting(turn):
            turns.append(turn.inbound.text)
            return "yes"

        async with connected(app_of(bridge, counting)) as page:
            page.write("Hello", "m1")
            reply = await page.next("message", author="agent")
            page.say(type="typing", on=True)
            page.say(type="reaction", client_msg_id="r1", seq=reply["seq"], value="👍")
            page.say(type="ack", seq=reply["seq"])
            page.say(type="read", seq=reply["seq"])
            await page.settled()
        window = (await bridge.context(address(), window=0, fresh=True)).window
        assert [e.kind for e in window if isinstance(e, Event)] == ["reaction"]
        assert len([m for m in window if isinstance(m, Message)]) == 2
        assert turns == ["Hello"]

    async def test_a_refused_frame_says_which(self, app):
        async with connected(app) as page:
            page.write("", "m1")
            assert (await page.next("error"))["client_msg_id"] == "m1"

    async def test_the_turn_goes_on_when_the_page_is_gone(self, bridge):
        going, gone, done = anyio.Event(), anyio.Event(), anyio.Event()

        async def slow(turn):
            going.set()
            await gone.wait()
            done.set()
            return "late"

        async with connected(app_of(bridge, slow)) as page:
            page.write("Hello", "m1")
            await going.wait()
        gone.set()
        with anyio.fail_after(30):
            await done.wait()
            async with connected(app_of(bridge)) as page:
                await page.next("message", author="agent", text="late")

    async def test_an_agent_that_raises_leaves_the_message_stored_and_the_page_at_ease(
        self, bridge, caplog
    ):
        async def broken(turn):
            raise ValueError("of the agent")

        async with connected(app_of(bridge, broken)) as page:
            page.write("Hello", "m1")
            await page.next("ack")
            await page.next("typing", on=False)
            await page.settled()
            assert not [f for f in page.frames if f["type"] == "error"]
        assert await stored(bridge) == [("contact", "Hello")]
        with anyio.fail_after(30):
            while "an agent raised ValueError" not in caplog.text:
                await anyio.lowlevel.checkpoint()
        assert "of the agent" not in caplog.text

    async def test_drafts_are_shown_while_a_reply_is_written(self, bridge):
        async def streaming(turn):
            async def words():
                for n in range(80):
                    yield f"word {n} "

            await turn.stream(words())

        async with connected(app_of(bridge, streaming)) as page:
            page.write("Hello", "m1")
            reply = await page.next("message", author="agent")
        drafts = [f for f in page.frames if f["type"] == "draft"]
        assert drafts
        assert {f["id"] for f in drafts} == {reply["id"]}


class TestTabs:
    async def test_82_two_tabs_show_the_same_conversation(self, app):
        async with connected(app) as one, connected(app) as two:
            one.write("Hello", "m1")
            own = await two.next("message", author="contact")
            await two.next("message", author="agent")
            await one.next("message", author="agent")
            two.say(type="edit", client_msg_id="m2", of="m1", text="Hello!")
            edit = await one.next("edit")
        assert (own["client_msg_id"], own["text"]) == ("m1", "Hello")
        assert (edit["of"], edit["text"]) == ("m1", "Hello!")
        assert one.texts("agent") == two.texts("agent") == ["re: Hello"]

    async def test_82_no_frame_of_another_persons_conversation(self, app):
        async with connected(app, "ann") as ann, connected(app, "bob") as bob:
            ann.write("a secret", "m1", visitor="bob", token=token("bob"))
            await ann.next("message", author="agent")
            bob.write("Hi", "m1")
            await bob.next("message", author="agent")
            bob.say(type="resume", token=token("bob"), last_seq=0)
            await bob.next("ready")
            await bob.settled()
            await ann.settled()
        assert "secret" not in str(bob.frames)
        assert "Hi" not in str(ann.frames)

    async def test_82_the_control_where_everybody_has_one_address_leaks(self, bridge):
        """The same conversation over a channel that mixes people up: the test above can fail."""

        class Mixed(WebChat):
            def admit(self, request, /):
                from msgspec.structs import replace

                return replace(super().admit(request), address=Address("chat", "everybody"))

        app = chat(bridge, Mixed("s" * 32, app="shop"), _echo, origins=[SITE], limits=QUICK)
        async with connected(app, "ann") as ann, connected(app, "bob") as bob:
            ann.write("a secret", "m1")
            await ann.next("message", author="agent")
            await bob.settled()
        assert "secret" in str(bob.frames)

    async def test_a_person_has_so_many_tabs_and_no_more(self, bridge):
        app = app_of(bridge, limits=Limits(tabs=2))
        async with connected(app), connected(app), opened(app) as third:
            third.say(type="resume", token=token())
            assert (await third.next("error"))["reason"] == "tabs"
            assert await third.closed() == 4429
        async with connected(app):
            pass

    async def test_a_tab_that_takes_nothing_hinders_nobody_and_is_let_go(
        self, bridge, app, monkeypatch
    ):
        monkeypatch.setattr(talk_module, "WRITE_SECONDS", 0.3)
        sender = bridge.outbox.sender_on("chat")
        async with connected(app) as hanging, connected(app) as good:
            hanging.hangs = True
            with anyio.fail_after(30):
                good.write("Hello", "m1")
                await good.next("message", author="agent")
                await hanging.ended.wait()
            assert sender.connections(address()) == 1
            # Nothing is lost by that: it comes again.
            async with connected(app) as again:
                await again.next("message", author="agent")

    async def test_a_tab_that_is_far_behind_is_let_go(self, bridge, app, monkeypatch):
        sender = bridge.outbox.sender_on("chat")
        async with connected(app) as hanging:
            hanging.hangs = True
            for n in range(talk_module.MOST_FRAMES + 10):
                took = await sender.tell(address(), {"type": "draft", "id": "k", "text": str(n)})
            assert not took
            await hanging.ended.wait()
            assert sender.connections(address()) == 0

    async def test_the_sender_knows_who_is_present(self, bridge, app):
        sender = bridge.outbox.sender_on("chat")
        async with connected(app):
            assert sender.connections(address()) == 1
        assert sender.connections(address()) == 0


async def _echo(turn):
    return f"re: {turn.inbound.text}"


class TestReceipts:
    async def status(self, bridge, seq):
        return (await bridge.outbox.known_as(str(seq), CHANNEL.endpoint, address())).status

    async def test_what_the_page_acknowledges_is_delivered_and_then_read(self, bridge, app):
        async with connected(app) as page:
            page.write("Hello", "m1")
            seq = (await page.next("message", author="agent"))["seq"]
            await page.settled()
            assert await self.status(bridge, seq) == "sent"
            page.say(type="ack", seq=seq)
            await page.settled()
            assert await self.status(bridge, seq) == "delivered"
            page.say(type="read", seq=seq)
            await page.settled()
            assert await self.status(bridge, seq) == "read"

    async def test_nothing_that_was_not_shown_can_be_acknowledged(self, bridge, app):
        async with connected(app, "ann") as ann, connected(app, "bob") as bob:
            ann.write("Hello", "m1")
            seq = (await ann.next("message", author="agent"))["seq"]
            for _ in range(3):
                bob.say(type="read", seq=seq)
                ann.say(type="read", seq=seq - 1)
            await bob.settled()
            await ann.settled()
            assert await self.status(bridge, seq) == "sent"

    async def test_to_look_a_delivery_up_changes_nothing(self, bridge, app):
        async with connected(app) as page:
            page.write("Hello", "m1")
            seq = (await page.next("message", author="agent"))["seq"]
            await page.settled()
        before = await bridge.outbox.known_as(str(seq), CHANNEL.endpoint, address())
        assert await bridge.outbox.known_as("77", CHANNEL.endpoint, address()) is None
        assert await bridge.outbox.known_as(str(seq), CHANNEL.endpoint, address()) == before
        # Nothing was kept for the id that nobody knows.
        said = Settle(
            "acme", "claimed", bridge.clock.now(), recipient=address(), endpoint=CHANNEL.endpoint,
            provider_id="77",
        )  # fmt: skip
        assert (await bridge.store.deliver(said)).status == "gone"


class TestTheDoor:
    @pytest.mark.parametrize(
        "origin",
        [
            "",
            "null",
            "https://evil.example",
            "http://shop.example",
            "https://shop.example.evil",
            "https://shop.example:8443",
            "https://SHOP.example",
        ],
    )
    async def test_82_a_wrong_origin_is_refused_before_it_is_accepted(self, app, origin):
        async with opened(app, origin) as page:
            await page.closed()
        assert (page.accepted, page.frames) == (False, [])

    async def test_82_two_origins_are_none(self, app):
        async with opened(app, headers=[(b"Origin", b"https://evil.example")]) as page:
            await page.closed()
        assert not page.accepted

    async def test_any_origin_and_none_where_that_is_said(self, bridge):
        app = app_of(bridge, origins="*")
        for origin in ("", "https://any.example"):
            async with opened(app, origin) as page:
                page.say(type="resume", token=token())
                await page.next("ready")

    async def test_82_a_token_for_another_app_or_of_nobody_is_refused(self, app):
        for wrong in ("", "x", WebChat("s" * 32, app="other").token("ann", now=0)):
            async with opened(app) as page:
                page.say(type="resume", token=wrong)
                assert (await page.next("error"))["reason"] == "token"
                assert await page.closed() == 4401

    async def test_82_an_oversize_frame_closes(self, app):
        async with connected(app) as page:
            page.write("x" * 70_000, "m1")
            assert await page.closed() == 1009

    async def test_a_page_that_does_not_say_who_it_is_is_closed(self, bridge):
        async with opened(app_of(bridge, limits=Limits(resume_seconds=0.1))) as page:
            assert await page.closed() == 4401

    async def test_a_page_that_floods_is_closed(self, bridge):
        async with connected(app_of(bridge, limits=Limits(burst=5, per_second=1))) as page:
            for _ in range(20):
                page.say(type="typing")
            assert await page.closed() == 4429

    async def test_too_many_messages_at_once_are_to_be_sent_again_later(self, bridge):
        going = anyio.Event()

        async def slow(turn):
            await going.wait()

        limits = Limits(burst=100, in_flight=2)
        async with connected(app_of(bridge, slow, limits=limits)) as page:
            for n in range(3):
                page.write("Hello", f"m{n}")
            refused = await page.next("error")
            assert (refused["reason"], refused["again"]) == ("busy", True)
            assert refused["client_msg_id"] == "m2"
            going.set()
            await page.next("ack", client_msg_id="m0")

    async def test_a_store_that_is_gone_is_told_and_the_page_comes_again(self, bridge, app):
        await bridge.store.aclose()
        async with opened(app) as page:
            page.say(type="resume", token=token())
            assert (await page.next("error"))["reason"] == "store"
            assert await page.closed() == 1013

    @pytest.mark.parametrize("origins", [(), [""], ["shop.example"], ["https://shop.example/"],
                                         ["https://SHOP.example"], ["https://[x"], ["https://"]])  # fmt: skip
    def test_what_is_no_origin_refuses_to_start(self, origins):
        bridge = Bridge("memory://", tenant="t", senders=[WebChatSender()])
        with pytest.raises(ConfigurationError, match="origins"):
            chat(bridge, CHANNEL, _echo, origins=origins)

    def test_without_a_sender_it_refuses_to_start(self):
        with pytest.raises(ConfigurationError, match="WebChatSender"):
            chat(Bridge("memory://", tenant="t"), CHANNEL, _echo, origins=[SITE])


class TestTheScript:
    async def get(self, app, path="/client.js", method="GET", headers=()):
        sent = []

        async def send(message):
            sent.append(message)

        scope = {"type": "http", "path": path, "method": method, "headers": list(headers)}
        await app(scope, None, send)
        start, body = sent
        return start["status"], dict(start["headers"]), body["body"]

    async def test_it_is_served_and_not_sent_again_unchanged(self, app):
        status, headers, body = await self.get(app, "/chat/client.js")
        assert (status, body) == (200, client())
        assert headers[b"content-type"] == b"text/javascript; charset=utf-8"
        again = await self.get(app, headers=[(b"if-none-match", headers[b"etag"])])
        assert (again[0], again[2]) == (304, b"")
        assert (await self.get(app, method="HEAD"))[2] == b""

    async def test_nothing_else_is(self, app):
        assert (await self.get(app, "/chat/other.js"))[0] == 404
        assert (await self.get(app, method="POST"))[0] == 404

    async def test_only_known_sites_may_load_it_across_origins(self, app):
        for origin, allowed in ((SITE, SITE.encode()), ("https://evil.example", None)):
            _, headers, _ = await self.get(app, headers=[(b"origin", origin.encode())])
            assert headers.get(b"access-control-allow-origin") == allowed

    def test_it_is_short_and_has_no_dependencies(self):
        script = client().decode()
        assert script.count("\n") < 300
        assert "import(" not in script
        assert "require(" not in script
        assert not [line for line in script.splitlines() if line.startswith("import ")]


async def test_the_app_lives_by_itself_too(app):
    said, sent = ["lifespan.startup", "lifespan.shutdown"], []

    async def receive():
        return {"type": said.pop(0)}

    async def send(message):
        sent.append(message["type"])

    await app({"type": "lifespan"}, receive, send)
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    with pytest.raises(ConfigurationError):
        await app({"type": "mqtt"}, receive, send)
