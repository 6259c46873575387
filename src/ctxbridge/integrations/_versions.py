"""Whether a framework is here in a version that its integration was written for."""

import re
from importlib.metadata import PackageNotFoundError, version

from ctxbridge.errors import ConfigurationError


def require(package: str, lowest: str, below: str) -> None:
    """Raise `ConfigurationError` unless `package` is installed, from `lowest` on, under `below`."""
    wanted = f"this integration needs {package}>={lowest},<{below}"
    try:
        found = version(package)
    except PackageNotFoundError:
        raise ConfigurationError(f"{wanted}, which is not installed") from None
    if not _numbers(lowest) <= _numbers(found) < _numbers(below):
        raise ConfigurationError(f"{wanted}; {found} is installed")


def _numbers(text: str) -> tuple[int, ...]:
    release = re.match(r"\d+(\.\d+)*", text)
    return tuple(int(n) for n in release[0].split(".")) if release else ()
