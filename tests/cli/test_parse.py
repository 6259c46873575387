"""`ctxbridge parse`: an object per file, whatever is in it."""

import json
import os
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from ctxbridge.channels import ADAPTERS
from ctxbridge.cli import main
from ctxbridge.cli import parse as room

SCENE = Path(room.__file__).parent / "scene"
MESSAGE_KEYS = {
    "kind", "channel", "sender", "text", "message_id", "endpoint", "assurance", "thread", "subject",
    "references", "flags", "occurred_at", "attachments", "quoted", "revises", "chosen",
}  # fmt: skip
STATUS_KEYS = {
    "kind", "channel", "sender", "text", "message_id", "endpoint", "recipient", "status",
    "provider_status", "error_code", "occurred_at",
}  # fmt: skip


@pytest.fixture
def parse(capfdbinary: pytest.CaptureFixture[bytes]) -> Any:
    """Run the command and give its objects; every line must be strict JSON in UTF-8."""

    def run(provider: str, *files: object, headers: tuple[str, ...] = ()) -> list[dict[str, Any]]:
        more = [word for header in headers for word in ("--header", header)]
        assert main(["parse", provider, *map(str, files), *more]) == 0
        out, err = capfdbinary.readouterr()
        assert err == b""
        found = [json.loads(line.decode("utf-8")) for line in out.splitlines()]
        assert [set(one) for one in found] == [{"file", "events", "error"}] * len(files)
        return found

    return run


def test_an_sms(parse: Any) -> None:
    (found,) = parse("twilio", SCENE / "01-sms-order.form")

    assert found["file"] == str(SCENE / "01-sms-order.form")
    assert found["error"] is None
    (event,) = found["events"]
    assert set(event) == MESSAGE_KEYS
    assert event["kind"] == "message"
    assert event["channel"] == "sms"
    assert event["sender"] == "+15550100142"
    assert event["text"] == "Hi, my order A-1042 has not arrived. It was due on Friday."
    assert event["message_id"] == "SM000000000000000000000000001042a1"
    assert event["endpoint"] == "+15550100199"
    assert event["assurance"] == "claimed"


def test_a_mail_with_its_quote_apart(parse: Any) -> None:
    ((event,),) = [found["events"] for found in parse("email", SCENE / "02-mail-refund.eml")]

    assert event["text"].startswith("Wednesday is too late for me – I fly on Tuesday.")
    assert "Dear Ann" not in event["text"]
    assert "Dear Ann" in event["quoted"]
    assert event["subject"] == "Re: Your parcel is on its way"
    assert event["references"] == ["parcel-88213@shop.example.com"]
    assert event["assurance"] == "claimed"


def test_an_attachment(parse: Any, tmp_path: Path) -> None:
    mail = tmp_path / "a.eml"
    mail.write_bytes(
        b"From: a@example.org\r\nTo: b@example.com\r\nMIME-Version: 1.0\r\n"
        b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\nSee there.\r\n--x\r\n"
        b"Content-Type: application/pdf; name=bill.pdf\r\nContent-Disposition: attachment;"
        b" filename=bill.pdf\r\n\r\n%PDF-\r\n--x--\r\n"
    )
    ((event,),) = [found["events"] for found in parse("email", mail)]

    (attachment,) = event["attachments"]
    assert set(attachment) == {"media_type", "name", "size"}
    assert (attachment["media_type"], attachment["name"]) == ("application/pdf", "bill.pdf")


def test_a_frame_of_the_chat_is_not_verified(parse: Any) -> None:
    """Its token cannot be checked without a secret, so it names nobody."""
    ((event,),) = [found["events"] for found in parse("webchat", SCENE / "07-chat-when.json")]

    assert event["text"] == "Hi, logged in now. When do I get my money?"
    assert event["assurance"] == "anonymous"


def test_a_status(parse: Any, tmp_path: Path) -> None:
    form = tmp_path / "status"
    fields = {
        "MessageSid": "SM1", "MessageStatus": "undelivered", "ErrorCode": "30003",
        "From": "+15550100199", "To": "+15550100142",
    }  # fmt: skip
    form.write_text(urlencode(fields))
    ((event,),) = [found["events"] for found in parse("twilio", form)]

    assert set(event) == STATUS_KEYS
    assert event["kind"] == "status"
    assert (event["status"], event["provider_status"]) == ("failed", "undelivered")
    assert (event["error_code"], event["message_id"]) == ("30003", "SM1")
    assert (event["recipient"], event["sender"]) == ("+15550100142", "+15550100199")


def test_a_header_is_given_to_the_adapter(parse: Any) -> None:
    file = SCENE / "01-sms-order.form"
    (found,) = parse("twilio", file, headers=("content-type: application/json", "X-Other: a: b"))

    assert found["events"] == []
    assert found["error"].startswith("Malformed: ")


def test_several_files_one_of_them_bad(parse: Any, tmp_path: Path) -> None:
    good = SCENE / "02-mail-refund.eml"
    found = parse("email", good, tmp_path / "missing", tmp_path, good)

    assert [bool(one["events"]) for one in found] == [True, False, False, True]
    errors = [one["error"] for one in found]
    assert errors == [
        None, "Unreadable: No such file or directory", "Unreadable: Is a directory", None,
    ]  # fmt: skip


def test_a_name_that_is_no_utf8(parse: Any, tmp_path: Path) -> None:
    name = os.fsdecode(os.fsencode(tmp_path) + b"/\xff.eml")
    Path(name).write_bytes(b"From: a@example.org\r\n\r\nHello\r\n")

    (found,) = parse("email", name)

    assert found["events"][0]["text"].strip() == "Hello"
    assert found["file"].endswith("/\ufffd.eml")


@pytest.mark.parametrize("provider", sorted(ADAPTERS))
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x00" * 100,
        b"\xff\xfe" * 100,
        b'{"type":"message","client_msg_id":"1","text":"\\ud800 \\u0000"}',
        b"MessageSid=SM1&From=%2B1&To=%2B2&Body=%00%ED%A0%80%ff",
        b"From: a@example.org\r\nSubject: =?utf-8?q?=ED=A0=80=00?=\r\n\r\n\xed\xa0\x80\x00",
        b"[" * 100_000,
        b"From: a@example.org\r\nTo: " + b"b@example.org," * 5000 + b"\r\n\r\nHi\r\n",
    ],
)
def test_whatever_is_in_a_file_it_has_its_object(
    parse: Any, tmp_path: Path, provider: str, body: bytes
) -> None:
    file = tmp_path / "payload"
    file.write_bytes(body)

    (found,) = parse(provider, file)

    assert found["events"] or found["error"]
    assert "\x00" not in json.dumps(found, ensure_ascii=False)


@pytest.mark.parametrize("provider", sorted(ADAPTERS))
def test_a_file_of_30_mb_takes_well_under_a_second(
    parse: Any, tmp_path: Path, provider: str
) -> None:
    file = tmp_path / "large"
    file.write_bytes(b"From: a@example.org\r\n\r\n" + b"word " * 6_000_000)

    started = time.process_time()  # not what others took of the processor meanwhile
    (found,) = parse(provider, file)

    assert time.process_time() - started < 0.8
    assert found["error"]


def test_a_file_without_an_end_is_not_read_to_it(
    parse: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "MAX_FILE_BYTES", 1000)

    (found,) = parse("email", "/dev/zero")

    assert found["error"] == "Unreadable: it is over 1000 bytes"


@pytest.mark.parametrize(
    "arguments",
    [
        ["parse", "nobody", "file"],
        ["parse", "email"],
        ["parse", "email", "file", "--header", "no colon"],
        ["parse"],
        ["nothing"],
        [],
    ],
)
def test_what_is_asked_wrongly_is_told(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(arguments)

    assert end.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "usage: " in err
