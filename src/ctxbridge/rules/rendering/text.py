"""Blocks to a text with marks, or to plain words: the walk over the tree."""

from collections.abc import Callable, Iterable

from ctxbridge.rules.rendering.forms import Marks
from ctxbridge.rules.rendering.inline import Line, Loss
from ctxbridge.rules.rendering.reading import Node

RULE = "---"
_BETWEEN_CELLS = " | "


class Writer:
    """Writes blocks in one form; `losses` are what it could not show."""

    def __init__(self, marks: Marks) -> None:
        self._marks = marks
        self.losses: set[Loss] = set()

    def write(self, block: Node) -> str:
        """The block as a text, which may be empty."""
        kinds: dict[str, Callable[[Node], str]] = {
            "heading": self._heading,
            "bullet_list": self._list,
            "ordered_list": self._list,
            "blockquote": self._quote,
            "fence": self._fence,
            "table": self._table,
            "hr": lambda _: RULE,
        }
        if block.kind in kinds:
            return kinds[block.kind](block)
        return self._blocks(block.blocks) if block.blocks else self._line(block)

    def _quote(self, block: Node) -> str:
        return _led(self._blocks(block.blocks), "> ", "> ")

    def _line(self, block: Node, *, strong: bool = False) -> str:
        return Line(self._marks, self.losses, strong=strong).write(block.words)

    def _blocks(self, blocks: Iterable[Node], *, in_item: bool = False) -> str:
        """Blocks with a blank line between them; in an item a list follows its words at once."""
        text = ""
        for block in blocks:
            written = self.write(block)
            if written and text:
                text += "\n" if in_item and block.kind.endswith("_list") else "\n\n"
            text += written
        return text

    def _heading(self, block: Node) -> str:
        self.losses.add("heading")
        return self._bold(block)

    def _bold(self, block: Node) -> str:
        mark = self._marks.strong
        text = self._line(block, strong=bool(mark)).replace("\n", " ").strip()
        return f"{mark}{text}{mark}" if mark and text else text

    def _list(self, block: Node) -> str:
        ordered, items = block.kind == "ordered_list", []
        start = block.attribute("start")
        first = int(start) if start is not None else 1
        for number, item in enumerate(block.blocks, first):
            lead = f"{number}. " if ordered else self._marks.bullet
            items.append(_led(self._blocks(item.blocks, in_item=True), lead, "  "))
        return "\n".join(items)

    def _fence(self, block: Node) -> str:
        code = block.token.content.rstrip("\n") if block.token is not None else ""
        mark = self._marks.fence
        if not mark or mark in code:
            self.losses.add("code")
            return self._marks.escape(code)
        return f"{mark}\n{self._marks.escape(code)}\n{mark}"

    def _table(self, block: Node) -> str:
        self.losses.add("table")
        rows = [row for part in block.blocks for row in part.blocks]
        return "\n".join(filter(None, map(self._row, rows)))

    def _row(self, row: Node) -> str:
        cells = [self._bold(c) if c.kind == "th" else self._line(c) for c in row.blocks]
        shown = [cell.replace("\n", " ").strip() for cell in cells]
        while shown and not shown[-1]:
            shown.pop()
        return _BETWEEN_CELLS.join(shown)


def _led(text: str, first: str, others: str) -> str:
    """`text` with something before its first line, and something else before the others."""
    lines = text.split("\n")
    rest = [f"{others}{line}" if line else others.rstrip() for line in lines[1:]]
    return "\n".join([f"{first}{lines[0]}".rstrip(), *rest])
