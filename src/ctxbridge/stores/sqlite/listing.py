"""All conversations of a tenant, for operators: the whole table is read."""

import logging
import sqlite3

from ctxbridge.errors import StoreError
from ctxbridge.model import Found, Scan
from ctxbridge.wire import decode_contact
from ctxbridge.wire.keys import contact_key

logger = logging.getLogger("ctxbridge.sqlite")

_HOMES = "SELECT owner, contact FROM home ORDER BY home"


def conversations(connection: sqlite3.Connection, scan: Scan) -> list[Found]:
    """Each conversation of the tenant, the oldest first."""
    found: list[Found] = []
    for owner, stored in connection.execute(_HOMES):
        try:
            contact = decode_contact(stored)
        except StoreError as error:
            logger.warning("a conversation cannot be read and is passed by: %s", error)
            continue
        if contact_key(scan.tenant, contact.id) == owner:
            address = next(iter(contact.addresses), None)
            found.append(Found(contact.id, 0, contact.id, address=address))
        if len(found) == scan.limit:
            break
    return found
