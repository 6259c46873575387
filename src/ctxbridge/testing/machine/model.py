"""What the naive model knows: talks, messages, turns that workers hold, and what is to leave."""

from typing import NamedTuple

from ctxbridge.model import Address, Assurance, Message, Opened

REMEMBER_SECONDS = 100.0
LEASE_SECONDS = 10.0
HOLD_SECONDS = 10.0
SOON_SECONDS = 1.0

BETTER = ["pending", "claimed", "unknown", "sent", "failed", "delivered", "read"]
"""Each is better than those before it."""


class Talk:
    """One contact's conversation."""

    def __init__(self, address: Address) -> None:
        self.addresses = {address: Assurance.ANONYMOUS}
        self.contact = b""
        self.log: list[str] = []
        self.whose: list[Address | None] = []
        """Of each entry the address that said it or was told it."""
        self.merged: list[bytes] = []
        self.origins: dict[bytes, Origin] = {}
        self.revision = 0
        self.state: bytes | None = None
        self.stopped: dict[str, bool] = {}
        self.standing: set[str] = set()
        """What was refused before an erasure: who it was is forgotten, so nobody takes it back."""
        self.epoch = 0
        self.holder: bytes | None = None
        self.assurance = Assurance.ANONYMOUS
        self.superseded = False
        self.fence = 0
        self.lease_end = 0
        self.messages: dict[int, tuple[bytes, Message]] = {}
        self.waiting: list[int] = []
        self.due = 0
        self.leaving: dict[bytes, Leaving] = {}
        self.kept: dict[str, tuple[str, int]] = {}
        self.was: set[Address] = set()
        """The addresses that it had before its contact was erased."""

    def say(self, text: str, whose: Address | None = None) -> None:
        """One more entry."""
        self.log.append(text)
        self.whose.append(whose)

    def erase(self, contact: bytes) -> None:
        """Nothing is left but places and refusals; whoever comes again is `contact`."""
        self.was |= set(self.addresses)
        self.addresses, self.contact = {}, contact
        self.log = ["<erased>"] * len(self.log)
        self.whose = [None] * len(self.log)
        self.revision, self.epoch, self.fence = self.revision + 1, self.epoch + 1, self.fence + 1
        self.state, self.holder, self.superseded, self.lease_end, self.due = None, None, False, 0, 0
        self.standing |= {channel for channel, stopped in self.stopped.items() if stopped}
        self.stopped = dict.fromkeys(self.standing, True)
        for held in (
            self.messages, self.waiting, self.leaving, self.kept, self.merged, self.origins,
        ):  # fmt: skip
            held.clear()

    def look_after(self, now: int, seconds: float = SOON_SECONDS) -> None:
        """Note when somebody should look after the turn."""
        self.due = self.lease_end or now + round(seconds * 1000)

    def due_turn(self, now: int) -> list[tuple[int, bytes, int]]:
        """What a list of what is due has of it: since when, no id, the place of the oldest."""
        due = self.waiting and 0 < self.due <= now
        return [(self.due, b"", self.waiting[0])] if due else []


class Origin(NamedTuple):
    """How two talks were before one was merged into the other."""

    contact: bytes
    addresses: frozenset[Address]
    start: int
    size: int
    revision: int
    fence: int
    epoch: int
    state: bytes | None
    stopped: dict[str, bool]
    merged: list[bytes]
    inner: "dict[bytes, Origin]"
    our_state: bytes | None
    our_stopped: dict[str, bool]
    made: bytes | None


class Known(NamedTuple):
    """A remembered message id."""

    talk: Talk
    turn: bytes
    body: str
    place: int
    assurance: Assurance
    until: int


class Finished(NamedTuple):
    """A finished turn: what it replied, the revision after it, whose it was."""

    replies: list[str]
    revision: int
    fence: int
    merged: bool = False


class Held:
    """A turn that some worker holds, or believes it holds."""

    def __init__(self, talk: Talk, opened: Opened, epoch: int) -> None:
        self.talk, self.opened, self.epoch = talk, opened, epoch
        _, self.message = talk.messages[opened.seq]

    @property
    def turn(self) -> bytes:
        """The turn's id."""
        return self.opened.turn


class Leaving:
    """A delivery. `named` is the attempt whose id of the provider's it has, 0 for none."""

    def __init__(self, id: bytes, place: int, due: int, now: int, *, repeatable: bool) -> None:
        self.id, self.place, self.due, self.repeatable = id, place, due, repeatable
        self.where = b""
        self.status = "pending"
        self.attempt = self.named = self.held_until = self.epoch = 0
        self.token = b""
        self.created = now
        self.until = max(due, now) + round(REMEMBER_SECONDS * 1000)
        self.names: dict[int, None] = {}
        """The attempts whose id of the provider's the store was told."""

    def claim(self, token: bytes, now: int, epoch: int) -> None:
        """Some worker sends it now."""
        self.status, self.token, self.epoch = "claimed", token, epoch
        self.attempt += 1
        self.held_until = now + round(HOLD_SECONDS * 1000)

    def again(self, due: int) -> None:
        """It is to be sent again: the next attempt gets a name of its own."""
        self.status, self.due, self.named = "pending", due, 0

    def hear(self, word: str, *, earlier: bool) -> None:
        """Something is said of it: only what is better counts, of earlier attempts only good."""
        if word == "withheld":
            if self.status in {"pending", "claimed"}:
                self.status = word
        elif self.status == "withheld" or (earlier and word in {"unknown", "failed"}):
            return
        elif BETTER.index(word) > BETTER.index(self.status):
            self.status = word

    @property
    def looked_for(self) -> int:
        """When to look for it again; 0 for never."""
        return {"pending": self.due, "claimed": self.held_until}.get(self.status, 0)

    @property
    def dead(self) -> bool:
        """Whether it failed or is unknown."""
        return self.status in {"failed", "unknown"}
