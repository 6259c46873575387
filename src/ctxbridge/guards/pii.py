"""Masks what should not be stored or sent; what is looked for stands in `patterns`."""

from collections.abc import Callable, Iterable
from typing import Literal, get_args

from ctxbridge.errors import ConfigurationError
from ctxbridge.guards import tokens
from ctxbridge.guards.guard import FunctionGuard, TextCheck, allow, guard, modify
from ctxbridge.guards.patterns import ALL_KINDS, KINDS, find
from ctxbridge.guards.tokens import PiiTokens
from ctxbridge.model import Finding, Verdict

Mode = Literal["mask", "redact", "token"]
Cover = Callable[[str, str], str]
"""What stands for a finding of a kind and its words."""


def _masked(kind: str, found: str) -> str:
    last = found[-4:]
    return f"[card …{last}]" if kind == "card" and last.isdigit() else f"[{kind}]"


def _redacted(kind: str, _found: str) -> str:
    return f"[{kind}]"


def mask(text: str, findings: Iterable[Finding], cover: Cover = _masked) -> str:
    """`text` with each finding replaced by its kind and, for a card, its last four digits."""
    pieces: list[str] = []
    position = 0
    for finding in findings:
        pieces.append(text[position : finding.start])
        pieces.append(cover(finding.category, text[finding.start : finding.end]))
        position = finding.end
    return "".join((*pieces, text[position:]))


def pii(
    *,
    kinds: Iterable[str] = KINDS,
    mode: Mode = "mask",
    key: bytes | None = None,
) -> FunctionGuard:
    """Masks payment cards, IBANs, US social security numbers and secrets, coming in and going out.

    On the way in it runs before anything is stored, so what it masks is never written down. The
    kinds ``email``, ``phone`` and ``ip`` are looked for where they are asked for: an agent often
    needs them.

    `mode` says what stands in their place: ``mask`` their kind and of a card the last four digits,
    ``redact`` their kind alone, ``token`` a keyed token that `pii_tokens(key)` opens again. Tokens
    are written down, and whoever gets the key can read them: they are pseudonyms, not an erasure.
    """
    chosen = tuple(kinds)
    if set(chosen) - set(ALL_KINDS):
        raise ConfigurationError(f"pii knows the kinds {sorted(ALL_KINDS)}")
    cover = _cover(mode, key)

    @guard("inbound", "reply", name="pii", version="2", early=True, modifies=True)
    def check(check: TextCheck) -> Verdict:
        findings = _outside_tokens(check.text, find(check.text, chosen))
        if not findings:
            return allow()
        masked = mask(check.text, findings, cover)
        return modify(masked, f"pii.{findings[0].category}", findings=tuple(findings))

    return check


def _cover(mode: Mode, key: bytes | None) -> Cover:
    if mode not in get_args(Mode):
        raise ConfigurationError(f"a mode of pii is one of {get_args(Mode)}")
    if (key is not None) != (mode == "token"):
        raise ConfigurationError("pii takes a key for tokens, and only for them")
    if key is not None:
        return PiiTokens(key).token
    return _masked if mode == "mask" else _redacted


def _outside_tokens(text: str, findings: list[Finding]) -> list[Finding]:
    """Without what was found in a token, which looks like anything by chance."""
    if not findings or not (known := tokens.spans(text)):
        return findings
    return [f for f in findings if not any(a <= f.start and f.end <= b for a, b in known)]
