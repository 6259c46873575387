"""Links: whatever a browser, a mail program or a phone would take for one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxbridge import errors, guards
from ctxbridge.guards.links import canonical

from .talk import bare, grows_in_proportion

OURS = guards.link_allowlist({"acme.example", "münchen.example"})

FOREIGN = [
    "see https://evil.example/a", "http://acme.example@evil.example", "http://acme.example:80@evil.example/",
    "https://acme.example.evil.com", "https://notacme.example", "https://evil.com/acme.example",
    "https://evil.com?acme.example", "https://evil.com#acme.example", "https://acme.example\\@evil.com",
    "https://evil.com\\.acme.example", "https:evil.com", "https:/evil.com", "https:\\\\evil.com", "//evil.com/x",
    "HTTPS://EVIL.COM", "hTTps://Evil.Com.", "go to evil.com", "evil.com/pay", "www.evil.com", "EVIL.COM!",
    "(evil.com)", "[acme.example](https://evil.com)", "<https://evil.com>", '"https://evil.com"',
    "https://acme.example/?next=https://evil.com", "https://acme.example,https://evil.com",
    "http://1.2.3.4/a", "http://3232235777", "http://0x7f.1", "http://[::1]/", "http://localhost/",
    "https://acme.example%2eevil.com", "https://acme.example%00.evil.com", "https://acme.example,.evil.com",
    "https://аcme.example", "https://acme\u3002example.evil.com", "https://evil\u3002com", "evil\uff0ecom/x",
    "https://ｅｖｉｌ.com", "ht\u200btps://evil.com", "ev\u200bil.com/x", "https://xn--cme-8cd.example",
    "xn--cme-8cd.example", "javascript:alert(1)", "JaVaScRiPt:alert(1)", "data:text/html,x", "file:///etc/passwd",
    "ftp://evil.com/x", "myapp://evil", "evil.co.uk", "pay.evil.io:8080/x", "https://user:pw@acme.example/",
    "thanks.it/x", "Read evil.com. Then answer", "https://acme.example:80:90/", "https://evil.com:443",
    "evil-acme.example", "http://a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q.r.evil.com",
    "mail me@acme.example or evil.com", "Thanks.It,evil.it", "https://" + "a." * 250 + "acme.example@evil.com",
    "a." * 2000 + "acme.example/",
]  # fmt: skip
OWN = [
    "https://acme.example", "https://acme.example/a?b=c#d", "HTTPS://ACME.EXAMPLE/X", "https://acme.example.",
    "https://shop.acme.example/", "acme.example", "www.acme.example/x", "Acme.Example!", "(acme.example)",
    "[here](https://acme.example)", "https://acme.example:8443/x", "https://münchen.example/",
    "https://MÜNCHEN.example", "https://xn--mnchen-3ya.example/x", "write to help@evil.com", "mailto:help@evil.com",
    "Version 1.2.3 of e.g. this", "at 10.15 o'clock", "Thanks.It works", "file.txt and main.cpp", "a...b", "3.5/5",
    "Node.js", "Mr.Smith", "no links at all", "", "https://", "see: this", "Tel: +49 30 1234567", "10:15",
    "https://acme.example/?next=https://acme.example/b", "and/or", "https://acme.example, and more",
    "john.doe@evil.com", "u.s.a.",
]  # fmt: skip


def verdict(text, guard=OURS):
    return guard.check(bare(text, "reply"))


@pytest.mark.parametrize("text", FOREIGN)
def test_a_host_that_is_not_ours_is_foreign_however_it_is_written(text):
    assert (verdict(text).action, verdict(text).code) == ("block", "links.foreign")


@pytest.mark.parametrize("text", OWN)
def test_our_own_hosts_and_what_is_no_link_may_leave(text):
    assert verdict(text).action == "allow"


def contains_ours(text):
    """The usual mistake."""
    return "://" not in text or "acme.example" in text


def test_the_usual_mistake_would_be_noticed():
    assert sum(contains_ours(text) for text in FOREIGN) > 20


class TestStrip:
    guard = staticmethod(guards.link_allowlist({"acme.example"}, action="strip"))

    @pytest.mark.parametrize(
        ("text", "left"),
        [("see https://evil.com/a, or https://acme.example.", "see [link removed], or https://acme.example."),
         ("(evil.com)", "([link removed])"), ("evil.com evil.org", "[link removed] [link removed]"),
         ("a\u200b.com x", "[link removed] x")],
    )  # fmt: skip
    def test_what_is_foreign_is_taken_out_and_the_rest_stays(self, text, left):
        answer = verdict(text, self.guard)
        assert (answer.action, answer.text, answer.code) == ("modify", left, "links.stripped")
        assert verdict(left, self.guard).action == "allow"

    @given(st.lists(st.sampled_from(FOREIGN + OWN), max_size=5).map(" ".join))
    def test_nothing_foreign_is_left(self, text):
        answer = verdict(text, self.guard)
        left = text if answer.text is None else answer.text
        assert verdict(left, self.guard).action == "allow"

    def test_places_are_told_and_never_the_words(self):
        (finding,) = verdict("see https://evil.com!", self.guard).findings
        assert (finding.category, finding.start, finding.end) == ("link", 4, 20)


@given(st.text(max_size=200))
def test_any_text_is_judged_without_an_error(text):
    assert verdict(text).action in {"allow", "block"}


@pytest.mark.parametrize("wrong", ["acme.example", [""]])
def test_hosts_are_a_set_of_hosts(wrong):
    with pytest.raises(errors.ConfigurationError):
        guards.link_allowlist(wrong)


def test_nothing_may_be_linked_to_if_nothing_is_ours():
    assert verdict("acme.example", guards.link_allowlist(())).action == "block"


def test_a_host_is_compared_as_it_is_looked_up():
    assert canonical("MÜNCHEN.Example.") == "xn--mnchen-3ya.example"
    assert canonical("straße.example") == "xn--strae-oqa.example"


@pytest.mark.parametrize(
    "hostile",
    ["a.", "a.b", "http://", "https://acme.example@", "x:", ":", "/", "//", "a-", "[", "(", "é.", "acme.example ",
     "https://acme.example/", "evil.com,", "a" * 30 + ":", "\u200b", ".", "https://acme.example "],
)  # fmt: skip
def test_hostile_text_costs_in_proportion_to_its_length(hostile):
    assert grows_in_proportion(verdict, hostile)
