"""The web chat over WebSockets: an ASGI app that needs no framework, and mounts in any.

::

    from ctxbridge.chatting import chat

    bridge = Bridge("sqlite:///support.db", tenant="acme", senders=[WebChatSender()])
    app.mount("/chat", chat(bridge, WebChat(secret), agent, origins=["https://acme.example"]))

A page connects to ``wss://.../chat/`` (a mount needs the slash). The JavaScript for it is at
``.../chat/client.js``.
"""

from ctxbridge.chatting.app import Chat, chat

__all__ = ["Chat", "chat"]
