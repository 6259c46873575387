"""What is to go out: judged, and made the messages that a turn commits."""

from collections.abc import Sequence
from functools import partial
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from ctxbridge.bridge.judging import Inquiry, escalation
from ctxbridge.errors import TooLarge, UsageError
from ctxbridge.guards.guard import FunctionGuard, TextCheck, allow, block
from ctxbridge.guards.panel import Panel
from ctxbridge.guards.pipeline import Judged, Lanes, join
from ctxbridge.guards.states import GuardStates
from ctxbridge.model import (
    Context,
    Disposition,
    Event,
    Inbound,
    Message,
    Part,
    Purpose,
    Stage,
    Text,
    Verdict,
)
from ctxbridge.rules import gate
from ctxbridge.rules.consent import PURPOSES
from ctxbridge.rules.text import clean

MAX_REPLY_CHARACTERS = 64 * 1024
MOST_REFERENCES = 20


def _ask_gate(by_agent: bool, confirms: bool, check: TextCheck) -> Verdict:
    assert check.context is not None
    code = gate.objection(
        check.context, check.address, check.channel, check.purpose,
        to_agent=by_agent, confirms=confirms,
    )  # fmt: skip
    return block(code) if code else allow()


def _gate(*, by_agent: bool, confirms: bool = False) -> Lanes:
    ask = partial(_ask_gate, by_agent, confirms)
    return Lanes([FunctionGuard("gate", ask, frozenset({"reply"}))])


GATE_OF_AGENT, GATE_OF_SYSTEM = _gate(by_agent=True), _gate(by_agent=False)
GATE_OF_CONFIRMATION = _gate(by_agent=False, confirms=True)
"""The policy that no list of guards can leave out: `rules.gate`, asked before anything else."""

STOPPED = Lanes(
    [FunctionGuard("inbound", lambda _: block("inbound.stopped"), frozenset({"reply"}))]
)
"""Asked alone where a judge beside the agent has stopped the message that was answered."""


class Reply(Struct, frozen=True):
    """A text to say, what for, and the id of its delivery where that is known already."""

    text: str
    delivery: bytes = b""
    purpose: Purpose = "service"


def checked_reply(reply: Reply) -> Reply:
    """The reply as it can be stored.

    Raises `UsageError` for an empty text or a purpose that does not exist, `TooLarge` beyond
    65,536 characters.
    """
    text: object = reply.text
    if not text or not isinstance(text, str):
        raise UsageError("a reply is a text that is not empty")
    if reply.purpose not in PURPOSES:
        raise UsageError(f"the purpose of a reply is one of {PURPOSES}")
    if len(text) > MAX_REPLY_CHARACTERS:
        raise TooLarge("a reply", len(text), MAX_REPLY_CHARACTERS)
    return replace(reply, text=clean(text))


class Work(Struct, frozen=True):
    """What the agent did besides its replies, and what the guards called that."""

    parts: tuple[Part, ...] = ()
    labels: tuple[str, ...] = ()


class Said(Struct, frozen=True, gc=False):
    """One message that is to go out, not before `due` (Unix milliseconds, 0 for now)."""

    message: Message
    due: int = 0


class Replying:
    """Judges what a turn says, up to the moment of sending.

    `can_wait` tells whether a message can leave later.
    """

    def __init__(self, panel: Panel, inquiry: Inquiry, *, can_wait: bool = False) -> None:
        self._panel = panel
        self._inquiry = inquiry
        self._can_wait = can_wait
        self.states = GuardStates()
        self.events: list[Event] = []

    async def judge(
        self, turn: bytes, replies: Sequence[Reply], context: Context, now: int
    ) -> tuple[Said, ...]:
        """What to store for what the agent said, and for what the guards want to say."""
        said: list[Said] = []
        self.events = []
        self.states.rewind()
        inquiry = self._inquiry
        if inquiry.say and inquiry.decision is not None:
            policy = GATE_OF_CONFIRMATION if inquiry.confirms else GATE_OF_SYSTEM
            one, _ = await self._outgoing(turn, "system", policy, Reply(inquiry.say), context, now)
            said.append(one)
        guards = STOPPED if inquiry.blocked else self._panel.reply
        for reply in replies:
            before = sum(one.message.visible for one in said)
            one, instead = await self._outgoing(turn, "agent", guards, reply, context, now, before)
            said.append(one)
            if instead:
                told = Reply(instead, purpose=reply.purpose)
                one, _ = await self._outgoing(turn, "system", GATE_OF_SYSTEM, told, context, now)
                said.append(one)
        return tuple(said)

    async def _outgoing(
        self,
        turn: bytes,
        author: Literal["agent", "system"],
        guards: Lanes,
        reply: Reply,
        context: Context,
        now: int,
        said_before: int = 0,
    ) -> tuple[Said, str | None]:
        """A message of ours, and what to say in its place where it is withheld.

        What is withheld keeps its decision and the digest, not its words.
        """
        check = self._check("reply", reply, context, now, said_before)
        judged = await self._panel.judge(guards, check, self.states)
        if self._panel.send and not judged.blocked:
            judged = await self._before_sending(judged, check)
        if judged.to:
            self.events.append(escalation(judged, turn, now))
        withheld = judged.blocked or (judged.until > now and not self._can_wait)
        message = self._message(turn, author, judged, check, withheld=withheld)
        due = judged.until if judged.until > now and not withheld else 0
        return Said(message, due), judged.say if judged.blocked else None

    def _check(
        self, stage: Stage, reply: Reply, context: Context, now: int, said_before: int
    ) -> TextCheck:
        inbound = self._inquiry.inbound
        return TextCheck(
            stage, clean(reply.text), inbound.channel, context.reader, now, inbound.flags,
            context.contact, context, reply.purpose, inbound.sender, said_before,
        )  # fmt: skip

    async def _before_sending(self, judged: Judged, check: TextCheck) -> Judged:
        """What the guards at `send` say as well: what leaves now is claimed by the commit itself.

        They cannot change the text any more; one that would is taken for a refusal.
        """
        check = replace(check, stage="send", text=judged.text)
        last = await self._panel.judge(self._panel.send, check, self.states)
        decision = join(judged.decision, last.decision)
        if last.modified:
            decision = replace(decision, enforced="block", code="reply.altered")
        if last.blocked or last.modified:
            decision = replace(decision, enforced_digest=b"")
            return replace(last, text="", decision=decision)
        decision = replace(decision, enforced_digest=judged.decision.enforced_digest)
        return replace(judged, decision=decision, until=max(judged.until, last.until))

    def _message(
        self,
        turn: bytes,
        author: Literal["agent", "system"],
        judged: Judged,
        check: TextCheck,
        *,
        withheld: bool,
    ) -> Message:
        inbound = self._inquiry.inbound
        disposition: Disposition = (
            "withheld" if withheld else "modified" if judged.modified else "accepted"
        )
        return Message(
            turn,
            author,
            inbound.channel,
            () if withheld else (Text(judged.text),),
            check.now,
            disposition,
            inbound.sender,
            inbound.endpoint,
            thread=inbound.thread,
            subject=_answering(inbound.subject),
            packed_decision=judged.decision.pack(),
            labels=judged.labels,
            flags=(gate.CONFIRMS,) if author == "system" and self._inquiry.confirms else (),
            references=_thread_of(inbound),
            purpose=check.purpose,
        )


def work_of(turn: bytes, inquiry: Inquiry, work: Work, now: int) -> Message:
    """The entry that keeps what the agent did on the way to its replies; nobody is sent it."""
    inbound = inquiry.inbound
    return Message(
        turn, "agent", inbound.channel, work.parts, now, "accepted", inbound.sender,
        inbound.endpoint, thread=inbound.thread, subject=_answering(inbound.subject),
        labels=tuple(dict.fromkeys(inquiry.labels + work.labels)), references=_thread_of(inbound),
    )  # fmt: skip


def _answering(subject: str) -> str:
    """The subject of an answer (RFC 5322, 3.6.5): with one ``Re:`` before it."""
    if not subject or subject[:3].lower() == "re:":
        return subject
    return f"Re: {subject}"


def _thread_of(inbound: Inbound) -> tuple[str, ...]:
    """The ids that an answer refers to, nearest first: mail has no other thread."""
    if inbound.channel != "email":
        return ()
    ids = (inbound.message_id, *inbound.references)
    return tuple([id for id in ids if id])[:MOST_REFERENCES]
