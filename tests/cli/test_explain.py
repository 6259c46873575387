"""`ctxbridge explain`, `replay` and `consents`: what was decided can be told, and judged again."""

import json

import pytest

from ctxbridge.cli import main

CUSTOMER = "sms:+15550100142"


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The store that `make demo` leaves behind."""
    path = str(tmp_path_factory.mktemp("demo") / "demo.db")
    assert main(["demo", "--db", path, "--json"]) == 0
    return path


@pytest.fixture
def run(capfdbinary, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")

    def run(*words):
        capfdbinary.readouterr()
        code = main(list(words))
        out, err = capfdbinary.readouterr()
        return code, out.decode(), err.decode()

    return run


def objects(text):
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
def messages(run, demo):
    return list(objects(run("show", CUSTOMER, "--db", demo, "--json")[1]))


class TestExplain:
    def test_every_message_of_the_demo_is_explained(self, run, demo, messages):
        assert len(messages) == 16
        for message in messages:
            code, out, _ = run("explain", message["turn"], "--db", demo, "--json")
            (turn,) = objects(out)
            assert (code, turn["turn"]) == (0, message["turn"])
            told = {m["seq"]: m for m in turn["messages"]}[message["seq"]]
            assert told["disposition"] == message["disposition"]
            assert told["decision"]["guards"], "each was judged by somebody"
            assert "text" not in told
        enforced = {m["decision"]["enforced"] for t in objects(run("explain", CUSTOMER, "--db", demo, "--json")[1])
                    for m in t["messages"]}  # fmt: skip
        assert {"allow", "modify", "block"} <= enforced

    def test_an_address_explains_all_of_its_turns_for_people(self, run, demo):
        code, out, _ = run("explain", CUSTOMER, "--db", demo)
        assert code == 0
        for told in ("quarantined (block: consent.stop)", "modify   pii.card", "skipped", "no_promises 1  block",
                     "consent: channel sms, purpose all, granted no"):  # fmt: skip
            assert told in out
        assert "4111" not in out
        assert "A-1042" in run("explain", CUSTOMER, "--db", demo, "--show-text")[1]

    def test_a_few_digits_are_enough(self, run, demo, messages):
        turn = messages[0]["turn"]
        assert turn in run("explain", turn[:20].upper(), "--db", demo)[1]

    @pytest.mark.parametrize(
        ("turn", "code"), [("f" * 32, 1), ("abc", 2), ("not a turn", 2), ("sms:+15559999999", 1), ("sms:", 2)]
    )  # fmt: skip
    def test_what_is_not_there_or_no_id_is_told(self, run, demo, turn, code):
        told, out, err = run("explain", turn, "--db", demo)
        assert (told, out) == (code, "")
        assert err.startswith("ctxbridge: ")

    def test_of_another_tenant_nothing_is_told(self, run, demo, messages):
        assert run("explain", messages[0]["turn"], "--db", demo, "--tenant", "globex")[0] == 1


POLICY = """
from ctxbridge import guards

@guards.guard("reply", name="short")
def short(check):
    return guards.block("too_long") if len(check.text) > 120 else guards.allow()

@guards.guard("inbound", name="broken")
def broken(check):
    raise ZeroDivisionError

@guards.guard("inbound", name="early", early=True)
def early(check):
    assert check.context is None
    return guards.block("refund") if "money back" in check.text else guards.allow()

same = [guards.pii(), guards.opt_out(), guards.automatic()]
longer = [*same, short]
fails = [broken]
nothing = []
wrong = ["no guard"]
"""


@pytest.fixture
def policy(tmp_path, monkeypatch):
    (tmp_path / "shop_policy.py").write_text(POLICY)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.usefixtures("policy")
class TestReplay:
    def test_the_same_guards_change_what_the_shops_own_guard_did_alone(self, run, demo):
        code, out, _ = run(
            "replay", "--guards", "shop_policy:same", "--db", demo, "--json", "--diff"
        )
        *differences, summary = objects(out)
        assert (code, differences, summary["changed"]) == (0, [], 0)
        # Of the reply that the shop withheld no words are kept.
        assert (summary["judged"], summary["words_not_kept"]) == (13, 1)
        pii = next(g for g in summary["guards"] if g["guard"] == "pii 2")
        assert (pii["asked"], pii["failed"]) == (13, 0)

    def test_what_would_become_another_is_listed(self, run, demo):
        code, out, _ = run(
            "replay", "--guards", "shop_policy:longer", "--db", demo, "--json", "--diff"
        )
        *differences, summary = objects(out)
        assert code == 3
        assert summary["changed"] == len(differences) > 0
        assert {(d["stage"], d["was"], d["now"], d["code"]) for d in differences} == {
            ("reply", "allow", "block", "too_long")
        }
        assert all("text" not in d for d in differences)

    def test_for_people_it_is_a_table(self, run, demo):
        code, out, _ = run(
            "replay", "--guards", "shop_policy:early", "--diff", "--show-text", "--db", demo
        )
        assert code == 3
        assert "money back" in out
        assert "early 1" in out
        assert "messages judged again" in out

    def test_a_guard_that_fails_is_counted(self, run, demo):
        _, out, _ = run("replay", "--guards", "shop_policy:fails", "--db", demo, "--json")
        (summary,) = objects(out)
        (told,) = summary["guards"]
        assert told["failed"] == told["asked"] == 8

    def test_it_is_of_a_time_and_of_one_contact_where_that_is_asked_for(self, run, demo):
        args = ("replay", "--guards", "shop_policy:same", "--db", demo, "--json")
        assert objects(run(*args, "--since", "2030-01-01")[1])[0]["judged"] == 0
        assert objects(run(*args, "--until", "2000-01-01")[1])[0]["judged"] == 0
        assert objects(run(*args, "--since", "2026-11-02T11:00:00+00:00")[1])[0]["judged"] in range(
            1, 14
        )
        assert objects(run(*args, "--address", CUSTOMER)[1])[0]["judged"] == 13
        assert run(*args, "--address", "sms:+1999")[:2] == (1, "")

    def test_nothing_is_written(self, run, demo):
        before = run("show", CUSTOMER, "--db", demo, "--json")[1]
        run("replay", "--guards", "shop_policy:longer", "--db", demo)
        assert run("show", CUSTOMER, "--db", demo, "--json")[1] == before

    @pytest.mark.parametrize(
        "name", ["shop_policy", "shop_policy:none", "no_such:guards", "shop_policy:wrong", ":x"]
    )
    def test_guards_that_cannot_be_loaded_are_told(self, run, demo, name):
        code, _, err = run("replay", "--guards", name, "--db", demo)
        assert code == 2
        assert err.startswith("ctxbridge: ")

    def test_a_time_that_is_none_is_told(self, run, demo):
        with pytest.raises(SystemExit):
            run("replay", "--guards", "shop_policy:same", "--db", demo, "--since", "yesterday")


class TestConsents:
    def test_the_ledger_tells_the_word_and_its_evidence(self, run, demo):
        code, out, _ = run("consents", CUSTOMER, "--db", demo, "--json", "--show-text")
        (word,) = objects(out)
        assert code == 0
        assert (word["channel"], word["granted"], word["text"], word["holds"]) == (
            "sms", False, "STOP", True,
        )  # fmt: skip
        assert word["evidence"].startswith("SM")

    def test_for_people_it_is_a_table(self, run, demo):
        _, out, _ = run("consents", CUSTOMER, "--db", demo)
        assert "refused" in out
        assert "STOP" not in out

    def test_somebody_unknown_is_told(self, run, demo):
        assert run("consents", "sms:+1999", "--db", demo)[0] == 1
