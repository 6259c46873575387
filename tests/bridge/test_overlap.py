"""Two messages at once: merged, queued, superseded or rejected, and never lost."""

import anyio
import pytest
from msgspec.structs import replace

from ctxbridge import Address, Assurance, Bridge, errors
from ctxbridge.bridge.overlap import Overlap
from ctxbridge.model import Text
from tests.patience import LIMIT_SECONDS, until

from .conftest import SENDERS, exchange, write


async def stored(bridge, inbound):
    """Wait until the message is in the log, whatever became of it."""

    async def there():
        context = await bridge.context(inbound.sender, window=0, fresh=True)
        return any(m.message_id == inbound.message_id for m in context.messages)

    await until(there)


async def deliver_all(bridge, inbounds, agent=None):
    """Each while the first is being answered, in this order; gives the turns."""
    turns, all_are_in = [], anyio.Event()

    async def think(turn):
        await all_are_in.wait()
        return "re: " + " ".join(m.text for m in turn.messages)

    async def deliver(inbound):
        turns.append(await bridge.answer(inbound, agent or think))

    async with anyio.create_task_group() as group:
        for inbound in inbounds:
            group.start_soon(deliver, inbound)
            await stored(bridge, inbound)
        all_are_in.set()
    return turns


async def log(bridge, channel="sms"):
    return [(m.text, m.disposition) for m in (await bridge.context(SENDERS[channel])).messages]


class TestMerge:
    async def test_what_came_while_a_turn_ran_becomes_one_turn(self, bridge):
        turns = await deliver_all(bridge, [write(w) for w in ("one", "two", "three", "four")])
        assert sorted(t.status for t in turns) == ["merged", "merged", "new", "new"]
        answers = [[m.text for m in t.answer] for t in turns if t.status == "new"]
        assert answers == [["re: one"], ["re: two three four"]]
        assert await log(bridge) == [
            ("one", "accepted"), ("two", "accepted"), ("three", "accepted"), ("four", "accepted"),
            ("re: one", "accepted"), ("re: two three four", "accepted"),
        ]  # fmt: skip
        assert (await bridge.context(SENDERS["sms"])).waiting == ()

    async def test_a_repeated_message_that_was_merged_is_told_so_and_answered_by_nobody(
        self, bridge
    ):
        inbounds = [write(w, id=w) for w in ("one", "two", "three")]
        await deliver_all(bridge, inbounds)
        for inbound, status in zip(inbounds, ("duplicate", "duplicate", "merged"), strict=True):
            async with bridge.turn(inbound) as turn:
                assert (turn.status, turn.open) == (status, False)
            assert bool(turn.answer) == (status == "duplicate")

    async def test_both_channels_become_one_turn(self, bridge):
        await bridge.link(SENDERS["sms"], SENDERS["chat"], evidence="crm")
        await deliver_all(bridge, [write("one"), write("two", "chat"), write("three")])
        assert [text for text, _ in await log(bridge)][-1] == "re: two three"

    async def test_the_agent_sees_all_of_them_last_and_in_their_order(self, bridge):
        seen = []

        inbounds = [write(w) for w in ("one", "two", "three")]

        async def look(turn):
            for inbound in inbounds:
                await stored(bridge, inbound)
            seen.append([m["content"] for m in turn.context.as_chat()])

        await deliver_all(bridge, inbounds, agent=look)
        assert seen == [["one"], ["one", "two", "three"]]

    async def test_a_message_of_lower_assurance_never_joins(self, bridge):
        await bridge.link(SENDERS["sms"], SENDERS["email"], evidence="crm")
        mail = write("forged", "email", assurance=Assurance.CLAIMED)
        low, high = write("one"), write("three", assurance=Assurance.VERIFIED)
        turns = await deliver_all(bridge, [low, mail, high])
        assert [t.status for t in turns] == ["new"] * 3
        assert {tuple(m.text for m in t.messages) for t in turns} == {
            ("one",),
            ("forged",),
            ("three",),
        }

    async def test_who_may_not_be_seen_does_not_join(self, bridge):
        await bridge.link(
            SENDERS["sms"], SENDERS["chat"], evidence="typed", assurance=Assurance.CLAIMED
        )
        turns = await deliver_all(bridge, [write("one"), write("two", "chat"), write("three")])
        assert sorted(" ".join(m.text for m in t.messages) for t in turns) == [
            "one",
            "three",
            "two",
        ]

    async def test_stop_in_a_burst_is_confirmed_and_nothing_else_is_said(self, bridge):
        turns = await deliver_all(
            bridge, [write("one"), write("two"), write("STOP"), write("four")]
        )
        said = [m.text for t in turns for m in t.answer]
        assert len(said) == 1
        assert "no more messages" in said[0]

    async def test_a_guard_judges_each_that_joins(self, bridge, another):
        from ctxbridge import guards

        @guards.guard("inbound", name="no_two")
        def no_two(check):
            return guards.block("two") if "two" in check.text else guards.allow()

        strict = await another(guards=[no_two])
        await deliver_all(strict, [write(w) for w in ("one", "two again", "three", "not two")])
        dispositions = dict(await log(bridge))
        assert dispositions["two again"] == dispositions["not two"] == "quarantined"
        assert dispositions["three"] == "accepted"

    async def test_more_than_the_window_that_waits_is_still_seen_whole(self, another):
        narrow = await another(window=3)
        turns = await deliver_all(narrow, [write(f"m{n}") for n in range(12)])
        whole = next(t for t in turns if len(t.messages) > 3)
        assert [m.text for m in whole.messages] == [f"m{n}" for n in range(1, 12)]

    async def test_a_message_whose_worker_died_joins_the_next(self, bridge, clock):
        with pytest.raises(ZeroDivisionError):
            async with bridge.turn(write("one")):
                raise ZeroDivisionError
        async with bridge.turn(write("two")) as turn:
            assert [m.text for m in turn.messages] == ["one", "two"]
            turn.reply("both")
        assert (await log(bridge))[0] == ("one", "accepted")

    @pytest.mark.parametrize("quiet", [1.5])
    async def test_a_turn_waits_for_quiet_where_it_is_told_to(self, another, quiet):
        patient = await another({"sms": Overlap("merge", quiet_seconds=quiet)})

        async def at_once(turn):
            return "re: " + " ".join(m.text for m in turn.messages)

        turns = await deliver_all(
            patient, [write(w) for w in ("hi", "it is", "about A-17")], at_once
        )
        assert [t.status for t in turns].count("new") == 1
        assert [m.text for t in turns for m in t.answer] == ["re: hi it is about A-17"]
        assert all(t.status == "merged" for t in turns if not t.answer)


class TestQueue:
    async def test_each_has_a_turn_of_its_own(self, queueing):
        turns = await deliver_all(queueing, [write(w) for w in ("one", "two", "three")])
        assert [[m.text for m in t.answer] for t in turns] == [
            ["re: one"],
            ["re: two"],
            ["re: three"],
        ]

    async def test_each_channel_can_have_its_own_way(self, another):
        both = await another({"chat": "queue", "sms": "merge"})
        await both.link(SENDERS["sms"], SENDERS["chat"], evidence="crm")
        inbounds = [write("one"), write("two", "chat"), write("three"), write("four")]
        turns = await deliver_all(both, inbounds)
        assert sorted(" ".join(m.text for m in t.messages) for t in turns if t.status == "new") == [
            "one", "three four", "two",
        ]  # fmt: skip


class TestSupersede:
    async def test_the_running_turn_is_told_and_a_new_one_starts_with_both(self, another):
        one = await another("supersede")
        told = []

        async def agent(turn):
            if len(turn.messages) == 1:
                with anyio.fail_after(LIMIT_SECONDS):
                    await turn.superseded.wait()
                told.append(turn.superseded.is_set())
            return "re: " + " ".join(m.text for m in turn.messages)

        turns = await deliver_all(one, [write("one"), write("two")], agent=agent)
        assert [(t.status, [m.text for m in t.answer]) for t in turns] in (
            [("superseded", []), ("new", ["re: one two"])],
            [("new", ["re: one two"]), ("superseded", [])],
        )
        assert told == [True]
        assert [text for text, _ in await log(one)] == ["one", "two", "re: one two"]

    async def test_it_is_told_by_another_process_too(self, another):
        here, there = await another("supersede"), await another("supersede")
        running = anyio.Event()
        async with anyio.create_task_group() as group:

            async def first():
                async with here.turn(write("one", id="1")) as turn:
                    running.set()
                    with anyio.fail_after(LIMIT_SECONDS):
                        await turn.superseded.wait()
                    turn.reply("too late")
                assert (turn.status, turn.answer) == ("superseded", ())

            group.start_soon(first)
            await running.wait()
            async with there.turn(write("two")) as turn:
                assert [m.text for m in turn.messages] == ["one", "two"]
                turn.reply("both")
        assert [text for text, _ in await log(here)] == ["one", "two", "both"]

    @pytest.mark.parametrize("assurance", [Assurance.CLAIMED, Assurance.VERIFIED])
    async def test_only_a_message_of_equal_assurance_supersedes(self, another, assurance):
        one = await another("supersede")
        await one.link(SENDERS["sms"], SENDERS["email"], evidence="crm")
        inbounds = [write("one"), write("two", "email", assurance=assurance)]
        turns = await deliver_all(one, inbounds)
        assert [t.status for t in turns] == ["new", "new"]
        assert [[m.text for m in t.answer] for t in turns] == [["re: one"], ["re: two"]]


class TestReject:
    async def test_the_second_is_refused_and_not_stored(self, another):
        one = await another("reject")
        async with one.turn(write("one")):
            with pytest.raises(errors.Busy):
                await exchange(one, write("two"))
        assert [text for text, _ in await log(one)] == ["one"]

    async def test_stop_is_never_refused(self, another):
        one = await another("reject", wait_seconds=0.05)
        async with one.turn(write("one")) as turn:
            with pytest.raises(errors.Busy):
                await exchange(one, write("STOP"))
            turn.reply("on its way")
        assert turn.answer == ()


class TestBacklog:
    async def test_ten_thousand_at_once_are_bounded_and_the_oldest_are_kept(self, another):
        one = await another(wait_seconds=0.01, backlog=8)
        refused = stored = 0
        async with one.turn(write("first")):
            for number in range(1, 40):
                try:
                    await exchange(one, write(f"{number}"))
                except errors.BacklogFull:
                    refused += 1
                except errors.Busy:
                    stored += 1
        assert (stored, refused) == (7, 32)
        assert errors.BacklogFull.retry_safe
        async with one.turn(write("last")) as turn:
            assert [m.text for m in turn.messages] == [*map(str, range(1, 8)), "last"]


class TestSettings:
    @pytest.mark.parametrize(
        "wrong",
        ["sometimes", {"sms": "sometimes"}, Overlap("queue", 1.0), Overlap("merge", -1.0), 7,
         Overlap("merge", 61.0)],
    )  # fmt: skip
    async def test_what_makes_no_sense_is_refused(self, wrong):
        with pytest.raises(errors.ConfigurationError):
            Bridge("memory://", tenant="t", overlap=wrong)

    async def test_an_edit_of_somebody_else_changes_nothing(self, bridge):
        await exchange(bridge, write("mine", id="M1"))
        other = Address("sms", "+15550100777")
        await exchange(bridge, replace(write("theirs", sender=other), revises="M1"))
        async with bridge.turn(write("next")) as turn:
            assert turn.context.as_chat()[0]["content"] == "mine"
        assert Text("mine") in (await bridge.context(SENDERS["sms"])).messages[0].parts
