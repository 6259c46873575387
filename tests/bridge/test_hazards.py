"""What a harsh reviewer found once; each stays found."""

from types import SimpleNamespace

import anyio
import msgspec
import pydantic
import pytest
from opentelemetry import trace

from ctxbridge import Address, Assurance, Bridge, Endpoint, errors, guards
from ctxbridge.model import Attachment, Event, Quote, Text, Verdict
from ctxbridge.model.decision import ConsentWord
from tests.patience import LIMIT_SECONDS

from .conftest import SENDERS, exchange, write


class TestAnswersOfDuplicates:
    async def test_a_duplicate_after_stop_hands_out_nothing(self, bridge):
        first = write("where is it?")
        assert await exchange(bridge, first, "on its way") == ["on its way"]
        stop = write("STOP")
        confirmed = await exchange(bridge, stop)
        assert await exchange(bridge, first) == []
        assert await exchange(bridge, stop) == confirmed != []
        await exchange(bridge, write("START"))
        assert await exchange(bridge, first) == ["on its way"]

    async def test_a_forged_duplicate_is_told_nothing(self, bridge):
        asked = {"text": "balance?", "channel": "chat", "id": "1"}
        await exchange(bridge, write(**asked, assurance=Assurance.AUTHENTICATED), "4711 EUR")
        for assurance in (Assurance.ANONYMOUS, Assurance.CLAIMED, Assurance.CHANNEL):
            assert await exchange(bridge, write(**asked, assurance=assurance)) == []


class TestMasking:
    CARD = "4111 1111 1111 1111"

    async def test_what_another_guard_blocks_is_masked_as_well(self, tmp_path):
        @guards.guard("inbound", name="no", early=True)
        def no(check):
            return guards.block("no")

        @guards.guard("inbound", name="broken", early=True)
        def broken(check):
            raise ValueError

        cases = [
            ([guards.pii(), guards.automatic()], {"flags": ("auto",)}),
            ([guards.pii(), guards.opt_out()], {"flags": ("opt_out.stop",)}),
            ([no, guards.pii()], {}),
            ([broken, guards.pii()], {}),
        ]
        for number, (which, more) in enumerate(cases):
            folder = tmp_path / str(number)
            folder.mkdir()
            async with Bridge(f"sqlite:///{folder}/x.db", tenant="t", guards=which) as bridge:
                await exchange(bridge, write(f"pay {self.CARD}", **more))
                (message,) = (await bridge.context(SENDERS["sms"])).messages
                assert message.disposition == "quarantined"
            assert b"4111 1111" not in b"".join(p.read_bytes() for p in folder.iterdir()), number

    async def test_every_part_is_masked_where_it_stands(self, bridge):
        parts = (Quote(f"> {self.CARD}"), Text("see above"), Quote("> b"), Text(self.CARD),
                 Attachment("image/png", f"{self.CARD}.png"))  # fmt: skip
        inbound = write("", "email", parts=parts)
        async with bridge.turn(inbound) as turn:
            assert self.CARD not in str(turn.inbound)
            assert turn.inbound.parts == turn.context.messages[-1].parts
        (message,) = (await bridge.context(SENDERS["email"])).messages
        assert message.parts == (
            Quote("> [card …1111]"), Text("see above"), Quote("> b"), Text("[card …1111]"),
            Attachment("image/png", "[card …1111].png"),
        )  # fmt: skip
        assert (message.disposition, message.decision.code) == ("modified", "pii.card")

    async def test_a_masking_guard_that_fails_keeps_nothing_and_stop_counts_all_the_same(self):
        @guards.guard("inbound", name="mask", early=True, modifies=True)
        def mask(check):
            raise ValueError

        async with Bridge("memory://", tenant="t", guards=[mask, guards.opt_out()]) as bridge:
            await exchange(bridge, write("STOP"))
            context = await bridge.context(SENDERS["sms"])
            assert context.messages[0].text == ""
            assert [c.granted for c in context.contact.consents] == [False]


class TestWrongValues:
    @pytest.mark.parametrize(
        "wrong",
        [{"occurred_at": 1.5}, {"occurred_at": 2**70}, {"thread": None}, {"flags": (1,)}, {"subject": "\ud800"},
         {"flags": ("\ud800",)}, {"thread": "\udfff"}, {"sender": Address("sms", "")}, {"parts": "x"},
         {"sender": Address("sms", "\ud800")}, {"horizon_seconds": float("inf")}, {"horizon_seconds": -1.0},
         {"horizon_seconds": float("nan")}, {"horizon_seconds": 1e12}, {"assurance": 9}, {"references": (None,)},
         {"parts": (Text("x" * 1_100_000),)}, {"parts": (object(),)}],
        ids=range(18),
    )  # fmt: skip
    async def test_they_are_refused_at_the_door_and_break_nothing(self, bridge, wrong):
        await exchange(bridge, write("before"))
        with pytest.raises(errors.Malformed):
            await exchange(bridge, write("wrong", **wrong))
        assert await exchange(bridge, write("after")) == ["re: after"]

    async def test_an_empty_id_is_refused(self, bridge):
        inbound = write("yes")
        with pytest.raises(errors.Malformed, match="empty"):
            await exchange(bridge, msgspec.structs.replace(inbound, message_id=""))

    async def test_lists_are_taken_and_become_immutable(self, bridge):
        parts = [Text("hello")]
        await exchange(bridge, write("", parts=parts))
        parts.append(Text("changed later"))
        assert (await bridge.context(SENDERS["sms"])).messages[0].text == "hello"

    async def test_a_link_with_a_wrong_field_is_refused(self, bridge):
        for wrong in ({"evidence": None}, {"evidence": "\ud800"}, {"evidence": "x", "source": 1}):
            with pytest.raises(errors.Malformed):
                await bridge.link(SENDERS["sms"], SENDERS["email"], **wrong)
        assert (await bridge.context(SENDERS["sms"])).contact is None

    @pytest.mark.parametrize("verdict", [Verdict("modify", "c", text=123), Verdict("block", "c", say=123),
                                         Verdict("allow", 7), Verdict(consent=1), Verdict(labels=(1,)), Verdict("maybe")])  # fmt: skip
    async def test_a_verdict_with_wrong_fields_is_a_failure(self, verdict):
        odd = guards.guard("inbound", "reply", name="odd", early=True, modifies=True)(
            lambda _: verdict
        )
        async with Bridge("memory://", tenant="t", guards=[odd]) as bridge:
            assert await exchange(bridge, write("hello")) == []
            (message,) = (await bridge.context(SENDERS["sms"])).messages
            assert message.decision.code == "guard.wrong_answer"

    async def test_an_empty_reply_is_refused(self, bridge):
        for nothing in ("", None, b"x"):
            with pytest.raises(errors.UsageError):
                await exchange_with(bridge, nothing)


async def exchange_with(bridge, reply):
    async with bridge.turn(write("hello")) as turn:
        turn.reply(reply)


class TestConsent:
    async def test_a_late_guard_cannot_speak_of_consent(self, bridge, clock):
        late = guards.guard("inbound", name="late")(
            lambda _: Verdict(
                "block", "consent.stop", say="ok, stopped", consent=ConsentWord(False, "sms")
            )
        )
        unsure = Bridge(bridge.store, tenant="acme", guards=[late], clock=clock)
        assert await exchange(unsure, write("please stop")) == []

    async def test_no_guard_of_a_team_can_write_to_who_opted_out(self, bridge, clock):
        await exchange(bridge, write("STOP"))
        for early in (True, False):
            advert = guards.guard("inbound", name="advert", early=early)(
                lambda _: guards.block("consent.help", say="BUY NOW")
            )
            pushy = Bridge(bridge.store, tenant="acme", guards=[advert], clock=clock)
            assert await exchange(pushy, write("hello")) == []

    @pytest.mark.parametrize("channel", ["rcs", "messenger", "carrier-pigeon"])
    async def test_start_undoes_stop_on_any_channel(self, bridge, channel):
        def say(text):
            return write(text, sender=Address(channel, "x"), channel="sms")

        def on(text):
            return msgspec.structs.replace(
                say(text), channel=channel, endpoint=Endpoint(channel, "us")
            )

        words = guards.opt_out(channels=frozenset({channel, "rcs", "messenger"}))
        team = Bridge(bridge.store, tenant="acme", guards=[words])
        await exchange(team, on("STOP"))
        await exchange(team, on("START"))
        assert await exchange(team, on("hello")) == ["re: hello"]


class TestOrder:
    async def test_the_message_that_is_answered_is_the_last_the_agent_sees(self, queueing):
        lasts = []

        async def deliver(number):
            async with queueing.turn(write(f"{number}")) as turn:
                lasts.append((f"{number}", turn.context.as_chat()[-1]))
                await anyio.sleep(0.002)
                turn.reply(f"re {number}")

        async with anyio.create_task_group() as group:
            for number in range(12):
                group.start_soon(deliver, number)
        assert lasts == [(n, {"role": "user", "content": n}) for n, _ in lasts]
        assert len(lasts) == 12

    async def test_who_waits_is_served_in_order(self, queueing):
        served, all_wait = [], anyio.Event()

        async def deliver(number):
            async with queueing.turn(write(f"{number}")):
                served.append(number)
                await all_wait.wait()

        async with anyio.create_task_group() as group:
            for number in range(8):
                group.start_soon(deliver, number)
                for _ in range(2_000):
                    await anyio.sleep(0.002)
                    standing = sum(map(len, queueing.lines._lines.values()))
                    if served and standing == number:
                        break
            all_wait.set()
        assert served == sorted(served)
        assert queueing.lines._lines == {}

    async def test_a_message_taken_up_late_is_still_seen_by_its_agent(self, bridge, clock):
        inbound = write("the first")
        with pytest.raises(ZeroDivisionError):
            async with bridge.turn(inbound):
                raise ZeroDivisionError
        narrow = Bridge(bridge.store, tenant="acme", window=2, clock=clock, overlap="queue")
        for number in range(4):
            await exchange(narrow, write(f"{number}"))
        async with narrow.turn(inbound) as turn:
            assert turn.context.as_chat()[-1]["content"] == "the first"
            turn.reply("at last")
        messages = (await bridge.context(SENDERS["sms"])).messages
        assert (messages[0].text, messages[0].disposition) == ("the first", "accepted")
        assert messages[0].accepted_at > 0


class TestEndings:
    async def test_cancelled_anywhere_a_turn_leaves_no_lease(self, bridge):
        for attempt in range(30):
            inbound = write(f"{attempt}")
            with anyio.move_on_after(0.0004 * (attempt % 10)):
                async with bridge.turn(inbound) as turn:
                    await anyio.sleep(0.001)
                    if turn.open:
                        turn.reply("ok")
            with anyio.fail_after(LIMIT_SECONDS / 2):  # and not the minute of a lease
                assert await exchange(bridge, inbound, "ok") == ["ok"]

    async def test_damage_on_entering_gives_the_lease_back_and_ends_the_span(self, tmp_path):
        import sqlite3

        path = tmp_path / "x.db"
        async with Bridge(f"sqlite:///{path}", tenant="t", wait_seconds=0.2) as bridge:
            await exchange(bridge, write("one"))
            with sqlite3.connect(path) as connection:
                connection.execute("UPDATE entry SET body = x'01c1' WHERE seq = 1")
            connection.close()
            for _ in range(2):
                with pytest.raises(errors.CorruptRecord):
                    await exchange(bridge, write("two", id="SM-two"))
        assert not trace.get_current_span().get_span_context().is_valid

    async def test_what_comes_after_the_block_is_refused(self, bridge):
        async with bridge.turn(write("hello")) as turn:
            turn.reply("in time")
        assert not turn.open
        with pytest.raises(errors.UsageError):
            turn.reply("late")
        with pytest.raises(errors.UsageError):
            turn.state = SimpleNamespace()


class TestState:
    async def test_pydantic_aliases_are_read_as_they_are_written(self, tmp_path):
        class Aliased(pydantic.BaseModel):
            order: str = pydantic.Field("", validation_alias="orderNumber", serialization_alias="o")

            @pydantic.computed_field
            def twice(self) -> str:
                return self.order * 2

        async with Bridge(f"sqlite:///{tmp_path}/x.db", tenant="t", state=Aliased) as bridge:
            async with bridge.turn(write("one")) as turn:
                turn.state.order = "A-17"
            async with bridge.turn(write("two")) as turn:
                assert turn.state.order == "A-17"

    def test_models_that_would_lose_something_are_refused_at_once(self):
        class Needy(pydantic.BaseModel):
            order: str

        class Hiding(pydantic.BaseModel):
            key: pydantic.SecretStr = pydantic.SecretStr("")

        class Field(msgspec.Struct):
            schema_version: int = 2

        class Large(msgspec.Struct):
            schema_version = 70_000

        for model in (Needy, Hiding, Field, Large):
            with pytest.raises(errors.ConfigurationError):
                Bridge("memory://", tenant="t", state=model)

    @pytest.mark.parametrize(
        "value", ["\ud800", 2**70, object()], ids=["surrogate", "large", "object"]
    )
    async def test_a_value_that_cannot_be_written_is_told_and_the_turn_given_back(self, value):
        async with Bridge("memory://", tenant="t") as bridge:
            inbound = write("hello")
            with pytest.raises(errors.UsageError):
                async with bridge.turn(inbound) as turn:
                    turn.state["x"] = value
            assert await exchange(bridge, inbound) == ["re: hello"]

    async def test_an_older_worker_does_not_drop_what_a_newer_one_wrote(self, tmp_path):
        class New(msgspec.Struct):
            schema_version = 2
            order: str = ""
            paid: bool = False

        class Old(msgspec.Struct):
            order: str = ""

        url = f"sqlite:///{tmp_path}/x.db"
        async with Bridge(url, tenant="t", state=New) as bridge, bridge.turn(write("one")) as turn:
            turn.state.paid = True
        async with Bridge(url, tenant="t", state=Old) as bridge:
            with pytest.raises(errors.UnknownFormat):
                async with bridge.turn(write("two")) as turn:
                    _ = turn.state


class TestNames:
    async def test_links_find_what_the_adapters_make_of_an_address(self, bridge):
        ann = await bridge.link(" +1 (555) 010-0001", "Ann@Example.ORG", evidence="crm")
        assert ann.addresses == (
            Address("sms", "+15550100001"),
            Address("email", "ann@example.org"),
        )
        again = await bridge.link(ann.id.hex(), "chat:a", evidence="crm")
        assert again.id == ann.id
        with pytest.raises(errors.ConfigurationError):
            await bridge.link("sms:", "chat:a", evidence="crm")

    async def test_a_window_is_a_number_of_entries(self, bridge):
        with pytest.raises(errors.UsageError):
            await bridge.context("+15550100001", window=-5)

    def test_events_cannot_be_changed_by_who_reads_them(self):
        event = Event("link", 1, data=(("channel", "sms"),))
        assert (event.about("channel"), event.about("other")) == ("sms", "")
        assert hash(event)
