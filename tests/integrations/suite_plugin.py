"""A plugin for the session tests of openai-agents: our session stands in place of their SQLiteSession.

`suites.sh` runs it; ``CTXBRIDGE_SUITE_STORE`` says on which store. Of each test it is written down
whether it has used our session at all, and how it ended.
"""

import json
import os
import threading
from pathlib import Path

import agents
import agents.memory
import agents.memory.sqlite_session
import pytest

from ctxbridge import Bridge, open_store
from ctxbridge.integrations.openai_agents import Session

STORE = os.environ.get("CTXBRIDGE_SUITE_STORE", "memory")
_bridges = {}
_used = set()
_outcomes = {}
_running = None
_lock = threading.Lock()


def bridge_of(path):
    """One for each file that they name; theirs in memory are one for each session."""
    with _lock:
        if path not in _bridges:
            address = "memory://" if STORE == "memory" else f"sqlite:///{path}.ctxbridge"
            store = open_store(address)
            _bridges[path] = Bridge(store, tenant="suite", window=20)
        return _bridges[path]


class SuiteSession(Session):
    """As theirs is made: with an id and a path."""

    def __init__(self, session_id, db_path=":memory:", *tables, session_settings=None):
        _used.add(_running)
        path = str(db_path)
        if path == ":memory:":
            path = f"{os.environ['CTXBRIDGE_SUITE_FOLDER']}/memory-{id(self)}-{len(_bridges)}"
        self._suite_bridge = bridge_of(path)
        super().__init__(
            self._suite_bridge, f"chat:{session_id}", session_id=session_id,
            session_settings=session_settings,
        )  # fmt: skip

    async def get_items(self, limit=None, *, wrapper=None):
        await self._suite_bridge.store.check()
        return await super().get_items(limit, wrapper=wrapper)

    async def add_items(self, items, *, wrapper=None):
        await self._suite_bridge.store.check()
        await super().add_items(items, wrapper=wrapper)

    async def pop_item(self, *, wrapper=None):
        await self._suite_bridge.store.check()
        return await super().pop_item(wrapper=wrapper)

    async def clear_session(self, *, wrapper=None):
        await self._suite_bridge.store.check()
        await super().clear_session(wrapper=wrapper)


for module in (agents, agents.memory, agents.memory.sqlite_session):
    module.SQLiteSession = SuiteSession


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    global _running  # noqa: PLW0603 - one test runs at a time
    _running = item.nodeid
    return (yield)


def pytest_runtest_logreport(report):
    if report.when == "call" or report.outcome != "passed":
        _outcomes[report.nodeid] = report.outcome


def pytest_sessionfinish():
    used = {name: outcome for name, outcome in sorted(_outcomes.items()) if name in _used}
    Path(os.environ["CTXBRIDGE_SUITE_RESULT"]).write_text(json.dumps(used, indent=1) + "\n")
