"""One conversation with a customer across SMS, e-mail and chat, under the agent you already have.

::

    from ctxbridge import Bridge

    bridge = Bridge("sqlite:///support.db", tenant="acme", state=Ticket)

    async with bridge:
        async with bridge.turn(inbound) as turn:      # dedupe, lease, context: one step
            if turn.open:                             # not answered before, not opted out
                turn.reply(await agent(turn.context.as_chat(budget=4_000)))
                turn.state.order_id = "A-17"          # judged and stored on leaving: one step
        send(turn.answer)

Names are loaded when they are first touched, so importing this costs next to nothing.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ctxbridge import channels, errors, guards
    from ctxbridge.bridge import Bridge, Overlap, Turn
    from ctxbridge.errors import CtxBridgeError
    from ctxbridge.model import (
        Address,
        Assurance,
        Attachment,
        Contact,
        Context,
        Decision,
        Endpoint,
        Event,
        Inbound,
        Link,
        Message,
        RawRequest,
        Receipt,
        Release,
        Text,
        Verdict,
    )
    from ctxbridge.stores import open_store

__version__ = "0.1.0"

__all__ = [
    "Address",
    "Assurance",
    "Attachment",
    "Bridge",
    "Contact",
    "Context",
    "CtxBridgeError",
    "Decision",
    "Endpoint",
    "Event",
    "Inbound",
    "Link",
    "Message",
    "Overlap",
    "RawRequest",
    "Receipt",
    "Release",
    "Text",
    "Turn",
    "Verdict",
    "channels",
    "errors",
    "guards",
    "open_store",
]

_HOMES = {
    "Bridge": "bridge",
    "CtxBridgeError": "errors",
    "Overlap": "bridge",
    "Turn": "bridge",
    "open_store": "stores",
    "channels": "",
    "errors": "",
    "guards": "",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'ctxbridge' has no attribute {name!r}")
    from importlib import import_module

    home = _HOMES.get(name, "model")
    value = (
        getattr(import_module(f"ctxbridge.{home}"), name)
        if home
        else import_module(f"ctxbridge.{name}")
    )
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
