"""Which release answers whom, what stands still, and what becomes of what was begun before."""

from typing import ClassVar

import anyio
import msgspec
import pytest

from ctxbridge import Address, Bridge, Release, errors
from ctxbridge.guards import block, guard
from ctxbridge.model import Floor, RecordWrite, Scope
from ctxbridge.model.record import CONTROL
from tests.bridge.conftest import SENDERS, write

SMS = SENDERS["sms"]
SUPPORT = Scope(agent="support")


async def said(bridge, address=SMS):
    """What was said to the customer, with the release that did."""
    context = await bridge.context(address, fresh=True)
    return [(m.text, m.release) for m in context.messages if m.author == "agent" and m.visible]


async def answer(bridge, text="hi", **more):
    return await bridge.answer(write(text, **more), bridge.deployed)


def other(number):
    return Address("sms", f"+1555020{number:04}")


class TestReleases:
    async def test_the_first_that_is_deployed_answers_and_all_is_marked_by_it(self, deploy):
        async with deploy() as bridge:
            turn = await answer(bridge)
            assert turn.release == Release("support", "v11")
            context = await bridge.context(SMS)
            assert [m.release for m in context.messages] == ["support@v11"] * 2
            assert context.release == Release("support", "v11").key

    async def test_a_conversation_stays_with_the_release_that_began_it(self, deploy, clock):
        async with deploy() as bridge, deploy() as elsewhere:
            await answer(bridge)
            await bridge.control.promote("support", "v12", by="ann")
            await answer(elsewhere, "again")
            await answer(elsewhere, "new", sender=other(1))
            assert [r for _, r in await said(bridge)] == ["support@v11"] * 2
            assert [r for _, r in await said(bridge, other(1))] == ["support@v12"]
            clock.time += 86_400_000
            await answer(elsewhere, "a day later")
            assert (await said(bridge))[-1] == ("v12: a day later", "support@v12")

    async def test_what_is_deployed_later_answers_nobody_until_it_is_told_to(self, deploy):
        async with deploy("v11") as bridge:
            await answer(bridge)
        async with deploy("v12", "v11") as bridge:
            turn = await answer(bridge, sender=other(1))
            assert turn.release == Release("support", "v11")
            assert (await bridge.control.read()).route("support").known == ("v11", "v12")

    async def test_a_canary_gets_the_same_contacts_and_more_of_them_as_it_grows(self, deploy):
        async with deploy() as bridge:
            got = {}
            for percent in (0, 20, 60, 100):
                await bridge.control.canary("support", "v12", percent)
                route = bridge.releases.route(bridge.steering.control)
                contacts = [bytes([n, m]) * 8 for n in range(40) for m in range(10)]
                got[percent] = {
                    c for c in contacts if _chosen(bridge, route, c) == "v12"
                }  # fmt: skip
            assert (len(got[0]), len(got[100])) == (0, 400)
            assert got[20] < got[60]
            assert 50 < len(got[20]) < 110
            assert 200 < len(got[60]) < 280

    async def test_a_canary_by_channel_and_by_label(self, deploy):
        @guard("inbound", early=True)
        def vip(check):
            from ctxbridge.model import Verdict

            return Verdict(labels=("vip",) if "gold" in check.text else ())

        async with deploy(guards=[vip]) as bridge:
            await bridge.control.canary("support", "v12", labels=["vip"], channels=["sms"])
            turns = [
                await answer(bridge, text, channel=channel, sender=sender)
                for text, channel, sender in (
                    ("gold", "sms", other(1)), ("gold", "chat", Address("chat", "g")),
                    ("tin", "sms", other(2)),
                )
            ]  # fmt: skip
            assert [turn.release.version for turn in turns] == ["v12", "v11", "v11"]

    async def test_a_drained_release_goes_on_with_what_it_has_and_gets_no_more(self, deploy):
        async with deploy() as bridge:
            await bridge.control.canary("support", "v12", 100)
            await answer(bridge)
            await bridge.control.drain("support", "v12", why="leaks")
            await answer(bridge)
            await answer(bridge, sender=other(1))
            assert [r for _, r in await said(bridge)] == ["support@v12"] * 2
            assert [r for _, r in await said(bridge, other(1))] == ["support@v11"]

    async def test_each_release_has_its_guards_and_those_of_the_bridge(self, deploy, agents):
        @guard("reply")
        def strict(check):
            return block("too.bold")

        bridge = deploy("v11")
        bridge.deploy("support@v12", agents.version("v12"), guards=[strict])
        async with bridge:
            await bridge.control.canary("support", "v12", 50, channels=["chat"])
            await bridge.control.canary("support", "v12", 100, channels=["chat"])
            assert (await answer(bridge)).said
            blocked = await answer(bridge, channel="chat")
            assert (blocked.release.version, blocked.said) == ("v12", ())

    async def test_what_is_not_deployed_here_waits_for_who_has_it(self, deploy):
        async with deploy() as both, deploy("v11") as old:
            await both.control.promote("support", "v12")
            turn = await answer(old)
            assert (turn.status, turn.open) == ("waiting", False)
            assert turn.release == Release("support", "v12")
            both.clock.time += 1_000
            assert await both.recover(both.deployed) == 1
            assert [r for _, r in await said(both)] == ["support@v12"]

    @pytest.mark.parametrize(
        "act",
        [
            lambda c: c.rollback("support", to="v9"),
            lambda c: c.rollback("support", to="v11", versions=["v9"]),
            lambda c: c.rollback("support", to="v11", versions=["v11"]),
            lambda c: c.rollback("sales", to="v11"),
            lambda c: c.promote("support", "v9"),
            lambda c: c.canary("support", "v9"),
            lambda c: c.canary("support", "v11"),
            lambda c: c.canary("support", "v12", 101),
            lambda c: c.canary("support", "v12", -1),
            lambda c: c.drain("support", "v11"),
            lambda c: c.drain("support", "v9"),
        ],
        ids=[str(number) for number in range(11)],
    )  # fmt: skip
    async def test_what_cannot_be_is_refused_and_changes_nothing(self, deploy, act):
        async with deploy() as bridge:
            before = await bridge.control.read()
            with pytest.raises(errors.ConfigurationError):
                await act(bridge.control)
            assert await bridge.control.read() == before

    @pytest.mark.parametrize(
        "name", ["", "support", "a@b@c", "a b@c", "@v1", "a@", "a@" + "v" * 65]
    )
    async def test_a_release_has_an_agent_and_a_version(self, name):
        with pytest.raises(errors.ConfigurationError):
            Release.parse(name)

    async def test_releases_are_deployed_before_the_bridge_is_entered_and_once(
        self, deploy, agents
    ):
        bridge = deploy("v11")
        for wrong in ("support@v11", "sales@v1"):
            with pytest.raises(errors.ConfigurationError):
                bridge.deploy(wrong, agents.version("x"))
        async with bridge:
            with pytest.raises(errors.UsageError):
                bridge.deploy("support@v12", agents.version("v12"))


def _chosen(bridge, route, contact):
    from ctxbridge.rules.control import choose

    return choose(route, contact, "sms", (), "", 0.0)


class TestRollback:
    async def test_new_turns_go_to_the_other_at_once_also_where_it_was_pinned(self, deploy):
        async with deploy() as bridge, deploy() as elsewhere:
            await bridge.control.promote("support", "v12")
            await answer(bridge, sender=other(1))
            report = await bridge.control.rollback("support", to="v11", by="ann", why="swears")
            assert (report.versions, report.stopped) == (("v12",), ())
            await answer(elsewhere, sender=other(1))
            await answer(elsewhere, sender=other(2))
            assert [r for _, r in await said(bridge, other(1))] == ["support@v12", "support@v11"]
            assert [r for _, r in await said(bridge, other(2))] == ["support@v11"]

    async def test_a_turn_that_runs_is_taken_up_by_the_other_on_the_same_context(
        self, deploy, agents, pigeon
    ):
        async with deploy() as bridge, deploy() as operator:
            await bridge.control.promote("support", "v12")
            reports = []

            async def rolled_back(turn):
                turn.keep  # noqa: B018
                report = await operator.control.rollback("support", to="v11", within_seconds=0.01)
                reports.append(report)

            agents.before["v12"] = rolled_back
            turn = await answer(bridge, "hello")
            assert agents.asked == [("v12", "hello"), ("v11", "hello")]
            assert pigeon.texts == ["v11: hello"]
            assert turn.release == Release("support", "v11")
            assert [r for _, r in await said(bridge)] == ["support@v11"]
            (report,) = reports
            assert len(report.stopped) == 1
            assert report.waiting == report.stopped, "it was not answered while we held it here"

    async def test_who_holds_the_turn_themselves_is_told_and_it_waits(self, deploy, pigeon):
        async with deploy() as bridge, deploy() as operator:
            await bridge.control.promote("support", "v12")
            with pytest.raises(errors.Halted) as caught:
                async with bridge.turn(write("hello")) as turn:
                    await operator.control.rollback("support", to="v11", within_seconds=0.01)
                    turn.reply("v12 was here")
            assert caught.value.code == "release.rolled_back"
            assert caught.value.retry_safe
            bridge.clock.time += 1_000
            assert await bridge.recover(bridge.deployed) == 1
            assert pigeon.texts == ["v11: hello"]

    async def test_an_agent_of_this_process_is_stopped_while_it_thinks(self, deploy, agents):
        async with deploy() as bridge:
            await bridge.control.promote("support", "v12")
            thinking = anyio.Event()

            async def for_ever(turn):
                thinking.set()
                await anyio.sleep_forever()

            agents.before["v12"] = for_ever
            async with anyio.create_task_group() as group:
                group.start_soon(answer, bridge, "hello")
                await thinking.wait()
                report = await bridge.control.rollback("support", to="v11", within_seconds=5)
            # It may be answered before the first look at what runs, which nobody waits for.
            assert (report.taken_up, report.waiting) == (report.stopped, ())
            assert [r for _, r in await said(bridge)] == ["support@v11"]

    async def test_or_a_person_is_to_answer(self, deploy, agents, pigeon):
        async with deploy() as bridge, deploy() as operator:
            await bridge.control.promote("support", "v12")

            async def rolled_back(turn):
                await operator.control.rollback(
                    "support", to="v11", running="handoff", within_seconds=0.01
                )

            agents.before["v12"] = rolled_back
            turn = await answer(bridge, "hello")
            assert (turn.said, pigeon.texts) == ((), [])
            context = await bridge.context(SMS)
            assert context.floor is Floor.QUEUE
            event = context.window[-1]
            assert (event.kind, event.about("reason")) == ("handoff.offered", "release.rolled_back")
            await answer(bridge, "anybody?")
            assert await said(bridge) == [], "the floor is not the agent's"

    async def test_what_has_not_left_is_withheld_and_answered_anew_by_the_other(
        self, deploy, pigeon
    ):
        async with deploy(guards=[_later]) as bridge:
            await bridge.control.promote("support", "v12")
            await answer(bridge, "hello")
            assert pigeon.texts == []
            report = await bridge.control.rollback("support", to="v11")
            assert (len(report.withheld), len(report.asked_anew)) == (1, 1)
            bridge.clock.time += 3_600_000
            assert await bridge.recover(bridge.deployed) == 1
            bridge.clock.time += 3_600_000
            await bridge.dispatch()
            assert len(pigeon.texts) == 1
            assert pigeon.texts[0].startswith("v11: ")
            again = await bridge.control.rollback("support", to="v11", versions=["v12"])
            assert (again.withheld, again.asked_anew) == ((), ())
            messages = (await bridge.context(SMS)).messages
            assert [m.author for m in messages] == ["contact", "agent", "system", "agent"]

    async def test_or_leaves_if_that_is_said(self, deploy, pigeon):
        async with deploy(guards=[_later]) as bridge:
            await bridge.control.promote("support", "v12")
            await answer(bridge, "hello")
            report = await bridge.control.rollback("support", to="v11", pending="release")
            assert (report.withheld, len(report.released)) == ((), 1)
            bridge.clock.time += 3_600_000
            await bridge.dispatch()
            assert pigeon.texts == ["v12: hello"]

    async def test_a_rehearsal_tells_and_changes_nothing(self, deploy, agents, pigeon):
        async with deploy(guards=[_later]) as bridge, deploy() as operator:
            await bridge.control.promote("support", "v12")
            await answer(bridge, "hello")
            before, reports = await bridge.control.read(), []

            async def rehearsed(turn):
                reports.append(await operator.control.rollback("support", to="v11", dry_run=True))

            agents.before["v12"] = rehearsed
            await answer(bridge, "and more", sender=other(1))
            (report,) = reports
            assert (len(report.stopped), len(report.withheld)) == (1, 1)
            assert "would roll back support@v12 to v11" in str(report)
            assert await bridge.control.read() == before

    async def test_twice_is_once_and_a_promotion_takes_it_back(self, deploy):
        async with deploy() as bridge:
            await bridge.control.promote("support", "v12")
            await bridge.control.rollback("support", to="v11")
            report = await bridge.control.rollback("support", to="v11")
            assert (report.versions, report.stopped) == (("v12",), ()) or report.versions == ()
            with pytest.raises(errors.ConfigurationError):
                await bridge.control.canary("support", "v12", 5)
            await bridge.control.promote("support", "v12")
            await answer(bridge)
            assert [r for _, r in await said(bridge)] == ["support@v12"]

    async def test_two_at_once_are_one_after_the_other(self, deploy):
        async with deploy("v10", "v11", "v12") as one, deploy("v10", "v11", "v12") as two:
            await one.control.promote("support", "v12")
            async with anyio.create_task_group() as group:
                for bridge, to in ((one, "v10"), (two, "v11")):
                    group.start_soon(_rolled_back, bridge, to)
            route = (await one.control.read()).route("support")
            acts = [control.act for control in await one.control.history()]
            assert route.stable in {"v10", "v11"}
            assert len([act for act in acts if act.startswith("rollback")]) == 2
            assert route.withdrawal("v12") is not None
            assert route.withdrawal(route.stable) is None


async def _rolled_back(bridge, to):
    await bridge.control.rollback("support", to=to)


@guard("reply")
def _later(check):
    """Lets every reply wait for an hour, once."""
    from ctxbridge.guards import defer

    return defer(check.now + 3_600_000, "later")


class TicketV1(msgspec.Struct):
    order: str = ""


class TicketV2(msgspec.Struct):
    schema_version: ClassVar[int] = 2
    orders: list[str] = []

    @classmethod
    def upgrade(cls, data, version):
        return {"orders": [data["order"]]}

    @classmethod
    def downgrade(cls, data, version):
        if data["orders"] == ["raise"]:
            raise ValueError("secret words")
        return {"order": data["orders"][-1] if data["orders"] else ""}


class TicketV3(msgspec.Struct):
    schema_version: ClassVar[int] = 3
    basket: str = ""


class TestStates:
    """What the newer release has written is read by the older one, or a person goes on."""

    def _two(self, deploy, newer):
        async def older_agent(turn):
            return f"v1 sees {turn.state.order}"

        async def newer_agent(turn):
            text = turn.inbound.text
            if newer is TicketV2:
                turn.state.orders = [text]
            else:
                turn.state.basket = text
            return "noted"

        bridge = deploy("v0")
        bridge.deploy("support@v1", older_agent, state=TicketV1)
        bridge.deploy("support@v2", newer_agent, state=newer)
        return bridge

    async def test_it_is_taken_back_by_the_schemas_own_downgrade(self, deploy):
        async with self._two(deploy, TicketV2) as bridge:
            await bridge.control.promote("support", "v2")
            await answer(bridge, "A-17")
            await bridge.control.rollback("support", to="v1")
            turn = await answer(bridge, "and?")
            assert turn.said[0].text == "v1 sees A-17"

    @pytest.mark.parametrize(
        ("newer", "text", "code"),
        [(TicketV2, "raise", "state.raised"), (TicketV3, "A-17", "state.no_downgrade")],
    )
    async def test_or_the_conversation_is_handed_over_and_nothing_is_dropped(
        self, deploy, newer, text, code
    ):
        async with self._two(deploy, newer) as bridge:
            await bridge.control.promote("support", "v2")
            await answer(bridge, text)
            before = (await bridge.context(SMS)).state
            await bridge.control.rollback("support", to="v1")
            turn = await answer(bridge, "and?")
            context = await bridge.context(SMS, fresh=True)
            assert (turn.said, context.floor, context.state) == ((), Floor.QUEUE, before)
            assert context.window[-1].about("reason") == code
            assert context.messages[-1].disposition == "accepted"


class TestHalts:
    @pytest.mark.parametrize(
        "scope",
        [
            Scope(), SUPPORT, Scope(agent="support", version="v11"), Scope(channel="sms"),
            Scope(endpoint="sms:+1 (555) 019-9999"), Scope(agent="support", channel="sms"),
        ],
        ids=str,
    )  # fmt: skip
    async def test_nothing_opens_while_it_stands_still_and_all_is_answered_then(
        self, deploy, scope, pigeon
    ):
        async with deploy() as bridge, deploy() as elsewhere:
            await elsewhere.control.pause(scope, by="ann", why="odd")
            turn = await answer(bridge, "hello")
            assert (turn.status, turn.open, pigeon.texts) == ("waiting", False, [])
            bridge.clock.time += 60_000
            await bridge.recover(bridge.deployed)
            assert pigeon.texts == []
            await elsewhere.control.resume(scope)
            bridge.clock.time += 60_000
            await bridge.steering.refresh()
            assert await bridge.recover(bridge.deployed) == 1
            assert pigeon.texts == ["v11: hello"]

    async def test_by_contact_and_by_conversation(self, deploy, pigeon):
        async with deploy() as bridge:
            await answer(bridge, "one")
            context = await bridge.context(SMS)
            for scope in (
                Scope(contact=context.contact.id.hex().upper()),
                Scope(conversation=context.conversation.hex()),
            ):
                await bridge.control.pause(scope)
                assert (await answer(bridge, "two")).status == "waiting"
                assert (await answer(bridge, "else", sender=other(1))).said
                await bridge.control.resume(scope)
                bridge.clock.time += 60_000
                await bridge.recover(bridge.deployed)
            assert pigeon.texts.count("v11: two") + sum("two" in t for t in pigeon.texts) >= 2

    async def test_others_go_on(self, deploy, agents):
        bridge = deploy()
        sales = Bridge(bridge.store, tenant="acme")
        sales.deploy("sales@v1", agents.version("v1"))
        async with bridge, sales:
            for scope in (
                Scope(agent="sales"), Scope(agent="support", version="v12"), Scope(channel="chat"),
                Scope(endpoint="sms:+1"), Scope(contact="00" * 16), Scope(conversation="00" * 16),
                Scope(purpose="marketing"),
            ):  # fmt: skip
                await bridge.control.kill(scope)
            assert (await answer(bridge, "hello")).said

    async def test_what_runs_is_not_committed(self, deploy, agents, pigeon):
        async with deploy() as bridge, deploy() as operator:

            async def paused(turn):
                await operator.control.pause(SUPPORT)

            agents.before["v11"] = paused
            with pytest.raises(errors.Halted) as caught:
                await answer(bridge, "hello")
            assert (caught.value.code, pigeon.texts) == ("control.paused", [])
            del agents.before["v11"]
            await operator.control.resume(SUPPORT)
            await bridge.steering.refresh()
            bridge.clock.time += 10_000
            assert await bridge.recover(bridge.deployed) == 1
            assert pigeon.texts == ["v11: hello"]

    @pytest.mark.parametrize("mode", ["pause", "kill"])
    async def test_what_has_not_left_waits_for_the_end_of_a_pause_and_dies_of_a_kill(
        self, deploy, pigeon, mode
    ):
        async with deploy(guards=[_later]) as bridge, deploy() as operator:
            await answer(bridge, "hello")
            await getattr(operator.control, mode)(Scope(channel="sms"))
            bridge.clock.time += 3_600_000
            for _ in range(3):
                await bridge.dispatch()
                bridge.clock.time += 5_000
            assert pigeon.texts == []
            await operator.control.resume(Scope(channel="sms"))
            bridge.clock.time += 5_000
            await bridge.dispatch()
            assert pigeon.texts == (["v11: hello"] if mode == "pause" else [])

    async def test_a_purpose_stands_still_and_service_goes_on(self, deploy, pigeon):
        async with deploy() as bridge, deploy() as operator:
            await answer(bridge, "hello")
            await operator.control.kill(Scope(purpose="marketing"))
            assert (await answer(bridge, "more")).said
            for _ in range(2):  # the second knows of it beforehand
                with pytest.raises(errors.Halted):
                    await bridge.send(SMS, "Sofas!", purpose="marketing")
            assert (await bridge.send(SMS, "Your sofa has left.")).delivery.status == "sent"

    async def test_a_reply_of_a_purpose_that_stands_still_is_withheld_and_others_leave(
        self, deploy, pigeon
    ):
        async with deploy() as bridge, deploy() as operator:
            await operator.control.kill(Scope(purpose="marketing"))
            for _ in range(2):  # the first learns of it from the store
                async with bridge.turn(write("hello")) as turn:
                    turn.reply("Sofas!", purpose="marketing")
                    turn.reply("Good day.")
                    turn.reply("Beds!", purpose="marketing")
            assert pigeon.texts == ["Good day."] * 2

    async def test_what_is_written_first_is_halted_too(self, deploy):
        async with deploy() as bridge, deploy() as operator:
            await answer(bridge, "hello")
            await operator.control.pause()
            with pytest.raises(errors.Halted):
                await bridge.send(SMS, "news")

    async def test_a_person_goes_on_where_only_the_agent_stands_still(self, deploy, pigeon):
        async with deploy() as bridge:
            await answer(bridge, "hello")
            await bridge.control.kill(SUPPORT)
            await bridge.floor.accept(SMS, by="ann")
            await bridge.floor.say(SMS, "Ann here.", by="ann")
            assert pigeon.texts[-1] == "Ann here."
            assert (await bridge.context(SMS)).messages[-1].release == ""
            await bridge.control.pause(Scope(channel="sms"))
            with pytest.raises(errors.Halted):
                await bridge.floor.say(SMS, "Still there?", by="ann")

    async def test_stop_counts_while_all_stands_still(self, deploy):
        async with deploy() as bridge:
            await answer(bridge, "hello")
            await bridge.control.kill()
            await answer(bridge, "STOP")
            contact = (await bridge.context(SMS)).contact
            assert [word.granted for word in contact.consents] == [False]

    async def test_who_halted_it_when_and_why_is_written_down(self, deploy, clock):
        async with deploy() as bridge:
            await bridge.control.pause(SUPPORT, by="ann", why="it swears")
            clock.time += 5
            await bridge.control.resume(SUPPORT, by="bob")
            acts = await bridge.control.history()
            assert [(c.act, c.by, c.why) for c in acts] == [
                ("resume agent=support", "bob", ""), ("pause agent=support", "ann", "it swears"),
                ("deploy support: v11, v12", "", ""),
            ]  # fmt: skip
            assert acts[0].at == clock.time
            assert [halt.by for halt in acts[1].halts] == ["ann"]

    async def test_what_does_not_stand_still_cannot_be_resumed(self, deploy):
        async with deploy() as bridge:
            await bridge.control.pause(SUPPORT)
            with pytest.raises(errors.UsageError, match="agent=support"):
                await bridge.control.resume()
            for scope in (
                Scope(version="v12"), Scope(contact="ann"), Scope(conversation="00"),
                Scope(endpoint="+15550199999"),
            ):  # fmt: skip
                with pytest.raises(errors.UsageError):
                    await bridge.control.pause(scope)

    async def test_many_that_wait_do_not_hide_who_does_not(self, deploy, pigeon):
        async with deploy() as bridge:
            await bridge.control.pause(Scope(channel="sms"))
            for number in range(120):
                await answer(bridge, "waits", sender=other(number))
            async with bridge.turn(write("lost", channel="chat")) as turn:
                await turn._require().hold.give_back(bridge.clock.now())
                turn._status = "superseded"
            bridge.clock.time += 10_000
            assert await bridge.recover(bridge.deployed) == 1
            assert pigeon.texts == []
            assert await said(bridge, SENDERS["chat"]) == [("v11: lost", "support@v11")]


async def test_a_worker_that_runs_learns_of_it_before_the_next_gate(deploy, agents):
    """Its agent is stopped while it thinks, though another process has rolled back."""
    async with deploy() as bridge, deploy() as operator:
        await bridge.control.promote("support", "v12")
        thinking, stopped = anyio.Event(), anyio.Event()

        async def for_ever(turn):
            thinking.set()
            try:
                await anyio.sleep_forever()
            finally:
                stopped.set()

        agents.before["v12"] = for_ever
        async with anyio.create_task_group() as group:
            group.start_soon(lambda: bridge.run(sweep_seconds=60.0))
            group.start_soon(answer, bridge, "hello")
            await thinking.wait()
            await operator.control.rollback("support", to="v11", within_seconds=0.0)
            with anyio.fail_after(50.0):  # and not the minute of its sweeps
                await stopped.wait()
                while not await said(bridge):  # noqa: ASYNC110
                    await anyio.sleep(0.01)
            group.cancel_scope.cancel()
        assert [r for _, r in await said(bridge)] == ["support@v11"]


class TestUnreadable:
    async def _newer(self, bridge, operator):
        control = await operator.control.read()
        value = (control.epoch + 1_000_000).to_bytes(8, "big") + b"\x63newer"
        write_ = RecordWrite("acme", *CONTROL, bridge.clock.now(), value)
        await bridge.store.records(write_)

    async def test_nothing_is_said_where_the_control_cannot_be_read(self, deploy, pigeon):
        async with deploy() as bridge, deploy() as operator:
            await self._newer(bridge, operator)
            with pytest.raises(errors.UnknownFormat):
                await answer(bridge, "hello")
            assert pigeon.texts == []
            assert len((await bridge.context(SMS)).messages) == 1, "it is stored, and waits"

    async def test_or_what_was_known_before_goes_on_if_that_is_wished(self, deploy, pigeon):
        async with deploy(control_fails="open") as bridge, deploy() as operator:
            await self._newer(bridge, operator)
            await answer(bridge, "hello")
            assert pigeon.texts == ["v11: hello"]


async def test_without_releases_halts_count_all_the_same(another):
    bridge = await another()

    async def agent(turn):
        return "ok"

    await bridge.control.pause()
    turn = await bridge.answer(write("hello"), agent)
    assert (turn.status, turn.release) == ("waiting", None)
    await bridge.control.resume()
    bridge.clock.time += 10_000
    assert await bridge.recover(agent) == 1
