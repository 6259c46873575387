"""Slack: events, commands, interactions. The signer is slack_sdk's own verifier."""

import json
import time
from urllib.parse import urlencode

import pytest
from slack_sdk.signature import SignatureVerifier
from tests.channels.fixtures import NOW, fixture, message_of, only, reason

from ctxbridge import Bridge
from ctxbridge.channels import Slack
from ctxbridge.channels.slack.text import escaped, plain
from ctxbridge.model import (
    Address,
    Assurance,
    Attachment,
    Choice,
    Endpoint,
    Inbound,
    Notice,
    Parsed,
    RawRequest,
    Text,
    Verification,
)

SECRET = "8f742231b10e8888abcd99yyyzzz85a5"
STAMP = str(NOW // 1000)
MESSAGE = {
    "type": "message", "channel": "C1", "user": "U1", "text": "Hello", "ts": "1779999999.000200",
    "channel_type": "channel", "event_ts": "1779999999.000200",
}  # fmt: skip
CALLBACK = {
    "type": "event_callback", "team_id": "T1", "api_app_id": "A1", "event_id": "Ev1",
    "event_time": 1779999999, "event": MESSAGE,
    "authorizations": [{"team_id": "T1", "user_id": "UBOT", "is_bot": True}],
}  # fmt: skip
ANN = Address("slack", "U1", "T1")


def signed(body: bytes, stamp: str = STAMP, secret: str = SECRET, **fields: object) -> RawRequest:
    signature = SignatureVerifier(secret).generate_signature(timestamp=stamp, body=body)
    headers = (("X-Slack-Request-Timestamp", stamp), ("X-Slack-Signature", signature))
    return RawRequest(body, headers, received_at=NOW, **fields)


def both(body: bytes | dict[str, object], channel: Slack | None = None) -> Parsed:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    channel = channel or Slack(SECRET)
    request = signed(data)
    return channel.parse(request, channel.verify(request))


def event(**fields: object) -> Parsed:
    return both(CALLBACK | {"event": MESSAGE | fields})


def form(**fields: object) -> bytes:
    return urlencode(fields).encode()


def payload(**fields: object) -> Parsed:
    return both(form(payload=json.dumps(fields)))


def captured(name: str) -> dict[str, object]:
    return json.loads(next(fixture("webhooks/slack").glob(name + "*")).read_text())


class TestTheSignature:
    def test_1_the_published_vector_is_verified(self) -> None:
        vectors = json.loads(fixture("signatures/vectors.json").read_text())
        (vector,) = [v for v in vectors if v["provider"] == "slack"]
        request = RawRequest(
            vector["body"].encode(),
            (
                ("x-slack-request-timestamp", vector["timestamp"]),
                ("x-slack-signature", vector["signature"]),
            ),
            received_at=vector["now"] * 1000,
        )
        verified = Slack(vector["secret"]).verify(request)
        assert verified == Verification("verified", "slack.v0", binds_body=True, key=0)

    def test_1_what_the_sdk_signs_is_verified_and_what_we_refuse_it_refuses(self) -> None:
        body = json.dumps(CALLBACK).encode()
        assert Slack(SECRET).verify(signed(body)).status == "verified"
        assert Slack("other").verify(signed(body)).status == "failed"

    def test_2_any_byte_changed_fails(self) -> None:
        good = signed(b'{"type":"event_callback"}')
        for at in range(len(good.body)):
            body = good.body[:at] + bytes([good.body[at] ^ 1]) + good.body[at + 1 :]
            changed = RawRequest(body, good.headers, received_at=NOW)
            assert Slack(SECRET).verify(changed).status == "failed"
        (stamp, signature) = good.headers
        for at in range(len(signature[1])):
            other = (
                signature[1][:at]
                + ("0" if signature[1][at] != "0" else "1")
                + signature[1][at + 1 :]
            )
            headers = (stamp, (signature[0], other))
            assert (
                Slack(SECRET).verify(RawRequest(good.body, headers, received_at=NOW)).status
                == "failed"
            )
        headers = (("X-Slack-Request-Timestamp", str(NOW // 1000 + 1)), signature)
        assert (
            Slack(SECRET).verify(RawRequest(good.body, headers, received_at=NOW)).status == "failed"
        )

    @pytest.mark.parametrize(
        "signature", ["", "v0=", "v1=" + "0" * 64, "é" * 67, "v0=" + "A" * 64, "v0=" + "0" * 63, None, "\ud800", "v0=" + "0" * 64 + "\n"]
    )  # fmt: skip
    def test_4_what_is_no_signature_fails(self, signature: str | None) -> None:
        headers = [("X-Slack-Request-Timestamp", STAMP)]
        headers += [("X-Slack-Signature", signature)] if signature is not None else []
        request = RawRequest(b"{}", tuple(headers), received_at=NOW)
        assert Slack(SECRET).verify(request).status == "failed"

    def test_4_a_repeated_header_fails_even_if_both_are_right(self) -> None:
        good = signed(b"{}")
        for header in good.headers:
            twice = RawRequest(b"{}", (*good.headers, header), received_at=NOW)
            assert Slack(SECRET).verify(twice).status == "failed"

    @pytest.mark.parametrize(
        "stamp", ["", "soon", "-1", "1" * 31, STAMP + ".0", " " + STAMP, STAMP + "\n", "٣" * 10, "1e9"]
    )  # fmt: skip
    def test_5_what_is_no_time_fails(self, stamp: str) -> None:
        assert Slack(SECRET).verify(signed(b"{}", stamp)).status == "failed"

    @pytest.mark.parametrize(
        ("seconds", "status"),
        [(-301, "failed"), (-300, "verified"), (0, "verified"), (300, "verified"), (301, "failed")],
    )
    def test_6_a_signature_is_good_for_five_minutes_either_way(
        self, seconds: int, status: str
    ) -> None:
        stamp = str(NOW // 1000 + seconds)
        assert Slack(SECRET).verify(signed(b"{}", stamp)).status == status

    def test_6_the_window_can_be_set_and_the_time_must_be_known(self) -> None:
        old = signed(b"{}", str(NOW // 1000 - 301))
        assert Slack(SECRET, leeway_seconds=301).verify(old).status == "verified"
        timeless = RawRequest(b"{}", signed(b"{}").headers)
        assert Slack(SECRET).verify(timeless).status == "failed"

    def test_8_while_a_secret_is_replaced_both_are_good_and_the_key_tells_which(self) -> None:
        channel = Slack(["new", SECRET])
        keys = [channel.verify(signed(b"{}", secret=s)).key for s in ("new", SECRET, "old")]
        assert keys == [0, 1, -1]

    def test_24_without_a_secret_nobody_is_sure(self) -> None:
        channel = Slack()
        request = RawRequest(json.dumps(CALLBACK).encode())
        assert channel.verify(request).status == "unsigned"
        message = message_of(channel.parse(request, channel.verify(request)))
        assert message.assurance is Assurance.CLAIMED


class TestAnswers:
    def test_the_challenge_is_echoed_if_slack_has_signed_it(self) -> None:
        body = b'{"type":"url_verification","token":"x","challenge":"3eZbrw1aB"}'
        reply = Slack(SECRET).handshake(signed(body))
        assert reply is not None
        assert (reply.status, reply.body, reply.content_type[:10]) == (
            200,
            b"3eZbrw1aB",
            "text/plain",
        )
        refused = Slack("other").handshake(signed(body))
        assert refused is not None
        assert refused.status == 401

    @pytest.mark.parametrize("challenge", ['""', '"a b"', '"' + "x" * 513 + '"', "null"])
    def test_what_is_no_challenge_is_not_echoed(self, challenge: str) -> None:
        body = b'{"type":"url_verification","challenge":' + challenge.encode() + b"}"
        reply = Slack(SECRET).handshake(signed(body))
        assert reply is not None
        assert reply.status == 400

    def test_only_a_challenge_is_a_handshake(self) -> None:
        for body in (
            b"",
            b"{",
            b"[]",
            json.dumps(CALLBACK).encode(),
            form(payload="{}"),
            b"\xff" * 99,
        ):
            assert (
                Slack(SECRET).handshake(signed(body) if body[:1] != b"\xff" else RawRequest(body))
                is None
            )

    def test_stored_or_malformed_is_200_and_forged_is_401_without_a_retry(self) -> None:
        channel = Slack(SECRET)
        good = channel.reply(both(CALLBACK))
        assert (good.status, good.body) == (200, b"")
        assert channel.reply(both(b"{}")).status == 200
        request = RawRequest(b"{}", received_at=NOW)
        bad = channel.reply(channel.parse(request, channel.verify(request)))
        assert (bad.status, bad.headers) == (401, (("X-Slack-No-Retry", "1"),))


class TestMessages:
    def test_a_message_in_a_channel(self) -> None:
        message = message_of(both(CALLBACK))
        assert (message.sender, message.endpoint) == (ANN, Endpoint("slack", "A1"))
        assert message.message_id == "T1:C1:1779999999.000200"
        assert (message.parts, message.assurance) == ((Text("Hello"),), Assurance.CHANNEL)
        assert (message.occurred_at, message.flags) == (1779999999000, ())
        assert message.thread == "C1:1779999999.000200"

    def test_in_a_thread_and_in_a_direct_message(self) -> None:
        assert message_of(event(thread_ts="1779999000.000100")).thread == "C1:1779999000.000100"
        assert message_of(event(channel="D1", channel_type="im")).thread == "D1"
        assert message_of(event(channel="D1", thread_ts="1779.0001")).thread == "D1:1779.0001"

    async def test_16_a_retry_and_28_the_mention_of_a_message_are_duplicates(self) -> None:
        mention = {"type": "app_mention", "text": "<@UBOT> Hello"}
        first = event(text="<@UBOT> Hello")
        second = both(CALLBACK | {"event_id": "Ev2", "event": MESSAGE | mention})
        assert message_of(first).flags == message_of(second).flags == ("mention",)
        assert message_of(first).message_id == message_of(second).message_id
        async with Bridge("memory://", tenant="t") as bridge:
            statuses = []
            for parsed in (first, first, second):
                async with bridge.turn(message_of(parsed)) as turn:
                    statuses.append(turn.status)
        assert statuses == ["new", "duplicate", "duplicate"]

    def test_28_the_mention_of_an_edited_message_is_the_same_edit(self) -> None:
        edited = {"text": "<@UBOT> Hello!", "edited": {"user": "U1", "ts": "1780000000.000000"}}
        changed = message_of(
            event(subtype="message_changed", message=MESSAGE | edited, previous_message=MESSAGE)
        )
        mention = message_of(event(type="app_mention", **edited))
        assert (mention.message_id, mention.revises, mention.parts) == (
            changed.message_id, changed.revises, changed.parts,
        )  # fmt: skip

    def test_75_an_edit_revises_and_a_preview_does_not(self) -> None:
        now = MESSAGE | {"text": "Hello!", "edited": {"user": "U1", "ts": "1780000000.000000"}}
        changed = {
            "subtype": "message_changed",
            "hidden": True,
            "message": now,
            "previous_message": MESSAGE,
        }
        edit = message_of(event(**changed, ts="1780000000.000900"))
        assert (edit.revises, edit.text) == ("T1:C1:1779999999.000200", "Hello!")
        assert (edit.message_id, edit.sender) == (f"{edit.revises}:1780000000.000000", ANN)
        assert edit.occurred_at == 1780000000000
        preview = only(event(**changed | {"message": MESSAGE | {"attachments": [{}]}}), Notice)
        assert (preview.kind, preview.value) == ("unsupported", "message.message_changed")

    def test_75_an_edit_that_leaves_nothing_to_read_is_no_deletion(self) -> None:
        now = MESSAGE | {"text": "", "edited": {"user": "U1", "ts": "1780000000.000000"}}
        changed = {"subtype": "message_changed", "message": now, "previous_message": MESSAGE}
        assert only(event(**changed), Notice).kind == "unsupported"

    def test_75_a_deletion_has_no_parts(self) -> None:
        deleted = {"subtype": "message_deleted", "hidden": True, "deleted_ts": MESSAGE["ts"]}
        gone = message_of(event(**deleted, previous_message=MESSAGE, ts="1780000000.000900"))
        assert (gone.revises, gone.parts, gone.sender) == ("T1:C1:1779999999.000200", (), ANN)
        assert only(event(**deleted), Notice).kind == "unsupported"

    def test_75_a_message_with_replies_is_deleted_as_a_tombstone(self) -> None:
        tombstone = {
            "subtype": "tombstone",
            "user": "USLACKBOT",
            "ts": MESSAGE["ts"],
            "text": "This message was deleted.",
        }
        changed = {"subtype": "message_changed", "message": tombstone, "previous_message": MESSAGE}
        gone = message_of(event(**changed))
        assert (gone.parts, gone.sender, gone.revises) == ((), ANN, "T1:C1:1779999999.000200")

    @pytest.mark.parametrize(
        ("fields", "flag"),
        [
            ({"bot_id": "B1", "app_id": "A1"}, "self"),
            ({"bot_id": "B1", "bot_profile": {"app_id": "A1"}}, "self"),
            ({"subtype": "bot_message", "bot_id": "B1", "user": None}, "self"),
            ({"bot_id": "B2", "app_id": "A2"}, "auto"),
            ({"bot_id": "B2", "app_id": "A2", "user": "UBOT"}, "self"),
        ],
    )
    async def test_75_79_what_bots_write_is_flagged_and_never_answered(
        self, fields: dict[str, object], flag: str
    ) -> None:
        message = message_of(event(**fields))
        assert message.flags == (flag,)
        async with Bridge("memory://", tenant="t") as bridge, bridge.turn(message) as turn:
            assert not turn.open

    def test_75_files_are_attachments_and_one_bad_does_not_lose_the_rest(self) -> None:
        files = [
            {"mimetype": "image/png", "name": "a.png", "size": 5, "url_private": "https://files.slack.com/a"},
            {"mimetype": 7},
            {"id": "F3", "file_access": "check_file_info", "size": -3, "url_private": "javascript:1"},
        ]  # fmt: skip
        parsed = event(subtype="file_share", files=files)
        (message,) = parsed.events
        assert isinstance(message, Inbound)
        assert message.parts == (
            Text("Hello"),
            Attachment("image/png", "a.png", 5, "https://files.slack.com/a"),
            Attachment("application/octet-stream"),
        )
        assert [str(e) for e in parsed.errors] == ["a file cannot be read"]

    def test_75_hidden_and_housekeeping_messages_are_nobodys_words(self) -> None:
        for subtype in (
            "channel_join",
            "channel_topic",
            "message_replied",
            "ekm_access_denied",
            "new",
        ):
            notice = only(event(subtype=subtype, hidden=True), Notice)
            assert (notice.kind, notice.value) == ("unsupported", f"message.{subtype}")

    def test_an_installation_in_a_whole_organisation_is_one_scope(self) -> None:
        whole = {"enterprise_id": "E1", "team_id": None, "is_enterprise_install": True}
        parsed = both(CALLBACK | {"authorizations": [whole]})
        assert message_of(parsed).sender == Address("slack", "U1", "E1")

    @pytest.mark.parametrize(
        "fields",
        [{"channel": None}, {"channel": "a b"}, {"ts": ""}, {"ts": "soon"}, {"user": None}, {"user": {}},
         {"text": ""}, {"subtype": "message_deleted", "deleted_ts": "x"}, {"subtype": "message_changed"}],
    )  # fmt: skip
    def test_what_is_no_message_is_malformed(self, fields: dict[str, object]) -> None:
        assert reason(event(**fields)).startswith("Malformed")

    @pytest.mark.parametrize(
        "body",
        [b"", b"{", b"{}", b"[]", b"\xff", b"null", b'{"type":1}', b'{"type":"event_callback"}',
         b'{"type":"event_callback","event":{"type":"message"}}', b'{"a":' * 9000, b"a=b&" * 65],
    )  # fmt: skip
    def test_what_is_nothing_is_malformed(self, body: bytes) -> None:
        channel = Slack()
        assert reason(channel.parse(RawRequest(body), Verification("unsigned"))).startswith(
            "Malformed"
        )


class TestOtherEvents:
    def test_reactions_are_notices_about_a_message(self) -> None:
        for kind, known in (
            ("reaction_added", "reaction"),
            ("reaction_removed", "reaction_removed"),
        ):
            item = {"type": "message", "channel": "C1", "ts": "1779999999.000200"}
            fields = {
                "type": kind,
                "reaction": "heart",
                "item": item,
                "channel": None,
                "event_ts": "1780000000.0001",
            }
            notice = only(event(**fields), Notice)
            assert (notice.kind, notice.value) == (known, "heart")
            assert (notice.about, notice.sender) == ("T1:C1:1779999999.000200", ANN)
            assert (notice.event_id, notice.occurred_at) == ("Ev1", 1780000000000)

    @pytest.mark.parametrize(
        ("kind", "known"),
        [("member_joined_channel", "joined"), ("member_left_channel", "left"), ("channel_archive", "closed"),
         ("app_uninstalled", "unsupported"), ("no_such_event", "unsupported")],
    )  # fmt: skip
    def test_members_and_ends_are_notices_and_what_is_new_is_named(
        self, kind: str, known: str
    ) -> None:
        notice = only(event(type=kind), Notice)
        assert (notice.kind, notice.thread) == (known, "C1")
        assert notice.value == (kind if known == "unsupported" else "")

    def test_events_about_users_and_channels_have_objects_there(self) -> None:
        assert (
            only(event(type="team_join", user={"id": "U1"}, channel={"id": "C1"}), Notice).sender
            is None
        )
        assert (
            only(both({"type": "app_rate_limited", "team_id": "T1"}), Notice).value
            == "app_rate_limited"
        )


COMMAND = {
    "team_id": "T1", "channel_id": "C1", "user_id": "U1", "command": "/order", "text": "17 &lt;b&gt; <@U2|bob>",
    "trigger_id": "1.2.abc", "api_app_id": "A1", "response_url": "https://hooks.slack.com/x",
}  # fmt: skip


class TestForms:
    def test_a_slash_command_is_a_message(self) -> None:
        message = message_of(both(form(**COMMAND)))
        assert message.parts == (Text("/order 17 <b> @bob"),)
        assert (message.message_id, message.thread) == ("T1:command:1.2.abc", "C1")
        assert (message.sender, message.endpoint.value, message.occurred_at) == (ANN, "A1", 0)

    @pytest.mark.parametrize(
        "missing", ["team_id", "channel_id", "user_id", "command", "trigger_id"]
    )
    def test_without_its_fields_it_is_malformed(self, missing: str) -> None:
        fields = {k: v for k, v in COMMAND.items() if k != missing}
        assert reason(both(form(**fields))).startswith("Malformed")

    def pressed(self, *actions: object, **more: object) -> Parsed:
        container = {"type": "message", "message_ts": "1779999999.000200", "channel_id": "C1"}
        fields = {"type": "block_actions", "user": {"id": "U1"}, "team": {"id": "T1"}, "api_app_id": "A1",
                  "channel": {"id": "C1"}, "container": container, "actions": actions} | more  # fmt: skip
        return payload(**fields)

    def test_a_pressed_button_is_its_label_and_the_choice(self) -> None:
        button = {"type": "button", "action_id": "choice-0", "value": "yes-17", "action_ts": "1780000000.000100",
                  "text": {"type": "plain_text", "text": "Yes &amp; now"}}  # fmt: skip
        message = message_of(self.pressed(button))
        assert message.parts == (Text("Yes & now"), Choice("yes-17", "Yes & now"))
        assert message.message_id == "T1:C1:1779999999.000200:1780000000.000100:choice-0"
        assert (message.thread, message.references) == (
            "C1:1779999999.000200",
            ("T1:C1:1779999999.000200",),
        )
        assert message.occurred_at == 1780000000000

    def test_chosen_options_dates_and_texts(self) -> None:
        option = {"text": {"type": "plain_text", "text": "Red"}, "value": "r"}
        at = {"action_ts": "1780000000.000100"}
        for element, parts in (
            (
                {"type": "static_select", "selected_option": option},
                (Text("Red"), Choice("r", "Red")),
            ),
            (
                {"type": "checkboxes", "selected_options": [option] * 2},
                (Text("Red"), Choice("r", "Red")) * 2,
            ),
            ({"type": "datepicker", "selected_date": "2026-12-01"}, (Text("2026-12-01"),)),
            ({"type": "plain_text_input", "value": "words"}, (Text("words"),)),
        ):
            assert message_of(self.pressed(element | at)).parts == parts
        assert only(self.pressed({"type": "image"} | at), Notice).value == "block_actions.image"

    def test_one_bad_action_does_not_lose_the_rest(self) -> None:
        good = {"type": "button", "action_id": "a", "value": "1", "action_ts": "1780000000.000100"}
        parsed = self.pressed(good, {"type": 7}, {"action_ts": "x"})
        assert ([type(e) for e in parsed.events], len(parsed.errors)) == ([Inbound], 2)
        assert reason(self.pressed()).startswith("Malformed")

    def test_a_submitted_view_is_one_message_of_all_its_answers(self) -> None:
        values = {"b1": {"a1": {"type": "plain_text_input", "value": "one"}, "a2": {"type": "x"}},
                  "b2": {"a3": {"type": "plain_text_input", "value": "two"}}}  # fmt: skip
        view = {"id": "V1", "hash": "156.abc", "state": {"values": values}}
        message = message_of(
            payload(type="view_submission", user={"id": "U1"}, team={"id": "T1"}, view=view)
        )
        assert (message.text, message.message_id) == ("one\ntwo", "T1:view:V1:156.abc")

    def test_other_interactions_are_named(self) -> None:
        for kind in ("shortcut", "message_action", "view_closed", "block_suggestion"):
            notice = only(payload(type=kind, user={"id": "U1"}, team={"id": "T1"}), Notice)
            assert (notice.kind, notice.value) == ("unsupported", kind)


class TestCapturedTraffic:
    """The payloads of Slack's own Bolt (see the fixtures' README)."""

    def test_every_event_is_read_and_none_raises(self) -> None:
        files = sorted(fixture("webhooks/slack").glob("*.json"))
        assert len(files) > 30
        kinds = {}
        for file in files:
            body = json.loads(file.read_text())
            is_event = body["type"] == "event_callback"
            parsed = both(body) if is_event else payload(**body)
            kinds[file.name.split("__")[0], body.get("event", body)["type"]] = parsed
            assert parsed.events, file.name
            assert not parsed.errors, file.name
        messages = [p for (_, kind), p in kinds.items() if kind in {"message", "app_mention"}]
        assert all(isinstance(p.events[0], Inbound) for p in messages)

    def test_75_by_name(self) -> None:
        broadcast = message_of(both(captured("test_message_thread_broadcast")))
        assert (broadcast.text, broadcast.thread) == ("Hi there!", "C111:1633663824.000500")
        deleted = message_of(both(captured("test_message_deleted")))
        assert (deleted.parts, deleted.revises) == ((), "T-auth:C111:1665368619.804829")
        file = message_of(both(captured("test_events__message_file_share")))
        assert file.parts[1] == Attachment(
            "image/png",
            "test.png",
            42706,
            "https://files.slack.com/files-pri/T111-F111/download/test.png",
        )
        assert file.flags == ()
        for name in ("test_message_bot__bot_message", "test_events_ignore_self__different"):
            assert message_of(both(captured(name))).flags == ("self",)
        assert message_of(both(captured("test_message_bot__user_message"))).flags == ()
        assert message_of(both(captured("test_events__valid_event"))).flags == ("mention",)
        button = message_of(both(form(payload=json.dumps(captured("test_block_actions") | {
            "container": {"message_ts": "111.222", "channel_id": "C111"}}))))  # fmt: skip
        assert button.parts == (Text("Button"), Choice("click_me_123", "Button"))


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("a &lt; b &amp;&amp; c &gt; d", "a < b && c > d"),
        ("<@U1> <@U1|ann> <#C1|general> <#C1>", "@U1 @ann #general #C1"),
        ("<!here> <!channel|channel> <!subteam^S1|@team> <!subteam^S1>", "@here @channel @team @subteam"),
        ("<!date^1392734382^Posted {date_num}|Posted 2014-02-18>", "Posted 2014-02-18"),
        ("<https://x.example> <https://x.example|here>", "https://x.example here (https://x.example)"),
        ("<https://x.example/?a=1&amp;b=2|https://x.example/?a=1&amp;b=2>", "https://x.example/?a=1&b=2"),
        ("<mailto:a@x.example|a@x.example> <tel:+1555|+1555>", "a@x.example +1555"),
        ("&lt;@U1&gt; &amp;lt;", "<@U1> &lt;"),
        ("< not a mark > <> <|> *bold* :tada:", "< not a mark > <> <|> *bold* :tada:"),
    ],
)  # fmt: skip
def test_marks_are_what_people_see(raw: str, shown: str) -> None:
    assert plain(raw) == shown


@pytest.mark.parametrize(
    "unit", ["<", "<" + "a" * 2999, "<@U1>", "&amp;", "<https://x.example|y>", "<!date^", "&"]
)
def test_3_a_megabyte_of_marks_is_cut_flagged_and_read_quickly(unit: str) -> None:
    body = json.dumps(
        CALLBACK | {"event": MESSAGE | {"text": unit * (900_000 // len(unit))}}
    ).encode()
    channel, request, best = Slack(), RawRequest(body), 1.0
    for _ in range(3):
        start = time.process_time()
        message = message_of(channel.parse(request, Verification("unsigned")))
        best = min(best, time.process_time() - start)
    assert "truncated" in message.flags
    assert best < 0.05


def test_what_is_escaped_comes_back_as_it_was() -> None:
    for text in ("<!everyone> & <@U1>", "&lt;", "a < b > c & d", "&amp;lt;<x|y>"):
        assert plain(escaped(text)) == text
        assert "<" not in escaped(text)
