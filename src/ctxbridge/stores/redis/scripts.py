"""The scripts: what the server does atomically. Each is a file ``*.lua`` put behind ``head.lua``.

Every script checks all it needs before its first write, gets keys only as KEYS and values only as
ARGV, and answers with the nonce that it was given first.
"""

from collections.abc import Callable, Sequence
from hashlib import sha1
from importlib.resources import files
from typing import Any

from ctxbridge.stores.redis.keys import TAIL
from ctxbridge.stores.redis.resp import bulk


class Request:
    """What is sent in one write: commands, and how its answer is known to be an answer to it."""

    __slots__ = ("_spell_out", "abandoned", "data", "looks", "nonce", "parts", "wanted")

    def __init__(
        self,
        parts: Sequence[bytes],
        nonce: bytes = b"",
        spell_out: Callable[[], Sequence[bytes]] | None = None,
        *,
        looks: bool = False,
    ) -> None:
        self.parts = parts
        self.data = parts[0] if len(parts) == 1 else b"".join(parts)
        self.wanted = len(parts)
        self.nonce = nonce
        self.looks = looks
        """Whether the last reply is what stands in a conversation's list."""
        self._spell_out = spell_out
        self.abandoned: Callable[[Any], None] | None = None
        """Told of the outcome where the caller was cancelled."""

    def spelled_out(self) -> "Request":
        """The same with the script's text instead of its hash, for a server that lacks it."""
        if self._spell_out is None:
            return self
        request = Request(self._spell_out(), self.nonce, looks=self.looks)
        request.abandoned = self.abandoned
        return request

    def is_answered_by(self, reply: Any) -> bool:
        """Whether `reply` is of the right form, and bound to this very request by its nonce."""
        first = last = reply
        if self.wanted > 1:
            first, last = reply[0], reply[-1]
        if self.nonce and not (type(first) is list and len(first) > 1 and first[0] == self.nonce):
            return False
        return not self.looks or is_list_of_bytes(last)


def is_list_of_bytes(reply: Any) -> bool:
    """Whether this may be what stands in a list; a script's answer has numbers at its end."""
    if type(reply) is not list or (reply and reply[-1].__class__ is not bytes):
        return False
    return len(reply) < TAIL or reply[-TAIL].__class__ is bytes


class Script:
    """One script; `request` makes a call of it."""

    def __init__(self, text: bytes) -> None:
        digest = sha1(text, usedforsecurity=False).hexdigest().encode()
        self.text = text
        self._called = b"$7\r\nEVALSHA\r\n" + bulk(digest)
        self._evaluated = b"$4\r\nEVAL\r\n" + bulk(text)

    def request(
        self, nonce: bytes, keys: bytes, number_of_keys: int, *values: bytes, then: bytes = b""
    ) -> Request:
        """A call with `keys` (packed already) and `values`; `then` is a look sent behind it."""
        rest = b"".join([b"$1\r\n%d\r\n" % number_of_keys, keys, *[bulk(v) for v in values]])
        count = b"*%d\r\n" % (3 + number_of_keys + len(values))
        behind = (then,) if then else ()
        return Request(
            (count + self._called + rest, *behind),
            nonce,
            lambda: (count + self._evaluated + rest, *behind),
            looks=bool(then),
        )


def _load(name: str) -> Script:
    folder = files("ctxbridge.stores.redis").joinpath("lua")
    return Script(b"".join(folder.joinpath(f"{part}.lua").read_bytes() for part in ("head", name)))


OPEN, COMMIT, CONTACT = _load("open"), _load("commit"), _load("contact")
FORWARD, RECORD, STORE = _load("forward"), _load("record"), _load("store")
