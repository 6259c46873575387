"""Tables for people: by rich where that is installed and there is a terminal, else plain columns.

Both show the same words.
"""

import sys
from collections.abc import Iterator, Sequence
from importlib.util import find_spec

from ctxbridge.cli.output import colourful, printable, say, table, width

Rows = Sequence[Sequence[str]]


def tell_table(rows: Rows, *, indent: int = 0) -> None:
    """Print a table whose first row is its headline; words of others must be `plain` already."""
    lines = _rich if sys.stdout.isatty() and find_spec("rich") else _plain
    for line in lines(rows, width() - indent):
        say(" " * indent + line)


def _plain(rows: Rows, columns: int) -> Iterator[str]:
    return table(rows, columns, colours=colourful())


def _rich(rows: Rows, columns: int) -> Iterator[str]:
    """Cells are `Text`, so that no brackets of a customer are taken for rich's markup."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for word in rows[0]:
        drawn.add_column(Text(word), overflow="fold")
    for row in rows[1:]:
        drawn.add_row(*[Text(printable(cell)) for cell in row])
    console = Console(
        width=columns, force_terminal=colourful(), no_color=not colourful(), highlight=False,
        emoji=False, legacy_windows=False,
    )  # fmt: skip
    with console.capture() as captured:
        console.print(drawn)
    for line in captured.get().splitlines():
        yield line.rstrip()
