"""The FastAPI example as it is started, over real HTTP and a real WebSocket."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from twilio.request_validator import RequestValidator
from websockets.sync.client import connect

from ctxbridge import Bridge
from ctxbridge.channels import WebChat

APP = Path(__file__).parents[2] / "examples" / "fastapi_bot" / "app.py"
AUTH_TOKEN = "token-of-the-tests"
CHAT_SECRET = "chat-secret-of-the-tests-with-32-bytes"
SETTINGS = {
    "TWILIO_AUTH_TOKEN": AUTH_TOKEN,
    "CHAT_SECRET": CHAT_SECRET,
    "MAIL_AUTHSERV_ID": "mx.example.com",
    "MAIL_HOOK_KEY": "the mail server's key",
}
SHOP = "+15550100199"
_KNOWN = {"PATH", "HOME", "LANG", "VIRTUAL_ENV", "PYTHONPATH"}
ENVIRONMENT = {name: value for name, value in os.environ.items() if name in _KNOWN}


class Service:
    """A running app, and the ways to write to it."""

    def __init__(self, port: int, db: Path) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.chat_url = f"ws://127.0.0.1:{port}/chat"
        self.db = db
        key = {"X-Mail-Hook-Key": SETTINGS["MAIL_HOOK_KEY"]}
        self.http = httpx.Client(timeout=20, headers=key)

    def sms(self, sid: str, sender: str, body: str, token: str = AUTH_TOKEN) -> httpx.Response:
        form = {"MessageSid": sid, "From": sender, "To": SHOP, "Body": body, "NumMedia": "0"}
        url = f"{self.url}/hooks/twilio"
        signature = RequestValidator(token).compute_signature(url, form)
        return self.http.post(url, data=form, headers={"X-Twilio-Signature": signature})

    def mail(self, raw: bytes, key: str = SETTINGS["MAIL_HOOK_KEY"]) -> httpx.Response:
        headers = {"X-Mail-Hook-Key": key}
        return self.http.post(f"{self.url}/hooks/email", content=raw, headers=headers)

    def stored(self, address: str) -> list[tuple[str, str, str]]:
        """Channel, author and text of what this other process reads in the file."""

        async def read() -> list[tuple[str, str, str]]:
            async with Bridge(f"sqlite:///{self.db}?mode=ro", tenant="bot") as bridge:
                context = await bridge.context(address, window=0)
                return [(m.channel, m.author, m.text) for m in context.messages]

        return anyio.run(read)

    def replies(self, address: str, count: int = 1) -> list[str]:
        """What the bot has said to the address, once it has said so much."""
        for _ in range(200):
            said = [text for _, author, text in self.stored(address) if author == "agent"]
            if len(said) >= count:
                return said
            time.sleep(0.05)
        pytest.fail("the bot did not answer")

    def link(self, contact: str, address: str) -> None:
        async def link() -> None:
            async with Bridge(f"sqlite:///{self.db}", tenant="bot") as bridge:
                await bridge.link(contact, address, evidence="crm:1")

        anyio.run(link)


@contextmanager
def running(folder: Path, **settings: str) -> Iterator[Service]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    env = ENVIRONMENT | settings | {"PORT": str(port)}
    with (folder / "log.txt").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, str(APP)], cwd=folder, env=env, stdout=log, stderr=log
        )
    try:
        service = Service(port, folder / "bot.db")
        with service.http:
            _wait(service, process, folder)
            yield service
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=20)
    assert "Traceback" not in (folder / "log.txt").read_text()


def _wait(service: Service, process: "subprocess.Popen[bytes]", folder: Path) -> None:
    for _ in range(200):
        if process.poll() is not None:
            break
        try:
            service.http.get(f"{service.url}/hooks/health")
            return
        except httpx.TransportError:
            time.sleep(0.05)
    pytest.fail("the app did not start:\n" + (folder / "log.txt").read_text())


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running(tmp_path_factory.mktemp("bot"), **SETTINGS) as started:
        yield started


def mail(sender: str, id: str, text: str, dmarc: str = "pass") -> bytes:
    domain = sender.partition("@")[2]
    return (
        f"Authentication-Results: mx.example.com; dmarc={dmarc} header.from={domain}\r\n"
        f"From: <{sender}>\r\nTo: <help@example.com>\r\nMessage-ID: <{id}@example.org>\r\n"
        f"Date: Mon, 02 Nov 2026 09:31:36 +0000\r\nSubject: Hello\r\n\r\n{text}\r\n"
    ).encode()


def token(subject: str, secret: str = CHAT_SECRET) -> str:
    now = time.time_ns() // 1_000_000
    return WebChat(secret, app="bot").token(subject, now=now, login=True)


def frame(id: str, text: str, token: str) -> str:
    return json.dumps({"type": "message", "client_msg_id": id, "text": text, "token": token})


def say(chat: Any, sent: str | bytes) -> dict[str, Any]:
    chat.send(sent)
    return json.loads(chat.recv(timeout=20))


def test_health_tells_the_store(service: Service) -> None:
    response = service.http.get(f"{service.url}/hooks/health")

    told = response.json()
    assert (response.status_code, told["store"], told["durable"]) == (200, "sqlite", True)


class TestSms:
    def test_a_signed_message_is_answered_in_band(self, service: Service) -> None:
        response = service.sms("SM01", "+15550100101", "Where is my order?")

        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/xml")
        assert "<Message>Message 1. You began with: Where is my order?</Message>" in response.text

    def test_a_repeated_webhook_gets_the_same_answer_and_stores_nothing(
        self, service: Service
    ) -> None:
        first = service.sms("SM02", "+15550100102", "Hello")
        before = service.stored("+15550100102")

        again = service.sms("SM02", "+15550100102", "Hello")

        assert first.content == again.content
        assert before == service.stored("+15550100102")
        assert len(before) == 2

    def test_a_wrong_signature_is_refused_and_stores_nothing(self, service: Service) -> None:
        response = service.sms("SM03", "+15550100103", "Hello", token="another")

        assert response.status_code == 403
        assert service.stored("+15550100103") == []

    def test_a_known_id_with_another_body_is_kept_aside(self, service: Service) -> None:
        service.sms("SM04", "+15550100104", "Hello")

        response = service.sms("SM04", "+15550100104", "Something else")

        assert (response.status_code, response.text.count("<Message>")) == (200, 0)
        assert len(service.replies("+15550100104")) == 1

    def test_stop_is_confirmed_once_and_then_there_is_silence(self, service: Service) -> None:
        stopped = service.sms("SM05", "+15550100105", "STOP")
        later = service.sms("SM06", "+15550100105", "Are you there?")

        assert stopped.text.count("<Message>") == 1
        assert (later.status_code, later.text.count("<Message>")) == (200, 0)


class TestEmail:
    def test_a_mail_is_answered_and_its_repetition_is_the_same(self, service: Service) -> None:
        raw = mail("ben@example.org", "m1", "Good morning")

        first, again = service.mail(raw), service.mail(raw)

        assert (first.status_code, again.status_code) == (200, 200)
        assert service.replies("ben@example.org") == ["Message 1. You began with: Good morning"]
        assert len(service.stored("ben@example.org")) == 2

    def test_what_is_no_mail_is_not_to_be_repeated(self, service: Service) -> None:
        assert service.mail(b"no mail at all").status_code == 200


class TestChat:
    def test_a_frame_is_answered_and_its_repetition_is_the_same(self, service: Service) -> None:
        sent = frame("1", "Hi", token("visitor-1"))
        with connect(service.chat_url) as chat:
            first, again = say(chat, sent), say(chat, sent)

        assert first == again
        assert first == {
            "type": "answer",
            "client_msg_id": "1",
            "messages": [{"author": "agent", "text": "Message 1. You began with: Hi"}],
        }

    def test_a_token_may_come_as_a_header(self, service: Service) -> None:
        headers = {"Authorization": f"Bearer {token('visitor-2')}"}
        with connect(service.chat_url, additional_headers=headers) as chat:
            assert say(chat, frame("1", "Hi", ""))["type"] == "answer"

    def test_a_forged_token_is_an_error_and_the_socket_stays(self, service: Service) -> None:
        forged = token("visitor-3", secret="another-secret-of-at-least-32-bytes")
        with connect(service.chat_url) as chat:
            assert say(chat, frame("1", "Hi", forged)) == {"type": "error", "reason": "token"}
            assert say(chat, frame("2", "Hi", token("visitor-3")))["type"] == "answer"

    @pytest.mark.parametrize(
        "sent", ["", "{", "[]", "null", b"\xff\x00", '{"type":"message"}', "[" * 10_000, "\x00"]
    )
    def test_garbage_is_an_error_and_the_socket_stays(
        self, service: Service, sent: str | bytes
    ) -> None:
        with connect(service.chat_url) as chat:
            assert say(chat, sent)["type"] == "error"
            assert say(chat, frame("9", "Hi", token("visitor-4")))["type"] == "answer"

    def test_a_known_id_with_another_text_is_a_message_of_its_own(self, service: Service) -> None:
        with connect(service.chat_url) as chat:
            say(chat, frame("1", "Hi", token("visitor-5")))
            say(chat, frame("1", "Another", token("visitor-5")))

        said = [text for _, author, text in service.stored("chat:visitor-5") if author == "contact"]
        assert said == ["Hi", "Another"]


class TestHostile:
    @pytest.mark.parametrize("path", ["/hooks/twilio", "/hooks/email"])
    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"\x00",
            b"\xff" * 1000,
            b"{}",
            b"From",
            b"MessageSid=%00&From=%ff&To=x",
            b"From: \r\n\r\n",
            b"&" * 5000,
            b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n" * 500,
        ],
    )
    def test_garbage_is_never_an_error_of_the_server(
        self, service: Service, path: str, body: bytes
    ) -> None:
        headers = {"X-Twilio-Signature": "AAAA"}
        response = service.http.post(service.url + path, content=body, headers=headers)

        assert response.status_code in {200, 403}

    @pytest.mark.parametrize(
        ("path", "size"), [("/hooks/twilio", 300 * 1024), ("/hooks/email", 11 * 1024 * 1024)]
    )
    def test_a_body_over_its_limit_is_refused(self, service: Service, path: str, size: int) -> None:
        told = service.http.post(service.url + path, content=b"a" * size)
        untold = service.http.post(service.url + path, content=iter([b"a" * (size // 4)] * 5))

        assert (told.status_code, untold.status_code) == (413, 413)


class TestOneConversation:
    def test_three_linked_addresses_share_what_the_bot_knows(self, service: Service) -> None:
        phone = "sms:+15550100150"
        service.link(phone, "email:ann@example.org")
        service.link(phone, "chat:customer-1")

        service.sms("SM50", "+15550100150", "My lamp is broken")
        service.mail(mail("ann@example.org", "m50", "Any news?"))
        by_mail = service.replies(phone, 2)[1:]
        with connect(service.chat_url) as chat:
            in_chat = say(chat, frame("50", "And now?", token("customer-1")))["messages"]

        assert by_mail == ["Message 2. You began with: My lamp is broken"]
        assert in_chat[0]["text"] == "Message 3. You began with: My lamp is broken"
        channels = [channel for channel, _, _ in service.stored(phone)]
        assert channels == ["sms", "sms", "email", "email", "chat", "chat"]

    def test_a_mail_that_nobody_vouches_for_is_shown_nothing(self, service: Service) -> None:
        service.link("sms:+15550100151", "email:eve@example.org")
        service.sms("SM51", "+15550100151", "My secret is blue")

        forged = mail("eve@example.org", "m51", "What did I say?", dmarc="fail")

        assert service.mail(forged).status_code == 200
        assert service.replies("eve@example.org", 2)[1:] == [
            "Message 1. You began with: What did I say?"
        ]


class TestSettings:
    def test_it_starts_without_any_and_a_read_only_store_asks_for_a_repetition(
        self, tmp_path: Path
    ) -> None:
        with running(tmp_path) as plain:
            assert "Message 1." in plain.sms("SM60", "+15550100160", "Hi").text
            assert len(plain.stored("+15550100160")) == 2
        with running(tmp_path, CTXBRIDGE_STORE="sqlite:///bot.db?mode=ro") as frozen:
            again = frozen.sms("SM61", "+15550100160", "Hi")
            health = frozen.http.get(f"{frozen.url}/hooks/health")

        assert (again.status_code, again.headers["retry-after"]) == (503, "5")
        assert (health.status_code, health.json()["status"]) == (503, "failing")


class TestMailDoor:
    """Whoever can post a mail writes its Authentication-Results too."""

    def test_only_the_mail_server_may_hand_mails_in(self, service: Service) -> None:
        for key in ("", "guessed", "the mail server's key."):
            assert service.mail(mail("mallory@example.org", "door", "hi"), key).status_code == 403
        assert service.stored("mallory@example.org") == []

    def test_it_does_not_start_where_anybody_could(self, tmp_path: Path) -> None:
        done = subprocess.run(
            [sys.executable, str(APP)],
            cwd=tmp_path,
            env=ENVIRONMENT | {"MAIL_AUTHSERV_ID": "mx.example.com"},
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
        assert done.returncode != 0
        assert "MAIL_HOOK_KEY" in done.stderr
