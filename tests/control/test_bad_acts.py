"""Acts that go wrong: of what nobody knows, twice, at once, while the store fails, by clocks that lie."""

from random import Random

import anyio
import pytest
from msgspec.structs import replace

from ctxbridge import open_store
from ctxbridge.errors import ConfigurationError, UsageError
from ctxbridge.model.control import Route, Scope, Withdrawn
from ctxbridge.model.record import CONTROL
from ctxbridge.rules import control as rules
from ctxbridge.stores.memory import MemoryStore
from tests.bridge.conftest import Clock

from .processes import HOUR, answered_by, bridge_of

pytestmark = pytest.mark.usefixtures("quiet")


# --- unknown, twice, at once ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("agent", "how"),
    [
        ("support", {"to": "v99"}), ("nobody", {"to": "v11"}), ("", {"to": "v11"}),
        ("support", {"to": "v11", "versions": ["v98"]}), ("support", {"to": ""}),
        ("support", {"to": "v11", "versions": ["v11"]}),
    ],
)  # fmt: skip
async def test_what_nobody_has_deployed_changes_nothing(agent, how):
    async with bridge_of(MemoryStore()) as bridge:
        before = await bridge.control.read()
        with pytest.raises(ConfigurationError):
            await bridge.control.rollback(agent, **how)
        assert await bridge.control.read() == before
        assert await answered_by(bridge, 1) == "v11"


async def test_twice_is_as_once():
    async with bridge_of(MemoryStore()) as bridge:
        await bridge.control.promote("support", "v12")
        first = await bridge.control.rollback("support", to="v11")
        once = await bridge.control.read()
        again = await bridge.control.rollback("support", to="v11")
        twice = await bridge.control.read()
        assert (first.versions, again.versions) == (("v12",), ("v12",))
        assert again.epoch > first.epoch
        assert twice.routes == once.routes
        assert await answered_by(bridge, 1) == "v11"


@pytest.mark.parametrize("seed", range(20))
async def test_of_two_at_once_one_is_the_last_and_holds_alone(seed):
    """Also for what the other has let answer meanwhile."""
    store, chance = MemoryStore(), Random(seed)
    versions = ("v10", "v11", "v12")
    async with bridge_of(store, *versions) as here, bridge_of(store, *versions) as there:
        await here.control.promote("support", "v12")

        async def roll_back(bridge, to):
            for _ in range(chance.randint(0, 4)):
                await anyio.lowlevel.checkpoint()
            await bridge.control.rollback("support", to=to)

        async with anyio.create_task_group() as group:
            group.start_soon(roll_back, here, "v10")
            group.start_soon(roll_back, there, "v11")
        control = await here.control.read()
        route = control.route("support")
        assert route.stable in {"v10", "v11"}
        gone = {one.version for one in route.withdrawn}
        assert gone == set(versions) - {route.stable}
        for number, bridge in enumerate((here, there)):
            assert await answered_by(bridge, number) == route.stable


async def test_many_processes_that_start_at_once_do_not_fight():
    """Each has a version of its own to tell."""
    store = MemoryStore()
    bridges = [bridge_of(store, "v1", f"v{number}") for number in range(2, 42)]

    async def begin(bridge):
        await bridge.__aenter__()

    async with anyio.create_task_group() as group:
        for bridge in bridges:
            group.start_soon(begin, bridge)
    route = (await bridges[0].control.read()).route("support")
    assert set(route.known) == {f"v{number}" for number in range(1, 42)}
    for bridge in bridges:
        await bridge.__aexit__()


# --- clocks that disagree -------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["memory", "redis"])
async def test_clocks_that_disagree_by_hours_make_no_older_epoch(request, tmp_path, kind):
    url = "memory://"
    if kind == "redis":
        url = f"{request.getfixturevalue('server').url}?prefix={tmp_path.name}"
    async with open_store(url) as store:
        hours = (0, 5, -5, 3, -11)
        clocks = [Clock(1_790_000_000_000 + hour * HOUR) for hour in hours]
        bridges = [bridge_of(store, clock=clock) for clock in clocks]
        for bridge in bridges:
            await bridge.__aenter__()
        epochs = []
        for number in range(20):
            bridge = bridges[number % len(bridges)]
            to = ("v11", "v12")[number % 2]
            done = await bridge.control.promote("support", to)
            epochs.append(done.epoch)
            for other in bridges:
                await other.steering.refresh()
                assert other.steering.control == done, "the last act holds in every process"
        assert epochs == sorted(set(epochs))
        await bridges[2].control.rollback("support", to="v11", within_seconds=0.0)
        for number, bridge in enumerate(bridges):
            assert await answered_by(bridge, number) == "v11"
            await bridge.__aexit__()


async def test_a_server_that_has_lost_the_last_act_gets_no_other_under_its_epoch():
    """Who knew of the lost one would take the next for the same."""
    store = MemoryStore()
    clock = Clock()
    async with bridge_of(store, clock=clock) as here, bridge_of(store, clock=clock) as there:
        kept = store._records["acme", *CONTROL]
        lost = await here.control.promote("support", "v12")
        await there.steering.refresh()
        store._records["acme", *CONTROL] = kept
        done = await here.control.rollback("support", to="v11", versions=["v12"])
        assert done.epoch > lost.epoch
        assert await answered_by(there, 1) == "v11"


# --- a canary of nothing and of all ---------------------------------------------------------------


async def test_a_canary_of_a_hundred_gets_all_new_ones_and_one_of_nothing_none():
    async with bridge_of(MemoryStore()) as bridge:
        assert await answered_by(bridge, 0) == "v11"
        await bridge.control.canary("support", "v12", 100)
        new = {await answered_by(bridge, number) for number in range(1, 200)}
        assert new == {"v12"}
        assert await answered_by(bridge, 0, "M0 again") == "v11", "a conversation keeps what it has"
        await bridge.control.canary("support", "v12", 0)
        new = {await answered_by(bridge, number) for number in range(200, 400)}
        assert new == {"v11"}
        assert await answered_by(bridge, 1, "M1 again") == "v12"
        for percent in (-0.1, 100.1, float("nan")):
            with pytest.raises(ConfigurationError):
                await bridge.control.canary("support", "v12", percent)
        await bridge.control.rollback("support", to="v11")
        assert await answered_by(bridge, 1, "M1 and again") == "v11"


async def test_after_years_of_promotions_the_bad_release_is_what_is_taken_back():
    """Who promotes each day has hundreds of drained versions, and all of them are taken back."""
    names = [f"v{number}" for number in range(3 * rules.MOST_DRAINING)]
    route = Route("support", names[0], known=tuple(names))
    for name in names[1:]:
        route = rules.promoted(route, name)
    assert route.draining == tuple(names[:-1][-rules.MOST_DRAINING :])
    grown = replace(route, draining=tuple(names[:-1]))  # as one that was written before the bound
    for held in (route, grown):
        gone = [Withdrawn(name) for name in rules.running_versions(held) if name != names[-2]]
        after = rules.rolled_back(held, names[-2], gone)
        assert {one.version for one in after.withdrawn} == {one.version for one in gone}
        assert after.withdrawal(names[-1]) is not None


@pytest.mark.parametrize(
    "scope",
    [
        Scope(agent="suport"), Scope(agent="support", version="v99"), Scope(purpose="marketting"),
        Scope(purpose="all"), Scope(channel="x" * 501), Scope(channel=7), Scope(contact=b"1"),
    ],
)  # fmt: skip
async def test_a_halt_that_can_fit_nothing_is_refused(scope):
    """It would report success and stop nothing."""
    async with bridge_of(MemoryStore()) as bridge:
        for halt in (bridge.control.pause, bridge.control.kill):
            with pytest.raises((ConfigurationError, UsageError)):
                await halt(scope)
        assert not (await bridge.control.read()).halts


async def test_who_and_why_are_bounded_texts():
    """Each worker holds them for each halt, and each act is kept for a year."""
    async with bridge_of(MemoryStore()) as bridge:
        for words in ({"why": "x" * 2_001}, {"by": "x" * 201}, {"why": None}):
            with pytest.raises(UsageError):
                await bridge.control.pause(**words)
            with pytest.raises(UsageError):
                await bridge.control.promote("support", "v12", **words)
        assert (await bridge.control.pause(why="lone \ud800")).halts[0].why == "lone \ufffd"
        assert (await bridge.control.history())[0].why == "lone \ufffd"


@pytest.mark.parametrize("whose", [{"channels": "sms"}, {"labels": "vip"}, {"labels": ["x"] * 101}])
async def test_a_canary_is_not_for_the_letters_of_a_channel(whose):
    """It would answer nobody, and seem to do well."""
    async with bridge_of(MemoryStore()) as bridge:
        with pytest.raises(UsageError):
            await bridge.control.canary("support", "v12", **whose)
