"""`ctxbridge outbox` and `ctxbridge dead`: what a sender could not send is shown and put back."""

import json
import re
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import anyio
import pytest

from ctxbridge import Address, Assurance, Bridge, Endpoint, Inbound, Text
from ctxbridge.cli import main, output
from ctxbridge.cli import outbox as room
from ctxbridge.cli.where import Where
from ctxbridge.model import Delivery, Found, Message, Outgoing, Sent

OURS = Endpoint("sms", "+15550199999")
ANN = Address("sms", "+15550100001")
REPLY = "Your order is on its way."
HOSTILE = "\x1b[2J\x1b]0;title\x07\u202egnp\x9b31m\r\n\b"
STEERING = set("\x1b\x07\u202e\x9b\r\b")
FAILED = Sent("failed", "SM1", "30003")
UNKNOWN = Sent("unknown", code="sender.timeout")
LATER = Sent("retry", code="busy", retry_after=3600.0)
KEYS = {
    "kind", "key", "status", "attempt", "code", "channel", "to", "at", "due", "provider_id",
    "contact",
}  # fmt: skip
Run = Callable[..., "Done"]


class Done(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def objects(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


class Scripted:
    """A sender that answers what it was told to, one word for each message."""

    channel = "sms"
    repeatable = False
    timeout_seconds = 5.0
    per_second = 0.0

    def __init__(self, *answers: Sent) -> None:
        self.answers = list(answers)
        self.got: list[Outgoing] = []

    async def send(self, outgoing: Outgoing) -> Sent:
        self.got.append(outgoing)
        return self.answers.pop(0)

    async def aclose(self) -> None:
        pass


def fill(db: object, *answers: Sent, sender: Address = ANN) -> list[str]:
    """A message of ours for each answer of the sender; their keys."""
    scripted = Scripted(*answers)

    async def turns() -> None:
        async with Bridge(url(db), tenant="demo", senders=[scripted]) as bridge:
            for id in map(str, range(len(answers))):
                asks = Inbound("sms", OURS, sender, id, (Text("Where?"),), Assurance.CHANNEL)
                async with bridge.turn(asks) as turn:
                    turn.reply(REPLY)
                await anyio.sleep(0.002)  # each has a millisecond of its own, and so an order

    anyio.run(turns)
    return [outgoing.key for outgoing in scripted.got]


def dispatch(db: object, *answers: Sent) -> list[Outgoing]:
    """What a sweep of the service sends."""
    scripted = Scripted(*answers)

    async def sweep() -> None:
        async with Bridge(url(db), tenant="demo", senders=[scripted]) as bridge:
            await bridge.dispatch()

    anyio.run(sweep)
    return scripted.got


def url(db: object) -> str:
    return str(db) if "://" in str(db) else f"sqlite:///{db}"


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "outbox.db"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """The command as the console script runs it, usage errors too."""

    def run(*arguments: object, columns: int = 120) -> Done:
        monkeypatch.setenv("COLUMNS", str(columns))
        try:
            code = main([str(a) for a in arguments])
        except SystemExit as end:
            code = int(end.code or 0)
        return Done(code, *capsys.readouterr())

    return run


class TestTable:
    def test_what_is_dead_is_shown_the_oldest_first(self, run: Run, db: Path) -> None:
        first, _, second = fill(db, FAILED, LATER, UNKNOWN)

        done = run("dead", "--db", db)

        assert (done.code, done.err) == (3, "")
        headline, one, two, _, last = done.out.splitlines()
        assert headline.split() == ["time", "(UTC)", *room.HEADLINE[1:]]
        time = r"\d\d \w{3} \d\d:\d\d:\d\d"
        row = rf"(?m)^{time}  sms:…0001  (\w+) +1 +{time}  ([0-9a-f]{{32}})  (\S+)$"
        found = [("failed", first, "30003"), ("unknown", second, "sender.timeout")]
        assert re.findall(row, done.out) == found
        assert headline.index("key") == one.index(first) == two.index(second)
        assert "may then arrive twice" in last

    def test_what_waits_is_in_the_outbox_alone_and_what_was_sent_in_neither(
        self, run: Run, db: Path
    ) -> None:
        _, key = fill(db, Sent("sent", "SM1"), LATER)

        waiting = run("outbox", "--db", db)

        assert (waiting.code, waiting.err, waiting.out.count("\n")) == (0, "", 2)
        assert {"pending", key, "busy"} <= set(waiting.out.split())
        assert run("dead", "--db", db) == (0, "Nothing is dead.\n", "")
        assert run("dead", "--db", db, "--json") == (0, "", "")
        assert run("dead", "--db", db, "--json", "--replay-all") == (0, "", "")

    @pytest.mark.parametrize("how", [(), ("--json",)])
    def test_texts_and_addresses_are_shown_only_if_asked_for(
        self, run: Run, db: Path, how: tuple[str, ...]
    ) -> None:
        fill(db, FAILED, LATER)

        for command in ("dead", "outbox"):
            silent = run(command, "--db", db, *how).out
            telling = run(command, "--db", db, "--show-text", *how).out
            for personal in (ANN.value, REPLY):
                assert personal not in silent
                assert personal in telling

    @pytest.mark.parametrize("columns", [40, 60, 80, 100, 120])
    @pytest.mark.parametrize("more", [(), ("--show-text",)])
    def test_no_line_is_wider_than_the_terminal(
        self, run: Run, db: Path, columns: int, more: tuple[str, ...]
    ) -> None:
        (key,) = fill(db, Sent("failed", code="x" * 64))

        lines = run("dead", "--db", db, *more, columns=columns).out.splitlines()

        assert max(map(output.cells, lines)) <= columns
        assert any(key in line for line in lines)

    def test_a_narrow_table_breaks_every_row_alike(self) -> None:
        rows = [("time", "key", "code"), ("1", "a" * 20, "注" * 5), ("2", "b" * 20, "")]

        plain, coloured = (list(output.table(rows, 28, colours=on)) for on in (False, True))

        a, b, wide = "a" * 20, "b" * 20, "注" * 5
        assert plain == ["time  key", "  code", f"1     {a}", f"  {wide}", f"2     {b}"]
        assert coloured == [f"\x1b[1m{line}\x1b[0m" for line in plain[:2]] + plain[2:]

    def test_more_than_were_asked_for_are_told(self, run: Run, db: Path) -> None:
        oldest, second, _ = fill(db, FAILED, FAILED, FAILED)

        two, three = (run("dead", "--db", db, "--json", "--limit", n) for n in (2, 3))

        assert [o["key"] for o in two.objects] == [oldest, second]
        assert (two.code, two.err.count("\n")) == (3, 1)
        assert "--limit shows more" in two.err
        assert (len(three.objects), three.err) == (3, "")


class TestJson:
    def test_each_object_has_exactly_the_promised_keys(self, run: Run, db: Path) -> None:
        failed, later = fill(db, FAILED, LATER)

        (dead,) = run("dead", "--db", db, "--json").objects
        (waiting,) = run("outbox", "--db", db, "--json").objects
        (telling,) = run("dead", "--db", db, "--json", "--show-text").objects

        assert set(dead) == set(waiting) == KEYS
        assert set(telling) == KEYS | {"text"}
        assert (telling["to"], telling["text"]) == (str(ANN), REPLY)
        told = {"kind": "delivery", "attempt": 1, "channel": "sms", "to": "sms:…0001"}
        assert dead.items() >= (told | {"key": failed, "status": "failed", "code": "30003"}).items()
        assert waiting.items() >= (told | {"key": later, "status": "pending"}).items()
        assert dead["provider_id"] == "SM1"
        assert len(bytes.fromhex(dead["contact"])) == 16
        assert waiting["due"] - waiting["at"] >= 3_600_000


class TestReplay:
    def test_what_was_put_back_is_sent_in_the_next_sweep(self, run: Run, db: Path) -> None:
        failed, unknown = fill(db, FAILED, UNKNOWN)
        assert dispatch(db) == []

        done = run("dead", "--db", db, "--replay", failed)

        assert done == (0, f"{failed} is put back, to be sent in the next sweep\n", "")
        assert [o["key"] for o in run("outbox", "--db", db, "--json").objects] == [failed]
        assert [o["key"] for o in run("dead", "--db", db, "--json").objects] == [unknown]
        (again,) = dispatch(db, Sent("sent", "SM2"))
        assert (again.key, again.text, again.delivery.attempt) == (failed, REPLY, 2)
        assert run("outbox", "--db", db).out == "Nothing waits to be sent.\n"

    def test_several_keys_each_once_and_what_may_arrive_twice(self, run: Run, db: Path) -> None:
        failed, unknown, other = fill(db, FAILED, UNKNOWN, FAILED)

        done = run("dead", "--db", db, "--replay", failed, unknown[:-1].upper(), "--replay", failed)

        one, two = done.out.splitlines()
        assert (done.code, done.err) == (0, "")
        assert (failed in one, "twice" in one) == (True, False)
        assert (unknown in two, "it may arrive twice" in two) == (True, True)
        assert [o.key for o in dispatch(db, *[Sent("sent")] * 2)] == [failed, unknown]
        assert [o["key"] for o in run("dead", "--db", db, "--json").objects] == [other]

    def test_all_of_it_or_the_oldest(self, run: Run, db: Path) -> None:
        keys = fill(db, FAILED, UNKNOWN, FAILED, LATER)

        (first,) = run("dead", "--db", db, "--replay-all", "--limit", 1, "--json").objects
        second, third = run("dead", "--db", db, "--replay-all", "--json").objects

        assert [first["key"], second["key"], third["key"]] == keys[:3]
        assert [o["may_arrive_twice"] for o in (first, second, third)] == [False, True, False]
        assert set(first) == KEYS | {"replayed", "may_arrive_twice"}
        assert {o["status"] for o in (first, second, third)} == {"pending"}
        assert run("dead", "--db", db, "--replay-all") == (0, "Nothing is dead.\n", "")
        assert [o.key for o in dispatch(db, *[Sent("sent")] * 3)] == keys[:3]

    def test_a_key_that_names_none_or_several_puts_nothing_back(self, run: Run, db: Path) -> None:
        one, two, waiting = fill(db, FAILED, UNKNOWN, LATER)
        assert one[:6] == two[:6], "ids sort by time"

        for key in (one[:6], "ffffff", waiting):
            done = run("dead", "--db", db, "--replay", two, key)
            assert (done.code, done.out, done.err.count("\n")) == (1, "", 1)
            assert f"{key} begins 2 keys" in done.err or f"begins with {key};" in done.err
        assert f"{one}, {two}" in run("dead", "--db", db, "--replay", one[:6]).err
        other = ("dead", "--db", db, "--tenant", "other")
        assert (run(*other).code, run(*other, "--replay", two).code) == (0, 1)
        assert len(run("dead", "--db", db, "--json").objects) == 2
        assert dispatch(db) == []

    def test_many_that_begin_alike_are_not_all_named(self) -> None:
        found = [Found(b"", 0, id=bytes([1] * 15 + [n])) for n in range(9)]

        chosen, (complaint,) = room.choose(found, ["010101"])

        assert (chosen, complaint.count("01" * 15)) == ([], room.NAMED)
        assert complaint.endswith(", ...")

    def test_what_changed_meanwhile_is_told(self, capsys: pytest.CaptureFixture[str]) -> None:
        was = Found(b"", 0, delivery=Delivery(bytes(16), status="unknown"), id=bytes(16))

        for now in (None, Delivery(bytes(16), status="delivered")):
            room._tell(room.Replayed(was, now), room.Asked(Where("", "")))

        gone, delivered = capsys.readouterr().out.splitlines()
        assert gone == f"{'0' * 32} is not there any more"
        assert delivered == f"{'0' * 32} is delivered by now, and stays so"

    def test_what_was_done_is_told_though_the_store_fails_half_way(
        self, run: Run, db: Path
    ) -> None:
        first, second = fill(db, FAILED, FAILED)
        with sqlite3.connect(db) as file:
            file.execute(
                "CREATE TRIGGER full BEFORE UPDATE ON delivery "
                f"WHEN OLD.delivery = x'{second}' BEGIN SELECT RAISE(ABORT, 'disk'); END"
            )
        file.close()

        done = run("dead", "--db", db, "--replay-all")

        assert (done.code, done.err.count("\n")) == (2, 1)
        assert done.out == f"{first} is put back, to be sent in the next sweep\n"


class TestHostile:
    def test_what_a_provider_says_cannot_steer_the_terminal(self, run: Run, db: Path) -> None:
        (key,) = fill(db, Sent("failed", HOSTILE, HOSTILE), sender=Address("sms", HOSTILE))
        assert set(HOSTILE) > STEERING

        for more in ((), ("--show-text",), ("--json",), ("--json", "--show-text")):
            done = run("dead", "--db", db, *more)
            assert (done.code, done.err) == (3, "")
            assert not set(done.out) & STEERING
            assert key in done.out
        (told,) = done.objects
        assert told["code"] == told["provider_id"] == HOSTILE

    def test_a_code_cannot_look_like_a_row(self, run: Run, db: Path) -> None:
        forged = "01 Jan 10:00:00  sms:…0002  failed"
        fill(db, Sent("failed", code=f"x\n{forged}"))

        for columns in (60, 120):
            lines = run("dead", "--db", db, columns=columns).out.splitlines()
            assert not [line for line in lines if line.startswith(forged[:6])]

    def test_a_time_beyond_the_calendar_is_far_off(self) -> None:
        assert room.moment(10**17) == "far off"

    def test_no_provider_can_ask_for_more_than_a_day(self, run: Run, db: Path) -> None:
        fill(db, Sent("retry", retry_after=1e12))

        (told,) = run("outbox", "--db", db, "--json").objects
        assert told["due"] - told["at"] <= 86_410_000

    def test_what_is_not_known_or_short_is_not_shown(self) -> None:
        def told(message: Message | None) -> str:
            delivery = Delivery(bytes(16), status="failed")
            return room.recipient(Found(b"", 0, bytes(16), message, delivery, delivery.id))

        assert told(None) == told(Message(b"", "agent", "sms", (), 0)) == ""
        short = Message(b"", "agent", "sms", (), 0, address=Address("sms", "1234567"))
        assert told(short) == "sms:…"


class TestStores:
    @pytest.mark.parametrize("command", ["outbox", "dead"])
    def test_memory_is_empty(self, run: Run, command: str) -> None:
        code, out, err = run(command, "--db", "memory://")

        assert (code, out[:8], err) == (0, "Nothing ", "")

    def test_redis(self, run: Run, server: Any) -> None:
        db = f"{server.url}?prefix=outbox"
        failed, later = fill(db, FAILED, LATER)

        ((dead,), (waiting,)) = (run(c, "--db", db, "--json").objects for c in ("dead", "outbox"))

        assert (dead["key"], dead["to"], waiting["key"]) == (failed, "sms:…0001", later)
        assert failed in run("dead", "--db", db).out
        assert run("dead", "--db", db, "--replay", failed).code == 0
        assert [o.key for o in dispatch(db, Sent("sent"))] == [failed]
        assert run("dead", "--db", db).code == 0

    def test_looking_changes_nothing(self, run: Run, db: Path) -> None:
        fill(db, FAILED)
        before = db.read_bytes()

        assert (run("outbox", "--db", db).code, run("dead", "--db", db).code) == (0, 3)
        assert db.read_bytes() == before

    @pytest.mark.parametrize("more", [(), ("--replay-all",), ("--replay", "abcdef")])
    def test_a_file_that_is_not_there_or_no_store_is_told_in_one_line(
        self, run: Run, tmp_path: Path, more: tuple[str, ...]
    ) -> None:
        (tmp_path / "bad.db").write_bytes(b"no database at all, but long enough" * 100)

        for name in ("missing.db", "bad.db", "."):
            done = run("dead", "--db", tmp_path / name, *more)
            assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
            assert done.err.startswith("ctxbridge: ")
        assert not (tmp_path / "missing.db").exists()

    def test_a_store_that_is_only_read_puts_nothing_back(self, run: Run, db: Path) -> None:
        fill(db, FAILED)

        done = run("dead", "--db", f"sqlite:///{db}?mode=ro", "--replay-all")

        assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
        assert run("dead", "--db", db).code == 3


class TestUsage:
    @pytest.mark.parametrize(
        ("told", "more"),
        [
            *[("a number from 1", f"--limit={n}") for n in ("0", "-1", "x", "", "9" * 5000, "１")],
            *[("write 6 of them", f"--replay={key}") for key in ("", "abcde", "0x1234", "a" * 33)],
            *[("write 6 of them", f"--replay={key}") for key in ("１２３４５６", "\x1b[2Jab")],
            ("not allowed with", "--replay=abcdef"),
        ],
    )
    def test_wrong_usage_is_told(self, run: Run, db: Path, told: str, more: str) -> None:
        done = run("dead", "--db", db, "--replay-all", more)

        assert (done.code, done.out) == (2, "")
        assert told in done.err

    def test_the_exit_codes_are_told(self, run: Run) -> None:
        told = " ".join(run("dead", "--help").out.split())

        assert "3 something is dead. " in told
        assert "example: ctxbridge outbox" in run("outbox", "--help").out
