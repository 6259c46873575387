"""Where things lie on the server. This file is the grammar of the keys.

::

    cb:{a7}:<hash>       list    a conversation: entries, head, contact, state; or one forward
    cb:{a7}:<hash>:i     hash    the message ids and the answers that it remembers
    cb:{a7}:<hash>:o     hash    its outbox: deliveries, and what providers' ids name
    cb:{a7}:<hash>:m     hash    what undoes merges, by contact; splits under way, by > and contact
    cb:{a7}:<hash>:v     list    set aside on the way into another; beside it :vi, :vo, :vm
    cb:{a7}:d:<hash>     zset    what of a tenant is to be looked after, and when
    cb:{a7}:x:<hash>     zset    a tenant's deliveries that are dead, and when they are forgotten
    cb:{a7}:k:<hash>     string  a tenant's control, the same in every shard
    cb:{a7}:c:<hash>     string  where the contact of this id lives: the hash of the list
    cb:{a7}:r:<hash>     string  a record
    cb:{a7}:b            string  written before each WAIT, so that it waits for something
    cb:{00}:store        hash    what this store is: format, number of shards, epoch

``cb`` is the prefix, which a store may choose; ``a7`` the shard, which is also the hash tag that
puts all of a conversation into one slot of a Cluster. A hash is 16 bytes of BLAKE2b over tenant and
address (or id, or name, or the tenant alone) in base64url: no address, id or name of a person is
ever in a key.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections import OrderedDict
from collections.abc import Hashable
from typing import Any, TypeVar

from ctxbridge.model import Address
from ctxbridge.stores.redis.request import TAIL, Request
from ctxbridge.stores.redis.resp import bulk, pack
from ctxbridge.wire.keys import address_key, contact_key, record_key, tenant_key

T = TypeVar("T")


class Place:
    """Where one list lies, and the highest `seq` that this process was told of it."""

    __slots__ = ("_look", "_window", "hash", "ids", "key", "met", "script_keys", "seq", "shard")

    def __init__(self, keys: "Keys", hash: bytes) -> None:
        self.hash = hash
        self.shard = hash[0] % keys.shards
        self.key = keys.named(self.shard, _text(hash))
        self.ids = self.key + b":i"
        self.script_keys = bulk(self.key) + bulk(self.ids)
        self.seq = 0
        self.met = False
        """Whether it is known whose it is."""
        self._window = -1
        self._look: Request | None = None

    @property
    def outbox(self) -> bytes:
        """Where its deliveries are."""
        return self.key + b":o"

    @property
    def notes(self) -> bytes:
        """What is noted of merges and splits."""
        return self.key + b":m"

    @property
    def all_of_it(self) -> tuple[bytes, ...]:
        """List, ids, outbox and notes."""
        return self.key, self.ids, self.outbox, self.notes

    @property
    def aside(self) -> tuple[bytes, ...]:
        """The same four while they are on their way into another conversation."""
        return tuple([self.key + name for name in (b":v", b":vi", b":vo", b":vm")])

    def look(self, window: int) -> Request:
        """What asks for the newest `window` entries (0: all) and what stands behind them."""
        look = self._look
        if look is None or window != self._window:
            start = b"0" if not window else b"-%d" % (window + TAIL)
            look = Request((pack(b"LRANGE", self.key, start, b"-1"),), looks=True)
            self._look, self._window = look, window
        return look


class Agenda:
    """What is to be looked after in one shard for one tenant, what is dead there; its control."""

    __slots__ = ("control", "dead", "due", "script_key", "script_keys", "tenant")

    def __init__(self, keys: "Keys", tenant: str, shard: int) -> None:
        self.tenant = tenant_key(tenant)
        name = _text(self.tenant)
        self.due = keys.named(shard, f"d:{name}")
        self.dead = keys.named(shard, f"x:{name}")
        self.control = keys.named(shard, f"k:{name}")
        self.script_key = bulk(self.due)
        self.script_keys = self.script_key + bulk(self.control)


class Memory(OrderedDict[Any, T]):
    """Remembers at most `most` things that can be found out again; the oldest go first.

    A plain dict would do, were it not slow at letting go of its first key again and again.
    """

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most

    def learn(self, key: Hashable, value: T) -> T:
        """Remember `value`."""
        if key not in self and len(self) >= self._most:
            self.popitem(last=False)
        self[key] = value
        return value


class Keys:
    """The keys of one store; places that were worked out are remembered."""

    def __init__(self, prefix: str, shards: int, most: int) -> None:
        self.shards = shards
        self._prefix = prefix.encode()
        self._lists: Memory[Place] = Memory(most)
        self._addresses: Memory[Place] = Memory(most)
        self._agendas: Memory[Agenda] = Memory(most)
        self._generations: Memory[int] = Memory(most)
        self.homes: Memory[Place] = Memory(most)
        self.contacts: Memory[Place] = Memory(most)

    def forget(self) -> None:
        """Work everything out anew; nobody was told of any `seq`."""
        for remembered in (self._lists, self._addresses, self.homes, self.contacts):
            remembered.clear()
        self._generations.clear()

    def named(self, shard: int, name: str) -> bytes:
        """The key `name` in a shard."""
        return b"%b:{%02x}:%b" % (self._prefix, shard, name.encode())

    def pattern(self, characters: int) -> bytes:
        """What the keys of lists match, and others of that length."""
        return b"%b:{??}:%b" % (self._prefix, b"?" * characters)

    def hash_in(self, key: bytes) -> bytes | None:
        """The hash in the key of a list; `None` for a key that is none of ours."""
        *_, name = key.split(b":")
        try:
            hash = urlsafe_b64decode(name + b"==")
        except ValueError:
            return None
        return hash if len(hash) == 16 and self.at(hash).key == key else None

    def at(self, hash: bytes) -> Place:
        """The list that has this hash."""
        place = self._lists.get(hash)
        return place or self._lists.learn(hash, Place(self, hash))

    def of_address(self, tenant: str, address: Address) -> Place:
        """The list that an address has of its own; what it says may be a forward to another."""
        place = self._addresses.get((tenant, address))
        if place is None:
            place = self.at(address_key(tenant, address))
            self._addresses.learn((tenant, address), place)
        return place

    def own_place(self, tenant: str, address: Address, generation: int) -> Place:
        """The list of its own that an address has in this generation."""
        return self.at(address_key(tenant, address, generation))

    def pass_on(self, tenant: str, address: Address) -> Place:
        """Somebody else lives where the address had its list: the next one it may have."""
        generation = self._generations.get((tenant, address), 0) + 1
        self._generations.learn((tenant, address), generation)
        place = self.own_place(tenant, address, generation)
        return self._addresses.learn((tenant, address), place)

    def forget_home(self, tenant: str, address: Address) -> None:
        """Where an address leads to is to be found out anew."""
        for known in (self.homes, self._addresses, self._generations):
            known.pop((tenant, address), None)

    def home_of(self, tenant: str, address: Address) -> Place:
        """The list that an address is known to lead to; else the one of its own."""
        home = self.homes.get((tenant, address))
        return home or self.homes.learn((tenant, address), self.of_address(tenant, address))

    def learn_home(self, tenant: str, address: Address, home: Place) -> None:
        """An address was found to live at `home`: its forward need not be read again."""
        self.homes.learn((tenant, address), home)

    def learn_contact(self, tenant: str, contact: bytes, home: Place) -> None:
        """A contact was found to live at `home`: its pointer need not be read again."""
        self.contacts.learn((tenant, contact), home)

    def agenda(self, tenant: str, shard: int) -> Agenda:
        """What is to be looked after in a shard for a tenant."""
        agenda = self._agendas.get((tenant, shard))
        return agenda or self._agendas.learn((tenant, shard), Agenda(self, tenant, shard))

    def born_at(self, id: bytes, place: Place) -> bytes:
        """The id as a contact gets it whose first list is `place`: its last byte is the shard."""
        return id[:15] + bytes([place.shard])

    def pointer(self, tenant: str, contact: bytes) -> tuple[int, bytes]:
        """The shard and the key of where a contact is found by its id."""
        shard = contact[-1] % self.shards if contact else 0
        return shard, self.named(shard, f"c:{_text(contact_key(tenant, contact))}")

    def record(self, tenant: str, scope: str, name: str) -> tuple[int, bytes]:
        """The shard and the key of a record."""
        hash = record_key(tenant, scope, name)
        shard = hash[0] % self.shards
        return shard, self.named(shard, f"r:{_text(hash)}")

    def barrier(self, shard: int) -> bytes:
        """What is written before a WAIT."""
        return self.named(shard, "b")

    @property
    def store(self) -> bytes:
        """What this store is."""
        return self.named(0, "store")


def _text(hash: bytes) -> str:
    return urlsafe_b64encode(hash)[:22].decode()
