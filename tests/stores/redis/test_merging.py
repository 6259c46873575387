"""Merges and splits lie in two slots: whoever crashes between their steps leaves nothing half done.

The writer dies before or after each of its writes, while others go on writing; afterwards nothing is
lost, nothing is there twice, and both ids lead to where they should.
"""

import os
import random
from contextlib import suppress
from itertools import pairwise

import anyio
import pytest
from msgspec.structs import replace

from ctxbridge import errors
from ctxbridge.model import Address, Committed, Message
from ctxbridge.stores.redis import merging as steps
from ctxbridge.testing.actor import CHAT, MAIL, PHONE, Actor, is_dense
from ctxbridge.testing.contract.merging import answered, split_off, two
from ctxbridge.testing.servers import Server

from .conftest import any_binary, make

ROUNDS = int(os.environ.get("CTXBRIDGE_CRASHES", "20"))
MOST_WRITES = 7


class Crash(Exception):
    """The process ends here."""


def dies(store, number, *, after):
    """Let the store's process end at the write of this number, before or after it arrives."""
    write, written = store._ground.courier.write, []

    async def dying(*args, **more):
        written.append(1)
        if len(written) > number or (len(written) == number and not after):
            raise Crash
        reply = await write(*args, **more)
        if len(written) == number:
            raise Crash
        return reply

    store._ground.courier.write = dying


@pytest.fixture(params=["alone", "cluster"])
def url(request):
    return request.getfixturevalue("server" if request.param == "alone" else "cluster").url


async def words(store, actor, address):
    context = await store.read(actor.query(address=address, fresh=True))
    assert is_dense(context.window.seqs)
    return [entry.text for entry in context.window if isinstance(entry, Message)]


async def parts(store, actor, held, part):
    """What a split takes along, as the bridge works it out."""
    from ctxbridge.rules.merging import came_with, said_by

    context = await store.read(actor.query(fresh=True))
    log = dict(context.window.numbered())
    came = came_with(log, part)
    since = {place: entry for place, entry in log.items() if place >= came.stop}
    places = (*came, *said_by(since, [MAIL]))
    moves = tuple([(place, log[place]) for place in places])
    return actor.split(held, part, context.seq, moves)


ONE, OTHER = ["1 asks", "1 answer"], ["2 asks", "2 answer"]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("number", range(1, MOST_WRITES + 1))
@pytest.mark.parametrize("then", ["look-up", "message", "merge", "erase"])
async def test_who_comes_by_a_merge_sees_before_or_after(url, number, after, then):
    async with make(url) as crashed, make(url, prefix=crashed.settings.prefix) as other:
        actor = Actor()
        phone, mail = await two(crashed, actor)
        dies(crashed, number, after=after)
        with suppress(Crash):
            await crashed.identify(actor.merge(phone, mail))
        if then == "message":
            await answered(other, actor, MAIL, "3")
        elif then == "merge":
            outcome = await other.identify(actor.merge(phone, mail))
            assert outcome.status in {"merged", "unchanged"}
        elif then == "erase":
            assert (await other.erase(actor.erase(MAIL))).status == "erased"
            assert await words(other, actor, MAIL) == []
            assert await words(other, actor, PHONE) in ([], ONE)
            return
        new = ["3 asks", "3 answer"] if then == "message" else []
        theirs = await words(other, actor, MAIL)
        ours = await words(other, actor, PHONE)
        assert (ours, theirs) in ((ONE, OTHER + new), (ONE + OTHER + new, ONE + OTHER + new))
        note = actor.note(mail, actor.message("by the id"))
        await other.commit(note)
        assert (await words(other, actor, MAIL))[-1] == "by the id"


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("number", range(1, MOST_WRITES + 1))
@pytest.mark.parametrize("then", ["look-up", "message", "split", "erase"])
async def test_who_comes_by_a_split_sees_before_or_after(url, number, after, then):
    async with make(url) as crashed, make(url, prefix=crashed.settings.prefix) as other:
        actor = Actor()
        phone, mail = await two(crashed, actor)
        await crashed.identify(actor.merge(phone, mail))
        await answered(crashed, actor, MAIL, "3")
        split = await parts(crashed, actor, phone, mail)
        dies(crashed, number, after=after)
        with suppress(Crash):
            await crashed.identify(split)
        new = ["3 asks", "3 answer"]
        if then == "message":
            await answered(other, actor, MAIL, "4")
            new += ["4 asks", "4 answer"]
        elif then == "split":
            with suppress(AssertionError):
                await other.identify(await parts(other, actor, phone, mail))
        elif then == "erase":
            assert (await other.erase(actor.erase(MAIL))).status == "erased"
            assert await words(other, actor, MAIL) == []
            assert await words(other, actor, PHONE) in ([], ONE)
            return
        theirs = await words(other, actor, MAIL)
        ours = await words(other, actor, PHONE)
        assert (ours, theirs) in ((ONE, OTHER + new), (ONE + OTHER + new, ONE + OTHER + new))
        for number, text in (("2", "2"), ("3", "3")):
            again = await other.open(actor.claim(f"{text} asks", message_id=number, address=MAIL))
            assert (again.status, [m.text for m in again.answer]) == (
                "duplicate",
                [f"{text} answer"],
            )


async def storm(url, chance, broken=lambda store: None):
    """Others write while one merges and dies, and another merges and splits it again."""
    said = []
    async with make(url) as crashed, make(url, prefix=crashed.settings.prefix) as other:
        actor = Actor(seed=chance.randrange(1 << 30))
        phone, mail = await two(other, actor)
        said += [*ONE, *OTHER]

        async def writes(address, name):
            for number in range(6):
                id = f"{name}{number}"
                while True:
                    try:
                        await answered(other, actor, address, id)
                    except AssertionError:  # the turn was taken from it, or another runs
                        await anyio.sleep(0.002)
                        actor.now += 20_000
                        if await said_already(other, actor, address, id):
                            break
                        continue
                    break
                said.extend([f"{id} asks", f"{id} answer"])

        async def merges():
            broken(crashed)
            dies(crashed, chance.randint(1, MOST_WRITES), after=chance.random() < 0.5)
            with suppress(Crash, errors.Unavailable):
                await crashed.identify(actor.merge(phone, mail))

        async with anyio.create_task_group() as group:
            group.start_soon(writes, PHONE, "p")
            group.start_soon(writes, MAIL, "m")
            await anyio.sleep(chance.random() * 0.02)
            group.start_soon(merges)
        await other.identify(actor.merge(phone, mail))
        ours = await words(other, actor, PHONE)
        assert ours == await words(other, actor, MAIL)
        assert sorted(ours) == sorted(said)
        split = await parts(other, actor, phone, mail)
        assert (await other.identify(split)).status == "split"
        theirs = await words(other, actor, MAIL)
        ours = await words(other, actor, PHONE)
        assert sorted(ours + theirs) == sorted(said)
        assert not [text for text in ours if text.startswith(("m", "2"))]
        assert not [text for text in theirs if text.startswith(("p", "1"))]


async def said_already(store, actor, address, id):
    """Whether the message was answered all the same."""
    texts = await words(store, actor, address)
    return f"{id} answer" in texts


@pytest.mark.slow
async def test_nothing_is_lost_or_doubled_in_crashes_with_concurrent_writers(server):
    for seed in range(ROUNDS):
        await storm(server.url, random.Random(seed))


class Forgetful(steps.Merging):
    """Broken on purpose: who finishes a merge lets go of what was set aside, without putting it in."""

    async def _attach(self, merge, own, target, part):
        _, found = await self._looking.follow(target, 1)
        return found.contact


@pytest.mark.slow
async def test_a_merge_that_forgets_a_step_is_found_out(server):
    def forgets(store):
        linking = store._linking
        linking.merging.__class__ = Forgetful

    with pytest.raises((AssertionError, errors.CtxBridgeError)):
        for seed in range(ROUNDS):
            await storm(server.url, random.Random(seed), forgets)


async def test_two_that_are_merged_into_each_other_at_once_end_as_one(server):
    """Each forward leads to the other while both are under way: one of the two is put back."""
    for _ in range(10):
        async with make(server.url) as one, make(server.url, prefix=one.settings.prefix) as other:
            actor = Actor()
            phone, mail = await two(one, actor)
            async with anyio.create_task_group() as group:
                group.start_soon(one.identify, actor.merge(phone, mail))
                group.start_soon(other.identify, actor.merge(mail, phone))
            ours = await words(other, actor, PHONE)
            assert sorted(ours) == sorted(ONE + OTHER)
            assert ours == await words(one, actor, MAIL)


@pytest.mark.parametrize("near_cache", [False, True], ids=["far", "near"])
@pytest.mark.parametrize("then", ["merge", "link", "unlink", "message"])
async def test_who_learned_of_a_merge_and_not_of_the_split_finds_the_part(url, near_cache, then):
    """What a process remembers of where a contact lives is of before another split it off."""
    async with (
        make(url, near_cache=near_cache) as one,
        make(url, near_cache=near_cache, prefix=one.settings.prefix) as other,
    ):
        actor = Actor()
        phone, mail = await two(one, actor)
        await one.identify(actor.merge(phone, mail))
        await other.commit(actor.note(mail, actor.message("learned", address=MAIL)))
        await split_off(one, actor, phone, mail)
        if then == "merge":
            assert (await other.identify(actor.merge(phone, mail))).status == "merged"
        elif then == "message":
            note = actor.note(mail, actor.message("by the id", address=MAIL))
            assert isinstance(await other.commit(note), Committed)
            assert (await words(one, actor, MAIL))[-1] == "by the id"
        else:
            linked = await other.identify(actor.link(mail, CHAT))
            assert (linked.status, linked.contact.id) == ("linked", mail)
        if then == "unlink":
            seq = (await one.read(actor.query(address=MAIL))).seq
            split = actor.split(mail, actor.id(), seq, address=CHAT)
            assert (await other.identify(split)).status == "split"


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("number", range(1, MOST_WRITES + 1))
async def test_what_is_being_parted_is_not_lost_where_the_rest_is_merged_elsewhere(
    url, number, after
):
    async with make(url) as crashed, make(url, prefix=crashed.settings.prefix) as other:
        actor = Actor()
        phone, mail = await two(crashed, actor)
        chat = (await answered(crashed, actor, CHAT, "3")).context.contact.id
        await crashed.identify(actor.merge(phone, mail))
        split = await parts(crashed, actor, phone, mail)
        dies(crashed, number, after=after)
        with suppress(Crash):
            await crashed.identify(split)
        assert (await other.identify(actor.merge(chat, phone))).status == "merged"
        both = ["3 asks", "3 answer", *ONE]
        theirs = await words(other, actor, MAIL)
        ours = await words(other, actor, PHONE)
        assert (ours, theirs) in ((both, OTHER), (both + OTHER, both + OTHER))
        assert await words(other, actor, CHAT) == ours


@pytest.mark.parametrize("number", range(1, 8))
async def test_a_key_of_somebody_elses_hinders_a_merge_before_it_begins(server, number):
    """One of the part's keys, or of where it is set aside, holds something of another kind."""
    async with make(server.url) as store:
        actor = Actor()
        phone, mail = await two(store, actor)
        place = store._ground.keys.of_address(actor.tenant, MAIL)
        key = [*place.all_of_it, *place.aside][number]
        if had := server.command("EXISTS", key):
            server.command("RENAME", key, key + b":kept")
        server.command("SET", key, "something")
        with pytest.raises(errors.CorruptRecord):
            await store.identify(actor.merge(phone, mail))
        server.command("DEL", key)
        if had:
            server.command("RENAME", key + b":kept", key)
        assert await words(store, actor, MAIL) == OTHER
        assert (await store.identify(actor.merge(phone, mail))).status == "merged"
        assert await words(store, actor, MAIL) == ONE + OTHER


@pytest.fixture(scope="module")
def small():
    """A server of its own, whose memory is taken away."""
    with Server(any_binary()) as server:
        yield server


@pytest.mark.parametrize("number", range(1, MOST_WRITES))
@pytest.mark.parametrize("what", ["merge", "split"])
async def test_a_server_without_memory_tells_nobody_that_nothing_was_changed_when_it_was(
    small, number, what
):
    async with make(small.url) as store:
        actor = Actor()
        phone, mail = await two(store, actor)
        merge = actor.merge(phone, mail)
        apart, one = (ONE, OTHER), (ONE + OTHER, ONE + OTHER)
        if what == "split":
            await store.identify(merge)
        claim = merge if what == "merge" else await parts(store, actor, phone, mail)
        before, then = (apart, one) if what == "merge" else (one, apart)
        full_at(small, store, number)
        told = ""
        try:
            told = (await store.identify(claim)).status
        except errors.StoreFull:
            told = "nothing was changed"
        except errors.OutcomeUnknown:
            told = "under way"
        small.command("CONFIG", "SET", "maxmemory", "0")
        async with make(small.url, prefix=store.settings.prefix) as other:
            theirs = await words(other, actor, MAIL)
            found = await words(other, actor, PHONE), theirs
        assert found == (before if told == "nothing was changed" else then)


def full_at(server, store, number):
    """From the store's write of this number on the server has no memory left."""
    write, written = store._ground.courier.write, []

    async def writes(*args, **more):
        written.append(1)
        if len(written) == number:
            server.command("CONFIG", "SET", "maxmemory", "1")
        return await write(*args, **more)

    store._ground.courier.write = writes


async def test_an_id_that_has_expired_does_not_hide_one_that_came_anew(server):
    """Both have talked under the same id, the part long ago: who waits for an answer gets one."""
    async with make(server.url) as store:
        actor = Actor()
        mail = (await answered(store, actor, MAIL, "2")).context.contact.id
        await store.open(actor.claim("2 asks", message_id="old", address=MAIL, lease_seconds=0.0,
                                     remember_seconds=10.0))  # fmt: skip
        actor.now += 20_000
        waits = actor.claim("still there?", message_id="old")
        opened = await store.open(waits)
        phone = opened.context.contact.id
        await store.identify(actor.merge(phone, mail))
        actor.now += 60_000
        again = await store.open(replace(waits, resumes=opened.seq, now=actor.now))
        assert (again.status, again.resumed, again.seq) == ("new", True, opened.seq)


async def test_an_id_leads_on_through_as_many_merges_as_there_were(server):
    async with make(server.url) as store:
        actor, chats = Actor(), [Address("chat", f"visitor {n}") for n in range(25)]
        opened = [await answered(store, actor, chat, chat.value) for chat in chats]
        ids = [one.context.contact.id for one in opened]
        for part, into in pairwise(ids):
            assert (await store.identify(actor.merge(into, part))).status == "merged"
        prefix = store.settings.prefix
        async with make(server.url, prefix=prefix) as one, make(server.url, prefix=prefix) as other:
            assert len(await words(one, actor, chats[0])) == 50
            note = actor.note(ids[0], actor.message("by the oldest id"))
            assert isinstance(await other.commit(note), Committed)
        async with make(server.url, prefix=prefix) as one:
            again = await one.open(actor.claim("again", message_id="again", address=chats[0]))
            assert again.context.contact.id == ids[-1]


async def test_an_id_that_both_have_hides_nobody_who_waits(server):
    """Ids that senders write are theirs to repeat: the part was answered, the other waits."""
    async with make(server.url) as store:
        actor = Actor()
        mail = (await answered(store, actor, MAIL, "same")).context.contact.id
        waits = actor.claim("still there?", message_id="same")
        opened = await store.open(waits)
        await store.identify(actor.merge(opened.context.contact.id, mail))
        actor.now += 60_000
        again = await store.open(replace(waits, resumes=opened.seq, now=actor.now))
        assert (again.status, again.resumed, again.seq) == ("new", True, opened.seq)
