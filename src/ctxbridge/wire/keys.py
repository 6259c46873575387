"""Keys of what is stored: fixed-width hashes, so that no identifier of a person ever is a key.

Every part is hashed with its length before it, so no two lists of parts give the same bytes
(``("a", "bc")`` and ``("ab", "c")`` differ), and each kind of key has its own space.
"""

from functools import lru_cache
from hashlib import blake2b

from ctxbridge.model import Address, Endpoint


def _key(kind: bytes, *parts: bytes) -> bytes:
    framed = b"".join([len(part).to_bytes(4, "big") + part for part in parts])
    return blake2b(framed, digest_size=16, person=kind).digest()


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def address_key(tenant: str, address: Address, generation: int = 0) -> bytes:
    """Where an address leads to, 16 bytes.

    Another `generation` is for one that was parted from who lives at the place before.
    """
    later = (b"%d" % generation,) if generation else ()
    return _key(
        b"ctxb:address",
        _bytes(tenant), _bytes(address.channel), _bytes(address.value), _bytes(address.scope),
        *later,
    )  # fmt: skip


def contact_key(tenant: str, contact: bytes) -> bytes:
    """Where a contact lives, 16 bytes."""
    return _key(b"ctxb:contact", _bytes(tenant), contact)


def message_key(tenant: str, endpoint: Endpoint, message_id: str) -> bytes:
    """Under which a message id is remembered, 16 bytes."""
    return _key(
        b"ctxb:message",
        _bytes(tenant), _bytes(endpoint.channel), _bytes(endpoint.value), _bytes(message_id),
    )  # fmt: skip


def provider_key(tenant: str, endpoint: Endpoint | None, provider_id: str) -> bytes:
    """Under which the id is remembered that a provider gave to a message of ours, 16 bytes."""
    named = (_bytes(endpoint.channel), _bytes(endpoint.value)) if endpoint else ()
    return _key(b"ctxb:provider", _bytes(tenant), *named, _bytes(provider_id))


@lru_cache(maxsize=1024)
def tenant_key(tenant: str) -> bytes:
    """What is listed by tenant stands under this, 16 bytes."""
    return _key(b"ctxb:tenant", _bytes(tenant))


def record_key(tenant: str, scope: str, name: str) -> bytes:
    """Where a record lives, 16 bytes."""
    return _key(b"ctxb:record", _bytes(tenant), _bytes(scope), _bytes(name))


def sending_key(tenant: str, key: str) -> bytes:
    """The id of what a caller writes first under a key of their own, 16 bytes."""
    return _key(b"ctxb:sending", _bytes(tenant), _bytes(key))


def content_digest(tenant: str, content: bytes) -> bytes:
    """What tells one body from another under the same message id, 16 bytes."""
    return _key(b"ctxb:content", _bytes(tenant), content)


def text_digest(tenant: str, text: str) -> bytes:
    """The digest that a decision names its text by, 16 bytes."""
    data, begun = _bytes(text), _begun(b"ctxb:text", tenant).copy()
    begun.update(len(data).to_bytes(4, "big"))
    begun.update(data)
    return begun.digest()


@lru_cache(maxsize=1024)
def _begun(kind: bytes, tenant: str) -> blake2b:
    """The beginning of a key that is asked for with every message: as `_key` makes it."""
    data = _bytes(tenant)
    return blake2b(len(data).to_bytes(4, "big") + data, digest_size=16, person=kind)
