"""The web chat's sender: frames to whoever is connected, tabs that break or hang, drafts."""

import json

import anyio
import pytest

from ctxbridge.delivery.senders import WebChatSender
from ctxbridge.model import Address, Delivery, Endpoint, Message, Outgoing, Sent, Text
from ctxbridge.ports import Sender, Streamer
from tests.patience import LIMIT_SECONDS

VISITOR = Address("chat", "visitor-7")
OTHER = Address("chat", "visitor-8")
KEY = b"0123456789abcdef"
GONE = Sent("retry", provider_id="12", code="chat.not_connected", retry_after=5.0)
TAKEN = Sent("sent", provider_id="12")


def outgoing(text="It is on its way.", address=VISITOR, author="agent"):
    parts = (Text(text),) if text else ()
    message = Message(b"t", author, "chat", parts, accepted_at=1_700_000_000_000)
    return Outgoing(Delivery(KEY, 12), message, address, Endpoint("chat", "webchat"))


class Tab:
    """A page that is connected; it may break or hang."""

    def __init__(self, *, breaks=False, hangs=False):
        self.frames = []
        self.breaks = breaks
        self.hangs = hangs
        self.took = anyio.Event()

    async def write(self, text):
        if self.breaks:
            raise RuntimeError("the socket is closed")
        if self.hangs:
            await anyio.sleep_forever()
        self.frames.append(json.loads(text))
        self.took.set()


def test_it_fills_both_ports():
    sender: Sender = WebChatSender(per_second=3)
    streamer: Streamer = WebChatSender()
    assert (sender.channel, sender.repeatable, sender.per_second) == ("chat", True, 3)
    assert sender.timeout_seconds == 10
    assert streamer


class TestMessages:
    async def test_a_message_is_one_frame_with_exactly_these_fields(self):
        sender, tab = WebChatSender(), Tab()
        with sender.connected(VISITOR, tab.write):
            assert await sender.send(outgoing()) == TAKEN
        assert tab.frames == [
            {
                "type": "message",
                "seq": 12,
                "id": KEY.hex(),
                "text": "It is on its way.",
                "author": "agent",
                "at": 1_700_000_000_000,
            }
        ]

    async def test_all_tabs_of_an_address_get_it_and_nobody_else(self):
        sender, one, two, stranger = WebChatSender(), Tab(), Tab(), Tab()
        with (
            sender.connected(VISITOR, one.write),
            sender.connected(VISITOR, two.write),
            sender.connected(OTHER, stranger.write),
        ):
            assert await sender.send(outgoing()) == TAKEN
        assert len(one.frames) == len(two.frames) == 1
        assert stranger.frames == []

    async def test_the_scope_is_part_of_the_address(self):
        sender, tab = WebChatSender(), Tab()
        with sender.connected(Address("chat", VISITOR.value, "shop-2"), tab.write):
            assert await sender.send(outgoing()) == GONE
        assert tab.frames == []

    async def test_the_same_connection_may_be_there_twice(self):
        sender, tab = WebChatSender(), Tab()
        with sender.connected(VISITOR, tab.write):
            with sender.connected(VISITOR, tab.write):
                await sender.send(outgoing())
            await sender.send(outgoing())
        assert len(tab.frames) == 3

    async def test_without_a_connection_it_waits(self):
        sender = WebChatSender()
        assert await sender.send(outgoing()) == GONE

    async def test_after_the_block_nobody_is_connected_and_nothing_is_kept(self):
        sender, tab = WebChatSender(), Tab()
        with pytest.raises(KeyError), sender.connected(VISITOR, tab.write):
            raise KeyError
        assert await sender.send(outgoing()) == GONE
        assert sender._tabs == {}

    @pytest.mark.parametrize("text", ["", " \n\t "])
    async def test_without_words_it_fails(self, text):
        sender, tab = WebChatSender(), Tab()
        with sender.connected(VISITOR, tab.write):
            assert await sender.send(outgoing(text)) == Sent("failed", code="chat.empty")
        assert tab.frames == []

    async def test_hostile_text_stays_one_frame(self):
        sender, tab = WebChatSender(), Tab()
        text = '"}\n{"type":"x"}\x00\ud800\u2028</script>👍'
        with sender.connected(VISITOR, tab.write):
            assert await sender.send(outgoing(text)) == TAKEN
        assert tab.frames[0]["text"] == '"}\n{"type":"x"}\ufffd\ufffd\u2028</script>👍'
        assert tab.frames[0]["type"] == "message"

    async def test_it_tells_how_many_connections_an_address_has(self):
        sender = WebChatSender()
        with sender.connected(VISITOR, Tab().write), sender.connected(VISITOR, Tab().write):
            assert (sender.connections(VISITOR), sender.connections(OTHER)) == (2, 0)
        assert sender.connections(VISITOR) == 0

    async def test_a_person_is_named_as_the_author(self):
        sender, tab = WebChatSender(), Tab()
        with sender.connected(VISITOR, tab.write):
            await sender.send(outgoing(author="human_agent"))
        assert tab.frames[0]["author"] == "human_agent"

    async def test_after_aclose_it_reaches_nobody(self):
        sender, tab = WebChatSender(), Tab()
        with sender.connected(VISITOR, tab.write):
            await sender.aclose()
            await sender.aclose()
            assert await sender.send(outgoing()) == GONE


class TestBrokenTabs:
    async def test_one_that_took_it_is_enough_and_the_broken_one_is_dropped(self):
        sender, good, broken = WebChatSender(), Tab(), Tab(breaks=True)
        with sender.connected(VISITOR, broken.write), sender.connected(VISITOR, good.write):
            assert await sender.send(outgoing()) == TAKEN
            broken.breaks = False
            assert await sender.send(outgoing()) == TAKEN
        assert len(good.frames) == 2
        assert broken.frames == []

    async def test_where_all_are_broken_it_waits(self):
        sender, broken = WebChatSender(), Tab(breaks=True)
        with sender.connected(VISITOR, broken.write):
            assert await sender.send(outgoing()) == GONE
            assert sender._tabs == {}

    async def test_a_tab_that_hangs_hinders_no_other_and_is_dropped(self):
        sender = WebChatSender(timeout_seconds=1.0)
        first, good, last = Tab(hangs=True), Tab(), Tab(hangs=True)
        with (
            sender.connected(VISITOR, first.write),
            sender.connected(VISITOR, good.write),
            sender.connected(VISITOR, last.write),
            anyio.fail_after(LIMIT_SECONDS),
        ):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(sender.send, outgoing())
                await good.took.wait()  # before the others have run into their limit
                assert len(sender._tabs[VISITOR]) == 3
            assert len(sender._tabs[VISITOR]) == 1
            assert await sender.send(outgoing()) == TAKEN

    async def test_where_all_hang_it_waits_within_its_time(self):
        sender = WebChatSender(timeout_seconds=0.1)
        with sender.connected(VISITOR, Tab(hangs=True).write), anyio.fail_after(LIMIT_SECONDS):
            assert await sender.send(outgoing()) == GONE

    async def test_cancellation_goes_through(self):
        sender = WebChatSender()
        with sender.connected(VISITOR, Tab(hangs=True).write):
            with anyio.move_on_after(0.02) as scope:
                await sender.send(outgoing())
            assert scope.cancelled_caught


class TestDrafts:
    async def test_a_draft_is_shown_under_the_key_and_taken_back_when_empty(self):
        sender, tab = WebChatSender(), Tab()
        with sender.connected(VISITOR, tab.write):
            for text in ("It is", "It is on its way.", ""):
                await sender.show(outgoing(text))
        assert tab.frames == [
            {"type": "draft", "id": KEY.hex(), "text": text}
            for text in ("It is", "It is on its way.", "")
        ]

    async def test_nobody_there_is_no_error(self):
        await WebChatSender().show(outgoing())

    async def test_what_breaks_or_hangs_is_no_error(self):
        sender = WebChatSender(timeout_seconds=1.0)
        tab = Tab()
        with (
            sender.connected(VISITOR, Tab(breaks=True).write),
            sender.connected(VISITOR, Tab(hangs=True).write),
            sender.connected(VISITOR, tab.write),
        ):
            await sender.show(outgoing())
        assert len(tab.frames) == 1
