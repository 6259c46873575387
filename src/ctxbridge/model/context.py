"""What a look-up returns."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, overload

from msgspec import Struct

from ctxbridge.model import forms
from ctxbridge.model.address import Assurance
from ctxbridge.model.contact import Contact
from ctxbridge.model.head import NO_RELEASE, NO_TRACE, Floor, Status
from ctxbridge.model.lines import Count, Line, estimate_tokens, lines_of
from ctxbridge.model.message import Entry, Message
from ctxbridge.model.revision import current


class Window(Sequence[Entry]):
    """The latest entries of a log, oldest first, decoded when touched.

    A window is immutable; decoded entries are kept.
    """

    __slots__ = ("__weakref__", "_decode", "_entries", "_seqs")

    def __init__(
        self,
        entries: Sequence[Any] = (),
        seqs: Sequence[int] = (),
        decode: Callable[[Sequence[Any]], list[Entry]] | None = None,
    ) -> None:
        self._entries = list(entries) if decode else entries
        self._decode = decode
        self._seqs = seqs if isinstance(seqs, range) else tuple(seqs)

    @property
    def seqs(self) -> Sequence[int]:
        """The places of the entries in the log."""
        return self._seqs

    def __len__(self) -> int:
        return len(self._entries)

    @overload
    def __getitem__(self, index: int, /) -> Entry: ...
    @overload
    def __getitem__(self, index: slice, /) -> "Window": ...
    def __getitem__(self, index: int | slice, /) -> "Entry | Window":
        if isinstance(index, slice):
            return Window(self._entries[index], self.seqs[index], self._decode)
        entry = self._entries[index]
        if type(entry) is bytes and self._decode:
            (entry,) = self._decode([entry])
            self._entries[index] = entry  # type: ignore[index]
        return entry  # type: ignore[no-any-return]

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._whole())

    def _whole(self) -> Sequence[Any]:
        """The entries, all of them decoded."""
        decode = self._decode
        if decode is not None:
            self._entries = decode(self._entries)
            self._decode = None
        return self._entries

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Window):
            return NotImplemented
        return list(self.seqs) == list(other.seqs) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Window({len(self)} entries, seq {list(self.seqs)[:1]}..{list(self.seqs)[-1:]})"

    def numbered(self) -> Iterator[tuple[int, Entry]]:
        """Each entry with its place in the log."""
        return zip(self.seqs, self, strict=True)

    def ending_with(self, last: Sequence[tuple[int, Entry]]) -> "Window":
        """The window that ends with the entries `last`, wherever they stood; others as they are."""
        moved = {seq for seq, _ in last}
        places = [i for i, place in enumerate(self._seqs) if place not in moved]
        entries = [self._entries[i] for i in places]
        seqs = [self._seqs[i] for i in places]
        return Window(
            [*entries, *(entry for _, entry in last)], [*seqs, *(seq for seq, _ in last)],
            self._decode,
        )  # fmt: skip

    @property
    def messages(self) -> list[Message]:
        """The messages among the entries, whatever became of them."""
        return [entry for entry in self._whole() if type(entry) is Message]

    def fit(self, budget: int, count: Callable[[str], int] = estimate_tokens) -> list[Message]:
        """The newest messages that a model may see and that fit into `budget` tokens.

        Edited ones stand with their last words, deleted ones not at all.
        Whole turns only, the newest first: one that does not fit ends it. The newest always stays.
        """
        visible = current(m for m in self.messages if m.visible)
        costs: dict[bytes, int] = {}
        for message in reversed(visible):
            costs[message.turn] = costs.get(message.turn, 0) + count(message.text)
        kept: set[bytes] = set()
        for turn, cost in costs.items():
            budget -= cost
            if kept and budget < 0:
                break
            kept.add(turn)
        return [m for m in visible if m.turn in kept]


class Context(Struct, frozen=True, gc=False):
    """All that is known of a contact and the conversation with them, as one reader may see it.

    `contact` is `None` for somebody not seen before. `state` is the stored envelope (a turn gives
    it typed). `withheld` is how many entries of the window this reader's assurance keeps back.
    `trace` is the handle of the turn before (25 bytes). `seq` and `revision` are those of the
    moment of reading.
    """

    contact: Contact | None
    conversation: bytes
    window: Window
    state: bytes | None = None
    seq: int = 0
    revision: int = 0
    gate_epoch: int = 0
    floor: Floor = Floor.AGENT
    status: Status = Status.ACTIVE
    release: bytes = NO_RELEASE
    trace: bytes = NO_TRACE
    reader: Assurance = Assurance.AUTHENTICATED
    withheld: int = 0
    opens_at: Assurance | None = None
    """From which assurance on what was withheld would be shown; `None` where none would do."""
    waiting: tuple[int, ...] = ()
    """Where in the log the messages stand that no turn has finished yet, oldest first."""

    @property
    def messages(self) -> list[Message]:
        """The messages of the window, whatever became of them, oldest first."""
        return self.window.messages

    def lines(self, budget: int = 4_000, count: Count = estimate_tokens) -> list[Line]:
        """What a model is shown of the window: whole turns of up to `budget` tokens, the newest.

        Only what a model may see is in it. `count` tells the tokens of a text. Each `Line` says
        where in the log it comes from. The contact's words are marked where they change the
        channel, and where nobody vouches for their writer; what they quote or forward is kept
        apart; a tool call without a result gets one that says so. Where the window is cut moves in
        steps of a third of it, so that what a model was shown before stays the beginning of what it
        is shown next.
        """
        return lines_of(self, budget, count)

    def as_chat(self, budget: int = 4_000, count: Count = estimate_tokens) -> list[dict[str, str]]:
        """`lines` as role and content, for Chat Completions and most other models; without tools.

        A message without words (an image alone) is named as such.
        """
        return forms.chat(lines_of(self, budget, count))

    def as_responses(
        self, budget: int = 4_000, count: Count = estimate_tokens
    ) -> list[dict[str, Any]]:
        """`lines` as the `input` of OpenAI's Responses API, tool calls and results among them."""
        return forms.responses(lines_of(self, budget, count))

    def as_anthropic(
        self, budget: int = 4_000, count: Count = estimate_tokens
    ) -> list[dict[str, Any]]:
        """`lines` as the `messages` of Anthropic's Messages API, with tool calls and results."""
        return forms.anthropic(lines_of(self, budget, count))
