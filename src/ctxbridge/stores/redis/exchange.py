"""The exchange on an open connection: many callers, one write for each tick of the loop.

redis-py opens the connection; from then on its bytes are ours. Whatever was asked for in one tick
leaves in one write, and replies are matched in their order. Nothing is ever sent a second time
here: where the connection is lost, everybody who waits is told `LOST`, and who asked decides.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Any

from ctxbridge.errors import ReplyMismatch
from ctxbridge.stores.redis.resp import MISSING, PUSHES, Reader, ServerError, new_reader, pack

logger = logging.getLogger("ctxbridge.redis")

LOST: Any = object()
"""What a caller is given whose connection was lost after the request had left."""
UNSENT: Any = object()
"""What a caller is given whose request surely never left."""


_BUFFER_BYTES = 128 * 1024


class Short:
    """Written, but not on as many machines as were asked for. `reply` is what the server said."""

    __slots__ = ("reached", "reply")

    def __init__(self, reply: Any, reached: int) -> None:
        self.reply, self.reached = reply, reached


Take = Callable[["Exchange", Any], None]
"""Called with the exchange and the outcome, in the order of the wire."""


class Call:
    """One request: how many replies it takes, and who waits for them.

    `take` is called with the replies in the order of the wire, before anything that came later is
    looked at, also when nobody waits any more.
    """

    __slots__ = ("future", "outcome", "replies", "take", "waits", "wanted")

    def __init__(
        self, future: "asyncio.Future[Any]", wanted: int, take: "Take | None", *, waits: bool
    ) -> None:
        self.future = future
        self.wanted = wanted
        self.take = take
        self.waits = waits
        """Whether it is settled only when replicas have what it wrote."""
        self.replies: list[Any] | None = None
        self.outcome: Any = MISSING
        """What came of it, `MISSING` until then; also where nobody waits any more."""

    def settle(self, outcome: Any) -> None:
        """Tell who waits. What a cancelled caller asked for is settled all the same."""
        self.outcome = outcome
        if not self.future.done():
            self.future.set_result(outcome)


class Exchange(asyncio.BufferedProtocol):
    """Owns a connection from the moment `adopt` gives it one.

    `timeout_seconds` is how long the oldest request may go without a reply before the connection is
    given up. `on_push` is told of what the server says unasked, `on_end` that the connection is no
    more. `wait` is how many replicas must have what is asked for with a barrier, and the patience
    with them in milliseconds: one barrier and one ``WAIT`` stand behind all of one write.
    """

    def __init__(
        self,
        *,
        timeout_seconds: float,
        on_push: Callable[[Any], None] | None = None,
        on_end: Callable[["Exchange"], None] | None = None,
        wait: tuple[int, int] | None = None,
        reader: Reader | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self.clock = self._loop.time
        self._timeout = timeout_seconds
        self._on_push = on_push
        self._on_end = on_end
        self._wait = wait
        self._reader = reader or new_reader()
        # A view: TLS reads into slices of it, and those of a bytearray would be copies.
        self._buffer = memoryview(bytearray(_BUFFER_BYTES))
        self._transport: asyncio.Transport | None = None
        self._connection: Any = None
        self._due: list[bytes] = []
        self._pending: deque[Call] = deque()
        self._held: list[tuple[Call, Any]] = []
        self._barrier = b""
        self._marks: deque[tuple[float, int]] = deque()
        self._asked = self._answered = 0
        self._room: asyncio.Future[None] | None = None
        self._sweeping: asyncio.TimerHandle | None = None
        self.live = False
        self.host = ""
        self.heard = 0.0
        self.tracks = False
        """Whether the server tells of keys that change."""
        self.reason = "it was closed"

    def __repr__(self) -> str:
        state = "live" if self.live else f"ended: {self.reason}"
        return f"<Exchange {state}, pending={len(self._pending)} asked={self._asked}>"

    # --- asking -----------------------------------------------------------------------------------

    def ask(
        self,
        request: bytes,
        wanted: int = 1,
        take: "Take | None" = None,
        barrier: bytes = b"",
    ) -> Call:
        """Send `request`, which will get `wanted` replies; more than one are given as a list.

        `barrier` is a key to write behind it: the call then waits for replicas. The outcome is the
        reply (`ServerError` for one that is an error), `LOST`, `UNSENT` or `Short`.
        """
        call = Call(self._loop.create_future(), wanted, take, waits=bool(barrier))
        if not self.live:
            call.settle(UNSENT)
            return call
        if not self._due:
            self._loop.call_soon(self._flush)
        self._due.append(request)
        self._pending.append(call)
        self._asked += 1
        if barrier:
            self._barrier = barrier
        return call

    async def room(self) -> None:
        """Wait until the connection takes more: it is slower than those who write."""
        while self._room is not None:
            await asyncio.shield(self._room)

    @property
    def crowded(self) -> bool:
        """Whether who asks must await `room` first."""
        return self._room is not None

    def _flush(self) -> None:
        due, self._due = self._due, []
        if not self.live or self._transport is None or not due:
            return
        if self._barrier and self._wait is not None:
            due.append(self._barrier_and_wait(*self._wait))
        now = self.clock()
        self._marks.append((now, self._asked))
        if self._sweeping is None:
            self._sweep_later()
        self._transport.write(due[0] if len(due) == 1 else b"".join(due))

    def _barrier_and_wait(self, replicas: int, milliseconds: int) -> bytes:
        """One write that is surely new, and one WAIT that covers it and all before it.

        A WAIT waits for the last write of its connection: behind a repetition, which writes
        nothing, it would be answered at once whatever the replicas have.
        """
        barrier, self._barrier = pack(b"SET", self._barrier, b"1", b"EX", b"86400"), b""
        self._pending.append(Call(self._loop.create_future(), 2, self._reached, waits=False))
        self._asked += 1
        return barrier + pack(b"WAIT", b"%d" % replicas, b"%d" % milliseconds)

    def _reached(self, _: "Exchange", replies: Any) -> None:
        held, self._held = self._held, []
        written, reached = replies
        enough = self._wait is not None and type(reached) is int and reached >= self._wait[0]
        if not enough or written.__class__ is ServerError:
            number = reached if type(reached) is int else 0
            held = [(call, Short(outcome, number)) for call, outcome in held]
        for call, outcome in held:
            call.settle(outcome)

    # --- what arrives -----------------------------------------------------------------------------

    def get_buffer(self, _: int) -> memoryview:
        """Where the transport puts what arrives: one place for all, so that none is made anew."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Match replies to requests, in the order of the wire."""
        self.heard = self.clock()
        reader, pending = self._reader, self._pending
        try:
            reader.feed(self._buffer, 0, nbytes)
            while (reply := reader.gets()) is not MISSING:
                if reply.__class__ in PUSHES:
                    if self._on_push is not None:
                        self._on_push(reply)
                    continue
                call = pending[0]
                if call.wanted > 1:
                    if call.replies is None:
                        call.replies = []
                    call.replies.append(reply)
                    if len(call.replies) < call.wanted:
                        continue
                    reply = call.replies
                pending.popleft()
                self._answered += 1
                self._settle(call, reply)
        except (ReplyMismatch, IndexError):
            self.end("the server sent what nobody asked for")

    def _settle(self, call: Call, outcome: Any) -> None:
        if call.take is not None:
            try:
                call.take(self, outcome)
            except Exception:
                # Whoever waits is told all the same; what is held may be wrong from here on.
                logger.exception("what a reply says could not be taken in")
                self._loop.call_soon(self.end, "what a reply says could not be taken in")
        if call.waits:
            self._held.append((call, outcome))
        else:
            call.settle(outcome)

    # --- the connection's life --------------------------------------------------------------------

    def adopt(self, connection: Any) -> None:
        """Take over the connection that redis-py has opened and greeted."""
        transport: asyncio.Transport = connection._writer.transport  # noqa: SLF001
        left_over = bytes(connection._reader._buffer)  # noqa: SLF001
        self._connection, self._transport = connection, transport
        self.host = getattr(connection, "host", "")
        transport.set_protocol(self)
        if not transport.is_reading():
            transport.resume_reading()
        self.live = not transport.is_closing()
        self.heard = self.clock()
        if left_over:
            self._buffer[: len(left_over)] = left_over
            self.buffer_updated(len(left_over))

    def connection_lost(self, _: Exception | None) -> None:
        """The transport is gone."""
        self.end("the connection was closed by the other side")

    def eof_received(self) -> bool:
        """The server has hung up."""
        return False

    def pause_writing(self) -> None:
        """The transport holds enough for now."""
        if self._room is None:
            self._room = self._loop.create_future()

    def resume_writing(self) -> None:
        """The transport takes more."""
        room, self._room = self._room, None
        if room is not None and not room.done():
            room.set_result(None)

    def end(self, reason: str) -> None:
        """Drop the connection and tell everybody who waits; a second call does nothing."""
        if not self.live:
            return
        self.live = False
        self.reason = reason
        if self._sweeping is not None:
            self._sweeping.cancel()
            self._sweeping = None
        if self._transport is not None:
            self._transport.abort()
        if self._connection is not None:
            # redis-py must not close, or warn of, what it does not own any more.
            self._connection._reader = self._connection._writer = None  # noqa: SLF001
        self.resume_writing()
        if self._on_end is not None:
            self._on_end(self)
        self._tell_all()

    def _tell_all(self) -> None:
        calls = [call for call, _ in self._held] + list(self._pending)
        sent = len(calls) - len(self._due)
        for held in (self._held, self._pending, self._due):
            held.clear()
        for number, call in enumerate(calls):
            if call.take is not None and call.take != self._reached:
                call.take(self, LOST)
            call.settle(LOST if number < sent else UNSENT)

    # --- deadlines --------------------------------------------------------------------------------

    def _sweep_later(self) -> None:
        self._sweeping = self._loop.call_later(self._timeout / 4, self._sweep)

    def _sweep(self) -> None:
        """One look a while at what is overdue, instead of a timer for each call."""
        self._sweeping = None
        marks = self._marks
        while marks and marks[0][1] <= self._answered:
            marks.popleft()
        if marks and self.clock() - marks[0][0] > self._timeout:
            self.end("the server did not answer in time")
        elif marks:
            self._sweep_later()
