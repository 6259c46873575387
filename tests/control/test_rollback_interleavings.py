"""A rollback at a random stop of 20 turns: nothing leaves afterwards, nobody is lost.

In virtual time: two processes with the real bridges, outboxes and stores; where one waits for the
store, an agent, a guard or a provider, any other may come first. `CTXBRIDGE_SEED` is the first seed;
a run that went wrong tells its own. A store that does not compare the control, a worker that learns
its number and minds nothing of it, and a commit that is not looked at again must all be found.
"""

import os
from collections import Counter
from random import Random

import pytest
from msgspec.structs import replace

from ctxbridge import open_store
from ctxbridge.bridge import finishing
from ctxbridge.bridge.steering import Steering
from ctxbridge.model import RecordWrite, Refused, Take
from ctxbridge.model.record import CONTROL
from ctxbridge.rules.control import epoch_of
from ctxbridge.stores.memory import MemoryStore
from ctxbridge.testing.storm.around import Around
from ctxbridge.wire.control1 import decode_control, encode_control
from tests.faults.stops import LATER, LATER_MILLISECONDS
from tests.faults.weather import times
from tests.stores.broken import WithoutControl, WithoutControlOfClaims

from .worlds import NEW, World, asks_of, inbound, one_run

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("quiet")]
RUNS = times(1_000)
FIRST_SEED = int(os.environ.get("CTXBRIDGE_SEED", "1"))
FOUND_WITHIN = 60
"""So many runs are more than enough for a variant that is broken on purpose."""


@pytest.fixture
def anyio_backend():
    return "asyncio"


class Tally:
    """What the runs have come to."""

    def __init__(self):
        self.counts, self.wrong = Counter(), []

    def add(self, seed, world):
        report = world.report
        self.counts["runs"] += 1
        for name in (
            "stopped", "taken_up", "handed_over", "waiting", "already_sent", "withheld", "released",
            "asked_anew",
        ):  # fmt: skip
            self.counts[name] += len(getattr(report, name))
        self.counts["workers lost"] += world.died
        self.counts["sent by v12"] += sum(sent[0].endswith("v12") for sent in world.account.sent)
        self.counts["sent by v11"] += sum(sent[0].endswith("v11") for sent in world.account.sent)
        self.wrong += [f"seed {seed}: {what}" for what in world.wrong]

    def tell(self, what):
        print(f"\n{what}: {dict(self.counts)}; {len(self.wrong)} went wrong")


async def some_runs(make, runs, **wanted):
    tally = Tally()
    for seed in range(FIRST_SEED, FIRST_SEED + runs):
        tally.add(seed, await one_run(make(), seed, **wanted))
    return tally


async def until_wrong(make, **wanted):
    """What was found wrong first, and after how many runs."""
    for number in range(FOUND_WITHIN):
        world = await one_run(make(), FIRST_SEED + number, **wanted)
        if world.account.too_late:
            print(f"\nfound in run {number + 1}: {world.account.too_late[0]}")
            return world.account.too_late
    return []


async def test_at_any_stop_nothing_leaves_afterwards_and_each_is_answered_once():
    tally = await some_runs(MemoryStore, RUNS)
    tally.tell("in memory")
    assert not tally.wrong[:5]
    for seen in ("taken_up", "handed_over", "waiting", "already_sent", "withheld", "released"):
        assert tally.counts[seen] > RUNS / 10, f"the runs show nothing of {seen}"


async def test_on_a_file_too(tmp_path):
    async with open_store(f"sqlite:///{tmp_path}/control.db?synchronous=normal") as store:
        tally = await some_runs(lambda: store, times(10))
    tally.tell("on SQLite")
    assert not tally.wrong[:5]


# --- the negative controls ------------------------------------------------------------------------


class Ignorant(Around):
    """Broken on purpose: whoever is refused for a newer control asks again under its epoch."""

    async def commit(self, change, /):
        outcome = await super().commit(change)
        if isinstance(outcome, Refused) and outcome.reason == "controlled":
            return await super().commit(replace(change, control=epoch_of(outcome.control)))
        return outcome

    async def deliver(self, step, /):
        taken = await super().deliver(step)
        if isinstance(step, Take) and taken.control:
            return await super().deliver(replace(step, control=epoch_of(taken.control)))
        return taken


@pytest.mark.parametrize(
    "broken", [WithoutControl, WithoutControlOfClaims, lambda: Ignorant(MemoryStore())]
)
async def test_a_store_that_does_not_compare_the_control_is_found(broken):
    assert await until_wrong(broken, pending="withhold", running="retake")


async def test_a_worker_that_learns_the_epoch_and_minds_nothing_is_found(monkeypatch):
    def adopt(self, raw):
        if raw and any(route.withdrawn for route in decode_control(raw).routes):
            raw = encode_control(replace(self.control, epoch=epoch_of(raw)))
        learn(self, raw)

    learn = Steering.adopt
    monkeypatch.setattr(Steering, "adopt", adopt)
    assert await until_wrong(MemoryStore)


async def test_a_commit_that_is_not_looked_at_again_is_found(monkeypatch):
    """The worker knows the newer control by then, so the store has nothing to refuse."""
    monkeypatch.setattr(finishing, "_mind_control", lambda *_: None)
    assert await until_wrong(MemoryStore)


# --- what is withheld by whoever sends, before the rollback has looked ----------------------------


class Interrupted(Around):
    """Lets something happen as soon as a control is in force, before its writer goes on."""

    happen = None

    async def records(self, operation, /):
        record = await super().records(operation)
        if self.happen and isinstance(operation, RecordWrite) and operation.scope == CONTROL[0]:
            await self.happen()
        return record


async def answers_after_a_dispatch_in_between():
    """What a customer gets whose reply was put off, and was due in the moment of the rollback."""
    store = Interrupted(MemoryStore())
    world = World(store, Random(1), customers=1)

    async def think(turn):
        return f"{LATER}: v12 {','.join(asks_of(turn))}"

    world.old = think
    async with world.here, world.operator:
        await world.operator.control.promote("support", "v12")
        await world.here.answer(inbound(0), world.here.deployed)
        world.clock.time += LATER_MILLISECONDS
        store.happen = world.here.dispatch
        await world.operator.control.rollback("support", to="v11", within_seconds=0.0)
        store.happen = None
        await world.here.recover(world.here.deployed)
    return [release for release, *_ in world.account.sent]


async def test_whoever_withholds_it_asks_for_another():
    assert await answers_after_a_dispatch_in_between() == [NEW]


async def test_where_the_dispatcher_asks_nobody_that_is_seen(monkeypatch):
    """The negative control."""

    async def refused(*_):
        pass

    monkeypatch.setattr(Steering, "refused", refused)
    assert await answers_after_a_dispatch_in_between() == []
