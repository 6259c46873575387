"""``ctxbridge consents``: the ledger of a contact's consent, for an audit."""

from collections.abc import Iterator, Sequence
from typing import Any

import anyio
from msgspec.structs import replace

from ctxbridge.bridge.explaining import whole_context
from ctxbridge.cli.output import emit, moment, plain, say, warn
from ctxbridge.cli.tables import tell_table
from ctxbridge.cli.where import UNKNOWN, Where
from ctxbridge.model import Consent, Context
from ctxbridge.rules.consent import ledger
from ctxbridge.rules.erasure import ERASED

HEADLINE = ("time (UTC)", "channel", "purpose", "word", "by", "evidence", "now")


def consents(address: str, where: Where, *, as_json: bool, show_text: bool) -> int:
    """Print every word about consent; 1 if nobody is stored under the address."""
    context = anyio.run(_read, address, where)
    if context.contact is None:
        warn(f"nobody is stored under this address for tenant {where.tenant!r}")
        return UNKNOWN
    words = [*ledger(context.window), *_without_words(context)]
    if as_json:
        for word in words:
            emit(record(word, context, show_text=show_text))
    elif not words:
        say("Nothing was said about consent.")
    else:
        tell_table(list(_rows(words, context, show_text=show_text)))
    return 0


async def _read(address: str, where: Where) -> Context:
    async with where.bridge() as bridge:
        return await whole_context(bridge, address)


def record(word: Consent, context: Context, *, show_text: bool) -> dict[str, Any]:
    """A word as an object; `holds` says whether it is the latest that counts."""
    told = {
        "kind": "consent",
        "at": word.at,
        "contact": context.contact.id.hex() if context.contact else "",
        "channel": word.channel,
        "purpose": word.purpose,
        "granted": word.granted,
        "source": word.source,
        "evidence": word.evidence,
        "holds": _holds(word, context),
    }
    return told | {"text": _words(word, context)} if show_text else told


def _holds(word: Consent, context: Context) -> bool:
    consents = context.contact.consents if context.contact else ()
    # The log does not tell from which address it was said: that stands in the contact alone.
    return any(word in {held, replace(held, by="")} for held in consents)


def _without_words(context: Context) -> list[Consent]:
    """What holds and stands in no log: who was erased is still not written to, if they said so."""
    consents = context.contact.consents if context.contact else ()
    return [held for held in consents if held.source == ERASED]


def _words(word: Consent, context: Context) -> str:
    """What was written in the message that the word rests on."""
    return next((m.text for m in context.messages if m.message_id == word.evidence), "")


def _rows(
    words: Sequence[Consent], context: Context, *, show_text: bool
) -> Iterator[tuple[str, ...]]:
    yield (*HEADLINE, "text") if show_text else HEADLINE
    for word in words:
        said = "granted" if word.granted else "refused"
        holds = "holds" if _holds(word, context) else ""
        row = (
            moment(word.at) if word.at else "", plain(word.channel), word.purpose, said,
            plain(word.source), plain(word.evidence), holds,
        )  # fmt: skip
        yield (*row, plain(_words(word, context))) if show_text else row
