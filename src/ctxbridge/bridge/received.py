"""What a turn answers: the message that began it, and those that joined."""

from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec.structs import replace

from ctxbridge.bridge.joining import Joined, as_edited, gather
from ctxbridge.bridge.judging import Inquiry
from ctxbridge.model import Context, Inbound, Message, Opened
from ctxbridge.rules.choices import with_choice

if TYPE_CHECKING:
    from ctxbridge.bridge.bridge import Bridge
    from ctxbridge.bridge.holding import Hold


def known_as(bridge: "Bridge[Any]", inbound: Inbound) -> Inbound:
    """The message from the address that its sender is known under; how they write it is kept."""
    sender = bridge.canonical(inbound.sender)
    if sender is inbound.sender:
        return inbound
    return replace(inbound, sender=sender, written_as=inbound.sender.value)


class Entered(NamedTuple):
    """What there is of a turn once the store has answered."""

    opened: Opened
    hold: "Hold"
    received: "Received"


class Received:
    """The messages of one turn, as they are to be stored, and where they stand in the log.

    `deleted` says that the sender has taken the message back before it was answered.
    """

    def __init__(self, bridge: "Bridge[Any]", inquiry: Inquiry, opened: Opened) -> None:
        self._bridge = bridge
        self._inquiry = inquiry
        self._opened = opened
        self._own: Message | None = None
        self.joined: tuple[Joined, ...] = ()
        self.deleted = False

    @property
    def own(self) -> tuple[int, Message]:
        """The message that began the turn, with all that is decided of it by now."""
        inquiry = self._inquiry
        message = inquiry.message(self._opened.turn, self.accepted_at, inquiry.disposition)
        stored = self._stored
        if stored is not None and stored.author != message.author:
            message = replace(message, author=stored.author)  # who asks for another answer
        return self._opened.seq, message

    @property
    def accepted_at(self) -> int:
        """When it was stored first (Unix milliseconds)."""
        stored = self._stored
        return stored.accepted_at if stored is not None else self._bridge.clock.now()

    @property
    def _stored(self) -> Message | None:
        opened, window = self._opened, self._opened.context.window
        # Only this entry is decoded: others may be damaged, and the turn is to be given back then.
        own = window[window.seqs.index(opened.seq)] if opened.seq in window.seqs else None
        return own if isinstance(own, Message) else None

    def settle_edits(self, context: Context) -> None:
        """An edit or a deletion may have come before its original, or while that waited."""
        mine = self._inquiry.message(self._opened.turn, 0, "pending")
        edited = as_edited(self._inquiry.inbound, mine, context)
        self.deleted = edited is None
        self._inquiry.inbound = edited or replace(self._inquiry.inbound, parts=())

    def take_choice(self, context: Context) -> None:
        """What we offered last may be what these words answer: then they are a choice as well."""
        inbound = self._inquiry.inbound
        parts = with_choice(inbound.parts, context.messages)
        if parts is not inbound.parts:
            self._inquiry.inbound = replace(inbound, parts=parts)

    async def join(self, now: int) -> Context:
        """Take in what waits; the context to go on with."""
        context, self.joined = await gather(self._bridge, self._inquiry, self._opened, now)
        return context

    def judged(self) -> None:
        """The message was judged: from now on it is one of `all`."""
        _, self._own = self.own

    @property
    def all(self) -> list[tuple[int, Message]]:
        """All of them, oldest first."""
        own = [(self._opened.seq, self._own)] if self._own else []
        joined = [(one.place, one.message) for one in self.joined]
        return sorted([*joined, *own], key=lambda one: one[0])
