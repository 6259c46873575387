"""What is to go out: judged, and made the messages that a turn commits."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct
from msgspec.structs import replace

from ctxbridge.bridge.judging import Inquiry, escalation
from ctxbridge.bridge.showing import Shape, lay_out
from ctxbridge.bridge.steering import LOOK_AGAIN_MILLISECONDS, PAUSED, Bar
from ctxbridge.errors import TooLarge, UsageError
from ctxbridge.guards.guard import FunctionGuard, TextCheck, allow, block, defer
from ctxbridge.guards.pipeline import Judged, Lanes, join
from ctxbridge.guards.states import GuardStates
from ctxbridge.model import (
    Choices,
    Context,
    Disposition,
    Event,
    Inbound,
    Message,
    Part,
    Purpose,
    Verdict,
)
from ctxbridge.rules import gate
from ctxbridge.rules.consent import PURPOSES
from ctxbridge.rules.text import clean

if TYPE_CHECKING:
    from ctxbridge.bridge.bridge import Bridge

MAX_REPLY_CHARACTERS = 64 * 1024
MOST_REFERENCES = 20
MOST_MESSAGES = 50
"""What a reply may become: more SMS than that is a mistake, and a costly one."""
TOO_LONG = "reply.too_long"


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


def _standing_still(bar: Bar, now: int) -> Lanes:
    """Asked alone where a halt is for the reply: the turn goes on without it."""
    paused = defer(now + LOOK_AGAIN_MILLISECONDS, bar.code)
    verdict = paused if bar.code == PAUSED else block(bar.code)
    return Lanes([FunctionGuard("control", lambda _: verdict, frozenset({"reply"}))])


Speaker = Literal["agent", "human_agent", "system"]
"""Who says something for us."""


class Reply(Struct, frozen=True, gc=False):
    """A text to say, what for, and the id of its delivery where that is known already.

    `choices` are the answers that it offers. Of a `human_agent` and of the `system` the gate is
    asked and the guards at ``send``, but none at ``reply``: those judge agents.
    """

    text: str
    delivery: bytes = b""
    purpose: Purpose = "service"
    choices: Choices | None = None
    author: Speaker = "agent"


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
    """One message that is to go out, not before `due` (Unix milliseconds, 0 for now).

    `delivery` is the id of its delivery, where that is known already.
    """

    message: Message
    due: int = 0
    delivery: bytes = b""


class Replying:
    """Judges what a turn says, up to the moment of sending.

    Whether a message can leave later, and what can be shown, its channel's sender says.
    """

    def __init__(self, bridge: "Bridge[Any]", inquiry: Inquiry) -> None:
        channel = inquiry.inbound.channel
        self._inquiry = inquiry
        self._steering = bridge.steering
        self._can_wait = bridge.outbox.sender_on(channel) is not None
        self._shape = Shape.on(bridge, channel)
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
            say = Reply(inquiry.say, author="system")
            judging = self._halted(say, context, now) or policy
            messages, _ = await self._outgoing(turn, judging, say, context, now)
            said += messages
        of_agent = STOPPED if inquiry.blocked else inquiry.panel.reply
        for reply in replies:
            guards = of_agent if reply.author == "agent" else GATE_OF_SYSTEM
            judging = self._halted(reply, context, now) or guards
            before = sum(one.message.visible for one in said)
            messages, instead = await self._outgoing(turn, judging, reply, context, now, before)
            said += messages
            if instead:
                told = Reply(instead, purpose=reply.purpose, author="system")
                judging = self._halted(told, context, now) or GATE_OF_SYSTEM
                messages, _ = await self._outgoing(turn, judging, told, context, now)
                said += messages
        return tuple(said)

    def _halted(self, reply: Reply, context: Context, now: int) -> Lanes | None:
        """What keeps the reply from leaving, if that stands still: also in a turn that goes on."""
        asked = self._inquiry
        bar = self._steering.halt(asked.release, asked.inbound, context, reply.purpose)
        return None if bar is None else _standing_still(bar, now)

    async def _outgoing(
        self,
        turn: bytes,
        guards: Lanes,
        reply: Reply,
        context: Context,
        now: int,
        said_before: int = 0,
    ) -> tuple[list[Said], str | None]:
        """The messages that a reply becomes, and what to say in its place where it is withheld.

        What is withheld is one message, which keeps its decision and the digest, not its words.
        """
        markdown = reply.author == "agent"
        layout = await lay_out(reply.text, reply.choices, self._shape, markdown=markdown)
        check = self._check(layout.judged, reply, context, now, said_before)
        judged = await self._inquiry.panel.judge(guards, check, self.states)
        if self._inquiry.panel.send and not judged.blocked:
            judged = await self._before_sending(judged, check)
        if judged.to:
            self.events.append(escalation(judged, turn, now))
        author = reply.author
        if judged.blocked or (judged.until > now and not self._can_wait):
            message = self._message(turn, author, judged, check, ())
            return [Said(message)], judged.say if judged.blocked else None
        due = judged.until if judged.until > now else 0
        spoken = layout.spoken(judged.text)
        if len(spoken.messages) > MOST_MESSAGES:
            refused = replace(judged.decision, enforced="block", code=TOO_LONG, enforced_digest=b"")
            judged = replace(judged, text="", decision=refused)
            return [Said(self._message(turn, author, judged, check, ()))], None
        messages = [
            self._message(turn, author, judged, check, parts, spoken.flags)
            for parts in spoken.messages
        ]
        first, *others = [Said(message, due) for message in messages]
        return [replace(first, delivery=reply.delivery), *others], None

    def _check(
        self, text: str, reply: Reply, context: Context, now: int, said_before: int
    ) -> TextCheck:
        inbound = self._inquiry.inbound
        return TextCheck(
            "reply", text, inbound.channel, context.reader, now, inbound.flags,
            context.contact, context, reply.purpose, inbound.sender, said_before,
        )  # fmt: skip

    async def _before_sending(self, judged: Judged, check: TextCheck) -> Judged:
        """What the guards at `send` say as well: what leaves now is claimed by the commit itself.

        They cannot change the text any more; one that would is taken for a refusal.
        """
        check = replace(check, stage="send", text=judged.text)
        last = await self._inquiry.panel.judge(self._inquiry.panel.send, check, self.states)
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
        author: Speaker,
        judged: Judged,
        check: TextCheck,
        parts: tuple[Part, ...],
        flags: tuple[str, ...] = (),
    ) -> Message:
        """One message of a reply; without parts it is withheld.

        Its decision is that on the whole reply. The digest in it is that of its own words, which
        the gate asks for.
        """
        inbound, decision = self._inquiry.inbound, judged.decision
        confirms = (gate.CONFIRMS,) if author == "system" and self._inquiry.confirms else ()
        disposition: Disposition = (
            "withheld" if not parts else "modified" if judged.modified else "accepted"
        )
        message = Message(
            turn,
            author,
            inbound.channel,
            parts,
            check.now,
            disposition,
            inbound.sender,
            inbound.endpoint,
            thread=inbound.thread,
            subject=_answering(inbound.subject),
            labels=judged.labels,
            flags=(*flags, *confirms),
            references=_thread_of(inbound),
            purpose=check.purpose,
            written_as=inbound.written_as,
            release=self._inquiry.named,
        )
        if parts and message.text != judged.text:
            decision = replace(decision, enforced_digest=self._inquiry.panel.digest(message.text))
        return replace(message, packed_decision=decision.pack())


def work_of(turn: bytes, inquiry: Inquiry, work: Work, now: int) -> Message:
    """The entry that keeps what the agent did on the way to its replies; nobody is sent it."""
    inbound = inquiry.inbound
    return Message(
        turn, "agent", inbound.channel, work.parts, now, "accepted", inbound.sender,
        inbound.endpoint, thread=inbound.thread, subject=_answering(inbound.subject),
        labels=tuple(dict.fromkeys(inquiry.labels + work.labels)), references=_thread_of(inbound),
        release=inquiry.named,
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
