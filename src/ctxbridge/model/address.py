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
        """Read ``sms:+15551230001``; without a channel, ``@`` means e-mail and ``+`` a phone.

        Phones lose their spaces and brackets, e-mail is lower-cased, as the adapters do it. Raises
        `ConfigurationError` for an empty address.
        """
        channel, colon, value = text.strip().partition(":")
        if not (colon and channel.isalpha()):
            value = text.strip()
            channel = "email" if "@" in value else "sms" if value.startswith("+") else "chat"
        value, channel = value.strip(), channel.lower()
        if not value:
            raise ConfigurationError("an address is empty; write for example sms:+15551230001")
        if channel == "email":
            # ASCII alone: str.lower makes a "k" of the Kelvin sign, which is another mailbox.
            value = "".join(c.lower() if c.isascii() else c for c in value)
        elif value.startswith("+"):
            value = "+" + "".join(c for c in value if c.isascii() and c.isdigit())
        return cls(channel, value)

    def __str__(self) -> str:
        return f"{self.channel}:{self.value}"


class Endpoint(Struct, frozen=True, array_like=True, gc=False, cache_hash=True):
    """Our side of a channel: the number, mailbox or app that was written to."""

    channel: str
    value: str

    def __str__(self) -> str:
        return f"{self.channel}:{self.value}"
