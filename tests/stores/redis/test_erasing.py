"""Erasure as other processes see it: nobody takes it for a store that was rolled back."""

from ctxbridge.model import Refused
from ctxbridge.testing.actor import Actor, texts

from .conftest import make


async def test_a_worker_elsewhere_is_refused_and_goes_on(server):
    actor = Actor()
    async with make(server.url) as one, make(server.url, prefix=one.settings.prefix) as other:
        first = await other.open(actor.claim())
        await other.commit(actor.change(first, "ok"))
        running = await other.open(actor.claim("more", message_id="SM2"))
        assert (await one.erase(actor.erase())).status == "erased"
        late = await other.commit(actor.change(running, "late"))
        assert isinstance(late, Refused)
        assert late.reason in {"unknown", "fenced"}
        again = await other.open(actor.claim("more", message_id="SM2"))
        assert (again.status, again.answer) == ("duplicate", ())
        fresh = await other.open(actor.claim("new", message_id="SM3"))
        assert (fresh.status, texts(fresh.context)) == ("new", ["new"])
