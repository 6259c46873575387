"""A policy as data: the built-in guards and their options in a TOML file.

::

    [[guard]]
    use = "opt_out"
    everywhere = ["marketing"]

    [[guard]]
    use = "quiet_hours"
    zone = "Europe/Berlin"
    observe = true
"""

import inspect
import tomllib
import typing
from collections.abc import Callable, Mapping
from hashlib import blake2b
from os import PathLike
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from ctxbridge.errors import ConfigurationError
from ctxbridge.guards.automatic import automatic
from ctxbridge.guards.budget import contact_budget
from ctxbridge.guards.channel_window import channel_window
from ctxbridge.guards.disclosure import disclosure
from ctxbridge.guards.guard import FunctionGuard
from ctxbridge.guards.links import link_allowlist
from ctxbridge.guards.loops import loop_breaker
from ctxbridge.guards.opt_out import opt_out
from ctxbridge.guards.pii import pii
from ctxbridge.guards.quiet_hours import quiet_hours
from ctxbridge.guards.recipient import recipient
from ctxbridge.guards.segments import sms_segments

MAX_POLICY_BYTES = 256 * 1024

_BUILT_IN: Mapping[str, Callable[..., FunctionGuard]] = {
    made.__name__: made
    for made in (
        automatic, channel_window, contact_budget, disclosure, link_allowlist, loop_breaker,
        opt_out, pii, quiet_hours, recipient, sms_segments,
    )
}  # fmt: skip
_SECRET = frozenset({"key"})
_NO_OPTIONS = frozenset({"use", "observe"})


def read_policy(path: str | PathLike[str]) -> list[FunctionGuard]:
    """The guards that a policy file lists, in its order.

    Each ``[[guard]]`` names a built-in guard by `use`; the other keys are its options, and
    ``observe = true`` lets it judge without enforcing anything. The file's digest is part of each
    guard's version, so every decision tells by which policy it was made.

    Raises `ConfigurationError` that names the guard and the option for whatever is wrong: nothing
    of a policy with an error is used.
    """
    data = _read(Path(path))
    listed = _listed(data)
    digest = blake2b(data, digest_size=4).hexdigest()
    return [_made(number, entry, digest) for number, entry in enumerate(listed, 1)]


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_POLICY_BYTES:
            raise ConfigurationError(f"a policy has at most {MAX_POLICY_BYTES} bytes")
        return path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"the policy cannot be read ({type(error).__name__})") from error


def _listed(data: bytes) -> list[Any]:
    try:
        policy = tomllib.loads(data.decode())
    except (ValueError, RecursionError) as error:  # TOML's and UTF-8's own are ValueErrors
        raise ConfigurationError(f"the policy is no TOML: {error}") from None
    listed = policy.pop("guard", None)
    if policy or not isinstance(listed, list):
        raise ConfigurationError("a policy is a list of [[guard]], and nothing else")
    return listed


def _made(number: int, entry: Any, digest: str) -> FunctionGuard:
    name = entry.get("use") if isinstance(entry, dict) else None
    if not isinstance(name, str) or name not in _BUILT_IN:
        raise ConfigurationError(f"guard {number} of the policy uses none of {sorted(_BUILT_IN)}")
    where = f"guard {number} of the policy ({name})"
    options = {key: value for key, value in entry.items() if key not in _NO_OPTIONS}
    observe = entry.get("observe", False)
    if not isinstance(observe, bool):
        raise ConfigurationError(f"{where}: observe is true or false")
    try:
        made = _BUILT_IN[name](**_converted(name, options))
    except ConfigurationError as error:
        raise ConfigurationError(f"{where}: {error}") from None
    except (TypeError, ValueError, AttributeError) as error:
        raise ConfigurationError(f"{where}: an option is missing or wrong ({error})") from None
    mode: typing.Literal["observe", "enforce"] = "observe" if observe else "enforce"
    return replace(made, version=f"{made.version}+{digest}", mode=mode)


def _converted(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options as the guard's own types; raises `ConfigurationError` for others."""
    factory = _BUILT_IN[name]
    known, hints = inspect.signature(factory).parameters, typing.get_type_hints(factory)
    for option in options:
        if option not in known:
            raise ConfigurationError(f"there is no option {option!r}")
        if option in _SECRET:
            raise ConfigurationError(f"{option} is a secret: make this guard in code")
    return {option: _as(option, value, hints[option]) for option, value in options.items()}


def _as(option: str, value: Any, kind: Any) -> Any:
    if isinstance(value, str) and str in typing.get_args(kind):
        return value  # beside a function, which no file can hold
    try:
        return msgspec.convert(value, kind)
    except (msgspec.ValidationError, TypeError) as error:
        raise ConfigurationError(f"{option}: {error}") from None
