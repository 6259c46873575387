"""Starts bots as real servers, and writes to them as a provider does."""

import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager, suppress
from pathlib import Path

import anyio
import httpx

from ctxbridge import Bridge
from ctxbridge.testing.servers import free_port

from .conftest import SHOP, signature

BOT = Path(__file__).with_name("bot.py")


class Bot:
    """A running process; `hooks` is where its webhooks are."""

    def __init__(self, folder, kind="alone", *, thinks=0.0, drains=5.0, leases=60.0):
        self.port, self.folder = free_port(), folder
        self.url = f"http://127.0.0.1:{self.port}"
        self.hooks = self.url + ("/hooks" if kind == "mounted" else "")
        self._log = folder / f"{self.port}.log"
        command = [BOT, self.port, folder / "bot.db", kind, thinks, drains, leases]
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, *map(str, command)], stdout=log, stderr=log, cwd=folder
            )
        self.http = httpx.Client(timeout=60)

    def wait(self):
        assert until(self._answers), "it did not start: " + self.log
        return self

    def _answers(self):
        assert self.process.poll() is None, self.log
        with suppress(httpx.TransportError):
            return self.http.get(f"{self.hooks}/health")
        return None

    @property
    def log(self):
        return self._log.read_text()

    def signed(self, sid, body, sender):
        """The address, the fields and the headers of a message by Twilio."""
        url = f"{self.hooks}/twilio"
        fields = {"MessageSid": sid, "From": sender, "To": SHOP, "Body": body, "NumMedia": "0"}
        return url, fields, {"X-Twilio-Signature": signature(url, fields)}

    def sms(self, sid, body, sender="+15550100001"):
        url, fields, headers = self.signed(sid, body, sender)
        return self.http.post(url, data=fields, headers=headers)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(60)
        self.http.close()

    def stop(self):
        """As an orchestrator stops it; gives how long that took."""
        before = time.monotonic()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)
        self.http.close()
        assert "Traceback" not in self.log, self.log
        return time.monotonic() - before


@contextmanager
def running(folder, kind="alone", **options):
    bot = Bot(folder, kind, **options)
    try:
        yield bot.wait()
    finally:
        bot.stop()


def asked(folder):
    """How often the agent was asked of each message."""
    path = folder / "bot.db.asked"
    return Counter(path.read_text().split()) if path.exists() else Counter()


def stored(folder, *senders):
    """Author and text of all that another process reads of each sender."""

    async def read():
        async with Bridge(f"sqlite:///{folder}/bot.db?mode=ro", tenant="acme") as bridge:
            found = [(await bridge.context(f"sms:{s}", window=0)).messages for s in senders]
            return [[(m.author, m.text) for m in messages] for messages in found]

    return anyio.run(read)


def until(holds, seconds=60.0):
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        if holds():
            return True
        time.sleep(0.05)
    return False
