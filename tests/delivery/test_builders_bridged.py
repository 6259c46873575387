"""Builders behind a real bridge and a real connection: each answer is offered once, in one way.

The bridge lays a reply out by what the builder says it can show; the builder decides once more what
is a button. Where both wrote the numbers, a customer would read them twice, and where neither did,
not at all.
"""

import json
from collections.abc import Callable
from urllib.parse import parse_qs

import pytest

from ctxbridge import Address, Assurance, Bridge, Endpoint, Inbound, Text, guards
from ctxbridge.channels.slack import SlackPosts
from ctxbridge.delivery.senders import (
    HttpSender,
    MailgunBuilder,
    PostmarkBuilder,
    SendGridBuilder,
    SinchBuilder,
    SinchSmsBuilder,
    TwilioBuilder,
    WhatsAppBuilder,
)
from ctxbridge.guards import guard, modify
from ctxbridge.model import Choice
from ctxbridge.ports import Builder
from ctxbridge.rules.choices import checked_choices, lines
from tests.delivery.loopback import answer, server

FEW, SIX = ["Red", "Dark blue"], ["Red", "Blue", "Green", "Black", "White", "Grey"]
LONG = [f"Answer number {n} of some more letters" for n in range(3)]
BETWEEN = ["Collect it in the shop", "Send it by the post"]
"""Over the 20 characters of a button, within the 24 of a list's row."""
MANY = [f"{n:02} " + "x" * 180 for n in range(20)]
"""4,000 characters in all: over the limit of every channel here but Slack's own."""


@pytest.fixture
def anyio_backend():
    return "asyncio"


def whatsapp_said(made: dict) -> tuple[str, list[str]]:
    """The words, and the labels that can be pressed."""
    if made["type"] == "text":
        return made["text"]["body"], []
    shown = made["interactive"]
    labels = [one["reply"]["title"] for one in shown["action"].get("buttons", ())]
    labels += [row["title"] for s in shown["action"].get("sections", ()) for row in s["rows"]]
    return shown["body"]["text"], labels


def sinch_said(asked: dict) -> tuple[str, list[str]]:
    message = asked["message"]
    if shown := message.get("choice_message"):
        labels = [one["text_message"]["text"] for one in shown["choices"]]
        return shown["text_message"]["text"], labels
    if shown := message.get("list_message"):
        rows = [one["choice"]["title"] for s in shown["sections"] for one in s["items"]]
        return shown["title"], rows
    return message["text_message"]["text"], []


def slack_said(asked: dict) -> tuple[str, list[str]]:
    blocks = asked.get("blocks", [])
    labels = [b["text"]["text"] for one in blocks for b in one.get("elements", ())]
    shown = "".join(one["text"]["text"] for one in blocks if one["type"] == "section")
    return shown or asked["text"], labels


MADE = '{"message_id": "M", "id": "M", "messages": [{"id": "M"}], "sid": "M", "ok": true, "channel": "C1", "ts": "1780000000.000100"}'  # fmt: skip
WAYS: dict[str, tuple[Callable[[str], Builder], Callable[[dict], tuple[str, list[str]]]]] = {
    "whatsapp": (lambda url: WhatsAppBuilder("t", base_url=url), whatsapp_said),
    "slack": (lambda url: SlackPosts("xoxb-1", url=f"{url}/api/chat.postMessage"), slack_said),
    "sinch whatsapp": (lambda url: SinchBuilder("P", channel="whatsapp", base_url=url), sinch_said),
    "sinch rcs": (lambda url: SinchBuilder("P", channel="rcs", base_url=url), sinch_said),
    "sinch sms": (lambda url: SinchBuilder("P", base_url=url), sinch_said),
    "sinch_sms": (lambda url: SinchSmsBuilder("S", "t", base_url=url), lambda a: (a["body"], [])),
    "twilio": (lambda url: TwilioBuilder("AC", "t", base_url=url), lambda a: (a["Body"][0], [])),
}  # fmt: skip
EVERY = pytest.mark.parametrize("way", WAYS)


def hello(channel: str) -> Inbound:
    whose = {"slack": Address("slack", "U1", "T1"), "email": Address("email", "ann@example.org")}
    ours = {"slack": "A1", "email": "help@acme.example"}
    return Inbound(
        channel, Endpoint(channel, ours.get(channel, "12345")),
        whose.get(channel, Address(channel, "+46701740605")), "M1", (Text("hello"),),
        Assurance.CHANNEL, thread="C1" if channel == "slack" else "", subject="Order",
    )  # fmt: skip


async def posted(make: Callable[[str], Builder], text: str, choices=(), **options: object):
    """What the provider was asked, message by message, and the statuses of the deliveries."""
    async with server(answer(200, MADE)) as (where, asked):
        builder = make(where)
        sender = HttpSender(builder)
        async with Bridge("memory://", tenant="acme", senders=[sender], **options) as bridge:
            async with bridge.turn(hello(builder.channel)) as turn:
                turn.reply(text, choices=choices)
            return asked, [one.status for one in turn.deliveries]


async def told(way: str, text: str, choices, **options: object) -> list[tuple[str, list[str]]]:
    make, said = WAYS[way]
    asked, statuses = await posted(make, text, choices, **options)
    assert set(statuses) == {"sent"}, statuses
    is_form = [one.headers["content-type"].startswith("application/x-www") for one in asked]
    return [
        said(parse_qs(one.body.decode()) if form else one.json)
        for one, form in zip(asked, is_form, strict=True)
    ]


BUTTONS = {"whatsapp", "slack", "sinch whatsapp", "sinch rcs"}
LISTS = {"whatsapp", "slack", "sinch whatsapp"}  # Slack has 25 buttons


@EVERY
@pytest.mark.parametrize("markdown", [False, True])
async def test_88_two_answers_are_buttons_or_numbers_and_never_both(way, markdown):
    ((words, labels),) = await told(way, "Which **colour**?", FEW, markdown=markdown)
    assert labels == (FEW if way in BUTTONS else [])
    assert words.count("1. Red") == words.count("2. Dark blue") == (way not in BUTTONS)


@EVERY
async def test_88_six_are_a_list_or_numbers_and_never_both(way):
    ((words, labels),) = await told(way, "Which colour?", SIX)
    assert labels == (SIX if way in LISTS else [])
    assert words.count("6. Grey") == (way not in LISTS)


@EVERY
@pytest.mark.parametrize("choices", [LONG, BETWEEN], ids=["long", "between"])
@pytest.mark.parametrize("markdown", [False, True])
async def test_88_labels_that_are_too_long_are_said_once_and_whole(way, choices, markdown):
    ((words, labels),) = await told(way, "Well?", choices, markdown=markdown)
    for n, label in enumerate(choices, 1):
        assert words.count(f"{n}. {label}") + labels.count(label) == 1, (words, labels)


@EVERY
async def test_88_an_offer_over_several_messages_is_said_once(way):
    found = await told(way, "Which one?", MANY)
    every = "\n".join("\n".join([words, *labels]) for words, labels in found)
    assert [every.count(f"{n}. {label}") for n, label in enumerate(MANY, 1)] == [1] * len(MANY)


@EVERY
@pytest.mark.parametrize("length", [1_100, 1_595, 4_090])
async def test_88_under_a_long_text_each_answer_is_offered_and_all_of_it_leaves(way, length):
    text = ("word " * length)[:length].strip() + "?"
    found = await told(way, text, FEW)
    assert sum(words.count("word") for words, _ in found) == text.count("word")
    words, labels = found[-1]
    assert words.count("2. Dark blue") + labels.count("Dark blue") == 1


@EVERY
async def test_88_an_id_that_no_button_takes_is_a_number(way):
    choices = [Choice("i" * 250, "Red"), Choice("j" * 250, "Blue")]
    found = await told(way, "word " * 815 + "?", choices)
    words = "\n".join(words for words, _ in found)
    assert words.count("2. Blue") + found[-1][1].count("Blue") == 1


@EVERY
async def test_88_what_a_guard_adds_says_nothing_twice(way):
    more = guard("reply", name="more", modifies=True)(
        lambda check: modify(check.text + "\n\nI am a bot.", "more")
    )
    ((words, labels),) = await told(way, "Which colour?", FEW, guards=[more])
    assert "I am a bot." in words
    assert words.count("2. Dark blue") + labels.count("Dark blue") == 1


@EVERY
async def test_88_a_label_that_guards_have_masked_stands_on_no_button_and_nothing_twice(way):
    choices = [Choice("a", "4111 1111 1111 1111"), Choice("b", "another")]
    ((words, labels),) = await told(way, "Which card?", choices, guards=[guards.pii()])
    assert "4111 1111" not in f"{words}{labels}"
    assert words.count("another") == 1
    assert labels in ([], ["1", "2"])
    assert "A. 1" not in words


@EVERY
async def test_88_a_label_that_a_guard_has_changed_is_said_once(way):
    more = guard("reply", name="more", modifies=True)(
        lambda check: modify(check.text + " (sold out)", "more")
    )
    ((words, labels),) = await told(way, "Which colour?", FEW, guards=[more])
    assert words.count("2. Dark blue (sold out)") == words.count("2.") == 1
    assert labels in ([], ["1", "2"])


@EVERY
async def test_88_numbers_in_the_agents_own_words_take_no_button_away(way):
    own = "Which size?\n1. small\n2. medium\n3. large"
    ((words, labels),) = await told(way, own, ["1", "2", "3"])
    assert labels == (["1", "2", "3"] if way in BUTTONS else [])
    assert words.count("C. 3") == (way not in BUTTONS)


def test_88_a_builder_that_writes_them_without_looking_is_seen():
    """The control: the count above tells a text that has its numbers twice."""
    offer = checked_choices(FEW)
    twice = f"Which colour?\n\n{lines(offer)}\n\n{lines(offer)}"
    assert twice.count("2. Dark blue") == 2


async def test_marks_of_slack_are_its_own_and_a_thread_is_kept():
    asked, _ = await posted(WAYS["slack"][0], "**Hi** [shop](https://x.org) <@U2>", markdown=True)
    (one,) = asked
    assert one.path == "/api/chat.postMessage"
    assert one.headers["authorization"] == "Bearer xoxb-1"
    assert one.json == {
        "channel": "C1", "text": "*Hi* <https://x.org|shop> &lt;@U2&gt;", "mrkdwn": True
    }  # fmt: skip


@pytest.mark.parametrize(
    ("status", "said", "status_of_ours"),
    [
        (200, MADE, "sent"),
        (200, '{"ok": false, "error": "channel_not_found"}', "failed"),
        (200, '{"ok": false, "error": "fatal_error"}', "unknown"),
        (500, "<html>", "unknown"),
        (429, "", "pending"),
    ],
)
async def test_what_slack_answers_is_what_becomes_of_the_delivery(status, said, status_of_ours):
    async with server(answer(status, said)) as (where, asked):
        sender = HttpSender(SlackPosts("xoxb-1", url=f"{where}/api/chat.postMessage"))
        async with Bridge("memory://", tenant="acme", senders=[sender]) as bridge:
            async with bridge.turn(hello("slack")) as turn:
                turn.reply("Hi")
            assert [one.status for one in turn.deliveries] == [status_of_ours]
        assert len(asked) == 1


MAILS: dict[str, tuple[Callable[[str], Builder], str]] = {
    "postmark": (lambda url: PostmarkBuilder("token", base_url=url), '{"ErrorCode": 0, "MessageID": "M"}'),
    "sendgrid": (lambda url: SendGridBuilder("SG.key", base_url=url), ""),
    "mailgun": (lambda url: MailgunBuilder("key-1", "mg.acme.example", base_url=url), '{"id": "<M@x>"}'),
}  # fmt: skip


@pytest.mark.parametrize("name", MAILS)
async def test_mail_by_an_api_leaves_with_both_its_forms_and_its_offer_once(name):
    make, said = MAILS[name]
    status = 202 if name == "sendgrid" else 200
    async with server(answer(status, said, "X-Message-Id: M")) as (where, asked):
        sender = HttpSender(make(where))
        async with Bridge("memory://", tenant="acme", senders=[sender], markdown=True) as bridge:
            async with bridge.turn(hello("email")) as turn:
                turn.reply("It is **there**.\n\nGood?", choices=FEW)
            assert [one.status for one in turn.deliveries] == ["sent"]
    (one,) = asked
    body = one.body.decode()
    if name == "mailgun":
        plain, html = parse_qs(body)["text"][0], parse_qs(body)["html"][0]
    elif name == "postmark":
        plain, html = one.json["TextBody"], one.json["HtmlBody"]
    else:
        plain, html = [content["value"] for content in json.loads(body)["content"]]
    assert plain.count("2. Dark blue") == html.count("2. Dark blue") == 1
    assert "<strong>there</strong>" in html
    assert "Re: Order" in body or "Re%3A+Order" in body
