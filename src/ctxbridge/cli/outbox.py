"""``ctxbridge outbox`` and ``ctxbridge dead``: what has not left yet, and what may never arrive."""

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import anyio
from msgspec import Struct

from ctxbridge.cli.commands.command import MOST
from ctxbridge.cli.output import emit, moment, plain, printable, say, warn, width, wrap
from ctxbridge.cli.tables import tell_table
from ctxbridge.cli.where import UNKNOWN, Where
from ctxbridge.model import Address, Delivery, Found

DEAD = 3
SHOWN = 100
NAMED = 5
LONG = 8  # of a shorter address four characters would tell too much
HEADLINE = ("time (UTC)", "to", "status", "attempt", "due", "key", "code")
TWICE = "whether it had left is unknown, so it may arrive twice"


class Asked(Struct, frozen=True):
    """What the command line asks for; `limit` is `None` where it does not say."""

    where: Where
    limit: int | None = None
    as_json: bool = False
    show_text: bool = False


class Replayed(Struct, frozen=True):
    """What was dead, and what it is after it was put back: `None` if it was gone by then."""

    was: Found
    now: Delivery | None

    @property
    def back(self) -> bool:
        """Whether it waits to be sent again."""
        return self.now is not None and self.now.status == "pending"

    @property
    def twice(self) -> bool:
        """Whether the message may have left before already."""
        return self.back and self.was.delivery is not None and self.was.delivery.status == "unknown"


def outbox(asked: Asked) -> int:
    """Show what has not left yet."""
    if not _show(anyio.run(_find, asked, "pending"), asked):
        _say(asked, "Nothing waits to be sent.")
    return 0


def dead(asked: Asked) -> int:
    """Show what failed or is unknown; 3 if there is something."""
    if not _show(anyio.run(_find, asked, "dead"), asked):
        _say(asked, "Nothing is dead.")
        return 0
    _say(asked, "\n--replay KEY sends one again; what is unknown may then arrive twice.")
    return DEAD


def replay(asked: Asked, keys: Sequence[str] = ()) -> int:
    """Put back what `keys` name, or all that is dead; 1 and nothing if a key does not name one."""
    done: list[Replayed] = []
    try:
        complaints = anyio.run(_replay, asked, keys, done)
    finally:
        # Should the store fail half-way, or nobody read this, it is still known what was done.
        for one in done:
            _tell(one, asked)
    for complaint in complaints:
        warn(complaint)
    if not done and not complaints:
        _say(asked, "Nothing is dead.")
    return UNKNOWN if complaints or any(one.now is None for one in done) else 0


async def _find(asked: Asked, what: Literal["pending", "dead"]) -> Sequence[Found]:
    """One more than is to be shown, which tells whether there are more."""
    async with asked.where.bridge() as bridge:
        return await bridge.deliveries(what, limit=(asked.limit or SHOWN) + 1)


async def _replay(asked: Asked, keys: Sequence[str], done: list[Replayed]) -> list[str]:
    """Put back and note it in `done`; nothing if there are complaints, which are given."""
    async with asked.where.bridge(read_only=False) as bridge:
        found = await bridge.deliveries("dead", limit=MOST if keys else asked.limit or MOST)
        chosen, complaints = choose(found, keys) if keys else (found, [])
        for one in chosen:
            now = await bridge.replay(one)
            done.append(Replayed(one, now))
    return complaints


def choose(found: Sequence[Found], keys: Sequence[str]) -> tuple[list[Found], list[str]]:
    """What the keys name, each once; nothing where a key does not name just one, but complaints."""
    chosen: dict[bytes, Found] = {}
    complaints: list[str] = []
    for key in keys:
        fitting = [one for one in found if one.id.hex().startswith(key)]
        if len(fitting) == 1:
            chosen[fitting[0].id] = fitting[0]
        else:
            complaints.append(_complaint(key, fitting))
    return [] if complaints else list(chosen.values()), complaints


def _complaint(key: str, fitting: Sequence[Found]) -> str:
    if not fitting:
        return f"no dead message has a key that begins with {key}; nothing was put back"
    named = ", ".join(one.id.hex() for one in fitting[:NAMED])
    more = ", ..." if len(fitting) > NAMED else ""
    return f"{key} begins {len(fitting)} keys, so nothing was put back: {named}{more}"


def _tell(replayed: Replayed, asked: Asked) -> None:
    if asked.as_json:
        told = record(replayed.was, replayed.now, show_text=asked.show_text)
        emit(told | {"replayed": replayed.back, "may_arrive_twice": replayed.twice})
        return
    key, now = replayed.was.id.hex(), replayed.now
    if now is None:
        say(f"{key} is not there any more")
    elif not replayed.back:
        say(f"{key} is {now.status} by now, and stays so")
    else:
        twice = f"; {TWICE}" if replayed.twice else ""
        say(f"{key} is put back, to be sent in the next sweep{twice}")


def _show(found: Sequence[Found], asked: Asked) -> int:
    """Show as many as were asked for, the oldest first; how many those are."""
    limit = asked.limit or SHOWN
    shown = sorted(found[:limit], key=lambda one: _delivery(one).created_at)
    if asked.as_json:
        for one in shown:
            emit(record(one, show_text=asked.show_text))
    elif shown:
        tell_table(list(_rows(shown, asked)))
    if len(found) > limit:
        warn(f"there are more than these {limit}; --limit shows more")
    return len(shown)


def record(one: Found, now: Delivery | None = None, *, show_text: bool) -> dict[str, Any]:
    """A delivery as an object, as it was found or as it is `now`."""
    delivery = now or _delivery(one)
    told = {
        "kind": "delivery",
        "key": delivery.key,
        "status": delivery.status,
        "attempt": delivery.attempt,
        "code": delivery.code,
        "channel": one.message.channel if one.message else "",
        "to": recipient(one, whole=show_text),
        "at": delivery.created_at,
        "due": delivery.due,
        "provider_id": delivery.provider_id,
        "contact": one.contact.hex(),
    }
    return told | {"text": one.message.text if one.message else ""} if show_text else told


def _rows(shown: Sequence[Found], asked: Asked) -> Iterator[tuple[str, ...]]:
    yield (*HEADLINE, "text") if asked.show_text else HEADLINE
    for one in shown:
        row = _row(one, show_text=asked.show_text)
        if asked.show_text:
            row = (*row, printable(one.message.text if one.message else ""))
        yield row


def _row(one: Found, *, show_text: bool) -> tuple[str, ...]:
    delivery = _delivery(one)
    to, code = plain(recipient(one, whole=show_text)), plain(delivery.code)
    attempt, made, due = str(delivery.attempt), moment(delivery.created_at), moment(delivery.due)
    return made, to, delivery.status, attempt, due, delivery.key, code


def _delivery(one: Found) -> Delivery:
    assert one.delivery is not None
    return one.delivery


def recipient(one: Found, *, whole: bool = False) -> str:
    """To whom it goes: an address is personal, so its end must do unless `whole` is asked for."""
    address: Address | None = one.message.address if one.message else None
    if address is None or whole:
        return str(address or "")
    return f"{address.channel}:…{address.value[-4:] if len(address.value) >= LONG else ''}"


def _say(asked: Asked, text: str) -> None:
    """A word for people; programs read objects alone."""
    if not asked.as_json:
        say("\n".join(wrap(text, width())))
