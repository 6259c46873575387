"""The long-term memory: beside the framework's own in memory, over each store."""

import asyncio
import random
from datetime import timedelta

import pytest

pytest.importorskip("langgraph", reason="needs the extra: pip install ctxbridge[langgraph]")

from langgraph.store.base import (
    GetOp,
    InvalidNamespaceError,
    ListNamespacesOp,
    MatchCondition,
    PutOp,
    SearchOp,
)
from langgraph.store.memory import InMemoryStore

from ctxbridge import Bridge, errors
from ctxbridge.integrations.langgraph import BridgeStore
from tests.integrations.langgraph.graphs import Counting

ANN, BEN = ("people", "ann"), ("people", "ben")


@pytest.fixture
async def store(bridge):
    return BridgeStore(bridge)


def found(items):
    return sorted((item.namespace, item.key, sorted(item.value.items())) for item in items)


class TestItems:
    async def test_an_item_comes_back_as_it_was_put(self, store, clock):
        value = {
            "text": "ä ☂ ' \" \u0000",
            "deep": {"list": [1, 2.5, None, True, {"a": []}]},
            "": "",
        }
        await store.aput(ANN, "k", value)
        item = await store.aget(ANN, "k")
        assert (item.value, item.key, item.namespace) == (value, "k", ANN)
        clock.time += 1_500
        await store.aput(ANN, "k", {"new": 1})
        again = await store.aget(ANN, "k")
        assert again.created_at == item.created_at
        assert again.updated_at - item.updated_at == timedelta(seconds=1.5)
        await store.adelete(ANN, "k")
        assert await store.aget(ANN, "k") is None
        assert await store.asearch(ANN) == []

    async def test_names_that_look_alike_are_apart(self, store):
        for n, (space, key) in enumerate(
            [(("a", "b"), "c"), (("a",), "b"), (("a",), 'b","c'), (("a", "b,c"), "c")]
        ):
            await store.aput(space, key, {"n": n})
        assert (await store.aget(("a", "b"), "c")).value == {"n": 0}
        assert (await store.aget(("a",), "b")).value == {"n": 1}
        assert await store.aget(("a", "b", "c"), "") is None

    async def test_a_batch_reads_before_it_writes_and_the_last_put_counts(self, store):
        await store.aput(ANN, "k", {"n": 1})
        answers = await store.abatch(
            [PutOp(ANN, "k", {"n": 2}), GetOp(ANN, "k"), PutOp(ANN, "k", {"n": 3}), SearchOp(ANN)]
        )
        assert answers[0] is answers[2] is None
        assert answers[1].value == answers[3][0].value == {"n": 1}
        assert (await store.aget(ANN, "k")).value == {"n": 3}

    async def test_tenants_are_apart(self, place):
        async with place("memory") as inner:
            one, other = (BridgeStore(Bridge(inner, tenant=name)) for name in ("one", "other"))
            await one.aput(ANN, "k", {"n": 1})
            assert await other.aget(ANN, "k") is None
            assert await other.asearch(()) == []
            assert await other.alist_namespaces() == []

    def test_a_program_without_a_loop(self, tmp_path):
        with BridgeStore(Bridge(f"sqlite:///{tmp_path}/sync.db", tenant="shop")) as store:
            store.put(ANN, "k", {"n": 1})
            assert store.get(ANN, "k").value == {"n": 1}
            assert [item.key for item in store.search(("people",))] == ["k"]
            assert store.list_namespaces() == [ANN]


class TestSearch:
    async def test_all_that_is_below_a_prefix_page_by_page(self, store):
        for n in range(150):
            await store.aput(ANN if n % 2 else (*BEN, "deep"), f"k{n}", {"n": n})
        seen = [
            i.value["n"]
            for start in range(0, 160, 40)
            for i in await store.asearch(("people",), limit=40, offset=start)
        ]
        assert sorted(seen) == list(range(150))
        newest = await store.asearch(ANN, limit=3)
        assert [item.key for item in newest] == ["k149", "k147", "k145"]

    @pytest.mark.parametrize(("wanted", "expected"), [
        ({"n": 3}, ["c"]), ({"n": {"$gt": 1, "$lt": 4}}, ["b", "c"]), ({"n": {"$gte": 3}}, ["c", "d"]),
        ({"n": {"$ne": 1}}, ["b", "c", "d", "e"]), ({"n": {"$lte": 1}}, ["a"]), ({"n": {"$eq": 4}}, ["d"]),
        ({"kind": "x", "n": {"$gt": 2}}, ["c"]), ({"missing": 1}, []), ({"n": {"$gt": "text"}}, []),
    ])  # fmt: skip
    async def test_filters(self, store, wanted, expected):
        for n, key in enumerate("abcd", 1):
            await store.aput(ANN, key, {"n": n, "kind": "x" if n % 2 else "y"})
        await store.aput(ANN, "e", {"other": 1})
        assert sorted(i.key for i in await store.asearch(ANN, filter=wanted)) == expected

    async def test_an_unknown_operator_is_refused(self, store):
        await store.aput(ANN, "k", {"n": 1})
        with pytest.raises(errors.UsageError, match=r"\$gt"):
            await store.asearch(ANN, filter={"n": {"$regex": "x"}})

    async def test_it_answers_as_the_frameworks_own_does(self, store):
        own, chance = InMemoryStore(), random.Random(7)
        spaces = [("a",), ("a", "b"), ("a", "b", "c"), ("d", "b"), ("d", "e", "c")]
        for _ in range(120):
            space, key = chance.choice(spaces), f"k{chance.randrange(8)}"
            value = None if chance.random() < 0.25 else {"n": chance.randrange(5)}
            for one in (store, own):
                await one.abatch([PutOp(space, key, value)])
        for prefix in [(), *spaces]:
            for wanted in (None, {"n": 2}, {"n": {"$gte": 2}}):
                ours, theirs = [
                    await one.asearch(prefix, filter=wanted, limit=100) for one in (store, own)
                ]
                assert found(ours) == found(theirs)
        conditions = [(), (MatchCondition("prefix", ("a",)),), (MatchCondition("prefix", ("*", "b")),),
                      (MatchCondition("suffix", ("c",)),), (MatchCondition("prefix", ("d",)), MatchCondition("suffix", ("*", "c")))]  # fmt: skip
        for condition in conditions:
            for depth in (None, 1, 2):
                for limit, offset in ((100, 0), (2, 1)):
                    op = ListNamespacesOp(condition, depth, limit, offset)
                    assert await store.abatch([op]) == await own.abatch([op])


class TestLifetimes:
    async def test_an_item_ends_and_reading_lets_it_begin_anew(self, bridge, clock):
        store = BridgeStore(bridge, ttl={"default_ttl": 10, "refresh_on_read": True})
        await store.aput(ANN, "read", {"n": 1})
        await store.aput(ANN, "left", {"n": 1})
        await store.aput(ANN, "kept", {"n": 1}, ttl=None)
        for _ in range(3):
            clock.time += 6 * 60_000
            assert await store.aget(ANN, "read") is not None
        assert await store.aget(ANN, "left") is None
        assert {item.key for item in await store.asearch(ANN, refresh_ttl=False)} == {
            "read",
            "kept",
        }
        clock.time += 6 * 60_000
        assert await store.aget(ANN, "read", refresh_ttl=False) is not None
        clock.time += 5 * 60_000
        assert await store.aget(ANN, "read") is None
        assert await store.aget(ANN, "kept") is not None

    async def test_names_of_what_has_ended_are_cleared_up(self, bridge, clock):
        store = BridgeStore(bridge)
        for n in range(40):
            await store.aput(ANN, f"k{n}", {"n": n}, ttl=1)
        await store.aput(ANN, "kept", {"n": 1})
        clock.time += 600_000
        assert [item.key for item in await store.asearch(ANN)] == ["kept"]
        assert await store._keys(ANN).names() == ["kept"]
        await store.aput(ANN, "k1", {"n": 1})
        assert {item.key for item in await store.asearch(ANN)} == {"kept", "k1"}


class TestCost:
    async def test_a_put_costs_the_same_however_much_there_is(self, bridge):
        bridge.store = counted = Counting(bridge.store)
        store, cost = BridgeStore(bridge), []
        for n in range(700):
            await store.aput((f"person-{n:04}", "notes"), "k", {"n": 1})
            await store.aput(ANN, f"k{n:04}", {"n": f"{n:04}"})
            cost.append(counted.taken())
        early, late = cost[40:105], cost[600:665]  # one page of names each
        for place in range(3):
            assert sum(c[place] for c in late) <= 1.02 * sum(c[place] for c in early)


class TestBadInput:
    @pytest.mark.parametrize(
        "value", [{"s": {1, 2}}, {"b": b"x"}, {"o": object()}, ["list"], "text", 7]
    )
    async def test_what_is_no_json_object_is_refused(self, store, value):
        with pytest.raises(errors.UsageError):
            await store.abatch([PutOp(ANN, "good", {"n": 1}), PutOp(ANN, "k", value)])
        assert await store.asearch(ANN) == []

    @pytest.mark.parametrize("minutes", [0, -1, float("nan"), float("inf")])
    async def test_a_lifetime_that_cannot_be_is_refused(self, store, minutes):
        with pytest.raises(errors.UsageError, match="minutes"):
            await store.aput(ANN, "k", {"n": 1}, ttl=minutes)

    async def test_what_goes_on_without_end_is_refused(self, store):
        circle = {}
        circle["self"] = circle
        with pytest.raises(errors.UsageError):
            await store.aput(ANN, "k", circle)

    async def test_what_is_too_large_is_refused(self, store):
        with pytest.raises(errors.TooLarge):
            await store.aput(ANN, "k", {"text": "x" * 10_000_000})
        assert await store.aget(ANN, "k") is None

    @pytest.mark.parametrize("space", [(), ("a.b",), ("",), ("langgraph",), (7,)])
    async def test_namespaces_are_checked_as_the_framework_does(self, store, space):
        with pytest.raises(InvalidNamespaceError):
            await store.aput(space, "k", {"n": 1})

    async def test_an_unknown_operation_is_refused(self, store):
        with pytest.raises(errors.UsageError, match="the operation str"):
            await store.abatch(["get"])

    async def test_many_puts_of_one_namespace_at_once_are_all_there(self, store):
        await asyncio.gather(*[store.aput(ANN, f"k{n}", {"n": n}) for n in range(20)])
        assert len(await store.asearch(ANN, limit=50)) == 20
