"""Markdown as each channel can show it: golden files, hostile text; numbers are the acceptance list's.

The golden files were written by `python -m tests.rules.test_rendering` and read by a person.
"""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.guards.talk import cost

from ctxbridge import errors
from ctxbridge.model import Capabilities
from ctxbridge.rules.rendering import drafted, pages, reading, render
from ctxbridge.rules.splitting import fits, length

GOLDEN = Path(__file__).parent / "golden" / "rendering"
FORMS = ["plain", "slack", "whatsapp", "html"]
NAMES = sorted(path.stem for path in GOLDEN.glob("*.md"))


def told(name, form):
    """What a golden file holds: the losses on its first line, then the message."""
    rendered = render((GOLDEN / f"{name}.md").read_text(), Capabilities(form=form))
    (part,) = rendered.parts
    return f"losses: {', '.join(rendered.losses)}\n{part.markup or part.words}\n"


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", NAMES)
def test_85_it_is_shown_as_in_the_golden_file(name, form):
    assert told(name, form) == (GOLDEN / f"{name}.{form}.txt").read_text()


def test_85_losses_say_what_could_not_be_shown():
    def lost(text, form="plain"):
        return render(text, Capabilities(form=form)).losses

    assert lost("plain words\n\n- and\n- lists") == ()
    assert lost("**b**") == ("emphasis",)
    assert lost("**b**", "slack") == lost("**b**", "html") == ()
    assert lost("|a|\n|-|\n|b|", "slack") == ("table",)
    assert lost("|a|\n|-|\n|b|", "html") == ()
    assert lost("![a](https://x.example/p.png)", "html") == ("image",)
    assert lost("[a](/b)", "html") == ("link",)


class Seen(HTMLParser):
    """The tags and attributes of a page, as a reader of mail finds them."""

    def __init__(self, page):
        super().__init__()
        self.tags = []
        self.attributes = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]


FRAME = {"html", "head", "meta", "body"}


def harm(page):
    """What must not be in a mail: other tags, other attributes, links to other schemes."""
    seen = Seen(page)
    found = [tag for tag in seen.tags if tag not in pages.TAGS | FRAME]
    allowed = {
        ("a", "href"),
        ("a", "title"),
        ("a", "rel"),
        ("ol", "start"),
        ("meta", "charset"),
        ("body", "dir"),
    }
    found += [f"{tag} {name}" for tag, name, _ in seen.attributes if (tag, name) not in allowed]
    links = [value for _, name, value in seen.attributes if name == "href"]
    return found + [link for link in links if not reading.is_address(link.strip())]


ATTACKS = [
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "[a](javascript:alert(1))", "[a](JaVaScRiPt:alert(1))",
    "[a](java\tscript:alert(1))", "[a](&#106;avascript:alert(1))", "![a](javascript:alert(1))", "![a](data:text/html,x)",
    '[a](https://x.example "\\" onmouseover=alert(1) x=\\"")', "<javascript:alert(1)>", '![x" onerror="alert(1)](http://x)',
    "<svg/onload=alert(1)>", "```html\n</code></pre><script>alert(1)</script>\n```", "<style>*{}</style>", "<iframe src=//x>",
    "[a](vbscript:x)", "[a](data:text/html;base64,PHNjcmlwdD4=)", "![a](https://x.example/p.png)", "<a href=javascript:x>",
    "[<img src=x onerror=alert(1)>](https://x.example)", "|<script>|\n|-|\n|<img onerror=x>|", "[a](//x.example)", "<!--", "]]>",
    "\x00<scr\x00ipt>", "[a](\x01javascript:x)", "`<script>`", "# <form action=//x>", "1. <meta http-equiv=refresh>",
]  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS)
def test_86_no_script_reaches_a_page(attack):
    assert harm(render(attack, Capabilities(form="html")).html) == []


@settings(max_examples=300)
@given(st.lists(st.sampled_from([*ATTACKS, "<", ">", '"', "'", "`", "[", "](", ")", "!", "\n", "\n\n", "> ", "- ", "|", "&", "\\"])
                | st.text(max_size=6), max_size=12).map("".join))  # fmt: skip
@example("")
def test_86_no_mixture_of_them_does(text):
    page = render(text, Capabilities(form="html")).html
    assert harm(page) == []
    assert "<img" not in page.lower()


def test_86_without_the_cleaning_it_would(monkeypatch):
    """The broken variant: HTML is read, and what was written is not cleaned."""
    reader = reading.parser.__wrapped__()
    reader.options["html"] = True
    reader.enable(["html_block", "html_inline"])
    monkeypatch.setattr(reading, "parser", lambda: reader)
    monkeypatch.setattr(pages, "parser", lambda: reader)
    texts = [f"Hi {attack}" for attack in ATTACKS[:2]]
    assert [harm(render(text, Capabilities(form="html")).html) for text in texts] == [
        [],
        [],
    ]  # nh3 alone holds
    monkeypatch.setattr(pages, "cleaned", lambda body: body)
    assert all(harm(render(text, Capabilities(form="html")).html) for text in texts)


def test_nothing_is_fetched_when_a_mail_is_opened():
    page = render("![a](https://x.example/pixel.png)", Capabilities(form="html")).html
    assert Seen(page).tags[-2:] == ["p", "a"]


def test_slack_is_not_told_to_call_everybody():
    (part,) = render("<!channel> <@U1> **&**", Capabilities(form="slack")).parts
    assert part.markup == "&lt;!channel&gt; &lt;@U1&gt; *&amp;*"


WORDS = st.lists(st.sampled_from(["tea", "cup", "ä", "\U0001f600", "**b**", "_e_", "`c`", "[l](https://x.example)", "& <",
                                  "\n\n", "\n- ", "\n1. ", "\n> ", "\n# ", " "]), max_size=150).map(" ".join)  # fmt: skip


@pytest.mark.parametrize("unit", ["character", "utf16", "byte", "segment"])
@pytest.mark.parametrize("form", ["plain", "slack", "whatsapp"])
@settings(max_examples=40)
@example(text="tea " * 9 + "\U0001f600 [l](https://x.example) & <", longest=40)
@given(text=WORDS, longest=st.integers(40, 200))
def test_87_no_message_is_over_the_limit_and_no_word_is_lost(form, unit, text, longest):
    longest = longest if unit != "segment" else 1 + longest % 2
    can = Capabilities(form=form, longest=longest, unit=unit)
    rendered, draft = render(text, can), drafted(text, form)
    assert all(fits(part.words, longest, unit) for part in rendered.parts)
    assert all(fits(part.markup, longest, unit) for part in rendered.parts)
    assert "".join("".join(part.words for part in rendered.parts).split()) == "".join(
        draft.words.split()
    )


def test_42_a_long_answer_is_several_messages_between_its_paragraphs():
    text = "\n\n".join([f"**Point {n}.** " + "Some words about it. " * 20 for n in range(12)])
    rendered = render(text, Capabilities(longest=1600))
    assert [part.words.count("Point") for part in rendered.parts] == [3, 3, 3, 3]
    assert all(1200 < len(part.words) <= 1600 for part in rendered.parts)
    assert [part.words[:8] for part in rendered.parts] == [
        "Point 0.",
        "Point 3.",
        "Point 6.",
        "Point 9.",
    ]
    assert rendered.losses == ("emphasis",)


def test_what_grows_by_escapes_is_split_in_more():
    rendered = render("a & b < c " * 50, Capabilities(form="slack", longest=100))
    assert all(length(part.markup or part.words, "character") <= 100 for part in rendered.parts)


PIECES = ["{}", "**{}", "{}**", "_{}", "`{}`", "[{}](https://x.example)", "![{}](https://x.example/i)", "~~{}~~", "\n", "\n\n",
          "\n- {}", "\n  - {}", "\n1. {}", "\n> {}", "\n# {}", "\n```\n{}\n```\n", "\n|{}|{}|\n|-|-|\n|{}|", "\n\n    {}", "<b>{}</b>",
          "<!--{}-->", "[{}]: https://x.example", "[{}][{}]", "&{};", "\\{}", "\n{}\n---\n", "<br>{}", "\t{}", "\n<div>{}\n"]  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=150)
@given(pieces=st.lists(st.sampled_from(PIECES), max_size=25))
def test_no_word_of_an_agent_is_lost_in_any_form(form, pieces):
    """Nor does a form say a word that guards have not judged."""
    count = iter(range(10_000))
    text = "".join([re.sub(r"\{\}", lambda _: f"word{next(count)}q", piece) for piece in pieces])
    (part,) = render(text or "x", Capabilities(form=form)).parts
    said = re.findall("word[0-9]+q", text)
    assert sorted(re.findall("word[0-9]+q", part.words)) == sorted(said)
    assert sorted(re.findall("word[0-9]+q", part.markup or part.words)) == sorted(said)


def test_what_guards_do_not_see_is_in_no_form():
    text = '[a](https://x.example "secret") ![b](https://x.example/p.png "secret")\n\n```secret\nc\n```'
    for form in FORMS:
        (part,) = render(text, Capabilities(form=form)).parts
        assert "secret" not in part.words + part.markup


class TestReworded:
    def test_what_guards_only_add_costs_no_markup(self):
        draft = drafted("**Hi** Ann", "html")
        told = draft.reworded("I am a bot.\n\nHi Ann").laid_out(Capabilities(form="html"))
        assert told.parts[0].words == "I am a bot.\n\nHi Ann"
        assert "<p>I am a bot.</p>\n<p><strong>Hi</strong> Ann</p>" in told.html
        assert told.losses == ()

    def test_what_guards_take_out_is_in_no_form(self):
        for form in FORMS:
            draft = drafted("Card **4111 1111** <b>", form).reworded("Card [masked] <b>")
            (part,) = draft.laid_out(Capabilities(form=form)).parts
            assert part.words == "Card [masked] <b>"
            assert "4111" not in part.markup
            assert draft.losses == (("emphasis",) if form == "plain" else ("markup",))
        assert draft.laid_out(Capabilities(form="html")).html.count("&lt;b&gt;") == 1

    def test_what_only_holds_the_same_letters_is_another_text(self):
        (part,) = (
            drafted("**is**", "slack")
            .reworded("This is blocked")
            .laid_out(Capabilities(form="slack"))
            .parts
        )
        assert (part.words, part.markup) == ("This is blocked", "")

    def test_unchanged_it_is_the_same(self):
        draft = drafted("**Hi**", "slack")
        assert draft.reworded("Hi") is draft


DEEP = {
    "quotes": "> " * 300 + "words",
    "lists": "".join("  " * n + "- words\n" for n in range(100)),
    "breaks": "<br>" * 9,
}


@pytest.mark.parametrize("name", DEEP)
@pytest.mark.parametrize("form", FORMS)
def test_what_cannot_be_read_is_said_as_it_is_written(name, form):
    rendered = render(DEEP[name], Capabilities(form=form))
    assert (rendered.parts[0].words, "markup" in rendered.losses) == (DEEP[name], True)


HOSTILE = {
    "brackets": "[", "stars": "*a ", "nested": "**", "cells": "|a", "rows": "|a|\n", "links": "[a](b", "quotes": "> a\n",
    "items": "- a\n", "paragraphs": "a\n\n", "autolinks": "<http:", "code": "`a``", "entities": "&amp;", "images": "![a](http://x)",
}  # fmt: skip


@pytest.mark.parametrize("form", ["slack", "html"])
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_markdown_costs_little_more_than_its_length(name, form):
    can = Capabilities(form=form, longest=0 if form == "html" else 400)
    text = HOSTILE[name] * (2_000 // len(HOSTILE[name]))
    assert (
        cost(lambda text: render(text, can), text * 3)
        < 8 * cost(lambda text: render(text, can), text) + 0.02
    )


def test_a_table_of_cells_without_end_is_bounded():
    text = "|a" * 5_000 + "\n" + "|-" * 5_000 + "\n" + "|b\n" * 2_000
    rendered = render(text, Capabilities(form="html"))
    assert len(rendered.html) < 40 * len(text)


def test_without_the_packages_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "markdown_it", None)
    reading.parser.cache_clear()
    with pytest.raises(errors.ConfigurationError, match=r"ctxbridge\[render\]"):
        render("x", Capabilities())
    reading.parser.cache_clear()


if __name__ == "__main__":
    for name in NAMES:
        for form in FORMS:
            (GOLDEN / f"{name}.{form}.txt").write_text(told(name, form))
