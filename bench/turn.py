"""A whole turn of the bridge: judge, open, reply, judge, commit. It has no goal of its own."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from itertools import count

from bench import corpus
from bench.corpus import Person
from bench.harness import Outcome, Plan, Sample, Trial, Variant, by_callers, compare, require_equal
from ctxbridge import Bridge
from ctxbridge.model import Inbound
from ctxbridge.ports import Store
from ctxbridge.stores.memory import MemoryStore
from ctxbridge.stores.sqlite import SqliteStore

MANY = 64
REFERENCE = "memory, no guards"
REPLY = "Your parcel left this morning and should be with you tomorrow before noon. Anything else?"

Take = Callable[[Inbound], Awaitable[object]]


async def run(plan: Plan) -> Outcome:
    everybody = corpus.people(plan.random)
    async with AsyncExitStack() as stack:
        memory = MemoryStore()
        sqlite = await stack.enter_async_context(SqliteStore(str(plan.folder / "turn.db")))
        for store in (memory, sqlite):
            await corpus.store_all(store, everybody)
        turns = _turns({"memory": memory, "SQLite": sqlite})
        await _require_equal(plan, everybody, turns)
        trials = [await _compare(plan, everybody, turns, callers) for callers in (1, MANY)]
    return Outcome([row for trial in trials for row in trial.rows(REFERENCE)])


def _turns(stores: dict[str, Store]) -> dict[str, Take]:
    turns: dict[str, Take] = {}
    for name, store in stores.items():
        bare = Bridge(store, tenant=corpus.TENANT, guards=())
        turns[f"{name}, no guards"] = _turn(bare)
        turns[f"{name}, built-in guards"] = _turn(Bridge(store, tenant=corpus.TENANT))
        turns[f"{name}, duplicate, no guards"] = _turn(bare)
    return turns


def _turn(bridge: Bridge[dict[str, object]]) -> Take:
    async def take(inbound: Inbound) -> tuple[str, tuple[str, ...]]:
        async with bridge.turn(inbound) as turn:
            if turn.open:
                turn.reply(REPLY)
        return turn.status, tuple(message.text for message in turn.answer)

    return take


async def _require_equal(plan: Plan, everybody: Sequence[Person], turns: dict[str, Take]) -> None:
    for person in everybody[:20]:
        fresh = {name: corpus.inbound(plan.random, person) for name in turns}
        require_equal("turn", {name: await take(fresh[name]) for name, take in turns.items()})
        require_equal("turn", {name: await take(fresh[name]) for name, take in turns.items()})


async def _compare(
    plan: Plan, everybody: Sequence[Person], turns: dict[str, Take], callers: int
) -> Trial:
    """Callers at work at the same time have contacts of their own: two turns of one would wait."""
    number = count()
    calls = 2 * MANY

    def fresh() -> list[Inbound]:
        place = next(number)
        some = [everybody[(k % MANY) + MANY * ((k // MANY + place) % 3)] for k in range(calls)]
        return [corpus.inbound(plan.random, person) for person in some]

    def variant(name: str, take: Take) -> Variant:
        async def sample() -> Sample:
            inbounds = fresh()
            if "duplicate" in name:
                await by_callers(callers, take, inbounds)
            return await by_callers(callers, take, inbounds)

        return Variant(name, sample)

    variants = [variant(name, take) for name, take in turns.items()]
    return await compare(plan, "turn", variants, rounds=plan.size(15, 2), callers=callers)
