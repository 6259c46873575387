"""Numbers as people write them, for what a team imports: a CRM, a form.

Adapters do not need this: providers give numbers with their country. It needs phonenumberslite.
"""

from typing import Any

from ctxbridge.errors import ConfigurationError, UsageError
from ctxbridge.model import Address
from ctxbridge.rules.addresses import LONGEST_SENDER_ID, PHONES, canonical

LONGEST_TEXT = 64
LEAST_NUMBER = 7
"""No number with its country has fewer digits (Niue)."""
LEAST_DIGITS, USUAL_DIGITS, MOST_DIGITS = 3, 6, 8
"""Of a short code. Some countries have longer ones than is usual."""


def read_phone(text: str, *, region: str = "", channel: str = "sms") -> Address:
    """The canonical address that `text` stands for: ``read_phone("0170 1234567", region="DE")``.

    `region` is the country (ISO 3166, two letters) in which a number without one is dialled.
    3 to 8 digits are a short code where the country has no such numbers; it means something in its
    country alone, which becomes the address's `scope`. Up to 11 letters and digits that begin with
    a letter are a name in a number's place.

    Raises `UsageError` for what is none of these, is no possible number there, or has an extension;
    `ConfigurationError` without the package.
    """
    phonenumbers = _phonenumbers()
    text = text.strip()
    if channel not in PHONES or not text or len(text) > LONGEST_TEXT:
        raise UsageError(f"a number has 1 to {LONGEST_TEXT} characters, on one of {sorted(PHONES)}")
    country = region.upper() or None
    if country is not None and country not in phonenumbers.SUPPORTED_REGIONS:
        raise UsageError("the region is no country of ISO 3166")
    if text[0].isalpha() and len(text) <= LONGEST_SENDER_ID and text.isalnum() and text.isascii():
        return Address(channel, text)
    try:
        number = phonenumbers.parse(text, country)
    except phonenumbers.NumberParseException:
        raise UsageError("this is no number; without a +, name the region it is of") from None
    if number.extension:
        raise UsageError("a number with an extension cannot be written to")
    if _is_short_code(text, number):
        if country is None:
            raise UsageError("a short code means something in its country alone: name the region")
        return Address(channel, "".join([str(int(digit)) for digit in text]), country)
    written = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    address = canonical(Address(channel, written))
    possible = phonenumbers.is_possible_number(phonenumbers.parse(address.value))
    if not possible or len(address.value) <= LEAST_NUMBER:
        raise UsageError("no number of that country has so many digits")
    return address


def _is_short_code(text: str, number: Any) -> bool:
    """Whether these are digits alone, too few for a number, or few and no number that is given."""
    phonenumbers = _phonenumbers()
    if not (text.isdecimal() and LEAST_DIGITS <= len(text) <= MOST_DIGITS):
        return False
    if not phonenumbers.is_possible_number(number):
        return True
    return len(text) <= USUAL_DIGITS and not phonenumbers.is_valid_number(number)


def _phonenumbers() -> Any:
    try:
        import phonenumbers
    except ImportError:
        raise ConfigurationError(
            'reading numbers needs phonenumberslite: pip install "ctxbridge[phone]"'
        ) from None
    return phonenumbers
