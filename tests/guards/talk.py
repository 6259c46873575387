"""Conversations as guards are shown them, for the tests of this folder."""

import time

from ctxbridge import guards
from ctxbridge.model import (
    Address,
    Assurance,
    Contact,
    Context,
    Link,
    Message,
    Text,
    Window,
)

ANN = Address("sms", "+15550100001")
NOW = 1_800_000_000_000
SECOND, MINUTE, HOUR = 1_000, 60_000, 3_600_000


def contact(*addresses, until=0):
    links = [Link(a, Assurance.CHANNEL, "carrier", "test", 1, until) for a in addresses or (ANN,)]
    return Contact(b"c" * 16, tuple(links))


def said(author, text, ago, channel="sms", **more):
    """A message that was stored `ago` milliseconds before `NOW`."""
    more.setdefault("address", ANN if channel == "sms" else Address(channel, "ann"))
    return Message(b"t" * 16, author, channel, (Text(text),), NOW - ago, **more)


def context(*entries, seq=None, withheld=0, who=None):
    count = len(entries) if seq is None else seq
    places = range(count - len(entries) + 1, count + 1)
    return Context(
        who or contact(), b"k" * 16, Window(list(entries), places), seq=count, withheld=withheld
    )


def check(text="hello", *entries, stage="reply", channel="sms", now=NOW, flags=(), **more):
    purpose, tail = more.pop("purpose", "service"), context(*entries, **more)
    return guards.TextCheck(
        stage, text, channel, Assurance.CHANNEL, now, flags, tail.contact, tail, purpose
    )


def bare(text, stage="inbound", channel="sms"):
    return guards.TextCheck(stage, text, channel, Assurance.CHANNEL, NOW)


def cost(run, text):
    """The shortest of three runs over `text`, in seconds of this thread's own: others may run."""
    times = []
    for _ in range(3):
        started = time.thread_time()
        run(text)
        times.append(time.thread_time() - started)
    return min(times)


def grows_in_proportion(run, piece, size=16_000):
    """Whether eight times as much text costs at most some twenty times as much."""
    run(piece)
    # What grows faster does so every time; a machine that is busy elsewhere does not.
    for _ in range(3):
        small, large = (cost(run, (piece * (n // len(piece) + 1))[:n]) for n in (size, 8 * size))
        if large < 20 * small + 0.1:
            return True
    return False
