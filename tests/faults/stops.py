"""Where a turn can be interrupted, what can interrupt it, and who keeps the account of both.

A stop is a place where our code waits for somebody else: the store, an agent, a guard, a provider.
Nothing can happen to a turn but at one of them, so "whenever it comes" means: at any stop.

The account is of one contact. It holds what barred it under each gate epoch, what was claimed for
sending, and what a provider got. Its criterion needs no clock. What is known to be barred when the
claim is *sent* to the store must not be claimed. And the store writes the gate epoch of each claim
into the delivery: that epoch must not be one under which the contact was barred. The first holds
whatever epochs a store writes, the second holds for claims that crossed the event on the wire.
"""

from contextvars import ContextVar

import anyio
from anyio.lowlevel import checkpoint
from msgspec import Struct
from msgspec.structs import replace

from ctxbridge.errors import Unavailable
from ctxbridge.guards.guard import allow, defer, guard
from ctxbridge.guards.opt_out import HELPED, STOPPED
from ctxbridge.model import Committed, Message, Refused, Sent, Settle, Take
from ctxbridge.rules.gate import CONFIRMS
from ctxbridge.testing.storm.around import Around

EVERYWHERE, FLOOR = "all", "floor"
"""What can be barred, besides a channel."""
LATER = "later"
LATER_MILLISECONDS = 60_000

meddling = ContextVar("meddling", default=False)
"""Set where an event happens: an event is not interrupted by another."""


class Claimed(Struct):
    """A delivery that somebody may send, as the store granted it."""

    key: str
    attempt: int
    message: Message
    barred: frozenset[str]
    """What its worker could know to be barred when it asked."""
    epoch: int | None = None
    """The gate epoch that the store wrote to the claim."""


def may_leave(message, bars):
    """Whether the message may be claimed while this is in force: only the word on STOP always may."""
    if CONFIRMS in message.flags and message.text in {STOPPED, HELPED}:
        return True
    if FLOOR in bars and message.author == "agent":
        return False
    return not bars & {message.channel, EVERYWHERE}


class Account:
    """What happened to one contact. Its events come one after the other, each acknowledged."""

    def __init__(self):
        self.bars = frozenset()
        self.under = [frozenset()]
        """What was in force under each gate epoch: each event raises it by one."""
        self.claims = []
        self.sent = []
        self.statuses = set()
        self._wishes = set()
        self._next = anyio.Event()

    def happening(self, bar, *, lifts):
        """From now on it may be that the bar is lifted: what is claimed meanwhile is no fault."""
        if lifts:
            self.bars -= {bar}

    def happened(self, bar, *, lifts):
        """The store has acknowledged that the bar is in force, or lifted."""
        before = self.under[-1]
        self.bars = before - {bar} if lifts else before | {bar}
        self.under.append(self.bars)
        self._next.set()
        self._next = anyio.Event()

    async def next_event(self):
        await self._next.wait()

    def is_new_wish(self, claim):
        """Whether a claim changes consent for the first time: it may be repeated."""
        known = not claim.consents or claim.message.message_id in self._wishes
        self._wishes.add(claim.message.message_id)
        return not known

    def claimed(self, delivery, message, barred, epoch=None):
        self.claims.append(Claimed(delivery.key, delivery.attempt, message, barred, epoch))

    def settled(self, delivery):
        """The store shows the delivery, and in it the epoch that its last claim was granted under."""
        for claim in self.claims:
            if (claim.key, claim.attempt) == (delivery.key, delivery.attempt):
                claim.epoch = delivery.gate_epoch

    @property
    def wrong(self):
        """What was claimed though it was barred, and what was sent without a claim."""
        granted = {(claim.key, claim.attempt) for claim in self.claims}
        too_late = [claim.message.text for claim in self.claims if self._is_too_late(claim)]
        return too_late + [
            text for key, attempt, text in self.sent if (key, attempt) not in granted
        ]

    def _is_too_late(self, claim):
        if not may_leave(claim.message, claim.barred):
            return True
        return claim.epoch is not None and not may_leave(claim.message, self.under[claim.epoch])

    def __repr__(self):
        claims = [(c.message.text, sorted(c.barred), c.epoch, c.attempt) for c in self.claims]
        return f"<bars {[sorted(bars) for bars in self.under]} claims {claims} sent {self.sent}>"


class Stops:
    """Numbers the stops of a run, and lets the events that are planned for one happen there."""

    def __init__(self, plan=()):
        self.labels = []
        self.due = list(plan)
        """Pairs of a stop and an event, in the order of the stops: what has not happened yet."""
        self.happen = None
        """Lets an event happen, given its name."""

    async def __call__(self, label):
        if meddling.get():
            return
        number = len(self.labels)
        self.labels.append(label)
        while self.due and self.due[0][0] == number:
            _, event = self.due.pop(0)
            await self.happen(event)
        await checkpoint()


class WobblyStops(Stops):
    """Takes a random time at each stop, and tells who waits for one that it was reached."""

    def __init__(self, chance):
        super().__init__()
        self._chance = chance
        self._waiting = []
        self._ended = False

    async def __call__(self, label):
        self.labels.append(label)
        for waiting in [one for one in self._waiting if one[0] <= len(self.labels)]:
            self._waiting.remove(waiting)
            waiting[1].set()
        await self.dawdle(self._chance.choice((0, 0, 1, 2, 5)))

    async def dawdle(self, rounds):
        """Let the others come first so many times."""
        for _ in range(rounds):
            await checkpoint()

    async def reached(self, number):
        """Wait until the run has come to so many stops."""
        if number > len(self.labels) and not self._ended:
            event = anyio.Event()
            self._waiting.append((number, event))
            await event.wait()

    def end(self):
        """The run has no further stops: nobody needs to wait for one."""
        self._ended = True
        for _, event in self._waiting:
            event.set()


class Stopping(Around):
    """A store with a stop before and behind each of its verbs, which keeps the account."""

    def __init__(self, store, stops, account, *, loses=0):
        super().__init__(store)
        self._stops, self._account = stops, account
        self._loses = loses

    async def open(self, claim, /):
        await self._stops("open before")
        wishes = claim.consents if self._account.is_new_wish(claim) else ()
        for wish in wishes:
            self._account.happening(wish.channel, lifts=wish.granted)
        opened = await super().open(claim)
        self._account.statuses.add(opened.status)
        for wish in wishes:
            self._account.happened(wish.channel, lifts=wish.granted)
        await self._stops("open after")
        return opened

    async def read(self, query, /):
        await self._stops("read before")
        context = await super().read(query)
        await self._stops("read after")
        return context

    async def commit(self, change, /):
        await self._stops("commit before")
        barred = self._account.bars
        outcome = await super().commit(change)
        if isinstance(outcome, Committed) and not outcome.replayed:
            for delivery in change.deliveries:
                if delivery.token:
                    message = change.append[delivery.place - 1]
                    self._account.claimed(replace(delivery, attempt=1), message, barred)
        await self._stops("commit after")
        return outcome

    async def deliver(self, step, /):
        verb = "take" if isinstance(step, Take) else "settle"
        await self._stops(f"{verb} before")
        taken = await self._settle(step) if verb == "settle" else await self._take(step)
        await self._stops(f"{verb} after")
        return taken

    async def _take(self, step):
        barred = self._account.bars
        taken = await super().deliver(step)
        if taken.status == "taken":
            self._account.claimed(taken.delivery, taken.message, barred, taken.delivery.gate_epoch)
        return taken

    async def _settle(self, step):
        if self._loses and isinstance(step, Settle):
            self._loses -= 1
            raise Unavailable("lost on purpose, so that the claim runs out")
        taken = await super().deliver(step)
        if taken.delivery is not None:
            self._account.settled(taken.delivery)
        return taken

    async def scan(self, scan, /):
        await self._stops("scan before")
        found = await super().scan(scan)
        await self._stops("scan after")
        return found


class Ungated(Around):
    """Broken on purpose: whatever was prepared under an older gate epoch is granted all the same."""

    async def commit(self, change, /):
        outcome = await super().commit(change)
        if isinstance(outcome, Refused) and outcome.reason == "gated":
            return await super().commit(replace(change, gate_epoch=outcome.gate_epoch))
        return outcome

    async def deliver(self, step, /):
        taken = await super().deliver(step)
        if isinstance(step, Take) and taken.status == "stale":
            return await super().deliver(replace(step, gate_epoch=taken.context.gate_epoch))
        return taken


class Provider:
    """Takes messages by SMS, each at a stop of its own; the first `refuses` are to come again."""

    channel, repeatable, timeout_seconds, per_second = "sms", True, 60.0, 0.0

    def __init__(self, stops, account, *, refuses=0):
        self._stops, self._account = stops, account
        self._refuses = refuses

    async def send(self, outgoing):
        await self._stops("before send")
        if self._refuses:
            self._refuses -= 1
            return Sent("retry")
        self._account.sent.append((outgoing.key, outgoing.delivery.attempt, outgoing.text))
        await self._stops("after send")
        return Sent("sent", provider_id=f"{outgoing.key}-{outgoing.delivery.attempt}")

    async def aclose(self):
        pass


def guard_at(stops):
    """A guard that takes its time at each stage, and puts off what is to be said later."""

    @guard("inbound", "reply", "send", name="stops", deadline_seconds=60.0)
    async def check(check):
        await stops(f"guard {check.stage}")
        if check.stage == "reply" and check.text.startswith(LATER):
            return defer(check.now + LATER_MILLISECONDS, "put_off")
        return allow()

    return check
