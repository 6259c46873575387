"""What all rules of the machine stand on: the store, time, and what must hold after each step."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from anyio.from_thread import start_blocking_portal
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from ctxbridge.model import Address, Context, Event, Found, Message
from ctxbridge.ports import Store
from ctxbridge.testing.actor import Actor, is_dense
from ctxbridge.testing.machine.model import (
    LEASE_SECONDS,
    REMEMBER_SECONDS,
    Finished,
    Held,
    Known,
    Leaving,
    Talk,
)

EVER = 10**9


class Ground(RuleBasedStateMachine):
    """A store, the model of what is in it, and the comparison of the two."""

    make: Callable[[], AbstractAsyncContextManager[Store]]
    backend = "asyncio"

    @initialize()
    def begin(self) -> None:
        self.actor = Actor()
        self.talks: dict[Address, Talk] = {}
        self.erased: dict[Address, Talk] = {}
        """Where addresses lead of contacts that were erased, until one of them writes again."""
        self.known: dict[str, Known] = {}
        self.finished: dict[bytes, Finished] = {}
        self.held: list[Held] = []
        self.gone: list[Leaving] = []
        self.portal_scope = start_blocking_portal(self.backend)
        self.portal = self.portal_scope.__enter__()
        self.store_scope = self.portal.wrap_async_context_manager(type(self).make())
        self.store: Store = self.store_scope.__enter__()

    def teardown(self) -> None:
        if hasattr(self, "store_scope"):
            self.store_scope.__exit__(None, None, None)
            self.portal_scope.__exit__(None, None, None)

    def ask(self, verb: Callable[[Any], Awaitable[Any]], value: Any) -> Any:
        return self.portal.call(verb, value)

    @property
    def now(self) -> int:
        return self.actor.now

    @property
    def each_talk(self) -> list[Talk]:
        return list(dict.fromkeys(getattr(self, "talks", {}).values()))

    @property
    def each_leaving(self) -> list[tuple[Talk, Leaving]]:
        return [(talk, one) for talk in self.each_talk for one in talk.leaving.values()]

    def is_known(self, id: str) -> bool:
        return id in self.known and self.known[id].until > self.now

    @rule(seconds=st.sampled_from([1.0, 1.0, LEASE_SECONDS, LEASE_SECONDS, REMEMBER_SECONDS]))
    def wait(self, seconds: float) -> None:
        """Time passes: leases and claims run out, ids and deliveries are forgotten."""
        self.actor.now += round(seconds * 1000)
        for known in self.known.values():
            if known.until <= self.now:
                self.finished.pop(known.turn, None)
        # A worker that slept longer than its message is remembered for is not modelled.
        live = {known.turn for known in self.known.values() if known.until > self.now}
        self.held = [held for held in self.held if held.turn in live]
        for talk, leaving in self.each_leaving:
            if leaving.until <= self.now:
                self.gone.append(talk.leaving.pop(leaving.id))
        for talk in self.each_talk:
            talk.kept = {id: word for id, word in talk.kept.items() if word[1] > self.now}

    # --- what must always hold -------------------------------------------------------------------

    @invariant()
    def every_conversation_is_as_modelled(self) -> None:
        talks = getattr(self, "talks", {})
        contexts = self.portal.call(self._read_all, list(talks)) if talks else []
        for talk, context in zip(talks.values(), contexts, strict=True):
            assert [_shown(entry) for entry in context.window] == talk.log
            assert is_dense(context.window.seqs)
            assert (context.seq, context.revision) == (len(talk.log), talk.revision)
            assert (context.state, context.gate_epoch) == (talk.state, talk.epoch)
            assert list(context.waiting) == talk.waiting
            assert context.contact is not None
            assert context.contact.id == talk.contact
            stopped = {c.channel: not c.granted for c in context.contact.consents}
            assert stopped == talk.stopped
            assert list(context.contact.merged) == talk.merged
            links = {k.address: k.assurance for k in context.contact.links if not k.until}
            assert links == talk.addresses

    async def _read_all(self, addresses: list[Address]) -> list[Context]:
        return [await self.store.read(self.actor.query(address)) for address in addresses]

    @invariant()
    def every_list_is_as_modelled(self) -> None:
        if not self.each_talk:
            return
        due, pending, dead = self.portal.call(self._scan_all)
        leaving = [one for _, one in self.each_leaving]
        on_the_way = [(one.looked_for, one.id, one.place) for one in leaving if one.looked_for]
        turns = [turn for talk in self.each_talk for turn in talk.due_turn(self.now)]
        ready = [one for one in on_the_way if one[0] <= self.now]
        assert _listed(due) == sorted(turns + ready)
        assert _listed(pending) == sorted(on_the_way)
        assert _listed(dead) == sorted((d.created, d.id, d.place) for d in leaving if d.dead)
        for one in pending:
            assert one.delivery is not None
            model = next(leaving for _, leaving in self.each_leaving if leaving.id == one.id)
            assert (one.delivery.status, one.delivery.attempt) == (model.status, model.attempt)
            model.where = one.where

    async def _scan_all(self) -> list[list[Found]]:
        return [
            list(await self.store.scan(self.actor.scan(what, limit=EVER)))
            for what in ("due", "pending", "dead")
        ]


def _shown(entry: Message | Event) -> str:
    return entry.text if isinstance(entry, Message) else f"<{entry.kind}>"


def _listed(found: list[Found]) -> list[tuple[int, bytes, int]]:
    assert [one.at for one in found] == sorted(one.at for one in found)
    return sorted((one.at, one.id, one.place) for one in found)
