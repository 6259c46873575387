"""The FastAPI example as it is started, over real HTTP, SMTP and WebSocket."""

import ast
import base64
import hashlib
import hmac
import io
import json
import os
import re
import secrets
import signal
import smtplib
import subprocess
import sys
import threading
import time
import tokenize
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import anyio
import httpx
import pytest
from aiosmtpd.controller import Controller
from twilio.request_validator import RequestValidator
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from ctxbridge import Bridge
from ctxbridge.channels import WebChat
from ctxbridge.testing.servers import free_port

FOLDER = Path(__file__).parents[2] / "examples" / "fastapi_bot"
APP = FOLDER / "app.py"
ACCOUNT, AUTH_TOKEN = "AC" + "0" * 32, "token-of-the-tests"
SINCH_SECRET, SINCH_NUMBER = "sinch-secret-of-the-tests", "+15550100299"
CHAT_SECRET = "chat-secret-of-the-tests-with-32-bytes"
SHOP, PAGE = "+15550100199", "http://127.0.0.1:1"
KNOWN = {
    "sinch": {"SINCH_SERVICE_PLAN": "plan", "SINCH_API_TOKEN": "sinch-token",
              "SINCH_SECRET": SINCH_SECRET, "SINCH_NUMBER": SINCH_NUMBER},
    "chat": {"CHAT_SECRET": CHAT_SECRET, "CHAT_ORIGINS": PAGE},
}  # fmt: skip
_KNOWN = {"PATH", "HOME", "LANG", "VIRTUAL_ENV", "PYTHONPATH"}
ENVIRONMENT = {name: value for name, value in os.environ.items() if name in _KNOWN}


class Providers:
    """Where Twilio's, Sinch's and a model's API, and the mail server that answers leave by, would be.

    They check what they are sent, and keep it.
    """

    def __init__(self) -> None:
        self.sent: list[tuple[str, str]] = []
        self.prompts: list[dict[str, Any]] = []
        self.callbacks: list[str] = []
        taken = self

        class Answers(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                told = taken.take(self.path, self.headers["Authorization"] or "", body)
                raw = json.dumps(told).encode()
                self.send_response(201 if told else 401)
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            def log_message(self, *_: object) -> None: ...

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        self.mail = Controller(self, hostname="127.0.0.1", port=free_port())

    def take(self, path: str, login: str, body: bytes) -> dict[str, Any]:
        if path == f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json":
            form = parse_qs(body.decode(), strict_parsing=True)
            wanted = base64.b64encode(f"{ACCOUNT}:{AUTH_TOKEN}".encode()).decode()
            assert (login, form["From"]) == (f"Basic {wanted}", [SHOP])
            self.callbacks += form.get("StatusCallback", [])
            self.sent.append((form["To"][0], form["Body"][0]))
            return {"sid": "SM" + secrets.token_hex(16)}
        if path == "/xms/v1/plan/batches":
            asked = json.loads(body)
            assert (login, asked["from"]) == ("Bearer sinch-token", SINCH_NUMBER)
            self.sent.append((asked["to"][0], asked["body"]))
            return {"id": secrets.token_hex(13)}
        assert path == "/v1/chat/completions"
        assert login == "Bearer model-key"
        self.prompts.append(json.loads(body))
        return {"choices": [{"message": {"content": "I am a model."}}]}

    async def handle_DATA(self, _server: object, _session: object, envelope: Any) -> str:  # noqa: N802
        text = envelope.content.decode().split("\r\n\r\n", 1)[1]
        self.sent.append((envelope.rcpt_tos[0], text.strip()))
        return "250 taken"

    def told(self, address: str, count: int = 1) -> list[str]:
        """What reached the address, once it is so much."""
        for _ in range(2_400):
            found = [text for to, text in self.sent if to == address]
            if len(found) >= count:
                return found
            time.sleep(0.025)
        pytest.fail(f"nothing came to {address}: {self.sent}")

    @contextmanager
    def open(self) -> Iterator[None]:
        threading.Thread(target=self.http.serve_forever, args=(0.05,), daemon=True).start()
        self.mail.start()
        try:
            yield
        finally:
            self.mail.stop()
            self.http.shutdown()
            self.http.server_close()


class Service:
    """A running app, and the ways to write to it."""

    def __init__(self, port: int, folder: Path, providers: Providers, mail_port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.chat_url = f"ws://127.0.0.1:{port}/chat/"
        self.db = folder / "bot.db"
        self.providers = providers
        self.mail_port = mail_port
        self.http = httpx.Client(timeout=60)

    def sms(self, sid: str, sender: str, body: str, token: str = AUTH_TOKEN) -> httpx.Response:
        form = {"MessageSid": sid, "From": sender, "To": SHOP, "Body": body, "NumMedia": "0"}
        url = f"{self.url}/hooks/twilio"
        signature = RequestValidator(token).compute_signature(url, form)
        return self.http.post(url, data=form, headers={"X-Twilio-Signature": signature})

    def sinch(self, id: str, sender: str, text: str, secret: str = SINCH_SECRET) -> httpx.Response:
        told = {
            "type": "mo_text",
            "id": id,
            "from": sender[1:],
            "to": SINCH_NUMBER[1:],
            "body": text,
        }
        body, at = json.dumps(told), str(int(time.time()))
        made = hmac.new(secret.encode(), f"{body}.NONCE.{at}".encode(), hashlib.sha256).digest()
        name = "x-sinch-webhook-signature"
        headers = {name: base64.b64encode(made).decode(), f"{name}-nonce": "NONCE",
                   f"{name}-timestamp": at, f"{name}-algorithm": "HmacSHA256"}  # fmt: skip
        return self.http.post(f"{self.url}/hooks/sinch_sms", content=body, headers=headers)

    def mail(self, raw: bytes, sender: str = "nobody@example.org") -> int:
        """The code that the door said to the mail."""
        with smtplib.SMTP("127.0.0.1", self.mail_port, timeout=60) as line:
            line.ehlo()
            code, _ = line.mail(sender)
            if code == 250:
                line.rcpt("help@example.com")
                code, _ = line.data(raw)
            return code

    def postmark(self, id: str, sender: str, text: str, login: str) -> httpx.Response:
        told = {"From": sender, "FromFull": {"Email": sender}, "OriginalRecipient": "help@example.com",
                "MessageID": id, "Subject": "Hi", "TextBody": text}  # fmt: skip
        name, _, password = login.partition(":")
        return self.http.post(f"{self.url}/hooks/postmark", json=told, auth=(name, password))

    def stored(self, address: str) -> list[tuple[str, str, str]]:
        """Channel, author and text of what this other process reads in the file."""

        async def read() -> list[tuple[str, str, str]]:
            async with Bridge(f"sqlite:///{self.db}?mode=ro", tenant="bot") as bridge:
                context = await bridge.context(address, window=0)
                return [(m.channel, m.author, m.text) for m in context.messages]

        return anyio.run(read)

    def give_back(self, address: str, by: str) -> None:
        """A colleague takes the conversation and gives it back."""

        async def give() -> None:
            async with Bridge(f"sqlite:///{self.db}", tenant="bot") as bridge:
                await bridge.floor.accept(address, by=by)
                await bridge.floor.release(address, by=by)

        anyio.run(give)

    def link(self, contact: str, address: str) -> None:
        async def link() -> None:
            async with Bridge(f"sqlite:///{self.db}", tenant="bot") as bridge:
                await bridge.link(contact, address, evidence="crm:1")

        anyio.run(link)


@contextmanager
def running(folder: Path, *names: str, **settings: str) -> Iterator[Service]:
    """The app with the settings of these channels, and the providers around it."""
    port, providers = free_port(), Providers()
    mail_port = free_port()
    known = {
        "twilio": {"TWILIO_ACCOUNT_SID": ACCOUNT, "TWILIO_AUTH_TOKEN": AUTH_TOKEN,
                   "TWILIO_API": providers.url},
        "sinch": KNOWN["sinch"] | {"SINCH_API": providers.url},
        "mail": {"MAILBOX": "help@example.com", "MAIL_IN_PORT": str(mail_port),
                 "MAIL_AUTHSERV_ID": "mx.example.com", "SMTP_HOST": "127.0.0.1",
                 "SMTP_PORT": str(providers.mail.port)},
        "postmark": {"POSTMARK_CREDENTIALS": "name:password"},
        "chat": KNOWN["chat"],
        "model": {"OPENAI_BASE_URL": f"{providers.url}/v1", "OPENAI_API_KEY": "model-key",
                  "OPENAI_MODEL": "small"},
    }  # fmt: skip
    env = ENVIRONMENT | {"PORT": str(port)}
    for name in names or ("twilio", "sinch", "mail", "postmark", "chat"):
        env |= known[name]
    env |= settings
    with (folder / "log.txt").open("wb") as log, providers.open():
        process = subprocess.Popen(
            [sys.executable, str(APP)], cwd=folder, env=env, stdout=log, stderr=log
        )
        try:
            service = Service(port, folder, providers, mail_port)
            with service.http:
                _wait(service, process, folder)
                yield service
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=60)
    assert "Traceback" not in (folder / "log.txt").read_text()


def _wait(service: Service, process: "subprocess.Popen[bytes]", folder: Path) -> None:
    for _ in range(1_200):
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
    with running(tmp_path_factory.mktemp("bot")) as started:
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
    return WebChat(secret, app="shop").token(subject, now=now, login=True)


class Page:
    """A connected page of the chat."""

    def __init__(self, line: Any, token: str) -> None:
        self.line = line
        self.send({"type": "resume", "token": token, "last_seq": 0})

    def send(self, frame: Any) -> None:
        self.line.send(frame if isinstance(frame, str | bytes) else json.dumps(frame))

    def say(self, id: str, text: str) -> None:
        self.send({"type": "message", "client_msg_id": id, "text": text})

    def until(self, fits: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        while True:
            frame = json.loads(self.line.recv(timeout=60))
            if fits(frame):
                return frame

    def answer(self) -> str:
        return str(self.until(lambda f: f["type"] == "message" and f["author"] == "agent")["text"])


@contextmanager
def chatting(service: Service, token: str) -> Iterator[Page]:
    with connect(service.chat_url, origin=PAGE) as line:
        yield Page(line, token)


HANDED = "One moment, I ask a colleague. They will answer you here."
ASKS = "Which order is it about? The number looks like A-1042."
LATE = "Sorry for that! Your walnut desk lamp (order A-1042) is delayed at our depot. It will reach you on Wednesday."


def test_health_tells_the_store(service: Service) -> None:
    response = service.http.get(f"{service.url}/hooks/health")

    told = response.json()
    assert (response.status_code, told["store"], told["durable"]) == (200, "sqlite", True)


class TestSms:
    def test_a_signed_message_is_answered_by_the_providers_api(self, service: Service) -> None:
        response = service.sms("SM01", "+15550100101", "Where is my order A-1042?")

        assert response.status_code == 200
        assert "<Message>" not in response.text
        assert service.providers.told("+15550100101") == [LATE]

    def test_a_repeated_webhook_stores_and_sends_nothing(self, service: Service) -> None:
        first = service.sms("SM02", "+15550100102", "Hello")
        service.providers.told("+15550100102")
        before = service.stored("+15550100102")

        again = service.sms("SM02", "+15550100102", "Hello")
        service.sms("SM02b", "+15550100102", "Hello again")

        assert first.content == again.content
        assert service.providers.told("+15550100102", 2) == [ASKS, ASKS]
        assert service.stored("+15550100102")[:2] == before
        assert len(service.stored("+15550100102")) == 4

    def test_a_wrong_signature_is_refused_and_stores_nothing(self, service: Service) -> None:
        response = service.sms("SM03", "+15550100103", "Hello", token="another")

        assert response.status_code == 403
        assert service.stored("+15550100103") == []

    def test_a_known_id_with_another_body_is_kept_aside(self, service: Service) -> None:
        service.sms("SM04", "+15550100104", "Hello")

        assert service.sms("SM04", "+15550100104", "Something else").status_code == 200
        assert service.providers.told("+15550100104") == [ASKS]
        assert [author for _, author, _ in service.stored("+15550100104")].count("agent") == 1

    def test_stop_is_confirmed_once_and_then_there_is_silence(self, service: Service) -> None:
        service.sms("SM05", "+15550100105", "STOP")
        service.providers.told("+15550100105")
        later = service.sms("SM06", "+15550100105", "Are you there?")
        service.sms("SM07", "+15550100106", "Somebody else")
        service.providers.told("+15550100106")

        assert later.status_code == 200
        assert len(service.providers.told("+15550100105")) == 1

    def test_each_number_is_answered_by_its_own_provider(self, service: Service) -> None:
        assert service.sinch("01S1", "+15550100107", "Hello").status_code == 200
        assert service.providers.told("+15550100107") == [ASKS]
        assert service.sinch("01S2", "+15550100108", "Hello", "another").status_code == 401
        assert service.stored("+15550100108") == []


class TestEmail:
    def test_a_mail_is_answered_by_mail_and_its_repetition_is_the_same(
        self, service: Service
    ) -> None:
        raw = mail("ben@example.org", "m1", "Good morning, where is A-1042?")

        assert (service.mail(raw), service.mail(raw)) == (250, 250)
        assert (
            service.providers.told("ben@example.org")[0].replace("\r\n", " ").startswith(LATE[:40])
        )
        assert len(service.stored("ben@example.org")) == 2

    def test_what_is_no_mail_is_not_to_be_repeated(self, service: Service) -> None:
        assert service.mail(b"no mail at all") == 250

    def test_a_bounce_is_not_answered(self, service: Service) -> None:
        assert service.mail(mail("bouncing@example.org", "m2", "It bounced."), sender="") == 250
        assert service.stored("bouncing@example.org") == [("email", "contact", "It bounced.")]

    def test_postmark_is_let_in_with_its_password_and_vouches_for_nobody(
        self, service: Service
    ) -> None:
        told = service.postmark("p1", "cleo@example.org", "Where is A-1042?", "name:password")
        refused = service.postmark("p2", "dora@example.org", "Hello", "name:guessed")

        assert (told.status_code, refused.status_code) == (200, 403)
        assert service.providers.told("cleo@example.org")[0].startswith("I cannot tell whether")
        assert service.stored("dora@example.org") == []


class TestChat:
    def test_a_message_is_stored_and_answered_and_its_repetition_is_the_same(
        self, service: Service
    ) -> None:
        with chatting(service, token("visitor-1")) as page:
            page.say("1", "Hi")
            assert page.answer() == ASKS
            page.say("1", "Hi")
            page.until(lambda f: f.get("client_msg_id") == "1" and f["type"] == "ack")
            page.say("2", "A-1042?")
            assert page.answer() == LATE
        assert [text for _, _, text in service.stored("chat:visitor-1")] == [
            "Hi",
            ASKS,
            "A-1042?",
            LATE,
        ]

    def test_a_forged_token_is_not_let_in(self, service: Service) -> None:
        forged = token("visitor-3", secret="another-secret-of-at-least-32-bytes")
        with chatting(service, forged) as page, pytest.raises(ConnectionClosed) as closed:
            page.until(lambda _: False)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4401

    def test_a_page_of_another_site_is_not_let_in(self, service: Service) -> None:
        with (
            pytest.raises(Exception, match="403"),
            connect(service.chat_url, origin="http://x.org"),
        ):
            pass

    @pytest.mark.parametrize(
        "sent", ["", "{", "[]", "null", b"\xff\x00", '{"type":"message"}', "[" * 10_000, "\x00"]
    )
    def test_garbage_is_an_error_and_the_line_stays(
        self, service: Service, sent: str | bytes
    ) -> None:
        with chatting(service, token("visitor-4")) as page:
            page.send(sent)
            assert page.until(lambda f: f["type"] == "error")
            page.send({"type": "ping"})
            assert page.until(lambda f: f["type"] == "pong")

    def test_the_script_of_the_page_is_there(self, service: Service) -> None:
        assert "class Chat" in service.http.get(f"{service.url}/chat/client.js").text


class TestHostile:
    @pytest.mark.parametrize("path", ["twilio", "sinch_sms", "postmark"])
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
            b"[" * 5000,
        ],
    )
    def test_garbage_is_never_an_error_of_the_server(
        self, service: Service, path: str, body: bytes
    ) -> None:
        headers = {"X-Twilio-Signature": "AAAA"}
        response = service.http.post(f"{service.url}/hooks/{path}", content=body, headers=headers)

        assert response.status_code in {401, 403}

    @pytest.mark.parametrize(
        "raw", [b"", b"\x00\xff", b"From\r\n", b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n" * 500]
    )  # fmt: skip
    def test_garbage_by_smtp_is_taken_and_put_aside(self, service: Service, raw: bytes) -> None:
        assert service.mail(raw) == 250

    @pytest.mark.parametrize(
        ("path", "size"), [("/hooks/twilio", 300 * 1024), ("/hooks/postmark", 11 * 1024 * 1024)]
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

        service.sms("SM50", "+15550100150", "My lamp, order A-1042, is late")
        service.providers.told("+15550100150")
        assert service.mail(mail("ann@example.org", "m50", "I want my money back")) == 250
        (by_mail,) = service.providers.told("ann@example.org")
        with chatting(service, token("customer-1")) as page:
            page.say("50", "I paid with 4111 1111 1111 1111.")
            in_chat = page.answer()

        assert "A-1042, which you asked about by SMS, is late" in " ".join(by_mail.split())
        assert in_chat.startswith("Thank you. 64.00 EUR go to the card ending in 1111.")
        channels = [channel for channel, _, _ in service.stored(phone)]
        assert channels == ["sms", "sms", "email", "email", "chat", "chat"]
        assert "4111" not in str(service.stored(phone))

    def test_a_mail_that_nobody_vouches_for_is_shown_nothing(self, service: Service) -> None:
        service.link("sms:+15550100151", "email:eve@example.org")
        service.sms("SM51", "+15550100151", "Where is A-1042?")
        service.providers.told("+15550100151")

        assert service.mail(mail("eve@example.org", "m51", "What did I ask?", dmarc="fail")) == 250
        (said,) = service.providers.told("eve@example.org")
        assert said.startswith("I cannot tell whether this mail")

    def test_who_asks_for_a_person_gets_one_and_the_bot_is_silent(self, service: Service) -> None:
        service.sms("SM54", "+15550100154", "Can I talk to a real person?")
        assert service.providers.told("+15550100154") == [HANDED]
        service.sms("SM55", "+15550100154", "Is somebody there?")
        service.sms("SM56", "+15550100155", "Hello, somebody else here")
        service.providers.told("+15550100155")
        assert service.providers.told("+15550100154") == [HANDED]

        service.give_back("sms:+15550100154", "Bea")
        service.sms("SM57", "+15550100154", "Where is A-1042?")
        assert service.providers.told("+15550100154", 2)[1] == (
            f"I have read what you wrote with Bea. {LATE}"
        )

    def test_a_forged_mail_hands_nobody_over(self, service: Service) -> None:
        asked = "Let me talk to a person"
        service.mail(mail("gil@example.org", "m70", asked, dmarc="fail"))
        assert service.providers.told("gil@example.org")[0].startswith("I cannot tell whether")
        service.mail(mail("gil@example.org", "m71", "Where is A-1042?"))
        assert service.providers.told("gil@example.org", 2)[1].startswith("Sorry for that!")
        service.mail(mail("gil@example.org", "m72", asked))  # it would have been heard
        assert service.providers.told("gil@example.org", 3)[2].startswith("One moment")

    def test_a_code_from_the_mailbox_makes_two_one(self, service: Service) -> None:
        service.mail(mail("fay@example.org", "m60", "Where is A-1042?"))
        service.providers.told("fay@example.org")
        service.sms("SM60", "+15550100160", "I am fay@example.org")
        sent = service.providers.told("fay@example.org", 2)[1]
        service.providers.told("+15550100160")
        code = re.search(r"\b\d{6}\b", sent)
        assert code

        wrong = "111111" if code.group() != "111111" else "222222"
        service.sms("SM61", "+15550100160", wrong)
        assert "not the code" in service.providers.told("+15550100160", 2)[1]
        service.sms("SM62", "+15550100160", code.group())

        assert service.providers.told("+15550100160", 3)[2].startswith("Thank you, now I know")
        channels = {channel for channel, _, _ in service.stored("email:fay@example.org")}
        assert channels == {"email", "sms"}
        assert code.group() not in str(
            [text for _, author, text in service.stored("fay@example.org") if author != "contact"]
        )


class TestModel:
    def test_a_model_stands_in_the_agents_place(self, tmp_path: Path) -> None:
        with running(tmp_path, "twilio", "model") as service:
            service.sms("SM70", "+15550100170", "Where is A-1042?")
            assert service.providers.told("+15550100170") == ["I am a model."]
            (prompt,) = service.providers.prompts
        assert prompt["model"] == "small"
        assert "walnut desk lamp" in prompt["messages"][0]["content"]
        assert "linen curtain" not in prompt["messages"][0]["content"]
        assert prompt["messages"][1:] == [{"role": "user", "content": "Where is A-1042?"}]


class TestSettings:
    def test_a_read_only_store_asks_for_a_repetition(self, tmp_path: Path) -> None:
        with running(tmp_path, "twilio") as plain:
            plain.sms("SM80", "+15550100180", "Hi")
            plain.providers.told("+15550100180")
            assert len(plain.stored("+15550100180")) == 2
        frozen_store = {"CTXBRIDGE_STORE": "sqlite:///bot.db?mode=ro"}
        with running(tmp_path, "twilio", "mail", **frozen_store) as frozen:
            again = frozen.sms("SM81", "+15550100180", "Hi")
            later = frozen.mail(mail("ann@example.org", "m81", "Hi"))
            health = frozen.http.get(f"{frozen.url}/hooks/health")

        assert (again.status_code, again.headers["retry-after"]) == (503, "5")
        assert later == 451
        assert (health.status_code, health.json()["status"]) == (503, "failing")

    def test_only_the_mail_server_may_hand_mails_in(self, tmp_path: Path) -> None:
        with running(tmp_path, "mail", MAIL_IN_PEERS="192.0.2.1") as service:
            assert service.mail(mail("mallory@example.org", "door", "hi")) == 550
            assert service.stored("mallory@example.org") == []

    @pytest.mark.parametrize(
        ("settings", "named"),
        [
            ({}, "TWILIO_AUTH_TOKEN"),
            ({"TWILIO_ACCOUNT_SID": ACCOUNT}, "TWILIO_AUTH_TOKEN"),
            ({"SINCH_NUMBER": SINCH_NUMBER}, "SINCH_SECRET"),
            ({"MAIL_IN_PORT": "2525"}, "MAIL_AUTHSERV_ID"),
            ({"CHAT_SECRET": CHAT_SECRET}, "CHAT_ORIGINS"),
            ({"PORT": "eighty"}, "PORT"),
            ({"PORT": "65536"}, "PORT"),  # a socket would take it for port 0
            ({"MAIL_IN_PORT": "2525", "MAIL_AUTHSERV_ID": "mx.example.com"}, "SMTP_HOST"),
            ({"POSTMARK_CREDENTIALS": "name:password"}, "POSTMARK_SERVER_TOKEN"),
            (KNOWN["chat"] | {"CHAT_SECRET": "guessed"}, "CHAT_SECRET"),
            (KNOWN["chat"] | {"CHAT_ORIGINS": "shop.example.com"}, "https://acme.example"),
            (KNOWN["chat"] | {"CTXBRIDGE_STORE": "bot.db"}, "sqlite:///relative/path.db"),
            (KNOWN["chat"] | {"CODE_SECRET": "short"}, "code_secret is shorter than 32 bytes"),
            (KNOWN["chat"] | {"OTEL_TRACES_EXPORTER": "zipkin"}, "OTEL_TRACES_EXPORTER"),
            (KNOWN["sinch"] | {"SINCH_NUMBER": SINCH_NUMBER[1:]}, "SINCH_NUMBER"),
        ],
    )
    def test_it_does_not_start_where_anybody_could_write(
        self, tmp_path: Path, settings: dict[str, str], named: str
    ) -> None:
        done = subprocess.run(
            [sys.executable, str(APP)],
            cwd=tmp_path,
            env=ENVIRONMENT | settings,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 1
        assert named in done.stderr
        assert len(done.stderr.splitlines()) == 1

    @pytest.mark.skipif(find_spec("opentelemetry.exporter") is not None, reason="it is installed")
    def test_an_exporter_that_is_not_installed_is_named(self, tmp_path: Path) -> None:
        env = ENVIRONMENT | KNOWN["chat"] | {"PORT": str(free_port())}
        done = subprocess.run(
            [sys.executable, str(APP)], cwd=tmp_path, env=env | {"OTEL_TRACES_EXPORTER": "otlp"},
            capture_output=True, text=True, timeout=20, check=False,
        )  # fmt: skip
        assert done.returncode == 3
        assert "No module named 'opentelemetry.exporter'" in done.stderr
        assert "Traceback" not in done.stderr

    def test_who_cannot_be_mailed_a_code_is_not_told_to_spell_better(self, tmp_path: Path) -> None:
        with running(tmp_path, "twilio") as service:
            service.sms("SM92", "+15550100192", "I am ann@example.org")
            told = service.providers.told("+15550100192")
        assert told == ["I cannot send a code there. Is the address right? Else write from it."]

    def test_receipts_are_asked_for_where_the_webhook_is(self, tmp_path: Path) -> None:
        """Whether or not the public address was written with a slash at its end."""
        with running(tmp_path, "twilio", PUBLIC_URL="https://bot.example.com/") as service:
            form = {"MessageSid": "SM91", "From": "+15550100191", "To": SHOP, "Body": "Hi"}
            url = "https://bot.example.com/hooks/twilio"
            signature = RequestValidator(AUTH_TOKEN).compute_signature(url, form)
            headers = {"X-Twilio-Signature": signature}
            service.http.post(f"{service.url}/hooks/twilio", data=form, headers=headers)
            service.providers.told("+15550100191")
            assert service.providers.callbacks[0].startswith(f"{url}?")

    def test_traces_go_to_the_console_and_hold_no_words(self, tmp_path: Path) -> None:
        with running(tmp_path, "twilio", OTEL_TRACES_EXPORTER="console") as service:
            service.sms("SM90", "+15550100190", "My secret is blue")
            service.providers.told("+15550100190")
        log = (tmp_path / "log.txt").read_text()
        assert '"trace_id"' in log
        assert "blue" not in log
        assert "5550100190" not in log

    def test_the_settings_are_nothing_that_is_committed_or_packed(self) -> None:
        """What `.gitignore` names goes into no sdist either, which holds all examples."""
        assert ".env" in (FOLDER.parents[1] / ".gitignore").read_text().splitlines()

    def test_the_example_of_settings_names_each(self) -> None:
        source = APP.read_text().split("class Settings")[1].split("TOGETHER")[0]
        known = {name.upper() for name in re.findall(r"^    (\w+): ", source, re.MULTILINE)}
        named = re.findall(r"^([A-Z_]+)=", (FOLDER / ".env.example").read_text(), re.MULTILINE)
        assert set(named) == known


def test_the_app_and_its_agent_are_at_most_400_lines_of_code() -> None:
    """What a team starts from. Lines that hold code: no blank ones, comments and docstrings."""
    for name in ("app.py", "shop.py"):  # neither needs a file of the demo
        imported = set(
            re.findall(r"^(?:from|import) (\w+)", (FOLDER / name).read_text(), re.MULTILINE)
        )
        assert imported & {file.stem for file in FOLDER.glob("*.py")} <= {"shop"}
    counted = {name: _lines_of_code(FOLDER / name) for name in ("app.py", "shop.py")}
    assert sum(counted.values()) <= 400, counted


def _lines_of_code(path: Path) -> int:
    source = path.read_text()
    no_code = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT,
               tokenize.ENDMARKER}  # fmt: skip
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in no_code:
            lines |= set(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        told = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
        if isinstance(node, told) and ast.get_docstring(node):
            lines -= set(range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1))
    return len(lines)
