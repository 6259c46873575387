"""What has been silent for long is erased, whole, and nothing else."""

import pytest
from msgspec.structs import replace

from ctxbridge import errors

from .conftest import SENDERS, exchange, write

DAY = 86_400_000
SMS = SENDERS["sms"]
OTHER, WAITS = (replace(SMS, value=f"+1555010088{n}") for n in (1, 2))


async def test_only_what_was_silent_for_so_long_is_erased(bridge, clock):
    await exchange(bridge, write("old words"), "ok")
    with pytest.raises(ZeroDivisionError):
        async with bridge.turn(write("waits for an answer", sender=WAITS)):
            raise ZeroDivisionError
    await exchange(bridge, write("lives", sender=OTHER), "ok")
    clock.time += 20 * DAY
    await exchange(bridge, write("on", sender=OTHER), "ok")
    clock.time += 11 * DAY
    certificates = await bridge.expire(silent_days=30)
    assert [c.entries for c in certificates] == [2]
    assert "old words" not in repr(list((await bridge.context(SMS)).window))
    for address, words in ((OTHER, "lives"), (WAITS, "waits for an answer")):
        assert words in repr(list((await bridge.context(address)).window))
    assert await bridge.expire(silent_days=30) == (), "once"


@pytest.mark.parametrize("days", [0, -1])
async def test_nonsense_is_refused(bridge, days):
    with pytest.raises(errors.UsageError):
        await bridge.expire(silent_days=days)
