"""Edits and deletions: entries of their own, in any order, before or after their original."""

from itertools import permutations

import pytest
from msgspec.structs import replace

from ctxbridge import Assurance, Bridge
from ctxbridge.model.revision import current
from tests.patience import until

from .conftest import SENDERS, exchange, write


def edit(text, of, at, **more):
    return replace(write(text, "chat", **more), revises=of, occurred_at=at)


def delete(of, at, **more):
    return replace(write("", "chat", parts=(), **more), revises=of, occurred_at=at)


async def shown(bridge):
    """What a model would be shown, besides the message that it is to answer."""
    async with bridge.turn(write("and?", "chat")) as turn:
        return [m["content"] for m in turn.context.as_chat()][:-1]


class TestEdits:
    async def test_an_edit_is_noted_and_opens_no_turn(self, bridge):
        await exchange(bridge, write("order A-17", "chat", id="M1"))
        async with bridge.turn(edit("order A-18", "M1", 5)) as turn:
            assert (turn.status, turn.open) == ("noted", False)
        assert await shown(bridge) == ["order A-18", "re: order A-17"]

    async def test_what_was_said_first_is_kept_in_the_log(self, bridge):
        await exchange(bridge, write("order A-17", "chat", id="M1"))
        await exchange(bridge, edit("order A-18", "M1", 5))
        texts = [m.text for m in (await bridge.context(SENDERS["chat"])).messages]
        assert texts == ["order A-17", "re: order A-17", "order A-18"]

    async def test_an_edit_that_comes_twice_is_there_once(self, bridge):
        await exchange(bridge, write("one", "chat", id="M1"))
        twice = edit("two", "M1", 5, id="E1")
        await exchange(bridge, twice)
        async with bridge.turn(twice) as turn:
            assert turn.status == "duplicate"
        assert len((await bridge.context(SENDERS["chat"])).messages) == 3

    async def test_an_edit_may_come_before_its_original(self, bridge):
        await exchange(bridge, edit("order A-18", "M1", 5))
        async with bridge.turn(write("order A-17", "chat", id="M1")) as turn:
            assert turn.context.as_chat()[-1]["content"] == "order A-18"
            turn.reply("A-18 it is")
        assert await shown(bridge) == ["order A-18", "A-18 it is"]

    async def test_a_message_that_was_deleted_before_it_came_is_not_answered(self, bridge):
        await exchange(bridge, delete("M1", 5))
        async with bridge.turn(write("my secret", "chat", id="M1")) as turn:
            assert not turn.open
        assert turn.answer == ()
        assert await shown(bridge) == []
        assert "my secret" not in [m.text for m in (await bridge.context(SENDERS["chat"])).messages]

    async def test_a_deleted_message_is_shown_to_no_model(self, bridge):
        await exchange(bridge, write("my secret", "chat", id="M1"))
        await exchange(bridge, delete("M1", 5))
        assert await shown(bridge) == ["re: my secret"]

    async def test_a_message_edited_while_it_waited_is_answered_as_edited(self, bridge):
        async with bridge.turn(write("first", "chat")):
            import anyio

            answers = []

            async def late():
                async with bridge.turn(write("A-17", "chat", id="M2")) as turn:
                    answers.append(turn.context.as_chat()[-1]["content"])

            async def came():
                context = await bridge.context(SENDERS["chat"], fresh=True)
                return any(m.message_id == "M2" for m in context.messages)

            async with anyio.create_task_group() as group:
                group.start_soon(late)
                await until(came)
                await exchange(bridge, edit("A-18", "M2", 5))
                group.cancel_scope.cancel()
        async with bridge.turn(write("A-17", "chat", id="M2")) as turn:
            assert turn.context.as_chat()[-1]["content"] == "A-18"

    @pytest.mark.parametrize(
        "change", [{"assurance": Assurance.CLAIMED}, {"id": "x", "sender": SENDERS["sms"]}]
    )
    async def test_only_its_writer_can_change_a_message(self, bridge, change):
        await exchange(bridge, write("mine", "chat", id="M1"))
        await exchange(bridge, edit("forged", "M1", 5, **change))
        assert "mine" in await shown(bridge)

    async def test_an_edit_is_masked_like_any_message(self, bridge):
        await exchange(bridge, write("one", "chat", id="M1"))
        await exchange(bridge, edit("4111 1111 1111 1111", "M1", 5))
        assert (await shown(bridge))[0] == "[card …1111]"


async def test_every_order_of_arrival_ends_in_the_same_text():
    events = [
        write("v0", "chat", id="M1"),
        edit("v1", "M1", 10, id="E1"), edit("v2", "M1", 20, id="E2"), edit("v3", "M1", 30, id="E3"),
        write("other", "chat", id="M2"), edit("other 2", "M2", 15, id="E4"),
    ]  # fmt: skip
    ends = set()
    for order in permutations(events):
        async with Bridge("memory://", tenant="t") as bridge:
            for event in order:
                async with bridge.turn(event):
                    pass
            messages = current((await bridge.context(SENDERS["chat"])).messages)
            ends.add(tuple(sorted(m.text for m in messages)))
    assert ends == {("other 2", "v3")}


async def test_a_deletion_holds_in_every_order():
    events = [
        write("v0", "chat", id="M1"), edit("v1", "M1", 10), delete("M1", 20), edit("v2", "M1", 30),
    ]  # fmt: skip
    for order in permutations(events):
        async with Bridge("memory://", tenant="t") as bridge:
            for event in order:
                async with bridge.turn(event):
                    pass
            assert current((await bridge.context(SENDERS["chat"])).messages) == []
