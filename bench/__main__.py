"""``python -m bench``: see ``--help``.

The report goes to stdout, and beside the JSON as Markdown and SVG. Exit status 2 says that two
variants of a scenario did not answer alike; a goal that was missed is a finding, not a failure.
"""

import argparse
import asyncio
import importlib
import json
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from random import Random, SystemRandom

from bench import machine, plot
from bench.harness import Outcome, Plan, Setting, Skip, Unequal
from bench.publish import RESULTS, publish
from bench.report import Report

SCENARIOS = {
    "memory": ("bench.memory", "run"),
    "sqlite": ("bench.sqlite", "run"),
    "turn": ("bench.turn", "run"),
    "waking": ("bench.waking", "run"),
    "sealing": ("bench.sealing", "run"),
    "tracing": ("bench.tracing", "run"),
    "telemetry": ("bench.telemetry", "run"),
    "guards": ("bench.guards", "run"),
    "channels": ("bench.channels", "run"),
    "correctness": ("bench.correctness", "run"),
    "verbs": ("bench.redis.verbs", "run"),
    "lookup": ("bench.redis.lookup", "run"),
    "uvloop": ("bench.redis.lookup", "on_another_loop"),
    "append": ("bench.redis.append", "run"),
    "exchange": ("bench.redis.exchange", "run"),
    "mixed": ("bench.redis.mixed", "run"),
    "frameworks": ("bench.redis.frameworks", "run"),
    "cluster": ("bench.redis.cluster", "run"),
    "aof": ("bench.redis.aof", "run"),
    "agents": ("bench.redis.agents", "run"),
    "burst": ("bench.redis.burst", "run"),
    "rtt": ("bench.redis.rtt", "run"),
    "growth": ("bench.redis.growth", "run"),
}
_EPILOG = """\
scenarios:
  memory, sqlite, turn   the stores without a server, and a whole turn of the bridge (G14, G15)
  waking                 from one process's commit to the start of the turn that waits in another
  sealing                what encryption at rest costs, over the same store without
  tracing                the span of a turn, where nobody has set up OpenTelemetry (G16)
  telemetry              each step without an SDK, an exchange beside the bare API and the bare SDK
  guards                 what stands between a text and its guards, ours and others' (G18)
  channels               a webhook, verified and parsed, by us and by its provider's SDK
  correctness            what 20 turns of one conversation at once leave behind, ours and others'
  verbs                  commands on the wire for each verb, counted exactly (G13)
  lookup, uvloop         the look-up, beside a socket, redis-py and the bare exchange (G1 to G4)
  append, exchange       one append; three look-ups and two appends (G5, G6)
  mixed                  Zipf keys, 2 and 30 % writes, and stale entries of two near caches (G4)
  frameworks             openai-agents, LangChain, google-adk (G7, G8)
  agents                 our adapters beside the frameworks' own stores: reads, appends, runs
  cluster, aof, burst    three masters; the disk before each answer; 256 callers, cold TLS (G11,
                         G17, G12)
  rtt                    a server some milliseconds away
  growth                 long conversations, many contacts, memory (G9, G10)

Servers are started on free ports without persistence, and ended. Without a server, or without a
peer (bench/peers/requirements.txt), what needs them is named as not run. A full run writes
bench/results/latest.json, .md and .svg, and the tables of README and docs.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    seed = SystemRandom().randrange(2**32) if options.seed is None else options.seed
    print(f"seed {seed}, load average {machine.load()}", file=sys.stderr)
    facts = machine.facts() | {"seed": seed, "quick": options.quick, "loop": options.loop}
    report = Report(facts, machine.load(), 0.0, machine.cores())
    try:
        _run(report, options, Random(seed))
    except Unequal as error:
        print(f"not measured: {error}", file=sys.stderr)
        return 2
    report.load_after = machine.load()
    report.judge()
    print(report.as_markdown())
    if options.json:
        _write(report, options.json)
    elif not options.quick and not options.only:
        _write(report, RESULTS / "latest.json")
        publish()
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench", description="Measure ctxbridge beside floors and peers.",
        epilog=_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    add = parser.add_argument
    add("--quick", action="store_true", help="a rough run of a minute")
    add("--only", choices=list(SCENARIOS), action="append", help="this scenario; may be repeated")
    add("--json", type=Path, help="where the figures go; a full run is published otherwise")
    add("--seed", type=int, help="repeat the choices of an earlier run")
    add("--loop", choices=("asyncio", "uvloop"), default="asyncio", help="the event loop")
    add("--server", default="", help="valkey or redis; the first of the two that is there")
    add("--url", default="", help="an empty server that runs elsewhere; it is emptied afterwards")
    add("--unix", action="store_true", help="over a unix socket, where the server is our own")
    add("--million", action="store_true", help="a million contacts in growth (2 to 3 GB)")
    return parser.parse_args(arguments)


def _run(report: Report, options: argparse.Namespace, random: Random) -> None:
    setting = Setting(options.server, options.url, options.unix, options.million)
    for name in options.only or SCENARIOS:
        started = time.monotonic()
        print(name, file=sys.stderr)
        with tempfile.TemporaryDirectory(prefix="ctxbridge-bench-") as folder:
            plan = Plan(options.quick, Path(folder), random, setting)
            try:
                report.add(_on_a_loop(name, options.loop, plan))
            except Skip as reason:
                report.skipped.append(f"{name}: {reason}")
        print(f"  {time.monotonic() - started:.1f} s", file=sys.stderr)


def _on_a_loop(name: str, loop: str, plan: Plan) -> Outcome:
    """Each scenario has an event loop of its own; its module is imported when it is its turn."""
    make = _uvloop() if "uvloop" in (name, loop) else None
    module, function = SCENARIOS[name]
    try:
        run: Callable[[Plan], Awaitable[Outcome]]
        run = getattr(importlib.import_module(module), function)
    except ModuleNotFoundError as error:
        raise Skip(f"{error.name} is not installed") from error

    async def scenario() -> Outcome:
        return await run(plan)

    with asyncio.Runner(loop_factory=make) as runner:
        return runner.run(scenario())


def _uvloop() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        module = importlib.import_module("uvloop")
    except ImportError as error:
        raise Skip("uvloop is not installed: bench/peers/requirements.txt has it") from error
    make: Callable[[], asyncio.AbstractEventLoop] = module.new_event_loop
    return make


def _write(report: Report, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report.as_json(), indent=1) + "\n", encoding="utf-8")
    path.with_suffix(".md").write_text(report.as_markdown() + "\n", encoding="utf-8")
    plot.write(path.with_suffix(".svg"), report.curves, "Look-up of 20 messages, 1 caller")


if __name__ == "__main__":
    sys.exit(main())
