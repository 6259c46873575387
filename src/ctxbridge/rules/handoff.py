"""Who may take the floor, pass it and give it back; and how the log tells of that.

The log is the only truth: each step is one event, written in the very step that moves the floor.
It says all of the handoff, so the newest one is enough.
"""

from collections.abc import Iterator

from msgspec.structs import replace

from ctxbridge.errors import FloorTaken, TooLarge, UsageError
from ctxbridge.model import Context, Event, Floor, Handoff, Message
from ctxbridge.model.handoff import PREFIX, FloorWord, Step
from ctxbridge.rules.text import clean

QUEUE = "queue"
"""Who is passed to where no colleague is named: whoever comes first."""
RESERVED = frozenset({"", "agent", QUEUE})
LIMITS = {"reason": 200, "by": 100, "to": 100, "summary": 4_000, "note": 1_000, "otherwise": 1_000}
"""Characters."""
MOST_PROMISES, LONGEST_PROMISE = 20, 500
LONGEST_OFFER_SECONDS = 30 * 86_400.0

FLOORS: dict[FloorWord, Floor] = {
    "agent": Floor.AGENT, "human": Floor.HUMAN, "queue": Floor.QUEUE,
}  # fmt: skip
WORDS: dict[Floor, FloorWord] = {floor: word for word, floor in FLOORS.items()}
_words: dict[str, FloorWord] = {str(word): word for word in FLOORS}
_STEPS: dict[str, Step] = {
    "offered": "offered", "accepted": "accepted", "passed": "passed", "released": "released",
    "expired": "expired",
}  # fmt: skip
_TAKINGS = frozenset({PREFIX + "accepted", PREFIX + "passed"})
_SKEW_MILLISECONDS = 60_000
"""Clocks of workers differ by less."""
_TEXTS = (
    "conversation", "by", "to", "holder", "last_holder", "reason", "summary", "otherwise", "note",
)  # fmt: skip
_NUMBERS = ("epoch", "offered_at", "expires_at", "accepted_at", "before")


# --- the log --------------------------------------------------------------------------------------


def event_of(handoff: Handoff, turn: bytes = b"") -> Event:
    """The entry that tells of the step."""
    data = [("floor", str(handoff.floor)), *_texts(handoff), *_numbers(handoff)]
    data += [("promised", one) for one in handoff.promised]
    return Event(PREFIX + handoff.step, handoff.at, turn, tuple(data))


def _texts(handoff: Handoff) -> Iterator[tuple[str, str]]:
    return ((name, text) for name in _TEXTS if (text := getattr(handoff, name)))


def _numbers(handoff: Handoff) -> Iterator[tuple[str, str]]:
    return ((name, str(number)) for name in _NUMBERS if (number := getattr(handoff, name)))


def standing(context: Context) -> Handoff | None:
    """How the floor stands by the entries of the context; `None` where none of them tells.

    Where contacts were merged, theirs stand behind ours: of each the last step counts, and of these
    the one whose floor is held.
    """
    floor, followed = WORDS[context.floor], set[tuple[str, int]]()
    for entry in reversed(context.window):
        if not isinstance(entry, Event) or not entry.kind.startswith(PREFIX):
            continue
        told, whose = _told(entry, context), entry.about("conversation")
        if told is None:
            continue
        if told.floor == floor and (whose, told.epoch) not in followed:
            return told
        followed.add((whose, told.before))
    return None


def unknown(context: Context) -> Handoff:
    """How the floor stands where the log does not tell how it came there."""
    contact = context.contact.id.hex() if context.contact else ""
    floor = WORDS[context.floor]
    return Handoff(floor, context.gate_epoch, contact, context.conversation.hex())


def _told(event: Event, context: Context) -> Handoff | None:
    step, floor = _STEPS.get(event.kind.removeprefix(PREFIX)), _words.get(event.about("floor"))
    if step is None or floor is None:
        return None
    texts = {name: event.about(name) for name in _TEXTS if name != "conversation"}
    numbers = {name: _number(event.about(name)) for name in _NUMBERS if name != "epoch"}
    return replace(
        unknown(context), floor=floor, step=step, at=event.at,
        epoch=_number(event.about("epoch")), **texts, **numbers,
        promised=tuple([text for name, text in event.data if name == "promised"]),
    )  # fmt: skip


def _number(text: str) -> int:
    return int(text[:20]) if text.isascii() and text.isdecimal() else 0


def is_over(handoff: Handoff, now: int) -> bool:
    """Whether it is an offer whose time has ended."""
    return handoff.floor == "queue" and 0 < handoff.expires_at <= now


def taken_since(context: Context, epoch: int) -> bool:
    """Whether a colleague took the floor after this gate epoch, also if they gave it back since."""
    return any(_number(entry.about("epoch")) > epoch for _, entry in _takings(context))


def taken_after(context: Context, message: Message) -> bool | None:
    """Whether a colleague took the floor after `message` was written; `None` if it is not shown.

    What stands behind it of somebody who was merged into the contact may be much older.
    """
    numbered = context.window.numbered()
    ours = [
        at for at, entry in numbered if isinstance(entry, Message) and entry.turn == message.turn
    ]
    wrote = max(ours, default=0)
    if not wrote:
        return None
    since = message.accepted_at - _SKEW_MILLISECONDS
    return any(at > wrote and entry.at >= since for at, entry in _takings(context))


def _takings(context: Context) -> Iterator[tuple[int, Event]]:
    for at, entry in context.window.numbered():
        if isinstance(entry, Event) and entry.kind in _TAKINGS:
            yield at, entry


# --- what is said -----------------------------------------------------------------------------


def bounded(handoff: Handoff) -> Handoff:
    """The handoff as it can be stored. Raises `UsageError` for no text, `TooLarge`."""
    texts = {name: _text(name, getattr(handoff, name)) for name in LIMITS}
    promised: object = handoff.promised
    if isinstance(promised, str) or not isinstance(promised, (tuple, list)):
        raise UsageError("promised is a list of texts")
    if len(promised) > MOST_PROMISES:
        raise TooLarge("promised", len(promised), MOST_PROMISES)
    kept = tuple([_text("promised", one, LONGEST_PROMISE) for one in promised])
    return replace(handoff, **texts, promised=kept)


def _text(name: str, text: object, most: int = 0) -> str:
    most = most or LIMITS[name]
    if not isinstance(text, str):
        raise UsageError(f"{name} is a text")
    if len(text) > most:
        raise TooLarge(name, len(text), most)
    return clean(text)


def somebody(name: object) -> str:
    """The name of a colleague. Raises `UsageError` for what names nobody, `TooLarge`."""
    if not isinstance(name, str) or name.strip().lower() in RESERVED:
        raise UsageError("name the colleague; a floor is not given to nobody")
    return _text("by", name.strip())


def until(now: int, seconds: float) -> int:
    """When an offer of so many seconds ends; 0 for 0, which never does. Raises `UsageError`."""
    if not 0 <= seconds <= LONGEST_OFFER_SECONDS:
        raise UsageError("an offer stands for up to 30 days; 0 seconds: until somebody comes")
    return now + max(1, round(seconds * 1000)) if seconds else 0


# --- the steps ------------------------------------------------------------------------------------


def offered(held: Handoff, wanted: Handoff) -> Handoff:
    """The agent gives the floor to the queue; an offer that stands already is left as it is."""
    if held.floor == "human":
        raise _taken(held)
    if held.floor == "queue":
        return held
    at = wanted.at
    return _next(replace(wanted, floor="queue", step="offered", offered_at=at), held, at)


def accepted(held: Handoff, by: str, epoch: int | None, now: int) -> Handoff:
    """A colleague takes the floor: what was offered under `epoch`, or without one from the agent.

    Raises `FloorTaken` where the offer is over, or another colleague has the floor.
    """
    if held.floor == "human" and held.holder == by and _is_of(held, epoch):
        return held
    late = epoch is not None and (held.floor != "queue" or held.epoch != epoch)
    if late or held.floor == "human":
        raise _taken(held)
    offer = held if held.floor == "queue" else unasked(held)
    made = replace(offer, floor="human", step="accepted", by=by, holder=by, accepted_at=now)
    made = replace(made, last_holder=by)
    return _next(replace(made, expires_at=0, otherwise=""), held, now)


def passed(
    held: Handoff, by: str, to: str, epoch: int | None, now: int, ends: int, otherwise: str
) -> Handoff:
    """Who has the floor gives it to another colleague, or to the queue until `ends`."""
    target = "" if to == QUEUE else to
    if held.step == "passed" and (held.by, held.to) == (by, target) and _is_of(held, epoch):
        return held
    _require_holder(held, by, epoch)
    made = replace(held, step="passed", by=by, to=target, holder=target)
    if target:
        return _next(replace(made, floor="human", last_holder=target), held, now)
    made = replace(made, floor="queue", offered_at=now, expires_at=ends, otherwise=otherwise)
    return _next(made, held, now)


def released(
    held: Handoff, by: str, note: str, epoch: int | None, now: int, *, force: bool
) -> Handoff:
    """The agent has the floor again: from who had it, or from the queue.

    With `force` it is taken from whoever has it.
    """
    if held.step == "released" and held.by == by and _is_of(held, epoch):
        return held
    if held.floor == "agent":
        raise _taken(held)
    if held.floor == "human" and not force:
        _require_holder(held, by, epoch)
    elif epoch is not None and epoch != held.epoch:
        raise _taken(held)
    made = replace(held, floor="agent", step="released", by=by, holder="", note=note)
    return _next(made, held, now)


def expired(held: Handoff, now: int) -> Handoff:
    """Nobody came: the agent has the floor again."""
    return _next(replace(held, floor="agent", step="expired", by="", note=""), held, now)


def require_holder(held: Handoff, by: str) -> None:
    """Raise `FloorTaken` unless `by` is who may speak."""
    _require_holder(held, by, None)


def unasked(held: Handoff) -> Handoff:
    """What is known where a colleague takes the floor and nobody had offered it."""
    return Handoff(held.floor, held.epoch, held.contact, held.conversation)


def _require_holder(held: Handoff, by: str, epoch: int | None) -> None:
    if held.floor != "human" or held.holder != by or epoch not in {None, held.epoch}:
        raise _taken(held)


def _is_of(held: Handoff, epoch: int | None) -> bool:
    """Whether the caller means the step that was done last, and so repeats it."""
    return epoch in {None, held.epoch, held.before}


def _next(made: Handoff, held: Handoff, now: int) -> Handoff:
    return replace(
        made, at=now, before=held.epoch, contact=held.contact, conversation=held.conversation
    )


def _taken(held: Handoff) -> FloorTaken:
    return FloorTaken(held.floor, held.holder)
