"""The buttons of the demo: what goes wrong in life, done to the running bot."""

import asyncio
import os
import re
import sys
from contextlib import suppress
from pathlib import Path

import aiosmtplib
import httpx
from desk import BEA
from shop import Model, Shop, known_of_both
from simulator import ANN, BOB, MAILBOX, NEW, Simulator, free_port, now

from ctxbridge import Assurance, CtxBridgeError
from ctxbridge.model import Floor

APP = Path(__file__).with_name("app.py")
THINKS_SECONDS = 2.0
FAILURES = CtxBridgeError, OSError, httpx.HTTPError, aiosmtplib.SMTPException
_KEPT = ("PATH", "HOME", "LANG", "PYTHONPATH", "VIRTUAL_ENV", "SYSTEMROOT")


class Mishaps:
    """Each function is a button: it gives a sentence about what became of it."""

    def __init__(self, world: Simulator, agent: Shop | Model) -> None:
        self._world = world
        self._agent = agent
        self._wrong: bytes | None = None
        self._usual = agent.think_seconds if isinstance(agent, Shop) else 0.0

    async def twice(self) -> str:
        """The provider repeats its webhook."""
        id = await self._world.sms("Is it on its way?", times=2)
        await self._world.idle(f"sms:{ANN}")
        stored, answers = await self._stored(id)
        return f"The provider sent one message twice at once: {stored} stored, {answers} answer."

    async def both(self) -> str:
        """Two channels in the same moment."""
        said = "By phone: when does my order come?", "By mail: when does my order come?"
        await asyncio.gather(self._world.sms(said[0]), self._world.mail(said[1]))
        await self._world.idle(f"sms:{ANN}")
        context = await self._world.bridge.context(f"sms:{ANN}", fresh=True)
        turns = set([m.turn for m in context.messages if m.text in said][-2:])  # not those before
        read = (
            "one turn read both" if len(turns) == 1 else f"{len(turns)} turns, one after the other"
        )
        return f"Phone and mailbox wrote in the same moment: {read}."

    async def stop(self) -> str:
        """STOP by SMS; START brings it back."""
        contact = (await self._world.bridge.context(f"sms:{ANN}", fresh=True)).contact
        words = contact.consents if contact else ()
        if any(one.channel == "sms" and not one.granted for one in words):
            await self._world.sms("START")
            await self._world.idle(f"sms:{ANN}")
            return "Ann said START: she takes messages by SMS again."
        await self._world.sms("STOP")
        await self._world.idle(f"sms:{ANN}")
        return "Ann said STOP by SMS: confirmed once, then nothing leaves there. Again for START."

    async def forge(self) -> str:
        """Somebody else writes Ann's address into From."""
        await self._world.mail(
            "Hello, this is Ann. Which card gets the refund for order A-1042?", forged=True
        )
        await self._world.idle(f"email:{MAILBOX}")
        eyes = await self._world.bridge.context(
            f"email:{MAILBOX}", assurance=Assurance.CLAIMED, window=0, fresh=True
        )
        return f"A mail with a forged From: {eyes.withheld} entries were kept from the agent."

    async def takeover(self) -> str:
        """A colleague takes over while the agent thinks: what it had prepared does not leave."""
        phone = f"sms:{ANN}"
        if (await self._world.bridge.context(phone, fresh=True)).floor is not Floor.AGENT:
            return "The agent does not speak now: give the conversation back first."
        self._let_think(THINKS_SECONDS)
        try:
            id = await self._world.sms("What did you say about Friday?")
            await asyncio.sleep(THINKS_SECONDS / 2)
            await self._world.bridge.floor.accept(phone, by=BEA)
            await self._world.idle(phone)
        finally:
            self._let_think(self._usual)
        context = await self._world.bridge.context(phone, window=0, fresh=True)
        turns = {m.turn for m in context.messages if m.message_id == id}
        said = [m for m in context.messages if m.turn in turns and m.author == "agent"]
        left = sum(m.visible for m in said)
        return (
            f"{BEA} took over while the agent was thinking: {len(said)} reply was prepared, "
            f"{left} left."
        )

    def _let_think(self, seconds: float) -> None:
        """A model thinks as long as it likes."""
        if isinstance(self._agent, Shop):
            self._agent.think_seconds = seconds

    async def kill(self) -> str:
        """A second worker takes a message, thinks, and is killed (SIGKILL) in the middle of it."""
        if self._world.env["CTXBRIDGE_STORE"].startswith("memory:"):
            return "This store is in one process alone: no other worker could take anything up."
        self._world.tell("A second worker process is starting …")
        port, quiet = free_port(), asyncio.subprocess.DEVNULL
        env = {**_inherited(), **self._world.env, "PORT": str(port), "THINK_SECONDS": "60"}
        env = {k: v for k, v in env.items() if not k.startswith("MAIL_")}
        worker = await asyncio.create_subprocess_exec(
            sys.executable, str(APP), env=env, stdout=quiet, stderr=quiet
        )
        try:
            await self._answers(f"http://127.0.0.1:{port}/hooks/health")
            where = f"http://127.0.0.1:{port}"
            id = await self._world.sms("Are you still there?", where=where)
            await asyncio.sleep(0.5)
            waits = (await self._world.bridge.context(f"sms:{ANN}", fresh=True)).waiting
        finally:
            worker.kill()
            await worker.wait()
        self._world.tell(f"A worker was killed in mid-turn; {len(waits)} message waits …")
        await self._world.idle(f"sms:{ANN}")
        stored, answers = await self._stored(id)
        return (
            f"A worker was killed in mid-turn (process {worker.pid}). Another one took the message "
            f"up: {stored} stored, {answers} answer."
        )

    async def _stored(self, id: str) -> tuple[int, int]:
        """How often a message is stored, and how many answers its turn has."""
        context = await self._world.bridge.context(f"sms:{ANN}", window=0, fresh=True)
        found = [m for m in context.messages if m.message_id == id]
        turns = {m.turn for m in found}
        answers = [m for m in context.messages if m.turn in turns and m.author != "contact"]
        return len(found), len(answers)

    async def _answers(self, url: str) -> None:
        for _ in range(400):
            with suppress(httpx.TransportError):
                await self._world.http.get(url)
                return
            await asyncio.sleep(0.05)
        raise TimeoutError("the second worker did not start")

    async def join(self) -> str:
        """A new phone says whose it is, and proves it by a code from the mailbox."""
        if await self._one(NEW):
            return "The new phone is Ann’s already."
        since = now()
        await self._world.sms(f"Hello, my new phone. I am {MAILBOX}", NEW)
        code = await self._code(since)
        await self._world.sms(code, NEW)
        for _ in range(500):
            if await self._one(NEW):
                await self._world.idle(f"sms:{NEW}")
                return "The code from the mailbox came back by SMS: both are one person now."
            await asyncio.sleep(0.02)
        raise TimeoutError("the code did not join them")

    async def _code(self, since: int) -> str:
        for _ in range(500):
            for one in self._world.shown:
                found = re.search(r"\b\d{6}\b", one.text)
                caught = one.device == "mailbox" and one.author == "agent" and one.at >= since
                if caught and found:
                    return found.group()
            await asyncio.sleep(0.02)
        raise TimeoutError("no code came")

    async def _one(self, number: str) -> bool:
        ids = []
        for address in (f"sms:{ANN}", f"sms:{number}"):
            contact = (await self._world.bridge.context(address, fresh=True)).contact
            ids.append(contact.id if contact else None)
        return ids[0] is not None and ids[0] == ids[1]

    async def merge(self) -> str:
        """A clerk takes Bob for Ann."""
        if await self._one(BOB):
            return "They are merged already: split them."
        if (await self._world.bridge.context(f"sms:{BOB}")).contact is None:
            await self._world.sms("Hi, Bob here. Where is my order A-1077?", BOB)
            await self._world.idle(f"sms:{BOB}")
        bob = (await self._world.bridge.context(f"sms:{BOB}", fresh=True)).contact
        self._wrong = bob.id if bob else None
        await self._world.bridge.merge(
            f"sms:{ANN}", f"sms:{BOB}", evidence="a clerk’s mistake", states=known_of_both
        )
        return "Bob was taken for Ann: one timeline. Every merge can be split again."

    async def split(self) -> str:
        """The clerk notices."""
        if not await self._one(BOB):
            return "There is nothing to split: merge the wrong two first."
        await self._world.bridge.split(f"sms:{ANN}", self._wrong, evidence="the clerk noticed")
        return "Ann and Bob are two again, each with what was theirs."

    async def do(self, name: str) -> str:
        """Press a button; what became of it, in a sentence. Raises `KeyError` for none of ours."""
        action = {one.__name__: one for one in (self.twice, self.both, self.stop, self.forge,
                  self.takeover, self.kill, self.join, self.merge, self.split)}[name]  # fmt: skip
        try:
            return self._world.tell(await action())
        except FAILURES as error:
            return self._world.tell(f"That did not work: {type(error).__name__}: {error}")


def _inherited() -> dict[str, str]:
    return {name: os.environ[name] for name in _KEPT if name in os.environ}
