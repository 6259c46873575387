"""``python -m bench [--quick] [--only memory|sqlite|turn] [--json FILE] [--seed N]``.

The report goes to stdout, and beside the JSON as Markdown. Exit status 2 says that two variants of
a scenario did not answer alike; a goal that was missed is a finding, not a failure.
"""

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from random import Random, SystemRandom

from bench import machine, memory, sqlite, turn
from bench.harness import Outcome, Plan, Skip, Unequal
from bench.publish import RESULTS, publish
from bench.report import Report

SCENARIOS: dict[str, Callable[[Plan], Awaitable[Outcome]]] = {
    "memory": memory.run,
    "sqlite": sqlite.run,
    "turn": turn.run,
}


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    seed = SystemRandom().randrange(2**32) if options.seed is None else options.seed
    print(f"seed {seed}, load average {machine.load()}", file=sys.stderr)
    facts = machine.facts() | {"seed": seed, "quick": options.quick}
    report = Report(facts, machine.load(), 0.0, machine.cores())
    names = [options.only] if options.only else list(SCENARIOS)
    try:
        asyncio.run(_run(report, names, quick=options.quick, random=Random(seed)))
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
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure ctxbridge.")
    parser.add_argument("--quick", action="store_true", help="a rough run of some seconds")
    parser.add_argument("--only", choices=list(SCENARIOS), help="one scenario instead of all")
    parser.add_argument("--json", type=Path, help="where the figures go; a full run is published")
    parser.add_argument("--seed", type=int, help="repeat the choices of an earlier run")
    return parser.parse_args(arguments)


async def _run(report: Report, names: Sequence[str], *, quick: bool, random: Random) -> None:
    with tempfile.TemporaryDirectory(prefix="ctxbridge-bench-") as folder:
        for name in names:
            print(name, file=sys.stderr)
            try:
                report.add(await SCENARIOS[name](Plan(quick, Path(folder), random)))
            except Skip as reason:
                report.skipped.append(f"{name}: {reason}")


def _write(report: Report, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report.as_json(), indent=1) + "\n", encoding="utf-8")
    path.with_suffix(".md").write_text(report.as_markdown() + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
