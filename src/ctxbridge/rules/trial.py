"""Whether a release on trial is worse than the stable one, decided while its outcomes come in.

Outcomes are taken in blocks, in the order in which they were folded. Of a block it is known how
many of its conversations went bad, and how many were the canary's. If the canary is no worse, the
bad ones fell among the releases by lot: how many fell on the canary is hypergeometric. For an
alternative "the odds of a bad end are w times those of stable" the block's e-value is the
likelihood ratio of Fisher's noncentral hypergeometric distribution against the central one,

    w**k / sum over j of hypergeometric(j) * w**j,    k bad ones on the canary,

whose mean is 1 if both are alike, and below 1 if the canary is better (it grows with k). Over
blocks e-values are multiplied, over the alternatives (the policy's `factors`) averaged, over
signals averaged by weight. That average is a nonnegative supermartingale that starts at 1, so by
Ville's inequality the chance that it ever reaches 1/alpha is at most alpha.

What the bound needs of the caller:

- Who gets the canary was drawn by lot (a hash of contact and release), and only conversations that
  the draw decided are told, of those only what began after the trial did.
- A contact is told once per trial, with all flags at once: turns of a conversation resemble each
  other, and so do conversations of a contact. Signals told one after the other would be evidence in
  different filtrations, which may not be averaged (Choe and Ramdas 2024).
- When an outcome is told, and in which order, is settled by the same rule for both releases. What
  the flags say may speed it up or slow it down, in both alike.

What it does not need: a known or constant rate, a known share of the canary, or a number of looks
that was planned. Nor independence, where the canary does to no conversation what stable would not
have done (an outage that hits both is a block where the bad ones fell by lot). A canary that is as
bad on the whole, but to others, needs conversations that are independent inside a block: one with
outages of its own is worse while they last, and may trip. A share that is changed while a block is
open is inexact for that block.

Batches may be cut anywhere: ``fold(fold(t, a), b) == fold(t, a + b)``. Workers that fold by
compare-and-set make one sequence of their batches; any order does that did not look at the flags.
An outcome that is folded twice counts twice: who folds must know whether it did.

Sources: Turner, Ly and Grünwald, "Generic E-variables for exact sequential k-sample tests that
allow for optional stopping", J. Stat. Plan. Inference 230 (2024), for blocks of two Bernoulli
streams and their product; conditioning each block on its total is Fisher's exact test as an
e-value. Vovk and Wang, "E-values: calibration, combination and applications", Ann. Statist. 49
(2021), for means of e-values. Ville, "Étude critique de la notion de collectif" (1939).
"""

import math
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import islice
from typing import Literal

from msgspec.structs import replace

from ctxbridge.errors import ConfigurationError
from ctxbridge.model.trial import (
    SIGNALS,
    Conclusion,
    Outcome,
    Signal,
    Tally,
    Trial,
    TrialPolicy,
)

LONGEST_NAME, LARGEST_BLOCK, MOST_FACTORS, LARGEST_FACTOR = 100, 500, 5, 100
_LARGEST_LOG = 700.0
_SAID: dict[Signal, str] = {
    "blocked": "were blocked or escalated by a guard",
    "failed": "failed",
    "unanswered": "were left unanswered",
    "opted_out": "ended with an opt-out after a reply",
    "taken_over": "were taken over by a human",
    "any": "went wrong in one way or another",
}


def begin(canary: str, stable: str, policy: TrialPolicy | None = None) -> Trial:
    """A trial of the version `canary` beside `stable`, nothing counted yet.

    Raises `ConfigurationError` for a policy or names that cannot be.
    """
    policy = policy or TrialPolicy()
    _check_names(canary, stable)
    _check(policy)
    return Trial(canary, stable, policy, (Tally((0.0,) * len(policy.factors)),) * len(SIGNALS))


def fold(trial: Trial, outcomes: Iterable[Outcome]) -> Trial:
    """The trial after these outcomes, in this order. One that tripped stays as it is."""
    rest = iter(outcomes)
    while not trial.tripped and (some := list(islice(rest, _room(trial)))):
        trial = _counted(trial, some)
        if not _room(trial):
            trial = _weighed(trial)
    return trial


def conclude(trial: Trial) -> Conclusion:
    """What the trial comes to so far, and why. What is in an open block does not weigh yet."""
    weights = _weights(trial.policy)
    logs = dict(zip(SIGNALS, map(_log_evidence, trial.tallies), strict=True))
    driver = max((s for s in SIGNALS if s in weights), key=lambda signal: logs[signal])
    evidence = _number(_log_total(trial))
    return Conclusion(
        does=_does(trial),
        evidence=evidence,
        needed=1 / trial.policy.alpha,
        driver=driver,
        weighs=tuple([(signal, _number(logs[signal])) for signal in weights]),
        words=_words(trial, driver, evidence),
    )


def rate_of(bad: int, of: int, doubt: float = 0.01) -> float:
    """A rate to state in `TrialPolicy.rates`: what `bad` conversations of `of` do not rule out.

    It is Chernoff's upper bound: the rate behind such a past is higher with a chance of `doubt` at
    most. Several rates that are stated add up their doubts, and those add to alpha. Raises
    `ConfigurationError` for counts that cannot be.
    """
    if not (0 <= bad < of and 0 < doubt < 1):
        raise ConfigurationError("a rate needs 0 <= bad < of, and a doubt between 0 and 1")
    seen, low, high = bad / of, bad / of, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        unlikely = of * _divergence(seen, middle) >= -math.log(doubt)
        low, high = (low, middle) if unlikely else (middle, high)
    return low


def _divergence(seen: float, rate: float) -> float:
    """Of two coins, in nats: by how much one outcome of `seen` speaks against `rate`."""
    if rate >= 1:
        return math.inf
    ones = seen * math.log(seen / rate) if seen else 0.0
    return ones + (1 - seen) * math.log((1 - seen) / (1 - rate))


# What is counted.


def _room(trial: Trial) -> int:
    return trial.policy.block - trial.open_canary - trial.open_stable


def _counted(trial: Trial, outcomes: Sequence[Outcome]) -> Trial:
    canary = [outcome.flags() for outcome in outcomes if outcome.canary]
    stable = [outcome.flags() for outcome in outcomes if not outcome.canary]
    sums = zip(trial.tallies, _sums(canary), _sums(stable), strict=True)
    return replace(
        trial,
        tallies=tuple([_added(*one) for one in sums]),
        canary_count=trial.canary_count + len(canary),
        stable_count=trial.stable_count + len(stable),
        open_canary=trial.open_canary + len(canary),
        open_stable=trial.open_stable + len(stable),
    )


def _sums(flags: Sequence[tuple[bool, ...]]) -> Iterable[int]:
    return map(sum, zip(*flags, strict=True)) if flags else (0,) * len(SIGNALS)


def _added(tally: Tally, canary: int, stable: int) -> Tally:
    return Tally(
        tally.logs,
        tally.stable + stable,
        tally.canary + canary,
        tally.open_stable + stable,
        tally.open_canary + canary,
    )


# What it weighs.


def _weighed(trial: Trial) -> Trial:
    """The trial with its full block as evidence, and a new one begun."""
    rates = dict(trial.policy.rates)
    named = zip(SIGNALS, trial.tallies, strict=True)
    tallies = tuple([_moved(trial, tally, rates.get(signal)) for signal, tally in named])
    trial = replace(trial, tallies=tallies, open_canary=0, open_stable=0)
    enough = trial.canary_count >= trial.policy.at_least
    return replace(trial, tripped=enough and _log_total(trial) >= -math.log(trial.policy.alpha))


def _moved(trial: Trial, tally: Tally, rate: float | None) -> Tally:
    factors, bad = trial.policy.factors, tally.open_canary
    if not trial.policy.rates:
        means = by_lot(trial.open_canary, trial.open_stable, bad + tally.open_stable, factors)
    elif rate is not None:
        means = tuple([trial.open_canary * math.log1p(rate * (w - 1)) for w in factors])
    else:
        return Tally(tally.logs, tally.stable, tally.canary)
    steps = zip(tally.logs, factors, means, strict=True)
    logs = tuple([log + bad * math.log(w) - mean for log, w, mean in steps])
    return Tally(logs, tally.stable, tally.canary)


@lru_cache(maxsize=4096)
def by_lot(canary: int, stable: int, bad: int, factors: tuple[float, ...]) -> tuple[float, ...]:
    """For each factor: the log of the mean of factor**k, if `bad` conversations fall by lot.

    k of them fall among the `canary` conversations of the canary, the others among the `stable` of
    the stable release.
    """
    falls = range(max(0, bad - stable), min(bad, canary) + 1)
    ways = [math.comb(canary, k) * math.comb(stable, bad - k) for k in falls]
    every = math.comb(canary + stable, bad)
    shares = [(k, way / every) for k, way in zip(falls, ways, strict=True)]
    return tuple([_log_mean(shares, math.log(factor)) for factor in factors])


def _log_mean(shares: Sequence[tuple[int, float]], log_factor: float) -> float:
    return _log_sum([math.log(share) + k * log_factor for k, share in shares if share])


def _log_evidence(tally: Tally) -> float:
    return _log_sum(tally.logs) - math.log(len(tally.logs))


def _log_total(trial: Trial) -> float:
    weights = _weights(trial.policy)
    named = zip(SIGNALS, trial.tallies, strict=True)
    return _log_sum(
        [math.log(weights[signal]) + _log_evidence(t) for signal, t in named if signal in weights]
    )


def _weights(policy: TrialPolicy) -> dict[Signal, float]:
    """Those that count, summing to 1; where rates are stated, what has none cannot speak."""
    stated = dict(policy.rates) or SIGNALS
    counting = {s: weight for s, weight in policy.weights if weight and s in stated}
    return {signal: weight / sum(counting.values()) for signal, weight in counting.items()}


def _log_sum(logs: Sequence[float]) -> float:
    """The log of a sum of exponentials, without overflow."""
    most = max(logs)
    return most + math.log(sum([math.exp(log - most) for log in logs]))


def _number(log: float) -> float:
    """No infinity: a store, and JSON, have none."""
    return math.exp(min(log, _LARGEST_LOG))


# What is said.


def _does(trial: Trial) -> Literal["wait", "propose", "roll_back"]:
    if not trial.tripped:
        return "wait"
    return "roll_back" if trial.policy.acts else "propose"


def _words(trial: Trial, driver: Signal, evidence: float) -> str:
    return f"{_advice(trial)} {_counts(trial, driver)} {_balance(trial, evidence)}"


def _advice(trial: Trial) -> str:
    if not trial.tripped:
        return f"Go on with {trial.canary}:"
    return f"{'Roll' if trial.policy.acts else 'Consider rolling'} {trial.canary} back:"


def _counts(trial: Trial, driver: Signal) -> str:
    tally = trial.tallies[SIGNALS.index(driver)]
    canary = f"of {trial.canary_count:,} conversations of {trial.canary} {tally.canary:,}"
    if trial.policy.rates:
        rate = dict(trial.policy.rates)[driver]
        return f"{canary} {_SAID[driver]}, where {rate:.2%} are stated for {trial.stable}."
    if not trial.stable_count:
        return f"there is no conversation of {trial.stable} to compare with."
    stable = f"of {trial.stable_count:,} of {trial.stable} {tally.stable:,}"
    return f"{canary} {_SAID[driver]}, {stable}."


def _balance(trial: Trial, evidence: float) -> str:
    needed = 1 / trial.policy.alpha
    stands = f"The evidence is {_odds(evidence)} to 1, {_odds(needed)} to 1 is needed"
    if not trial.tripped:
        seen = trial.canary_count >= trial.policy.at_least
        least = f", from {trial.policy.at_least} conversations of {trial.canary} on"
        return f"{stands}{'' if seen else least}."
    like = "these rates" if trial.policy.rates else trial.stable
    chance = f"the chance that it ever came to this was at most 1 in {_odds(evidence)}"
    return f"{stands}: were {trial.canary} no worse than {like}, {chance}."


def _odds(number: float) -> str:
    """Rounded down, so that nothing is said to be more than it is."""
    if number >= 1e6:
        return "1,000,000 and more"
    return (
        f"{math.floor(number + 1e-9):,}"
        if number >= 10
        else f"{math.floor(number * 100 + 1e-9) / 100:g}"
    )


# What cannot be.


def _check_names(canary: str, stable: str) -> None:
    for name in (canary, stable):
        if not 0 < len(name.encode("utf-8", "surrogatepass")) <= LONGEST_NAME:
            raise ConfigurationError(f"a version is named in 1 to {LONGEST_NAME} bytes")
    if canary == stable:
        raise ConfigurationError("a release cannot be compared with itself")


def _check(policy: TrialPolicy) -> None:
    if not 0 < policy.alpha < 1:
        raise ConfigurationError("alpha lies between 0 and 1")
    if policy.at_least < 1:
        raise ConfigurationError("at_least is 1 or more")
    if not 2 <= policy.block <= LARGEST_BLOCK:
        raise ConfigurationError(f"a block has 2 to {LARGEST_BLOCK} conversations")
    if not 1 <= len(policy.factors) <= MOST_FACTORS:
        raise ConfigurationError(f"1 to {MOST_FACTORS} factors can be looked for")
    if not all(1 < factor <= LARGEST_FACTOR for factor in policy.factors):
        raise ConfigurationError(f"a factor is over 1, and {LARGEST_FACTOR} at most")
    _check_pairs("weights", policy.weights)
    _check_pairs("rates", policy.rates)
    if not all(0 <= weight < math.inf for _, weight in policy.weights):
        raise ConfigurationError("a weight is a number from 0 on")
    if not all(0 < rate < 1 for _, rate in policy.rates):
        raise ConfigurationError("a stated rate lies between 0 and 1")
    if not _weights(policy):
        raise ConfigurationError("no signal counts: each has no weight, or no stated rate")


def _check_pairs(name: str, pairs: Sequence[tuple[str, float]]) -> None:
    signals = [signal for signal, _ in pairs]
    if len(set(signals)) < len(signals) or not set(signals) <= set(SIGNALS):
        raise ConfigurationError(f"{name} names each signal once, and only {', '.join(SIGNALS)}")
