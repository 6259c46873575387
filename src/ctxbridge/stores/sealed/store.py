"""The sealed store: another store's verbs, with the customer's words sealed on the way in."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from msgspec.structs import replace

from ctxbridge.errors import OutcomeUnknown, Unavailable
from ctxbridge.model import (
    Address,
    Change,
    Claim,
    Committed,
    Contact,
    Context,
    Erase,
    Erased,
    Found,
    Identified,
    LinkClaim,
    Merge,
    Message,
    Opened,
    Query,
    Reader,
    Record,
    RecordRead,
    RecordWrite,
    Refused,
    Scan,
    Settle,
    Split,
    StoreReport,
    Take,
    Taken,
)
from ctxbridge.model.record import CONTROL
from ctxbridge.ports import Store
from ctxbridge.rules.access import sees_state
from ctxbridge.stores.scoped import Scoped
from ctxbridge.stores.sealed import values
from ctxbridge.stores.sealed.held import Held
from ctxbridge.stores.sealed.keys import KeyRing, KeySource
from ctxbridge.stores.sealed.opening import Keys, Opener, addresses_of, entries_of, headers_in

_NOTE = "sealed: what customers say is encrypted before it is stored"


class SealedStore(Scoped):
    """Any store, in which nothing readable lies of what a customer said.

    `inner` is the store around which it is; closing closes both. `key` gives the tenant's keys of
    32 bytes: called with the tenant and ``None`` for the newest, or with the id of an older one, it
    returns (or awaits) ``(id, key)`` and raises `LookupError` for an id that it does not have. The
    newest is asked for again after `fresh_seconds=60`; up to `cached_keys=4096` data keys stay
    unwrapped in this process.

    What was stored before sealing was turned on comes back as it is; `only_sealed=True` refuses it
    (`CorruptRecord`), so that nobody can slip in what was never sealed. Raises
    `ConfigurationError` without the package of the extra `crypto`.
    """

    def __init__(
        self,
        inner: Store,
        key: KeySource,
        *,
        only_sealed: bool = False,
        fresh_seconds: float = 60.0,
        cached_keys: int = 4_096,
    ) -> None:
        self.inner = inner
        self._ring = KeyRing(key, cached_keys, fresh_seconds)
        self._only_sealed = only_sealed
        self._held = Held()

    def __repr__(self) -> str:
        return f"<SealedStore around {self.inner!r}>"

    async def check(self) -> StoreReport:
        """What the inner store can give; the keys are asked for when they are needed."""
        report = await self.inner.check()
        return replace(report, notes=(*report.notes, _NOTE))

    async def aclose(self) -> None:
        """Close the inner store."""
        await self.inner.aclose()

    async def read(self, query: Query, /) -> Context:
        """The context of an address; see `Store.read`."""
        context, reader = await self.inner.read(query), (query.tenant, query.address)
        held = self._held.get(context, reader)
        if held is not None:
            return replace(context, contact=held.contact, state=held.state, window=held.window)
        opened, opener = await self._context(query.tenant, context, query.reader)
        if opener is not None and opener.has_all_keys:
            self._held.put(context, reader, opened)
        return opened

    async def open(self, claim: Claim, /) -> Opened:
        """Open a turn; see `Store.open`. What it stores is bound to the address."""
        tenant, owner = claim.tenant, values.of_address(claim.tenant, claim.address)
        key = await self._ring.for_writing(tenant, owner, claim.now)
        opened = await self.inner.open(values.sealed_claim(claim, key, owner))
        with _was_applied():
            context, opener = await self._context(
                tenant, opened.context, claim.reader, *opened.answer
            )
        if opener is None:
            return opened
        return replace(opened, context=context, answer=tuple(map(opener.message, opened.answer)))

    async def commit(self, change: Change, /) -> Committed | Refused:
        """Commit a turn; see `Store.commit`. What it stores is bound to the contact."""
        if change.append or change.amend or change.state is not None:
            owner = values.of_contact(change.contact)
            key = await self._ring.for_writing(change.tenant, owner, change.now)
            change = values.sealed_change(change, key, owner)
        return await self.inner.commit(change)

    async def identify(self, claim: LinkClaim | Merge | Split, /) -> Identified:
        """Link, merge or split; see `Store.identify`.

        The evidence of a link is bound to the address. What was merged stays bound to whom it was
        of; what is parted is sealed anew.
        """
        identified = await self.inner.identify(await self._sealed(claim))
        with _was_applied():
            contact = await self._contact(claim.tenant, identified.contact)
            part = await self._contact(claim.tenant, identified.part)
        return replace(identified, contact=contact, part=part)

    async def _sealed(self, claim: LinkClaim | Merge | Split) -> LinkClaim | Merge | Split:
        tenant, now = claim.tenant, claim.now
        match claim:
            case LinkClaim():
                owner = values.of_address(tenant, claim.link.address)
                key = await self._ring.for_writing(tenant, owner, now)
                return values.sealed_link(claim, key, owner)
            case Merge():
                owner = values.of_contact(claim.into)
                key = await self._ring.for_writing(tenant, owner, now)
                return values.sealed_merge(claim, key, owner)
        owner, part = values.of_contact(claim.contact), values.of_contact(claim.part)
        if claim.address is not None:  # the id that its contact gets is the store's to give
            part = values.of_address(tenant, claim.address)
        key = await self._ring.for_writing(tenant, owner, now)
        theirs = await self._ring.for_writing(tenant, part, now)
        return values.sealed_split(claim, key, owner, theirs, part)

    async def _contact(self, tenant: str, contact: Contact | None) -> Contact | None:
        if contact is None:
            return None
        keys = await self._ring.for_reading(tenant, headers_in(contact, ()))
        ids, addresses = (contact.id, *contact.merged), [link.address for link in contact.links]
        opener = Opener(tenant, ids, addresses, keys, only_sealed=self._only_sealed)
        return opener.contact(contact, whole=True)

    async def deliver(self, step: Take | Settle, /) -> Taken:
        """Claim a delivery or settle it; see `Store.deliver`."""
        taken = await self.inner.deliver(step)
        message, inner = taken.message, taken.context
        if message is None or inner is None:
            return taken
        assert message.address is not None  # else it could not be sent
        reader = Reader(message.address, inner.reader)
        with _was_applied():
            context, opener = await self._context(step.tenant, inner, reader, message)
        return replace(taken, context=context, message=opener and opener.message(message))

    async def scan(self, scan: Scan, /) -> Sequence[Found]:
        """What is due, pending or dead; see `Store.scan`."""
        found = await self.inner.scan(scan)
        keys = await self._ring.for_reading(
            scan.tenant, headers_in(None, [one.message for one in found])
        )
        return [self._found(scan.tenant, one, keys) for one in found]

    def _found(self, tenant: str, found: Found, keys: Keys) -> Found:
        """Of a message that waits no more than its own address is known here."""
        message = found.message
        if message is None:
            return found
        addresses = [message.address] if message.address else []
        opener = Opener(
            tenant, (found.contact, *found.merged), addresses, keys, only_sealed=self._only_sealed
        )  # fmt: skip
        return replace(found, message=opener.message(message))

    async def erase(self, erase: Erase, /) -> Erased:
        """Erase a contact; see `Store.erase`. With the last of their values their key is gone."""
        return await self.inner.erase(erase)

    async def records(self, operation: RecordRead | RecordWrite, /) -> Record | None:
        """Read or write a record; see `Store.records`."""
        if (operation.scope, operation.name) == CONTROL:
            return await self.inner.records(operation)  # a store must read its epoch
        tenant, owner = operation.tenant, values.of_record(operation)
        if isinstance(operation, RecordRead):
            record = await self.inner.records(operation)
            return record and replace(record, value=await self._value(tenant, owner, record.value))
        value, sealed = operation.value, operation
        if value is not None:
            key = await self._ring.for_writing(tenant, owner, operation.now)
            sealed = values.sealed_record(operation, key, owner)
        record = await self.inner.records(sealed)
        return record if record is None or value is None else replace(record, value=value)

    async def _value(self, tenant: str, owner: bytes, value: bytes) -> bytes:
        keys = await self._ring.for_reading(tenant, headers_in(None, (), value))
        return Opener(tenant, (), (), keys, only_sealed=self._only_sealed).record(value, owner)

    async def _context(
        self, tenant: str, context: Context, reader: Reader, *more: Message
    ) -> tuple[Context, Opener | None]:
        """The context as it was before it was sealed, and what opens the messages `more` too.

        An empty context comes back as it is.
        """
        contact, address = context.contact, reader.address
        if contact is None:
            return context, None
        entries = entries_of(context.window)
        keys = await self._ring.for_reading(
            tenant, headers_in(contact, [*entries, *more], context.state)
        )
        owners = values.of_address(tenant, address), values.of_contact(contact.id)
        self._ring.share(tenant, *owners, keys.values())
        opener = self._opener(tenant, contact, address, keys)
        whole = sees_state(context, address, reader.policy)
        opened = replace(
            context,
            contact=opener.contact(contact, whole=whole),
            state=opener.state(context.state),
            window=opener.window(context.window, entries),
        )
        return opened, opener

    def _opener(self, tenant: str, contact: Contact, address: Address, keys: Keys) -> Opener:
        addresses = addresses_of(contact, address)
        ids = (contact.id, *contact.merged)
        return Opener(tenant, ids, addresses, keys, only_sealed=self._only_sealed)


@contextmanager
def _was_applied() -> Iterator[None]:
    """That a source of keys fails behind a write says nothing of the write."""
    try:
        yield
    except Unavailable as error:
        raise OutcomeUnknown(f"it was stored, but the answer cannot be read: {error}") from None
