"""One span a turn, linked to the one before, and nothing of the customer in it."""

import pytest
from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode

from ctxbridge import telemetry
from ctxbridge.model.head import NO_TRACE
from tests.bridge.conftest import SENDERS, exchange, write

CANARIES = ("canary-text", "+15550100001", "canary@example.org", "Canary Name")


@pytest.fixture
def spans(exporter):
    """The spans of turns, without those of their steps."""
    own = ("ctxbridge.load", "ctxbridge.commit")
    return lambda: [s for s in exporter.get_finished_spans() if s.name not in own]


async def test_a_turn_is_one_span_that_says_what_happened(bridge, spans):
    await exchange(bridge, write("hello"))
    (span,) = spans()
    context = await bridge.context(SENDERS["sms"])
    assert (span.name, span.kind, span.links) == ("process sms", SpanKind.CONSUMER, ())
    assert dict(span.attributes) == {
        "gen_ai.conversation.id": context.conversation.hex(),
        "ctxbridge.channel": "sms",
        "ctxbridge.stage": "inbound",
        "messaging.system": "ctxbridge",
        "messaging.operation.type": "process",
        "messaging.operation.name": "process",
        "messaging.destination.name": "sms",
        "messaging.message.id": context.messages[-1].turn.hex(),
        "messaging.message.conversation_id": context.conversation.hex(),
        "ctxbridge.turn.status": "new",
        "ctxbridge.turn.seq": 1,
        "ctxbridge.turn.disposition": "accepted",
        "ctxbridge.turn.replies": 1,
        "ctxbridge.assurance.level": 2,
        "ctxbridge.decision.action": "allow",
        "ctxbridge.decision.enforced": "allow",
        "ctxbridge.decision.code": "",
    }


async def test_the_next_turn_is_linked_to_it_by_the_stored_handle(bridge, spans):
    await bridge.link(SENDERS["sms"], SENDERS["email"], evidence="crm")
    await exchange(bridge, write("one"))
    handle = (await bridge.context(SENDERS["sms"])).trace
    await exchange(bridge, write("two", "email"))
    first, second = spans()
    assert len(handle) == 25
    assert handle[:16] == first.context.trace_id.to_bytes(16, "big")
    assert handle[16:24] == first.context.span_id.to_bytes(8, "big")
    (link,) = second.links
    assert (link.context.trace_id, link.context.span_id) == (
        first.context.trace_id,
        first.context.span_id,
    )
    assert link.attributes == {"ctxbridge.link": "previous_turn"}
    assert second.context.trace_id != first.context.trace_id
    assert first.attributes["gen_ai.conversation.id"] == second.attributes["gen_ai.conversation.id"]


async def test_what_the_agent_does_is_inside_the_turns_span(bridge, spans):
    async with bridge.turn(write("hello")):
        trace.get_tracer("model").start_span("chat").end()
    chat, turn = spans()
    assert (chat.parent.span_id, chat.context.trace_id) == (
        turn.context.span_id,
        turn.context.trace_id,
    )
    assert not trace.get_current_span().get_span_context().is_valid


async def test_a_failure_tells_its_type_and_not_its_words(bridge, spans):
    with pytest.raises(ValueError, match="canary"):
        async with bridge.turn(write("hello")):
            raise ValueError("canary-text")
    (span,) = spans()
    assert span.status.status_code is StatusCode.ERROR
    assert span.attributes["error.type"] == "ValueError"
    assert span.events == ()
    assert "canary" not in span.to_json()


async def test_duplicates_and_blocks_are_told_apart(bridge, spans):
    inbound = write("STOP")
    await exchange(bridge, inbound)
    await exchange(bridge, inbound)
    first, again = (s.attributes for s in spans())
    assert (first["ctxbridge.turn.status"], again["ctxbridge.turn.status"]) == ("new", "duplicate")
    assert first["ctxbridge.turn.disposition"] == "quarantined"
    assert first["ctxbridge.decision.code"] == "consent.stop"


async def test_no_span_holds_anything_of_the_customer(bridge, spans):
    from ctxbridge import Address

    for channel in ("sms", "email"):
        await exchange(bridge, write("canary-text Canary Name", channel, subject="canary-text"))
    await exchange(bridge, write("x", "email", sender=Address("email", "canary@example.org")))
    told = "".join(span.to_json() for span in spans())
    assert "ctxbridge.turn.seq" in told
    assert not [canary for canary in CANARIES if canary in told]


def test_a_handle_that_is_none_links_to_nothing():
    for handle in (b"", NO_TRACE, b"x" * 24, bytes(16) + b"x" * 9):
        assert telemetry.link_to(handle, "previous_turn") == ()
    assert telemetry.handle_of(trace.INVALID_SPAN) == b""


async def test_nothing_is_stored_where_nobody_records():
    import subprocess
    import sys

    program = (
        "import asyncio\n"
        "from ctxbridge import Bridge\n"
        "from tests.bridge.conftest import exchange, write, SENDERS\n"
        "async def main():\n"
        "    async with Bridge('memory://', tenant='t') as bridge:\n"
        "        await exchange(bridge, write('hello'))\n"
        "        print((await bridge.context(SENDERS['sms'])).trace == bytes(25))\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "True\n"
