"""google-adk's sessions on a SQLite file, by aiosqlite."""

from pathlib import Path
from typing import Any

from bench.peers.said import Said, load

PACKAGE = "google-adk DatabaseSessionService"
_APP, _USER = "bench", "customer"


def service(path: Path) -> Any:
    """Raises `Skip` where the package is missing."""
    module = load("google.adk.sessions.database_session_service", PACKAGE)
    return module.DatabaseSessionService(f"sqlite+aiosqlite:///{path}")


def event(said: Said) -> Any:
    types, events = load("google.genai.types", PACKAGE), load("google.adk.events", PACKAGE)
    role = "user" if said.author == "contact" else "model"
    content = types.Content(role=role, parts=[types.Part(text=said.text)])
    return events.Event(author=role, content=content)


def said(session: Any) -> list[Said]:
    return [
        Said("contact" if event.author == "user" else "agent", event.content.parts[0].text)
        for event in session.events
    ]


class SessionTalk:
    """One conversation; what is appended goes to the session as it was last read."""

    def __init__(self, service: Any, id: str) -> None:
        self._service, self._id = service, id
        self._session: Any = None

    async def create(self) -> None:
        await self._service.create_session(app_name=_APP, user_id=_USER, session_id=self._id)

    async def latest(self, number: int) -> Any:
        """The session with its newest events."""
        base = load("google.adk.sessions.base_session_service", PACKAGE)
        return await self._service.get_session(
            app_name=_APP, user_id=_USER, session_id=self._id,
            config=base.GetSessionConfig(num_recent_events=number),
        )  # fmt: skip

    async def read(self) -> list[Said]:
        self._session = await self._service.get_session(
            app_name=_APP, user_id=_USER, session_id=self._id
        )
        return said(self._session)

    async def add(self, said: Said) -> None:
        await self._service.append_event(self._session, event(said))
