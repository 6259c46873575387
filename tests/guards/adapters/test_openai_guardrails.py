"""OpenAI Guardrails' local checks, where the package is installed."""

import importlib.metadata
import subprocess
import sys
from importlib.util import find_spec

import pytest

from ctxbridge import errors
from ctxbridge.guards.adapters.openai_guardrails import LOCAL, openai_guardrails

CHECKS = {
    "Keyword Filter": {"keywords": ["guaranteed"]},
    "URL Filter": {"url_allow_list": ["acme.example"]},
    "Secret Keys": {"threshold": "balanced"},
    "Competitors": {"keywords": ["Globex"]},
}
SAID = {
    "It is guaranteed.": "keyword_filter",
    "See https://evil.example/x": "url_filter",
    "Use sk-abcdefghij1234567890ABCDEFGHIJ": "secret_keys",
    "Globex does that.": "competitors",
}


@pytest.mark.parametrize("name", ["Contains PII", "Jailbreak", "Moderation", "Nonsense"])
def test_what_would_ask_a_model_or_the_network_is_refused(name):
    with pytest.raises(errors.ConfigurationError, match="Keyword Filter"):
        openai_guardrails({name: {}})


@pytest.mark.parametrize(("checks", "options"), [({}, {}), (CHECKS, {"action": "modify"})], ids=str)
def test_what_makes_no_sense_is_refused(checks, options):
    with pytest.raises(errors.ConfigurationError):
        openai_guardrails(checks, **options)


def test_guardrails_ai_is_told_apart_and_not_imported(tmp_path, monkeypatch):
    (tmp_path / "guardrails_ai-0.11.0.dist-info").mkdir()
    (tmp_path / "guardrails_ai-0.11.0.dist-info/METADATA").write_text(
        "Metadata-Version: 2.1\nName: guardrails-ai\nVersion: 0.11.0\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert importlib.metadata.version("guardrails-ai") == "0.11.0"
    before = "guardrails" in sys.modules
    with pytest.raises(errors.ConfigurationError, match="guardrails-ai is installed"):
        openai_guardrails(CHECKS)
    assert ("guardrails" in sys.modules) == before


@pytest.fixture(scope="module")
def guard():
    return openai_guardrails(CHECKS, deadline_seconds=10)


@pytest.mark.skipif(find_spec("guardrails") is None, reason="needs openai-guardrails")
class TestWithThePackage:
    def test_every_check_that_works_here_is_among_these(self):
        assert set(CHECKS) == set(LOCAL)

    @pytest.mark.parametrize(("text", "name"), SAID.items(), ids=SAID.values())
    async def test_a_tripwire_blocks(self, guard, judged, text, name):
        found = await judged(text, guard)
        assert (found.decision.enforced, found.decision.code) == (
            "block",
            f"openai_guardrails.{name}",
        )

    async def test_what_none_objects_to_passes(self, guard, judged):
        found = await judged("Your parcel comes on Tuesday: https://acme.example", guard)
        (result,) = found.decision.results
        assert (result.action, result.status) == ("allow", "ok")

    async def test_it_may_warn_or_escalate(self, judged):
        checks = {"Keyword Filter": CHECKS["Keyword Filter"]}
        warned = await judged(
            "guaranteed", openai_guardrails(checks, action="warn", deadline_seconds=10)
        )
        assert (warned.decision.enforced, warned.text) == ("warn", "guaranteed")
        to = await judged(
            "guaranteed",
            openai_guardrails(checks, action="escalate", to="legal", deadline_seconds=10),
        )
        assert (to.decision.enforced, to.to) == ("escalate", "legal")

    def test_a_configuration_that_a_check_refuses_is_refused(self):
        with pytest.raises(errors.ConfigurationError):
            openai_guardrails({"Keyword Filter": {"keyword": []}})

    async def test_a_check_that_fails_is_an_error_and_no_pass(self, judged, monkeypatch):
        import guardrails

        async def fails(*_):
            raise RuntimeError

        async def says_it_failed(*_):
            return guardrails.GuardrailResult(
                tripwire_triggered=False, execution_failed=True, original_exception=ValueError()
            )

        for check in (fails, says_it_failed):
            spec = guardrails.default_spec_registry.get("Keyword Filter")
            broken = type(spec)(
                spec.name,
                "",
                spec.media_type,
                spec.config_schema,
                check,
                spec.ctx_requirements,
                None,
            )
            monkeypatch.setitem(guardrails.default_spec_registry._guardrailspecs, spec.name, broken)
            guard = openai_guardrails({spec.name: {"keywords": ["x"]}}, deadline_seconds=10)
            (result,) = (await judged("hello", guard)).decision.results
            assert (result.action, result.status) == ("block", "error")

    def test_nothing_asks_the_network(self):
        program = """
import asyncio, sys
asked = []
sys.addaudithook(lambda event, args: asked.append(event)
                 if event in {"socket.connect", "socket.getaddrinfo", "subprocess.Popen"} else None)
from ctxbridge.guards import TextCheck
from ctxbridge.guards.adapters.openai_guardrails import openai_guardrails
guard = openai_guardrails({"Secret Keys": {"threshold": "balanced"}})
verdict = asyncio.run(guard.check(TextCheck("reply", "sk-abcdefghij1234567890ABCDEFGHIJ", "sms", 0, 0)))
print(verdict.action, asked)
"""
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True
        )
        assert done.stdout == "block []\n"
