"""How sure we are of a writer, what they therefore see, and how a proof changes that for a while."""

import pytest

from ctxbridge import Address, Assurance, errors, guards
from ctxbridge.model import AccessPolicy, Verdict

from .conftest import SENDERS, exchange, write

SMS, MAIL, CHAT = SENDERS["sms"], SENDERS["email"], SENDERS["chat"]
DAY = 86_400_000


async def seen(bridge, channel="sms", **more):
    """What a turn shows of what was said before it, and how much it keeps back."""
    async with bridge.turn(write("hello", channel, **more)) as turn:
        words = [m.text for m in turn.context.messages if m.text not in {"hello", "ok"}]
        told = (words, turn.context.withheld, turn.context.opens_at)
        if turn.open:
            turn.reply("ok")
    return told


@pytest.fixture
async def linked(bridge):
    """One person by SMS and by chat, with something said on each."""
    await exchange(bridge, write("by sms"), "ok")
    await bridge.link(SMS, CHAT, evidence="crm:1")
    await exchange(bridge, write("by chat", "chat"), "ok")
    return bridge


class TestPolicy:
    async def test_by_default_the_channel_is_enough(self, linked):
        words, withheld, opens_at = await seen(linked)
        assert (words, withheld, opens_at) == (["by sms", "by chat"], 0, None)

    async def test_other_channels_can_need_more(self, linked, another):
        strict = await another(access=AccessPolicy(across=Assurance.VERIFIED))
        words, withheld, opens_at = await seen(strict)
        assert (words, withheld > 0) == (["by sms"], True)
        assert opens_at is None, "the SMS link itself is not that firm, so nothing opens it"
        async with strict.turn(write("hello")) as turn:
            assert turn.context.state is None

    async def test_it_tells_from_which_assurance_on_more_is_shown(self, linked, another):
        strict = await another(access=AccessPolicy(same_address=Assurance.VERIFIED))
        words, withheld, opens_at = await seen(strict)
        assert (words, opens_at) == (["by chat"], Assurance.VERIFIED)
        words, withheld, opens_at = await seen(strict, assurance=Assurance.VERIFIED)
        assert (words, withheld, opens_at) == (["by sms", "by chat"], 0, None)

    async def test_a_label_can_need_its_own_level(self, another):
        @guards.guard("inbound", name="labels")
        def labels(check):
            words = {"my illness": ("health",), "my address": ("home",)}
            return Verdict("allow", labels=words.get(check.text, ()))

        policy = AccessPolicy(labels=(("home", Assurance.CHANNEL),))
        bridge = await another(guards=[labels], access=policy)
        for text in ("my illness", "my address"):
            await exchange(bridge, write(text), "ok")
        words, _, opens_at = await seen(bridge)
        assert (words, opens_at) == (["my address"], Assurance.VERIFIED)
        words, _, _ = await seen(bridge, assurance=Assurance.VERIFIED)
        assert words == ["my illness", "my address"]


class TestStepUp:
    @pytest.fixture
    async def strict(self, linked, another):
        return await another(access=AccessPolicy(same_address=Assurance.VERIFIED))

    async def test_a_proof_holds_for_a_while(self, strict, clock):
        await strict.step_up(SMS, evidence="code", seconds=60.0)
        clock.time += 59_000
        words, withheld, _ = await seen(strict)
        assert (words, withheld) == (["by sms", "by chat"], 0)
        clock.time += 1_000
        assert (await seen(strict))[0] == ["by chat"]

    async def test_it_holds_in_its_thread(self, strict):
        await strict.step_up(SMS, evidence="code", thread="t1")
        assert (await seen(strict, thread="t1"))[1] == 0
        assert (await seen(strict, thread="t2"))[1] > 0
        assert (await seen(strict))[1] > 0

    async def test_it_does_nothing_for_another_address_or_a_forged_one(self, strict):
        await strict.step_up(SMS, evidence="code")
        assert (await seen(strict, "chat"))[1] > 0
        words, _, _ = await seen(strict, assurance=Assurance.CLAIMED)
        assert words == []

    async def test_the_agent_can_require_it(self, strict):
        async with strict.turn(write("hello")) as turn:
            with pytest.raises(errors.StepUpRequired) as raised:
                turn.require(Assurance.VERIFIED)
            assert (raised.value.needed, raised.value.held) == (3, 2)
            turn.require(Assurance.CHANNEL)
        await strict.step_up(SMS, evidence="code")
        async with strict.turn(write("hello")) as turn:
            turn.require(Assurance.VERIFIED)
            with pytest.raises(errors.StepUpRequired):
                turn.require(Assurance.AUTHENTICATED)

    async def test_guards_are_told_it(self, strict, another):
        told = []

        @guards.guard("inbound", "reply", name="spy")
        def spy(check):
            told.append(check.assurance)
            return guards.allow()

        await strict.step_up(SMS, evidence="code")
        await exchange(await another(guards=[spy]), write("hello"), "hi")
        assert told == [Assurance.VERIFIED] * 2

    @pytest.mark.parametrize(
        ("address", "more", "kind"),
        [
            ("sms:+1999", {}, errors.UnknownContact), (SMS, {"seconds": 0.0}, errors.UsageError),
            (SMS, {"seconds": 1e9}, errors.UsageError), (SMS, {"evidence": ""}, errors.UsageError),
        ],
    )  # fmt: skip
    async def test_nonsense_is_refused(self, strict, address, more, kind):
        with pytest.raises(kind):
            await strict.step_up(address, **{"evidence": "code", **more})
        assert (await strict.context("sms:+1999")).contact is None, "nobody was founded"


class TestACode:
    async def test_to_an_address_of_theirs_is_a_step_up(self, linked, another):
        strict = await another(access=AccessPolicy(same_address=Assurance.VERIFIED))
        challenge = await strict.challenge(SMS, to=CHAT)
        proof = await strict.prove(CHAT, f"it is {challenge.code}", assurance=Assurance.CHANNEL)
        assert proof.status == "proven"
        words, withheld, _ = await seen(strict, "chat")
        assert (words, withheld) == (["by sms", "by chat"], 0)

    async def test_to_an_address_that_was_nobodys_proves_that_address_alone(self, linked, another):
        strict = await another(access=AccessPolicy(same_address=Assurance.VERIFIED))
        challenge = await strict.challenge(MAIL, to=CHAT)
        proof = await strict.prove(CHAT, challenge.code, assurance=Assurance.CHANNEL)
        assert proof.status == "linked"
        assert (await seen(strict, "chat"))[1] > 0, "whoever sits there has shown a mailbox"


class TestSharedAddresses:
    async def test_who_writes_from_one_sees_nothing_of_other_channels(self, bridge, clock):
        await exchange(bridge, write("by sms"), "ok")
        await bridge.link(SMS, MAIL, evidence="crm:1", shared=True)
        async with bridge.turn(write("from the office", "email")) as turn:
            assert [m.text for m in turn.context.messages] == ["from the office"]
            assert (turn.context.opens_at, turn.context.state) == (Assurance.VERIFIED, None)
            turn.reply("ok")
        words, withheld, _ = await seen(bridge)
        assert (words, withheld) == (["by sms", "from the office"], 0), "the person sees both"
        await bridge.step_up(MAIL, evidence="code")
        assert "by sms" in (await seen(bridge, "email"))[0]


class TestRecycledNumbers:
    async def test_after_a_long_silence_what_is_older_is_not_shown(self, linked, clock):
        clock.time += 91 * DAY
        words, _withheld, opens_at = await seen(linked)
        assert (words, opens_at) == ([], Assurance.VERIFIED)
        async with linked.turn(write("who am I?")) as turn:
            assert turn.context.state is None
            assert "by sms" not in str(turn.context.as_chat())
            assert len(turn.context.as_chat()) >= 2, "what it wrote since is its own"
        await linked.step_up(SMS, evidence="code")
        assert (await seen(linked))[0][:2] == ["by sms", "by chat"]
        clock.time += 2 * DAY
        assert (await seen(linked))[0][:2] == ["by sms", "by chat"], "the doubt is over"

    async def test_one_that_writes_now_and_then_stays_itself(self, linked, clock):
        for _ in range(5):
            clock.time += 80 * DAY
            assert (await seen(linked))[0][:2] == ["by sms", "by chat"]

    async def test_mail_and_chat_are_nobody_elses(self, linked, clock):
        clock.time += 400 * DAY
        assert (await seen(linked, "chat"))[0] == ["by sms", "by chat"]

    async def test_the_provider_may_say_so(self, linked):
        await linked.reassigned(SMS, evidence="twilio:deactivated")
        linked.clock.time += 1
        words, _, opens_at = await seen(linked)
        assert (words, opens_at) == ([], Assurance.VERIFIED)
        with pytest.raises(errors.UnknownContact):
            await linked.reassigned(Address("sms", "+1999"), evidence="x")
