"""The ports: what a store, a channel, a guard, a clock and a source of ids must do.

Protocols only, each with at most eight verbs, each verb with one frozen value in. A port grows by
fields of its values, never by arguments, so what was written against it keeps working. The first
argument is positional, so an implementer may name it freely.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol, runtime_checkable

from ctxbridge.model import (
    Action,
    Assurance,
    Capabilities,
    Change,
    Claim,
    Committed,
    Contact,
    Context,
    Erase,
    Erased,
    Found,
    HttpAnswer,
    HttpReply,
    HttpRequest,
    Identified,
    LinkClaim,
    Merge,
    Message,
    Opened,
    Outgoing,
    Parsed,
    Query,
    RawRequest,
    Record,
    RecordRead,
    RecordWrite,
    Refused,
    Scan,
    Sent,
    Settle,
    Split,
    Stage,
    StoreReport,
    Take,
    Taken,
    Verdict,
    Verification,
)


@runtime_checkable
class Store(Protocol):
    """Where conversations live. `ctxbridge.testing.StoreContract` says what each verb promises.

    Every verb is atomic. An error is one of `ctxbridge.errors`: `Unavailable` if surely nothing was
    applied, `OutcomeUnknown` if it may have been.
    """

    async def open(self, claim: Claim, /) -> Opened:
        """Dedupe, append as pending, apply consent, take the lease, read the context."""
        ...

    async def read(self, query: Query, /) -> Context:
        """The context of an address; an empty one where nobody is known under it. Takes no lock.

        It is also how one waits for a turn that is running: see `Query.held_by`.
        """
        ...

    async def commit(self, change: Change, /) -> Committed | Refused:
        """Store all that a turn produced, or nothing; repeated by turn id, answer as before."""
        ...

    async def identify(self, claim: LinkClaim | Merge | Split, /) -> Identified:
        """Link an address to a contact, make one of two contacts, or part what is two."""
        ...

    async def deliver(self, step: Take | Settle, /) -> Taken:
        """Claim a delivery for sending, or note what became of it."""
        ...

    async def scan(self, scan: Scan, /) -> Sequence[Found]:
        """What is due, waits to be sent, or is dead. Scans no keys: it is kept by time."""
        ...

    async def erase(self, erase: Erase, /) -> Erased:
        """Erase a contact and their conversation; late webhooks then store nothing."""
        ...

    async def records(self, operation: RecordRead | RecordWrite, /) -> Record | None:
        """Read or write scoped bytes; `Conflict` where another revision was expected."""
        ...

    async def check(self) -> StoreReport:
        """What this store can give; raises if it cannot be used at all."""
        ...

    async def aclose(self) -> None:
        """Finish what is under way and let go of everything; a second call does nothing."""
        ...


@runtime_checkable
class Stamped(Protocol):
    """What a store has besides, that tells for next to nothing whether anything was written."""

    def stamp(self) -> int:
        """A number that is another one after every write, whoever wrote."""
        ...


@runtime_checkable
class Clocked(Protocol):
    """What a store has besides, whose server has a clock of its own."""

    async def server_time(self) -> int:
        """What the server's clock says, in Unix milliseconds."""
        ...


class Channel(Protocol):
    """One provider's adapter: bytes in, values out. No network, no clock, and nothing raises.

    `name` is the provider's, `channel` the word in addresses. `horizon_seconds` is how long the
    provider may repeat a request. `capabilities` is what the channel can show.
    """

    name: str
    channel: str
    horizon_seconds: float
    capabilities: Capabilities

    def verify(self, request: RawRequest, /) -> Verification:
        """Whether the request is from whom it says it is. Never raises, for any bytes."""
        ...

    def parse(self, request: RawRequest, verification: Verification, /) -> Parsed:
        """The events in the request and the errors of what could not be read. Never raises."""
        ...

    def reply(self, outcome: Parsed, answer: Sequence[Message] = (), /) -> HttpReply:
        """What to answer the provider once `outcome` is stored; `answer` may go in band."""
        ...


@runtime_checkable
class Greeted(Protocol):
    """What a channel has besides, whose provider asks whether we are there before it sends."""

    def handshake(self, request: RawRequest, /) -> HttpReply | None:
        """What to answer such a request; `None` for any other. Never raises."""
        ...


class Builder(Protocol):
    """One provider's way out, without any I/O: a message becomes a request, its answer a word.

    `delivery.senders.HttpSender` makes a `Sender` of it.
    """

    name: str
    channel: str
    repeatable: bool
    capabilities: Capabilities

    def build_send(self, outgoing: Outgoing, /) -> HttpRequest | Sent:
        """The request, or (``failed``) why there can be none. Never raises."""
        ...

    def read_receipt(self, answer: HttpAnswer, /) -> Sent:
        """What the provider's answer says: `Sent` tells what is ``retry``, what ``unknown``."""
        ...


class Sender(Protocol):
    """Takes messages to one provider. What it raises counts as ``unknown``, as does its silence.

    `channel` is the word in addresses. `repeatable` says whether the provider takes our key, so
    that sending the same message again has no second effect. `timeout_seconds` bounds one `send`,
    `per_second` how fast one endpoint may send (0: as fast as it goes). It may have an attribute
    `capabilities` besides, of `model.Capabilities`: what is over its limit is split before.
    """

    @property
    def channel(self) -> str:
        """The word in addresses."""
        ...

    @property
    def repeatable(self) -> bool:
        """Whether a repetition with the same key has no second effect."""
        ...

    @property
    def timeout_seconds(self) -> float:
        """How long one `send` may take; then what became of it is unknown."""
        ...

    @property
    def per_second(self) -> float:
        """How many messages an endpoint may send in a second; 0 for any number."""
        ...

    async def send(self, outgoing: Outgoing, /) -> Sent:
        """Hand the message to the provider, once: retries are the outbox's business."""
        ...

    async def aclose(self) -> None:
        """Let go of connections; a second call does nothing."""
        ...


class Streamer(Protocol):
    """What a sender has besides, where its channel shows a text while it is being written."""

    async def show(self, outgoing: Outgoing, /) -> None:
        """Show the text so far; the next replaces it, and `send` or an empty text ends it."""
        ...


class Check(Protocol):
    """What a guard is shown: a read-only view of one text. No I/O is needed to use it."""

    @property
    def stage(self) -> Stage:
        """At which gate the text stands."""
        ...

    @property
    def text(self) -> str:
        """The text to judge, as earlier guards left it."""
        ...

    @property
    def channel(self) -> str:
        """The channel that the text came by, or is to leave by."""
        ...

    @property
    def assurance(self) -> Assurance:
        """How sure we are of who is on the other side."""
        ...

    @property
    def flags(self) -> tuple[str, ...]:
        """Facts that the channel's adapter stated (`Inbound.flags`)."""
        ...

    @property
    def contact(self) -> Contact | None:
        """Who is on the other side, if known already; early guards see `None`."""
        ...

    @property
    def context(self) -> Context | None:
        """The context of the turn; early guards see `None`."""
        ...

    @property
    def now(self) -> int:
        """The moment of judging, in Unix milliseconds."""
        ...


class Guard(Protocol):
    """Judges one text at one or more stages.

    An `early` guard judges what comes in before anything is stored, and sees the message alone.
    `modifies` must be set for a guard that may answer `modify`. `deadline_seconds` bounds an async
    `check`; `on_error` is what is enforced where there is no verdict.
    """

    @property
    def name(self) -> str:
        """Short and unique; it stands in decisions and traces."""
        ...

    @property
    def version(self) -> str:
        """Changes when the guard may judge otherwise."""
        ...

    @property
    def stages(self) -> frozenset[Stage]:
        """Where it stands."""
        ...

    @property
    def early(self) -> bool:
        """Whether it judges what comes in before that is stored."""
        ...

    @property
    def modifies(self) -> bool:
        """Whether it may answer `modify`."""
        ...

    @property
    def deadline_seconds(self) -> float | None:
        """How long an async `check` may take; `None` for what its channel allows."""
        ...

    @property
    def on_error(self) -> Action:
        """``block`` or ``allow``."""
        ...

    @property
    def check(self) -> Callable[[Any], Verdict | Awaitable[Verdict]]:
        """Takes a `Check` and gives a verdict; anything else, and any exception, is a failure."""
        ...


class Clock(Protocol):
    """Tells the time, so that tests own it."""

    def now(self) -> int:
        """Unix milliseconds."""
        ...


class Ids(Protocol):
    """Makes ids."""

    def new(self) -> bytes:
        """16 bytes that were never given before and sort by time (UUIDv7)."""
        ...
