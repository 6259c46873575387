"""What the command line names in a module of the team's own: guards, a source of keys."""

import importlib
import sys
from pathlib import Path
from typing import Any

from ctxbridge.errors import ConfigurationError


def named(name: str, option: str) -> Any:
    """What ``module:name`` names, the current folder first; `option` is told where it is nothing.

    Raises `ConfigurationError`, also for a module that fails while it is loaded: of its error only
    the kind is told, since its words may hold a secret.
    """
    module, colon, attribute = name.partition(":")
    if not (module and colon and attribute):
        raise ConfigurationError(f"{option} is written MODULE:NAME, as in shop.policy:guards")
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(f"{name} cannot be loaded: {error}") from error
    except Exception as error:
        told = f"{name} cannot be loaded: its module raised {type(error).__name__}"
        raise ConfigurationError(told) from error
