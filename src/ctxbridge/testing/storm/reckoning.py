"""The reckoning: what the log and the provider say in the end, message by message."""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ctxbridge.model import Context, Message, Scan

if TYPE_CHECKING:
    from ctxbridge.bridge import Bridge
    from ctxbridge.testing.storm.driver import Storm

_LOG = "log: "
_MANY = 100_000


async def reckon(storm: "Storm", bridge: "Bridge[Any]") -> bool:
    """Bring the account up to date; whether there is nothing left to wait for."""
    account, plan = storm.account, storm.plan
    account.problems = [p for p in account.problems if not p.startswith(_LOG)]
    stored: Counter[str] = Counter()
    replied: Counter[str] = Counter()
    turns: set[bytes] = set()
    waiting = 0
    for customer in range(plan.customers):
        context = await bridge.context(plan.addresses(customer)["sms"], window=0, fresh=True)
        waiting += len(context.waiting)
        for message in context.messages:
            _count(message, stored, replied, turns)
        account.problems += [
            f"{_LOG}customer {customer} {what}" for what in _wrong(storm, bridge, context)
        ]
    account.turns = len(turns)
    scan = Scan(plan.tenant, bridge.clock.now(), "dead", _MANY)
    dead = [found.message for found in await bridge.store.scan(scan)]
    pending = await bridge.store.scan(Scan(plan.tenant, bridge.clock.now(), "pending", _MANY))
    account.unknown = len(dead)
    _settle_account(storm, stored, replied, {id for m in dead if m for id in m.text.split()})
    wrong = any(problem.startswith(_LOG) for problem in account.problems)
    return not (account.lost or account.unsent or pending or waiting or wrong)


def _count(
    message: Message, stored: Counter[str], replied: Counter[str], turns: set[bytes]
) -> None:
    if message.author == "contact":
        stored[message.text] += 1
    elif message.author == "agent":
        replied.update(message.text.split())
        turns.add(message.turn)


def _wrong(storm: "Storm", bridge: "Bridge[Any]", context: Context) -> list[str]:
    """What is wrong with the log of one conversation, in words."""
    found = []
    seqs = list(context.window.seqs)
    if seqs != list(range(1, len(seqs) + 1)):
        found.append("has gaps")
    own = [message.text for message in context.messages if message.author == "contact"]
    counted = bridge.codec.decode(context.state).get("answered", 0)
    if counted != len(own) and not context.waiting:
        found.append(f"counts {counted} messages of {len(own)}")
    if not _in_order(own, storm.writers.began, storm.writers.ended):
        found.append("has a message before one that was acknowledged before it was written")
    return found


def _in_order(ids: Sequence[str], began: dict[str, float], ended: dict[str, float]) -> bool:
    """Whether each message stands behind all that were acknowledged before it was written."""
    earliest = float("inf")
    for id in reversed(ids):
        if began.get(id, 0.0) > earliest:
            return False
        earliest = min(earliest, ended.get(id, earliest))
    return True


def _settle_account(
    storm: "Storm", stored: Counter[str], replied: Counter[str], unknown: set[str]
) -> None:
    account, acknowledged = storm.account, storm.writers.ended
    delivered = storm.provider.delivered()
    account.written = len(storm.writers.began)
    account.answered = sum(1 for id in stored if replied[id])
    account.lost = sum(1 for id in acknowledged if not (stored[id] and replied[id]))
    account.duplicated = sum(
        1 for id in stored if stored[id] > 1 or replied[id] > 1 or delivered[id] > 1
    )
    account.unsent = sum(1 for id in replied if not delivered[id] and id not in unknown)
    account.sent = len(storm.provider.texts)
    account.repeated = storm.provider.repeated()
    if storm.plan.at_most_once and account.repeated:
        account.problems.append(f"{_LOG}what must be sent at most once was sent again")
