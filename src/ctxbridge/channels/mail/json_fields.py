"""JSON in what providers post: bounded before it is decoded, and nothing in it raises.

A body of zeros and commas becomes ten times its size in Python. So what is decoded without a shape
is short, and what is long is looked into by its parts.
"""

from typing import Any

import msgspec
from msgspec import Raw

from ctxbridge.channels.mail import mime
from ctxbridge.errors import Malformed

MAX_BYTES = 1024 * 1024
MAX_COMMAS = 100_000
MAX_HEADER_BYTES = mime.MAX_REFERENCES_CHARACTERS + mime.MAX_ALL_HEADER_CHARACTERS

NULL = Raw(b"null")
"""What a field holds that is not there."""

_UNDECODABLE = (msgspec.MsgspecError, UnicodeError, RecursionError)


def value_in(given: bytes | Raw, most: int = MAX_BYTES) -> Any:
    """Whatever it holds; `None` for what is no JSON, or longer than `most`."""
    try:
        return msgspec.json.decode(given) if len(memoryview(given)) <= most else None
    except _UNDECODABLE:
        return None


def object_in(given: bytes | Raw) -> dict[str, Any]:
    """The object; an empty one for anything else, and beyond 1 MiB."""
    found = value_in(given)
    return found if isinstance(found, dict) else {}


def list_in(given: bytes | Raw, most: int = MAX_BYTES) -> list[Any]:
    """The list; an empty one for anything else, or longer than `most`."""
    found = value_in(given, most)
    return found if isinstance(found, list) else []


def headers_in(given: bytes | Raw) -> list[Any]:
    """A list of headers, whatever each is. Raises `Malformed` beyond what a mail may have."""
    if len(memoryview(given)) > MAX_HEADER_BYTES:
        raise Malformed("the mail has too many headers, or too long")
    return list_in(given, MAX_HEADER_BYTES)


def items_in(given: bytes | Raw) -> list[Raw]:
    """The items of a list however long, not looked into; none for anything else, or too many."""
    data = bytes(given)
    try:
        return msgspec.json.decode(data, type=list[Raw]) if data.count(b",") <= MAX_COMMAS else []
    except _UNDECODABLE:
        return []


def bytes_in(given: Raw) -> bytes:
    """The text, as UTF-8; empty for anything else."""
    try:
        return msgspec.json.decode(given, type=str).encode("utf-8", "surrogatepass")
    except _UNDECODABLE:
        return b""
