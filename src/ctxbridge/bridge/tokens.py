"""Signed tokens of the tenant: whoever brings one is the contact that it speaks for.

A token is ``ctx1.<claims>.<signature>``, both in base64url: the claims are JSON, and the signature
is HMAC-SHA256 of them with the tenant and the purpose, so that a token for another of these has a
wrong signature and nothing else. The claims can be read by whoever holds the token.
"""

import logging
import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import anyio
import msgspec
from msgspec import Struct

from ctxbridge.bridge.proving import require_vouched
from ctxbridge.bridge.signing import (
    Secrets,
    is_any,
    keyed_digest,
    of_base64url,
    to_base64url,
)
from ctxbridge.errors import (
    AddressTaken,
    ConfigurationError,
    Conflict,
    CtxBridgeError,
    TokenExpired,
    TokenInvalid,
    UsageError,
)
from ctxbridge.model import Address, Assurance, Contact, Record, RecordWrite
from ctxbridge.wire.checked import checked

if TYPE_CHECKING:
    from ctxbridge.bridge.bridge import Bridge

logger = logging.getLogger("ctxbridge.bridge")

MOST_TOKEN_CHARACTERS = 8 * 1024
LONGEST_LIFETIME_SECONDS = 366 * 86_400.0

_VERSION = "ctx1"
_SCOPE = "token.used"


class Vouched(Struct, frozen=True):
    """What a good token says: for whom it speaks, until when, and by whose word.

    `contact` is a contact's id or one of its addresses. `nonce` is for a token that may be used
    once, else empty. `source` and `evidence` go into the link. `expires_at` is Unix milliseconds.
    """

    contact: bytes | Address
    expires_at: int
    source: str
    evidence: str
    nonce: str = ""


class Tokens(Protocol):
    """Reads tokens of one kind. No network, no clock."""

    def read(self, token: str, /, *, tenant: str, now: int) -> Vouched:
        """What the token says at `now` (Unix ms); raises `TokenInvalid` or `TokenExpired`."""
        ...


class _Claims(Struct, array_like=True):
    id: str
    contact: str | Address
    expires_at: int
    once: bool


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(_Claims)


class LinkTokens:
    """Makes and reads our own tokens, for a link in a mail or a hand-over from another system.

    `secret` is 32 random bytes or more, or several secrets while one is being replaced: the first
    one signs. `purpose` keeps tokens for one thing from being taken for another. Raises
    `ConfigurationError` for a secret that is shorter, or none.
    """

    def __init__(self, secret: str | Sequence[str], *, purpose: str = "link") -> None:
        self._secrets = Secrets(secret, "the secret of link tokens")
        if not self._secrets:
            raise ConfigurationError("link tokens need a secret")
        self._purpose = purpose

    def make(
        self,
        contact: Contact | Address | bytes,
        /,
        *,
        tenant: str,
        now: int,
        lifetime_seconds: float = 900.0,
        once: bool = True,
    ) -> str:
        """A token that speaks for `contact` (or its id, or an address of it) to this `tenant`.

        It is good from `now` (Unix ms) for `lifetime_seconds` (1 second to a year), and for one
        link; without `once` for any number. Raises `UsageError` for another lifetime, `Malformed`
        for an address that cannot be.
        """
        if not 1 <= lifetime_seconds <= LONGEST_LIFETIME_SECONDS:
            raise UsageError("a token is good for 1 second to a year")
        whose = contact.id if isinstance(contact, Contact) else contact
        named = whose.hex() if isinstance(whose, bytes) else checked(whose)
        ends = now + int(lifetime_seconds * 1000)
        claims = _Claims(secrets.token_hex(16), named, ends, once)
        signed = f"{_VERSION}.{to_base64url(_encoder.encode(claims))}"
        (signature, *_) = self._signatures(tenant, signed)
        return f"{signed}.{to_base64url(signature)}"

    def read(self, token: str, /, *, tenant: str, now: int) -> Vouched:
        """What the token says. See `Tokens.read`."""
        pieces = require_short(token).split(".")
        if len(pieces) != 3 or pieces[0] != _VERSION:
            raise TokenInvalid("the token cannot be used")
        found = of_base64url(pieces[2]) or b""
        if not is_any(found, self._signatures(tenant, f"{_VERSION}.{pieces[1]}")):
            raise TokenInvalid("the token cannot be used")
        claims = _decoder.decode(of_base64url(pieces[1]) or b"")  # we have signed them
        require_unexpired(claims.expires_at, now)
        contact = claims.contact
        whose = bytes.fromhex(contact) if isinstance(contact, str) else contact
        nonce = claims.id if claims.once else ""
        return Vouched(whose, claims.expires_at, "token", f"token:{claims.id}", nonce)

    def _signatures(self, tenant: str, signed: str) -> list[bytes]:
        parts = ("ctxbridge token", tenant, self._purpose, signed)
        return [keyed_digest(secret, *parts) for secret in self._secrets]


def require_short(token: str) -> str:
    """The token, if it is a text that a token could be; anything else is refused unread."""
    if len(token) > MOST_TOKEN_CHARACTERS or not token.isascii():
        raise TokenInvalid("the token cannot be used")
    return token


def require_unexpired(expires_at: int, now: int, leeway_seconds: float = 0.0) -> None:
    """Raise `TokenExpired` at the end of the token's time. Times are Unix milliseconds."""
    if expires_at + leeway_seconds * 1000 <= now:
        raise TokenExpired("the token's time is over; the customer needs another one")


async def link_by_token(
    bridge: "Bridge[Any]", token: str, address: Address, by: Tokens, assurance: Assurance
) -> Contact:
    """Read the token, use it up if it is for one use, link. See `Proofs.link_by_token`."""
    require_vouched(assurance)
    now, where = bridge.clock.now(), checked(address)
    vouched = by.read(token, tenant=bridge.tenant, now=now)
    used = await _use(bridge, vouched, now) if vouched.nonce else None
    try:
        return await _link(bridge, vouched, where)
    except AddressTaken:
        raise
    except BaseException:
        if used is not None:
            with anyio.CancelScope(shield=True), anyio.move_on_after(5.0):
                await _give_back(bridge, vouched.nonce, used)
        raise


async def _link(bridge: "Bridge[Any]", vouched: Vouched, where: Address) -> Contact:
    """Both ends are the same person: who is not known yet joins the one who is."""
    ends: tuple[bytes | Address, Address] = (vouched.contact, where)
    if isinstance(vouched.contact, Address):
        known = (await bridge.context(vouched.contact, window=1, fresh=True)).contact
        ends = (known.id, where) if known else (where, bridge.canonical(vouched.contact))
    return await bridge.link(
        ends[0], ends[1], evidence=vouched.evidence, assurance=Assurance.AUTHENTICATED,
        source=vouched.source,
    )  # fmt: skip


async def _use(bridge: "Bridge[Any]", vouched: Vouched, now: int) -> Record:
    """Remember that the token was used; of several at once one gets through."""
    # A margin for clocks that go after ours, where the token seems good for longer.
    seconds = max(vouched.expires_at - now, 0) / 1000 + 3600.0
    write = RecordWrite(bridge.tenant, _SCOPE, vouched.nonce, now, b"1", 0, seconds)
    try:
        record = await bridge.store.records(write)
    except Conflict:
        raise TokenInvalid("the token cannot be used") from None
    assert record is not None
    return record


async def _give_back(bridge: "Bridge[Any]", nonce: str, used: Record) -> None:
    now = bridge.clock.now()
    try:
        await bridge.store.records(
            RecordWrite(bridge.tenant, _SCOPE, nonce, now, None, used.revision)
        )
    except CtxBridgeError as error:
        logger.warning("a token that linked nobody stays used up: %s", type(error).__name__)
