"""Who writes, where they write to, and how sure we are."""

from enum import IntEnum

from msgspec import Struct

from ctxbridge.errors import ConfigurationError

MAX_ADDRESS_CHARACTERS = 512


class Assurance(IntEnum):
    """How sure we are that a message is from the person it names; text in it never raises this."""

    ANONYMOUS = 0
    """Nothing is claimed: a visitor without a token."""
    CLAIMED = 1
    """Typed, or an e-mail From that nobody vouched for."""
    CHANNEL = 2
    """The carrier, a signed webhook or an aligned DMARC result vouches for the address."""
    VERIFIED = 3
    """A code that we sent to the address came back a moment ago."""
    AUTHENTICATED = 4
    """The tenant's own login says so."""


class Address(Struct, frozen=True, array_like=True, gc=False, cache_hash=True):
    """How a channel names somebody, for example ``Address("sms", "+15551230001")``.

    `value` is the canonical form that the channel's adapter makes. `scope` is for ids that are
    unique only within a business account (a Slack team, a short code's country), else empty.
    """

    channel: str
    value: str
    scope: str = ""

    @classmethod
    def parse(cls, text: str) -> "Address":
        """Read ``sms:+15551230001``; without a channel, ``@`` means e-mail and ``+`` a phone."""
        channel, colon, value = text.strip().partition(":")
        if colon and channel.isalpha():
            return cls(channel.lower(), value)
        if "@" in text:
            return cls("email", text.strip())
        if text.strip().startswith("+"):
            return cls("sms", text.strip())
        if not text.strip():
            raise ConfigurationError("an address is empty; write for example sms:+15551230001")
        return cls("chat", text.strip())

    def __str__(self) -> str:
        return f"{self.channel}:{self.value}"


class Endpoint(Struct, frozen=True, array_like=True, gc=False, cache_hash=True):
    """Our side of a channel: the number, mailbox or app that was written to."""

    channel: str
    value: str

    def __str__(self) -> str:
        return f"{self.channel}:{self.value}"
