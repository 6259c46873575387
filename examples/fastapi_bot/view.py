"""What the page shows: what is stored of one conversation, and which others there are.

It reads as an operator does, with everybody's words in it, so it is for the demo alone.
"""

from time import monotonic, perf_counter_ns
from typing import Any

import msgspec
from shop import Ticket
from simulator import NAMES, Simulator
from timings import Timings

from ctxbridge import Address, Assurance, Bridge, Contact, Context, Endpoint, Event, Message
from ctxbridge.cli.timeline import rows
from ctxbridge.model import Floor, Scan

UNSHOWN = {"decisions", "moved"}
SETTLED = {"delivered", "read", "failed"}
WINDOW = 100
MOST_PEOPLE = 1_000
LIST_SECONDS = 0.2


class People:
    """All conversations of the store, the one that was written in last first.

    All pages share one look, and looking takes at most a tenth of the time.
    """

    def __init__(self, bridge: Bridge[Ticket]) -> None:
        self._bridge = bridge
        self._until = 0.0
        self.rows: list[dict[str, Any]] = []

    async def look(self) -> list[dict[str, Any]]:
        """A row for each; see `row_of`."""
        began = monotonic()
        if began < self._until:
            return self.rows
        self._until = began + 60.0  # others take the last ones meanwhile
        try:
            self.rows = sorted(await self._read(), key=lambda row: -row["at"])
        finally:
            took = monotonic() - began
            self._until = began + max(LIST_SECONDS, 10 * took)
        return self.rows

    async def _read(self) -> list[dict[str, Any]]:
        bridge, found = self._bridge, dict[bytes, dict[str, Any]]()
        scan = Scan(bridge.tenant, bridge.clock.now(), "conversations", MOST_PEOPLE)
        for one in await bridge.store.scan(scan):
            if one.address is not None:
                context = await bridge.context(one.address, window=4)
                if context.contact is not None:
                    found[context.conversation] = row_of(context, context.contact, one.address)
        return list(found.values())

    def address_of(self, id: str) -> str:
        """An address of the contact with that id, or into whom it was merged; or nothing."""
        for row in self.rows:
            if id == row["id"] or id in row["merged"]:
                return str(row["address"])
        return ""


def row_of(context: Context, contact: Contact, address: Address) -> dict[str, Any]:
    """What the list says of a conversation."""
    last = context.messages[-1] if context.messages else None
    return {
        "id": contact.id.hex(),
        "merged": [id.hex() for id in contact.merged],
        "address": str(address),
        "title": ", ".join(NAMES.get(str(a), str(a)) for a in contact.addresses),
        "text": last.text[:80] if last else "",
        "at": (last.accepted_at or last.occurred_at) if last else 0,
        "floor": context.floor.name.lower(),
    }


class View:
    """Looks at the store and the devices, again and again."""

    def __init__(self, bridge: Bridge[Ticket], simulator: Simulator, timings: Timings) -> None:
        self._bridge = bridge
        self._simulator = simulator
        self._timings = timings
        self._chat: dict[tuple[bytes, int], str] = {}
        self.people = People(bridge)

    async def look(self, whose: str = "") -> dict[str, Any]:
        """All that the page needs, fit for JSON; `whose` conversation, by the contact's id."""
        people = await self.people.look()
        started = perf_counter_ns()
        context = await self._context(self.people.address_of(whose))
        microseconds = (perf_counter_ns() - started) // 1_000
        simulator = self._simulator
        await self._ask_for_statuses()
        return {
            "people": people,
            "chosen": await self._chosen(context) if context else None,
            "devices": msgspec.to_builtins(simulator.shown),
            "deliveries": [*self._sent(), *(await self._of_chat(context) if context else [])],
            "held": await self._held(),
            "happened": simulator.happened[-8:],
            "look_up": microseconds,
        }

    async def _context(self, address: str) -> Context | None:
        """The conversation of the address, or of the first of ours who has one."""
        for one in (address, *NAMES):
            if one:
                context = await self._bridge.context(one, window=WINDOW, fresh=True)
                if context.contact is not None:
                    return context
        return None

    async def _chosen(self, context: Context) -> dict[str, Any]:
        contact = context.contact
        assert contact is not None
        floor: dict[str, Any] = {"floor": context.floor.name.lower()}
        if context.floor is not Floor.AGENT:
            floor = msgspec.to_builtins(await self._bridge.floor.show(contact.addresses[0]))
        return {**self._conversation(context), "floor": floor}

    def _conversation(self, context: Context) -> dict[str, Any]:
        contact = context.contact
        assert contact is not None
        return {
            "id": contact.id.hex(),
            "title": ", ".join(NAMES.get(str(a), str(a)) for a in contact.addresses),
            "links": _links(contact),
            "consents": [_consent(one) for one in contact.consents],
            "state": self._state(context),
            "entries": self._entries(context),
            "waiting": len(context.waiting),
            "seq": context.seq,
            "revision": context.revision,
            "timing": self._timing(context),
        }

    def _timing(self, context: Context) -> dict[str, Any] | None:
        """The latest turn's spans. Guards that answer in place have none: their decisions tell."""
        timing = self._timings.of(context.conversation.hex())
        if timing is None:
            return None
        judged = [
            (result.guard, result.microseconds)
            for message in context.messages
            if message.turn.hex() == timing.turn and message.decision
            for result in message.decision.results
        ]
        return {
            **msgspec.to_builtins(timing),
            "guards": {"times": len(judged), "took": sum(took for _, took in judged)},
        }

    def _state(self, context: Context) -> dict[str, Any]:
        state: dict[str, Any] = msgspec.to_builtins(self._bridge.codec.decode(context.state))
        return {name: value for name, value in state.items() if value}

    def _entries(self, context: Context) -> list[dict[str, Any]]:
        shown = zip(context.window.numbered(), rows(context), strict=True)
        return [
            {
                "seq": seq, "at": row.at, "channel": row.channel, "author": row.author,
                "text": row.text, "note": row.note, "tone": row.colour,
                **(self._about(entry) if isinstance(entry, Message) else _event(entry)),
            }
            for (seq, entry), row in shown
            if not (isinstance(entry, Event) and entry.kind in UNSHOWN)
        ]  # fmt: skip

    def _about(self, message: Message) -> dict[str, Any]:
        decision = message.decision
        return {
            "turn": message.turn.hex()[-8:],
            "who": NAMES.get(str(message.address), str(message.address or "")),
            "assurance": message.assurance.name.lower() if message.author == "contact" else "",
            "again": self._simulator.again.get(message.message_id, 0),
            "decided": decision.enforced if decision else "",
            "code": decision.code if decision else "",
            "release": message.release,
            "guards": [
                {"guard": r.guard, "action": r.action, "code": r.code, "status": r.status,
                 "microseconds": r.microseconds}
                for r in (decision.results if decision else ())
            ],
        }  # fmt: skip

    # --- deliveries -----------------------------------------------------------------------------

    async def _ask_for_statuses(self) -> None:
        """What the outbox has noted of what the providers said, until it can change no more."""
        for one in self._simulator.shown:
            if one.author == "agent" and one.status not in SETTLED:
                channel = "sms" if one.device == "phone" else "email"
                found = await self._bridge.outbox.known_as(
                    one.provider_id, Endpoint(channel, one.endpoint), Address(channel, one.whose)
                )
                one.status = found.status if found else one.status

    def _sent(self) -> list[dict[str, Any]]:
        return [
            {"channel": "SMS" if one.device == "phone" else "e-mail", "to": one.whose,
             "text": one.text, "status": one.status, "at": one.at}
            for one in self._simulator.shown if one.author == "agent"
        ]  # fmt: skip

    async def _of_chat(self, context: Context) -> list[dict[str, Any]]:
        """Chat has no provider: its deliveries are named by their places in the log."""
        found: list[dict[str, Any]] = []
        for seq, entry in context.window.numbered():
            ours = isinstance(entry, Message) and entry.channel == "chat" and entry.visible
            if not isinstance(entry, Message) or not ours or entry.author == "contact":
                continue
            key = (context.conversation, seq)
            if self._chat.get(key) not in SETTLED and entry.endpoint and entry.address:
                known = await self._bridge.outbox.known_as(str(seq), entry.endpoint, entry.address)
                self._chat[key] = known.status if known else self._chat.get(key, "pending")
            found.append({"channel": "chat", "to": entry.address.value if entry.address else "",
                          "text": entry.text, "status": self._chat.get(key, "pending"),
                          "at": entry.accepted_at})  # fmt: skip
        return found

    async def _held(self) -> list[dict[str, Any]]:
        """What has not left, failed, or is unknown."""
        found = [*await self._bridge.deliveries("pending"), *await self._bridge.deliveries("dead")]
        return [
            {"channel": one.message.channel if one.message else "", "status": one.delivery.status,
             "code": one.delivery.code, "text": one.message.text if one.message else ""}
            for one in found if one.delivery is not None
        ]  # fmt: skip


def _event(event: Event) -> dict[str, Any]:
    return {"event": event.kind, "evidence": event.about("evidence")}


def _links(contact: Contact) -> list[dict[str, Any]]:
    return [
        {"address": str(link.address), "name": NAMES.get(str(link.address), ""),
         "assurance": Assurance(link.assurance).name.lower(), "evidence": link.evidence,
         "source": link.source, "since": link.since, "holds": not link.until}
        for link in contact.links
    ]  # fmt: skip


def _consent(one: Any) -> dict[str, Any]:
    return {
        "channel": one.channel, "purpose": one.purpose, "granted": one.granted, "at": one.at,
        "source": one.source,
    }  # fmt: skip
