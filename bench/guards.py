"""``python -m bench.guards``: what stands between a text and the guards that judge it.

The guards are as cheap as can be, so what is measured is the plumbing: a plain loop is the floor
under sync guards, and what anyio itself takes is the floor under async ones. Other guardrails are
asked in processes of their own (`make bench-guards` installs them), in turn with ours.
"""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import anyio

from bench import corpus
from bench.harness import (
    Goal,
    Outcome,
    Plan,
    Sample,
    Skip,
    Trial,
    Variant,
    compare,
    in_blocks,
    mean,
)
from bench.peers.guarding import HARMLESS, LONGEST, PROMISE
from ctxbridge.bridge.replying import GATE_OF_AGENT
from ctxbridge.guards import TextCheck, allow, automatic, block, guard, judge, opt_out
from ctxbridge.guards.asking import Verdicts
from ctxbridge.guards.pipeline import Lanes
from ctxbridge.model import Address, Assurance, Contact, Context, Link, Verdict, Window
from ctxbridge.wire.keys import text_digest

ROOT = Path(__file__).parents[1]
VENVS = ROOT / ".venv-guards"
# Peer, its environment, how many calls make a sample, and what it does.
PEERS = (
    ("openai_guardrails_peer", "openai", 100, "openai-guardrails, three checks"),
    ("openai_agents_peer", "openai", 100, "OpenAI Agents SDK, three guardrails"),
    ("guardrails_ai_peer", "guardrails_ai", 10, "guardrails-ai, one validator"),
    ("nemo_peer", "nemo", 1, "NeMo Guardrails, one rail"),
)
PATIENCE_SECONDS = 60.0

FLOOR = "plain loop over three sync functions"
SYNC = "judge, three sync guards"
INBOUND, REPLY = "policy of the bridge, inbound SMS", "policy of the bridge, reply"
FAIL_AFTER, JUDGE = "bare await under anyio.fail_after", "judge, one async guard"
CACHED = "judge, one async guard, once: cached"
GROUP, JUDGES = "bare anyio task group of three", "judge, three async guards"
# How many calls make a sample, where it is not 500: all samples are to be some milliseconds.
TIMES = {FLOOR: 10_000, GROUP: 100, JUDGES: 100}
SMS = "Hello, has the blue lamp left yet? I am at home from nine to twelve tomorrow. Thanks, Ann"

# As many times as long as its floor: the aim, from 2 µs beside a loop of 0.6 µs (and 10 µs for the
# policy), and from 40 µs beside a deadline of 19 µs. Nobody set one for three at once.
AIMS = {
    SYNC: (FLOOR, 2.0 / 0.6),
    INBOUND: (FLOOR, 10.0 / 0.6),
    REPLY: (FLOOR, 10.0 / 0.6),
    JUDGE: (FAIL_AFTER, 40.0 / 19.0),
    JUDGES: (GROUP, 40.0 / 19.0),
}

Call = Callable[[TextCheck], Awaitable[object]]


async def run(plan: Plan) -> Outcome:
    """Ours beside the floors, and beside the peers unless it is a quick run."""
    outcome = Outcome()
    with ExitStack() as stack:
        peers = [] if plan.quick else _started(stack, outcome)
        trial = await measure(plan, peers, rounds=plan.size(101, 15))
    if plan.quick:
        outcome.skipped.append("other guardrails: a quick run does without them")
    outcome.goals += goals(trial)
    outcome.add([trial], SYNC)
    outcome.notes.append(table(trial))
    return outcome


async def measure(plan: Plan, peers: Sequence[Variant], *, rounds: int) -> Trial:
    calls = await _calls()
    variants = [_variant(name, *call, TIMES.get(name, 500)) for name, call in calls.items()]
    return await compare(plan, "guards", [*variants, *peers], rounds=rounds)


def goals(trial: Trial) -> list[Goal]:
    return [
        Goal(f"G18 {name}", f"{name}, over: {floor}", "<=", round(aim, 1), "x", spread)
        for name, (floor, aim) in AIMS.items()
        for spread in [trial.times(name, floor, mean)]
    ]


def table(trial: Trial) -> str:
    """All variants, as times of the floor."""
    lines = ["| guards | µs per text | x plain loop |", "| --- | --- | --- |"]
    for variant in trial.variants:
        taken = trial.metric(variant.name, mean).median
        times = trial.times(variant.name, FLOOR, mean)
        lines.append(
            f"| {variant.name} | {taken:,.1f} | "
            f"{times.median:,.1f} ({times.low:,.1f} to {times.high:,.1f}) |"
        )
    return "\n".join(lines)


def _variant(name: str, call: Call, check: TextCheck, times: int) -> Variant:
    async def take() -> Sample:
        return await in_blocks(call, [check] * times)

    return Variant(name, take)


async def _calls() -> dict[str, tuple[Call, TextCheck]]:
    """What is measured, and with which text; raises `AssertionError` if one judges wrongly."""
    digest, known = partial(text_digest, corpus.TENANT), Verdicts()
    ours = Lanes([guard("reply", name=check.__name__)(check) for check in CHECKS])
    early = Lanes([opt_out(), automatic()])
    judges = Lanes([guard("reply", name=f"judge_{n}")(_allows) for n in range(3)])
    one = Lanes(judges[:1])
    cached = Lanes([guard("reply", name="judge_once", once=True)(_allows)])
    out, came = _check("reply", HARMLESS), _check("inbound", SMS)
    calls: dict[str, tuple[Call, TextCheck]] = {
        FLOOR: (_plain_loop, out),
        SYNC: (lambda check: judge(ours, check, digest), out),
        INBOUND: (lambda check: judge(early, check, digest), came),
        REPLY: (lambda check: judge(GATE_OF_AGENT, check, digest), out),
        FAIL_AFTER: (_fail_after, out),
        JUDGE: (lambda check: judge(one, check, digest), out),
        CACHED: (lambda check: judge(cached, check, digest, known), out),
        GROUP: (_group, out),
        JUDGES: (lambda check: judge(judges, check, digest), out),
    }
    refused = await judge(ours, _check("reply", PROMISE), digest)
    assert refused.blocked
    assert (await judge(early, _check("inbound", "STOP"), digest)).blocked
    await judge(cached, out, digest, known)
    statuses = (await judge(cached, out, digest, known)).decision.results
    assert [result.status for result in statuses] == ["cached"]
    return calls


def _check(stage: Literal["inbound", "reply"], text: str) -> TextCheck:
    address = Address("sms", "+15550100001")
    contact = Contact(b"c" * 16, (Link(address, Assurance.CHANNEL, "carrier", "bench", 1),))
    context = Context(contact, b"k" * 16, Window([], range(0)))
    if stage == "inbound":
        return TextCheck(stage, text, "sms", Assurance.CHANNEL, corpus.NOW, address=address)
    return TextCheck(
        stage, text, "sms", Assurance.CHANNEL, corpus.NOW, (), contact, context, address=address
    )


# The same three that the peers have, as our guards are written.
def too_long(check: TextCheck) -> Verdict:
    return block("bench.too_long") if len(check.text) > LONGEST else allow()


def promises(check: TextCheck) -> Verdict:
    return block("bench.promises") if "guaranteed" in check.text else allow()


def links(check: TextCheck) -> Verdict:
    return block("bench.links") if "http" in check.text else allow()


CHECKS: tuple[Callable[[TextCheck], Verdict], ...] = (too_long, promises, links)


async def _plain_loop(check: TextCheck) -> bool:
    for one in CHECKS:  # noqa: SIM110 - what anybody would write by hand, and faster than all()
        if one(check).action == "block":
            return False
    return True


async def _allows(_: TextCheck) -> Verdict:
    return allow()


async def _fail_after(check: TextCheck) -> Verdict:
    with anyio.fail_after(2.0):
        return await _allows(check)


async def _group(check: TextCheck) -> None:
    with anyio.fail_after(2.0):
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(_allows, check)


class Peer:
    """The process of a peer, from `bench.peers`."""

    def __init__(self, module: str, environment: str) -> None:
        python = VENVS / environment / "bin" / "python"
        if not python.exists():
            raise Skip("it is not installed: make bench-guards")
        self._process = subprocess.Popen(
            [str(python), "-m", f"bench.peers.{module}"],
            cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def __enter__(self) -> Self:
        said = self._line()
        if not said.startswith("ready "):
            self.close()
            raise Skip(said.removeprefix("not measured: ") or "its process ended at once")
        self.name = said.removeprefix("ready ")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def sample(self, calls: int) -> Sample:
        """So many calls, in the process of the peer."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{calls}\n")
        self._process.stdin.flush()
        return Sample(**json.loads(self._line()))


def _started(stack: ExitStack, outcome: Outcome) -> list[Variant]:
    """Those that are there; what is not is named in the outcome, and why."""
    variants = []
    for module, environment, calls, what in PEERS:
        try:
            peer = stack.enter_context(Peer(module, environment))
        except Skip as reason:
            outcome.skipped.append(f"{what} because {reason}")
            continue
        variants.append(_of_peer(f"{what} ({peer.name})", peer, calls))
    return variants


def _of_peer(name: str, peer: Peer, calls: int) -> Variant:
    async def take() -> Sample:
        return await asyncio.to_thread(peer.sample, calls)

    return Variant(name, take)


if __name__ == "__main__":
    from bench.__main__ import main

    sys.exit(main(["--only", "guards", *sys.argv[1:]]))
