"""What guards say, and what was enforced."""

from typing import Any, Literal

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from ctxbridge.errors import CorruptRecord
from ctxbridge.model.contact import Purpose

Stage = Literal["inbound", "context", "tool_call", "tool_result", "reply", "send"]
Action = Literal["allow", "warn", "modify", "defer", "escalate", "block"]
Mode = Literal["enforce", "observe", "off"]
GuardStatus = Literal["ok", "error", "timeout", "skipped", "cached"]


class Finding(Struct, frozen=True, array_like=True, gc=False):
    """What a guard found, by place and category; never the text itself."""

    category: str
    start: int
    end: int
    score: float = 1.0


class ConsentWord(Struct, frozen=True, array_like=True, gc=False):
    """A wish about consent that a guard read in a message; `open` applies it atomically.

    It counts for `channel`, and for the purposes `everywhere` on all channels.
    """

    granted: bool
    channel: str
    purpose: Purpose = "all"
    everywhere: tuple[Purpose, ...] = ()


class Verdict(Struct, frozen=True, gc=False):
    """What one guard says of one text.

    `code` is short, content-free and of few values (``consent.opted_out``): it goes into traces.
    `say` is what the customer may be told when the action is `block` or `escalate`; `None` is
    silence. `text` is the replacement when the action is `modify`, `until` the time when the action
    is `defer` (Unix milliseconds), `to` the queue or role when it is `escalate`. `state` is what a
    guard with a state keeps; `None` leaves that as it is.
    """

    action: Action = "allow"
    code: str = ""
    say: str | None = None
    text: str | None = None
    labels: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    consent: ConsentWord | None = None
    until: int = 0
    to: str = ""
    state: Any = None

    def with_state(self, state: Any) -> "Verdict":
        """The same verdict; `state` is what the guard keeps of the conversation from now on."""
        return replace(self, state=state)


class GuardResult(Struct, frozen=True, array_like=True, gc=False):
    """How one guard ended: `action` is its verdict, `status` whether it came to one.

    `stage` is where it was asked, empty for the stage of its decision.
    """

    guard: str
    version: str
    action: Action
    code: str = ""
    status: GuardStatus = "ok"
    mode: Mode = "enforce"
    microseconds: int = 0
    stage: Stage | Literal[""] = ""


class Decision(Struct, frozen=True, array_like=True, gc=False):
    """What the guards of one stage said together, and what was enforced. Kept for allow too.

    `judged` is the digest of the text the guards were given, `enforced_digest` that of the text
    that was let through (empty when none was). Neither the text nor its parts are ever in here.
    """

    stage: Stage
    action: Action
    enforced: Action
    code: str
    results: tuple[GuardResult, ...]
    judged: bytes = b""
    enforced_digest: bytes = b""

    def pack(self) -> bytes:
        """The form that a message carries: a decision is written always and read by few."""
        return b"\x01" + _encoder.encode(self)

    @classmethod
    def unpack(cls, packed: bytes) -> "Decision | None":
        """The decision in `packed`, `None` for none; raises `CorruptRecord` if it is damaged."""
        if not packed:
            return None
        try:
            return _decoder.decode(packed[1:])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise CorruptRecord("a stored decision is damaged") from None

    def as_json(self) -> str:
        """The form that an event carries: readable, and read back by `from_json`."""
        return _json_encoder.encode(self).decode()

    @classmethod
    def from_json(cls, text: str) -> "Decision":
        """The decision in `text`; raises `CorruptRecord` if it is damaged."""
        try:
            return _json_decoder.decode(text)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            raise CorruptRecord("a stored decision is damaged") from None


_json_encoder = msgspec.json.Encoder()
_json_decoder = msgspec.json.Decoder(Decision)
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Decision)
