"""``ctxbridge parse``: what an adapter makes of payload files."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ctxbridge.channels import adapter
from ctxbridge.cli.output import emit
from ctxbridge.model import (
    Attachment,
    Choice,
    Inbound,
    Notice,
    Quote,
    RawRequest,
    Receipt,
    Verification,
)
from ctxbridge.ports import Channel
from ctxbridge.rules.text import clean

MAX_FILE_BYTES = 64 * 1024 * 1024

# Nothing is verified here, as there is nothing to verify with: not even a token that came along.
UNSIGNED = Verification("unsigned", reason="no secret is configured")


def parse(provider: str, names: Sequence[str], headers: Sequence[tuple[str, str]]) -> int:
    """Print one JSON object per file; a file that cannot be read has its error in it."""
    made = adapter(provider)()
    for name in names:
        emit(_clean({"file": name, **_outcome(made, name, tuple(headers))}))
    return 0


def _outcome(made: Channel, name: str, headers: tuple[tuple[str, str], ...]) -> dict[str, Any]:
    try:
        with Path(name).open("rb") as file:
            body = file.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "the name cannot be one"
        return {"events": [], "error": f"Unreadable: {reason}"}
    if len(body) > MAX_FILE_BYTES:
        return {"events": [], "error": f"Unreadable: it is over {MAX_FILE_BYTES} bytes"}
    request = RawRequest(body, headers, received_at=time.time_ns() // 1_000_000)
    parsed = made.parse(request, UNSIGNED)
    errors = [f"{type(error).__name__}: {error}" for error in parsed.errors]
    return {
        "events": [_event(event) for event in parsed.events],
        "error": "; ".join(errors) or None,
    }


def _event(event: Inbound | Receipt | Notice) -> dict[str, Any]:
    match event:
        case Inbound():
            return _message(event)
        case Receipt():
            return _status(event)
        case Notice():
            return _notice(event)


def _message(event: Inbound) -> dict[str, Any]:
    files = [part for part in event.parts if isinstance(part, Attachment)]
    return {
        "kind": "message",
        "channel": event.channel,
        "sender": event.sender.value,
        "text": event.text,
        "message_id": event.message_id,
        "endpoint": event.endpoint.value,
        "assurance": event.assurance.name.lower(),
        "thread": event.thread,
        "subject": event.subject,
        "references": list(event.references),
        "flags": list(event.flags),
        "occurred_at": event.occurred_at,
        "attachments": [
            {"media_type": f.media_type, "name": f.name, "size": f.size} for f in files
        ],
        "quoted": "\n".join(part.text for part in event.parts if isinstance(part, Quote)),
        "revises": event.revises,
        "chosen": [part.id for part in event.parts if isinstance(part, Choice)],
    }


def _status(event: Receipt) -> dict[str, Any]:
    """A status is about a message of ours, so we are its sender and it has no text of its own."""
    return {
        "kind": "status",
        "channel": event.channel,
        "sender": event.endpoint.value,
        "text": "",
        "message_id": event.message_id,
        "endpoint": event.endpoint.value,
        "recipient": event.recipient.value if event.recipient else None,
        "status": event.status,
        "provider_status": event.provider_status,
        "error_code": event.error_code,
        "occurred_at": event.occurred_at,
    }


def _notice(event: Notice) -> dict[str, Any]:
    return {
        "kind": event.kind,
        "channel": event.channel,
        "sender": event.sender.value if event.sender else None,
        "text": "",
        "message_id": event.about,
        "endpoint": event.endpoint.value,
        "value": event.value,
        "other": str(event.other) if event.other else None,
        "event_id": event.event_id,
        "occurred_at": event.occurred_at,
    }


def _clean(value: Any) -> Any:
    """`value` with every string such that JSON can hold it, whatever the file's name is."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, list):
        return [_clean(item) for item in value]
    if isinstance(value, dict):
        return {key: _clean(item) for key, item in value.items()}
    return value
