"""Sinch's SMS API: one text message as a batch of one.

Sources: developers.sinch.com/docs/sms/api-reference (batches, delivery reports), and its page on
status codes (what is refused has a 4xx with a code). No page names a key by which a repetition
would be known.
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
    refusal,
    words_of,
)
from ctxbridge.errors import ConfigurationError
from ctxbridge.model import Capabilities, HttpAnswer, HttpRequest, Outgoing, Sent
from ctxbridge.rules.providers import SINCH_SMS

REGIONS = ("us", "eu", "au", "br", "ca")


class _Answer(Struct):
    id: str = ""
    code: str = ""


class SinchSmsBuilder:
    """The requests of one service plan; the conversation's endpoint is the number it sends from.

    `region` is ``us``, ``eu``, ``au``, ``br`` or ``ca``, unless `base_url` says where to ask.
    `callback_url` is where delivery reports go, if not where the service plan says. They give our
    id of the message back, as it was sent along as the client reference.

    Raises `ConfigurationError` for empty credentials, another region, or an address that is not
    absolute.
    """

    name: str = "sinch_sms"
    channel: str = "sms"
    repeatable: bool = False
    capabilities: Capabilities = SINCH_SMS

    def __init__(
        self,
        service_plan_id: str,
        api_token: str,
        *,
        region: str = "us",
        base_url: str | None = None,
        callback_url: str | None = None,
    ) -> None:
        if not service_plan_id or not api_token:
            raise ConfigurationError("service_plan_id and api_token must not be empty")
        if region not in REGIONS:
            raise ConfigurationError(f"region must be one of {', '.join(REGIONS)}")
        base = absolute(base_url or f"https://{region}.sms.api.sinch.com", "base_url").rstrip("/")
        self._url = f"{base}/xms/v1/{quote(service_plan_id, safe='')}/batches"
        self._headers = (("Authorization", f"Bearer {api_token}"), JSON)
        self._callback = absolute(callback_url, "callback_url") if callback_url else ""

    def build_send(self, outgoing: Outgoing, /) -> HttpRequest | Sent:
        """``failed``: ``sinch_sms.empty``, ``sinch_sms.too_long`` and ``sinch_sms.address``."""
        text = words_of(self, outgoing)
        if refused := refusal(self, text):
            return refused
        ours, theirs = outgoing.endpoint.value, outgoing.address.value
        if not (is_writable(ours) and is_writable(theirs) and can_answer("sms", theirs)):
            return Sent("failed", code="sinch_sms.address")
        asked = {
            "from": ours,
            "to": [theirs],
            "body": text,
            "type": "mt_text",
            "delivery_report": "per_recipient",
            "client_reference": outgoing.key,
        }
        if self._callback:
            asked["callback_url"] = self._callback
        return HttpRequest(self._url, msgspec.json.encode(asked), self._headers)

    def read_receipt(self, answer: HttpAnswer, /) -> Sent:
        """The batch's id, or the code that stands in an error of the 400s."""
        said = decoded(answer.body, _Answer) or _Answer()
        if 200 <= answer.status < 300 and is_writable(said.id):
            return Sent("sent", provider_id=said.id)
        told = 400 <= answer.status < 500 and answer.status not in NOT_TAKEN
        if told and said.code.isascii() and said.code.isidentifier() and len(said.code) <= 64:
            return Sent("failed", code=f"sinch_sms.{said.code}")
        return Sent("unknown")
