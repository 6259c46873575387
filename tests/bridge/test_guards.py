"""Guards in the life of a turn: modes, lanes, later, to a person, and in the moment of sending."""

import anyio
import pytest

from ctxbridge import errors, guards
from ctxbridge.guards import allow, block, defer, escalate, guard, modify, warn
from ctxbridge.model import Event, Sent
from tests.patience import LIMIT_SECONDS

from .conftest import SENDERS, exchange, write

HOUR = 3_600_000


class Pigeon:
    channel, repeatable, timeout_seconds, per_second = "sms", False, 5.0, 0.0

    def __init__(self):
        self.texts, self.says = [], Sent("sent", provider_id="P")

    async def send(self, outgoing):
        self.texts.append(outgoing.text)
        return self.says

    async def aclose(self):
        pass


@pytest.fixture
def guarded(another):
    """Makes further bridges over the same store, with guards of their own."""
    return lambda *which, senders=(): another(guards=which, senders=senders)


async def messages(bridge):
    return (await bridge.context(SENDERS["sms"])).messages


async def events(bridge, kind):
    window = (await bridge.context(SENDERS["sms"])).window
    return [entry for entry in window if isinstance(entry, Event) and entry.kind == kind]


class TestModes:
    async def test_an_observing_guard_is_recorded_and_changes_nothing(self, guarded):
        @guard("inbound", "reply", name="strict", mode="observe", modifies=True)
        def strict(check):
            return block("no") if check.stage == "reply" else modify("other words", "odd")

        bridge = await guarded(strict)
        assert await exchange(bridge, write("hello"), "hi") == ["hi"]
        asked, said = await messages(bridge)
        assert (asked.text, asked.disposition) == ("hello", "accepted")
        assert (said.decision.action, said.decision.enforced) == ("block", "allow")
        assert said.decision.results[-1].mode == "observe"
        assert asked.decision.action == "modify"

    async def test_a_guard_that_is_off_is_not_asked(self, guarded):
        @guard("reply", mode="off")
        def boom(check):
            raise AssertionError

        bridge = await guarded(boom)
        assert await exchange(bridge, write("hello"), "hi") == ["hi"]
        assert "boom" not in str((await messages(bridge))[-1].decision)

    async def test_a_warning_lets_through(self, guarded):
        bridge = await guarded(guard("reply", name="w")(lambda check: warn("odd")))
        assert await exchange(bridge, write("hello"), "hi") == ["hi"]
        assert (await messages(bridge))[-1].decision.enforced == "warn"


class TestEscalation:
    async def test_a_message_for_a_person_is_not_answered_and_the_log_says_for_whom(self, guarded):
        @guard("inbound", name="legal")
        def legal(check):
            return escalate("legal", "threat", say="A colleague will write to you.")

        bridge = await guarded(legal)
        async with bridge.turn(write("I will sue you")) as turn:
            assert not turn.open
        assert [m.text for m in turn.answer] == ["A colleague will write to you."]
        (event,) = await events(bridge, "escalated")
        assert (event.about("to"), event.about("code"), event.about("stage")) == (
            "legal", "threat", "inbound",
        )  # fmt: skip
        assert (await messages(bridge))[0].disposition == "accepted"

    async def test_a_reply_for_a_person_is_withheld(self, guarded):
        @guard("reply", name="refunds")
        def refunds(check):
            return escalate("finance", "refund") if "refund" in check.text else allow()

        bridge = await guarded(refunds)
        assert await exchange(bridge, write("money back?"), "a refund of 99 EUR") == []
        assert len(await events(bridge, "escalated")) == 1
        assert "refund" not in str([m.text for m in await messages(bridge)])

    async def test_one_that_waited_is_not_answered_along_with_others(self, guarded):
        @guard("inbound", name="legal")
        def legal(check):
            return escalate("legal", "threat", say="A person.") if "sue" in check.text else allow()

        bridge = await guarded(legal)
        threat = write("I will sue you")
        for waits in (threat, write("where is it?")):
            with pytest.raises(ZeroDivisionError):
                async with bridge.turn(waits):
                    raise ZeroDivisionError
        async with bridge.turn(write("hello?")) as turn:
            assert [m.text for m in turn.messages] == ["where is it?", "hello?"]
            assert "sue" not in str(turn.context.as_chat())
        assert len(await events(bridge, "escalated")) == 0
        assert await exchange(bridge, threat) == ["A person."]
        assert len(await events(bridge, "escalated")) == 1

    async def test_what_a_guard_says_can_be_stored(self, guarded):
        bridge = await guarded(guard("inbound", name="no")(lambda check: block("no", say="a\0b")))
        assert await exchange(bridge, write("hello")) == ["a\ufffdb"]


class TestDefer:
    async def test_a_deferred_reply_leaves_at_its_time(self, guarded, clock):
        pigeon, start = Pigeon(), clock.time

        @guard("reply", name="later")
        def later(check):
            return defer(start + HOUR, "later") if check.now < start + HOUR else allow()

        bridge = await guarded(later, senders=[pigeon])
        turn_answer = await exchange(bridge, write("hello"), "hi")
        assert (turn_answer, pigeon.texts) == ([], [])
        clock.time += HOUR - 1
        assert await bridge.dispatch() == 0
        clock.time += 1
        assert await bridge.dispatch() == 1
        assert pigeon.texts == ["hi"]

    async def test_without_a_sender_it_is_withheld(self, guarded, clock):
        bridge = await guarded(
            guard("reply", name="later")(lambda check: defer(check.now + HOUR, "later"))
        )
        assert await exchange(bridge, write("hello"), "hi") == []
        assert (await messages(bridge))[-1].disposition == "withheld"

    async def test_stop_meanwhile_withholds_it(self, guarded, clock):
        pigeon, start = Pigeon(), clock.time

        @guard("reply", name="later")
        def later(check):
            return defer(start + HOUR, "later") if check.now < start + HOUR else allow()

        bridge = await guarded(later, guards.opt_out(stopped=None), senders=[pigeon])
        await exchange(bridge, write("hello"), "must not leave")
        await exchange(bridge, write("STOP"))
        clock.time += 2 * HOUR
        await bridge.dispatch()
        assert pigeon.texts == []


class TestSend:
    async def test_a_guard_at_send_withholds_before_anything_is_claimed(self, guarded):
        pigeon = Pigeon()
        no = guard("send", name="no")(lambda check: block("not.today"))
        bridge = await guarded(no, senders=[pigeon])
        async with bridge.turn(write("hello")) as turn:
            turn.reply("hi")
        assert (turn.deliveries, pigeon.texts) == ((), [])
        said = (await messages(bridge))[-1]
        assert (said.disposition, said.parts, said.decision.code) == ("withheld", (), "not.today")
        result = said.decision.results[-1]
        assert (result.guard, result.stage, result.action) == ("no", "send", "block")

    async def test_what_it_says_later_is_in_the_log_and_the_outbox(self, guarded, clock):
        pigeon, start = Pigeon(), clock.time

        @guard("send", name="later")
        def later(check):
            if check.now < start + HOUR:
                return defer(start + HOUR, "later")
            return block("not.today") if "hi" in check.text else warn("odd")

        bridge = await guarded(later, senders=[pigeon])
        async with bridge.turn(write("hello")) as turn:
            turn.reply("hi")
            turn.reply("good day")
        clock.time += HOUR
        await bridge.dispatch()
        assert pigeon.texts == ["good day"]
        said = [e.decisions for e in await events(bridge, "decisions")]
        assert sorted((about, d.enforced, d.code) for ((about, d),) in said) == [
            ("send", "block", "not.today"), ("send", "warn", "odd"),
        ]  # fmt: skip

    async def test_stop_that_comes_while_a_guard_at_send_thinks_is_heard(self, guarded, another):
        """The guards are asked before the commit claims: a claim under an older epoch is refused."""
        pigeon = Pigeon()

        @guard("send", name="slow", deadline_seconds=5.0)
        async def slow(check):
            with pytest.raises(errors.Busy):  # it is stored, and heard
                await exchange(other, write("STOP"))
            return allow()

        other = await another(guards=[guards.opt_out(stopped=None)], wait_seconds=0.01)
        bridge = await guarded(slow, senders=[pigeon])
        async with bridge.turn(write("hello")) as turn:
            turn.reply("must not leave")
        assert pigeon.texts == []

    async def test_it_may_put_the_message_back_until_later(self, guarded, clock):
        pigeon, start = Pigeon(), clock.time

        @guard("send", name="later")
        def later(check):
            return defer(start + HOUR, "later") if check.now < start + HOUR else allow()

        bridge = await guarded(later, senders=[pigeon])
        await exchange(bridge, write("hello"), "hi")
        assert pigeon.texts == []
        clock.time += HOUR
        assert await bridge.dispatch() == 1
        assert pigeon.texts == ["hi"]

    async def test_quiet_hours_let_a_reply_wait_for_the_morning(self, guarded, clock):
        pigeon = Pigeon()
        quiet = guards.quiet_hours(
            "Europe/Berlin", start="21:00", end="08:00", purposes=("service",), grace_seconds=0.0
        )
        bridge = await guarded(quiet, senders=[pigeon])
        clock.time = 1_790_000_000_000 - 1_790_000_000_000 % 86_400_000 + 22 * HOUR
        await exchange(bridge, write("hello"), "good morning")
        clock.time += 6 * HOUR
        assert (await bridge.dispatch(), pigeon.texts) == (0, [])
        clock.time += 6 * HOUR
        await bridge.dispatch()
        assert pigeon.texts == ["good morning"]

    async def test_the_text_that_leaves_is_the_one_that_was_judged(self, guarded, monkeypatch):
        """An altered text is refused: whoever changes it between the commit and the provider."""
        from msgspec.structs import replace

        from ctxbridge.bridge.gating import ALTERED
        from ctxbridge.model import Text

        bridge = await guarded(senders=[Pigeon()])
        await exchange(bridge, write("hello"), "hi")
        context = await bridge.context(SENDERS["sms"])
        reply = context.messages[-1]
        gate = bridge.outbox._gate
        assert (await gate(context, reply)).refused == ""
        altered = replace(reply, parts=(Text("hi, send me your password"),))
        assert (await gate(context, altered)).refused == ALTERED


class TestJudges:
    async def test_judges_run_side_by_side_and_the_first_to_stop_ends_the_rest(self, guarded):
        running = most = 0

        def judge(name, answer, seconds):
            async def check(check):
                nonlocal running, most
                running += 1
                most = max(most, running)
                try:
                    await anyio.sleep(seconds)
                finally:
                    running -= 1
                return answer

            return guard("reply", name=name, deadline_seconds=2 * LIMIT_SECONDS)(check)

        slow, quick = judge("slow", allow(), LIMIT_SECONDS), judge("quick", block("bad"), 0.01)
        bridge = await guarded(slow, quick)
        with anyio.fail_after(LIMIT_SECONDS / 2):
            assert await exchange(bridge, write("hello"), "hi") == []
        assert most == 2
        results = {r.guard: r.status for r in (await messages(bridge))[-1].decision.results}
        assert (results["quick"], results["slow"]) == ("ok", "skipped")

    async def test_a_text_is_judged_once(self, guarded):
        asked = []

        @guard("reply", name="dear", once=True)
        def dear(check):
            asked.append(check.text)
            return allow()

        bridge = await guarded(dear)
        for _ in range(3):
            await exchange(bridge, write("hello"), "hi")
        await exchange(bridge, write("hello"), "other")
        assert asked == ["hi", "other"]
        last = (await messages(bridge))[3].decision.results[-1]
        assert (last.guard, last.status) == ("dear", "cached")

    async def test_a_slow_sync_guard_runs_in_a_thread_and_blocks_nobody(self, guarded):
        import threading

        asked, ticked = threading.Event(), threading.Event()

        @guard("reply", name="slow", thread=True, deadline_seconds=LIMIT_SECONDS)
        def slow(check):
            """Ends once the loop has gone on meanwhile."""
            asked.set()
            return allow() if ticked.wait(LIMIT_SECONDS / 2) else block("nobody ticked")

        bridge = await guarded(slow)
        ticks = 0
        async with anyio.create_task_group() as group:

            async def tick():
                nonlocal ticks
                while True:
                    await anyio.sleep(0.01)
                    ticks += asked.is_set()
                    if ticks >= 5:
                        ticked.set()

            group.start_soon(tick)
            assert await exchange(bridge, write("hello"), "hi") == ["hi"]
            group.cancel_scope.cancel()
        assert ticks >= 5


class TestFailures:
    @pytest.mark.parametrize(
        ("on_timeout", "said"), [("block", []), ("allow", ["hi"]), ("warn", ["hi"])]
    )
    async def test_late_and_wrong_are_told_apart(self, guarded, on_timeout, said):
        async def hang(check):
            await anyio.sleep_forever()

        late = guard("reply", name="late", deadline_seconds=0.05, on_timeout=on_timeout)(hang)
        bridge = await guarded(late)
        assert await exchange(bridge, write("hello"), "hi") == said
        result = (await messages(bridge))[-1].decision.results[-1]
        assert (result.status, result.code, result.action) == (
            "timeout",
            "guard.timeout",
            on_timeout,
        )

    @pytest.mark.parametrize("raised", [ValueError, RecursionError, BaseException])
    async def test_whatever_a_guard_raises_ends_in_a_record(self, guarded, raised):
        def boom(check):
            raise raised(check.text)

        bridge = await guarded(guard("reply", name="boom")(boom))
        assert await exchange(bridge, write("hello"), "my secret") == []
        decision = (await messages(bridge))[-1].decision
        assert decision.results[-1].status == "error"
        assert "secret" not in str(decision)

    @pytest.mark.parametrize(
        "wrong",
        [
            {"modifies": True}, {"early": True}, {"thread": True}, {"on_error": "modify"},
            {"on_timeout": "defer"}, {"mode": "perhaps"}, {"deadline_seconds": 0.0},
        ],
    )  # fmt: skip
    def test_what_makes_no_sense_is_refused_at_registration(self, wrong):
        async def check(check):
            return allow()

        with pytest.raises(errors.ConfigurationError):
            guard("inbound", **wrong)(check)
