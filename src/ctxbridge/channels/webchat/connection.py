"""One page that is connected: what it may do, what it was shown, and what it has acknowledged.

Sans-IO: frames go in, events and frames come out, and the time is told. Whoever has a WebSocket
drives it; `ctxbridge.chatting` does for ASGI.
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from ctxbridge.channels.webchat import frames
from ctxbridge.channels.webchat.frames import Frame, Writer
from ctxbridge.model import Inbound, Notice, RawRequest, Receipt
from ctxbridge.rules.text import clean

if TYPE_CHECKING:
    from ctxbridge.channels.webchat import WebChat

TOO_LARGE, NO_TOKEN, OTHER_WRITER, SILENT, TOO_FAST = 1009, 4401, 4403, 4408, 4429
"""Why a connection is closed (RFC 6455, 7.4): 1009 is the protocol's own, the others are ours."""

PONG = '{"type":"pong"}'
MOST_REMEMBERED = 512
MOST_RECEIPTS = 64
_SENT, _DELIVERED, _READ = range(3)


class Limits(Struct, frozen=True):
    """What a page may do: `per_second` frames, `burst` of them at once.

    More is an error, and twice as many the end. It must send ``resume`` within `resume_seconds` and
    anything at all within four `heartbeat_seconds`, as hidden pages have slow clocks. `in_flight`
    of its messages may be waiting for their answers, `history` is how many entries of the log it is
    shown when it resumes, `tabs` how many connections one person may have here.
    """

    per_second: float = 5.0
    burst: int = 20
    resume_seconds: float = 10.0
    heartbeat_seconds: float = 25.0
    in_flight: int = 16
    history: int = 50
    tabs: int = 16


class Step(Struct, frozen=True):
    """What is to be done now: `events` for the bridge, `frames` for the page, in their order.

    With `looks` the page is to be told what stands in the log and it has not got: see
    `Connection.lacks`; with `greets` the frame `Connection.ready` goes before that. `close` is the
    code to close with, 0 for none.
    """

    events: tuple[Inbound | Receipt | Notice, ...] = ()
    frames: tuple[str, ...] = ()
    looks: bool = False
    greets: bool = False
    close: int = 0


class Connection:
    """A connection to `channel` that began at `now` (Unix milliseconds).

    `headers` are those of the handshake: a client that can set ``Authorization`` may bring its
    token there. Nothing here raises, whatever the page sends.
    """

    def __init__(
        self,
        channel: "WebChat",
        now: int,
        headers: tuple[tuple[str, str], ...] = (),
        limits: Limits | None = None,
    ) -> None:
        self.limits = limits or Limits()
        self.writer: Writer | None = None
        """Who is connected, once the page has said so."""
        self._channel = channel
        self._headers = headers
        self._began_at = self._heard_at = self._counted_at = now
        self._allowance = float(self.limits.burst)
        self._resumed = Frame("resume")
        self._shown: dict[int, None] = {}
        self._ours: dict[int, int] = {}
        self._keys: dict[int, str] = {}

    # --- what the page sends --------------------------------------------------------------------

    def receive(self, data: bytes | str, now: int) -> Step:
        """What a frame of the page comes to."""
        self._heard_at = now
        body = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
        if len(body) > self._channel.max_bytes:
            return Step(frames=(error("too_large"),), close=TOO_LARGE)
        if not self._is_in_time(now):
            close = TOO_FAST if self._allowance <= -self.limits.burst else 0
            return Step(frames=(error("rate", again=True),), close=close)
        frame = frames.read(body, self._channel.max_bytes)
        if frame is None:
            return Step(frames=(error("frame"),))
        return self._resume(frame, body, now) if frame.type == "resume" else self._of(frame, now)

    def _of(self, frame: Frame, now: int) -> Step:
        """What a frame comes to that needs a page which is known."""
        if self.writer is None or self._has_expired(now):
            return Step(frames=(error("token", frame.client_msg_id, again=True),), close=NO_TOKEN)
        if frame.type == "ping":
            return Step(frames=(PONG,), looks=True)
        if frame.type in {"ack", "read"}:
            return Step(events=self._acknowledged(frame, self.writer))
        return self._told(frame, self.writer)

    def beat(self, now: int) -> Step:
        """Whether the connection may go on; to be asked every few seconds."""
        silent = (now - self._heard_at) / 1000 > self.limits.heartbeat_seconds * 4
        if self.writer is None and (now - self._began_at) / 1000 > self.limits.resume_seconds:
            return Step(frames=(error("token", again=True),), close=NO_TOKEN)
        if self._has_expired(now):
            return Step(frames=(error("token", again=True),), close=NO_TOKEN)
        return Step(close=SILENT) if silent else Step()

    def _is_in_time(self, now: int) -> bool:
        """A bucket that fills with the time; below empty it counts how far the page overdoes it."""
        passed = max(now - self._counted_at, 0) / 1000
        self._counted_at = max(now, self._counted_at)
        self._allowance = min(
            self._allowance + passed * self.limits.per_second, float(self.limits.burst)
        )
        self._allowance -= 1
        return self._allowance >= 0

    def _has_expired(self, now: int) -> bool:
        return self.writer is not None and bool(self.writer.until) and self.writer.until <= now

    def _resume(self, frame: Frame, body: bytes, now: int) -> Step:
        writer = self._channel.admit(RawRequest(body, self._headers, received_at=now))
        if writer is None:
            return Step(frames=(error("token", again=True),), close=NO_TOKEN)
        if self.writer is not None and self.writer.address != writer.address:
            return Step(frames=(error("identity"),), close=OTHER_WRITER)
        self.writer, self._resumed = writer, frame
        return Step(looks=True, greets=True)

    def _told(self, frame: Frame, writer: Writer) -> Step:
        parsed = frames.events_of(frame, writer, self._channel.endpoint)
        if not parsed.events:
            return Step(frames=(error("frame", frame.client_msg_id),))
        return Step(events=parsed.events)

    def _acknowledged(self, frame: Frame, writer: Writer) -> tuple[Receipt, ...]:
        """The receipts of all messages up to there: of none that this page was not shown."""
        rank = _READ if frame.type == "read" else _DELIVERED
        places = [p for p, known in self._ours.items() if p <= frame.seq and known < rank]
        # Of many the newest: a receipt is one step of the store.
        newest = sorted(places)[-MOST_RECEIPTS:]
        self._ours.update(dict.fromkeys(places, rank))
        return tuple([
            frames.receipt(
                place, writer, self._channel.endpoint, read=rank == _READ,
                delivery=self._keys.get(place, ""),
            )
            for place in newest
        ])  # fmt: skip

    # --- what the page is shown -----------------------------------------------------------------

    def lacks(self, seq: int, log: str) -> bool:
        """Whether the page has not got what stands at `seq` of `log`.

        `log` is a name for the conversation's log that changes where another has taken its place:
        after an erasure a page that counts on from the old one would miss the beginning of the new.
        """
        known = self._resumed.last_seq if self._resumed.log == log else 0
        return seq > known and seq not in self._shown

    def ready(self, log: str, seq: int) -> str:
        """The frame that answers ``resume``: which log it is, and where that ends now."""
        assert self.writer is not None
        frame = {
            "type": "ready", "log": log, "seq": seq, "until": self.writer.until,
            "heartbeat": self.limits.heartbeat_seconds, "longest": frames.MAX_TEXT_CHARACTERS,
        }  # fmt: skip
        return encoded(frame)

    def knows(self, places: Iterable[int], log: str) -> None:
        """Of messages of ours at these `places` the page has those that it does not lack.

        An earlier connection has shown them, and they can still be read.
        """
        for place in [place for place in places if not self.lacks(place, log)]:
            known = _READ if place <= self._resumed.seq else _DELIVERED
            self._ours.setdefault(place, known)

    def outgoing(self, text: str) -> str | None:
        """`text`, if it is to be written; `None` if the page has got that message already."""
        try:
            shown = _SHOWN.decode(text)
        except (msgspec.MsgspecError, UnicodeError):
            return None
        if not shown.seq:
            return text
        if shown.type == "message" and shown.author != "contact":
            self._ours.setdefault(shown.seq, _SENT)
            if shown.id:
                self._keys[shown.seq] = shown.id
        if shown.seq in self._shown:
            return None
        self._shown[shown.seq] = None
        for remembered in (self._shown, self._ours, self._keys):
            _forget(remembered)
        return text


class _Shown(Struct):
    type: str
    id: str = ""
    seq: int = 0
    author: str = ""


_SHOWN = msgspec.json.Decoder(_Shown)


def encoded(frame: Mapping[str, object]) -> str:
    """The frame as it is written."""
    return msgspec.json.encode(frame).decode()


def error(reason: str, client_msg_id: str = "", *, again: bool = False) -> str:
    """The frame that says what was wrong; with `again` the same may be sent once more, later."""
    frame: dict[str, object] = {"type": "error", "reason": reason, "again": again}
    if client_msg_id:
        frame["client_msg_id"] = clean(client_msg_id[: frames.MAX_ID_CHARACTERS])
    return encoded(frame)


def _forget(remembered: dict[int, Any]) -> None:
    while len(remembered) > MOST_REMEMBERED:
        del remembered[next(iter(remembered))]
