"""The senders, one file for each provider: they fill `ctxbridge.ports.Sender`.

Where a provider is asked by HTTPS, its file has a `Builder`, which says what to ask and what the
answer means, and `HttpSender` does the asking::

    from ctxbridge.delivery.senders import HttpSender, WhatsAppBuilder

    sender = HttpSender(WhatsAppBuilder(access_token))

The builders are here and not with the adapters of `ctxbridge.channels`: an adapter reads all
channels of a provider with the secrets of its webhooks, a builder writes one channel with those of
its API, and a worker that only sends needs no adapter. What both must agree on stands in
`ctxbridge.rules.providers`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ctxbridge.delivery.senders.http import HttpSender
    from ctxbridge.delivery.senders.mailgun import MailgunBuilder
    from ctxbridge.delivery.senders.postmark import PostmarkBuilder
    from ctxbridge.delivery.senders.sendgrid import SendGridBuilder
    from ctxbridge.delivery.senders.sinch import SinchBuilder
    from ctxbridge.delivery.senders.sinch_sms import SinchSmsBuilder
    from ctxbridge.delivery.senders.smtp import SmtpSender
    from ctxbridge.delivery.senders.tokens import ClientCredentials
    from ctxbridge.delivery.senders.twilio import TwilioBuilder, TwilioSender
    from ctxbridge.delivery.senders.webchat import WebChatSender
    from ctxbridge.delivery.senders.whatsapp import WhatsAppBuilder

__all__ = [
    "ClientCredentials",
    "HttpSender",
    "MailgunBuilder",
    "PostmarkBuilder",
    "SendGridBuilder",
    "SinchBuilder",
    "SinchSmsBuilder",
    "SmtpSender",
    "TwilioBuilder",
    "TwilioSender",
    "WebChatSender",
    "WhatsAppBuilder",
]

_PLACES = {
    "ClientCredentials": "tokens",
    "HttpSender": "http",
    "MailgunBuilder": "mailgun",
    "PostmarkBuilder": "postmark",
    "SendGridBuilder": "sendgrid",
    "SinchBuilder": "sinch",
    "SinchSmsBuilder": "sinch_sms",
    "SmtpSender": "smtp",
    "TwilioBuilder": "twilio",
    "TwilioSender": "twilio",
    "WebChatSender": "webchat",
    "WhatsAppBuilder": "whatsapp",
}


def __getattr__(name: str) -> Any:
    if name in _PLACES:
        return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
