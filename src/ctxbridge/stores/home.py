"""One contact's conversation, as the memory store holds it."""

from typing import Any

import anyio

from ctxbridge.model import (
    Change,
    Contact,
    Context,
    Delivery,
    Endpoint,
    Entry,
    Head,
    Message,
    Query,
    Settle,
    Window,
)
from ctxbridge.rules import backlog, erasure, fold, order, outbox
from ctxbridge.rules.fold import Settling

_FORGET_EVERY = 64


class Home:
    """One contact's conversation. Entries are frozen, so they are shared and never copied."""

    __slots__ = (
        "answers", "contact", "due", "ended", "entries", "head", "kept", "notes", "outbox",
        "provider_ids", "state", "tenant", "views",
    )  # fmt: skip

    def __init__(self, tenant: str, head: Head, contact: Contact) -> None:
        self.tenant = tenant
        self.head = head
        self.contact = contact
        self.state: bytes | None = None
        self.entries: list[Entry] = []
        self.answers: dict[bytes, fold.Answer] = {}
        self.views: dict[Query, Context] = {}
        self.due = 0
        self.ended: anyio.Event | None = None
        self.outbox: dict[bytes, Delivery] = {}
        self.provider_ids: dict[tuple[Endpoint | None, str], bytes] = {}
        self.kept: dict[tuple[Endpoint | None, str], tuple[Settle, int]] = {}
        self.notes: dict[bytes, Any] = {}
        """What undoes merges, by the id of whom was merged: see `joining`."""

    def forget(self, now: int) -> None:
        """Let go of what has had its time; everything stands in the order of its coming."""
        answers, deliveries, kept = self.answers, self.outbox, self.kept
        while answers and answers[oldest := next(iter(answers))].until <= now:
            del answers[oldest]
        while deliveries and deliveries[first := next(iter(deliveries))].until <= now:
            del deliveries[first]
        while kept and kept[earliest := next(iter(kept))][1] <= now:
            del kept[earliest]

    def settle(self, change: Change, settling: Settling) -> None:
        """Write what a commit has to write."""
        for delivery in outbox.prepared(change, self.head.seq):
            self.outbox[delivery.id] = delivery
        self.head = settling.head
        self.entries.extend(change.append)
        for place, message in change.amend:
            self.entries[place - 1] = message
        if change.state is not None:
            self.state = change.state
        if settling.answer:
            self.answers[change.turn] = settling.answer
            for turn in change.joined:
                self.answers[turn] = settling.merged_answer
            if not self.head.seq % _FORGET_EVERY:
                self.forget(change.now)
        self.views.clear()

    def erase(self, scrubbed: erasure.Scrubbed) -> None:
        """Put what stays of an erased contact in the place of what was."""
        self.head, self.contact, self.state = scrubbed.head, scrubbed.contact, None
        self.entries = [erasure.PLACEHOLDER] * len(self.entries)
        for held in (
            self.answers, self.views, self.outbox, self.provider_ids, self.kept, self.notes,
        ):  # fmt: skip
            held.clear()
        self.look_after(0)

    def look_after(self, now: int, retry: int = backlog.TAKE_UP_MILLISECONDS) -> None:
        """Note when somebody should look after the turn, and tell who waits for its end."""
        self.due = backlog.due(self.head, now, retry)
        if self.ended is not None:
            self.ended.set()
            self.ended = None

    def delivery(self, id: bytes, now: int) -> Delivery | None:
        """The delivery of this id, while its time lasts."""
        held = self.outbox.get(id)
        return held if held and held.until > now else None

    def kept_word(self, named: tuple[Endpoint | None, str], now: int) -> Settle | None:
        """What was said of a provider's id before a delivery had it, while its time lasts."""
        said, until = self.kept.get(named, (None, 0))
        return said if until > now else None

    def message(self, place: int) -> Message:
        """The message that stands there."""
        entry = self.entries[place - 1]
        assert type(entry) is Message
        return entry

    def window(self, size: int) -> Window:
        """The newest entries, as many as are asked for (0: all)."""
        places = order.newest(self.head.seq, size)
        return Window(tuple(self.entries[places.start - 1 :]), places)
