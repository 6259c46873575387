"""Many turns that run on many workers in several processes, and what became of each of them."""

import asyncio
import json
import sys
import time
from collections import Counter
from itertools import count
from pathlib import Path

from ctxbridge import Bridge
from ctxbridge.model import Floor, Message, Scan
from ctxbridge.stores import open_store

from .crowd_worker import NEW, OLD, answers, customer, puts_off

ROOT = Path(__file__).parents[2]
PROCESSES, WORKERS = 4, 20
WITHIN_SECONDS, TURNS_A_SECOND = 60.0, 100
_numbers = count(1)


class Crowd:
    """`turns` conversations whose turns run, and some more whose reply was put off for an hour."""

    def __init__(self, url, folder, turns, *, later=0, broken=False):
        # They end by and by: where all end at once the machine has enough to do with that alone.
        think = turns / TURNS_A_SECOND
        self.turns, self.later = turns // PROCESSES, later // PROCESSES
        self.step = self.turns + self.later
        self._diary = folder / f"diary{next(_numbers)}"
        self._plan = {
            "url": url, "prefix": f"crowd:{folder.name}:{next(_numbers)}", "tenant": "crowd",
            "turns": self.turns, "later": self.later, "step": self.step, "think": think,
            "workers": WORKERS // PROCESSES, "diary": str(self._diary), "broken": broken,
        }  # fmt: skip
        self._processes = []
        self.report = None
        self.called = self.in_force = self.returned = self.quiet = 0.0
        self.customers = {}

    async def blow(self, **how):
        """Let all of it run, roll back in the middle, and look at what has become of it."""
        async with open_store(self._plan["url"], prefix=self._plan["prefix"]) as store:
            operator = Bridge(store, tenant="crowd", guards=[puts_off])
            operator.deploy(NEW, answers)
            operator.deploy(OLD, answers)
            async with operator:
                await operator.control.promote("support", "v12")
                try:
                    await self._begin()
                    await self._roll_back(operator, how)
                    await self._until_none_waits(store)
                    await self._tell("end")
                    ended = [await process.wait() for process in self._processes]
                finally:
                    self._kill()
                assert ended == [0] * PROCESSES
                await self._look(operator)
        self._read()

    async def _begin(self):
        for number in range(PROCESSES):
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "tests.control.crowd_worker", cwd=ROOT,
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            )  # fmt: skip
            self._processes.append(process)
            plan = self._plan | {"first": number * self.step}
            process.stdin.write(json.dumps(plan).encode() + b"\n")
        for process in self._processes:
            async with asyncio.timeout(120):
                assert await process.stdout.readline() == b"begun\n"

    async def _roll_back(self, operator, how):
        await self._tell("go")  # from now on they end by and by: all of them run at the call
        self.called = time.monotonic()
        self.report = await operator.control.rollback(
            "support", to="v11", within_seconds=WITHIN_SECONDS, **how
        )
        self.in_force = self.called + self.report.seconds
        self.returned = time.monotonic()

    async def _until_none_waits(self, store):
        """Who is asked for another answer is answered behind the report."""
        async with asyncio.timeout(WITHIN_SECONDS):
            while await store.scan(Scan("crowd", 0, "waiting")):  # noqa: ASYNC110 - in other processes
                await asyncio.sleep(0.1)
            self.quiet = time.monotonic()
            while await self._on_their_way(store):  # noqa: ASYNC110
                await asyncio.sleep(0.1)

    async def _on_their_way(self, store):
        found = await store.scan(Scan("crowd", 0, "pending", 10_000))
        return [one for one in found if one.delivery.status == "claimed"]

    async def _tell(self, word):
        for process in self._processes:
            process.stdin.write(word.encode() + b"\n")
            await process.stdin.drain()

    def _kill(self):
        for process in self._processes:
            if process.returncode is None:
                process.kill()

    async def _look(self, operator):
        """What the log has of each customer."""
        for number in range(PROCESSES * self.step):
            context = await operator.context(customer(number), window=0, fresh=True)
            said = [m for m in context.messages if isinstance(m, Message) and m.author == "contact"]
            self.customers[f"M{number}"] = (context.contact, context.floor, said)

    def _read(self):
        lines = [json.loads(line) for line in self._diary.read_text().splitlines()]
        self.claimed = [line[1:] for line in lines if line[0] == "claimed"]
        self.sent = [line[1:] for line in lines if line[0] == "sent"]

    # --- what came of it --------------------------------------------------------------------------

    @property
    def too_late(self):
        """What the old release was granted though the rollback was in force when it was asked."""
        return [
            text for release, key, text, began, _ in self.claimed
            if release == OLD and began > self.in_force and key not in self.report.released
        ]  # fmt: skip

    @property
    def wrong(self):
        return [*self.too_late, *self._unanswered(), *self._untold(), *self._miscounted()]

    def _unanswered(self):
        answers = Counter(id for _, _, text, _, _ in self.sent for id in _ids(text))
        waits = len(self.report.released)
        for id, (contact, floor, said) in self.customers.items():
            if contact is None or not said or said[0].disposition == "pending":
                yield f"{id} is lost, or waits"
            if answers[id] > 1 or (floor is Floor.QUEUE and answers[id]):
                yield f"{id} was answered {answers[id]} times, the floor is with {floor.name}"
            waits -= answers[id] == 0 and floor is Floor.AGENT
        if waits:
            yield f"{-waits} have no answer, besides those whose reply was released and leaves later"

    def _untold(self):
        """What was still on its way when the call returned is in the report."""
        for text, ended in self.untold_sends:
            if ended > self.returned:
                yield f"{text} ended {ended - self.returned:.3f} s after the call, and is not told"

    @property
    def untold_sends(self):
        """What was on its way when the rollback held, and is not in the report."""
        return [
            (text, ended) for release, key, text, began, ended in self.sent
            if release == OLD and began < self.in_force < ended
            and key not in {*self.report.already_sent, *self.report.released}
        ]  # fmt: skip

    def _miscounted(self):
        report = self.report
        parts = [*report.taken_up, *report.handed_over, *report.waiting]
        if sorted(parts) != sorted(report.stopped):
            yield f"of {len(report.stopped)} stopped {len(parts)} are told"
        if report.waiting:
            yield f"{len(report.waiting)} wait"
        # A worker may stop its reply on the last step before it leaves: then another is asked for.
        left = {id for release, _, text, *_ in self.sent if release == OLD for id in _ids(text)}
        answered = {
            contact.id.hex() for id, (contact, _, said) in self.customers.items()
            if said[0].release == OLD and said[0].disposition != "pending" and id in left
        }  # fmt: skip
        taken = set(report.taken_up) & answered
        if taken:
            yield f"{len(taken)} are told as taken up, and the old release has answered them"
        if not 0 <= self.untold <= PROCESSES * self.turns / 10:
            yield f"{self.untold} were stopped and are not told"

    @property
    def untold(self):
        """How many were stopped and answered anew while the call itself was on its way."""
        by_old = sum(1 for release, _, text, *_ in self.sent if release == OLD and text[0] == "v")
        return PROCESSES * self.turns - len(self.report.stopped) - by_old

    def tell(self, what):
        report, releases = self.report, Counter(release for release, *_ in self.sent)
        print(
            f"\n{what}: {PROCESSES * self.turns} turns ran on {WORKERS} workers in {PROCESSES} processes; "
            f"in force after {report.seconds * 1000:.0f} ms, the report after "
            f"{self.returned - self.called:.1f} s; stopped {len(report.stopped)} and "
            f"{self.untold} more that are not told, taken up "
            f"{len(report.taken_up)}, handed over {len(report.handed_over)}, waiting "
            f"{len(report.waiting)}, already sent {len(report.already_sent)} (and "
            f"{len(self.untold_sends)} that are not told), withheld "
            f"{len(report.withheld)}, released {len(report.released)}, asked anew "
            f"{len(report.asked_anew)}; sent {dict(releases)}; nobody "
            f"waited {self.quiet - self.in_force:.1f} s after it held; {len(self.too_late)} claimed too late, "
            f"{len(self.wrong)} wrong"
        )


def _ids(text):
    """The messages that a reply answers."""
    return text.split()[-1].split(",")
