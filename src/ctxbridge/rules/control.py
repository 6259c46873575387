"""A tenant's control: which release answers whom, and what stands still."""

from ctxbridge.errors import UsageError
from ctxbridge.model import RecordWrite
from ctxbridge.model.record import CONTROL

EPOCH_BYTES = 8


def epoch_of(control: bytes) -> int:
    """The epoch with which a stored control begins; 0 where there is none."""
    return int.from_bytes(control[:EPOCH_BYTES], "big")


def newer(held: bytes, known: int) -> bytes:
    """What is stored, if it is newer than the epoch that the caller knows; else empty."""
    return held if held and epoch_of(held) > known else b""


def require_control(write: RecordWrite) -> None:
    """Refuse to write a control that no store could compare: `UsageError`."""
    if (write.scope, write.name) != CONTROL:
        return
    if write.value is None or len(write.value) < EPOCH_BYTES or write.lifetime_seconds:
        raise UsageError("a control begins with its epoch, is never deleted and never expires")
