"""One webhook many times at once, at two processes: one turn, one answer, and the same to all."""

import asyncio
from collections import Counter

import pytest

from ctxbridge.testing.servers import Server
from ctxbridge.testing.storm import Plan, Storm, tell

from .weather import ALWAYS, times

pytestmark = pytest.mark.slow
MOST = 50
AT_ONCE = 5
"""How many different messages are under way, each of another customer."""


@pytest.fixture(params=["sqlite", "redis"])
def url(request, tmp_path, some_binary):
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/storm.db"
        return
    with Server(some_binary, *ALWAYS) as server:
        yield server.url


async def duplicate(url, variant="real", rounds=1):
    """Each message 2 to 50 times, half of them to each process; how each was told, and the account."""
    told = {}

    async def webhook(line, what):
        while (said := await line.ask(what)).startswith("again"):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        return said

    async def deliver(storm, number, copies):
        chat = storm.plan.addresses(number % AT_ONCE)["chat"].value
        id = f"d{number}"
        left, right = storm.lines
        asked = [webhook((left, right)[n % 2], ["chat", chat, id]) for n in range(copies)]
        told[id] = Counter(await asyncio.gather(*asked))

    async def fault(storm):
        while len(storm.lines) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        numbers = [(n, 2 + n % (MOST - 1)) for n in range(rounds * (MOST - 1))]
        for some in range(0, len(numbers), AT_ONCE):
            await asyncio.gather(*(deliver(storm, *one) for one in numbers[some : some + AT_ONCE]))

    plan = Plan(url=url, workers=2, messages=10, customers=AT_ONCE, writers=AT_ONCE, overlap="queue",
                lease_seconds=5.0, variant=variant, settle_seconds=60.0 if variant == "real" else 2.0)  # fmt: skip
    storm = Storm(plan)
    account = await storm.blow(fault)
    print(
        f"\n{sum(c.total() for c in told.values())} webhooks of {len(told)} messages\n{tell(account)}"
    )
    return told, account


async def test_one_turn_whatever_the_number_and_all_are_told_the_same(url):
    told, account = await duplicate(url, rounds=times(1))
    assert len(told) == times(1) * (MOST - 1)
    for id, said in told.items():
        assert said == {"new": 1, "duplicate": 1 + int(id[1:]) % (MOST - 1)}, id
    assert account.good
    assert account.turns == account.answered == account.sent == len(told) + account.written


async def test_ids_that_are_remembered_in_another_step_let_some_through(url):
    """The negative control."""
    told, account = await duplicate(url, "aside")
    assert any(said["new"] > 1 for said in told.values())
    assert account.duplicated
