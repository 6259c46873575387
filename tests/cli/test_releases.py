"""`ctxbridge rollback`, `promote`, `canary` and `drain`, and the page that tells what to type."""

import contextlib
import functools
import re
import shlex
from pathlib import Path

import anyio
import anyio.to_thread
import pytest
from tests.cli.service import (
    ANN,
    BOB,
    WHY,
    Done,
    Run,
    Service,
    release_of,
    serve,
    write,
)  # fmt: skip

from ctxbridge.cli import acting
from ctxbridge.errors import Halted
from ctxbridge.model import Floor, Outcome, Release
from ctxbridge.rules.trial import fold


class TestReleases:
    def test_versions_are_known_to_who_has_nothing_deployed(self, run: Run, db: object) -> None:
        done = run("promote", "support", "v12", *WHY, "--by", "ann", "--db", db)
        assert (done.code, done.err) == (0, "")
        assert re.search(r"(?m)^support +v12 +- +v11 +-$", done.out)
        assert release_of(write(db, "new", sender=BOB)[0]) == "v12"
        assert release_of(write(db, "again")[0]) == "v11"

    def test_a_rollback_reports_and_all_are_answered_by_the_other(
        self, run: Run, db: object
    ) -> None:
        run("promote", "support", "v12", *WHY, "--db", db)
        write(db, "answer me later", sender=BOB)

        would = run("rollback", "support", "--to", "v11", *WHY, "--db", db, "--dry-run", "--json")
        assert (would.objects[0]["dry_run"], len(would.objects[0]["withheld"])) == (True, 1)
        assert release_of(write(db, "still")[0]) == "v11"
        assert run("control", "--db", db, "--json").of("route")[0]["stable"] == "v12"

        done = run("rollback", "support", "--to", "v11", *WHY, "--by", "ann", "--db", db)
        assert (done.code, done.err) == (0, "")
        assert done.out.startswith("rolled back support@v12 to v11, in force after ")
        assert re.search(r"(?m)^  withheld +1$", done.out)
        assert re.search(r"(?m)^  asked anew +1$", done.out)
        assert release_of(write(db, "now", sender=BOB)[0]) == "v11"
        acts = run("control", "--history", 9, "--db", db, "--json").of("act")
        assert [(a["act"], a["by"], a["why"]) for a in acts] == [
            ("rollback support: v12 to v11", "ann", "it swears"),
            ("promote support@v12", acting.login(), "it swears"),
            ("deploy support: v11, v12", "", ""),
        ]

    @pytest.mark.parametrize(
        ("more", "told"),
        [((), "taken_up"), (("--handoff",), "handed_over"), (("--within", "0"), "waiting")],
    )
    def test_what_runs_is_stopped_and_it_is_told_what_became_of_it(
        self, run: Run, db: object, more: tuple[str, ...], told: str
    ) -> None:
        run("promote", "support", "v12", *WHY, "--db", db)
        command = ("rollback", "support", "--to", "v11", *WHY, "--db", db, "--json", *more)

        async def work(service: Service) -> tuple[Done, Floor, list[str]]:
            thinks, reported, done = anyio.Event(), anyio.Event(), []

            async def thinking() -> None:
                thinks.set()
                # It does not notice at once that it is stopped, so the report finds it running.
                with anyio.CancelScope(shield=True):
                    await (reported.wait() if told == "waiting" else anyio.sleep(0.5))

            async def roll_back() -> None:
                await thinks.wait()
                done.append(await anyio.to_thread.run_sync(lambda: run(*command)))
                reported.set()

            service.before = thinking
            async with anyio.create_task_group() as group:
                group.start_soon(_beside, service, reported, told)
                group.start_soon(roll_back)
                await service.write("hello", BOB)
            context = await service.bridge.context(BOB, fresh=True)
            return done[0], context.floor, service.phone.texts

        done, floor, texts = serve(db, work)

        (report,) = done.objects
        lists = {k: len(v) for k, v in report.items() if isinstance(v, list) and v}
        assert lists == {"versions": 1, "stopped": 1, told: 1}
        assert done.code == (3 if told == "waiting" else 0)
        assert floor is (Floor.QUEUE if told == "handed_over" else Floor.AGENT)
        assert texts == ([] if told == "handed_over" else ["v11: hello"])

    def test_one_version_alone_and_what_has_not_left_may_leave(self, run: Run, file: Path) -> None:
        run("promote", "support", "v12", *WHY, "--db", file)
        write(file, "answer me later", sender=BOB)
        done = run(
            "rollback", "support", "--to", "v11", "--version", "v12", "--release-pending", *WHY,
            "--db", file, "--json",
        )  # fmt: skip
        (report,) = done.objects
        assert (report["versions"], len(report["released"]), report["withheld"]) == (["v12"], 1, [])

    def test_twice_is_once(self, run: Run, file: Path) -> None:
        run("promote", "support", "v12", *WHY, "--db", file)
        command = ("rollback", "support", "--to", "v11", *WHY, "--db", file)
        assert run(*command).code == 0
        before = run("control", "--db", file, "--json").of("route")
        again = run(*command)
        assert (again.code, again.err) == (0, "")
        assert run("control", "--db", file, "--json").of("route") == before

    def test_a_canary_on_trial_and_what_speaks_for_it(self, run: Run, db: object) -> None:
        command = ("canary", "support", "v12", 50, *WHY, "--db", db)
        run(*command, "--trial", "--propose", "--alpha", "0.01")
        done = run("control", "--db", db)
        assert done.code == 0
        assert "v12 50 %, on trial" in done.out
        assert "trial of support@v12: " in done.out
        (trial,) = run("control", "--db", db, "--json").of("trial")
        assert (trial["release"], trial["does"], round(trial["needed"])) == (
            "support@v12", "wait", 100,
        )  # fmt: skip
        assert run(*command, "--channel", "sms", "--label", "vip").code == 0
        assert "v12 50 %, sms, vip" in run("control", "--db", db).out
        assert run("canary", "support", "v12", 0, *WHY, "--db", db).code == 0
        (route,) = run("control", "--db", db, "--json").of("route")
        assert (route["canary"], route["draining"]) == (None, ["v12"])

    def test_a_trial_that_proposes_is_found_by_scripts(self, run: Run, file: Path) -> None:
        run("canary", "support", "v12", 50, "--trial", "--propose", *WHY, "--db", file)

        async def work(service: Service) -> None:

            watching, canary = service.bridge.watching, Release("support", "v12")
            trial, revision = await watching.trial(canary)
            assert trial is not None
            bad = [Outcome(True, blocked=True), Outcome(False)] * 100
            assert await watching.put(canary, fold(trial, bad), revision)

        assert run("control", "--db", file).code == 0
        serve(file, work)
        done = run("control", "--db", file)
        assert done.code == 3
        assert "blocked or escalated" in done.out

    def test_a_canary_that_is_refused_begins_no_trial(self, run: Run, file: Path) -> None:
        done = run("canary", "support", "v12", 100, "--trial", *WHY, "--db", file)
        assert (done.code, done.out) == (2, "")
        assert "a trial needs a lot" in done.err
        run("canary", "support", "v12", 50, *WHY, "--db", file)
        assert run("control", "--db", file, "--json").of("trial") == []

    def test_a_drained_version_begins_nothing(self, run: Run, file: Path) -> None:
        run("canary", "support", "v12", 100, *WHY, "--db", file)
        write(file, "one", sender=BOB)
        done = run("drain", "support", "v12", *WHY, "--db", file, "--json")
        assert done.of("route")[0]["draining"] == ["v12"]
        assert release_of(write(file, "two", sender=BOB)[0]) == "v12"
        assert release_of(write(file, "three", sender="sms:+15550100003")[0]) == "v11"


async def _beside(service: Service, reported: anyio.Event, told: str) -> None:
    """What a service does beside its turns; not where the report is to find the turn running."""
    if told == "waiting":
        return
    with anyio.move_on_after(60):
        while not reported.is_set():
            await service.bridge.steering.refresh()
            await anyio.sleep(0.02)


class TestThePage:
    """The first block of the page, typed from top to bottom while customers write."""

    def test_it_takes_the_bad_release_back_and_answers_all(self, run: Run, db: object) -> None:
        run("promote", "support", "v12", *WHY, "--db", db)
        codes, texts = serve(db, lambda service: self._night(service, run, db))
        assert codes == {
            "control": [0, 0], "pause": [0], "rollback": [0, 3], "resume": [0], "stats": [0],
        }  # fmt: skip
        assert texts == ["v11: hello", "v11: still there?"]
        assert run("control", "--db", db, "--json").of("route")[0]["stable"] == "v11"

    async def _night(
        self, service: Service, run: Run, db: object
    ) -> tuple[dict[str, list[int]], list[str]]:
        """The exit codes of each command, and what Bob and Ann were told."""
        codes: dict[str, list[int]] = {}
        thinks = anyio.Event()

        async def thinking() -> None:
            thinks.set()
            await anyio.sleep_forever()

        service.before = thinking
        async with anyio.create_task_group() as group:
            run_beside = functools.partial(service.bridge.run, sweep_seconds=0.1)
            group.start_soon(run_beside, service.bridge.deployed)
            group.start_soon(_patient, service, "hello", BOB)
            await thinks.wait()
            for command in typed():
                words = shlex.split(command.replace("$DB", str(db)).replace("acme", "demo"))[1:]
                soon = ["--within", "0.2"] if words[0] == "rollback" else []
                done = await anyio.to_thread.run_sync(functools.partial(run, *words, *soon))
                codes.setdefault(words[0], []).append(done.code)
                if words[0] == "pause":
                    await _patient(service, "still there?", ANN)
            with anyio.fail_after(60):
                while len(service.phone.texts) < 2:  # noqa: ASYNC110 - sweeps send them
                    await anyio.sleep(0.05)
            group.cancel_scope.cancel()
        return codes, sorted(service.phone.texts)


def typed() -> list[str]:
    """The commands of the first block of the page."""
    page = (Path(__file__).parents[2] / "docs" / "rolling-back.md").read_text("utf-8")
    return re.findall(r"^\$ (ctxbridge .+)$", page.split("```")[1], re.MULTILINE)


async def _patient(service: Service, text: str, sender: str) -> None:
    with contextlib.suppress(Halted):
        await service.write(text, sender)
