"""What the tests of the sealed store share: keys, and a hand behind its back."""

from msgspec.structs import replace

from ctxbridge.model import Opaque
from ctxbridge.testing.actor import PHONE

KEYS = {"k1": bytes(range(32)), "k2": bytes(range(32, 64))}


def keys_with(newest="k1", keys=KEYS):
    """A source that has `keys`, of which `newest` is the newest."""

    def key(tenant, id):
        return id or newest, keys[id or newest]

    return key


class Inside:
    """The memory store that lies inside a sealed one, to reach behind its back."""

    def __init__(self, inner):
        self.inner = inner

    def home(self, address=PHONE, tenant="acme"):
        home = self.inner._addresses[tenant, address]
        home.views.clear()
        return home

    def data(self, home, place):
        return home.entries[place].parts[0].data

    def put(self, home, place, data):
        entry = home.entries[place]
        home.entries[place] = replace(entry, parts=(Opaque(entry.parts[0].kind, data),))


async def use(store, actor):
    """The texts and the state of the actor's conversation."""
    context = await store.read(actor.query())
    return [m.text for m in context.messages], context.state
