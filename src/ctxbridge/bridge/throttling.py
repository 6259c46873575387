"""How often something may be asked for: counted in the store, for all processes together."""

from collections.abc import Awaitable, Callable

import msgspec

from ctxbridge.errors import Busy, Conflict, CorruptRecord, TooManyChallenges
from ctxbridge.model import Record, RecordRead, RecordWrite

Records = Callable[[RecordRead | RecordWrite], Awaitable[Record | None]]
"""`Store.records`."""

Allowance = tuple[tuple[int, float], ...]
"""How many in how many seconds, for each span of time; the longest is the last."""

MOST_SWAPS = 64
"""How often a record is read again that another has changed. Each time somebody else got on, and
what is counted here soon ends, so that more would mean a store that does not keep revisions."""

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(tuple[int, ...])


async def take_slot(
    records: Records, tenant: str, scope: str, name: str, now: int, allowance: Allowance
) -> None:
    """Count one more at `now` (Unix ms) for `name`; nothing is counted where it is one too many.

    Raises `TooManyChallenges`, with the seconds until the next will be counted.
    """
    for _ in range(MOST_SWAPS):
        held = await records(RecordRead(tenant, scope, name, now))
        times = _times(held)
        seconds = seconds_to_wait(times, now, allowance)
        if seconds > 0:
            raise TooManyChallenges(seconds)
        longest = allowance[-1][1]
        kept = [at for at in times if at > now - longest * 1000]
        write = RecordWrite(
            tenant, scope, name, now, _encoder.encode((*kept, now)),
            held.revision if held else 0, longest,
        )  # fmt: skip
        try:
            await records(write)
        except Conflict:
            continue
        return
    raise Busy("this is asked for all the time; nothing was counted, and a retry is safe")


def seconds_to_wait(times: tuple[int, ...], now: int, allowance: Allowance) -> float:
    """How long until one more is allowed; 0 for now.

    `times` are in Unix ms and in the order of counting; one that is later than `now`, by a clock
    that goes ahead, counts as well.
    """
    ordered, wait = sorted(times), 0.0
    for most, seconds in allowance:
        if len(ordered) >= most:
            frees = ordered[-most] + seconds * 1000
            wait = max(wait, (frees - now) / 1000)
    return wait


def _times(held: Record | None) -> tuple[int, ...]:
    try:
        return _decoder.decode(held.value) if held else ()
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise CorruptRecord("a stored count of challenges is damaged") from None
