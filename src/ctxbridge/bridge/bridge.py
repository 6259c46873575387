"""The bridge: one tenant's conversations over one store."""

import re
from collections.abc import Sequence
from typing import Any, Generic, TypeVar, overload

from ctxbridge.bridge.clock import SystemClock, Uuid7
from ctxbridge.bridge.line import Lines
from ctxbridge.bridge.state import StateCodec
from ctxbridge.bridge.turn import Turn
from ctxbridge.errors import AddressTaken, ConfigurationError, UnknownContact, UsageError
from ctxbridge.guards import automatic, opt_out, pii
from ctxbridge.model import Address, Assurance, Contact, Context, Inbound, Link, LinkClaim, Query
from ctxbridge.ports import Clock, Guard, Ids, Store
from ctxbridge.stores import open_store
from ctxbridge.wire.checked import checked

StateT = TypeVar("StateT")
RedisClient = Any
"""A client of `redis.asyncio`: `Redis` or `RedisCluster`. Nothing of redis is imported for it."""

DAY_SECONDS = 86_400.0
WEEK_SECONDS = 7 * DAY_SECONDS


_CONTACT_ID = re.compile(r"[0-9a-f]{32}")


class Bridge(Generic[StateT]):
    """What a team holds: opens turns, looks up contexts, links addresses.

    `store` is a store or its address (``"sqlite:///support.db"``, ``"redis://host:port"``, see
    `open_store`), or a client of `redis.asyncio` whose settings are taken over. `tenant` says
    whose customers these are; contexts of two tenants never meet, whatever the ids. `state` is the
    type of the conversation's state: a pydantic or msgspec model whose fields have defaults.
    `guards` replace the built-in ones (`opt_out`, `automatic`, `pii`); that nothing leaves against
    a contact's consent holds with any of them. `window` is how many entries a turn's context shows.

    A turn may take `lease_seconds`; a message that comes while another turn is running waits for it
    up to `wait_seconds`. Message ids are remembered for `remember_seconds`, and never for less than
    the provider of a message may repeat it.

    Use it as ``async with bridge:``; a store that it was given stays open behind it.
    """

    @overload
    def __init__(
        self: "Bridge[dict[str, Any]]",
        store: Store | RedisClient | str,
        *,
        tenant: str,
        guards: Sequence[Guard] | None = None,
        window: int = 20,
        lease_seconds: float = 60.0,
        wait_seconds: float = 30.0,
        remember_seconds: float = WEEK_SECONDS,
        clock: Clock | None = None,
        ids: Ids | None = None,
    ) -> None: ...
    @overload
    def __init__(
        self: "Bridge[StateT]",
        store: Store | RedisClient | str,
        *,
        tenant: str,
        state: type[StateT],
        guards: Sequence[Guard] | None = None,
        window: int = 20,
        lease_seconds: float = 60.0,
        wait_seconds: float = 30.0,
        remember_seconds: float = WEEK_SECONDS,
        clock: Clock | None = None,
        ids: Ids | None = None,
    ) -> None: ...
    def __init__(
        self,
        store: Store | RedisClient | str,
        *,
        tenant: str,
        state: Any = dict,
        guards: Sequence[Guard] | None = None,
        window: int = 20,
        lease_seconds: float = 60.0,
        wait_seconds: float = 30.0,
        remember_seconds: float = WEEK_SECONDS,
        clock: Clock | None = None,
        ids: Ids | None = None,
    ) -> None:
        if not tenant:
            raise ConfigurationError("tenant is empty: name whose customers these are")
        if not (
            window >= 1
            and 0 < lease_seconds <= DAY_SECONDS
            and 0 <= wait_seconds <= DAY_SECONDS
            and WEEK_SECONDS <= remember_seconds <= 3_660 * DAY_SECONDS
        ):
            raise ConfigurationError(
                "window must be positive, lease_seconds and wait_seconds at most a day, and "
                "message ids are remembered for seven days to ten years (remember_seconds=604800)"
            )
        self.tenant = tenant
        self.store: Store = store if isinstance(store, Store) else open_store(store)
        self.guards: tuple[Guard, ...] = tuple(
            (opt_out(), automatic(), pii()) if guards is None else guards
        )
        self.codec: StateCodec[StateT] = StateCodec(state)
        self.window = window
        self.lease_seconds = lease_seconds
        self.wait_seconds = wait_seconds
        self.remember_seconds = remember_seconds
        self.clock: Clock = clock or SystemClock()
        self.ids: Ids = ids or Uuid7()
        self.lines = Lines()
        self._owns_store = self.store is not store

    def __repr__(self) -> str:
        return f"<Bridge tenant={self.tenant!r} {self.store!r}>"

    async def __aenter__(self) -> "Bridge[StateT]":
        await self.store.check()
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._owns_store:
            await self.store.aclose()

    def turn(self, inbound: Inbound, /) -> Turn[StateT]:
        """The turn of a message: ``async with bridge.turn(inbound) as turn``. See `Turn`."""
        return Turn(self, inbound)

    async def context(
        self,
        address: Address | str,
        /,
        *,
        window: int | None = None,
        assurance: Assurance = Assurance.AUTHENTICATED,
        fresh: bool = False,
    ) -> Context:
        """What is known of an address, without opening a turn; one look-up.

        `window` is the number of entries (0: the whole conversation). `assurance` is whose eyes to
        use: the default is the tenant's own, who sees all. `fresh` goes past the near cache of a
        store that has one. `Context.contact` is `None` for somebody never seen.
        """
        where = Address.parse(address) if isinstance(address, str) else address
        size = self.window if window is None else window
        if size < 0:
            raise UsageError("window is the number of entries, or 0 for the whole conversation")
        return await self.store.read(Query(self.tenant, where, assurance, size, fresh))

    async def link(
        self,
        contact: Contact | Address | bytes | str,
        address: Address | str,
        /,
        *,
        evidence: str,
        assurance: Assurance = Assurance.AUTHENTICATED,
        source: str = "tenant",
    ) -> Contact:
        """Say that `address` belongs to `contact`, from now on: both lead to one conversation.

        `contact` is a contact, its id (bytes, or 32 hexadecimal digits), or one of its addresses;
        an address that nobody has written from founds a new contact. `evidence` is what the claim
        rests on (``"crm:4711"``); it is stored. `assurance` is how far the link is to be trusted:
        across channels it shows history from `CHANNEL` upwards.

        Raises `Malformed` for a field of a wrong type, `AddressTaken` if the address already has a
        history under another contact, and `UnknownContact` for an id that is not stored.
        """
        whose = contact.id if isinstance(contact, Contact) else contact
        if isinstance(whose, str):
            whose = bytes.fromhex(whose) if _CONTACT_ID.fullmatch(whose) else Address.parse(whose)
        where = Address.parse(address) if isinstance(address, str) else address
        now = self.clock.now()
        link = checked(Link(where, assurance, evidence, source, now))
        claim = LinkClaim(self.tenant, whose, link, self.ids.new(), self.ids.new(), now)
        answer = await self.store.identify(claim)
        if answer.status == "taken":
            raise AddressTaken("the address already has a history under another contact")
        if answer.contact is None:
            raise UnknownContact("no contact is stored under this id")
        return answer.contact
