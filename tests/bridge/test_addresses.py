"""One person however their address is written, and answers that go to it as it was written."""

import pytest
from msgspec.structs import replace

from ctxbridge import Address, Assurance, Endpoint, Receipt, errors
from ctxbridge.bridge import received
from tests.delivery.conftest import Pigeon

from .conftest import exchange, write

MEXICO, AS_WHATSAPP = Address("whatsapp", "+529991234567"), Address("whatsapp", "+5219991234567")
US = Endpoint("whatsapp", "+15550199999")


@pytest.fixture
def pigeon():
    return Pigeon("whatsapp")


@pytest.fixture
async def sending(another, pigeon):
    return await another(senders=[pigeon])


def hola(text="hola", sender=AS_WHATSAPP, **more):
    return replace(write(text, "sms", **more), channel="whatsapp", endpoint=US, sender=sender)


class TestWrittenAs:
    async def test_52_both_forms_are_one_person_and_each_is_answered_as_it_wrote(
        self, sending, pigeon
    ):
        await exchange(sending, hola(), "uno")
        async with sending.turn(hola("otra vez", MEXICO)) as turn:
            assert [m.text for m in turn.context.messages] == ["hola", "uno", "otra vez"]
            turn.reply("dos")
        assert [one.address for one in pigeon.carried] == [AS_WHATSAPP, MEXICO]
        contact = (await sending.context(AS_WHATSAPP)).contact
        assert contact.addresses == (MEXICO,)
        assert contact.id == (await sending.context("whatsapp:+52 999 123 4567")).contact.id

    async def test_a_repetition_is_one_and_what_the_turn_shows_is_canonical(self, sending, pigeon):
        message = hola()
        await exchange(sending, message, "uno")
        async with sending.turn(message) as turn:
            assert turn.status == "duplicate"
            assert (turn.inbound.sender, turn.inbound.written_as) == (MEXICO, AS_WHATSAPP.value)
        assert len(pigeon.carried) == 1

    async def test_a_receipt_in_either_form_finds_its_message(self, sending, pigeon):
        await exchange(sending, hola(), "uno")
        for form, status in ((AS_WHATSAPP, "delivered"), (MEXICO, "read")):
            told = Receipt("whatsapp", US, "P1", status, form)
            assert (await sending.receive(told)).status == status

    async def test_stop_from_one_form_holds_for_the_other(self, sending, pigeon):
        await exchange(sending, hola(), "uno")
        await exchange(sending, hola("STOP", MEXICO))
        written = await sending.send(AS_WHATSAPP, "oferta")
        assert written.message.decision.code == "consent.opted_out"
        await exchange(sending, hola("START"))
        assert (await sending.send(MEXICO, "oferta")).delivery.status == "sent"
        assert pigeon.carried[-1].address == AS_WHATSAPP

    async def test_writing_first_goes_to_what_was_named_else_to_how_they_wrote(
        self, sending, pigeon
    ):
        await exchange(sending, hola(), "uno")
        await sending.send(MEXICO, "dos")
        await sending.send("whatsapp:+5219991234567", "tres")
        assert [one.address for one in pigeon.carried] == [AS_WHATSAPP] * 3
        await exchange(sending, hola(sender=MEXICO), "cuatro")
        await sending.send(MEXICO, "cinco")
        await sending.send(AS_WHATSAPP, "seis")
        assert [one.address for one in pigeon.carried[3:]] == [MEXICO, MEXICO, AS_WHATSAPP]

    async def test_a_turn_that_is_taken_up_answers_as_it_was_written(self, sending, pigeon, clock):
        with pytest.raises(RuntimeError):
            async with sending.turn(hola()):
                raise RuntimeError

        async def agent(turn):
            return "uno"

        clock.time += 3_600_000
        assert await sending.recover(agent) == 1
        assert [one.address for one in pigeon.carried] == [AS_WHATSAPP]

    async def test_a_code_goes_to_what_was_named(self, sending, pigeon):
        await exchange(sending, write("hello", "chat"), "hi")
        await sending.challenge(AS_WHATSAPP, to="chat:customer-7", endpoint=US)
        assert [one.address for one in pigeon.carried] == [AS_WHATSAPP]

    async def test_without_the_rule_they_would_be_two(self, sending, monkeypatch):
        """The broken variant."""
        monkeypatch.setattr(received, "known_as", lambda bridge, inbound: inbound)
        monkeypatch.setattr("ctxbridge.bridge.arriving.known_as", lambda bridge, inbound: inbound)
        await exchange(sending, hola(), "uno")
        async with sending.turn(hola("otra vez", MEXICO)) as turn:
            assert [m.text for m in turn.context.messages] == ["otra vez"]


class TestLinks:
    async def test_a_link_is_of_the_canonical_address(self, bridge):
        ann = await bridge.link("email:Ann@Example.org", "sms:46701740605", evidence="crm:1")
        assert [str(one) for one in ann.addresses] == ["email:ann@example.org", "sms:+46701740605"]
        same = await bridge.link(Address("email", "ANN@example.org"), "chat:7", evidence="crm:1")
        assert same.id == ann.id
        assert (await bridge.context(Address("sms", "+46701740605"))).contact.id == ann.id

    async def test_subaddresses_are_one_where_that_was_said(self, bridge, another):
        plus, ann = Address("email", "ann+shop@gmail.com"), Address("email", "ann@gmail.com")
        assert bridge.canonical(plus) == plus
        joined = await another(subaddressing=["GMail.com"])
        await exchange(joined, write("by mail", "email", sender=plus), "ok")
        context = await joined.context(ann)
        assert [m.recipient for m in context.messages] == [plus, plus]
        assert context.contact.addresses == (ann,)

    @pytest.mark.parametrize(
        "nonsense", [None, 7, b"sms:+1", Address("sms", 7), Address("email", None)]
    )
    async def test_what_is_no_address_is_told(self, bridge, nonsense):
        with pytest.raises(errors.Malformed):
            bridge.canonical(nonsense)
        with pytest.raises(errors.Malformed):
            await bridge.link("sms:+15550100001", nonsense, evidence="crm:1")

    @pytest.mark.parametrize("domains", ["gmail.com", ["ann@gmail.com"], [""]])
    async def test_nonsense_is_refused(self, another, domains):
        with pytest.raises(errors.ConfigurationError):
            await another(subaddressing=domains)


async def test_51_a_name_in_a_numbers_place_is_not_answered(another):
    pigeon = Pigeon("sms")
    bridge = await another(senders=[pigeon])
    async with bridge.turn(write("50 % off!", sender=Address("sms", "AcmeInc"))) as turn:
        turn.reply("thank you")
    assert pigeon.carried == []
    context = await bridge.context("sms:AcmeInc")
    assert context.messages[-1].decision.code == "recipient.takes_no_answer"


async def test_51_a_short_code_of_another_country_is_another_sender(bridge):
    await exchange(bridge, write("code 1", sender=Address("sms", "72345", "US")))
    async with bridge.turn(write("code 2", sender=Address("sms", "72345", "GB"))) as turn:
        assert [m.text for m in turn.context.messages] == ["code 2"]


async def test_90_yes_by_sms_is_of_the_same_conversation_only_where_trust_allows_it(bridge):
    ann = Address("email", "ann@example.org")
    await exchange(bridge, write("Ship it?", "email"), "Shall we send it today?")
    await bridge.link(ann, "sms:+15550100001", evidence="crm:1")
    async with bridge.turn(write("yes", assurance=Assurance.CLAIMED)) as turn:
        assert [m.text for m in turn.context.messages] == ["yes"]
    async with bridge.turn(write("yes")) as turn:
        assert [m.text for m in turn.context.messages][:2] == [
            "Ship it?",
            "Shall we send it today?",
        ]
