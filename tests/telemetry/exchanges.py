"""Exchanges that between them touch every span and metric, and where each is expected."""

import anyio
import anyio.lowlevel

from ctxbridge import Bridge
from ctxbridge.guards import allow, block, defer, guard, opt_out, pii, warn
from tests.bridge.conftest import SENDERS, Clock, write
from tests.bridge.test_guards import Pigeon

HOUR = 3_600_000


class Showing(Pigeon):
    """One that shows drafts too."""

    async def show(self, outgoing):
        pass


@guard("reply", name="judge")
async def judge(check):
    await anyio.lowlevel.checkpoint()
    return warn("judge.rude") if "rude" in check.text else allow()


@guard("inbound", name="raises", on_error="allow")
def raises(check):
    if "raise" in check.text:
        raise KeyError(check.text)
    return allow()


@guard("inbound", name="hangs", deadline_seconds=0.01, on_error="allow", on_timeout="allow")
async def hangs(check):
    if "hang" in check.text:
        await anyio.sleep(60)
    return allow()


@guard("tool_call", name="no_tools")
def no_tools(check):
    return block("tool.no")


@guard("reply", name="later")
def later(check):
    return defer(check.now + HOUR, "later") if "later" in check.text else allow()


GUARDS = (opt_out(), pii(), judge, raises, hangs, no_tools, later)


def open_bridge(store="memory://", clock=None, **options):
    options.setdefault("guards", GUARDS)
    options.setdefault("senders", [Pigeon()])
    return Bridge(store, tenant="acme", clock=clock or Clock(), **options)


async def one_turn(bridge, text="hello", reply="hi", channel="sms", **more):
    async with bridge.turn(write(text, channel, **more)) as turn:
        if turn.open and reply:
            turn.reply(reply)
    return turn


async def everything(store="memory://", text="hello", reply="hi"):
    """All kinds of steps, with `text` in whatever the customer says, and `reply` in what we do."""
    clock, pigeon = Clock(), Showing()
    async with open_bridge(store, clock, senders=[pigeon]) as bridge:
        await one_turn(bridge, f"{text} raise", f"{reply} rude", subject=text)
        await one_turn(bridge, f"{text} hang", f"{reply} later")
        async with bridge.turn(write(text)) as turn:
            await turn.tool_call("look_up", reply)
            await turn.tool_result("look_up", reply)

            async def chunks():
                for _ in range(20):
                    yield f"{reply} and so on. "

            await turn.stream(chunks())
        clock.time += 2 * HOUR
        bridge.panel.reply = type(bridge.panel.reply)([judge])
        await bridge.dispatch()
        await bridge.context(SENDERS["sms"])
        await one_turn(bridge, "STOP")
        return pigeon
