"""Several ways to do one thing at one server, checked, counted on the wire, and then timed."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from typing import Any, Self

from bench.corpus import Person
from bench.harness import (
    Plan,
    Sample,
    Trial,
    Variant,
    by_callers,
    compare,
    in_blocks,
    require_equal,
)
from bench.redis.place import Place, spent
from bench.redis.wire import made_counted, relay

MANY = 64
_COUNTED = 25

Call = Callable[[Any], Awaitable[Any]]
Opened = AbstractAsyncContextManager[Call]


@dataclass(frozen=True, slots=True)
class Way:
    """One way to do it.

    `open` connects to an address and gives what is then called; `argument` makes, untimed, what a
    call takes. `shows` brings an answer into the form in which all must be equal. `many` is how
    many times more calls make a sample of short ones, between which callers rest less often.
    `alone` says that it blocks the loop: no relay can stand in between, and callers cannot overlap.
    """

    name: str
    open: Callable[[str], Opened]
    argument: Callable[[Person], Any]
    shows: Callable[[Any], object] | None = None
    note: str = ""
    many: int = 1
    alone: bool = False


class Race:
    """Ways at one server. Use it as ``async with``; all stay connected until its end."""

    def __init__(self, plan: Plan, place: Place, scenario: str, ways: Sequence[Way]) -> None:
        self.plan, self.place, self.scenario, self.ways = plan, place, scenario, ways
        self.calls: dict[str, Call] = {}
        self.wires: dict[str, Mapping[str, float]] = {}
        self.names: dict[str, set[str]] = {}
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        for way in self.ways:
            call = await self._stack.enter_async_context(way.open(self.place.url))
            self.calls[way.name] = call
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._stack.aclose()

    async def check(self, people: Sequence[Person], expected: Callable[[Person], object]) -> None:
        """Raise `Unequal` unless all who show what they answer show what is expected."""
        for person in people:
            answers: dict[str, object] = {"corpus": expected(person)}
            for way in self.ways:
                if way.shows:
                    found = await self.calls[way.name](way.argument(person))
                    answers[way.name] = way.shows(found)
            require_equal(self.scenario, answers)

    async def count(self, people: Sequence[Person]) -> None:
        """Look at the wire: what a call is there, once everything is warm."""
        some = list(people[:_COUNTED])
        for way in self.ways:
            if way.alone:
                continue
            async with relay(self.place) as (url, wire), way.open(url) as call:
                await made_counted(wire, call, [way.argument(person) for person in some])
                number = await made_counted(wire, call, [way.argument(person) for person in some])
                self.wires[way.name] = wire.per(number)
                self.names[way.name] = set(wire.commands)

    async def run(
        self, people: Sequence[Person], callers: int, *, calls: int, rounds: int,
        blocks: bool = False,
    ) -> Trial:  # fmt: skip
        """Time them, `calls` for a sample."""
        ways = [way for way in self.ways if callers == 1 or not way.alone]
        variants = [self._variant(way, people, callers, calls, blocks=blocks) for way in ways]
        return await compare(self.plan, self.scenario, variants, rounds=rounds, callers=callers)

    def _variant(
        self, way: Way, people: Sequence[Person], callers: int, calls: int, *, blocks: bool
    ) -> Variant:
        chosen = self.plan.random.choices(people, k=calls * way.many)
        call = self.calls[way.name]

        async def take() -> Sample:
            arguments = [way.argument(person) for person in chosen]
            await call(way.argument(chosen[0]))  # whoever has slept meanwhile is awake again
            self.place.forget()
            before = self.place.cpu_seconds()
            if blocks:
                sample = await in_blocks(call, arguments)
            else:
                sample = await by_callers(callers, call, arguments, way.many)
            return self._metered(way, sample, self.place.cpu_seconds() - before)

        return Variant(way.name, take, way.note)

    def _metered(self, way: Way, sample: Sample, cpu_seconds: float) -> Sample:
        """With what the server says of its own work; without a look at the wire, with all of it."""
        names = self.names.get(way.name)
        if names is None:
            return sample
        server = {
            "server µs": spent(self.place, names) / sample.operations,
            "server CPU µs": cpu_seconds / sample.operations * 1e6,
        }
        counters = {**self.wires[way.name], **server}
        return Sample(
            sample.operations, sample.seconds, sample.cpu_seconds, sample.microseconds, counters
        )
