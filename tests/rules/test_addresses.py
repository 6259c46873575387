"""One identity for all the ways in which an address is written; numbers are the acceptance list's."""

import timeit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxbridge import errors
from ctxbridge.model import Address
from ctxbridge.rules import phones
from ctxbridge.rules.addresses import PHONES, canonical, takes_no_answer
from ctxbridge.rules.phones import read_phone
from ctxbridge.wire.keys import address_key


def number(value, channel="sms", scope=""):
    return canonical(Address(channel, value, scope))


@pytest.mark.parametrize(
    "value", ["72345", "AcmeInc", "12345678", "ACME 24", "0701740605", "0046701740605", "+1", ""]
)
def test_51_what_is_no_number_with_a_country_stays(value):
    address = Address("sms", value)
    assert canonical(address) is address


def test_51_a_short_code_is_of_its_country():
    assert number("123456789", scope="US") == Address("sms", "123456789", "US")
    assert number("72345", scope="US") != number("72345", scope="GB")


@pytest.mark.parametrize(("value", "none"), [
    ("AcmeInc", True), ("ACME 24", True), ("Bücher", True), ("72345", False), ("+15550100001", False), ("1 800", False),
    ("", False), ("twelve_long_1", False),
])  # fmt: skip
def test_51_a_name_takes_no_answer(value, none):
    assert takes_no_answer(Address("sms", value)) is none
    assert not takes_no_answer(Address("whatsapp", value))


@pytest.mark.parametrize(("one", "other"), [
    ("+5219991234567", "+529991234567"), ("+5491155556666", "+541155556666"),
    ("+551187654321", "+5511987654321"), ("5219991234567", "+529991234567"),
])  # fmt: skip
def test_52_mexico_argentina_and_brazil_are_one_identity_in_both_forms(one, other):
    for channel in PHONES:
        assert number(one, channel) == number(other, channel) == Address(channel, other)


@pytest.mark.parametrize("value", [
    "+551134567890", "+551121234567", "+55119876543210", "+5511", "+52199912345678", "+521999123456", "+54911555566667",
    "+549115555666", "+5219991234x67", "+1521999123456",
])  # fmt: skip
def test_52_what_only_looks_alike_stays(value):
    """Landlines of Brazil, and numbers that have a digit more or less."""
    assert number(value).value == value


def test_53_a_number_without_its_plus_is_the_same():
    assert number("46701740605") == number("+46701740605") == Address("sms", "+46701740605")


def test_54_the_same_number_on_two_channels_is_two_addresses():
    assert number("+15550100001", "whatsapp") != number("+15550100001")


class TestMail:
    def test_case_is_no_other_mailbox(self):
        assert canonical(Address("email", "Ann@Example.ORG")) == Address("email", "ann@example.org")
        assert canonical(Address("email", "ann@example.\u212aom")).value == "ann@example.\u212aom"

    def test_a_plus_is_kept_unless_the_domain_is_named(self):
        ann = Address("email", "Ann+Shop+1@GMail.com")
        assert canonical(ann).value == "ann+shop+1@gmail.com"
        assert canonical(ann, {"gmail.com"}).value == "ann@gmail.com"
        assert canonical(ann, {"*"}).value == "ann@gmail.com"
        assert canonical(ann, {"mail.com"}).value == "ann+shop+1@gmail.com"

    @pytest.mark.parametrize("value", ["+@gmail.com", "+x@gmail.com", "a+b", "@gmail.com", "+", ""])
    def test_no_mailbox_loses_its_whole_name(self, value):
        assert canonical(Address("email", value), {"*"}).value == value


ADDRESSES = st.builds(
    Address, st.sampled_from([*sorted(PHONES), "email", "chat", "slack"]),
    st.text(max_size=30) | st.from_regex(r"\+?(52|54|55)?[0-9]{3,14}", fullmatch=True)
    | st.from_regex(r"[A-Za-z+.]{1,8}@[A-Za-z.]{1,8}", fullmatch=True),
    st.sampled_from(["", "US"]),
)  # fmt: skip


@given(ADDRESSES)
def test_canonical_is_canonical(address):
    for domains in ((), {"*"}):
        once = canonical(address, domains)
        assert canonical(once, domains) is once


@given(ADDRESSES)
def test_what_is_canonical_keeps_its_key(address):
    """Also the object itself: nothing that is stored moves, and nothing is made anew."""
    once = canonical(address)
    assert address_key("t", canonical(once)) == address_key("t", once)
    if address.channel in {"chat", "slack"}:
        assert once is address


def test_it_costs_next_to_nothing():
    address = Address("sms", "+15550100001")
    seconds = min(timeit.repeat(lambda: canonical(address), number=1_000, repeat=5)) / 1_000
    assert seconds < 20e-6


class TestReadPhone:
    @pytest.mark.parametrize(("text", "region", "value"), [
        ("0170 1234567", "DE", "+491701234567"), ("+49 (170) 123-4567", "", "+491701234567"),
        ("tel:+1-202-555-0101", "", "+12025550101"), ("１７０１２３４５６７", "DE", "+491701234567"),
        ("1-800-FLOWERS", "US", "+18003569377"), ("+5219991234567", "", "+529991234567"),
        ("0 11 15 5555 6666", "AR", "+541155556666"), ("(11) 8765-4321", "br", "+5511987654321"),
    ])  # fmt: skip
    def test_what_people_write_is_the_address_that_providers_give(self, text, region, value):
        assert read_phone(text, region=region) == Address("sms", value)

    def test_51_short_codes_and_names_are_no_numbers(self):
        assert read_phone("72345", region="US") == Address("sms", "72345", "US")
        assert read_phone("٧٢٣٤٥", region="US") == Address("sms", "72345", "US")
        assert read_phone("AcmeInc") == Address("sms", "AcmeInc")

    @pytest.mark.parametrize(("text", "region"), [
        ("", "US"), ("7000", ""), ("72345", ""), ("+999123456", ""), ("²³¹", "US"), ("hello world foo", "US"), ("5" * 65, "US"),
        ("+1 202 555 0101 ext. 5", ""), ("12", "DE"), ("0170 1234567", ""), ("0170 1234567", "XX"), ("+" * 64, ""),
        ("\ud800123456789", "US"),
    ])  # fmt: skip
    def test_what_is_none_is_told_at_once(self, text, region):
        with pytest.raises(errors.UsageError):
            read_phone(text, region=region)

    def test_it_is_for_numbers_alone(self):
        with pytest.raises(errors.UsageError):
            read_phone("+491701234567", channel="email")

    @given(st.text(max_size=70), st.sampled_from(["", "DE", "US", "BR"]))
    def test_it_reads_or_refuses(self, text, region):
        try:
            address = read_phone(text, region=region)
        except errors.UsageError:
            return
        assert canonical(address) is address

    def test_without_the_package_it_says_what_to_install(self, monkeypatch):
        monkeypatch.setitem(__import__("sys").modules, "phonenumbers", None)
        with pytest.raises(errors.ConfigurationError, match=r"ctxbridge\[phone\]"):
            phones.read_phone("+491701234567")
