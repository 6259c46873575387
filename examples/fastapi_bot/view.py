"""What the page shows: everything that is stored of the demo's people, as one JSON object.

It reads as an operator does, with everybody's words in it, so it is for the demo alone.
"""

from time import perf_counter_ns
from typing import Any

import msgspec
from shop import Ticket
from simulator import NAMES, Simulator

from ctxbridge import Address, Assurance, Bridge, Contact, Context, Endpoint, Event, Message
from ctxbridge.cli.timeline import rows

UNSHOWN = {"decisions", "moved"}
SETTLED = {"delivered", "read", "failed"}
WINDOW = 100


class View:
    """Looks at the store and the devices, again and again."""

    def __init__(self, bridge: Bridge[Ticket], simulator: Simulator) -> None:
        self._bridge = bridge
        self._simulator = simulator
        self._chat: dict[tuple[bytes, int], str] = {}

    async def look(self) -> dict[str, Any]:
        """All that the page needs, fit for JSON."""
        started = perf_counter_ns()
        found = await self._contexts()
        microseconds = (perf_counter_ns() - started) // (1_000 * len(NAMES))
        simulator = self._simulator
        await self._ask_for_statuses()
        return {
            "conversations": [self._conversation(context) for context in found],
            "devices": msgspec.to_builtins(simulator.shown),
            "deliveries": [*self._sent(), *[d for c in found for d in await self._of_chat(c)]],
            "held": await self._held(),
            "happened": simulator.happened[-8:],
            "look_up": microseconds,
        }

    async def _contexts(self) -> list[Context]:
        """Each conversation once, in the order in which their addresses are named."""
        found: dict[bytes, Context] = {}
        for address in NAMES:
            context = await self._bridge.context(address, window=WINDOW, fresh=True)
            if context.contact is not None and context.conversation not in found:
                found[context.conversation] = context
        return list(found.values())

    def _conversation(self, context: Context) -> dict[str, Any]:
        contact = context.contact
        assert contact is not None
        return {
            "id": contact.id.hex(),
            "title": ", ".join(NAMES.get(str(a), str(a)) for a in contact.addresses),
            "merged": [id.hex() for id in contact.merged],
            "links": _links(contact),
            "consents": [_consent(one) for one in contact.consents],
            "state": self._state(context),
            "entries": self._entries(context),
            "waiting": len(context.waiting),
            "seq": context.seq,
            "revision": context.revision,
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
