"""One person or two: merged, looked at before, split again, an address given up."""

import pytest

from ctxbridge import Assurance, Bridge, errors
from ctxbridge.model import Address, Event

from .conftest import SENDERS, Ticket, exchange, write

SMS, MAIL, CHAT = SENDERS["sms"], SENDERS["email"], SENDERS["chat"]


async def words(bridge, address):
    return [m.text for m in (await bridge.context(address, window=0)).messages]


async def two(bridge, *, state=""):
    """Somebody by SMS and somebody by mail, as far as anybody knows."""
    for channel in ("sms", "email"):
        async with bridge.turn(write(f"by {channel}", channel)) as turn:
            if state:
                turn.state.order, turn.state.turns = f"{state} {channel}", 1
            turn.reply(f"re: {channel}")


def joined(ours, theirs):
    return Ticket(f"{ours.order} and {theirs.order}", ours.turns + theirs.turns)


class TestPreview:
    async def test_it_tells_what_there_would_be_and_changes_nothing(self, bridge):
        await two(bridge, state="A")
        seen = await bridge.preview_merge(SMS, MAIL)
        assert set(seen.merged.addresses) == {SMS, MAIL}
        assert seen.merged.merged == (seen.contact.id,)
        assert (seen.into.addresses, seen.contact.addresses) == ((SMS,), (MAIL,))
        assert (seen.entries, seen.waiting, seen.states) == ((2, 2), 0, "both")
        assert await words(bridge, SMS) == ["by sms", "re: sms"]

    async def test_of_one_contact_there_is_nothing_to_preview(self, bridge):
        await two(bridge)
        await bridge.link(SMS, CHAT, evidence="crm:1")
        with pytest.raises(errors.UsageError, match="one contact already"):
            await bridge.preview_merge(SMS, CHAT)
        with pytest.raises(errors.UnknownContact):
            await bridge.preview_merge(SMS, "chat:nobody")


class TestMerge:
    async def test_the_next_turn_knows_both(self, bridge):
        await two(bridge)
        both = await bridge.merge(SMS, MAIL, evidence="ticket:1")
        async with bridge.turn(write("and now?", "email")) as turn:
            seen = [m.text for m in turn.context.messages]
            turn.reply("I know")
        assert seen == ["by sms", "re: sms", "by email", "re: email", "and now?"]
        assert turn.context.contact.id == both.id
        assert await words(bridge, SMS) == await words(bridge, MAIL)

    async def test_a_repetition_a_circle_and_oneself_change_nothing(self, bridge):
        await two(bridge)
        both = await bridge.merge(SMS, MAIL, evidence="ticket:1")
        seq = (await bridge.context(SMS)).seq
        for into, other in ((SMS, MAIL), (MAIL, SMS), (SMS, SMS)):
            assert (await bridge.merge(into, other, evidence="ticket:1")).id == both.id
        assert (await bridge.context(SMS)).seq == seq

    async def test_two_states_need_to_be_told_how_they_become_one(self, bridge):
        await two(bridge, state="A")
        with pytest.raises(errors.UsageError, match="states="):
            await bridge.merge(SMS, MAIL, evidence="ticket:1")
        assert await words(bridge, MAIL) == ["by email", "re: email"]
        await bridge.merge(SMS, MAIL, evidence="ticket:1", states=joined)
        async with bridge.turn(write("hello")) as turn:
            assert (turn.state.order, turn.state.turns) == ("A sms and A email", 2)

    async def test_a_state_of_the_other_alone_is_taken_over(self, bridge):
        await exchange(bridge, write("by sms"))
        async with bridge.turn(write("by email", "email")) as turn:
            turn.state.order = "A-17"
        await bridge.merge(SMS, MAIL, evidence="ticket:1")
        async with bridge.turn(write("hello")) as turn:
            assert turn.state.order == "A-17"

    async def test_nobody_evidence_and_who_was_erased_are_refused(self, bridge):
        await two(bridge)
        with pytest.raises(errors.UnknownContact):
            await bridge.merge(SMS, "chat:nobody", evidence="ticket:1")
        with pytest.raises(errors.UsageError, match="evidence"):
            await bridge.merge(SMS, MAIL, evidence="")
        await bridge.erase(MAIL)
        again = await bridge.context(MAIL)
        assert again.contact.links == ()
        merged = await bridge.merge(SMS, MAIL, evidence="ticket:1")
        assert merged.addresses == (SMS,), "of who was erased there is nothing left to come along"

    async def test_a_turn_that_runs_meanwhile_is_answered_once_with_all_that_is_known(
        self, bridge, clock
    ):
        await two(bridge)
        async with bridge.turn(write("what now?", "email", "M-running")) as turn:
            await bridge.merge(SMS, MAIL, evidence="ticket:1")
            turn.reply("an answer that knows half")
        assert (turn.status, turn.answer) == ("superseded", ())
        clock.time += 5_000
        seen = []

        async def think(turn):
            seen.append([m.text for m in turn.context.messages])
            turn.reply("an answer that knows all")

        await bridge.recover(think)
        assert seen == [["by sms", "re: sms", "by email", "re: email", "what now?"]]
        told = await words(bridge, MAIL)
        assert told[-1] == "an answer that knows all"
        assert "an answer that knows half" not in told

    async def test_stop_of_either_is_stop_of_both(self, bridge):
        await two(bridge)
        await bridge.consent(MAIL, granted=False, evidence="call:1")
        both = await bridge.merge(SMS, MAIL, evidence="ticket:1")
        assert [word.granted for word in both.consents] == [False]
        async with bridge.turn(write("hello")) as turn:
            assert not turn.open

    async def test_what_one_may_not_see_stays_hidden(self, bridge):
        """A merge says that both are one person, not that any mail is from them."""
        await two(bridge)
        await bridge.merge(SMS, MAIL, evidence="ticket:1")
        async with bridge.turn(write("it is me", "email", assurance=Assurance.CLAIMED)) as turn:
            assert [m.text for m in turn.context.messages] == ["it is me"]
            assert turn.context.withheld


class TestSplit:
    async def test_a_wrong_merge_leaves_no_trace_of_the_other(self, bridge):
        await two(bridge, state="A")
        before = {a: await bridge.context(a, window=0) for a in (SMS, MAIL)}
        await bridge.merge(SMS, MAIL, evidence="ticket:1", states=joined)
        await exchange(bridge, write("later by sms"), "re: later sms")
        await exchange(bridge, write("later by email", "email"), "re: later email")
        ours, theirs = await bridge.split(SMS, evidence="ticket:2")
        assert (ours.id, theirs.id) == (before[SMS].contact.id, before[MAIL].contact.id)
        assert await words(bridge, SMS) == ["by sms", "re: sms", "later by sms", "re: later sms"]
        assert await words(bridge, MAIL) == [
            "by email", "re: email", "later by email", "re: later email",
        ]  # fmt: skip
        for channel in ("sms", "email"):
            async with bridge.turn(write("hello", channel)) as turn:
                assert turn.state.order == f"A {channel}"
        assert (await bridge.context(MAIL)).conversation == before[MAIL].conversation

    async def test_who_was_silent_before_and_wrote_since_takes_that_along(self, bridge):
        await two(bridge)
        await bridge.link(MAIL, CHAT, evidence="crm:1")
        await bridge.merge(SMS, MAIL, evidence="ticket:1")
        await exchange(bridge, write("by chat", "chat"), "re: chat")
        _, theirs = await bridge.split(SMS, evidence="ticket:2")
        assert set(theirs.addresses) == {MAIL, CHAT}
        assert await words(bridge, CHAT) == ["by email", "re: email", "by chat", "re: chat"]
        assert await words(bridge, SMS) == ["by sms", "re: sms"]

    async def test_of_several_the_latest_or_the_one_that_is_named(self, bridge):
        await two(bridge)
        await exchange(bridge, write("by chat", "chat"), "re: chat")
        mail = (await bridge.context(MAIL)).contact.id
        await bridge.merge(SMS, MAIL, evidence="ticket:1")
        await bridge.merge(SMS, CHAT, evidence="ticket:1")
        _, theirs = await bridge.split(SMS, mail.hex(), evidence="ticket:2")
        assert theirs.addresses == (MAIL,)
        _, theirs = await bridge.split(SMS, evidence="ticket:2")
        assert theirs.addresses == (CHAT,)
        with pytest.raises(errors.UsageError, match="nobody was merged"):
            await bridge.split(SMS, evidence="ticket:2")
        with pytest.raises(errors.UsageError, match="nobody of this id"):
            await bridge.split(SMS, mail, evidence="ticket:2")
        with pytest.raises(errors.UsageError, match="16 bytes"):
            await bridge.split(SMS, "no id", evidence="ticket:2")

    async def test_what_was_merged_into_the_part_is_split_from_the_outside_in(self, bridge):
        await two(bridge)
        await exchange(bridge, write("by chat", "chat"), "re: chat")
        chat = (await bridge.context(CHAT)).contact
        await bridge.merge(MAIL, CHAT, evidence="ticket:1")
        await bridge.merge(SMS, MAIL, evidence="ticket:1")
        with pytest.raises(errors.UsageError, match="split that one off"):
            await bridge.split(SMS, chat, evidence="ticket:2")
        await bridge.split(SMS, evidence="ticket:2")
        assert await words(bridge, CHAT) == ["by email", "re: email", "by chat", "re: chat"]
        await bridge.split(MAIL, chat, evidence="ticket:2")
        assert await words(bridge, CHAT) == ["by chat", "re: chat"]

    async def test_a_repetition_of_what_came_before_stays_a_duplicate(self, bridge):
        await exchange(bridge, write("by sms"))
        await exchange(bridge, write("by email", "email", "once"), "re: email")
        await bridge.merge(SMS, MAIL, evidence="ticket:1")
        assert await exchange(bridge, write("by email", "email", "once")) == ["re: email"]
        await bridge.split(SMS, evidence="ticket:2")
        assert await exchange(bridge, write("by email", "email", "once")) == ["re: email"]
        assert len(await words(bridge, MAIL)) == 2

    async def test_what_an_address_that_was_unlinked_since_had_said_is_the_parts(self, bridge):
        await two(bridge)
        await bridge.link(MAIL, CHAT, evidence="crm:1")
        await bridge.merge(SMS, MAIL, evidence="ticket:1")
        await exchange(bridge, write("by chat", "chat"))
        await bridge.unlink(CHAT, evidence="crm:2", history="stays")
        await bridge.split(SMS, evidence="ticket:2")
        assert await words(bridge, SMS) == ["by sms", "re: sms"]
        assert await words(bridge, MAIL) == ["by email", "re: email", "by chat", "re: by chat"]
        assert await words(bridge, CHAT) == []


class TestUnlink:
    async def test_what_it_said_stays_with_the_person_or_goes(self, bridge):
        await exchange(bridge, write("by sms"))
        await bridge.link(SMS, MAIL, evidence="crm:1")
        await exchange(bridge, write("by email", "email"))
        new = await bridge.unlink(SMS, evidence="crm:2", history="stays")
        assert new.addresses == (SMS,)
        assert await words(bridge, MAIL) == ["by sms", "re: by sms", "by email", "re: by email"]
        assert await words(bridge, SMS) == []
        await exchange(bridge, write("somebody else"))
        assert await words(bridge, SMS) == ["somebody else", "re: somebody else"]
        assert "somebody else" not in await words(bridge, MAIL)
        await bridge.link(MAIL, CHAT, evidence="crm:3")
        await exchange(bridge, write("by chat", "chat"))
        await bridge.unlink(CHAT, evidence="crm:4", history="goes")
        assert await words(bridge, CHAT) == ["by chat", "re: by chat"]
        assert "by chat" not in await words(bridge, MAIL)

    async def test_an_answer_that_waits_goes_along_and_what_was_to_leave_does_not(
        self, bridge, clock
    ):
        await exchange(bridge, write("by email", "email"))
        await bridge.link(MAIL, SMS, evidence="crm:1")
        with pytest.raises(ZeroDivisionError):
            async with bridge.turn(write("is anybody there?")):
                raise ZeroDivisionError
        await bridge.unlink(SMS, evidence="crm:2", history="stays")
        clock.time += 60_000
        seen = []

        async def think(turn):
            seen.append([m.text for m in turn.context.messages])
            turn.reply("yes")

        await bridge.recover(think)
        assert seen == [["is anybody there?"]]
        assert await words(bridge, SMS) == ["is anybody there?", "yes"]

    async def test_the_only_address_and_a_word_that_is_none_are_refused(self, bridge):
        await exchange(bridge, write("by sms"))
        with pytest.raises(errors.UsageError, match="only address"):
            await bridge.unlink(SMS, evidence="crm:2", history="stays")
        with pytest.raises(errors.UnknownContact):
            await bridge.unlink(MAIL, evidence="crm:2", history="stays")
        with pytest.raises(errors.UsageError, match="history"):
            await bridge.unlink(SMS, evidence="crm:2", history="whatever")


async def test_the_log_tells_how_somebody_came_by_their_addresses(bridge):
    await two(bridge)
    await bridge.link(SMS, CHAT, evidence="crm:1")
    await bridge.merge(SMS, MAIL, evidence="ticket:1", source="operator")
    await bridge.unlink(CHAT, evidence="crm:2", history="stays")
    await bridge.split(SMS, evidence="ticket:2")
    told = await bridge.history(SMS)
    assert [event.kind for _, event in told] == ["link", "merge", "split", "split"]
    assert [event.about("evidence") for _, event in told] == [
        "crm:1",
        "ticket:1",
        "crm:2",
        "ticket:2",
    ]
    assert told[1][1].about("source") == "operator"
    assert all(isinstance(event, Event) for _, event in told)
    assert [e.kind for _, e in await bridge.history(MAIL)] == ["split"]


async def test_sealed_words_are_read_by_whoever_they_belong_to(tmp_path, clock):
    keys = {"k1": bytes(range(32))}

    def seal(tenant, id):
        return ("k1", keys["k1"])

    where = f"sqlite:///{tmp_path}/sealed.db"
    async with Bridge(where, tenant="acme", state=Ticket, clock=clock, seal=seal) as bridge:
        await two(bridge, state="A")
        await bridge.merge(SMS, MAIL, evidence="ticket: xylophone", states=joined)
        await exchange(bridge, write("later by email", "email"), "re: later")
        assert (await words(bridge, SMS))[-1] == "re: later"
        await bridge.split(SMS, evidence="ticket: xylophone")
        assert await words(bridge, MAIL) == ["by email", "re: email", "later by email", "re: later"]
        assert [e.about("evidence") for _, e in await bridge.history(SMS)] == [
            "ticket: xylophone"
        ] * 2
        stored = b"".join(p.read_bytes() for p in tmp_path.iterdir())
        for word in (b"later", b"xylophone", b"A email"):
            assert word not in stored


async def test_old_addresses_are_written_as_they_are_known(bridge):
    """`merge` takes addresses as people write them."""
    await exchange(bridge, write("by email", "email", sender=Address("email", "Ann@Example.org")))
    await exchange(bridge, write("by sms"))
    both = await bridge.merge("sms:+1 555 010 0001", "email:ANN@example.org", evidence="ticket:1")
    assert set(both.addresses) == {SMS, MAIL}
