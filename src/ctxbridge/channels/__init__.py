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
    from ctxbridge.channels.mailgun import Mailgun
    from ctxbridge.channels.postmark import Postmark
    from ctxbridge.channels.sendgrid import SendGrid
    from ctxbridge.channels.sinch import Sinch
    from ctxbridge.channels.sinch_sms import SinchSms
    from ctxbridge.channels.slack import Slack
    from ctxbridge.channels.standard_webhooks import StandardWebhooks
    from ctxbridge.channels.twilio import Twilio
    from ctxbridge.channels.webchat import WebChat
    from ctxbridge.channels.whatsapp import WhatsApp
    from ctxbridge.ports import Channel

__all__ = [
    "ADAPTERS",
    "Email",
    "Mailgun",
    "Postmark",
    "SendGrid",
    "Sinch",
    "SinchSms",
    "Slack",
    "StandardWebhooks",
    "Twilio",
    "WebChat",
    "WhatsApp",
    "adapter",
]

ADAPTERS: dict[str, str] = {
    "email": "ctxbridge.channels.email:Email",
    "mailgun": "ctxbridge.channels.mailgun:Mailgun",
    "postmark": "ctxbridge.channels.postmark:Postmark",
    "sendgrid": "ctxbridge.channels.sendgrid:SendGrid",
    "sinch": "ctxbridge.channels.sinch:Sinch",
    "sinch_sms": "ctxbridge.channels.sinch_sms:SinchSms",
    "slack": "ctxbridge.channels.slack:Slack",
    "standard-webhooks": "ctxbridge.channels.standard_webhooks:StandardWebhooks",
    "twilio": "ctxbridge.channels.twilio:Twilio",
    "webchat": "ctxbridge.channels.webchat:WebChat",
    "whatsapp": "ctxbridge.channels.whatsapp:WhatsApp",
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
