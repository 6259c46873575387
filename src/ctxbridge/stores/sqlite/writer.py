"""One thread that writes, with group commit.

Whatever is asked for while a commit is on its way to the disk shares the next one. So a durable
write costs many callers together little more than it costs one.
"""

import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple, TypeVar

from ctxbridge.errors import CtxBridgeError, StoreClosed, Unavailable
from ctxbridge.stores.sqlite import loops
from ctxbridge.stores.sqlite.faults import typed

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], Any]

_IDLE_SECONDS = 0.05


class _Task(NamedTuple):
    work: Work
    waiter: loops.Waiter
    loop: loops.Loop


class Writer:
    """Runs work inside transactions on a thread of its own, in the order of arrival.

    Work checks before it writes and never leaves half of itself behind: where one raises, all of
    its batch is rolled back and each is run again alone, so that only the culprit fails. `idle`
    runs on the thread when nothing has been asked for a moment after a write.
    """

    def __init__(self, connection: sqlite3.Connection, idle: Work) -> None:
        self._connection = connection
        self._idle = idle
        self._queue: SimpleQueue[list[_Task] | None] = SimpleQueue()
        self._due: dict[Any, tuple[loops.Loop, list[_Task]]] = {}
        self._closed = False
        self._thread = threading.Thread(
            target=self._work_through, name="ctxbridge-sqlite", daemon=True
        )
        self._thread.start()

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """The result of `work`, once it is durable. Cancelling the caller does not undo it."""
        if self._closed:
            raise StoreClosed("the sqlite store was closed")
        running = loops.running()
        due = self._due.get(running)
        if due is None:
            due = self._due[running] = (loops.adopt(running), [])
            due[0].soon(lambda: self._queue.put(self._due.pop(running)[1]))
        loop, tasks = due
        waiter = loop.waiter()
        tasks.append(_Task(work, waiter, loop))
        return await waiter  # type: ignore[no-any-return]

    def close(self) -> None:
        """Finish what was asked for, then end the thread. Blocks; a second call does nothing."""
        self._closed = True
        self._queue.put(None)
        self._thread.join()

    def _work_through(self) -> None:
        written = False
        while True:
            try:
                tasks = self._queue.get(timeout=_IDLE_SECONDS if written else None)
            except Empty:
                written = False
                self._rest()
                continue
            stop = tasks is None
            batch = list(tasks or ())
            while not stop and not self._queue.empty():
                more = self._queue.get()
                stop = more is None
                batch.extend(more or ())
            if batch:
                self._run_batch(batch)
                written = True
            if stop:
                return

    def _rest(self) -> None:
        """Housekeeping never fails a caller: what it could not do now it does the next time."""
        try:
            self._idle(self._connection)
        except sqlite3.Error:
            self._roll_back()

    def _run_batch(self, batch: list[_Task]) -> None:
        outcomes = self._transact(batch)
        if outcomes is None and len(batch) > 1:
            outcomes = [self._alone(task) for task in batch]
        elif outcomes is None:
            outcomes = [self._failure]
        by_loop: dict[int, list[tuple[_Task, Any]]] = {}
        for task, outcome in zip(batch, outcomes, strict=True):
            by_loop.setdefault(id(task.loop), []).append((task, outcome))
        for settled in by_loop.values():
            # A loop that has ended takes everybody who waited with it.
            with suppress(RuntimeError):
                settled[0][0].loop.from_thread(partial(_deliver, settled))

    def _alone(self, task: _Task) -> Any:
        outcomes = self._transact([task])
        return self._failure if outcomes is None else outcomes[0]

    def _transact(self, batch: list[_Task]) -> list[Any] | None:
        """The results of `batch` in one transaction; `None` (see `_failure`) if rolled back."""
        connection = self._connection
        committing = False
        try:
            connection.execute("BEGIN IMMEDIATE")
            outcomes = [task.work(connection) for task in batch]
            committing = True
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._failure: BaseException = typed(error, committing=committing)
        except CtxBridgeError as error:
            self._failure = error
        except Exception as error:  # noqa: BLE001 - the thread must outlive any mistake
            self._failure = Unavailable(f"the store could not do it ({type(error).__name__})")
            self._failure.__cause__ = error
        else:
            return outcomes
        self._roll_back()
        return None

    def _roll_back(self) -> None:
        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        except sqlite3.Error:
            return  # SQLite rolls back by itself where it cannot be told to


def _deliver(settled: list[tuple[_Task, Any]]) -> None:
    for task, outcome in settled:
        if task.waiter.done():
            continue  # the caller was cancelled; what was written stays, a retry is a replay
        if isinstance(outcome, BaseException):
            task.waiter.set_exception(outcome)
        else:
            task.waiter.set_result(outcome)
