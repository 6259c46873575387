"""What a model is shown of a log: cut at turns, marked, healed, and in the forms of model APIs.

Each line says where it comes from. What the lines are depends on the log alone and not on when or
by which channel it is read, and where the window is cut moves in steps: so from turn to turn the
beginning stays the same, as prompt caches want it.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise, takewhile
from operator import itemgetter
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from ctxbridge.model import handed
from ctxbridge.model.address import Assurance
from ctxbridge.model.message import Event, Message, Opaque, Part, Quote, ToolCall, ToolResult
from ctxbridge.model.revision import revised

if TYPE_CHECKING:
    from ctxbridge.model.context import Context, Window

Role = Literal["user", "assistant", "system"]
ROLES: dict[str, Role] = {
    "contact": "user", "agent": "assistant", "human_agent": "assistant", "system": "system",
}  # fmt: skip
SUMMARY = "summary"
"""The kind of the event that stands for the messages from `first` to `last` of its data."""
NO_RESULT = "[no result was stored: the run ended before]"
LONGEST_QUOTE = 2_000
"""Characters of one quote; what is cut is said."""

Count = Callable[[str], int]


def estimate_tokens(text: str) -> int:
    """A cheap upper guess of a text's tokens: one per three UTF-8 bytes, and four for the frame."""
    return len(text.encode("utf-8", "replace")) // 3 + 4


class Line(Struct, frozen=True, gc=False):
    """One thing that a model is shown.

    `text` is words, a tool's arguments (JSON) or its answer; `call` is the id that pairs these two
    and `name` the tool's. `place` is where in the log it stands, and `message_id` the provider's id
    of its message: what was said can be traced to it. A ``summary`` stands at the `place` of its
    event and speaks of all messages up to the place `until`; a ``handoff`` at that of its own, and
    tells who had the conversation when. `mark` is to be shown before the text:
    it says what the text cannot be trusted to say itself.
    """

    role: Role
    kind: Literal["text", "quote", "summary", "handoff", "tool_call", "tool_result"]
    text: str
    place: int
    turn: bytes = b""
    message_id: str = ""
    channel: str = ""
    mark: str = ""
    call: str = ""
    name: str = ""
    until: int = 0

    @property
    def shown(self) -> str:
        """The text as a model is to read it."""
        return self.mark + self.text


Placed = tuple[int, Message]


class Told(Struct, frozen=True):
    """One message that a model is shown, and its lines. What an agent did may have none."""

    place: int
    message: Message
    lines: list[Line]


def lines_of(context: "Context", budget: int, count: Count = estimate_tokens) -> list[Line]:
    """The lines that fit into `budget` tokens: whole turns, the newest always."""
    summary, _, kept = divided(context, budget, count)
    lines = [summary_line(*summary)] if summary else []
    return lines + [line for told in told_of(context, kept) for line in told.lines]


def told_of(context: "Context", kept: Sequence[Placed]) -> list[Told]:
    """The lines of these messages of the context, marked."""
    mark = _Marks(context.reader, [message for _, message in kept])
    told = [Told(p, m, [] if _is_opaque(m) else list(_lines(p, m, mark.of(m)))) for p, m in kept]
    handoffs = handoffs_in(context.window)
    return _with_handoffs(told, handoffs, context) if told and handoffs else told


def _with_handoffs(told: list[Told], handoffs: list[Line], context: "Context") -> list[Told]:
    """Each handoff before what was said after it.

    One before all that is shown is told only where that is the beginning: else it would go by
    itself, and change what stands before all the rest.
    """
    whole = len(context.window) + context.withheld >= context.seq
    first = min(one.place for one in told)
    if not (whole and len(told) == len(standing(context.window))):
        handoffs = [line for line in handoffs if line.place > first]
    left = iter([*handoffs, None])
    coming, made = next(left), list[Told]()
    for one in told:
        before: list[Line] = []
        while coming is not None and coming.place < one.place:
            before.append(coming)
            coming = next(left)
        made.append(Told(one.place, one.message, before + one.lines))
    rest = [line for line in (coming, *left) if line is not None]
    made[-1] = Told(made[-1].place, made[-1].message, made[-1].lines + rest)
    return made


def _is_opaque(message: Message) -> bool:
    """Whether there is nothing in it that a line could tell, at a glance."""
    return len(message.parts) == 1 and type(message.parts[0]) is Opaque


def divided(
    context: "Context", budget: int, count: Count = estimate_tokens
) -> tuple[tuple[int, Event] | None, list[Placed], list[Placed]]:
    """The summary if there is one, what does not fit beside it, and what does."""
    summary = summary_in(context.window)
    covered = last_covered(summary[1]) if summary else 0
    if summary:
        budget -= count(summary_line(*summary).shown)
    handoffs = [line for line in handoffs_in(context.window) if line.place > covered]
    budget -= sum(count(line.shown) for line in handoffs)
    seen = standing(context.window)
    ends = {message.turn: place for place, message in sorted(seen, key=itemgetter(0))}
    newest = seen[-1][1].turn if seen else b""
    shown = [(p, m) for p, m in seen if ends[m.turn] > covered or m.turn == newest]
    turns = _fitting(shown, budget, count)
    if len(context.window) + context.withheld + covered < context.seq:
        turns = _on_a_step(shown, turns, len(context.window))
    return summary, *_parted(shown, turns)


def _parted(shown: list[Placed], turns: set[bytes]) -> tuple[list[Placed], list[Placed]]:
    left = [one for one in shown if one[1].turn not in turns]
    return left, [one for one in shown if one[1].turn in turns]


def standing(window: "Window") -> list[Placed]:
    """What a model may see, as it stands after edits and deletions, turn by turn.

    What came while another turn ran stands behind that, as its own turn has seen it.
    """
    seen = [(p, m) for p, m in window.numbered() if isinstance(m, Message) and m.visible]
    revisions = [m for _, m in seen if m.revises]
    found = [(p, revised(m, revisions) if revisions else m) for p, m in seen if not m.revises]
    return _turn_by_turn([(p, m) for p, m in found if m is not None])


def _turn_by_turn(placed: list[Placed]) -> list[Placed]:
    """A turn stands where its first answer does; one without, where its last message does."""
    answered: dict[bytes, int] = {}
    asked: dict[bytes, int] = {}
    for number, (_, message) in enumerate(placed):
        if message.author == "contact":
            asked[message.turn] = number
        else:
            answered.setdefault(message.turn, number)
    where = asked | answered
    return sorted(placed, key=lambda one: where[one[1].turn])


def _fitting(shown: list[Placed], budget: int, count: Count) -> set[bytes]:
    costs: dict[bytes, int] = {}
    for _, message in reversed(shown):
        costs[message.turn] = costs.get(message.turn, 0) + _cost(message, count)
    kept: set[bytes] = set()
    for turn, cost in costs.items():
        budget -= cost
        if kept and budget < 0:
            break
        kept.add(turn)
    return kept


def _cost(message: Message, count: Count) -> int:
    if message.silent:
        return sum(count(_written(part)) for part in message.parts)
    return sum(count(line.shown) for line in _lines(0, message, "")) or count("")


def _written(part: Part) -> str:
    match part:
        case Opaque(data=data):
            return data.decode("utf-8", "replace")
        case ToolCall(arguments=text) | ToolResult(content=text):
            return text
    return ""


def _on_a_step(shown: list[Placed], turns: set[bytes], size: int) -> set[bytes]:
    """Fewer turns, so that the first of them stays the first for a while, and is a whole one.

    A third of the window is a step. Less than half of the turns go: few turns are all shown.
    """
    first = {message.turn: place for place, message in reversed(shown)}
    order = list(dict.fromkeys(message.turn for _, message in shown if message.turn in turns))
    step = max(2, size // 3)
    for number, (before, turn) in enumerate(pairwise(order), 1):
        if number * 2 >= len(order):
            break
        if first[turn] // step > first[before] // step:
            return set(order[number:])
    return turns


# --- what stands for more -------------------------------------------------------------------------


def summary_in(window: "Window") -> tuple[int, Event] | None:
    """The newest summary in the window, and its place."""
    found = [(p, e) for p, e in window.numbered() if isinstance(e, Event) and e.kind == SUMMARY]
    return found[-1] if found else None


def summary_event(at: int, turn: bytes, text: str, first: int, last: int) -> Event:
    """The entry that stands for the messages from place `first` to `last`."""
    return Event(SUMMARY, at, turn, (("text", text), ("first", str(first)), ("last", str(last))))


def last_covered(event: Event) -> int:
    """The place of the last message that a summary tells of."""
    last = event.about("last")
    return int(last) if last.isdecimal() else 0


def summary_line(place: int, event: Event) -> Line:
    """The line of a summary. It repeats what customers wrote, so it does not speak as a system."""
    return Line(
        "user", "summary", event.about("text"), place, event.turn, until=last_covered(event),
        mark="[a summary of what was said before] ",
    )  # fmt: skip


# --- who had the conversation ---------------------------------------------------------------------


def handoffs_in(window: "Window") -> list[Line]:
    """What the log tells of handoffs, oldest first.

    Notes may repeat what customers wrote, so these lines do not speak as a system either.
    """
    found = [(p, e) for p, e in window.numbered() if isinstance(e, Event) and handed.is_handoff(e)]
    return [
        Line(
            "user", "handoff", handed.words_of(event), place, event.turn, mark="[not the customer] "
        )
        for place, event in found
    ]


# --- marks ----------------------------------------------------------------------------------------


class _Marks:
    """What stands before the contact's words: where they have changed the channel, and doubts.

    Only the contact's are marked: a model would imitate marks before words of its own.
    """

    def __init__(self, reader: Assurance, messages: Sequence[Message]) -> None:
        self._reader = reader
        channels = [m.channel for m in messages if m.author == "contact"]
        self._last = channels[0] if len(set(channels)) == 1 else ""

    def of(self, message: Message) -> str:
        if message.author != "contact":
            return ""
        changed, self._last = message.channel != self._last, message.channel
        doubtful = message.assurance < Assurance.CHANNEL <= self._reader
        where = f"[by {message.channel}{_when(message)}] " if changed else ""
        return where + ("[unverified sender] " if doubtful else "")


def _when(message: Message) -> str:
    return f", {handed.moment(message.accepted_at)}" if message.accepted_at else ""


# --- one message ----------------------------------------------------------------------------------


def _lines(place: int, message: Message, mark: str) -> Iterator[Line]:
    role, about = ROLES[message.author], (place, message.turn, message.message_id, message.channel)
    if message.silent:
        yield from _tools(message.parts, place, message)
        return
    quotes = [part.text for part in message.parts if type(part) is Quote and part.text.strip()]
    only_repeats = all(type(part) is Quote for part in message.parts)
    nothing = "" if quotes else "[no words]"
    words = message.text or (nothing if only_repeats else "[attachment]")
    if words:
        yield Line(role, "text", words, *about, mark)
    for quote in quotes:
        told = "[quoted or forwarded, not the writer's own words]\n"
        yield Line(role, "quote", _as_quote(quote), *about, ("" if words else mark) + told)


def lines_about(placed: Sequence[Placed], window: "Window") -> list[Line]:
    """The lines of these messages of the window, without marks; and who had it meanwhile."""
    told = [line for place, message in placed for line in _lines(place, message, "")]
    summary, last = summary_in(window), max([place for place, _ in placed], default=0)
    first = last_covered(summary[1]) if summary else 0
    handoffs = [line for line in handoffs_in(window) if first < line.place < last]
    return sorted([*told, *handoffs], key=lambda line: line.place) if handoffs else told


def _as_quote(text: str) -> str:
    """Each line behind a ``>``, so that no text can end its own quote."""
    more = "\n> [cut here]" if len(text) > LONGEST_QUOTE else ""
    return "\n".join(f"> {line}" for line in text[:LONGEST_QUOTE].splitlines()) + more


def _tools(parts: Sequence[Part], place: int, message: Message) -> Iterator[Line]:
    """Each call with its result behind it, as model APIs demand; a call without gets one."""
    results = {part.id: part.content for part in parts if type(part) is ToolResult}
    if not results and not any(type(part) is ToolCall for part in parts):
        return
    seen: set[str] = set()
    rest = list(parts)
    while rest:
        calls = _calls(rest)
        rest = rest[max(1, len(calls)) :]
        fresh = [c for n, c in enumerate(calls) if c.id not in seen | {b.id for b in calls[:n]}]
        seen.update(c.id for c in fresh)
        about = (place, message.turn, message.message_id, message.channel, "")
        for c in fresh:
            yield Line("assistant", "tool_call", c.arguments, *about, c.id, c.name)
        for c in fresh:
            yield Line("user", "tool_result", results.get(c.id, NO_RESULT), *about, c.id, c.name)


def _calls(parts: Iterable[Part]) -> list[ToolCall]:
    """The calls at the beginning: they were made at once."""
    return [p for p in takewhile(lambda p: type(p) is ToolCall, parts) if isinstance(p, ToolCall)]
