"""How far the turns of each worker are, kept where it outlives a kill: in a file that is mapped."""

import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

STAGES = ("open", "think", "commit", "send", "settle")
_WIDTH = 2


class Stages:
    """Counts turns by worker and stage. Each worker writes its own row only."""

    def __init__(self, path: Path, workers: int) -> None:
        size = workers * len(STAGES) * _WIDTH
        if not path.exists():
            path.write_bytes(bytes(size))
        with path.open("r+b") as file:
            self._counts = memoryview(mmap.mmap(file.fileno(), size)).cast("H")

    @contextmanager
    def at(self, worker: int, stage: str) -> Iterator[None]:
        """One more turn of the worker is there, for the time of the block."""
        place = worker * len(STAGES) + STAGES.index(stage)
        self._counts[place] += 1
        try:
            yield
        finally:
            self._counts[place] -= 1

    def of(self, worker: int) -> dict[str, int]:
        """How many turns of the worker are at each stage."""
        first = worker * len(STAGES)
        return dict(zip(STAGES, self._counts[first : first + len(STAGES)], strict=True))

    def clear(self, worker: int) -> None:
        """The row is for a new worker."""
        for place in range(worker * len(STAGES), (worker + 1) * len(STAGES)):
            self._counts[place] = 0
