"""What a request may cost, and how much is done at once."""

from msgspec import Struct
from msgspec.structs import astuple

from ctxbridge.errors import ConfigurationError

KIB = 1024
MIB = 1024 * KIB


class Limits(Struct, frozen=True, kw_only=True):
    """The limits of one app, each positive, with its default.

    Of a request: `header_bytes` (names and values together; 431) and `body_bytes` (413), on a
    channel of e-mail `mail_bytes`. A body must have arrived within `body_seconds` (408), and be
    stored within `storing_seconds` (503).

    Of this process, each answered with 503 when it is reached: `requests` that are read and stored
    at once, `buffered_bytes` of their bodies, `turns` whose messages are stored and that have not
    ended. Of these as many as `agents` think at a time; the others wait for that.

    Raises `ConfigurationError` for what is not positive.
    """

    header_bytes: int = 32 * KIB
    body_bytes: int = 4 * MIB
    mail_bytes: int = 40 * MIB
    body_seconds: float = 30.0
    storing_seconds: float = 10.0
    requests: int = 256
    buffered_bytes: int = 256 * MIB
    turns: int = 1_024
    agents: int = 64

    def __post_init__(self) -> None:
        if not all(limit > 0 for limit in astuple(self)):
            raise ConfigurationError("each of the limits is a positive number")

    def body_bytes_on(self, channel: str) -> int:
        """How large a request of this channel may be."""
        return self.mail_bytes if channel == "email" else self.body_bytes
