"""The channel adapters: bytes of one provider in, values out. No network, no clock, nothing raises.

Each adapter is one file and is imported when first touched, so a service pays for what it uses::

    from ctxbridge.channels import Twilio
    from ctxbridge.channels import adapter

    adapter("twilio") is Twilio

`ADAPTERS` is the registry: the provider's name and where its class is. The port that they fill is
`ctxbridge.ports.Channel`.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from ctxbridge.errors import ConfigurationError

if TYPE_CHECKING:
    from ctxbridge.channels.email import Email
    from ctxbridge.channels.slack import Slack
    from ctxbridge.channels.twilio import Twilio
    from ctxbridge.channels.webchat import WebChat
    from ctxbridge.ports import Channel

__all__ = ["ADAPTERS", "Email", "Slack", "Twilio", "WebChat", "adapter"]

ADAPTERS: dict[str, str] = {
    "email": "ctxbridge.channels.email:Email",
    "slack": "ctxbridge.channels.slack:Slack",
    "twilio": "ctxbridge.channels.twilio:Twilio",
    "webchat": "ctxbridge.channels.webchat:WebChat",
}


def adapter(name: str) -> "type[Channel]":
    """The adapter class of the provider `name`; a name that is not in `ADAPTERS` is a mistake.

    Raises `ConfigurationError`, which lists the names there are.
    """
    try:
        module, _, attribute = ADAPTERS[name].partition(":")
    except KeyError:
        known = ", ".join(sorted(ADAPTERS))
        msg = f"there is no channel adapter of that name; the names are: {known}"
        raise ConfigurationError(msg) from None
    found: type[Channel] = getattr(import_module(module), attribute)
    return found


def __getattr__(name: str) -> "type[Channel]":
    for provider, place in ADAPTERS.items():
        if place.endswith(":" + name):
            return adapter(provider)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
