"""LangGraph on a bridge: checkpoints and long-term memory in its store.

::

    saver = BridgeSaver(bridge)                      # needs the extra `langgraph`
    graph = builder.compile(checkpointer=saver, store=BridgeStore(bridge))

What one turn of a conversation is, and what a model sees of it, is for the middleware of
`ctxbridge.integrations.langchain`.
"""

from ctxbridge.integrations._versions import require

require("langgraph", "1.2", "2")
require("langgraph-checkpoint", "4.3", "5")

from ctxbridge.integrations.langgraph.saver import BridgeSaver  # noqa: E402
from ctxbridge.integrations.langgraph.store import BridgeStore  # noqa: E402

__all__ = ["BridgeSaver", "BridgeStore"]
