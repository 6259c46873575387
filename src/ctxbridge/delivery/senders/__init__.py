"""The senders, one file for each provider: they fill `ctxbridge.ports.Sender`."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ctxbridge.delivery.senders.mailgun import MailgunBuilder
    from ctxbridge.delivery.senders.postmark import PostmarkBuilder
    from ctxbridge.delivery.senders.sendgrid import SendGridBuilder
    from ctxbridge.delivery.senders.smtp import SmtpSender
    from ctxbridge.delivery.senders.twilio import TwilioSender
    from ctxbridge.delivery.senders.webchat import WebChatSender

__all__ = [
    "MailgunBuilder", "PostmarkBuilder", "SendGridBuilder", "SmtpSender", "TwilioSender",
    "WebChatSender",
]  # fmt: skip

_PLACES = {
    "MailgunBuilder": "mailgun",
    "PostmarkBuilder": "postmark",
    "SendGridBuilder": "sendgrid",
    "SmtpSender": "smtp",
    "TwilioSender": "twilio",
    "WebChatSender": "webchat",
}


def __getattr__(name: str) -> Any:
    if name in _PLACES:
        return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
