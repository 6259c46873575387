"""One identity for all the ways in which an address is written.

What is stored, linked and looked up is the canonical address; what is sent goes to the address as
it was written (`Message.written_as`). Nothing here depends on what else is installed: an identity
that changed with a package, or with its tables, would make two people of one.

Sources: ITU-T E.164; for the aliases the numbering plans of Mexico (IFT, 2019: no 1 behind 52),
Argentina (the 9 of mobile numbers behind 54) and Brazil (Anatel, 2016: mobile numbers have nine
digits); RFC 5233 for what stands behind a plus in a mailbox's name.
"""

import re
from collections.abc import Collection

from ctxbridge.model import Address

PHONES = frozenset({"sms", "whatsapp", "rcs", "voice"})
"""The channels whose addresses are numbers. The same number on two of them is two addresses."""

EVERYWHERE = "*"
LONGEST_SENDER_ID = 11
"""Of letters and digits, as carriers show it in a number's place (3GPP TS 23.040, 9.1.2.5)."""
_SENDER_ID = re.compile(r"(?=.*[^\W\d_])[\w .&+-]{1,11}")

# A number without its plus, as Sinch, Vonage and WhatsApp write it. No country code begins with 0,
# and what is shorter may be a short code.
_BARE = re.compile(r"[1-9][0-9]{8,14}")
_MEXICO = re.compile(r"\+521([0-9]{10})")
_ARGENTINA = re.compile(r"\+549([0-9]{10})")
# Eight digits behind the area are of a mobile from 6 on, and of a landline below.
_BRAZIL = re.compile(r"\+55([1-9][1-9])([6-9][0-9]{7})")


def canonical(address: Address, subaddressing: Collection[str] = ()) -> Address:
    """The address that is stored; the same object where it is canonical already.

    A number of 9 to 15 digits gets its plus. Mexico's 1 and Argentina's 9 are taken out, Brazil's
    ninth digit is put into mobile numbers. Short codes, and names in a number's place, stay as they
    are. Mail is lower-cased in ASCII; at the domains in `subaddressing` (``*``: at all) what stands
    behind a plus names no other mailbox. Other addresses stay as they are.
    """
    if address.channel in PHONES:
        value = address.value if address.scope else _number(address.value)
    elif address.channel == "email":
        value = _mailbox(address.value, subaddressing)
    else:
        return address
    if value == address.value:
        return address
    return Address(address.channel, value, address.scope)


def takes_no_answer(address: Address) -> bool:
    """Whether it is a name in a number's place ("AcmeInc"): it can be read, and not written to."""
    return address.channel == "sms" and _SENDER_ID.fullmatch(address.value) is not None


def _number(value: str) -> str:
    if value[:1] != "+":
        if not _BARE.fullmatch(value):
            return value
        value = f"+{value}"
    code = value[:3]
    if code == "+52" and (found := _MEXICO.fullmatch(value)):
        return f"+52{found[1]}"
    if code == "+54" and (found := _ARGENTINA.fullmatch(value)):
        return f"+54{found[1]}"
    if code == "+55" and (found := _BRAZIL.fullmatch(value)):
        return f"+55{found[1]}9{found[2]}"
    return value


def _mailbox(value: str, subaddressing: Collection[str]) -> str:
    # ASCII alone: str.lower makes a "k" of the Kelvin sign, which is another mailbox.
    lower = value.lower() if value.isascii() else "".join(map(_lower_ascii, value))
    name, at, domain = lower.rpartition("@")
    if not subaddressing or "+" not in name:
        return lower
    if domain not in subaddressing and EVERYWHERE not in subaddressing:
        return lower
    return (name.partition("+")[0] or name) + at + domain


def _lower_ascii(character: str) -> str:
    return character.lower() if character.isascii() else character
