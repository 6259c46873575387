"""LangChain on a bridge: an agent that sees one conversation across channels.

::

    bot = create_agent(model, tools, middleware=[BridgeMiddleware()])  # needs the extra `langchain`
    await bridge.answer(inbound, answering(bot))
"""

from ctxbridge.integrations._versions import require

require("langchain", "1.4", "2")
require("langchain-core", "1.7", "2")

from ctxbridge.integrations.langchain.history import BridgeHistory  # noqa: E402
from ctxbridge.integrations.langchain.middleware import BridgeMiddleware, answering  # noqa: E402

__all__ = ["BridgeHistory", "BridgeMiddleware", "answering"]
