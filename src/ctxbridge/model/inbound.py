"""What comes in from a channel, before and after its adapter has read it."""

from typing import Literal

from msgspec import Struct

from ctxbridge.errors import PayloadError
from ctxbridge.model.address import Address, Assurance, Endpoint
from ctxbridge.model.message import Choice, Part, Text, choice_in

IdSource = Literal["provider", "sender", "digest"]
ReceiptStatus = Literal["queued", "sent", "delivered", "read", "failed", "unknown"]


class RawRequest(Struct, frozen=True):
    """An HTTP request (or a mail, or a frame) as it arrived; the bytes are kept until verified.

    `url` is the public address that the provider called, not the one behind a proxy. Header names
    are matched without regard to case. `received_at` is Unix milliseconds.
    """

    body: bytes
    headers: tuple[tuple[str, str], ...] = ()
    method: str = "POST"
    url: str = ""
    received_at: int = 0

    def header(self, name: str) -> str | None:
        """The value of the header, or `None` when it is absent or given more than once."""
        wanted = name.lower()
        values = [value for key, value in self.headers if key.lower() == wanted]
        return values[0] if len(values) == 1 else None


class Verification(Struct, frozen=True, gc=False):
    """Whether a request is from whom it says it is; `reason` is short and content-free.

    `binds_body` says whether the signature covers the body. `key` is the position of the secret
    that matched, for rotation.
    """

    status: Literal["verified", "unsigned", "failed"]
    scheme: str = ""
    reason: str = ""
    binds_body: bool = False
    key: int = -1


class Inbound(Struct, frozen=True, gc=False, array_like=True):
    """One message that a customer sent, whatever the channel.

    `message_id` is unique per endpoint; `id_source` says who chose it. `thread` is the channel's
    own thread. `references` are ids of earlier messages, nearest first. `horizon_seconds` is how
    long the provider may repeat the message.

    `flags` are facts that guards read: ``opt_out.stop``, ``opt_out.start``, ``opt_out.help`` (the
    provider has answered it; ``opt_out.stop.marketing`` is for one purpose), ``auto`` (automatic
    mail), ``self`` (an echo of our own), ``forwarded``, ``unsupported`` (kept, and not read),
    ``from.mismatch``, ``from.ambiguous``, ``hidden_text``, ``truncated``, ``token.forged`` (a reply
    token that is not ours), ``partial`` (pieces of an SMS are missing), ``id_reused``.
    """

    channel: str
    endpoint: Endpoint
    sender: Address
    message_id: str
    parts: tuple[Part, ...]
    assurance: Assurance = Assurance.CLAIMED
    id_source: IdSource = "provider"
    occurred_at: int = 0
    thread: str = ""
    subject: str = ""
    references: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    horizon_seconds: float = 0.0
    provider: str = ""
    revises: str = ""
    """The id of the message that this one takes the place of; without parts it is a deletion."""
    written_as: str = ""
    """How the channel writes the value of `sender`; set by the bridge, where that is not canonical.
    An answer goes there."""

    @property
    def text(self) -> str:
        """What was written in this message, without quotes and attachments."""
        return "\n".join([part.text for part in self.parts if type(part) is Text])

    @property
    def choice(self) -> Choice | None:
        """Which of the choices that we offered it names; `None` for none."""
        return choice_in(self.parts)


class Receipt(Struct, frozen=True, gc=False):
    """What a provider said of a message that we sent."""

    channel: str
    endpoint: Endpoint
    message_id: str
    status: ReceiptStatus
    recipient: Address | None = None
    provider_status: str = ""
    error_code: str = ""
    occurred_at: int = 0
    provider: str = ""
    delivery: str = ""
    """Our own id of the delivery, where the provider gives it back (`Delivery.key`)."""


NoticeKind = Literal[
    "reaction", "reaction_removed", "typing", "read", "moved", "same", "joined", "left", "closed",
    "unsupported",
]  # fmt: skip
"""``reaction``, ``reaction_removed``: `value` is what was shown, `about` the message. ``read``: the
contact has read up to `about`. ``moved``: the provider says that `sender` is `other` from now on (a
number changed, an id rotated). ``same``: it says that both are one person. ``joined``, ``left``: a
member of the thread. ``closed``: the provider has ended the thread. ``unsupported``: something that
no adapter reads yet; `value` is the provider's name for it."""


class Notice(Struct, frozen=True, gc=False):
    """What a provider tells that is neither a message nor a receipt: nobody answers it.

    ``moved`` and ``same`` are what the provider says, so they propose and never join by themselves.
    """

    channel: str
    endpoint: Endpoint
    kind: NoticeKind
    sender: Address | None = None
    event_id: str = ""
    about: str = ""
    value: str = ""
    other: Address | None = None
    occurred_at: int = 0
    thread: str = ""
    provider: str = ""


class Parsed(Struct, frozen=True):
    """What an adapter made of a request: one bad item does not lose the rest."""

    events: tuple[Inbound | Receipt | Notice, ...] = ()
    errors: tuple[PayloadError, ...] = ()


class HttpReply(Struct, frozen=True):
    """What to answer the provider with."""

    status: int
    body: bytes = b""
    content_type: str = "text/plain; charset=utf-8"
    headers: tuple[tuple[str, str], ...] = ()
