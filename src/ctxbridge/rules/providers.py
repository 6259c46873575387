"""What both ways of a provider agree on: what it can show, its channels' names, phone numbers.

What comes in (`ctxbridge.channels`) and what goes out (`ctxbridge.delivery`) do not know each
other, and must not differ in these.
"""

import re

from ctxbridge.model import Capabilities

DAY_SECONDS = 86_400.0
_ALL = ("sent", "delivered", "read", "failed")
# Of the text above buttons or a list (developers.facebook.com, interactive messages): what Sinch
# hands on is bound by the same.
_ABOVE = 1_024

TWILIO = Capabilities(longest=1_600, media=True, receipts=_ALL)
"""1,600 characters on all its channels (twilio.com/docs/api/errors/21658)."""

WHATSAPP = Capabilities(
    form="whatsapp", longest=4_096, buttons=3, button_characters=20, choices=10,
    choice_characters=24, above_choices=_ABOVE, media=True, reactions=True, receipts=_ALL,
    window_seconds=DAY_SECONDS,
)  # fmt: skip
"""developers.facebook.com/docs/whatsapp/cloud-api: text, interactive messages, service window."""

SINCH_SMS = Capabilities(longest=2_000, media=True, receipts=("sent", "delivered", "failed"))
"""2,000 characters in one batch (developers.sinch.com/docs/sms/api-reference)."""

SINCH: dict[str, Capabilities] = {
    "sms": SINCH_SMS,
    "whatsapp": WHATSAPP,
    "rcs": Capabilities(
        longest=3_072, buttons=4, button_characters=25, above_choices=_ABOVE, media=True,
        receipts=_ALL,
    ),
    "messenger": Capabilities(
        longest=2_000, buttons=3, button_characters=20, above_choices=_ABOVE, media=True,
        receipts=_ALL, window_seconds=DAY_SECONDS,
    ),
    "instagram": Capabilities(
        longest=1_000, unit="byte", media=True, receipts=_ALL, window_seconds=DAY_SECONDS
    ),
    "viber": Capabilities(longest=1_000, media=True, receipts=_ALL),
    "telegram": Capabilities(longest=4_096, media=True),
    **dict.fromkeys(
        ("line", "wechat", "kakaotalk", "kakaotalkchat", "applebc"), Capabilities(media=True)
    ),
}  # fmt: skip
"""By our word for the channel (developers.sinch.com/docs/conversation, channel support). Where no
limit stands, we know of none, and Sinch refuses what is too long."""

SINCH_CHANNELS: dict[str, str] = {
    **{word.upper(): word for word in SINCH if word != "viber"},
    "VIBERBM": "viber",
    "VIBER": "viber",
    "MMS": "sms",
}
"""Sinch's name of a channel, and our word. An MMS comes from a phone that has SMS."""

SINCH_NAMES = {word: name for name, word in SINCH_CHANNELS.items() if name not in {"MMS", "VIBER"}}
"""Our word, and the name that Sinch sends by."""

ON_PHONES = frozenset({"sms", "whatsapp", "rcs", "viber"})
"""The channels on which somebody is named by a phone number."""

# E.164: at most 15 digits, and no country code begins with 0. Without "+", what has eight or fewer
# may be a short code, which means something only within its country.
_WITH_PLUS = re.compile(r"\+[1-9][0-9]{3,14}")
_WITHOUT = re.compile(r"[1-9][0-9]{8,14}")


def phone(value: str) -> str:
    """``46701740605`` and ``+46701740605`` as the latter; empty for what is no such number.

    Names ("AcmeInc") and short codes are none, and a national number ("0701740605") is not guessed.
    """
    value = value.strip()
    if _WITH_PLUS.fullmatch(value):
        return value
    return "+" + value if _WITHOUT.fullmatch(value) else ""
