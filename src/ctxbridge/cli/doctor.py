"""``ctxbridge doctor``: what this machine, its packages, its settings and its store are like.

It prints no value of any variable, and of the store's address nothing that may be a secret.
"""

import os
import platform
import re
import sys
import time
from collections.abc import Iterator, Mapping
from importlib import metadata
from typing import Literal
from urllib.parse import parse_qs, urlsplit

import anyio
from msgspec import Struct

from ctxbridge import __version__
from ctxbridge.cli.fit import examine
from ctxbridge.cli.output import emit, plain, say
from ctxbridge.cli.tables import tell_table
from ctxbridge.cli.where import Where
from ctxbridge.errors import CtxBridgeError
from ctxbridge.ports import Clocked

ILL = 3
OLDEST_PYTHON = (3, 11)
MOST_SKEW_MILLISECONDS = 1_000
HEADLINE = ("about", "state", "what was found")
NAMES_OF_SECRETS = re.compile(
    r"SECRET|TOKEN|PASSW|PASSPHRASE|API_?KEY|AUTH_?KEY|HOOK_?KEY|SIGNING_?KEY|PRIVATE_?KEY"
)
PLACEHOLDERS = re.compile(
    r"<.*>|\$\{?\w+\}?|x{3,}|\*{3,}|\.{3}|change_?-?me|todo|none|null|secret|password|"
    r"your[-_ ].*|replace[-_ ].*|example",
    re.IGNORECASE,
)
LOOPBACK = {"localhost", "127.0.0.1", "::1"}


class Finding(Struct, frozen=True):
    """One thing that was looked at; ``note`` is worth knowing, ``bad`` is to be mended."""

    about: str
    state: Literal["good", "note", "bad"]
    told: str


def doctor(where: Where | None, *, as_json: bool) -> int:
    """Look at everything and tell; 3 if something is bad. Without `where` no store is looked at."""
    found = [*_python(), *_packages(), *secrets(os.environ)]
    if where is None:
        found.append(Finding("store", "note", "not looked at: name one with --db"))
    else:
        found += [*_encryption(where.db), *anyio.run(_store, where)]
    if as_json:
        for one in found:
            emit({"kind": "finding", "about": one.about, "state": one.state, "told": one.told})
    else:
        tell_table([HEADLINE, *[(f.about, f.state, plain(f.told)) for f in found]])
        say(f"\n{_sum_up(found)}")
    return ILL if any(one.state == "bad" for one in found) else 0


def _sum_up(found: list[Finding]) -> str:
    bad = sum(one.state == "bad" for one in found)
    if not bad:
        return "Nothing is to be mended."
    return f"{bad} {'thing is' if bad == 1 else 'things are'} to be mended."


def _python() -> Iterator[Finding]:
    version = platform.python_version()
    machine = f"{platform.python_implementation()} {version} on {platform.system()}"
    good = sys.version_info >= OLDEST_PYTHON
    yield Finding("python", "good" if good else "bad", f"{machine}, {platform.machine()}")
    yield Finding("ctxbridge", "good", __version__)


# --- packages -------------------------------------------------------------------------------------

_NAME = re.compile(r"\s*([A-Za-z0-9._-]+)(?:\[[^]]*\])?\s*([^;]*)")
_EXTRA = re.compile(r"""extra\s*==\s*['"]([^'"]+)['"]""")


def _packages() -> Iterator[Finding]:
    try:
        required = metadata.requires("ctxbridge") or []
    except metadata.PackageNotFoundError:
        yield Finding("packages", "note", "ctxbridge runs from its sources and is not installed")
        return
    by_extra: dict[str, list[str]] = {}
    for line in required:
        marked = _EXTRA.search(line)
        by_extra.setdefault(marked[1] if marked else "", []).append(line)
    for line in by_extra.pop("", []):
        name, version = _version_of(line)
        yield Finding(f"package {name}", "good" if version else "bad", version or "missing")
    for extra, lines in sorted(by_extra.items()):
        yield _extra(extra, dict([_version_of(line) for line in lines]))


def _version_of(requirement: str) -> tuple[str, str]:
    """A package that is required, and its version here; empty where it is missing."""
    match = _NAME.match(requirement)
    name = match[1] if match else requirement
    try:
        return name, metadata.version(name)
    except metadata.PackageNotFoundError:
        return name, ""


def _extra(extra: str, versions: Mapping[str, str]) -> Finding:
    there = ", ".join(f"{name} {version}" for name, version in versions.items() if version)
    missing = ", ".join(name for name, version in versions.items() if not version)
    if not missing:
        return Finding(f"extra {extra}", "good", there)
    told = f"not installed: {missing}" + (f"; there: {there}" if there else "")
    return Finding(f"extra {extra}", "note", told)


# --- settings -------------------------------------------------------------------------------------


def secrets(environ: Mapping[str, str]) -> Iterator[Finding]:
    """Variables that are named like a secret and hold none; no value is told."""
    names = sorted(name for name in environ if NAMES_OF_SECRETS.search(name.upper()))
    held = 0
    for name in names:
        value = environ[name].strip()
        if not value:
            yield Finding("secret", "bad", f"{name} is set and empty")
        elif PLACEHOLDERS.fullmatch(value):
            yield Finding("secret", "bad", f"{name} looks like a placeholder")
        elif value != environ[name]:
            yield Finding("secret", "bad", f"{name} begins or ends with blanks")
        else:
            held += 1
    if held:
        yield Finding("secrets", "good", f"{held} in the environment look set")
    if not names:
        yield Finding("secrets", "note", "no variable of the environment is named like one")


# --- the store ------------------------------------------------------------------------------------


def _encryption(db: str) -> Iterator[Finding]:
    """Whether what goes to a server is encrypted, as the address of the store says."""
    scheme = db.partition("://")[0] if "://" in db else ""
    if not scheme.startswith("redis"):
        return
    if scheme.startswith("rediss"):
        options = parse_qs(urlsplit(db).query)
        unchecked = options.get("ssl_cert_reqs", ["required"])[-1] in {"none", "optional"}
        told = "TLS, but the server's certificate is not checked" if unchecked else "TLS"
        yield Finding("connection", "bad" if unchecked else "good", told)
    elif _is_near(db):
        yield Finding("connection", "good", "not encrypted, and does not leave this machine")
    else:
        told = "not encrypted: everybody on the way can read; use rediss:// if you can"
        yield Finding("connection", "note", told)


def _is_near(db: str) -> bool:
    try:
        hosts = urlsplit(db).netloc.rpartition("@")[2].split(",")
        return all(urlsplit(f"//{host}").hostname in LOOPBACK for host in hosts)
    except ValueError:
        return False


async def _store(where: Where) -> list[Finding]:
    try:
        found = await examine(where, None)
        if found.report is None or not found.fit:
            return [Finding("store", "bad", found.reason)]
        report = found.report
        durable = "durable" if report.durable else "not durable"
        told = [Finding("store", "good", f"{report.kind}, version {report.version}, {durable}")]
        told += [Finding("store", "note", note) for note in report.notes]
        return [*told, *await _clock(where)]
    except CtxBridgeError as error:
        return [Finding("store", "bad", str(error))]


async def _clock(where: Where) -> list[Finding]:
    """How far our clock and the server's are apart, to half the time that asking takes."""
    store = where.store(read_only=False)
    inner = getattr(store, "inner", store)
    if not isinstance(inner, Clocked):
        return []
    await store.check()
    try:
        before = time.time_ns() // 1_000_000
        theirs = await inner.server_time()
        after = time.time_ns() // 1_000_000
    finally:
        await store.aclose()
    ahead = theirs - (before + after) / 2
    word = "ahead of" if ahead > 0 else "behind"
    told = f"the server's is {abs(ahead):.0f} ms {word} ours (asking took {after - before} ms)"
    far = abs(ahead) > MOST_SKEW_MILLISECONDS
    return [Finding("clock", "bad" if far else "good", told)]
