"""The outbox: messages that are to leave, and what became of them."""

from typing import Literal

from msgspec import Struct

from ctxbridge.model.address import Address, Endpoint
from ctxbridge.model.capabilities import Form
from ctxbridge.model.context import Context
from ctxbridge.model.message import Choices, Markup, Message

DeliveryStatus = Literal[
    "pending", "claimed", "unknown", "sent", "failed", "delivered", "read", "withheld"
]
"""``pending``: waits for its time. ``claimed``: a worker is sending it. ``unknown``: it may or may
not have left; it is shown and not repeated. ``sent``: the provider has it. ``failed``: it did not
leave, or did not arrive, and nobody tries again. ``withheld``: the gate said no."""


class Delivery(Struct, frozen=True, array_like=True, gc=False):
    """One message of ours on its way out.

    `place` is where in the log the message stands; in a `Change`, which of what it appends, from 1.
    `attempt` counts how often it was claimed, `token` names the latest claim and `held_until` its
    end. `due` is when it may leave. `gate_epoch` is what it was prepared under: it cannot be
    claimed under another without being judged again. `repeatable` says that its provider takes our
    key, so that sending it again has no second effect. `code` is a short reason, free of content.
    Times are Unix milliseconds.
    """

    id: bytes
    place: int = 1
    status: DeliveryStatus = "pending"
    attempt: int = 0
    due: int = 0
    held_until: int = 0
    gate_epoch: int = 0
    repeatable: bool = False
    token: bytes = b""
    provider_id: str = ""
    code: str = ""
    created_at: int = 0
    until: int = 0

    @property
    def key(self) -> str:
        """What the provider is given to know a repetition by: 32 hexadecimal digits."""
        return self.id.hex()


class Outgoing(Struct, frozen=True, gc=False):
    """What a sender is given: a message that was claimed and may leave now."""

    delivery: Delivery
    message: Message
    address: Address
    endpoint: Endpoint

    @property
    def key(self) -> str:
        """The idempotency key: the same for every attempt."""
        return self.delivery.key

    @property
    def text(self) -> str:
        """The words to send."""
        return self.message.text

    def marked(self, form: Form) -> str:
        """The words as `form` marks them up; empty where there is no more than the words."""
        found = (part for part in self.message.parts if type(part) is Markup)
        return next((part.text for part in found if part.form == form), "")

    @property
    def choices(self) -> Choices | None:
        """The answers that it offers. Where the channel has no room for them the words say them."""
        return next((part for part in self.message.parts if type(part) is Choices), None)


class Sent(Struct, frozen=True, gc=False):
    """What a sender says of one attempt.

    ``sent``: the provider has taken it, as `provider_id`. ``failed``: it never will. ``retry``: it
    surely was not taken, and may be later (not before `retry_after` seconds, where the provider
    named a time). ``unknown``: it may or may not have been taken.
    """

    status: Literal["sent", "failed", "retry", "unknown"]
    provider_id: str = ""
    code: str = ""
    retry_after: float = 0.0


class HttpRequest(Struct, frozen=True, gc=False):
    """What is to be asked of a provider: made without any I/O, sent by whoever has a connection."""

    url: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()
    method: str = "POST"


class HttpAnswer(Struct, frozen=True, gc=False):
    """What a provider answered. `body` is `None` where it broke off or was too large to be one."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = b""

    def header(self, name: str) -> str:
        """The first value of the header; empty where there is none."""
        wanted = name.lower()
        return next((value for key, value in self.headers if key.lower() == wanted), "")


class Take(Struct, frozen=True, gc=False):
    """Claim a delivery for sending: the point of no return.

    `where` is what `Store.scan` gave. `gate_epoch` is that of the context under which the gate
    said yes; `None` stands for the one that the delivery was prepared under. `token` (8 bytes)
    names the claim, which is given up after `hold_seconds`. `control` is the epoch of the tenant's
    control under which the gate said so (see `CONTROL`).
    """

    tenant: str
    where: bytes
    delivery: bytes
    token: bytes
    now: int
    hold_seconds: float = 60.0
    gate_epoch: int | None = None
    window: int = 20
    control: int = 0


class Settle(Struct, frozen=True, gc=False):
    """Say what became of a delivery; repeated or late, it never takes a better word back.

    The delivery is named by `delivery` (its id), or by `provider_id` at `endpoint`; whose it is by
    `contact` or by `recipient`. What is said of a provider's id that no delivery has yet is kept
    until one has. `attempt` is the one that is spoken of, 0 for the latest. `retry_seconds` puts
    it back among the pending, to be claimed again then; ``pending`` without it is a replay by hand.
    """

    tenant: str
    status: DeliveryStatus
    now: int
    contact: bytes = b""
    recipient: Address | None = None
    delivery: bytes = b""
    endpoint: Endpoint | None = None
    provider_id: str = ""
    attempt: int = 0
    code: str = ""
    retry_seconds: float | None = None
    remember_seconds: float = 7 * 86_400.0


class Taken(Struct, frozen=True, gc=False):
    """The answer to a `Take` or a `Settle`.

    ``taken``: it is ours to send. ``stale``: the gate epoch is another, or the tenant's control is
    newer (then `control` is it): judge it by `context`, and take it under those. ``settled``: what
    was said is noted. ``kept``: it is noted for a delivery that has not been told its provider's id
    yet. ``gone``: it is not there, not due, or somebody else's.
    """

    status: Literal["taken", "stale", "settled", "kept", "gone"]
    delivery: Delivery | None = None
    message: Message | None = None
    context: Context | None = None
    control: bytes = b""


class Scan(Struct, frozen=True, gc=False):
    """List what is in the outbox or waits for a worker, the oldest first.

    ``due``: turns whose worker is gone and deliveries whose time has come. ``waiting``: of each
    conversation the first message without an answer, also while its turn runs. ``pending``: all
    that has not left yet. ``dead``: what failed or is unknown. ``conversations``: all there are, in
    the store's own order; for operators, since the whole store is read.
    """

    tenant: str
    now: int
    what: Literal["due", "waiting", "pending", "dead", "conversations"] = "due"
    limit: int = 100


class Found(Struct, frozen=True, gc=False):
    """One thing that a `Scan` found: a message that waits for its turn, a delivery, a conversation.

    `where` is a word of the store for the conversation, for `Take`. `message` is the one that waits
    (`delivery` is then `None`), or the one that is to leave; `place` is where in the log it stands.
    `at` is when it came to be due. Of a conversation only `contact` is told, and an `address` to
    look it up by. `merged` are the ids of who was merged into the contact.
    """

    where: bytes
    at: int
    contact: bytes = b""
    message: Message | None = None
    delivery: Delivery | None = None
    id: bytes = b""
    place: int = 0
    address: Address | None = None
    merged: tuple[bytes, ...] = ()
