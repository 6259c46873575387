"""How far long work has come: on stderr, and only where a person looks at it."""

import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from time import monotonic
from typing import Any, Protocol, TypeVar

T = TypeVar("T")

_PAUSE_SECONDS = 0.1
_CLEAR = "\r\x1b[K"


class Progress(Protocol):
    """What is told of every step; `total` once it is known."""

    def step(self, total: int | None = None) -> None:
        """One more is done."""
        ...


@contextmanager
def progress(what: str, *, prints: bool = False) -> Iterator[Progress]:
    """Show how many steps were done of `what`, until left; nothing where stderr is no terminal.

    `prints` is for work that writes its results as it goes: on one terminal both would mix.
    """
    if not sys.stderr.isatty() or (prints and sys.stdout.isatty()):
        yield _Silent()
    elif find_spec("rich"):
        with _rich(what) as shown:
            yield shown
    else:
        plain = _Plain(what)
        try:
            yield plain
        finally:
            plain.clear()


async def counted(steps: AsyncIterator[T], shown: Progress) -> AsyncIterator[T]:
    """`steps` as they are, each told."""
    async for one in steps:
        shown.step()
        yield one


class _Silent:
    def step(self, total: int | None = None) -> None:
        pass


class _Plain:
    """One line, written over and over, at most ten times a second."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._done, self._due = 0, 0.0
        self._write(f"{what} ...")

    def step(self, total: int | None = None) -> None:
        self._done += 1
        if monotonic() >= self._due:
            of = f" of {total:,}" if total else ""
            self._write(f"{self._what}: {self._done:,}{of}")

    def clear(self) -> None:
        self._write("")

    def _write(self, text: str) -> None:
        self._due = monotonic() + _PAUSE_SECONDS
        sys.stderr.write(_CLEAR + text)
        sys.stderr.flush()


@contextmanager
def _rich(what: str) -> Iterator[Progress]:
    from rich import progress as of_rich
    from rich.console import Console

    console = Console(stderr=True)
    columns: list[Any] = [
        of_rich.TextColumn("{task.description}", markup=False), of_rich.BarColumn(),
        of_rich.MofNCompleteColumn(), of_rich.TimeElapsedColumn(),
    ]  # fmt: skip
    with of_rich.Progress(*columns, console=console, transient=True) as bars:
        yield _Bar(bars, what)


class _Bar:
    def __init__(self, bars: Any, what: str) -> None:
        self._bars, self._task = bars, bars.add_task(what, total=None)

    def step(self, total: int | None = None) -> None:
        self._bars.update(self._task, advance=1, total=total)
