"""Keyed tokens in place of what was found: reversible with the key, and with it alone.

The standard library has no cipher, but HMAC is a pseudo-random function, and of such a function
SIV (Rogaway and Shrimpton, 2006) makes one that needs no nonce: the tag is the MAC of kind and
value, the key stream is made from the tag, and a token is both. The same value under the same key
is always the same token, so an agent can tell two cards apart; without the key a token tells how
long the value is, and which tokens are equal. A token that was changed does not open.
"""

import base64
import binascii
import hashlib
import hmac
import re

from ctxbridge.errors import ConfigurationError

TAG_BYTES = 16
SHORTEST_KEY = 16
_TOKEN = re.compile(r"\[([a-z]{2,10}):([A-Z2-7]{28,}+)\]")


def spans(text: str) -> list[tuple[int, int]]:
    """Where tokens stand in `text`, whoever made them."""
    if "[" not in text:
        return []
    return [match.span() for match in _TOKEN.finditer(text)]


class PiiTokens:
    """Makes tokens under one key and opens them again; `pii_tokens` makes it."""

    def __init__(self, key: bytes) -> None:
        if len(key) < SHORTEST_KEY:
            raise ConfigurationError(f"a key for tokens is at least {SHORTEST_KEY} random bytes")
        self._tagging = _derived(key, b"ctxbridge.pii.tag.1")
        self._streaming = _derived(key, b"ctxbridge.pii.stream.1")

    def __repr__(self) -> str:
        return "PiiTokens(...)"

    def token(self, kind: str, value: str) -> str:
        """The token that stands for `value`."""
        plain = value.encode("utf-8", "surrogatepass")
        tag = self._tag(kind, plain)
        return f"[{kind}:{_packed(tag + self._mixed(tag, plain))}]"

    def reveal(self, text: str) -> str:
        """`text` with each token of this key opened; what is none, or of another key, stays."""
        return _TOKEN.sub(self._opened, text)

    def _opened(self, match: "re.Match[str]") -> str:
        kind, packed = match.groups()
        try:
            data = base64.b32decode(packed + "=" * (-len(packed) % 8))
        except binascii.Error:
            return match.group()
        tag, mixed = data[:TAG_BYTES], data[TAG_BYTES:]
        plain = self._mixed(tag, mixed)
        if packed != _packed(data):  # some last letters differ in bits that nobody reads
            return match.group()
        if not hmac.compare_digest(tag, self._tag(kind, plain)):
            return match.group()
        return plain.decode("utf-8", "surrogatepass")

    def _tag(self, kind: str, plain: bytes) -> bytes:
        said = kind.encode() + b"\x00" + plain
        return hmac.digest(self._tagging, said, "sha256")[:TAG_BYTES]

    def _mixed(self, tag: bytes, data: bytes) -> bytes:
        """`data` with the key stream of `tag` over it; done twice, it is as it was."""
        blocks = range(-(-len(data) // hashlib.sha256().digest_size))
        stream = b"".join(
            hmac.digest(self._streaming, tag + n.to_bytes(4, "big"), "sha256") for n in blocks
        )[: len(data)]
        mixed = int.from_bytes(data, "big") ^ int.from_bytes(stream, "big")
        return mixed.to_bytes(len(data), "big")


def pii_tokens(key: bytes) -> PiiTokens:
    """What opens the tokens of `pii(mode="token", key=key)`: ``pii_tokens(key).reveal(text)``."""
    return PiiTokens(key)


def _packed(data: bytes) -> str:
    return base64.b32encode(data).decode("ascii").rstrip("=")


def _derived(key: bytes, purpose: bytes) -> bytes:
    return hmac.digest(key, purpose, "sha256")
