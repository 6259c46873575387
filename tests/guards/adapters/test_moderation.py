"""The judge behind HTTP, against a real server that misbehaves."""

import anyio
import pytest

from ctxbridge import errors, guards
from ctxbridge.guards.adapters.moderation import ModerationGuard, moderation
from ctxbridge.model import Assurance, Verdict

KEY = "sk-very-secret"


@pytest.fixture
async def made(server):
    """Makes guards, and closes them in the loop that they were used in."""
    every = []

    def make(path="/moderate", **options):
        every.append(moderation(server.url(path), **options))
        return every[-1]

    yield make
    for guard in every:
        await guard.aclose()


def said(flagged=False, categories=None, scores=None):
    one = {"flagged": flagged, "categories": categories or {}, "category_scores": scores or {}}
    return {"results": [one]}


def outcome(judged):
    (result,) = judged.decision.results
    return judged.decision.enforced, result.code, result.status


class TestRequest:
    async def test_it_is_what_openai_documents(self, made, server, judged):
        fine = await judged("hello", made(model="omni-moderation-latest", api_key=KEY))
        assert outcome(fine) == ("allow", "", "ok")
        ((_, _, headers, body),) = server.asked
        assert body == {"model": "omni-moderation-latest", "input": "hello"}
        assert (headers["authorization"], headers["content-type"]) == (
            f"Bearer {KEY}", "application/json",
        )  # fmt: skip

    async def test_without_a_key_none_is_sent_and_a_key_may_change(self, made, server, judged):
        keys = iter(["one", "two"])
        changing = made(api_key=lambda: next(keys))
        await judged("hello", made())
        await judged("hello", changing)
        await judged("hello", changing)
        sent = [headers.get("authorization") for _, _, headers, _ in server.asked]
        assert sent == [None, "Bearer one", "Bearer two"]

    async def test_connections_are_used_again(self, made, server, judged):
        guard = made()
        for _ in range(5):
            await judged("hello", guard)
        assert len({connection for connection, *_ in server.asked}) == 1

    async def test_closed_it_opens_again(self, made, server, judged):
        guard = made()
        for _ in range(2):
            assert outcome(await judged("hello", guard))[2] == "ok"
            await guard.aclose()
        assert len({connection for connection, *_ in server.asked}) == 2

    async def test_another_judge_is_a_question_and_an_answer(self, made, server, judged):
        server.reply = {"verdict": "unsafe"}
        own = made(
            ask=lambda text: {"messages": [{"role": "user", "content": text}]},
            read=lambda answer: (
                guards.block("llm.unsafe") if answer["verdict"] == "unsafe" else guards.allow()
            ),
        )
        assert outcome(await judged("hello", own)) == ("block", "llm.unsafe", "ok")
        assert server.asked[0][3] == {"messages": [{"role": "user", "content": "hello"}]}


def test_each_event_loop_has_connections_of_its_own(server):
    guard = moderation(server.url())
    check = guards.TextCheck("reply", "hello", "sms", Assurance.CHANNEL, 0)

    async def once():
        assert await guard.check(check) == Verdict()
        await guard.aclose()

    anyio.run(once)
    anyio.run(once)
    anyio.run(once, backend="trio")
    assert len(server.asked) == 3


class TestJudging:
    async def test_what_is_flagged_is_blocked_by_its_surest_category(self, made, server, judged):
        server.reply = said(True, {"hate": True, "violence": True, "sexual": False},
                            {"hate": 0.4, "violence": 0.9, "sexual": 0.95})  # fmt: skip
        blocked = await judged("bad", made(say="Let me ask."))
        assert (outcome(blocked), blocked.say) == (
            ("block", "moderation.violence", "ok"),
            "Let me ask.",
        )

    @pytest.mark.parametrize(
        ("reply", "code"),
        [(said(True), "moderation.flagged"), (said(False, {"hate": True}), "moderation.hate")],
    )
    async def test_flagged_or_a_category_is_enough(self, made, server, judged, reply, code):
        server.reply = reply
        assert outcome(await judged("bad", made())) == ("block", code, "ok")

    async def test_only_the_categories_that_are_asked_for(self, made, server, judged):
        server.reply = said(True, {"hate": True, "violence": False, "illicit": None})
        assert outcome(await judged("bad", made(categories={"violence", "illicit"})))[0] == "allow"
        assert outcome(await judged("bad", made(categories={"hate"})))[1] == "moderation.hate"

    async def test_a_category_that_is_not_answered_is_an_error(self, made, server, judged):
        server.reply = said(False, {"hate": False}, {"hate": 0.1})
        for options in ({"categories": {"haet"}}, {"threshold": {"haet": 0.5}},
                        {"threshold": 0.5, "categories": {"haet"}}):  # fmt: skip
            assert outcome(await judged("x", made(**options)))[2] == "error"

    @pytest.mark.parametrize(
        ("options", "code"),
        [
            ({"threshold": 0.7}, "moderation.violence"),
            ({"threshold": 0.81}, ""),
            ({"threshold": 0.3, "categories": {"hate"}}, "moderation.hate"),
            ({"threshold": {"hate": 0.5, "violence": 0.8}}, "moderation.violence"),
            ({"threshold": {"hate": 0.5}}, ""),
        ],
    )
    async def test_scores_are_held_against_thresholds(self, made, server, judged, options, code):
        server.reply = said(True, {}, {"hate": 0.4, "violence": 0.8})
        enforced, found, status = outcome(await judged("bad", made(**options)))
        assert (found, enforced, status) == (code, "block" if code else "allow", "ok")

    async def test_a_threshold_wants_scores(self, made, server, judged):
        server.reply = said(False, {"hate": False})
        assert outcome(await judged("x", made(threshold=0.5)))[2] == "error"

    async def test_a_category_with_an_odd_name_is_no_code(self, made, server, judged):
        server.reply = said(True, {"the customer said: bad": True})
        assert outcome(await judged("bad", made()))[1] == "moderation.flagged"

    async def test_it_may_warn_or_escalate(self, made, server, judged):
        server.reply = said(True, {"hate": True})
        assert outcome(await judged("bad", made(action="warn")))[0] == "warn"
        escalated = await judged("bad", made(action="escalate", to="safety"))
        assert (escalated.decision.enforced, escalated.to) == ("escalate", "safety")


WRONG = [
    {}, [], None, "fine", 1, {"results": []}, {"results": {}}, {"results": [{}]},
    {"results": [{"flagged": False}, {"flagged": False}]}, {"results": [{"flagged": "false"}]},
    {"results": [{"flagged": 0}]}, {"results": [{"flagged": None}]},
    {"results": [{"flagged": False, "categories": ["hate"]}]},
    {"results": [{"flagged": False, "categories": {"hate": "no"}}]},
    {"results": [{"flagged": False, "category_scores": {"hate": "0.1"}}]},
    {"results": [{"flagged": False, "category_scores": {"hate": 1.5}}]},
    {"results": [{"flagged": False, "category_scores": {"hate": -1}}]},
    {"error": {"message": "quota"}},
]  # fmt: skip
MISBEHAVES = [
    "error",
    "created",
    "redirect",
    "nonsense",
    "deep",
    "compressed",
    "huge",
    "closed",
    "broken",
    "garbage",
]


class TestMisbehaviour:
    @pytest.mark.parametrize("reply", WRONG, ids=str)
    async def test_another_shape_is_an_error(self, made, server, judged, reply):
        server.reply = reply
        assert outcome(await judged("hello", made())) == ("block", "guard.error", "error")

    @pytest.mark.parametrize("path", MISBEHAVES)
    async def test_whatever_is_no_answer_is_an_error(self, made, server, judged, path):
        with anyio.fail_after(60):
            found = await judged("hello", made("/" + path, deadline_seconds=45))
        assert outcome(found) == ("block", "guard.error", "error")
        assert [asked[1] for asked in server.asked] == ["/" + path], (
            "nothing is repeated or followed"
        )

    @pytest.mark.parametrize("path", ["slow", "hang"])
    async def test_what_takes_too_long_is_a_timeout(self, made, judged, path):
        guard = made("/" + path, deadline_seconds=0.2, on_timeout="escalate")
        with anyio.fail_after(20):
            assert outcome(await judged("hello", guard)) == ("escalate", "guard.timeout", "timeout")

    async def test_after_an_error_the_next_text_is_judged(self, made, server, judged):
        guard = made()
        server.reply = {}
        assert outcome(await judged("hello", guard))[2] == "error"
        server.reply = said(False)
        assert outcome(await judged("hello", guard))[2] == "ok"

    async def test_nobody_listening_is_an_error(self, judged):
        guard = moderation("http://127.0.0.1:1/", on_error="warn")
        assert outcome(await judged("hello", guard)) == ("warn", "guard.error", "error")
        await guard.aclose()

    @pytest.mark.parametrize("verdict", [True, guards.modify("x", "y")], ids=["true", "modify"])
    async def test_a_reader_that_gives_no_verdict_of_a_judge_is_an_error(
        self, made, judged, verdict
    ):
        assert outcome(await judged("hello", made(read=lambda _: verdict)))[2] == "error"

    async def test_a_question_that_json_cannot_hold_is_an_error(self, made, judged):
        assert outcome(await judged("hello", made(ask=lambda _: object())))[2] == "error"


class TestSecrecy:
    @pytest.mark.parametrize("path", ["error", "closed", "redirect", "nonsense", "huge"])
    async def test_the_key_is_in_no_error(self, made, path):
        guard = made("/" + path, api_key=KEY)
        check = guards.TextCheck("reply", "my words", "sms", Assurance.CHANNEL, 0)
        with pytest.raises(errors.PayloadError) as raised:
            await guard.check(check)
        assert KEY not in repr(raised.value)
        assert "my words" not in repr(raised.value)
        assert raised.value.__cause__ is None

    def test_nor_in_a_repr(self, server):
        guard = moderation(server.url() + "?key=" + KEY, api_key=KEY)
        assert KEY not in repr(guard)
        assert "127.0.0.1" in repr(guard)

    @pytest.mark.parametrize("key", ["", "two\nlines", "sch\u00f6n"])
    def test_a_key_that_no_header_can_hold_is_told_without_it(self, server, key):
        with pytest.raises(errors.ConfigurationError) as raised:
            moderation(server.url(), api_key=key)
        assert not key or key not in str(raised.value)


@pytest.mark.parametrize(
    "options",
    [
        {"action": "modify"}, {"categories": "hate"}, {"categories": ()}, {"threshold": 2},
        {"threshold": {}}, {"threshold": {"hate": -1}}, {"threshold": {"hate": 0.1}, "categories": {"hate"}},
        {"read": lambda _: guards.allow(), "threshold": 0.5}, {"url": "acme.example/judge"},
        {"url": "https://me:secret@acme.example"}, {"url": "ftp://acme.example"}, {"deadline_seconds": -1},
        {"stages": ("perhaps",)},
    ],
    ids=range(13),
)  # fmt: skip
def test_what_makes_no_sense_is_refused(options):
    with pytest.raises(errors.ConfigurationError) as raised:
        moderation(**{"url": "https://acme.example", **options})
    assert "secret" not in str(raised.value)


def test_it_is_a_guard_with_the_options_of_one():
    guard = moderation("https://acme.example", name="mod", version="3", mode="observe", once=True,
                       stages=("inbound", "reply"))  # fmt: skip
    assert isinstance(guard, ModerationGuard)
    assert isinstance(guard, guards.FunctionGuard)
    assert (guard.name, guard.version, guard.mode, guard.once, guard.judges) == (
        "mod",
        "3",
        "observe",
        True,
        True,
    )
    assert guard.stages == {"inbound", "reply"}
