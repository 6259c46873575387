"""Sinch's Conversation API: thirteen channels by one request, ``messages:send``.

Sources: developers.sinch.com/docs/conversation/api-reference (the request, channel names),
/docs/identity-access-management/authenticate/oauth2 (tokens of an hour), /docs/conversation/
message-types (choices and lists). No page names a key by which a repetition would be known.
"""

from urllib.parse import quote

import msgspec
from msgspec import Struct

from ctxbridge.delivery.senders.http import NOT_TAKEN, absolute
from ctxbridge.delivery.senders.wording import (
    JSON,
    can_answer,
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
from ctxbridge.rules.providers import ON_PHONES, SINCH, SINCH_NAMES
from ctxbridge.rules.text import clean

TOKENS = "https://auth.sinch.com/oauth2/token"
"""Where `ClientCredentials` gets tokens for an access key of the project."""

REGIONS = ("us", "eu", "br")


class _Error(Struct):
    status: str = ""


class _Answer(Struct):
    message_id: str = ""
    error: _Error | None = None


class SinchBuilder:
    """The requests of one project on one `channel`, our word for it (``sms``, ``viber``).

    The conversation's endpoint is the app's id, as the adapter `Sinch` reads it. Its `region` is
    ``us``, ``eu`` or ``br``, unless `base_url` says where to ask. `sms_sender` is the number that
    an SMS comes from where the app has several. `list_button` opens a list of choices: it is shown
    to customers, so give it in their language. Tokens come from `ClientCredentials`.

    Receipts give our id of the message back, as it was sent along as metadata.

    Raises `ConfigurationError` for an empty project, another channel or region, or a `list_button`
    of more than 20 characters.
    """

    name: str = "sinch"
    repeatable: bool = False

    def __init__(
        self,
        project_id: str,
        *,
        channel: str = "sms",
        region: str = "us",
        base_url: str | None = None,
        sms_sender: str = "",
        list_button: str = "Options",
    ) -> None:
        if not project_id:
            raise ConfigurationError("project_id must not be empty")
        if channel not in SINCH_NAMES:
            raise ConfigurationError(f"channel must be one of {', '.join(sorted(SINCH_NAMES))}")
        if region not in REGIONS:
            raise ConfigurationError(f"region must be one of {', '.join(REGIONS)}")
        self.channel = channel
        self.capabilities: Capabilities = SINCH[channel]
        self._sender = sms_sender
        self._list_button = list_opener(list_button)
        base = base_url or f"https://{region}.conversation.api.sinch.com"
        where = absolute(base, "base_url").rstrip("/")
        self._url = f"{where}/v1/projects/{quote(project_id, safe='')}/messages:send"

    def build_send(self, outgoing: Outgoing, /) -> HttpRequest | Sent:
        """``failed``: ``sinch.empty``, ``sinch.too_long`` and ``sinch.address``."""
        if refused := refusal(self, words_of(self, outgoing)):
            return refused
        app, theirs = outgoing.endpoint.value, outgoing.address.value
        if not (is_writable(app) and is_writable(theirs) and can_answer(self.channel, theirs)):
            return Sent("failed", code="sinch.address")
        if self.channel in ON_PHONES:
            theirs = theirs.removeprefix("+")
        name = SINCH_NAMES[self.channel]
        asked: dict[str, object] = {
            "app_id": app,
            "recipient": {
                "identified_by": {"channel_identities": [{"channel": name, "identity": theirs}]}
            },
            "message": self._message(outgoing),
            # One channel and no other: which one it is was judged, and consented to.
            "channel_priority_order": [name],
            "message_metadata": outgoing.key,
        }
        if self._sender and self.channel == "sms":
            asked["channel_properties"] = {"SMS_SENDER": self._sender}
        return HttpRequest(self._url, msgspec.json.encode(asked), (JSON,))

    def read_receipt(self, answer: HttpAnswer, /) -> Sent:
        """The message's id, or the status word that stands in an error of the 400s."""
        said = decoded(answer.body, _Answer) or _Answer()
        if 200 <= answer.status < 300 and is_writable(said.message_id):
            return Sent("sent", provider_id=said.message_id)
        word = said.error.status if said.error else ""
        told = 400 <= answer.status < 500 and answer.status not in NOT_TAKEN
        if told and word.isascii() and word.isidentifier() and len(word) <= 64:
            return Sent("failed", code=f"sinch.{word.lower()}")
        return Sent("unknown")

    def _message(self, outgoing: Outgoing) -> dict[str, object]:
        choices, shown = offered(outgoing), shown_as(self, outgoing)
        text = words_of(self, outgoing)
        if shown == "buttons":
            buttons = [
                {"text_message": {"text": clean(c.label)}, "postback_data": clean(c.id)}
                for c in choices
            ]
            return {"choice_message": {"text_message": {"text": text}, "choices": buttons}}
        if shown == "list":
            return {"list_message": self._list(text, choices)}
        return {"text_message": {"text": text}}

    def _list(self, text: str, choices: tuple[Choice, ...]) -> dict[str, object]:
        items = [
            {"choice": {"title": clean(c.label), "postback_data": clean(c.id)}} for c in choices
        ]
        return {
            "title": text,
            "sections": [{"title": self._list_button, "items": items}],
            "message_properties": {"menu": self._list_button},
        }
