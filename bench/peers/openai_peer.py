"""openai-agents, as its documentation would have it: a session for each conversation over one
client that the application shares; or its session on a SQLite file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.peers.said import Said, load

PACKAGE = "openai-agents sessions"
_ROLES = {"contact": "user", "agent": "assistant"}
_AUTHORS = {role: author for author, role in _ROLES.items()}


def redis_session(client: Any, id: str) -> Any:
    """Raises `Skip` where the package is missing."""
    module = load("agents.extensions.memory.redis_session", PACKAGE)
    return module.RedisSession(id, redis_client=client)


def sqlite_session(path: Path, id: str) -> Any:
    """Raises `Skip` where the package is missing."""
    return load("agents", PACKAGE).SQLiteSession(id, path)


def item(said: Said) -> dict[str, str]:
    return {"role": _ROLES[said.author], "content": said.text}


def said(items: Sequence[Any]) -> list[Said]:
    """Raises what it raises for an item of another type."""
    return [Said(_AUTHORS[item["role"]], item["content"]) for item in items]


class SessionTalk:
    """One conversation in a session of either kind."""

    def __init__(self, session: Any) -> None:
        self._session = session

    async def read(self) -> list[Said]:
        return said(await self._session.get_items())

    async def add(self, said: Said) -> None:
        await self._session.add_items([item(said)])
