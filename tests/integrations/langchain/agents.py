"""An agent of LangChain with a model that plays a script and remembers what it was shown."""

import anyio
from langchain.agents import create_agent
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from pydantic import Field

from ctxbridge.integrations.langchain import BridgeMiddleware


class Scripted(BaseChatModel):
    """Says what `script` makes of the messages that it is shown: a text or an `AIMessage`."""

    script: object
    seen: list = Field(default_factory=list)
    seconds: float = 0.0

    @property
    def _llm_type(self):
        return "scripted"

    def bind_tools(self, tools, **more):
        return self

    def _generate(self, messages, stop=None, run_manager=None, **more):
        raise NotImplementedError

    async def _agenerate(self, messages, stop=None, run_manager=None, **more):
        self.seen.append(messages)
        await anyio.sleep(self.seconds)
        said = self.script(messages)
        message = said if isinstance(said, AIMessage) else AIMessage(said)
        return ChatResult(generations=[ChatGeneration(message=message)])

    @property
    def shown(self):
        """What it was shown, each time: kind and text."""
        return [[(message.type, message.text) for message in one] for one in self.seen]


def scripted(*lines, **more):
    """A model that says these, one after the other."""
    left = iter(lines)
    return Scripted(script=lambda _: next(left), seen=[], **more)


def echoing(**more):
    """A model that answers what was said last."""
    return Scripted(script=lambda messages: f"re: {bare(messages[-1].text)}", seen=[], **more)


def bare(text):
    """Words without the channel and the time that a bridge puts before them."""
    return text.partition("] ")[2] if text.startswith("[by ") else text


def call(name, id="c1", **arguments):
    return AIMessage("", tool_calls=[{"name": name, "args": arguments, "id": id}])


def agent(model, *tools, saver=None, **options):
    return create_agent(
        model, list(tools), middleware=[BridgeMiddleware(**options)], checkpointer=saver
    )
