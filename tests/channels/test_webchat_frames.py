"""The frames of the web chat besides messages: what each of them comes to, by HTTP too."""

import json

import pytest
from tests.channels.fixtures import NOW, message_of, only, reason

from ctxbridge.channels import WebChat
from ctxbridge.model import (
    Address,
    Assurance,
    Endpoint,
    Inbound,
    Notice,
    Parsed,
    RawRequest,
    Receipt,
    Text,
)

CHAT = WebChat("s" * 32, app="shop")
ANN = Address("chat", "ann:1")
SHOP = Endpoint("chat", "shop")


def told(frame: dict[str, object]) -> Parsed:
    token = CHAT.token("ann:1", now=NOW)
    headers = (("Authorization", f"Bearer {token}"),)
    request = RawRequest(json.dumps(frame).encode(), headers, received_at=NOW)
    return CHAT.parse(request, CHAT.verify(request))


def test_75_an_edit_revises_the_message_that_the_page_names() -> None:
    edit = message_of(told({"type": "edit", "client_msg_id": "m2", "of": "m1", "text": "Hello!"}))
    assert (edit.message_id, edit.revises) == ("ann%3A1:m2", "ann%3A1:m1")
    assert (edit.parts, edit.sender, edit.assurance) == ((Text("Hello!"),), ANN, Assurance.CHANNEL)


def test_75_a_deletion_is_a_revision_without_parts() -> None:
    deletion = message_of(told({"type": "delete", "client_msg_id": "m3", "of": "m1", "text": "x"}))
    assert (deletion.revises, deletion.parts) == ("ann%3A1:m1", ())


def test_nobody_can_name_the_message_of_another() -> None:
    """Of whatever it says, the subject of the token comes before it."""
    for of in ("bob:m1", "../bob:m1", "ann%3A1:m1"):
        edit = told({"type": "edit", "client_msg_id": "m2", "of": of, "text": "x"})
        assert message_of(edit).revises == f"ann%3A1:{of}"


@pytest.mark.parametrize(
    ("frame", "kind", "about"),
    [
        ({"seq": 12, "value": "👍"}, "reaction", "12"),
        ({"seq": 12, "value": "👍", "on": False}, "reaction_removed", "12"),
        ({"of": "m1", "value": "heart"}, "reaction", "ann%3A1:m1"),
    ],
)
def test_a_reaction_is_a_notice(frame: dict[str, object], kind: str, about: str) -> None:
    notice = only(told({"type": "reaction", "client_msg_id": "r1", "sent_at": 5} | frame), Notice)
    assert (notice.kind, notice.about, notice.value) == (kind, about, frame["value"])
    assert (notice.sender, notice.event_id, notice.occurred_at) == (ANN, "ann%3A1:r1", 5)


def test_83_typing_and_receipts_never_become_turns() -> None:
    typing = only(told({"type": "typing"}), Notice)
    assert (typing.kind, typing.value, typing.sender) == ("typing", "on", ANN)
    for kind, status in (("ack", "delivered"), ("read", "read")):
        receipt = only(told({"type": kind, "seq": 12}), Receipt)
        assert receipt == Receipt("chat", SHOP, "12", status, ANN, provider="webchat")
    assert not any(
        isinstance(e, Inbound)
        for t in ("typing", "ack")
        for e in told({"type": t, "seq": 1}).events
    )


def test_what_is_no_message_is_answered_with_a_plain_acknowledgement() -> None:
    reply = CHAT.reply(told({"type": "typing"}))
    assert (reply.status, json.loads(reply.body)) == (200, {"type": "ack"})


@pytest.mark.parametrize(
    "frame",
    [
        {"type": "edit", "client_msg_id": "m2", "text": "x"},
        {"type": "edit", "client_msg_id": "m2", "of": "m1"},
        {"type": "edit", "of": "m1", "text": "x"},
        {"type": "delete", "client_msg_id": "m2"},
        {"type": "delete", "of": "m1"},
        {"type": "delete", "client_msg_id": "m2", "of": "a\nb"},
        {"type": "reaction", "client_msg_id": "r", "seq": 1},
        {"type": "reaction", "client_msg_id": "r", "value": "x"},
        {"type": "reaction", "client_msg_id": "r", "value": "x" * 33, "seq": 1},
        {"type": "reaction", "client_msg_id": "r", "value": "x", "seq": 1, "of": "m1"},
        {"type": "reaction", "value": "x", "seq": 1},
        {"type": "ack"},
        {"type": "read", "seq": 0},
        {"type": "read", "seq": -1},
        {"type": "read", "seq": 2**41},
        {"type": "read", "seq": "1"},
        {"type": "typing", "on": "yes"},
        {"type": "ping"},
    ],
)
def test_a_frame_that_says_nothing_is_malformed(frame: dict[str, object]) -> None:
    assert reason(told(frame)).startswith("Malformed")
