"""The bytes of a sealed value: by which key, and what AES-256-GCM made of it.

::

    1 byte    the number of the format, 1
    1 byte    whose it is: A an address, C a contact, R a record
    1 byte    n, how long the id of the tenant's key is
    n bytes   the id of the tenant's key, UTF-8
    60 bytes  the data key, wrapped by the tenant's: nonce 12, key 32, tag 16
    12 bytes  nonce
    the rest  ciphertext, tag 16

The header (all before the second nonce), the owner and the place are bound in: a value that was
moved to another owner or place, or whose header was changed, does not open.
"""

import os
from typing import Any

import msgspec

from ctxbridge.errors import ConfigurationError

try:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
except ImportError:  # pragma: no cover - tested in a process of its own
    raise ConfigurationError(
        "sealing needs a package more: pip install 'ctxbridge[crypto]'"
    ) from None

KEY_BYTES = 32
_FORMAT = 1
_NONCE = 12
_WRAPPED = _NONCE + KEY_BYTES + 16

Place = tuple[Any, ...]
"""What a value is bound to besides its owner, first of all its kind: the same before it is stored
as after. Built-in values alone: it is encoded as MessagePack, and the bytes must never change."""

_encode = msgspec.msgpack.Encoder().encode


class DataKey:
    """The key that values of one owner are sealed with. `header` is its part of their header."""

    __slots__ = ("_cipher", "header", "key_id")

    def __init__(self, cipher: AESGCM, key_id: str, wrapped: bytes) -> None:
        self._cipher = cipher
        self.key_id = key_id
        id = key_id.encode()
        self.header = bytes([len(id)]) + id + wrapped

    def __repr__(self) -> str:
        return f"<DataKey wrapped by {self.key_id!r}>"

    def seal(self, owner: bytes, place: Place, plain: bytes) -> bytes:
        """The sealed value; sealing the same again gives other bytes."""
        head = bytes((_FORMAT, owner[0])) + self.header
        nonce = os.urandom(_NONCE)
        return head + nonce + self._cipher.encrypt(nonce, plain, bound(head, owner, place))

    def unseal(self, sealed: bytes, owner: bytes, place: Place) -> bytes | None:
        """The value; `None` where it was not sealed for this owner and place, or was changed."""
        end = 2 + len(self.header)
        body = end + _NONCE
        aad = bound(sealed[:end], owner, place)
        try:
            return self._cipher.decrypt(sealed[end:body], sealed[body:], aad)
        except (InvalidTag, ValueError):  # the second for what is cut off within the nonce
            return None


def bound(head: bytes, owner: bytes, place: Place) -> bytes:
    """What is authenticated with a value: no two headers, owners or places give the same bytes."""
    return _encode((head, owner, place))


def header_of(sealed: bytes) -> bytes:
    """The key's part of a sealed value's header; of what is no sealed value, bytes of no key."""
    return sealed[2 : 3 + sealed[2] + _WRAPPED] if len(sealed) > 2 and sealed[0] == _FORMAT else b""


def key_in(header: bytes) -> tuple[str, bytes] | None:
    """The id of the tenant's key and the wrapped data key; `None` if it is no key's header."""
    if not header or len(header) != 1 + header[0] + _WRAPPED:
        return None
    try:
        return header[1 : 1 + header[0]].decode(), header[1 + header[0] :]
    except UnicodeDecodeError:
        return None


def wrapping_cipher(key: bytes) -> AESGCM:
    """The cipher of a tenant's key of 32 bytes."""
    return AESGCM(key)


def new_data_key(wrapping: AESGCM, tenant: bytes, key_id: str) -> DataKey:
    """A data key that never was before, wrapped."""
    key, nonce = AESGCM.generate_key(KEY_BYTES * 8), os.urandom(_NONCE)
    wrapped = nonce + wrapping.encrypt(nonce, key, _encode((b"key", tenant, key_id)))
    return DataKey(AESGCM(key), key_id, wrapped)


def unwrapped(wrapping: AESGCM, tenant: bytes, key_id: str, wrapped: bytes) -> DataKey | None:
    """The data key; `None` where it was wrapped by another key or for another tenant."""
    try:
        key = wrapping.decrypt(
            wrapped[:_NONCE], wrapped[_NONCE:], _encode((b"key", tenant, key_id))
        )
    except InvalidTag:
        return None
    return DataKey(AESGCM(key), key_id, wrapped)
