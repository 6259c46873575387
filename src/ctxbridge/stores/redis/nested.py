"""Nested values for a script's ``cmsgpack``: MessagePack as it was before it had bytes.

What is bytes here is a string in Lua; of integers those of eight bytes will do.
"""

from collections.abc import Sequence

Nested = int | bytes | Sequence["Nested"]


def packed(value: Nested) -> bytes:
    """The value, however it is nested."""
    if isinstance(value, int):
        return b"\xcf" + value.to_bytes(8, "big")
    if isinstance(value, bytes):
        return b"\xdb" + len(value).to_bytes(4, "big") + value
    return b"\xdd" + len(value).to_bytes(4, "big") + b"".join([packed(one) for one in value])
