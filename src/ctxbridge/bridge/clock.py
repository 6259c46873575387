"""The clock and the source of ids that a bridge uses unless it is given others."""

import os
import time


class SystemClock:
    """The machine's own time."""

    def now(self) -> int:
        """Unix milliseconds."""
        return time.time_ns() // 1_000_000


class Uuid7:
    """Ids of RFC 9562, version 7: 48 bits of Unix milliseconds, then random bits."""

    def new(self) -> bytes:
        """16 bytes that sort by time."""
        stamp = time.time_ns() // 1_000_000
        noise = bytearray(os.urandom(10))
        noise[0] = 0x70 | noise[0] & 0x0F
        noise[2] = 0x80 | noise[2] & 0x3F
        return stamp.to_bytes(6, "big") + noise
