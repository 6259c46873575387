"""openai-guardrails: three checks of its registry, run together as its client runs them.

They are async functions, which favours it: it runs a sync one and then hands the result through a
thread.
"""

from collections.abc import Callable
from typing import Any

from bench.peers.guarding import GUARDS, Passes, serve
from bench.peers.said import load

PACKAGE = "openai-guardrails"


class _Context:
    """What its checks are told beside the text: nothing."""


def make() -> Passes:
    registry = load("guardrails.registry", PACKAGE).GuardrailRegistry()
    runtime, types = load("guardrails.runtime", PACKAGE), load("guardrails.types", PACKAGE)
    for guard in GUARDS:
        check = _check(guard, types.GuardrailResult)
        registry.register(guard.__name__, check, "as the others do it", "text/plain")
    wanted = [{"name": guard.__name__, "config": {}} for guard in GUARDS]
    made = runtime.instantiate_guardrails(runtime.ConfigBundle(guardrails=wanted), registry)
    context = _Context()

    async def passes(text: str) -> bool:
        results = await runtime.run_guardrails(
            context, text, "text/plain", made, suppress_tripwire=True
        )
        return not any(result.tripwire_triggered for result in results)

    return passes


def _check(guard: Callable[[str], bool], result: Any) -> Any:
    async def check(_ctx: Any, data: Any, _config: None) -> Any:
        return result(guard(data))

    return check


if __name__ == "__main__":
    serve(make, PACKAGE)
