"""What a model is told of a handoff, in words."""

from datetime import UTC, datetime

from ctxbridge.model.handoff import PREFIX
from ctxbridge.model.message import Event

_END_OF_TIME = 253_402_300_799_999
"""The last moment that a calendar has, in Unix milliseconds."""


def is_handoff(event: Event) -> bool:
    """Whether the entry tells of a step of a handoff."""
    return event.kind.startswith(PREFIX)


def words_of(event: Event) -> str:
    """The step, on one line: who had the conversation, from when to when, what they left to say."""
    at, by = moment(event.at), _named(event.about("by"))
    match event.kind.removeprefix(PREFIX):
        case "offered":
            return f"at {at} a colleague was asked to take over{_about(event, 'reason')}"
        case "accepted":
            told = f"at {at} a colleague{by} took the conversation over"
            return f"{told}; what our side says from here on is theirs"
        case "passed":
            to = _plain(event.about("to")) or "whoever comes first"
            return f"at {at} the colleague{by} passed the conversation on to {to}"
        case "released":
            return _released(event, at)
    return f"until {at} no colleague came; you have the conversation again"


def moment(at: int) -> str:
    """A time in UTC, to the minute."""
    told = datetime.fromtimestamp(min(max(at, 0), _END_OF_TIME) / 1000, UTC)
    return told.strftime("%Y-%m-%d %H:%M UTC")


def _released(event: Event, at: str) -> str:
    note, who = _about(event, "note"), event.about("last_holder")
    if not who:
        return f"at {at} it was called off that a colleague takes over{note}"
    began = event.about("accepted_at")
    since = moment(int(began[:15])) if began.isascii() and began.isdecimal() else "some time"
    had = f"a colleague{_named(who)} had the conversation from {since} to {at}"
    return f"{had}; you have it again{note}"


def _named(who: str) -> str:
    return f" ({_plain(who)})" if who else ""


def _about(event: Event, name: str) -> str:
    text = _plain(event.about(name))
    return f": {text}" if text else ""


def _plain(text: str) -> str:
    """On one line, so that no text can end its own."""
    return " ".join(text.split())
