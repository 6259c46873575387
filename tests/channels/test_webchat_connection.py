"""One connected page, without any wire: who it is, what it may do, what it is shown."""

import json
import random

import pytest
from tests.channels.fixtures import NOW

from ctxbridge.channels import WebChat
from ctxbridge.channels.webchat import Connection, Limits, Step
from ctxbridge.model import Address, Inbound, Notice, Receipt

CHAT = WebChat("s" * 32, app="shop", max_bytes=2048)
ANN, BOB = CHAT.token("ann", now=NOW), CHAT.token("bob", now=NOW)
HELLO = {"type": "message", "client_msg_id": "m1", "text": "Hello"}


def sent(connection: Connection, frame: dict[str, object], now: int = NOW) -> Step:
    return connection.receive(json.dumps(frame), now)


def resumed(token: str = ANN, **more: object) -> Connection:
    connection = Connection(CHAT, NOW, limits=Limits(burst=1000))
    step = sent(connection, {"type": "resume", "token": token, **more})
    assert (step.looks, step.greets, step.close) == (True, True, 0)
    return connection


def said(step: Step) -> list[tuple[str, str]]:
    decoded = [json.loads(frame) for frame in step.frames]
    return [(frame["type"], frame.get("reason", "")) for frame in decoded]


def reply(seq: int, **more: object) -> str:
    return json.dumps({"type": "message", "seq": seq, "author": "agent", "text": "x", **more})


class TestWhoItIs:
    def test_nothing_counts_before_the_page_has_said_who_it_is(self) -> None:
        for frame in (HELLO, {"type": "ping"}, {"type": "ack", "seq": 1}, {"type": "typing"}):
            step = sent(Connection(CHAT, NOW), frame)
            assert (step.events, said(step), step.close) == ((), [("error", "token")], 4401)

    def test_82_every_message_is_of_the_tokens_subject_whatever_the_frame_says(self) -> None:
        connection = resumed()
        for more in ({}, {"visitor": "bob"}, {"token": BOB}, {"sender": "bob"}):
            (event,) = sent(connection, HELLO | more).events
            assert isinstance(event, Inbound)
            assert event.sender == Address("chat", "ann")

    def test_82_the_token_of_another_ends_the_connection(self) -> None:
        step = sent(connection := resumed(), {"type": "resume", "token": BOB})
        assert (said(step), step.close) == ([("error", "identity")], 4403)
        assert connection.writer is not None
        assert connection.writer.address.value == "ann"

    @pytest.mark.parametrize(
        "token",
        [
            "",
            "x",
            ANN[:-2] + "AA",
            WebChat("t" * 32, app="shop").token("ann", now=NOW),
            WebChat("s" * 32, app="other").token("ann", now=NOW),
            CHAT.token("ann", now=NOW - 901_000),
        ],
    )
    def test_82_a_token_that_does_not_hold_is_not_let_in(self, token: str) -> None:
        step = sent(Connection(CHAT, NOW), {"type": "resume", "token": token, "visitor": "ann"})
        assert (step.looks, said(step), step.close) == (False, [("error", "token")], 4401)

    def test_a_token_may_come_with_the_handshake(self) -> None:
        connection = Connection(CHAT, NOW, (("authorization", f"Bearer {ANN}"),))
        assert sent(connection, {"type": "resume"}).looks

    def test_the_connection_ends_with_the_token_and_goes_on_with_a_fresh_one(self) -> None:
        connection, late = resumed(), NOW + 890_000
        fresh = CHAT.token("ann", now=late)
        assert sent(connection, {"type": "resume", "token": fresh}, late).looks
        assert sent(connection, HELLO, NOW + 901_000).events
        assert sent(connection, HELLO, late + 901_000).close == 4401
        assert connection.beat(late + 901_000).close == 4401

    def test_without_a_secret_visitors_name_themselves(self) -> None:
        connection = Connection(WebChat(), NOW)
        assert sent(connection, {"type": "resume", "visitor": "v1"}).looks
        (event,) = sent(connection, HELLO).events
        assert event.sender == Address("chat", "v1")
        assert sent(Connection(WebChat(), NOW), {"type": "resume"}).close == 4401


class TestLimits:
    def test_82_an_oversize_frame_ends_the_connection(self) -> None:
        step = sent(resumed(), HELLO | {"pad": "x" * 2048})
        assert (step.events, said(step), step.close) == ((), [("error", "too_large")], 1009)

    def test_what_is_no_frame_is_an_error_and_the_connection_stays(self) -> None:
        connection = resumed()
        for data in (b"", b"{", b"[]", b"\xff", "\ud800", "[" * 2000, '{"type":1}'):
            step = connection.receive(data, NOW)
            assert (said(step), step.close) == ([("error", "frame")], 0)
        step = sent(connection, HELLO | {"text": ""})
        assert json.loads(step.frames[0]) == {
            "type": "error", "reason": "frame", "again": False, "client_msg_id": "m1",
        }  # fmt: skip

    def test_too_many_frames_are_errors_and_far_too_many_the_end(self) -> None:
        connection = Connection(CHAT, NOW, limits=Limits(per_second=2, burst=5))
        sent(connection, {"type": "resume", "token": ANN})
        steps = [sent(connection, {"type": "typing"}) for _ in range(9)]
        assert [len(step.events) for step in steps] == [1] * 4 + [0] * 5
        assert (said(steps[4]), steps[4].close, steps[8].close) == ([("error", "rate")], 0, 4429)

    def test_the_allowance_fills_again_with_the_time(self) -> None:
        connection = Connection(CHAT, NOW, limits=Limits(per_second=2, burst=2))
        sent(connection, {"type": "resume", "token": ANN})
        assert sent(connection, {"type": "typing"}).events
        assert not sent(connection, {"type": "typing"}).events
        assert sent(connection, {"type": "typing"}, NOW + 1000).events
        # A clock that goes back gives nothing.
        assert not sent(connection, {"type": "typing"}, NOW).events

    def test_a_silent_page_is_let_go(self) -> None:
        connection = resumed()
        assert connection.beat(NOW + 100_000).close == 0
        assert connection.beat(NOW + 101_000).close == 4408
        assert said(sent(connection, {"type": "ping"}, NOW + 101_000)) == [("pong", "")]
        assert connection.beat(NOW + 102_000).close == 0

    def test_a_page_that_never_says_who_it_is_is_let_go(self) -> None:
        connection = Connection(CHAT, NOW)
        assert (connection.beat(NOW + 9_000).close, connection.beat(NOW + 11_000).close) == (
            0,
            4401,
        )


class TestWhatItIsShown:
    def test_a_message_is_written_once_however_it_comes(self) -> None:
        connection = resumed()
        assert connection.outgoing(reply(5, id="k5"))
        assert connection.outgoing(reply(5)) is None
        assert not connection.lacks(5, "")

    def test_drafts_and_frames_without_a_place_are_always_written(self) -> None:
        connection, draft = resumed(), '{"type":"draft","id":"k","text":"x"}'
        assert [connection.outgoing(draft) for _ in range(2)] == [draft, draft]
        assert connection.outgoing("no JSON") is None

    def test_82_after_a_resume_it_lacks_what_is_later_than_its_last(self) -> None:
        connection = resumed(last_seq=5, log="L")
        assert [connection.lacks(seq, "L") for seq in (4, 5, 6)] == [False, False, True]

    def test_of_another_log_it_lacks_everything(self) -> None:
        connection = resumed(last_seq=5, log="old")
        assert connection.lacks(1, "new")

    def test_what_is_remembered_is_bounded(self) -> None:
        connection = resumed()
        for seq in range(1, 2000):
            connection.outgoing(reply(seq, id=f"k{seq}"))
        assert len(connection._shown) == len(connection._ours) == len(connection._keys) == 512


class TestAcknowledgements:
    def test_up_to_a_place_all_that_was_shown_and_nothing_twice(self) -> None:
        connection = resumed()
        for seq in (3, 5, 8):
            connection.outgoing(reply(seq, id=f"k{seq}"))
        acks = sent(connection, {"type": "ack", "seq": 5}).events
        assert [(e.message_id, e.status, e.delivery) for e in acks] == [
            ("3", "delivered", "k3"), ("5", "delivered", "k5"),
        ]  # fmt: skip
        assert sent(connection, {"type": "ack", "seq": 5}).events == ()
        read = sent(connection, {"type": "read", "seq": 9}).events
        assert [(e.message_id, e.status) for e in read] == [(s, "read") for s in ("3", "5", "8")]

    def test_of_nothing_that_was_not_shown_here(self) -> None:
        connection = resumed()
        connection.outgoing(reply(3))
        connection.outgoing(json.dumps({"type": "message", "seq": 4, "author": "contact"}))
        receipts = sent(connection, {"type": "ack", "seq": 2**40}).events
        assert [event.message_id for event in receipts] == ["3"]

    def test_what_an_earlier_connection_got_can_still_be_read(self) -> None:
        connection = resumed(last_seq=9, log="L", seq=4)
        connection.knows([3, 7, 9, 12], "L")
        assert sent(connection, {"type": "ack", "seq": 9}).events == ()
        read = sent(connection, {"type": "read", "seq": 9}).events
        assert [event.message_id for event in read] == ["7", "9"]

    def test_one_frame_gives_a_bounded_number_of_receipts(self) -> None:
        connection = resumed()
        for seq in range(1, 400):
            connection.outgoing(reply(seq))
        receipts = sent(connection, {"type": "read", "seq": 400}).events
        assert [e.message_id for e in receipts] == [str(seq) for seq in range(336, 400)]


SEEDS = [
    json.dumps(frame).encode()
    for frame in (
        HELLO,
        {"type": "resume", "token": ANN, "last_seq": 3, "log": "L", "seq": 2},
        {"type": "edit", "client_msg_id": "e", "of": "m1", "text": "x"},
        {"type": "reaction", "client_msg_id": "r", "seq": 3, "value": "+1", "on": True},
        {"type": "read", "seq": 3},
        {"type": "ping"},
    )
]


@pytest.mark.parametrize("is_text", [False, True])
def test_3_whatever_a_page_sends_only_steps_come_out(is_text: bool) -> None:
    from tests.channels.test_fuzz import SCALE, mutated

    chance = random.Random(11)
    connection, now = resumed(), NOW
    for _ in range(int(10_000 * SCALE)):
        data = mutated(chance.choice(SEEDS), chance)
        now += 400
        connection.limits = Limits(burst=1000)
        step = connection.receive(
            data.decode("utf-8", "replace") if is_text else data, now % 900_000 + NOW
        )
        assert isinstance(step, Step)
        for event in step.events:
            assert isinstance(event, Inbound | Notice | Receipt)
            assert event.sender.value == "ann" if not isinstance(event, Receipt) else True
        for frame in step.frames:
            json.loads(frame.encode())
        if step.close in {4401, 4403, 4429}:
            connection = resumed()
