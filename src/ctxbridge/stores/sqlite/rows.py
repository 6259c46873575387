"""The rows of a conversation, which every atomic step looks up and writes down."""

import sqlite3
from typing import Any

from ctxbridge.model import Address, Contact, Entry, Head
from ctxbridge.model.record import CONTROL
from ctxbridge.rules import backlog, order
from ctxbridge.wire import (
    decode_contact,
    decode_head,
    decode_record,
    encode_contact,
    encode_entry,
    encode_head,
)
from ctxbridge.wire.keys import address_key, contact_key, record_key, tenant_key

HOME = "SELECT home, head, contact, state FROM home WHERE home = ?"
HOME_OF_CONTACT = "SELECT home, head, contact, state FROM home WHERE owner = ?"
HOME_OF_ADDRESS = """
    SELECT home.home, head, contact, state FROM address JOIN home USING (home) WHERE address = ?
"""
HEAD_OF_CONTACT = "SELECT home, head FROM home WHERE owner = ?"
_LED = "SELECT home.owner FROM led JOIN home USING (home) WHERE led.owner = ?"
HEAD_OF_ADDRESS = "SELECT head FROM address JOIN home USING (home) WHERE address = ?"
RECORD = "SELECT body FROM record WHERE record = ?"
ENTRIES = "SELECT body FROM entry WHERE home = ? AND seq BETWEEN ? AND ? ORDER BY seq"

_ADD_HOME = "INSERT INTO home (owner, head, contact, due, tenant) VALUES (?, ?, ?, ?, ?)"
_ADD_ENTRY = "INSERT INTO entry (home, seq, body) VALUES (?, ?, ?)"
_PUT_STATE = "UPDATE home SET state = ? WHERE home = ?"
_PUT_ADDRESS = "INSERT OR REPLACE INTO address (address, home) VALUES (?, ?)"
_CONTACT, _STATE, _DUE = 1, 2, 4
_COLUMNS = {_CONTACT: ", contact = ?", _STATE: ", state = ?", _DUE: ", due = ?, tenant = ?"}
_PUT_HOME = tuple([
    "".join([
        "UPDATE home SET head = ?", *(_COLUMNS[bit] for bit in _COLUMNS if bit & what),
        " WHERE home = ?",
    ])
    for what in range(8)
])  # fmt: skip
"""To write the head, and what of the others the sum of their numbers says."""

Due = tuple[int | None, bytes]
"""When somebody should look after a turn (`None`: never), and under which tenant that is listed."""


class Home:
    """A row of `home`, decoded."""

    __slots__ = ("contact", "head", "home", "state")

    def __init__(self, row: tuple[int, bytes, bytes, bytes | None]) -> None:
        self.home = row[0]
        self.head = decode_head(row[1])
        self.contact = decode_contact(row[2])
        self.state = row[3]


def find(connection: sqlite3.Connection, statement: str, key: bytes | int) -> Home | None:
    """The home that `statement` finds by `key`."""
    row = connection.execute(statement, (key,)).fetchone()
    return Home(row) if row else None


def row_of_contact(connection: sqlite3.Connection, statement: str, owner: bytes) -> Any:
    """What `statement` finds by a contact's key, also where that leads to another by a merge."""
    row = connection.execute(statement, (owner,)).fetchone()
    if row is None:
        led = connection.execute(_LED, (owner,)).fetchone()
        row = led and connection.execute(statement, led).fetchone()
    return row


def of_contact(connection: sqlite3.Connection, owner: bytes) -> Home | None:
    """The home of a contact, by the key of its id."""
    row = row_of_contact(connection, HOME_OF_CONTACT, owner)
    return Home(row) if row else None


def control_of(connection: sqlite3.Connection, tenant: str) -> bytes:
    """The tenant's control as it is stored; empty where there is none."""
    row = connection.execute(RECORD, (record_key(tenant, *CONTROL),)).fetchone()
    return decode_record(row[0]).value if row else b""


def due_of(
    tenant: str, head: Head, now: int, retry_milliseconds: int = backlog.TAKE_UP_MILLISECONDS
) -> Due:
    """When somebody should look after the turn of a conversation with this head."""
    at = backlog.due(head, now, retry_milliseconds) if head.waiting else None
    return at, tenant_key(tenant)


def add_home(
    connection: sqlite3.Connection,
    tenant: str,
    address: Address | None,
    head: Head,
    contact: Contact,
    at: int | None = None,
) -> int:
    """A home for somebody new, where an address may lead to at once."""
    row = (
        contact_key(tenant, contact.id), encode_head(head), encode_contact(contact), at,
        tenant_key(tenant),
    )  # fmt: skip
    home = connection.execute(_ADD_HOME, row).lastrowid
    assert home is not None
    if address is not None:
        put_address(connection, tenant, address, home)
    return home


def put_address(connection: sqlite3.Connection, tenant: str, address: Address, home: int) -> None:
    """Let an address lead to a home."""
    connection.execute(_PUT_ADDRESS, (address_key(tenant, address), home))


def put_state(connection: sqlite3.Connection, home: int, state: bytes | None) -> None:
    """Write the state, or that there is none."""
    connection.execute(_PUT_STATE, (state, home))


def put_home(
    connection: sqlite3.Connection,
    home: int,
    head: Head,
    *,
    contact: Contact | None = None,
    state: bytes | None = None,
    due: Due | None = None,
) -> None:
    """Write the head, and of the others what is given; `due` is left as it is for a mere note."""
    what, values = 0, [encode_head(head)]
    if contact is not None:
        what |= _CONTACT
        values.append(encode_contact(contact))
    if state is not None:
        what |= _STATE
        values.append(state)
    if due is not None:
        what |= _DUE
    connection.execute(_PUT_HOME[what], (*values, *(due or ()), home))


def append(
    connection: sqlite3.Connection, home: int, last: int, entries: tuple[Entry, ...]
) -> None:
    """Append `entries` so that the last of them stands at `last`."""
    first = last - len(entries) + 1
    for place, entry in enumerate(entries, first):
        connection.execute(_ADD_ENTRY, (home, place, encode_entry(entry)))


def entries(connection: sqlite3.Connection, home: int, places: range) -> list[bytes]:
    """What stands at these places, still packed; `CorruptRecord` where something is missing."""
    if not places:
        return []
    found = connection.execute(ENTRIES, (home, places.start, places.stop - 1)).fetchall()
    order.require_whole(places, len(found))
    return [body for (body,) in found]
