"""The code in README and docs is run as tests, each page from top to bottom."""

from importlib.util import find_spec
from typing import Any

from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser


def _setup(namespace: dict[str, Any]) -> None:
    """Let a page leave out what needs a package that the tests do without."""
    namespace["missing"] = lambda module: find_spec(module) is None


pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser(), SkipParser()],
    patterns=["README.md", "docs/*.md", "docs/*/*.md"],
    setup=_setup,
).pytest()
