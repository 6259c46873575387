"""What the adapters share: the packages they need, and the options that all of them take."""

import importlib
from types import ModuleType
from typing import TypedDict

from ctxbridge.errors import ConfigurationError
from ctxbridge.model import Action
from ctxbridge.model.decision import Mode


class AdapterOptions(TypedDict, total=False):
    """Options of `ctxbridge.guards.guard` that every adapter passes on; it tells what they mean."""

    name: str
    version: str
    deadline_seconds: float | None
    on_error: Action
    on_timeout: Action
    mode: Mode
    once: bool


def load(module: str, extra: str) -> ModuleType:
    """Import `module`; where it is missing, `ConfigurationError` names the `extra` to install."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ConfigurationError(
            f'this guard needs {module}: pip install "ctxbridge[{extra}]"'
        ) from error
