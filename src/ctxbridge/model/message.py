"""The log of a conversation: messages, their parts, and events."""

from collections.abc import Iterable
from typing import Literal

from msgspec import Struct

from ctxbridge.model.address import Address, Assurance, Endpoint
from ctxbridge.model.contact import Purpose
from ctxbridge.model.decision import Decision

Author = Literal["contact", "agent", "human_agent", "system"]
Disposition = Literal["pending", "accepted", "modified", "withheld", "quarantined"]
"""``pending``: stored, no turn has judged it yet. ``withheld``: of ours, must not leave.
``quarantined``: of the contact's, no model sees it."""


class Text(Struct, frozen=True, array_like=True, gc=False, tag=0):
    """Words that were written in this message."""

    text: str


class Quote(Struct, frozen=True, array_like=True, gc=False, tag=1):
    """Words that the message repeats or forwards: kept, and never taken for the writer's own."""

    text: str


class Attachment(Struct, frozen=True, array_like=True, gc=False, tag=2):
    """A file that came along. `where` leads to its bytes; nothing here fetches them."""

    media_type: str
    name: str = ""
    size: int = -1
    where: str = ""


class ToolCall(Struct, frozen=True, array_like=True, gc=False, tag=3):
    """The agent called a tool; `arguments` is JSON."""

    id: str
    name: str
    arguments: str


class ToolResult(Struct, frozen=True, array_like=True, gc=False, tag=4):
    """What the tool answered to the call of the same id."""

    id: str
    content: str


class Opaque(Struct, frozen=True, array_like=True, gc=False, tag=5):
    """An item of an agent framework, kept byte for byte."""

    kind: str
    data: bytes


class Choice(Struct, frozen=True, array_like=True, gc=False, tag=6):
    """One of the answers that were offered: as it came back, or (in `Choices`) as it is shown.

    `id` is ours and comes back unread; `label` is what people see. What was chosen stands beside
    its label as `Text`, so that whoever reads words alone misses nothing.
    """

    id: str
    label: str


class Choices(Struct, frozen=True, array_like=True, gc=False, tag=7):
    """The answers that a message of ours offers: buttons, or numbers where there are none."""

    offered: tuple[Choice, ...]


class Markup(Struct, frozen=True, array_like=True, gc=False, tag=8):
    """The words of the same message as a channel marks them up: ``html``, ``slack``, ``whatsapp``.

    It says what `Text` says, so whoever reads words alone misses nothing.
    """

    form: str
    text: str


Part = Text | Quote | Attachment | ToolCall | ToolResult | Opaque | Choice | Choices | Markup
_WORK = frozenset({ToolCall, ToolResult, Opaque})


def choice_in(parts: Iterable[Part]) -> Choice | None:
    """What was chosen, where an answer names one of the choices that we offered."""
    return next((part for part in parts if type(part) is Choice), None)


class Message(Struct, frozen=True, array_like=True, gc=False, tag=0):
    """One entry of the log that somebody wrote.

    Its place in the log (`seq`) is not a field: the store gives it, and a `Window` tells it.
    `address` is the contact's side (from whom, or to whom) and `endpoint` ours. `occurred_at` is
    the provider's time and only data; `accepted_at` is ours. Both are Unix milliseconds, 0 if
    unknown.
    """

    turn: bytes
    author: Author
    channel: str
    parts: tuple[Part, ...]
    accepted_at: int
    disposition: Disposition = "accepted"
    address: Address | None = None
    endpoint: Endpoint | None = None
    message_id: str = ""
    occurred_at: int = 0
    thread: str = ""
    subject: str = ""
    assurance: Assurance = Assurance.ANONYMOUS
    packed_decision: bytes = b""
    labels: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    revises: str = ""
    """The id of the message that this one takes the place of; without parts it is a deletion."""
    purpose: Purpose = "service"
    written_as: str = ""
    """How the channel writes the value of `address`, where that is another way than ours."""
    release: str = ""
    """The release in whose turn it was written or read, as in ``support@v12``; empty for none."""

    @property
    def recipient(self) -> Address | None:
        """Where a message to the contact goes: `address`, as its channel writes it."""
        address = self.address
        if not self.written_as or address is None:
            return address
        return Address(address.channel, self.written_as, address.scope)

    @property
    def text(self) -> str:
        """What was written in this message, without quotes and attachments."""
        return "\n".join([part.text for part in self.parts if type(part) is Text])

    @property
    def choice(self) -> Choice | None:
        """Which of the choices that we offered it names; `None` for none."""
        return choice_in(self.parts)

    @property
    def decision(self) -> Decision | None:
        """What the guards said of it, unpacked when asked for; `None` where none judged."""
        return Decision.unpack(self.packed_decision)

    @property
    def visible(self) -> bool:
        """Whether a model may see it: accepted or modified, and nothing else."""
        return self.disposition in {"accepted", "modified"}

    @property
    def silent(self) -> bool:
        """Whether it says nothing to anybody: it holds what an agent did on the way."""
        for part in self.parts:
            if type(part) not in _WORK:
                return False
        return bool(self.parts)


DECISIONS = "decisions"
"""The kind of the event that holds what guards said of a turn and of no message of it."""


class Event(Struct, frozen=True, array_like=True, gc=False, tag=1):
    """An entry that is no message: link, consent, handoff. `data` is a few pairs."""

    kind: str
    at: int
    turn: bytes = b""
    data: tuple[tuple[str, str], ...] = ()

    def about(self, name: str) -> str:
        """What `data` says of `name`; empty if nothing."""
        return next((value for key, value in self.data if key == name), "")

    @classmethod
    def of_decisions(
        cls, at: int, turn: bytes, decisions: Iterable[tuple[str, Decision]]
    ) -> "Event":
        """The entry that keeps decisions that are of no message: each with what it was about."""
        return cls(DECISIONS, at, turn, tuple([(about, d.as_json()) for about, d in decisions]))

    @property
    def decisions(self) -> tuple[tuple[str, Decision], ...]:
        """The decisions that it holds; none for an event of another kind."""
        if self.kind != DECISIONS:
            return ()
        return tuple([(about, Decision.from_json(text)) for about, text in self.data])


Entry = Message | Event
