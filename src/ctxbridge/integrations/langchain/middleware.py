"""An agent of LangChain in a turn of the bridge: history from there, and none in checkpoints."""

from collections.abc import Awaitable, Callable, Collection
from contextvars import ContextVar
from typing import Any, Literal, Protocol

from langchain.agents.middleware import (
    AgentMiddleware,
    AgentState,
    ModelRequest,
    ModelResponse,
    ToolCallRequest,
    hook_config,
)
from langchain_core.messages import AIMessage, RemoveMessage
from langchain_core.runnables import RunnableConfig
from langgraph.graph.message import REMOVE_ALL_MESSAGES
from langgraph.runtime import Runtime

from ctxbridge.bridge.turn import Turn
from ctxbridge.errors import UsageError
from ctxbridge.integrations.langchain.messages import final_text, healed, history_of
from ctxbridge.integrations.langchain.tools import Answer, Tool, guarded
from ctxbridge.model.lines import estimate_tokens

_turn: ContextVar[Turn[Any]] = ContextVar("ctxbridge_turn")


class Graph(Protocol):
    """What can be run: `create_agent` gives one."""

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **more: Any) -> Any:
        """Run it to its end."""
        ...


class BridgeMiddleware(AgentMiddleware[AgentState[Any], Any, Any]):
    """Shows an agent the conversation of its turn, and puts the bridge's guards around its tools.

    The model is shown the window of the turn, across channels, up to `budget` tokens (`count` tells
    how many a text has), then what this run has done. The graph's own state holds the messages of
    one run at most, so its checkpoints do not grow with the conversation. A tool call without an
    answer is given one that says so.

    `read_only` names tools without effects: they need not wait for judges that are still asked.
    Once the turn is lost, or a judge has stopped it, no model is asked and no tool is called.

    Run the agent with `answering`; anywhere else it raises `UsageError`.
    """

    def __init__(
        self,
        *,
        budget: int = 4_000,
        count: Callable[[str], int] = estimate_tokens,
        read_only: Collection[str] = (),
    ) -> None:
        super().__init__()
        self._budget = budget
        self._count = count
        self._read_only = frozenset(read_only)

    @hook_config(can_jump_to=["end"])
    async def abefore_agent(
        self,
        state: AgentState[Any],
        runtime: Runtime[Any],  # noqa: ARG002
    ) -> dict[str, Any] | None:
        """Let go of what a run before this one has left."""
        update: dict[str, Any] = {}
        if state["messages"]:
            update["messages"] = [RemoveMessage(id=REMOVE_ALL_MESSAGES)]
        if not may_go_on(current_turn()):
            update["jump_to"] = "end"
        return update or None

    async def awrap_model_call(
        self,
        request: ModelRequest[Any],
        handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]],
    ) -> ModelResponse[Any] | AIMessage:
        """Ask the model, with the conversation before what this run has done."""
        turn = current_turn()
        if not may_go_on(turn):
            return AIMessage("")
        history = history_of(turn.context, self._budget, self._count)
        messages: list[Any] = [*history, *healed(request.messages)]
        return await handler(request.override(messages=messages))

    async def awrap_tool_call(self, request: ToolCallRequest, handler: Tool) -> Answer:
        """Call the tool, as far as the guards let it."""
        effects = request.tool_call["name"] not in self._read_only
        return await guarded(current_turn(), request, handler, effects=effects)


def current_turn() -> Turn[Any]:
    """The turn in which the agent is run; raises `UsageError` outside of one."""
    turn = _turn.get(None)
    if turn is None:
        raise UsageError("run the agent in a turn: bridge.answer(inbound, answering(agent))")
    return turn


def may_go_on(turn: Turn[Any]) -> bool:
    """Whether what the agent does now can still come to something."""
    return turn.open and not turn.superseded.is_set()


def _nothing(turn: Turn[Any]) -> dict[str, Any]:  # noqa: ARG001 - the middleware shows the turn
    return {"messages": []}


def answering(
    graph: Graph,
    config: RunnableConfig | None = None,
    *,
    given: Callable[[Turn[Any]], Any] = _nothing,
    durability: Literal["sync", "async", "exit"] | None = None,
) -> Callable[[Turn[Any]], Awaitable[str | None]]:
    """The agent that `graph` is, for `Bridge.answer`, `Bridge.run` and webhooks.

    `graph` is what `create_agent` made, with `BridgeMiddleware` in it. It is run while the turn
    holds the conversation, with the conversation's id for its `thread_id`; its last message is the
    reply. `config` is given to every run, and `durability` where it is set: with ``exit`` a graph
    that has a checkpointer writes to it once for each turn. `given` makes the graph's input of the
    turn, where that is not to begin anew: ``Command(resume=turn.inbound.text)``. Messages in it are
    left out, since the middleware shows those of the turn. Raises whatever the graph raises.
    """
    more = {"durability": durability} if durability else {}

    async def agent(turn: Turn[Any]) -> str | None:
        token = _turn.set(turn)
        try:
            result = await graph.ainvoke(given(turn), _config_for(turn, config), **more)
        finally:
            _turn.reset(token)
        return final_text(result["messages"])

    return agent


def _config_for(turn: Turn[Any], config: RunnableConfig | None) -> RunnableConfig:
    given: RunnableConfig = config or {}
    thread = {"thread_id": turn.context.conversation.hex()}
    return {**given, "configurable": {**thread, **given.get("configurable", {})}}
