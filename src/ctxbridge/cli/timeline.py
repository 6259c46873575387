"""A stored conversation as a timeline: rows for people, objects for programs."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import zip_longest
from typing import Any

from msgspec import Struct

from ctxbridge import Bridge
from ctxbridge.cli.output import cells, pad, paint, printable, wrap
from ctxbridge.model import (
    Assurance,
    Attachment,
    Context,
    Entry,
    Event,
    Message,
    Quote,
    ToolCall,
)
from ctxbridge.model.handed import is_handoff

CHANNELS = {"sms": "SMS", "email": "e-mail"}
AUTHORS = {"contact": "customer", "human_agent": "colleague"}
TIME, CHANNEL, AUTHOR, NOTE = 5, 8, 9, 24
LEFT = TIME + CHANNEL + AUTHOR + 3 * 2
TONES = {"customer": "bold", "agent": "green", "colleague": "green", "system": "yellow"}
WIDE = 84
ALLOWED = "allowed"


class Row(Struct, frozen=True):
    """One line of the timeline, before it is laid out."""

    at: int
    channel: str
    author: str
    text: str
    note: str = ""
    colour: str = ""
    faint: bool = False


class Repeated(Struct, frozen=True):
    """An event that the store had answered before: no entry of the log, but worth showing."""

    turn: str
    at: int


async def conversations(bridge: Bridge[Any], addresses: Iterable[str]) -> list[Context]:
    """Each conversation that the addresses lead to, whole, once."""
    found: dict[bytes, Context] = {}
    for address in addresses:
        context = await bridge.context(address, window=0)
        if context.contact is not None:
            found[context.conversation] = context
    return list(found.values())


_GONE = frozenset({"erased", "moved"})


def records(context: Context) -> Iterator[dict[str, Any]]:
    """The messages as objects, in the order of the log."""
    for seq, entry in context.window.numbered():
        if isinstance(entry, Message):
            yield record(context, seq, entry)


def record(context: Context, seq: int, message: Message) -> dict[str, Any]:
    """One message as an object."""
    return {
        "kind": "message",
        "seq": seq,
        "turn": message.turn.hex(),
        "channel": message.channel,
        "author": message.author,
        "text": message.text,
        "disposition": message.disposition,
        "contact": context.contact.id.hex() if context.contact else "",
        "conversation": context.conversation.hex(),
    }


def blocked(message: Message) -> bool:
    """Whether the guards let nothing of it through."""
    return message.decision is not None and message.decision.enforced == "block"


def rows(context: Context, repeated: Sequence[Repeated] = ()) -> list[Row]:
    """What there is to show, a row per entry; what was repeated stands after its turn."""
    entries = list(context.window)
    answered = {m.turn for m in context.messages if m.author != "contact"}
    opted_out: set[str] = set()
    shown: list[Row] = []
    for place, entry in enumerate(entries):
        if isinstance(entry, Event):
            shown.append(_event(entry, opted_out))
        else:
            silent = entry.turn not in answered and entry.channel in opted_out
            shown.append(_message(entry, silent=silent))
        if place + 1 == len(entries) or entries[place + 1].turn != entry.turn:
            shown.extend(_again(entry, repeated))
    return shown


def _again(entry: Entry, repeated: Sequence[Repeated]) -> Iterator[Row]:
    again = [r for r in repeated if r.turn == entry.turn.hex()]
    if again:
        times = f", {len(again)} times" if len(again) > 1 else ""
        text = f"(the same message again{times}: answered from the store)"
        yield Row(again[0].at, "", "", text, "duplicate", "cyan", faint=True)


def _event(event: Event, opted_out: set[str]) -> Row:
    channel = event.about("channel")
    if event.kind in _GONE and not event.at:
        return Row(0, "", "", "")  # what stood there was erased, or went along with a split
    text = event.kind
    if event.kind == "link":
        text = f"linked to the contact ({event.about('evidence')})"
    elif event.kind == "consent":
        granted = event.about("granted") == "yes"
        (opted_out.discard if granted else opted_out.add)(channel)
        text = "opted in" if granted else "opted out"
    elif event.kind == "state.not_saved":
        text = "the sender may not change the state: not saved"
    elif is_handoff(event):
        text = _handoff(event)
    return Row(event.at, _channel(channel), "", text, faint=True)


def _handoff(event: Event) -> str:
    """The step, who did it for whom, and why or with which note."""
    by, to = event.about("by"), event.about("to")
    why = event.about("note") or event.about("reason")
    who = (f" by {by}" if by else "") + (f" to {to}" if to else "")
    return event.kind.replace(".", " ") + who + (f": {why}" if why else "")


def _message(message: Message, *, silent: bool) -> Row:
    note, colour = _note(message)
    if note == ALLOWED and silent and message.author == "contact":
        note, colour = "no answer: opted out", "red"
    author = AUTHORS.get(message.author, message.author)
    at = message.accepted_at or message.occurred_at
    return Row(at, _channel(message.channel), author, _text(message), note, colour)


def _channel(name: str) -> str:
    return CHANNELS.get(name, name)


def _note(message: Message) -> tuple[str, str]:
    """The decision in a few words, and its colour."""
    decision = message.decision
    if message.disposition == "pending":
        return "pending", "cyan"
    if decision is not None and blocked(message):
        return f"blocked: {decision.code}", "red"
    if decision is not None and decision.enforced == "modify":
        done = "masked" if decision.code.startswith("pii.") else "changed"
        return f"{done}: {decision.code}", "yellow"
    if message.author == "contact" and message.assurance < Assurance.CHANNEL:
        return "unverified: sees nothing", "yellow"
    return ALLOWED, "dim"


def _text(message: Message) -> str:
    lines = [line.strip() for line in message.text.splitlines() if line.strip()]
    quoted = sum(len(p.text.splitlines()) for p in message.parts if isinstance(p, Quote))
    if quoted:
        lines.append(f"({quoted} quoted line{'s' * (quoted > 1)} set aside)")
    files = [p for p in message.parts if isinstance(p, Attachment)]
    lines += [f"(attached: {p.name or p.media_type})" for p in files]
    if message.silent:
        called = ", ".join(p.name for p in message.parts if isinstance(p, ToolCall))
        lines = [f"(called {called})" if called else "(what its framework keeps of the run)"]
    if not lines:
        lines = ["(not sent)" if message.disposition == "withheld" else "(nothing written)"]
    return "\n".join(lines)


def render(shown: Sequence[Row], columns: int, *, colours: bool, day: str = "") -> Iterator[str]:
    """The lines of the timeline, no wider than `columns`, with a headline for each new day.

    `day` is the one that a headline stands for already.
    """
    for row in shown:
        if not row.text:
            continue
        if day_of(row.at) != day:
            day = day_of(row.at)
            yield paint(f"{day}, UTC", "bold", colours)
        yield from _lines(row, _formatted(row.at, "%H:%M"), columns, colours)


def day_of(at: int) -> str:
    """The day of a time, as its headline names it."""
    return _formatted(at, "%A %d %B %Y")


def _formatted(at: int, form: str) -> str:
    """What is stored may lie beyond all calendars."""
    try:
        return f"{datetime.fromtimestamp(at / 1000, UTC):{form}}"
    except (ValueError, OverflowError, OSError):
        return "--:--" if form == "%H:%M" else "far off"


def _lines(row: Row, time: str, columns: int, colours: bool) -> Iterator[str]:
    """A wide terminal has a column for the decision; on a narrow one it stands below the text."""
    wide = columns >= WIDE
    room = columns - LEFT - (NOTE + 2 if wide else 0)
    head = f"{time}  {_cell(row.channel, CHANNEL)}  {_cell(row.author, AUTHOR)}  "
    texts = wrap(printable(row.text), room)
    notes = wrap(printable(row.note), NOTE) if wide else []
    tone = "dim" if row.faint else TONES.get(row.author, "")
    for left, text, note in zip_longest([head], texts, notes, fillvalue=""):
        middle = pad(text, room + 2) if note else text
        painted = paint(pad(left, LEFT), tone, colours)
        painted += paint(middle, "dim" if row.faint else "", colours)
        yield (painted + paint(note, row.colour, colours)).rstrip()
    if row.note not in {"", ALLOWED} and not wide:
        for text in wrap(printable(row.note), room - 2):
            yield " " * LEFT + paint(f"→ {text}", row.colour, colours)


def _cell(text: str, columns: int) -> str:
    """`text` in exactly so many columns, cut where it is longer."""
    plain = printable(text).replace("\n", " ")
    while cells(plain) > columns:
        plain = plain[:-1]
    return pad(plain, columns)
