"""Proof of possession: a code goes to the claimed address and comes back on the claiming channel.

What is stored of a code, for its ten minutes and ten more, is a keyed digest: of the code, the
tenant, the address that claims and the one that is claimed. A guess is counted, in one step and for
all processes, before it is compared; so there are never more comparisons than tries.
"""

import hmac
import logging
import re
import secrets
from typing import TYPE_CHECKING, Any, Literal

import anyio
import msgspec
from msgspec import Struct
from msgspec.structs import replace

from ctxbridge.bridge.beholding import behold
from ctxbridge.bridge.signing import is_any, keyed_digest
from ctxbridge.bridge.throttling import MOST_SWAPS, take_slot
from ctxbridge.delivery.attempt import attempt
from ctxbridge.errors import (
    AddressTaken,
    Busy,
    Conflict,
    CorruptRecord,
    CtxBridgeError,
    UnknownContact,
    Unvouched,
    UsageError,
)
from ctxbridge.model import (
    Address,
    Assurance,
    Contact,
    Delivery,
    Endpoint,
    Message,
    Outgoing,
    Query,
    Record,
    RecordRead,
    RecordWrite,
    Text,
)
from ctxbridge.model.address import MAX_ADDRESS_CHARACTERS
from ctxbridge.ports import Sender
from ctxbridge.rules.consent import may_send
from ctxbridge.wire.checked import checked
from ctxbridge.wire.keys import address_key

if TYPE_CHECKING:
    from ctxbridge.bridge.bridge import Bridge

logger = logging.getLogger("ctxbridge.bridge")

MOST_TRIES = 5
LONGEST_LIFETIME_SECONDS = 600.0
DAY_SECONDS = 86_400.0

PER_CLAIMED = ((3, 600.0), (10, DAY_SECONDS))
"""Codes for one claimed address. By the day as well: five guesses at each of three codes every ten
minutes would come to two in a thousand a day, ten codes a day to one in twenty thousand."""
PER_CLAIMING = ((5, 600.0), (20, DAY_SECONDS))
"""Codes that one address may ask for, whomever it claims to be."""

CODE_TEXT = "{code} is the code you were asked for. If you do not know of any, tell it to nobody."

_SCOPE, _SCOPE_CLAIMED, _SCOPE_CLAIMING = "proof", "proof.claimed", "proof.claiming"
_TOLD_SECONDS = 600.0  # for so long after its end a code is still known to have expired
_MOST_CHARACTERS = 16_000
# Not a piece of a word, an amount, a date or an address; "123 456" and "123-456" are one group.
_GROUP = re.compile(r"(?<![\w.,/+-])[0-9](?:[ -]?[0-9])*(?![\w-]|[.,/][\w])")


class Challenge(Struct, frozen=True):
    """A one-time code that was made, the same whether anybody is stored under `claimed` or not.

    `code` is for whoever owns `claimed`, and for nobody else: send it there, and do not log it. It
    is good until `expires_at` (Unix milliseconds).
    """

    code: str
    claimed: Address
    expires_at: int

    def __repr__(self) -> str:
        return f"<Challenge until={self.expires_at}>"


class Proof(Struct, frozen=True):
    """What became of a code that came back.

    ``linked``: it was right, and `contact` has the claimed address now. ``proven``: it was right,
    and the address had been theirs: who writes counts as ``VERIFIED`` for ten minutes. ``wrong``:
    it was not, or the text is no code; `tries_left` are left. ``expired``: it came too late.
    ``used_up``: it was used before, or there are no tries left. ``none``: this address was asked
    for no code lately.
    """

    status: Literal["linked", "proven", "wrong", "expired", "used_up", "none"]
    contact: Contact | None = None
    tries_left: int = 0


class Asked(Struct, frozen=True):
    """What a code is asked for: see `Proofs.challenge`.

    `written_as` is the value of `claimed` as the caller wrote it: the code is sent there.
    """

    claimed: Address
    claiming: Address
    endpoint: Endpoint | None = None
    digits: int = 6
    lifetime_seconds: float = LONGEST_LIFETIME_SECONDS
    text: str = CODE_TEXT
    subject: str = ""
    written_as: str = ""


class _Open(Struct, frozen=True, array_like=True):
    """What is stored of a code. `format` is 1; `digest` never is of the code alone."""

    format: Literal[1]
    claimed: Address
    salt: bytes
    digest: bytes
    digits: int
    expires_at: int
    tries: int = 0
    used: bool = False


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Open)


def code_in(text: str, /, *, digits: int = 6) -> str | None:
    """The code in what a customer wrote ("it is 123 456"), if there is exactly one.

    That is one group of just so many ASCII digits, which a space or a hyphen may part. Of two such
    groups none is taken, nor one that is a piece of a word, an amount or a longer number.
    """
    if len(text) > _MOST_CHARACTERS:
        return None
    groups = [re.sub("[ -]", "", found) for found in _GROUP.findall(text)]
    codes = [group for group in groups if len(group) == digits]
    return codes[0] if len(codes) == 1 else None


async def challenge(bridge: "Bridge[Any]", asked: Asked) -> Challenge:
    """Make a code, count it, store its digest, and send it where that was asked for.

    Nobody is looked up under the claimed address but to heed a STOP, in one read that is made
    whoever it is; so the steps are the same for somebody known and somebody unknown.
    """
    sender, asked = _sender(bridge, asked), checked(asked)
    now, tenant, records = bridge.clock.now(), bridge.tenant, bridge.store.records
    claiming, claimed = _name(bridge, asked.claiming), _name(bridge, asked.claimed)
    await take_slot(records, tenant, _SCOPE_CLAIMING, claiming, now, PER_CLAIMING)
    await take_slot(records, tenant, _SCOPE_CLAIMED, claimed, now, PER_CLAIMED)
    code = f"{secrets.randbelow(10**asked.digits):0{asked.digits}d}"
    salt, ends = secrets.token_bytes(32), now + int(asked.lifetime_seconds * 1000)
    (digest, *_) = _digests(bridge, asked.claiming, asked.claimed, salt, code)
    made = _Open(1, asked.claimed, salt, digest, asked.digits, ends)
    await records(_write(bridge, claiming, made, now, None))
    if sender is not None:
        await _send(bridge, sender, asked, code)
    return Challenge(code, asked.claimed, ends)


async def prove(bridge: "Bridge[Any]", claiming: Address, code: str, assurance: Assurance) -> Proof:
    """Count the guess, compare it, use the code up, link. See `Proofs.prove`."""
    require_vouched(assurance)
    claiming = checked(claiming)
    counted = await _count(bridge, claiming, code)
    if isinstance(counted, Proof):
        return counted
    held, guess = counted
    if not is_any(held.digest, _digests(bridge, claiming, held.claimed, held.salt, guess)):
        return Proof("wrong", tries_left=MOST_TRIES - held.tries)
    context = await bridge.context(claiming, window=1, fresh=True)
    if context.contact is None:
        raise UnknownContact("nobody is stored under the address that the code came from")
    used = await _mark(bridge, claiming, held, used=True)
    if used is None:
        return Proof("used_up")
    known = context.contact.link_to(held.claimed)
    contact = await _link(bridge, context.contact, claiming, held)
    if known is None or known.assurance < Assurance.CHANNEL or known.shared:
        return Proof("linked", contact)
    # Who can read what is sent to an address of the contact is the contact.
    contact = await bridge.step_up(claiming, evidence="code")
    return Proof("proven", contact)


def require_vouched(assurance: Assurance) -> None:
    """Raise `Unvouched` for a proof that came in a message that may be anybody's.

    Else who forges a From would add an address of their own to the contact of another.
    """
    if assurance < Assurance.CHANNEL:
        raise Unvouched("the message that brings the proof is not vouched for by its channel")


async def _count(bridge: "Bridge[Any]", claiming: Address, code: str) -> tuple[_Open, str] | Proof:
    """The code's record with this guess counted, and the guess; or why nothing is compared.

    What cannot be a code is not counted, and tells nothing of the one that is right.
    """
    name = _name(bridge, claiming)
    for _ in range(MOST_SWAPS):
        now = bridge.clock.now()
        record = await _read(bridge, name, now)
        if record is None:
            return Proof("none")
        held = _opened(record)
        if held.used or held.tries >= MOST_TRIES:
            return Proof("used_up")
        if held.expires_at <= now:
            return Proof("expired")
        guess = code_in(code, digits=held.digits)
        if guess is None:
            return Proof("wrong", tries_left=MOST_TRIES - held.tries)
        counted = replace(held, tries=held.tries + 1)
        if await _swap(bridge, _write(bridge, name, counted, now, record.revision)):
            return counted, guess
    raise Busy("others guess all the time; this guess was not compared, and a retry is safe")


async def _mark(
    bridge: "Bridge[Any]", claiming: Address, held: _Open, *, used: bool
) -> _Open | None:
    """Use the code up, or give it back; `None` where another was quicker, or a new code was made.

    Guesses that were counted meanwhile stay counted.
    """
    name = _name(bridge, claiming)
    for _ in range(MOST_SWAPS):
        now = bridge.clock.now()
        record = await _read(bridge, name, now)
        found = _opened(record) if record else None
        if record is None or found is None or found.salt != held.salt or found.used is used:
            return None
        marked = replace(found, used=used)
        if await _swap(bridge, _write(bridge, name, marked, now, record.revision)):
            return marked
    raise Busy("the code's record changes all the time; it was not used, and a retry is safe")


async def _link(bridge: "Bridge[Any]", contact: Contact, claiming: Address, held: _Open) -> Contact:
    """Make the link that was proved.

    Where the address has a history elsewhere the code stays used up: what it proves has been told,
    and the same code would end the same way. Where the store failed it is given back.
    """
    try:
        return await bridge.link(
            contact, held.claimed, evidence="code", assurance=Assurance.VERIFIED, source="code"
        )
    except AddressTaken:
        raise
    except BaseException:
        with anyio.CancelScope(shield=True), anyio.move_on_after(5.0):
            await _give_back(bridge, claiming, held)
        raise


async def _give_back(bridge: "Bridge[Any]", claiming: Address, held: _Open) -> None:
    try:
        await _mark(bridge, claiming, held, used=False)
    except CtxBridgeError as error:
        logger.warning("a code that linked nobody stays used up: %s", type(error).__name__)


# --- what is stored -------------------------------------------------------------------------------


def _name(bridge: "Bridge[Any]", address: Address) -> str:
    """What an address's records are called: a hash, so that nobody's address is a name."""
    return address_key(bridge.tenant, address).hex()


def _digests(
    bridge: "Bridge[Any]", claiming: Address, claimed: Address, salt: bytes, code: str
) -> list[bytes]:
    """The digest under each of the tenant's secrets, that of the first one first."""
    parts = (
        bridge.tenant, claiming.channel, claiming.value, claiming.scope,
        claimed.channel, claimed.value, claimed.scope, code,
    )  # fmt: skip
    keys = [hmac.digest(secret, salt, "sha256") for secret in bridge.settings.code_secret]
    return [keyed_digest(key, "ctxbridge code", *parts) for key in keys or [salt]]


def _opened(record: Record) -> _Open:
    try:
        return _decoder.decode(record.value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise CorruptRecord("what is stored of a code is damaged") from None


def _write(
    bridge: "Bridge[Any]", name: str, held: _Open, now: int, revision: int | None
) -> RecordWrite:
    seconds = (held.expires_at - now) / 1000 + _TOLD_SECONDS
    return RecordWrite(
        bridge.tenant, _SCOPE, name, now, _encoder.encode(held), revision, max(seconds, 1.0)
    )


async def _read(bridge: "Bridge[Any]", name: str, now: int) -> Record | None:
    return await bridge.store.records(RecordRead(bridge.tenant, _SCOPE, name, now))


async def _swap(bridge: "Bridge[Any]", write: RecordWrite) -> bool:
    """Whether it was written: nobody had changed the record since it was read."""
    try:
        await bridge.store.records(write)
    except Conflict:
        return False
    return True


async def forget(bridge: "Bridge[Any]", address: Address) -> None:
    """Let go of what is stored of codes that this address was asked for, and of its limits."""
    name, now = _name(bridge, address), bridge.clock.now()
    for scope in (_SCOPE, _SCOPE_CLAIMED, _SCOPE_CLAIMING):
        await bridge.store.records(RecordWrite(bridge.tenant, scope, name, now, None))


# --- sending --------------------------------------------------------------------------------------


def _sender(bridge: "Bridge[Any]", asked: Asked) -> Sender | None:
    """Who sends the code, if the bridge is to; raises `UsageError` for what cannot be."""
    if not 6 <= asked.digits <= 10:
        raise UsageError("a code has 6 to 10 digits")
    if not 1 <= asked.lifetime_seconds <= LONGEST_LIFETIME_SECONDS:
        raise UsageError("a code is good for 1 to 600 seconds")
    for address in (asked.claimed, asked.claiming):
        if not 0 < len(address.value) <= MAX_ADDRESS_CHARACTERS:
            raise UsageError(f"an address has 1 to {MAX_ADDRESS_CHARACTERS} characters")
    if asked.endpoint is None:
        return None
    sender = bridge.outbox.sender_on(asked.claimed.channel)
    if sender is None or asked.endpoint.channel != asked.claimed.channel:
        raise UsageError("to send the code the bridge needs a sender and an endpoint there")
    if "{code}" not in asked.text:
        raise UsageError("the text does not say {code}")
    return sender


async def _send(bridge: "Bridge[Any]", sender: Sender, asked: Asked, code: str) -> None:
    """Hand the code to the provider, past log and outbox: what is stored there can be read.

    A STOP that is stored by now is heeded, and so is a halt: a code cannot wait for the end of a
    pause, so it does not leave in either. What becomes of the message is not told: a caller that
    knew why it did not leave would know who is stored.
    """
    to, now = asked.claimed, bridge.clock.now()
    query = Query(bridge.tenant, to, window=1, fresh=True, policy=bridge.settings.access)
    context = await behold(bridge, query)
    contact = context.contact
    if contact is not None and not may_send(contact.consents, to.channel, "otp", to.value):
        return
    id = bridge.ids.new()
    message = Message(
        id, "system", to.channel, (Text(asked.text.replace("{code}", code)),), now,
        address=to, endpoint=asked.endpoint, subject=asked.subject, purpose="otp",
        written_as=asked.written_as,
    )  # fmt: skip
    assert asked.endpoint is not None
    if bridge.steering.objection(context, message)[0]:
        logger.warning("a code does not leave: its channel, its contact or more stands still")
        return
    outgoing = Outgoing(Delivery(id), message, message.recipient or to, asked.endpoint)
    sent = await attempt(sender, outgoing)
    if sent.status != "sent":
        logger.warning("a code may not have left: %s", sent.code or sent.status)
