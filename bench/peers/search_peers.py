"""Peers that need a search module in the server: asked, so that the report can say why not."""

import warnings
from collections.abc import Iterator
from typing import Any

from bench.harness import Skip
from bench.peers.said import load

_NAMES = {
    "langchain-redis RedisChatMessageHistory": ("langchain_redis", "RedisChatMessageHistory"),
    "redisvl MessageHistory": ("redisvl.extensions.message_history", "MessageHistory"),
}


def reasons(url: str) -> Iterator[str]:
    """Why each of them is not run."""
    for package, (module, name) in _NAMES.items():
        try:
            made: Any = getattr(load(module, package), name)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                made("bench", redis_url=url)
        except Skip as reason:
            yield str(reason)
        except Exception as error:  # noqa: BLE001 - whatever it says is the reason
            said = " ".join(str(error).split())[:100]
            yield f"{package} because it needs a search module in the server ({said})"
        else:
            yield f"{package} because nothing here has a search module to compare it with"
