"""More kinds of PII, and what stands in their place."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxbridge import errors, guards
from ctxbridge.guards.patterns import ALL_KINDS, KINDS, find
from ctxbridge.guards.tokens import spans

from .talk import bare, cost, grows_in_proportion

KEY, OTHER = b"k" * 32, b"o" * 32
CARD = "4111 1111 1111 1111"


def text_after(text, **options):
    return guards.pii(**options).check(bare(text)).text


class TestKinds:
    def test_addresses_are_looked_for_where_that_is_asked_for(self):
        text = "ann@example.org, +1 415 555 0123, 10.0.0.1"
        assert text_after(text) is None
        assert text_after(text, kinds=["email", "phone", "ip"]) == "[email], [phone], [ip]"

    @pytest.mark.parametrize(
        ("text", "kinds"),
        [("a@b.co@c.de", ["email"]), ("::ffff:10.0.0.1 up", ["ip"]), ("fe80::1%eth0", ["ip"]), ("::1", ["ip"]),
         ("+49(0)30/1234567", ["phone"]), ("00491701234567.", ["phone"]), ("415.555.0123", ["phone"]),
         ("sk-" + "a" * 500, ["secret"]), ("\u0661\u0662\u0663-\u0664\u0665-\u0666\u0667\u0668\u0669", []),
         ("a" * 65 + "@b.example", []), ("@@@@", []), ("::", []), ("1:2", []), ("1.2.3.4.5", []), ("+", []), ("", []),
         ("999.999.999.999", []), ("x@y.z", []), ("12:34:56", []), ("postgres://localhost/app", []),
         ("-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----", [])],
    )  # fmt: skip
    def test_odd_ones(self, text, kinds):
        assert [f.category for f in find(text, ALL_KINDS)] == kinds

    @pytest.mark.parametrize(
        ("text", "found"),
        [("AB12 GB82 WEST 1234 5698 7654 32", "GB82 WEST 1234 5698 7654 32"),
         ("DE12 34 or BE68 5390 0754 7034 merci", "BE68 5390 0754 7034"),
         (" ".join(map(str, range(100, 160))) + f" {CARD}", CARD), ("1" * 90 + f" {CARD} 7", CARD)],
    )  # fmt: skip
    def test_what_looks_like_one_before_it_hides_nothing(self, text, found):
        assert [text[f.start : f.end] for f in find(text, ["card", "iban"])] == [found]

    def test_no_rest_of_a_long_key_is_left(self):
        assert text_after("key sk-proj-" + "Ab1_" * 60 + " end") == "key [secret] end"

    @pytest.mark.parametrize("end", ["\n-----END RSA PRIVATE KEY-----", "", "\n"])
    def test_a_private_key_goes_as_a_whole(self, end):
        pem = "-----BEGIN RSA PRIVATE KEY-----\nMIIEow/IBAAKC+AQ==\nabcd" + end
        assert text_after(f"this is it: {pem}").startswith("this is it: [secret]")
        assert "MIIE" not in text_after(pem)

    def test_of_a_password_in_an_address_the_address_stays(self):
        assert (
            text_after("postgres://app:hunter2@db.internal/x")
            == "postgres://[secret]@db.internal/x"
        )

    @given(st.text(alphabet="0123456789+-.:@/ abceAX_\u00e9", max_size=120))
    def test_findings_are_in_order_apart_and_within(self, text):
        found = find(text, ALL_KINDS)
        places = [p for f in found for p in (f.start, f.end)]
        assert places == sorted(places)
        assert all(0 <= f.start < f.end <= len(text) for f in found)

    @pytest.mark.parametrize(
        "hostile",
        ["a@", "a.", "@", "a@b.", "1.", "1.1.1.1", ":", "a:", "1:", "+1", "+1 ", "(1", "0", "01 ", "1-", "eyJ", "eyJa.",
         "eyJaaaaaaaaa.", "sk-", "sk_live_", "gh", "ghp_", "-----BEGIN PRIVATE KEY-----\n", "PRIVATE KEY-----",
         "-----BEGIN " + "A" * 40, "://", "://a:b", "Bearer ", "SG.", "1:AA", "é@", "AKIA", "555-55-", "[card:",
         "GB82 WEST ", "DE89", "4 ", "41 ", "4111 ", "20-", "4\u200b", "078-05-1120 4", "x@y.zz"],
    )  # fmt: skip
    def test_hostile_text_costs_in_proportion_to_its_length(self, hostile):
        assert grows_in_proportion(lambda text: find(text, ALL_KINDS), hostile)

    @pytest.mark.parametrize(
        "hostile", ["a@b.c ", "1 ", "sk-a", "::", "+1 2", "keine Nachrichten mehr "]
    )
    def test_a_megabyte_ends_soon(self, hostile):
        text = (hostile * 1_000_000)[:1_000_000]
        assert cost(lambda t: find(t, ALL_KINDS), text) < 10


class TestModes:
    def test_a_card_keeps_four_digits_unless_they_go_as_well(self):
        assert text_after(f"pay {CARD}") == "pay [card …1111]"
        assert text_after(f"pay {CARD}", mode="redact") == "pay [card]"

    def test_a_token_tells_its_kind_and_nothing_else(self):
        text = text_after(f"pay {CARD}", mode="token", key=KEY)
        assert text.startswith("pay [card:")
        assert "1111" not in text
        assert guards.pii_tokens(KEY).reveal(text) == f"pay {CARD}"

    def test_the_same_value_is_the_same_token_and_another_key_or_kind_another(self):
        one, two = guards.pii_tokens(KEY), guards.pii_tokens(OTHER)
        assert one.token("card", CARD) == one.token("card", CARD) != two.token("card", CARD)
        assert one.token("card", CARD)[6:] != one.token("iban", CARD)[6:]

    def test_what_is_masked_once_stays_as_it_is(self):
        guard = guards.pii(kinds=ALL_KINDS, mode="token", key=KEY)
        once = guard.check(bare(f"{CARD} ann@example.org 10.0.0.1")).text
        assert guard.check(bare(once)).action == "allow"

    def test_what_looks_like_something_in_a_token_is_left(self):
        fake = "[card:GB82WEST12345698765432" + "A" * 30 + "]"
        assert spans(fake.replace("1", "2").replace("9", "3").replace("8", "4")) != []
        assert spans("[card:short] [card") == []

    @pytest.mark.parametrize(
        "wrong",
        [{"mode": "token"}, {"mode": "mask", "key": KEY}, {"mode": "token", "key": b"short"}, {"mode": "hide"},
         {"kinds": ["blood"]}],
    )  # fmt: skip
    def test_options_that_make_no_sense_are_refused(self, wrong):
        with pytest.raises(errors.ConfigurationError):
            guards.pii(**wrong)


class TestTokens:
    tokens = guards.pii_tokens(KEY)

    @given(st.sampled_from(ALL_KINDS), st.text(min_size=1, max_size=200))
    def test_any_value_comes_back_with_the_key_alone(self, kind, value):
        token = self.tokens.token(kind, value)
        assert self.tokens.reveal(f"a {token} b") == f"a {value} b"
        assert guards.pii_tokens(OTHER).reveal(token) == token

    @given(st.text(min_size=1, max_size=40), st.integers(6, 40), st.sampled_from("ABCXYZ234567"))
    def test_a_changed_token_does_not_open(self, value, place, char):
        token = self.tokens.token("card", value)
        place = min(place, len(token) - 2)
        changed = token[:place] + char + token[place + 1 :]
        assert self.tokens.reveal(changed) in ({changed} if changed != token else {value})
        moved = token.replace("[card:", "[iban:")
        assert self.tokens.reveal(moved) == moved

    def test_a_token_that_is_not_checked_would_open_to_something_else(self):
        class Trusting(guards.PiiTokens):
            def _tag(self, kind, plain):
                return self.seen

        open_wide = Trusting(KEY)
        import base64

        token = self.tokens.token("card", CARD)
        data = bytearray(base64.b32decode(token[6:-1] + "=" * (-len(token[6:-1]) % 8)))
        open_wide.seen = bytes(data[:16])
        data[20] ^= 1
        forged = "[card:" + base64.b32encode(bytes(data)).decode().rstrip("=") + "]"
        assert open_wide.reveal(forged) not in {forged, CARD}
        assert self.tokens.reveal(forged) == forged

    @pytest.mark.parametrize("text", ["", "[card:]", "[card:AAAA]", "[card:" + "A" * 28 + "]", "[CARD:" + "A" * 40 + "]",
                                      "[card:" + "A" * 100_000, "[" * 1000])  # fmt: skip
    def test_what_is_no_token_stays(self, text):
        assert self.tokens.reveal(text) == text

    def test_a_key_is_never_shown(self):
        assert "k" * 8 not in repr(self.tokens)

    @pytest.mark.parametrize(
        "hostile", ["[card:", "[card:" + "A" * 30, "[", "[card:" + "A" * 32 + "]"]
    )
    def test_hostile_text_costs_in_proportion_to_its_length(self, hostile):
        assert grows_in_proportion(self.tokens.reveal, hostile)


def test_what_is_looked_for_unasked_is_what_nobody_needs():
    assert set(KINDS) == set(ALL_KINDS) - {"email", "phone", "ip"}


def test_what_grows_with_the_square_of_the_text_would_be_found():
    """The negative control of all tests of hostile text."""

    def square(text):
        return sum(1 for _ in text[::40] for _ in text[::40])

    assert not grows_in_proportion(square, "a")
