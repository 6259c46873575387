"""WhatsApp's Cloud API: greetings, signatures and updates."""

import hashlib
import hmac
import json
import time

import pytest
from tests.channels.fixtures import fixture, message_of, only, reason, with_body

from ctxbridge.channels import WhatsApp
from ctxbridge.errors import ConfigurationError
from ctxbridge.model import (
    Address,
    Assurance,
    Attachment,
    Choice,
    Endpoint,
    HttpReply,
    Inbound,
    Notice,
    Opaque,
    Parsed,
    RawRequest,
    Receipt,
    Text,
    Verification,
)
from ctxbridge.ports import Greeted

VERIFIED = Verification("verified", binds_body=True)
SECRET, TOKEN = "app secret", "verify me"
ACCOUNT, LINE, PHONE, BSUID = "102290129340398", "106540352242922", "16505551234", "US.13491208655"
ANN = Address("whatsapp", "+16505551234")
SCOPED = Address("whatsapp", BSUID, ACCOUNT)
KEY = "0a" * 16


def update(*values: dict[str, object], field: str = "messages", account: str = ACCOUNT) -> dict:
    known = {"messaging_product": "whatsapp", "metadata": {"phone_number_id": LINE}}
    changes = [{"value": known | value, "field": field} for value in values]
    return {"object": "whatsapp_business_account", "entry": [{"id": account, "changes": changes}]}


def message(**more: object) -> dict[str, object]:
    written = {"from": PHONE, "id": "wamid.A", "timestamp": "1749416383", "type": "text"}
    return written | {"text": {"body": "Where is it?"}} | more


def parse(body: object, verification: Verification = VERIFIED) -> Parsed:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return WhatsApp().parse(with_body(raw), verification)


def read(**more: object) -> Inbound:
    return message_of(parse(update({"messages": [message(**more)]})))


def told(**more: object) -> Notice:
    return only(parse(update({"messages": [message(**more)]})), Notice)


def status(**more: object) -> Receipt:
    given = {"id": "wamid.B", "status": "sent", "timestamp": "1749416383", "recipient_id": PHONE}
    return only(parse(update({"statuses": [given | more]})), Receipt)


class TestGreeting:
    def ask(self, query: str, method: str = "GET", **settings: object) -> HttpReply | None:
        channel: Greeted = WhatsApp(**({"verify_token": TOKEN} | settings))
        return channel.handshake(RawRequest(b"", (), method, f"https://x.org/hook?{query}"))

    def test_the_challenge_is_given_back_as_plain_text(self) -> None:
        reply = self.ask("hub.mode=subscribe&hub.verify_token=verify+me&hub.challenge=1158201444")
        assert reply == HttpReply(200, b"1158201444", "text/plain; charset=utf-8")

    @pytest.mark.parametrize(
        "query",
        [
            "hub.mode=subscribe&hub.verify_token=other&hub.challenge=1",
            "hub.mode=subscribe&hub.verify_token=&hub.challenge=1",
            "hub.mode=subscribe&hub.challenge=1",
            "hub.mode=subscribe&hub.verify_token=%ff%ed%a0%80&hub.challenge=1",
        ],
    )
    def test_another_token_is_refused(self, query: str) -> None:
        assert self.ask(query).status == 403

    def test_without_a_token_of_ours_nobody_is_greeted(self) -> None:
        for given in ("", "None", "x"):
            query = f"hub.mode=subscribe&hub.verify_token={given}&hub.challenge=1"
            assert self.ask(query, verify_token=None).status == 403

    @pytest.mark.parametrize("challenge", ["", "%0d%0aX: y", "%3Cscript%3E a", "1" * 257, "%ff"])
    def test_a_challenge_that_is_none_is_not_given_back(self, challenge: str) -> None:
        query = f"hub.mode=subscribe&hub.verify_token=verify+me&hub.challenge={challenge}"
        assert self.ask(query).status == 400

    @pytest.mark.parametrize(
        ("query", "method"),
        [("", "GET"), ("hub.mode=unsubscribe", "GET"), ("x" * 3_000, "GET"),
         ("hub.mode=subscribe&hub.verify_token=verify+me&hub.challenge=1", "POST")],
    )  # fmt: skip
    def test_what_is_no_greeting_is_none(self, query: str, method: str) -> None:
        assert self.ask(query, method) is None

    def test_24_an_empty_token_refuses_to_start(self) -> None:
        with pytest.raises(ConfigurationError, match="verify_token"):
            WhatsApp(SECRET, verify_token="")


class TestSignature:
    BODY = json.dumps(update({"messages": [message(text={"body": "né 😀"})]})).encode()

    def sign(self, body: bytes, secret: str = SECRET) -> str:
        return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()

    def request(self, body: bytes, *signatures: str) -> RawRequest:
        return RawRequest(body, tuple([("X-Hub-Signature-256", s) for s in signatures]))

    def status(self, body: bytes, *signatures: str) -> str:
        return WhatsApp(SECRET).verify(self.request(body, *signatures)).status

    def test_1_a_signature_over_the_body_is_verified(self) -> None:
        found = WhatsApp(SECRET).verify(self.request(self.BODY, self.sign(self.BODY)))
        assert found == Verification("verified", "meta.sha256", binds_body=True, key=0)

    def test_2_any_byte_flipped_in_body_or_signature_fails(self) -> None:
        good = self.sign(self.BODY)
        for at in range(len(self.BODY)):
            flipped = self.BODY[:at] + bytes([self.BODY[at] ^ 1]) + self.BODY[at + 1 :]
            assert self.status(flipped, good) == "failed"
        for at in range(len(good)):
            flip = good[:at] + chr(ord(good[at]) ^ 1) + good[at + 1 :]
            assert self.status(self.BODY, flip) == "failed"

    @pytest.mark.parametrize(
        "given", ["", "sha256=", "é", "sha1=" + "0" * 40, "sha256=" + "g" * 64]
    )
    def test_4_a_signature_that_is_none_fails(self, given: str) -> None:
        assert self.status(self.BODY, given) == "failed"

    def test_4_a_missing_or_repeated_signature_fails(self) -> None:
        good = self.sign(self.BODY)
        assert self.status(self.BODY) == self.status(self.BODY, good, good) == "failed"

    def test_8_while_a_secret_is_replaced_both_are_good(self) -> None:
        channel = WhatsApp(["new", "old"])
        requests = [self.request(self.BODY, self.sign(self.BODY, s)) for s in ("new", "old", "x")]
        assert [channel.verify(request).key for request in requests] == [0, 1, -1]

    def test_17_escapes_are_verified_as_bytes_and_a_body_written_anew_fails(self) -> None:
        assert rb"\u00e9" in self.BODY
        anew = json.dumps(json.loads(self.BODY), ensure_ascii=False).encode()
        compact = json.dumps(json.loads(self.BODY), separators=(",", ":")).encode()
        assert parse(anew) == parse(compact) == parse(self.BODY)
        good = self.sign(self.BODY)
        found = [self.status(body, good) for body in (self.BODY, anew, compact)]
        assert found == ["verified", "failed", "failed"]

    def test_a_body_over_three_megabytes_is_refused(self) -> None:
        body = b"x" * (3 * 2**20 + 1)
        assert self.status(body, self.sign(body)) == "failed"

    def test_without_a_secret_a_request_is_unsigned(self) -> None:
        assert WhatsApp().verify(self.request(self.BODY)).status == "unsigned"


class TestMessages:
    def test_a_text_becomes_a_message(self) -> None:
        found = read()
        assert found.parts == (Text("Where is it?"),)
        assert (found.sender, found.endpoint) == (ANN, Endpoint("whatsapp", LINE))
        assert found.thread == f"{LINE}/+{PHONE}"
        assert found.occurred_at == 1_749_416_383_000
        assert (found.assurance, found.flags) == (Assurance.CHANNEL, ())
        unsigned = parse(update({"messages": [message()]}), Verification("unsigned"))
        assert message_of(unsigned).assurance == Assurance.CLAIMED

    @pytest.mark.parametrize(
        ("more", "parts"),
        [
            ({"type": "button", "button": {"payload": "P", "text": "Yes"}}, (Text("Yes"), Choice("P", "Yes"))),
            ({"type": "interactive", "interactive": {"type": "button_reply", "button_reply": {"id": "1", "title": "Yes"}}},
             (Text("Yes"), Choice("1", "Yes"))),
            ({"type": "interactive", "interactive": {"type": "list_reply", "list_reply": {"id": "1", "title": "Yes"}}},
             (Text("Yes"), Choice("1", "Yes"))),
            ({"type": "image", "image": {"id": "65", "mime_type": "image/jpeg", "caption": "Look"}},
             (Text("Look"), Attachment("image/jpeg", where="https://graph.facebook.com/65"))),
            ({"type": "audio", "audio": {"id": "65", "mime_type": "audio/ogg; codecs=opus"}},
             (Attachment("audio/ogg", where="https://graph.facebook.com/65"),)),
            ({"type": "document", "document": {"id": "65", "filename": "a.pdf", "mime_type": "application/pdf"}},
             (Attachment("application/pdf", "a.pdf", where="https://graph.facebook.com/65"),)),
            ({"type": "location", "location": {"latitude": 1}}, (Opaque("whatsapp.location", b'{"latitude": 1}'),)),
        ],
    )  # fmt: skip
    def test_76_each_type_has_its_parts(self, more: dict, parts: tuple[object, ...]) -> None:
        """Acceptance 76: a button without a context too."""
        assert read(**more).parts == parts

    @pytest.mark.parametrize(
        "id", ["", "../me", "65?fields=x", "65/x", "me@x.org", "6 5", "x" * 129]
    )
    def test_no_id_of_a_file_leads_elsewhere(self, id: str) -> None:
        more = {"type": "image", "image": {"id": id, "caption": "Look"}}
        parsed = parse(update({"messages": [message(**more)]}))
        assert parsed.events[0].parts == (Text("Look"),)
        assert len(parsed.errors) == 1

    @pytest.mark.parametrize(
        ("context", "references", "flags"),
        [
            ({"from": "1", "id": "wamid.Q"}, ("wamid.Q",), ()),
            ({"forwarded": True}, (), ("forwarded",)),
            ({"frequently_forwarded": True}, (), ("forwarded",)),
            (None, (), ()),
        ],
    )
    def test_what_it_answers_and_whether_it_is_forwarded(
        self, context: object, references: tuple[str, ...], flags: tuple[str, ...]
    ) -> None:
        found = read(context=context)
        assert (found.references, found.flags) == (references, flags)

    @pytest.mark.parametrize(
        "more",
        [
            {"type": "unsupported", "errors": [{"code": 131051}]},
            {"type": "of next year", "text": None},
            {"type": "interactive"},
            {"type": "text", "text": "no object"},
        ],
    )
    def test_76_what_is_not_read_is_kept_and_flagged(self, more: dict[str, object]) -> None:
        found = read(**more)
        (kept,) = found.parts
        assert isinstance(kept, Opaque)
        assert found.flags == ("unsupported",)

    @pytest.mark.parametrize(
        ("reaction", "kind", "value"),
        [
            ({"message_id": "wamid.Q", "emoji": "👍"}, "reaction", "👍"),
            ({"message_id": "wamid.Q", "emoji": ""}, "reaction_removed", ""),
            ({"message_id": "wamid.Q"}, "reaction_removed", ""),
            ({"message_id": "wamid.Q", "emoji": None}, "reaction_removed", ""),
        ],
    )
    def test_76_a_reaction_and_both_forms_of_its_removal(
        self, reaction: object, kind: str, value: str
    ) -> None:
        notice = told(type="reaction", reaction=reaction)
        assert (notice.kind, notice.value, notice.about) == (kind, value, "wamid.Q")
        assert (notice.sender, notice.event_id) == (ANN, "wamid.A")

    def test_76_an_edit_takes_the_place_of_its_original_and_a_revoke_leaves_nothing(self) -> None:
        nested = {"type": "text", "text": {"body": "There"}}
        edit = read(type="edit", edit={"original_message_id": "wamid.O", "message": nested})
        assert (edit.revises, edit.parts, edit.flags) == ("wamid.O", (Text("There"),), ())
        revoke = read(type="revoke", revoke={"original_message_id": "wamid.O"})
        assert (revoke.revises, revoke.parts, revoke.flags) == ("wamid.O", (), ())

    @pytest.mark.parametrize(
        "more",
        [
            {"type": "edit", "edit": {"message": {}}},
            {"type": "revoke", "revoke": {"original_message_id": ""}},
            {"type": "reaction", "reaction": 5},
        ],
    )
    def test_what_is_about_no_message_is_malformed_and_no_message(self, more: dict) -> None:
        assert reason(parse(update({"messages": [message(**more)]}))).startswith("Malformed")

    def test_a_text_is_not_lost_for_what_stands_beside_it(self) -> None:
        odd = {
            "context": 5,
            "reaction": [],
            "system": "x",
            "edit": 1,
            "revoke": {"original_message_id": "o"},
        }
        found = read(**odd)
        assert (found.text, found.revises) == ("Where is it?", "")

    def test_an_edit_that_empties_or_cannot_be_read_is_no_deletion_unseen(self) -> None:
        for nested in (5, {"type": "text", "text": {"body": ""}}, {"type": "image", "image": {}}):
            edit = {"original_message_id": "wamid.O", "message": nested}
            parsed = parse(update({"messages": [message(type="edit", edit=edit)]}))
            assert reason(parsed).startswith("Malformed")

    def test_a_member_of_a_group_writes_in_its_thread(self) -> None:
        found = read(group_id="G1")
        assert (found.sender, found.thread) == (ANN, f"{LINE}/G1")

    def test_79_what_our_own_people_wrote_by_app_is_flagged(self) -> None:
        echo = message(to=PHONE, **{"from": "15550783881"})
        body = update({"message_echoes": [echo]}, field="smb_message_echoes")
        found = message_of(parse(body))
        assert (found.sender, found.flags, found.text) == (ANN, ("self",), "Where is it?")

    def test_55_nul_surrogates_and_direction_marks_are_stored_safely(self) -> None:
        raw = json.dumps(update({"messages": [message(text={"body": "MARK"})]})).encode()
        found = message_of(parse(raw.replace(b"MARK", rb"a\u0000b\ud800c\u202e\ud83d\ude00")))
        assert found.text == "a\ufffdb\ufffdc\u202e😀"


class TestIdentities:
    def test_77_without_a_phone_the_business_scoped_id_is_the_identity(self) -> None:
        found = read(**{"from": "", "from_user_id": BSUID})
        assert found.sender == SCOPED
        elsewhere = update(
            {"messages": [message(**{"from": "", "from_user_id": BSUID})]}, account="9"
        )
        assert message_of(parse(elsewhere)).sender == Address("whatsapp", BSUID, "9")

    def test_77_a_phone_beside_it_proposes_that_both_are_one_person_once(self) -> None:
        bodies = [
            update({"messages": [message(id=i, from_user_id=BSUID)]})
            for i in ("wamid.1", "wamid.2")
        ]
        found = [parse(body).events for body in bodies]
        assert [(e[0].sender, e[1].kind, e[1].sender, e[1].other) for e in found] == [
            (ANN, "same", ANN, SCOPED)
        ] * 2
        assert found[0][1] == found[1][1]  # so it is written down once

    def test_77_a_rotated_id_has_moved(self) -> None:
        change = {
            "user_id": {"previous": BSUID, "current": "US.2"},
            "wa_id": PHONE,
            "timestamp": 1749416383,
        }
        for form in (change, [change]):
            notice = only(parse(update({"user_id_update": form}, field="user_id_update")), Notice)
            assert (notice.kind, notice.sender) == ("moved", SCOPED)
            assert notice.other == Address("whatsapp", "US.2", ACCOUNT)
            assert notice.occurred_at == 1_749_416_383_000

    @pytest.mark.parametrize(
        ("more", "old", "new"),
        [
            ({"system": {"type": "user_changed_number", "wa_id": "12195555358"}}, ANN, Address("whatsapp", "+12195555358")),
            ({"from": "", "system": {"type": "user_changed_user_id", "user_id": "MX.2", "previous_user_id": BSUID}},
             SCOPED, Address("whatsapp", "MX.2", ACCOUNT)),
        ],
    )  # fmt: skip
    def test_77_a_number_or_an_id_that_changed_has_moved(
        self, more: dict, old: Address, new: Address
    ) -> None:
        notice = told(type="system", **more)
        assert (notice.kind, notice.sender, notice.other) == ("moved", old, new)

    def test_a_security_code_that_changed_moves_nobody(self) -> None:
        system = {"type": "customer_identity_changed", "body": "x"}
        notice = told(type="system", system=system, identity={"hash": "x"})
        assert (notice.kind, notice.value) == ("unsupported", "customer_identity_changed")

    def test_a_wish_of_another_kind_is_not_taken_for_one_about_marketing(self) -> None:
        given = {"wa_id": PHONE, "category": "of next year", "value": "stop"}
        assert reason(parse(update({"user_preferences": [given]}))).startswith("Malformed")

    @pytest.mark.parametrize(("value", "flag"), [("stop", "stop"), ("resume", "start")])
    def test_marketing_that_was_stopped_in_the_settings_is_a_wish(
        self, value: str, flag: str
    ) -> None:
        given = {
            "wa_id": PHONE,
            "category": "marketing_messages",
            "value": value,
            "timestamp": 1731705721,
        }
        body = update({"user_preferences": [given]}, field="user_preferences")
        found = message_of(parse(body))
        assert found.flags == (f"opt_out.{flag}.marketing",)
        assert (found.sender, found.parts, found.occurred_at) == (ANN, (), 1_731_705_721_000)
        assert found == message_of(parse(body))


class TestStatuses:
    @pytest.mark.parametrize(
        ("said", "meaning"),
        [("sent", "sent"), ("delivered", "delivered"), ("read", "read"), ("played", "read"),
         ("failed", "failed"), ("teleported", "unknown")],
    )  # fmt: skip
    def test_32_a_status_becomes_a_receipt(self, said: str, meaning: str) -> None:
        receipt = status(status=said, biz_opaque_callback_data=KEY)
        assert (receipt.status, receipt.provider_status, receipt.delivery) == (meaning, said, KEY)
        assert (receipt.recipient, receipt.endpoint) == (ANN, Endpoint("whatsapp", LINE))
        assert receipt.occurred_at == 1_749_416_383_000

    def test_84_the_code_says_that_the_window_has_closed(self) -> None:
        receipt = status(status="failed", errors=[{"code": 131047, "title": "x"}])
        assert (receipt.status, receipt.error_code) == ("failed", "131047")

    def test_a_recipient_without_a_phone_and_a_member_of_a_group(self) -> None:
        assert status(recipient_id="", recipient_user_id=BSUID).recipient == SCOPED
        in_group = {"recipient_id": "G1", "recipient_type": "group"}
        assert status(**in_group, recipient_participant_id=PHONE).recipient == ANN
        assert status(**in_group, recipient_participant_user_id=BSUID).recipient == SCOPED

    def test_what_is_no_metadata_of_ours_is_no_delivery(self) -> None:
        assert status(biz_opaque_callback_data="some data").delivery == ""


class TestBatches:
    def test_39_two_entries_with_two_changes_of_messages_and_statuses(self) -> None:
        def value(n: int) -> dict[str, object]:
            given = {"id": f"wamid.S{n}", "status": "sent", "recipient_id": PHONE}
            return {"messages": [message(id=f"wamid.M{n}")], "statuses": [given]}

        body = update(value(1), value(2))
        body["entry"] += update(value(3), value(4), account="9")["entry"]
        parsed = parse(body)
        assert parsed.errors == ()
        assert [e.message_id for e in parsed.events] == [
            f"wamid.{kind}{n}" for n in (1, 2, 3, 4) for kind in "MS"
        ]

    def test_39_one_bad_item_does_not_lose_the_rest(self) -> None:
        bad = {
            "messages": [message(id="wamid.1"), {"id": 5}, 7, message(id="wamid.2")],
            "statuses": [{}],
        }
        body = update(bad, {"messages": "none"}, {"messages": [message(id="wamid.3")]})
        body["entry"] += [5, {"id": "x", "changes": [None]}]
        parsed = parse(body)
        assert [e.message_id for e in parsed.events] == ["wamid.1", "wamid.2", "wamid.3"]
        assert len(parsed.errors) == 6
        assert WhatsApp().reply(parsed).status == 200

    @pytest.mark.parametrize(
        "body",
        [b"", b"{}", b"[]", b"\xff", b"{", b'{"entry":5}', b'{"entry":[]}', b'{"entry":[{}]}',
         b'{"entry":' + b"[" * 100_000, update({"messages": [message(id="")]}),
         update({"messages": [message(**{"from": ""})]}), b"x" * (3 * 2**20 + 1)],
    )  # fmt: skip
    def test_what_is_no_update_is_malformed_and_answered_200(self, body: object) -> None:
        parsed = parse(body)
        assert reason(parsed).startswith("Malformed")
        assert PHONE not in reason(parsed)
        assert WhatsApp().reply(parsed).status == 200

    def test_39_a_thousand_messages_in_as_many_entries_are_read_and_a_flood_is_cut(self) -> None:
        def body(count: int) -> dict:
            return update(*[{"messages": [message(id=f"wamid.{n}")]} for n in range(count)])

        parsed = parse(body(1_000))
        assert (len(parsed.events), parsed.errors) == (1_000, ())
        flood = parse(body(1_300))
        assert (len(flood.events), len(flood.errors)) == (1_200, 1)

    @pytest.mark.parametrize(
        ("before", "item", "after"),
        [
            (b'{"entry":[', b"{}", b"]}"),
            (b'{"entry":[', b"5", b"]}"),
            (b'{"entry":[{"changes":[', b"{}", b"]}]}"),
            (b'{"entry":[{"changes":[{"value":{"messages":[', b'{"id":null}', b"]}}]}]}"),
            (b'{"entry":[{"changes":[{"value":{"statuses":[', b"{}", b"]}}]}]}"),
            (b'{"entry":[{"x":[', rb'"\ud800"', b"]}]}"),
            (b'{"entry":[{"x":"', rb"\ud800" * 100, b'"}]}'),
        ],
    )
    @pytest.mark.parametrize("size", [40_000, 250_000, 3_000_000])
    def test_3_a_hostile_body_takes_no_longer_than_fifty_milliseconds(
        self, before: bytes, item: bytes, after: bytes, size: int
    ) -> None:
        body = before + b",".join([item] * (size // (len(item) + 1))) + after

        def seconds() -> float:
            start = time.process_time()
            parse(body)
            return time.process_time() - start

        assert min(seconds() for _ in range(3)) < 0.05

    @pytest.mark.parametrize("field", ["message_template_status_update", "account_update", "calls"])
    def test_fields_that_no_one_reads_yet_are_named(self, field: str) -> None:
        notice = only(parse(update({"event": "x"}, field=field)), Notice)
        assert (notice.kind, notice.value) == ("unsupported", field)

    def test_a_forgery_is_answered_401(self) -> None:
        forged = parse(update({}), Verification("failed", reason="for this test"))
        assert WhatsApp().reply(forged).status == 401


@pytest.mark.parametrize(
    "name",
    ["message", "message_status", "callback_button", "callback_selection", "outgoing_message"],
)
def test_captured_updates_are_read(name: str) -> None:
    captured = json.loads(fixture(f"webhooks/whatsapp/{name}.json").read_text())
    assert captured
    for case, body in captured.items():
        parsed = parse(body)
        assert parsed.errors == (), case
        kinds = {type(event) for event in parsed.events if getattr(event, "kind", "") != "same"}
        expected = {Receipt} if name == "message_status" else {Inbound}
        assert kinds == ({Notice} if "reaction" in case else expected), case
        for event in parsed.events:
            own = isinstance(event, Inbound) and "self" in event.flags
            assert own == (name == "outgoing_message"), case
