"""Consent: by channel, by purpose and for the whole contact; who may take it back; the ledger."""

import pytest

from ctxbridge import Address, errors, guards

from .conftest import SENDERS, exchange, write

SMS, MAIL = SENDERS["sms"], SENDERS["email"]


@pytest.fixture
async def everywhere(another):
    """STOP on one channel ends marketing on all."""
    return await another(guards=[guards.opt_out(everywhere=["marketing"])])


async def say(bridge, text, channel="sms", purpose="service"):
    """What the customer gets of a reply for a purpose."""
    async with bridge.turn(write("hello", channel=channel)) as turn:
        if turn.open:
            turn.reply(text, purpose=purpose)
    return [m.text for m in turn.answer]


class TestPurposes:
    async def test_one_purpose_is_refused_and_others_go_on(self, bridge):
        await say(bridge, "hi")
        await bridge.consent(
            SMS, granted=False, channel="sms", purpose="marketing", evidence="call"
        )
        assert await say(bridge, "new sofas!", purpose="marketing") == []
        assert await say(bridge, "your order is here") == ["your order is here"]
        withheld = [m for m in (await bridge.context(SMS)).messages if m.purpose == "marketing"]
        assert withheld[-1].decision.code == "consent.opted_out"
        await bridge.consent(SMS, granted=True, channel="sms", purpose="marketing", evidence="form")
        assert await say(bridge, "new sofas!", purpose="marketing") == ["new sofas!"]

    async def test_a_purpose_that_does_not_exist_is_refused(self, bridge):
        async with bridge.turn(write("hello")) as turn:
            with pytest.raises(errors.UsageError):
                turn.reply("hi", purpose="fun")

    async def test_quiet_hours_are_kept_for_marketing_alone(self, another):
        quiet = guards.quiet_hours("UTC", start="00:00", end="23:59", grace_seconds=0.0)
        bridge = await another(guards=[quiet])
        assert await say(bridge, "hi") == ["hi"]
        assert await say(bridge, "sofas", purpose="marketing") == []


class TestEverywhere:
    async def test_stop_by_sms_ends_marketing_by_mail_and_start_brings_it_back(self, everywhere):
        bridge = everywhere
        await say(bridge, "hi")
        await bridge.link(SMS, MAIL, evidence="crm:1")
        await exchange(bridge, write("STOP"))
        assert await say(bridge, "sofas", "email", "marketing") == []
        assert await say(bridge, "your order", "email") == ["your order"]
        assert await say(bridge, "hi") == []
        await exchange(bridge, write("START"))
        assert await say(bridge, "sofas", "email", "marketing") == ["sofas"]

    async def test_start_does_not_bring_back_what_was_refused_elsewhere(self, everywhere):
        bridge = everywhere
        await say(bridge, "hi")
        await bridge.link(SMS, MAIL, evidence="crm:1")
        await exchange(bridge, write("unsubscribe", channel="email"))
        await exchange(bridge, write("START"))
        assert await say(bridge, "sofas", purpose="marketing") == []
        assert await say(bridge, "hi") == ["hi"]
        await bridge.consent(SMS, granted=True, purpose="marketing", evidence="form:2")
        assert await say(bridge, "sofas", purpose="marketing") == ["sofas"]

    async def test_the_whole_contact_is_stopped_by_the_tenant_alone(self, bridge):
        await say(bridge, "hi")
        await bridge.link(SMS, MAIL, evidence="crm:1")
        await bridge.consent(MAIL, granted=False, evidence="letter:9")
        assert (await say(bridge, "a"), await say(bridge, "b", "email")) == ([], [])
        await exchange(bridge, write("START"))
        assert await say(bridge, "a") == []
        await bridge.consent(SMS, granted=True, evidence="letter:10")
        assert await say(bridge, "a") == ["a"]

    async def test_it_is_heard_while_a_turn_runs(self, bridge):
        async with bridge.turn(write("hello")) as turn:
            await bridge.consent(SMS, granted=False, evidence="call:3")
            turn.reply("must not leave")
        assert turn.answer == ()


OTHER = Address("sms", "+15550100002")


class TestAddresses:
    """One person, two telephones: who says STOP on one is not written to on the other."""

    @pytest.fixture
    async def two(self, bridge):
        await say(bridge, "hi")
        await bridge.link(SMS, OTHER, evidence="crm:1")
        return bridge

    async def write_to(self, bridge, address):
        async with bridge.turn(write("hello", sender=address)) as turn:
            if turn.open:
                turn.reply("hi")
        return [m.text for m in turn.answer]

    async def test_stop_counts_for_both_and_start_for_who_says_it(self, two):
        await exchange(two, write("STOP"))
        assert await self.write_to(two, OTHER) == []
        started = await exchange(two, write("START", sender=OTHER))
        assert started == [guards.opt_out.__kwdefaults__["started"]]
        assert await self.write_to(two, OTHER) == ["hi"]
        assert await self.write_to(two, SMS) == [], "who said STOP here has not taken it back"
        await exchange(two, write("START"))
        assert await self.write_to(two, SMS) == ["hi"]
        await exchange(two, write("STOP", sender=OTHER))
        assert (await self.write_to(two, SMS), await self.write_to(two, OTHER)) == ([], [])

    async def test_the_tenant_may_stop_one_address_alone(self, two):
        await two.consent(OTHER, granted=False, evidence="call:1", only=True)
        assert (await self.write_to(two, SMS), await self.write_to(two, OTHER)) == (["hi"], [])
        assert (await two.consents(SMS))[-1].address == OTHER.value
        await two.consent(OTHER, granted=True, evidence="call:2", only=True)
        assert await self.write_to(two, OTHER) == ["hi"]
        with pytest.raises(errors.UsageError):
            await two.consent(OTHER, granted=True, evidence="x", only=True, channel="email")


class TestLedger:
    async def test_it_tells_every_word_with_its_evidence(self, everywhere, clock):
        await exchange(everywhere, write("STOP", id="SM-stop"))
        clock.time += 1000
        await everywhere.consent(SMS, granted=True, purpose="otp", evidence="form:1")
        words = await everywhere.consents(SMS)
        assert [(w.channel, w.purpose, w.granted, w.evidence, w.source) for w in words] == [
            ("sms", "all", False, "SM-stop", "contact"),
            ("all", "marketing", False, "SM-stop", "contact:sms"),
            ("all", "otp", True, "form:1", "tenant"),
        ]
        assert words[2].at - words[0].at == 1000
        evidence = [
            m for m in (await everywhere.context(SMS)).messages if m.message_id == "SM-stop"
        ]
        assert evidence[0].text == "STOP"

    async def test_consent_of_somebody_who_never_wrote_is_kept(self, bridge):
        lead = Address("sms", "+15550100777")
        contact = await bridge.consent(lead, granted=True, purpose="marketing", evidence="list:7")
        assert [c.granted for c in contact.consents] == [True]
        assert (await bridge.context(lead)).as_chat() == []
        assert await say(bridge, "hi") == ["hi"]

    @pytest.mark.parametrize(
        "wrong", [{"channel": "pigeon"}, {"purpose": "fun"}, {"evidence": ""}, {"evidence": 4}]
    )
    async def test_nonsense_is_refused(self, bridge, wrong):
        with pytest.raises((errors.UsageError, errors.Malformed)):
            await bridge.consent(SMS, **{"granted": True, "evidence": "x", **wrong})

    def test_the_policy_of_stop_names_purposes_that_exist(self):
        with pytest.raises(errors.ConfigurationError):
            guards.opt_out(everywhere=["fun"])
