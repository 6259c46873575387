"""The outbox and what is due: claimed and settled inside the writer's transaction, listed by time.

What a delivery may become is decided by `rules.outbox`; here it is looked up and written down.
"""

import logging
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from msgspec.structs import replace

from ctxbridge.errors import CorruptRecord
from ctxbridge.model import (
    Assurance,
    Change,
    Context,
    Delivery,
    Found,
    Message,
    Reader,
    Scan,
    Settle,
    Take,
    Taken,
    Window,
)
from ctxbridge.rules import backlog, order, outbox
from ctxbridge.rules.access import view
from ctxbridge.rules.control import newer
from ctxbridge.stores.sqlite import rows
from ctxbridge.stores.sqlite.rows import Home
from ctxbridge.wire import (
    decode_contact,
    decode_delivery,
    decode_entries,
    decode_entry,
    decode_head,
    encode_delivery,
)
from ctxbridge.wire.keys import address_key, contact_key, provider_key, tenant_key

logger = logging.getLogger("ctxbridge.sqlite")

_HOME_OF_ADDRESS = "SELECT home FROM address WHERE address = ?"
_HOME_OF_CONTACT = "SELECT home FROM home WHERE owner = ?"
_DELIVERY = "SELECT body FROM delivery WHERE delivery = ? AND home = ? AND until > ?"
_ADD = "INSERT OR REPLACE INTO delivery VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_PUT = "UPDATE delivery SET at = ?, dead = ?, body = ? WHERE delivery = ? AND home = ?"
_MOVE = "UPDATE delivery SET home = ?, seq = ?, body = ? WHERE delivery = ? AND home = ?"
_SAID = """
    SELECT delivery, status, attempt, code FROM said WHERE provider = ? AND home = ? AND until > ?
"""
_PUT_SAID = "INSERT OR REPLACE INTO said VALUES (?, ?, ?, ?, ?, ?, ?)"
_DUE_TURNS = """
    SELECT due, home, head, contact FROM home WHERE tenant = ? AND due <= ? ORDER BY due LIMIT ?
"""
_LISTED = """
    SELECT {column}, home, contact, seq, delivery.body FROM delivery JOIN home USING (home)
    WHERE delivery.tenant = ? AND {column} <= ? AND until > ? ORDER BY {column} LIMIT ?
"""
_LISTED_AT, _LISTED_DEAD = _LISTED.format(column="at"), _LISTED.format(column="dead")
_EVER = (1 << 63) - 1


def _times(delivery: Delivery) -> tuple[int | None, int | None]:
    """When to look for it again, and since when it is dead; nothing is listed under `None`."""
    dead = delivery.created_at if delivery.status in outbox.DEAD else None
    return outbox.look_again(delivery) or None, dead


def add(connection: sqlite3.Connection, home: int, change: Change, before: int) -> None:
    """The deliveries of a change to a log that ended at `before`."""
    tenant = tenant_key(change.tenant)
    for new in outbox.prepared(change, before):
        body = encode_delivery(new)
        row = (new.id, home, tenant, new.place, *_times(new), new.until, body)
        connection.execute(_ADD, row)


def put_at(connection: sqlite3.Connection, of: int, to: int, delivery: Delivery) -> None:
    """Move a delivery from one home to another, at its place there."""
    row = (to, delivery.place, encode_delivery(delivery), delivery.id, of)
    connection.execute(_MOVE, row)


def _find(connection: sqlite3.Connection, home: int, id: bytes, now: int) -> Delivery | None:
    row = connection.execute(_DELIVERY, (id, home, now)).fetchone()
    return decode_delivery(row[0]) if row else None


def _put(connection: sqlite3.Connection, home: int, delivery: Delivery) -> None:
    row = (*_times(delivery), encode_delivery(delivery), delivery.id, home)
    connection.execute(_PUT, row)


def take(connection: sqlite3.Connection, step: Take) -> Taken:
    """`Store.deliver`, for a claim."""
    home = rows.of_contact(connection, contact_key(step.tenant, step.where))
    held = _find(connection, home.home, step.delivery, step.now) if home else None
    control = rows.control_of(connection, step.tenant)
    outcome = outbox.take(held, home.head, step, control) if home and held else "gone"
    if home is None or held is None or outcome == "gone":
        return Taken("gone", held)
    message, context = _shown(connection, home, held.place, step.window)
    if not isinstance(outcome, Delivery):
        return Taken("stale", held, message, context, newer(control, step.control))
    if outcome is not held:
        _put(connection, home.home, outcome)
    status: Any = "taken" if outcome.status == "claimed" else "gone"
    return Taken(status, outcome, message, context)


def release_of(step: Take, taken: Taken) -> Callable[[sqlite3.Connection], object] | None:
    """The work that gives back a claim whose worker was cancelled meanwhile: it sent nothing."""
    if taken.status != "taken" or taken.delivery is None:
        return None
    said = Settle(
        step.tenant, "pending", step.now, step.where, delivery=step.delivery,
        attempt=taken.delivery.attempt, retry_seconds=0.0,
    )  # fmt: skip
    return lambda connection: settle(connection, said)


def _shown(
    connection: sqlite3.Connection, home: Home, place: int, window: int
) -> tuple[Message, Context]:
    """The message that is to leave, and what the gate judges it by."""
    message = _message(connection, home.home, place)
    assert message.address is not None
    places = order.newest(home.head.seq, window)
    latest = Window(rows.entries(connection, home.home, places), places, decode_entries)
    reader = Reader(message.address, Assurance.AUTHENTICATED)
    context = view(home.head, home.contact, home.state, latest, reader)
    return message, context


def _message(connection: sqlite3.Connection, home: int, place: int) -> Message:
    (body,) = rows.entries(connection, home, range(place, place + 1))
    message = decode_entry(body)
    assert isinstance(message, Message)
    return message


def settle(connection: sqlite3.Connection, step: Settle) -> Taken:
    """`Store.deliver`, for what became of a delivery."""
    home = _home_of(connection, step)
    if home is None:
        return Taken("gone")
    said = _Said(connection, home, step)
    id = step.delivery or said.delivery or b""
    held = _find(connection, home, id, step.now)
    if held is None:
        if not outbox.keeps(step):
            return Taken("gone")
        said.keep(connection, outbox.better(said.kept, step))
        return Taken("kept")
    settled = outbox.settle(held, step)
    if said.kept is not None:
        settled = outbox.settle(settled, said.kept)
    if step.provider_id and said.delivery != id:
        said.lead_to(connection, settled)
    if settled is not held:
        _put(connection, home, settled)
    return Taken("settled", settled)


def _home_of(connection: sqlite3.Connection, step: Settle) -> int | None:
    if step.recipient is not None:
        key = address_key(step.tenant, step.recipient)
        row = connection.execute(_HOME_OF_ADDRESS, (key,)).fetchone()
    else:
        key = contact_key(step.tenant, step.contact)
        row = rows.row_of_contact(connection, _HOME_OF_CONTACT, key)
    return row[0] if row else None


class _Said:
    """What is known under a provider's id: whose it is, or what was said before anybody had it."""

    __slots__ = ("_home", "_key", "_step", "delivery", "kept")

    def __init__(self, connection: sqlite3.Connection, home: int, step: Settle) -> None:
        self._home, self._step = home, step
        self._key = provider_key(step.tenant, step.endpoint, step.provider_id)
        self.delivery: bytes | None = None
        self.kept: Settle | None = None
        if step.provider_id:
            row = connection.execute(_SAID, (self._key, home, step.now)).fetchone()
            if row:
                self._read(*row)

    def _read(self, delivery: bytes | None, status: int, attempt: int, code: str) -> None:
        self.delivery = delivery
        if delivery is None:
            self.kept = replace(
                self._step, status=outbox.STATUSES[status], attempt=attempt, code=code,
                delivery=b"", retry_seconds=None,
            )  # fmt: skip

    def keep(self, connection: sqlite3.Connection, word: Settle) -> None:
        """Keep a word for a delivery that has not been told its provider's id yet."""
        until = self._step.now + int(self._step.remember_seconds * 1000)
        code = word.code[: outbox.MAX_CODE_CHARACTERS]
        status = outbox.STATUSES.index(word.status)
        row = (self._key, self._home, None, status, word.attempt, code, until)
        connection.execute(_PUT_SAID, row)

    def lead_to(self, connection: sqlite3.Connection, delivery: Delivery) -> None:
        """Let the provider's id lead to its delivery from now on."""
        row = (self._key, self._home, delivery.id, 0, 0, "", delivery.until)
        connection.execute(_PUT_SAID, row)


def scan(connection: sqlite3.Connection, scan: Scan) -> list[Found]:
    """`Store.scan`."""
    tenant = tenant_key(scan.tenant)
    statement = _LISTED_DEAD if scan.what == "dead" else _LISTED_AT
    latest = scan.now if scan.what == "due" else _EVER
    found: list[Found] = []
    if scan.what != "waiting":
        listed = connection.execute(statement, (tenant, latest, scan.now, scan.limit)).fetchall()
        found += _sound(connection, listed, _delivery)
    if scan.what in {"due", "waiting"}:
        listed = connection.execute(_DUE_TURNS, (tenant, latest, scan.limit)).fetchall()
        found += _sound(connection, listed, _due_turn)
        found.sort(key=lambda one: one.at)
    return found[: scan.limit]


def _sound(
    connection: sqlite3.Connection,
    listed: Iterable[Any],
    make: Callable[[sqlite3.Connection, Any], Found],
) -> Iterator[Found]:
    """What is whole of the rows: one damaged conversation must not hold up all others."""
    for row in listed:
        try:
            found = make(connection, row)
        except CorruptRecord:
            logger.error("a conversation that is due is damaged; the others go on")  # noqa: TRY400
            continue
        yield found


def _delivery(connection: sqlite3.Connection, row: Any) -> Found:
    at, home, contact, place, body = row
    message, delivery = _message(connection, home, place), decode_delivery(body)
    whose = decode_contact(contact)
    return Found(
        whose.id, at, whose.id, message, delivery, delivery.id, place, merged=whose.merged
    )  # fmt: skip


def _due_turn(connection: sqlite3.Connection, row: Any) -> Found:
    at, home, head, contact = row
    place, *_ = backlog.places(decode_head(head).waiting)
    whose = decode_contact(contact)
    message = _message(connection, home, place)
    return Found(whose.id, at, whose.id, message, place=place, merged=whose.merged)
