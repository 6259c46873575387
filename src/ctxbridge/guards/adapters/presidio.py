"""Personal data by the recognizers of Microsoft's Presidio, without a model and without a network.

Two of Presidio's habits are turned off here. Its e-mail recognizer asks `tldextract`, which fetches
the public suffix list when it is first used: here it reads the copy that it brings along. And an
engine for a spaCy model that is not installed downloads it: here that is an error.
"""

from collections.abc import Collection, Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, Unpack

from ctxbridge.errors import ConfigurationError
from ctxbridge.guards import tokens
from ctxbridge.guards.adapters.extras import AdapterOptions, load
from ctxbridge.guards.guard import FunctionGuard, TextCheck, allow, block, guard, modify
from ctxbridge.guards.pii import mask
from ctxbridge.model import Finding, Stage, Verdict

ENTITIES = (
    "CREDIT_CARD", "CRYPTO", "EMAIL_ADDRESS", "IBAN_CODE", "IP_ADDRESS", "PHONE_NUMBER", "US_ITIN",
    "US_SSN",
)  # fmt: skip
"""What is looked for unless it is said otherwise: what a pattern alone can tell."""
NAMES = ("PERSON",)
"""What is looked for as well where a model is named."""
_KINDS = {
    "CREDIT_CARD": "card",
    "EMAIL_ADDRESS": "email",
    "IBAN_CODE": "iban",
    "IP_ADDRESS": "ip",
    "PHONE_NUMBER": "phone",
    "US_SSN": "ssn",
}
"""The categories that `ctxbridge.guards.pii` has too; others are Presidio's names in lower case."""


def presidio(
    *,
    entities: Collection[str] | None = None,
    language: str = "en",
    nlp_model: str | None = None,
    threshold: float = 0.4,
    action: Literal["modify", "block"] = "modify",
    say: str | None = None,
    stages: Sequence[Stage] = ("inbound", "reply"),
    **options: Unpack[AdapterOptions],
) -> FunctionGuard:
    """Mask or block what Presidio finds; needs the extra ``presidio``.

    `entities` are Presidio's names, by default `ENTITIES`, and `NAMES` where a model is named.
    `nlp_model` is a spaCy model that is installed, or a folder with one; without it only patterns
    are looked for, and words around them do not raise their scores. `threshold` is the least score,
    from 0 to 1; a telephone number that nothing speaks for has 0.4.

    With ``action="modify"`` a finding becomes its kind in brackets, as `ctxbridge.guards.pii` does
    it: ``[email]``, ``[card …1111]``. With ``"block"`` the text goes no further, and `say` is what
    the customer is told. Tokens of `pii` are left alone. At ``inbound`` it judges before anything
    is stored, so what it masks is never written down.

    It takes a millisecond for a short text and 50 for a mail of 2,500 characters, so it runs in a
    thread. The engine is made and warmed here, which takes a second or two. Raises
    `ConfigurationError` for an entity that no recognizer knows in this language, and for a package
    or model that is not installed.
    """
    if action not in {"modify", "block"}:
        raise ConfigurationError("presidio can modify or block")
    if not 0 <= threshold <= 1:
        raise ConfigurationError("the threshold of presidio is a score from 0 to 1")
    wanted = tuple(entities or (*ENTITIES, *(NAMES if nlp_model else ())))
    engine = _engine(language, nlp_model)
    _require_known(engine, language, wanted)

    def find(text: str) -> list[Finding]:
        found = engine.analyze(text, language, entities=list(wanted), score_threshold=threshold)
        covered = tokens.spans(text)
        return joined(
            Finding(_KINDS.get(f.entity_type, f.entity_type.lower()), f.start, f.end, f.score)
            for f in found
            if not any(start <= f.start and f.end <= end for start, end in covered)
        )

    def check(check: TextCheck) -> Verdict:
        findings = find(check.text)
        if not findings:
            return allow()
        code = f"presidio.{findings[0].category}"[:64]
        if action == "block":
            return block(code, say=say, findings=tuple(findings))
        return modify(mask(check.text, findings), code, findings=tuple(findings))

    find("warm 4111 1111 1111 1111 jane@example.com +1 212 555 0100")
    taken: AdapterOptions = {"name": "presidio", **options}
    early = "inbound" in stages
    modifies = action == "modify"
    return guard(*stages, early=early, modifies=modifies, thread=True, **taken)(check)


def joined(findings: Iterable[Finding]) -> list[Finding]:
    """The findings in order; those that overlap become one, of the category that is surest.

    Recognizers often see different parts of the same thing, and no part may stay readable.
    """
    kept: list[Finding] = []
    for finding in sorted(findings, key=lambda f: (f.start, -f.end)):
        last = kept[-1] if kept else None
        if last is None or finding.start >= last.end:
            kept.append(finding)
            continue
        surest = max(last, finding, key=lambda f: (f.score, f.end - f.start))
        kept[-1] = Finding(surest.category, last.start, max(last.end, finding.end), surest.score)
    return kept


def _engine(language: str, nlp_model: str | None) -> Any:
    """An analyzer of patterns, and of what the model names where there is one."""
    analyzer = load("presidio_analyzer", "presidio")
    nlp = _nlp(language, nlp_model)
    registry = analyzer.RecognizerRegistry(supported_languages=[language])
    registry.load_predefined_recognizers(languages=[language], nlp_engine=nlp)
    _stay_at_home(registry.recognizers)
    return analyzer.AnalyzerEngine(
        registry=registry, nlp_engine=nlp, supported_languages=[language]
    )


def _nlp(language: str, nlp_model: str | None) -> Any:
    engines = load("presidio_analyzer.nlp_engine", "presidio")
    if nlp_model is None:
        return engines.NoOpNlpEngine([{"lang_code": language, "model_name": ""}])
    if not (nlp_model.isidentifier() and find_spec(nlp_model)) and not Path(nlp_model).is_dir():
        raise ConfigurationError(
            f"the spaCy model {nlp_model} is not installed, and is not downloaded by itself"
        )
    engine = engines.SpacyNlpEngine([{"lang_code": language, "model_name": nlp_model}])
    engine.load()  # the registry asks it for its languages
    return engine


def _stay_at_home(recognizers: Iterable[Any]) -> None:
    """Let the e-mail recognizer read the suffix list that is installed, instead of fetching one."""
    suffixes = load("tldextract", "presidio").TLDExtract(cache_dir=None, suffix_list_urls=())
    for recognizer in recognizers:
        if "EMAIL_ADDRESS" in recognizer.supported_entities:
            recognizer.validate_result = lambda found: bool(suffixes(found).fqdn)


def _require_known(engine: Any, language: str, wanted: Collection[str]) -> None:
    known = set(engine.get_supported_entities(language))
    if not wanted or set(wanted) - known:
        raise ConfigurationError(f"presidio knows here the entities {sorted(known)}")
