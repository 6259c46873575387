"""A bot in a process of its own: python bot.py PORT DB KIND THINKS DRAINS LEASES (seconds)."""

import os
import sys

import anyio
import uvicorn
from msgspec.structs import replace

from ctxbridge import Bridge
from ctxbridge.asgi import Limits, webhooks
from ctxbridge.channels import Twilio, WebChat

PORT, DB, KIND = sys.argv[1:4]
THINKS, DRAINS, LEASES = map(float, sys.argv[4:])


async def agent(turn):
    with open(f"{DB}.asked", "a") as asked:  # noqa: ASYNC230, PTH123
        asked.write("".join(f"{m.message_id}\n" for m in turn.messages))
    await anyio.sleep(THINKS)
    return "re: " + " ".join(m.text for m in turn.messages)


class Forgetful(Twilio):
    """Broken on purpose: gives every copy of a message an id of its own."""

    def parse(self, request, verification):
        parsed = super().parse(request, verification)
        return replace(
            parsed, events=tuple(replace(e, message_id=os.urandom(8).hex()) for e in parsed.events)
        )


bridge = Bridge(f"sqlite:///{DB}", tenant="acme", drain_seconds=DRAINS, lease_seconds=LEASES)
twilio = Forgetful if KIND == "forgetful" else Twilio
channels = [twilio("token-of-the-tests"), WebChat("chat-secret-of-the-tests-with-32-bytes")]
hooks = webhooks(bridge, channels, agent, limits=Limits(body_seconds=1.0))


class Hasty:
    """Broken on purpose: acknowledges, and stores a moment later."""

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http" or scope["method"] != "POST":
            await hooks(scope, receive, send)
            return
        body = (await receive())["body"]
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})
        await anyio.sleep(5)

        async def again():
            return {"type": "http.request", "body": body, "more_body": False}

        async def nowhere(message):
            return None

        await hooks(scope, again, nowhere)


def app_of(kind):
    if kind == "mounted":
        from fastapi import FastAPI

        app = FastAPI(lifespan=hooks.lifespan)
        app.mount("/hooks", hooks)
        return app
    return Hasty() if kind == "hasty" else hooks


print(os.getpid(), flush=True)
uvicorn.run(app_of(KIND), port=int(PORT), log_level="warning")
