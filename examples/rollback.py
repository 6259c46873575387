"""A good release and a bad one under traffic; a rule takes the bad one back, and nobody is lost.

python examples/rollback.py                           on a file that is thrown away afterwards
python examples/rollback.py redis://localhost:6379    on a server, on which it stays: look at it by
    ctxbridge control --db redis://localhost:6379 --tenant ...    (the tenant that is printed last)

v11 is good. v12 is rude to every second customer, which a guard stops, and crashes on every
seventh. Lines that begin with "log:" are what the library logs. Who is "waiting" in its report is
answered by v11 right after: a rule that rolls back waits for nobody. It takes some ten seconds.
"""

import asyncio
import contextlib
import logging
import sys
import tempfile
import time
from collections import Counter

from ctxbridge import Address, Assurance, Bridge, Endpoint, Inbound, Text, Turn
from ctxbridge.guards import TextCheck, allow, block, guard
from ctxbridge.model import Outgoing, Sent, TrialPolicy, Verdict

OURS = Endpoint("sms", "+15550199999")
CUSTOMERS, WORKERS = 300, 3
EVERY_SECONDS, PATIENCE_SECONDS, TRIES = 0.015, 3.0, 10
TENANT = f"shop-{time.time_ns()}"


# --- the two releases -----------------------------------------------------------------------------


async def v11(turn: Turn[None]) -> str:
    """The good one."""
    await asyncio.sleep(0.02)
    return f"v11: You asked {turn.inbound.text!r}. It is on its way."


async def v12(turn: Turn[None]) -> str:
    """The bad one."""
    await asyncio.sleep(0.02)
    number = int(turn.inbound.sender.value[-4:])
    if number % 7 == 0:
        raise RuntimeError
    return f"v12: You asked {turn.inbound.text!r}" + (". You fool." if number % 2 else ".")


@guard("reply")
def polite(check: TextCheck) -> Verdict:
    """Stops rude words before anybody reads them."""
    return block("rude") if "fool" in check.text else allow()


# --- the service ----------------------------------------------------------------------------------


class Phones:
    """All phones: what reached them, and who waits for it."""

    channel, repeatable, timeout_seconds, per_second = "sms", False, 5.0, 0.0

    def __init__(self) -> None:
        self.got: list[tuple[Address, str]] = []
        self.rings: dict[Address, asyncio.Event] = {}

    async def send(self, outgoing: Outgoing) -> Sent:
        """What a provider would do."""
        self.got.append((outgoing.address, outgoing.text))
        self.rings[outgoing.address].set()
        return Sent("sent", provider_id=outgoing.key)

    async def aclose(self) -> None:
        """Nothing is open."""


def worker(where: str, phones: Phones) -> Bridge[None]:
    """What each process of a service does; here they are three bridges in one process."""
    bridge: Bridge[None] = Bridge(
        where, tenant=TENANT, guards=[polite], senders=[phones], settle_seconds=0.5
    )  # type: ignore[assignment]
    bridge.deploy("support@v11", v11)
    bridge.deploy("support@v12", v12)
    return bridge


async def customer(number: int, question: str, workers: list[Bridge[None]], phones: Phones) -> None:
    """Asks, and asks again where no answer comes."""
    address = Address("sms", f"+1555010{number:04}")
    rings = phones.rings[address] = asyncio.Event()
    for attempt in range(TRIES):
        bridge = workers[(number + attempt) % WORKERS]
        id, text = f"{number} {question} {attempt}", question + "?" * (attempt + 1)
        asks = Inbound("sms", OURS, address, id, (Text(text),), Assurance.CHANNEL)
        await bridge.accept(asks, bridge.deployed)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(rings.wait(), PATIENCE_SECONDS)
            return
    raise AssertionError(f"customer {number} has no answer")


async def traffic(question: str, workers: list[Bridge[None]], phones: Phones) -> None:
    """All customers, one after the other, each as patient as people are."""
    async with asyncio.TaskGroup() as group:
        for number in range(CUSTOMERS):
            group.create_task(customer(number, question, workers, phones))
            await asyncio.sleep(EVERY_SECONDS)


# --- the story ------------------------------------------------------------------------------------


async def main(where: str) -> None:
    """A canary on trial under traffic, until the rule takes it back; then everybody asks again."""
    phones = Phones()
    workers = [worker(where, phones) for _ in range(WORKERS)]
    async with contextlib.AsyncExitStack() as stack:
        for bridge in workers:
            await stack.enter_async_context(bridge)
        running = [asyncio.create_task(b.run(b.deployed, sweep_seconds=0.2)) for b in workers]
        control = workers[0].control
        await control.canary("support", "v12", 40, trial=TrialPolicy(), by="ann", why="new prompt")
        await traffic("Where is my order", workers, phones)
        by_whom = Counter(text[:3] for _, text in phones.got)
        print(f"{CUSTOMERS} customers asked, answers: v11 {by_whom['v11']}, v12 {by_whom['v12']}")

        act, found = await control.read(), await control.trial("support", "v12")
        assert act.by == "policy:trial", "the rule did not trip"
        assert found is not None
        print(f"\nthe last act: {act.act}, by {act.by}\n{found.words}\n")
        before = len(phones.got)
        await traffic("And when will it be here", workers, phones)
        tell(phones, before)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
    print(f"stored under --tenant {TENANT}")


def tell(phones: Phones, before: int) -> None:
    """That nobody was lost, nobody was answered twice, and nobody read what a guard had stopped."""
    first, then = phones.got[:before], phones.got[before:]
    assert len({address for address, _ in first}) == CUSTOMERS
    assert len({address for address, text in then if text.startswith("v11")}) == CUSTOMERS
    assert len(set(phones.got)) == len(phones.got), "something was answered twice"
    assert not any("fool" in text or text.startswith("v12") for _, text in then)
    print(f"all {CUSTOMERS} asked again, and have an answer of v11; none was lost, none came twice")


if __name__ == "__main__":
    logging.basicConfig(format="log: %(message)s", level=logging.ERROR, stream=sys.stdout)
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(main(sys.argv[1] if sys.argv[1:] else f"sqlite:///{folder}/shop.db"))
