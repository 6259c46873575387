"""The scripts: what the server does atomically. Each is a file ``*.lua`` put behind ``head.lua``.

Those that deal with deliveries have ``delivery.lua`` between.

Every script checks all it needs before its first write, gets keys only as KEYS and values only as
ARGV, and answers with the nonce that it was given first.
"""

from hashlib import sha1
from importlib.resources import files

from ctxbridge.stores.redis.request import Request
from ctxbridge.stores.redis.resp import bulk


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
        rest = b"".join([bulk(b"%d" % number_of_keys), keys, *[bulk(v) for v in values]])
        count = b"*%d\r\n" % (3 + number_of_keys + len(values))
        behind = (then,) if then else ()
        return Request(
            (count + self._called + rest, *behind),
            nonce,
            lambda: (count + self._evaluated + rest, *behind),
            looks=bool(then),
        )


def _load(*names: str) -> Script:
    folder = files("ctxbridge.stores.redis").joinpath("lua")
    parts = ("head", *names)
    return Script(b"".join(folder.joinpath(f"{part}.lua").read_bytes() for part in parts))


OPEN, COMMIT, CONTACT = _load("open"), _load("delivery", "commit"), _load("contact")
TAKE, SETTLE, FIND = (_load("delivery", name) for name in ("take", "settle", "find"))
FORWARD, RECORD, STORE = _load("forward"), _load("record"), _load("store")
CONTROL = _load("control")
ERASE, ASIDE, GATHER, REWRITE = (_load(name) for name in ("erase", "aside", "gather", "rewrite"))
