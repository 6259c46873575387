"""What both ways of a provider agree on."""

import pytest

from ctxbridge.rules import providers
from ctxbridge.rules.consent import CHANNELS, bit


@pytest.mark.parametrize(
    ("given", "number"),
    [
        ("46701740605", "+46701740605"),
        ("+46701740605", "+46701740605"),
        (" 46701740605 ", "+46701740605"),
        ("+29012", "+29012"),
        ("123456789", "+123456789"),
        ("12345678", ""),
        ("72345", ""),
        ("0701740605", ""),
        ("0046701740605", ""),
        ("+0701740605", ""),
        ("AcmeInc", ""),
        ("1-800-FLOWERS", ""),
        ("1" * 16, ""),
        ("+" + "1" * 16, ""),
        ("４６７０１７４０６０５", ""),
        ("٤٦٧٠١٧٤٠٦٠٥", ""),
        ("+46 70 174 06 05", ""),
        ("46701740605\n1", ""),
        ("", ""),
    ],
)  # fmt: skip
def test_53_a_number_has_one_form_and_nothing_is_guessed(given: str, number: str) -> None:
    assert providers.phone(given) == number
    assert providers.phone(number) == number


def test_each_channel_of_sinch_leads_back_to_its_name() -> None:
    assert (
        set(providers.SINCH_CHANNELS.values()) == set(providers.SINCH) == set(providers.SINCH_NAMES)
    )
    for word, name in providers.SINCH_NAMES.items():
        assert providers.SINCH_CHANNELS[name] == word


def test_the_thirteen_channels_of_the_sdk_are_known() -> None:
    from typing import get_args

    from sinch.domains.conversation.models.v1.types.conversation_channel_type import (
        ConversationChannelType,
    )

    literal = get_args(ConversationChannelType)[0]
    names = get_args(literal)
    assert len(names) == 13
    assert set(names) <= set(providers.SINCH_CHANNELS)


def test_the_bits_of_all_channels_fit_into_what_is_stored() -> None:
    highest = bit(CHANNELS[-1], "all")
    assert highest < 2**64
    assert bit("a channel that nobody named", "all") == bit("other", "all")
