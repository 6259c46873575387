"""The store in memory: for tests, demos and as the measure that every other store must meet."""

from collections.abc import Mapping, Sequence
from typing import Any

import anyio
from msgspec.structs import replace

from ctxbridge.errors import Conflict, StoreClosed
from ctxbridge.model import (
    Address,
    Assurance,
    Change,
    Claim,
    Committed,
    Context,
    Delivery,
    Endpoint,
    Erase,
    Erased,
    Found,
    Head,
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
    Window,
)
from ctxbridge.model.head import NO_ID
from ctxbridge.model.record import CONTROL
from ctxbridge.rules import backlog, erasure, fold, identity, outbox
from ctxbridge.rules.access import view
from ctxbridge.rules.control import newer, require_control
from ctxbridge.rules.fold import Settling, settle_turn
from ctxbridge.stores import joining
from ctxbridge.stores.home import Home
from ctxbridge.stores.scoped import Scoped


class MemoryStore(Scoped):
    """Keeps everything in this process and loses it with it. Runs on asyncio and trio."""

    def __init__(self) -> None:
        self._addresses: dict[tuple[str, Address], Home] = {}
        self._contacts: dict[tuple[str, bytes], Home] = {}
        self._seen: dict[tuple[str, Endpoint, str], tuple[Home, fold.Seen]] = {}
        self._records: dict[tuple[str, str, str], Record] = {}
        self._active: dict[Home, None] = {}
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
        if query.held_by:
            await self._wait(home, query)
            query = replace(query, held_by=0, patience_seconds=0.0)
        seen = home.views.get(query)
        if seen is None:
            seen = view(
                home.head, home.contact, home.state, home.window(query.window), query.reader
            )
            if not query.now:  # at another moment a proof may have run out
                home.views[query] = seen
        return seen

    @staticmethod
    async def _wait(home: Home, query: Query) -> None:
        """Wait until the turn has ended that holds the lease under this fence."""
        with anyio.move_on_after(query.patience_seconds):
            while home.head.lease_end and home.head.fence == query.held_by:
                home.ended = home.ended or anyio.Event()
                await home.ended.wait()

    async def open(self, claim: Claim, /) -> Opened:
        """Open a turn; see `Store.open`."""
        self._require_open()
        key = (claim.tenant, claim.endpoint, claim.message.message_id)
        home, seen = self._remembered(key, claim)
        known = home.answers.get(seen.turn) if home and seen else None
        known = known if known and known.until > claim.now else None
        opening = fold.open_turn(
            home.head if home else None, home.contact if home else None, seen, known, claim
        )
        if home is None:
            home = Home(claim.tenant, Head(claim.conversation), opening.contact)
            if opening.remember:
                self.settle_in(home)
        if opening.remember:
            self._forget(claim.now)
            home.entries.extend(opening.append)
            self._seen[key] = (home, opening.remember)
        if home.head is not opening.head:
            home.head = opening.head
            self.look_after(home, claim.now)
        home.contact = opening.contact
        home.views.clear()
        answer = self._answer(home, known) if known and opening.tells else ()
        context = view(
            home.head, home.contact, home.state, home.window(claim.window),
            claim.reader, opening.turn,
        )  # fmt: skip
        return Opened(
            opening.status, opening.turn, opening.seq, home.head.fence, context, answer,
            opening.resumed, home.head.lease_end, newer(self._control(claim.tenant), claim.control),
        )  # fmt: skip

    def _remembered(
        self, key: tuple[str, Endpoint, str], claim: Claim
    ) -> tuple[Home | None, fold.Seen | None]:
        home = self._addresses.get((claim.tenant, claim.address))
        remembered = self._seen.get(key)
        if remembered is None or remembered[1].until <= claim.now:
            return home, None
        where, seen = remembered
        return (where if seen.seq or home is None else home), seen

    def settle_in(self, home: Home) -> None:
        """Let the contact's addresses and ids lead to the home."""
        for address in home.contact.addresses:
            self._addresses[home.tenant, address] = home
        for id in (home.contact.id, *home.contact.merged):
            self._contacts[home.tenant, id] = home

    def let_go(self, home: Home) -> None:
        """Nothing lives there any more; who waits for the end of its turn is told."""
        home.head = replace(home.head, lease_end=0, waiting=b"")
        home.look_after(0)
        self._active.pop(home, None)

    def home_of(self, tenant: str, contact: bytes | Address) -> Home | None:
        """Where a contact lives, by id or address."""
        known: Any = self._contacts if isinstance(contact, bytes) else self._addresses
        home: Home | None = known.get((tenant, contact))
        return home

    def remember_at(self, giver: Home, taker: Home, places: Mapping[int, int]) -> None:
        """What was seen at these places of the giver was seen at those of the taker."""
        for key, (home, seen) in self._seen.items():
            if home is giver and seen.seq in places:
                place = places[seen.seq]
                digest = seen.digest if place else b""
                self._seen[key] = (taker, replace(seen, seq=place, digest=digest))

    def _forget(self, now: int) -> None:
        """Let go of at most two ids whose time is over: they leave as fast as they come."""
        for key in [key for key, _ in zip(self._seen, range(2), strict=False)]:
            if self._seen[key][1].until <= now:
                del self._seen[key]

    @staticmethod
    def _answer(home: Home, answer: fold.Answer) -> tuple[Message, ...]:
        entries = [home.entries[place - 1] for place in answer.places]
        return tuple(e for e in entries if type(e) is Message)

    async def commit(self, change: Change, /) -> Committed | Refused:
        """Commit a turn; see `Store.commit`."""
        if self._closed:
            self._require_open()
        home = self._contacts.get((change.tenant, change.contact))
        if home is None:
            return Refused("unknown")
        settling = settle_turn(
            home.head, home.answers.get(change.turn), change, self._control(change.tenant)
        )
        if type(settling) is not Settling:
            return settling  # type: ignore[return-value]
        home.settle(change, settling)
        if change.fence is not None or change.deliveries:
            self.look_after(home, change.now, round(change.retry_seconds * 1000))
        return Committed(home.head.seq, home.head.revision)

    def _control(self, tenant: str) -> bytes:
        record = self._records.get((tenant, *CONTROL))
        return record.value if record else b""

    def look_after(self, home: Home, now: int, retry: int = backlog.TAKE_UP_MILLISECONDS) -> None:
        """List what of the home is to be looked after."""
        home.look_after(now, retry)
        if home.due or home.outbox:
            self._active[home] = None

    async def deliver(self, step: Take | Settle, /) -> Taken:
        """Claim a delivery or settle it; see `Store.deliver`."""
        self._require_open()
        if isinstance(step, Take):
            home = self._contacts.get((step.tenant, step.where))
            return self._take(home, step) if home else Taken("gone")
        if step.recipient is not None:
            home = self._addresses.get((step.tenant, step.recipient))
        else:
            home = self._contacts.get((step.tenant, step.contact))
        return self._settle(home, step) if home else Taken("gone")

    def _take(self, home: Home, step: Take) -> Taken:
        control = self._control(step.tenant)
        held = home.delivery(step.delivery, step.now)
        outcome = outbox.take(held, home.head, step, control) if held else "gone"
        if held is None or outcome == "gone":
            return Taken("gone", held)
        if isinstance(outcome, Delivery):
            home.outbox[held.id] = outcome
        message = home.message(held.place)
        assert message.address is not None
        context = view(
            home.head, home.contact, home.state, home.window(step.window),
            Reader(message.address, Assurance.AUTHENTICATED),
        )  # fmt: skip
        if not isinstance(outcome, Delivery):
            return Taken("stale", held, message, context, newer(control, step.control))
        status: Any = "taken" if outcome.status == "claimed" else "gone"
        return Taken(status, outcome, message, context)

    @staticmethod
    def _settle(home: Home, step: Settle) -> Taken:
        named = (step.endpoint, step.provider_id)
        id = step.delivery or home.provider_ids.get(named, b"")
        held, kept = home.delivery(id, step.now), home.kept_word(named, step.now)
        if held is None:
            if not outbox.keeps(step):
                return Taken("gone")
            until = step.now + int(step.remember_seconds * 1000)
            home.kept[named] = (outbox.better(kept, step), until)
            return Taken("kept")
        settled = outbox.settle(held, step)
        if step.provider_id:
            home.provider_ids[named] = id
            home.kept.pop(named, None)
        if kept is not None:
            settled = outbox.settle(settled, kept)
        home.outbox[id] = settled
        return Taken("settled", settled)

    async def scan(self, scan: Scan, /) -> Sequence[Found]:
        """What is due, pending or dead; see `Store.scan`."""
        self._require_open()
        found: list[Found] = []
        if scan.what == "conversations":
            homes = dict.fromkeys(h for (t, _), h in self._addresses.items() if t == scan.tenant)
            return [_listed(home) for home in homes][: scan.limit]
        for home in [h for h in self._active if h.tenant == scan.tenant]:
            found += _found_in(home, scan)
            if not home.due and not home.outbox:
                del self._active[home]
        found.sort(key=lambda one: one.at)
        return found[: scan.limit]

    async def identify(self, claim: LinkClaim | Merge | Split, /) -> Identified:
        """Link, merge or split; see `Store.identify`."""
        self._require_open()
        match claim:
            case Merge():
                return joining.merge(self, claim)
            case Split():
                return joining.split(self, claim)
        return self._link(claim)

    def _link(self, claim: LinkClaim) -> Identified:
        tenant, address = claim.tenant, claim.link.address
        home = self.home_of(tenant, claim.contact)
        if home is None and isinstance(claim.contact, bytes):
            return Identified("unknown")
        other = self._addresses.get((tenant, address))
        if other is not None and other is not home:
            return Identified("taken", other.contact)
        linked = identity.linked(home.contact, claim) if home else identity.founded(claim)
        if home is None:
            assert isinstance(claim.contact, Address)
            home = Home(tenant, Head(claim.conversation), linked)
            self.settle_in(home)
        elif linked is home.contact:
            return Identified("unchanged", linked)
        home.contact, home.head = linked, fold.link_head(home.head)
        home.entries.append(identity.link_event(claim.link, claim.now))
        home.views.clear()
        self._addresses[tenant, address] = home
        return Identified("linked", linked)

    async def erase(self, erase: Erase, /) -> Erased:
        """Erase a contact; see `Store.erase`."""
        self._require_open()
        home = self._addresses.get((erase.tenant, erase.address))
        if home is None or not erasure.is_due(home.head, home.contact, erase):
            return Erased("unknown")
        old, entries, deliveries = home.contact.id, len(home.entries), len(home.outbox)
        scrubbed = erasure.scrub(home.head, home.contact, erase)
        for id in (old, *home.contact.merged):
            del self._contacts[erase.tenant, id]
        self._contacts[erase.tenant, erase.fresh] = home
        for key, (where, seen) in self._seen.items():
            if where is home:
                self._seen[key] = (home, replace(seen, seq=0, digest=b""))
        home.erase(scrubbed)
        return Erased("erased", old, entries, deliveries)

    async def records(self, operation: RecordRead | RecordWrite, /) -> Record | None:
        """Read or write a record; see `Store.records`."""
        self._require_open()
        key = (operation.tenant, operation.scope, operation.name)
        held = self._records.get(key)
        if isinstance(operation, RecordRead):
            return None if held is None or fold.expired(held, operation.now) else held
        require_control(operation)
        record: Any = fold.fold_record(held, operation)
        if record == "conflict":
            raise Conflict("a record has another revision than expected; read it again")
        if record is None:
            self._records.pop(key, None)
        else:
            self._records[key] = record
        return record  # type: ignore[no-any-return]


def _listed(home: Home) -> Found:
    address = next(iter(home.contact.addresses), None)
    return Found(home.contact.id, 0, home.contact.id, address=address)


def _found_in(home: Home, scan: Scan) -> list[Found]:
    """What of a conversation the scan is after."""
    contact, merged, found = home.contact.id, home.contact.merged, list[Found]()
    looked_at = scan.what == "waiting" or (scan.what == "due" and home.due <= scan.now)
    if looked_at and home.due and home.head.waiting:
        (place, *_) = backlog.places(home.head.waiting)
        message = home.message(place)
        found.append(Found(contact, home.due, contact, message, place=place, merged=merged))
    if scan.what == "waiting":
        return found
    for delivery in home.outbox.values():
        at = outbox.listed_at(delivery, scan)
        if at:
            place = delivery.place
            message = home.message(place)
            found.append(
                Found(contact, at, contact, message, delivery, delivery.id, place, merged=merged)
            )
    return found
