"""What goes to stdout: JSON lines for programs, columns and colours for people."""

import os
import re
import shutil
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import zip_longest
from typing import Any

import msgspec

COLOURS = {"red": "31", "green": "32", "yellow": "33", "cyan": "36", "dim": "2", "bold": "1"}
NARROWEST, WIDEST = 40, 120
GAP = INDENT = 2


def emit(value: Any) -> None:
    """One JSON object on a line of its own, in UTF-8 whatever the terminal speaks.

    Characters that a terminal may obey are escaped, so a customer's text cannot steer it.
    """
    line = _STEERING.sub(_escaped, msgspec.json.encode(value).decode())
    sys.stdout.flush()
    sys.stdout.buffer.write(line.encode() + b"\n")
    sys.stdout.buffer.flush()


# C1 controls, and marks that turn the direction of what follows.
_STEERING = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def _escaped(match: "re.Match[str]") -> str:
    return f"\\u{ord(match[0]):04x}"


def say(text: str = "") -> None:
    """A line for a person; what the terminal cannot write becomes a question mark."""
    encoding = sys.stdout.encoding or "utf-8"
    print(text.encode(encoding, "replace").decode(encoding))


def width() -> int:
    """How many columns there are to write in."""
    return max(NARROWEST, min(WIDEST, shutil.get_terminal_size((100, 24)).columns))


def colourful() -> bool:
    """Whether colours are welcome: on a terminal, unless NO_COLOR says otherwise (no-color.org)."""
    return (
        sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    )


def paint(text: str, colour: str, on: bool) -> str:
    """`text` in `colour`, if colours are on and there is one."""
    return f"\x1b[{COLOURS[colour]}m{text}\x1b[0m" if on and colour and text.strip() else text


def printable(text: str) -> str:
    """`text` without what a terminal would obey: a customer's words must not move the cursor."""
    return "".join([c if c == "\n" or not _is_control(c) else "\ufffd" for c in text])


def _is_control(char: str) -> bool:
    """Control characters, lone surrogates, line ends and what turns a line's direction.

    Other format characters stay: joiners belong to words and to emoji.
    """
    if unicodedata.category(char) in {"Cc", "Cs", "Zl", "Zp"}:
        return True
    return unicodedata.bidirectional(char) in {
        "LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI",
    }  # fmt: skip


def cells(text: str) -> int:
    """How many columns `text` takes on a terminal."""
    if text.isascii():
        return len(text)
    return sum(_cells_of(c) for c in text)


def _cells_of(char: str) -> int:
    if unicodedata.combining(char) or unicodedata.category(char) in {"Mn", "Me", "Cf"}:
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def pad(text: str, columns: int) -> str:
    """`text` filled up with blanks to `columns`."""
    return text + " " * max(0, columns - cells(text))


def wrap(text: str, columns: int) -> list[str]:
    """The lines of `text` when no line may take more than `columns`; at least one."""
    return [line for part in text.split("\n") for line in _wrap_line(part, columns)]


def _wrap_line(text: str, columns: int) -> Iterator[str]:
    line = ""
    for word in text.split():
        joined = f"{line} {word}" if line else word
        if cells(joined) <= columns:
            line = joined
            continue
        if line:
            yield line
        *full, line = _broken(word, columns)
        yield from full
    yield line


def _broken(word: str, columns: int) -> list[str]:
    """A word that is longer than a line, in pieces."""
    pieces, used = [""], 0
    for char in word:
        taken = _cells_of(char)
        if used + taken > columns:
            pieces.append("")
            used = 0
        pieces[-1] += char
        used += taken
    return pieces


def plain(text: str) -> str:
    """Text of others on one line, as a terminal can show it and not obey it."""
    return printable(text).replace("\n", " ")


def moment(at: int) -> str:
    """The time in UTC, to the second; what is stored may lie beyond all calendars."""
    try:
        return f"{datetime.fromtimestamp(at / 1000, UTC):%d %b %H:%M:%S}"
    except (ValueError, OverflowError, OSError):
        return "far off"


def warn(text: str) -> None:
    """A word to a person on stderr, beside what programs read."""
    print(f"ctxbridge: {text}", file=sys.stderr)


def table(rows: Sequence[Sequence[str]], columns: int, *, colours: bool) -> Iterator[str]:
    """The lines of a table whose first row is its headline, no wider than `columns`.

    What does not fit beside the rest stands below it, indented, in every row alike.
    """
    widths = [
        min(columns - INDENT, max(map(_widest, column))) for column in zip(*rows, strict=True)
    ]
    broken = _side_by_side(widths, columns)
    for nth, row in enumerate(rows):
        for line in _row(row, widths, broken):
            yield paint(line, "" if nth else "bold", colours)


def _widest(text: str) -> int:
    return max(map(cells, text.split("\n")))


def _side_by_side(widths: Sequence[int], columns: int) -> list[list[int]]:
    """The places of the cells that stand in the first line of a row, in the second, and so on."""
    lines, used = [list[int]()], 0
    for place, taken in enumerate(widths):
        if lines[-1] and used + taken > columns:
            lines.append([])
            used = INDENT
        lines[-1].append(place)
        used += taken + GAP
    return lines


def _row(row: Sequence[str], widths: Sequence[int], broken: list[list[int]]) -> Iterator[str]:
    for nth, places in enumerate(broken):
        wrapped = [wrap(row[place], widths[place]) for place in places]
        for parts in zip_longest(*wrapped, fillvalue=""):
            padded = [pad(part, widths[place]) for place, part in zip(places, parts, strict=True)]
            line = (" " * INDENT * bool(nth) + (" " * GAP).join(padded)).rstrip()
            if line:
                yield line
