"""What all frameworks can keep: who said what. Ours keeps more, which favours them."""

import importlib
from collections.abc import Awaitable
from typing import Any, NamedTuple, Protocol

from bench.harness import Skip

INSTALL = "pip install -r bench/peers/requirements.txt"


class Said(NamedTuple):
    """One message: "contact" or "agent", and the text."""

    author: str
    text: str


class Talk(Protocol):
    """One conversation as one worker holds it."""

    async def read(self) -> list[Said]:
        """All that was said."""
        ...

    def add(self, said: Said) -> Awaitable[object]:
        """Append it."""
        ...


def load(module: str, package: str) -> Any:
    """The module of a peer; `Skip` where it is not installed or cannot be imported."""
    try:
        return importlib.import_module(module)
    except Exception as error:
        missing = isinstance(error, ModuleNotFoundError)
        reason = "it is not installed" if missing else f"its import fails ({type(error).__name__})"
        raise Skip(f"{package} because {reason}: {INSTALL}") from error
