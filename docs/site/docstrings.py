"""How our docstrings become Markdown: what stands behind ``::`` is code, and a name is a link."""

import json
import re
from pathlib import Path
from typing import Any

import griffe

CODE = re.compile(r"(?m)(^|[^:\n]):: *\n\n((?: {4}.*\n?|[ \t]*\n)+)")
NAME = re.compile(r"(?<!`)`([A-Z]\w+)`(?!`)")
FENCE = re.compile(r"(?s)(```.*?```)")


class Docstrings(griffe.Extension):
    """Changes each docstring as it is read."""

    def __init__(self) -> None:
        names = Path(__file__).parents[2] / "build/names.json"  # where each public name is told of
        self._homes: dict[str, str] = json.loads(names.read_text())

    def on_instance(self, *, obj: griffe.Object, **_more: Any) -> None:
        """Change the docstring of a module, class, function or attribute."""
        if obj.docstring is not None:
            obj.docstring.value = self._linked(fenced(obj.docstring.value))

    def _linked(self, text: str) -> str:
        parts = FENCE.split(text)  # every second one is code
        parts[::2] = [NAME.sub(self._link, part) for part in parts[::2]]
        return "".join(parts)

    def _link(self, found: re.Match[str]) -> str:
        home = self._homes.get(found[1])
        return f"[{found[0]}][{home}]" if home else found[0]


def fenced(text: str) -> str:
    """The text of a docstring with its code in fences."""
    return CODE.sub(_fence, text + "\n").rstrip()


def _fence(found: re.Match[str]) -> str:
    introduced, code = found[1], re.sub(r"(?m)^ {4}", "", found[2]).rstrip()
    language = "text" if "\u2500" in code else "python"
    return f"{introduced + ':' if introduced else ''}\n\n```{language}\n{code}\n```\n\n"
