"""guardrails-ai: one validator in its async guard, which asks all three.

One validator instead of three favours it. Its tracing is off, and so is OpenTelemetry's SDK, by
which it would tell its makers about each call: no network is measured here.
"""

import os
from typing import Any

from bench.peers.guarding import GUARDS, Passes, serve
from bench.peers.said import load

PACKAGE = "guardrails-ai"


def make() -> Passes:
    os.environ["OTEL_SDK_DISABLED"] = "true"  # read when the package is imported
    load("guardrails.settings", PACKAGE).settings.disable_tracing = True
    base = load("guardrails.validator_base", PACKAGE)

    def validate(_self: Any, value: Any, _metadata: Any) -> Any:
        failed = any(guard(value) for guard in GUARDS)
        return base.FailResult(error_message="no") if failed else base.PassResult()

    made = type("Trivial", (base.Validator,), {"_validate": validate})
    validator = base.register_validator(name="bench/trivial", data_type="string")(made)
    guard = load("guardrails", PACKAGE).AsyncGuard().use(validator(on_fail="noop"))

    async def passes(text: str) -> bool:
        outcome = await guard.validate(text)
        return bool(outcome.validation_passed)

    return passes


if __name__ == "__main__":
    serve(make, PACKAGE)
