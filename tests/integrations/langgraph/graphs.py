"""Graphs and checkpoints that several tests use."""

import operator
from typing import Annotated, TypedDict
from uuid import uuid4

from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.base.id import uuid6
from langgraph.graph import END, START, StateGraph

from ctxbridge.model import RecordRead


class State(TypedDict, total=False):
    said: Annotated[list[str], operator.add]
    note: str


def thread(id=None, **more):
    return {"configurable": {"thread_id": id or str(uuid4()), **more}}


def echo(saver, before=None, **compile_options):
    """A graph of one node that answers what was said last. `before` runs in it first."""

    async def answer(state):
        if before is not None:
            await before(state)
        return {"said": [f"re: {state['said'][-1]}"]}

    graph = StateGraph(State)
    graph.add_node("answer", answer)
    graph.add_edge(START, "answer")
    graph.add_edge("answer", END)
    return graph.compile(checkpointer=saver, **compile_options)


def checkpoint(**values):
    """A checkpoint whose channels have these values, all of them new."""
    made = empty_checkpoint()
    made["id"] = str(uuid6(clock_seq=-1))
    made["channel_values"] = values
    made["channel_versions"] = dict.fromkeys(values, 1)
    return made


async def put(saver, config, made, step=0, **metadata):
    """Put it behind the checkpoint that the config names."""
    named = {"checkpoint_ns": "", **config["configurable"]}
    whole = {"source": "loop", "step": step, "parents": {}, **metadata}
    return await saver.aput({"configurable": named}, made, whole, made["channel_versions"])


async def ids(saver, config, **more):
    """The ids of what is listed."""
    return [
        one.config["configurable"]["checkpoint_id"] async for one in saver.alist(config, **more)
    ]


class Counting:
    """A store that counts what is asked of it, and how many bytes are written."""

    def __init__(self, inner):
        self.inner = inner
        self.reads = self.writes = self.bytes = 0

    def __getattr__(self, name):
        return getattr(self.inner, name)

    async def records(self, operation):
        if isinstance(operation, RecordRead):
            self.reads += 1
        else:
            self.writes += 1
            self.bytes += len(operation.value or b"")
        return await self.inner.records(operation)

    def taken(self):
        counted = self.reads, self.writes, self.bytes
        self.reads = self.writes = self.bytes = 0
        return counted
