"""WhatsApp's Cloud API: the messages of one business phone number.

Sources: developers.facebook.com/docs/whatsapp/cloud-api/messages (text, reply buttons, lists),
/support/error-codes (131047 outside the window of 24 hours; what is a limit of rate), and its page
on business-scoped user ids (`recipient` beside `to`).
"""

import re
from collections.abc import Mapping
from urllib.parse import quote

import msgspec
from msgspec import Struct

from ctxbridge.delivery.senders.http import NOT_TAKEN, absolute
from ctxbridge.delivery.senders.wording import (
    JSON,
    decoded,
    is_writable,
    list_opener,
    offered,
    refusal,
    shown_as,
    words_of,
)
from ctxbridge.errors import ConfigurationError
from ctxbridge.model import Capabilities, Choice, HttpAnswer, HttpRequest, Outgoing, Sent
from ctxbridge.rules.providers import WHATSAPP
from ctxbridge.rules.text import clean

# Too many of the app, the account, the number, or to this one person: not taken, and it passes.
_TOO_MANY = frozenset({4, 80007, 130429, 131056})

# The token has run out or was taken back; it comes with other statuses than 401 too.
_LOGIN = frozenset({0, 190})

_PHONE = re.compile(r"\+?[0-9]{4,15}")
_VERSION = re.compile(r"v[0-9]{1,3}\.[0-9]{1,2}")


class _Made(Struct):
    id: str = ""


class _Error(Struct):
    code: int = -1


class _Answer(Struct):
    messages: list[_Made] = []
    error: _Error | None = None


class WhatsAppBuilder:
    """The requests of one app; the conversation's endpoint is the phone number's id.

    `access_token` is a system user's. `version` is the Graph API's. `list_button` opens a list of
    choices: it is shown to customers, so give it in their language.

    Up to three answers are reply buttons where their labels have at most 20 characters, up to ten
    are a list where they have 24; others stand as numbers in the text. Receipts give our id of the
    message back, as it was sent along.

    Raises `ConfigurationError` for an empty token, a version that is none, or a `list_button` of
    more than 20 characters.
    """

    name: str = "whatsapp"
    channel: str = "whatsapp"
    repeatable: bool = False
    capabilities: Capabilities = WHATSAPP

    def __init__(
        self,
        access_token: str,
        *,
        version: str = "v23.0",
        base_url: str = "https://graph.facebook.com",
        list_button: str = "Options",
    ) -> None:
        if not access_token:
            raise ConfigurationError("access_token must not be empty")
        if not _VERSION.fullmatch(version):
            raise ConfigurationError("version must be one of the Graph API, such as v23.0")
        self._base = f"{absolute(base_url, 'base_url').rstrip('/')}/{version}"
        self._headers = (("Authorization", f"Bearer {access_token}"), JSON)
        self._list_button = list_opener(list_button)

    def build_send(self, outgoing: Outgoing, /) -> HttpRequest | Sent:
        """``failed``: ``whatsapp.empty``, ``whatsapp.too_long`` and ``whatsapp.address``."""
        if refused := refusal(self, words_of(self, outgoing)):
            return refused
        ours, theirs = outgoing.endpoint.value, outgoing.address.value
        if not (is_writable(ours) and is_writable(theirs)):
            return Sent("failed", code="whatsapp.address")
        is_phone = _PHONE.fullmatch(theirs)
        asked = {
            "messaging_product": "whatsapp",
            "recipient_type": "individual",
            "to" if is_phone else "recipient": theirs.removeprefix("+") if is_phone else theirs,
            **self._content(outgoing),
            "biz_opaque_callback_data": outgoing.key,
        }
        url = f"{self._base}/{quote(ours, safe='')}/messages"
        return HttpRequest(url, msgspec.json.encode(asked), self._headers)

    def read_receipt(self, answer: HttpAnswer, /) -> Sent:
        """The message's id, or the error's code; ``whatsapp.131047``: the window has closed."""
        said = decoded(answer.body, _Answer) or _Answer()
        made = said.messages[0].id if said.messages else ""
        if 200 <= answer.status < 300 and is_writable(made):
            return Sent("sent", provider_id=made)
        number = said.error.code if said.error else -1
        if not 0 <= number < 10**7 or not 400 <= answer.status < 500:
            return Sent("unknown")
        code = f"whatsapp.{number}"
        if number in _TOO_MANY or number in _LOGIN or answer.status in NOT_TAKEN:
            return Sent("retry", code=code)
        return Sent("failed", code=code)

    def _content(self, outgoing: Outgoing) -> dict[str, object]:
        choices, shown = offered(outgoing), shown_as(self, outgoing)
        text = words_of(self, outgoing)
        if shown == "buttons":
            return _interactive("button", text, {"buttons": [_button(c) for c in choices]})
        if shown == "list":
            rows = [{"id": clean(c.id), "title": clean(c.label)} for c in choices]
            opened = {"button": self._list_button, "sections": [{"rows": rows}]}
            return _interactive("list", text, opened)
        return {"type": "text", "text": {"body": text, "preview_url": False}}


def _interactive(kind: str, text: str, action: Mapping[str, object]) -> dict[str, object]:
    shown = {"type": kind, "body": {"text": text}, "action": action}
    return {"type": "interactive", "interactive": shown}


def _button(choice: Choice) -> dict[str, object]:
    return {"type": "reply", "reply": {"id": clean(choice.id), "title": clean(choice.label)}}
