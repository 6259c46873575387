"""The stored bytes of format 1: golden files that must be readable for ever."""

import json
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from ctxbridge import errors, wire
from ctxbridge.model import (
    Address,
    Assurance,
    Attachment,
    Choice,
    Choices,
    Consent,
    Contact,
    Decision,
    Delivery,
    Endpoint,
    Event,
    Floor,
    GuardResult,
    Head,
    Link,
    LinkClaim,
    Markup,
    Merge,
    Message,
    Opaque,
    Quote,
    Record,
    Status,
    Text,
    ToolCall,
    ToolResult,
)
from ctxbridge.wire import keys

GOLDEN = Path(__file__).with_name("golden")

ID = bytes(range(16))
PHONE = Address("sms", "+15550100001")
DECISION = Decision(
    "inbound", "modify", "modify", "pii.card",
    (GuardResult("opt_out", "1", "allow"), GuardResult("pii", "1", "modify", "pii.card", "ok", "enforce", 21)),
    bytes(16), bytes(range(16, 32)),
)  # fmt: skip
MESSAGE = Message(
    ID, "contact", "email",
    (Text("né 😀"), Quote("> earlier"), Attachment("image/png", "a.png", 12, "cid:1"),
     ToolCall("c1", "find", "{}"), ToolResult("c1", "[]"), Opaque("item", b"\x00\xff")),
    1_790_000_000_000, "modified", Address("email", "ann@example.org", "x"), Endpoint("email", "us@acme.example"),
    "<1@example.org>", 1_789_999_999_000, "<0@example.org>", "Re: order", Assurance.CHANNEL, DECISION.pack(),
    ("health",), ("auto",), ("<0@example.org>",),
)  # fmt: skip
LEAST = Message(ID, "agent", "sms", (), 0)
HEAD = Head(
    ID, 7, 3, 5, 1_790_000_060_000, 2, 8, bytes(range(1, 17)), bytes(range(25)),
    Floor.HUMAN, Status.IDLE, 2, 1, b"releases", bytes(range(2, 18)), b"ring of message ids",
)  # fmt: skip
CONTACT = Contact(
    ID,
    (Link(PHONE, Assurance.CHANNEL, "first seen", "channel", 1), Link(PHONE, Assurance.VERIFIED, "crm", "tenant", 2, 3)),
    (Consent("sms", "all", False, 4, "SM1"),),
)  # fmt: skip

DELIVERY = Delivery(
    ID, 5, "sent", 2, 1_790_000_000_000, 1_790_000_060_000, 3, True, bytes(range(8)), "SM4711", "30003",
    1_789_999_999_000, 1_790_600_000_000,
)  # fmt: skip

LINKING = LinkClaim(
    "acme", PHONE, Link(Address("email", "a@b"), Assurance.VERIFIED, "crm", "tenant", 2), ID, ID, 5
)

MERGE = Merge("acme", ID, bytes(range(1, 17)), 5, "ticket:1", "tenant", b"state", (3, 4))

VALUES = {
    "message_with_choices": (
        replace(LEAST, parts=(Text("Which?"), Choices((Choice("a", "Red"), Choice("b", "Blue"))), Choice("b", "Blue"))),
        wire.encode_entry, wire.decode_entry,
    ),
    "message": (MESSAGE, wire.encode_entry, wire.decode_entry),
    "message_least": (LEAST, wire.encode_entry, wire.decode_entry),
    "message_of_19_fields": (
        replace(MESSAGE, revises="<-1@example.org>"), wire.encode_entry, wire.decode_entry,
    ),
    "message_least_of_19_fields": (LEAST, wire.encode_entry, wire.decode_entry),
    "message_of_20_fields": (
        replace(MESSAGE, revises="<-1@example.org>", purpose="marketing"), wire.encode_entry, wire.decode_entry,
    ),
    "message_least_of_20_fields": (LEAST, wire.encode_entry, wire.decode_entry),
    "message_of_21_fields": (
        replace(MESSAGE, revises="<-1@example.org>", purpose="marketing", written_as="Ann@example.org"),
        wire.encode_entry, wire.decode_entry,
    ),
    "message_least_of_21_fields": (LEAST, wire.encode_entry, wire.decode_entry),
    "message_with_markup_of_21_fields": (
        replace(LEAST, parts=(Text("Hi"), Markup("slack", "*Hi*"))), wire.encode_entry, wire.decode_entry,
    ),
    "message_of_22_fields": (
        replace(MESSAGE, written_as="Ann@example.org", release="support@v12"),
        wire.encode_entry, wire.decode_entry,
    ),
    "message_least_of_22_fields": (LEAST, wire.encode_entry, wire.decode_entry),
    "event": (Event("link", 5, ID, (("a", "b"),)), wire.encode_entry, wire.decode_entry),
    "head": (HEAD, wire.encode_head, wire.decode_head),
    "head_least": (Head(ID), wire.encode_head, wire.decode_head),
    "contact": (CONTACT, wire.encode_contact, wire.decode_contact),
    "contact_whose_consent_has_8_fields": (
        Contact(ID, (), (Consent("sms", "all", False, 4, "SM1", "contact", "+1555", "+1556"),)),
        wire.encode_contact,
        wire.decode_contact,
    ),
    "delivery": (DELIVERY, wire.encode_delivery, wire.decode_delivery),
    "delivery_least": (Delivery(ID), wire.encode_delivery, wire.decode_delivery),
    "state": (wire.StateBytes(3, 2, b'{"a":1}'), wire.encode_state, wire.decode_state),
    "record": (Record(b"value", 4, 9), wire.encode_record, wire.decode_record),
    "forward": (wire.Forward(ID), wire.encode_forward, wire.decode_forward),
    "contact_whose_link_has_11_fields": (
        Contact(ID, (Link(PHONE, Assurance.VERIFIED, "crm", "tenant", 2, 3, 4, 5, 6, "thread", True),)),
        wire.encode_contact,
        wire.decode_contact,
    ),
    "contact_of_6_fields": (
        Contact(ID, (), (), 7, (bytes(range(1, 17)),), (bytes(range(2, 18)),)),
        wire.encode_contact,
        wire.decode_contact,
    ),
    "forward_being_merged": (
        wire.Forward(ID, wire.encode_merge(MERGE), merges=True),
        wire.encode_forward,
        wire.decode_forward,
    ),
    "merged": (
        wire.Merged(b"head", b"contact", None, b"ours", b"state", b"made", ((ID, b"inner"),)),
        wire.encode_merged,
        wire.decode_merged,
    ),
    "moving": (
        wire.Moving(
            ID, b"forward", (b"entry", b"head", b"contact", b""), ((b"m", b"1"),), ((b"d", b"2"),),
            ((b"n", b"3"),), ((5, b"x"),), ((6, b"y"),), 7, 8, b"pointer",
        ),
        wire.encode_moving,
        wire.decode_moving,
    ),
    "forward_being_made_of_11_fields": (
        wire.Forward(ID, wire.encode_link_claim(LINKING)),
        wire.encode_forward,
        wire.decode_forward,
    ),
    "forward_being_made": (
        wire.Forward(ID, wire.encode_link_claim(LINKING)),
        wire.encode_forward,
        wire.decode_forward,
    ),
}  # fmt: skip

SHORTER = {
    "message", "message_least", "message_of_19_fields", "message_least_of_19_fields", "message_of_20_fields",
    "message_least_of_20_fields", "message_of_21_fields", "message_least_of_21_fields",
    "message_with_markup_of_21_fields", "message_with_choices", "contact", "forward_being_made",
    "contact_whose_consent_has_8_fields", "contact_whose_link_has_11_fields",
}  # fmt: skip
"""Written before the array grew at its end: read for ever, and not written any more."""


def unpacked(value):
    """What is read: what is packed within it may have been packed with fewer fields."""
    if isinstance(value, wire.Forward) and value.journal:
        decode = wire.decode_merge if value.merges else wire.decode_link_claim
        return value.target, decode(value.journal)
    if not isinstance(value, Message):
        return value
    return replace(value, packed_decision=b""), value.decision


@pytest.mark.parametrize("name", VALUES)
def test_golden_bytes_are_written_and_read_as_ever(name):
    value, encode, decode = VALUES[name]
    golden = bytes.fromhex(json.loads((GOLDEN / "format1.json").read_text())[name])
    assert unpacked(decode(golden)) == unpacked(value)
    assert (encode(value) == golden) == (name not in SHORTER)


def test_the_journal_of_a_forward_comes_back():
    assert wire.decode_link_claim(wire.encode_link_claim(LINKING)) == LINKING
    by_id = replace(LINKING, contact=ID)
    assert wire.decode_link_claim(wire.encode_link_claim(by_id)) == by_id
    with pytest.raises(errors.CorruptRecord):
        wire.decode_link_claim(b"\x91" * 100_000)


@pytest.mark.parametrize("name", VALUES)
def test_the_first_byte_is_the_number_of_the_format(name):
    value, encode, decode = VALUES[name]
    data = encode(value)
    newest = wire.STATE_FORMAT if name == "state" else wire.FORMAT
    assert data[0] == wire.FORMAT
    with pytest.raises(errors.UnknownFormat, match="upgrade"):
        decode(bytes([newest + 1]) + data[1:])
    with pytest.raises(errors.CorruptRecord):
        decode(b"\x00" + data[1:])
    with pytest.raises(errors.CorruptRecord):
        decode(b"")


def test_the_head_reserves_what_later_releases_will_use():
    """storage.md A4: no stored byte has to change when these come into use."""
    assert wire.decode_head(wire.encode_head(HEAD)) == HEAD
    assert {"gate_epoch", "floor", "release", "consent", "assurance", "members", "waiting"} <= set(
        Head.__struct_fields__
    )


@given(st.binary(max_size=300), st.sampled_from(sorted(VALUES)))
def test_any_bytes_give_a_value_or_a_typed_error(noise, name):
    _, _, decode = VALUES[name]
    for data in (noise, b"\x01" + noise):
        try:
            decode(data)
        except errors.StoreError:
            continue


@given(st.data(), st.sampled_from(sorted(VALUES)))
def test_damaged_bytes_give_a_value_or_a_typed_error(data, name):
    value, encode, decode = VALUES[name]
    stored = bytearray(encode(value))
    for _ in range(data.draw(st.integers(1, 4))):
        stored[data.draw(st.integers(0, len(stored) - 1))] = data.draw(st.integers(0, 255))
    with suppress(errors.StoreError):
        decode(bytes(stored[: data.draw(st.integers(0, len(stored)))]))


def test_deep_nesting_is_damage_and_no_crash():
    with pytest.raises(errors.CorruptRecord):
        wire.decode_entry(b"\x01" + b"\x91" * 100_000)


class TestKeys:
    def test_lists_of_parts_that_join_alike_give_different_keys(self):
        assert keys.address_key("a", Address("b", "c")) != keys.address_key("ab", Address("", "c"))
        assert keys.record_key("t", "a:b", "c") != keys.record_key("t", "a", "b:c")
        assert keys.message_key("t", Endpoint("sms", "1"), "2") != keys.message_key(
            "t", Endpoint("sms", "12"), ""
        )

    def test_tenants_and_kinds_never_share_a_key(self):
        assert keys.address_key("t", PHONE) != keys.address_key("u", PHONE)
        assert keys.contact_key("t", ID) != keys.contact_key("u", ID)
        assert keys.record_key("t", "sms", "x") != keys.address_key("t", Address("sms", "x"))

    def test_the_id_of_a_provider_belongs_to_its_tenant_and_endpoint(self):
        names = [("t", Endpoint("sms", "1"), "2"), ("u", Endpoint("sms", "1"), "2"),
                 ("t", Endpoint("sms", "12"), ""), ("t", Endpoint("", ""), "2"), ("t", None, "2"),
                 ("t", None, "sms12")]  # fmt: skip
        assert len({keys.provider_key(*name) for name in names}) == len(names)
        assert keys.message_key(*names[0]) != keys.provider_key(*names[0])
        assert keys.tenant_key("t") != keys.tenant_key("u")
        assert len(keys.tenant_key("t")) == len(keys.provider_key(*names[0])) == 16

    def test_keys_hold_nothing_of_what_they_stand_for(self):
        key = keys.address_key("acme", Address("sms", "+15550100001\ud800" + "x" * 100_000))
        assert len(key) == 16
