"""States of several schemas behind a bridge: what a turn stores, and what stays as it is."""

import msgspec
import pytest

from ctxbridge import Bridge, errors, wire
from ctxbridge.bridge.keeping import Kept
from ctxbridge.wire.aside import NAME
from ctxbridge.wire.typed import StateCodec

from .conftest import SENDERS, exchange, write


class One(msgspec.Struct):
    order: str = ""


class Two(msgspec.Struct):
    schema_version = 2
    orders: list[str] = []
    paid: bool = False

    @classmethod
    def upgrade(cls, data, version):
        return {"orders": [data["order"]] if data["order"] else []}

    @classmethod
    def downgrade(cls, data, version):
        return {"order": data["orders"][0] if data["orders"] else ""}


class Stuck(Two):
    @classmethod
    def downgrade(cls, data, version):
        raise ValueError(data["orders"])


class Counting:
    name = "count"
    codec = StateCodec(One)


def bridge_of(url, model, newer=()):
    bridge = Bridge(url, tenant="t", state=model)
    bridge.codec = StateCodec(model, newer)
    return bridge


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path}/x.db"


async def turn(url, model, text, change=None, newer=()):
    """The state that a turn finds, after `change`, and the envelope that is stored then."""
    async with bridge_of(url, model, newer) as bridge:
        async with bridge.turn(write(text, id=f"SM-{text}")) as turn:
            state = turn.state
            if change is not None:
                change(state)
            turn.reply("so be it")
        context = await bridge.context("sms:+15550100001")
        return state, context.state


class TestTurns:
    async def test_a_rollback_and_back_again(self, url):
        def bought(state):
            state.orders, state.paid = ["A", "B"], True

        await turn(url, Two, "one", bought)
        state, _ = await turn(url, One, "two", lambda s: setattr(s, "order", "C"), [Two])
        assert state.order == "C"
        state, _ = await turn(url, One, "three", newer=[Two])
        assert state.order == "C"
        state, _ = await turn(url, Two, "four")
        assert state == Two(["C"], paid=True)

    @pytest.mark.parametrize(("before", "after"), [(One, Two), (Two, One)])
    async def test_reading_alone_writes_nothing(self, url, before, after):
        bought = {One: ("order", "A"), Two: ("orders", ["A"])}
        _, first = await turn(url, before, "one", lambda s: setattr(s, *bought[before]))
        found, second = await turn(url, after, "two", newer=[Two])
        assert getattr(found, bought[after][0]) == bought[after][1]
        assert second == first
        # With any change it is saved in the schema of who changes it.
        _, third = await turn(url, after, "three", lambda s: setattr(s, bought[after][0], type(bought[after][1])()), [Two])  # fmt: skip
        assert wire.decode_state(third).schema == getattr(after, "schema_version", 1)

    async def test_guards_keep_theirs_beside_what_is_laid_aside(self, url):
        _, first = await turn(url, Two, "one", lambda s: setattr(s, "paid", True))
        codec = StateCodec(One, [Two])
        kept = Kept(codec, first)
        kept.value.order = "B"
        second = kept.changed()
        kept = Kept(codec, second)
        kept.guards.keep(Counting, "inbound", One("seen"))
        third = kept.changed()
        assert [name for name, _ in wire.decode_state(third).guards] == ["count", NAME]
        assert StateCodec(Two).decode(third) == Two(["B"], paid=True)

    @pytest.mark.parametrize("way", ["read", "set"])
    async def test_what_cannot_be_read_is_neither_changed_nor_answered(self, url, way):
        _, first = await turn(url, Stuck, "one", lambda s: setattr(s, "orders", ["A"]))
        async with bridge_of(url, One, [Stuck]) as bridge:
            with pytest.raises(errors.StateUnreadable) as caught:
                async with bridge.turn(write("two", id="SM-two")) as running:
                    if way == "read":
                        _ = running.state
                    else:
                        running.state = One("B")
            assert caught.value.why == "raised"
            context = await bridge.context("sms:+15550100001")
            assert context.state == first
        # The release that wrote it reads it still, and answers what was not.
        state, _ = await turn(url, Stuck, "two")
        assert state.orders == ["A"]


class TestBeside:
    """What else reads states: merging two contacts, and telling what is stored of one."""

    async def rolled_back(self, bridge, channel, paid=True):
        """One contact whose state was written by the newer release, then by the older."""
        bridge.codec = StateCodec(Two)
        async with bridge.turn(write("one", channel)) as turn:
            turn.state.orders, turn.state.paid = [channel, "B"], paid
            turn.reply("ok")
        bridge.codec = StateCodec(One, [Two])
        async with bridge.turn(write("two", channel)) as turn:
            turn.state.order = "C"
            turn.reply("ok")

    async def newer(self, bridge):
        context = await bridge.context(SENDERS["sms"])
        return StateCodec(Two).decode(context.state)

    async def test_an_export_tells_what_is_laid_aside(self, url):
        async with bridge_of(url, One) as bridge:
            await self.rolled_back(bridge, "sms")
            told = [one async for one in bridge.export(SENDERS["sms"]) if one["kind"] == "state"]
        assert [(one["of"], one["schema"], one["value"]) for one in told] == [
            ("team", 1, {"order": "C"}),
            ("team, laid aside", 2, {"orders": ["sms", "B"], "paid": True}),
        ]

    async def test_a_merge_carries_over_what_is_laid_aside(self, url):
        async with bridge_of(url, One) as bridge:
            await exchange(bridge, write("hello", "sms"))
            await self.rolled_back(bridge, "chat")
            await bridge.merge(SENDERS["sms"], SENDERS["chat"], evidence="ticket:1")
            assert await self.newer(bridge) == Two(["C"], paid=True)

    @pytest.mark.parametrize("paid", [True, False])
    async def test_of_two_states_what_the_first_has_laid_aside_counts(self, url, paid):
        async with bridge_of(url, One) as bridge:
            await self.rolled_back(bridge, "sms", paid)
            await self.rolled_back(bridge, "chat", not paid)

            def both(one, other):
                return One(f"{one.order}+{other.order}")

            await bridge.merge(SENDERS["sms"], SENDERS["chat"], evidence="ticket:1", states=both)
            assert await self.newer(bridge) == Two(["C+C"], paid=paid)

    async def test_of_two_states_that_which_has_something_laid_aside_counts(self, url):
        async with bridge_of(url, One) as bridge:
            async with bridge.turn(write("hello", "sms")) as turn:
                turn.state.order = "A"
                turn.reply("ok")
            await self.rolled_back(bridge, "chat")

            def both(one, other):
                return One(f"{one.order}+{other.order}")

            await bridge.merge(SENDERS["sms"], SENDERS["chat"], evidence="ticket:1", states=both)
            assert await self.newer(bridge) == Two(["A+C"], paid=True)
