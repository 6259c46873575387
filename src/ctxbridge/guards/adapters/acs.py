"""Policies of the Agent Control Specification (Rego, Cedar), judged in this process.

The package is `agent-control-spec`, import name ``agent_control_spec``: the engine of Microsoft's
specification behind the contract of `agent-hooks-sdk`. Its predecessor on PyPI,
`agent-control-specification`, has other types and is not supported.

=================  ==================  ==========================================================
stage here         point of the spec   note
=================  ==================  ==========================================================
``inbound``        ``input``
``tool_call``      ``pre_tool_call``   the target is the arguments, a JSON object
``tool_result``    ``post_tool_call``  the target is the answer: what its JSON holds, or the text
``reply``          ``output``
``context``        none                ``pre_model_call`` judges the whole prompt, which only the
                                       framework has; it can ask the same policy there
``send``           none                the gate before sending has no equivalent
=================  ==================  ==========================================================

``deny`` is block, ``deny`` with an approval (``escalate`` in a policy) is escalate, ``allow`` with
warnings (``warn``) is warn, ``transform`` is modify. Labels of the result are the verdict's.
"""

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import count
from os import PathLike, fspath
from pathlib import Path
from typing import Any, Unpack

import msgspec

from ctxbridge.errors import ConfigurationError, PayloadError
from ctxbridge.guards.adapters.extras import AdapterOptions, load
from ctxbridge.guards.guard import (
    FunctionGuard,
    TextCheck,
    allow,
    block,
    escalate,
    guard,
    modify,
    warn,
)
from ctxbridge.model import Stage, Verdict

POINTS: dict[Stage, str] = {
    "inbound": "input",
    "tool_call": "pre_tool_call",
    "tool_result": "post_tool_call",
    "reply": "output",
}
"""Which point of the specification stands for which stage."""
Annotate = Callable[[str, Any, Any], Any]
"""Answers an annotator by its name, declaration and policy input."""
_REASON = re.compile(r"[A-Za-z0-9_.:\-]{1,60}")


def acs(
    manifest: str | PathLike[str],
    *,
    agent: str = "ctxbridge",
    to: str = "approval",
    say: str | None = None,
    annotate: Annotate | None = None,
    stages: Sequence[Stage] | None = None,
    **options: Unpack[AdapterOptions],
) -> FunctionGuard:
    """A guard that asks the policies of an ACS manifest, a file; needs the extra ``acs``.

    `stages` are those of `POINTS`, by default those whose points the manifest binds. The policy is
    shown an agent-hooks context: ``input`` (``{"content": text, "role": "user"}``), ``output``
    (``{"content": text}``) or ``tool_call`` and ``tool_result``, the `agent` by name, the contact's
    id in hex as session, and under ``extensions.ctxbridge`` the ``stage``, ``channel``,
    ``assurance`` (its name in lower case), ``purpose``, ``flags`` and ``said_before``. It is not
    shown the history.

    A transform replaces the text: at ``$target.content``, or at ``$target`` where the manifest's
    `policy_target` is the content itself. The reason of a policy becomes the code ``acs.<reason>``
    if it is one word of at most 60 characters, else ``acs.deny`` and the like; its message is not
    shown to the customer, `say` is. `to` is the queue of what wants approval. What the engine calls
    a ``runtime_error`` is an error of this guard, so `on_error` says what is enforced.

    The engine's own annotators, which ask hosts that a manifest names, are off: `annotate` is asked
    instead, and without it a policy that wants an annotation is an error. A manifest that extends
    one at a URL has the engine fetch that when the guard is made.

    Raises `ConfigurationError` for a manifest that is missing, that the engine refuses or that
    binds none of these points, and where the package is missing.
    """
    policy = _activated(manifest, annotate)
    chosen = tuple(POINTS) if stages is None else tuple(stages)
    bound = tuple(s for s in chosen if s in POINTS and policy.governs(POINTS[s]))
    if not bound or (stages is not None and bound != chosen):
        raise ConfigurationError(f"the manifest binds {policy.intervention_points}, of {POINTS}")
    builder = load("agent_hooks", "acs").AgentContextBuilder
    apply = load("agent_hooks.path", "acs").apply
    numbers = count()

    def check(check: TextCheck) -> Verdict:
        context = _context(builder, agent, check) | {"sequence": next(numbers)}
        said = policy.evaluate(POINTS[check.stage], context)
        if said.decision.value == "transform":
            changed = apply(context["target"], said.transform.path, said.transform.value)
            return modify(
                _text(check.stage, changed), _code(said, "transform"), labels=said.result_labels
            )
        return _verdict(said, to, say)

    taken: AdapterOptions = {"name": "acs", **options}
    # Evaluation takes a fraction of a millisecond, and as long as it likes with large policies.
    return guard(*bound, modifies=True, thread=True, **taken)(check)


def _activated(manifest: str | PathLike[str], annotate: Annotate | None) -> Any:
    package = load("agent_control_spec", "acs")
    path = Path(fspath(manifest))
    if not path.is_file():
        raise ConfigurationError("the manifest of acs is a file")
    try:
        return package.ActivatedPolicy(
            str(path.resolve()), annotator_dispatcher=annotate or _no_annotations
        )
    except (ValueError, RuntimeError) as error:
        raise ConfigurationError("the engine of acs does not take this manifest") from error


def _no_annotations(name: str, _annotator: Any, _policy_input: Any) -> Any:
    raise ConfigurationError(f"acs was given nothing to answer the annotator {name}")


def _context(builder: Any, agent: str, check: TextCheck) -> dict[str, Any]:
    """What the policy is shown, as agent-hooks writes it."""
    session = check.contact.id.hex() if check.contact else "unknown"
    built = builder(agent_id=agent, framework="ctxbridge", session_id=session)
    context: dict[str, Any] = _point(built, check)
    at = datetime.fromtimestamp(check.now / 1000, UTC)
    context["timestamp"] = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    context["extensions"] = {
        "ctxbridge": {
            "stage": check.stage,
            "channel": check.channel,
            "assurance": check.assurance.name.lower(),
            "purpose": check.purpose,
            "flags": list(check.flags),
            "said_before": check.said_before,
        }
    }
    return context


def _point(built: Any, check: TextCheck) -> Any:
    call = {"call_id": "unknown", "name": check.tool}
    match check.stage:
        case "inbound":
            return built.input(content=check.text)
        case "tool_call":
            return built.pre_tool_call(**call, args=_object(check.text))
        case "tool_result":
            return built.post_tool_call(**call, args={}, value=_held(check.text))
        case _:
            return built.output(content=check.text)


def _held(text: str) -> Any:
    """What the JSON in `text` holds; the text itself where it is none."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return text


def _object(text: str) -> dict[str, Any]:
    held = _held(text)
    if not isinstance(held, dict):
        raise PayloadError("the arguments of a tool are a JSON object")
    return held


def _text(stage: Stage, changed: Any) -> str:
    """The text of what a transform left of the target."""
    if stage == "tool_call" or (stage == "tool_result" and not isinstance(changed, str)):
        return msgspec.json.encode(changed).decode()
    text = changed.get("content") if isinstance(changed, dict) else changed
    if not isinstance(text, str):
        raise PayloadError("a transform of acs left no text")
    return text


def _verdict(said: Any, to: str, say: str | None) -> Verdict:
    labels = said.result_labels
    if said.decision.value == "allow":
        if said.warnings:
            return warn(_code(said.warnings[0], "warn"), labels=labels)
        return Verdict(labels=labels) if labels else allow()
    if (said.reason or "").startswith("runtime_error:"):
        raise PayloadError("the engine of acs could not judge")
    if said.is_liftable:
        return escalate(to, _code(said, "escalate"), say=say, labels=labels)
    return block(_code(said, "deny"), say=say, labels=labels)


def _code(said: Any, otherwise: str) -> str:
    """The policy's reason where it is a code; a sentence may hold words of the customer."""
    reason = said.reason or ""
    return f"acs.{reason if _REASON.fullmatch(reason) else otherwise}"
