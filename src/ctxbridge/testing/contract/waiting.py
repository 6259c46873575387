"""Waiting for a turn that is running, and finding one whose worker is gone."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from msgspec.structs import replace

from ctxbridge.model import Context, Opened
from ctxbridge.ports import Store
from ctxbridge.testing.actor import CHAT, MAIL, PHONE, Actor, texts
from ctxbridge.testing.contract.overlap import accepted

PATIENCE_SECONDS = 20.0
A_MOMENT_SECONDS = 0.05


@asynccontextmanager
async def waiter(store: Store, actor: Actor, opened: Opened) -> AsyncIterator[list[Context]]:
    """Somebody who waits for the end of a turn, well before it; whose answer is there at the end.

    The list is empty as long as they wait.
    """
    answers: list[Context] = []

    async def wait() -> None:
        query = actor.query(held_by=opened.fence, patience_seconds=PATIENCE_SECONDS)
        answers.append(await store.read(query))

    with anyio.fail_after(PATIENCE_SECONDS / 2):
        async with anyio.create_task_group() as group:
            group.start_soon(wait)
            await anyio.sleep(A_MOMENT_SECONDS)
            assert answers == [], "they were answered before the turn ended"
            yield answers
    assert len(answers) == 1


async def due(store: Store, actor: Actor) -> list[tuple[int, int]]:
    """Which messages are to be taken up, and since when."""
    return [(found.place, found.at) for found in await store.scan(actor.scan())]


class WaitingContract:
    """Who waits for a turn is told of its end; a turn that nobody ends is found."""

    # --- waiting for the end of a turn ------------------------------------------------------------

    async def test_who_waits_is_answered_when_the_turn_is_committed(self, store: Store) -> None:
        actor = Actor()
        opened = await store.open(actor.claim())
        async with waiter(store, actor, opened) as answers:
            await store.commit(actor.change(opened, "ok"))
        assert texts(answers[0]) == ["hello", "ok"]

    async def test_who_waits_is_answered_when_the_lease_is_given_back(self, store: Store) -> None:
        actor = Actor()
        opened = await store.open(actor.claim())
        async with waiter(store, actor, opened) as answers:
            await store.commit(actor.change(opened, finished=False))
        assert (texts(answers[0]), answers[0].waiting) == (["hello"], (1,))

    async def test_who_waits_is_answered_when_the_turn_is_superseded(self, store: Store) -> None:
        actor = Actor()
        opened = await store.open(actor.claim())
        async with waiter(store, actor, opened) as answers:
            await store.open(actor.claim("two", message_id="SM2", overlap="supersede"))
        assert texts(answers[0]) == ["hello", "two"]

    async def test_a_turn_that_goes_on_is_waited_for(self, store: Store) -> None:
        actor = Actor()
        opened = await store.open(actor.claim())
        contact = opened.context.contact
        assert contact is not None
        async with waiter(store, actor, opened) as answers:
            await store.open(actor.claim("two", message_id="SM2"))
            await store.commit(actor.note(contact.id, actor.message("a note")))
            await store.commit(actor.change(opened, finished=False, lease_seconds=90.0))
            await anyio.sleep(A_MOMENT_SECONDS)
            assert answers == [], "the turn runs on"
            await store.commit(actor.change(opened))
        assert texts(answers[0]) == ["hello", "two", "a note"]

    async def test_many_who_wait_are_all_answered(self, store: Store) -> None:
        actor = Actor()
        opened = await store.open(actor.claim())
        async with waiter(store, actor, opened) as one, waiter(store, actor, opened) as other:
            await store.commit(actor.change(opened))
        assert one == other

    async def test_nobody_waits_for_what_does_not_run(self, store: Store) -> None:
        actor = Actor()
        first, second = [
            actor.query(held_by=fence, patience_seconds=PATIENCE_SECONDS) for fence in (1, 2)
        ]
        with anyio.fail_after(PATIENCE_SECONDS / 2):
            assert (await store.read(first)).contact is None
            opened = await store.open(actor.claim())
            assert opened.fence == 1
            assert (await store.read(second)).waiting == (1,)
            await store.commit(actor.change(opened, "ok"))
            assert texts(await store.read(first)) == ["hello", "ok"]

    async def test_patience_ends(self, store: Store) -> None:
        actor = Actor()
        opened = await store.open(actor.claim())
        since = anyio.current_time()
        query = actor.query(held_by=opened.fence, patience_seconds=0.1)
        context = await store.read(query)
        assert 0.09 <= anyio.current_time() - since < PATIENCE_SECONDS / 2
        assert (texts(context), context.waiting) == (["hello"], (1,))
        with anyio.fail_after(PATIENCE_SECONDS / 2):
            await store.read(actor.query(held_by=opened.fence))

    async def test_who_waits_no_longer_is_let_go(self, store: Store) -> None:
        actor = Actor()
        opened = await store.open(actor.claim())
        query = actor.query(held_by=opened.fence, patience_seconds=PATIENCE_SECONDS)
        with anyio.move_on_after(A_MOMENT_SECONDS) as scope:
            await store.read(query)
        assert scope.cancelled_caught
        await store.commit(actor.change(opened, "ok"))
        assert texts(await store.read(query)) == ["hello", "ok"]

    # --- turns whose worker is gone ---------------------------------------------------------------

    async def test_a_turn_whose_lease_ran_out_is_due(self, store: Store) -> None:
        actor = Actor()
        opened = await store.open(actor.claim(lease_seconds=10.0))
        await store.open(actor.claim("two", message_id="SM2"))
        actor.now += 9_999
        assert await due(store, actor) == []
        actor.now += 1
        (found,) = await store.scan(actor.scan())
        assert (found.at, found.place, found.delivery, found.id) == (
            opened.lease_end, 1, None, b"",
        )  # fmt: skip
        assert opened.context.contact is not None
        assert found.contact == opened.context.contact.id
        assert found.message is not None
        assert (found.message.text, found.message.message_id) == ("hello", "SM1")
        again = await store.open(actor.claim(resumes=found.place, lease_seconds=10.0))
        assert (again.status, again.turn) == ("new", opened.turn)
        assert await due(store, actor) == []

    async def test_a_renewed_lease_is_due_later(self, store: Store) -> None:
        actor = Actor()
        opened = await store.open(actor.claim(lease_seconds=10.0))
        await store.commit(actor.change(opened, finished=False, lease_seconds=30.0))
        actor.now += 29_999
        assert await due(store, actor) == []
        actor.now += 1
        assert await due(store, actor) == [(1, actor.now)]

    async def test_a_turn_that_was_given_back_is_due_when_it_was_asked_for(
        self, store: Store
    ) -> None:
        actor = Actor()
        for number, seconds in enumerate((0.0, 5.0, 0.0)):
            opened = await store.open(actor.claim())
            change = actor.change(opened, finished=False, retry_seconds=seconds)
            await store.commit(change)
            actor.now += round(seconds * 1000) - bool(seconds)
            assert (await due(store, actor) == []) == bool(seconds), number
            actor.now += bool(seconds)
            assert await due(store, actor) == [(1, actor.now)], number

    async def test_what_waits_behind_a_finished_turn_is_due_soon(self, store: Store) -> None:
        actor = Actor()
        claim = actor.claim()
        opened = await store.open(claim)
        await store.open(actor.claim("two", message_id="SM2"))
        await store.commit(actor.change(opened, accept=accepted(claim)))
        assert await due(store, actor) == []
        actor.now += 1_000
        assert await due(store, actor) == [(2, actor.now)]

    async def test_where_nothing_waits_nothing_is_due(self, store: Store) -> None:
        actor = Actor()
        claim = actor.claim()
        opened = await store.open(claim)
        await store.open(actor.claim("an edit", message_id="SM2", lease_seconds=0.0))
        await store.commit(actor.change(opened, accept=accepted(claim)))
        actor.now += 10_000_000
        assert await due(store, actor) == []

    async def test_an_answered_message_is_found_once_and_then_no_more(self, store: Store) -> None:
        actor = Actor()
        await store.commit(actor.change(await store.open(actor.claim()), "ok"))
        actor.now += 1_000
        assert await due(store, actor) == [(1, actor.now)]
        assert (await store.open(actor.claim(resumes=1))).status == "duplicate"
        actor.now += 1_000_000
        assert await due(store, actor) == []

    async def test_what_is_due_is_listed_from_the_oldest_on_and_by_tenant(
        self, store: Store
    ) -> None:
        actor, other = Actor(), Actor("other")
        for seconds, address in ((20.0, PHONE), (5.0, MAIL), (10.0, CHAT)):
            claim = actor.claim(address.value, message_id=f"{address}", address=address)
            await store.open(replace(claim, lease_seconds=seconds))
        actor.now += 30_000
        other.now = actor.now

        async def listed(**more: int) -> list[str]:
            found = await store.scan(actor.scan(**more))
            return [one.message.text for one in found if one.message]

        assert await listed() == [MAIL.value, CHAT.value, PHONE.value]
        assert await listed(limit=2) == [MAIL.value, CHAT.value]
        assert list(await store.scan(other.scan())) == []
