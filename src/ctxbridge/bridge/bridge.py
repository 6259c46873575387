"""The bridge: one tenant's conversations over one store."""

from collections.abc import Sequence
from typing import Any, Generic, TypeVar, Unpack, overload

import anyio
from msgspec.structs import replace

from ctxbridge.bridge.accepting import Acceptances, Accepted
from ctxbridge.bridge.controlling import Controlled
from ctxbridge.bridge.floor import Handoffs
from ctxbridge.bridge.gating import SendGate
from ctxbridge.bridge.identity import Identity
from ctxbridge.bridge.leases import Leases
from ctxbridge.bridge.line import Lines
from ctxbridge.bridge.noticing import notice
from ctxbridge.bridge.operating import Operating
from ctxbridge.bridge.persons import Persons
from ctxbridge.bridge.proofs import Proofs
from ctxbridge.bridge.recovery import Agent, recover
from ctxbridge.bridge.releases import Releases
from ctxbridge.bridge.replying import GATE_OF_AGENT
from ctxbridge.bridge.sending import Letter, Written, write
from ctxbridge.bridge.settings import Options, settings_of
from ctxbridge.bridge.steering import ROLLED_BACK, Steering
from ctxbridge.bridge.sweeping import sweep
from ctxbridge.bridge.turn import Turn
from ctxbridge.bridge.watching import Watching
from ctxbridge.delivery import Outbox
from ctxbridge.errors import ConfigurationError, Halted, Malformed, Overdue, UsageError
from ctxbridge.guards.panel import Panel
from ctxbridge.model import (
    Address,
    Assurance,
    Choice,
    Context,
    Delivery,
    Endpoint,
    Inbound,
    Notice,
    Purpose,
    Query,
    Receipt,
)
from ctxbridge.ports import Store
from ctxbridge.rules.addresses import canonical
from ctxbridge.stores import open_store, seal_around
from ctxbridge.wire.checked import checked
from ctxbridge.wire.typed import StateCodec

StateT = TypeVar("StateT")
RedisClient = Any
"""A client of `redis.asyncio`: `Redis` or `RedisCluster`. Nothing of redis is imported for it."""


class Bridge(Identity, Persons, Proofs, Operating, Controlled, Generic[StateT]):
    """What a team holds: opens turns, looks up contexts, links addresses, sends replies.

    `store` is a store or its address (``"sqlite:///support.db"``, ``"redis://host:port"``, see
    `open_store`), or a client of `redis.asyncio` whose settings are taken over. `tenant` says
    whose customers these are; contexts of two tenants never meet, whatever the ids. `state` is the
    type of the conversation's state: a pydantic or msgspec model whose fields have defaults.

    Options, each with its default:

    - `guards` replace the built-in ones (`opt_out`, `automatic`, `pii`); that nothing leaves
      against a contact's consent holds with any of them.
    - `senders` take replies to their providers, one for each channel (`ctxbridge.delivery.senders`,
      or your own `Sender`). Replies on other channels are yours to send (`Turn.answer`). The bridge
      closes them.
    - `seal` gives the tenant's keys, and what customers say is encrypted before it is stored: a
      function, plain or async, of the tenant and a key's id (`None` for the newest) to
      ``(id, 32 bytes)``. Needs the extra `crypto`.
    - `overlap="merge"` says what happens to a message that comes while another turn is running:
      ``merge``, ``queue``, ``supersede``, ``reject``, or an `Overlap`, for all channels or in a
      mapping for each.
    - `access` is an `AccessPolicy` (of `ctxbridge.model`): how sure we must be of whoever writes
      before they are shown something.
    - `subaddressing` names the mail domains (``"*"``: all) at which what stands behind a plus is no
      other mailbox (RFC 5233): there ``ann+shop@`` and ``ann@`` are one person. By default nowhere.
    - `markdown=False` says whether agents write Markdown: true, or the channels on which they do.
      It is then shown as each channel can show it, with the extra `render`. Else texts leave as
      they are.
    - `window=20` is how many entries a turn's context shows, `backlog=128` how many messages of a
      conversation may wait.
    - `lease_seconds=60` is how long a worker is believed to live without a word; a turn is renewed
      while its block runs, up to `longest_turn_seconds=600`.
    - `wait_seconds=30` is how long a message waits for its turn.
    - `drain_seconds=20` is how long turns of messages that were accepted may go on while the bridge
      is left; then they are given back.
    - `remember_seconds=604800` is how long message ids are remembered: never less than seven days,
      and never less than the provider of a message may repeat it.
    - `code_secret` keys what is stored of one-time codes (`challenge`): 32 random bytes, or several
      secrets while one is being replaced; the same in every process. Without, whoever can read the
      store while a code is good can find it out by trying all.
    - `control_fails="closed"` says what holds while the tenant's control cannot be read (it is of a
      newer release of this library): ``closed``, and nothing is said, or ``open``, and what was
      known before goes on.
    - `settle_seconds=3600` is how long after its first answer the outcome of a conversation is told
      to the trial of a canary (`control.canary`).
    - `escalations="note"` says what a guard's `escalate` does besides: the log notes it, or with
      ``offer`` the floor is offered to a colleague too (`floor`).
    - `offer_seconds=3600` is how long an offer of the floor stands before the agent has it again; 0
      for ever. `helpdesk` is a `Helpdesk` that is told of handoffs. The bridge closes it.
    - `clock` and `ids` are for tests.

    Use it as ``async with bridge:``; a store that it was given stays open behind it.
    """

    @overload
    def __init__(
        self: "Bridge[dict[str, Any]]",
        store: Store | RedisClient | str,
        *,
        tenant: str,
        **options: Unpack[Options],
    ) -> None: ...
    @overload
    def __init__(
        self: "Bridge[StateT]",
        store: Store | RedisClient | str,
        *,
        tenant: str,
        state: type[StateT],
        **options: Unpack[Options],
    ) -> None: ...
    def __init__(
        self,
        store: Store | RedisClient | str,
        *,
        tenant: str,
        state: Any = dict,
        **options: Unpack[Options],
    ) -> None:
        if not tenant:
            raise ConfigurationError("tenant is empty: name whose customers these are")
        self.tenant = tenant
        self.settings = settings_of(options)
        self.clock, self.ids = self.settings.clock, self.settings.ids
        self.codec: StateCodec[StateT] = StateCodec(state)
        self.store: Store = store if isinstance(store, Store) else open_store(store)
        self._owns_store = self.store is not store
        seal = options.get("seal")
        if seal is not None:
            self.store = seal_around(self.store, seal)
        self.lines = Lines()
        self.panel = Panel(self.settings.guards, tenant, GATE_OF_AGENT)
        self.leases = Leases(self.store, tenant, self.settings)
        self.releases = Releases(self)
        self.steering = Steering(self, self.settings.control_fails)
        self.watching = Watching(self, self.settings.settle_seconds)
        senders = options.get("senders", ())
        self.outbox = Outbox(
            self.store, tenant, senders, self.clock, self.ids, SendGate(self), self.steering
        )
        self.acceptances = Acceptances(self)
        self.floor = Handoffs(self)
        """Who may speak: the agent, or a colleague. See `Handoffs`."""
        self.helpdesk = options.get("helpdesk")
        self._runs = 0

    def __repr__(self) -> str:
        return f"<Bridge tenant={self.tenant!r} {self.store!r}>"

    async def __aenter__(self) -> "Bridge[StateT]":
        await self.store.check()
        await self.steering.refresh()
        await self.control.deployed()
        self.acceptances.open()
        return self

    async def __aexit__(self, *exc: object) -> None:
        with anyio.CancelScope(shield=True):
            await self.acceptances.aclose(self.settings.drain_seconds)
            await self.watching.aclose()
            await self.leases.aclose()
            await self.outbox.aclose()
            if self.helpdesk is not None:
                await self.helpdesk.aclose()
            if self._owns_store:
                await self.store.aclose()

    def turn(self, inbound: Inbound, /) -> Turn[StateT]:
        """The turn of a message: ``async with bridge.turn(inbound) as turn``. See `Turn`."""
        return Turn(self, inbound)

    async def answer(self, inbound: Inbound, agent: Agent, /) -> Turn[StateT]:
        """One whole turn: enter it, let `agent` think where it is open, leave it.

        `agent` is an async function that takes the turn and gives the reply's text, or `None` where
        it has called `Turn.reply` itself or has nothing to say. Raises what entering and leaving a
        turn raise, `Overdue` if the agent takes longer than `longest_turn_seconds`, and whatever
        the agent raises.
        """
        return await self.think(self.turn(inbound), agent)

    async def accept(
        self, inbound: Inbound, agent: Agent | None = None, /, *, answers: bool = False
    ) -> Accepted:
        """Store a message, so that it can be acknowledged, and let `agent` think behind that.

        It is stored once this returns. Its turn goes on as with `answer`, in the background and
        under the lease that it got with the storing; should this process die, `run` takes it up,
        here or elsewhere. Without `agent` that is so from the start. What an agent raises is
        logged, and its turn waits to be taken up.

        Leaving the bridge lets such turns end for `drain_seconds` and then gives them back. With
        `answers`, a repetition waits for the turn that answers its message, so that
        `Accepted.answer` has something to give.

        Raises what entering a turn raises, but for the wait: nothing is waited for. Where it is
        cancelled, the message may be stored all the same.
        """
        return await self.acceptances.accept(self.turn(inbound), agent, answers=answers)

    async def think(self, turn: Turn[StateT], agent: Agent, /) -> Turn[StateT]:
        """As `answer`, for a turn that was not entered yet.

        Where its release is rolled back meanwhile, the next takes the message up at once: then it
        is another turn that comes back.
        """
        while True:
            try:
                return await self._think_once(turn, agent)
            except Halted as halted:
                if halted.code != ROLLED_BACK:
                    raise
                turn = turn.anew()

    async def _think_once(self, turn: Turn[StateT], agent: Agent) -> Turn[StateT]:
        async with turn:
            if turn.open:
                text = None
                with anyio.move_on_after(self.settings.longest_turn_seconds) as scope:
                    turn.when_stopped(scope.cancel)
                    text = await agent(turn)
                if scope.cancelled_caught and turn.open:
                    raise Overdue("the agent took too long; the message waits to be taken up again")
                if text and turn.open:
                    turn.reply(text)
        return turn

    async def run(self, agent: Agent | None = None, /, *, sweep_seconds: float = 1.0) -> None:
        """Take up turns whose worker died, send what is due, end offers, until cancelled.

        Run it beside your service, in each of its processes: ``group.start_soon(bridge.run,
        agent)``. Without `agent` turns are left to the providers' retries. A store that cannot be
        reached is tried again.
        """
        self._runs += 1
        try:
            async with anyio.create_task_group() as group:
                if agent is not None:
                    group.start_soon(sweep, lambda: self.recover(agent), sweep_seconds)
                group.start_soon(sweep, self.dispatch, sweep_seconds)
                group.start_soon(self.steering.watch, sweep_seconds)
                group.start_soon(sweep, self.watching.settle, sweep_seconds)
                group.start_soon(sweep, self.floor.end_offers, sweep_seconds)
                if self.helpdesk is not None:
                    group.start_soon(sweep, self.floor.tell_helpdesk, sweep_seconds)
        finally:
            self._runs -= 1

    @property
    def runs(self) -> bool:
        """Whether `run` is running in this process."""
        return self._runs > 0

    async def recover(self, agent: Agent, /) -> int:
        """Take up the turns that nobody works on, once; how many there were. Scans no keys.

        Those are turns whose worker died or gave them back. One that keeps failing is tried ever
        less often, and given up after a day: it ends without a reply, and the log says so
        (`turn.given_up`).
        """
        return await recover(self, agent)

    async def send(
        self,
        address: Address | str,
        text: str,
        /,
        *,
        endpoint: Endpoint | None = None,
        purpose: Purpose = "service",
        subject: str = "",
        key: str = "",
        choices: Sequence[Choice | str] = (),
    ) -> Written:
        """Write first: to somebody who is stored, judged and committed as a reply is, then sent.

        `endpoint` is where it comes from; without, the one that `address` last wrote to or was
        written from. `purpose` decides which consent is asked for and whether quiet hours make it
        wait. With a `key` of yours a repetition has no second effect, as long as message ids are
        remembered; without, it is another message. `choices` are as in `Turn.reply`. See `Written`
        for what comes back.

        Raises `UnknownContact` for an address that nobody is stored under, `UsageError` for a text
        or an endpoint that cannot be, `TooLarge`, `Busy` if the conversation keeps changing (a
        retry is safe), and `StoreError`.
        """
        where = Address.parse(address) if isinstance(address, str) else address
        letter = Letter(
            self.canonical(where), text, endpoint, purpose, subject, key, where.value,
            tuple(choices),
        )  # fmt: skip
        return await write(self, letter)

    async def dispatch(self) -> int:
        """Send the deliveries whose time has come, once; how many were looked at."""
        await self.steering.look_up()
        return await self.outbox.dispatch()

    async def receive(self, event: Receipt | Notice, /) -> Delivery | None:
        """Note what a provider says of a message that we sent; the delivery as it is then.

        Receipts may come twice, late, in any order, and before the send has returned: a better word
        is never taken back. `None` where the message is (not yet) known to be ours. The receipt
        must name its recipient, as those of all our adapters do.

        A `Notice` (a reaction, a number that changed) is written into the log of its sender, once,
        where one is stored; one that would join two people is a ``proposal`` and joins nobody. What
        passes (typing, read) is not stored.
        """
        if isinstance(event, Notice):
            await notice(self, event)
            return None
        event = checked(event)
        recipient = event.recipient
        if recipient is not None:
            event = replace(event, recipient=self.canonical(recipient))
        return await self.outbox.record(event)

    def canonical(self, address: Address | str, /) -> Address:
        """The one address that is stored, linked and looked up by, however it is written.

        Text is read by `Address.parse`. All that takes an address does this by itself; what is sent
        goes to the address as its channel wrote it. Raises `ConfigurationError` for an empty text,
        `Malformed` for what is no address.
        """
        where = Address.parse(address) if isinstance(address, str) else address
        try:
            return canonical(where, self.settings.subaddressing)
        except (AttributeError, TypeError):
            raise Malformed("an address is a text or an Address, whose fields are texts") from None

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
        where = self.canonical(address)
        size = self.settings.window if window is None else window
        if size < 0:
            raise UsageError("window is the number of entries, or 0 for the whole conversation")
        policy = self.settings.access
        query = Query(self.tenant, where, assurance, size, fresh, policy=policy)
        return await self.store.read(query)
