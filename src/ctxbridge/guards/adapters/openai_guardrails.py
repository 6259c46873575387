"""The checks of OpenAI Guardrails that are rules: no model, no key, no network.

The package `openai-guardrails` shares its import name, ``guardrails``, with Guardrails AI, which
reports what it does to its makers. So the installed distributions are looked at before anything is
imported.
"""

import asyncio
import re
from collections.abc import Collection, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Unpack

import anyio.to_thread

from ctxbridge.errors import ConfigurationError, PayloadError
from ctxbridge.guards.adapters.extras import AdapterOptions, load
from ctxbridge.guards.adapters.objection import Objection, objection, require
from ctxbridge.guards.guard import FunctionGuard, TextCheck, allow, guard
from ctxbridge.model import Stage, Verdict

EXTRA = "openai-guardrails"
LOCAL = ("Competitors", "Keyword Filter", "Secret Keys", "URL Filter")
"""The checks that work here. The others ask a model or an API of OpenAI, or, as ``Contains PII``,
want a spaCy model and let `tldextract` fetch a list: `ctxbridge.guards.adapters.presidio` is that
check without either."""


def openai_guardrails(
    checks: Mapping[str, Mapping[str, Any]],
    *,
    action: Objection = "block",
    say: str | None = None,
    to: str = "review",
    stages: Sequence[Stage] = ("reply",),
    **options: Unpack[AdapterOptions],
) -> FunctionGuard:
    """A judge of the named checks of OpenAI Guardrails; needs the extra ``openai-guardrails``.

    `checks` maps names, among `LOCAL`, to their configuration, as in the package's JSON files:
    ``{"URL Filter": {"url_allow_list": ["acme.example"]}}``. They are asked in their order in one
    thread, and the first whose tripwire is set decides: `action` is enforced with the code
    ``openai_guardrails.url_filter`` and the like; `say` is what the customer is told, `to` the
    queue of ``escalate``. A check that fails is an error of the guard; the package itself would let
    the text pass. What a check reports of the text stays here.

    Raises `ConfigurationError` for a check that is none of `LOCAL`, for a configuration that the
    check does not take, and where the package is missing or Guardrails AI is installed.
    """
    require(action)
    asked = _configured(checks)

    def tripped(text: str) -> str | None:
        return asyncio.run(_first_tripped(asked, text))

    async def check(check: TextCheck) -> Verdict:
        # Long texts take the package milliseconds, in which the loop has other things to do.
        found = await anyio.to_thread.run_sync(tripped, check.text, abandon_on_cancel=True)
        return allow() if found is None else objection(action, _code(found), say=say, to=to)

    taken: AdapterOptions = {"name": "openai_guardrails", **options}
    return guard(*stages, **taken)(check)


async def _first_tripped(asked: Collection[Any], text: str) -> str | None:
    """The name of the first check that objects."""
    for one in asked:
        result = await one.run(None, text)
        # The package's own runner would take a failed check for a passed one.
        if result.execution_failed or not isinstance(result.tripwire_triggered, bool):
            raise PayloadError(f"the check {one.definition.name} failed")
        if result.tripwire_triggered:
            return str(one.definition.name)
    return None


def _code(found: str) -> str:
    return "openai_guardrails." + re.sub("[^a-z0-9]+", "_", found.lower())


def _configured(checks: Mapping[str, Mapping[str, Any]]) -> tuple[Any, ...]:
    """The package's own checks, ready to run."""
    if not checks or set(checks) - set(LOCAL):
        raise ConfigurationError(f"the checks of OpenAI Guardrails that work here are {LOCAL}")
    package = _package()
    bundle = {"guardrails": [{"name": n, "config": dict(c)} for n, c in checks.items()]}
    try:
        return tuple(package.instantiate_guardrails(package.load_config_bundle(bundle)))
    except Exception as error:  # its own kind, pydantic's, or KeyError
        raise ConfigurationError("OpenAI Guardrails does not take this configuration") from error


def _package() -> Any:
    """The package, surely this one and not Guardrails AI."""
    if _installed("guardrails-ai"):
        raise ConfigurationError(
            "guardrails-ai is installed: it has the same import name as openai-guardrails, so only "
            "one of them can be in an environment"
        )
    if not _installed("openai-guardrails"):
        raise ConfigurationError(
            f'this guard needs openai-guardrails: pip install "ctxbridge[{EXTRA}]"'
        )
    package = load("guardrails", EXTRA)
    if not hasattr(package, "instantiate_guardrails"):
        raise ConfigurationError("the module guardrails is not that of openai-guardrails")
    return package


def _installed(distribution: str) -> bool:
    try:
        version(distribution)
    except PackageNotFoundError:
        return False
    return True
