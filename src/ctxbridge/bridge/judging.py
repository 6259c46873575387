"""What the guards of a turn said: of the message that came in, and of what is to go out."""

from collections.abc import Sequence
from functools import partial

from msgspec.structs import replace

from ctxbridge.bridge.beside import Beside
from ctxbridge.guards.guard import TextCheck
from ctxbridge.guards.panel import Panel
from ctxbridge.guards.pipeline import STOPS, Judged, join
from ctxbridge.guards.states import GuardStates
from ctxbridge.model import (
    Address,
    Attachment,
    Context,
    Decision,
    Disposition,
    Event,
    Inbound,
    Message,
    Part,
    Quote,
    Stage,
    Text,
)
from ctxbridge.model.control import Release
from ctxbridge.model.decision import ConsentWord
from ctxbridge.ports import Guard
from ctxbridge.rules.consent import may_send
from ctxbridge.rules.text import clean

HELP = "consent.help"
ESCALATED = "escalated"


def allowed_to(context: Context | None, address: Address) -> bool:
    """Whether the contact lets us write to `address`."""
    contact = context.contact if context else None
    consents = contact.consents if contact else ()
    return may_send(consents, address.channel, address=address.value)


def escalation(judged: Judged, turn: bytes, now: int) -> Event:
    """The entry that tells the log whom a guard wants to look at it, and why."""
    data = (("to", judged.to), ("code", judged.decision.code), ("stage", judged.decision.stage))
    return Event(ESCALATED, now, turn, data)


class Inquiry:
    """Collects the guards' word on one turn. Holds no lock and asks no store.

    `inbound` is the message as it may be kept and shown: masked once `judge_early` was awaited.
    """

    def __init__(self, panel: Panel, inbound: Inbound) -> None:
        self.panel = panel
        """The guards that are asked: those of the release that answers, once it is known."""
        self.inbound = inbound
        self.release: Release | None = None
        """The release that answers, once it is known; `None` where none was deployed."""
        self.states = GuardStates()
        """What guards keep of the conversation, once its context was read."""
        self.decision: Decision | None = None
        self.consent: ConsentWord | None = None
        self.labels: tuple[str, ...] = ()
        self.escalated: Judged | None = None
        """What a guard wants a person to look at."""
        self._say: str | None = None
        self._beside: Beside | None = None

    @property
    def blocked(self) -> bool:
        """Whether no agent may think about the message: it was blocked, or is for a person."""
        return self.decision is not None and self.decision.enforced in STOPS

    @property
    def say(self) -> str | None:
        """What the guards want the customer to be told in the agent's place."""
        return self._say

    @property
    def disposition(self) -> Disposition:
        """What becomes of the message."""
        if self.decision is not None and self.decision.enforced == "block":
            return "quarantined"
        modified = self.decision is not None and self.decision.enforced == "modify"
        return "modified" if modified else "accepted"

    async def judge_early(self, now: int) -> None:
        """Ask the guards that need no context, before anything is stored.

        Those that modify are asked of every part, whatever the others say, so that what is blocked
        is masked as well. The others read the words as they came: STOP counts in any case.
        """
        words = self.inbound.text
        if self.panel.masking:
            parts = [await self._masked(part, now) for part in self.inbound.parts]
            subject = await self._mask(self.inbound.subject, now)
            self.inbound = replace(self.inbound, parts=tuple(parts), subject=subject)
        if self.panel.early or self.decision is None:
            judged = await self._judge(self.panel.early, self._check("inbound", words, now))
            self.consent = judged.consent
            self._take(judged)

    async def _masked(self, part: Part, now: int) -> Part:
        match part:
            case Text(text):
                return Text(await self._mask(text, now))
            case Quote(text):
                return Quote(await self._mask(text, now))
            case Attachment(name=name) if name:
                return replace(part, name=await self._mask(name, now))
        return part

    async def _mask(self, text: str, now: int) -> str:
        """The text as it may be stored: nothing of it where a guard failed or blocked."""
        if not text:
            return text
        judged = await self._judge(self.panel.masking, self._check("inbound", text, now))
        if self.decision is None or judged.decision.action != "allow":
            self._take(judged)
        return clean(judged.text)

    async def judge_inbound(self, context: Context, now: int) -> None:
        """Ask the guards that want the context, unless the message is blocked already."""
        if self.blocked or not self.panel.inbound:
            return
        check = self._check("inbound", self.inbound.text, now, context)
        judged = await self._judge(self.panel.inbound, check)
        self._take(judged)
        if judged.modified:
            others = [part for part in self.inbound.parts if type(part) is not Text]
            parts = (Text(clean(judged.text)), *others)
            self.inbound = replace(self.inbound, parts=parts)

    def ask_beside(self, context: Context, now: int) -> None:
        """Ask the judges that may be asked while the agent thinks; see `cleared`."""
        if self.panel.beside and not self.blocked:
            check = self._check("inbound", self.inbound.text, now, context)
            self._beside = Beside(partial(self._judge, self.panel.beside, check))

    @property
    def beside(self) -> Beside | None:
        """The question to them, as long as nobody has waited for its answer."""
        return self._beside

    async def cleared(self) -> bool:
        """Wait for the judges beside the agent; whether the turn may go on."""
        beside = self._beside
        if beside is not None:
            judged = await beside.verdict()
            if self._beside is beside:  # of several who wait one takes it in
                self._beside = None
                self._take(judged)
        return not self.blocked

    async def _judge(self, guards: Sequence[Guard], check: TextCheck) -> Judged:
        return await self.panel.judge(guards, check, self.states)

    def _take(self, judged: Judged) -> None:
        self.decision = join(self.decision, judged.decision) if self.decision else judged.decision
        self.labels = tuple(dict.fromkeys(self.labels + judged.labels))
        if judged.blocked:
            self._say = judged.say
            if judged.decision.enforced == "escalate":
                self.escalated = judged

    def message(self, turn: bytes, now: int, disposition: Disposition) -> Message:
        """The inbound message, as it is to be stored."""
        inbound = self.inbound
        return Message(
            turn,
            "contact",
            inbound.channel,
            inbound.parts,
            now,
            disposition,
            inbound.sender,
            inbound.endpoint,
            inbound.message_id,
            inbound.occurred_at,
            inbound.thread,
            inbound.subject,
            inbound.assurance,
            self.decision.pack() if self.decision else b"",
            self.labels,
            inbound.flags,
            inbound.references,
            inbound.revises,
            written_as=inbound.written_as,
            release=self.named,
        )

    @property
    def named(self) -> str:
        """The release as messages name it."""
        return str(self.release) if self.release else ""

    async def judge_joined(
        self, message: Message, turn: bytes, context: Context, now: int
    ) -> Message | None:
        """Another message that this turn answers too, as it is to be stored with it.

        `None` where a guard stops it: then it waits for a turn of its own, which says so.
        """
        decision, parts, labels = message.decision, message.parts, message.labels
        guards = self.panel.late
        if guards:
            check = TextCheck(
                "inbound", message.text, message.channel, message.assurance, now, message.flags,
                context.contact, context, address=message.address,
            )  # fmt: skip
            judged = await self._judge(guards, check)
            if judged.blocked:
                return None
            decision = join(decision, judged.decision) if decision else judged.decision
            labels = (*labels, *judged.labels)
            if judged.modified:
                parts = (Text(clean(judged.text)), *(p for p in parts if type(p) is not Text))
        modified = decision is not None and decision.enforced == "modify"
        return replace(
            message,
            turn=turn,
            parts=parts,
            disposition="modified" if modified else "accepted",
            packed_decision=decision.pack() if decision else b"",
            labels=tuple(dict.fromkeys(labels)),
            release=self.named,
        )

    @property
    def confirms(self) -> bool:
        """Whether the guards' word confirms this very message's STOP, or is the answer to HELP.

        That may leave though consent was revoked a moment ago; nothing else may. What confirms
        START would be a lie after a STOP, so it leaves by the consent that START has given.
        """
        if self.consent is not None:
            return not self.consent.granted
        if self.decision is None:
            return False
        asked = (r.guard for r in self.decision.results if r.code == HELP)
        return self.decision.code == HELP and next(asked, "") == "opt_out"

    def _check(
        self, stage: Stage, text: str, now: int, context: Context | None = None
    ) -> TextCheck:
        inbound = self.inbound
        return TextCheck(
            stage, text, inbound.channel, context.reader if context else inbound.assurance, now,
            inbound.flags, context.contact if context else None, context, address=inbound.sender,
        )  # fmt: skip
