"""A release on trial: what became of its conversations, beside those of the stable release."""

from typing import Literal

import msgspec
from msgspec import Struct

from ctxbridge.errors import CorruptRecord, UnknownFormat

Signal = Literal["blocked", "failed", "unanswered", "opted_out", "taken_over", "any"]
SIGNALS: tuple[Signal, ...] = (
    "blocked", "failed", "unanswered", "opted_out", "taken_over", "any",
)  # fmt: skip
"""What may speak against a release. A stored `Trial` keeps this order: append, never reorder."""
_FORMAT = b"\x01"


class Outcome(Struct, frozen=True, array_like=True, gc=False):
    """What became of one conversation, told once, when it is settled.

    `canary` says which release had it: the one on trial, or the stable one. `blocked`: a guard
    blocked or escalated (either way the agent's own words did not leave). `failed`: the agent
    raised. `unanswered`: a turn ended without an answer. `opted_out`: the contact opted out after a
    reply. `taken_over`: a human took the floor.

    One outcome per contact and trial, all flags at once, told by the same rule for both releases:
    `rules.trial` says why the bound needs that.
    """

    canary: bool
    blocked: bool = False
    failed: bool = False
    unanswered: bool = False
    opted_out: bool = False
    taken_over: bool = False

    def flags(self) -> tuple[bool, ...]:
        """One flag for each of `SIGNALS`; the last is whether anything went wrong."""
        told = (self.blocked, self.failed, self.unanswered, self.opted_out, self.taken_over)
        return (*told, True in told)


class TrialPolicy(Struct, frozen=True, array_like=True, gc=False):
    """How a trial decides.

    `alpha`: the most that the chance may be that a release which is no worse ever trips, over all
    signals and however long the trial goes on. `at_least`: so many of the canary's conversations
    are seen first; it costs no evidence, it only waits. `acts`: whether a trip rolls back, or only
    proposes it. `block`: so many conversations, of both releases, are compared with one another;
    evidence moves when a block is full. `weights`: how much each signal counts; they need not
    sum to 1, a signal that is not named does not count. `factors`: how many times the odds of a
    bad end to look for, from what is worth a rollback to what is a disaster. Well below the mildest
    evidence dwindles as time goes on, so a trifle seldom trips.

    `rates`: for traffic that has no stable part. A stated share of bad conversations for each
    signal that is to count, from the stable release's own past (`rules.trial.rate_of`). The canary
    is then compared with that alone, and the bound is as good as those rates are today.
    """

    alpha: float = 0.05
    at_least: int = 10
    acts: bool = True
    block: int = 20
    weights: tuple[tuple[Signal, float], ...] = (
        ("any", 0.5), ("blocked", 0.1), ("failed", 0.1), ("unanswered", 0.1), ("opted_out", 0.1),
        ("taken_over", 0.1),
    )  # fmt: skip
    factors: tuple[float, ...] = (1.5, 2.5, 5.0)
    rates: tuple[tuple[Signal, float], ...] = ()


class Tally(Struct, frozen=True, array_like=True, gc=False):
    """The bad conversations of one signal, and how much they weigh.

    `stable` and `canary` count all, `open_stable` and `open_canary` those of the block that is not
    full yet. `logs` has the logarithm of the evidence for each of the policy's `factors`.
    """

    logs: tuple[float, ...]
    stable: int = 0
    canary: int = 0
    open_stable: int = 0
    open_canary: int = 0


class Trial(Struct, frozen=True, array_like=True, gc=False):
    """All that is remembered of a trial between two folds: under 1 KB packed.

    `canary` and `stable` are the versions; the numbers count conversations, all of them and those
    of the block that is not full yet. `tripped` is final: nothing is counted after it.
    """

    canary: str
    stable: str
    policy: TrialPolicy
    tallies: tuple[Tally, ...]
    canary_count: int = 0
    stable_count: int = 0
    open_canary: int = 0
    open_stable: int = 0
    tripped: bool = False

    def pack(self) -> bytes:
        """The form of a record."""
        return _FORMAT + _encoder.encode(self)

    @classmethod
    def unpack(cls, packed: bytes) -> "Trial":
        """The trial in `packed`; raises `CorruptRecord`, or `UnknownFormat` for a newer one."""
        if packed[:1] > _FORMAT:
            raise UnknownFormat("a trial was stored by a newer release")
        try:
            trial = _decoder.decode(packed[1:])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise CorruptRecord("a stored trial is damaged") from None
        widths = [len(tally.logs) for tally in trial.tallies]
        if packed[:1] != _FORMAT or widths != [len(trial.policy.factors)] * len(SIGNALS):
            raise CorruptRecord("a stored trial is damaged")
        return trial


class Conclusion(Struct, frozen=True, gc=False):
    """What a trial comes to so far.

    ``wait``: not enough speaks against the release, which is not to say that it is good.
    ``propose`` and ``roll_back``: it tripped, and the policy says which of the two. `evidence` is
    the e-value of all signals together, to be compared with `needed` (1/alpha). `driver` is the
    signal that weighs most by itself, `weighs` all that count with their own e-values. `words` is
    for people.
    """

    does: Literal["wait", "propose", "roll_back"]
    evidence: float
    needed: float
    driver: Signal
    weighs: tuple[tuple[Signal, float], ...]
    words: str

    @property
    def trips(self) -> bool:
        """Whether enough speaks against the release."""
        return self.does != "wait"


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Trial)
