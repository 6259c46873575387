"""The store in memory: for tests, demos and as the measure that every other store must meet."""

from typing import Any

from ctxbridge.errors import Conflict, StoreClosed
from ctxbridge.model import (
    Address,
    Change,
    Claim,
    Committed,
    Contact,
    Context,
    Endpoint,
    Entry,
    Head,
    Identified,
    LinkClaim,
    Message,
    Opened,
    Query,
    Record,
    RecordRead,
    RecordWrite,
    Refused,
    StoreReport,
    Window,
)
from ctxbridge.model.head import NO_ID
from ctxbridge.rules import fold, identity, order
from ctxbridge.rules.access import view
from ctxbridge.rules.fold import Settling, settle_turn
from ctxbridge.stores.scoped import Scoped

_FORGET_EVERY = 64


class _Home:
    """One contact's conversation. Entries are frozen, so they are shared and never copied."""

    __slots__ = ("answers", "contact", "entries", "head", "state", "views")

    def __init__(self, head: Head, contact: Contact) -> None:
        self.head = head
        self.contact = contact
        self.state: bytes | None = None
        self.entries: list[Entry] = []
        self.answers: dict[bytes, fold.Answer] = {}
        self.views: dict[Query, Context] = {}

    def forget(self, now: int) -> None:
        """Let go of the answers whose time is over; they stand in the order of their coming."""
        answers = self.answers
        while answers and answers[oldest := next(iter(answers))].until <= now:
            del answers[oldest]

    def window(self, size: int) -> Window:
        places = order.newest(self.head.seq, size)
        return Window(tuple(self.entries[places.start - 1 :]), places)


class MemoryStore(Scoped):
    """Keeps everything in this process and loses it with it. Runs on asyncio and trio."""

    def __init__(self) -> None:
        self._addresses: dict[tuple[str, Address], _Home] = {}
        self._contacts: dict[tuple[str, bytes], _Home] = {}
        self._seen: dict[tuple[str, Endpoint, str], tuple[_Home, fold.Seen]] = {}
        self._records: dict[tuple[str, str, str], Record] = {}
        self._closed = False

    def __repr__(self) -> str:
        return f"<MemoryStore contacts={len(self._contacts)}{' closed' if self._closed else ''}>"

    async def check(self) -> StoreReport:
        """Always fit, never durable. A store that was closed is open again, as it was."""
        self._closed = False
        return StoreReport("memory", durable=False, writable=True, version="1")

    async def aclose(self) -> None:
        """Refuse what comes until `check` opens it again."""
        self._closed = True

    def _require_open(self) -> None:
        if self._closed:
            raise StoreClosed("the memory store was closed")

    async def read(self, query: Query, /) -> Context:
        """The context of an address. An unchanged conversation gives the same object again."""
        if self._closed:
            self._require_open()
        home = self._addresses.get((query.tenant, query.address))
        if home is None:
            return Context(None, NO_ID, Window(), reader=query.assurance)
        seen = home.views.get(query)
        if seen is None:
            seen = home.views[query] = view(
                home.head, home.contact, home.state, home.window(query.window),
                query.address, query.assurance,
            )  # fmt: skip
        return seen

    async def open(self, claim: Claim, /) -> Opened:
        """Open a turn; see `Store.open`."""
        self._require_open()
        key = (claim.tenant, claim.endpoint, claim.message.message_id)
        home, seen = self._remembered(key, claim)
        known = home.answers.get(seen.turn) if home and seen else None
        known = known if known and known.until > claim.now else None
        opening = fold.open_turn(
            home.head if home else None, home.contact if home else None,
            seen, known is not None, claim,
        )  # fmt: skip
        if home is None:
            home = self._settle_in(claim.tenant, claim.address, opening.head, opening.contact)
        if opening.remember:
            self._forget(claim.now)
            home.entries.extend(opening.append)
            self._seen[key] = (home, opening.remember)
        home.head, home.contact = opening.head, opening.contact
        home.views.clear()
        answer = self._answer(home, known) if known and opening.tells else ()
        context = view(
            home.head, home.contact, home.state, home.window(claim.window),
            claim.address, claim.assurance, opening.turn,
        )  # fmt: skip
        return Opened(
            opening.status, opening.turn, opening.seq, home.head.fence, context, answer,
            opening.resumed, home.head.lease_end,
        )  # fmt: skip

    def _remembered(
        self, key: tuple[str, Endpoint, str], claim: Claim
    ) -> tuple[_Home | None, fold.Seen | None]:
        remembered = self._seen.get(key)
        if remembered and remembered[1].until > claim.now:
            return remembered
        return self._addresses.get((claim.tenant, claim.address)), None

    def _settle_in(self, tenant: str, address: Address, head: Head, contact: Contact) -> _Home:
        home = _Home(head, contact)
        self._addresses[tenant, address] = self._contacts[tenant, contact.id] = home
        return home

    def _forget(self, now: int) -> None:
        """Let go of at most two ids whose time is over: they leave as fast as they come."""
        for key in [key for key, _ in zip(self._seen, range(2), strict=False)]:
            if self._seen[key][1].until <= now:
                del self._seen[key]

    @staticmethod
    def _answer(home: _Home, answer: fold.Answer) -> tuple[Message, ...]:
        entries = [home.entries[place - 1] for place in answer.places]
        return tuple(e for e in entries if type(e) is Message)

    async def commit(self, change: Change, /) -> Committed | Refused:
        """Commit a turn; see `Store.commit`."""
        if self._closed:
            self._require_open()
        home = self._contacts.get((change.tenant, change.contact))
        if home is None:
            return Refused("unknown")
        settling = settle_turn(home.head, home.answers.get(change.turn), change)
        if type(settling) is not Settling:
            return settling  # type: ignore[return-value]
        head = home.head = settling.head
        home.entries.extend(change.append)
        if change.amend:
            for place, message in change.amend:
                home.entries[place - 1] = message
        if change.state is not None:
            home.state = change.state
        if settling.answer:
            home.answers[change.turn] = settling.answer
            if not head.seq % _FORGET_EVERY:
                home.forget(change.now)
        if home.views:
            home.views.clear()
        return Committed(head.seq, head.revision)

    async def identify(self, claim: LinkClaim, /) -> Identified:
        """Link an address; see `Store.identify`."""
        self._require_open()
        tenant, address = claim.tenant, claim.link.address
        home = self._find(tenant, claim.contact)
        if home is None and isinstance(claim.contact, bytes):
            return Identified("unknown")
        other = self._addresses.get((tenant, address))
        if other is not None and other is not home:
            return Identified("taken", other.contact)
        linked = identity.add_link(home.contact, claim.link) if home else identity.founded(claim)
        if home is None:
            assert isinstance(claim.contact, Address)
            home = self._settle_in(tenant, claim.contact, Head(claim.conversation), linked)
        elif linked is home.contact:
            return Identified("unchanged", linked)
        home.contact, home.head = linked, fold.link_head(home.head)
        home.entries.append(identity.link_event(claim.link, claim.now))
        home.views.clear()
        self._addresses[tenant, address] = home
        return Identified("linked", linked)

    def _find(self, tenant: str, contact: bytes | Address) -> _Home | None:
        if isinstance(contact, bytes):
            return self._contacts.get((tenant, contact))
        return self._addresses.get((tenant, contact))

    async def records(self, operation: RecordRead | RecordWrite, /) -> Record | None:
        """Read or write a record; see `Store.records`."""
        self._require_open()
        key = (operation.tenant, operation.scope, operation.name)
        held = self._records.get(key)
        if isinstance(operation, RecordRead):
            return None if held is None or fold.expired(held, operation.now) else held
        record: Any = fold.fold_record(held, operation)
        if record == "conflict":
            raise Conflict("a record has another revision than expected; read it again")
        if record is None:
            self._records.pop(key, None)
        else:
            self._records[key] = record
        return record  # type: ignore[no-any-return]
