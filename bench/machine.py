"""Where the figures come from."""

import os
import platform
import sqlite3
import subprocess
from importlib.metadata import version
from pathlib import Path

PACKAGES = ("ctxbridge", "aiosqlite", "anyio", "msgspec", "opentelemetry-api", "pydantic")


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
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cpu_count": cores(),
        "revision": _revision(),
        "packages": {name: version(name) for name in PACKAGES},
    }


def _revision() -> str:
    """Of the sources; ``-dirty`` where they were changed since."""
    git = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    try:
        done = subprocess.run(
            git, cwd=Path(__file__).parent, capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return done.stdout.strip()
