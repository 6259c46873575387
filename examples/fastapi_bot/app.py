"""A bot on SMS, e-mail and web chat: one FastAPI app over one bridge.

Start it with ``python examples/fastapi_bot/app.py``; ``.env.example`` names the settings. A channel
is there where its secrets are set. What stands where: settings, senders, the mail server's door,
traces, the app. The agent is in ``shop.py``.
"""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from importlib import import_module
from typing import Annotated, Any, Literal

import anyio
import msgspec
import uvicorn
from aiosmtpd.smtp import SMTP, Envelope, Session
from fastapi import FastAPI
from opentelemetry import trace
from shop import Model, Shop, Ticket, no_promises

from ctxbridge import Bridge, Inbound, Overlap, RawRequest, Turn, errors, guards
from ctxbridge.asgi import Limits, webhooks
from ctxbridge.bridge.recovery import Agent
from ctxbridge.channels import Email, Postmark, SinchSms, Twilio, WebChat
from ctxbridge.chatting import chat
from ctxbridge.delivery import senders
from ctxbridge.model import Outgoing, Sent
from ctxbridge.ports import Channel, Sender

KIB, MIB = 1024, 1024 * 1024
Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]
logger = logging.getLogger("bot")


# --- settings: environment variables of these names, in capitals --------------------------------


class Settings(msgspec.Struct, frozen=True, kw_only=True, rename=str.upper):
    """What is set; ``.env.example`` says what each is for."""

    host: str = "127.0.0.1"
    port: Port = 8000
    public_url: str = ""
    ctxbridge_store: str = "sqlite:///bot.db"
    tenant: str = "bot"
    code_secret: str = ""
    lease_seconds: float = 60.0
    quiet_seconds: float = 0.0
    think_seconds: float = 0.0

    twilio_account_sid: str = ""
    twilio_auth_token: str = ""
    twilio_api: str = "https://api.twilio.com"

    sinch_service_plan: str = ""
    sinch_api_token: str = ""
    sinch_secret: str = ""
    sinch_number: Annotated[str, msgspec.Meta(pattern=r"^(\+\d{7,15}|\d{3,8}|)$")] = ""
    sinch_api: str = "https://us.sms.api.sinch.com"

    mailbox: str = "help@shop.example.com"
    mail_in_port: Port = 0
    mail_in_peers: str = "127.0.0.1,::1"
    mail_authserv_id: str = ""
    smtp_host: str = ""
    smtp_port: Port = 587
    smtp_username: str = ""
    smtp_password: str = ""
    postmark_credentials: str = ""
    postmark_server_token: str = ""

    chat_secret: Annotated[str, msgspec.Meta(pattern="^$|.{32}")] = ""
    chat_origins: str = ""
    chat_app: str = "shop"

    openai_base_url: str = ""
    openai_api_key: str = ""
    openai_model: str = "gpt-4.1-mini"

    otel_traces_exporter: Literal["", "none", "console", "otlp"] = ""
    otel_exporter_otlp_endpoint: str = ""


TOGETHER = (
    ("twilio_account_sid", "twilio_auth_token"),
    ("sinch_service_plan", "sinch_api_token", "sinch_secret", "sinch_number"),
    ("mail_in_port", "mail_authserv_id"),
    ("chat_secret", "chat_origins"),
)
WAYS_IN = "twilio_auth_token", "sinch_secret", "mail_in_port", "postmark_credentials", "chat_secret"


def read_settings(env: Mapping[str, str]) -> Settings:
    """The settings in `env`; what is wrong with them ends the program, with a word about it."""
    try:
        found = msgspec.convert({k: v for k, v in env.items() if v}, Settings, strict=False)
    except msgspec.ValidationError as error:
        raise SystemExit(f"a setting cannot be read: {error}") from None
    for group in TOGETHER:
        missing = [name.upper() for name in group if not getattr(found, name)]
        if missing and len(missing) < len(group):
            raise SystemExit(f"set {', '.join(missing)} too: it goes with what is set")
    mails = found.mail_in_port or found.postmark_credentials
    if mails and not (found.smtp_host or found.postmark_server_token):
        raise SystemExit("set SMTP_HOST or POSTMARK_SERVER_TOKEN too: answers to mails leave by it")
    if not any(getattr(found, name) for name in WAYS_IN):
        names = ", ".join(name.upper() for name in WAYS_IN)
        raise SystemExit(f"no channel is set up: set at least one of {names} (see .env.example)")
    return found


# --- senders: what takes replies to the providers -----------------------------------------------


class ByNumber(senders.TwilioSender):
    """SMS by two providers: a reply leaves by the one whose number was written to."""

    others: Mapping[str, Sender]

    async def send(self, outgoing: Outgoing, /) -> Sent:
        """Send by the number's own provider; by Twilio, if it is nobody else's."""
        other = self.others.get(outgoing.endpoint.value)
        return await (other.send(outgoing) if other else super().send(outgoing))

    async def aclose(self) -> None:
        """Close all of them."""
        for sender in self.others.values():
            await sender.aclose()
        await super().aclose()


def senders_of(s: Settings) -> list[Sender]:
    """One for each channel that is set up."""
    found: list[Sender] = []
    if s.sinch_secret:
        api = senders.SinchSmsBuilder(s.sinch_service_plan, s.sinch_api_token, base_url=s.sinch_api)
        found.append(senders.HttpSender(api))
    if s.twilio_auth_token:
        told = f"{s.public_url.rstrip('/')}/hooks/twilio" if s.public_url else None
        sms = ByNumber(
            s.twilio_account_sid, s.twilio_auth_token, status_callback=told, base_url=s.twilio_api
        )
        sms.others = {s.sinch_number: found.pop()} if found else {}
        found.append(sms)
    if s.smtp_host:
        user, password = s.smtp_username or None, s.smtp_password or None
        found.append(senders.SmtpSender(s.smtp_host, s.smtp_port, username=user, password=password))
    elif s.postmark_server_token:
        found.append(senders.HttpSender(senders.PostmarkBuilder(s.postmark_server_token)))
    if s.chat_secret:
        found.append(senders.WebChatSender())
    return found


def channels_of(s: Settings) -> list[Channel]:
    """The webhooks whose secrets are set: one that anybody could write to is not there."""
    found: list[Channel] = []
    if s.twilio_auth_token:
        found.append(Twilio(s.twilio_auth_token))
    if s.sinch_secret:
        found.append(SinchSms(s.sinch_secret, number=s.sinch_number))
    if s.postmark_credentials:
        found.append(Postmark(s.postmark_credentials, mailbox=s.mailbox))
    return found


# --- mail by SMTP: the door for your own mail server --------------------------------------------


class MailDoor:
    """Takes mails from your own mail server: stored first, then acknowledged.

    Whoever hands a mail in writes its Authentication-Results too, so nobody else may.
    """

    def __init__(self, bridge: Bridge[Ticket], agent: Agent, s: Settings) -> None:
        self._bridge = bridge
        self._agent = agent
        self._channel = Email(s.mailbox, authserv_id=s.mail_authserv_id)
        self._peers = {peer.strip() for peer in s.mail_in_peers.split(",")}

    async def handle_MAIL(  # noqa: N802 - aiosmtpd's names
        self, _server: SMTP, session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        """Refuse strangers before they say more."""
        if session.peer is None or session.peer[0] not in self._peers:
            return "550 5.7.1 mails come from our own mail server alone"
        envelope.mail_from = address
        return "250 OK"

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Store the mail, and acknowledge it then."""
        raw = envelope.content if isinstance(envelope.content, bytes) else b""
        sender = (envelope.mail_from or "").strip("<>")  # a bounce's is empty
        returns = f"Return-Path: <{sender}>\r\n".encode("utf-8", "replace")
        request = RawRequest(returns + raw, received_at=self._bridge.clock.now())
        parsed = await anyio.to_thread.run_sync(  # a long mail takes a while
            lambda: self._channel.parse(request, self._channel.verify(request))
        )
        wrong: list[Exception] = list(parsed.errors)
        try:
            for event in parsed.events:
                if isinstance(event, Inbound):
                    await self._bridge.accept(event, self._agent)
                else:
                    await self._bridge.receive(event)
        except (errors.Malformed, errors.IdempotencyMismatch) as error:
            wrong.append(error)
        for one in wrong:  # a repetition would not help, and a bounce goes to a stranger
            logger.warning("a mail was put aside: %s", type(one).__name__)
        return "250 stored"

    async def handle_exception(self, error: Exception) -> str:
        """It was not stored, whatever the reason: your mail server keeps it and tries again."""
        logger.error("a mail was not stored: %s", type(error).__name__)
        return "451 4.3.0 not stored, please try again"

    @asynccontextmanager
    async def open(self, host: str, port: int) -> AsyncIterator[None]:
        """Listen while the block runs."""
        spoken = partial(SMTP, self, data_size_limit=10 * MIB, enable_SMTPUTF8=True, timeout=60)
        async with await asyncio.get_running_loop().create_server(spoken, host, port):
            yield


# --- traces: to the console, or by OTLP ---------------------------------------------------------


def traced(s: Settings) -> Callable[[], None]:
    """Send spans where the settings say, until what this gives is called.

    They hold no text, address or name.
    """
    kind = s.otel_traces_exporter or ("otlp" if s.otel_exporter_otlp_endpoint else "none")
    if kind == "none":
        return lambda: None
    from opentelemetry.sdk.trace import TracerProvider, export

    to: Any = export.ConsoleSpanExporter
    if kind == "otlp":  # pip install opentelemetry-exporter-otlp-proto-http
        to = import_module("opentelemetry.exporter.otlp.proto.http.trace_exporter").OTLPSpanExporter
    if not isinstance(trace.get_tracer_provider(), TracerProvider):
        trace.set_tracer_provider(TracerProvider())
    provider: Any = trace.get_tracer_provider()
    provider.add_span_processor(processor := export.BatchSpanProcessor(to()))
    return processor.shutdown


def spanned(agent: Shop | Model) -> Agent:
    """The agent, with a span around it under its name in OpenTelemetry's conventions."""
    tracer = trace.get_tracer("bot")

    async def asked(turn: Turn[Any]) -> Any:
        with tracer.start_as_current_span(f"invoke_agent {type(agent).__name__}"):
            return await agent(turn)

    return asked


# --- the app ------------------------------------------------------------------------------------


def plainly(record: logging.LogRecord) -> bool:
    """Of what we end the start with, uvicorn logs our words and no traceback: a filter."""
    record.msg = str(record.msg).rpartition("SystemExit: ")[2].strip()
    return True


def bridge_of(s: Settings) -> Bridge[Ticket]:
    """The bridge: whose customers, which guards, what happens to bursts."""
    burst = Overlap("merge", quiet_seconds=s.quiet_seconds)
    return Bridge(
        s.ctxbridge_store,
        tenant=s.tenant,
        state=Ticket,
        guards=[guards.opt_out(), guards.automatic(), guards.pii(), no_promises],
        senders=senders_of(s),
        overlap={"sms": burst, "email": burst, "chat": Overlap("merge")},
        lease_seconds=s.lease_seconds,
        code_secret=s.code_secret or (),
    )


def create(s: Settings) -> FastAPI:
    """The app: webhooks under ``/hooks``, the chat under ``/chat``, mail by SMTP beside it."""
    bridge = bridge_of(s)
    mind: Shop | Model = Shop(bridge, s.mailbox, s.think_seconds)
    if s.openai_base_url:
        mind = Model(s.openai_base_url, s.openai_api_key, s.openai_model)
    agent = spanned(mind)

    @asynccontextmanager
    async def life(_app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            try:
                stack.callback(traced(s))
                await stack.enter_async_context(bridge)
                if s.mail_in_port:
                    door = MailDoor(bridge, agent, s)
                    await stack.enter_async_context(door.open(s.host, s.mail_in_port))
            except (OSError, ImportError, errors.CtxBridgeError) as error:
                raise SystemExit(str(error)) from None
            group = await stack.enter_async_context(anyio.create_task_group())
            group.start_soon(bridge.run, agent)  # takes up what a worker that died left behind
            stack.callback(group.cancel_scope.cancel)
            yield

    app = FastAPI(lifespan=life)
    app.state.bridge, app.state.agent = bridge, mind
    if channels := channels_of(s):
        limits = Limits(body_bytes=256 * KIB, mail_bytes=10 * MIB)
        app.mount("/hooks", webhooks(bridge, channels, agent, origin=s.public_url, limits=limits))
    if s.chat_secret:
        channel = WebChat(s.chat_secret, app=s.chat_app)
        origins = [origin.strip() for origin in s.chat_origins.split(",")]
        app.mount("/chat", chat(bridge, channel, agent, origins=origins))
    return app


if __name__ == "__main__":
    settings = read_settings(os.environ)
    logging.getLogger("uvicorn.error").addFilter(plainly)
    try:
        uvicorn.run(create(settings), host=settings.host, port=settings.port, ws_max_size=64 * KIB)
    except errors.ConfigurationError as error:
        raise SystemExit(f"a setting cannot be used: {error}") from None
