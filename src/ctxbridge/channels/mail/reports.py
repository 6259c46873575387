"""Reports on mails of ours: what did not arrive (RFC 3464), and what was seen (RFC 8098).

A report is about a mail of ours where it names our key: in the headers that it returns, or as the
id that it reports on. It says nothing of who wrote it, so all that it can do is to settle the one
delivery whose key it knows, and whose recipient it names.
"""

import re
from collections.abc import Iterator
from contextlib import suppress

from msgspec.structs import replace

from ctxbridge.channels.mail import headers, mime
from ctxbridge.channels.mail.addresses import mailboxes
from ctxbridge.errors import Malformed
from ctxbridge.model import Address, Endpoint, Receipt
from ctxbridge.model.inbound import ReceiptStatus
from ctxbridge.rules.mail import KEY_HEADER

MAX_RETURNED_BYTES = 256 * 1024
MAX_RECIPIENTS = 20

ACTIONS: dict[str, ReceiptStatus] = {
    "failed": "failed",
    "delayed": "sent",
    "delivered": "delivered",
    "relayed": "sent",
    "expanded": "sent",
}
"""What became of it for one recipient (RFC 3464, 2.3.3); relayed to where nobody reports: sent."""

_KEY = re.compile(r"[0-9a-f]{32}")
_STATUS = re.compile(r"[245]\.[0-9]{1,3}\.[0-9]{1,3}")


def receipts(mail: mime.Part, provider: str, received_at: int) -> tuple[Receipt, ...]:
    """What a report says of a mail of ours; nothing for any other mail."""
    kind, _ = headers.parameters(mail.first("content-type"))
    if kind != "multipart/report":
        return ()
    parts = list(mime.below(mail))
    ours = next(filter(None, map(_returned, parts)), None)
    blocks = [(_kind(part), block) for part in parts for block in mime.below(part)]
    found: list[Receipt] = []
    for of, block in blocks:
        if of in ("message/delivery-status", "message/global-delivery-status"):
            found += _delivered(block, ours, provider)
        elif of == "message/disposition-notification":
            found += _seen(block, ours, provider)
    at = headers.date(mail.first("date"), received_at)
    return tuple([replace(receipt, occurred_at=at) for receipt in found[:MAX_RECIPIENTS]])


def key_of(mail: mime.Part) -> str:
    """Our key in the headers of a mail: as they hold it, or in its Message-ID. Else empty."""
    given = mail.first(KEY_HEADER).strip()
    local = headers.message_id(mail.first("message-id")).partition("@")[0]
    return next((word for word in (given, local) if _KEY.fullmatch(word)), "")


def _delivered(block: mime.Part, ours: mime.Part | None, provider: str) -> Iterator[Receipt]:
    status = ACTIONS.get(block.first("action").partition("(")[0].strip().lower())
    if status is None or ours is None:
        return
    named = block.first("original-recipient") or block.first("final-recipient")
    code = _STATUS.search(block.first("status"))
    action = block.first("action").strip().lower()[:32]
    yield from _receipt(ours, _typed(named), status, action, code[0] if code else "", provider)


def _seen(block: mime.Part, ours: mime.Part | None, provider: str) -> Iterator[Receipt]:
    """Whoever asks for no notification gets one from some mailers all the same."""
    about = headers.message_id(block.first("original-message-id"))
    mode = block.first("disposition").rpartition(";")[2].partition("/")[0].strip().lower()
    if mode != "displayed" or (ours is None and not _KEY.fullmatch(about.partition("@")[0])):
        return
    named = block.first("original-recipient") or block.first("final-recipient")
    yield from _receipt(ours, _typed(named), "read", mode, "", provider, about)


def _receipt(
    ours: mime.Part | None,
    recipient: str,
    status: ReceiptStatus,
    said: str,
    code: str,
    provider: str,
    about: str = "",
) -> Iterator[Receipt]:
    """The receipt. The recipient is the one that we wrote to, where the mail itself came back."""
    id, key, endpoint = about, about.partition("@")[0], "unknown"
    if ours is not None:
        id, key = headers.message_id(ours.first("message-id")) or about, key_of(ours)
        recipient = next((b.address for b in mailboxes(ours.first("to"))), recipient)
        endpoint = next((b.address for b in mailboxes(ours.first("from"))), endpoint)
    if recipient and (key or id):
        where, whom = Endpoint("email", endpoint), Address("email", recipient)
        yield Receipt("email", where, id or key, status, whom, said, code, 0, provider, key)


def _returned(part: mime.Part) -> mime.Part | None:
    """The mail that came back, or its headers, if it is one of ours."""
    kind = _kind(part)
    found: mime.Part | None = None
    if kind in ("message/rfc822", "message/global", "message/rfc822-headers"):
        found = next(mime.below(part), None)
    elif kind in ("text/rfc822-headers", "message/global-headers"):
        with suppress(Malformed):
            found = mime.parse(mime.content_of(part)[:MAX_RETURNED_BYTES], MAX_RETURNED_BYTES)
    return found if found is not None and key_of(found) else None


def _typed(value: str) -> str:
    """The address in ``rfc822; ann@example.org`` (RFC 3464, 2.1.2)."""
    return headers.canonical(value.rpartition(";")[2].strip().strip("<>"))


def _kind(part: mime.Part) -> str:
    return headers.parameters(part.first("content-type"))[0]
