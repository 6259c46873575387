"""A bot on SMS, e-mail and web chat: one FastAPI app over one bridge.

Start it with ``python examples/fastapi_bot/app.py``; the README beside it names the settings.
"""

import hmac
import json
import logging
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import anyio
import uvicorn
from fastapi import FastAPI, HTTPException, Request, Response, WebSocket, WebSocketDisconnect
from fastapi.responses import JSONResponse
from msgspec import Struct

from ctxbridge import Bridge, CtxBridgeError, Inbound, Message, RawRequest, Turn
from ctxbridge.channels import Email, Twilio, WebChat
from ctxbridge.errors import Busy, Fenced, StoreError
from ctxbridge.model import Parsed
from ctxbridge.ports import Channel

KIB = 1024
env = os.environ.get
log = logging.getLogger("bot")


class Notes(Struct):
    """What the bot remembers of a conversation, whatever the channel."""

    messages: int = 0
    first_words: str = ""


bridge = Bridge(env("CTXBRIDGE_STORE", "sqlite:///bot.db"), tenant="bot", state=Notes)
sms = Twilio(env("TWILIO_AUTH_TOKEN", ()), url=env("PUBLIC_URL"))
mail = Email(authserv_id=env("MAIL_AUTHSERV_ID"))
chat = WebChat(env("CHAT_SECRET", ()), app="bot")
mail_key = env("MAIL_HOOK_KEY", "")
if env("MAIL_AUTHSERV_ID") and not mail_key:
    # Whoever can post a mail writes its Authentication-Results too: only your server may.
    raise SystemExit(
        "MAIL_AUTHSERV_ID is set, so MAIL_HOOK_KEY must be: your mail server's own key"
    )


async def think(turn: Turn[Notes]) -> str:
    """Your agent: `turn.context.as_chat()` is the history for a model, from every channel."""
    last = turn.context.as_chat(budget=4_000)[-1]["content"]
    turn.state.messages += 1
    turn.state.first_words = turn.state.first_words or last
    return f"Message {turn.state.messages}. You began with: {turn.state.first_words}"


async def receive(adapter: Channel, request: RawRequest) -> tuple[Parsed, list[Message]]:
    """Verify, parse, and one turn per message: the same for every channel."""
    parsed = adapter.parse(request, adapter.verify(request))
    for error in parsed.errors:  # a repetition cannot help; keep the request if you may need it
        log.warning("%s: %s", adapter.name, error)
    answer: list[Message] = []
    for event in parsed.events:
        if isinstance(event, Inbound):
            answer += (await bridge.answer(event, think)).answer
        else:
            await bridge.receive(event)
    return parsed, answer


@asynccontextmanager
async def life(_app: FastAPI) -> AsyncIterator[None]:
    """The store is open as long as the app runs; beside it turns of lost workers are taken up."""
    async with bridge, anyio.create_task_group() as group:
        group.start_soon(bridge.run, think)
        yield
        group.cancel_scope.cancel()


app = FastAPI(lifespan=life)


@app.exception_handler(CtxBridgeError)
async def failed(_request: Request, error: CtxBridgeError) -> JSONResponse:
    """503 where the provider shall repeat the message, as is safe; 409 where it cannot help."""
    again = isinstance(error, (StoreError, Busy, Fenced))
    return JSONResponse({"error": type(error).__name__}, 503 if again else 409)


async def whole(request: Request, limit: int) -> RawRequest:
    """The request as it came; 413 as soon as its body is over `limit`."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > limit:
            raise HTTPException(413)
    headers = tuple(request.headers.items())
    return RawRequest(bytes(body), headers, request.method, str(request.url), now())


def now() -> int:
    """Unix milliseconds."""
    return time.time_ns() // 1_000_000


@app.post("/hooks/twilio")
async def on_sms(request: Request) -> Response:
    """Twilio's webhook for messages; the answer goes back in the response, as TwiML."""
    parsed, answer = await receive(sms, await whole(request, 256 * KIB))
    reply = sms.reply(parsed, answer)
    return Response(reply.body, reply.status, media_type=reply.content_type)


@app.post("/hooks/email")
async def on_mail(request: Request) -> JSONResponse:
    """A mail as it came (RFC 5322); the reply is told here, for nothing sends mail yet."""
    key = request.headers.get("X-Mail-Hook-Key", "")
    if mail_key and not hmac.compare_digest(key.encode(), mail_key.encode()):
        raise HTTPException(403)
    parsed, answer = await receive(mail, await whole(request, 10 * KIB * KIB))
    told = {"replies": [m.text for m in answer], "errors": [str(e) for e in parsed.errors]}
    return JSONResponse(told, mail.reply(parsed, answer).status)


@app.websocket("/chat")
async def on_chat(socket: WebSocket) -> None:
    """Frames of the web chat in, answer frames out."""
    await socket.accept()
    with suppress(WebSocketDisconnect):
        while (event := await socket.receive())["type"] == "websocket.receive":
            body = event.get("bytes") or (event.get("text") or "").encode()
            frame = RawRequest(body, tuple(socket.headers.items()), received_at=now())
            try:
                reply = chat.reply(*await receive(chat, frame)).body.decode()
            except CtxBridgeError as error:
                reply = json.dumps({"type": "error", "reason": type(error).__name__})
            await socket.send_text(reply)


@app.get("/health")
async def health() -> JSONResponse:
    """200 while messages can be stored."""
    report = await bridge.store.check()
    told = {"store": report.kind, "durable": report.durable}
    return JSONResponse(told, 200 if report.writable else 503)


if __name__ == "__main__":
    uvicorn.run(app, port=int(env("PORT", "8000")), ws_max_size=64 * KIB)
