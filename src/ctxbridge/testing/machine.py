"""A state machine that drives a store at random and compares it with the simplest possible model.

The model here shares no code with `rules`: it is a second, naive telling of the same promises, so a
mistake in either shows as a difference.
"""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from anyio.from_thread import start_blocking_portal
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ctxbridge.model import Address, Assurance, Committed, Context, Event, Message, Opened, Refused
from ctxbridge.ports import Store
from ctxbridge.testing.actor import CHAT, MAIL, PHONE, Actor, is_dense

ADDRESSES = [PHONE, MAIL, CHAT]
REMEMBER_SECONDS = 100.0
LEASE_SECONDS = 10.0


class _Talk:
    """The model of one contact's conversation."""

    def __init__(self, address: Address) -> None:
        self.addresses = {address}
        self.log: list[str] = []
        self.revision = 0
        self.state: bytes | None = None
        self.stopped: dict[str, bool] = {}
        self.epoch = 0
        self.holder: bytes | None = None
        self.fence = 0
        self.lease_end = 0


class _Known:
    """The model of a remembered message id."""

    def __init__(self, talk: _Talk, turn: bytes, body: str, place: int, until: int) -> None:
        self.talk, self.turn, self.body, self.place, self.until = talk, turn, body, place, until


class _Held:
    """A turn that some worker holds, or believes it holds."""

    def __init__(self, talk: _Talk, opened: Opened, epoch: int) -> None:
        self.talk, self.opened, self.epoch = talk, opened, epoch


class StoreMachine(RuleBasedStateMachine):
    """Use `store_machine` to make one for a store."""

    make: Callable[[], AbstractAsyncContextManager[Store]]
    backend = "asyncio"

    @initialize()
    def begin(self) -> None:
        self.actor = Actor()
        self.talks: dict[Address, _Talk] = {}
        self.known: dict[str, _Known] = {}
        self.finished: dict[bytes, tuple[list[str], int, int]] = {}
        self.held: list[_Held] = []
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

    # --- what a customer may do ------------------------------------------------------------------

    @rule(
        id=st.sampled_from(["m1", "m2", "m3", "m4", "m5"]),
        body=st.sampled_from(["a", "a", "a", "b"]),
        address=st.sampled_from(ADDRESSES),
        stop=st.sampled_from([None, None, True, False]),
    )
    def write(self, id: str, body: str, address: Address, stop: bool | None) -> None:
        """A message arrives, perhaps again, perhaps while another turn runs."""
        id = self._own_id(id, address)
        claim = self.actor.claim(
            body, message_id=id, address=address, stop=stop,
            assurance=Assurance.AUTHENTICATED, lease_seconds=LEASE_SECONDS,
            remember_seconds=REMEMBER_SECONDS, window=0,
        )  # fmt: skip
        opened: Opened = self.ask(self.store.open, claim)
        known = self.known.get(id)
        if known and known.until > self.actor.now:
            self._expect_again(opened, known, body)
        else:
            self._expect_first(opened, id, body, address, stop)

    def _own_id(self, id: str, address: Address) -> str:
        """Ids are of one conversation: what others do with the same id is not promised."""
        known = self.known.get(id)
        foreign = known and known.until > self.actor.now and address not in known.talk.addresses
        return f"{id} of {address}" if foreign else id

    def _expect_again(self, opened: Opened, known: _Known, body: str) -> None:
        talk = known.talk
        if known.body != body:
            assert opened.status == "mismatch"
        elif known.turn in self.finished:
            assert opened.status == "duplicate"
            assert [m.text for m in opened.answer] == self.finished[known.turn][0]
        elif talk.lease_end > self.actor.now:
            assert opened.status == "busy"
        else:
            assert (opened.status, opened.resumed) == ("new", True)
            self._take(talk, opened)
        assert (opened.turn, opened.seq) == (known.turn, known.place)

    def _expect_first(
        self, opened: Opened, id: str, body: str, address: Address, stop: bool | None
    ) -> None:
        talk = self.talks.setdefault(address, _Talk(address))
        talk.log.append(body)
        place = len(talk.log)
        if stop is not None:
            talk.log.append("<consent>")
            talk.stopped[address.channel] = stop
            talk.epoch += 1
            talk.revision += 1
        until = self.actor.now + round(REMEMBER_SECONDS * 1000)
        self.known[id] = _Known(talk, opened.turn, body, place, until)
        assert opened.seq == place
        if talk.lease_end > self.actor.now:
            assert opened.status == "busy"
        else:
            assert (opened.status, opened.resumed) == ("new", False)
            self._take(talk, opened)

    def _take(self, talk: _Talk, opened: Opened) -> None:
        assert opened.fence == talk.fence + 1
        talk.fence, talk.holder = opened.fence, opened.turn
        talk.lease_end = self.actor.now + round(LEASE_SECONDS * 1000)
        self.held.append(_Held(talk, opened, talk.epoch))

    # --- what workers may do ---------------------------------------------------------------------

    @precondition(lambda self: self.held)
    @rule(data=st.data(), replies=st.lists(st.sampled_from(["x", "y"]), max_size=2),
          state=st.sampled_from([None, b"1", b"2"]), repeat=st.booleans())  # fmt: skip
    def finish(self, data: Any, replies: list[str], state: bytes | None, repeat: bool) -> None:
        """A worker commits what it holds, or believes it holds; perhaps twice."""
        held = data.draw(st.sampled_from(self.held))
        self.held.remove(held)
        change = self.actor.change(
            held.opened, *replies, state=state, remember_seconds=REMEMBER_SECONDS
        )
        self._expect_commit(held, self.ask(self.store.commit, change), replies, state)
        if repeat:
            self._expect_commit(held, self.ask(self.store.commit, change), replies, state)

    def _expect_commit(
        self, held: _Held, outcome: Any, replies: list[str], state: bytes | None
    ) -> None:
        talk, turn = held.talk, held.opened.turn
        fence = held.opened.fence
        if turn in self.finished and self.finished[turn][2] != fence:
            assert outcome == Refused("fenced", talk.revision, talk.epoch)
        elif turn in self.finished:
            assert isinstance(outcome, Committed)
            assert outcome.replayed
            assert outcome.revision == self.finished[turn][1]
        elif (fence, turn) != (talk.fence, talk.holder) or not talk.lease_end:
            assert outcome == Refused("fenced", talk.revision, talk.epoch)
        elif held.epoch != talk.epoch:
            assert outcome == Refused("gated", talk.revision, talk.epoch)
        else:
            talk.log += replies
            talk.revision += state is not None
            talk.state = talk.state if state is None else state
            talk.lease_end = 0
            self.finished[turn] = (replies, talk.revision, fence)
            assert outcome == Committed(len(talk.log), talk.revision)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def give_back(self, data: Any) -> None:
        """A worker fails and gives its lease back."""
        held = data.draw(st.sampled_from(self.held))
        self.held.remove(held)
        outcome = self.ask(self.store.commit, self.actor.change(held.opened, finished=False))
        talk = held.talk
        mine = (held.opened.fence, held.opened.turn) == (talk.fence, talk.holder)
        if held.opened.turn not in self.finished and mine and talk.lease_end:
            talk.lease_end = 0
            assert isinstance(outcome, Committed)

    @rule(address=st.sampled_from(ADDRESSES), text=st.sampled_from(["n1", "n2"]))
    def note(self, address: Address, text: str) -> None:
        """Something is appended outside of a turn."""
        talk = self.talks.get(address)
        contact = self.ask(self.store.read, self.actor.query(address)).contact
        assert (contact is None) == (talk is None)
        if talk is not None:
            change = self.actor.note(contact.id, self.actor.message(text))
            outcome = self.ask(self.store.commit, change)
            talk.log.append(text)
            assert outcome == Committed(len(talk.log), talk.revision)

    @rule(whose=st.sampled_from(ADDRESSES), address=st.sampled_from(ADDRESSES))
    def link(self, whose: Address, address: Address) -> None:
        """The tenant says that two addresses are one person's."""
        outcome = self.ask(self.store.identify, self.actor.link(whose, address))
        talk, other = self.talks.get(whose), self.talks.get(address)
        if other is not None and other is not talk:
            assert outcome.status == "taken"
            return
        if talk is not None and address in talk.addresses:
            assert outcome.status == "unchanged"
            return
        if talk is None:
            talk = self.talks[whose] = _Talk(whose)
        assert outcome.status == "linked"
        talk.log.append("<link>")
        talk.revision += 1
        talk.addresses.add(address)
        self.talks[address] = talk

    @rule(seconds=st.sampled_from([1.0, LEASE_SECONDS, REMEMBER_SECONDS]))
    def wait(self, seconds: float) -> None:
        """Time passes: leases run out, ids are forgotten."""
        self.actor.now += round(seconds * 1000)
        for known in self.known.values():
            if known.until <= self.actor.now:
                self.finished.pop(known.turn, None)
        # A worker that slept longer than its message is remembered for is not modelled.
        self.held = [h for h in self.held if h.opened.turn in {k.turn for k in self._live()}]

    def _live(self) -> list[_Known]:
        return [known for known in self.known.values() if known.until > self.actor.now]

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
            assert context.contact is not None
            stopped = {c.channel: not c.granted for c in context.contact.consents}
            assert stopped == talk.stopped
            assert set(context.contact.addresses) == talk.addresses

    async def _read_all(self, addresses: list[Address]) -> list[Context]:
        return [await self.store.read(self.actor.query(address)) for address in addresses]


def _shown(entry: Message | Event) -> str:
    return entry.text if isinstance(entry, Message) else f"<{entry.kind}>"


def store_machine(
    make: Callable[[], AbstractAsyncContextManager[Store]], *, backend: str = "asyncio"
) -> type[StoreMachine]:
    """A state machine for the store that `make` gives, each time an empty one.

    Run it with ``hypothesis.stateful.run_state_machine_as_test``, or subclass its `TestCase`.
    """
    members = {"make": staticmethod(make), "backend": backend}
    return type("StoreMachineUnderTest", (StoreMachine,), members)
