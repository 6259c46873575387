"""The world around the bot, for the demo: people with devices, and providers between them and us.

Nothing of it belongs into a service. It holds the secrets of the test, signs webhooks as Twilio and
Sinch do, writes Authentication-Results as your mail server does, and catches what the bot sends.
What people do goes the real way: HTTP, SMTP and WebSocket to the running app.
"""

import asyncio
import base64
import hashlib
import hmac
import json
import secrets
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from email import message_from_bytes, policy
from email.message import EmailMessage
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qs, urlencode

import aiosmtplib
import httpx
import websockets
from aiosmtpd.smtp import SMTP, Envelope
from msgspec import Struct
from shop import Ticket

from ctxbridge import Bridge
from ctxbridge.channels import WebChat

ANN, NEW, BOB = "+15550100142", "+15550100188", "+15550100177"
MAILBOX, LOGIN, SHOP = "ann@example.org", "customer-4711", "help@shop.example.com"
NUMBERS = {"twilio": "+15550100199", "sinch": "+15550100299"}
NAMES = {
    f"sms:{ANN}": "Ann’s phone",
    f"email:{MAILBOX}": "Ann’s mailbox",
    f"chat:{LOGIN}": "Ann in the chat",
    f"sms:{NEW}": "a new phone",
    f"sms:{BOB}": "Bob’s phone",
}
AUTHSERV = "mx.shop.example.com"
SECRETS = {
    "TWILIO_ACCOUNT_SID": "AC00000000000000000000000000000001",
    "TWILIO_AUTH_TOKEN": "twilio-token-of-the-simulator",
    "SINCH_SERVICE_PLAN": "plan-of-the-simulator",
    "SINCH_API_TOKEN": "sinch-token-of-the-simulator",
    "SINCH_SECRET": "sinch-secret-of-the-simulator",
    "POSTMARK_CREDENTIALS": "postmark:password-of-the-simulator",
    "CHAT_SECRET": "chat-secret-of-the-simulator-of-32-bytes",
    "CODE_SECRET": "code-secret-of-the-simulator-of-32-bytes",
}
MOST_SHOWN = 200
AGAIN_SECONDS, PATIENCE_SECONDS = 0.5, 60.0
"""How a provider repeats what was not taken; real ones wait longer, and repeat for hours."""


def environment(url: str, store: str, mail_in: int, mail_out: int) -> dict[str, str]:
    """The bot's settings here: the simulator stands where the providers would."""
    return SECRETS | {
        "PORT": url.rpartition(":")[2],
        "PUBLIC_URL": url,
        "CHAT_ORIGINS": f"{url},{url.replace('127.0.0.1', 'localhost')}",
        "CTXBRIDGE_STORE": store,
        "TENANT": "demo",
        "TWILIO_API": f"{url}/sim/twilio",
        "SINCH_API": f"{url}/sim/sinch",
        "SINCH_NUMBER": NUMBERS["sinch"],
        "MAILBOX": SHOP,
        "MAIL_IN_PORT": str(mail_in),
        "MAIL_AUTHSERV_ID": AUTHSERV,
        "SMTP_HOST": "127.0.0.1",
        "SMTP_PORT": str(mail_out),
        "LEASE_SECONDS": "2",
        "QUIET_SECONDS": "0.15",
        "THINK_SECONDS": "0.05",
    }


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Shown(Struct):
    """A message on a device, or one that the bot sent there."""

    device: str
    whose: str
    author: str
    text: str
    at: int
    subject: str = ""
    endpoint: str = ""
    provider_id: str = ""
    status: str = ""


class Simulator:
    """People, their devices, and the providers, around the bot at `url`."""

    def __init__(self, bridge: Bridge[Ticket], url: str, env: dict[str, str]) -> None:
        self.bridge = bridge
        self.url = url
        self.env = env
        self.shown: list[Shown] = []
        self.happened: list[str] = []
        self.again: dict[str, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.http = httpx.AsyncClient(timeout=20)

    def tell(self, text: str) -> str:
        """Note what happened, for the page."""
        self.happened = [*self.happened, text][-MOST_SHOWN:]
        return text

    def show(self, shown: Shown) -> None:
        """Put a message on its device."""
        self.shown = [*self.shown, shown][-MOST_SHOWN:]

    # --- what people do ---------------------------------------------------------------------

    async def sms(
        self, text: str, number: str = ANN, via: str = "twilio", times: int = 1, where: str = ""
    ) -> str:
        """A text message; the provider's id of it.

        `times` says how often the provider calls the webhook, all at once, and `where` at which
        worker, if not at ours.
        """
        id = ("SM" if via == "twilio" else "01") + secrets.token_hex(16)
        self.show(Shown("phone", number, "contact", text, now(), endpoint=NUMBERS[via]))
        call = self._twilio if via == "twilio" else self._sinch
        await asyncio.gather(*[call(id, number, text, where or self.url) for _ in range(times)])
        if times > 1:
            self.again[id] = times - 1
        return id

    async def _twilio(self, id: str, number: str, text: str, where: str) -> None:
        form = {"MessageSid": id, "AccountSid": SECRETS["TWILIO_ACCOUNT_SID"], "From": number,
                "To": NUMBERS["twilio"], "Body": text, "NumMedia": "0"}  # fmt: skip
        await self._signed_by_twilio(form, where, "")

    async def _signed_by_twilio(self, form: dict[str, str], where: str, query: str) -> None:
        """Twilio signs the public address, whichever worker is behind it, and all fields."""
        signed = f"{self.url}/hooks/twilio{query}" + "".join(k + form[k] for k in sorted(form))
        key = SECRETS["TWILIO_AUTH_TOKEN"].encode()
        made = base64.b64encode(hmac.new(key, signed.encode(), hashlib.sha1).digest()).decode()
        headers = {"X-Twilio-Signature": made, "Content-Type": "application/x-www-form-urlencoded"}
        await self._post(f"{where}/hooks/twilio{query}", urlencode(form).encode(), headers)

    async def _sinch(self, id: str, number: str, text: str, where: str) -> None:
        await self._signed_by_sinch({
            "type": "mo_text", "id": id, "from": number[1:], "to": NUMBERS["sinch"][1:],
            "body": text, "received_at": f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime())}Z",
        }, where)  # fmt: skip

    async def _signed_by_sinch(self, body: dict[str, Any], where: str) -> None:
        raw, nonce, at = json.dumps(body), secrets.token_hex(13).upper(), str(int(time.time()))
        key, head = SECRETS["SINCH_SECRET"].encode(), "x-sinch-webhook-signature"
        made = hmac.new(key, f"{raw}.{nonce}.{at}".encode(), hashlib.sha256).digest()
        await self._post(f"{where}/hooks/sinch_sms", raw.encode(), {
            head: base64.b64encode(made).decode(), f"{head}-nonce": nonce, f"{head}-timestamp": at,
            f"{head}-algorithm": "HmacSHA256", "Content-Type": "application/json"})  # fmt: skip

    async def _post(self, url: str, body: bytes, headers: dict[str, str]) -> None:
        """Call the webhook, and again while it says that it could not store the message."""
        until = time.monotonic() + PATIENCE_SECONDS
        while True:
            answer = await self.http.post(url, content=body, headers=headers)
            if answer.status_code != 503 or time.monotonic() > until:
                break
            await asyncio.sleep(AGAIN_SECONDS)
        answer.raise_for_status()

    async def mail(self, text: str, *, via: str = "smtp", forged: bool = False) -> None:
        """A mail to the shop, by its own mail server or by Postmark; `forged`: somebody else's."""
        if not forged:
            self.show(Shown("mailbox", MAILBOX, "contact", text, now()))
        mail = EmailMessage()
        mail["From"], mail["To"], mail["Subject"] = f"Ann <{MAILBOX}>", SHOP, "My order"
        mail["Message-ID"] = f"<{secrets.token_hex(12)}@example.org>"
        mail["Date"] = formatdate()
        mail.set_content(text)
        if via == "postmark":
            await self._postmark(mail, text)
            return
        # What your mail server says of the mail, behind its own look at SPF, DKIM and DMARC.
        word = "fail" if forged else "pass"
        said = f"Authentication-Results: {AUTHSERV}; dmarc={word} header.from=example.org\r\n"
        raw = said.encode() + mail.as_bytes(policy=policy.SMTP)
        await self._hand_in(raw, int(self.env["MAIL_IN_PORT"]))

    async def _hand_in(self, raw: bytes, port: int) -> None:
        """As a mail server does: what was refused for now is kept, and tried again."""
        until = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                await aiosmtplib.send(
                    raw, sender=MAILBOX, recipients=[SHOP], hostname="127.0.0.1", port=port,
                    start_tls=False, timeout=20,
                )  # fmt: skip
                return
            except aiosmtplib.SMTPResponseException as refused:
                if refused.code >= 500 or time.monotonic() > until:
                    raise
            await asyncio.sleep(AGAIN_SECONDS)

    async def _postmark(self, mail: EmailMessage, text: str) -> None:
        body = {
            "From": MAILBOX, "FromFull": {"Email": MAILBOX, "Name": "Ann"}, "To": SHOP,
            "OriginalRecipient": SHOP, "Subject": mail["Subject"], "TextBody": text,
            "MessageID": secrets.token_hex(16), "RawEmail": mail.as_string(policy=policy.SMTP),
            "Headers": [{"Name": "Message-ID", "Value": mail["Message-ID"]}],
        }  # fmt: skip
        login = base64.b64encode(SECRETS["POSTMARK_CREDENTIALS"].encode()).decode()
        headers = {"Authorization": f"Basic {login}", "Content-Type": "application/json"}
        await self._post(f"{self.url}/hooks/postmark", json.dumps(body).encode(), headers)

    def token(self) -> str:
        """What the shop's own site gives somebody who is logged in."""
        channel = WebChat(SECRETS["CHAT_SECRET"], app="shop")
        return channel.token(LOGIN, now=now(), login=True)

    async def say_in_chat(self, text: str) -> None:
        """A message by WebSocket, as the page's own script sends it."""
        where = self.url.replace("http", "ws", 1) + "/chat/"
        id = secrets.token_hex(8)
        async with websockets.connect(where, origin=websockets.Origin(self.url)) as line:
            await line.send(json.dumps({"type": "resume", "token": self.token(), "last_seq": 0}))
            await line.send(json.dumps({"type": "message", "client_msg_id": id, "text": text}))
            async for frame in line:
                if json.loads(frame).get("client_msg_id") == id:
                    break

    async def idle(self, address: str, seconds: float = 20.0) -> None:
        """Wait until every message of the conversation has had its turn, and its answer left."""
        for _ in range(int(seconds / 0.02)):
            waits = (await self.bridge.context(address, fresh=True)).waiting
            held = await self.bridge.deliveries("pending")
            # What is for the chat leaves once somebody opens it.
            if not waits and all(one.message and one.message.channel == "chat" for one in held):
                return
            await asyncio.sleep(0.02)
        raise TimeoutError(f"{address} still waits for an answer")

    # --- the providers: what the bot sends ends here ------------------------------------------

    def take_from_twilio(self, login: str, body: bytes) -> dict[str, str] | None:
        """The Messages resource; later its status callback says that it has arrived."""
        known = f"{SECRETS['TWILIO_ACCOUNT_SID']}:{SECRETS['TWILIO_AUTH_TOKEN']}"
        if login != "Basic " + base64.b64encode(known.encode()).decode():
            return None
        form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        id = "SM" + secrets.token_hex(16)
        self._caught("phone", form["To"], form["Body"], form["From"], id)
        _, mark, query = form.get("StatusCallback", "").partition("?")
        told = {"MessageSid": id, "MessageStatus": "delivered", "From": form["From"],
                "To": form["To"]}  # fmt: skip
        self._later(lambda: self._signed_by_twilio(told, self.url, mark + query))
        return {"sid": id}

    def take_from_sinch(self, login: str, body: bytes) -> dict[str, str] | None:
        """The batches of the SMS API; later a delivery report."""
        if login != f"Bearer {SECRETS['SINCH_API_TOKEN']}":
            return None
        asked = json.loads(body)
        id, to = "01" + secrets.token_hex(12).upper(), "+" + str(asked["to"][0]).lstrip("+")
        ours = "+" + str(asked["from"]).lstrip("+")
        self._caught("phone", to, asked["body"], ours, id)
        told = {"type": "recipient_delivery_report_sms", "batch_id": id, "recipient": to[1:],
                "status": "Delivered", "code": 0, "applied_originator": ours,
                "client_reference": asked.get("client_reference", "")}  # fmt: skip
        self._later(lambda: self._signed_by_sinch(told, self.url))
        return {"id": id}

    async def handle_DATA(self, _server: SMTP, _session: object, envelope: Envelope) -> str:  # noqa: N802
        """The mail server that answers leave by."""
        mail = message_from_bytes(_bytes(envelope.content), policy=policy.default)
        text = mail.get_body(("plain",))
        words = str(text.get_content()).strip() if text else ""
        id, subject = str(mail["Message-ID"]).strip("<> "), str(mail["Subject"])
        self._caught("mailbox", envelope.rcpt_tos[0], words, SHOP, id, subject)
        return "250 taken"

    def _caught(
        self, device: str, whose: str, text: str, ours: str, id: str, subject: str = ""
    ) -> None:
        self.show(Shown(device, whose, "agent", text, now(), subject, ours, id, "sent"))

    def _later(self, call: Callable[[], Awaitable[None]]) -> None:
        async def report() -> None:
            await asyncio.sleep(0.1)
            with suppress(httpx.HTTPError):  # a real provider would ask again
                await call()

        task = asyncio.create_task(report())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Be there while the block runs."""
        loop, port = asyncio.get_running_loop(), int(self.env["SMTP_PORT"])
        async with self.http, await loop.create_server(lambda: SMTP(self), "127.0.0.1", port):
            try:
                yield
            finally:
                for task in self._tasks:
                    task.cancel()


def _bytes(content: bytes | str | None) -> bytes:
    return content.encode() if isinstance(content, str) else content or b""


def now() -> int:
    """Unix milliseconds."""
    return time.time_ns() // 1_000_000
