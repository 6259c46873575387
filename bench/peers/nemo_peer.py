"""NeMo Guardrails: one output rail, an action that asks all three; no model is configured.

One rail instead of three favours it.
"""

from typing import Any

from bench.peers.guarding import GUARDS, Passes, serve
from bench.peers.said import load

PACKAGE = "nemoguardrails"
_FLOWS = """
define bot refuse
  "No."

define subflow check output
  $refused = execute is_refused(text=$bot_message)
  if $refused
    bot refuse
    stop
"""
_CONFIG = "models: []\nrails:\n  output:\n    flows: [check output]\n"
_OPTIONS = {"rails": ["output"]}


async def _is_refused(text: str = "") -> bool:
    return any(guard(text) for guard in GUARDS)


def make() -> Passes:
    nemo = load("nemoguardrails", PACKAGE)
    config = nemo.RailsConfig.from_content(colang_content=_FLOWS, yaml_content=_CONFIG)
    rails: Any = nemo.LLMRails(config)
    rails.register_action(_is_refused, "is_refused")

    async def passes(text: str) -> bool:
        said = [{"role": "user", "content": "?"}, {"role": "assistant", "content": text}]
        outcome = await rails.generate_async(messages=said, options=_OPTIONS)
        return bool(outcome.response[-1]["content"] == text)

    return passes


if __name__ == "__main__":
    serve(make, PACKAGE)
