"""Nothing of the customer in any span, metric, log or exception, whatever they put where."""

import logging
import traceback

import pytest

from ctxbridge import Address, Attachment, Text, errors, telemetry
from ctxbridge.telemetry import spans as spans_of
from tests.bridge.conftest import SENDERS, write

from .exchanges import everything, one_turn, open_bridge

TEXT, NAME, NUMBER, MAIL = "canary-text", "Canary Name", "+15550133377", "canary@example.org"
CANARIES = (TEXT, NAME, NUMBER, MAIL)
ALL = " ".join(CANARIES)


class Told:
    """All that was told: spans, metrics, logs, and what was raised."""

    def __init__(self, exporter, measured, caplog):
        self._exporter, self._measured, self._caplog = exporter, measured, caplog
        self.raised = ""

    def text(self):
        spans = "".join(span.to_json() for span in self._exporter.get_finished_spans())
        metrics = "".join(metric.to_json() for metric in self._measured().values())
        logs = "".join(
            f"{r.getMessage()}{r.args}{r.exc_text or ''}{r.exc_info or ''}"
            for r in self._caplog.records
            if r.name.startswith("ctxbridge")
        )
        assert "ctxbridge.turn.seq" in spans
        assert "ctxbridge.commit.duration" in metrics
        return spans + metrics + logs + self.raised

    def canaries(self):
        text = self.text()
        digits = NUMBER.removeprefix("+")
        return [canary for canary in (*CANARIES, digits) if canary in text]


@pytest.fixture
def told(exporter, measured, caplog):
    caplog.set_level(logging.DEBUG)
    return Told(exporter, measured, caplog)


async def _exchange_of_canaries(told):
    """Canaries in the message, subject, sender, ids, file names, state, evidence and tools."""
    await everything(text=ALL, reply=ALL)
    async with open_bridge(state=dict) as bridge:
        for channel, sender in (("sms", Address("sms", NUMBER)), ("email", Address("email", MAIL))):
            await bridge.consent(sender, granted=True, evidence=ALL)
            inbound = write(
                ALL, channel, subject=ALL, sender=sender, thread=MAIL, id=f"<{MAIL}>",
                references=(f"<1.{MAIL}>",), parts=(Text(ALL), Attachment("text/plain", name=ALL)),
            )  # fmt: skip
            async with bridge.turn(inbound) as turn:
                turn.state["name"] = ALL
                await turn.tool_call("tool", f'{{"to": "{ALL}"}}')
                await turn.tool_result("tool", ALL)
                turn.reply(ALL)
        await bridge.link(Address("sms", NUMBER), Address("chat", NAME), evidence=ALL)
        with pytest.raises(ValueError, match="canary") as raised:
            async with bridge.turn(write(ALL, sender=Address("sms", NUMBER))):
                raise ValueError(ALL)
        del raised
        for broken in (write(ALL, sender=Address("sms", "")), write(ALL, id=f"{MAIL}\0")):
            try:
                await one_turn(bridge, sender=broken.sender, id=broken.message_id)
            except errors.CtxBridgeError as error:
                told.raised += "".join(traceback.format_exception_only(error))
        async with open_bridge(bridge.store) as other:
            with pytest.raises(errors.IdempotencyMismatch) as refused:
                await one_turn(other, "other words", sender=Address("email", MAIL),
                               channel="email", id=f"<{MAIL}>", subject="other")  # fmt: skip
            told.raised += "".join(traceback.format_exception_only(refused.value))


async def test_no_canary_is_in_anything_that_is_told(told):
    await _exchange_of_canaries(told)
    assert told.canaries() == []


async def test_nor_with_the_names_of_genai(told):
    telemetry.configure(semconv="genai-2026")
    await _exchange_of_canaries(told)
    assert told.canaries() == []


async def test_a_span_that_told_an_address_would_be_found(told, monkeypatch):
    """The broken variant: the provider's id of the message in the place of our own."""
    honest = spans_of.TurnSpan.describe
    monkeypatch.setattr(
        spans_of.TurnSpan,
        "describe",
        lambda self, told: honest(self, {**told, "messaging.message.id": f"<{MAIL}>"}),
    )
    await _exchange_of_canaries(told)
    assert told.canaries() == [MAIL]


async def test_content_that_was_asked_for_would_be_found(told):
    telemetry.configure(content="SPAN_ONLY")
    await everything(text=TEXT, reply=TEXT)
    assert told.canaries() == [TEXT]


async def test_ids_are_ours_and_opaque(exporter):
    async with open_bridge() as bridge:
        await one_turn(bridge)
        context = await bridge.context(SENDERS["sms"])
    turn = next(s for s in exporter.get_finished_spans() if s.name == "process sms")
    assert turn.attributes["messaging.message.id"] == context.messages[0].turn.hex()
    assert turn.attributes["gen_ai.conversation.id"] == context.conversation.hex()
