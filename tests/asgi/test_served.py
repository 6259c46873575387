"""Webhooks on a real server, in processes of their own: killed, stopped, doubled, and abused."""

import socket
import time
from random import Random
from threading import Timer

import anyio
import httpx
import pytest

from .served import Bot, asked, running, stored, until

SENDERS = [f"+1555010{n:04}" for n in range(8)]
WAITING = "+15550110000"


def answered(folder, *senders):
    return all([who for who, _ in log] == ["contact", "agent"] for log in stored(folder, *senders))


def parallel(bots, copies, sid, sender):
    """The statuses of so many copies of one message, sent to all the bots at once."""
    statuses = []

    async def post(client, bot, lines):
        url, fields, headers = bot.signed(sid, "Hello", sender)
        async with lines:  # the client's own queue for them is slow, and runs out of patience
            statuses.append((await client.post(url, data=fields, headers=headers)).status_code)

    async def all_at_once():
        lines = anyio.Semaphore(50)
        async with httpx.AsyncClient(timeout=60) as client, anyio.create_task_group() as group:
            for n in range(copies):
                group.start_soon(post, client, bots[n % len(bots)], lines)

    anyio.run(all_at_once)
    return statuses


class TestServed:
    @pytest.mark.parametrize("kind", ["alone", "mounted"])
    def test_a_signed_message_is_acknowledged_and_answered(self, tmp_path, kind):
        with running(tmp_path, kind, thinks=2.5) as bot:
            answer = bot.sms("SM1", "Hello", SENDERS[0])
            assert not answered(tmp_path, SENDERS[0])  # the agent thinks
            assert (answer.status_code, answer.text.count("<Message>")) == (200, 0)
            assert until(lambda: answered(tmp_path, SENDERS[0]))
            assert bot.http.get(f"{bot.hooks}/health").json()["status"] == "ok"
            url, fields, _ = bot.signed("SM2", "Hello", SENDERS[0])
            forged = bot.http.post(url, data=fields, headers={"X-Twilio-Signature": "AAAA"})
            assert forged.status_code == 403
        assert "nobody runs" not in bot.log


class TestKilled:
    """What was acknowledged is answered, once, though its process was killed."""

    def test_it_is_answered_by_another_process_once(self, tmp_path):
        first = Bot(tmp_path, thinks=60.0, leases=1.0).wait()
        for n, sender in enumerate(SENDERS):
            assert first.sms(f"SM{n}", "Hello", sender).status_code == 200
        assert first.sms("SM9", "one", WAITING).status_code == 200
        assert first.sms("SM10", "two", WAITING).status_code == 200
        first.kill()
        assert stored(tmp_path, *SENDERS) == [[("contact", "Hello")]] * len(SENDERS)
        with running(tmp_path, leases=1.0) as second:
            again = second.sms("SM0", "Hello", SENDERS[0])  # its provider is impatient
            assert again.status_code == 200
            assert until(lambda: answered(tmp_path, *SENDERS))
            time.sleep(1.2)  # nobody answers it once more
        assert answered(tmp_path, *SENDERS)
        assert stored(tmp_path, WAITING) == [
            [("contact", "one"), ("contact", "two"), ("agent", "re: one two")]
        ]
        counts = asked(tmp_path)
        assert {counts[f"SM{n}"] for n in range(len(SENDERS))} <= {1, 2}

    def test_whenever_it_is_killed(self, tmp_path):
        """Three kills under way; what got no acknowledgement is repeated, as providers do."""
        chance, acked = Random(7), set()
        todo = [f"+1555012{n:04}" for n in range(90)]
        for _ in range(3):
            bot = Bot(tmp_path, thinks=0.05, leases=1.0).wait()
            killer = Timer(chance.uniform(0.05, 0.4), bot.kill)
            killer.start()
            acked |= self.told(bot, [one for one in todo if one not in acked])
            killer.join()
        assert acked, "it was killed before it got to work"
        with running(tmp_path, thinks=0.05, leases=1.0) as last:
            acked |= self.told(last, [one for one in todo if one not in acked])
            assert acked == set(todo)
            assert until(lambda: answered(tmp_path, *todo))
            time.sleep(1.2)
        assert answered(tmp_path, *todo)

    @staticmethod
    def told(bot, senders):
        """Whose messages were acknowledged before the bot was killed."""
        acked = set()
        for sender in senders:
            try:
                answer = bot.sms(f"SM{sender}", "Hello", sender)
            except (httpx.TransportError, RuntimeError):
                return acked  # killed; and then the client is closed
            assert answer.status_code == 200
            acked.add(sender)
        return acked

    def test_an_app_that_acknowledges_first_loses_it(self, tmp_path):
        """The negative control of the test above."""
        first = Bot(tmp_path, "hasty", thinks=60.0, leases=1.0).wait()
        assert first.sms("SM1", "Hello", SENDERS[0]).status_code == 200
        first.kill()
        with running(tmp_path, leases=1.0):
            assert not until(lambda: stored(tmp_path, SENDERS[0]) != [[]], seconds=2.5)


class TestStopped:
    def test_agents_may_end_what_they_have_begun(self, tmp_path):
        bot = Bot(tmp_path, thinks=1.5, drains=30.0).wait()
        assert bot.sms("SM1", "Hello", SENDERS[0]).status_code == 200
        assert 0.3 < bot.stop() < 20
        assert answered(tmp_path, SENDERS[0])

    def test_what_takes_too_long_is_given_back(self, tmp_path):
        bot = Bot(tmp_path, "mounted", thinks=60.0, drains=0.3).wait()
        assert bot.sms("SM1", "Hello", SENDERS[0]).status_code == 200
        assert bot.stop() < 20
        assert "1 given back" in bot.log
        with running(tmp_path):  # long before the lease of 60 s would have run out
            assert until(lambda: answered(tmp_path, SENDERS[0]), seconds=30)


class TestDoubled:
    @pytest.mark.parametrize("copies", [2, 10, 200, pytest.param(1_000, marks=pytest.mark.slow)])
    def test_25_one_turn_whatever_comes_in_parallel_to_two_processes(self, pair, copies):
        folder, bots = pair
        sid, sender = f"SM{copies}", f"+1555019{copies:04}"

        assert parallel(bots, copies, sid, sender) == [200] * copies
        assert until(lambda: answered(folder, sender))
        assert asked(folder)[sid] == 1

    def test_an_app_that_forgets_ids_answers_every_copy(self, tmp_path):
        """The negative control of the test above."""
        with running(tmp_path, "forgetful") as bot:
            assert parallel([bot], 10, "SM1", SENDERS[0]) == [200] * 10
            assert until(lambda: asked(tmp_path).total() == 10)

    @pytest.fixture(scope="class")
    @staticmethod
    def pair(tmp_path_factory):
        folder = tmp_path_factory.mktemp("pair")
        with running(folder, thinks=0.2) as one, running(folder, "mounted", thinks=0.2) as two:
            yield folder, (one, two)


class TestAbused:
    @pytest.fixture(scope="class")
    @staticmethod
    def bot(tmp_path_factory):
        with running(tmp_path_factory.mktemp("abused")) as bot:
            yield bot

    @pytest.mark.parametrize(
        "sent",
        [
            b"\x00\xff" * 50,
            b"GET / HTTP/9.9\r\n\r\n",
            b"POST /twilio HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
            b"POST /twilio HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nabc",
            b"POST /twilio HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            b"POST http://evil.example/twilio HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
            b"POST /twilio HTTP/1.1\r\nHost: \xff\r\nContent-Length: 1\r\n\r\na",
            b"POST /twilio HTTP/1.1\r\n" + b"X: " + b"a" * 100_000 + b"\r\n\r\n",
        ],
    )
    def test_garbage_and_hanging_up_leave_it_healthy(self, bot, sent):
        with socket.create_connection(("127.0.0.1", bot.port), 5) as line:
            line.sendall(sent)
            line.settimeout(0.2)
            try:
                answer = line.recv(4096)
            except (TimeoutError, ConnectionResetError):
                answer = b""
        assert b" 200 " not in answer
        assert b" 500 " not in answer
        assert bot.http.get(f"{bot.url}/health").status_code == 200

    def test_a_body_that_is_announced_too_long_is_refused_before_it_comes(self, bot):
        with socket.create_connection(("127.0.0.1", bot.port), 5) as line:
            head = b"POST /twilio HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n"
            line.sendall(head % 10**9)
            assert line.recv(4096).startswith(b"HTTP/1.1 413 ")

    def test_a_body_without_an_end_is_refused(self, bot):
        def endless():
            for _ in range(100):
                yield b"a" * 100_000

        assert bot.http.post(f"{bot.url}/twilio", content=endless()).status_code == 413

    def test_a_body_that_comes_too_slowly_is_not_waited_for(self, bot):
        with socket.create_connection(("127.0.0.1", bot.port), 30) as line:
            line.sendall(b"POST /twilio HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\na")
            before = time.monotonic()
            answer = b""
            while piece := line.recv(4096):  # until it is closed
                answer += piece
            assert answer.startswith(b"HTTP/1.1 408 ")
            assert time.monotonic() - before < 20
