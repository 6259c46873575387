"""``ctxbridge demo``: one customer, three channels, one conversation."""

import shlex
import tempfile
from collections.abc import Sequence
from itertools import cycle, islice
from pathlib import Path
from time import perf_counter_ns
from typing import Any

import anyio

from ctxbridge import Bridge
from ctxbridge.cli import play, timeline
from ctxbridge.cli.output import colourful, emit, paint, say, width, wrap
from ctxbridge.cli.timeline import Repeated
from ctxbridge.cli.where import store_url
from ctxbridge.model import Context

LOOK_UPS = 2_000


def demo(db: str | None, *, as_json: bool) -> int:
    """Play the scene on the file `db`, or on one that is removed afterwards, and show it."""
    if db is not None:
        return anyio.run(_run, db, True, as_json)
    with tempfile.TemporaryDirectory(prefix="ctxbridge-") as folder:
        return anyio.run(_run, str(Path(folder, "demo.db")), False, as_json)


async def _run(path: str, kept: bool, as_json: bool) -> int:
    scene = play.load()
    bridge, clock = play.bridge_of(store_url(path), scene)
    async with bridge:
        played = await play.play(bridge, clock, scene)
        found = await timeline.conversations(bridge, scene.addresses)
        summary = summarize(found, played)
        if as_json:
            for context in found:
                for record in timeline.records(context):
                    emit(record)
            emit(summary)
        else:
            _tell(found, played, summary)
            durable = (await bridge.store.check()).durable
            _tell_times(await _look_ups(bridge, scene.addresses), played, durable=durable)
            _tell_more(scene, path if kept else "")
    return 0


def summarize(found: Sequence[Context], played: Sequence[play.Played]) -> dict[str, Any]:
    """What the stored timeline amounts to, and how much of this run was a repetition."""
    messages = [m for context in found for m in context.messages]
    return {
        "kind": "summary",
        "channels": len({m.channel for m in messages}),
        "contacts": len({c.contact.id for c in found if c.contact}),
        "conversations": len(found),
        "turns": len({m.turn for m in messages}),
        "messages": len(messages),
        "duplicates": sum(p.duplicate for p in played),
        "blocked": sum(map(timeline.blocked, messages)),
    }


def _tell(found: Sequence[Context], played: Sequence[play.Played], summary: dict[str, Any]) -> None:
    columns, colours = width(), colourful()
    for line in wrap("One customer, three channels, one conversation\n", columns):
        say(paint(line, "bold", colours))
    repeated = [Repeated(p.turn, p.at) for p in played if p.duplicate]
    for context in found:
        for line in timeline.render(timeline.rows(context, repeated), columns, colours=colours):
            say(line)
        say()
    for line in wrap(_sum_up(summary), columns):
        say(paint(line, "bold", colours))
    if summary["duplicates"] == len(played):
        told = "All of it had come before: answered from the store, and nothing was added."
        say("\n".join(wrap(told, columns)))


def _sum_up(summary: dict[str, Any]) -> str:
    counted = ", ".join(
        f"{summary[word + 's']} {word}{'s' * (summary[word + 's'] != 1)}"
        for word in ("contact", "conversation", "channel", "turn", "message", "duplicate")
    )
    return f"{counted}, {summary['blocked']} blocked."


async def _look_ups(bridge: Bridge[Any], addresses: Sequence[str]) -> list[int]:
    """How long each of many look-ups took, in nanoseconds."""
    times: list[int] = []
    for address in islice(cycle(addresses), LOOK_UPS):
        started = perf_counter_ns()
        await bridge.context(address)
        times.append(perf_counter_ns() - started)
    return sorted(times)


def _tell_times(look_ups: Sequence[int], played: Sequence[play.Played], *, durable: bool) -> None:
    fresh = [p for p in played if not p.duplicate]
    turns = sorted(p.nanoseconds for p in fresh or played)
    what = "A duplicate, recognised and answered"
    if fresh:
        what = "A turn, stored durably" if durable else "A turn"
    half, most = look_ups[len(look_ups) // 2], look_ups[len(look_ups) * 99 // 100]
    text = (
        f"Look-up of the context: p50 {half / 1e3:.0f} µs, p99 {most / 1e3:.0f} µs "
        f"({len(look_ups):,} measured just now).\n"
        f"{what}: p50 {turns[len(turns) // 2] / 1e6:.1f} ms, slowest {turns[-1] / 1e6:.1f} ms "
        f"({len(turns)} measured)."
    )
    for line in wrap(text, width()):
        say(line)


def _tell_more(scene: play.Scene, path: str) -> None:
    say()
    if path:
        say(f"Again, alone:  ctxbridge show {scene.contact} --db {shlex.quote(path)}")
        say(f"And why:       ctxbridge explain {scene.contact} --db {shlex.quote(path)}")
    else:
        say("To keep it:  ctxbridge demo --db demo.db")
