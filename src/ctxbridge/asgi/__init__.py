"""Webhooks in, acknowledgements out: an ASGI app that needs no web framework.

::

    from ctxbridge.asgi import webhooks

    hooks = webhooks(bridge, channels=[Twilio(token), WebChat(secret)], agent=reply)

    app = hooks                                # alone: `uvicorn bot:app`

    app = FastAPI(lifespan=hooks.lifespan)     # or within FastAPI, Starlette, ...
    app.mount("/hooks", hooks)
"""

from ctxbridge.asgi.app import Webhooks, webhooks
from ctxbridge.asgi.desk import Desk, desk
from ctxbridge.asgi.limits import Limits

__all__ = ["Desk", "Limits", "Webhooks", "desk", "webhooks"]
