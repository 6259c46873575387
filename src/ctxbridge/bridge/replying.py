"""What is to go out: judged, and made the messages that a turn commits."""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Literal

from msgspec import Struct

from ctxbridge.bridge.judging import Inquiry, allowed_to, escalation
from ctxbridge.guards.asking import Verdicts
from ctxbridge.guards.guard import FunctionGuard, TextCheck, allow, block
from ctxbridge.guards.pipeline import Judged, judge
from ctxbridge.model import (
    Context,
    Disposition,
    Event,
    Inbound,
    Message,
    Text,
    Verdict,
)
from ctxbridge.ports import Guard
from ctxbridge.rules.gate import CONFIRMS
from ctxbridge.rules.text import clean
from ctxbridge.wire.keys import text_digest

MOST_REFERENCES = 20


def _ask_consent(check: TextCheck) -> Verdict:
    return allow() if allowed_to(check.context, check.channel) else block("consent.opted_out")


CONSENT = FunctionGuard("consent", _ask_consent, frozenset({"reply"}))
"""The policy that no list of guards can leave out: nothing leaves against a contact's consent."""


class Said(Struct, frozen=True, gc=False):
    """One message that is to go out, not before `due` (Unix milliseconds, 0 for now)."""

    message: Message
    due: int = 0


class Replying:
    """Judges what a turn says. `can_wait` tells whether a message can leave later."""

    def __init__(
        self,
        guards: Sequence[Guard],
        tenant: str,
        inquiry: Inquiry,
        known: Verdicts | None = None,
        *,
        can_wait: bool = False,
    ) -> None:
        self._inquiry = inquiry
        self._guards: list[Guard] = [CONSENT, *(g for g in guards if "reply" in g.stages)]
        self._known = known
        self._digest = partial(text_digest, tenant)
        self._can_wait = can_wait
        self.events: list[Event] = []

    async def judge(
        self, turn: bytes, texts: Iterable[str], context: Context, now: int
    ) -> tuple[Said, ...]:
        """What to store for what the agent said, and for what the guards want to say."""
        said: list[Said] = []
        self.events = []
        inquiry = self._inquiry
        if inquiry.say and inquiry.decision is not None:
            policy: list[Guard] = [] if inquiry.confirms else [CONSENT]
            one, _ = await self._outgoing(turn, "system", policy, inquiry.say, context, now)
            said.append(one)
        for text in texts:
            before = sum(one.message.visible for one in said)
            one, instead = await self._outgoing(
                turn, "agent", self._guards, text, context, now, before
            )
            said.append(one)
            if instead:
                one, _ = await self._outgoing(turn, "system", [CONSENT], instead, context, now)
                said.append(one)
        return tuple(said)

    async def _outgoing(
        self,
        turn: bytes,
        author: Literal["agent", "system"],
        guards: Sequence[Guard],
        text: str,
        context: Context,
        now: int,
        said_before: int = 0,
    ) -> tuple[Said, str | None]:
        """A message of ours, and what to say in its place where it is withheld.

        What is withheld keeps its decision and the digest, not its words.
        """
        inbound = self._inquiry.inbound
        check = TextCheck(
            "reply", clean(text), inbound.channel, inbound.assurance, now, inbound.flags,
            context.contact, context, address=inbound.sender, said_before=said_before,
        )  # fmt: skip
        judged = await judge(guards, check, self._digest, self._known)
        if judged.to:
            self.events.append(escalation(judged, turn, now))
        withheld = judged.blocked or (judged.until > now and not self._can_wait)
        message = self._message(turn, author, judged, now, withheld=withheld)
        due = judged.until if judged.until > now and not withheld else 0
        return Said(message, due), judged.say if judged.blocked else None

    def _message(
        self,
        turn: bytes,
        author: Literal["agent", "system"],
        judged: Judged,
        now: int,
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
            now,
            disposition,
            inbound.sender,
            inbound.endpoint,
            thread=inbound.thread,
            subject=_answering(inbound.subject),
            packed_decision=judged.decision.pack(),
            labels=judged.labels,
            flags=(CONFIRMS,) if author == "system" and self._inquiry.confirms else (),
            references=_thread_of(inbound),
        )


def _answering(subject: str) -> str:
    """The subject of an answer (RFC 5322, 3.6.5): with one ``Re:`` before it."""
    if not subject or subject[:3].lower() == "re:":
        return subject
    return f"Re: {subject}"


def _thread_of(inbound: Inbound) -> tuple[str, ...]:
    """The ids that an answer refers to, nearest first: mail has no other thread."""
    if inbound.channel != "email":
        return ()
    return (inbound.message_id, *inbound.references)[:MOST_REFERENCES]
