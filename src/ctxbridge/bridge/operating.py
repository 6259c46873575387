"""What operators ask of a bridge: why, what is stored, what is dead, what else would have been."""

from collections.abc import AsyncIterator, Sequence
from typing import Any, Literal

from ctxbridge.bridge.erasing import Certificate, erase
from ctxbridge.bridge.explaining import Explained, explain
from ctxbridge.bridge.exporting import export
from ctxbridge.bridge.rejudging import Rejudged, rejudge
from ctxbridge.bridge.retention import expire
from ctxbridge.model import Address, Delivery, Found, Scan
from ctxbridge.ports import Guard


class Operating:
    """A part of `Bridge`: nothing here stands in the way of a turn."""

    async def explain(
        self: Any, turn: str, /, *, address: Address | str | None = None
    ) -> tuple[Explained, ...]:
        """What was decided in the turn of this id, or whose id begins with it (8 digits or more).

        Without an `address` of its contact the whole store is looked through, so that is for
        operators. Nothing for a turn that is not stored; several where the digits fit several.
        Raises `UsageError` for what is no id.
        """
        return await explain(self, turn, address)

    def rejudge(
        self: Any,
        guards: Sequence[Guard],
        /,
        *,
        since: int = 0,
        until: int | None = None,
        address: Address | str | None = None,
    ) -> AsyncIterator[Rejudged]:
        """Ask other guards of what was stored from `since` to `until` (Unix milliseconds).

        Each message is judged with the context as it was then, but for the contact, which is as it
        is now; guards with a state start afresh. Nothing is written. Of one contact where an
        `address` is given, else of all: then the whole store is read.
        """
        return rejudge(self, guards, since=since, until=until, address=address)

    def export(self: Any, address: Address | str, /) -> AsyncIterator[dict[str, Any]]:
        """All that is stored of the contact of `address`, as objects that JSON can hold.

        The contact with links and consents, the conversation, its states (the team's and the
        guards'), every message and event with decisions, and deliveries that have not left, failed
        or are unknown. Not in it: records, and what lies elsewhere (the provider, traces, backups).
        Raises `UnknownContact`.
        """
        return export(self, address)

    async def erase(self: Any, address: Address | str, /) -> Certificate:
        """Erase the contact of `address` with their whole conversation, and certify it.

        All addresses of theirs, words, states, decisions, evidence and deliveries are gone at once,
        on every worker; a turn that runs can store nothing any more, and what was prepared does not
        leave. A webhook that comes late is a duplicate of nothing. Who writes again is new.

        What stays is a keyed hash of each address and message id, and that they said STOP, if they
        did. The certificate tells what remains elsewhere. Records that you wrote under a name of
        your own are yours to delete, and so are LangGraph's checkpoints (`delete_thread`). Raises
        `UnknownContact`, `StoreError`.
        """
        where = self.canonical(address)
        return await erase(self, where)

    async def expire(self: Any, /, *, silent_days: float) -> tuple[Certificate, ...]:
        """Erase each conversation, whole, in which nothing was written for `silent_days`.

        As `erase` does it; what waits for an answer stays, and who writes meanwhile is spared. The
        store is read from end to end, so run it at night. Raises `UsageError`, `StoreError`.
        """
        return await expire(self, silent_days)

    async def deliveries(
        self: Any, what: Literal["pending", "dead"] = "dead", /, *, limit: int = 100
    ) -> Sequence[Found]:
        """What has not left yet (``pending``), or failed or is unknown (``dead``), oldest first."""
        found: Sequence[Found] = await self.store.scan(
            Scan(self.tenant, self.clock.now(), what, limit)
        )
        return found

    async def replay(self: Any, dead: Found, /) -> Delivery | None:
        """Send a dead delivery again, in the next sweep; the gate is asked anew.

        What is ``unknown`` may have arrived: then it arrives twice. `None` where it is not there.
        """
        back: Delivery | None = await self.outbox.replay(dead)
        return back
