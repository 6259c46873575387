"""One thread that writes, with group commit.

Whatever is asked for while a commit is on its way to the disk shares the next one. So a durable
write costs many callers together little more than it costs one.
"""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from itertools import islice
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

import anyio

from ctxbridge.errors import CtxBridgeError, StoreClosed, Unavailable
from ctxbridge.stores.sqlite import loops
from ctxbridge.stores.sqlite.faults import typed

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], Any]

_IDLE_SECONDS = 0.05
_MOST_AT_ONCE = 1_024
"""So many pieces of work share a transaction, and wake who waits for them in one go."""
_CLOSED = "the sqlite store was closed; nothing was changed"


class _Due:
    """What one event loop asked for in one of its ticks: work, and who waits for it."""

    __slots__ = ("loop", "waiters", "works")

    def __init__(self, loop: loops.Loop) -> None:
        self.loop = loop
        self.works: list[Work] = []
        self.waiters: list[loops.Waiter] = []

    def in_portions(self) -> "Iterator[_Due]":
        """The same, so that no loop has more to take up at once than it can in a moment."""
        if len(self.works) <= _MOST_AT_ONCE:
            yield self
            return
        for start in range(0, len(self.works), _MOST_AT_ONCE):
            some = _Due(self.loop)
            some.works = self.works[start : start + _MOST_AT_ONCE]
            some.waiters = self.waiters[start : start + _MOST_AT_ONCE]
            yield some


class _Rejected(Exception):
    """A transaction was rolled back. `by_work`: one piece of work alone is to blame."""

    def __init__(self, fault: BaseException, *, by_work: bool) -> None:
        self.fault = fault
        self.by_work = by_work


class Writer:
    """Runs work inside transactions on a thread of its own, in the order of arrival.

    Work checks before it writes and never leaves half of itself behind: where one raises, all of
    its batch is rolled back and each is run again alone, so that only the culprit fails. Where the
    transaction itself fails, all of the batch fail. `idle` runs on the thread when nothing has been
    asked for a moment after a write.
    """

    def __init__(self, connection: sqlite3.Connection, idle: Work) -> None:
        self._connection = connection
        self._idle = idle
        self._queue: SimpleQueue[_Due | None] = SimpleQueue()
        self._due: dict[Any, _Due] = {}
        self._lock = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="ctxbridge-sqlite", daemon=True)
        self._thread.start()

    async def run(
        self,
        work: Callable[[sqlite3.Connection], T],
        undo: Callable[[T], Work | None] = lambda _: None,
    ) -> T:
        """The result of `work`, once it is durable.

        What was asked for is done also if the caller is cancelled meanwhile: the cancellation is
        let through when it is settled, and `undo` may name work to do then, given the result.
        """
        waiter = self._ask(work)
        try:
            await waiter.wait()
        except BaseException:
            with anyio.CancelScope(shield=True):
                await waiter.wait()
            with suppress(Exception):
                after = undo(waiter.result())
                if after is not None:
                    self._ask(after)
            raise
        return waiter.result()  # type: ignore[no-any-return]

    def _ask(self, work: Work) -> loops.Waiter:
        running = loops.running()
        due = self._due.get(running)
        if due is None:
            due = self._due[running] = _Due(loops.adopt(running))
            due.loop.soon(partial(self._hand_over, running))
        waiter = due.loop.waiter()
        due.works.append(work)
        due.waiters.append(waiter)
        return waiter

    def _hand_over(self, running: Any) -> None:
        """Give the thread what one tick asked for. Runs on the loop, at the end of that tick."""
        due = self._due.pop(running)
        with self._lock:
            if not self._closed:
                for some in due.in_portions():
                    self._queue.put(some)
                return
        _deliver(due.waiters, [StoreClosed(_CLOSED)] * len(due.works))

    def close(self) -> None:
        """Finish what was asked for, then end the thread. Blocks; a second call does nothing."""
        with self._lock:
            self._closed = True
            self._queue.put(None)
        self._thread.join()

    def _work(self) -> None:
        written = False
        while True:
            try:
                due = self._queue.get(timeout=_IDLE_SECONDS if written else None)
            except Empty:
                written = False
                self._rest()
                continue
            batch = [] if due is None else [due]
            count = len(batch[0].works) if batch else 0
            while due is not None and count < _MOST_AT_ONCE and not self._queue.empty():
                due = self._queue.get()
                if due is not None:
                    batch.append(due)
                    count += len(due.works)
            if batch:
                self._run_batch(batch)
                written = True
            if due is None:
                return

    def _rest(self) -> None:
        """Housekeeping never fails a caller: what it could not do now it does the next time."""
        try:
            self._idle(self._connection)
        except Exception:  # noqa: BLE001 - the thread must outlive any mistake
            self._roll_back()

    def _run_batch(self, batch: list[_Due]) -> None:
        works = [work for due in batch for work in due.works]
        outcomes = self._outcomes(works)
        settled = iter(outcomes)
        for due in batch:
            own = list(islice(settled, len(due.works)))
            # A loop that has ended takes everybody who waited with it.
            with suppress(RuntimeError):
                due.loop.from_thread(partial(_deliver, due.waiters, own))

    def _outcomes(self, works: list[Work]) -> list[Any]:
        try:
            return self._transact(works)
        except _Rejected as rejected:
            if not rejected.by_work or len(works) == 1:
                return [rejected.fault] * len(works)
        return [outcome for work in works for outcome in self._outcomes([work])]

    def _transact(self, works: list[Work]) -> list[Any]:
        """The results of `works` in one transaction; raises `_Rejected` if it was rolled back."""
        connection = self._connection
        began = committing = False
        try:
            connection.execute("BEGIN IMMEDIATE")
            began = True
            outcomes = [work(connection) for work in works]
            committing = True
            connection.execute("COMMIT")
            return outcomes
        except sqlite3.Error as error:
            fault: BaseException = typed(error, committing=committing)
        except CtxBridgeError as error:
            fault = error
        except BaseException as error:  # noqa: BLE001 - the thread must outlive any mistake
            fault = Unavailable(f"the store could not do it ({type(error).__name__})")
            fault.__cause__ = error
        self._roll_back()
        raise _Rejected(fault, by_work=began and not committing)

    def _roll_back(self) -> None:
        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        except sqlite3.Error:
            return  # SQLite rolls back by itself where it cannot be told to


def _deliver(waiters: list[loops.Waiter], outcomes: list[Any]) -> None:
    for waiter, outcome in zip(waiters, outcomes, strict=True):
        waiter.settle(outcome)
