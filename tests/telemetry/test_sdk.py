"""What needs the SDK: ids on foreign spans, and whole conversations kept or dropped."""

import subprocess
import sys

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from ctxbridge import Address, errors
from ctxbridge.telemetry import DiscreetBaggage, current_conversation, link_to, links_to
from ctxbridge.telemetry.sdk import ConversationSampler, ConversationSpanProcessor
from tests.bridge.conftest import write

from .exchanges import HOUR, one_turn, open_bridge


class TestProcessor:
    @pytest.fixture
    def conversations(self, provider, exporter):
        """The conversation of each span that others make, by name."""
        processors = provider._active_span_processor
        before = processors._span_processors
        processors._span_processors = (ConversationSpanProcessor(), *before)
        yield lambda: {
            s.name: s.attributes.get("gen_ai.conversation.id")
            for s in exporter.get_finished_spans()
        }
        processors._span_processors = before

    async def test_what_is_made_inside_of_a_turn_names_its_conversation(self, conversations):
        model = trace.get_tracer("model")
        async with open_bridge() as bridge:
            with model.start_as_current_span("before"):
                pass
            async with bridge.turn(write("hello")) as turn:
                known = turn.context.conversation.hex()
                assert current_conversation() == known
                with model.start_as_current_span("chat"), model.start_as_current_span("http"):
                    pass
                own = {"gen_ai.conversation.id": "theirs"}
                model.start_span("own", attributes=own).end()
            assert current_conversation() == ""
            model.start_span("after").end()
        found = conversations()
        assert [found[name] for name in ("before", "chat", "http", "own", "after")] == [
            None, known, known, "theirs", None,
        ]  # fmt: skip

    async def test_two_turns_at_once_do_not_mix(self, conversations):
        import anyio

        model = trace.get_tracer("model")

        async def turn_of(number):
            sender = Address("sms", f"+1555010{number:04}")
            async with bridge.turn(write("hello", sender=sender)) as turn:
                await anyio.sleep(0.001 * (number % 3))
                model.start_span(f"chat {turn.context.conversation.hex()}").end()
                await anyio.lowlevel.checkpoint()

        async with open_bridge() as bridge, anyio.create_task_group() as group:
            for number in range(20):
                group.start_soon(turn_of, number)
        found = {k: v for k, v in conversations().items() if k.startswith("chat")}
        assert len(found) == 20
        assert all(name == f"chat {conversation}" for name, conversation in found.items())


class TestSampler:
    async def conversation(self, bridge, number, turns=3):
        """Turns of one conversation, with a span of another library in each."""
        sender = Address("sms", f"+1555020{number:04}")
        for _ in range(turns):
            async with bridge.turn(write("hello", sender=sender)) as turn:
                trace.get_tracer("model").start_span("chat").end()
                turn.reply("hi")
        return turn.context.conversation.hex()

    @staticmethod
    def kept(exporter):
        """How many spans of each conversation there are, with those of others."""
        turns = [s for s in exporter.get_finished_spans() if s.name.startswith("process")]
        traces = [s.context.trace_id for s in exporter.get_finished_spans() if s.name == "chat"]
        found = {}
        for turn in turns:
            conversation = turn.attributes["gen_ai.conversation.id"]
            found.setdefault(conversation, []).append(traces.count(turn.context.trace_id))
        assert len(traces) == len(turns)
        return found

    async def test_conversations_are_kept_or_dropped_as_a_whole(self, exporter, sampled):
        sampled(ConversationSampler(0.5))
        async with open_bridge() as bridge:
            for number in range(40):
                await self.conversation(bridge, number)
        kept = self.kept(exporter)
        assert 5 <= len(kept) <= 35
        assert set(map(tuple, kept.values())) == {(1, 1, 1)}

    async def test_one_that_samples_by_trace_tears_them(self, exporter, sampled):
        """The broken variant."""
        from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

        sampled(ParentBased(TraceIdRatioBased(0.5)))
        async with open_bridge() as bridge:
            for number in range(40):
                await self.conversation(bridge, number)
        assert set(map(len, self.kept(exporter).values())) - {3}

    @pytest.mark.parametrize(("ratio", "number"), [(0.0, 0), (1.0, 4)])
    async def test_none_and_all(self, exporter, sampled, ratio, number):
        sampled(ConversationSampler(ratio))
        async with open_bridge() as bridge:
            for one in range(4):
                await self.conversation(bridge, one)
        assert len(self.kept(exporter)) == number

    async def test_what_was_blocked_is_kept_from_then_on(self, exporter, sampled):
        sampled(ConversationSampler(0.0))
        async with open_bridge() as bridge:
            await one_turn(bridge, "hello")
            assert exporter.get_finished_spans() == ()
            await one_turn(bridge, "STOP")
            await one_turn(bridge, "START")
            await one_turn(bridge, "hello again")
        turns = [s for s in exporter.get_finished_spans() if s.name.startswith("process")]
        assert len(turns) == 3

    async def test_a_message_that_leaves_later_follows_its_conversation(self, exporter, sampled):
        from tests.bridge.conftest import Clock

        for ratio, number in ((0.0, 0), (1.0, 1)):
            sampled(ConversationSampler(ratio))
            clock = Clock()
            async with open_bridge(clock=clock) as bridge:
                await one_turn(bridge, reply="later")
                exporter.clear()
                clock.time += 2 * HOUR
                await bridge.dispatch()
            sent = [s for s in exporter.get_finished_spans() if s.name == "send sms"]
            assert len(sent) == number

    async def test_a_turn_within_a_turn_is_of_its_own_conversation(self, exporter, sampled):
        sampled(ConversationSampler(0.0))
        async with open_bridge() as bridge, bridge.turn(write("hello")):
            await one_turn(bridge, "STOP", sender=Address("sms", "+15550109999"))
        assert [s.name for s in exporter.get_finished_spans()][-1:] == ["process sms"]

    def test_what_is_of_no_conversation_is_sampled_otherwise(self, exporter, sampled):
        for sampler, number in ((ConversationSampler(1.0), 1), (ConversationSampler(1.0, ALWAYS_OFF), 0)):  # fmt: skip
            exporter.clear()
            sampled(sampler)
            trace.get_tracer("x").start_span("elsewhere").end()
            assert len(exporter.get_finished_spans()) == number

    def test_every_process_decides_alike(self):
        one, other = ConversationSampler(0.3), ConversationSampler(0.3)
        ids = [f"{number:032x}" for number in range(2_000)]

        def keeps(sampler, id):
            said = {"gen_ai.conversation.id": id}
            return sampler.should_sample(None, 1, "process sms", attributes=said).decision

        assert [keeps(one, id) for id in ids] == [keeps(other, id) for id in ids]
        share = sum(keeps(one, id).is_sampled() for id in ids) / len(ids)
        assert 0.25 < share < 0.35

    @pytest.mark.parametrize("ratio", [-0.1, 1.1, float("nan")])
    def test_a_ratio_that_is_none_is_refused(self, ratio):
        with pytest.raises(errors.ConfigurationError):
            ConversationSampler(ratio)


class TestBaggage:
    @pytest.mark.parametrize("discreet", [True, False])
    def test_a_conversation_that_others_put_there_does_not_leave(self, discreet):
        from opentelemetry import baggage
        from opentelemetry.baggage.propagation import W3CBaggagePropagator

        held = baggage.set_baggage("gen_ai.conversation.id", "c1", baggage.set_baggage("a", "1"))
        carrier = {}
        (DiscreetBaggage if discreet else W3CBaggagePropagator)().inject(carrier, held)
        assert ("c1" in carrier["baggage"]) is not discreet
        assert "a=1" in carrier["baggage"]


class TestLinks:
    def test_three_at_most_and_each_once(self):
        handles = [bytes([n]) * 16 + bytes([n]) * 8 + b"\1" for n in range(1, 6)]
        several = [(h, "previous_turn") for h in (handles[0], *handles)]
        links = links_to(several)
        assert [link.context.trace_id.to_bytes(16, "big")[0] for link in links] == [1, 2, 3]
        assert links_to([(b"", "approval")]) == ()
        assert link_to(handles[0], "approval")[0].attributes == {"ctxbridge.link": "approval"}

    async def test_a_mail_that_names_one_of_the_turn_before_answers_it(self, exporter):
        async with open_bridge() as bridge:
            await one_turn(bridge, "one", channel="email", id="<1@example.org>")
            await one_turn(bridge, "two", channel="email", id="<2@example.org>",
                           references=("<r@acme.example>", "<1@example.org>"))  # fmt: skip
            await one_turn(bridge, "three", channel="email", id="<3@example.org>",
                           references=("<elsewhere@example.org>",))  # fmt: skip
        turns = [s for s in exporter.get_finished_spans() if s.name == "process email"]
        kinds = [[link.attributes["ctxbridge.link"] for link in s.links] for s in turns]
        assert kinds == [[], ["in_reply_to"], ["previous_turn"]]

    async def test_an_accepted_turn_is_inside_the_request_that_brought_it(self, exporter):
        with trace.get_tracer("http").start_as_current_span("POST /hooks") as request:
            async with open_bridge() as bridge:
                accepted = await bridge.accept(write("hello"), answering)
                await accepted.wait()
        turn = next(s for s in exporter.get_finished_spans() if s.name == "process sms")
        assert turn.context.trace_id == request.get_span_context().trace_id


async def answering(turn):
    return "hi"


def test_the_rest_needs_no_sdk():
    program = (
        "import sys\n"
        "import ctxbridge.telemetry, ctxbridge.bridge\n"
        "assert not [m for m in sys.modules if m.startswith('opentelemetry.sdk')]\n"
        "sys.modules['opentelemetry.sdk'] = None\n"
        "try:\n"
        "    import ctxbridge.telemetry.sdk\n"
        "except ctxbridge.errors.ConfigurationError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert "ctxbridge[otel-sdk]" in done.stdout
