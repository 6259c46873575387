"""`ctxbridge rollback`, `promote`, `canary`, `drain`, `pause`, `kill`, `resume`, `control`.

The service is a bridge with two releases; the command line is another over the same store, which has
nothing deployed.
"""

import getpass
import json
import os
import pwd
import re
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import anyio
import anyio.to_thread
import pytest

from ctxbridge import Address, Assurance, Bridge, Endpoint, Inbound, Text, Turn
from ctxbridge.cli import acting, main
from ctxbridge.guards import allow, defer, guard
from ctxbridge.model import Floor, Outgoing, Sent

OURS = Endpoint("sms", "+15550199999")
ANN, BOB = "sms:+15550100001", "sms:+15550100002"
HOSTILE = "\x1b[2J\x1b]0;title\x07\u202egnp\x9b31m\r\b"
STEERING = set("\x1b\x07\u202e\x9b\r\b")
HOUR = 3_600_000
WHY = ("--why", "it swears")
Run = Callable[..., "Done"]


class Done(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def objects(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [one for one in self.objects if one["kind"] == kind]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    def run(*arguments: object) -> Done:
        monkeypatch.setenv("COLUMNS", "120")
        try:
            code = main([str(a) for a in arguments])
        except SystemExit as end:
            code = int(end.code or 0)
        return Done(code, *capfd.readouterr())

    return run


@guard("reply")
def later(check: Any) -> Any:
    """Whatever says so waits an hour before it is sent."""
    return defer(check.now + HOUR, "later") if "later" in check.text else allow()


class Ahead:
    """A clock that is more than an hour ahead, so that what waits is due."""

    def now(self) -> int:
        return time.time_ns() // 1_000_000 + 2 * HOUR


class Phone:
    channel, repeatable, timeout_seconds, per_second = "sms", False, 5.0, 0.0

    def __init__(self) -> None:
        self.texts: list[str] = []

    async def send(self, outgoing: Outgoing) -> Sent:
        self.texts.append(outgoing.text)
        return Sent("sent", provider_id="P")

    async def aclose(self) -> None:
        pass


def url(db: object) -> str:
    return str(db) if "://" in str(db) else f"sqlite:///{db}"


class Service:
    """A process with v11 and v12; what a test puts into `before` happens while v12 thinks."""

    def __init__(self, db: object, **options: Any) -> None:
        self.phone = Phone()
        self.before: Callable[[], Awaitable[None]] | None = None
        options = {"senders": [self.phone], "guards": [later], **options}
        self.bridge: Bridge[Any] = Bridge(url(db), tenant="demo", wait_seconds=0.1, **options)
        self.bridge.deploy("support@v11", self._old)
        self.bridge.deploy("support@v12", self._new)

    async def _old(self, turn: Turn[Any]) -> str:
        return f"v11: {turn.inbound.text}"

    async def _new(self, turn: Turn[Any]) -> str:
        if self.before:
            await self.before()
        return f"v12: {turn.inbound.text}"

    async def write(self, text: str, sender: str = ANN) -> Turn[Any]:
        inbound = Inbound(
            "sms", OURS, Address.parse(sender), text + sender, (Text(text),), Assurance.CHANNEL
        )
        return await self.bridge.answer(inbound, self.bridge.deployed)


def serve(db: object, work: Callable[[Service], Awaitable[Any]], **options: Any) -> Any:
    """What `work` gives, done by a service over the store."""

    async def within() -> Any:
        service = Service(db, **options)
        async with service.bridge:
            return await work(service)

    return anyio.run(within)


def write(db: object, *texts: str, sender: str = ANN) -> list[Turn[Any]]:
    """Messages to the service, and what became of each."""

    async def work(service: Service) -> list[Turn[Any]]:
        return [await service.write(text, sender) for text in texts]

    turns: list[Turn[Any]] = serve(db, work)
    return turns


@pytest.fixture(params=["sqlite", "redis"])
def db(request: pytest.FixtureRequest, tmp_path: Path) -> object:
    """A store on which both releases are known, and Ann has an answer from v11."""
    if request.param == "sqlite":
        db: object = tmp_path / "store.db"
    else:
        db = f"{request.getfixturevalue('server').url}?prefix={tmp_path.name}"
    write(db, "hello")
    return db


@pytest.fixture
def file(tmp_path: Path) -> Path:
    db = tmp_path / "store.db"
    write(db, "hello")
    return db


def release_of(turn: Turn[Any]) -> str:
    return turn.release.version if turn.release else ""


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
            from ctxbridge.model import Outcome, Release
            from ctxbridge.rules.trial import fold

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
    with anyio.move_on_after(20):
        while not reported.is_set():
            await service.bridge.steering.refresh()
            await anyio.sleep(0.02)


class TestHalts:
    @pytest.mark.parametrize(
        "scope",
        [
            ("--tenant-wide",), ("--agent", "support"), ("--agent", "support", "--version", "v11"),
            ("--channel", "sms"), ("--endpoint", str(OURS)), ("--contact", ANN),
        ],
    )  # fmt: skip
    def test_what_stands_still_is_not_answered_until_it_is_resumed(
        self, run: Run, db: object, scope: tuple[str, ...]
    ) -> None:
        done = run("pause", *scope, *WHY, "--by", "ann", "--db", db)
        assert (done.code, done.err) == (0, "")
        (turn,) = write(db, "anybody?")
        assert (turn.status, turn.said) == ("waiting", ())

        found = run("control", "--db", db, "--json")
        (halt,) = found.of("halt")
        assert (found.code, halt["mode"], halt["by"], halt["why"]) == (
            3, "pause", "ann", "it swears",
        )  # fmt: skip
        assert run("resume", *scope, *WHY, "--db", db).code == 0
        assert run("control", "--db", db).code == 0
        assert write(db, "and now?")[0].said

    def test_a_contact_by_id_and_a_conversation(self, run: Run, file: Path) -> None:
        told = run("show", ANN, "--db", file, "--json").objects[0]["conversation"]
        run("pause", "--contact", ANN, *WHY, "--db", file)
        id = run("control", "--db", file, "--json").of("halt")[0]["scope"]["contact"]
        assert len(bytes.fromhex(id)) == 16
        assert run("resume", "--contact", id.upper(), *WHY, "--db", file).code == 0
        assert run("pause", "--conversation", told.upper(), *WHY, "--db", file).code == 0
        assert write(file, "anybody?")[0].status == "waiting"
        assert write(file, "else", sender=BOB)[0].said

    def test_what_is_told_to_stand_still_can_be_typed(self, run: Run, file: Path) -> None:
        scope = ("--agent", "support", "--channel", "sms", "--purpose", "marketing")
        run("kill", *scope, *WHY, "--db", file)
        assert re.search(
            rf"(?m)^{' '.join(scope)} +kill +.+ {acting.login()} +it swears$",
            run("control", "--db", file).out,
        )
        wrong = run("resume", "--agent", "support", *WHY, "--db", file)
        assert (wrong.code, wrong.out) == (1, "")
        assert f"what does: {' '.join(scope)}" in wrong.err

    @pytest.mark.parametrize(("mode", "left"), [("pause", 1), ("kill", 0)])
    def test_what_has_not_left_waits_for_the_end_of_a_pause_and_dies_of_a_kill(
        self, run: Run, file: Path, mode: str, left: int
    ) -> None:
        write(file, "answer me later")
        assert run(mode, "--channel", "sms", *WHY, "--db", file).code == 0

        async def dispatch(service: Service) -> list[str]:
            await service.bridge.dispatch()
            return service.phone.texts

        assert serve(file, dispatch, clock=Ahead()) == []
        assert len(run("outbox", "--db", file, "--json").objects) == left

    def test_a_rehearsal_changes_nothing(self, run: Run, file: Path) -> None:
        before = file.read_bytes()
        for command in (
            ("kill", "--tenant-wide"), ("promote", "support", "v12"),
            ("canary", "support", "v12", 5, "--trial"), ("rollback", "support", "--to", "v12"),
        ):  # fmt: skip
            done = run(*command, *WHY, "--dry-run", "--db", file)
            assert (done.code, done.err) == (0, "")
            assert "would" in done.out
        assert file.read_bytes() == before


class TestMissing:
    @pytest.mark.parametrize(
        ("command", "told"),
        [
            (("rollback", "suport", "--to", "v11"), "known: support"),
            (("rollback", "support", "--to", "v9"), "known versions: v11, v12"),
            (("rollback", "support", "--to", "v11", "--version", "v9"), "known versions: v11, v12"),
            (("promote", "support", "v9"), "known versions: v11, v12"),
            (("canary", "support", "v9", "5"), "known versions: v11, v12"),
            (("drain", "sales", "v11"), "known: support"),
            (("kill", "--agent", "suport"), "known: support"),
            (("kill", "--agent", "support", "--version", "v9"), "known versions: v11, v12"),
            (("kill", "--contact", "sms:+15550100009"), "nobody is stored"),
            (("resume", "--tenant-wide"), "what does: nothing"),
        ],
    )
    def test_what_is_not_there_is_told_and_nothing_is_changed(
        self, run: Run, file: Path, command: tuple[str, ...], told: str
    ) -> None:
        before = run("control", "--db", file, "--json").out
        done = run(*command, *WHY, "--db", file)
        assert (done.code, done.out, done.err.count("\n")) == (1, "", 1)
        assert told in done.err
        assert run("control", "--db", file, "--json").out == before

    def test_of_another_tenant_nothing_is_known(self, run: Run, file: Path) -> None:
        for more in ((), ("--history", "3")):
            done = run("control", "--db", file, "--tenant", "other", *more)
            assert (done.code, done.out, done.err.count("\n")) == (1, "", 1)

    def test_an_error_is_2(self, run: Run, file: Path, tmp_path: Path) -> None:
        for command in (
            ("drain", "support", "v11"), ("canary", "support", "v11", "5"),
            ("rollback", "support", "--to", "v11", "--version", "v11"), ("kill", "--contact", "sms:"),
        ):  # fmt: skip
            done = run(*command, *WHY, "--db", file)
            assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
        done = run("kill", "--tenant-wide", *WHY, "--db", tmp_path / "missing.db")
        assert (done.code, done.err.count("\n")) == (2, 1)
        assert not (tmp_path / "missing.db").exists()


class TestUsage:
    @pytest.mark.parametrize("command", ["pause", "kill", "resume"])
    def test_nobody_halts_everything_by_a_forgotten_option(
        self, run: Run, file: Path, command: str
    ) -> None:
        done = run(command, *WHY, "--db", file)
        assert (done.code, done.out) == (2, "")
        assert "--tenant-wide for all" in done.err
        both = run(command, "--tenant-wide", "--channel", "sms", *WHY, "--db", file)
        assert (both.code, both.out) == (2, "")
        assert run("control", "--db", file, "--json").of("halt") == []

    @pytest.mark.parametrize(
        "command",
        [
            ("pause", "--version", "v12"), ("pause", "--endpoint", "+15550199999"),
            ("pause", "--conversation", "x"), ("pause", "--purpose", "all"),
            ("canary", "support", "v12", "101"), ("canary", "support", "v12", "nan"),
            ("canary", "support", "v12", "5", "--propose"),
            ("canary", "support", "v12", "5", "--alpha", "0.1"),
            ("canary", "support", "v12", "5", "--trial", "--alpha", "2"),
            ("rollback", "support", "--to", "v11", "--within", "-1"), ("rollback", "support"),
            ("control", "--history", "0"),
        ],
    )  # fmt: skip
    def test_wrong_usage_is_told(self, run: Run, file: Path, command: tuple[str, ...]) -> None:
        why = () if command[0] == "control" else WHY
        done = run(*command, *why, "--db", file)
        assert (done.code, done.out) == (2, "")
        assert done.err.startswith("usage: ")

    def test_why_must_be_said(self, run: Run, file: Path) -> None:
        assert "--why" in run("kill", "--tenant-wide", "--db", file).err

    def test_exit_codes_are_told(self, run: Run) -> None:
        for command in ("rollback", "control", "kill", "resume", "canary"):
            assert "Exit codes: 0 " in " ".join(run(command, "--help").out.split())

    def test_words_of_others_cannot_steer_the_terminal(self, run: Run, file: Path) -> None:
        said = ("--why", HOSTILE, "--by", HOSTILE)
        run("pause", "--channel", HOSTILE, *said, "--db", file)
        for more in ((), ("--json",), ("--history", "3"), ("--history", "3", "--json")):
            assert not set(run("control", "--db", file, *more).out) & STEERING


@pytest.fixture
def nameless(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A user that has no name, as in many a container."""
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    known = {entry.pw_uid for entry in pwd.getpwall()}
    unknown = next(uid for uid in range(54_321, 60_000) if uid not in known)
    monkeypatch.setattr(os, "getuid", lambda: unknown)
    return


def test_who_has_a_name_is_known_by_it() -> None:
    assert acting.login() == getpass.getuser()


def test_who_has_no_name_is_unknown(nameless: None) -> None:
    assert acting.login() == "unknown"
