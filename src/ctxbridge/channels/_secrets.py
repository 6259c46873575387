"""The secrets of an adapter, as bytes, in the order in which they were given."""

from collections.abc import Sequence

from ctxbridge.errors import ConfigurationError


def secrets_of(given: str | Sequence[str], what: str) -> tuple[bytes, ...]:
    """One secret, or several while one is being replaced; none at all is `()`.

    An empty secret is an unset variable of the environment, not a wish to go unsigned: it raises
    `ConfigurationError`. `what` names the setting in the message.
    """
    several = tuple(given) if isinstance(given, (list, tuple)) else (given,)
    if not all(isinstance(secret, str) and secret for secret in several):
        msg = f"{what} is empty; give the secret, or leave the setting out to go unsigned"
        raise ConfigurationError(msg)
    return tuple(str(secret).encode("utf-8", "surrogatepass") for secret in several)
