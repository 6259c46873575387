"""What a turn's span costs where nobody has set up OpenTelemetry, over an async call."""

from bench.harness import Goal, Outcome, Plan, Sample, Variant, compare, in_blocks, mean
from bench.memory import FLOOR, empty
from ctxbridge.model.head import NO_TRACE
from ctxbridge.telemetry import TurnSpan
from ctxbridge.telemetry.names import DISPOSITION, REPLIES, TURN_STATUS

SPAN = "span of a turn, no SDK"
_FACTS: dict[str, str | int] = {TURN_STATUS: "new", DISPOSITION: "accepted", REPLIES: 1}


async def span(conversation: bytes) -> None:
    """As a turn has it: started in retrospect, described, ended."""
    made = TurnSpan("sms", conversation, NO_TRACE, 1)
    made.describe(_FACTS)
    made.end()


async def run(plan: Plan) -> Outcome:
    conversations = [plan.random.randbytes(16) for _ in range(2_000)]

    async def take_floor() -> Sample:
        return await in_blocks(empty, conversations)

    async def take_span() -> Sample:
        return await in_blocks(span, conversations)

    variants = [Variant(FLOOR, take_floor), Variant(SPAN, take_span, "one for each turn")]
    trial = await compare(plan, "tracing", variants, rounds=plan.size(41, 7))
    what = "tracing not configured: the one span of a turn, over an empty async call"
    outcome = Outcome(goals=[Goal("G16", what, "<=", 1.0, "µs", trial.over(SPAN, FLOOR, mean))])
    outcome.add([trial], FLOOR)
    return outcome
