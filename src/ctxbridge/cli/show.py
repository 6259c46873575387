"""``ctxbridge show``: a conversation as it is stored."""

import anyio

from ctxbridge.cli import timeline
from ctxbridge.cli.output import colourful, emit, moment, say, warn, width
from ctxbridge.cli.where import UNKNOWN, Where
from ctxbridge.model import Context


def show(address: str, where: Where, *, as_json: bool) -> int:
    """Print the conversation of `address`; 1 if there is none, or no more."""
    found = anyio.run(_read, address, where)
    if not found:
        warn(f"nobody is stored under this address for tenant {where.tenant!r}")
        return UNKNOWN
    for context in found:
        if context.contact and context.contact.erased_at:
            warn(
                f"who was stored under this address was erased: {moment(context.contact.erased_at)}"
            )
            return UNKNOWN
        _print(context, as_json=as_json)
    return 0


async def _read(address: str, where: Where) -> list[Context]:
    async with where.bridge() as bridge:
        return await timeline.conversations(bridge, [address])


def _print(context: Context, *, as_json: bool) -> None:
    if as_json:
        for record in timeline.records(context):
            emit(record)
        return
    for line in timeline.render(timeline.rows(context), width(), colours=colourful()):
        say(line)
