"""Policies of the Agent Control Specification, where the package is installed."""

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.util import find_spec

import pytest

from ctxbridge import errors, guards
from ctxbridge.guards.adapters.acs import acs
from ctxbridge.model import Assurance, Contact

needs_acs = pytest.mark.skipif(
    find_spec("agent_control_spec") is None, reason="needs agent-control-spec"
)

MANIFEST = """
agent_control_specification_version: 0.4.0-alpha.1
policies:
  talk: {type: rego, bundle: ./talk.rego, query: data.talk.verdict}
intervention_points:
"""
POINT = "  %s: {policy_target: $.%s, policy: {id: talk}}\n"
POLICY = """
package talk
import rego.v1

default verdict := {"decision": "allow"}
text := input.snapshot[input.intervention_point].content
about := input.snapshot.extensions.ctxbridge

verdict := {"decision": "deny", "reason": "no_promises", "result_labels": ["risk"]} if contains(text, "guaranteed")
else := {"decision": "deny", "reason": sprintf("they said %v", [text])} if contains(text, "secret")
else := {"decision": "escalate", "reason": "legal"} if contains(text, "lawyer")
else := {"decision": "warn", "reason": "tone"} if contains(text, "dumb")
else := {"decision": "allow", "result_labels": ["greeting"]} if contains(text, "Hello")
else := {"decision": "transform", "reason": "polite", "transform": {"path": "PATH", "value": VALUE}} if contains(text, "Yo")
else := {"decision": "deny", "reason": "no_marketing_here"} if {
    about.channel == "sms"
    about.assurance == "claimed"
    about.purpose == "service"
    about.flags == ["auto"]
    about.stage == "inbound"
    input.snapshot.session.id == "0a0b"
    input.snapshot.timestamp == "2023-11-14T22:13:20.000Z"
}
else := {"decision": "nonsense"} if contains(text, "break")
"""


@pytest.fixture
def written(tmp_path):
    """Writes a manifest with its policy, and tells where."""

    def write(
        points=("input", "output"), target="%s", path="$target.content", value='"Bonjour"', more=""
    ):
        text = MANIFEST + "".join(POINT % (point, target % point) for point in points) + more
        (tmp_path / "manifest.yaml").write_text(text)
        (tmp_path / "talk.rego").write_text(POLICY.replace("PATH", path).replace("VALUE", value))
        return tmp_path / "manifest.yaml"

    return write


@needs_acs
class TestWithThePackage:
    @pytest.mark.parametrize("stage", ["inbound", "reply"])
    @pytest.mark.parametrize(
        ("text", "action", "code"),
        [
            ("See you.", "allow", ""), ("It is guaranteed", "block", "acs.no_promises"),
            ("my lawyer", "escalate", "acs.legal"), ("how dumb", "warn", "acs.tone"),
            ("Yo", "modify", "acs.polite"), ("a secret", "block", "acs.deny"),
        ],
    )  # fmt: skip
    async def test_each_verdict_has_its_own(self, written, judged, stage, text, action, code):
        found = await judged(text, acs(written(), deadline_seconds=10), stage=stage)
        (result,) = found.decision.results
        assert (result.action, result.code, result.status) == (action, code, "ok")

    async def test_labels_say_and_queue_arrive(self, written, judged):
        guard = acs(written(), say="Let me ask.", to="legal", deadline_seconds=10)
        blocked = await judged("guaranteed", guard)
        assert (blocked.labels, blocked.say) == (("risk",), "Let me ask.")
        assert (await judged("Hello", guard)).labels == ("greeting",)
        assert (await judged("lawyer", guard)).to == "legal"

    @pytest.mark.parametrize(
        ("target", "path", "value"),
        [("%s", "$target.content", '"Bonjour"'), ("%s", "$target", '{"content": "Bonjour", "role": "user"}'),
         ("%s.content", "$target", '"Bonjour"')],
        ids=str,
    )  # fmt: skip
    async def test_a_transform_replaces_the_text(self, written, judged, target, path, value):
        guard = acs(written(target=target, path=path, value=value), deadline_seconds=10)
        assert (await judged("Yo man", guard)).text == "Bonjour"

    async def test_a_transform_that_leaves_no_text_is_an_error(self, written, judged):
        guard = acs(written(path="$target.content", value="7"), deadline_seconds=10)
        assert (await judged("Yo man", guard)).decision.results[0].status == "error"

    async def test_the_policy_sees_where_a_text_comes_from(self, written):
        check = guards.TextCheck("inbound", "x", "sms", Assurance.CLAIMED, 1_700_000_000_000,
                                 flags=("auto",), contact=Contact(b"\x0a\x0b"))  # fmt: skip
        assert acs(written()).check(check).code == "acs.no_marketing_here"

    async def test_what_the_engine_cannot_judge_is_an_error(self, written, judged):
        found = await judged("break", acs(written(), on_error="escalate", deadline_seconds=10))
        assert (found.decision.enforced, found.decision.results[0].status) == ("escalate", "error")

    def test_it_stands_where_the_manifest_binds(self, written):
        assert acs(written(["output"])).stages == {"reply"}
        assert acs(written(), stages=("inbound",)).stages == {"inbound"}
        for points, stages in (
            (["output"], ("inbound",)),
            (["agent_shutdown"], None),
            (["output"], ("send",)),
        ):
            with pytest.raises(errors.ConfigurationError):
                acs(written(points), stages=stages)

    def test_a_manifest_that_is_missing_or_wrong_is_refused(self, written, tmp_path):
        with pytest.raises(errors.ConfigurationError, match="is a file"):
            acs(tmp_path / "nowhere.yaml")
        (tmp_path / "wrong.yaml").write_text("policies: 3")
        with pytest.raises(errors.ConfigurationError, match="does not take"):
            acs(tmp_path / "wrong.yaml")

    async def test_annotators_ask_nobody_but_the_one_that_is_given(self, written, judged):
        import agent_control_spec

        asked = []

        class Annotator(BaseHTTPRequestHandler):
            def do_POST(self):
                asked.append(self.path)
                self.send_error(500)

            def log_message(self, *_):
                pass

        server = HTTPServer(("127.0.0.1", 0), Annotator)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            manifest = written([], more=f"""
  output:
    policy_target: $.output
    policy: {{id: talk}}
    annotations:
      mood: {{from: $target.content}}
annotators:
  mood:
    type: endpoint
    url: http://127.0.0.1:{server.server_port}/mood
    timeout_ms: 1000
""")  # fmt: skip
            refused = await judged("Hello", acs(manifest, deadline_seconds=10))
            assert refused.decision.results[0].status == "error"
            given = acs(manifest, annotate=lambda name, *_: {"name": name}, deadline_seconds=10)
            assert (await judged("Hello", given)).decision.enforced == "allow"
            assert asked == []
            # So that this shows something: the engine's own annotators would have asked.
            context = {"output": {"content": "Hello"}, "interception_point": "output"}
            agent_control_spec.ActivatedPolicy(str(manifest)).evaluate("output", context)
            assert asked == ["/mood"]
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


TOOLS = """
package talk
import rego.v1

default verdict := {"decision": "allow"}

verdict := {"decision": "deny", "reason": "too_much"} if {
    input.snapshot.interception_point == "pre_tool_call"
    input.snapshot.tool_call.name == "refund"
    input.snapshot.tool_call.args.amount > 100
}
else := {"decision": "transform", "reason": "cap", "transform": {"path": "$target.amount", "value": 10}} if {
    input.snapshot.interception_point == "pre_tool_call"
    input.snapshot.tool_call.args.amount > 10
}
else := {"decision": "deny", "reason": "internal"} if {
    input.snapshot.interception_point == "post_tool_call"
    input.snapshot.tool_result.value.internal
}
"""


@needs_acs
async def test_calls_of_tools_are_judged_by_their_arguments_and_answers(tmp_path):
    target = {"pre_tool_call": "$.tool_call.args", "post_tool_call": "$.tool_result.value"}
    points = "".join(
        f"  {point}: {{policy_target: {where}, policy: {{id: talk}}}}\n"
        for point, where in target.items()
    )
    (tmp_path / "manifest.yaml").write_text(MANIFEST + points)
    (tmp_path / "talk.rego").write_text(TOOLS)
    policy = acs(tmp_path / "manifest.yaml")
    assert policy.stages == {"tool_call", "tool_result"}

    async def judge(stage, text):
        check = guards.TextCheck(stage, text, "sms", Assurance.CHANNEL, 0, tool="refund")
        judged = await guards.judge([policy], check, lambda text: text.encode()[:16])
        return judged.decision.enforced, judged.decision.code, judged.text

    assert await judge("tool_call", '{"amount": 999}') == ("block", "acs.too_much", "")
    assert await judge("tool_call", '{"amount": 50}') == ("modify", "acs.cap", '{"amount":10}')
    assert (await judge("tool_call", "no json"))[:2] == ("block", "guard.error")
    assert (await judge("tool_result", '{"internal": true}'))[0] == "block"
    assert (await judge("tool_result", "plain"))[0] == "allow"
