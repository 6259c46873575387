"""What the guards of a turn said: of the message that came in, and of what is to go out."""

from collections.abc import Iterable, Sequence
from functools import partial

from msgspec.structs import replace

from ctxbridge.guards.guard import FunctionGuard, TextCheck, allow, block
from ctxbridge.guards.pipeline import Judged, join, judge
from ctxbridge.model import (
    Context,
    Decision,
    Disposition,
    Inbound,
    Message,
    Part,
    Quote,
    Stage,
    Text,
    Verdict,
)
from ctxbridge.model.decision import ConsentWord
from ctxbridge.ports import Guard
from ctxbridge.rules.consent import may_send
from ctxbridge.rules.text import clean
from ctxbridge.wire.keys import text_digest

# These confirm a wish about consent, so they may leave though it was revoked a moment ago.
CONFIRMATIONS = frozenset({"consent.stop", "consent.start", "consent.help"})


def _ask_consent(check: TextCheck) -> Verdict:
    revoked = check.context is not None and not may_send(
        check.context.consent, check.channel, "service"
    )
    return block("consent.opted_out") if revoked else allow()


CONSENT = FunctionGuard("consent", _ask_consent, frozenset({"reply"}))
"""The policy that no list of guards can leave out: nothing leaves against a contact's consent."""


class Inquiry:
    """Collects the guards' word on one turn. Holds no lock and asks no store."""

    def __init__(self, guards: Sequence[Guard], tenant: str, inbound: Inbound) -> None:
        self.inbound = inbound
        self.decision: Decision | None = None
        self.consent: ConsentWord | None = None
        self.parts: tuple[Part, ...] = inbound.parts
        self.subject = inbound.subject
        self.labels: tuple[str, ...] = ()
        self._say: str | None = None
        self._early = [g for g in guards if "inbound" in g.stages and g.early]
        self._inbound = [g for g in guards if "inbound" in g.stages and not g.early]
        self._reply = [CONSENT, *(g for g in guards if "reply" in g.stages)]
        self._digest = partial(text_digest, tenant)

    @property
    def blocked(self) -> bool:
        """Whether no model may see the message."""
        return self.decision is not None and self.decision.enforced == "block"

    @property
    def disposition(self) -> Disposition:
        """What becomes of the message."""
        if self.blocked:
            return "quarantined"
        modified = self.decision is not None and self.decision.enforced == "modify"
        return "modified" if modified else "accepted"

    async def judge_early(self, now: int) -> None:
        """Ask the guards that need no context, before anything is stored."""
        judged = await judge(
            self._early, self._check("inbound", self.inbound.text, now), self._digest
        )
        self._take(judged)
        masking = [g for g in self._early if g.modifies]
        if masking:
            await self._mask_the_rest(masking, now)

    async def _mask_the_rest(self, guards: Sequence[Guard], now: int) -> None:
        """Mask quotes and the subject as well: they are stored too."""
        parts: list[Part] = []
        for part in self.parts:
            if type(part) is Quote and part.text:
                check = self._check("inbound", part.text, now)
                parts.append(Quote((await judge(guards, check, self._digest)).text))
            else:
                parts.append(part)
        self.parts = tuple(parts)
        if self.subject:
            check = self._check("inbound", self.subject, now)
            self.subject = (await judge(guards, check, self._digest)).text

    async def judge_inbound(self, context: Context, now: int) -> None:
        """Ask the guards that want the context, unless the message is blocked already."""
        if self.blocked or not self._inbound:
            return
        text = "\n".join(part.text for part in self.parts if type(part) is Text)
        check = replace(self._check("inbound", text, now), context=context, contact=context.contact)
        self._take(await judge(self._inbound, check, self._digest))

    def _take(self, judged: Judged) -> None:
        self.decision = join(self.decision, judged.decision) if self.decision else judged.decision
        self.consent = self.consent or judged.consent
        self.labels = tuple(dict.fromkeys(self.labels + judged.labels))
        if judged.blocked:
            self._say = judged.say
        elif judged.modified:
            others = tuple(part for part in self.parts if type(part) is not Text)
            self.parts = (Text(clean(judged.text)), *others)

    def message(self, turn: bytes, now: int, disposition: Disposition) -> Message:
        """The inbound message, as it is to be stored."""
        inbound = self.inbound
        return Message(
            turn,
            "contact",
            inbound.channel,
            self.parts,
            now,
            disposition,
            inbound.sender,
            inbound.endpoint,
            inbound.message_id,
            inbound.occurred_at,
            inbound.thread,
            self.subject,
            inbound.assurance,
            self.decision,
            self.labels,
            inbound.flags,
        )

    async def judge_replies(
        self, turn: bytes, texts: Iterable[str], context: Context, now: int
    ) -> tuple[Message, ...]:
        """The messages to store for what the agent said, and for what the guards want to say."""
        messages: list[Message] = []
        if self._say is not None and self.decision is not None:
            messages.append(await self._system(turn, self._say, self.decision.code, context, now))
        for text in texts:
            judged = await self._judge_reply(self._reply, text, context, now)
            messages.append(self._outgoing(turn, "agent", judged, now))
            if judged.blocked and judged.say is not None:
                code = judged.decision.code
                messages.append(await self._system(turn, judged.say, code, context, now))
        return tuple(messages)

    async def _system(
        self, turn: bytes, text: str, code: str, context: Context, now: int
    ) -> Message:
        """A word of the guards themselves: bound by consent too, but for confirmations."""
        policy: list[Guard] = [] if code in CONFIRMATIONS else [CONSENT]
        judged = await self._judge_reply(policy, text, context, now)
        return self._outgoing(turn, "system", judged, now)

    async def _judge_reply(
        self, guards: Sequence[Guard], text: str, context: Context, now: int
    ) -> Judged:
        check = replace(self._check("reply", text, now), context=context, contact=context.contact)
        return await judge(guards, check, self._digest)

    def _outgoing(self, turn: bytes, author: str, judged: Judged, now: int) -> Message:
        """A message of ours. What is withheld keeps its decision and the digest, not its words."""
        inbound = self.inbound
        disposition: Disposition = (
            "withheld" if judged.blocked else "modified" if judged.modified else "accepted"
        )
        return Message(
            turn,
            "system" if author == "system" else "agent",
            inbound.channel,
            () if judged.blocked else (Text(clean(judged.text)),),
            now,
            disposition,
            inbound.sender,
            inbound.endpoint,
            thread=inbound.thread,
            decision=judged.decision,
            labels=judged.labels,
        )

    def _check(self, stage: Stage, text: str, now: int) -> TextCheck:
        inbound = self.inbound
        return TextCheck(stage, text, inbound.channel, inbound.assurance, now, inbound.flags)
