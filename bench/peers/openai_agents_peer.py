"""OpenAI Agents SDK: three output guardrails, by the function that its runner calls.

Its tracing is off, which favours it. The guardrails are sync functions; as async ones they are no
faster.
"""

from collections.abc import Callable
from typing import Any

from bench.peers.guarding import GUARDS, Passes, serve
from bench.peers.said import load

PACKAGE = "openai-agents"


def make() -> Passes:
    agents = load("agents", PACKAGE)
    run = load("agents.run_internal.guardrails", PACKAGE).run_output_guardrails
    agents.set_tracing_disabled(True)
    made = [agents.output_guardrail(_check(guard, agents)) for guard in GUARDS]
    agent, context = agents.Agent("bench"), agents.RunContextWrapper(None)

    async def passes(text: str) -> bool:
        try:
            await run(made, agent, text, context)
        except agents.OutputGuardrailTripwireTriggered:
            return False
        return True

    return passes


def _check(guard: Callable[[str], bool], agents: Any) -> Any:
    def check(_context: Any, _agent: Any, output: Any) -> Any:
        return agents.GuardrailFunctionOutput(None, guard(output))

    return check


if __name__ == "__main__":
    serve(make, PACKAGE)
