"""Ways on which something could leave past a control that holds: the store compares none of them."""

import anyio
import pytest

from ctxbridge import errors
from ctxbridge.errors import Halted
from ctxbridge.guards import block, guard
from ctxbridge.model import Scope, Sent
from ctxbridge.model.control import Control, Halt
from ctxbridge.rules import control as rules
from ctxbridge.rules.consent import may_send
from tests.bridge.conftest import ENDPOINTS, SENDERS, write
from tests.bridge.test_streaming import Screen

from .processes import HOUR
from .test_control import _later, answer, other

SMS = SENDERS["sms"]


class TestWrittenFirst:
    """Nobody sends here: what is written is the caller's to send, and has no delivery."""

    async def test_it_is_refused_though_nobody_has_told_this_process(self, deploy):
        async with deploy(senders=[]) as bridge, deploy() as operator:
            await answer(bridge)
            await operator.control.kill()
            with pytest.raises(Halted):
                await bridge.send(SMS, "news")

    async def test_it_is_of_the_release_that_holds(self, deploy):
        async with deploy(senders=[]) as bridge, deploy() as operator:
            await operator.control.promote("support", "v12")
            await answer(bridge)
            await operator.control.rollback("support", to="v11", within_seconds=0)
            written = await bridge.send(SMS, "news")
            assert written.message.release == "support@v11"


class TestCodes:
    """A one-time code goes past log and outbox."""

    @pytest.mark.parametrize("how", ["pause", "kill"])
    @pytest.mark.parametrize(
        "scope",
        [Scope(), Scope(channel="sms"), Scope(purpose="otp"), Scope(endpoint="sms:+15550199999")],
    )
    async def test_none_leaves_while_that_stands_still(self, deploy, pigeon, scope, how):
        async with deploy() as bridge, deploy() as operator:
            await getattr(operator.control, how)(scope)
            await bridge.challenge(SMS, to=SENDERS["chat"], endpoint=ENDPOINTS["sms"])
            assert pigeon.texts == []
            await operator.control.resume(scope)
            await bridge.challenge(SMS, to=SENDERS["chat"], endpoint=ENDPOINTS["sms"])
            assert len(pigeon.texts) == 1

    async def test_none_leaves_to_a_contact_that_stands_still(self, deploy, pigeon):
        async with deploy() as bridge, deploy() as operator:
            await answer(bridge)
            contact = (await bridge.context(SMS)).contact
            await operator.control.pause(Scope(contact=contact.id.hex()))
            await bridge.challenge(SMS, to=SENDERS["chat"], endpoint=ENDPOINTS["sms"])
            assert pigeon.texts == ["v11: hi"]

    async def test_a_halt_of_an_agent_or_of_others_keeps_none_back(self, deploy, pigeon):
        async with deploy() as bridge:
            await bridge.control.kill(Scope(agent="support"))
            await bridge.control.kill(Scope(channel="chat"))
            await bridge.challenge(SMS, to=SENDERS["chat"], endpoint=ENDPOINTS["sms"])
            assert len(pigeon.texts) == 1


@pytest.mark.parametrize("act", ["kill", "purpose", "rollback"])
async def test_a_draft_is_shown_no_further(deploy, act):
    """It would stand on the customer's screen until the commit is refused."""
    screen = Screen()
    screen.hold_back_characters = 0
    async with deploy(senders=[screen]) as bridge, deploy() as operator:
        await operator.control.promote("support", "v12")

        async def words():
            yield "a" * 40
            if act == "rollback":
                await operator.control.rollback("support", to="v11", within_seconds=0)
            else:
                await operator.control.kill(Scope(purpose="service" if act == "purpose" else ""))
            yield "b" * 40
            yield "c" * 40

        try:
            async with bridge.turn(write("hi", "chat")) as turn:
                await turn.stream(words())
        except Halted:
            assert act != "purpose"
        assert [text for _, text in screen.shown] == ["a" * 40, ""]
        assert screen.sent == []


class TestUnderWay:
    """What its own process has claimed, and waits there for what leaves before it."""

    async def test_of_a_long_reply_no_more_leaves(self, deploy, pigeon):
        async with deploy() as bridge:
            await answer(bridge)

            async def send(outgoing):
                pigeon.texts.append(outgoing.text)
                await bridge.control.kill()
                return Sent("sent", provider_id=outgoing.key)

            pigeon.send = send
            async with bridge.turn(write("more")) as turn:
                for number in range(4):
                    turn.reply(f"part {number}")
            assert pigeon.texts == ["v11: hi", "part 0"]
            assert [d.status for d in turn.deliveries] == ["sent"] + ["withheld"] * 3

    async def test_what_is_paused_leaves_once_that_is_over(self, deploy, pigeon, clock):
        async with deploy() as bridge:
            send = pigeon.send

            async def pausing(outgoing):
                pigeon.send = send
                await bridge.control.pause()
                return await send(outgoing)

            pigeon.send = pausing
            async with bridge.turn(write("more")) as turn:
                for number in range(3):
                    turn.reply(f"part {number}")
            assert pigeon.texts == ["part 0"]
            await bridge.control.resume()
            for _ in range(3):
                clock.time += 5_000
                await bridge.dispatch()
            assert pigeon.texts == ["part 0", "part 1", "part 2"]

    async def test_a_release_that_is_rolled_back_is_answered_for(self, deploy, pigeon):
        """Its reply waits for the provider's pace; the other release is asked instead."""
        pigeon.per_second = 2.0
        async with deploy() as bridge:
            await bridge.control.promote("support", "v12")
            async with anyio.create_task_group() as group:
                group.start_soon(answer, bridge, "one")
                await anyio.sleep(0.1)
                group.start_soon(lambda: answer(bridge, "two", sender=other(2)))
                await anyio.sleep(0.1)
                await bridge.control.rollback("support", to="v11", within_seconds=0)
            assert pigeon.texts == ["v12: one"]
            await bridge.recover(bridge.deployed)
            (_, reply) = pigeon.texts
            assert reply.startswith("v11: ")


class TestSystem:
    """What a guard has said in the agent's place, in a turn that goes on all the same."""

    async def test_a_confirmation_stays_behind_where_a_colleague_has_the_floor(
        self, deploy, pigeon
    ):
        async with deploy() as bridge, deploy() as operator:
            await answer(bridge)
            await bridge.floor.accept(SMS, by="bea")
            await operator.control.kill()
            await bridge.answer(write("STOP"), bridge.deployed)
            assert pigeon.texts == ["v11: hi"]
            contact = (await bridge.context(SMS, fresh=True)).contact
            assert not may_send(contact.consents, "sms", "service", SMS.value)

    @pytest.mark.parametrize("stage", ["inbound", "reply"])
    async def test_a_halt_of_the_purpose_holds_it_too(self, deploy, pigeon, stage):
        @guard(stage, name="legal")
        def legal(check):
            return block("no", say="A colleague will write to you.")

        async with deploy(guards=[legal]) as bridge:
            await bridge.control.kill(Scope(purpose="service"))
            await answer(bridge)
            assert pigeon.texts == []


class TestDueLater:
    """What was killed before its time, and the kill is over by then."""

    @pytest.mark.parametrize("kind", ["tenant", "purpose", "release", "contact", "conversation"])
    @pytest.mark.parametrize("how", ["resume", "pause"])
    async def test_it_never_leaves(self, deploy, pigeon, clock, kind, how):
        async with deploy(guards=[_later]) as bridge, deploy() as operator:
            await answer(bridge, "wrong prices")
            context = await bridge.context(SMS)
            scope = {
                "tenant": Scope(), "purpose": Scope(purpose="service"),
                "release": Scope(agent="support", version="v11"),
                "contact": Scope(contact=context.contact.id.hex()),
                "conversation": Scope(conversation=context.conversation.hex()),
            }[kind]  # fmt: skip
            await operator.control.kill(scope)
            if how == "pause":
                await operator.control.pause(scope)
            await operator.control.resume(scope)
            clock.time += 2 * HOUR
            await bridge.dispatch()
            assert pigeon.texts == []

    async def test_also_where_the_store_failed_when_it_was_killed(
        self, deploy, pigeon, clock, monkeypatch
    ):
        async with deploy(guards=[_later]) as bridge, deploy() as operator:
            await answer(bridge, "wrong prices")

            async def fails(step):
                raise errors.Unavailable("no")

            with monkeypatch.context() as broken:
                broken.setattr(operator.store, "deliver", fails)
                await operator.control.kill()
                with pytest.raises(errors.Unavailable):
                    await operator.control.resume()
            assert (await operator.control.read()).halts
            await operator.control.resume()
            clock.time += 2 * HOUR
            await bridge.dispatch()
            assert pigeon.texts == []

    async def test_what_is_not_of_it_leaves(self, deploy, pigeon, clock):
        async with deploy(guards=[_later]) as bridge, deploy() as operator:
            await answer(bridge, "hello")
            for scope in (
                Scope(purpose="marketing"), Scope(agent="support", version="v12"),
                Scope(channel="chat"), Scope(contact="00" * 16), Scope(conversation="00" * 16),
            ):  # fmt: skip
                await operator.control.kill(scope)
            await operator.control.kill(dry_run=True)
            clock.time += 2 * HOUR
            await bridge.dispatch()
            assert pigeon.texts == ["v11: hello"]


def test_a_thousand_halts_of_contacts_keep_nobody_from_killing_all():
    control = Control()
    for number in range(rules.MOST_HALTS):
        control = rules.with_halt(control, Halt(Scope(contact=f"{number:032x}"), "pause"))
    with pytest.raises(errors.UsageError):
        rules.with_halt(control, Halt(Scope(contact="f" * 32), "pause"))
    control = rules.with_halt(control, Halt(Scope(), "kill"))
    for number in range(1, rules.MOST_WIDER):
        control = rules.with_halt(control, Halt(Scope(channel=f"c{number}"), "pause"))
    with pytest.raises(errors.UsageError):
        rules.with_halt(control, Halt(Scope(channel="one more"), "pause"))
