"""Presidio's recognizers, where the package is installed."""

import subprocess
import sys
from importlib.util import find_spec

import pytest

from ctxbridge import errors, guards
from ctxbridge.guards.adapters.presidio import joined, presidio
from ctxbridge.model import Finding

TEXT = ("Card 4111 1111 1111 1111, mail jane@acme.com, call +1 212 555 0100, IBAN DE89370400440532013000, "
        "SSN 536-22-8726, from 203.0.113.9.")  # fmt: skip
MASKED = "Card [card …1111], mail [email], call [phone], IBAN [iban], SSN [ssn], from [ip]."


def test_findings_that_overlap_become_one_of_the_surest_category():
    found = [Finding("url", 5, 12, 0.5), Finding("email", 0, 10, 1.0), Finding("ip", 12, 14, 0.6)]
    assert joined(found) == [Finding("email", 0, 12, 1.0), Finding("ip", 12, 14, 0.6)]
    assert joined([Finding("a", 0, 4, 0.5), Finding("b", 2, 6, 0.9)]) == [Finding("b", 0, 6, 0.9)]
    assert joined([]) == []


@pytest.mark.parametrize("options", [{"action": "warn"}, {"threshold": 1.5}], ids=str)
def test_what_makes_no_sense_is_refused(options):
    with pytest.raises(errors.ConfigurationError):
        presidio(**options)


@pytest.fixture(scope="module")
def guard():
    return presidio()


@pytest.mark.skipif(find_spec("presidio_analyzer") is None, reason="needs presidio-analyzer")
class TestWithThePackage:
    async def test_it_masks_as_our_own_guard_does(self, guard, judged):
        found = await judged(TEXT, guard, channel="email")
        assert (found.text, found.decision.enforced) == (MASKED, "modify")
        assert found.decision.code == "presidio.card"
        ours = guards.pii(kinds=("card", "email", "phone", "iban", "ssn", "ip"))
        assert (await judged(TEXT, ours)).text == MASKED

    async def test_what_holds_nothing_passes(self, guard, judged):
        assert (
            await judged("See you on Tuesday at 5.", guard, channel="email")
        ).decision.enforced == "allow"

    def test_it_is_early_and_in_a_thread(self, guard):
        assert (guard.early, guard.thread, guard.modifies, guard.judges) == (
            True,
            True,
            True,
            False,
        )

    async def test_findings_tell_place_and_score(self, guard):
        check = guards.TextCheck("reply", "Mail jane@acme.com!", "email", 0, 0)
        assert guard.check(check).findings == (Finding("email", 5, 18, 1.0),)

    async def test_it_may_block(self, guard, judged):
        blocking = presidio(
            action="block", entities=["CREDIT_CARD"], stages=("reply",), say="No cards."
        )
        blocked = await judged(TEXT, blocking, channel="email")
        assert (blocked.decision.enforced, blocked.say, blocking.early) == (
            "block",
            "No cards.",
            False,
        )

    async def test_a_token_of_ours_is_left_alone(self, guard, judged):
        token = guards.pii_tokens(bytes(range(32))).token("card", "4111 1111 1111 1111")
        anything = presidio(threshold=0.0)
        assert (await judged(f"By {token}.", anything, channel="email")).text == f"By {token}."

    @pytest.mark.parametrize("entities", [["PERSON"], ["CREDIT_CARDS"]], ids=str)
    def test_an_entity_that_nothing_finds_is_refused(self, guard, entities):
        with pytest.raises(errors.ConfigurationError, match="CREDIT_CARD"):
            presidio(entities=entities)

    def test_a_model_that_is_not_installed_is_refused_and_not_downloaded(self, guard):
        with pytest.raises(errors.ConfigurationError, match="not downloaded"):
            presidio(nlp_model="en_no_such_model")

    @pytest.mark.filterwarnings("ignore::UserWarning")  # spaCy's own words on a model that is ours
    async def test_names_with_a_model(self, guard, judged, tmp_path):
        import spacy

        model = spacy.blank("en")
        model.add_pipe("entity_ruler").add_patterns([{"label": "PERSON", "pattern": "Jane Doe"}])
        model.to_disk(tmp_path / "model")
        named = presidio(nlp_model=str(tmp_path / "model"))
        found = await judged("Jane Doe has jane@acme.com.", named, channel="email")
        assert found.text == "[person] has [email]."

    def test_nothing_asks_the_network(self, guard, tmp_path):
        program = """
import sys
asked = []
sys.addaudithook(lambda event, args: asked.append(event)
                 if event in {"socket.connect", "socket.getaddrinfo", "subprocess.Popen"} else None)
from ctxbridge.guards import TextCheck
from ctxbridge.guards.adapters.presidio import presidio
verdict = presidio().check(TextCheck("reply", "Mail jane@acme.co.uk!", "email", 0, 0))
print(verdict.text, asked)
"""
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True,
                              env={"TLDEXTRACT_CACHE": str(tmp_path), "HOME": str(tmp_path)})  # fmt: skip
        assert done.stdout == "Mail [email]! []\n"
        assert list(tmp_path.iterdir()) == []
