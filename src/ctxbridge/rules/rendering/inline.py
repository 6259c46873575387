"""The words of one block, in a form that is marks in a text. Linear, and without recursion."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from ctxbridge.rules.rendering.forms import PLAIN, Marks
from ctxbridge.rules.rendering.reading import is_address

if TYPE_CHECKING:
    from markdown_it.token import Token

Loss = Literal["emphasis", "heading", "table", "code", "image", "link", "title", "markup"]
"""What could not be shown. ``table``: as lines. ``image``: as its address. ``link``: one that leads
nowhere from a message. ``title``: the words that show over a link. ``markup``: all of a long
paragraph's, or of a text that a guard has changed or that nests too deeply."""

_KINDS = {"strong": "strong", "em": "emphasis", "s": "struck"}
_EDGES = re.compile(r"(\s*)(.*?)(\s*)", re.DOTALL)


class Line:
    """Writes the tokens of one block. Marks within the same marks are left out."""

    def __init__(self, marks: Marks, losses: set[Loss], *, strong: bool = False) -> None:
        self._marks = marks
        self._losses = losses
        self._depth = {"strong": int(strong), "emphasis": 0, "struck": 0}
        self._open: list[tuple[str, list[str]]] = [("", [])]

    def write(self, tokens: "Sequence[Token]") -> str:
        """The words of `tokens`, marked up."""
        for place, token in enumerate(tokens):
            kind = _KINDS.get(token.tag, "") if token.nesting else ""
            if kind:
                after = tokens[place + 1].content[:1] if place + 1 < len(tokens) else ""
                self._mark(kind, after, opens=token.nesting > 0)
            elif token.type == "link_open":
                self._open.append((str(token.attrGet("href") or ""), []))
                self._note("title", noted=token.attrGet("title") is not None)
            elif token.type == "link_close":
                address, said = self._open.pop()
                self._put(self._link(address, "".join(said)))
            else:
                self._put(self._leaf(token))
        return "".join(self._open[0][1])

    def _put(self, text: str) -> None:
        self._open[-1][1].append(text)

    def _note(self, loss: Loss, *, noted: bool = True) -> None:
        if noted:
            self._losses.add(loss)

    def _leaf(self, token: "Token") -> str:
        escape = self._marks.escape
        if token.type in {"softbreak", "hardbreak"}:
            return "\n"
        if token.type == "code_inline":
            return self._code(token.content)
        if token.type == "image":
            self._note("image")
            return self._link(str(token.attrGet("src") or ""), escape(token.content))
        return escape(token.content)

    def _code(self, code: str) -> str:
        mark = self._marks.code
        if not mark or mark in code:
            self._note("code")
            mark = ""
        return f"{mark}{self._marks.escape(code)}{mark}"

    def _mark(self, kind: str, after: str, *, opens: bool) -> None:
        """Open marks, or close them around what was written since; the outermost alone count."""
        if opens:
            self._depth[kind] += 1
            if self._depth[kind] == 1:
                self._open.append((kind, []))
            return
        self._depth[kind] -= 1
        if self._depth[kind] == 0:
            _, said = self._open.pop()
            self._put(self._marked(getattr(self._marks, kind), "".join(said), after))

    def _marked(self, mark: str, words: str, after: str) -> str:
        """Marks hold on one line, and at the edges of a word alone; what cannot be loses them."""
        before = self._before()
        if not mark or (mark != PLAIN.struck and (before.isalnum() or after.isalnum())):
            self._note("emphasis")
            return words
        return "\n".join([_around(mark, line) for line in words.split("\n")])

    def _before(self) -> str:
        """The character that stands right before; empty at the beginning."""
        for _, said in reversed(self._open):
            for text in reversed(said):
                if text:
                    return text[-1]
        return ""

    def _link(self, address: str, label: str) -> str:
        safe = self._marks.escape(address)
        words = label.strip()
        bare = address.removeprefix("mailto:").removeprefix("tel:")
        if not is_address(address):
            self._note("link")
        if not address or label == self._marks.escape(bare):
            return label or safe
        if not words:
            return safe
        if self._marks.labelled and is_address(address):
            return f"<{safe}|{words}>".replace("\n", " ")
        return f"{label} ({self._marks.escape(bare)})"


def _around(mark: str, line: str) -> str:
    blank, words, trail = _EDGES.fullmatch(line).groups()  # type: ignore[union-attr]
    return f"{blank}{mark}{words}{mark}{trail}" if words else line
