"""The way out to Slack: what is asked of it, beside what its own SDK asks, and what it answers."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.request import Request, urlopen

import pytest
from slack_sdk import WebClient

from ctxbridge.channels.slack import Slack, SlackPosts
from ctxbridge.errors import ConfigurationError
from ctxbridge.model import (
    Address,
    Choice,
    Choices,
    Delivery,
    Endpoint,
    HttpAnswer,
    HttpRequest,
    Message,
    Outgoing,
    Sent,
    Text,
)
from ctxbridge.ports import Builder

ANN = Address("slack", "U1", "T1")
OFFER = Choices((Choice("yes-17", "Yes & now"), Choice("no-17", "No")))


def outgoing(
    text: str = "On its way.",
    thread: str = "C1:1779999999.000200",
    *parts: object,
    address: Address = ANN,
) -> Outgoing:
    words = (Text(text),) if text else ()
    message = Message(b"t", "agent", "slack", (*words, *parts), 0, thread=thread)
    return Outgoing(Delivery(b"k" * 16), message, address, Endpoint("slack", "A1"))


def asked(posts: SlackPosts, message: Outgoing) -> dict[str, object]:
    request = posts.build_send(message)
    assert isinstance(request, HttpRequest)
    return json.loads(request.body)


class _Slack(BaseHTTPRequestHandler):
    """What a post to Slack was: its path, its authorization, its JSON."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        seen = (
            self.path,
            self.headers["Authorization"],
            self.headers["Content-Type"].lower().replace(" ", ""),
        )
        self.server.seen.append((*seen, json.loads(body)))
        answer = json.dumps(
            {"ok": True, "channel": "C1", "ts": "1780000000.000100", "message": {"team": "T1"}}
        ).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def slack() -> Iterator[HTTPServer]:
    with HTTPServer(("127.0.0.1", 0), _Slack) as server:
        server.seen = []
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_it_asks_what_the_sdk_asks(slack: HTTPServer) -> None:
    base = f"http://127.0.0.1:{slack.server_port}/api/"
    posts = SlackPosts("xoxb-1", markup=True, url=base + "chat.postMessage")
    request = posts.build_send(outgoing("On *its* way."))
    assert isinstance(request, HttpRequest)
    with urlopen(
        Request(request.url, request.body, dict(request.headers), method=request.method)
    ) as answered:
        answer = HttpAnswer(answered.status, tuple(answered.headers.items()), answered.read())
    WebClient("xoxb-1", base_url=base).chat_postMessage(
        channel="C1", text="On *its* way.", thread_ts="1779999999.000200", mrkdwn=True
    )
    ours, theirs = slack.seen
    assert ours == theirs
    assert posts.read_receipt(answer) == Sent("sent", "T1:C1:1780000000.000100")


def test_it_fills_the_port() -> None:
    posts: Builder = SlackPosts("xoxb-1")
    assert (posts.name, posts.channel, posts.repeatable) == ("slack", "slack", False)
    assert posts.capabilities.form == SlackPosts("x", markup=True).capabilities.form == "slack"
    assert Slack().capabilities.buttons == 25


class TestWhatIsAsked:
    def test_a_plain_text_notifies_nobody_whatever_a_model_wrote(self) -> None:
        post = asked(SlackPosts("x"), outgoing("<!everyone> <@U2> a & b"))
        assert post["text"] == "&lt;!everyone&gt; &lt;@U2&gt; a &amp; b"
        assert post["mrkdwn"] is False

    def test_the_answer_goes_where_the_question_came_from(self) -> None:
        for thread, where in (
            ("C1:1779999999.000200", ("C1", "1779999999.000200")),
            ("D1", ("D1", None)),
            ("", ("U1", None)),
        ):
            post = asked(SlackPosts("x"), outgoing(thread=thread))
            assert (post["channel"], post.get("thread_ts")) == where

    def test_choices_are_buttons_below_the_text(self) -> None:
        post = asked(SlackPosts("x"), outgoing("Is <that> right?", "D1", OFFER))
        section, actions = post["blocks"]
        assert section == {
            "type": "section",
            "text": {"type": "plain_text", "text": "Is <that> right?"},
        }
        assert [(b["type"], b["value"], b["text"]["text"]) for b in actions["elements"]] == [
            ("button", "yes-17", "Yes & now"), ("button", "no-17", "No"),
        ]  # fmt: skip
        assert len({b["action_id"] for b in actions["elements"]}) == 2

    def test_blocks_keep_every_word_and_their_limits(self) -> None:
        text = "word " * 2000
        many = Choices(tuple(Choice("i" * 2000, "l" * 75) for _ in range(25)))
        *sections, actions = asked(SlackPosts("x", markup=True), outgoing(text, "D1", many))[
            "blocks"
        ]
        assert "".join(s["text"]["text"] for s in sections) == text
        assert max(len(s["text"]["text"]) for s in sections) <= 3000
        assert not any(s["text"]["text"].startswith("ord") for s in sections)
        buttons = actions["elements"]
        assert len(buttons) == 25
        assert {(len(b["value"]), len(b["text"]["text"])) for b in buttons} == {(2000, 75)}
        assert len(asked(SlackPosts("x"), outgoing("x" * 7000, "D1", OFFER))["blocks"]) == 4

    def test_each_workspace_has_its_token(self) -> None:
        posts = SlackPosts({"T1": "one", "T2": "two"})
        for scope, token in (("T1", "one"), ("T2", "two")):
            request = posts.build_send(outgoing(address=Address("slack", "U1", scope)))
            assert isinstance(request, HttpRequest)
            assert dict(request.headers)["Authorization"] == f"Bearer {token}"
        nobody = posts.build_send(outgoing(address=Address("slack", "U1", "T3")))
        assert nobody == Sent("failed", code="slack.token")

    @pytest.mark.parametrize(
        ("message", "code"),
        [
            (outgoing(""), "empty"),
            (outgoing(" \n"), "empty"),
            (outgoing("x" * 40_001), "too_long"),
            (outgoing("&" * 8_001), "too_long"),
            (outgoing("x", "D1", Choices((Choice("1", "One"),) * 26)), "choices"),
            (outgoing("x", "D1", Choices((Choice("i" * 2001, "One"),))), "choices"),
            (outgoing("x", "D1", Choices((Choice("1", "l" * 76),))), "choices"),
            (outgoing("x", "D1", Choices((Choice("", "One"),))), "choices"),
            (outgoing(thread="C1:soon"), "address"),
            (outgoing(thread="a b"), "address"),
            (outgoing(thread="", address=Address("slack", "a@b", "T1")), "address"),
        ],
    )
    def test_what_cannot_be_posted_is_not_asked(self, message: Outgoing, code: str) -> None:
        assert SlackPosts("x").build_send(message) == Sent("failed", code=f"slack.{code}")

    @pytest.mark.parametrize("token", ["", "a\nb", "é", {}, {"T1": ""}])
    def test_without_a_token_it_refuses_to_start(self, token: object) -> None:
        with pytest.raises(ConfigurationError, match="token"):
            SlackPosts(token)

    def test_an_address_that_is_none_refuses_to_start(self) -> None:
        with pytest.raises(ConfigurationError, match="url"):
            SlackPosts("x", url="slack.com/api")


@pytest.mark.parametrize(
    ("status", "body", "headers", "sent"),
    [
        (200, {"ok": True, "channel": "C1", "ts": "1.2"}, {}, Sent("sent", "C1:1.2")),
        (429, {"ok": False, "error": "ratelimited"}, {"Retry-After": "30"}, Sent("retry", code="slack.ratelimited", retry_after=30.0)),
        (429, b"", {"Retry-After": "9" * 9}, Sent("retry", code="slack.ratelimited", retry_after=86_400.0)),
        (200, {"ok": False, "error": "ratelimited"}, {"retry-after": "1"}, Sent("retry", code="slack.ratelimited", retry_after=1.0)),
        (200, {"ok": False, "error": "token_revoked"}, {"Retry-After": "soon"}, Sent("retry", code="slack.token_revoked")),
        (200, {"ok": False, "error": "channel_not_found"}, {}, Sent("failed", code="slack.channel_not_found")),
        (200, {"ok": False, "error": "msg_too_long"}, {}, Sent("failed", code="slack.msg_too_long")),
        (200, {"ok": False, "error": "fatal_error"}, {}, Sent("unknown", code="slack.200")),
        (200, {"ok": False, "error": "<b>"}, {}, Sent("unknown", code="slack.200")),
        (200, {"ok": True}, {}, Sent("unknown", code="slack.200")),
        (200, {"ok": True, "channel": "C1", "ts": "soon"}, {}, Sent("unknown", code="slack.200")),
        (500, {"ok": False, "error": "channel_not_found"}, {}, Sent("unknown", code="slack.500")),
        (503, b"<html>", {}, Sent("unknown", code="slack.503")),
        (200, None, {}, Sent("unknown", code="slack.200")),
        (200, b"[" * 100_000, {}, Sent("unknown", code="slack.200")),
        (302, b"", {}, Sent("unknown", code="slack.302")),
    ],
)  # fmt: skip
def test_what_slack_answers(status: int, body: object, headers: dict[str, str], sent: Sent) -> None:
    data = json.dumps(body).encode() if isinstance(body, dict) else body
    assert SlackPosts("x").read_receipt(HttpAnswer(status, tuple(headers.items()), data)) == sent
