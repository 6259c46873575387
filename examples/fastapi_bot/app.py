"""A bot on SMS, e-mail and web chat: one FastAPI app over one bridge.

Start it with ``python examples/fastapi_bot/app.py``; the README beside it names the settings.
"""

import hmac
import json
import os
from contextlib import suppress

import uvicorn
from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from msgspec import Struct

from ctxbridge import Bridge, CtxBridgeError, Inbound, RawRequest, Turn
from ctxbridge.asgi import Limits, webhooks
from ctxbridge.channels import Email, Twilio, WebChat
from ctxbridge.delivery.senders import SmtpSender, TwilioSender
from ctxbridge.model import Verification
from ctxbridge.ports import Sender

KIB = 1024
env = os.environ.get
mail_key = env("MAIL_HOOK_KEY", "")


class Notes(Struct):
    """What the bot remembers of a conversation, whatever the channel."""

    messages: int = 0
    first_words: str = ""


async def think(turn: Turn[Notes]) -> str:
    """Your agent: `turn.context.as_chat()` is the history for a model, from every channel."""
    last = turn.context.as_chat(budget=4_000)[-1]["content"]
    turn.state.messages += 1
    turn.state.first_words = turn.state.first_words or last
    return f"Message {turn.state.messages}. You began with: {turn.state.first_words}"


class OwnMail(Email):
    """Mails of your own mail server, with its key: who can post one says who has sent it."""

    def verify(self, request: RawRequest, /) -> Verification:
        """Whether the key is right, where one is set."""
        given = request.header("X-Mail-Hook-Key") or ""
        if mail_key and not hmac.compare_digest(given.encode(), mail_key.encode()):
            return Verification("failed", reason="the mail server's key is missing or wrong")
        return super().verify(request)


def senders() -> list[Sender]:
    """What takes replies to the providers; without, an SMS is answered in the response."""
    found: list[Sender] = []
    if account := env("TWILIO_ACCOUNT_SID"):
        found.append(TwilioSender(account, env("TWILIO_AUTH_TOKEN", "")))
    if host := env("SMTP_HOST"):
        found.append(SmtpSender(host, int(env("SMTP_PORT", "587"))))
    return found


if env("MAIL_AUTHSERV_ID") and not mail_key:
    raise SystemExit(
        "MAIL_AUTHSERV_ID is set, so MAIL_HOOK_KEY must be: your mail server's own key"
    )

store = env("CTXBRIDGE_STORE", "sqlite:///bot.db")
bridge = Bridge(store, tenant="bot", state=Notes, senders=senders())
chat = WebChat(env("CHAT_SECRET", ()), app="bot")
hooks = webhooks(
    bridge,
    channels=[Twilio(env("TWILIO_AUTH_TOKEN", ())), OwnMail(authserv_id=env("MAIL_AUTHSERV_ID"))],
    agent=think,
    in_band={"twilio": 10.0},
    origin=env("PUBLIC_URL", ""),
    limits=Limits(body_bytes=256 * KIB, mail_bytes=10 * KIB * KIB),
)
app = FastAPI(lifespan=hooks.lifespan)
app.mount("/hooks", hooks)


@app.websocket("/chat")
async def on_chat(socket: WebSocket) -> None:
    """Frames of the web chat in, answer frames out."""
    await socket.accept()
    headers = tuple(socket.headers.items())
    with suppress(WebSocketDisconnect):
        while (event := await socket.receive())["type"] == "websocket.receive":
            body = event.get("bytes") or (event.get("text") or "").encode()
            frame = RawRequest(body, headers, received_at=bridge.clock.now())
            await socket.send_text(await answer(frame))


async def answer(frame: RawRequest) -> str:
    """The answer to one frame."""
    parsed = chat.parse(frame, chat.verify(frame))
    messages = [event for event in parsed.events if isinstance(event, Inbound)]
    try:
        turns = [await bridge.answer(message, think) for message in messages]
    except CtxBridgeError as error:
        return json.dumps({"type": "error", "reason": type(error).__name__})
    return chat.reply(parsed, [said for turn in turns for said in turn.answer]).body.decode()


if __name__ == "__main__":
    uvicorn.run(app, port=int(env("PORT", "8000")), ws_max_size=64 * KIB)
