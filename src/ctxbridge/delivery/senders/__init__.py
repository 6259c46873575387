"""The senders, one file for each provider: they fill `ctxbridge.ports.Sender`."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ctxbridge.delivery.senders.smtp import SmtpSender
    from ctxbridge.delivery.senders.twilio import TwilioSender
    from ctxbridge.delivery.senders.webchat import WebChatSender

__all__ = ["SmtpSender", "TwilioSender", "WebChatSender"]

_PLACES = {"SmtpSender": "smtp", "TwilioSender": "twilio", "WebChatSender": "webchat"}


def __getattr__(name: str) -> Any:
    if name in _PLACES:
        return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
