"""Somebody who asks a store for things, with a clock and ids of their own."""

from collections.abc import Awaitable, Sequence
from hashlib import blake2b
from typing import Any

from msgspec.structs import replace

from ctxbridge.model import (
    Address,
    Assurance,
    Change,
    Claim,
    Committed,
    Consent,
    Context,
    Delivery,
    DeliveryStatus,
    Endpoint,
    Entry,
    Erase,
    Link,
    LinkClaim,
    Merge,
    Message,
    Opened,
    Query,
    RecordRead,
    RecordWrite,
    Scan,
    Settle,
    Split,
    Take,
    Text,
)
from ctxbridge.ports import Store

PHONE = Address("sms", "+15550100001")
MAIL = Address("email", "ann@example.org")
CHAT = Address("chat", "visitor-7")
OURS = Endpoint("sms", "+15550199999")


class Actor:
    """Makes the values that a store takes. Time stands still until `now` is set; ids count up."""

    def __init__(self, tenant: str = "acme", now: int = 1_790_000_000_000, seed: int = 0) -> None:
        self.tenant = tenant
        self.now = now
        self._seed = seed
        self._ids = 0

    def id(self) -> bytes:
        """A new id."""
        self._ids += 1
        name = f"{self.tenant}:{self._seed}:{self._ids}".encode()
        return blake2b(name, digest_size=16).digest()

    def message(
        self, text: str, *, author: Any = "contact", address: Address = PHONE, **more: Any
    ) -> Message:
        """A message of `text` that was accepted, from or to `address`."""
        turn = more.pop("turn", b"") or self.id()
        return Message(
            turn, author, address.channel, (Text(text),), self.now, address=address,
            endpoint=more.pop("endpoint", OURS), **more,
        )  # fmt: skip

    def claim(
        self,
        text: str = "hello",
        *,
        message_id: str = "SM1",
        address: Address = PHONE,
        endpoint: Endpoint = OURS,
        assurance: Assurance = Assurance.CHANNEL,
        stop: bool | None = None,
        labels: tuple[str, ...] = (),
        **more: Any,
    ) -> Claim:
        """Open a turn for `text`; `stop` says that it takes back (or gives) consent."""
        turn = self.id()
        message = self.message(
            text, turn=turn, address=address, endpoint=endpoint, message_id=message_id,
            disposition="pending", assurance=assurance, labels=labels,
        )  # fmt: skip
        consents: tuple[Consent, ...] = ()
        if stop is not None:
            word = Consent(
                address.channel, "all", not stop, self.now, message_id, by=address.value
            )  # fmt: skip
            consents = (word,)
        return Claim(
            self.tenant, endpoint, address, message, blake2b(text.encode()).digest()[:16], turn,
            self.id(), self.id(), self.now, assurance, consents, **more,
        )  # fmt: skip

    def change(
        self,
        opened: Opened,
        *replies: str,
        address: Address = PHONE,
        accept: Message | None = None,
        **more: Any,
    ) -> Change:
        """Commit the turn that `opened` began, with `replies` of the agent."""
        assert opened.context.contact is not None
        append = tuple(
            self.message(text, author="agent", address=address, turn=opened.turn)
            for text in replies
        )
        amend = ((opened.seq, accept),) if accept else ()
        return Change(
            self.tenant, opened.context.contact.id, opened.turn, self.now, opened.fence,
            opened.context.gate_epoch, amend=amend, append=append, **more,
        )  # fmt: skip

    def note(self, contact: bytes, *entries: Entry, **more: Any) -> Change:
        """Append outside of a turn."""
        return Change(
            self.tenant, contact, more.pop("turn", None) or self.id(), self.now,
            append=entries, **more,
        )  # fmt: skip

    def query(
        self,
        address: Address = PHONE,
        assurance: Assurance = Assurance.AUTHENTICATED,
        window: int = 0,
        **more: Any,
    ) -> Query:
        """Look up `address`; the whole conversation unless `window` is given."""
        return Query(self.tenant, address, assurance, window, **more)

    def delivery(self, place: int = 1, **more: Any) -> Delivery:
        """Let leave what stands at `place` of what a change appends; `token` claims it at once."""
        return Delivery(self.id(), place, **more)

    def take(self, where: bytes, delivery: bytes, **more: Any) -> Take:
        """Claim a delivery, as somebody new unless `token` is given."""
        token = more.pop("token", b"") or self.id()[:8]
        return Take(self.tenant, where, delivery, token, self.now, **more)

    def settle(self, status: DeliveryStatus, **more: Any) -> Settle:
        """Say what became of a delivery; a provider's id is one of `OURS` unless said otherwise."""
        if "provider_id" in more:
            more.setdefault("endpoint", OURS)
        return Settle(self.tenant, status, self.now, **more)

    def scan(self, what: Any = "due", **more: Any) -> Scan:
        """List what is due, pending or dead."""
        return Scan(self.tenant, self.now, what, **more)

    def link(
        self,
        contact: bytes | Address,
        address: Address,
        assurance: Assurance = Assurance.AUTHENTICATED,
    ) -> LinkClaim:
        """Link `address` to `contact`."""
        link = Link(address, assurance, "crm:4711", "tenant", self.now)
        return LinkClaim(self.tenant, contact, link, self.id(), self.id(), self.now)

    def merge(self, into: bytes, contact: bytes, **more: Any) -> Merge:
        """Make one of two contacts."""
        return Merge(self.tenant, into, contact, self.now, "ticket:1", "tenant", **more)

    def split(
        self,
        contact: bytes,
        part: bytes,
        seq: int,
        moves: tuple[tuple[int, Entry], ...] = (),
        **more: Any,
    ) -> Split:
        """Part `part` from `contact`, whose log ends at `seq`."""
        return Split(
            self.tenant, contact, part, self.now, "ticket:2", "tenant", seq, moves,
            conversation=self.id(), **more,
        )  # fmt: skip

    def erase(self, address: Address = PHONE, seq: int | None = None) -> Erase:
        """Erase the contact of `address`."""
        return Erase(self.tenant, address, self.id(), self.now, seq)

    def read_record(self, name: str, scope: str = "test") -> RecordRead:
        """Read a record."""
        return RecordRead(self.tenant, scope, name, self.now)

    def write_record(self, name: str, value: bytes | None, **more: Any) -> RecordWrite:
        """Write a record."""
        return RecordWrite(self.tenant, more.pop("scope", "test"), name, self.now, value, **more)


def texts(context: Context) -> list[str]:
    """The texts of a context's messages, oldest first."""
    return [message.text for message in context.messages]


def is_dense(seqs: Sequence[int]) -> bool:
    """Whether the places go up by one, from 1."""
    return list(seqs) == list(range(1, len(seqs) + 1))


async def contact_of(store: Store, actor: Actor, text: str = "hello") -> bytes:
    """The id of a contact with one finished turn: `text` and the answer "ok"."""
    claim = actor.claim(text)
    opened = await store.open(claim)
    accepted: Message = replace(claim.message, disposition="accepted")
    await store.commit(actor.change(opened, "ok", accept=accepted))
    assert opened.context.contact is not None
    return opened.context.contact.id


async def id_of(store: Store, actor: Actor) -> bytes:
    """The id of the contact that is stored under the actor's phone."""
    contact = (await store.read(actor.query())).contact
    assert contact is not None
    return contact.id


async def outgoing(
    store: Store, actor: Actor, *deliveries: Delivery, message_id: str = "SM1", **more: Any
) -> bytes:
    """The id of a contact with one finished turn, whose answer "ok" is to leave as `deliveries`."""
    claim = actor.claim(message_id=message_id)
    opened = await store.open(claim)
    accepted: Message = replace(claim.message, disposition="accepted")
    change = actor.change(opened, "ok", accept=accepted, deliveries=deliveries, **more)
    assert isinstance(await store.commit(change), Committed)
    assert opened.context.contact is not None
    return opened.context.contact.id


async def raises(kind: type[Exception], awaitable: Awaitable[object]) -> Exception:
    """The error of `kind` that awaiting raises; an AssertionError if there is none."""
    try:
        await awaitable
    except kind as error:
        return error
    raise AssertionError(f"{kind.__name__} was not raised")
