"""The store of a storm, and stores that are broken on purpose: the account must show them."""

import asyncio

from msgspec.structs import replace

from ctxbridge.model import Change, Claim, Committed, Opened, RecordRead, RecordWrite, Refused
from ctxbridge.ports import Store
from ctxbridge.stores import open_store
from ctxbridge.testing.storm.around import Around
from ctxbridge.testing.storm.plan import Plan


class Unfenced(Around):
    """Commits without the lease: a worker that lost it stores its answer all the same."""

    async def commit(self, change: Change, /) -> Committed | Refused:
        outcome = await self._store.commit(change)
        if isinstance(outcome, Refused) and change.finished and change.fence is not None:
            turn = bytes(reversed(change.turn))
            late = replace(change, fence=None, turn=turn, amend=(), joined=())
            return await self._store.commit(late)
        return outcome


class Forgetful(Around):
    """Does not know a message again: every webhook is new."""

    async def open(self, claim: Claim, /) -> Opened:
        return await self._store.open(_as_new(claim))


class Aside(Around):
    """Remembers the ids of messages, but not in the step that stores them."""

    async def open(self, claim: Claim, /) -> Opened:
        scope, name = "seen", claim.message.message_id
        seen = await self._store.records(RecordRead(claim.tenant, scope, name, claim.now))
        if seen is not None and seen.value is not None:
            id = seen.value.decode()
            return await self._store.open(
                replace(claim, message=replace(claim.message, message_id=id))
            )
        new = _as_new(claim)
        await asyncio.sleep(0)  # between two steps of a store others get their turn
        opened = await self._store.open(new)
        id = new.message.message_id
        life = claim.remember_seconds
        await self._store.records(
            RecordWrite(
                claim.tenant, scope, name, claim.now, id.encode(), lifetime_seconds=life
            )
        )  # fmt: skip
        return opened


def _as_new(claim: Claim) -> Claim:
    """The claim under an id that nobody has seen."""
    if claim.resumes:
        return claim
    id = f"{claim.message.message_id}#{claim.turn.hex()}"
    return replace(claim, message=replace(claim.message, message_id=id))


class Hasty(Around):
    """Acknowledges a commit that it drops now and then, as one would that is only in memory."""

    _count = 0

    async def commit(self, change: Change, /) -> Committed | Refused:
        if not change.finished or change.fence is None:
            return await self._store.commit(change)
        self._count += 1
        if self._count % 10:
            return await self._store.commit(change)
        await self._store.commit(replace(change, append=(), deliveries=(), joined=()))
        return Committed(1, 0)


class Insistent(Around):
    """Takes every provider for one that knows a key again, and sends again after a crash."""

    async def commit(self, change: Change, /) -> Committed | Refused:
        deliveries = tuple(replace(one, repeatable=True) for one in change.deliveries)
        return await self._store.commit(replace(change, deliveries=deliveries))


VARIANTS: dict[str, type[Around]] = {
    "real": Around,
    "unfenced": Unfenced,
    "forgetful": Forgetful,
    "aside": Aside,
    "hasty": Hasty,
    "insistent": Insistent,
}


def store_of(plan: Plan) -> Store:
    """The store that a plan asks for."""
    return VARIANTS[plan.variant](open_store(plan.url, **plan.store))
