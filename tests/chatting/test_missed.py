"""What a page is shown that comes back: all that it missed, once, and nothing that may not leave."""

import anyio
import pytest

from ctxbridge import Address, Assurance, Bridge, Endpoint, Inbound, Text
from ctxbridge.channels import WebChat
from ctxbridge.channels.webchat import Limits
from ctxbridge.chatting import app as app_module
from ctxbridge.chatting import chat
from ctxbridge.chatting import talk as talk_module
from ctxbridge.chatting.missed import Look
from ctxbridge.chatting.talk import Talk
from ctxbridge.delivery.senders import WebChatSender
from ctxbridge.guards.guard import allow, defer, guard
from ctxbridge.model import Settle

from .conftest import CHANNEL, QUICK, SITE, address, app_of, connected, opened, token

SMS = Address("sms", "+15550100001")


async def exchange(app, *texts):
    """What a first page says, and how far it got: its log and the place of the last it was shown."""
    async with connected(app) as page:
        for n, text in enumerate(texts):
            page.write(text, f"m{n}")
            last = await page.next("message", author="agent")
        own = next(f for f in page.frames if f.get("log"))
    return own["log"], last["seq"]


async def shown(app, *authors, **resume):
    """What a page is shown that resumes like this."""
    async with connected(app, **resume) as page:
        await page.settled()
    return page.texts(*authors)


class TestResuming:
    async def test_82_only_what_is_later_than_the_last_that_it_has(self, bridge, app):
        log, last = await exchange(app, "one")
        await bridge.send(address(), "two", key="k2")
        await bridge.send(address(), "three", key="k3")
        assert await shown(app, log=log, last_seq=last) == ["two", "three"]
        assert await shown(app, log=log, last_seq=last + 1) == ["three"]
        assert await shown(app, log=log, last_seq=last + 2) == []

    async def test_a_page_that_knows_nothing_is_shown_all_with_its_own_words(self, app):
        await exchange(app, "one", "two")
        async with connected(app) as page:
            await page.settled()
        messages = [f for f in page.frames if f["type"] == "message"]
        assert [(f["author"], f["text"]) for f in messages] == [
            ("contact", "one"), ("agent", "re: one"), ("contact", "two"), ("agent", "re: two"),
        ]  # fmt: skip
        assert [f.get("client_msg_id") for f in messages] == ["m0", None, "m1", None]
        assert [f["seq"] for f in messages] == [1, 2, 3, 4]
        assert page.ready["seq"] == 4

    async def test_it_is_shown_so_much_and_no_more(self, bridge, app):
        await exchange(app, *[str(n) for n in range(5)])
        few = app_of(bridge, limits=Limits(history=4))
        assert await shown(few, last_seq=0) == ["3", "re: 3", "4", "re: 4"]

    async def test_after_an_erasure_the_log_is_another_and_counts_from_the_start(self, bridge, app):
        log, last = await exchange(app, "one", "two")
        await bridge.erase(address())
        async with connected(app, log=log, last_seq=last) as page:
            assert page.ready["log"] != log
            page.write("new", "n1")
            await page.next("message", author="agent")
        assert page.texts() == ["new", "re: new"]
        assert await shown(app, log=log, last_seq=last) == ["new", "re: new"]

    async def test_edited_words_are_shown_as_they_are_now_and_deleted_ones_not(self, app):
        log, last = await exchange(app, "one", "two")
        async with connected(app, log=log, last_seq=last) as page:
            page.say(type="edit", client_msg_id="e1", of="m0", text="uno")
            page.say(type="delete", client_msg_id="e2", of="m1")
            await page.next("ack", client_msg_id="e2")
        assert await shown(app, "contact") == ["uno"]
        async with connected(app, log=log, last_seq=last) as page:
            assert (await page.next("edit"))["text"] == "uno"
            assert (await page.next("delete"))["of"] == "m1"

    async def test_what_was_said_by_sms_is_not_shown_in_the_chat(self, bridge, app):
        log, last = await exchange(app, "one")
        await bridge.link(address(), SMS, evidence="crm:1")
        inbound = Inbound(
            "sms", Endpoint("sms", "+1555"), SMS, "S1", (Text("by sms"),), Assurance.CHANNEL
        )
        async with bridge.turn(inbound) as turn:
            turn.reply("by sms too")
        assert await shown(app) == ["one", "re: one"]
        assert await shown(app, log=log, last_seq=last) == []

    async def test_a_visitor_whom_nobody_vouches_for_sees_nothing_of_before(self, bridge):
        async def echo(turn):
            return f"re: {turn.inbound.text}"

        app = chat(bridge, WebChat(app="shop"), echo, origins=[SITE], limits=QUICK)
        for text in ("one", "two"):
            async with opened(app) as page:
                page.say(type="resume", visitor="v-1")
                await page.next("ready")
                page.write(text, text)
                await page.next("message", author="agent", text=f"re: {text}")
                await page.settled()
                assert page.texts() == [text, f"re: {text}"]

    async def test_the_name_of_a_log_tells_nothing_and_is_of_one_address(self, bridge, app):
        log, _ = await exchange(app, "one")
        contact = (await bridge.context(address())).contact
        assert contact.id.hex() not in log
        await bridge.link(address(), address("ann-2"), evidence="crm:1")
        async with connected(app, "ann-2") as page:
            assert page.ready["log"] not in {"", log}

    async def test_a_resume_on_the_same_connection_is_answered_and_repeats_nothing(self, app):
        async with connected(app) as page:
            page.write("one", "m0")
            await page.next("message", author="agent")
            page.say(type="resume", token=token())
            await page.next("ready")
            await page.settled()
            assert page.texts("agent") == ["re: one"]


class TestWhatNeverLeft:
    async def settle(self, bridge, seq, status):
        found = await bridge.outbox.known_as(str(seq), CHANNEL.endpoint, address())
        contact = (await bridge.context(address(), fresh=True)).contact
        said = Settle("acme", status, bridge.clock.now(), contact.id, delivery=found.id)
        return (await bridge.store.deliver(said)).delivery.status

    @pytest.mark.parametrize("status", ["pending", "failed"])
    async def test_what_came_while_nobody_was_there_is_shown_and_then_delivered(
        self, bridge, app, status
    ):
        log, last = await exchange(app, "one")
        written = await bridge.send(address(), "while you were away")
        assert written.delivery.status == "pending"
        if status == "failed":
            assert await self.settle(bridge, last + 1, "failed") == "failed"
        async with connected(app, log=log, last_seq=last) as page:
            await page.next("message", text="while you were away")
            page.say(type="ack", seq=last + 1)
            await page.settled()
        found = await bridge.outbox.known_as(str(last + 1), CHANNEL.endpoint, address())
        assert found.status == "delivered"
        # So the outbox has nothing more to do with it.
        assert await bridge.dispatch() == 0

    async def test_what_waits_does_not_leave_by_a_resume_after_a_stop(self, bridge, app):
        log, last = await exchange(app, "one")
        await bridge.send(address(), "while you were away")
        await bridge.consent(address(), granted=False, evidence="form")
        assert await shown(app, log=log, last_seq=last) == []
        # What had left before is still theirs to see.
        assert await shown(app) == ["one", "re: one"]

    async def test_the_control_without_a_gate_shows_it(self, bridge, app, monkeypatch):
        log, last = await exchange(app, "one")
        await bridge.send(address(), "while you were away")
        await bridge.consent(address(), granted=False, evidence="form")

        async def yes(self, seq, message):
            return True

        monkeypatch.setattr(Look, "_may_be_shown", yes)
        assert await shown(app, log=log, last_seq=last) == ["while you were away"]

    async def test_what_was_withheld_is_never_shown(self, bridge, app):
        log, last = await exchange(app, "one")
        await bridge.send(address(), "while you were away")
        await self.settle(bridge, last + 1, "withheld")
        assert await shown(app, log=log, last_seq=last) == []

    async def test_what_is_due_later_is_not_shown_before(self, bridge):
        @guard("reply", name="later")
        def later(check):
            return defer(check.now + 3_600_000, "quiet") if "later" in check.text else allow()

        sender = WebChatSender()
        async with Bridge(bridge.store, tenant="acme", senders=[sender], guards=[later]) as quiet:
            app = app_of(quiet)
            log, last = await exchange(app, "one")
            written = await quiet.send(address(), "later")
            assert written.delivery.status == "pending"
            assert await shown(app, log=log, last_seq=last) == []


class TestOtherProcesses:
    async def test_what_another_process_has_stored_is_shown_within_a_heartbeat(self, bridge, app):
        async with (
            Bridge(bridge.store, tenant="acme", senders=[WebChatSender()]) as other,
            connected(app) as here,
        ):
            here.write("one", "m0")
            await here.next("message", author="agent")
            await other.send(address(), "from elsewhere", key="k")
            there = app_of(other)
            async with connected(there, log="") as tab:
                tab.write("two", "m1")
                await tab.next("message", author="agent", text="re: two")
            assert here.texts() == ["one", "re: one"]
            await here.settled()
            assert here.texts() == ["one", "re: one", "from elsewhere", "two", "re: two"]
            # And once.
            await here.settled()
            assert len(here.texts()) == 5


class TestWhatIsLeaving:
    async def test_a_reply_that_has_left_and_is_not_noted_yet_is_shown_a_moment_later(
        self, bridge, app, monkeypatch
    ):
        """The page comes between the sending of a reply and the note that it was sent."""
        monkeypatch.setattr(talk_module, "LOOK_AGAIN_SECONDS", 0.05)
        log, last = await exchange(app, "one")
        noted, record = anyio.Event(), bridge.outbox._record

        async def late(*said):
            await noted.wait()
            return await record(*said)

        monkeypatch.setattr(bridge.outbox, "_record", late)
        async with (
            anyio.create_task_group() as sending,
            connected(app, log=log, last_seq=last) as early,
        ):
            sending.start_soon(bridge.send, address(), "just left")
            await early.next("message", text="just left")
            try:
                async with connected(app, log=log, last_seq=last) as page:
                    await page.settled()
                    before = page.texts()
                    noted.set()
                    await page.next("message", text="just left")
            finally:
                noted.set()
        assert (before, page.texts()) == ([], ["just left"])


class TestNothingFallsBetween:
    """A reply that is sent in the moment in which a page comes back."""

    async def came(self, bridge, app, monkeypatch, *, shown):
        """What a page is shown, where a message leaves just after its log was read.

        It is `shown`, and waited for, or it never is.
        """
        log, last = await exchange(app, "one")
        read = Look.frames

        async def frames(self, connection):
            found = await read(self, connection)
            if not await_once:
                await_once.append(1)
                sending.start_soon(send)
                with anyio.move_on_after(2):  # who sends may have to wait for us
                    await sent.wait()
            return found

        async def send():
            await bridge.send(address(), "just now")
            sent.set()

        await_once, sent = [], anyio.Event()
        monkeypatch.setattr(Look, "frames", frames)
        async with (
            anyio.create_task_group() as sending,
            connected(app, log=log, last_seq=last) as page,
        ):
            if shown:
                await page.next("message")
            await anyio.sleep(0.1)
        return page.texts()

    async def test_it_is_shown_once(self, bridge, app, monkeypatch):
        assert await self.came(bridge, app, monkeypatch, shown=True) == ["just now"]

    async def test_the_control_that_joins_behind_the_look_loses_it(self, bridge, app, monkeypatch):
        class Late(Talk):
            def _join(self, address):
                return True

            async def _look(self, *, greets):
                await super()._look(greets=greets)
                super()._join(self._connection.writer.address)

        monkeypatch.setattr(app_module, "Talk", Late)
        assert await self.came(bridge, app, monkeypatch, shown=False) == []
