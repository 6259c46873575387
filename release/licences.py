"""The licences of all that ctxbridge may bring: read from their metadata, held against a list.

python -m release.licences        writes docs/licences.md

What a package needs at run time counts, for each extra, as deep as it goes. Metadata are read from
the environment that this runs in. What is not installed in it is named and cannot be judged.
"""

import re
import tomllib
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from msgspec import Struct

from release.needs import needs

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "licences.md"
BEGIN, END = "<!-- licences -->\n", "<!-- /licences -->"

ALLOWED = frozenset({
    "MIT", "MIT-0", "BSD-2-Clause", "BSD-3-Clause", "0BSD", "ISC", "Apache-2.0", "PSF-2.0",
    "Python-2.0", "CNRI-Python", "Unlicense", "Zlib", "MIT-CMU",
})  # fmt: skip
"""Licences that ask for no more than a notice (SPDX names)."""

UNCHANGED = frozenset({"MPL-2.0"})
"""Allowed for what is used as it is: whoever changes a file of theirs has to publish that file."""

OTHER_WORDS = {
    "MIT License": "MIT",
    "Apache Software License": "Apache-2.0",
    "Apache 2.0": "Apache-2.0",
    "Apache License, Version 2.0": "Apache-2.0",
}
"""How packages say it that do not write SPDX names. "BSD" is none: it does not say which."""

UNKNOWN = "unknown"


class Part(Struct, frozen=True):
    """A package, its licence as SPDX writes it, and the extras that bring it ("" without any)."""

    name: str
    licence: str
    extras: tuple[str, ...]


def licence_of(about: metadata.PackageMetadata) -> str:
    """As an SPDX expression (PEP 639), else the older field of one line, else the classifiers.

    Source: packaging.python.org/en/latest/specifications/core-metadata. What none of them says, and
    what no list here knows, comes out as it is written, and `may_be_brought` refuses it.
    """
    if said := _said(about, "License-Expression"):
        return said
    words = _said(about, "License")
    if may_be_brought(OTHER_WORDS.get(words, words)):
        return OTHER_WORDS.get(words, words)
    classifiers = about.get_all("Classifier") or []
    named = {one.rpartition(" :: ")[2] for one in classifiers if one.startswith("License :: ")}
    told = sorted(OTHER_WORDS.get(name, name) for name in named)
    return " AND ".join(told) or words.partition("\n")[0] or UNKNOWN


def _said(about: metadata.PackageMetadata, field: str) -> str:
    values: list[str] = about.get_all(field) or [""]
    return values[0].strip()


def may_be_brought(licence: str) -> bool:
    """Whether each licence that is named is one of the list. No choice is made among several."""
    named = re.split(r"\s+(?:AND|OR)\s+", licence.replace("(", "").replace(")", ""))
    return all(name in ALLOWED | UNCHANGED for name in named)


def parts() -> tuple[list[Part], list[Part]]:
    """What is brought, by name: what is installed here, and what is not (its licence unknown)."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    brings: dict[str, Iterable[str]] = {"": project["dependencies"]}
    brings |= project["optional-dependencies"]
    extras: dict[str, list[str]] = {}
    here: dict[str, str] = {}
    for extra, requirements in brings.items():
        found, missing = needs(requirements)
        here |= {name: licence_of(one.metadata) for name, one in found.items()}
        for name in (*found, *missing):
            extras.setdefault(name, []).append(extra)
    listed = [Part(n, here.get(n, UNKNOWN), _least(extras[n])) for n in sorted(extras)]
    return [p for p in listed if p.name in here], [p for p in listed if p.name not in here]


def _least(extras: Iterable[str]) -> tuple[str, ...]:
    """Nothing to choose where a plain installation brings it already."""
    return ("",) if "" in extras else tuple(sorted(extras))


def table(listed: Iterable[Part]) -> str:
    """As the page shows it."""
    head = "| package | licence | brought by |\n| --- | --- | --- |\n"
    return head + "".join(f"| {p.name} | {p.licence} | {_brought(p)} |\n" for p in listed)


def _brought(part: Part) -> str:
    return ", ".join(f"`[{extra}]`" if extra else "ctxbridge" for extra in part.extras)


def page() -> str:
    """The page, with what is found now between its marks."""
    text = PAGE.read_text(encoding="utf-8")
    here, missing = parts()
    named = ", ".join(f"`{p.name}` ({_brought(p)})" for p in missing)
    before, after = text.partition(BEGIN)[0], text.partition(END)[2]
    return f"{before}{BEGIN}{table(here)}\nNot looked at, as not installed: {named}.\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
