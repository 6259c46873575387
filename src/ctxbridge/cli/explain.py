"""``ctxbridge explain``: what was decided in a turn, by which guard, and why."""

from collections.abc import Iterator
from typing import Any

import anyio

from ctxbridge.bridge.explaining import Explained, turns_of, whole_context
from ctxbridge.cli.output import colourful, emit, moment, paint, plain, say, warn
from ctxbridge.cli.tables import tell_table
from ctxbridge.cli.timeline import AUTHORS, CHANNELS
from ctxbridge.cli.where import UNKNOWN, Where
from ctxbridge.model import Decision, Event, Message

HEADLINE = ("stage", "guard", "verdict", "code", "status", "µs")


def explain(turn: str, where: Where, *, as_json: bool, show_text: bool) -> int:
    """Explain the turn, or all turns of an address; 1 if there is none."""
    found = anyio.run(_find, turn, where)
    if not found:
        warn(f"no such turn is stored for tenant {where.tenant!r}")
        return UNKNOWN
    for one in found:
        if as_json:
            emit(record(one, show_text=show_text))
        else:
            _tell(one, show_text=show_text)
    return 0


async def _find(turn: str, where: Where) -> tuple[Explained, ...]:
    async with where.bridge() as bridge:
        if ":" not in turn:
            return await bridge.explain(turn)
        context = await whole_context(bridge, turn)
        return tuple(one for one in turns_of(context) if one.messages)


def record(one: Explained, *, show_text: bool) -> dict[str, Any]:
    """A turn as an object."""
    contact = one.context.contact
    return {
        "kind": "turn",
        "turn": one.turn.hex(),
        "contact": contact.id.hex() if contact else "",
        "conversation": one.context.conversation.hex(),
        "messages": [_message(seq, m, show_text=show_text) for seq, m in one.messages],
        "decisions": [
            {"about": about, **decision(said)}
            for _, event in one.events
            for about, said in event.decisions
        ],
        "events": [
            {"seq": seq, "event": e.kind, "at": e.at, "data": dict(e.data)}
            for seq, e in one.events
            if not e.decisions
        ],
        "deliveries": [
            {"seq": seq, "key": d.key, "status": d.status, "code": d.code, "attempt": d.attempt}
            for seq, d in one.deliveries
        ],
    }


def _message(seq: int, message: Message, *, show_text: bool) -> dict[str, Any]:
    told = {
        "seq": seq,
        "author": message.author,
        "channel": message.channel,
        "purpose": message.purpose,
        "assurance": message.assurance.name.lower(),
        "disposition": message.disposition,
        "labels": list(message.labels),
        "decision": decision(message.decision) if message.decision else None,
    }
    return told | {"text": message.text} if show_text else told


def decision(said: Decision) -> dict[str, Any]:
    """A decision as an object; digests in hexadecimal."""
    return {
        "stage": said.stage,
        "action": said.action,
        "enforced": said.enforced,
        "code": said.code,
        "judged": said.judged.hex(),
        "let_through": said.enforced_digest.hex(),
        "guards": [
            {
                "stage": r.stage or said.stage,
                "guard": r.guard,
                "version": r.version,
                "action": r.action,
                "code": r.code,
                "status": r.status,
                "mode": r.mode,
                "microseconds": r.microseconds,
            }
            for r in said.results
        ],
    }


# --- for people -----------------------------------------------------------------------------------


def _tell(one: Explained, *, show_text: bool) -> None:
    colours = colourful()
    began = next((m.accepted_at for _, m in one.messages), 0)
    say(paint(f"turn {one.turn.hex()}, {moment(began)} UTC", "bold", colours))
    for seq, message in one.messages:
        say(_headline(seq, message))
        if show_text and message.text:
            say(f"  {plain(message.text)}")
        if message.decision is not None:
            _tell_decision(message.decision)
    for seq, event in one.events:
        _tell_event(seq, event)
    for seq, delivery in one.deliveries:
        code = f", {plain(delivery.code)}" if delivery.code else ""
        say(f"delivery of #{seq}: {delivery.status}, attempt {delivery.attempt}{code}")
    say()


def _headline(seq: int, message: Message) -> str:
    author = AUTHORS.get(message.author, message.author)
    channel = CHANNELS.get(message.channel, plain(message.channel))
    who = f"{message.assurance.name.lower()}, " if message.author == "contact" else ""
    return f"#{seq} {author}, {channel}: {who}{message.disposition}{_because(message)}"


def _because(message: Message) -> str:
    said = message.decision
    if said is None or said.enforced == "allow":
        return ""
    return f" ({said.enforced}: {plain(said.code)})"


def _tell_event(seq: int, event: Event) -> None:
    for about, said in event.decisions:
        say(f"#{seq} {plain(about)}: {said.enforced} {plain(said.code)}".rstrip())
        _tell_decision(said)
    if not event.decisions:
        told = ", ".join(f"{plain(k)} {plain(v)}" for k, v in event.data)
        say(f"#{seq} {plain(event.kind)}: {told}" if told else f"#{seq} {plain(event.kind)}")


def _tell_decision(said: Decision) -> None:
    if not said.results:
        say("  no guard was asked")
        return
    tell_table([HEADLINE, *_rows(said)], indent=2)


def _rows(said: Decision) -> Iterator[tuple[str, ...]]:
    for r in said.results:
        status = r.status if r.mode == "enforce" else f"{r.status}, {r.mode}"
        named = f"{plain(r.guard)} {plain(r.version)}"
        yield (
            r.stage or said.stage, named, r.action, plain(r.code), status, str(r.microseconds),
        )  # fmt: skip
